"""exp and log in plain arithmetic.

Owns the few transcendental functions whose values enter the dynamics. Libraries differ in the last bit between versions and types of CPU;
sums and products of float64 do not, so a run that moves to another machine keeps its bits.
"""

import numpy as np

from .jit import bits_float, float_bits, inline, njit

LN2 = 0.6931471805599453
SQRT_HALF = 0.7071067811865476


@inline
def exp_small(x):
    """Return e^x for abs(x) <= 1/64: Taylor to degree 6, whose remainder x^7/5040 is below 5e-17."""
    return 1.0 + x * (1.0 + x * (1 / 2) * (1.0 + x * (1 / 3) * (1.0 + x * (1 / 4) * (1.0 + x * (1 / 5) * (1.0 + x * (1 / 6))))))


@inline
def log_near_one(r):
    """Return ln r for r in [0.7, 1.42] as 2 atanh z, z = (r - 1)/(r + 1), to z^21 (remainder below 1e-17 of the value)."""
    z = (r - 1.0) / (r + 1.0)
    s = z * z
    tail = 1 / 13 + s * (1 / 15 + s * (1 / 17 + s * (1 / 19 + s * (1 / 21))))
    return 2.0 * z * (1.0 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s * (1 / 9 + s * (1 / 11 + s * tail))))))


@njit
def log(x):
    """Return ln x for a finite x > 0 (normal numbers)."""
    bits = float_bits(x)
    exponent = ((bits >> 52) & 0x7FF) - 1023
    mantissa = bits_float((bits & 0xFFFFFFFFFFFFF) | (1023 << 52))
    if mantissa > 2.0 * SQRT_HALF:
        mantissa *= 0.5
        exponent += 1
    return exponent * LN2 + log_near_one(mantissa)


@njit
def exp(x):
    """Return e^x for abs(x) < 700, to 1e-14 below 30 and 1e-13 beyond: powers of two out, then five squarings of `exp_small`."""
    n = np.floor(x / LN2 + 0.5)
    r = exp_small((x - n * LN2) / 32.0)
    for _ in range(5):
        r *= r
    return r * bits_float((np.int64(n) + 1023) << 52)
