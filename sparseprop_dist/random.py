"""Counter-based random numbers: every number is a function of (seed, purpose, what it is for).

Owns Philox4x32-10 (Salmon et al., SC 2011) and the samplers made on it that kernels use. No generator has a state, so any rank can make its
own part of a network or of an input alone, and the same on 1 rank and on 1000.
"""

import numpy as np

from .elementary import exp, log
from .jit import inline, inner

U = np.uint64
MASK = U(0xFFFFFFFF)
M0, M1 = U(0xD2511F53), U(0xCD9E8D57)
W0, W1 = U(0x9E3779B9), U(0xBB67AE85)
S32 = U(32)

POISSON_COUNT, POISSON_EVENT, POISSON_THIN, SOURCE, TARGET, WEIGHT, DELAY, PAIR = 1, 2, 3, 4, 5, 6, 7, 8
"""Purposes: the low four bits of the fourth counter word."""


@inline
def _round(x0, x1, x2, x3, k0, k1):
    p0 = M0 * (x0 & MASK)
    p1 = M1 * (x2 & MASK)
    return (p1 >> S32) ^ x1 ^ k0, p1 & MASK, (p0 >> S32) ^ x3 ^ k1, p0 & MASK


@inline
def philox(c0, c1, c2, c3, key):
    """Return two uint64, 128 random bits, for a counter of four 32-bit words and a 64-bit key (all given as uint64).

    The rounds are written out: as a loop they are not vectorised inside another loop (6 instead of 0.7 ns an event).
    """
    k0 = key & MASK
    k1 = key >> S32
    x0, x1, x2, x3 = _round(c0, c1, c2, c3, k0, k1)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + W0) & MASK, (k1 + W1) & MASK)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + U(2) * W0) & MASK, (k1 + U(2) * W1) & MASK)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + U(3) * W0) & MASK, (k1 + U(3) * W1) & MASK)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + U(4) * W0) & MASK, (k1 + U(4) * W1) & MASK)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + U(5) * W0) & MASK, (k1 + U(5) * W1) & MASK)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + U(6) * W0) & MASK, (k1 + U(6) * W1) & MASK)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + U(7) * W0) & MASK, (k1 + U(7) * W1) & MASK)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + U(8) * W0) & MASK, (k1 + U(8) * W1) & MASK)
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, (k0 + U(9) * W0) & MASK, (k1 + U(9) * W1) & MASK)
    return (x0 << S32) | x1, (x2 << S32) | x3


@inline
def unit(bits):
    """Return a float64 in (0, 1) with 53 bits: the middle of one of 2^52 cells, so that neither end is reached."""
    return (np.float64(bits >> U(12)) + 0.5) * 2.0**-52


@inner
def below(bits, n, c0, c1, c2, c3, key):
    """Return an integer in [0, n), n < 2^32, exactly uniform (Lemire, ACM TOMACS 2019); redraws, rarely, at the counter's far end."""
    x = bits >> S32
    m = x * n
    floor = ((U(1) << S32) - n) % n
    while (m & MASK) < floor:
        c0 = c0 + U(0x80000000)
        c1 = (c1 + U(1)) & MASK
        m = (philox(c0 & MASK, c1, c2, c3, key)[0] >> S32) * n
    return np.int64(m >> S32)


@inner
def _log_gamma(x):
    """Return ln Gamma(x), x >= 10, by Stirling's series (remainder below 1e-13)."""
    s = 1.0 / (x * x)
    series = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * (691 / 360360)))))) / x
    return (x - 0.5) * log(x) - x + 0.9189385332046728 + series


@inner
def poisson(mean, c1, c2, c3, key):
    """Return a Poisson number: by inversion below a mean of 30, else by transformed rejection (PTRS; Hoermann, Insurance: Math. Econ.
    1993)."""
    if mean <= 0.0:
        return np.int64(0)
    if mean < 30.0:
        u = unit(philox(U(0), c1, c2, c3, key)[0])
        n, p = np.int64(0), exp(-mean)
        total = p
        while u > total and n < 1000:
            n += 1
            p *= mean / n
            total += p
        return n
    root = np.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    attempt = U(0)
    while True:
        x, y = philox(attempt, c1, c2, c3, key)
        attempt += U(1)
        u, v = unit(x) - 0.5, unit(y)
        us = 0.5 - abs(u)
        k = np.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return np.int64(k)
        if k < 0.0 or (us < 0.013 and v > us):
            continue
        factorial = _log_gamma(k + 1.0) if k >= 9.0 else _log_gamma(k + 11.0) - _log_product(k)
        if log(v * inverse_alpha / (a / (us * us) + b)) <= k * log(mean) - mean - factorial:
            return np.int64(k)


@inner
def _log_product(k):
    """Return ln((k + 1)(k + 2) ... (k + 10)): shifts small arguments into the range of `_log_gamma`."""
    product = 1.0
    for j in range(1, 11):
        product *= k + j
    return log(product)


@inner
def normal(c0, c1, c2, c3, key):
    """Return a standard normal number by the polar method (Marsaglia); attempts advance the first counter word by 2^24."""
    while True:
        x, y = philox(c0 & MASK, c1, c2, c3, key)
        u, v = 2.0 * unit(x) - 1.0, 2.0 * unit(y) - 1.0
        s = u * u + v * v
        if s < 1.0:
            return u * np.sqrt(-2.0 * log(s) / s)
        c0 = c0 + U(1 << 24)
