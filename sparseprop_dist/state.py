"""The dictionary of arrays: every record that kernels share, with shape, unit and meaning of each field.

Owns what engine, build, checkpoint and gradients agree on. Counts: B blocks, P pathways, S spikes in flight. A *pathway* is one projection
seen from one rank; a *block* is a run of at most 2^block_bits neurons of one population on one rank: few enough that their sums of input
fit the cache, or all (event-driven schedules); a *row* is what one source sends to one block by one pathway.
"""

from enum import IntEnum, unique
from typing import Any, NamedTuple

import numpy as np

from .by_address import by_address
from .meeting import Log, Remote, Slots, Told

NO_TRIGGER = -(1 << 62)
"""Trigger time of a spike that no spike triggered: before all times, also of those that lie before the origin."""
TARGET_BITS = 22
"""Low bits of the key of an arrival, ``offset << TARGET_BITS | target``, that hold the target inside its block."""

CONSTANT, DELAYED_32, DELAYED_64, WIDE, GAPS = 0, 1, 2, 3, 4
"""Kinds of rows: uint16 targets with one delay; words ``delay << block_bits | target`` of 32 or 64 bits, sorted; uint32 targets with one
delay, which may be 0; uint16 gaps between targets, without delay (`gaps`)."""


NO_ROWS, DRAWN = -1, -2
"""What ``Synapses.index`` says of a pathway that has no rows in a block, and of one whose rows are made when their source fires."""
KEPT, OUTDEGREE, BERNOULLI, ALL, ONE, MATCHED = 0, 1, 2, 3, 4, 5
"""Rules of `Drawn`; `KEPT`: the rows are stored."""


@by_address
class Blocks(NamedTuple):
    """The neurons of this rank, in blocks."""

    first: np.ndarray  # int64 (B + 1,), local index of the first neuron
    gid: np.ndarray  # int64 (B,), gid of the first neuron; the others follow
    alike: np.ndarray  # uint8 (B,), 2: all neurons have the same parameters, 1: the same frame
    bounds: np.ndarray  # int64 (CELLS + 1, columns), lower bound of the threshold in the frame at the ends of the cells
    bounds_first: np.ndarray  # int64 (B + 1,), columns of each block: one if all its neurons agree, else one a neuron
    increment: np.ndarray  # float64 (B,), bound on the increment of 1 mV, quanta
    block_bits: int


@by_address
class Drawn(NamedTuple):
    """Rows that are made when their source fires: what decides them, and room for one."""

    rule: np.ndarray  # uint8 (P,)
    n_targets: np.ndarray  # int64 (P,), size of the target pool
    degree: np.ndarray  # int64 (P,), synapses of a source (OUTDEGREE) or of a target (MATCHED; 0: they differ)
    distinct: np.ndarray  # uint8 (P,), 1: no target twice
    scale: np.ndarray  # float64 (P,), of BERNOULLI, see `drawing.gap_scale`
    bits: np.ndarray  # int64 (P,), log2 of a group of targets, likewise; of MATCHED: `matching.match_side`
    place: np.ndarray  # int64 (P,), number of the projection
    share_ptr: np.ndarray  # int64 (P + 1,), stretches of each pathway's target pool on this rank
    share: np.ndarray  # int64 (3, stretches): first position, stop, local index of the first
    source_ptr: np.ndarray  # int64 (P + 1,), parts of the array that follows
    source_ends: np.ndarray  # int64, of MATCHED: where the ends of each source begin, see `matching`
    target_ptr: np.ndarray  # int64 (P + 1,)
    target_ends: np.ndarray  # int64, likewise of targets, where they have different numbers
    match_key: np.ndarray  # uint64 (P, ROUNDS)
    own_ptr: np.ndarray  # int64 (P + 1,), stretches of rows whose source may not project to itself
    own: np.ndarray  # int64 (3, stretches): first row, stop, position of the first in the target pool
    valued: np.ndarray  # uint8 (P,), 1: weights or delays are drawn
    weight_law: np.ndarray  # float64 (P, LAW_SIZE), see `laws`
    weight_key: np.ndarray  # uint64 (P, KEY_SIZE)
    delay_law: np.ndarray  # float64 (P, LAW_SIZE)
    delay_key: np.ndarray  # uint64 (P, KEY_SIZE)
    seed: int
    local: np.ndarray  # uint32, the row at hand: local indices
    number: np.ndarray  # int64, and numbers of its synapses, where valued or matched
    weight: np.ndarray  # float64, mV, likewise
    delay: np.ndarray  # int64, ticks, likewise
    at: np.ndarray  # int64 (3,), its pathway (-1: none), number and length
    taken: np.ndarray  # uint64, for `drawing`
    products: np.ndarray  # uint64, likewise
    gaps: np.ndarray  # int32, likewise


@by_address
class Synapses(NamedTuple):
    """The synapses onto the neurons of this rank."""

    kind: np.ndarray  # uint8 (P,)
    weighted: np.ndarray  # uint8 (P,), 1: one weight a synapse
    train: np.ndarray  # uint8 (P,), 1: the sources are spike sources
    instant: np.ndarray  # uint8 (P,), 1: between neurons, without delay
    weight: np.ndarray  # float64 (P,), mV, where not weighted
    largest: np.ndarray  # float64 (P,), mV, the largest absolute weight
    delay: np.ndarray  # int64 (P,), ticks, the smallest
    reach: np.ndarray  # int64 (P,), ticks, the largest delay
    unit: np.ndarray  # int64 (P,), log2 of the ticks that one unit of a stored delay stands for
    range_ptr: np.ndarray  # int64 (P + 1,), the gids of a pathway's sources are ranges
    range_first: np.ndarray  # int64 (ranges,)
    range_stop: np.ndarray  # int64 (ranges,)
    range_row: np.ndarray  # int64 (ranges,), row of the first
    index: np.ndarray  # type: ignore[assignment]  # (a tuple has a method of that name) int64 (P, B), where the row pointers of a pathway in a block start, NO_ROWS or DRAWN
    base: np.ndarray  # int64 (P, B), where its words start
    weight_base: np.ndarray  # int64 (P, B), where its weights start
    cursor: np.ndarray  # int64 (P, B), row of its cursors in `Flight`, or -1
    row_ptr: np.ndarray  # int32, positions of rows relative to base
    words16: np.ndarray  # uint16
    words32: np.ndarray  # uint32
    words64: np.ndarray  # uint64
    targets: np.ndarray  # uint32 or uint16, words of the rows without delay: `words32`, or gaps, see `gaps`
    weights: np.ndarray  # float64, mV
    tract: np.ndarray  # int64 (T, Tract.SIZE), rows without delay, as `Tract` has them, by stretch of gids, pathway and block
    tract_ptr: np.ndarray  # int64 (stretches + 1,), tracts of each stretch
    tract_stop: np.ndarray  # int64 (stretches,), one past the last gid of each; the last has no end
    longest: int  # words of the longest row without delay
    drawn: Drawn
    safe: int  # so many spikes without delay overflow no state, from the limit of `models.protocol.beyond` on


class Tract(IntEnum):
    """Names of the columns of ``Synapses.tract``: the rows that a stretch of sources has in a block, through a pathway without delay."""

    PLACE = 0  # to be added to a gid for the place of its row pointer, or NOT_STORED
    BASE = 1  # where the words of the pathway in the block start
    WEIGHT_BASE = 2  # and its weights; -1: all have one
    ROW = 3  # to be added to a gid for its row
    PATHWAY = 4
    BLOCK = 5
    SIZE = 6


NOT_STORED = -(1 << 62)
"""Place of a tract whose rows are made when a source fires."""
CHUNK = 512
"""Arrivals that are turned into increments at a time: they stay in the first-level cache."""


@by_address
class Flight(NamedTuple):
    """Spikes on their way, in order of their time: those of neurons, or those of spike sources (a train)."""

    time: np.ndarray  # int64 (S,), tick of emission
    gid: np.ndarray  # int32 (S,)
    trigger_time: np.ndarray  # int64 (S,), tick, or NO_TRIGGER
    trigger_gid: np.ndarray  # int32 (S,), -1: none
    cursors: np.ndarray  # int32 (rows with delays, S), first word of the row not yet delivered, or -1: not known (a cache, never saved)


@by_address
class Drive(NamedTuple):
    """Poisson inputs of this rank: one entry for each input, group of neurons and block. E entries."""

    entry_ptr: np.ndarray  # int64 (B + 1,), entries of each block
    input: np.ndarray  # int64 (E,), which input of the description
    group: np.ndarray  # int64 (E,), which group of its targets
    bits: np.ndarray  # int64 (E,), log2 of the members drawn from
    shift: np.ndarray  # int64 (E,), target in the block = member - shift
    low: np.ndarray  # int64 (E,), first target in the block that belongs to the group
    stop: np.ndarray  # int64 (E,), one past the last
    whole: np.ndarray  # uint8 (E,), 1: the block holds the group, up to its power of two
    weight: np.ndarray  # float64 (E,), mV
    largest: np.ndarray  # float64 (E,), mV, the largest absolute weight
    weight_first: np.ndarray  # int64 (E,), where the weights of the targets start, or -1: all have `weight`
    weights: np.ndarray  # float64, mV
    piece_ptr: np.ndarray  # int64 (E + 1,), pieces of constant rate
    piece_slab: np.ndarray  # int64 (pieces,), slab in which a piece starts
    piece_offset: np.ndarray  # int64 (pieces,), offset in it
    peak: np.ndarray  # float64 (pieces,), largest rate of a member in the group, Hz
    rate_first: np.ndarray  # int64 (pieces,), where the rates of the block's targets start, or -1: all have `peak`
    rates: np.ndarray  # float64, Hz
    seed: int


@by_address
class Emitted(NamedTuple):
    """Buffer for the spikes of a window."""

    time: np.ndarray  # int64, tick
    gid: np.ndarray  # int32
    trigger_time: np.ndarray  # int64, tick, or NO_TRIGGER
    trigger_gid: np.ndarray  # int32, -1: none
    generation: np.ndarray  # int32, see `Remote`; where a schedule needs it


@by_address
class Watch(NamedTuple):
    """What schedules read on their way through a window. W rows, each of a group of neurons at a tick."""

    tick: np.ndarray  # int64 (W,), ascending
    group: np.ndarray  # int64 (W,)
    first: np.ndarray  # int64 (W,), where the values of a row start
    ptr: np.ndarray  # int64 (groups + 1,), neurons of each group
    number: np.ndarray  # int64 (groups,), the quantity that is read, as `models.protocol.observe` has it
    neuron: np.ndarray  # int64, local indices, ascending in a group
    value: np.ndarray  # float64, what was read


@by_address
class Scratch(NamedTuple):
    """Memory that a schedule works in; holds nothing between windows."""

    active_ptr: np.ndarray  # int64 (P + 1,), spikes that each pathway delivers in a piece
    active_row: np.ndarray  # int32 (A,)
    active_offset: np.ndarray  # int64 (A,), offset of the arrival (constant delay) or of the emission
    active_spike: np.ndarray  # int64 (A,), reference to the spike: index << 1 | is it of a train
    slice_first: np.ndarray  # int64 (A,), words of the block at hand that arrive in the piece
    slice_stop: np.ndarray  # int64 (A,)
    slice_key: np.ndarray  # int64 (A,), where the keys of those words start
    keys: np.ndarray  # int64, arrivals of Poisson inputs, then of pathways with delays
    key_ptr: np.ndarray  # int64 (P, 2), where the keys of each pathway start and end
    batch: np.ndarray  # int64 (entries of a block + 1,), where the keys of each entry start
    chunk: np.ndarray  # int64 (5, CHUNK): places, increments, weights (their bits) and keys of arrivals
    cells: np.ndarray  # int64 (CELLS, S, columns), S the most that `models.protocol.sums` is: sums of increments
    cells_flat: np.ndarray  # int64, the same memory
    flags: np.ndarray  # uint8 (CELLS + 1, columns), the last row stays zero
    flags_flat: np.ndarray  # uint8, the same memory
    saved: np.ndarray  # int64 (STATES, columns, or neurons), state at the start of the piece
    heap: np.ndarray  # int64, keys of `queue`, where a schedule needs it
    own: np.ndarray  # int64 (neurons, 2), tick at which each acts by itself next, and its `mark` then, where a schedule needs it
    fired: np.ndarray  # int64 (neurons,), tick of the last spike, where a schedule needs it
    found: np.ndarray  # int32 (2 * neurons,): candidates, likewise
    entry: np.ndarray  # int64 (4, E), see `engine.entries`, likewise
    touched: np.ndarray  # int64 (2 * longest): targets of a spike that now may act earlier or have fired, likewise
    node: np.ndarray  # int32 (nodes, 2): neuron and next node of the lists of `queue`, likewise
    head: np.ndarray  # int32 (BUCKETS + 2,): first node of each bucket, of the free ones, and the number of the first unused, likewise
    loud: np.ndarray  # int64 (3, L): key, weight (its bits) and reference of arrivals that are replayed
    sorted: np.ndarray  # int64 (3, L): the same, by neuron and time
    member: np.ndarray  # int64 (3, columns): per neuron start and end in `sorted`, and the list of neurons
    watch: Watch


@by_address
class Work(NamedTuple):
    """All that a schedule which does one event at a time works on."""

    model: Any  # record of the neurons
    blocks: Blocks
    synapses: Synapses
    flight: Flight
    train: Flight
    emitted: Emitted
    remote: Remote
    log: Log
    slots: Slots
    told: Told
    scratch: Scratch
    counters: np.ndarray  # int64 (Counter.SIZE,)


class Piece(NamedTuple):
    """A stretch of the clock, [a, b) of the slab that starts at tick ``start``."""

    start: int
    a: int
    b: int
    shift: int  # log2 of the ticks in a bucket


@unique
class Counter(IntEnum):
    """Names of the entries of the array of counters, int64, that kernels advance."""

    NOW = 0  # tick up to which everything is done
    BLOCK = 1  # blocks done in the piece that starts at NOW
    FLIGHT = 2  # spikes in flight
    EMITTED = 3  # spikes in the buffer
    PIECE = 4  # spikes in the buffer when the piece began
    NEEDED = 5  # capacity that a full buffer would have needed
    CULPRIT = 6  # local index of the neuron that a status is about
    SLAB = 7  # absolute number of the slab at tick 0
    RECURRENT = 8  # arrivals delivered, of spikes
    EXTERNAL = 9  # arrivals delivered, of Poisson inputs
    LOUD = 10  # arrivals replayed one by one
    KEEP = 11  # 1: spikes may arrive later, and fly
    BUCKET = 12  # of the piece at hand, the bucket at hand
    HEAP = 13  # keys on the heap
    ARRIVAL = 14  # arrivals of the piece done
    ARRIVALS = 15  # and in all
    FULL = 16  # 1: an entry of the queue was lost, since there was no room
    REMOTES = 17  # spikes of other ranks, in the window
    DONE = 18  # offset up to which the window was run
    FAILED = 19  # status with which its run ended, with CULPRIT
    ENTRIES = 20  # neurons that the last sweep found
    SHIFT = 21  # log2 of the ticks in a bucket of the piece
    SHORTER = 22  # pieces are 2^SHORTER times shorter than they may be
    TICK = 23  # offset at which it ended
    CHANGED = 24  # 1: the last round changed what is told
    WINDOW = 25  # spikes in the buffer when the window began, of a piece that ranks do together
    LOG = 26  # entries of the log
    REMOTE = 27  # spikes of other ranks done, in the window
    WATCHED = 28  # rows read, of what is watched
    VOLUME = 29  # spikes delivered since states were last checked for overflow
    LISTED = 30  # 1: the arrivals of the next piece are listed
    UNLISTED = 31  # 1: nothing that arrives is ever known ahead, and no piece needs a list
    PHASE = 32  # of the window that ranks settle
    SETTLED = 33  # offset up to which the piece is settled
    LIMIT = 34  # offset at which the window ends
    LENGTH = 35  # ticks, of the next window; 0: not known yet
    OUT = 36  # words of the own message
    SIZE_SENT = 37  # words of a message, in the round at hand
    MOST = 38  # the largest flag of the round
    BEFORE = 39  # RECURRENT when the window began
    WINDOWS = 40  # settled
    ROUNDS = 41  # that they took
    ROUNDS_BEFORE = 42  # ROUNDS when the window began
    TELLS = 43  # words told in them
    WISHED = 44  # what SHORTER should be, as this rank has it
    AGREED = 45  # and as all ranks have it
    AHEAD = 46  # entry of the bucket after the one at hand whose rows are fetched next, or -1
    INORDER = 47  # 1: windows must be run in order; 0: they may be settled neuron by neuron, as long as that works
    APART = 48  # how the window at hand is settled: `NONE`, `BEGUN` (neurons are set apart), `ANEW` (they are to be)
    SLOTS = 49  # neurons set apart
    KNOWN = 50  # spikes of theirs and of other ranks that are or were known
    ARRIVED = 51  # arrivals at them
    PENDING = 52  # entries of the list of that name
    AGAIN = 53  # likewise
    NEWS = 54  # likewise
    GONE = 55  # likewise
    FORGET = 56  # 1: what was told of the window does not hold, and all is told anew
    FIRST_WORDS = 57  # room that first messages of a window need, as lately seen
    LATER_WORDS = 58  # and later ones
    INHIBITS = 59  # 1: synapses without delay surely inhibit
    QUIET = 60  # 1: the piece at hand is done by `entries`
    ENTRY = 61  # its entries done
    LAST_ENTRY = 62  # and in all
    SIZE = 63  # entries in all
