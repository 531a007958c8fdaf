"""The value of one synapse from its number, as a kernel: the bits of `distributions.draw`, anywhere in a stream, for a handful of numbers.

Owns the words of the stream (Philox4x64-10, Salmon et al., SC 2011, with the counter as numpy has it) and each law's quantile once more,
operation by operation as in ``quantile`` and ``distributions``.
"""

import math

import numpy as np

from .distributions import LOWEST_U, Distribution, Lognormal, Normal, Uniform, Value
from .jit import inner, njit
from .quantile import ATANH_SERIES, CENTRE, EXP_SERIES, FLANK, LN2_HIGH, LN2_LOW, TAIL
from .random import MASK, S32, U

ONE, UNIFORM, NORMAL, LOGNORMAL = 0, 1, 2, 3
"""What the first number of a law says; `ONE`: the second is the value."""
LAW_SIZE, KEY_SIZE = 7, 20
ROOT_HALF = math.sqrt(0.5)
M0, M1 = U(0xD2E7470EE14C6C93), U(0xCA5A826395121157)
W0, W1 = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B


def law_of(value: Value) -> np.ndarray:
    """Return a number or a law as float64 (LAW_SIZE,)."""
    law = np.zeros(LAW_SIZE)
    if isinstance(value, Uniform):
        law[:3] = UNIFORM, value.low, value.high - value.low
    elif isinstance(value, Normal):
        law[:] = NORMAL, value.mean, value.std, value.low, value.high, *value._kept
    elif isinstance(value, Lognormal):
        law[:] = LOGNORMAL, value.mu, value.sigma, value.low, value.high, *value._kept
    else:
        law[1] = float(value)  # type: ignore[arg-type]  # not an array, nor another law
    return law


def stream_of(key: tuple[int, ...]) -> np.ndarray:
    """Return the keys of the ten rounds for the stream ``key`` of `distributions.draw`, uint64 (KEY_SIZE,)."""
    k0, k1 = (int(word) for word in np.random.SeedSequence(key).generate_state(2, np.uint64))
    keys = [(k0 + n * W0 & (1 << 64) - 1, k1 + n * W1 & (1 << 64) - 1) for n in range(10)]
    return np.array(keys, np.uint64).reshape(-1)


def has_law(value: Value) -> bool:
    """Whether the kernel knows the law of a value."""
    return not isinstance(value, Distribution) or isinstance(value, Uniform | Normal | Lognormal)


@inner
def _product(a, b):
    """Return the upper and the lower 64 bits of a product, by its four parts."""
    low, high = (a & MASK) * (b & MASK), (a >> S32) * (b >> S32)
    one, two = (a >> S32) * (b & MASK), (a & MASK) * (b >> S32)
    middle = (low >> S32) + (one & MASK) + (two & MASK)
    return high + (one >> S32) + (two >> S32) + (middle >> S32), (middle & MASK) << S32 | (low & MASK)


@inner
def _words(keys, four):
    """Return words ``4 four`` to ``4 four + 3`` of a stream: they come from one counter, which starts at 1."""
    x0, x1, x2, x3 = U(four + 1), U(0), U(0), U(0)
    for n in range(10):
        high0, low0 = _product(M0, x0)
        high1, low1 = _product(M1, x2)
        x0, x1, x2, x3 = high1 ^ x1 ^ keys[2 * n], low1, high0 ^ x3 ^ keys[2 * n + 1], low0
    return x0, x1, x2, x3


@inner
def _polynomial(coefficients, x):
    total = coefficients[len(coefficients) - 1]
    for n in range(len(coefficients) - 2, -1, -1):
        total = total * x + coefficients[n]
    return total


@inner
def _log(x):
    mantissa, octave = math.frexp(x)
    if mantissa < ROOT_HALF:
        mantissa, octave = 2.0 * mantissa, octave - 1
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    return octave * LN2_HIGH + (octave * LN2_LOW + 2.0 * ratio * _polynomial(ATANH_SERIES, ratio * ratio))


@inner
def _exp(x):
    x = min(max(x, -800.0), 800.0)
    octave = np.rint(x * (1.0 / LN2_HIGH))
    rest = (x - octave * LN2_HIGH) - octave * LN2_LOW
    return math.ldexp(_polynomial(EXP_SERIES, rest), int(octave))


@inner
def _normal_quantile(u):
    offset = u - 0.5
    if abs(offset) <= 0.425:
        square = 0.180625 - offset * offset
        return offset * _polynomial(CENTRE[0], square) / _polynomial(CENTRE[1], square)
    depth = np.sqrt(-_log(u if offset < 0.0 else 1.0 - u))
    if depth <= 5.0:
        value = _polynomial(FLANK[0], depth - 1.6) / _polynomial(FLANK[1], depth - 1.6)
    else:
        value = _polynomial(TAIL[0], depth - 5.0) / _polynomial(TAIL[1], depth - 5.0)
    return -value if offset < 0.0 else value


@inner
def _quantile(law, u):
    """Return the value below which a variable of the law lies with probability ``u``."""
    if law[0] == UNIFORM:
        return law[1] + law[2] * u
    if law[5] != 0.0 or law[6] != 1.0:
        u = min(max(law[5] + (law[6] - law[5]) * u, LOWEST_U), 1.0 - LOWEST_U)
    value = law[1] + law[2] * _normal_quantile(u)
    if law[0] == LOGNORMAL:
        value = _exp(value)
    return min(max(value, law[3]), law[4])


@njit
def values_of(law, keys, numbers, out):
    """Write the values of the synapses of these numbers, for a law of `law_of` and a stream of `stream_of`."""
    if law[0] == ONE:
        out[:] = law[1]
        return
    four, x0, x1, x2, x3 = np.int64(-1), U(0), U(0), U(0), U(0)
    for k in range(numbers.size):
        if numbers[k] >> 2 != four:  # often the next number has the same
            four = numbers[k] >> 2
            x0, x1, x2, x3 = _words(keys, four)
        part = numbers[k] & 3
        word = (x0 if part == 0 else x1) if part < 2 else (x2 if part == 2 else x3)
        out[k] = _quantile(law, (np.float64(word >> U(12)) + 0.5) * 2.0**-52)
