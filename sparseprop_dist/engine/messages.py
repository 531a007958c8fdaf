"""What ranks tell each other in a round: changes of the spikes that they make in the window at hand.

Owns `Told` and the form of a message (`meeting.HEAD`): rows taken back, each filled by the last one, then spikes added at the end. All
ranks send the same number of words; who needs more says how many, all see it, and all send again. What they need as a rule is learnt.
"""

import numpy as np

from ..errors import NOT_SENT, OK, ROUND_FULL, WIRE_FULL
from ..jit import allgather, inner, merged
from ..meeting import CHANGED, FAILED, HEAD, NONE, ORDERED, QUIET, WORDS
from ..state import NO_TRIGGER, Counter

LOW = (1 << 32) - 1
GAPS = (701, 301, 132, 57, 23, 10, 4, 1)
PLAIN = 2
"""Words of a spike without trigger."""
LEAST = 32
"""Words of a message, at least: as quick as one word."""


@merged
def _key(box, m):
    return box[m, 0], box[m, 3], box[m, 2], np.int32(box[m, 1] & LOW), box[m, 1] >> 32


@merged
def _write(box, m, time, gids, trigger_time, generation):
    box[m, 0], box[m, 1], box[m, 2], box[m, 3] = time, gids, trigger_time, generation


@inner
def sort(box, n):
    """Bring spikes into the order in which `tick` delivers them: time, generation, trigger time, trigger gid, gid."""
    for gap in GAPS:
        for m in range(gap, n):
            key, q = _key(box, m), m
            time, gids, trigger_time, generation = box[m, 0], box[m, 1], box[m, 2], box[m, 3]
            while q >= gap and _key(box, q - gap) > key:
                _write(box, q, box[q - gap, 0], box[q - gap, 1], box[q - gap, 2], box[q - gap, 3])
                q -= gap
            _write(box, q, time, gids, trigger_time, generation)


@merged
def _flag(counters):
    """Return the flag that goes with the own spikes, and the wish. A run that failed counts once nobody tells anything new, since that may
    avert it."""
    wish = counters[Counter.WISHED] | (ORDERED if counters[Counter.APART] == NONE else 0)
    if counters[Counter.CHANGED]:
        return CHANGED | wish
    return (FAILED if counters[Counter.FAILED] != OK else QUIET) | wish


@merged
def begin(w, wire, most):
    """Begin a message that adds at most so many spikes and takes back at most as many; return a status."""
    needed, rank = HEAD + most * (WORDS + 1), wire.rank
    if needed > wire.own.size:
        w.counters[Counter.NEEDED] = needed
        return WIRE_FULL
    n = 0 if w.counters[Counter.FORGET] else w.told.n[rank]
    if n + most > w.told.number.shape[1]:
        w.counters[Counter.NEEDED] = n + most
        return ROUND_FULL
    w.told.n[rank] = n
    wire.own[2], wire.own[3] = -1 if w.counters[Counter.FORGET] else 0, 0
    w.counters[Counter.OUT] = HEAD
    return OK


@merged
def take_back(w, wire, row):
    """Add to the message that the spike of a row is not made; return the number of that which takes its place, -1 if none does."""
    told, rank = w.told, wire.rank
    wire.own[w.counters[Counter.OUT]] = row
    wire.own[2] += 1
    w.counters[Counter.OUT] += 1
    return _close_gap(told, rank, row)


@merged
def _close_gap(told, rank, row):
    """Put the last spike of a rank into a row; return its number, -1 if it was the one in that row."""
    last = told.n[rank] - 1
    told.n[rank] = last
    if row == last:
        return np.int64(-1)
    for word in range(WORDS):
        told.spike[rank, row, word] = told.spike[rank, last, word]
    told.number[rank, row] = told.number[rank, last]
    return told.number[rank, row]


@merged
def add(w, wire, time, gids, trigger_time, generation, number):
    """Add a spike to the message, which is told as four words as yet; return its row."""
    told, rank, at = w.told, wire.rank, w.counters[Counter.OUT]
    row = told.n[rank]
    wire.own[at], wire.own[at + 1], wire.own[at + 2], wire.own[at + 3] = time, gids, trigger_time, generation
    _write(told.spike[rank], row, time, gids, trigger_time, generation)
    told.number[rank, row] = number
    told.n[rank] = row + 1
    wire.own[3] += 1
    w.counters[Counter.OUT] = at + WORDS
    return row


@merged
def end(w, wire):
    """End a message: leave out what no spike needs."""
    own, added = wire.own, wire.own[3]
    first = HEAD + max(0, own[2])
    words = PLAIN
    for m in range(added):
        at = first + m * WORDS
        if own[at + 2] != NO_TRIGGER or own[at + 3] != 0 or own[at + 1] & LOW != LOW:
            words = WORDS
    if words == PLAIN:
        for m in range(added):
            own[first + m * PLAIN], own[first + m * PLAIN + 1] = own[first + m * WORDS], own[first + m * WORDS + 1]
    c = w.counters
    own[0], own[1], own[4] = first + added * words, _flag(c), words
    c[Counter.OUT], c[Counter.FORGET] = own[0], 0
    learnt = c[Counter.FIRST_WORDS] if c[Counter.ROUNDS] == c[Counter.ROUNDS_BEFORE] else c[Counter.LATER_WORDS]
    c[Counter.SIZE_SENT] = max(LEAST, learnt)


@inner
def exchange(w, wire):
    """Send the message to all ranks from compiled code; return a status."""
    size = w.counters[Counter.SIZE_SENT]
    own, received = wire.own[:size], wire.all[: size * w.told.n.size]
    return OK if allgather(wire.address, own, received, wire.datatype, wire.comm) == 0 else NOT_SENT


@merged
def _learn(c, most):
    """Learn how long messages are, from the longest of a round."""
    if c[Counter.ROUNDS] == c[Counter.ROUNDS_BEFORE]:
        c[Counter.FIRST_WORDS] = max(most + (most >> 3), c[Counter.FIRST_WORDS] - (c[Counter.FIRST_WORDS] >> 4))
    else:
        c[Counter.LATER_WORDS] = max(most + (most >> 2), c[Counter.LATER_WORDS] - (c[Counter.LATER_WORDS] >> 4))


@merged
def fits(w, wire):
    """Was there room for the messages of all ranks? If not, the size that all need is noted: send again."""
    c, ranks = w.counters, w.told.n.size
    size, most = c[Counter.SIZE_SENT], np.int64(0)
    for rank in range(ranks):
        most = max(most, wire.all[rank * size])
    if most <= size:
        _learn(c, most)
        return True
    c[Counter.SIZE_SENT] = most
    return False


@merged
def hear(w, wire):
    """Take note of what the other ranks say; return a status, after ROUND_FULL with nothing noted."""
    c, told, size = w.counters, w.told, w.counters[Counter.SIZE_SENT]
    most, flag = np.int64(0), np.int64(QUIET)
    for rank in range(told.n.size):
        message = wire.all[rank * size :]
        most, flag = max(most, told.n[rank] + message[3]), max(flag, message[1])
    if most > told.number.shape[1]:
        c[Counter.NEEDED] = most
        return ROUND_FULL
    c[Counter.MOST], c[Counter.GONE] = flag, 0
    for rank in range(told.n.size):
        if rank != wire.rank:
            _hear_one(w, wire.all[rank * size :], rank)
    return OK


@merged
def _hear_one(w, message, rank):
    """Take note of what one rank says."""
    c, told, at = w.counters, w.told, HEAD
    for row in range(told.n[rank] if message[2] < 0 else 0):
        told.gone[c[Counter.GONE]] = told.number[rank, row]
        c[Counter.GONE] += 1
    if message[2] < 0:
        told.n[rank] = 0
    for k in range(message[2]):
        row = message[at + k]
        told.gone[c[Counter.GONE]] = told.number[rank, row]
        c[Counter.GONE] += 1
        _close_gap(told, rank, row)
    at += max(0, message[2])
    for m in range(message[3]):
        row, words = told.n[rank], message[at + m * message[4] :]
        plain = message[4] == PLAIN
        told.spike[rank, row, 0], told.spike[rank, row, 1] = words[0], words[1]
        told.spike[rank, row, 2], told.spike[rank, row, 3] = NO_TRIGGER if plain else words[2], 0 if plain else words[3]
        told.number[rank, row] = -1
        told.n[rank] = row + 1


@merged
def others(w, rank):
    """Write the spikes of the other ranks into the box, in order; return their number."""
    told, n = w.told, np.int64(0)
    for r in range(told.n.size):
        for row in range(told.n[r] if r != rank else 0):
            for word in range(WORDS):
                told.box[n, word] = told.spike[r, row, word]
            n += 1
    sort(told.box, n)
    return n
