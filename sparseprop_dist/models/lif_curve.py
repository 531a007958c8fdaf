"""The threshold of LIF neurons with a current that varies in time, as a curve over a slab.

In the frame of a slab (``models.lif_record``), with ``drive(t) = scale integral of I(s) e^((s - half)/tau_m) ds`` from the slab's start, a
state ``y`` stays as it is between inputs, and V is at threshold when y meets the curve

    theta(t) = threshold e^((t - half)/tau_m) - slope (t - half) - drive(t).

theta falls where I(t) is above ``rheobase``, the current that holds V at threshold, and rises where it is below. So it is cut where I
passes that value: on each *part* it is monotone, and no crossing can be missed. Neurons of the same parameters share a curve.
"""

from typing import NamedTuple

import numpy as np

from sparseprop_dist.elementary import exp_frame
from sparseprop_dist.jit import njit
from sparseprop_dist.models.current import Currents, integral, piece_at, sines_at

NO_SLAB = -1


class Curves(NamedTuple):
    """One curve for each kind of neuron, filled for the slab ``key`` when it is first asked for. Of the arrays (curves, room), the first
    ``parts`` are in use, and one more of ``begin`` and ``theta``."""

    which: np.ndarray  # int64, set of currents
    rate: np.ndarray  # float64, 1/tau_m, per tick
    threshold: np.ndarray  # float64, quanta, as in LIFRecord
    drift: np.ndarray  # float64, quanta per tick: drive of a neuron that does not leak
    scale: np.ndarray  # float64, quanta per tick and pA
    rheobase: np.ndarray  # float64, pA
    key: np.ndarray  # int64, tick at which the slab starts, or NO_SLAB
    parts: np.ndarray  # int64
    least: np.ndarray  # int64, the lowest theta in the slab
    begin: np.ndarray  # int64 (curves, room), offset
    theta: np.ndarray  # int64, at begin
    drive: np.ndarray  # float64, pA ticks, at begin
    value: np.ndarray  # float64, pA, straight part of the current at begin
    slope: np.ndarray  # float64, pA per tick
    half: float  # half a slab, ticks

    @staticmethod
    def make(kinds: np.ndarray, currents: Currents, half: float) -> "Curves":
        """Return curves that are not filled; ``kinds``: rows of set, rate, threshold, drift, scale."""
        which, rate, threshold, drift, scale = kinds.T
        n, sets = len(kinds), range(len(currents.piece_ptr) - 1)
        room = 2 + max(currents.pieces_in_slab(own) + currents.turns_in_slab(own) for own in sets)
        return Curves(
            which=which.astype(np.int64),
            rate=rate.copy(),
            threshold=threshold.copy(),
            drift=drift.copy(),
            scale=scale.copy(),
            rheobase=(rate * threshold - drift) / scale,
            key=np.full(n, NO_SLAB, np.int64),
            parts=np.zeros(n, np.int64),
            least=np.zeros(n, np.int64),
            begin=np.zeros((n, room), np.int64),
            theta=np.zeros((n, room), np.int64),
            drive=np.zeros((n, room)),
            value=np.zeros((n, room)),
            slope=np.zeros((n, room)),
            half=half,
        )


@njit
def _excess(curves, currents, c, start, begin, value, slope, offset):
    """Return I less rheobase at an offset, its derivative, and a bound on the absolute second derivative, in the piece whose straight part
    has ``value`` and ``slope`` at ``begin``."""
    sines, rise, bend = sines_at(currents, curves.which[c], start, begin, offset)
    return value + slope * (offset - begin) + sines - curves.rheobase[c], slope + rise, bend


@njit
def _sign_change(curves, currents, c, start, begin, value, slope, low, high):
    """Return the offset in [low, high], where I less rheobase is monotone, at which it changes its sign; ``begin`` if it does not."""
    below = _excess(curves, currents, c, start, begin, value, slope, float(low))[0]
    above = _excess(curves, currents, c, start, begin, value, slope, float(high))[0]
    if not ((below < 0.0 and above > 0.0) or (below > 0.0 and above < 0.0)):
        return begin
    while high - low > 1:
        middle = (low + high) >> 1
        excess = _excess(curves, currents, c, start, begin, value, slope, float(middle))[0]
        if (excess < 0.0) == (below < 0.0):
            low = middle
        else:
            high = middle
    return high


@njit
def _turn(curves, currents, c, start, begin, value, slope, end):
    """Return the first offset after ``begin`` at which theta turns, ``end`` if it does not.

    Steps over stretches on which the excess of I cannot be 0, or is monotone, as its second derivative is bounded; others are halved, until
    what could be missed is rounding.
    """
    x, h = begin, end - begin
    while x < end:
        h = min(h, end - x)
        excess, rise, bend = _excess(curves, currents, c, start, begin, value, slope, x + 0.5 * h)
        monotone = abs(rise) >= 0.5 * bend * h
        if abs(excess) <= 0.5 * abs(rise) * h + 0.125 * bend * h * h:
            if not monotone and h > 1 and bend * h * h > 2.0**-50 * (abs(curves.rheobase[c]) + abs(value)):
                h >>= 1
                continue
            at = _sign_change(curves, currents, c, start, begin, value, slope, x, x + h)
            if begin < at < end:
                return at
        x += h
        h *= 2
    return end


@njit
def _integrate(curves, currents, c, start, begin, value, slope, offset):
    """Return what the current adds to the drive from ``begin`` to ``offset``, pA ticks."""
    grown = exp_frame((begin - curves.half) * curves.rate[c])
    return grown * integral(currents, curves.which[c], start, begin, value, slope, curves.rate[c], offset - begin)


@njit
def _fill_piece(curves, currents, c, start, n, begin, end, value, slope, drive):
    """Add the parts of one piece of the current; return their number so far, and the drive at the end."""
    room = curves.begin.shape[1]
    while begin < end:
        turn = _turn(curves, currents, c, start, begin, value, slope, end) if n + 2 < room else end
        curves.begin[c, n], curves.drive[c, n], curves.value[c, n], curves.slope[c, n] = begin, drive, value, slope
        drive += _integrate(curves, currents, c, start, begin, value, slope, float(turn))
        value += slope * (turn - begin)
        begin = turn
        n += 1
    return n, drive


@njit
def _fill(curves, currents, c, start):
    which, length = curves.which[c], currents.length
    k = piece_at(currents, which, start)
    n, begin, drive = np.int64(0), np.int64(0), 0.0
    while begin < length:
        last = k + 1 == currents.piece_ptr[which + 1]
        end = length if last else min(length, currents.begin[k + 1] - start)
        value = currents.value[k] + currents.slope[k] * (start + begin - currents.begin[k])
        n, drive = _fill_piece(curves, currents, c, start, n, begin, end, value, currents.slope[k], drive)
        begin = end
        k += 1
    curves.begin[c, n], curves.drive[c, n] = length, drive
    curves.parts[c], curves.key[c] = n, start
    for p in range(n + 1):
        curves.theta[c, p] = stand(curves, currents, c, curves.drive[c, p], curves.threshold[c], curves.begin[c, p])
        curves.least[c] = min(curves.least[c], curves.theta[c, p]) if p else curves.theta[c, 0]


@njit
def ensure(curves, currents, c, start):
    """Fill a curve for the slab that starts at tick ``start``, if it is not."""
    if curves.key[c] != start:
        _fill(curves, currents, c, start)


@njit
def stand(curves, currents, c, drive, value, offset):
    """Return the state at which V stands at ``value`` (quanta from V_inf) at an offset, where the current made ``drive`` so far."""
    away = offset - curves.half
    return np.int64(np.rint(value * exp_frame(away * curves.rate[c]) - curves.drift[c] * away - curves.scale[c] * drive))


@njit
def drive_at(curves, currents, c, start, offset):
    """Return the drive (pA ticks) at an integer offset."""
    ensure(curves, currents, c, start)
    p, parts = np.int64(0), curves.parts[c]
    while p < parts and curves.begin[c, p + 1] <= offset:
        p += 1
    if curves.begin[c, p] == offset:
        return curves.drive[c, p]
    begin, value, slope = curves.begin[c, p], curves.value[c, p], curves.slope[c, p]
    return curves.drive[c, p] + _integrate(curves, currents, c, start, begin, value, slope, float(offset))


@njit
def _crossing(curves, currents, c, start, p, y):
    """Return the offset in part ``p``, rounded to a tick, at which theta is ``y``, which lies between its ends: Newton's steps, halving
    where they leave what is left."""
    begin, value, slope, rate = curves.begin[c, p], curves.value[c, p], curves.slope[c, p], curves.rate[c]
    first, last = curves.theta[c, p], curves.theta[c, p + 1]
    low, high = float(begin), float(curves.begin[c, p + 1])
    x = low + (high - low) * (float(first - y) / float(first - last))
    for _ in range(100):
        away = x - curves.half
        grown = exp_frame(away * rate)
        drive = curves.drive[c, p] + _integrate(curves, currents, c, start, begin, value, slope, x)
        above = (curves.threshold[c] * grown - curves.drift[c] * away - curves.scale[c] * drive) - y
        fall = grown * curves.scale[c] * _excess(curves, currents, c, start, begin, value, slope, x)[0]
        if (above > 0.0) == (last < first):
            low = x
        else:
            high = x
        step = above / fall if fall != 0.0 else 4.0 * curves.half
        x += step
        if not low <= x <= high:
            x, step = 0.5 * (low + high), 0.5 * (high - low)
        if abs(step) < 0.03125:
            break
    return np.int64(np.rint(x))


@njit
def first_up(curves, currents, c, start, y, after, never):
    """Return the first offset, at or after ``after``, at which theta is at ``y`` or below; ``never`` if there is none in the slab.

    It is the first of a set of offsets that depends on ``y`` and the slab alone, whenever it is asked for.
    """
    ensure(curves, currents, c, start)
    parts = curves.parts[c]
    if y < curves.least[c]:
        return never
    for p in range(parts):
        begin, end, first, last = curves.begin[c, p], curves.begin[c, p + 1], curves.theta[c, p], curves.theta[c, p + 1]
        if (end <= after and p + 1 < parts) or y < min(first, last):
            continue
        if last < first:
            return max(after, begin if y >= first else _crossing(curves, currents, c, start, p, y))
        if y >= last or after < _crossing(curves, currents, c, start, p, y):
            return max(after, begin)
    return never


@njit
def lowest(curves, currents, c, start, a, b):
    """Return what a state must reach to meet theta at an offset in [a, b), less a guard for rounding."""
    ensure(curves, currents, c, start)
    least = min(
        stand(curves, currents, c, drive_at(curves, currents, c, start, a), curves.threshold[c], a),
        stand(curves, currents, c, drive_at(curves, currents, c, start, b), curves.threshold[c], b),
    )
    for p in range(1, curves.parts[c]):
        if a < curves.begin[c, p] < b:
            least = min(least, curves.theta[c, p])
    return least - 2 - (abs(least) >> 40)
