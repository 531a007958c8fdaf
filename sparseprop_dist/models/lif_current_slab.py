"""What the slab schedule asks of LIF neurons with a current that varies: the second part of the protocol.

As for a constant current (`lif_slab`), but the threshold of a cell is that of the slab's curve.
"""

import numpy as np

from sparseprop_dist.jit import implements, inner
from sparseprop_dist.models.lif_current import DrivenLIFRecord, stand_at
from sparseprop_dist.models.lif_curve import common, lowest_in_cell, lowest_of
from sparseprop_dist.models.lif_record import ABSORB, FREE, SLACK
from sparseprop_dist.models.lif_slab import add_cell_uniform
from sparseprop_dist.models.protocol import CELLS, accumulate, frame_of, increments, next_own, own_event, pass_on, sums, sweep

pass_on(DrivenLIFRecord, "lif", sums, frame_of, increments, accumulate)


@implements(next_own, DrivenLIFRecord)
def _next_own(model, i, start, after, before):
    return own_event(model, i, start, after)


@inner
def _least(model, i, start, cell, a, b, shift):
    """Return what a state must reach for neuron ``i`` to fire in the part of a cell in [a, b), less a guard."""
    a, b = max(a, cell << shift), min(b, (cell + 1) << shift)
    return lowest_in_cell(model.curves, model.currents, np.int64(model.kind[i]), start, cell, a, b) - SLACK


@inner
def _add_cell(model, first, n, excitation, inhibition, flags, loud):
    """Where neurons differ, a bound for the whole slab is at hand; one for each neuron and cell takes 0.3 us."""
    y, sticky, kind = model.lif.y[first : first + n], model.lif.sticky[first : first + n], model.kind[first : first + n]
    for k in range(n):
        v = y[k] + excitation[k]
        flags[k] = np.uint8(v >= lowest_of(model.curves, np.int64(kind[k])) - SLACK) | (loud[k] & sticky[k])
        loud[k] |= flags[k]
        y[k] = v + inhibition[k]


@inner
def _flag_released(model, i, k, start, offset, a, b, shift, cells, flags, c1):
    """Flag the cell in which a neuron is released, and those later ones in which it could reach threshold from there."""
    lif, c = model.lif, offset >> shift
    flags[c, k] = flags[CELLS, k] = 1
    v = stand_at(model, i, start, offset, lif.reset[i]) + cells[c, 0, k]
    for later in range(c + 1, c1):
        v += cells[later, 0, k]
        loud = v >= _least(model, i, start, later, a, b, shift)
        flags[later, k] |= np.uint8(loud) | lif.sticky[i] | lif.keep[i]
        v += cells[later, 1, k]


@implements(sweep, DrivenLIFRecord)
def _sweep(model, first, n, alike, start, a, b, shift, cells, flags, bounds, c0, c1, step, inputs):
    lif, loud = model.lif, flags[CELLS][:n]
    y, sticky = lif.y[first : first + n], lif.sticky[first : first + n]
    common(model.curves, model.currents, model.kind[first : first + n], start)
    for c in range(c0, c1):
        excitation, inhibition = cells[c, 0][:n], cells[c, 1][:n]
        if alike == 2:
            least = _least(model, first, start, c, a, b, shift)
            add_cell_uniform(y, excitation, inhibition, least, sticky, flags[c][:n], loud)
        else:
            _add_cell(model, first, n, excitation, inhibition, flags[c][:n], loud)
    release, keep = lif.release[first : first + n], lif.keep[first : first + n]
    for k in range(n):
        y[k] = ABSORB if (release[k] != FREE) & (keep[k] == 0) else y[k]
    for k in range(n):
        if start + a <= release[k] < start + b:
            _flag_released(model, first + k, k, start, release[k] - start, a, b, shift, cells, flags, c1)
