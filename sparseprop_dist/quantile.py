"""The inverse of the normal law, and the exp and log that it needs, with the same bits on every machine.

Owns elementary functions on arrays, made only of IEEE additions, multiplications, divisions and square roots: numpy's exp and log differ
in the last bit between kinds of CPU, and numpy does not promise the streams of its ``Generator`` from one version to the next. A drawn
weight must keep its bits when a run is resumed elsewhere. (``elementary`` has the same for kernels; a description must load without a
compiler.)

Its one formula: ``x = normal_quantile(u)`` where ``u = P(X <= x)`` (Wichura's AS 241, relative error about 1e-16).
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
"""The first 32 bits of ln 2: its product with an exponent is exact."""
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
EXP_SERIES = tuple(1.0 / math.factorial(n) for n in range(14))
ATANH_SERIES = tuple(1.0 / (2 * n + 1) for n in range(12))

CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
FLANK = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    """Sum of ``coefficients[n] * x**n`` by Horner's rule, in place in one array."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= x
        total += coefficient
    return total


def exp(x: Floats) -> Floats:
    """e to the x, relative error below 3e-16; 0 and inf outside the range of float64."""
    x = np.clip(x, -800.0, 800.0)
    octave = np.rint(x * (1.0 / LN2_HIGH))
    rest = (x - octave * LN2_HIGH) - octave * LN2_LOW
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(polynomial(EXP_SERIES, rest), octave.astype(np.int32))


def log(x: Floats) -> Floats:
    """Natural logarithm of positive finite x, relative error below 1e-15 away from x = 1."""
    mantissa, octave = np.frexp(x)
    small = mantissa < math.sqrt(0.5)
    mantissa = np.where(small, 2.0 * mantissa, mantissa)
    octave = octave - small
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    return octave * LN2_HIGH + (octave * LN2_LOW + 2.0 * ratio * polynomial(ATANH_SERIES, ratio * ratio))


def normal_quantile(u: Floats) -> Floats:
    """Value below which a standard normal variable lies with probability u, 0 < u < 1."""
    offset = u - 0.5
    far = np.abs(offset) > 0.425
    square = np.where(far, 0.0, 0.180625 - offset * offset)
    value = offset * polynomial(CENTRE[0], square) / polynomial(CENTRE[1], square)
    if far.any():
        side = offset[far]
        depth = np.sqrt(-log(np.where(side < 0.0, u[far], 1.0 - u[far])))
        flank = polynomial(FLANK[0], depth - 1.6) / polynomial(FLANK[1], depth - 1.6)
        tail = polynomial(TAIL[0], depth - 5.0) / polynomial(TAIL[1], depth - 5.0)
        value[far] = np.copysign(np.where(depth <= 5.0, flank, tail), side)
    return value
