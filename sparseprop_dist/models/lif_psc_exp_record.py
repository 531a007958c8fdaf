"""The kernel record of LIF neurons with exponential synaptic currents, and its bodies of the protocol.

State: v, x and y of ``lif_psc_exp_flow``, int64 quanta in the frame of the slab, where they are constant but for inputs and resets. An
input of charge W (quanta) at s adds ``W e^(s/tau_syn)`` to x or y, and to v what keeps V as it was. During refractoriness v means nothing;
the release makes it anew from V_reset and the currents.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import TICK, ticks
from sparseprop_dist.elementary import exp_to_quarter, expm1_ratio
from sparseprop_dist.errors import InputError
from sparseprop_dist.jit import implements, inline, inner, prefetch, python_body
from sparseprop_dist.models.lif_psc_exp_flow import Flow, first_above, lift, may_reach, push
from sparseprop_dist.models.lif_record import ABSORB, FREE, LIMIT, RESOLUTION
from sparseprop_dist.models.protocol import (
    FIRED,
    NEVER,
    NOTHING,
    OVERFLOW,
    UNKNOWN,
    act,
    beyond,
    carry,
    fetch,
    is_resting,
    mark,
    observe,
    own_event,
    potential,
    receive,
    restore,
    save,
)

_exp, _ratio = python_body(exp_to_quarter), python_body(expm1_ratio)


@by_address
class LIFPscExpRecord(NamedTuple):
    """Such neurons of one rank. All arrays have one entry a neuron."""

    v: np.ndarray  # int64, quanta; ABSORB while refractory
    x: np.ndarray  # int64, quanta, not negative
    y: np.ndarray  # int64, quanta, not positive
    release: np.ndarray  # int64, tick at which the neuron leaves refractoriness, or FREE
    rate: np.ndarray  # float64, 1/tau_m, per tick
    rate_ex: np.ndarray  # float64, 1/tau_syn_ex, per tick
    rate_in: np.ndarray  # float64, 1/tau_syn_in, per tick
    charge_ex: np.ndarray  # float64, quanta per pA: tau_syn_ex / C_m
    charge_in: np.ndarray  # float64, quanta per pA
    threshold: np.ndarray  # float64, V_th - V_inf, quanta
    reset: np.ndarray  # float64, V_reset - V_inf, quanta
    gain: np.ndarray  # float64, quanta per mV, a power of two
    rest: np.ndarray  # float64, V_inf, mV
    refractory: np.ndarray  # int64, t_ref, ticks
    sticky: np.ndarray  # uint8, 1: t_ref is so short that the neuron can fire and be released in one slab
    decay: np.ndarray  # float64, e^(-slab/tau_m)
    decay_ex: np.ndarray  # float64, e^(-slab/tau_syn_ex)
    decay_in: np.ndarray  # float64
    feed_ex: np.ndarray  # float64, what x adds to v in a slab
    feed_in: np.ndarray  # float64
    half: float  # half a slab, ticks
    rests: int  # 1: some neuron has t_ref above 0

    @staticmethod
    def make(values: Mapping[str, Any], slab_bits: int) -> "LIFPscExpRecord":
        """Return neurons at time 0, from their parameters (arrays by name, with ``gid``).

        Raises
        ------
        InputError
            for potentials so far from each other that the integers of the state cannot hold them.
        """
        rate, rate_ex, rate_in = (TICK / values[name] for name in ("tau_m", "tau_syn_ex", "tau_syn_in"))
        half = 2.0 ** (slab_bits - 1)
        V_inf = values["E_L"] + values["I_e"] / values["C_m"] * values["tau_m"]
        gain = np.ldexp(1.0, RESOLUTION - np.frexp(values["V_th"] - values["V_reset"])[1])
        scaled = {name: (values[name] - V_inf) * gain for name in ("V_th", "V_reset", "V_m")}
        for name, value in scaled.items():
            wrong = np.abs(value) > LIMIT / 4
            if wrong.any():
                i = int(np.argmax(wrong))
                most = f"they may differ by {LIMIT / 4 / gain[i]:.3g} mV at most, {LIMIT >> RESOLUTION + 2} times V_th - V_reset"
                given = f"neuron {values['gid'][i]}: {name} is {values[name][i]:g} mV and the drive pulls to {V_inf[i]:g} mV"
                raise InputError(f"{given}; {most}")
        v = np.rint(scaled["V_m"] * _exp(-half * rate))
        (decay_ex, feed_ex), (decay_in, feed_in) = (_over_a_slab(rate, own, half) for own in (rate_ex, rate_in))
        n = len(rate)
        return LIFPscExpRecord(
            v=(v + 1.0 * (values["V_m"] >= values["V_th"])).astype(np.int64),  # rounding must not put it below threshold
            x=np.zeros(n, np.int64),
            y=np.zeros(n, np.int64),
            release=np.full(n, FREE, np.int64),
            rate=rate,
            rate_ex=rate_ex,
            rate_in=rate_in,
            charge_ex=gain * values["tau_syn_ex"] / values["C_m"],
            charge_in=gain * values["tau_syn_in"] / values["C_m"],
            threshold=scaled["V_th"],
            reset=scaled["V_reset"],
            gain=gain,
            rest=V_inf,
            refractory=ticks(values["t_ref"]),
            sticky=(ticks(values["t_ref"]) < 1 << slab_bits).astype(np.uint8),
            decay=_exp(-half * rate) ** 2,
            decay_ex=decay_ex,
            decay_in=decay_in,
            feed_ex=feed_ex,
            feed_in=feed_in,
            half=half,
            rests=int((values["t_ref"] > 0.0).any()),
        )

    def alike(self, start: int, stop: int) -> int:
        """Return 2 if the neurons from ``start`` to ``stop - 1`` have the same parameters, 1 if they have the same frame, else 0."""

        def same(*arrays: np.ndarray) -> bool:
            return all((array[start:stop] == array[start]).all() for array in arrays)

        if not same(self.rate, self.rate_ex, self.rate_in, self.charge_ex, self.charge_in):
            return 0
        return 2 if same(self.threshold, self.reset, self.refractory) else 1

    def threshold_bounds(self, start: int, stop: int, offsets: np.ndarray) -> np.ndarray:
        """Return no columns: what V can reach in a cell depends on the currents."""
        return np.empty((len(offsets), 0), np.int64)

    def largest_increment(self, start: int, stop: int, weight: float) -> float:
        """Return a bound on the increments that 1 pA makes in a slab, and refuse a weight (pA) that the state cannot hold."""
        own = slice(start, stop)
        increment = 1.001 * max(
            float((charge[own] * _exp(self.half * rate[own])).max())
            for charge, rate in ((self.charge_ex, self.rate_ex), (self.charge_in, self.rate_in))
        )
        if abs(weight) * increment > LIMIT / 4:
            most = f"at most {LIMIT / 4 / increment:.3g} pA, a charge of {LIMIT >> RESOLUTION + 2} C_m (V_th - V_reset), can be held"
            raise InputError(f"weight {weight:g} pA is too large; {most}")
        return increment

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        self.release[self.release != FREE] -= shift


def _over_a_slab(rate: np.ndarray, own: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what is left of a charge after a slab, and what it added to v: each half a slab twice, since `exp_to_quarter` reaches no
    further."""
    decay, lasts = _exp(-rate * half), half * _ratio((rate - own) * half)
    left = 1.0 - (own - rate) * lasts  # e^(-half d), see lif_psc_exp_flow
    return (decay * left) ** 2, decay * decay * own * (lasts * (1.0 + left))


@inline
def stand(value, model, i, offset):
    """Return the v at which V stands at ``value`` (quanta from V_inf) at an offset, with the currents as they are."""
    s = offset - model.half
    rate, rate_ex, rate_in = model.rate[i], model.rate_ex[i], model.rate_in[i]
    fed_ex = model.x[i] * (rate_ex * (s * expm1_ratio((rate - rate_ex) * s)))
    fed_in = model.y[i] * (rate_in * (s * expm1_ratio((rate - rate_in) * s)))
    return np.int64(np.rint(value * exp_to_quarter(rate * s) - (fed_ex + fed_in)))


@inline
def jump(charge, rate, own, s):
    """Return by how much a charge at ``s`` changes v, and x or y."""
    left, d = charge * exp_to_quarter(rate * s), own - rate
    lasts = s * expm1_ratio(d * s)
    return np.int64(np.rint(-left * own * lasts)), np.int64(np.rint(left * (1.0 + d * lasts)))


@inner
def _fire(model, i, start, offset):
    if model.refractory[i] > 0:
        model.release[i] = start + offset + model.refractory[i]
        model.v[i] = ABSORB
    else:
        model.v[i] = stand(model.reset[i], model, i, offset)
    return FIRED


@implements(receive, LIFPscExpRecord)
def _receive(model, i, start, offset, weight):
    s = offset - model.half
    if weight < 0.0:
        change, own = jump(weight * model.charge_in[i], model.rate[i], model.rate_in[i], s)
        model.y[i] += own
    else:
        change, own = jump(weight * model.charge_ex[i], model.rate[i], model.rate_ex[i], s)
        model.x[i] += own
    if model.release[i] == FREE:
        model.v[i] += change
    far = max(abs(model.x[i]), abs(model.y[i])) >= LIMIT or (model.release[i] == FREE and abs(model.v[i]) >= LIMIT)
    return OVERFLOW if far else NOTHING


@inner
def flow_of(model, i):
    """Return how V flows from the state of a neuron."""
    v, x, y = np.float64(model.v[i]), np.float64(model.x[i]), np.float64(model.y[i])
    return Flow(v, x, y, model.rate[i], model.rate_ex[i], model.rate_in[i], model.threshold[i])


@implements(lift, LIFPscExpRecord)
def _lift(model, i, start, a, b):
    return -0.0, -0.0  # to add it costs nothing: x + -0.0 is x for every x, x + 0.0 is not


@implements(push, LIFPscExpRecord)
def _push(model, i, start, length):
    return -0.0


@inner
def own_event_before(model, i, start, after, before):
    """As `own_event`; NEVER if it is not before ``before``."""
    if model.release[i] != FREE:
        return model.release[i] - start
    if after >= before:
        return NEVER
    flow = flow_of(model, i)
    if not may_reach(flow, (-0.0, -0.0), after - model.half, np.float64(before - after)):
        return NEVER
    return first_above(flow, model.half, after)


@implements(own_event, LIFPscExpRecord)
def _own_event(model, i, start, after):
    return own_event_before(model, i, start, after, np.int64(2.0 * model.half))


@implements(act, LIFPscExpRecord)
def _act(model, i, start, offset):
    if model.release[i] == FREE:
        return _fire(model, i, start, offset)
    model.release[i] = FREE
    model.v[i] = stand(model.reset[i], model, i, offset)
    return NOTHING


@implements(save, LIFPscExpRecord)
def _save(model, first, n, copy):
    for k in range(n):
        copy[0, k], copy[1, k] = model.v[first + k], model.x[first + k]
        copy[2, k], copy[3, k] = model.y[first + k], model.release[first + k]


@implements(restore, LIFPscExpRecord)
def _restore(model, i, copy, k):
    model.v[i], model.x[i], model.y[i], model.release[i] = copy[0, k], copy[1, k], copy[2, k], copy[3, k]


@implements(fetch, LIFPscExpRecord)
def _fetch(model, i):
    prefetch(model.v, i)


@implements(is_resting, LIFPscExpRecord)
def _is_resting(model, i):
    return model.release[i] != FREE


@implements(beyond, LIFPscExpRecord)
def _beyond(model, first, n):
    culprit = -1
    for k in range(n):
        far = max(abs(model.x[first + k]), abs(model.y[first + k])) >= LIMIT
        if far or (abs(model.v[first + k]) >= LIMIT and model.release[first + k] == FREE):
            culprit = k
    return culprit


@inline
def _decayed(charge, decay):
    """Return what is left of a charge; at least a quantum less, or rounding would keep a current for ever."""
    left = np.int64(np.rint(charge * decay))
    return left - ((charge > 0) & (left == charge)) + ((charge < 0) & (left == charge))


@inner
def carry_of(model, first, n, drive):
    """Carry, as `carry`, neurons to whose ``v`` a current added ``drive`` (quanta) in the slab."""
    v, x, y = model.v[first : first + n], model.x[first : first + n], model.y[first : first + n]
    decay, feed_ex, feed_in = model.decay[first : first + n], model.feed_ex[first : first + n], model.feed_in[first : first + n]
    for k in range(n):
        v[k] = np.int64(np.rint((v[k] + drive) * decay[k] + x[k] * feed_ex[k] + y[k] * feed_in[k]))
    decay_ex, decay_in = model.decay_ex[first : first + n], model.decay_in[first : first + n]
    for k in range(n):
        x[k] = _decayed(x[k], decay_ex[k])
        y[k] = _decayed(y[k], decay_in[k])
    if model.rests:
        release = model.release[first : first + n]
        for k in range(n):
            v[k] = v[k] if release[k] == FREE else ABSORB


@implements(carry, LIFPscExpRecord)
def _carry(model, first, n, start):
    culprit = beyond(model, first, n)
    carry_of(model, first, n, -0.0)
    return culprit


@implements(potential, LIFPscExpRecord)
def _potential(model, i, start, offset):
    if model.release[i] != FREE:
        return model.rest[i] + model.reset[i] / model.gain[i]
    s, rate, rate_ex, rate_in = offset - model.half, model.rate[i], model.rate_ex[i], model.rate_in[i]
    fed_ex = model.x[i] * (rate_ex * (s * expm1_ratio((rate - rate_ex) * s)))
    fed_in = model.y[i] * (rate_in * (s * expm1_ratio((rate - rate_in) * s)))
    return model.rest[i] + exp_to_quarter(-rate * s) * (model.v[i] + fed_ex + fed_in) / model.gain[i]


@implements(observe, LIFPscExpRecord)
def _observe(model, i, start, offset, number):
    if number == 0:
        return potential(model, i, start, offset)
    s = offset - model.half
    if number == 1:
        return model.x[i] * exp_to_quarter(-model.rate_ex[i] * s) / model.charge_ex[i]
    return model.y[i] * exp_to_quarter(-model.rate_in[i] * s) / model.charge_in[i]


@implements(mark, LIFPscExpRecord)
def _mark(model, i):
    return np.int64(UNKNOWN)  # three numbers make the state
