"""Which neurons act by themselves next, for the schedules that ask only those: sweep, buckets, heap.

Owns the keys ``(offset - a) << LOCAL_BITS | local index`` on the heap, and ``scratch.own``: the tick at which a neuron was last
said to act. Invariant: where that tick lies ahead, there is an entry for it; an entry of another tick is void.
"""

import numpy as np

from ..jit import inner, merged, prefetch
from ..models.protocol import UNKNOWN, candidates, fetch, is_resting, mark, own_event
from ..queue import BUCKETS, LOCAL_BITS, UNUSED, clear, pop, push, put, take
from ..state import NO_TRIGGER, Counter
from .tracts import fetch_pointers, fetch_rows

LOCAL_MASK = (1 << LOCAL_BITS) - 1
LOW = (1 << 32) - 1
IN_BUCKET = 2
"""Entries that a bucket should have, so that opening them and going through the heap cost the same: what the last sweep found decides."""
FAR = 4
"""Buckets ahead of the one at hand whose rows are fetched; twice as far, what tells where these are."""
SOON = 8
"""Neurons ahead of the one at hand whose entry is fetched."""
MOST_FETCHED = 8192
"""Entries that are fetched at once, 8 a line: a core has room for tens of lines on their way, and 512 kB beside."""


@merged
def gid_of(blocks, i):
    """Return the gid of a local neuron."""
    block = np.int64(0)
    while blocks.first[block + 1] <= i:
        block += 1
    return blocks.gid[block] + i - blocks.first[block]


@inner
def local_of(blocks, gid):
    """Return the local index of a neuron of this rank."""
    block = np.int64(0)
    while not blocks.gid[block] <= gid < blocks.gid[block] + blocks.first[block + 1] - blocks.first[block]:
        block += 1
    return blocks.first[block] + gid - blocks.gid[block]


@inner
def shift_of(a, b, entries):
    """Return log2 of the ticks in a bucket of the piece [a, b), for about so many entries."""
    shift, most = 0, max(4, min(BUCKETS, entries // IN_BUCKET))
    while (b - a - 1) >> shift >= most:
        shift += 1
    return shift


@merged
def schedule(w, piece, i, now):
    """Enter when neuron ``i`` acts by itself after ``now``, unless it is found in time already."""
    offset = own_event(w.model, i, piece.start, now + 1)
    own = w.scratch.own[i, 0]
    if offset >= piece.b or piece.start + now < own <= piece.start + offset:
        return
    w.scratch.own[i, 0], w.scratch.own[i, 1] = piece.start + offset, mark(w.model, i)
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


@inner
def sweep(w, piece, now):
    """Fill the buckets anew with all neurons that may act by themselves in [now, b)."""
    clear(w.scratch.head)
    w.counters[Counter.AHEAD] = -1
    w.counters[Counter.HEAP], w.counters[Counter.FULL], w.counters[Counter.BUCKET] = 0, 0, -1
    w.counters[Counter.ENTRIES] = 0
    for block in range(w.blocks.gid.size):
        first = w.blocks.first[block]
        n_neurons = w.blocks.first[block + 1] - first
        n = candidates(w.model, first, n_neurons, w.blocks.alike[block], piece.start, now, piece.b, w.scratch.found)
        w.counters[Counter.ENTRIES] += n
        for k in range(n):
            soon = first + np.int64(w.scratch.found[min(k + SOON, n - 1)])
            prefetch(w.scratch.own, 2 * soon)
            fetch(w.model, soon)
            i = first + np.int64(w.scratch.found[k])
            w.counters[Counter.ENTRIES] -= is_resting(w.model, i)  # it will be released, and is not found in vain
            schedule(w, piece, i, now - 1)


@merged
def again(w, piece, now):
    """The lists are full, mostly of entries that are void: fill them anew from the states, for what comes after ``now``."""
    w.scratch.own[:, 0] = -1
    sweep(w, piece, now + 1)


@merged
def next_own(w, piece):
    """Return the offset of the first entry of the heap and the buckets opened so far; beyond the bucket at hand if it is empty."""
    if w.counters[Counter.HEAP] > 0:
        return piece.a + (w.scratch.heap[0] >> LOCAL_BITS)
    return piece.a + ((w.counters[Counter.BUCKET] + 1) << piece.shift)


@merged
def take_own(w, piece, now):
    """Take the first entry off the heap; return its neuron, or -1 if it is void."""
    i = w.scratch.heap[0] & LOCAL_MASK
    w.counters[Counter.HEAP] = pop(w.scratch.heap, w.counters[Counter.HEAP])
    fetch_one(w)
    if w.scratch.own[i, 0] != piece.start + now:
        return np.int64(-1)
    w.scratch.own[i, 0] = -1
    return i


@merged
def fetch_one(w):
    """Fetch the rows of the next entry of the bucket that is FAR ahead: one for each that is taken, as memory can follow."""
    k = w.counters[Counter.AHEAD]
    if k >= 0:
        fetch_rows(w.synapses, gid_of(w.blocks, np.int64(w.scratch.node[k, 0])))
        w.counters[Counter.AHEAD] = w.scratch.node[k, 1]


@merged
def open_bucket(w, piece):
    """Go on to the next bucket: put its entries on the heap, and fetch what they and the entries after them will read."""
    w.counters[Counter.BUCKET] += 1
    bucket, scratch, n = w.counters[Counter.BUCKET], w.scratch, w.counters[Counter.HEAP]
    if bucket + 2 * FAR < BUCKETS:
        k = scratch.head[bucket + 2 * FAR]
        while k >= 0:
            i = np.int64(scratch.node[k, 0])
            fetch_pointers(w.synapses, gid_of(w.blocks, i))
            prefetch(scratch.own, 2 * i)
            prefetch(scratch.fired, i)
            fetch(w.model, i)
            k = scratch.node[k, 1]
        while w.counters[Counter.AHEAD] >= 0:
            fetch_one(w)
        w.counters[Counter.AHEAD] = scratch.head[bucket + FAR]
    while True:
        i = np.int64(take(scratch.node, scratch.head, bucket))
        if i < 0:
            break
        offset = scratch.own[i, 0] - piece.start - piece.a
        if offset >> piece.shift == bucket:
            if n == scratch.heap.size:
                w.counters[Counter.FULL] = 1
                break
            n = push(scratch.heap, n, offset << LOCAL_BITS | i)
    w.counters[Counter.HEAP] = n
    if w.counters[Counter.FULL] and w.log.tick.size == 0:
        again(w, piece, piece.a + (bucket << piece.shift) - 1)


@merged
def open_until(w, piece, offset):
    """Open buckets until no entry before ``offset``, or as early as the first on the heap, lies in another."""
    while w.counters[Counter.BUCKET] < BUCKETS - 1:
        end = piece.a + ((w.counters[Counter.BUCKET] + 1) << piece.shift)
        if end > offset or (w.counters[Counter.HEAP] > 0 and next_own(w, piece) < end):
            break
        open_bucket(w, piece)


@merged
def fetch_lists(w):
    """Fetch the lists of the buckets, unless they are long: they lie in the order of the neurons, and each entry says where the next is."""
    for k in range(0, min(w.scratch.head[UNUSED], MOST_FETCHED), 8):
        prefetch(w.scratch.node, 2 * np.int64(k))


@merged
def _take_entries(w, piece, limit, entries):
    """Take entries before ``limit`` off heap and buckets, in no order, as far as there is room, and fetch what they are of; return their
    number."""
    scratch, c, n = w.scratch, w.counters, 0
    while n < entries.size and c[Counter.HEAP] > 0 and next_own(w, piece) < limit:
        entries[n] = scratch.heap[0] & LOCAL_MASK
        c[Counter.HEAP] = pop(scratch.heap, c[Counter.HEAP])
        n += 1
    while n < entries.size and c[Counter.BUCKET] < BUCKETS - 1 and piece.a + ((c[Counter.BUCKET] + 1) << piece.shift) < limit:
        i = np.int64(take(scratch.node, scratch.head, c[Counter.BUCKET] + 1))
        if i < 0:
            c[Counter.BUCKET] += 1
            continue
        prefetch(scratch.own, 2 * i)
        fetch(w.model, i)
        entries[n] = i
        n += 1
    return n


@merged
def take_before(w, piece, now, limit, neurons):
    """Take neurons that may act in [now, limit) off the lists, in no order, and write them to ``neurons``; return how many entries that
    took, fewer than there is room if there are no more, and the number of neurons."""
    scratch, c = w.scratch, w.counters
    taken, n = _take_entries(w, piece, limit, neurons), 0
    for k in range(taken):
        i = neurons[k]
        offset = scratch.own[i, 0] - piece.start
        if offset < now:
            continue
        if offset < limit:
            scratch.own[i, 0] = -1
            neurons[n] = i
            n += 1
        elif (offset - piece.a) >> piece.shift <= c[Counter.BUCKET] + 1:  # the bucket at hand goes on after the limit
            if c[Counter.HEAP] == scratch.heap.size:
                c[Counter.FULL] = 1
            else:
                c[Counter.HEAP] = push(scratch.heap, c[Counter.HEAP], (offset - piece.a) << LOCAL_BITS | i)
    return taken, n


@merged
def foreseen(w, piece, now, limit, box):
    """Write the spikes that neurons will make by themselves in [now, limit) if nothing else happens into ``box``, as `Told.spike` has them;
    return their number, some perhaps twice. As far as there is room. Entries of neurons that were inhibited since are too early: these are
    asked anew."""
    while w.counters[Counter.BUCKET] < BUCKETS - 1 and piece.a + ((w.counters[Counter.BUCKET] + 1) << piece.shift) < limit:
        open_bucket(w, piece)
    n = 0
    for k in range(w.counters[Counter.HEAP]):
        offset, i = piece.a + (w.scratch.heap[k] >> LOCAL_BITS), w.scratch.heap[k] & LOCAL_MASK
        if offset >= limit or n == box.shape[0] or w.scratch.own[i, 0] != piece.start + offset or is_resting(w.model, i):
            continue
        seen = mark(w.model, i)
        if seen != w.scratch.own[i, 1] or seen == UNKNOWN:
            offset = own_event(w.model, i, piece.start, now)
        if offset < limit:
            box[n, 0], box[n, 1] = piece.start + offset, gid_of(w.blocks, i) << 32 | LOW
            box[n, 2], box[n, 3] = NO_TRIGGER, 0
            n += 1
    return n
