"""All arrivals of a piece of the clock in one list, in the order of events: for the schedules that do one event at a time.

Owns the list ``scratch.loud``: key ``(offset - a) << LOCAL_BITS | local index``, bits of the weight, reference to the spike (or Poisson
input).
"""

import numpy as np

from ..errors import EVENTS_FULL, OK
from ..jit import float_bits, inner
from ..queue import LOCAL_BITS
from ..state import KEPT, TARGET_BITS, Counter
from .arrivals import TARGET_MASK, arrival_of, collect, drive_weight, locate, one_delay, weight_of
from .emission import precedes
from .poisson import generate
from .procedural import draw_row

LOCAL_MASK = (1 << LOCAL_BITS) - 1


@inner
def _append(scratch, n, key, weight, reference):
    scratch.loud[0, n], scratch.loud[1, n], scratch.loud[2, n] = key, float_bits(weight), reference
    return n + 1


@inner
def _list_rows(blocks, synapses, flight, train, scratch, p, block, a, b, n):
    """List the arrivals of spikes by a pathway at a block; return the new length, or -1 if there is no room."""
    first, block_bits = blocks.first[block], blocks.block_bits
    count, _ = locate(synapses, p, block, block_bits, flight, train, a, b, scratch, 0)
    if count < 0 or n + count > scratch.loud.shape[1]:
        return np.int64(-1)
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        for q in range(scratch.slice_first[k], scratch.slice_stop[k]):
            offset, target = arrival_of(synapses, p, block_bits, k, q, scratch)
            key = (offset - a) << LOCAL_BITS | (first + target)
            n = _append(scratch, n, key, weight_of(synapses, p, block, q), scratch.active_spike[k])
    return n


@inner
def _list_drawn(synapses, scratch, p, a, b, n):
    """As `_list_rows`, of a pathway whose rows are made now, at all blocks."""
    drawn, each = synapses.drawn, not one_delay(synapses, p)
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        count = draw_row(synapses, p, np.int64(scratch.active_row[k]))
        if n + count > scratch.loud.shape[1]:
            return np.int64(-1)
        for q in range(count):
            offset = scratch.active_offset[k] + (drawn.delay[q] if each else 0)
            if a <= offset < b:
                weight = drawn.weight[q] if synapses.weighted[p] else synapses.weight[p]
                n = _append(scratch, n, (offset - a) << LOCAL_BITS | np.int64(drawn.local[q]), weight, scratch.active_spike[k])
    return n


@inner
def _list_spikes(blocks, synapses, flight, train, scratch, a, b, n):
    """List the arrivals of spikes, pathway by pathway; return the new length, or -1 if there is no room."""
    for p in range(synapses.kind.size):
        if synapses.drawn.rule[p] != KEPT:
            n = _list_drawn(synapses, scratch, p, a, b, n)
        for block in range(blocks.gid.size):
            if n >= 0 and synapses.index[p, block] >= 0:
                n = _list_rows(blocks, synapses, flight, train, scratch, p, block, a, b, n)
        if n < 0:
            return n
    return n


@inner
def _list_drive(blocks, drive, scratch, counters, block, slab, slab_bits, a, b, n):
    """List the Poisson events of a block; return a status and the new length."""
    for e in range(drive.entry_ptr[block], drive.entry_ptr[block + 1]):
        status, count = generate(drive, e, slab, slab_bits, a, b, counters, scratch.keys, np.int64(0))
        if status != OK:
            return status, n
        if n + count > scratch.loud.shape[1]:
            counters[Counter.NEEDED] = n + count
            return EVENTS_FULL, n
        for m in range(count):
            offset, target = scratch.keys[m] >> TARGET_BITS, scratch.keys[m] & TARGET_MASK
            if target < drive.stop[e]:
                key = (offset - a) << LOCAL_BITS | (blocks.first[block] + target)
                n = _append(scratch, n, key, drive_weight(drive, e, scratch.keys[m]), -1 - e)
    return OK, n


@inner
def _later(arrivals, listed, m, key, reference, place, flight, train):
    """Does the listed arrival ``m`` come after one of ``key``, ``reference`` and ``place`` in the list? Two synapses of one spike come as
    they were listed."""
    if arrivals[0, m] != key:
        return arrivals[0, m] > key
    if arrivals[2, m] == reference:
        return listed[m] > place
    return precedes(flight, train, reference, arrivals[2, m])


@inner
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


@inner
def list_arrivals(blocks, synapses, drive, flight, train, scratch, counters, start, a, b, slab_bits):
    """List all arrivals of the piece [a, b) of the slab that starts at tick ``start``, sorted; return a status and their number."""
    status = collect(synapses, flight, train, counters, start, a, b, scratch)
    if status != OK:
        return status, 0
    n = np.int64(0)
    slab = counters[Counter.SLAB] + (start >> slab_bits)
    for block in range(blocks.gid.size):
        status, n = _list_drive(blocks, drive, scratch, counters, block, slab, slab_bits, a, b, n)
        if status != OK:
            return status, n
    external = n
    n = _list_spikes(blocks, synapses, flight, train, scratch, a, b, n)
    if n < 0:
        counters[Counter.NEEDED] = 2 * scratch.loud.shape[1]
        return EVENTS_FULL, n
    _sort(scratch.loud, scratch.sorted[0], n, flight, train)
    counters[Counter.EXTERNAL] += external
    counters[Counter.RECURRENT] += n - external
    return OK, n
