"""The ordered schedule: one event at a time, in time order. The reference that the fast schedules must agree with, bit for bit.

For any model of the protocol and any delays. The clock is cut into *pieces*, at most a slab and at most the smallest positive delay, so
that what arrives with a delay in a piece is known when it begins. For each piece:

1. list every arrival, of Poisson inputs and of spikes, by time; arrivals at one neuron and time by the order of events;
2. put every neuron that does something by itself in the piece (release, crossing by the flow) on a heap, by time;
3. tick by tick: own events, then the listed arrivals, then generation by generation what spikes deliver without delay; whatever changed is
   asked for its next own event.

Then the spikes of the piece take off together. A piece is a transaction: if a buffer is full, the state is put back. Invariant between
pieces: all neurons stand at NOW, all spikes before NOW are in flight.
"""

import numpy as np

from ..errors import CASCADE, OK, STATE_OVERFLOW
from ..gaps import next_target
from ..jit import bits_float, inner, njit
from ..models.protocol import FIRED, NEVER, OVERFLOW, act, own_event, receive, restore, save
from ..queue import LOCAL_BITS, pop, push
from ..state import NO_ROWS, NO_TRIGGER, Counter
from . import piece
from .arrivals import row_of, weight_of
from .emission import emit, fire, sort_spikes
from .listing import LOCAL_MASK, list_arrivals
from .procedural import words_of
from .watch import read_until, rows_of

WHOLE = True
"""The schedule saves the state of all neurons at once."""


@inner
def gid_of(blocks, i):
    """Return the gid of a local neuron."""
    block = np.searchsorted(blocks.first, i, side="right") - 1
    return blocks.gid[block] + i - blocks.first[block]


@inner
def _push_own(model, i, start, after, a, b, scratch, n):
    """Note when neuron ``i`` acts by itself next, and put it on the heap if that is in the piece; what the heap said before is void."""
    offset = own_event(model, i, start, after)
    scratch.own[i, 0] = offset
    if offset >= b:
        return n
    if n == scratch.heap.size:
        n = np.int64(0)
        for other in range(scratch.own.shape[0]):
            if scratch.own[other, 0] < b:
                n = push(scratch.heap, n, (scratch.own[other, 0] - a) << LOCAL_BITS | other)
        return n
    return push(scratch.heap, n, (offset - a) << LOCAL_BITS | i)


@inner
def _own_events(model, blocks, now, start, a, b, scratch, emitted, counters, n_heap):
    """Do what neurons do by themselves at an offset; return a status and the new size of the heap."""
    heap = scratch.heap
    while n_heap > 0 and a + (heap[0] >> LOCAL_BITS) == now:
        i = heap[0] & LOCAL_MASK
        n_heap = pop(heap, n_heap)
        if scratch.own[i, 0] != now:
            continue
        if act(model, i, start, now) == FIRED:
            scratch.fired[i] = start + now
            status = emit(emitted, counters, start + now, gid_of(blocks, i), np.int64(NO_TRIGGER), np.int32(-1))
            if status != OK:
                return status, n_heap
        n_heap = _push_own(model, i, start, now + 1, a, b, scratch, n_heap)
    return OK, n_heap


@inner
def _listed(model, blocks, m, now, start, a, b, scratch, flight, train, emitted, counters, n_heap):
    """Deliver the listed arrival ``m``; return a status and the new size of the heap."""
    i, reference = scratch.loud[0, m] & LOCAL_MASK, scratch.loud[2, m]
    code = receive(model, i, start, now, bits_float(scratch.loud[1, m]))
    status = OK
    if code == OVERFLOW:
        counters[Counter.CULPRIT] = i
        status = STATE_OVERFLOW
    if code == FIRED:
        scratch.fired[i] = start + now
        status = fire(emitted, counters, flight, train, start + now, gid_of(blocks, i), reference)
    return status, _push_own(model, i, start, now + 1, a, b, scratch, n_heap)


@inner
def _instantly(model, blocks, synapses, p, block, row, now, start, a, b, scratch, emitted, counters, gid, n_heap):
    """Deliver the spike of ``gid`` to a block, without delay; return a status and the new size of the heap."""
    begin, stop = words_of(synapses, blocks, p, block, row)
    target = np.uint64(0)
    for q in range(begin, stop):
        target = next_target(synapses.targets, q, target)
        i = blocks.first[block] + np.int64(target)
        code = receive(model, i, start, now, weight_of(synapses, p, block, q))
        counters[Counter.RECURRENT] += 1
        if code == OVERFLOW or (code == FIRED and scratch.fired[i] == start + now):
            counters[Counter.CULPRIT] = i
            return STATE_OVERFLOW if code == OVERFLOW else CASCADE, n_heap
        if code == FIRED:
            scratch.fired[i] = start + now
            status = emit(emitted, counters, start + now, gid_of(blocks, i), start + now, np.int32(gid))
            if status != OK:
                return status, n_heap
        n_heap = _push_own(model, i, start, now + 1, a, b, scratch, n_heap)
    return OK, n_heap


@inner
def _generations(model, blocks, synapses, now, start, a, b, scratch, emitted, counters, begin, n_heap):
    """Deliver without delay the spikes of this tick, from number ``begin`` on, and those that they make; return a status and the new size
    of the heap."""
    while begin < counters[Counter.EMITTED]:
        stop = counters[Counter.EMITTED]
        sort_spikes(emitted, begin, stop)
        for s in range(begin, stop):
            gid = np.int64(emitted.gid[s])
            for p in range(synapses.kind.size):
                row = row_of(synapses, p, gid) if synapses.instant[p] else -1
                for block in range(blocks.gid.size if row >= 0 else 0):
                    if synapses.index[p, block] != NO_ROWS:
                        status, n_heap = _instantly(
                            model, blocks, synapses, p, block, row, now, start, a, b, scratch, emitted, counters, gid, n_heap
                        )
                        if status != OK:
                            return status, n_heap
        begin = stop
    return OK, n_heap


@inner
def _run(model, blocks, synapses, n_arrivals, start, a, b, scratch, flight, train, emitted, counters):
    """The loop: tick by tick own events, arrivals, generations."""
    n_heap, m = np.int64(0), np.int64(0)
    scratch.own[:, 0] = NEVER
    for i in range(blocks.first[-1]):
        n_heap = _push_own(model, i, start, a, a, b, scratch, n_heap)
    w, w_stop = rows_of(scratch.watch, start, a, b)
    while n_heap > 0 or m < n_arrivals:
        own = a + (scratch.heap[0] >> LOCAL_BITS) if n_heap > 0 else NEVER
        now = min(own, a + (scratch.loud[0, m] >> LOCAL_BITS) if m < n_arrivals else NEVER)
        w = read_until(model, scratch.watch, w, start, now)
        begin = counters[Counter.EMITTED]
        status, n_heap = _own_events(model, blocks, now, start, a, b, scratch, emitted, counters, n_heap)
        while status == OK and m < n_arrivals and a + (scratch.loud[0, m] >> LOCAL_BITS) == now:
            status, n_heap = _listed(model, blocks, m, now, start, a, b, scratch, flight, train, emitted, counters, n_heap)
            m += 1
        if status == OK:
            status, n_heap = _generations(model, blocks, synapses, now, start, a, b, scratch, emitted, counters, begin, n_heap)
        if status != OK:
            return status
    if w < w_stop:
        read_until(model, scratch.watch, w, start, b - 1)
    return OK


@inner
def _piece(model, blocks, synapses, drive, flight, train, emitted, scratch, counters, start, a, b, slab_bits):
    """Take all neurons through the piece [a, b) of the slab that starts at tick ``start``, or leave them as they are."""
    n_neurons = blocks.first[-1]
    external, recurrent = counters[Counter.EXTERNAL], counters[Counter.RECURRENT]
    status, n = list_arrivals(blocks, synapses, drive, flight, train, scratch, counters, start, a, b, slab_bits)
    if status != OK:
        return status
    for block in range(blocks.gid.size):
        first = blocks.first[block]
        save(model, first, blocks.first[block + 1] - first, scratch.saved[:, first:])
    status = _run(model, blocks, synapses, n, start, a, b, scratch, flight, train, emitted, counters)
    if status != OK:
        for i in range(n_neurons):
            restore(model, i, scratch.saved, i)
        scratch.fired[:] = -1
        counters[Counter.EMITTED] = counters[Counter.PIECE]
        counters[Counter.EXTERNAL], counters[Counter.RECURRENT] = external, recurrent
        return status
    return piece.settle_all(model, blocks, start, b, slab_bits, counters)


@njit
def advance(model, blocks, synapses, drive, flight, train, emitted, scratch, counters, until, slab_bits, piece_bits):
    """Advance all neurons of this rank to tick ``until``; return OK, or the status that tells what stopped it and can be mended.

    ``emitted`` receives the spikes, in emission order. All spikes of other ranks that arrive before ``until`` must be in ``flight``, and
    all of spike sources in ``train``.
    """
    while counters[Counter.NOW] < until:
        start, a, b = piece.begin(counters, until, slab_bits, piece_bits)
        if counters[Counter.BLOCK] == 0:
            status = _piece(model, blocks, synapses, drive, flight, train, emitted, scratch, counters, start, a, b, slab_bits)
            if status != OK:
                return status
            counters[Counter.BLOCK] = 1
        status = piece.end(emitted, flight, counters, start + b)
        if status != OK:
            return status
    return OK
