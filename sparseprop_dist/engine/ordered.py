"""The ordered schedule: one event at a time, in time order. The reference that the fast schedules must agree with, bit for bit.

For any model of the protocol whose delays are all positive. The clock is cut into *pieces*, at most a slab and at most the smallest delay,
so that all arrivals of a piece are known when it begins. For each piece:

1. list every arrival, of Poisson inputs and of spikes, and sort the list by time; arrivals at one neuron and time by the order of events;
2. put every neuron that does something by itself in the piece (release, crossing by the flow) on a heap, by time;
3. take the earlier of the two heads until both are beyond the piece, own events first; whatever changed is asked for its next own event.

Then the spikes of the piece take off together. A piece is a transaction: if a buffer is full, the state is put back. Invariant between
pieces: all neurons stand at NOW, all spikes before NOW are in flight.
"""

import numpy as np

from ..errors import EVENTS_FULL, OK, STATE_OVERFLOW
from ..jit import njit
from ..models.protocol import FIRED, NEVER, OVERFLOW, act, frame_of, own_event, receive, restore, save
from ..queue import LOCAL_BITS, pop, push
from ..state import TARGET_BITS, Counter
from . import piece
from .arrivals import TARGET_MASK, amount_of, collect, drive_amount, locate, offset_target, words_of
from .emission import fire, precedes
from .poisson import generate

WHOLE = True
"""The schedule saves the state of all neurons at once."""
LOCAL_MASK = (1 << LOCAL_BITS) - 1


@njit
def _append(scratch, n, key, amount, reference):
    scratch.loud[0, n], scratch.loud[1, n], scratch.loud[2, n] = key, amount, reference
    return n + 1


@njit
def _list_rows(model, blocks, synapses, flight, train, scratch, block, a, b, n):
    """List the arrivals of spikes at a block; return the new length, or -1 if there is no room."""
    first, block_bits, uniform = blocks.first[block], blocks.block_bits, blocks.uniform[block] != 0
    frame = frame_of(model, first)
    for p in range(synapses.kind.size):
        if synapses.index[p, block] < 0:
            continue
        count, _ = locate(synapses, p, block, block_bits, flight, train, a, b, scratch, 0)
        if count < 0 or n + count > scratch.loud.shape[1]:
            return np.int64(-1)
        for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
            for q in range(scratch.slice_first[k], scratch.slice_stop[k]):
                offset, target = offset_target(
                    words_of(synapses, p, q), synapses.kind[p], synapses.unit[p], block_bits, scratch.active_offset[k]
                )
                amount = amount_of(model, synapses, p, block, first, uniform, frame, q, offset, target)
                n = _append(scratch, n, offset << LOCAL_BITS | (first + target), amount, scratch.active_spike[k])
    return n


@njit
def _list_drive(model, blocks, drive, scratch, counters, block, slab, slab_bits, a, b, n):
    """List the Poisson events of a block; return a status and the new length."""
    first, uniform = blocks.first[block], blocks.uniform[block] != 0
    for e in range(drive.entry_ptr[block], drive.entry_ptr[block + 1]):
        status, count = generate(drive, e, slab, slab_bits, a, b, counters, scratch.keys, 0)
        if status != OK:
            return status, n
        if n + count > scratch.loud.shape[1]:
            counters[Counter.NEEDED] = n + count
            return EVENTS_FULL, n
        for m in range(count):
            offset, target = scratch.keys[m] >> TARGET_BITS, scratch.keys[m] & TARGET_MASK
            if target < drive.stop[e]:
                amount = drive_amount(model, drive, e, first, uniform, scratch.keys[m])
                n = _append(scratch, n, offset << LOCAL_BITS | (first + target), amount, -1 - e)
    return OK, n


@njit
def _list(model, blocks, synapses, drive, flight, train, scratch, counters, start, a, b, slab_bits):
    """List all arrivals of the piece in ``scratch.loud``; return a status and their number."""
    n = np.int64(0)
    slab = counters[Counter.SLAB] + (start >> slab_bits)
    for block in range(blocks.gid.size):
        before = n
        status, n = _list_drive(model, blocks, drive, scratch, counters, block, slab, slab_bits, a, b, n)
        if status != OK:
            return status, n
        counters[Counter.EXTERNAL] += n - before
        before = n
        n = _list_rows(model, blocks, synapses, flight, train, scratch, block, a, b, n)
        if n < 0:
            counters[Counter.NEEDED] = 2 * scratch.loud.shape[1]
            return EVENTS_FULL, n
        counters[Counter.RECURRENT] += n - before
    return OK, n


@njit
def _later(arrivals, listed, m, key, reference, place, flight, train):
    """Does the listed arrival ``m`` come after one of ``key``, ``reference`` and ``place`` in the list? Two synapses of one spike come as
    they were listed."""
    if arrivals[0, m] != key:
        return arrivals[0, m] > key
    if arrivals[2, m] == reference:
        return listed[m] > place
    return precedes(flight, train, reference, arrivals[2, m])


@njit
def _sort(arrivals, listed, n, flight, train):
    """Sort arrivals in place (Shell; the gaps of Tokuda), by time, neuron, and the order of events. ``listed`` is where each stood."""
    for m in range(n):
        listed[m] = m
    gap = 1.0
    while gap < n:
        gap = 2.25 * gap + 1.0
    while gap > 1.0:
        gap = (gap - 1.0) / 2.25
        step = np.int64(np.ceil(gap))
        for m in range(step, n):
            key, amount, reference, place = arrivals[0, m], arrivals[1, m], arrivals[2, m], listed[m]
            q = m
            while q >= step and _later(arrivals, listed, q - step, key, reference, place, flight, train):
                arrivals[0, q], arrivals[1, q], arrivals[2, q], listed[q] = (
                    arrivals[0, q - step],
                    arrivals[1, q - step],
                    arrivals[2, q - step],
                    listed[q - step],
                )
                q -= step
            arrivals[0, q], arrivals[1, q], arrivals[2, q], listed[q] = key, amount, reference, place


@njit
def _gid(blocks, i):
    block = np.searchsorted(blocks.first, i, side="right") - 1
    return blocks.gid[block] + i - blocks.first[block]


@njit
def _push_own(model, i, start, after, b, scratch, n):
    """Note when neuron ``i`` acts by itself next, and put it on the heap if that is in the piece; what the heap said before is void."""
    offset = own_event(model, i, start, after)
    scratch.own[i] = offset
    return push(scratch.heap, n, offset << LOCAL_BITS | i) if offset < b else n


@njit
def _run(model, blocks, n_arrivals, start, a, b, scratch, flight, train, emitted, counters):
    """The loop: own events and arrivals in time order."""
    arrivals, heap, next_own = scratch.loud, scratch.heap, scratch.own
    n_heap = np.int64(0)
    for i in range(blocks.first[-1]):
        n_heap = _push_own(model, i, start, a, b, scratch, n_heap)
    m = 0
    while n_heap > 0 or m < n_arrivals:
        own = heap[0] >> LOCAL_BITS if n_heap > 0 else NEVER
        arrival = arrivals[0, m] >> LOCAL_BITS if m < n_arrivals else NEVER
        now = min(own, arrival)
        if own <= arrival:
            i = heap[0] & LOCAL_MASK
            n_heap = pop(heap, n_heap)
            if next_own[i] != own:
                continue
            code, reference = act(model, i, start, own), np.int64(-1)
        else:
            i, reference = arrivals[0, m] & LOCAL_MASK, arrivals[2, m]
            code = receive(model, i, start, arrival, arrivals[1, m])
            m += 1
        if code == OVERFLOW:
            counters[Counter.CULPRIT] = i
            return STATE_OVERFLOW
        if code == FIRED:
            status = fire(emitted, counters, flight, train, start + now, _gid(blocks, i), reference)
            if status != OK:
                return status
        n_heap = _push_own(model, i, start, now + 1, b, scratch, n_heap)
    return OK


@njit
def _piece(model, blocks, synapses, drive, flight, train, emitted, scratch, counters, start, a, b, slab_bits):
    """Take all neurons through the piece [a, b) of the slab that starts at tick ``start``, or leave them as they are."""
    n_neurons = blocks.first[-1]
    external, recurrent = counters[Counter.EXTERNAL], counters[Counter.RECURRENT]
    status = collect(synapses, flight, train, counters, start, a, b, scratch)
    n = np.int64(0)
    if status == OK:
        status, n = _list(model, blocks, synapses, drive, flight, train, scratch, counters, start, a, b, slab_bits)
    if status == OK and 2 * n_neurons + n > scratch.heap.size:
        counters[Counter.NEEDED] = 2 * n_neurons + n
        status = EVENTS_FULL
    if status != OK:
        counters[Counter.EXTERNAL], counters[Counter.RECURRENT] = external, recurrent
        return status
    _sort(scratch.loud, scratch.sorted[0], n, flight, train)
    save(model, 0, n_neurons, scratch.saved)
    status = _run(model, blocks, n, start, a, b, scratch, flight, train, emitted, counters)
    if status != OK:
        for i in range(n_neurons):
            restore(model, i, scratch.saved, i)
        counters[Counter.EMITTED] = counters[Counter.PIECE]
        counters[Counter.EXTERNAL], counters[Counter.RECURRENT] = external, recurrent
        return status
    return piece.settle(model, 0, n_neurons, b, slab_bits, counters)


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
