"""The threshold of LIF neurons with a current that varies in time, as a curve over a slab.

In the frame of a slab (``models.lif_record``), with ``drive(t) = scale integral of I(s) e^((s - half)/tau_m) ds`` from the slab's start, a
state ``y`` stays as it is between inputs, and V is at threshold when y meets the curve

    theta(t) = threshold e^((t - half)/tau_m) - slope (t - half) - drive(t).

theta falls where I(t) is above ``rheobase``, the current that holds V at threshold, and rises where it is below. So it is cut where I
passes that value: on each *part* it is monotone, and no crossing can be missed. Neurons of the same parameters share a curve.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.clock import TICK
from sparseprop_dist.elementary import exp_frame
from sparseprop_dist.errors import InputError
from sparseprop_dist.inputs import Current
from sparseprop_dist.jit import inner
from sparseprop_dist.models.current import Currents, integral, largest, piece_at, sines_at
from sparseprop_dist.models.lif_record import LIMIT
from sparseprop_dist.models.protocol import CELLS

NO_SLAB = -1
GROWTH = 1.3
"""At least e^(1/4): by how much an exponential can grow over half a slab."""


KIND = np.dtype(
    [
        ("which", np.int64),  # set of currents
        ("rate", np.float64),  # 1/tau_m, per tick
        ("threshold", np.float64),  # quanta, as in LIFRecord
        ("drift", np.float64),  # quanta per tick: drive of a neuron that does not leak
        ("scale", np.float64),  # quanta per tick and pA
        ("rheobase", np.float64),  # pA
        ("guard", np.int64),  # of delta synapses: quanta, by which theta moves in a tick and by which it may be rounded, together at most
        ("key", np.int64),  # tick at which the slab starts for which the curve is filled, or NO_SLAB
        ("parts", np.int64),  # their number
        ("least", np.int64),  # the lowest theta in the slab
        ("highest", np.float64),  # of exponential currents: pA, which the current does not exceed in the slab
    ],
    align=True,
)
PART = np.dtype(
    [
        ("begin", np.int64),  # offset
        ("theta", np.int64),  # the others: at begin
        ("drive", np.float64),  # pA ticks
        ("value", np.float64),  # pA, straight part of the current
        ("slope", np.float64),  # pA per tick
    ],
    align=True,
)


CELL = np.dtype(
    [
        ("c", np.int64),
        ("begin", np.int64),  # tick
        ("end", np.int64),
        ("least", np.int64),  # what `lowest` says
    ],
    align=True,
)


class Curves(NamedTuple):
    """One curve for each kind of neuron, filled for a slab when first asked for."""

    kind: Any  # np.recarray of KIND
    part: Any  # np.recarray of PART (kinds, room); one more than the number of parts is in use, for the end of the slab
    cell: Any  # np.recarray of CELL (CELLS,), the last of each that was asked for: blocks of neurons alike ask for the same
    half: float  # half a slab, ticks

    @staticmethod
    def make(rows: np.ndarray, currents: Currents, half: float) -> tuple[np.ndarray, "Curves"]:
        """Return the curve of each neuron (int32), and curves that are not filled; ``rows``: set, rate, threshold, drift, scale of each."""
        rows, own = np.unique(rows, axis=0, return_inverse=True)
        sets = range(len(currents.piece_ptr) - 1)
        room = 2 + max(currents.cuts_in_slab(which) for which in sets)
        kind = np.zeros(len(rows), KIND)
        for name, column in zip(KIND.names or (), rows.T, strict=False):
            kind[name] = column
        kind["rheobase"] = (kind["rate"] * kind["threshold"] - kind["drift"]) / kind["scale"]
        kind["key"] = NO_SLAB
        most = np.array([currents.most(which) for which in sets])[kind["which"]]
        steep = GROWTH * kind["scale"] * (most + np.abs(kind["rheobase"]))
        kind["guard"] = 2 + steep + 2.0**-44 * (GROWTH * np.abs(kind["threshold"]) + 2.0 * half * steep)
        parts, cells = np.zeros((len(rows), room), PART), np.full(CELLS, NO_SLAB, np.int64).astype(CELL)
        curves = Curves(kind.view(np.recarray), parts.view(np.recarray), cells.view(np.recarray), half)
        return own.reshape(-1).astype(np.int32), curves

    def forget(self) -> None:
        """Fill no curve: the origin of ticks moved."""
        self.kind.key = NO_SLAB
        self.cell.c = NO_SLAB


def drive_of(
    record: Any, drift: np.ndarray, values: Mapping[str, Any], which: np.ndarray, sets: Sequence[Sequence[Current]], slab_bits: int
) -> tuple[np.ndarray, Curves, Currents]:
    """Return the curve of each neuron, the curves and the currents of neurons that get these.

    ``record``: of the neurons without currents; ``drift``: quanta per tick, of those that do not leak; ``values``: their parameters, with
    ``C_m`` and ``gid``; ``which``: the set of currents of each.

    Raises
    ------
    InputError
        for currents that move V by more in a slab than the integers of the state can hold; names the first neuron.
    """
    currents, scale = Currents.make(sets, slab_bits), record.gain * TICK / values["C_m"]
    most = np.array([currents.most(own) for own in range(len(sets))])[which]
    room = LIMIT / 4 / (GROWTH * 2.0 * record.half * scale)
    if (most > room).any():
        i = int(np.argmax(most > room))
        told = f"neuron {values['gid'][i]}: its currents reach {most[i]:.3g} pA"
        raise InputError(f"{told}; with its C_m at most {room[i]:.3g} pA can be held")
    rows = np.stack([which, record.rate, record.threshold, drift, scale], axis=1)
    return *Curves.make(rows, currents, record.half), currents


@inner
def excess(curves, currents, c, start, begin, value, slope, offset, half):
    """Return I less rheobase at an offset, its derivative, and a bound on the absolute second derivative within ``half`` ticks; in the
    piece whose straight part has ``value`` and ``slope`` at ``begin``."""
    sines, rise, bend, jerk = sines_at(currents, curves.kind[c].which, start, begin, offset)
    return value + slope * (offset - begin) + sines - curves.kind[c].rheobase, slope + rise, abs(bend) + half * jerk


@inner
def _sign_change(curves, currents, c, start, begin, value, slope, low, high):
    """Return the offset in [low, high], where I less rheobase is monotone, at which it changes its sign; ``begin`` if it does not. Zero
    counts as above: where it is met at an end, the change belongs to one of two stretches."""
    below = excess(curves, currents, c, start, begin, value, slope, float(low), 0.0)[0]
    above = excess(curves, currents, c, start, begin, value, slope, float(high), 0.0)[0]
    if (below < 0.0) == (above < 0.0):
        return begin
    while high - low > 1:
        middle = (low + high) >> 1
        here = excess(curves, currents, c, start, begin, value, slope, float(middle), 0.0)[0]
        if (here < 0.0) == (below < 0.0):
            low = middle
        else:
            high = middle
    return high


@inner
def _turn(curves, currents, c, start, begin, value, slope, end):
    """Return the first offset after ``begin`` at which theta turns, ``end`` if it does not.

    Steps over stretches on which the excess of I cannot be 0, or is monotone, as its second derivative is bounded; others are halved, until
    what could be missed is rounding.
    """
    x, h = begin, end - begin
    while x < end:
        h = min(h, end - x)
        surplus, rise, bend = excess(curves, currents, c, start, begin, value, slope, x + 0.5 * h, 0.5 * h)
        monotone = abs(rise) >= 0.5 * bend * h
        if abs(surplus) <= 0.5 * abs(rise) * h + 0.125 * bend * h * h:
            if not monotone and h > 1 and bend * h * h > 2.0**-50 * (abs(curves.kind[c].rheobase) + abs(value)):
                h >>= 1
                continue
            at = _sign_change(curves, currents, c, start, begin, value, slope, x, x + h)
            if begin < at < end:
                return at
        x += h
        h *= 2
    return end


@inner
def _integrate(curves, currents, c, start, begin, value, slope, offset):
    """Return what the current adds to the drive from ``begin`` to ``offset``, pA ticks."""
    grown = exp_frame((begin - curves.half) * curves.kind[c].rate)
    return grown * integral(currents, curves.kind[c].which, start, begin, value, slope, curves.kind[c].rate, offset - begin)


@inner
def _fill_piece(curves, currents, c, start, n, begin, end, value, slope, drive):
    """Add the parts of one piece of the current; return their number so far, and the drive at the end."""
    room = curves.part.shape[1]
    while begin < end:
        turn = _turn(curves, currents, c, start, begin, value, slope, end) if n + 2 < room else end
        curves.part[c, n].begin, curves.part[c, n].drive, curves.part[c, n].value, curves.part[c, n].slope = begin, drive, value, slope
        drive += _integrate(curves, currents, c, start, begin, value, slope, float(turn))
        value += slope * (turn - begin)
        begin = turn
        n += 1
    return n, drive


@inner
def _fill(curves, currents, c, start):
    which, length = curves.kind[c].which, currents.length
    k = piece_at(currents, which, start)
    n, begin, drive = np.int64(0), np.int64(0), 0.0
    while begin < length:
        last = k + 1 == currents.piece_ptr[which + 1]
        end = length if last else min(length, currents.piece[k + 1].begin - start)
        value = currents.piece[k].value + currents.piece[k].slope * (start + begin - currents.piece[k].begin)
        n, drive = _fill_piece(curves, currents, c, start, n, begin, end, value, currents.piece[k].slope, drive)
        begin = end
        k += 1
    curves.part[c, n].begin, curves.part[c, n].drive = length, drive
    curves.kind[c].parts, curves.kind[c].key, curves.kind[c].highest = n, start, largest(currents, which, start)
    for p in range(n + 1):
        curves.part[c, p].theta = stand(curves, currents, c, curves.part[c, p].drive, curves.kind[c].threshold, curves.part[c, p].begin)
        curves.kind[c].least = min(curves.kind[c].least, curves.part[c, p].theta) if p else curves.part[c, 0].theta


@inner
def ensure(curves, currents, c, start):
    """Fill a curve for the slab that starts at tick ``start``, if it is not."""
    if curves.kind[c].key != start:
        _fill(curves, currents, c, start)


@inner
def stand(curves, currents, c, drive, value, offset):
    """Return the state at which V stands at ``value`` (quanta from V_inf) at an offset, where the current made ``drive`` so far."""
    away = offset - curves.half
    return np.int64(np.rint(value * exp_frame(away * curves.kind[c].rate) - curves.kind[c].drift * away - curves.kind[c].scale * drive))


@inner
def drive_at(curves, currents, c, start, offset):
    """Return the drive (pA ticks) at an offset."""
    ensure(curves, currents, c, start)
    p, parts = np.int64(0), curves.kind[c].parts
    while p < parts and curves.part[c, p + 1].begin <= offset:
        p += 1
    if curves.part[c, p].begin == offset:
        return curves.part[c, p].drive
    begin, value, slope = curves.part[c, p].begin, curves.part[c, p].value, curves.part[c, p].slope
    return curves.part[c, p].drive + _integrate(curves, currents, c, start, begin, value, slope, float(offset))


@inner
def _crossing(curves, currents, c, start, p, y):
    """Return the offset in part ``p``, rounded to a tick, at which theta is ``y``, which lies between its ends: Newton's steps, halving
    where they leave what is left."""
    begin, value, slope, rate = curves.part[c, p].begin, curves.part[c, p].value, curves.part[c, p].slope, curves.kind[c].rate
    first, last = curves.part[c, p].theta, curves.part[c, p + 1].theta
    low, high = float(begin), float(curves.part[c, p + 1].begin)
    x = low + (high - low) * (float(first - y) / float(first - last))
    for _ in range(100):
        away = x - curves.half
        grown = exp_frame(away * rate)
        drive = curves.part[c, p].drive + _integrate(curves, currents, c, start, begin, value, slope, x)
        above = (curves.kind[c].threshold * grown - curves.kind[c].drift * away - curves.kind[c].scale * drive) - y
        fall = grown * curves.kind[c].scale * excess(curves, currents, c, start, begin, value, slope, x, 0.0)[0]
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


@inner
def _is_before(curves, currents, c, start, p, y, offset):
    """Is an offset in part ``p``, in which theta rises past ``y``, before the crossing? Where theta is not near, its value there tells, for
    a tenth of the time of the search."""
    here = curves.part[c, p].theta
    if offset > curves.part[c, p].begin:
        here = stand(curves, currents, c, drive_at(curves, currents, c, start, offset), curves.kind[c].threshold, offset)
    if abs(y - here) > curves.kind[c].guard:
        return y > here
    return offset < _crossing(curves, currents, c, start, p, y)


@inner
def first_up(curves, currents, c, start, y, after, never):
    """Return the first offset, at or after ``after``, at which theta is at ``y`` or below; ``never`` if there is none in the slab.

    It is the first of a set of offsets that depends on ``y`` and the slab alone, whenever it is asked for: of a part in which theta falls,
    all from the crossing to its end, that too; of one in which it rises, all before the crossing. It may be the end of the slab.
    """
    ensure(curves, currents, c, start)
    parts = curves.kind[c].parts
    if y < curves.kind[c].least:
        return never
    for p in range(parts):
        begin, end, first, last = curves.part[c, p].begin, curves.part[c, p + 1].begin, curves.part[c, p].theta, curves.part[c, p + 1].theta
        if (end < after and p + 1 < parts) or y < min(first, last):
            continue
        if last < first:
            return max(after, begin if y >= first else _crossing(curves, currents, c, start, p, y))
        if y >= last or _is_before(curves, currents, c, start, p, y, max(after, begin)):
            return max(after, begin)
    return never


@inner
def lowest_of(curves, c):
    """As `lowest`, for the whole slab; the curve is filled."""
    return curves.kind[c].least - curves.kind[c].guard


@inner
def lowest(curves, currents, c, start, a, b):
    """Return what a state must reach to meet theta at an offset in [a, b), less a guard for rounding."""
    ensure(curves, currents, c, start)
    least = min(
        stand(curves, currents, c, drive_at(curves, currents, c, start, a), curves.kind[c].threshold, a),
        stand(curves, currents, c, drive_at(curves, currents, c, start, b), curves.kind[c].threshold, b),
    )
    for p in range(1, curves.kind[c].parts):
        if a < curves.part[c, p].begin < b:
            least = min(least, curves.part[c, p].theta)
    return least - curves.kind[c].guard


@inner
def lowest_in_cell(curves, currents, c, start, cell, a, b):
    """As `lowest`, for [a, b) in a cell."""
    known = curves.cell
    if known[cell].c != c or known[cell].begin != start + a or known[cell].end != start + b:
        known[cell].c, known[cell].begin, known[cell].end = c, start + a, start + b
        known[cell].least = lowest(curves, currents, c, start, a, b)
    return known[cell].least


@inner
def common(curves, currents, kind, start):
    """Return the curve that all neurons of ``kind`` have, filled; -1 if they have several, all filled."""
    c, same = np.int64(kind[0]), True
    for k in range(kind.size):
        same &= kind[k] == c
    for k in range(1 if same else kind.size):
        ensure(curves, currents, np.int64(kind[k]), start)
    return c if same else np.int64(-1)


@inner
def whole(curves, c):
    """Return by how much the current changes a state in the whole slab, quanta."""
    return curves.kind[c].scale * curves.part[c, curves.kind[c].parts].drive
