"""LIF neurons with exponential currents, many at a time: which may fire by themselves, and what a spike without delay does to a row.

An input moves a current, not V, so that nobody fires at it; inhibition is told of like excitation, since its rounding can lift V by a
quantum, and so bring a crossing a tick nearer.
"""

import numpy as np

from sparseprop_dist.gaps import next_target
from sparseprop_dist.jit import implements, inner
from sparseprop_dist.models.lif_psc_exp_flow import ceiling, least_of, lift, may_reach
from sparseprop_dist.models.lif_psc_exp_record import LIFPscExpRecord, flow_of, jump
from sparseprop_dist.models.lif_record import FREE
from sparseprop_dist.models.protocol import candidates, in_order_only, receive, strike
from sparseprop_dist.models.scan import scan


@inner
def candidates_of(model, drive, first, n, alike, start, a, b, found):
    """As `candidates`; ``drive`` is the record that says what lifts V."""
    v, x, y = model.v[first : first + n], model.x[first : first + n], model.y[first : first + n]
    rate, rate_ex, rate_in = model.rate[first : first + n], model.rate_ex[first : first + n], model.rate_in[first : first + n]
    threshold = model.threshold[first : first + n]
    m = 0
    if alike == 2:
        top, least = ceiling(rate[0], rate_ex[0], rate_in[0], a - model.half, np.float64(b - a)), least_of(threshold[0], 0.0)
        more0, more1 = lift(drive, first, start, a, b)
        for k in range(n):
            begin, most = top.v0 * v[k] + top.x0 * x[k] + top.y0 * y[k] + more0, top.v1 * v[k] + top.x1 * x[k] + top.y1 * y[k] + more1
            found[m] = k
            m += max(begin, most) >= least
    else:
        for k in range(n):
            own = ceiling(rate[k], rate_ex[k], rate_in[k], a - model.half, np.float64(b - a))
            more0, more1 = lift(drive, first + k, start, a, b)
            begin, most = own.v0 * v[k] + own.x0 * x[k] + own.y0 * y[k] + more0, own.v1 * v[k] + own.x1 * x[k] + own.y1 * y[k] + more1
            found[m] = k
            m += max(begin, most) >= least_of(threshold[k], 0.0)
    if model.rests:
        release = model.release[first : first + n]
        m += scan(release, np.int64(0), start + b, False, found[m:])
    return m


@implements(candidates, LIFPscExpRecord)
def _candidates(model, first, n, alike, start, a, b, found):
    return candidates_of(model, model, first, n, alike, start, a, b, found)


@inner
def _strike_alike(model, drive, first, words, begin, stop, weight, start, offset, b, touched):
    """As `strike`, for neurons of the same parameters and one weight."""
    s, rate = offset - model.half, model.rate[first]
    inhibits = weight < 0.0
    charge = weight * (model.charge_in[first] if inhibits else model.charge_ex[first])
    change, own = jump(charge, rate, model.rate_in[first] if inhibits else model.rate_ex[first], s)
    top = ceiling(rate, model.rate_ex[first], model.rate_in[first], s, np.float64(b - offset))
    least = least_of(model.threshold[first], 0.0)
    more0, more1 = lift(drive, first, start, offset, b)
    v, release = model.v[first:], model.release[first:]
    x, y = model.x[first:], model.y[first:]
    more_x, more_y = (0, own) if inhibits else (own, 0)
    m, target = 0, np.uint64(0)
    for q in range(np.uint64(begin), np.uint64(stop)):
        target = next_target(words, q, target)
        x[target] += more_x
        y[target] += more_y
        if release[target] == FREE:
            v[target] += change
            charge_x, charge_y, stand = x[target], y[target], v[target]
            begins = top.v0 * stand + top.x0 * charge_x + top.y0 * charge_y + more0
            if max(begins, top.v1 * stand + top.x1 * charge_x + top.y1 * charge_y + more1) >= least:
                touched[m] = np.int64(target)
                m += 1
    return m


@inner
def strike_of(model, drive, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    """As `strike`; ``drive`` is the record that says what lifts V."""
    if alike == 2 and weights.size == 0:
        return _strike_alike(model, drive, first, words, begin, stop, weight, start, offset, b, touched)
    m, target = 0, np.uint64(0)
    for q in range(begin, stop):
        target = next_target(words, q, target)
        i = first + np.int64(target)
        receive(model, i, start, offset, weights[q - begin] if weights.size else weight)
        if model.release[i] == FREE:
            lifted = lift(drive, i, start, offset, b)
            if may_reach(flow_of(model, i), lifted, offset - model.half, np.float64(b - offset)):
                touched[m] = np.int64(target)
                m += 1
    return m


@implements(strike, LIFPscExpRecord)
def _strike(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    return strike_of(model, model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched)


in_order_only(LIFPscExpRecord)
