"""What the event-driven schedules ask of neurons V' = F(V): the bodies of the protocol."""

import numpy as np

from sparseprop_dist.gaps import next_target
from sparseprop_dist.jit import bits_float, float_bits, implements, inner, prefetch
from sparseprop_dist.models.flow_cells import BELOW_ONE, MANTISSA, ONE
from sparseprop_dist.models.flow_record import (
    ANCHOR,
    AT,
    CUT_BITS,
    EDGE,
    FINENESS,
    FIRES,
    FREE,
    HIGH,
    LEAST,
    LOW,
    RESET,
    SCALE,
    SUNK,
    V_FIRST,
    V_RESET,
    X_ANCHOR,
    X_EDGE,
    X_FIRST,
    X_HIGH,
    X_LOW,
    X_OCTAVE,
    X_SINKS,
    X_STOP,
    FlowRecord,
)
from sparseprop_dist.models.protocol import (
    FIRED,
    NEVER,
    NOTHING,
    OVERFLOW,
    act,
    beyond,
    candidates,
    carry,
    fetch,
    in_order_only,
    is_resting,
    mark,
    nothing_but_potential,
    own_event,
    potential,
    receive,
    restore,
    save,
    strike,
)
from sparseprop_dist.models.row import are_distinct
from sparseprop_dist.models.scan import scan

CUT_MASK = (1 << CUT_BITS) - 1


@inner
def find(octave, at, d):
    """Return the cell of a scaled distance d, and where in it, in [-1/2, 1/2)."""
    bits = float_bits(d)
    entry = octave[np.uint64(at + (bits >> 52))]  # unsigned: there is no index from the end
    cuts = entry & CUT_MASK
    cell = (entry >> CUT_BITS) + ((bits & MANTISSA) >> (52 - cuts))
    return np.uint64(cell), bits_float(((bits << cuts) & MANTISSA) | ONE) - 1.5


@inner
def _sum(powers, cell, u):
    """Return the polynomial of a cell, without its constant: in pairs, so that a sum waits for four products and not for thirteen."""
    u2 = u * u
    u4 = u2 * u2
    one = (powers[cell, 0] + powers[cell, 1] * u) + (powers[cell, 2] + powers[cell, 3] * u) * u2
    two = (powers[cell, 4] + powers[cell, 5] * u) + (powers[cell, 6] + powers[cell, 7] * u) * u2
    three = (powers[cell, 8] + powers[cell, 9] * u) + (powers[cell, 10] + powers[cell, 11] * u) * u2
    return u * ((one + two * u4) + (three + powers[cell, 12] * u4) * (u4 * u4))


@inner
def position_of(model, s, V):
    """Return X of a potential between the lowest and V_th, for parameter set ``s``."""
    p = model.sets[s, V_FIRST]
    for k in range(model.sets[s, V_FIRST], model.sets[s + 1, V_FIRST] - 1):  # no branch that depends on V
        p += model.pieces[k, EDGE] < V
    d = min(max((V - model.pieces[p, ANCHOR]) * model.pieces[p, SCALE], model.pieces[p, LEAST]), BELOW_ONE)
    cell, u = find(model.octave, model.place[p], d)
    X = model.level[cell] + np.int64(np.rint(_sum(model.slope, cell, u)))
    return X if model.bounds[s, HIGH] > V else model.sets[s, FIRES]


@inner
def stretch_of(model, s, X):
    """Return the stretch of positions that X is in."""
    p = model.sets[s, X_FIRST]
    for k in range(model.sets[s, X_FIRST], model.sets[s + 1, X_FIRST] - 1):
        p += model.stretches[k, X_EDGE] < X
    return p


@inner
def voltage_at(model, s, X):
    """Return the potential at X."""
    p = stretch_of(model, s, X)
    away = min(max(X, model.stretches[p, X_LOW]), model.stretches[p, X_HIGH]) - model.stretches[p, X_ANCHOR]
    d = min(max(away * model.stretch[p, 0], model.stretch[p, 1]), BELOW_ONE)
    cell, u = find(model.octave, model.stretches[p, X_OCTAVE], d)
    return model.rest[cell] + _sum(model.bend, cell, u)


@inner
def _sunk(model, s, X):
    """Return whether the flow has taken a neuron below all potentials that are covered."""
    p = stretch_of(model, s, X)
    return model.stretches[p, X_SINKS] != 0 and model.stretches[p, X_HIGH] < X


@inner
def _fire(model, i, start, offset):
    s = model.kind[i]
    if model.refractory[i] > 0:
        model.release[i] = start + offset + model.refractory[i]
    model.y[i] = model.sets[s, RESET] - (offset << model.sets[s, FINENESS])
    return FIRED


@implements(receive, FlowRecord)
def _receive(model, i, start, offset, weight):
    if model.release[i] != FREE or weight == 0.0:
        return NOTHING
    s, y = model.kind[i], model.y[i]
    now = offset << model.sets[s, FINENESS]
    if y < 0 or _sunk(model, s, y + now):
        return OVERFLOW
    V = voltage_at(model, s, y + now) + weight
    if model.bounds[s, AT] <= V:
        return _fire(model, i, start, offset)
    if model.bounds[s, LOW] > V:
        model.y[i] = SUNK
        return OVERFLOW
    model.y[i] = position_of(model, s, V) - now
    return NOTHING


@implements(own_event, FlowRecord)
def _own_event(model, i, start, after):
    if model.release[i] != FREE:
        return model.release[i] - start
    s = model.kind[i]
    half_tick = (1 << model.sets[s, FINENESS]) >> 1
    offset = (model.sets[s, FIRES] - model.y[i] + half_tick) >> model.sets[s, FINENESS]
    return max(after, offset) if offset < model.slab else NEVER


@implements(act, FlowRecord)
def _act(model, i, start, offset):
    if model.release[i] == FREE:
        return _fire(model, i, start, offset)
    s = model.kind[i]
    model.release[i] = FREE
    model.y[i] = model.sets[s, RESET] - (offset << model.sets[s, FINENESS])
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
    culprit = beyond(model, first, n)
    for i in range(first, first + n):
        s, y = model.kind[i], model.y[i]
        if model.release[i] != FREE:
            model.y[i] = model.sets[s, RESET]
        elif y >= 0:
            y += model.slab << model.sets[s, FINENESS]
            p = stretch_of(model, s, y)
            model.y[i] = SUNK if model.stretches[p, X_SINKS] != 0 and y > model.stretches[p, X_HIGH] else min(y, model.stretches[p, X_STOP])
    return culprit


@implements(potential, FlowRecord)
def _potential(model, i, start, offset):
    s = model.kind[i]
    if model.release[i] != FREE:
        return model.bounds[s, V_RESET]
    return voltage_at(model, s, model.y[i] + (offset << model.sets[s, FINENESS]))


nothing_but_potential(FlowRecord)


@inner
def _least(model, i, b):
    """Return the state above which neuron ``i`` crosses threshold before the offset ``b``."""
    s = model.kind[i]
    return model.sets[s, FIRES] + ((1 << model.sets[s, FINENESS]) >> 1) - (b << model.sets[s, FINENESS])


@implements(candidates, FlowRecord)
def _candidates(model, first, n, alike, start, a, b, found):
    y = model.y[first : first + n]
    m = 0
    if alike == 2:
        m = scan(y, _least(model, first, b) + 1, None, False, found)
    else:
        for k in range(n):
            found[m] = k
            m += y[k] > _least(model, first + k, b)
    if model.rests:
        release = model.release[first : first + n]
        m += scan(release, np.int64(0), start + b, False, found[m:])
    return m


@inner
def _inhibit(model, first, words, begin, stop, weight, offset, work):
    """Deliver an inhibitory spike to distinct neurons of the same parameters, step by step for all, so that vector instructions find the
    cells. Refractory ones may change: their release forgets it."""
    s, y, n = model.kind[first], model.y[first:], np.uint64(stop - begin)
    now, low = offset << model.sets[s, FINENESS], model.bounds[s, LOW]
    target = np.uint64(0)
    for k in range(n):
        target = next_target(words, np.uint64(begin) + k, target)
        work[k] = max(y[target], 0)
    for k in range(n):
        work[k] = float_bits(voltage_at(model, s, work[k] + now) + weight)
    for k in range(n):
        V = bits_float(work[k])
        work[k] = position_of(model, s, V) - now if low <= V else SUNK
    target = np.uint64(0)
    for k in range(n):
        target = next_target(words, np.uint64(begin) + k, target)
        if y[target] >= 0:
            y[target] = work[k]


@inner
def _excite(model, first, words, begin, stop, weight, start, offset, b, touched):
    """As `_inhibit`, of an excitatory spike; as `strike`."""
    s, y, release = model.kind[first], model.y[first:], model.release[first:]
    now, at, least = offset << model.sets[s, FINENESS], model.bounds[s, AT], _least(model, first, b)
    m, target = 0, np.uint64(0)
    for q in range(np.uint64(begin), np.uint64(stop)):
        target = next_target(words, q, target)
        state = y[target]
        if state < 0:
            continue
        V = voltage_at(model, s, state + now) + weight
        if at <= V:
            if release[target] == FREE:
                _fire(model, first + np.int64(target), start, offset)
                touched[m] = ~np.int64(target)
                m += 1
            continue
        state = position_of(model, s, V) - now
        y[target] = state
        if state > least and release[target] == FREE:
            touched[m] = np.int64(target)
            m += 1
    return m


@inner
def _each(model, first, words, begin, stop, weight, weights, start, offset, b, touched):
    """As `strike`, of any weights to any neurons."""
    y, release, kind = model.y[first:], model.release[first:], model.kind[first:]
    m, target = 0, np.uint64(0)
    for q in range(np.uint64(begin), np.uint64(stop)):
        target = next_target(words, q, target)
        s, state = kind[target], y[target]
        own = weights[q - np.uint64(begin)] if weights.size else weight
        if state < 0 or own == 0.0 or release[target] != FREE:
            continue
        now = offset << model.sets[s, FINENESS]
        V = voltage_at(model, s, state + now) + own
        if model.bounds[s, AT] <= V:
            _fire(model, first + np.int64(target), start, offset)
            touched[m] = ~np.int64(target)
            m += 1
            continue
        state = position_of(model, s, V) - now if model.bounds[s, LOW] <= V else SUNK
        y[target] = state
        if own > 0.0 and state > _least(model, first + np.int64(target), b):
            touched[m] = np.int64(target)
            m += 1
    return m


@implements(strike, FlowRecord)
def _strike(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    if alike == 2 and weights.size == 0 and weight < 0.0 and are_distinct(words, begin, stop):
        _inhibit(model, first, words, begin, stop, weight, offset, touched)
        return 0
    if alike == 2 and weights.size == 0 and weight > 0.0:
        return _excite(model, first, words, begin, stop, weight, start, offset, b, touched)
    return _each(model, first, words, begin, stop, weight, weights, start, offset, b, touched)


in_order_only(FlowRecord)


@implements(fetch, FlowRecord)
def _fetch(model, i):
    prefetch(model.y, i)


@implements(is_resting, FlowRecord)
def _is_resting(model, i):
    return model.release[i] != FREE


@implements(mark, FlowRecord)
def _mark(model, i):
    return model.y[i]
