"""What the event-driven schedules do with many LIF neurons at once: find those that may act, deliver a row."""

import numpy as np

from sparseprop_dist.elementary import SMALL, exp_frame, exp_small, exp_to_quarter
from sparseprop_dist.gaps import GAP_BYTES, next_target
from sparseprop_dist.jit import bits_float, float_bits, implements, item_bytes, merged, prefetch
from sparseprop_dist.models.lif_record import FREE, SLACK, LIFRecord, fire, jump, stand
from sparseprop_dist.models.protocol import candidates, inhibit, set_apart, strike, strike_back
from sparseprop_dist.models.row import AHEAD, before_ahead, strike_one
from sparseprop_dist.models.scan import scan

APART = 3 << 61
"""State of a neuron that is set apart. What is delivered meanwhile is less than 2^61 (`engine.slots`): it stays above all others."""
LEAST_APART = 3 << 60
GUARD = 2.0**-38
"""Part of a threshold that it counts as lower, where neurons that may cross it are looked for: for rounding."""


@merged
def _flag_alike(y, threshold, grown, grown_b, flags):
    """Flag states that may cross threshold, of neurons of one tau_m, with factors that the ends of the frame have grown by."""
    for k in range(y.size):
        low = min(threshold[k] * grown, threshold[k] * grown_b)
        flags[k] = y[k] >= low - 4.0 - abs(low) * GUARD


@merged
def _flag_each(y, threshold, slope, rate, away, away_b, flags):
    """As `_flag_alike`, for neurons that differ in all. What leaks has no slope, and its bound is lowest at the start if above 0, else at
    the end."""
    for k in range(y.size):
        lowest = threshold[k] * exp_to_quarter((away if threshold[k] >= 0.0 else away_b) * rate[k])
        low = lowest - max(slope[k] * away, slope[k] * away_b)
        flags[k] = y[k] >= low - 4.0 - abs(low) * GUARD - abs(slope[k])


@merged
def _candidates_each(model, first, n, alike, a, b, found):
    """As `candidates`, of neurons that differ. ``found`` has room for twice as many: flags come behind."""
    y, threshold, flags = model.y[first : first + n], model.threshold[first : first + n], found[n : 2 * n]
    away, away_b = a - model.half, b - model.half
    rate, slope = model.rate[first : first + n], model.slope[first : first + n]
    if (alike or model.paced) and not model.drifts:
        _flag_alike(y, threshold, exp_to_quarter(away * rate[0]), exp_to_quarter(away_b * rate[0]), flags)
    else:
        _flag_each(y, threshold, slope, rate, away, away_b, flags)
    return scan(flags, np.int32(1), None, False, found)


@implements(candidates, LIFRecord)
def _candidates(model, first, n, alike, start, a, b, found):
    y = model.y[first : first + n]
    m = 0
    if alike == 2:
        m = scan(y, _least(model, first, a, b), None, False, found)
    else:
        m = _candidates_each(model, first, n, alike, a, b, found)
    if model.rests:
        release = model.release[first : first + n]
        m += scan(release, np.int64(0), start + b, False, found[m:])
    return m


@merged
def _least(model, i, a, b):
    """Return what a state must reach for its neuron to cross threshold at an offset in [a, b), less a guard for rounding."""
    low = min(stand(model.threshold[i * model.various], model, i, a), stand(model.threshold[i * model.various], model, i, b))
    return low - 2 - (abs(low) >> 40) - np.int64(abs(model.slope[i * model.various]))


@merged
def _excite(model, first, words, begin, stop, amount, start, offset, b, touched):
    """Deliver an excitatory spike to neurons of the same parameters; as `strike`."""
    y, release = model.y[first:], model.release[first:]
    threshold = stand(model.threshold[first * model.various], model, first, offset) - SLACK
    least = min(threshold, _least(model, first, offset, b))
    m, target = 0, np.uint64(0)
    for q in range(np.uint64(begin), np.uint64(stop)):
        target = next_target(words, q, target)
        v = y[target] + amount
        y[target] = v
        if v >= least and release[target] == FREE:
            touched[m] = np.int64(target)
            if v >= threshold:
                fire(model, first + np.int64(target), start, offset)
                touched[m] = ~np.int64(target)
            m += 1
    return m


@merged
def _only_inhibits(model, alike, amount):
    """Is it certain that no neuron fires at an arrival of this amount? Not if it may stand above threshold, or within the slack below."""
    return alike > 0 and amount <= -2 * SLACK and model.keeps == 0


@merged
def _write_amounts(model, first, alike, words, begin, stop, weight, weights, offset, work):
    """Write by how much each input changes its target to ``work``, with the bits of `jump`: what lies far apart is read first, so that
    vector instructions do the rest."""
    n, away, paced = np.uint64(stop - begin), offset - model.half, alike or model.paced
    y, rate, gain = model.y[first:], model.rate[first:], model.gain[first:]
    target, soon = np.uint64(0), before_ahead(words, begin, stop)
    for k in range(n):
        soon = next_target(words, np.uint64(begin) + min(k + AHEAD, n - np.uint64(1)), soon)
        prefetch(y, np.int64(soon))
        target = next_target(words, np.uint64(begin) + k, target)
        if alike == 0:
            prefetch(gain, np.int64(soon))
        if not paced:
            prefetch(rate, np.int64(soon))
            work[n + k] = float_bits(rate[target])
        work[k] = float_bits((weights[k] if weights.size else weight) * gain[np.uint64(0) if alike else target])
    if paced:
        grown = exp_frame(away * rate[0])
        for k in range(n):
            work[k] = np.int64(np.rint(bits_float(work[k]) * grown))
        return
    for k in range(n):
        x = away * bits_float(work[n + k])
        grown = exp_small(x) if abs(x) <= SMALL else exp_to_quarter(x)
        work[k] = np.int64(np.rint(bits_float(work[k]) * grown))


@merged
def _strike_each(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    """As `strike`, of any weights to any neurons."""
    _write_amounts(model, first, alike, words, begin, stop, weight, weights, offset, touched)
    y = model.y[first:]
    m, target = np.int64(0), np.uint64(0)
    for q in range(begin, stop):
        target, amount = next_target(words, q, target), touched[q - begin]
        if amount <= -2 * SLACK and model.keeps == 0:
            y[target] += amount
            continue
        own = weights[q - begin] if weights.size else weight
        m = strike_one(model, first, np.int64(target), own, start, offset, b, touched, m)
    return m


@merged
def add_to_all(y, words, begin, stop, amount):
    """Add an amount to the states of a row; where it has gaps four at a time, since each target waits for the one before."""
    q, last, four, target = np.uint64(begin), np.uint64(stop), np.uint64(4), np.uint64(0)
    while item_bytes(words) == GAP_BYTES and q + four <= last:
        one, three = np.uint64(words[q]), np.uint64(words[q + np.uint64(2)])
        two, both = one + np.uint64(words[q + np.uint64(1)]), three + np.uint64(words[q + np.uint64(3)])
        y[target + one] += amount
        y[target + two] += amount
        target += two
        y[target + three] += amount
        target += both
        y[target] += amount
        q += four
    for left in range(q, last):
        target = next_target(words, left, target)
        y[target] += amount


@implements(strike, LIFRecord)
def _strike(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    if alike and weights.size == 0:
        amount = jump(model, first, offset, weight)
        if _only_inhibits(model, alike, amount):
            add_to_all(model.y[first:], words, begin, stop, amount)
            return 0
        if alike == 2 and amount > 0:
            return _excite(model, first, words, begin, stop, amount, start, offset, b, touched)
    return _strike_each(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched)


@implements(strike_back, LIFRecord)
def _strike_back(model, first, alike, words, begin, stop, weight, start, offset):
    amount = jump(model, first, offset, weight)
    if not _only_inhibits(model, alike, amount):
        return False
    add_to_all(model.y[first:], words, begin, stop, -amount)
    return True


@implements(set_apart, LIFRecord)
def _set_apart(model, i):
    model.y[i] = APART
    return True


@merged
def _inhibit_one(y, target, at, amount, met, m):
    """Add an amount to the state of the target of word ``at``; return the number of those met that are set apart."""
    v = y[target]
    y[target] = v + amount
    if v > LEAST_APART:
        met[2 * m], met[2 * m + 1] = np.int64(target), np.int64(at)
        m += 1
    return m


@merged
def _inhibit_alike(y, words, begin, stop, amount, met):
    """Add an amount to states; as `inhibit`. Where rows have gaps four at a time, as `add_to_all`."""
    q, last, four, target, m = np.uint64(begin), np.uint64(stop), np.uint64(4), np.uint64(0), 0
    while item_bytes(words) == GAP_BYTES and q + four <= last:
        at, one, three = np.int64(q) - begin, np.uint64(words[q]), np.uint64(words[q + np.uint64(2)])
        two, both = one + np.uint64(words[q + np.uint64(1)]), three + np.uint64(words[q + np.uint64(3)])
        m = _inhibit_one(y, target + one, at, amount, met, m)
        m = _inhibit_one(y, target + two, at + 1, amount, met, m)
        target += two
        m = _inhibit_one(y, target + three, at + 2, amount, met, m)
        target += both
        m = _inhibit_one(y, target, at + 3, amount, met, m)
        q += four
    for left in range(q, last):
        target = next_target(words, left, target)
        m = _inhibit_one(y, target, np.int64(left) - begin, amount, met, m)
    return m


@implements(inhibit, LIFRecord)
def _inhibit(model, first, alike, words, begin, stop, weight, weights, sign, start, offset, met):
    y = model.y[first:]
    if alike and weights.size == 0:
        amount = jump(model, first, offset, weight)
        return _inhibit_alike(y, words, begin, stop, sign * amount, met) if amount <= -2 * SLACK else np.int64(-1)
    m, target = np.int64(0), np.uint64(0)
    for q in range(begin, stop):
        target = next_target(words, q, target)
        amount = jump(model, first + np.int64(target), offset, weights[q - begin] if weights.size else weight)
        if amount > -2 * SLACK:
            target = np.uint64(0)
            for back in range(begin, q):
                target = next_target(words, back, target)
                y[target] -= sign * jump(model, first + np.int64(target), offset, weights[back - begin] if weights.size else weight)
            return np.int64(-1)
        if y[target] > LEAST_APART:
            met[2 * m], met[2 * m + 1] = np.int64(target), q - begin
            m += 1
        y[target] += sign * amount
    return m
