"""LIF neurons with a current that varies in time: their kernel record, and its bodies of the protocol.

A record of LIF neurons, whose state and parameters it keeps, with the curve of the threshold beside it (``models.lif_curve``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.elementary import exp_frame
from sparseprop_dist.gaps import next_target
from sparseprop_dist.inputs import Current
from sparseprop_dist.jit import implements, inline, merged
from sparseprop_dist.models.current import Currents
from sparseprop_dist.models.lif_curve import Curves, common, drive_at, drive_of, ensure, first_up, lowest, lowest_of, stand, whole
from sparseprop_dist.models.lif_record import ABSORB, FREE, LIMIT, SLACK, LIFRecord, carry_of
from sparseprop_dist.models.lif_rows import add_to_all
from sparseprop_dist.models.protocol import (
    FIRED,
    NEVER,
    NOTHING,
    OVERFLOW,
    act,
    beyond,
    candidates,
    carry,
    fetch,
    inhibit,
    is_resting,
    mark,
    nothing_but_potential,
    own_event,
    pass_on,
    potential,
    receive,
    restore,
    save,
    set_apart,
    strike,
    strike_back,
)
from sparseprop_dist.models.row import strike_each
from sparseprop_dist.models.scan import scan


@by_address
class DrivenLIFRecord(NamedTuple):
    """LIF neurons of one rank, with currents."""

    lif: LIFRecord
    kind: np.ndarray  # int32 (neurons,), curve of each
    curves: Curves
    currents: Currents

    @staticmethod
    def make(values: Mapping[str, Any], which: np.ndarray, sets: Sequence[Sequence[Current]], slab_bits: int) -> "DrivenLIFRecord":
        """Return neurons at time 0, from their parameters and the set of currents that each gets.

        Raises
        ------
        InputError
            as `LIFRecord.make`, and for currents that move V by more in a slab than the integers of the state can hold.
        """
        lif = LIFRecord.make(values, slab_bits)
        return DrivenLIFRecord(lif, *drive_of(lif, lif.slope, values, which, sets, slab_bits))

    def alike(self, start: int, stop: int) -> int:
        """As `LIFRecord.alike`."""
        same = bool((self.kind[start:stop] == self.kind[start]).all())
        return min(self.lif.alike(start, stop), 2 if same else 1)

    def threshold_bounds(self, start: int, stop: int, offsets: np.ndarray) -> np.ndarray:
        """Return no columns: the threshold depends on the slab."""
        return np.empty((len(offsets), 0), np.int64)

    def largest_increment(self, start: int, stop: int, weight: float) -> float:
        """As `LIFRecord.largest_increment`."""
        return self.lif.largest_increment(start, stop, weight)

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        self.lif.keep_origin(shift)
        self.currents.keep_origin(shift)
        self.curves.forget()


@inline
def _jump(lif, i, offset, weight):
    return np.int64(np.rint(weight * lif.gain[i] * exp_frame((offset - lif.half) * lif.rate[i])))


@merged
def stand_at(model, i, start, offset, value):
    """Return the state at which V stands at ``value`` (quanta from V_inf) at an offset."""
    c = np.int64(model.kind[i])
    drive = drive_at(model.curves, model.currents, c, start, offset)
    return stand(model.curves, model.currents, c, drive, value, offset)


@merged
def _fire(model, i, start, offset):
    lif = model.lif
    if lif.refractory[i] > 0:
        lif.release[i] = start + offset + lif.refractory[i]
        lif.y[i] = 0 if lif.keep[i] else ABSORB
    else:
        lif.y[i] = stand_at(model, i, start, offset, lif.reset[i])
    return FIRED


@merged
def _is_up(model, i, start, offset, y):
    c = np.int64(model.kind[i])
    ensure(model.curves, model.currents, c, start)
    # the lowest threshold of the slab spares the exact one, 50 ns, where y is far
    return y >= lowest_of(model.curves, c) - SLACK and y >= stand_at(model, i, start, offset, model.lif.threshold[i]) - SLACK


@implements(receive, DrivenLIFRecord)
def _receive(model, i, start, offset, weight):
    lif = model.lif
    if lif.release[i] != FREE and lif.keep[i] == 0:
        return NOTHING
    y = lif.y[i] + _jump(lif, i, offset, weight)
    lif.y[i] = y
    if lif.release[i] == FREE and _is_up(model, i, start, offset, y):
        return _fire(model, i, start, offset)
    return NOTHING if abs(y) < LIMIT else OVERFLOW


@implements(own_event, DrivenLIFRecord)
def _own_event(model, i, start, after):
    lif = model.lif
    if lif.release[i] != FREE:
        return lif.release[i] - start
    return first_up(model.curves, model.currents, np.int64(model.kind[i]), start, lif.y[i], after, NEVER)


@implements(act, DrivenLIFRecord)
def _act(model, i, start, offset):
    lif = model.lif
    if lif.release[i] == FREE:
        return _fire(model, i, start, offset)
    lif.release[i] = FREE
    kept = lif.y[i] if lif.keep[i] else 0
    lif.y[i] = kept + stand_at(model, i, start, offset, lif.reset[i])
    return NOTHING


pass_on(DrivenLIFRecord, "lif", save, restore, beyond, fetch, is_resting, mark, strike_back, set_apart, inhibit)


@implements(carry, DrivenLIFRecord)
def _carry(model, first, n, start):
    c, culprit = common(model.curves, model.currents, model.kind[first : first + n], start), np.int64(-1)
    if c >= 0:
        return carry_of(model.lif, first, n, whole(model.curves, c))
    for i in range(first, first + n):
        far = carry_of(model.lif, i, 1, whole(model.curves, np.int64(model.kind[i])))
        culprit = i - first if far >= 0 else culprit
    return culprit


@implements(potential, DrivenLIFRecord)
def _potential(model, i, start, offset):
    lif, c = model.lif, np.int64(model.kind[i])
    if lif.release[i] != FREE:
        return lif.rest[i] + lif.reset[i] / lif.gain[i]
    away = offset - lif.half
    drive = model.curves.kind[c].scale * drive_at(model.curves, model.currents, c, start, offset)
    return lif.rest[i] + (lif.y[i] + lif.slope[i] * away + drive) * exp_frame(-away * lif.rate[i]) / lif.gain[i]


nothing_but_potential(DrivenLIFRecord)


@implements(candidates, DrivenLIFRecord)
def _candidates(model, first, n, alike, start, a, b, found):
    lif, curves = model.lif, model.curves
    y = lif.y[first : first + n]
    m = 0
    if alike == 2:
        least = lowest(curves, model.currents, np.int64(model.kind[first]), start, a, b)
        for k in range(n):
            if y[k] >= least:
                found[m] = k
                m += 1
    else:
        for k in range(n):
            c = np.int64(model.kind[first + k])
            ensure(curves, model.currents, c, start)
            # the bound of the slab is at hand, that of the piece takes 0.3 us; the schedule's pieces follow the number found
            if y[k] >= lowest_of(curves, c) and y[k] >= lowest(curves, model.currents, c, start, a, b):
                found[m] = k
                m += 1
    if lif.rests:
        release = lif.release[first : first + n]
        m += scan(release, np.int64(0), start + b, False, found[m:])
    return m


@merged
def _excite(model, first, words, begin, stop, amount, start, offset, b, touched):
    """Deliver an excitatory spike to neurons of the same parameters; as `strike`."""
    y, release = model.lif.y[first:], model.lif.release[first:]
    threshold = stand_at(model, first, start, offset, model.lif.threshold[first]) - SLACK
    least = min(threshold, lowest(model.curves, model.currents, np.int64(model.kind[first]), start, offset, b))
    m, target = 0, np.uint64(0)
    for q in range(np.uint64(begin), np.uint64(stop)):
        target = next_target(words, q, target)
        v = y[target] + amount
        y[target] = v
        if v >= least and release[target] == FREE:
            touched[m] = np.int64(target)
            if v >= threshold:
                _fire(model, first + np.int64(target), start, offset)
                touched[m] = ~np.int64(target)
            m += 1
    return m


@implements(strike, DrivenLIFRecord)
def _strike(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    if alike and weights.size == 0:
        amount = _jump(model.lif, first, offset, weight)
        if amount <= 0:
            add_to_all(model.lif.y[first:], words, begin, stop, amount)
            return 0
        if alike == 2:
            return _excite(model, first, words, begin, stop, amount, start, offset, b, touched)
    return strike_each(model, first, words, begin, stop, weight, weights, start, offset, b, touched)
