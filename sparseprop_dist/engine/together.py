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

from ..errors import LOG_FULL, MEET, NOT_LISTED, NOT_SENT, OK, QUEUE_FULL, ROUND_FULL, RUN_FAILED, SLOTS_FULL, WIRE_FULL, SimulationError
from ..state import HEARD, OPEN, WORDS, Counter, Piece, Remote, Watch, Wire
from . import instant, rounds
from .agenda import again
from .session import Session, empty_log, empty_remote, empty_slots

Meet = Callable[[np.ndarray, int], tuple[np.ndarray, int]]
"""Tells the other ranks own spikes and a flag; returns their spikes, and the largest flag of all ranks."""


def no_wire() -> Wire:
    """Return the wire of ranks that cannot, or should not, tell each other anything from compiled code."""
    return Wire(0, 0, 0, 0, np.zeros(0, np.int64), np.zeros((0, 0), np.int64))


def _empty_box(room: int) -> np.ndarray:
    return np.zeros((room, WORDS), np.int64)


@dataclass
class Together:
    """A session whose windows are settled with other ranks."""

    session: Session
    meet: Meet
    agree: Callable[[Exception | None], None]  # raises an error that any rank has, on all
    lay: Callable[[int], Wire] = lambda room: no_wire()  # makes a wire with room for so many spikes of each rank
    box: np.ndarray = field(default_factory=lambda: _empty_box(1024))
    inbox: np.ndarray = field(default_factory=lambda: _empty_box(0))

    def __post_init__(self) -> None:
        self._lay(1)

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
        if session.slots.time.size == 0:
            session.slots = empty_slots(1024)
        while session.counters[Counter.NOW] < until:
            piece_bits = max(0, session.piece_bits - int(session.counters[Counter.SHORTER]))
            status, piece = instant.begin(session.work, until, part.slab_bits, piece_bits)
            if status == NOT_LISTED:
                status = instant.list_now(session.work, part.drive, until, part.slab_bits, piece_bits)
                if status == OK:
                    continue
            if status != OK:
                session.mend(status)
                continue
            piece = Piece(*piece)
            session.counters[Counter.SETTLED] = piece.a if session.counters[Counter.BLOCK] == 1 else piece.b
            session.counters[Counter.PHASE] = OPEN
            while (status := rounds.settle(session.work, piece, self.box, self.inbox, self.wire)) != OK:
                self._go_on(status, piece)
            status = instant.end(session.work, piece, part.slab_bits)
            if status != OK:
                session.mend(status)
                continue
            session.counters[Counter.SHORTER] = session.counters[Counter.AGREED]
        return session.spikes()

    def _go_on(self, status: int, piece: Piece) -> None:
        """Do what a status of `rounds.settle` asks for."""
        session, counters = self.session, self.session.counters
        if status == MEET:
            self._meet()
        elif status == WIRE_FULL:
            self._lay(2 * int(counters[Counter.NEEDED]))
        elif status == ROUND_FULL:
            session.remote = _longer(session.remote, empty_remote(2 * int(counters[Counter.IN])))
            most = max(session.emitted.time.size, session.slots.time.size)
            self.box = np.concatenate([self.box, _empty_box(max(0, most - len(self.box)))])
        elif status == LOG_FULL:
            session.log = empty_log(2 * session.log.tick.size + session.part.synapses.longest)
        elif status == SLOTS_FULL:
            session.slots = empty_slots(2 * session.slots.time.size)
        elif status == QUEUE_FULL:  # all stand where the window began
            session.widen()
            again(session.work, piece, counters[Counter.SETTLED] - 1)
        elif status == RUN_FAILED:
            self._fail(int(counters[Counter.FAILED]))
        elif status == NOT_SENT:
            raise RuntimeError("MPI_Allgather failed")
        else:
            session.mend(status)

    def _meet(self) -> None:
        counters = self.session.counters
        told, most = self.meet(self.box[: counters[Counter.OUT]], int(rounds.flag_of(counters)))
        if len(told) > len(self.inbox):
            self.inbox = _empty_box(2 * len(told))
        self.inbox[: len(told)] = told
        counters[Counter.IN], counters[Counter.MOST], counters[Counter.PHASE] = len(told), most, HEARD

    def _lay(self, room: int) -> None:
        self.wire = self.lay(room)
        self.inbox = _empty_box(self.wire.all.size // WORDS)

    def _fail(self, status: int) -> None:
        """Raise on all ranks what the rank with a status other than OK has to say."""
        error = None
        try:
            if status != OK:
                self.session.mend(status)
        except SimulationError as raised:
            error = raised
        self.agree(error)


def _longer(old: Remote, new: Remote) -> Remote:
    """Return the longer one of two lists, with what the first holds."""
    if old.time.size >= new.time.size:
        return old
    for one, other in zip(old, new, strict=True):
        other[: one.size] = one
    return new
