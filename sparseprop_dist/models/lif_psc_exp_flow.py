"""How the potential of a LIF neuron with exponential currents flows: its value, a bound on it, its first crossing of the threshold.

Owns the formulas, as functions of numbers. Times ``s`` are ticks from the middle of a slab, at most a quarter of each time constant. With
V counted from V_inf in quanta, each current as the charge that it has left, I tau_syn / C_m in quanta, and all in the frame of the slab
(``v``, ``x``, ``y`` are what V and the charges would be in its middle)

    V(s) = e^(-s/tau_m) (v + p_x x + p_y y),    p_x = (1 - e^(-s d_x)) / (tau_x d_x),    d_x = 1/tau_x - 1/tau_m,

where p_x = s/tau_x if the time constants agree. ``docs/design/currents.md`` says why crossings are looked for in this way.
"""

from typing import NamedTuple

import numpy as np

from sparseprop_dist.elementary import exp_to_quarter, expm1_ratio
from sparseprop_dist.jit import implements, inline, inner, protocol
from sparseprop_dist.models.protocol import NEVER

GUARD = 2.0**-44
"""Of each term that a bound is made of: 100 times what rounding does to the terms of `height`, and less than what can be told apart."""
MARGIN = 32.0
"""Quanta by which a bound must stay below threshold beside that."""
MOST_STEPS = 12
"""Of regula falsi; six do where the value is nearly a line."""


class Flow(NamedTuple):
    """A neuron between two events."""

    v: float  # quanta
    x: float  # quanta, not negative: excitation
    y: float  # quanta, not positive: inhibition
    rate: float  # 1/tau_m, per tick
    rate_ex: float  # 1/tau_syn_ex, per tick
    rate_in: float  # 1/tau_syn_in, per tick
    threshold: float  # V_th - V_inf, quanta


class Ceiling(NamedTuple):
    """Coefficients of v, x and y in V at the begin of a stretch (0), and in what V can rise to in it (1), guarded upwards.

    With a current that is at most I, V' <= I/C_m - V/tau_m, which is largest where V is smallest: so V rises from V0 by at most the length
    of the stretch times I/C_m - V0/tau_m, or not at all. I is the excitation at the begin and the inhibition that is left at the end.
    """

    v0: float
    x0: float
    y0: float
    v1: float
    x1: float
    y1: float
    more: float  # coefficient of the excitation that arrives in the stretch


@inline
def ceiling(rate, rate_ex, rate_in, s, length):
    """Return the `Ceiling` of a stretch of ``length`` ticks from ``s`` on."""
    decay = exp_to_quarter(-rate * s)
    lasts_ex, lasts_in = s * expm1_ratio((rate - rate_ex) * s), s * expm1_ratio((rate - rate_in) * s)
    x0, y0 = decay * rate_ex * lasts_ex, decay * rate_in * lasts_in
    leak = 1.0 - rate * length
    rise_ex = length * decay * rate_ex * (1.0 - (rate_ex - rate) * lasts_ex)
    rise_in = length * decay * rate_in * (1.0 - (rate_in - rate) * lasts_in) * (1.0 - rate_in * length)  # e^-u >= 1 - u
    guard_ex, guard_in = GUARD * (abs(x0) + rise_ex), GUARD * (abs(y0) + rise_in)
    return Ceiling(
        decay,
        x0 + guard_ex,
        y0 - guard_in,
        leak * decay,
        leak * x0 + rise_ex + guard_ex,
        leak * y0 + rise_in - guard_in,
        rise_ex + guard_ex,
    )


@inline
def least_of(threshold, inputs):
    """Return what a ceiling must reach for V to be able to reach threshold; each of so many inputs was rounded to a quantum."""
    return threshold - GUARD * abs(threshold) - MARGIN - inputs


@protocol
def lift(drive, i, start, a, b):
    """Return what a current that varies adds, at most, to V of neuron ``i`` at offset ``a``, and to the bound on V in [a, b) that
    `ceiling` has coefficients of; ``drive`` is the record of the neurons."""
    raise NotImplementedError


@protocol
def push(drive, i, start, length):
    """As `lift`: by how much it can lift V in ``length`` ticks."""
    raise NotImplementedError


@inner
def may_reach(flow, lifted, s, length):
    """Can V be at threshold in a stretch of ``length`` ticks from ``s`` on, without further input? ``lifted`` is its `lift`."""
    top = ceiling(flow.rate, flow.rate_ex, flow.rate_in, s, length)
    begin = top.v0 * flow.v + top.x0 * flow.x + top.y0 * flow.y + lifted[0]
    most = top.v1 * flow.v + top.x1 * flow.x + top.y1 * flow.y + lifted[1]
    return max(begin, most) >= least_of(flow.threshold, 0.0)


BEND, SLOPE, HEIGHT = 0, 1, 2


@protocol
def value(flow, what, s):
    """Return one of: the derivative of e^(s/tau_m) V' (BEND), that (SLOPE), V - V_th (HEIGHT)."""
    raise NotImplementedError


@implements(value, Flow)
def _value(flow, what, s):
    d_ex, d_in = flow.rate_ex - flow.rate, flow.rate_in - flow.rate
    lasts_ex, lasts_in = s * expm1_ratio(-d_ex * s), s * expm1_ratio(-d_in * s)
    drive_ex, drive_in = flow.x * flow.rate_ex, flow.y * flow.rate_in
    if what == BEND:
        return -drive_ex * flow.rate_ex * (1.0 - d_ex * lasts_ex) - drive_in * flow.rate_in * (1.0 - d_in * lasts_in)
    stand = flow.v + drive_ex * lasts_ex + drive_in * lasts_in
    if what == SLOPE:
        return drive_ex * (1.0 - d_ex * lasts_ex) + drive_in * (1.0 - d_in * lasts_in) - flow.rate * stand
    return exp_to_quarter(-flow.rate * s) * stand - flow.threshold


@inner
def _change(flow, what, shift, low, high):
    """Return the first tick after ``low``, at most ``high``, at which a value has another sign than at ``low``; it has at ``high``. A tick
    stands at ``s = tick + shift``. Regula falsi with halved ends (Dowell & Jarratt, BIT 11, 1971), then halving, which ends."""
    at_low, at_high = value(flow, what, low + shift), value(flow, what, high + shift)
    negative, side, steps = at_low < 0.0, 0, 0
    while high - low > 1:
        step = np.int64((high - low) * (at_low / (at_low - at_high))) if steps < MOST_STEPS else (high - low) >> 1
        middle = low + min(max(step, 1), high - low - 1)
        found = value(flow, what, middle + shift)
        if (found < 0.0) == negative:
            low, at_low = middle, found
            at_high *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            high, at_high = middle, found
            at_low *= 0.5 if side == -1 else 1.0
            side = -1
        steps += 1
    return high


@inner
def above(flow, middle, low, high, after):
    """Return the first tick, at or after ``after``, at which V is at threshold, between two ticks between which V rises or falls; or NEVER.

    Rounded to the nearest tick: V is at threshold half a tick later where it rises, at the tick itself where it falls.
    """
    if high < after:
        return NEVER
    if value(flow, HEIGHT, low - middle) >= 0.0:
        if after <= low or value(flow, HEIGHT, high - middle) >= 0.0:
            return max(after, low)
        return after if after < _change(flow, HEIGHT, -middle, low, high) else NEVER
    if value(flow, HEIGHT, high + 0.5 - middle) < 0.0:
        return NEVER
    if value(flow, HEIGHT, low + 0.5 - middle) >= 0.0:
        return max(after, low)
    return max(after, _change(flow, HEIGHT, 0.5 - middle, low, high))


@inner
def first_above(flow, middle, after):
    """Return the first tick, at or after ``after``, at which V is at threshold in a slab of twice ``middle`` ticks without further input,
    or NEVER.

    The slab is cut at the turning points of V: at most two, since e^(s/tau_m) V' has at most one (two exponentials make its derivative).
    All cuts, and the ticks between which V is at threshold, are made from the ends of the slab, never from ``after``: whenever this is
    asked, the answer is the same.
    """
    end = np.int64(2.0 * middle) - 1
    low, bend = np.int64(0), end
    if (value(flow, BEND, -middle) < 0.0) != (value(flow, BEND, end - middle) < 0.0):
        bend = _change(flow, BEND, -middle, low, end)
    for part in range(2):
        first, last = (low, bend) if part == 0 else (bend, end)
        if (value(flow, SLOPE, first - middle) < 0.0) != (value(flow, SLOPE, last - middle) < 0.0):
            turn = _change(flow, SLOPE, -middle, first, last)
            found = above(flow, middle, low, turn, after)
            if found != NEVER:
                return found
            low = turn
        if last == end:
            break
    return above(flow, middle, low, end, after)
