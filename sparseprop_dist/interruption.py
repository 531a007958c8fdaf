"""When a run writes a checkpoint, and when it stops: simulated time, the clock on the wall, and signals.

Owns the handlers of signals while a run goes on. Ranks ask together, once a window, so that all do the same.
"""

import contextlib
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import warning
from .clock import TICK_BITS
from .errors import InputError
from .exchange import Alone

GO_ON, WRITE, STOP = 0, -1, -2
"""What ranks ask for; the smallest is done."""
MARGIN = 2.0
"""Times the last checkpoint, and the longest window, that a run leaves before the end of its wall time."""
LEAST_MARGIN = 0.02
"""Part of the wall limit that is left at least."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))


@dataclass(frozen=True)
class Checkpoints:
    """How often a run with a directory writes checkpoints.

    Parameters
    ----------
    every : ms of simulated time; None: not by simulated time
    every_wall : s; None: not by the clock
    keep : how many of the last are kept, at least 1
    """

    every: float | None = None
    every_wall: float | None = 900.0
    keep: int = 2

    def __post_init__(self) -> None:
        for key, unit in (("every", "ms"), ("every_wall", "s")):
            value = getattr(self, key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1e15):
                raise InputError(f"{key} of the checkpoints is {value!r}; give a number of {unit} above 0")
        if isinstance(self.keep, bool) or not isinstance(self.keep, int) or self.keep < 1:
            raise InputError(f"keep of the checkpoints is {self.keep!r}; give a whole number of at least 1")


def changed(checkpoints: Checkpoints | None, **given: Any) -> Checkpoints:
    """Return ``checkpoints``, or the usual ones, with what is given and not None."""
    return dataclasses.replace(checkpoints or Checkpoints(), **{key: value for key, value in given.items() if value is not None})


class Watchman:
    """Asked once a window whether to go on."""

    def __init__(self, communicator: Alone, checkpoints: Checkpoints, wall_limit: float | None) -> None:
        if wall_limit is not None and not (isinstance(wall_limit, int | float) and wall_limit > 0.0):
            raise InputError(f"wall_limit is {wall_limit!r}; give a number of s above 0")
        self.communicator, self.checkpoints, self.wall_limit = communicator, checkpoints, wall_limit
        self.begun = self.written = self.asked = time.monotonic()
        self.signal: str | None = warning.heard[0] if warning.heard else None
        self.cost = self.longest = 0.0  # s, of a checkpoint and of a window
        self.next: float | None = None  # ms, of the next checkpoint by simulated time

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take notice of signals: of the first; a second SIGINT interrupts as usual."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            for number, handler in before.items():
                if handler is not signal.SIG_IGN or number == signal.SIGUSR1:
                    signal.signal(number, self._notice)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _notice(self, number: int, frame: Any) -> None:
        self.signal = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(self, now: float) -> None:
        """Begin at simulated time ``now`` (ms); what was built so far is no window."""
        every = self.checkpoints.every
        self.next = None if every is None else (now // every + 1) * every
        self.written = self.asked = time.monotonic()

    def cut(self, now: int, until: int) -> int:
        """Return where a window from tick ``now`` to ``until`` ends: before, if a checkpoint is due before."""
        return until if self.next is None else min(until, max(now + 1, math.ceil(self.next * 2.0**TICK_BITS)))

    def ask(self, now: float) -> int:
        """Return GO_ON, WRITE or STOP at simulated time ``now`` (ms), the same on all ranks; collective."""
        clock = time.monotonic()
        self.longest, self.asked = max(self.longest, clock - self.asked), clock
        mine = STOP if self.signal or self._out_of_time(clock) else WRITE if self._is_due(now, clock) else GO_ON
        return self.communicator.least(mine)

    def did(self, now: float, seconds: float) -> None:
        """Take notice of a checkpoint that took so long."""
        self.cost = max(self.cost, seconds)
        self.written = self.asked = time.monotonic()
        if self.next is not None and self.checkpoints.every is not None:
            while self.next <= now:
                self.next += self.checkpoints.every

    def _is_due(self, now: float, clock: float) -> bool:
        wall = self.checkpoints.every_wall
        by_clock = wall is not None and self.communicator.rank == 0 and clock - self.written >= wall
        return by_clock or (self.next is not None and now >= self.next)

    def _out_of_time(self, clock: float) -> bool:
        if self.wall_limit is None or self.communicator.rank:
            return False
        margin = max(LEAST_MARGIN * self.wall_limit, MARGIN * (self.cost + self.longest))
        return clock - self.begun + margin >= self.wall_limit
