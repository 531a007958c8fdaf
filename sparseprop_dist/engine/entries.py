"""Who acts by itself next in a quiet piece: one in which nothing arrives from elsewhere, and what spikes deliver only inhibits.

There nobody becomes earlier. So what a sweep finds is brought into the order of its times once and gone through; who was inhibited since
comes later, and goes on a heap. A neuron has one entry at most: of a neuron nothing is read but its state, where the lists of `agenda`
need two lines of the cache more, and each entry is fetched by its place, not by way of the one before it. Owns ``scratch.entry``; uses the
heap. If a synapse excites after all, `leave` ends the quiet, and `agenda` takes over. See ``docs/design/instant.md``.
"""

import numpy as np

from ..jit import inner, merged, prefetch
from ..models.protocol import FIRED, NEVER, UNKNOWN, act, candidates, fetch, is_resting, mark, own_event
from ..queue import BUCKETS, LOCAL_BITS, clear, pop, push
from ..state import NO_TRIGGER, Counter
from .agenda import LOCAL_MASK, SOON, gid_of, local_of
from .emission import emit
from .tracts import fetch_pointers, fetch_rows

KEY, ORDER, NEURON, MARK = 0, 1, 2, 3
"""Rows of ``scratch.entry``: keys ``(offset - a) << LOCAL_BITS | place`` as they were found, and in their order; by place, the neuron and
its mark."""
ROOM = 1 << 16
"""Entries of a piece, at most; with more, it is not done quietly."""
LAST = (1 << 63) - 1
"""Behind all keys."""
ROWS_AHEAD, POINTERS_AHEAD = 8, 24
"""Entries ahead of the one at hand whose rows, and whose states and places of rows, are fetched."""


@merged
def is_quiet(w):
    """Is the piece at hand quiet, as far as one can know at its begin? One that ranks do together (there is a log) is, unless windows have
    to be run in order."""
    c = w.counters
    return c[Counter.INHIBITS] and c[Counter.ARRIVALS] == 0 and (w.log.tick.size == 0 or c[Counter.INORDER] == 0)


@merged
def key_of(span):
    """Return the key of an offset ``span`` after the begin of the piece; LAST for one that no key holds, as the end of a piece may be."""
    return span << LOCAL_BITS if span < 1 << (63 - LOCAL_BITS) else np.int64(LAST)


@inner
def _sort(key, order, count, span):
    """Bring keys of offsets below ``span`` into order: as many buckets as keys, then insertion. ``count`` has room for BUCKETS + 1."""
    shift, most = LOCAL_BITS, max(4, min(BUCKETS, 4 * key.size))
    while (span - 1) >> (shift - LOCAL_BITS) >= most:
        shift += 1
    count[: most + 1] = 0
    for k in range(key.size):
        count[(key[k] >> shift) + 1] += 1
    for k in range(1, most):
        count[k] += count[k - 1]
    for k in range(key.size):
        bucket = key[k] >> shift
        order[count[bucket]] = key[k]
        count[bucket] += 1
    for k in range(1, key.size):
        own, q = order[k], k
        while q > 0 and order[q - 1] > own:
            order[q] = order[q - 1]
            q -= 1
        order[q] = own


@inner
def fill(w, piece, now):
    """Find all neurons that may act by themselves in [now, b), in order; return False if there is no room for them."""
    c, entry, m = w.counters, w.scratch.entry, np.int64(0)
    c[Counter.ENTRIES] = 0
    for block in range(w.blocks.gid.size):
        first = w.blocks.first[block]
        n_neurons = w.blocks.first[block + 1] - first
        n = candidates(w.model, first, n_neurons, w.blocks.alike[block], piece.start, now, piece.b, w.scratch.found)
        c[Counter.ENTRIES] += n
        if m + n > entry.shape[1]:
            w.scratch.own[:, 0] = -1  # nobody is entered
            return False
        for k in range(n):
            fetch(w.model, first + np.int64(w.scratch.found[min(k + SOON, n - 1)]))
            i = first + np.int64(w.scratch.found[k])
            offset = own_event(w.model, i, piece.start, now)
            resting = is_resting(w.model, i)
            c[Counter.ENTRIES] -= resting  # it will be released, and is not found in vain
            if offset >= piece.b or (resting and w.scratch.own[i, 0] == piece.start + offset):
                continue  # the second: found by its release, and by its state too
            if resting:
                w.scratch.own[i, 0] = piece.start + offset
            entry[KEY, m], entry[NEURON, m], entry[MARK, m] = (offset - piece.a) << LOCAL_BITS | m, i, mark(w.model, i)
            m += 1
    _sort(entry[KEY, :m], entry[ORDER, :m], w.scratch.head, piece.b - piece.a)
    c[Counter.ENTRY], c[Counter.LAST_ENTRY], c[Counter.HEAP], c[Counter.FULL] = 0, m, 0, 0
    return True


@merged
def next_entry(w, piece):
    """Return the offset of the first entry; NEVER if there is none."""
    c, key = w.counters, np.int64(LAST)
    if c[Counter.ENTRY] < c[Counter.LAST_ENTRY]:
        key = w.scratch.entry[ORDER, c[Counter.ENTRY]]
    if c[Counter.HEAP] > 0:
        key = min(key, w.scratch.heap[0])
    return piece.a + (key >> LOCAL_BITS) if key < LAST else np.int64(NEVER)


@merged
def fetch_ahead(w, q):
    """Fetch what the entries behind number ``q`` will read."""
    last, entry = w.counters[Counter.LAST_ENTRY] - 1, w.scratch.entry
    i = entry[NEURON, entry[ORDER, min(q + POINTERS_AHEAD, last)] & LOCAL_MASK]
    fetch(w.model, i)
    fetch_pointers(w.synapses, gid_of(w.blocks, i))
    i = entry[NEURON, entry[ORDER, min(q + ROWS_AHEAD, last)] & LOCAL_MASK]
    fetch_rows(w.synapses, gid_of(w.blocks, i))


@merged
def _take(w):
    """Take the first entry; return its neuron, and its mark when it was entered (UNKNOWN: ask it)."""
    c, entry, heap = w.counters, w.scratch.entry, w.scratch.heap
    q = c[Counter.ENTRY]
    if q < c[Counter.LAST_ENTRY] and (c[Counter.HEAP] == 0 or entry[ORDER, q] <= heap[0]):
        c[Counter.ENTRY] = q + 1
        fetch_ahead(w, q)
        k = entry[ORDER, q] & LOCAL_MASK
        return entry[NEURON, k], entry[MARK, k]
    i = heap[0] & LOCAL_MASK
    c[Counter.HEAP] = pop(heap, c[Counter.HEAP])
    return i, np.int64(UNKNOWN)


@merged
def do_entries(w, piece, now):
    """Do what neurons do by themselves at an offset. There must be room for their spikes."""
    c = w.counters
    while next_entry(w, piece) == now:
        i, seen = _take(w)
        offset = now if seen != UNKNOWN and mark(w.model, i) == seen else own_event(w.model, i, piece.start, now)
        if offset == now:
            if act(w.model, i, piece.start, now) == FIRED:
                emit(w.emitted, c, piece.start + now, gid_of(w.blocks, i), np.int64(NO_TRIGGER), np.int32(-1))
            offset = own_event(w.model, i, piece.start, now + 1)
        if offset < piece.b:
            if c[Counter.HEAP] == w.scratch.heap.size:
                c[Counter.FULL], c[Counter.QUIET] = 1, 0
                return
            c[Counter.HEAP] = push(w.scratch.heap, c[Counter.HEAP], (offset - piece.a) << LOCAL_BITS | i)


@merged
def take_before(w, piece, now, limit, neurons, offsets):
    """Take entries before ``limit`` as far as there is room for their neurons; write when these act by themselves from ``now`` on, and
    return their number."""
    c, entry, heap, n = w.counters, w.scratch.entry, w.scratch.heap, np.int64(0)
    last, end = c[Counter.LAST_ENTRY], key_of(limit - piece.a)
    while n < neurons.size:
        q, seen = c[Counter.ENTRY], np.int64(UNKNOWN)
        key = entry[ORDER, q] if q < last else np.int64(LAST)
        other = heap[0] if c[Counter.HEAP] > 0 else np.int64(LAST)
        if min(key, other) >= end:
            break
        if key <= other:
            soon = entry[NEURON, entry[ORDER, min(q + POINTERS_AHEAD, last - 1)] & LOCAL_MASK]
            fetch(w.model, soon)
            prefetch(w.scratch.own, 2 * soon)  # where its slot will be written
            i, seen = entry[NEURON, key & LOCAL_MASK], entry[MARK, key & LOCAL_MASK]
            c[Counter.ENTRY] = q + 1
        else:
            i = other & LOCAL_MASK
            c[Counter.HEAP] = pop(heap, c[Counter.HEAP])
        known = seen != UNKNOWN and mark(w.model, i) == seen
        neurons[n], offsets[n] = i, piece.a + (key >> LOCAL_BITS) if known else own_event(w.model, i, piece.start, now)
        n += 1
    return n


@merged
def enter(w, piece, i, now):
    """Enter when a neuron that has no entry acts by itself from ``now`` on."""
    offset, n = own_event(w.model, i, piece.start, now), w.counters[Counter.HEAP]
    if offset >= piece.b:
        return
    if n == w.scratch.heap.size:
        w.counters[Counter.FULL] = 1
        return
    w.counters[Counter.HEAP] = push(w.scratch.heap, n, (offset - piece.a) << LOCAL_BITS | i)


@inner
def leave(w, piece, now):
    """End the quiet in the tick at an offset, since a synapse excites: tell who fired in it, and ask for lists filled anew after it."""
    c, m, tick = w.counters, w.counters[Counter.EMITTED], piece.start + now
    while m > 0 and w.emitted.time[m - 1] == tick:
        m -= 1
        w.scratch.fired[local_of(w.blocks, w.emitted.gid[m])] = tick
    clear(w.scratch.head)
    c[Counter.HEAP], c[Counter.BUCKET], c[Counter.QUIET], c[Counter.FULL], c[Counter.TICK] = 0, -1, 0, 1, now
