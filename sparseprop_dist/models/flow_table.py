"""Tables of a flow V' = F(V): the position X of a potential on a line of integers, and the potential at a position.

Owns their layout and the measure of their error. X grows with time, by one in a quantum of time, so ``X - time`` is constant between
inputs. The components of the flow lie on the line in the order of their potentials, with gaps. At a zero, X would go to infinity; it ends
where V is the zero to the last bit, and stays there.

Its one formula: ``X(V) = X(fast end) +- integral of dV / F`` from the fast end of a piece, ``V(X)`` its inverse.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparseprop_dist.clock import TICK, TICK_BITS
from sparseprop_dist.errors import InputError
from sparseprop_dist.models.flow_cells import Cells, NotSmooth
from sparseprop_dist.models.flow_shape import REACHES, Component, Piece, components, samples, scale
from sparseprop_dist.models.flow_sides import Side, Stretch, positions, potentials, timed, to_V, to_X, totals
from sparseprop_dist.quantile import Floats

FLOOR, CEILING = 1 << 57, 1 << 61
"""Where the line begins, and the end of it. An offset in a slab is less than FLOOR quanta: states are positive."""
GAP_BITS = 46
"""Between two components are this power of two of ticks, 64 ms: more than a slab, in which a neuron may go on beyond the end of one."""
MOST_FINENESS = 12
"""A quantum is at least 2^-12 ticks, which is 2^-52 ms."""
MOST_ERROR = 1e-12
FEW_DIGITS = 2.0**-26
"""In this part of V_th - V_reset from a zero, F itself has few digits; errors are not measured against it there."""


@dataclass
class Placed:
    """A piece with its tables."""

    piece: Piece
    low: int  # X of its ends
    high: int
    rests: bool  # its upper end is a zero: X stays
    sinks: bool  # there the potential leaves the range
    to_X: Side
    to_V: list[Stretch]


@dataclass
class Table:
    """The tables of one parameter set. X in quanta, of which a tick has 2^fineness."""

    fineness: int
    pieces: list[Placed]  # in ascending order of V
    low: float  # mV, the lowest potential that is covered
    high: float  # mV, the highest: from here on no time is left
    fires_at: int  # X at which the flow reaches threshold, or CEILING: never
    error: float  # see `measured`

    def position(self, V: float) -> int:
        """X of a potential; a potential at or above the highest fires at once."""
        if self.high <= V:
            return self.fires_at
        placed = next(placed for placed in self.pieces if max(placed.piece.slow, placed.piece.fast) >= V)
        return int(positions(placed.to_X, np.array([V]))[0])


def table(
    F: Callable[[Floats], Floats],
    V_th: float,
    V_reset: float,
    top: float,
    why: Callable[[float], str],
    marks: tuple[float, ...] = (),
) -> Table:
    """Return the tables of V' = F(V).

    Parameters
    ----------
    F : potentials (mV) to mV/ms, elementwise; nan where it has no value
    V_th, V_reset : mV
    top : V_th, or the potential (mV) from which on the time to V_th is less than any that counts
    why : the sentence for a potential where F has no value
    marks : potentials near which F may have zeros close to each other

    Raises
    ------
    InputError
        if F has no value somewhere, is not smooth, has zeros that are not simple, or is so slow or so nearly 0 that X has not its digits.
    """
    for reach in REACHES:
        try:
            return _reaching(F, V_th - V_reset, V_reset, *samples(F, V_reset, V_th - V_reset, top, reach, why, marks))
        except InputError:
            if reach == REACHES[-1]:
                raise
    raise AssertionError


def _reaching(F: Callable[[Floats], Floats], unit: float, V_reset: float, V: Floats, values: Floats) -> Table:
    """As `table`, for the range of the samples ``values`` of F at ``V``."""
    found = components(F, V, values, V_reset, unit)
    try:
        cells = [[timed(piece, unit) for piece in component.pieces] for component in found]
        lasts = sum(math.fsum(totals(own).tolist()) for pieces in cells for own, _ in pieces) + len(found) * TICK * (1 << GAP_BITS)
        fineness = min(MOST_FINENESS, (CEILING - FLOOR).bit_length() - 1 - TICK_BITS - math.frexp(lasts)[1])
        if fineness < 0:
            slowest = float(V[np.argmin(np.abs(values))])
            raise InputError(f"F is so small, as at V = {slowest:.6g} mV, that the flow takes {lasts:.3g} ms; change the drive")
        per_ms = math.ldexp(1.0, TICK_BITS + fineness)
        placed, start = [], FLOOR
        for component, own in zip(found, cells, strict=True):
            placed += _placed(component, own, start, per_ms, unit)
            start = max(piece.high for piece in placed) + (1 << GAP_BITS + fineness)
    except NotSmooth as rough:
        raise InputError(f"F is not smooth at V = {rough.where:.6g} mV; a flow is tabulated by its derivatives, of high order") from None
    last = found[-1]
    fires_at = max(piece.high for piece in placed) if last.rises and not last.high_zero else CEILING
    error, where = max((measured(piece, per_ms, unit) for piece in placed), key=lambda pair: pair[0])
    if not error <= MOST_ERROR:
        raise InputError(
            f"F is so nearly 0, or so rough, at V = {where:.6g} mV that the flow is known to {error:.1g} only (at most {MOST_ERROR:g} is "
            "allowed); change the drive"
        )
    return Table(fineness, placed, float(V[0]), float(V[-1]), fires_at, error)


def _placed(component: Component, cells: list[tuple[Cells, float]], start: int, per_ms: float, unit: float) -> list[Placed]:
    """The pieces of a component, on the line from ``start`` on."""
    lasts = [int(math.fsum(totals(own).tolist()) * per_ms) + 1 for own, _ in cells]
    ends = (component.low_zero, component.high_zero)[:: 1 if component.rises else -1]  # in the direction of the flow
    found = []
    for own, (piece, (fitted, offset)) in enumerate(zip(component.pieces, cells, strict=True)):
        is_second = len(cells) == 2 and own == (1 if component.rises else 0)
        is_last = is_second or len(cells) == 1
        low = start + (lasts[1 - own] if is_second else 0)
        high = low + lasts[own]
        side = to_X(piece, fitted, offset, low if piece.falls else high, per_ms)
        rests, sinks = is_last and ends[1], is_last and not ends[1] and not component.rises
        found.append(Placed(piece, low, high, rests, sinks, side, to_V(piece, side, low, high, per_ms, unit)))
    return found


# --- the error ---


def measured(placed: Placed, per_ms: float, unit: float) -> tuple[float, float]:
    """The error of the tables of a piece, and the potential where that of X is largest.

    An error is relative to V_th - V_reset (to abs(V) where that is more): the error of X times F. Where F is so fast that no potential is
    that well known in time, it is the error of X in ms. The errors of X and of V, which an input meets both, are added.
    """
    one, where = _error_of_X(placed, per_ms, unit)
    piece, other = placed.piece, 0.0
    for stretch in placed.to_V:
        side = stretch.side
        d = np.concatenate([side.cells.left + part * side.cells.width for part in (0.21, 0.47, 0.83)])
        X = np.clip(side.anchor + np.rint(d / side.scale).astype(np.int64), stretch.low, stretch.high)
        found = potentials(placed.to_V, X)
        V = np.clip(found, min(piece.slow, piece.fast), max(piece.slow, piece.fast))
        x, off = piece.sign * (V - piece.slow), np.abs(positions(placed.to_X, V) - X) / per_ms
        with np.errstate(divide="ignore", invalid="ignore"):
            outside = np.fmin(np.abs(found - V) / scale(V, unit), np.abs(found - V) / piece.speed(x))
        other = max(other, float((_relative(placed, off, x, unit) + outside).max()))
    return one + other, where


def _relative(placed: Placed, off: Floats, x: Floats, unit: float) -> Floats:
    """Errors of X (ms) as `measured` states them."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.fmin(off, off * placed.piece.speed(x) / scale(placed.piece.at(x), unit))


def _error_of_X(placed: Placed, per_ms: float, unit: float) -> tuple[float, float]:
    """By integrals of 1/F after Gauss and Legendre from point to point, at points between the nodes."""
    piece, side = placed.piece, placed.to_X
    d = np.concatenate([side.cells.left + part * side.cells.width for part in (0.19, 0.69)])
    x = np.sort(d * abs(1.0 / side.scale) - abs(side.anchor - piece.slow))[::-1]
    steps = np.concatenate([[piece.length], x])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    centre, half = 0.5 * (steps[:-1] + steps[1:]), 0.5 * (steps[:-1] - steps[1:])
    with np.errstate(divide="ignore"):
        pace = 1.0 / piece.speed((centre[:, None] + half[:, None] * nodes).ravel(), FEW_DIGITS * unit).reshape(len(x), -1)
    X = np.concatenate([[placed.low if piece.falls else placed.high], positions(side, piece.at(x))])
    off = np.abs(np.cumsum(np.diff(X) * ((1.0 if piece.falls else -1.0) / per_ms) - (pace @ weights) * half))
    error = _relative(placed, off, x, unit)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    return float(error[worst]), float(piece.at(x[worst]))
