"""The kernel record of LIF neurons with delta synapses, and its bodies of the protocol.

In the frame of a slab, whose middle is at offset ``half``, ``y = (V - V_inf) gain e^((offset - half)/tau_m)`` is constant between inputs
(``docs/design/fixed_point.md``). Where nothing leaks (tau_m = inf), ``y = (V - E_L) gain - slope (offset - half)`` is. Both are one form:
V stands at ``y`` when it stands at ``value e^((offset - half)/tau_m) - slope (offset - half)`` in the frame.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import TICK, ticks
from sparseprop_dist.elementary import SMALL, exp_frame, exp_small, exp_to_quarter, log_near_one
from sparseprop_dist.errors import InputError
from sparseprop_dist.jit import bits_float, float_bits, implements, inline, inner, merged, prefetch, python_body
from sparseprop_dist.models.parameters import differ
from sparseprop_dist.models.protocol import (
    FIRED,
    NEVER,
    NOTHING,
    OVERFLOW,
    act,
    beyond,
    carry,
    fetch,
    is_resting,
    mark,
    nothing_but_potential,
    own_event,
    potential,
    receive,
    restore,
    save,
)

RESOLUTION = 48
"""V_th - V_reset is at most this power of two of quanta (at least half of it): a quantum is about 5e-15 of it."""
SLACK = 64
"""Quanta below threshold, 5e-13 of V_th - V_reset at most, that count as at it: inputs that add up to it fire, though each was rounded."""
ABSORB = -(1 << 61)
"""State of a refractory neuron that ignores its inputs: whatever is added in a slab, it stays far below threshold."""
LIMIT = 1 << 60
"""States beyond this are an overflow."""
STRETCH = 64
"""Neurons that are looked at together, by vector instructions."""
NEAR_BITS = 50
NEAR = 1 << NEAR_BITS
MIDDLE = 3.0 * 2.0**51
"""Floats within 2^51 of it are the integers."""
MIDDLE_BITS = int(np.float64(MIDDLE).view(np.int64))
FREE = -1
"""Release tick of a neuron that is not refractory."""


def _exp(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) <= SMALL, python_body(exp_small)(x), python_body(exp_to_quarter)(x))


@by_address
class LIFRecord(NamedTuple):
    """LIF neurons of one rank. All arrays have one entry a neuron."""

    y: np.ndarray  # int64, quanta
    release: np.ndarray  # int64, tick at which the neuron leaves refractoriness, or FREE
    rate: np.ndarray  # float64, 1/tau_m, per tick
    gain: np.ndarray  # float64, quanta per mV, a power of two
    threshold: np.ndarray  # float64, (V_th - V_inf) gain
    reset: np.ndarray  # float64, (V_reset - V_inf) gain
    slope: np.ndarray  # float64, quanta per tick: drive of a neuron that does not leak, else 0
    decay: np.ndarray  # float64, e^(-slab/tau_m)
    rest: np.ndarray  # float64, V_inf, mV; E_L of a neuron that does not leak
    refractory: np.ndarray  # int64, t_ref, ticks
    keep: np.ndarray  # uint8, 1: inputs during refractoriness count after it
    sticky: np.ndarray  # uint8, 1: t_ref is so short that the neuron can fire and be released in one slab
    half: float  # half a slab, ticks
    rests: int  # 1: some neuron has t_ref above 0
    drifts: int  # 1: some neuron has a slope
    paced: int  # 1: all have the same rate
    keeps: int  # 1: some neuron keeps what comes in while it is refractory, and may be above threshold when it is released
    various: int  # 0: all neurons have the parameters of the first; then only those are read, which spares a cache miss for each

    @staticmethod
    def make(values: Mapping[str, Any], slab_bits: int) -> "LIFRecord":
        """Return neurons at time 0, from their parameters (arrays by name, with ``gid`` and ``refractory_input``).

        Raises
        ------
        InputError
            for potentials so far from each other that the integers of the state cannot hold them.
        """
        leaks = np.isfinite(values["tau_m"])
        rate = TICK / values["tau_m"]
        half = 2.0 ** (slab_bits - 1)
        drive = values["I_e"] / values["C_m"]
        V_inf = values["E_L"] + drive * np.where(leaks, values["tau_m"], 0.0)
        gain = np.ldexp(1.0, RESOLUTION - np.frexp(values["V_th"] - values["V_reset"])[1])
        slope = np.where(leaks, 0.0, drive * TICK * gain)
        start, end = _exp(-half * rate), _exp(half * rate)
        scaled = {name: (values[name] - V_inf) * gain for name in ("V_th", "V_reset", "V_m")}
        for name, value in scaled.items():
            wrong = np.abs(value) + half * np.abs(slope) > LIMIT / 4
            if wrong.any():
                i = int(np.argmax(wrong))
                most = LIMIT / 4 / gain[i]
                raise InputError(
                    f"neuron {values['gid'][i]}: {name} is {values[name][i]:g} mV and the drive pulls to {V_inf[i]:g} mV; "
                    f"they may differ by {most:.3g} mV at most, {LIMIT >> RESOLUTION + 2} times V_th - V_reset"
                )
        return LIFRecord(
            y=np.rint(scaled["V_m"] * start + slope * half).astype(np.int64),
            release=np.full(len(gain), FREE, np.int64),
            rate=rate,
            gain=gain,
            threshold=scaled["V_th"],
            reset=scaled["V_reset"],
            slope=slope,
            decay=start / end,
            rest=V_inf,
            refractory=ticks(values["t_ref"]),
            keep=values["refractory_input"].astype(np.uint8),
            sticky=(ticks(values["t_ref"]) < 1 << slab_bits).astype(np.uint8),
            half=half,
            rests=int((values["t_ref"] > 0.0).any()),
            drifts=int(slope.any()),
            paced=int((rate == rate[:1]).all()),
            keeps=int(values["refractory_input"].any()),
            various=int(differ(values)),
        )

    def alike(self, start: int, stop: int) -> int:
        """Return 2 if the neurons from ``start`` to ``stop - 1`` have the same parameters, 1 if they have the same frame, else 0."""

        def same(*arrays: np.ndarray) -> bool:
            return all((array[start:stop] == array[start]).all() for array in arrays)

        if not same(self.rate, self.gain):
            return 0
        return 2 if same(self.threshold, self.reset, self.slope, self.refractory, self.keep) else 1

    def threshold_bounds(self, start: int, stop: int, offsets: np.ndarray) -> np.ndarray:
        """Return int64 (offsets, neurons): what a state must reach for its neuron to fire at an offset, less a guard for rounding (2
        quanta, and a tick of the flow)."""
        away = offsets[:, None] - self.half
        slope = self.slope[None, start:stop]
        exact = np.rint(self.threshold[None, start:stop] * _exp(away * self.rate[None, start:stop]) - slope * away).astype(np.int64)
        return exact - SLACK - 2 - (np.abs(exact) >> 40) - np.abs(slope).astype(np.int64)

    def largest_increment(self, start: int, stop: int, weight: float) -> float:
        """Return a bound on the increment that 1 mV makes in a slab, and refuse a weight (mV) that the state cannot hold."""
        increment = 1.001 * float((self.gain[start:stop] * _exp(self.half * self.rate[start:stop])).max())
        if abs(weight) * increment > LIMIT / 4:
            most = f"at most {LIMIT / 4 / increment:.3g} mV, {LIMIT >> RESOLUTION + 2} times V_th - V_reset, can be held"
            raise InputError(f"weight {weight:g} mV is too large; {most}")
        return increment

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        self.release[self.release != FREE] -= shift


@inline
def _rests(model, i):
    return model.rests != 0 and model.release[i] != FREE


@inline
def stand(value, model, i, offset):
    """Return the state at which V stands at ``value`` (quanta from V_inf) at an offset."""
    away = offset - model.half
    return np.int64(np.rint(value * exp_frame(away * model.rate[i * model.various]) - model.slope[i * model.various] * away))


@inline
def jump(model, i, offset, weight):
    """Return the increment that an input makes."""
    return np.int64(np.rint(weight * model.gain[i * model.various] * exp_frame((offset - model.half) * model.rate[i * model.various])))


@merged
def fire(model, i, start, offset):
    """Reset neuron ``i``, or begin its refractory period; return FIRED."""
    if model.refractory[i * model.various] > 0:
        model.release[i] = start + offset + model.refractory[i * model.various]
        model.y[i] = 0 if model.keep[i * model.various] else ABSORB
    else:
        model.y[i] = stand(model.reset[i * model.various], model, i, offset)
    return FIRED


@implements(receive, LIFRecord)
def _receive(model, i, start, offset, weight):
    if _rests(model, i) and model.keep[i * model.various] == 0:
        return NOTHING
    y = model.y[i] + jump(model, i, offset, weight)
    model.y[i] = y
    if not _rests(model, i) and y >= stand(model.threshold[i * model.various], model, i, offset) - SLACK:
        return fire(model, i, start, offset)
    return NOTHING if abs(y) < LIMIT else OVERFLOW


@merged
def _drift(y, model, i, after):
    """As `own_event`, of a neuron that does not leak."""
    if y >= stand(model.threshold[i * model.various], model, i, after):
        return after
    wait = (model.threshold[i * model.various] - y) / model.slope[i * model.various] if model.slope[i * model.various] > 0.0 else np.inf
    return max(after, np.int64(np.rint(model.half + wait))) if wait < 2.0 * model.half else NEVER


@implements(own_event, LIFRecord)
def _own_event(model, i, start, after):
    if _rests(model, i):
        return model.release[i] - start
    y, threshold = model.y[i], model.threshold[i * model.various]
    if model.rate[i * model.various] == 0.0:
        return _drift(y, model, i, after)
    if threshold >= 0.0:
        # no slack: what approaches threshold for ever does not reach it
        return after if y >= stand(threshold, model, i, after) else NEVER
    ratio = y / threshold
    if ratio > 1.3:  # beyond e^(1/4), the slab's end
        return NEVER
    if ratio < 0.77:  # before e^(-1/4), the slab's start
        return after
    return max(after, np.int64(np.rint(model.half + log_near_one(ratio) / model.rate[i * model.various])))


@implements(act, LIFRecord)
def _act(model, i, start, offset):
    if not _rests(model, i):
        return fire(model, i, start, offset)
    model.release[i] = FREE
    kept = model.y[i] if model.keep[i * model.various] else 0
    model.y[i] = kept + stand(model.reset[i * model.various], model, i, offset)
    return NOTHING


@implements(save, LIFRecord)
def _save(model, first, n, copy):
    for k in range(n):
        # a neuron that is set apart is in no cache: one miss less where none is ever refractory
        copy[0, k], copy[1, k] = model.y[first + k], model.release[first + k] if model.rests else FREE


@implements(restore, LIFRecord)
def _restore(model, i, copy, k):
    model.y[i] = copy[0, k]
    if model.rests:
        model.release[i] = copy[1, k]


@implements(beyond, LIFRecord)
def _beyond(model, first, n):
    y, far = model.y[first : first + n], np.int64(0)
    for k in range(n):
        far |= np.int64(abs(y[k]) >= LIMIT)
    culprit = -1
    for k in range(n if far else 0):
        if abs(y[k]) >= LIMIT and (not _rests(model, first + k) or model.keep[(first + k) * model.various]):
            culprit = k
    return culprit


@merged
def _decay_alike(y, factor, drift):
    """Set ``y`` to ``rint(y factor + drift)``; return a k whose state was beyond LIMIT, or -1. No instruction before AVX-512 turns integers
    into floats four at a time: where all of a stretch are below 2^50 in size, the low bits of a float near 3 * 2^51 are the integer, and
    its addition rounds as `rint` does."""
    culprit = np.int64(-1)
    for begin in range(0, y.size, STRETCH):
        part, outside = y[begin : begin + STRETCH], np.int64(abs(drift) >= NEAR)
        for k in range(part.size):
            outside |= (part[k] + NEAR) >> (NEAR_BITS + 1)
        if outside:
            for k in range(part.size):
                culprit = np.int64(begin + k) if abs(part[k]) >= LIMIT else culprit
                part[k] = np.int64(np.rint(part[k] * factor + drift))
        else:
            for k in range(part.size):
                part[k] = float_bits((bits_float(part[k] + MIDDLE_BITS) - MIDDLE) * factor + drift + MIDDLE) - MIDDLE_BITS
    return culprit


@inner
def carry_of(model, first, n, drive):
    """As `carry`, of neurons to whose state a current added ``drive`` (quanta) in the slab."""
    alike = model.rests == 0 and model.various == 0
    culprit = np.int64(-1) if alike else np.int64(beyond(model, first, n))
    y, decay, slope = model.y[first : first + n], model.decay[first : first + n], model.slope[first : first + n]
    if model.rests:
        release, keep = model.release[first : first + n], model.keep[first : first + n]
        for k in range(n):
            rests = release[k] != FREE
            drift = 0.0 if rests else slope[k] * (2.0 * model.half) + drive * decay[k]
            y[k] = np.int64(np.rint(y[k] * decay[k] + drift)) if ~rests | (keep[k] != 0) else ABSORB
    elif model.various:
        for k in range(n):
            y[k] = np.int64(np.rint(y[k] * decay[k] + (slope[k] * (2.0 * model.half) + drive * decay[k])))
    else:
        culprit = _decay_alike(y, decay[0], slope[0] * (2.0 * model.half) + drive * decay[0])
    return culprit


@implements(carry, LIFRecord)
def _carry(model, first, n, start):
    return carry_of(model, first, n, 0.0)


@implements(potential, LIFRecord)
def _potential(model, i, start, offset):
    if _rests(model, i):
        return model.rest[i * model.various] + model.reset[i * model.various] / model.gain[i * model.various]
    away = offset - model.half
    j = i * model.various
    return model.rest[j] + (model.y[i] + model.slope[j] * away) * exp_frame(-away * model.rate[j]) / model.gain[j]


nothing_but_potential(LIFRecord)


@implements(fetch, LIFRecord)
def _fetch(model, i):
    prefetch(model.y, i)
    if model.rests:
        prefetch(model.release, i)


@implements(is_resting, LIFRecord)
def _is_resting(model, i):
    return _rests(model, i)


@implements(mark, LIFRecord)
def _mark(model, i):
    return model.y[i]
