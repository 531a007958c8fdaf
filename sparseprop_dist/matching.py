"""Matched ends: synapses whose sources follow from the target, and whose targets follow from the source, with nothing kept of either.

A synapse has an end at its source and an end at its target. If both ends of all n synapses are numbered, neuron by neuron, the synapses
are a permutation of n numbers: here a Feistel network on the rows and columns of a square, walked until it comes back below n (Black &
Rogaway, CT-RSA 2002), with a key for each projection; shuffles of this kind are as good as random ones (Mitchell et al., ACM TOPC 2022).
Given how many ends each neuron has, a random matching is what n independent choices of a source and a target give (the configuration
model), so the law is that of the rule.
"""

import math

import numpy as np

from .jit import inner
from .random import S32, U

ROUNDS = 8
"""Twice what makes a permutation that cannot be told from a random one, where the rounds are random functions (Luby & Rackoff, SIAM J.
Comput. 1988)."""
LEAST_SIDE = 64
"""A permutation of fewer than 64 x 64 numbers is walked in these: smaller halves know few functions."""
C1, C2 = U(0xFF51AFD7ED558CCD), U(0xC4CEB9FE1A85EC53)


def match_side(n: int) -> int:
    """Return the side of the square that holds ``n`` numbers: a number is a row and a column."""
    return max(LEAST_SIDE, math.isqrt(max(n - 1, 0)) + 1)


def match_key(key: tuple[int, ...]) -> np.ndarray:
    """Return the keys of the rounds, uint64 (ROUNDS,)."""
    return np.random.SeedSequence(key).generate_state(ROUNDS, np.uint64)


@inner
def _mix(half, side, key):
    """Return a number below ``side`` that depends on all of ``half``: two rounds of a finaliser of MurmurHash3."""
    z = (half ^ key) * C1
    z = (z ^ (z >> S32)) * C2
    return ((z >> S32) * side) >> S32


@inner
def source_end(end, n, side, keys):
    """Return the number, among those at sources, of the synapse that has the number ``end`` at its target."""
    side, x = U(side), U(end)
    while True:
        row, column = x // side, x % side
        for k in range(0, ROUNDS, 2):
            column += _mix(row, side, keys[k])
            column -= side if column >= side else U(0)
            row += _mix(column, side, keys[k + 1])
            row -= side if row >= side else U(0)
        x = row * side + column
        if x < U(n):
            return np.int64(x)


@inner
def target_end(end, n, side, keys):
    """Return the number at its target of the synapse that has the number ``end`` at its source: the inverse of `source_end`."""
    side, x = U(side), U(end)
    while True:
        row, column = x // side, x % side
        for k in range(ROUNDS - 2, -2, -2):
            row += side - _mix(column, side, keys[k + 1])
            row -= side if row >= side else U(0)
            column += side - _mix(row, side, keys[k])
            column -= side if column >= side else U(0)
        x = row * side + column
        if x < U(n):
            return np.int64(x)


@inner
def owner(ends, end):
    """Return the neuron that has an end, where ``ends`` (n + 1,) says where those of each begin. It is looked for around the place where
    it would be if all had as many."""
    last = np.int64(ends.size - 1)
    low, step = min(np.int64(np.float64(end) * last / ends[last]), last - 1), np.int64(1)
    while ends[low] > end:
        low = max(low - step, np.int64(0))
        step *= 2
    high, step = low + 1, np.int64(1)
    while ends[high] <= end:
        low = high
        high = min(high + step, last)
        step *= 2
    while high - low > 1:
        middle = (low + high) >> 1
        if ends[middle] <= end:
            low = middle
        else:
            high = middle
    return low
