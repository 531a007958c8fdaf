"""The dictionary of arrays, continued: the records of a window that ranks settle together, and what the words of their messages mean.

See `state`, and ``docs/design/together.md``.
"""

from typing import NamedTuple

import numpy as np

from .by_address import by_address

WORDS = 4
"""Of a spike that ranks tell each other in a round: time, gid and trigger gid, trigger time, generation. Where no told spike has a trigger,
the last two are left out."""
HEAD = 5
"""Words before the spikes in a message: words in all, flag, number of rows taken back (-1: all), number of spikes added, words of each."""
QUIET, FAILED, CHANGED = 0, 1 << 8, 2 << 8
"""Flags: what a rank tells is what it told before; and its run failed; or it is not. The largest counts."""
WISH = (1 << 8) - 1
"""Below the flag: how much shorter than they may be a rank wants pieces to be (SHORTER). Of a window that is settled, the largest wish."""
ORDERED = 1 << 7
"""Bit of the wish: the rank runs the window in order."""
BETWEEN, OPEN, TO_TELL, TOLD, MET, HEARD = 0, 1, 2, 3, 4, 5
"""Phases of a window that ranks settle: its piece is to begin; it is to begin; own spikes are to be told; the message is written; those of
all ranks are there; they are taken note of."""
BEGIN, TELL, RESPOND, END = 0, 1, 2, 3
"""Steps of a window: begin it, and find what there is to tell; write a message; find what changes by what was heard; end it."""
NONE, BEGUN, ANEW = 0, 1, 2
"""Values of ``Counter.APART``."""


@by_address
class Remote(NamedTuple):
    """Spikes that neurons of other ranks are taken to make in a window, in order of time, generation, trigger and gid; ``Counter.REMOTES``
    of them."""

    time: np.ndarray  # int64 (R,), tick
    gid: np.ndarray  # int32 (R,)
    trigger_time: np.ndarray  # int64 (R,), tick, or NO_TRIGGER
    trigger_gid: np.ndarray  # int32 (R,)
    generation: np.ndarray  # int32 (R,), how many arrivals without delay led to it at its tick


@by_address
class Wire(NamedTuple):
    """How ranks tell each other spikes in a round, all to all."""

    address: int  # of MPI_Allgather; 0: the caller of the kernel tells
    datatype: int  # handle of int64
    comm: int  # handle of the communicator
    rank: int
    own: np.ndarray  # int64 (room,), own message
    all: np.ndarray  # int64 (ranks * room,), the messages of all ranks, as many words of each as were sent


def plain_wire(room: int, rank: int = 0, ranks: int = 1) -> Wire:
    """Return a wire for messages of so many words that compiled code cannot, or should not, send."""
    return Wire(0, 0, 0, rank, np.zeros(room, np.int64), np.zeros(ranks * room, np.int64))


@by_address
class Told(NamedTuple):
    """What each of R ranks tells of the window at hand, the own one too, as far as it was heard: room for T spikes of each."""

    n: np.ndarray  # int64 (R,), spikes of each
    spike: np.ndarray  # int64 (R, T, WORDS)
    number: np.ndarray  # int64 (R, T), number of the spike in `Slots`, or -1
    gone: np.ndarray  # int64, numbers of spikes taken back in the round
    box: np.ndarray  # int64 (spikes, WORDS), spikes of the other ranks, or of this one, in order


@by_address
class Log(NamedTuple):
    """What was changed in a window, to take it back: states of neurons before they changed, and rows that can be taken back as a whole."""

    tick: np.ndarray  # int64 (L,), of the change; empty: nothing is logged
    neuron: np.ndarray  # int64 (L,), local index, or ~block for a row
    state: np.ndarray  # int64 (STATES, L), what `save` wrote; of a row: first and last word, bits of the weight


@by_address
class Slots(NamedTuple):
    """A window that is settled neuron by neuron (`engine.slots`): S neurons set apart, M spikes that they or other ranks make, E arrivals
    at them. Lists are linked by numbers, -1 at their ends."""

    neuron: np.ndarray  # int64 (S,), local index
    before: np.ndarray  # int64 (STATES, S), its state when the window began
    after: np.ndarray  # int64 (STATES, S), and when it ends
    arrival: np.ndarray  # int64 (S,), its last arrival
    made: np.ndarray  # int64 (S,), its first spike
    stale: np.ndarray  # uint8 (S,), 1: what it does is to be found anew
    again: np.ndarray  # int64 (S,), the slots of which that is so
    time: np.ndarray  # int64 (M,), tick
    trigger_time: np.ndarray  # int64 (M,)
    gids: np.ndarray  # int64 (M,), gid << 32 | trigger gid
    generation: np.ndarray  # int64 (M,)
    alive: np.ndarray  # uint8 (M,), 1: made, as far as is known
    delivered: np.ndarray  # uint8 (M,), 1: its rows have been delivered
    after_it: np.ndarray  # int64 (M,), next spike of its neuron
    pending: np.ndarray  # int64 (2 M,), spikes whose rows are to be delivered or taken back
    row: np.ndarray  # int64 (M,), where it stands in `Told`, -1: not told
    news: np.ndarray  # int64 (2 M,), own spikes that were made or dropped since the last round
    spike: np.ndarray  # int64 (E,), which spike arrives, or -1 - its place in the list of what is known to arrive in the piece
    weight: np.ndarray  # float64 (E,), mV
    before_it: np.ndarray  # int64 (E,), the arrival at the same neuron that was met before
    order: np.ndarray  # int64 (E,), arrivals of a neuron, in order
