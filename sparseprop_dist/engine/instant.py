"""The instant schedule: one event at a time, in time order, at the cost of what happens; for synapses without delay and for models that do
not add.

As the ordered schedule, whose bits it gives, but it asks only those neurons that may act:

1. *sweep*: at the start of a piece one pass over all neurons finds those that may do something by themselves in it;
2. *buckets*: their times sort them into fine stretches of the piece; excitation that may let a neuron act earlier adds an entry;
3. *heap*: the entries of the bucket at hand, tens of them, by time. An entry whose time is no longer that of its neuron is put back.

What a spike delivers without delay is one pass over its row (`models.protocol.strike`); the rows of the next entries are fetched ahead. A
piece can be left between two ticks, when the buffer of spikes is full, and is gone on with later.
"""

import numpy as np

from ..errors import CASCADE, OK, SPIKES_FULL, STATE_OVERFLOW
from ..jit import bits_float, njit, prefetch
from ..models.protocol import FIRED, NEVER, OVERFLOW, act, beyond, candidates, own_event, receive, strike
from ..queue import BUCKETS, LOCAL_BITS, clear, pop, push, put, take
from ..state import NO_TRIGGER, Counter
from . import piece
from .arrivals import row_of
from .emission import emit, fire, sort_spikes
from .listing import LOCAL_MASK, list_arrivals

WHOLE = True
"""The schedule works on all neurons at once."""
BUCKET_BITS = 7
assert 1 << BUCKET_BITS == BUCKETS
LINE = 16
"""Words in a line of the cache."""
MOST_LINES = 10
"""Lines of a row that are fetched ahead; what follows them the processor finds by itself."""


@njit
def _gid_of(blocks, i):
    block = np.int64(0)
    while blocks.first[block + 1] <= i:
        block += 1
    return blocks.gid[block] + i - blocks.first[block]


@njit
def _schedule(model, i, start, now, a, b, scratch, counters):
    """Put neuron ``i`` where it is found when it acts by itself after ``now``, unless it is found in time already."""
    offset = own_event(model, i, start, now + 1)
    own = scratch.own[i]
    if offset >= b or start + now < own <= start + offset:
        return
    counters[Counter.FULL] |= _enter(i, offset, start, a, b, scratch, counters)


@njit
def _enter(i, offset, start, a, b, scratch, counters):
    """Enter that neuron ``i`` acts at an offset; return 1 if there is no room, else 0."""
    scratch.own[i] = start + offset
    shift = _shift(a, b)
    bucket = (offset - a) >> shift
    if bucket > counters[Counter.BUCKET]:
        return 0 if put(scratch.node, scratch.head, bucket, i) else 1
    n = counters[Counter.HEAP]
    if n == scratch.heap.size:
        return 1
    counters[Counter.HEAP] = push(scratch.heap, n, (offset - _begin(a, shift, counters)) << LOCAL_BITS | i)
    return 0


@njit
def _shift(a, b):
    """Return log2 of the ticks in a bucket of the piece [a, b)."""
    shift = 0
    while (b - a - 1) >> shift >= BUCKETS:
        shift += 1
    return shift


@njit
def _begin(a, shift, counters):
    """Return the offset at which the bucket at hand begins."""
    return a + (max(counters[Counter.BUCKET], 0) << shift)


@njit
def _sweep(model, blocks, start, now, a, b, scratch, counters):
    """Fill the buckets with all neurons that may act by themselves in [now, b)."""
    clear(scratch.head)
    counters[Counter.HEAP] = 0
    for block in range(blocks.gid.size):
        first = blocks.first[block]
        n = candidates(model, first, blocks.first[block + 1] - first, blocks.alike[block], start, now, b, scratch.found)
        for k in range(n):
            _schedule(model, first + np.int64(scratch.found[k]), start, now - 1, a, b, scratch, counters)


@njit
def _fetch_pointers(blocks, synapses, i):
    for p in range(synapses.kind.size):
        row = row_of(synapses, p, _gid_of(blocks, i)) if synapses.instant[p] else -1
        for block in range(blocks.gid.size if row >= 0 else 0):
            if synapses.index[p, block] >= 0:
                prefetch(synapses.row_ptr, synapses.index[p, block] + row)


@njit
def _fetch_rows(blocks, synapses, i):
    for p in range(synapses.kind.size):
        row = row_of(synapses, p, _gid_of(blocks, i)) if synapses.instant[p] else -1
        for block in range(blocks.gid.size if row >= 0 else 0):
            if synapses.index[p, block] >= 0:
                begin = synapses.row_ptr[synapses.index[p, block] + row]
                stop = min(synapses.row_ptr[synapses.index[p, block] + row + 1], begin + MOST_LINES * LINE)
                for q in range(synapses.base[p, block] + begin, synapses.base[p, block] + stop, LINE):
                    prefetch(synapses.words32, q)


@njit
def _open(blocks, synapses, start, a, b, scratch, counters):
    """Go on to the next bucket: put its entries on the heap, and fetch what they and the entries after them will read."""
    counters[Counter.BUCKET] += 1
    bucket, shift = counters[Counter.BUCKET], _shift(a, b)
    begin, n = _begin(a, shift, counters), np.int64(0)
    if bucket + 1 < BUCKETS:
        k = scratch.head[bucket + 1]
        while k >= 0:
            _fetch_pointers(blocks, synapses, np.int64(scratch.node[0, k]))
            k = scratch.node[1, k]
    while True:
        i = np.int64(take(scratch.node, scratch.head, bucket))
        if i < 0:
            break
        offset = scratch.own[i] - start - begin
        if 0 <= offset < 1 << shift:
            if n == scratch.heap.size:
                counters[Counter.FULL] = 1
                break
            n = push(scratch.heap, n, offset << LOCAL_BITS | i)
            _fetch_rows(blocks, synapses, i)
    counters[Counter.HEAP] = n


@njit
def _own_events(model, blocks, now, start, a, b, scratch, emitted, counters):
    """Do what neurons do by themselves at an offset."""
    heap, begin = scratch.heap, _begin(a, _shift(a, b), counters)
    while counters[Counter.HEAP] > 0 and begin + (heap[0] >> LOCAL_BITS) == now:
        i = heap[0] & LOCAL_MASK
        counters[Counter.HEAP] = pop(heap, counters[Counter.HEAP])
        if scratch.own[i] != start + now:
            continue
        if own_event(model, i, start, now) != now:  # inhibited since
            _schedule(model, i, start, now, a, b, scratch, counters)
            continue
        if act(model, i, start, now) == FIRED:
            scratch.fired[i] = start + now
            emit(emitted, counters, start + now, _gid_of(blocks, i), NO_TRIGGER, -1)
        _schedule(model, i, start, now, a, b, scratch, counters)


@njit
def _arrivals(model, blocks, now, start, a, b, scratch, flight, train, emitted, counters):
    """Deliver the listed arrivals of an offset; return a status."""
    while counters[Counter.ARRIVAL] < counters[Counter.ARRIVALS]:
        m = counters[Counter.ARRIVAL]
        if a + (scratch.loud[0, m] >> LOCAL_BITS) != now:
            break
        counters[Counter.ARRIVAL] += 1
        i = scratch.loud[0, m] & LOCAL_MASK
        code = receive(model, i, start, now, bits_float(scratch.loud[1, m]))
        if code == OVERFLOW:
            counters[Counter.CULPRIT] = i
            return STATE_OVERFLOW
        if code == FIRED:
            scratch.fired[i] = start + now
            fire(emitted, counters, flight, train, start + now, _gid_of(blocks, i), scratch.loud[2, m])
        _schedule(model, i, start, now, a, b, scratch, counters)
    return OK


@njit
def _deliver(model, blocks, synapses, p, block, row, now, start, a, b, scratch, emitted, counters, gid):
    """Deliver the spike of ``gid`` to a block, without delay; return a status."""
    first, base = blocks.first[block], synapses.base[p, block]
    place = synapses.index[p, block] + row
    begin, stop = base + np.int64(synapses.row_ptr[place]), base + np.int64(synapses.row_ptr[place + 1])
    weights = synapses.weights[:0]
    if synapses.weighted[p]:
        own = synapses.weight_base[p, block] - base
        weights = synapses.weights[own + begin : own + stop]
    alike, weight = blocks.alike[block], synapses.weight[p]
    n = strike(model, first, alike, synapses.words32, begin, stop, weight, weights, start, now, b, scratch.touched)
    counters[Counter.RECURRENT] += stop - begin
    for k in range(n):
        target = scratch.touched[k]
        i = first + max(target, ~target)
        if target < 0:
            if scratch.fired[i] == start + now:
                counters[Counter.CULPRIT] = i
                return CASCADE
            scratch.fired[i] = start + now
            emit(emitted, counters, start + now, _gid_of(blocks, i), start + now, gid)
        _schedule(model, i, start, now, a, b, scratch, counters)
    return OK


@njit
def _generations(model, blocks, synapses, now, start, a, b, scratch, emitted, counters, begin):
    """Deliver without delay the spikes of this tick, from number ``begin`` on, and those that they make; return a status."""
    while begin < counters[Counter.EMITTED]:
        stop = counters[Counter.EMITTED]
        if stop - begin > 1:
            sort_spikes(emitted, begin, stop)
        for s in range(begin, stop):
            gid = np.int64(emitted.gid[s])
            for p in range(synapses.kind.size):
                row = row_of(synapses, p, gid) if synapses.instant[p] else -1
                for block in range(blocks.gid.size if row >= 0 else 0):
                    if synapses.index[p, block] >= 0:
                        status = _deliver(model, blocks, synapses, p, block, row, now, start, a, b, scratch, emitted, counters, gid)
                        if status != OK:
                            return status
        counters[Counter.VOLUME] += stop - begin
        begin = stop
    return OK


@njit
def _checked(model, blocks, synapses, counters):
    """Check all states for overflow, after so many spikes that one could have come close to it; return a status."""
    if counters[Counter.VOLUME] < synapses.safe:
        return OK
    counters[Counter.VOLUME] = 0
    for block in range(blocks.gid.size):
        first = blocks.first[block]
        culprit = beyond(model, first, blocks.first[block + 1] - first)
        if culprit >= 0:
            counters[Counter.CULPRIT] = first + culprit
            return STATE_OVERFLOW
    return OK


@njit
def _run(model, blocks, synapses, start, a, b, scratch, flight, train, emitted, counters):
    """The loop: tick by tick own events, arrivals, generations, until the piece is done; return a status."""
    shift, n_neurons = _shift(a, b), blocks.first[-1]
    while True:
        over = counters[Counter.BUCKET] == BUCKETS - 1 and counters[Counter.ARRIVAL] == counters[Counter.ARRIVALS]
        if over and counters[Counter.HEAP] == 0:
            return OK
        own = _begin(a, shift, counters) + (scratch.heap[0] >> LOCAL_BITS) if counters[Counter.HEAP] > 0 else NEVER
        m = counters[Counter.ARRIVAL]
        now = min(own, a + (scratch.loud[0, m] >> LOCAL_BITS) if m < counters[Counter.ARRIVALS] else NEVER)
        if counters[Counter.BUCKET] < BUCKETS - 1 and (counters[Counter.BUCKET] < 0 or now >= _begin(a, shift, counters) + (1 << shift)):
            _open(blocks, synapses, start, a, b, scratch, counters)
            if counters[Counter.FULL]:
                _again(model, blocks, start, _begin(a, shift, counters) - 1, a, b, scratch, counters)
            continue
        begin = counters[Counter.EMITTED]
        room = n_neurons + counters[Counter.ARRIVALS] - m
        if emitted.time.size < begin + room:
            counters[Counter.NEEDED] = begin + room
            return SPIKES_FULL
        _own_events(model, blocks, now, start, a, b, scratch, emitted, counters)
        status = _arrivals(model, blocks, now, start, a, b, scratch, flight, train, emitted, counters)
        if status == OK:
            status = _generations(model, blocks, synapses, now, start, a, b, scratch, emitted, counters, begin)
        if status == OK:
            status = _checked(model, blocks, synapses, counters)
        if status != OK:
            return status
        if counters[Counter.FULL]:
            _again(model, blocks, start, now, a, b, scratch, counters)


@njit
def _again(model, blocks, start, now, a, b, scratch, counters):
    """The lists are full, mostly of entries that are void: fill them anew from the states."""
    scratch.own[:] = -1
    counters[Counter.BUCKET], counters[Counter.FULL] = -1, 0
    _sweep(model, blocks, start, now + 1, a, b, scratch, counters)


@njit
def advance(model, blocks, synapses, drive, flight, train, emitted, scratch, counters, until, slab_bits, piece_bits):
    """Advance all neurons of this rank to tick ``until``; see `ordered.advance`."""
    while counters[Counter.NOW] < until:
        start, a, b = piece.begin(counters, until, slab_bits, piece_bits)
        if counters[Counter.BLOCK] == 0:
            status, n = list_arrivals(blocks, synapses, drive, flight, train, scratch, counters, start, a, b, slab_bits)
            if status != OK:
                return status
            counters[Counter.ARRIVAL], counters[Counter.ARRIVALS], counters[Counter.BUCKET] = 0, n, -1
            _sweep(model, blocks, start, a, a, b, scratch, counters)
            counters[Counter.BLOCK] = 1
        if counters[Counter.BLOCK] == 1:
            status = _run(model, blocks, synapses, start, a, b, scratch, flight, train, emitted, counters)
            if status != OK:
                return status
            status = piece.settle_all(model, blocks, start, b, slab_bits, counters)
            if status != OK:
                return status
            counters[Counter.BLOCK] = 2
        status = piece.end(emitted, flight, counters, start + b)
        if status != OK:
            return status
    return OK
