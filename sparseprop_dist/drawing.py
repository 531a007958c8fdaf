"""The partners of one neuron, drawn: kernels that stored rows and rows made when their source fires share.

Owns the counters: what is drawn is a function of (seed, projection, neuron) alone, so a row is the same whoever draws it, and when.
"""

import numpy as np

from .elementary import log
from .jit import inner
from .random import MASK, PAIR, S32, U, below, philox, unit

GROUP_MEAN = 32
"""Synapses of a source onto a group of targets, on the average: a rank that owns a part of a pool draws whole groups."""
LEAST_GROUP_BITS, MOST_GROUP_BITS = 8, 30
FIRST_GAPS, MORE_GAPS = 40, 16
"""Gaps that are drawn for a group at first (9 in 10 groups need no more), and then; even, since Philox makes two."""
LONGEST_GAP = float(1 << 30)
"""Beyond any group."""
BATCH = 2048
"""Attempts that are drawn at a time, at most."""


def group_bits(p: float) -> int:
    """Return log2 of the targets in a group, for a probability of connection."""
    bits = LEAST_GROUP_BITS
    while bits < MOST_GROUP_BITS and p * (1 << bits) < GROUP_MEAN:
        bits += 1
    return bits


def gap_scale(p: float) -> float:
    """Return 1/ln(1 - p): the gaps between synapses are geometric, ``floor(scale ln u)``. In plain arithmetic; 1 - p as it is rounded is
    corrected to first order."""
    rest = 1.0 - p
    if p == 0.0 or rest == 0.0:
        return -np.inf if p == 0.0 else -0.0
    return -np.inf if rest == 1.0 else float((1.0 - rest) / (p * log(rest)))


@inner
def _multiply(products, first, n, of, place, purpose, seed):
    """Write the 32-bit words of the attempts from ``first`` (even) on, times ``n``: a number below it, and a rest (see `random.below`)."""
    for k in range(products.size >> 1):
        x, y = philox(U((first >> 1) + k), U(of), U(place), U(purpose), U(seed))
        products[2 * k] = (x >> S32) * U(n)
        products[2 * k + 1] = (y >> S32) * U(n)


@inner
def _once_more(attempt, n, of, place, purpose, seed):
    """Return the number that an attempt draws whose rest is too small: one more word is drawn, rarely two."""
    x, y = philox(U(attempt >> 1), U(of), U(place), U(purpose), U(seed))
    return below(y if attempt & 1 else x, U(n), U(attempt), U(of), U(place), U(purpose) | U(1 << 8), U(seed))


@inner
def _complement(out, n, own, taken):
    k = 0
    for partner in range(n):
        if not (taken[partner >> 6] >> U(partner & 63)) & U(1) and partner != own:
            out[k] = partner
            k += 1
    taken[:] = 0


@inner
def draw_partners(out, n, own, distinct, taken, products, of, place, purpose, seed):
    """Draw ``out.size`` partners of neuron ``of`` out of ``n``, except ``own`` (-1: none); distinct ones by rejection, or by drawing those
    left out if they are fewer.

    ``taken`` has a bit for each of the n, where they must be distinct; they are 0 before and after. ``products`` holds BATCH numbers.
    """
    if out.size == 0:
        return
    pool = n - 1 if own >= 0 else n
    left_out = distinct and 2 * out.size > pool
    wanted = pool - out.size if left_out else out.size
    floor = ((U(1) << S32) - U(pool)) % U(pool)
    k, first = np.int64(0), np.int64(0)
    while k < wanted:
        count = min(BATCH, (wanted - k + 1) & ~1)
        _multiply(products[:count], first, pool, of, place, purpose, seed)
        for attempt in range(first, first + min(count, wanted - k)):
            product = products[attempt - first]
            partner = np.int64(product >> S32)
            if product & MASK < floor:
                partner = _once_more(attempt, pool, of, place, purpose, seed)
            if own >= 0 and partner >= own:
                partner += 1
            if distinct:
                bit = U(1) << U(partner & 63)
                if taken[partner >> 6] & bit:
                    continue
                taken[partner >> 6] |= bit
            if not left_out:
                out[k] = partner
            k += 1
        first += min(count, wanted)
    if left_out:
        _complement(out, n, own, taken)
    elif distinct:
        for partner in out:
            taken[partner >> 6] = 0


@inner
def _draw_gaps(gaps, first, scale, source, group, place, seed):
    """Write the gaps from number ``first`` (even) on between the synapses of a source onto a group."""
    for k in range(gaps.size >> 1):
        x, y = philox(U((first >> 1) + k), U(source), U(place), U(PAIR) | U(group) << U(8), U(seed))
        gaps[2 * k] = np.int32(min(log(unit(x)) * scale, LONGEST_GAP))
        gaps[2 * k + 1] = np.int32(min(log(unit(y)) * scale, LONGEST_GAP))


@inner
def draw_pairs(out, start, stop, own, scale, bits, gaps, source, place, seed):
    """Draw the targets of a source in [start, stop), except ``own``, each with a probability that ``scale`` stands for; ascending. Return
    their number, or -1 if ``out`` has no room.

    Targets come in groups of 2^bits, each a stream of its own, so that a range of targets needs only the groups that it meets. ``gaps``
    holds FIRST_GAPS numbers.
    """
    n = 0
    for group in range(start >> bits, ((stop - 1) >> bits) + 1):
        target, end = group << bits, min((group + 1) << bits, stop)
        first, count = np.int64(0), np.int64(FIRST_GAPS)
        while target < end:
            _draw_gaps(gaps[:count], first, scale, source, group, place, seed)
            for k in range(count):
                target += np.int64(gaps[k])
                if target >= end:
                    break
                if target >= start and target != own:
                    if n == out.size:
                        return -1
                    out[n] = target
                    n += 1
                target += 1
            first += count
            count = np.int64(MORE_GAPS)
    return n
