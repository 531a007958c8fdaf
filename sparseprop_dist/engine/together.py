"""Synapses without delay over several ranks: windows that are settled by rounds.

Without a delay there is no time in which ranks cannot surprise each other. Sparsity gives one: in a short window few spikes meet a neuron
that is itself about to fire. So for each window

1. every rank tells the spikes that its neurons will make if nothing else happens;
2. it finds what its neurons do, given what the others told: neuron by neuron where that can be done (`apart`), else by running the window
   and, where the others say something else, taking back what it did from there on (`rerun`); and tells what that changes;
3. when no rank says anything new, the window is settled.

Why it is right: let S be the spikes told, Phi(S) what neurons do given S. What Phi(S) holds up to some event depends on S before that
event alone, so each round settles at least the next event, and S = Phi(S) has one solution, the sequence of the ordered schedule. No spike
depends on the window; its length follows the number of rounds. See ``docs/design/together.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import LOG_FULL, MEET, NOT_LISTED, NOT_SENT, OK, QUEUE_FULL, ROUND_FULL, RUN_FAILED, SLOTS_FULL, WIRE_FULL, SimulationError
from ..meeting import Remote, Told, Wire, plain_wire
from ..state import Counter, Piece, Watch
from . import instant, rounds
from .agenda import again
from .session import Session, empty_log, empty_remote, empty_slots, empty_told

Meet = Callable[[np.ndarray, np.ndarray], None]
"""Sends an array of words to all ranks, and puts those of all into another. Collective."""
ROOM = 1024
"""Spikes of a rank in a window, to begin with."""


@dataclass
class Together:
    """A session whose windows are settled with other ranks."""

    session: Session
    meet: Meet
    agree: Callable[[Exception | None], None]  # raises an error that any rank has, on all
    lay: Callable[[int], Wire] = plain_wire  # makes a wire for messages of so many words
    room: int = ROOM

    def __post_init__(self) -> None:
        session, self.wire = self.session, self.lay(self.room)
        ranks = self.wire.all.size // self.wire.own.size
        session.log, session.remote = empty_log(4 * self.room), empty_remote(self.room)
        session.slots, session.told = empty_slots(self.room), empty_told(ranks, self.room)

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
        while True:
            status, piece = rounds.advance(session.work, self.wire, until, part.slab_bits, session.piece_bits)
            if status == OK:
                return session.spikes()
            self._go_on(status, Piece(*piece), until)

    def _go_on(self, status: int, piece: Piece, until: int) -> None:
        """Do what a status of `rounds.advance` asks for."""
        session, counters = self.session, self.session.counters
        needed = int(counters[Counter.NEEDED])
        if status == NOT_LISTED:
            part, piece_bits = session.part, max(0, session.piece_bits - int(counters[Counter.SHORTER]))
            status = instant.list_now(session.work, part.drive, until, part.slab_bits, piece_bits)
            if status == OK:
                return
        if status == MEET:
            size = int(counters[Counter.SIZE_SENT])
            self.meet(self.wire.own[:size], self.wire.all[: size * session.told.n.size])
            rounds.met(session.work, self.wire)
        elif status == WIRE_FULL:
            own, self.wire = self.wire.own, self.lay(2 * needed)
            self.wire.own[: own.size] = own
        elif status == ROUND_FULL:
            session.told = _longer_told(session.told, 2 * needed)
            session.remote = _longer(session.remote, empty_remote(len(session.told.box)))
        elif status == LOG_FULL:
            session.log = empty_log(2 * session.log.tick.size + session.part.synapses.longest)
        elif status == SLOTS_FULL:
            session.slots = empty_slots(2 * session.slots.time.size)
        elif status == QUEUE_FULL:  # all stand where the window began
            session.widen()
            counters[Counter.QUIET] = 0
            again(session.work, piece, counters[Counter.SETTLED] - 1)
        elif status == RUN_FAILED:
            self._fail(int(counters[Counter.FAILED]))
        elif status == NOT_SENT:
            raise RuntimeError("MPI_Allgather failed")
        else:
            session.mend(status)

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


def _longer_told(old: Told, capacity: int) -> Told:
    """Return room for so many spikes of each rank, with what was told."""
    ranks, before = old.number.shape
    new = empty_told(ranks, max(capacity, before))
    new.n[:], new.gone[: old.gone.size] = old.n, old.gone
    new.spike[:, :before], new.number[:, :before] = old.spike, old.number
    return new
