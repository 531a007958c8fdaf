"""Functions of one variable as polynomials on cells: octaves of the variable, each cut into 2^k equal cells.

Owns the fit and its numbers; knows no neuron. A variable is scaled into [2^-n, 1): its exponent tells the octave, the next k bits of its
mantissa the cell, the rest where in it, u in [-1/2, 1/2). So cells are short where the variable is small, which is what logarithms and
poles at 0 ask for, and finding one takes no search. Made of sums, products and quotients alone, elementwise, so that the bits of a table
are the same on every machine (numpy's sums over an axis and its elementary functions are not).
"""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.quantile import Floats

NODES = 16
DEGREE = 13
"""Of the polynomials: a cell then fits two lines of the cache, and log x needs four in an octave."""
MOST_CUTS = 10
"""An octave is cut into at most this power of two of cells."""
BELOW_ONE = 1.0 - 2.0**-53
MANTISSA, ONE = (1 << 52) - 1, 1023 << 52
PI = Decimal("3.14159265358979323846264338327950288419717")


def _cosines() -> list[float]:
    """cos of m pi / 32, m from 0 to 63, each the nearest float64: Taylor's series in 40 digits."""
    found = []
    with localcontext() as context:
        context.prec = 45
        for m in range(64):
            x = PI * (m if m <= 32 else m - 64) / 32
            term = total = Decimal(1)
            for n in range(2, 60, 2):
                term *= -x * x / (n * (n - 1))
                total += term
            found.append(float(total) if m % 32 != 16 else 0.0)
    return found


COSINES = _cosines()
CHEBYSHEV = np.array([COSINES[2 * k + 1] for k in range(NODES)])
"""The zeros of T_16."""
TRANSFORM = np.array([[COSINES[j * (2 * k + 1) % 64] * (2.0 - (j == 0)) / NODES for k in range(NODES)] for j in range(NODES)])
"""From values at the zeros to Chebyshev coefficients."""


def _powers() -> Floats:
    """Row i: how much t^i there is in each T_j(t)."""
    powers = np.zeros((NODES + 1, NODES + 1))
    powers[0, 0] = powers[1, 1] = 1.0
    for j in range(2, NODES + 1):
        powers[:, j] = -powers[:, j - 2]
        powers[1:, j] += 2.0 * powers[:-1, j - 1]
    return powers


POWERS = _powers()


class NotSmooth(Exception):
    """There is no polynomial for a cell; ``where`` is the variable there."""

    def __init__(self, where: float) -> None:
        super().__init__(where)
        self.where = where


def coefficients(values: Floats) -> Floats:
    """(cells, NODES): Chebyshev coefficients, from the values at the nodes."""
    total = np.zeros_like(values)
    for k in range(NODES):
        total += values[:, k : k + 1] * TRANSFORM[:, k]
    return total


def integrals(series: Floats, width: Floats) -> Floats:
    """(cells, NODES + 1): coefficients of the integral from the left end of a cell of that width."""
    padded = np.concatenate([series, np.zeros((len(series), 2))], axis=1)
    total = np.zeros((len(series), NODES + 1))
    total[:, 1] = padded[:, 0] - 0.5 * padded[:, 2]
    for j in range(2, NODES + 1):
        total[:, j] = (padded[:, j - 1] - padded[:, j + 1]) / (2.0 * j)
    total *= 0.5 * width[:, None]
    for j in range(1, NODES + 1):
        total[:, 0] -= total[:, j] if j % 2 == 0 else -total[:, j]
    return total


def monomials(series: Floats, degree: int = DEGREE, step: float = 2.0) -> Floats:
    """(cells, degree + 1): coefficients of the powers of t / step, from Chebyshev coefficients; those beyond the degree are left out."""
    total = np.zeros((len(series), degree + 1))
    for j in range(degree, -1, -1):
        total += series[:, j : j + 1] * POWERS[: degree + 1, j]
    return total * np.array([step**i for i in range(degree + 1)])


class Cells(NamedTuple):
    """A function on [2^-n, 1). Cells ascend with the variable."""

    cuts: Any  # int64 (n,), log2 of the cells of each octave, from the smallest on
    base: Any  # int64 (n,), the first cell of each octave
    left: Floats  # (cells,), where each begins
    width: Floats  # (cells,)
    series: Floats  # (cells, coefficients), Chebyshev

    def find(self, d: Floats) -> tuple[Any, Floats]:
        """The cell of each value of the variable, and where in it; as the kernels do it."""
        bits = np.clip(d, math.ldexp(1.0, -len(self.cuts)), BELOW_ONE).view(np.int64)
        octave = (bits >> 52) - 1023 + len(self.cuts)
        cuts = self.cuts[octave]
        cell = self.base[octave] + ((bits & MANTISSA) >> (52 - cuts))
        return cell, (((bits << cuts) & MANTISSA) | ONE).view(np.float64) - 1.5


def refined(fit: Callable[[Floats, Floats], tuple[Floats, Any]], n: int, most: int) -> Cells:
    """Cut each of ``n`` octaves until ``fit`` is content with every cell of it.

    Parameters
    ----------
    most : 2^most cells are allowed in the shortest octave, or those of all
    fit : (left ends, widths) of cells -> (their Chebyshev coefficients, whether those it leaves out are small enough)

    Raises
    ------
    NotSmooth
        if an octave would have more than 2^MOST_CUTS cells, or the first one more than 2^most.
    """
    pending = np.arange(n)
    cuts = np.zeros(n, np.int64)
    found: list[tuple[Floats, Floats, Floats]] = [(np.empty(0),) * 3] * n
    for k in range(MOST_CUTS + 1):
        count = 1 << k
        left = np.ldexp(1.0 + np.arange(count) / count, (pending - n)[:, None])
        width = np.ldexp(np.ones_like(left), (pending - n)[:, None] - k)
        series, good = fit(left.ravel(), width.ravel())
        series, good = series.reshape(len(pending), count, -1), good.reshape(len(pending), count)
        for place, octave in enumerate(pending.tolist()):
            if good[place].all():
                cuts[octave], found[octave] = k, (left[place], width[place], series[place])
        wrong = ~good.all(axis=1)
        if wrong.any() and (k == MOST_CUTS or (k == most and pending[0] == 0 and wrong[0])):
            raise NotSmooth(float(left[wrong][~good[wrong]][0]))
        pending = pending[wrong]
        if pending.size == 0:
            break
    base = np.concatenate([[0], np.cumsum(1 << cuts)[:-1]])
    left, width, series = (np.concatenate([columns[part] for columns in found]) for part in range(3))
    return Cells(cuts, base, left, width, series)


def at_nodes(left: Floats, width: Floats) -> Floats:
    """(cells, NODES): the variable at the nodes of cells."""
    return left[:, None] + (0.5 * CHEBYSHEV + 0.5) * width[:, None]


def evaluated(powers: Floats, u: Floats) -> Floats:
    """The sum of ``powers[:, i] u^i``, by Horner's rule."""
    total = powers[:, -1].copy()
    for i in range(powers.shape[1] - 2, -1, -1):
        total = total * u + powers[:, i]
    return total


def sloped(powers: Floats, u: Floats) -> Floats:
    """Its derivative."""
    return evaluated(powers[:, 1:] * np.arange(1.0, powers.shape[1]), u)
