"""Several ranks of a run in one process, a thread each: how they settle synapses without delay, with buffers of any size, and no MPI."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import oracle
from networks import Run, absolute, session_of, shortest_delay, whole

from sparseprop_dist.description import Network
from sparseprop_dist.engine import instant
from sparseprop_dist.engine.session import SPIKE, Session
from sparseprop_dist.engine.together import ROOM, Together
from sparseprop_dist.errors import SimulationError
from sparseprop_dist.meeting import CHANGED, WISH, plain_wire
from sparseprop_dist.state import Counter

PATIENCE = 60.0
"""Seconds that a rank waits for the others, before the test fails."""
MOST_ROUNDS = 2000
"""In which a window is settled: each settles an event at least, and windows of these tests hold tens."""


@dataclass
class Ranks:
    """What threads tell each other."""

    n: int
    barrier: threading.Barrier = field(init=False)
    slots: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.barrier, self.slots = threading.Barrier(self.n, timeout=PATIENCE), [None] * self.n

    def collect(self, rank: int, value: Any) -> list[Any]:
        """What all ranks give, in their order."""
        self.slots[rank] = value
        self.barrier.wait()
        given = list(self.slots)
        self.barrier.wait()
        return given

    def meet(self, rank: int) -> Callable[[np.ndarray, np.ndarray], None]:
        """As `exchange.Meeting`."""

        changed = 0

        def told(own: np.ndarray, all_: np.ndarray) -> None:
            nonlocal changed
            given = self.collect(rank, own.copy())
            assert len({len(words) for words in given}) == 1, "messages of one length"
            changed = changed + 1 if max(words[1] for words in given) & ~WISH == CHANGED else 0
            assert changed < MOST_ROUNDS, "rounds without end"
            all_[:] = np.concatenate(given)

        return told

    def agree(self, rank: int) -> Callable[[Exception | None], None]:
        """As `exchange.Ranks.agree`."""

        def agreed(error: Exception | None) -> None:
            for theirs in self.collect(rank, error):
                if theirs is not None:
                    raise theirs

        return agreed


def emitted_together(
    network: Network, until: float, n: int, run: Run | None = None, length: int = 0, seen: list[Session] | None = None
) -> np.ndarray:
    """As `networks.emitted`, on `n` ranks; ``length``: ticks, of the first window that is settled. ``seen`` gets the sessions."""
    run = run or Run(instant)
    ranks = Ranks(n)
    sessions = [session_of(network, run, n, rank) for rank in range(n)]
    if seen is not None:
        seen += sessions
    bits = min(session.piece_bits for session in sessions)
    end = oracle.to_ticks(until)
    window = min(shortest_delay(whole(network)), end if run.window is None else max(1, oracle.to_ticks(run.window)))

    def one(rank: int) -> np.ndarray:
        session = sessions[rank]
        session.piece_bits = bits
        room = ROOM if run.capacity is None else 1
        together = Together(session, ranks.meet(rank), ranks.agree(rank), functools.partial(plain_wire, rank=rank, ranks=n), room)
        session.counters[Counter.LENGTH] = length
        out = [np.empty(0, SPIKE)]
        try:
            for k in range(-(-end // window)):
                start = session.now
                spikes = together.advance(min((k + 1) * window, end))
                out.append(absolute(spikes, session))
                given = ranks.collect(rank, spikes)
                session.receive(np.concatenate([spikes[:0], *(s for m, s in enumerate(given) if m != rank)]), start)
                session.forget()
        except SimulationError:  # all ranks have one
            raise
        except BaseException:
            ranks.barrier.abort()
            raise
        return np.concatenate(out)

    with ThreadPoolExecutor(n) as pool:
        futures = [pool.submit(one, rank) for rank in range(n)]
        errors = [future.exception() for future in futures]
    causes = [e for e in errors if e is not None and not isinstance(e, threading.BrokenBarrierError)]
    assert not any(isinstance(error, SimulationError) for error in causes) or len(causes) == n, "all ranks are told"
    assert len({str(error) for error in causes}) < 2, "all ranks have the same to say"
    for error in causes:
        raise error
    spikes = np.concatenate([future.result() for future in futures])
    return spikes[np.lexsort([spikes[name] for name in ("gid", "trigger_gid", "trigger_time", "time")])]
