"""What the event-driven schedules do with many QIF neurons at once: find those that may act, deliver a row, carry them on."""

import numpy as np

from sparseprop_dist.elementary import cos_and_sinc
from sparseprop_dist.gaps import next_target
from sparseprop_dist.jit import bits_float, float_bits, implements, merged, moebius, prefetch
from sparseprop_dist.models.protocol import beyond, candidates, carry, strike
from sparseprop_dist.models.qif_record import MOST, QIFRecord, elapsed_at, frame, moved, struck
from sparseprop_dist.models.row import AHEAD, are_distinct, before_ahead, strike_each
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


@merged
def _root(elapsed, drive, rate):
    """Return c/S, where V is infinite."""
    x = elapsed * rate
    c, ratio = cos_and_sinc(drive * x * x)
    return c / (ratio * x)


@merged
def _range(model, start, a, b):
    """Return low, high and outside, as `scan` has them, of the r at which V of some neuron may pass infinity in [a, b), in short frames.

    c/S falls with x, through -inf and inf at the anchor; and it falls with I for x > 0, and rises for x < 0.
    """
    begin, end = elapsed_at(model, start, a - GUARD), elapsed_at(model, start, b + GUARD)
    first = _root(begin, model.low, model.slow) if begin > 0.0 else _root(begin, model.high, model.fast)
    last = _root(end, model.high, model.fast) if end > 0.0 else _root(end, model.low, model.slow)
    if begin <= 0.0 <= end:
        return first, last, True
    return last, first, False


@merged
def _candidates_each(model, first, n, start, a, b, found):
    r, m = model.r[first : first + n], 0
    if model.short and model.endless:
        low, high, outside = _range(model, start, a, b)
        return scan(r, low, high, outside, found)
    for k in range(n):
        alpha, beta = _side(model, first + k, start, a - GUARD)
        alpha_b, beta_b = _side(model, first + k, start, b + GUARD)
        found[m] = k
        m += _crosses(r[k], alpha, beta, alpha_b, beta_b)
    return m


@implements(candidates, QIFRecord)
def _candidates(model, first, n, alike, start, a, b, found):
    if alike == 2:
        alpha, beta = _side(model, first, start, a - GUARD)
        alpha_b, beta_b = _side(model, first, start, b + GUARD)
        m = _candidates_alike(model.r[first : first + n], alpha, beta, alpha_b, beta_b, found)
    else:
        m = _candidates_each(model, first, n, start, a, b, found)
    if model.rests:
        release = model.release[first : first + n]
        m += scan(release, np.int64(0), start + b, False, found[m:])
    return m


@merged
def _inhibit(model, first, words, begin, stop, weight, start, offset):
    """Deliver an inhibitory spike to neurons of the same frame, none ever refractory: four at a time where they are distinct."""
    r = model.r[first:]
    c, s = frame(model, first, start, offset)
    one, two, three, four = 1.0 - weight * c * s, weight * c * c, -weight * s * s, 1.0 + weight * c * s
    q, last, m = np.uint64(begin), np.uint64(stop), np.uint64(0)
    while q + np.uint64(4) <= last:
        i = next_target(words, q, m)
        j = next_target(words, q + np.uint64(1), i)
        k = next_target(words, q + np.uint64(2), j)
        m = next_target(words, q + np.uint64(3), k)
        q += np.uint64(4)
        if i < j and j < k and k < m:
            moebius(r, i, j, k, m, one, two, three, four, MOST)
            continue
        for target in (i, j, k, m):
            r[target] = moved(r[target], one, two, three, four)
    for left in range(q, last):
        m = next_target(words, left, m)
        r[m] = moved(r[m], one, two, three, four)


@merged
def _excite(model, first, words, begin, stop, weight, start, offset, b, touched):
    """Deliver an excitatory spike to neurons of the same parameters, none ever refractory; as `strike`."""
    r = model.r[first:]
    c, s = frame(model, first, start, offset)
    one, two, three, four = 1.0 - weight * c * s, weight * c * c, -weight * s * s, 1.0 + weight * c * s
    alpha, beta = _side(model, first, start, offset - GUARD)
    alpha_b, beta_b = _side(model, first, start, b + GUARD)
    m, target = 0, np.uint64(0)
    for q in range(np.uint64(begin), np.uint64(stop)):
        target = next_target(words, q, target)
        x = moved(r[target], one, two, three, four)
        r[target] = x
        if _crosses(x, alpha, beta, alpha_b, beta_b):
            touched[m] = np.int64(target)
            m += 1
    return m


@merged
def _strike_alike(model, first, words, begin, stop, weights, start, offset, b, touched):
    """As `_excite`, with one weight a synapse, of any sign."""
    r = model.r[first:]
    c, s = frame(model, first, start, offset)
    alpha, beta = _side(model, first, start, offset - GUARD)
    alpha_b, beta_b = _side(model, first, start, b + GUARD)
    m, target, soon = 0, np.uint64(0), before_ahead(words, begin, stop)
    for q in range(np.uint64(begin), np.uint64(stop)):
        soon = next_target(words, min(q + AHEAD, np.uint64(stop - 1)), soon)
        prefetch(r, np.int64(soon))
        target, own = next_target(words, q, target), weights[q - np.uint64(begin)]
        x = struck(r[target], c, s, own)
        r[target] = x
        if own > 0.0 and _crosses(x, alpha, beta, alpha_b, beta_b):
            touched[m] = np.int64(target)
            m += 1
    return m


@merged
def _move_together(model, first, words, begin, stop, weight, weights, x, work):
    """Write to ``work`` where the targets of a row come to, as bits; what lies far apart is read first, so that vector instructions do the
    rest: 2 ns a target instead of 6.6."""
    r, drive, n = model.r[first:], model.drive[first:], np.uint64(stop - begin)
    target, soon = np.uint64(0), before_ahead(words, begin, stop)
    for k in range(n):
        soon = next_target(words, np.uint64(begin) + min(k + AHEAD, n - np.uint64(1)), soon)
        prefetch(r, np.int64(soon))
        prefetch(drive, np.int64(soon))
        target = next_target(words, np.uint64(begin) + k, target)
        work[k], work[n + k] = float_bits(r[target]), float_bits(drive[target])
    for k in range(n):
        c, ratio = cos_and_sinc(bits_float(work[n + k]) * x * x)
        work[k] = float_bits(struck(bits_float(work[k]), c, ratio * x, weights[k] if weights.size else weight))


@merged
def _strike_together(model, first, words, begin, stop, weight, weights, start, offset, b, touched):
    """Deliver a spike to neurons of one tau_m in short frames, of which none fires at an input or is ever refractory; as `strike`."""
    r = model.r[first:]
    low, high, outside = _range(model, start, offset, b)
    _move_together(model, first, words, begin, stop, weight, weights, elapsed_at(model, start, offset) * model.slow, touched)
    m, target = 0, np.uint64(0)
    for q in range(np.uint64(begin), np.uint64(stop)):
        target, x = next_target(words, q, target), bits_float(touched[q - np.uint64(begin)])
        r[target] = x
        own = weights[q - np.uint64(begin)] if weights.size else weight
        if own > 0.0 and (low <= x < high) != outside:
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
    if alike == 2 and not model.rests and np.isinf(model.threshold[first * model.various]):
        return _strike_alike(model, first, words, begin, stop, weights, start, offset, b, touched)
    at_once = model.short and model.endless and not model.rests and model.various and model.slow == model.fast
    if at_once and are_distinct(words, begin, stop):
        return _strike_together(model, first, words, begin, stop, weight, weights, start, offset, b, touched)
    return strike_each(model, first, words, begin, stop, weight, weights, start, offset, b, touched)


@implements(beyond, QIFRecord)
def _beyond(model, first, n):
    r, none = model.r[first : first + n], np.int64(0)
    for k in range(n):
        none |= np.int64(r[k] != r[k])
    culprit = -1
    for k in range(n if none else 0):
        culprit = k if np.isnan(r[k]) else culprit
    return culprit


@merged
def _carry_alike(r, c, s, i_s):
    for k in range(r.size):
        r[k] = min(max((r[k] * c + i_s) / (c - r[k] * s), -MOST), MOST)


@merged
def _carry_each(model, first, n):
    r, drive, turn_c, turn_s = model.r[first:], model.drive[first:], model.turn_c[first:], model.turn_s[first:]
    for k in range(n):
        c, s = turn_c[k], turn_s[k]
        r[k] = min(max((r[k] * c + drive[k] * s) / (c - r[k] * s), -MOST), MOST)


@implements(carry, QIFRecord)
def _carry(model, first, n, start):
    # no weight that is allowed makes an r that is no number; looking for one at the end of each slab cost 10 to 18 ns a spike
    if ((start >> model.slab_bits) & model.group) != model.group:
        return np.int64(-1)
    culprit = np.int64(beyond(model, first, n))
    if model.various == 0:
        _carry_alike(model.r[first : first + n], model.turn_c[0], model.turn_s[0], model.drive[0] * model.turn_s[0])
    else:
        _carry_each(model, first, n)
    return culprit
