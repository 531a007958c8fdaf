"""The leaky integrate-and-fire neuron with delta synapses: NEST's iaf_psc_delta.

Its one formula: ``tau_m V' = V_inf - V`` with ``V_inf = E_L + I_e tau_m / C_m``; an input adds its weight to V; at V >= V_th there is a
spike, V = V_reset, and inputs are ignored for t_ref.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sparseprop_dist.clock import TICK, ticks
from sparseprop_dist.distributions import Given
from sparseprop_dist.elementary import exp_small, log_near_one
from sparseprop_dist.errors import InputError
from sparseprop_dist.jit import implements, inline, njit, python_body
from sparseprop_dist.models.parameters import Model, Quantity
from sparseprop_dist.models.protocol import (
    CELLS,
    FIRED,
    NEVER,
    NOTHING,
    OVERFLOW,
    accumulate,
    act,
    beyond,
    carry,
    frame_of,
    increment,
    own_event,
    receive,
    restore,
    save,
    sweep,
)

RESOLUTION = 48
"""V_th - V_reset is at most this power of two of quanta (at least half of it): a quantum is about 5e-15 of it."""
SLACK = 64
"""Quanta below threshold, 5e-13 of V_th - V_reset at most, that count as at it: inputs that add up to it fire, though each was rounded."""
ABSORB = -(1 << 61)
"""State of a refractory neuron that ignores its inputs: whatever is added in a slab, it stays far below threshold."""
LIMIT = 1 << 60
"""States beyond this are an overflow."""
FREE = -1
"""Release tick of a neuron that is not refractory."""


@dataclass(frozen=True, eq=False)
class LIF(Model):
    """Leaky integrate-and-fire neuron with delta synapses; names and defaults of NEST's iaf_psc_delta.

    Each parameter is a number, an array with one for each neuron, or a distribution.

    Parameters
    ----------
    tau_m : membrane time constant (ms), positive
    C_m : capacitance (pF), positive; only turns I_e into a voltage
    E_L : resting potential (mV)
    V_th : threshold (mV); a neuron fires when V reaches it
    V_reset : potential (mV) after a spike, below V_th
    t_ref : refractory period (ms), 0 allowed; an input exactly at its end counts
    I_e : constant current (pA); drives V to E_L + I_e * tau_m / C_m
    V_m : potential (mV) at time 0
    refractory_input : keep the inputs of the refractory period, decayed by tau_m, and add them at its end

    Raises
    ------
    InputError
        for a wrong type, a value that is not finite or outside its bound, V_reset >= V_th, or arrays of different lengths.
    """

    kind: ClassVar[str] = "lif"
    quantities: ClassVar[dict[str, Quantity]] = {
        "tau_m": Quantity("ms", "positive"),
        "C_m": Quantity("pF", "positive"),
        "E_L": Quantity("mV"),
        "V_th": Quantity("mV"),
        "V_reset": Quantity("mV"),
        "t_ref": Quantity("ms", "not negative", most=1e6),
        "I_e": Quantity("pA"),
        "V_m": Quantity("mV"),
    }
    tau_m: Given = 10.0
    C_m: Given = 250.0
    E_L: Given = -70.0
    V_th: Given = -55.0
    V_reset: Given = -70.0
    t_ref: Given = 2.0
    I_e: Given = 0.0
    V_m: Given = -70.0
    refractory_input: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.refractory_input, bool):
            raise InputError(f"refractory_input is {self.refractory_input!r}; give true or false")

    def check(self, values: Mapping[str, Any], first: int = 0) -> None:
        """Refuse values outside their bounds, and V_reset >= V_th; see :meth:`Model.check`."""
        super().check(values, first)
        if "V_reset" not in values or "V_th" not in values:
            return
        reset, threshold = np.broadcast_arrays(values["V_reset"], values["V_th"])
        wrong = reset >= threshold
        if wrong.any():
            where = int(np.argmax(wrong))
            place = f" for neuron {first + where}" if wrong.ndim else ""
            given = f"V_reset is {float(reset.flat[where])!r} mV and V_th is {float(threshold.flat[where])!r} mV{place}"
            raise InputError(f"{given}; V_reset must be below V_th")

    @staticmethod
    def record(values: Mapping[str, Any], slab_bits: int) -> "LIFRecord":
        """Return the kernel record of neurons at time 0, from their parameters (arrays by name, with ``gid`` and ``refractory_input``).

        Raises
        ------
        InputError
            for potentials so far from each other that the integers of the state cannot hold them.
        """
        rate = TICK / values["tau_m"]
        half = 2.0 ** (slab_bits - 1)
        V_inf = values["E_L"] + values["I_e"] * values["tau_m"] / values["C_m"]
        gain = np.ldexp(1.0, RESOLUTION - np.frexp(values["V_th"] - values["V_reset"])[1])
        start, end = python_body(exp_small)(-half * rate), python_body(exp_small)(half * rate)
        scaled = {name: (values[name] - V_inf) * gain for name in ("V_th", "V_reset", "V_m")}
        for name, value in scaled.items():
            wrong = np.abs(value) > LIMIT / 4
            if wrong.any():
                i = int(np.argmax(wrong))
                most = LIMIT / 4 / gain[i]
                raise InputError(
                    f"neuron {values['gid'][i]}: {name} is {values[name][i]:g} mV and the drive pulls to {V_inf[i]:g} mV; "
                    f"they may differ by {most:.3g} mV at most, {LIMIT >> RESOLUTION + 2} times V_th - V_reset"
                )
        return LIFRecord(
            y=np.rint(scaled["V_m"] * start).astype(np.int64),
            release=np.full(len(gain), FREE, np.int64),
            rate=rate,
            gain=gain,
            threshold=scaled["V_th"],
            reset=scaled["V_reset"],
            decay=start / end,
            refractory=ticks(values["t_ref"]),
            keep=values["refractory_input"].astype(np.uint8),
            sticky=(ticks(values["t_ref"]) < 1 << slab_bits).astype(np.uint8),
            half=half,
        )


class Frame(NamedTuple):
    """What an increment depends on."""

    rate: float  # 1/tau_m, per tick
    gain: float  # quanta per mV, a power of two
    half: float  # half a slab, ticks


class LIFRecord(NamedTuple):
    """LIF neurons of one rank: y = (V - V_inf) gain e^((offset - half)/tau_m) is constant between inputs. All arrays have one entry a
    neuron."""

    y: np.ndarray  # int64, quanta
    release: np.ndarray  # int64, tick at which the neuron leaves refractoriness, or FREE
    rate: np.ndarray  # float64, 1/tau_m, per tick
    gain: np.ndarray  # float64, quanta per mV, a power of two
    threshold: np.ndarray  # float64, (V_th - V_inf) gain
    reset: np.ndarray  # float64, (V_reset - V_inf) gain
    decay: np.ndarray  # float64, e^(-slab/tau_m)
    refractory: np.ndarray  # int64, t_ref, ticks
    keep: np.ndarray  # uint8, 1: inputs during refractoriness count after it
    sticky: np.ndarray  # uint8, 1: t_ref is so short that the neuron can fire and be released in one slab
    half: float  # half a slab, ticks

    def is_uniform(self, start: int, stop: int) -> bool:
        """Return whether the neurons from ``start`` to ``stop - 1`` share one `Frame`."""
        return bool((self.rate[start:stop] == self.rate[start]).all() and (self.gain[start:stop] == self.gain[start]).all())

    def threshold_bounds(self, start: int, stop: int, offsets: np.ndarray) -> np.ndarray:
        """Return int64 (offsets, neurons): what a state must reach for its neuron to fire at an offset, less a guard for rounding (2
        quanta, and a tick of the flow)."""
        factor = python_body(exp_small)((offsets[:, None] - self.half) * self.rate[None, start:stop])
        exact = np.rint(self.threshold[None, start:stop] * factor).astype(np.int64)
        return exact - SLACK - 2 - (np.abs(exact) >> 40)

    def largest_increment(self, start: int, stop: int, weight: float) -> float:
        """Return a bound on the increment that 1 mV makes in a slab, and refuse a weight (mV) that the state cannot hold."""
        increment = 1.02 * float(self.gain[start:stop].max())  # e^(1/64) = 1.016
        if abs(weight) * increment > LIMIT / 4:
            most = f"at most {LIMIT / 4 / increment:.3g} mV, {LIMIT >> RESOLUTION + 2} times V_th - V_reset, can be held"
            raise InputError(f"weight {weight:g} mV is too large; {most}")
        return increment

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        self.release[self.release != FREE] -= shift


@inline
def _factor(model, i, offset):
    return exp_small((offset - model.half) * model.rate[i])


@inline
def _scaled(value, model, i, offset):
    return np.int64(np.rint(value * _factor(model, i, offset)))


@implements(frame_of, LIFRecord)
def _frame_of(model, i):
    return Frame(model.rate[i], model.gain[i], model.half)


@implements(increment, Frame)
def _increment(frame, offset, weight):
    return np.int64(np.rint(weight * frame.gain * exp_small((offset - frame.half) * frame.rate)))


@njit
def _fire(model, i, start, offset):
    if model.refractory[i] > 0:
        model.release[i] = start + offset + model.refractory[i]
        model.y[i] = 0 if model.keep[i] else ABSORB
    else:
        model.y[i] = _scaled(model.reset[i], model, i, offset)
    return FIRED


@implements(receive, LIFRecord)
def _receive(model, i, start, offset, amount):
    if model.release[i] != FREE:
        if model.keep[i]:
            model.y[i] += amount
            return NOTHING if abs(model.y[i]) < LIMIT else OVERFLOW
        return NOTHING
    y = model.y[i] + amount
    model.y[i] = y
    if y >= _scaled(model.threshold[i], model, i, offset) - SLACK:
        return _fire(model, i, start, offset)
    return NOTHING if y > -LIMIT else OVERFLOW


@implements(accumulate, LIFRecord)
def _accumulate(model, i, amount):
    if model.release[i] == FREE or model.keep[i]:
        model.y[i] += amount


@implements(own_event, LIFRecord)
def _own_event(model, i, start, after):
    if model.release[i] != FREE:
        return model.release[i] - start
    y, threshold = model.y[i], model.threshold[i]
    if threshold >= 0.0:
        # no slack: what approaches threshold for ever does not reach it
        return after if y >= _scaled(threshold, model, i, after) else NEVER
    ratio = y / threshold
    if ratio > 1.1:  # beyond e^(1/64), the slab's end
        return NEVER
    if ratio < 0.9:  # before e^(-1/64), the slab's start
        return after
    return max(after, np.int64(np.rint(model.half + log_near_one(ratio) / model.rate[i])))


@implements(act, LIFRecord)
def _act(model, i, start, offset):
    if model.release[i] == FREE:
        return _fire(model, i, start, offset)
    model.release[i] = FREE
    kept = model.y[i] if model.keep[i] else 0
    model.y[i] = kept + _scaled(model.reset[i], model, i, offset)
    return NOTHING


@inline
def _add_cell(y, excitation, inhibition, low, high, sticky, flags, loud):
    for k in range(y.size):
        v = y[k] + excitation[k]
        flags[k] = np.uint8(v >= min(low[k], high[k])) | (loud[k] & sticky[k])
        loud[k] |= flags[k]
        y[k] = v + inhibition[k]


@inline
def _add_cell_uniform(y, excitation, inhibition, threshold, sticky, flags, loud):
    for k in range(y.size):
        v = y[k] + excitation[k]
        flags[k] = np.uint8(v >= threshold) | (loud[k] & sticky[k])
        loud[k] |= flags[k]
        y[k] = v + inhibition[k]


@njit
def _flag_released(model, i, k, offset, shift, cells, flags, bounds, c1, step):
    """Flag the cell in which a neuron is released, and those later ones in which it could reach threshold from there."""
    column = k if bounds.shape[1] > 1 else 0
    c = offset >> shift
    flags[c, k] = flags[CELLS, k] = 1
    v = np.int64(max(model.reset[i] * 1.02, model.reset[i] * 0.98)) + cells[c, 0, k]  # e^(1/64) = 1.016
    for later in range(c + 1, c1):
        v += cells[later, 0, k]
        loud = v >= min(bounds[later * step, column], bounds[(later + 1) * step, column])
        flags[later, k] |= np.uint8(loud) | model.sticky[i] | model.keep[i]
        v += cells[later, 1, k]


@implements(sweep, LIFRecord)
def _sweep(model, first, n, start, a, b, shift, cells, flags, bounds, c0, c1, step):
    y, sticky, loud = model.y[first : first + n], model.sticky[first : first + n], flags[CELLS][:n]
    for c in range(c0, c1):
        low, high = bounds[c * step], bounds[(c + 1) * step]
        if low.size == 1:
            _add_cell_uniform(y, cells[c, 0][:n], cells[c, 1][:n], min(low[0], high[0]), sticky, flags[c][:n], loud)
        else:
            _add_cell(y, cells[c, 0][:n], cells[c, 1][:n], low, high, sticky, flags[c][:n], loud)
    release, keep = model.release[first : first + n], model.keep[first : first + n]
    for k in range(n):
        y[k] = ABSORB if (release[k] != FREE) & (keep[k] == 0) else y[k]
    for k in range(n):
        if start + a <= release[k] < start + b:
            _flag_released(model, first + k, k, release[k] - start, shift, cells, flags, bounds, c1, step)


@implements(save, LIFRecord)
def _save(model, first, n, copy):
    for k in range(n):
        copy[0, k], copy[1, k] = model.y[first + k], model.release[first + k]


@implements(restore, LIFRecord)
def _restore(model, i, copy, k):
    model.y[i], model.release[i] = copy[0, k], copy[1, k]


@implements(beyond, LIFRecord)
def _beyond(model, first, n):
    culprit = -1
    for i in range(first, first + n):
        if abs(model.y[i]) >= LIMIT and model.y[i] != ABSORB:
            culprit = i
    return culprit


@implements(carry, LIFRecord)
def _carry(model, first, n):
    y, decay = model.y[first : first + n], model.decay[first : first + n]
    for k in range(n):
        y[k] = np.int64(np.rint(y[k] * decay[k])) if y[k] != ABSORB else ABSORB
