"""Which neurons act by themselves next, for the schedules that ask only those: sweep, buckets, heap.

Owns the keys ``(offset - a) << LOCAL_BITS | local index`` on the heap, and ``scratch.own``: the tick at which a neuron was last
said to act. Invariant: where that tick lies ahead, there is an entry for it; an entry of another tick is void.
"""

import numpy as np

from ..jit import inline, njit, prefetch
from ..models.protocol import candidates, is_resting, own_event
from ..queue import BUCKETS, LOCAL_BITS, clear, pop, push, put, take
from ..state import NO_TRIGGER, Counter
from .arrivals import row_of

LOCAL_MASK = (1 << LOCAL_BITS) - 1
LOW = (1 << 32) - 1
LINE = 16
"""Words in a line of the cache."""
MOST_LINES = 10
"""Lines of a row that are fetched ahead; what follows them the processor finds by itself."""


@njit
def gid_of(blocks, i):
    """Return the gid of a local neuron."""
    block = np.int64(0)
    while blocks.first[block + 1] <= i:
        block += 1
    return blocks.gid[block] + i - blocks.first[block]


@njit
def shift_of(a, b):
    """Return log2 of the ticks in a bucket of the piece [a, b)."""
    shift = 0
    while (b - a - 1) >> shift >= BUCKETS:
        shift += 1
    return shift


@inline
def schedule(w, piece, i, now):
    """Enter when neuron ``i`` acts by itself after ``now``, unless it is found in time already."""
    offset = own_event(w.model, i, piece.start, now + 1)
    own = w.scratch.own[i]
    if offset >= piece.b or piece.start + now < own <= piece.start + offset:
        return
    w.scratch.own[i] = piece.start + offset
    bucket = (offset - piece.a) >> piece.shift
    if bucket > w.counters[Counter.BUCKET]:
        if not put(w.scratch.node, w.scratch.head, bucket, i):
            w.counters[Counter.FULL] = 1
        return
    n = w.counters[Counter.HEAP]
    if n == w.scratch.heap.size:
        w.counters[Counter.FULL] = 1
        return
    w.counters[Counter.HEAP] = push(w.scratch.heap, n, (offset - piece.a) << LOCAL_BITS | i)


@njit
def sweep(w, piece, now):
    """Fill the buckets anew with all neurons that may act by themselves in [now, b)."""
    clear(w.scratch.head)
    w.counters[Counter.HEAP], w.counters[Counter.FULL], w.counters[Counter.BUCKET] = 0, 0, -1
    for block in range(w.blocks.gid.size):
        first = w.blocks.first[block]
        n_neurons = w.blocks.first[block + 1] - first
        n = candidates(w.model, first, n_neurons, w.blocks.alike[block], piece.start, now, piece.b, w.scratch.found)
        for k in range(n):
            schedule(w, piece, first + np.int64(w.scratch.found[k]), now - 1)


@inline
def again(w, piece, now):
    """The lists are full, mostly of entries that are void: fill them anew from the states, for what comes after ``now``."""
    w.scratch.own[:] = -1
    sweep(w, piece, now + 1)


@inline
def next_own(w, piece):
    """Return the offset of the first entry of the heap and the buckets opened so far; beyond the bucket at hand if it is empty."""
    if w.counters[Counter.HEAP] > 0:
        return piece.a + (w.scratch.heap[0] >> LOCAL_BITS)
    return piece.a + ((w.counters[Counter.BUCKET] + 1) << piece.shift)


@inline
def take_own(w, piece, now):
    """Take the first entry off the heap; return its neuron, or -1 if it is void."""
    i = w.scratch.heap[0] & LOCAL_MASK
    w.counters[Counter.HEAP] = pop(w.scratch.heap, w.counters[Counter.HEAP])
    return i if w.scratch.own[i] == piece.start + now else np.int64(-1)


@inline
def _fetch_pointers(blocks, synapses, i):
    for p in range(synapses.kind.size):
        row = row_of(synapses, p, gid_of(blocks, i)) if synapses.instant[p] else -1
        for block in range(blocks.gid.size if row >= 0 else 0):
            if synapses.index[p, block] >= 0:
                prefetch(synapses.row_ptr, synapses.index[p, block] + row)


@inline
def _fetch_rows(blocks, synapses, i):
    for p in range(synapses.kind.size):
        row = row_of(synapses, p, gid_of(blocks, i)) if synapses.instant[p] else -1
        for block in range(blocks.gid.size if row >= 0 else 0):
            if synapses.index[p, block] >= 0:
                begin = synapses.row_ptr[synapses.index[p, block] + row]
                stop = min(synapses.row_ptr[synapses.index[p, block] + row + 1], begin + MOST_LINES * LINE)
                for q in range(synapses.base[p, block] + begin, synapses.base[p, block] + stop, LINE):
                    prefetch(synapses.words32, q)


@inline
def open_bucket(w, piece):
    """Go on to the next bucket: put its entries on the heap, and fetch what they and the entries after them will read."""
    w.counters[Counter.BUCKET] += 1
    bucket, scratch, n = w.counters[Counter.BUCKET], w.scratch, w.counters[Counter.HEAP]
    if bucket + 1 < BUCKETS:
        k = scratch.head[bucket + 1]
        while k >= 0:
            _fetch_pointers(w.blocks, w.synapses, np.int64(scratch.node[0, k]))
            k = scratch.node[1, k]
    while True:
        i = np.int64(take(scratch.node, scratch.head, bucket))
        if i < 0:
            break
        offset = scratch.own[i] - piece.start - piece.a
        if offset >> piece.shift == bucket:
            if n == scratch.heap.size:
                w.counters[Counter.FULL] = 1
                break
            n = push(scratch.heap, n, offset << LOCAL_BITS | i)
            _fetch_rows(w.blocks, w.synapses, i)
    w.counters[Counter.HEAP] = n
    if w.counters[Counter.FULL]:
        again(w, piece, piece.a + (bucket << piece.shift) - 1)


@inline
def open_until(w, piece, offset):
    """Open buckets until no entry before ``offset``, or as early as the first on the heap, lies in another."""
    while w.counters[Counter.BUCKET] < BUCKETS - 1:
        end = piece.a + ((w.counters[Counter.BUCKET] + 1) << piece.shift)
        if end > offset or (w.counters[Counter.HEAP] > 0 and next_own(w, piece) < end):
            break
        open_bucket(w, piece)


@inline
def foreseen(w, piece, limit, box):
    """Write the spikes that neurons will make by themselves before the offset ``limit`` if nothing else happens, as `rounds` tells them;
    return their number, some perhaps twice. As far as there is room."""
    while w.counters[Counter.BUCKET] < BUCKETS - 1 and piece.a + ((w.counters[Counter.BUCKET] + 1) << piece.shift) < limit:
        open_bucket(w, piece)
    n = 0
    for k in range(w.counters[Counter.HEAP]):
        offset, i = piece.a + (w.scratch.heap[k] >> LOCAL_BITS), w.scratch.heap[k] & LOCAL_MASK
        if offset < limit and n < box.shape[0] and w.scratch.own[i] == piece.start + offset and not is_resting(w.model, i):
            box[n, 0], box[n, 1], box[n, 3] = piece.start + offset, NO_TRIGGER, 0
            box[n, 2] = gid_of(w.blocks, i) << 32 | LOW
            n += 1
    return n
