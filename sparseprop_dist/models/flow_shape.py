"""Where a flow V' = F(V) rests, and how that divides the potentials.

Owns the search for the zeros of F and F near them. The potentials fall into *components*, between the zeros: a neuron stays in its own
until an input lifts it out. A component is cut into one or two *pieces*, each with a slow end (a zero, which the flow approaches or leaves
for ever; or where it is slowest) and a fast one, from which time is counted.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseprop_dist.errors import InputError
from sparseprop_dist.models.flow_cells import CHEBYSHEV, NODES, coefficients, evaluated, monomials
from sparseprop_dist.quantile import Floats

REACHES = (12, 10, 8, 6, 4, 2)
"""Potentials down to this power of two of V_th - V_reset below V_reset are covered: the first, as in the LIF, if F allows it."""
NEAR = REACHES[-1]
"""Down to this power of two of it, F is looked at in detail."""
FINE, COARSE = 2560, 32
"""Samples in detail, and of each octave below: what is narrower than 5e-4 of V_th - V_reset on both sides of a zero can be missed."""
MOST_ZEROS = 16
TOUCH = 2.0**-30
"""A minimum of abs(F) that is this part of F a sample away counts as a zero: the flow would take hours to pass it."""
LEAST_SLOPE = 1e-6
"""A zero of F is simple if its tangent there gives at least this part of F in the neighbourhood that a polynomial fits."""


@dataclass(frozen=True)
class Zero:
    """A zero of F, and F near it: F(V) = sum of powers[i] ((V - V0) / scale)^(i + 1), within ``radius``. Potentials in mV."""

    V: float
    scale: float
    radius: float
    powers: Floats

    def flow(self, x: Floats) -> Floats:
        """F at V0 + x: with all its digits, where F itself would lose them in the rounding of V."""
        s = x / self.scale
        return s * evaluated(np.tile(self.powers, (len(s), 1)), s)


@dataclass(frozen=True)
class Piece:
    """A stretch of potentials without a zero inside."""

    F: Callable[[Floats], Floats]
    slow: float  # V of the slow end
    fast: float  # V of the fast end
    zero: Zero | None  # at the slow end
    falls: bool  # the flow goes from the fast end to the slow one

    @property
    def length(self) -> float:
        """Between the ends, mV."""
        return abs(self.fast - self.slow)

    @property
    def sign(self) -> float:
        """Of V - slow."""
        return 1.0 if self.fast > self.slow else -1.0

    def at(self, x: Any) -> Any:
        """V at distances x (mV) from the slow end."""
        return self.slow + self.sign * x

    def speed(self, x: Floats, close: float = math.inf) -> Floats:
        """abs(F), mV/ms, at the distances x from the slow end; F itself is asked from a distance ``close`` to a zero on."""
        value = np.abs(self.F(self.at(x)))
        if self.zero is not None:
            near = x <= min(self.zero.radius, close)
            value[near] = np.abs(self.zero.flow(self.sign * x[near]))
        return value


@dataclass(frozen=True)
class Component:
    """The potentials between two zeros, or up to the end of the range. ``rises``: F > 0 in it."""

    pieces: list[Piece]
    rises: bool
    low_zero: bool  # its lower end is a zero
    high_zero: bool


def samples(
    F: Callable[[Floats], Floats],
    V_reset: float,
    unit: float,
    top: float,
    reach: int,
    why: Callable[[float], str],
    marks: tuple[float, ...] = (),
) -> tuple[Floats, Floats]:
    """Potentials from the lowest that is covered to the highest, ``marks`` among them, and F there."""
    low = V_reset - unit * 2**NEAR
    step = (top - low) / (FINE - 1)
    even = low + step * np.arange(FINE - 1)
    for mark in marks:  # next to one, a sample would hide a dip
        even = even[np.abs(even - mark) > 0.25 * step]
    near = np.unique(np.concatenate([even, [mark for mark in marks if low < mark < top], [top]]))
    far = [V_reset - unit * (2.0 ** (octave + 1) - 2.0**octave / COARSE * np.arange(COARSE)) for octave in range(NEAR, reach)]
    V = np.concatenate([*far[::-1], near])
    values = F(V)
    if np.isnan(values).any():
        raise InputError(why(float(V[np.isnan(values)][-1])))
    return V, values


def _halved(F: Callable[[Floats], Floats], low: float, high: float) -> float:
    """The zero of F between two potentials where its sign differs, to the last bit."""
    rises = float(F(np.array([high]))[0]) > 0.0
    while low < (middle := 0.5 * (low + high)) < high:
        value = float(F(np.array([middle]))[0])
        if value == 0.0:
            return middle
        if (value > 0.0) == rises:
            high = middle
        else:
            low = middle
    return min((low, high), key=lambda V: abs(float(F(np.array([V]))[0])))


def _least(F: Callable[[Floats], Floats], low: float, high: float, sign: float) -> tuple[float, float]:
    """Where sign F is smallest between two potentials, by the golden section; and F there."""
    part = 0.3819660112501051
    for _ in range(60):
        a, b = low + part * (high - low), high - part * (high - low)
        one, other = F(np.array([a, b]))
        if sign * one < sign * other:
            high = b
        else:
            low = a
    V = 0.5 * (low + high)
    return V, float(F(np.array([V]))[0])


def _touching(V: float) -> InputError:
    return InputError(f"F touches 0 at V = {V:.6g} mV without crossing it; change the drive so that it crosses 0, or stays away from it")


def brackets(F: Callable[[Floats], Floats], V: Floats, values: Floats) -> list[tuple[float, float]]:
    """Pairs of potentials with one zero of F in between, or at both, in ascending order."""
    found: list[tuple[float, float]] = []
    is_zero = values == 0.0
    if (is_zero[1:] & is_zero[:-1]).any():
        raise InputError(f"F is 0 around V = {V[np.argmax(is_zero[1:] & is_zero[:-1])]:.6g} mV; there must be no range without a flow")
    found += [(at, at) for at in V[is_zero].tolist()]
    found += [(float(V[k]), float(V[k + 1])) for k in np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0.0).tolist()]
    size = np.minimum(np.abs(values), 1e300)
    before, here, after = size[:-2], size[1:-1], size[2:]
    touches = (here <= TOUCH * np.minimum(before, after)) & (np.sign(values[:-2]) == np.sign(values[2:]))
    if touches.any():
        raise _touching(float(V[1:-1][touches][0]))
    bend = before - 2.0 * here + after
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        depth = here - (after - before) ** 2 / (8.0 * bend)
        dips = (here < before) & (here <= after) & (depth < 0.5 * here) & (np.sign(values[:-2]) == np.sign(values[2:]))
    for k in np.flatnonzero(dips & ~is_zero[1:-1] & ~is_zero[:-2] & ~is_zero[2:]).tolist():
        sign = float(np.sign(values[k + 1]))
        at, value = _least(F, float(V[k]), float(V[k + 2]), sign)
        if abs(value) <= TOUCH * size[k]:
            raise _touching(at)
        if sign * value <= 0.0:
            found += [(float(V[k]), at), (at, float(V[k + 2]))]
    found.sort()
    return found


def _window(V: float, width: float, low: float, high: float) -> tuple[float, float]:
    """The neighbourhood of a zero in which F is fitted, within the range."""
    return max(low, V - width), min(high, V + width)


def zero(F: Callable[[Floats], Floats], V: float, low: float, high: float, unit: float) -> Zero:
    """F near its zero ``V``: a polynomial on the largest neighbourhood that allows one, without its constant.

    Raises
    ------
    InputError
        if F is not smooth there, or the zero is not simple.
    """
    width = unit
    for _ in range(30):
        a, b = _window(V, width, low, high)
        if b - a > 0.25 * width:
            values = F(0.5 * (a + b) + 0.5 * (b - a) * CHEBYSHEV)
            series = coefficients(values[None])[0]
            most = float(np.abs(values).max())
            noise = 2.0**-50 * most * max(abs(V), unit) / (b - a)
            if np.isfinite(values).all() and np.abs(series[-2:]).max() <= 2.0**-49 * most + noise:
                break
        width *= 0.5
    else:
        raise InputError(f"F is not smooth where it is 0, at V = {V:.6g} mV; the flow needs many derivatives there")
    powers = _shifted(monomials(series[None], NODES - 1, 1.0)[0], (2.0 * V - a - b) / (b - a))[1:]
    if abs(powers[0]) < LEAST_SLOPE * most:
        raise InputError(
            f"F has a zero of higher order, or several that nearly coincide, at V = {V:.6g} mV; change the drive so that F crosses 0 there"
        )
    return Zero(V, 0.5 * (b - a), 0.25 * (b - a), powers)


def _shifted(powers: Floats, t: float) -> Floats:
    """The polynomial about t instead of 0."""
    shifted = powers.copy()
    for i in range(len(powers) - 1):
        for j in range(len(powers) - 2, i - 1, -1):
            shifted[j] += t * shifted[j + 1]
    return shifted


def components(F: Callable[[Floats], Floats], V: Floats, values: Floats, V_reset: float, unit: float) -> list[Component]:
    """The components of a flow, in ascending order of V, from its samples.

    Raises
    ------
    InputError
        for zeros that are not simple, or more than MOST_ZEROS.
    """
    low, high = float(V[0]), float(V[-1])
    pairs = brackets(F, V, values)
    if len(pairs) > MOST_ZEROS:
        raise InputError(f"F has {len(pairs)} zeros between {low:.6g} and {high:.6g} mV; at most {MOST_ZEROS} are allowed")
    places = sorted({_halved(F, a, b) if a < b else a for a, b in pairs})
    zeros = [zero(F, place, low, high, unit) for place in places]
    edges = [(low, None)] * (low not in places) + [(at.V, at) for at in zeros] + [(high, None)] * (high not in places)
    found = []
    for (a, below), (b, above) in itertools.pairwise(edges):
        inside = (a < V) & (b > V)
        close = inside & (V_reset - unit * 2**NEAR <= V)
        middle = values[inside][inside.sum() // 2] if inside.any() else float(F(np.array([0.5 * (a + b)]))[0])
        rises = bool(middle > 0.0)
        cuts = _cut(a, b, below, above, V[close], values[close])
        pieces = [Piece(F, slow, fast, at, falls=(slow > fast) == rises) for slow, fast, at in cuts]
        found.append(Component(pieces, rises, below is not None, above is not None))
    return found


def _cut(a: float, b: float, below: Zero | None, above: Zero | None, V: Floats, values: Floats) -> list[tuple[float, float, Zero | None]]:
    """Slow end, fast end and zero of each piece of a component, in ascending order of V; ``V`` and F there, not far from V_reset: distances
    from the slow end are to be known as well as V."""
    if below and above:
        middle = 0.5 * (a + b)
        return [(a, middle, below), (b, middle, above)]
    if below or above:
        return [(a, b, below) if below else (b, a, above)]
    slowest = int(np.argmin(np.abs(values)))
    if slowest == len(V) - 1:
        return [(b, a, None)]
    middle = float(V[slowest])
    return [(middle, a, None), (middle, b, None)]


def scale(V: Any, unit: float) -> Any:
    """What errors of a potential are measured by, mV: V_th - V_reset, or its size where that is more."""
    return np.maximum(np.abs(V), unit)


def octaves_to(part: float) -> int:
    """How many octaves below 1 reach ``part``."""
    return max(1, 1 - math.frexp(part)[1])
