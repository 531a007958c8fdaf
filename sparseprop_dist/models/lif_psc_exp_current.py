"""LIF neurons with exponential synaptic currents and a current that varies in time: their kernel record, and its bodies of the protocol.

A record of such neurons without that current, whose state and parameters it keeps, with the drive of the slab beside it
(``models.lif_curve``): V stands at what ``v`` and the currents make, and the drive.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.elementary import exp_to_quarter
from sparseprop_dist.inputs import Current
from sparseprop_dist.jit import implements, inner, merged
from sparseprop_dist.models.current import Currents
from sparseprop_dist.models.lif_curve import Curves, common, drive_at, drive_of, ensure, whole
from sparseprop_dist.models.lif_psc_exp_flow import GUARD, lift, may_reach, push
from sparseprop_dist.models.lif_psc_exp_record import LIFPscExpRecord, carry_of, flow_of, stand
from sparseprop_dist.models.lif_psc_exp_rows import candidates_of, strike_of
from sparseprop_dist.models.lif_psc_exp_search import Driven, first_up
from sparseprop_dist.models.lif_psc_exp_slab import sweep_of
from sparseprop_dist.models.lif_record import ABSORB, FREE
from sparseprop_dist.models.protocol import (
    FIRED,
    NEVER,
    NOTHING,
    accumulate,
    act,
    beyond,
    candidates,
    carry,
    fetch,
    frame_of,
    in_order_only,
    increments,
    is_resting,
    mark,
    next_own,
    observe,
    own_event,
    pass_on,
    potential,
    receive,
    restore,
    save,
    strike,
    sums,
    sweep,
)


@by_address
class DrivenLIFPscExpRecord(NamedTuple):
    """Such neurons of one rank."""

    psc: LIFPscExpRecord
    kind: np.ndarray  # int32 (neurons,), curve of each
    curves: Curves
    currents: Currents

    @staticmethod
    def make(values: Mapping[str, Any], which: np.ndarray, sets: Sequence[Sequence[Current]], slab_bits: int) -> "DrivenLIFPscExpRecord":
        """Return neurons at time 0, from their parameters and the set of currents that each gets.

        Raises
        ------
        InputError
            as `LIFPscExpRecord.make`, and for currents that move V by more in a slab than the integers of the state can hold.
        """
        psc = LIFPscExpRecord.make(values, slab_bits)
        return DrivenLIFPscExpRecord(psc, *drive_of(psc, np.zeros(len(psc.rate)), values, which, sets, slab_bits))

    def alike(self, start: int, stop: int) -> int:
        """As `LIFPscExpRecord.alike`."""
        same = bool((self.kind[start:stop] == self.kind[start]).all())
        return min(self.psc.alike(start, stop), 2 if same else 1)

    def threshold_bounds(self, start: int, stop: int, offsets: np.ndarray) -> np.ndarray:
        """As `LIFPscExpRecord.threshold_bounds`."""
        return self.psc.threshold_bounds(start, stop, offsets)

    def largest_increment(self, start: int, stop: int, weight: float) -> float:
        """As `LIFPscExpRecord.largest_increment`."""
        return self.psc.largest_increment(start, stop, weight)

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        self.psc.keep_origin(shift)
        self.currents.keep_origin(shift)
        self.curves.forget()


@merged
def _drive(model, i, start, offset):
    """Return what the current added to ``v`` since the slab's start, quanta."""
    c = np.int64(model.kind[i])
    return model.curves.kind[c].scale * drive_at(model.curves, model.currents, c, start, offset)


@implements(push, DrivenLIFPscExpRecord)
def _push(model, i, start, length):
    c = np.int64(model.kind[i])
    ensure(model.curves, model.currents, c, start)
    pushed = length * model.curves.kind[c].scale * model.curves.kind[c].highest
    return pushed + GUARD * abs(pushed)


@implements(lift, DrivenLIFPscExpRecord)
def _lift(model, i, start, a, b):
    begin, rate, length = np.float64(a), model.psc.rate[i], np.float64(b - a)
    lifted, z = push(model, i, start, begin), rate * begin
    # what leaks of it: 1 - z/2 <= (1 - e^-z)/z <= 1 - z/2 + z^2/6
    lifted *= 1.0 - 0.5 * z + (z * z * (1 / 6) if lifted > 0.0 else 0.0)
    lifted += GUARD * abs(lifted)
    return lifted, (1.0 - rate * length) * lifted + push(model, i, start, length)


@implements(own_event, DrivenLIFPscExpRecord)
def _own_event(model, i, start, after):
    return next_own(model, i, start, after, np.int64(2.0 * model.psc.half))


@implements(next_own, DrivenLIFPscExpRecord)
def _next_own(model, i, start, after, before):
    psc = model.psc
    if psc.release[i] != FREE:
        return psc.release[i] - start
    if after >= before:
        return NEVER
    flow, lifted = flow_of(psc, i), lift(model, i, start, after, before)
    if not may_reach(flow, lifted, after - psc.half, np.float64(before - after)):
        return NEVER
    return first_up(Driven(model, np.int64(model.kind[i]), start, flow), after)


@inner
def _reset(model, i, start, offset):
    psc = model.psc
    psc.v[i] = stand(psc.reset[i] - exp_to_quarter(-psc.rate[i] * (offset - psc.half)) * _drive(model, i, start, offset), psc, i, offset)


@implements(act, DrivenLIFPscExpRecord)
def _act(model, i, start, offset):
    psc = model.psc
    if psc.release[i] != FREE:
        psc.release[i] = FREE
        _reset(model, i, start, offset)
        return NOTHING
    if psc.refractory[i] > 0:
        psc.release[i], psc.v[i] = start + offset + psc.refractory[i], ABSORB
    else:
        _reset(model, i, start, offset)
    return FIRED


@implements(carry, DrivenLIFPscExpRecord)
def _carry(model, first, n, start):
    culprit = beyond(model.psc, first, n)
    c = common(model.curves, model.currents, model.kind[first : first + n], start)
    if c >= 0:
        carry_of(model.psc, first, n, whole(model.curves, c))
    else:
        for i in range(first, first + n):
            carry_of(model.psc, i, 1, whole(model.curves, np.int64(model.kind[i])))
    return culprit


@implements(potential, DrivenLIFPscExpRecord)
def _potential(model, i, start, offset):
    psc = model.psc
    if psc.release[i] != FREE:
        return potential(psc, i, start, offset)
    driven = exp_to_quarter(-psc.rate[i] * (offset - psc.half)) * _drive(model, i, start, offset)
    return potential(psc, i, start, offset) + driven / psc.gain[i]


@implements(observe, DrivenLIFPscExpRecord)
def _observe(model, i, start, offset, number):
    return observe(model.psc, i, start, offset, number) if number else potential(model, i, start, offset)


@implements(candidates, DrivenLIFPscExpRecord)
def _candidates(model, first, n, alike, start, a, b, found):
    return candidates_of(model.psc, model, first, n, alike, start, a, b, found)


@implements(strike, DrivenLIFPscExpRecord)
def _strike(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    return strike_of(model.psc, model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched)


@implements(sweep, DrivenLIFPscExpRecord)
def _sweep(model, first, n, alike, start, a, b, shift, cells, flags, bounds, c0, c1, step, inputs):
    sweep_of(model.psc, model, first, n, alike, start, a, b, shift, cells, flags, bounds, c0, c1, step, inputs)


pass_on(DrivenLIFPscExpRecord, "psc", receive, save, restore, beyond, fetch, is_resting, mark, sums, frame_of, increments, accumulate)
in_order_only(DrivenLIFPscExpRecord)
