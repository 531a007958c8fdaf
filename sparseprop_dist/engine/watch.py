"""Values of chosen neurons at chosen ticks, read by the schedules as they pass.

A read changes no state, and a value is that before the events of its tick: a schedule reads a row before it does what happens at that tick
or later. Pieces are not cut for it: reading costs what it reads, not a pass over all neurons.
"""

import numpy as np

from ..jit import inner, njit
from ..models.protocol import CELLS, observe
from ..state import Watch

WATCHED = 2
"""In the last row of the flags of `slab`: the neuron is replayed for what is read of it, if for nothing else."""


def nothing() -> Watch:
    """Return what to watch where nothing is."""
    empty = np.empty(0, np.int64)
    return Watch(empty, empty, empty, np.zeros(1, np.int64), empty, empty, np.empty(0))


@njit
def read_until(model, watch, w, start, offset):
    """Read row ``w`` and those after it whose ticks are at ``offset`` at most; return the row to read next."""
    while w < watch.tick.size and watch.tick[w] - start <= offset:
        base, stop, number = watch.ptr[watch.group[w]], watch.ptr[watch.group[w] + 1], watch.number[watch.group[w]]
        for m in range(base, stop):
            watch.value[watch.first[w] + m - base] = observe(model, watch.neuron[m], start, watch.tick[w] - start, number)
        w += 1
    return w


@inner
def rows_of(watch, start, a, b):
    """Return the first row whose tick is in the piece [a, b), and the end of these rows."""
    return np.searchsorted(watch.tick, start + a), np.searchsorted(watch.tick, start + b)


@inner
def _place(watch, w, i):
    """Return where neuron ``i``, or the first after it, is in the group of row ``w``, and the end of the group."""
    base, stop = watch.ptr[watch.group[w]], watch.ptr[watch.group[w] + 1]
    return base + np.searchsorted(watch.neuron[base:stop], i), stop


@inner
def mark(watch, local, n, start, a, b, shift, flags):
    """Flag the cells of the piece in which one of the neurons ``local`` to ``local + n - 1`` is read."""
    w, w_stop = rows_of(watch, start, a, b)
    for row in range(w, w_stop):
        m, stop = _place(watch, row, local)
        while m < stop and watch.neuron[m] < local + n:
            flags[(watch.tick[row] - start) >> shift, watch.neuron[m] - local] = 1
            flags[CELLS, watch.neuron[m] - local] = WATCHED
            m += 1


@inner
def read_one(model, i, watch, w, local, start):
    """Read neuron ``i`` of the record, whose local index is ``local``, in row ``w``, if it is in its group."""
    m, stop = _place(watch, w, local)
    if m < stop and watch.neuron[m] == local:
        value = observe(model, i, start, watch.tick[w] - start, watch.number[watch.group[w]])
        watch.value[watch.first[w] + m - watch.ptr[watch.group[w]]] = value
