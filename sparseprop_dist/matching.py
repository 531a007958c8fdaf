"""Matched ends: synapses whose sources follow from the target, and whose targets follow from the source, with nothing kept of either.

A synapse has an end at its source and an end at its target. If both ends of all n synapses are numbered, neuron by neuron, the synapses
are a permutation of n numbers: here a Feistel network on the rows and columns of a square, walked until it comes back below n (Black &
Rogaway, CT-RSA 2002), with a key for each projection; shuffles of this kind are as good as random ones (Mitchell et al., ACM TOPC 2022).
Given how many ends each neuron has, a random matching is what n independent choices of a source and a target give (the configuration
model), so the law is that of the rule.
"""

import math

import numpy as np

from .jit import inline, inner
from .random import M0, M1, MASK, S32, U

ROUNDS = 8
"""Twice what makes a permutation that cannot be told from a random one, where the rounds are random functions (Luby & Rackoff, SIAM J.
Comput. 1988)."""
LEAST_SIDE = 64
"""A permutation of fewer than 64 x 64 numbers is walked in these: smaller halves know few functions."""


def match_side(n: int) -> int:
    """Return the side of the square that holds ``n`` numbers: a number is a row and a column."""
    return max(LEAST_SIDE, math.isqrt(max(n - 1, 0)) + 1)


def match_key(key: tuple[int, ...]) -> np.ndarray:
    """Return the keys of the rounds, uint64 (ROUNDS,)."""
    return np.random.SeedSequence(key).generate_state(ROUNDS, np.uint64)


@inline
def _mix(half, side, key):
    """Return a number below ``side`` that depends on all of ``half`` (below 2^32): by the multipliers of Philox, twice, since one product
    of numbers that are near says how near."""
    z = M0 * ((half ^ key) & MASK)
    z = M1 * ((z >> S32) ^ (z & MASK))
    return (((z >> S32) ^ (z & MASK)) * side) >> S32


@inline
def _forth(row, column, side, one, other):
    """Two rounds."""
    column += _mix(row, side, one)
    column -= side if column >= side else U(0)
    row += _mix(column, side, other)
    return row - (side if row >= side else U(0)), column


@inline
def _back(row, column, side, one, other):
    """Their inverse."""
    row += side - _mix(column, side, other)
    row -= side if row >= side else U(0)
    column += side - _mix(row, side, one)
    return row, column - (side if column >= side else U(0))


@inner
def source_end(end, n, side, keys):
    """Return the number, among those at sources, of the synapse that has the number ``end`` at its target."""
    side, x = U(side), U(end)
    while True:
        row, column = x // side, x % side
        for k in range(0, ROUNDS, 2):
            row, column = _forth(row, column, side, keys[k], keys[k + 1])
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
            row, column = _back(row, column, side, keys[k], keys[k + 1])
        x = row * side + column
        if x < U(n):
            return np.int64(x)


@inner
def _row_forth(row, column, side, keys, out):
    a, b, c, d, e, f, g, h = keys[0], keys[1], keys[2], keys[3], keys[4], keys[5], keys[6], keys[7]
    for k in range(out.size):
        x, y = _forth(row, column + U(k), side, a, b)
        x, y = _forth(x, y, side, c, d)
        x, y = _forth(x, y, side, e, f)
        x, y = _forth(x, y, side, g, h)
        out[k] = x * side + y


@inner
def _row_back(row, column, side, keys, out):
    a, b, c, d, e, f, g, h = keys[0], keys[1], keys[2], keys[3], keys[4], keys[5], keys[6], keys[7]
    for k in range(out.size):
        x, y = _back(row, column + U(k), side, g, h)
        x, y = _back(x, y, side, e, f)
        x, y = _back(x, y, side, c, d)
        x, y = _back(x, y, side, a, b)
        out[k] = x * side + y


@inner
def source_ends(first, n, side, keys, out):
    """Write what `source_end` says of the ends ``first``, ``first + 1``, ...: a row of the square at a time, by vector instructions."""
    k = 0
    while k < out.size:
        column = (first + k) % side
        m = min(side - column, out.size - k)
        _row_forth(U((first + k) // side), U(column), U(side), keys, out[k : k + m])
        k += m
    for k in range(out.size):
        if out[k] >= n:  # one in a thousand
            out[k] = source_end(out[k], n, side, keys)


@inner
def target_ends(first, n, side, keys, out):
    """As `source_ends`, of `target_end`."""
    k = 0
    while k < out.size:
        column = (first + k) % side
        m = min(side - column, out.size - k)
        _row_back(U((first + k) // side), U(column), U(side), keys, out[k : k + m])
        k += m
    for k in range(out.size):
        if out[k] >= n:
            out[k] = target_end(out[k], n, side, keys)


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
