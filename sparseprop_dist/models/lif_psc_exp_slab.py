"""What the slab schedule asks of LIF neurons with exponential currents: the second part of the protocol."""

from typing import NamedTuple

import numpy as np

from sparseprop_dist.jit import bits_float, implements, inline, inner
from sparseprop_dist.models.lif_psc_exp_flow import GUARD, ceiling, least_of, lift, push
from sparseprop_dist.models.lif_psc_exp_record import LIFPscExpRecord, jump, own_event_before
from sparseprop_dist.models.lif_record import ABSORB, FREE
from sparseprop_dist.models.protocol import CELLS, accumulate, frame_of, increment, increments, next_own, sums, sweep


class Frame(NamedTuple):
    """What an increment depends on."""

    rate: float  # 1/tau_m, per tick
    rate_ex: float  # 1/tau_syn_ex, per tick
    rate_in: float  # 1/tau_syn_in, per tick
    charge_ex: float  # quanta per pA
    charge_in: float  # quanta per pA
    half: float  # half a slab, ticks


@implements(sums, LIFPscExpRecord)
def _sums(model):
    return 3


@implements(frame_of, LIFPscExpRecord)
def _frame_of(model, i):
    return Frame(model.rate[i], model.rate_ex[i], model.rate_in[i], model.charge_ex[i], model.charge_in[i], model.half)


@implements(increment, Frame)
def _increment(frame, offset, weight):
    charge, own = (frame.charge_in, frame.rate_in) if weight < 0.0 else (frame.charge_ex, frame.rate_ex)
    return jump(weight * charge, frame.rate, own, offset - frame.half)


@implements(increments, LIFPscExpRecord)
def _increments(model, first, uniform, keys, target_bits, weights, amounts, others):
    if uniform:
        frame = frame_of(model, first)
        for m in range(keys.size):
            amounts[m], others[m] = increment(frame, keys[m] >> target_bits, bits_float(weights[m]))
        return
    mask = (1 << target_bits) - 1
    for m in range(keys.size):
        frame = frame_of(model, first + (keys[m] & mask))
        amounts[m], others[m] = increment(frame, keys[m] >> target_bits, bits_float(weights[m]))


@implements(accumulate, LIFPscExpRecord)
def _accumulate(model, i, cells, c, k):
    if model.release[i] == FREE:
        model.v[i] += cells[c, 0, k]
    model.x[i] += cells[c, 1, k]
    model.y[i] += cells[c, 2, k]


@implements(next_own, LIFPscExpRecord)
def _next_own(model, i, start, after, before):
    return own_event_before(model, i, start, after, before)


@inline
def _add_cell(model, drive, first, n, start, a, b, inputs, cell, flags, loud):
    v, x, y = model.v[first : first + n], model.x[first : first + n], model.y[first : first + n]
    rate, rate_ex, rate_in = model.rate[first : first + n], model.rate_ex[first : first + n], model.rate_in[first : first + n]
    threshold, sticky = model.threshold[first : first + n], model.sticky[first : first + n]
    change, excitation, inhibition = cell[0][:n], cell[1][:n], cell[2][:n]
    s, length = a - model.half, np.float64(b - a)
    for k in range(n):
        top = ceiling(rate[k], rate_ex[k], rate_in[k], s, length)
        more0, more1 = lift(drive, first + k, start, a, b)
        begin = top.v0 * v[k] + top.x0 * x[k] + top.y0 * y[k] + more0
        most = top.v1 * v[k] + top.x1 * x[k] + top.y1 * y[k] + top.more * excitation[k] + more1
        flags[k] = np.uint8(max(begin, most) >= least_of(threshold[k], inputs)) | (loud[k] & sticky[k])
    for k in range(n):
        loud[k] |= flags[k]
        v[k] += change[k]
        x[k] += excitation[k]
        y[k] += inhibition[k]


@inline
def _add_cell_uniform(model, drive, first, n, start, a, b, inputs, cell, flags, loud):
    v, x, y = model.v[first : first + n], model.x[first : first + n], model.y[first : first + n]
    sticky = model.sticky[first : first + n]
    change, excitation, inhibition = cell[0][:n], cell[1][:n], cell[2][:n]
    s, length = a - model.half, np.float64(b - a)
    top = ceiling(model.rate[first], model.rate_ex[first], model.rate_in[first], s, length)
    least = least_of(model.threshold[first], inputs)
    more0, more1 = lift(drive, first, start, a, b)
    for k in range(n):
        begin = top.v0 * v[k] + top.x0 * x[k] + top.y0 * y[k] + more0
        most = top.v1 * v[k] + top.x1 * x[k] + top.y1 * y[k] + top.more * excitation[k] + more1
        flags[k] = np.uint8(max(begin, most) >= least) | (loud[k] & sticky[k])
    for k in range(n):
        loud[k] |= flags[k]
        v[k] += change[k]
        x[k] += excitation[k]
        y[k] += inhibition[k]


@inner
def _flag_released(model, drive, i, k, start, offset, shift, b, inputs, cells, flags, c0, c1):
    """Flag the cell in which a neuron is released, and all later ones if it could reach threshold from V_reset in this piece."""
    c = offset >> shift
    flags[c, k] = flags[CELLS, k] = 1
    top = ceiling(model.rate[i], model.rate_ex[i], model.rate_in[i], offset - model.half, np.float64(b - offset))
    # x holds all that arrived in the piece; without inhibition
    most = top.more * model.x[i] + push(drive, i, start, np.float64(b - offset))
    rise = max(0.0, most - model.rate[i] * (b - offset) * model.reset[i]) * (1.0 + GUARD)
    if model.reset[i] + rise >= least_of(model.threshold[i], inputs):
        flags[c:c1, k] = 1


@inner
def sweep_of(model, drive, first, n, alike, start, a, b, shift, cells, flags, bounds, c0, c1, step, inputs):
    """As `sweep`; ``drive`` is the record that says what lifts V."""
    loud = flags[CELLS][:n]
    for c in range(c0, c1):
        begin, end = max(a, c << shift), min(b, (c + 1) << shift)
        if alike == 2:
            _add_cell_uniform(model, drive, first, n, start, begin, end, np.float64(inputs), cells[c], flags[c], loud)
        else:
            _add_cell(model, drive, first, n, start, begin, end, np.float64(inputs), cells[c], flags[c], loud)
    if model.rests:
        v, release = model.v[first : first + n], model.release[first : first + n]
        for k in range(n):
            v[k] = v[k] if release[k] == FREE else ABSORB
        for k in range(n):
            if start + a <= release[k] < start + b:
                offset = release[k] - start
                _flag_released(model, drive, first + k, k, start, offset, shift, b, np.float64(inputs), cells, flags, c0, c1)


@implements(sweep, LIFPscExpRecord)
def _sweep(model, first, n, alike, start, a, b, shift, cells, flags, bounds, c0, c1, step, inputs):
    sweep_of(model, model, first, n, alike, start, a, b, shift, cells, flags, bounds, c0, c1, step, inputs)
