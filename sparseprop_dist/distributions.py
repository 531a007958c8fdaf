"""Distributions of parameters, weights, delays and rates, and how their values are drawn.

Owns the laws that a user can name and :func:`draw`. Knows nothing of networks: a key says which stream of numbers is meant.

Its one formula: element ``e`` of stream ``key`` is ``quantile((word_e + 1/2) / 2**52)``, with ``word_e`` the upper 52 bits of the e-th
word of Philox keyed by ``key``. So each element is a function of (key, e) alone and any rank can make its own part.
"""

import dataclasses
import functools
import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.errors import InputError
from sparseprop_dist.quantile import Floats, exp, normal_quantile

PURPOSE_PARAMETER, PURPOSE_WEIGHT, PURPOSE_DELAY, PURPOSE_RATE, PURPOSE_INPUT_WEIGHT = range(1, 6)
"""Second number of a key, after the seed: streams of different purposes share nothing."""

LOWEST_U = 2.0**-53
"""The smallest u that is ever drawn; the largest is 1 - 2**-53."""
LEAST_MASS = 1e-6
"""A truncation that keeps less of the untruncated law than this is taken for a mistake (and would lose digits of u)."""
CHUNK = 1 << 16
"""Elements drawn at a time: temporaries stay in cache."""


class Distribution:
    """A law with an inverse distribution function. Subclasses are frozen dataclasses of numbers."""

    kind: ClassVar[str]
    """Its name in a TOML file."""

    def quantile(self, u: Floats) -> Floats:
        """Value below which a variable of this law lies with probability u, 0 < u < 1."""
        raise NotImplementedError

    @functools.cached_property
    def lowest(self) -> float:
        """The smallest value that can be drawn: the quantile of 2**-53."""
        return float(self.quantile(np.array([LOWEST_U]))[0])

    @functools.cached_property
    def highest(self) -> float:
        """The largest value that can be drawn: the quantile of 1 - 2**-53."""
        return float(self.quantile(np.array([1.0 - LOWEST_U]))[0])

    def _cast_fields(self) -> None:
        """Turn the fields into floats, or say which is not a number."""
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
            if not number or math.isnan(value) or (math.isinf(value) and field.default is dataclasses.MISSING):
                raise InputError(f"{field.name} of a {self.kind} distribution is {value!r}; give a finite number")
            object.__setattr__(self, field.name, float(value))

    def _check_range(self) -> None:
        if not (math.isfinite(self.lowest) and math.isfinite(self.highest)):
            raise InputError(f"{self!r} can give values too large for a float64")


@dataclasses.dataclass(frozen=True)
class Uniform(Distribution):
    """All values between ``low`` and ``high`` alike."""

    kind = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        self._cast_fields()
        if not self.low < self.high:
            raise InputError(f"a uniform distribution has low = {self.low!r} and high = {self.high!r}; low must be below high")
        self._check_range()

    def quantile(self, u: Floats) -> Floats:
        return self.low + (self.high - self.low) * u


class Truncated(Distribution):
    """What Normal and Lognormal share: the law that redrawing gives, until a value lies between ``low`` and ``high``."""

    low: float
    high: float

    def _spread(self) -> tuple[str, float]:
        raise NotImplementedError

    def _untruncated(self, u: Floats) -> Floats:
        raise NotImplementedError

    def __post_init__(self) -> None:
        self._cast_fields()
        name, spread = self._spread()
        if spread < 0.0:
            raise InputError(f"{name} of a {self.kind} distribution is {spread!r}; it must not be negative")
        if not self.low < self.high:
            raise InputError(f"a {self.kind} distribution has low = {self.low!r} and high = {self.high!r}; low must be below high")
        below, upto = self._kept
        if upto - below < LEAST_MASS:
            raise InputError(f"{self!r} keeps less than {LEAST_MASS:g} of the {self.kind} law between low and high; widen them")
        self._check_range()

    @functools.cached_property
    def _kept(self) -> tuple[float, float]:
        """Probabilities of the untruncated law below ``low`` and up to ``high``."""
        if self._spread()[1] == 0.0:
            centre = float(self._untruncated(np.array([0.5]))[0])
            return (0.0, 1.0) if self.low <= centre <= self.high else (0.0, 0.0)
        return self._probability(self.low), self._probability(self.high)

    def _probability(self, value: float) -> float:
        """Probability of less than ``value``, by bisection of the quantile: no erf of libm, whose last bit differs between machines."""
        if value == math.inf:
            return 1.0
        low, high = 0.0, 1.0
        while (middle := 0.5 * (low + high)) not in (low, high):
            if self._untruncated(np.array([middle]))[0] < value:
                low = middle
            else:
                high = middle
            if high - low < LOWEST_U:
                break
        return low

    def quantile(self, u: Floats) -> Floats:
        below, upto = self._kept
        if (below, upto) != (0.0, 1.0):
            u = np.clip(below + (upto - below) * u, LOWEST_U, 1.0 - LOWEST_U)
        return np.clip(self._untruncated(u), self.low, self.high)


@dataclasses.dataclass(frozen=True)
class Normal(Truncated):
    """Normal law of ``mean`` and standard deviation ``std``, truncated to ``low`` .. ``high``."""

    kind = "normal"
    mean: float
    std: float
    low: float = -math.inf
    high: float = math.inf

    def _spread(self) -> tuple[str, float]:
        return "std", self.std

    def _untruncated(self, u: Floats) -> Floats:
        return self.mean + self.std * normal_quantile(u)


@dataclasses.dataclass(frozen=True)
class Lognormal(Truncated):
    """exp of a normal variable of mean ``mu`` and standard deviation ``sigma`` (as in NEST), truncated to ``low`` .. ``high``."""

    kind = "lognormal"
    mu: float
    sigma: float
    low: float = -math.inf
    high: float = math.inf

    def _spread(self) -> tuple[str, float]:
        return "sigma", self.sigma

    def _untruncated(self, u: Floats) -> Floats:
        return exp(self.mu + self.sigma * normal_quantile(u))


DISTRIBUTIONS: dict[str, type[Distribution]] = {law.kind: law for law in (Uniform, Normal, Lognormal)}

Value = float | Floats | Distribution
"""What a parameter, weight, delay or rate may be: one number for all, an array of one each, or a law to draw each from."""
Given = Any
"""What a user may write for a `Value`: also an int, a list or another array; cast when the description is made."""


def uniforms(key: tuple[int, ...], start: int, stop: int) -> Floats:
    """Numbers ``start`` .. ``stop - 1`` of the stream ``key``, each strictly between 0 and 1."""
    words = np.random.SeedSequence(key).generate_state(2, np.uint64)
    stream = np.random.Philox(key=words).advance(start // 4)  # a step of Philox makes four words
    raw = stream.random_raw(stop - start + start % 4)[start % 4 :]
    return ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def draw(spec: Value, key: tuple[int, ...], start: int, stop: int) -> Floats:
    """Values of elements ``start`` .. ``stop - 1``: a number repeated, a slice of an array, or draws from a distribution.

    Parameters
    ----------
    spec : float, (n,) float64 or Distribution
    key : non-negative integers, ``(seed, purpose, ...)``; used by distributions only
    start, stop : half-open range of elements

    Returns
    -------
    (stop - start,) float64, in the unit of ``spec``; a slice of an array is a view, not to be written to.
    """
    if isinstance(spec, np.ndarray):
        return spec[start:stop]
    if not isinstance(spec, Distribution):
        return np.full(stop - start, spec, dtype=np.float64)
    values = np.empty(stop - start)
    for first in range(start, stop, CHUNK):
        last = min(first + CHUNK, stop)
        values[first - start : last - start] = spec.quantile(uniforms(key, first, last))
    return values


def draw_at(spec: Value, key: tuple[int, ...], elements: NDArray[np.int64]) -> Floats:
    """Like `draw`, for any elements in any order: ``draw_at(spec, key, e)[k] == draw(spec, key, e[k], e[k] + 1)[0]``.

    Cheapest where they lie close together: each chunk of 65,536 that holds one of them is drawn once (2 ns an element), wanted or not.
    """
    if isinstance(spec, np.ndarray):
        return spec[elements]
    if not isinstance(spec, Distribution):
        return np.full(elements.shape, spec, dtype=np.float64)
    chunks = elements // CHUNK
    order = np.argsort(chunks, kind="stable")
    u = np.empty(elements.shape)
    for part in np.split(order, np.flatnonzero(np.diff(chunks[order])) + 1):
        if part.size:
            first = int(chunks[part[0]]) * CHUNK
            u[part] = uniforms(key, first, first + CHUNK)[elements[part] - first]
    return spec.quantile(u)


def expected(spec: Value) -> float:
    """Mean of the values that ``spec`` stands for, to about 1 % (used for estimates of work only)."""
    if isinstance(spec, Distribution):
        return float(spec.quantile((np.arange(4096) + 0.5) / 4096).mean())
    return float(np.mean(spec))
