"""What the event-driven schedules do with many QIF neurons at once: find those that may act, deliver a row."""

import numpy as np

from sparseprop_dist.jit import implements, merged
from sparseprop_dist.models.protocol import FIRED, candidates, own_event, receive, strike
from sparseprop_dist.models.qif_record import FREE, QIFRecord, frame, moved
from sparseprop_dist.models.scan import scan

GUARD = 4
"""Ticks that a stretch is longer to either side, in which crossings are looked for: for rounding."""


@merged
def _side(model, i, start, offset):
    """Return alpha, beta: V passes threshold where alpha + r beta changes its sign."""
    j = i * model.various
    c, s = frame(model, i, start, offset)
    if np.isinf(model.threshold[j]):
        return c, -s
    return model.drive[j] * s - model.threshold[j] * c, c + model.threshold[j] * s


@merged
def _crosses(r, alpha, beta, alpha_b, beta_b):
    return (alpha + r * beta) * (alpha_b + r * beta_b) <= 0.0


@merged
def _candidates_alike(r, alpha, beta, alpha_b, beta_b, found):
    """What changes its sign does so between the roots of two lines, or outside of them where one falls and the other rises."""
    if beta * beta_b == 0.0:
        m = 0
        for k in range(r.size):
            found[m] = k
            m += _crosses(r[k], alpha, beta, alpha_b, beta_b)
        return m
    root, root_b = -alpha / beta, -alpha_b / beta_b
    return scan(r, min(root, root_b), max(root, root_b), beta * beta_b < 0.0, found)


@implements(candidates, QIFRecord)
def _candidates(model, first, n, alike, start, a, b, found):
    r = model.r[first : first + n]
    m = 0
    if alike == 2:
        alpha, beta = _side(model, first, start, a - GUARD)
        alpha_b, beta_b = _side(model, first, start, b + GUARD)
        m = _candidates_alike(r, alpha, beta, alpha_b, beta_b, found)
    else:
        for k in range(n):
            alpha, beta = _side(model, first + k, start, a - GUARD)
            alpha_b, beta_b = _side(model, first + k, start, b + GUARD)
            found[m] = k
            m += _crosses(r[k], alpha, beta, alpha_b, beta_b)
    if model.rests:
        release = model.release[first : first + n]
        for k in range(n):
            if release[k] != FREE and release[k] < start + b:
                found[m] = k
                m += 1
    return m


@merged
def _inhibit(model, first, words, begin, stop, weight, start, offset):
    """Deliver an inhibitory spike to neurons of the same frame, none ever refractory. As fast as with divisions eight at a time (96 ns for
    a row of 100): the core waits for memory."""
    r = model.r[first:]
    c, s = frame(model, first, start, offset)
    one, two, three, four = 1.0 - weight * c * s, weight * c * c, -weight * s * s, 1.0 + weight * c * s
    for q in range(np.uint64(begin), np.uint64(stop)):
        r[words[q]] = moved(r[words[q]], one, two, three, four)


@merged
def _excite(model, first, words, begin, stop, weight, start, offset, b, touched):
    """Deliver an excitatory spike to neurons of the same parameters, none ever refractory; as `strike`."""
    r = model.r[first:]
    c, s = frame(model, first, start, offset)
    one, two, three, four = 1.0 - weight * c * s, weight * c * c, -weight * s * s, 1.0 + weight * c * s
    alpha, beta = _side(model, first, start, offset - GUARD)
    alpha_b, beta_b = _side(model, first, start, b + GUARD)
    m = 0
    for q in range(np.uint64(begin), np.uint64(stop)):
        target = words[q]
        x = moved(r[target], one, two, three, four)
        r[target] = x
        if _crosses(x, alpha, beta, alpha_b, beta_b):
            touched[m] = np.int64(target)
            m += 1
    return m


@implements(strike, QIFRecord)
def _strike(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    if alike and weights.size == 0 and not model.rests:
        if weight <= 0.0:
            _inhibit(model, first, words, begin, stop, weight, start, offset)
            return 0
        if alike == 2 and np.isinf(model.threshold[first * model.various]):
            return _excite(model, first, words, begin, stop, weight, start, offset, b, touched)
    m = 0
    for q in range(begin, stop):
        target = np.int64(words[q])
        own = weights[q - begin] if weights.size else weight
        if receive(model, first + target, start, offset, own) == FIRED:
            touched[m] = ~target
            m += 1
        elif own > 0.0 and own_event(model, first + target, start, offset + 1) < b:
            touched[m] = target
            m += 1
    return m
