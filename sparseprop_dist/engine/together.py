"""Synapses without delay over several ranks: windows that are settled by rounds.

Without a delay there is no time in which ranks cannot surprise each other. Sparsity gives one: in a short window few spikes meet a neuron
that is itself about to fire. So for each window

1. every rank tells the spikes that its neurons will make if nothing else happens (`agenda.foreseen`);
2. it runs the window with what the others told (`instant.run`), and tells what its neurons then did;
3. where the others now say something else, it takes back what it did from there on (`tick.take_back`), and runs again;
4. when no rank says anything new, the window is settled.

Why it is right: let S be the spikes told, Phi(S) what neurons do given S. What Phi(S) holds up to some event depends on S before that
event alone, so each round settles at least the next event, and S = Phi(S) has one solution, the sequence of the ordered schedule. No spike
depends on the window; its length follows the number of rounds. See ``docs/design/together.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..errors import LOG_FULL, NOT_LISTED, OK, QUEUE_FULL, SimulationError
from ..state import WORDS, Counter, Piece, Watch
from . import instant, rounds
from .agenda import again
from .session import Session, empty_log, empty_remote
from .watch import read_until

FEW, MANY = 3, 4
"""A window that was settled in so few rounds may be longer next time; in more than the second, it must be shorter."""

Meet = Callable[[np.ndarray, int], tuple[np.ndarray, int]]
"""Tells the other ranks own spikes and a flag, QUIET, CHANGED or FAILED; returns their spikes, and the largest flag of all ranks."""
QUIET, CHANGED, FAILED = 0, 1, 2


@dataclass
class Together:
    """A session whose windows are settled with other ranks."""

    session: Session
    meet: Meet
    agree: Callable[[Exception | None], None]  # raises an error that any rank has, on all
    length: int = 0  # ticks, of the next window
    windows: int = 0
    rounds: int = 0
    told: int = 0  # spikes that this rank told, again and again
    box: np.ndarray = field(default_factory=lambda: np.zeros((1024, WORDS), np.int64))

    def advance(self, until: int, watch: Watch | None = None) -> np.ndarray:
        """As `Session.advance`. Collective.

        Raises
        ------
        SimulationError
            on all ranks, the same.
        """
        session, part = self.session, self.session.part
        session.begin(until, watch)
        until -= session.origin
        if session.log.tick.size == 0:
            session.log, session.remote = empty_log(1 << 12), empty_remote(1024)
        while session.counters[Counter.NOW] < until:
            status, piece = instant.begin(session.work, until, part.slab_bits, session.piece_bits)
            if status == NOT_LISTED:
                status = instant.list_now(session.work, part.drive, until, part.slab_bits, session.piece_bits)
                if status == OK:
                    continue
            if status != OK:
                session.mend(status)
                continue
            piece = Piece(*piece)
            now = piece.a if session.counters[Counter.BLOCK] == 1 else piece.b
            while now < piece.b:
                self.length = self.length or max(1, (piece.b - piece.a) >> 4)
                limit = min(piece.b, now + self.length, self._read(piece, now))
                self._settle(piece, now, limit)
                now = limit
            status = instant.end(session.work, piece, part.slab_bits)
            if status != OK:
                session.mend(status)
        return session.spikes()

    def _read(self, piece: Piece, now: int) -> int:
        """Read what is watched at an offset; return the offset at which something is next."""
        session, watch = self.session, self.session.scratch.watch
        row = read_until(session.part.model, watch, int(session.counters[Counter.WATCHED]), piece.start, now)
        session.counters[Counter.WATCHED] = row
        return int(watch.tick[row]) - piece.start if row < watch.tick.size else piece.b

    def _settle(self, piece: Piece, now: int, limit: int) -> None:
        """Settle the window [now, limit)."""
        session, counters = self.session, self.session.counters
        recurrent = int(counters[Counter.RECURRENT])
        n, done = rounds.begin_window(session.work, piece, now, limit, self.box), 0
        while counters[Counter.FULL]:
            self._widen(piece, now)
            n = rounds.begin_window(session.work, piece, now, limit, self.box)
        while True:
            flag = FAILED if counters[Counter.FAILED] else int(counters[Counter.CHANGED])
            told, most = self.meet(self.box[:n], CHANGED if counters[Counter.CHANGED] else flag)
            done += 1
            self.told += n
            if most != CHANGED:
                break
            n = self._respond(piece, now, limit, told, n)
        if most == FAILED:
            self._fail(int(counters[Counter.FAILED]))
        rounds.end_window(session.work, recurrent)
        self.windows, self.rounds = self.windows + 1, self.rounds + done
        if done > MANY:
            self.length = max(1, self.length >> 1)
        elif done <= FEW and limit - now == self.length:
            self.length += (self.length >> 3) + 1

    def _fail(self, status: int) -> None:
        """Raise on all ranks what the rank with a status other than OK has to say."""
        error = None
        try:
            if status != OK:
                self.session.mend(status)
        except SimulationError as raised:
            error = raised
        self.agree(error)

    def _widen(self, piece: Piece, now: int) -> None:
        """Make room to enter when neurons act, and enter them anew; all stand at ``now``."""
        self.session.widen()
        again(self.session.work, piece, now - 1)

    def _respond(self, piece: Piece, now: int, limit: int, told: np.ndarray, n: int) -> int:
        """Take in what the others tell; return the number of spikes to tell, which are in ``box``."""
        session = self.session
        if len(told) > session.remote.time.size:
            room = empty_remote(2 * len(told))
            for old, new in zip(session.remote, room, strict=True):
                new[: old.size] = old
            session.remote = room
        while True:
            if len(self.box) < session.emitted.time.size:
                self.box = np.concatenate([self.box, np.zeros((session.emitted.time.size, WORDS), np.int64)])
            status, m = rounds.respond(session.work, piece, now, limit, told, len(told), self.box, n)
            if status == OK:
                return m
            if status == LOG_FULL:
                session.log = empty_log(2 * session.log.tick.size + session.part.synapses.longest)
            elif status == QUEUE_FULL:
                self._widen(piece, now)
            else:
                session.mend(status)
