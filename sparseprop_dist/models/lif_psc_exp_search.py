"""The first crossing of a LIF neuron with exponential currents and a current that varies.

With g = e^(s/tau_m) (V - V_th), in quanta, ``g' = e^(s/tau_m) E(s)``, E = (I_syn + I)/C_m + (V_inf - V_th)/tau_m: two exponentials,
straight pieces and sines, all of known bounds. Each piece of the current is cut into halves, halves of halves and so on, until V surely
rises or surely falls on a stretch, or surely stays on one side of the threshold. What is cut, and how, follows from the state and the slab
alone, never from where the search begins: whenever it is asked, the answer is the same (``docs/design/currents.md``).
"""

from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.elementary import exp_to_quarter
from sparseprop_dist.jit import implements, inner
from sparseprop_dist.models.lif_curve import GROWTH, drive_at, ensure, excess
from sparseprop_dist.models.lif_psc_exp_flow import HEIGHT, Flow, above, value
from sparseprop_dist.models.protocol import NEVER

NOISE = 2.0**-50
"""Of the sizes of the terms of V: what is nearer to threshold cannot be told apart. Where V is near threshold, the drive of the slab is no
larger than the others together."""
ONE_WAY, BELOW, UP, CUT = 0, 1, 2, 3


class Driven(NamedTuple):
    """A neuron between two events, with a current that varies."""

    model: Any  # the record of its neurons, with ``curves`` and ``currents``
    c: Any  # int64, its curve
    start: int  # tick at which the slab starts
    flow: Flow


@implements(value, Driven)
def _value(driven, what, s):
    model, c = driven.model, driven.c
    drive = model.curves.kind[c].scale * drive_at(model.curves, model.currents, c, driven.start, s + model.curves.half)
    return value(driven.flow, HEIGHT, s) + exp_to_quarter(-driven.flow.rate * s) * drive


@inner
def _verdict(driven, p, low, high):
    """Return whether V rises or falls on all of the stretch between two ticks in part ``p`` of the curve (ONE_WAY), stays BELOW threshold,
    stays UP, or the stretch must be CUT."""
    model, flow, c = driven.model, driven.flow, driven.c
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    s, part, scale = middle - model.curves.half, model.curves.part, model.curves.kind[c].scale
    begin, straight, slope = part[c, p].begin, part[c, p].value, part[c, p].slope
    surplus, rise, bend = excess(model.curves, model.currents, c, driven.start, begin, straight, slope, middle, half)
    ex = flow.x * flow.rate_ex * exp_to_quarter(-flow.rate_ex * s)
    in_ = flow.y * flow.rate_in * exp_to_quarter(-flow.rate_in * s)
    there = ex + in_ + scale * surplus
    turning = scale * rise - flow.rate_ex * ex - flow.rate_in * in_
    bent = GROWTH * (flow.rate_ex * flow.rate_ex * ex - flow.rate_in * flow.rate_in * in_) + scale * bend
    spread = half * (abs(turning) + 0.5 * half * bent)
    if abs(there) > spread or high - low <= 1:
        return ONE_WAY
    height, reach = value(driven, HEIGHT, s), GROWTH * GROWTH * half * (abs(there) + spread)
    if reach > NOISE * (abs(flow.v) + flow.x - flow.y + abs(flow.threshold)) and abs(height) < reach:
        return CUT
    return UP if height >= 0.0 else BELOW


@inner
def _first_in(driven, p, begin, end, after):
    """As `first_up`, between two ticks in part ``p`` of the curve."""
    size, low = np.int64(1), begin
    while size < end - begin:
        size <<= 1
    while low < end:
        high = min(low + size, end)
        if high >= after:
            verdict = _verdict(driven, p, low, high)
            if verdict == CUT:
                size >>= 1
                continue
            if verdict == UP:
                return max(after, low)
            found = above(driven, driven.model.curves.half, low, high, after) if verdict == ONE_WAY else NEVER
            if found != NEVER:
                return found
        low += size
        size = (low - begin) & (begin - low)  # of the largest stretch that starts here and was not cut
    return NEVER


@inner
def first_up(driven, after):
    """Return the first offset, at or after ``after``, at which V is at threshold, without further input; NEVER if there is none in the
    slab."""
    curves, c = driven.model.curves, driven.c
    ensure(curves, driven.model.currents, c, driven.start)
    last = np.int64(2.0 * curves.half) - 1
    for p in range(curves.kind[c].parts):
        end = min(curves.part[c, p + 1].begin, last)
        if end >= after:
            found = _first_in(driven, p, curves.part[c, p].begin, end, after)
            if found != NEVER:
                return found
    return NEVER
