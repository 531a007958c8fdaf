"""exp, log, sin, cos and atan in plain arithmetic.

Owns the few transcendental functions whose values enter the dynamics. Libraries differ in the last bit between versions and types of CPU;
sums and products of float64 do not, so a run that moves to another machine keeps its bits.
"""

import numpy as np

from .jit import bits_float, float_bits, inline, inner, njit

LN2 = 0.6931471805599453
SQRT_HALF = 0.7071067811865476


@inline
def exp_small(x):
    """Return e^x for abs(x) <= 1/64: Taylor to degree 6, whose remainder x^7/5040 is below 5e-17."""
    return 1.0 + x * (1.0 + x * (1 / 2) * (1.0 + x * (1 / 3) * (1.0 + x * (1 / 4) * (1.0 + x * (1 / 5) * (1.0 + x * (1 / 6))))))


@inline
def exp_to_quarter(x):
    """Return e^x for abs(x) <= 1/4: Taylor to degree 12, whose remainder x^13/13! is below 3e-18; by Estrin's scheme, since it is waited
    for."""
    y = x * x
    z = y * y
    low = (1.0 + x) + y * (1 / 2 + x * (1 / 6)) + z * ((1 / 24 + x * (1 / 120)) + y * (1 / 720 + x * (1 / 5040)))
    return low + z * z * ((1 / 40320 + x * (1 / 362880)) + y * (1 / 3628800 + x * (1 / 39916800)) + z * (1 / 479001600))


SMALL = 1 / 64
"""Reach of `exp_small`."""


@inner
def exp_frame(x):
    """Return e^x for abs(x) <= 1/4, with the bits of `exp_small` where that reaches."""
    return exp_small(x) if abs(x) <= SMALL else exp_to_quarter(x)


@inline
def expm1_ratio(x):
    """Return (e^x - 1)/x for abs(x) <= 1/4, 1 at 0: Taylor to degree 11, whose remainder x^12/13! is below 1e-17. Even and odd terms
    apart: shorter chains of products that wait for each other."""
    z = x * x
    even = 1.0 + z * (1 / 6 + z * (1 / 120 + z * (1 / 5040 + z * (1 / 362880 + z * (1 / 39916800)))))
    odd = 1 / 2 + z * (1 / 24 + z * (1 / 720 + z * (1 / 40320 + z * (1 / 3628800 + z * (1 / 479001600)))))
    return even + x * odd


@inline
def _atanh_series(z):
    """Return atanh z for abs(z) <= 0.18, to z^21 (remainder below 1e-17 of the value)."""
    s = z * z
    q = s * s
    odd = 1 / 5 + q * (1 / 9 + q * (1 / 13 + q * (1 / 17 + q * (1 / 21))))
    return z + z * s * (1 / 3 + q * (1 / 7 + q * (1 / 11 + q * (1 / 15 + q * (1 / 19)))) + s * odd)


@inline
def log_near_one(r):
    """Return ln r for r in [0.7, 1.42] as 2 atanh z, z = (r - 1)/(r + 1)."""
    return 2.0 * _atanh_series((r - 1.0) / (r + 1.0))


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


@inner
def exp(x):
    """Return e^x for abs(x) < 700, to 1e-14 below 30 and 1e-13 beyond: powers of two out, then five squarings of `exp_small`."""
    n = np.floor(x / LN2 + 0.5)
    r = exp_small((x - n * LN2) / 32.0)
    for _ in range(5):
        r *= r
    return r * bits_float((np.int64(n) + 1023) << 52)


PI = 3.141592653589793
HALF_PI_HIGH, HALF_PI_LOW = 1.57079632673412561417, 6.07710050650619224932e-11
"""pi/2 in two parts; the product of the first, of 33 bits, with a small integer is exact."""


@inner
def sin_cos(x):
    """Return sin x and cos x for abs(x) < 1e5, to 2e-16: Taylor to degree 15 and 16 about the nearest multiple of pi/2."""
    n = np.floor(x * (2.0 / PI) + 0.5)
    r = (x - n * HALF_PI_HIGH) - n * HALF_PI_LOW
    z = r * r
    tail = 1 / 362880 - z * (1 / 39916800 - z * (1 / 6227020800 - z * (1 / 1307674368000)))
    s = r - r * z * (1 / 6 - z * (1 / 120 - z * (1 / 5040 - z * tail)))
    tail = 1 / 40320 - z * (1 / 3628800 - z * (1 / 479001600 - z * (1 / 87178291200 - z * (1 / 20922789888000))))
    c = 1.0 - z * (1 / 2 - z * (1 / 24 - z * (1 / 720 - z * tail)))
    quadrant = np.int64(n) & 3
    if quadrant == 0:
        return s, c
    if quadrant == 1:
        return c, -s
    return (-s, -c) if quadrant == 2 else (-c, s)


@inline
def cos_and_sinc(z):
    """Return cos(sqrt z) and sin(sqrt z)/sqrt z, which are cosh and sinh of sqrt(-z) for z < 0, for abs(z) <= 1/4: Taylor to z^7, whose
    remainder is below 1e-18; even and odd terms apart, since they are waited for."""
    y = z * z
    even = 1.0 + y * (1 / 24 + y * (1 / 40320 + y * (1 / 479001600)))
    odd = 1 / 2 + y * (1 / 720 + y * (1 / 3628800 + y * (1 / 87178291200)))
    c = even - z * odd
    even = 1.0 + y * (1 / 120 + y * (1 / 362880 + y * (1 / 6227020800)))
    odd = 1 / 6 + y * (1 / 5040 + y * (1 / 39916800 + y * (1 / 1307674368000)))
    return c, even - z * odd


TAN_16TH, TAN_8TH, TAN_3_16THS = 0.198912367379658, 0.41421356237309503, 0.6681786379192989
"""tan of pi/16, pi/8, 3 pi/16."""


@inner
def atan(x):
    """Return atan x to 2e-16: about the nearest of 0, pi/8, pi/4 by the series to z^21 (remainder below 2e-17)."""
    y = abs(x)
    inverse = y > 1.0
    if inverse:
        y = 1.0 / y
    about = 0.0
    if y > TAN_3_16THS:
        y, about = (y - 1.0) / (1.0 + y), PI / 4
    elif y > TAN_16TH:
        y, about = (y - TAN_8TH) / (1.0 + y * TAN_8TH), PI / 8
    z = y * y
    tail = 1 / 13 - z * (1 / 15 - z * (1 / 17 - z * (1 / 19 - z * (1 / 21))))
    y = about + (y - y * z * (1 / 3 - z * (1 / 5 - z * (1 / 7 - z * (1 / 9 - z * (1 / 11 - z * tail))))))
    if inverse:
        y = PI / 2 - y
    return y if x >= 0.0 else -y


@inner
def sinh_cosh(x):
    """Return sinh x and cosh x, for abs(x) < 700; sinh to 1e-15 also near 0."""
    e = exp(x)
    c = 0.5 * (e + 1.0 / e)
    if abs(x) > 0.3:
        return 0.5 * (e - 1.0 / e), c
    z = x * x
    return x * (1.0 + z * (1 / 6 + z * (1 / 120 + z * (1 / 5040 + z * (1 / 362880 + z * (1 / 39916800)))))), c


@inner
def atanh(x):
    """Return atanh x, abs(x) < 1, to 1e-15 of the value."""
    return 0.5 * log((1.0 + x) / (1.0 - x)) if abs(x) > 0.17 else _atanh_series(x)
