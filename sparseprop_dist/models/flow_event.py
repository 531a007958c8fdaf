"""What the event-driven schedules ask of neurons V' = F(V): the bodies of the protocol."""

import numpy as np

from sparseprop_dist.jit import bits_float, float_bits, implements, njit
from sparseprop_dist.models.flow_cells import BELOW_ONE, MANTISSA, ONE
from sparseprop_dist.models.flow_record import CUT_BITS, FREE, SUNK, FlowRecord
from sparseprop_dist.models.protocol import (
    FIRED,
    NEVER,
    NOTHING,
    OVERFLOW,
    act,
    beyond,
    candidates,
    carry,
    own_event,
    potential,
    receive,
    restore,
    save,
    strike,
)

CUT_MASK = (1 << CUT_BITS) - 1


@njit
def _find(octave, at, d):
    """Return the cell of a scaled distance d, and where in it, in [-1/2, 1/2)."""
    bits = float_bits(d)
    entry = octave[at + (bits >> 52)]
    cuts = entry & CUT_MASK
    cell = (entry >> CUT_BITS) + ((bits & MANTISSA) >> (52 - cuts))
    return cell, bits_float(((bits << cuts) & MANTISSA) | ONE) - 1.5


@njit
def _sum(powers, cell, u):
    """Return the polynomial of a cell, without its constant: in pairs, so that a sum waits for four products and not for thirteen."""
    u2 = u * u
    u4 = u2 * u2
    one = (powers[cell, 0] + powers[cell, 1] * u) + (powers[cell, 2] + powers[cell, 3] * u) * u2
    two = (powers[cell, 4] + powers[cell, 5] * u) + (powers[cell, 6] + powers[cell, 7] * u) * u2
    three = (powers[cell, 8] + powers[cell, 9] * u) + (powers[cell, 10] + powers[cell, 11] * u) * u2
    return u * ((one + two * u4) + (three + powers[cell, 12] * u4) * (u4 * u4))


@njit
def _position(model, s, V):
    """Return X of a potential between the lowest and V_th, for parameter set ``s``."""
    if model.high[s] <= V:
        return model.fires[s]
    p = model.V_first[s]
    while model.V_edge[p] < V:
        p += 1
    d = min(max((V - model.V_anchor[p]) * model.V_scale[p], model.V_least[p]), BELOW_ONE)
    cell, u = _find(model.octave, model.V_octave[p], d)
    return model.level[cell] + np.int64(np.rint(_sum(model.slope, cell, u)))


@njit
def _voltage(model, s, X):
    """Return the potential at X."""
    p = model.X_first[s]
    while model.X_edge[p] < X:
        p += 1
    away = min(max(X, model.X_low[p]), model.X_high[p]) - model.X_anchor[p]
    d = min(max(away * model.X_scale[p], model.X_least[p]), BELOW_ONE)
    cell, u = _find(model.octave, model.X_octave[p], d)
    return model.rest[cell] + _sum(model.bend, cell, u)


@njit
def _sunk(model, s, X):
    """Return whether the flow has taken a neuron below all potentials that are covered."""
    p = model.X_first[s]
    while model.X_edge[p] < X:
        p += 1
    return model.X_sinks[p] != 0 and model.X_high[p] < X


@njit
def _fire(model, i, start, offset):
    s = model.kind[i]
    if model.refractory[i] > 0:
        model.release[i] = start + offset + model.refractory[i]
    model.y[i] = model.reset[s] - (offset << model.fineness[s])
    return FIRED


@implements(receive, FlowRecord)
def _receive(model, i, start, offset, weight):
    if model.release[i] != FREE or weight == 0.0:
        return NOTHING
    s, y = model.kind[i], model.y[i]
    now = offset << model.fineness[s]
    if y < 0 or _sunk(model, s, y + now):
        return OVERFLOW
    V = _voltage(model, s, y + now) + weight
    if model.at[s] <= V:
        return _fire(model, i, start, offset)
    if model.low[s] > V:
        model.y[i] = SUNK
        return OVERFLOW
    model.y[i] = _position(model, s, V) - now
    return NOTHING


@implements(own_event, FlowRecord)
def _own_event(model, i, start, after):
    if model.release[i] != FREE:
        return model.release[i] - start
    s = model.kind[i]
    half_tick = (1 << model.fineness[s]) >> 1
    offset = (model.fires[s] - model.y[i] + half_tick) >> model.fineness[s]
    return max(after, offset) if offset < model.slab else NEVER


@implements(act, FlowRecord)
def _act(model, i, start, offset):
    if model.release[i] == FREE:
        return _fire(model, i, start, offset)
    s = model.kind[i]
    model.release[i] = FREE
    model.y[i] = model.reset[s] - (offset << model.fineness[s])
    return NOTHING


@implements(save, FlowRecord)
def _save(model, first, n, copy):
    for k in range(n):
        copy[0, k], copy[1, k] = model.y[first + k], model.release[first + k]


@implements(restore, FlowRecord)
def _restore(model, i, copy, k):
    model.y[i], model.release[i] = copy[0, k], copy[1, k]


@implements(beyond, FlowRecord)
def _beyond(model, first, n):
    culprit = -1
    for k in range(n):
        if model.y[first + k] < 0 and model.release[first + k] == FREE:
            culprit = k
    return culprit


@implements(carry, FlowRecord)
def _carry(model, first, n, start):
    for i in range(first, first + n):
        s, y = model.kind[i], model.y[i]
        if model.release[i] != FREE:
            model.y[i] = model.reset[s]
        elif y >= 0:
            y += model.slab << model.fineness[s]
            p = model.X_first[s]
            while y > model.X_edge[p]:
                p += 1
            model.y[i] = SUNK if model.X_sinks[p] != 0 and y > model.X_high[p] else min(y, model.X_stop[p])


@implements(potential, FlowRecord)
def _potential(model, i, start, offset):
    s = model.kind[i]
    if model.release[i] != FREE:
        return model.V_reset[s]
    return _voltage(model, s, model.y[i] + (offset << model.fineness[s]))


@njit
def _least(model, i, b):
    """Return the state above which neuron ``i`` crosses threshold before the offset ``b``."""
    s = model.kind[i]
    return model.fires[s] + ((1 << model.fineness[s]) >> 1) - (b << model.fineness[s])


@implements(candidates, FlowRecord)
def _candidates(model, first, n, alike, start, a, b, found):
    y = model.y[first : first + n]
    m = 0
    if alike == 2:
        least = _least(model, first, b)
        for k in range(n):
            found[m] = k
            m += y[k] > least
    else:
        for k in range(n):
            found[m] = k
            m += y[k] > _least(model, first + k, b)
    if model.rests:
        release = model.release[first : first + n]
        for k in range(n):
            if release[k] != FREE and release[k] < start + b:
                found[m] = k
                m += 1
    return m


@njit
def _inhibit(model, first, words, begin, stop, weight, offset):
    """Deliver an inhibitory spike to neurons of the same parameters. Refractory ones may change: their release forgets it."""
    s = model.kind[first]
    now, low = offset << model.fineness[s], model.low[s]
    for q in range(begin, stop):
        i = first + np.int64(words[q])
        y = model.y[i]
        if y >= 0:
            V = _voltage(model, s, y + now) + weight
            model.y[i] = _position(model, s, V) - now if low <= V else SUNK


@implements(strike, FlowRecord)
def _strike(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    if alike == 2 and weights.size == 0 and weight < 0.0:
        _inhibit(model, first, words, begin, stop, weight, offset)
        return 0
    m = 0
    for q in range(begin, stop):
        target = np.int64(words[q])
        i = first + target
        own = weights[q - begin] if weights.size else weight
        if receive(model, i, start, offset, own) == FIRED:
            touched[m] = ~target
            m += 1
        elif own > 0.0 and model.release[i] == FREE and model.y[i] > _least(model, i, b):
            touched[m] = target
            m += 1
    return m
