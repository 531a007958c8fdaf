"""Sums of floats that do not depend on the order of their terms: each term is two integers, rounded once (``docs/design/gradients.md``)."""

import numpy as np

from .jit import float_bits, inline

HIGH, LOW = 2.0**16, 2.0**40
"""Units of the first integer of a sum in 1, and of the second in one of the first."""
LOW_BITS = 40
MOST = 2.0**50
"""Of a term in units of the first: below it `split` is exact, and 2^11 spikes of 2^20 targets overflow no sum."""
MIDDLE = 3.0 * 2.0**51
"""Floats within 2^51 of it are the integers."""
MIDDLE_BITS = int(np.float64(MIDDLE).view(np.int64))


@inline
def split(y):
    """Return the two integers of a term given in units of the first."""
    shifted = y + MIDDLE
    rest = (y - (shifted - MIDDLE)) * LOW
    return float_bits(shifted) - MIDDLE_BITS, float_bits(rest + MIDDLE) - MIDDLE_BITS


@inline
def add(sums, k, x, worst):
    """Add x to sum ``k`` of int64 (2, n); ``worst`` remembers the largest."""
    y = x * HIGH
    worst[0] = max(worst[0], abs(y)) if y == y else np.inf
    high, low = split(y if abs(y) < MOST else 0.0)
    sums[0, k] += high
    sums[1, k] += low


@inline
def carry(sums, k):
    """Bring sum ``k`` into its only form: the second integer from 0 to LOW - 1."""
    sums[0, k] += sums[1, k] >> LOW_BITS
    sums[1, k] &= (1 << LOW_BITS) - 1


def carried(sums: np.ndarray) -> np.ndarray:
    """Return sums of int64 (2, n) in their only form."""
    return np.array([sums[0] + (sums[1] >> LOW_BITS), sums[1] & ((1 << LOW_BITS) - 1)])


def value_of(sums: np.ndarray) -> np.ndarray:
    """Return carried sums of int64 (2, n) as float64 (n,)."""
    out: np.ndarray = (sums[0] + sums[1] / LOW) / HIGH
    return out
