"""What the slab schedule asks of LIF neurons: the second part of the protocol. See ``docs/design/slab.md``."""

from typing import NamedTuple

import numpy as np

from sparseprop_dist.elementary import exp_small
from sparseprop_dist.jit import bits_float, float_bits, implements, inline, inner
from sparseprop_dist.models.lif_record import ABSORB, FREE, LIFRecord
from sparseprop_dist.models.protocol import CELLS, accumulate, frame_of, increment, increments, next_own, own_event, sums, sweep


class Frame(NamedTuple):
    """What an increment depends on."""

    rate: float  # 1/tau_m, per tick
    gain: float  # quanta per mV, a power of two
    half: float  # half a slab, ticks


@implements(sums, LIFRecord)
def _sums(model):
    return 2


@implements(frame_of, LIFRecord)
def _frame_of(model, i):
    return Frame(model.rate[i], model.gain[i], model.half)


@implements(increment, Frame)
def _increment(frame, offset, weight):
    return np.int64(np.rint(weight * frame.gain * exp_small((offset - frame.half) * frame.rate))), np.int64(0)


@implements(increments, LIFRecord)
def _increments(model, first, uniform, keys, target_bits, weights, amounts, others):
    if uniform:
        frame = frame_of(model, first)
        for m in range(keys.size):
            amounts[m] = increment(frame, keys[m] >> target_bits, bits_float(weights[m]))[0]
        return
    rate, gain, mask = model.rate[first:], model.gain[first:], (1 << target_bits) - 1
    for m in range(keys.size):
        k = np.uint64(keys[m] & mask)
        amounts[m], others[m] = float_bits(bits_float(weights[m]) * gain[k]), float_bits(rate[k])
    for m in range(keys.size):
        x = (np.float64(keys[m] >> target_bits) - model.half) * bits_float(others[m])
        amounts[m] = np.int64(np.rint(bits_float(amounts[m]) * exp_small(x)))


@implements(accumulate, LIFRecord)
def _accumulate(model, i, cells, c, k):
    if model.release[i] == FREE or model.keep[i]:
        model.y[i] += cells[c, 0, k] + cells[c, 1, k]


@implements(next_own, LIFRecord)
def _next_own(model, i, start, after, before):
    return own_event(model, i, start, after)


@inline
def _add_cell(y, excitation, inhibition, low, high, sticky, flags, loud):
    for k in range(y.size):
        v = y[k] + excitation[k]
        flags[k] = np.uint8(v >= min(low[k], high[k])) | (loud[k] & sticky[k])
        loud[k] |= flags[k]
        y[k] = v + inhibition[k]


@inline
def add_cell_uniform(y, excitation, inhibition, threshold, sticky, flags, loud):
    for k in range(y.size):
        v = y[k] + excitation[k]
        flags[k] = np.uint8(v >= threshold) | (loud[k] & sticky[k])
        loud[k] |= flags[k]
        y[k] = v + inhibition[k]


@inner
def _flag_released(model, i, k, offset, shift, cells, flags, bounds, c1, step):
    """Flag the cell in which a neuron is released, and those later ones in which it could reach threshold from there."""
    column = k if bounds.shape[1] > 1 else 0
    c = offset >> shift
    flags[c, k] = flags[CELLS, k] = 1
    drift = abs(model.slope[i]) * model.half
    v = np.int64(max(model.reset[i] * 1.02, model.reset[i] * 0.98) + drift) + cells[c, 0, k]  # e^(1/64) = 1.016
    for later in range(c + 1, c1):
        v += cells[later, 0, k]
        loud = v >= min(bounds[later * step, column], bounds[(later + 1) * step, column])
        flags[later, k] |= np.uint8(loud) | model.sticky[i] | model.keep[i]
        v += cells[later, 1, k]


@implements(sweep, LIFRecord)
def _sweep(model, first, n, alike, start, a, b, shift, cells, flags, bounds, c0, c1, step, inputs):
    y, sticky, loud = model.y[first : first + n], model.sticky[first : first + n], flags[CELLS][:n]
    for c in range(c0, c1):
        low, high = bounds[c * step], bounds[(c + 1) * step]
        if low.size == 1:
            add_cell_uniform(y, cells[c, 0][:n], cells[c, 1][:n], min(low[0], high[0]), sticky, flags[c][:n], loud)
        else:
            _add_cell(y, cells[c, 0][:n], cells[c, 1][:n], low, high, sticky, flags[c][:n], loud)
    release, keep = model.release[first : first + n], model.keep[first : first + n]
    for k in range(n):
        y[k] = ABSORB if (release[k] != FREE) & (keep[k] == 0) else y[k]
    for k in range(n):
        if start + a <= release[k] < start + b:
            _flag_released(model, first + k, k, release[k] - start, shift, cells, flags, bounds, c1, step)
