"""The two directions of a piece of a flow: positions of potentials, and potentials at positions.

Owns the tables of one piece; ``flow_table`` lays the pieces out. A position X is an integer that grows with time, by one in a quantum.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseprop_dist.models.flow_cells import (
    DEGREE,
    MOST_CUTS,
    Cells,
    NotSmooth,
    at_nodes,
    coefficients,
    evaluated,
    integrals,
    monomials,
    refined,
    sloped,
)
from sparseprop_dist.models.flow_shape import Piece, scale
from sparseprop_dist.quantile import Floats

LEAST_TIME = 2.0**-54
"""ms; what is shorter does not count."""
LAST_BIT = 2.0**-53
FARTHEST = 56
"""An octave at a distance of this power of two below 1 is shorter than what counts, from whatever end."""
FEW_CUTS = 2
"""If the shortest octave needs more, a function wants shorter ones."""
MANY_CELLS = 256
"""If one direction needs more, it is laid out from both ends of a piece."""
FAR = 16.0
"""Or if V flows by this times itself in the time from the fast end, at its speed somewhere: a distance in time has 53 bits."""
FINER = 20
"""Times are summed in units this power of two finer than a quantum."""


@dataclass
class Side:
    """A function over the scaled distance from an anchor."""

    anchor: Any  # mV (float), or X (int)
    scale: float  # 1/mV or 1/quanta; negative where the distance grows downwards
    cells: Cells
    level: Any  # X (int64) or mV (float64), at the middle of each cell
    powers: Floats  # (cells, DEGREE), what the polynomial of each adds to it, quanta or mV


@dataclass
class Stretch:
    """Potentials at the positions from ``low`` to ``high``."""

    low: int
    high: int
    side: Side


def octaves_to(part: float) -> int:
    """How many octaves below 1 reach ``part``."""
    return max(1, 1 - math.frexp(part)[1])


def first_that_fits(fit: Callable[[int], Callable[[Floats, Floats], tuple[Floats, Any]]], counts: tuple[int, ...]) -> tuple[int, Cells]:
    """The smallest of some numbers of octaves that makes the shortest one smooth, and the cells; ``fit`` makes what `refined` asks for."""
    for n in counts[:-1]:
        try:
            return n, refined(fit(n), n, FEW_CUTS)
        except NotSmooth:
            continue
    return counts[-1], refined(fit(counts[-1]), counts[-1], MOST_CUTS)


# --- from V to X ---


def timed(piece: Piece, unit: float) -> tuple[Cells, float]:
    """The cells of a piece, whose series are the time (ms) from the left end of each, and how far the anchor is from the slow end (mV).

    Raises
    ------
    NotSmooth
        at a potential, mV.
    """
    least = 0.0 if piece.zero is None else LAST_BIT * float(scale(piece.slow, unit))

    def offset(n: int) -> float:
        return 0.0 if piece.zero is not None else piece.length / (2.0**n - 1.0)

    def fit(n: int) -> Callable[[Floats, Floats], tuple[Floats, Any]]:
        whole = piece.length + offset(n)

        def fitted(left: Floats, width: Floats) -> tuple[Floats, Any]:
            x = at_nodes(left, width) * whole - offset(n)
            with np.errstate(divide="ignore", over="ignore"):
                pace = 1.0 / piece.speed(np.maximum(x.ravel(), least)).reshape(x.shape)
            series = integrals(coefficients(np.where(np.isfinite(pace), pace, 0.0)), width * whole)
            allowed = np.maximum(LEAST_TIME, 0.5 * LAST_BIT * scale(piece.at(x[:, 0]), unit) * pace.min(axis=1))
            return series, np.isfinite(pace).all(axis=1) & (np.abs(series[:, DEGREE + 1 :]).max(axis=1) <= allowed)

        return fitted

    counts: tuple[int, ...] = (octaves_to(least / piece.length),)
    if piece.zero is None:  # the distance from the anchor is to be known as well as V
        counts = tuple(n for n in (4, 8, 16, 32, FARTHEST) if math.ldexp(piece.length, -n) < unit)
    try:
        n, cells = first_that_fits(fit, counts)
    except NotSmooth as error:
        raise NotSmooth(float(piece.at(error.where * (piece.length + offset(counts[-1])) - offset(counts[-1])))) from None
    return cells, offset(n)


def totals(cells: Cells) -> Floats:
    """ms: the time in each cell, the integral at its right end."""
    total = np.zeros(len(cells.left))
    for j in range(cells.series.shape[1]):
        total = total + cells.series[:, j]
    return total


def to_X(piece: Piece, cells: Cells, offset: float, origin: int, per_ms: float) -> Side:
    """X over potentials; ``origin`` is X at the fast end."""
    fine = [int(total) for total in (totals(cells) * (per_ms * 2.0**FINER)).tolist()]
    elapsed = list(itertools.accumulate(reversed(fine), initial=0))[::-1]  # from the fast end to the left end of each cell
    powers = monomials(cells.series) * per_ms
    middle = [int(part) for part in (powers[:, 0] * 2.0**FINER).tolist()]
    sign = 1 if piece.falls else -1
    level = [origin + sign * ((left - part + (1 << FINER - 1)) >> FINER) for left, part in zip(elapsed[:-1], middle, strict=True)]
    anchor, whole = piece.slow - piece.sign * offset, piece.length + offset
    return Side(anchor, piece.sign / whole, cells, np.array(level, np.int64), -sign * powers[:, 1:])


def positions(side: Side, V: Floats) -> Any:
    """X of potentials."""
    cell, u = side.cells.find((V - side.anchor) * side.scale)
    return side.level[cell] + np.rint(evaluated(side.powers[cell], u) * u).astype(np.int64)


# --- from X to V ---


def _distances(piece: Piece, side: Side, X: Any) -> Floats:
    """Distances (mV) from the slow end at positions, by Newton's method on the table of X."""
    order = np.argsort(side.level, kind="stable")
    level, powers = side.level[order], side.powers[order]
    half = np.full(len(level), 0.5)
    begin = level + np.rint(-0.5 * evaluated(powers, -half)).astype(np.int64)
    end = level + np.rint(0.5 * evaluated(powers, half)).astype(np.int64)
    cell = np.clip(np.searchsorted(np.minimum(begin, end), X, side="right") - 1, 0, len(level) - 1)
    goal, own = (X - level[cell]).astype(np.float64), powers[cell]
    full = np.concatenate([np.zeros((len(cell), 1)), own], axis=1)
    low, high = -0.5 * evaluated(own, -half[cell]), 0.5 * evaluated(own, half[cell])
    with np.errstate(invalid="ignore", divide="ignore"):
        u = np.where(low == high, 0.0, np.clip((goal - low) / (high - low), 0.0, 1.0) - 0.5)
        for _ in range(8):
            step = (evaluated(own, u) * u - goal) / sloped(full, u)
            u = np.clip(np.where(np.isfinite(step), u - step, u), -0.5, 0.5)
    left, width = side.cells.left[order][cell], side.cells.width[order][cell]
    return np.maximum((left + (u + 0.5) * width - (0.0 if piece.zero else side.cells.left[0])) * abs(1.0 / side.scale), 0.0)


def _from(piece: Piece, side: Side, start: int, sign: int, length: int, per_ms: float, unit: float) -> Side:
    """Potentials at X = start + sign (0 to length), by the distance from ``start``."""

    def offset(n: int) -> int:
        return max(1, -(-length // ((1 << n) - 1)))

    def fit(n: int) -> Callable[[Floats, Floats], tuple[Floats, Any]]:
        whole = length + offset(n)

        def fitted(left: Floats, width: Floats) -> tuple[Floats, Any]:
            away = np.rint(at_nodes(left, width) * whole - offset(n)).astype(np.int64)
            x = _distances(piece, side, start + sign * np.clip(away.ravel(), 0, length)).reshape(away.shape)
            series = coefficients(piece.sign * x)
            speed = np.abs(series[:, 1]) / (0.5 * width * whole / per_ms)
            ends = np.maximum(scale(piece.at(x[:, 0]), unit), scale(piece.at(x[:, -1]), unit))
            allowed = np.maximum(2.0 * LAST_BIT * ends, max(4.0 * LEAST_TIME, 1.0 / per_ms) * speed)
            return series, np.abs(series[:, DEGREE + 1 :]).max(axis=1) <= allowed

        return fitted

    counts = tuple(n for n in (8, 16, 24, 32, 40, 48, FARTHEST) if offset(n) > 1) or (8,)
    try:
        n, cells = first_that_fits(fit, counts)
    except NotSmooth as error:
        away = int(error.where * (length + offset(counts[-1]))) - offset(counts[-1])
        x = _distances(piece, side, np.array([start + sign * min(max(away, 0), length)]))
        raise NotSmooth(float(piece.at(x[0]))) from None
    powers = monomials(cells.series)
    return Side(start - sign * offset(n), sign / (length + offset(n)), cells, piece.slow + powers[:, 0], powers[:, 1:])


def _longest(piece: Piece, side: Side, fast: int, per_ms: float, unit: float) -> float:
    """The longest time from the fast end to a potential, in units of what V takes there for its own size."""
    x = np.maximum((side.cells.left + 0.5 * side.cells.width) * abs(1.0 / side.scale) - abs(side.anchor - piece.slow), 0.0)
    return float((np.abs(side.level - fast) / per_ms * np.minimum(piece.speed(x), 1e300) / scale(piece.at(x), unit)).max())


def to_V(piece: Piece, side: Side, low: int, high: int, per_ms: float, unit: float) -> list[Stretch]:
    """Potentials over X from ``low`` to ``high``, in ascending order; ``side`` is `to_X`.

    Counted from the fast end, where V may change without bound; from both ends where it has to be resolved at the slow one as well.
    """
    fast, slow, sign = (low, high, 1) if piece.falls else (high, low, -1)
    if _longest(piece, side, fast, per_ms, unit) < FAR:
        try:
            whole = _from(piece, side, fast, sign, high - low, per_ms, unit)
            if len(whole.level) <= MANY_CELLS:
                return [Stretch(low, high, whole)]
        except NotSmooth:
            pass
    middle = (low + high) // 2
    found = [
        Stretch(min(end, middle), max(end, middle), _from(piece, side, end, way, abs(middle - end), per_ms, unit))
        for end, way in ((fast, sign), (slow, -sign))
    ]
    return found if piece.falls else found[::-1]


def potentials(stretches: list[Stretch], X: Any) -> Floats:
    """Potentials at positions."""
    found = np.zeros(X.shape)
    for k, stretch in enumerate(stretches):
        own = stretch.low <= X if k else np.ones(X.shape, bool)
        side = stretch.side
        cell, u = side.cells.find((X[own] - side.anchor) * side.scale)
        found[own] = side.level[cell] + evaluated(side.powers[cell], u) * u
    return found
