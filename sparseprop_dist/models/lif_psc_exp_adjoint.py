"""Derivatives of the LIF neuron with exponential synaptic currents; see ``docs/design/gradients.md``.

Between its own spikes V and the currents are linear in each other, so that with D = t_q - t to the next own spike q, and dL/dV = m and
dL/dI_k = n_k just before q,

    dL/dV(t) = m e^(-D/tau_m),    dL/dI_k(t) = n_k e^(-D/tau_k) + m g_k(D)/C_m,
    g_k(D) = (e^(-D/tau_m) - e^(-D/tau_k))/(1/tau_k - 1/tau_m)

While a neuron is refractory V is held, and only currents pass on. An input w at t has dL/dw = dL/dI_k and
dL/dt = w (dL/dI_k/tau_k - dL/dV/C_m).
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import TICK, ticks
from sparseprop_dist.jit import implements, inner, merged
from sparseprop_dist.models.adjoint import begin, factor_of, pull, pull_row, rebase, settle


@by_address
class LIFPscExpAdjoint(NamedTuple):
    """Adjoints of such neurons. Arrays have one entry a neuron, or one an own spike (S)."""

    place: np.ndarray  # int64, of the earliest settled own spike
    anchor: np.ndarray  # int64 (1,), of frames, which these have none of
    rate: np.ndarray  # float64, 1/tau_m, per ms
    rates: np.ndarray  # float64 (N, 2), 1/tau_syn_ex and 1/tau_syn_in
    per_C: np.ndarray  # float64, 1/C_m
    rest: np.ndarray  # float64, V_inf, mV
    V_th: np.ndarray  # float64
    V_reset: np.ndarray  # float64
    V_m: np.ndarray  # float64
    refractory: np.ndarray  # int64, ticks
    own_ptr: np.ndarray  # int64 (N + 1,)
    own_time: np.ndarray  # int64 (S,)
    current: np.ndarray  # float64 (S, 2), pA, both currents at each own spike
    released: np.ndarray  # float64 (S, 2), pA, when V was released before it
    own_dV: np.ndarray  # float64 (S,), dL/dV just before
    own_dI: np.ndarray  # float64 (S, 2), dL/dI just before
    of_rest: np.ndarray  # float64, gradients
    of_V_th: np.ndarray  # float64
    of_V_reset: np.ndarray  # float64
    of_V_m: np.ndarray  # float64
    of_t_ref: np.ndarray  # float64
    of_scale: np.ndarray  # float64, of a factor on all currents
    of_rate: np.ndarray  # float64, of 1/tau_m in the flow alone
    of_rates: np.ndarray  # float64 (N, 2), of 1/tau_syn_ex and 1/tau_syn_in
    full: int  # 1: gradients of time constants are asked for

    @staticmethod
    def make(
        values: Mapping[str, Any], own_ptr: np.ndarray, own_time: np.ndarray, own_trigger: np.ndarray, poisson: np.ndarray, full: bool
    ) -> "LIFPscExpAdjoint":
        """Return adjoints after the last spike, from the parameters of the neurons; all spikes are crossings by the flow."""
        n, spikes = len(values["tau_m"]), len(own_time)
        taus = np.stack([values["tau_syn_ex"], values["tau_syn_in"]], axis=1)
        return LIFPscExpAdjoint(
            own_ptr[1:].copy(), np.zeros(1, np.int64), 1.0 / values["tau_m"], 1.0 / taus, 1.0 / values["C_m"],
            values["E_L"] + values["I_e"] * values["tau_m"] / values["C_m"], values["V_th"], values["V_reset"], values["V_m"],
            ticks(values["t_ref"]), own_ptr, own_time, np.zeros((spikes, 2)), np.zeros((spikes, 2)), np.zeros(spikes),
            np.zeros((spikes, 2)), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n),
            np.zeros((n, 2)), int(full),
        )  # fmt: skip

    @property
    def inputs(self) -> "LIFPscExpInputs":
        """What is to be gathered over the log from its start on, before the sweep: the currents at own spikes."""
        return LIFPscExpInputs(self.anchor, self.rates, self.refractory, self.own_ptr, self.own_time, self.current, self.released)

    def gradients(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the gradients of parameters by name, after the sweep."""
        per_C, I_e = self.per_C, values["I_e"]
        return {
            "V_th": self.of_V_th,
            "V_reset": self.of_V_reset,
            "V_m": self.of_V_m,
            "t_ref": self.of_t_ref,
            "E_L": self.of_rest,
            "I_e": self.of_rest * values["tau_m"] * per_C,
            "C_m": -(self.of_rest * values["tau_m"] * I_e * per_C + self.of_scale) * per_C,
            "tau_m": self.of_rest * I_e * per_C - self.of_rate * self.rate**2,
            "tau_syn_ex": -self.of_rates[:, 0] * self.rates[:, 0] ** 2,
            "tau_syn_in": -self.of_rates[:, 1] * self.rates[:, 1] ** 2,
        }


@by_address
class LIFPscExpInputs(NamedTuple):
    """The currents of neurons at their own spikes, summed up; fields of the adjoint."""

    anchor: np.ndarray
    rates: np.ndarray
    refractory: np.ndarray
    own_ptr: np.ndarray
    own_time: np.ndarray
    current: np.ndarray
    released: np.ndarray


@merged
def _next(record, i, time, q):
    """Return the first own spike of neuron ``i`` later than ``time``, not before place ``q``."""
    stop = record.own_ptr[i + 1]
    while q < stop and record.own_time[q] <= time:
        q += 1
    return q


@implements(factor_of, LIFPscExpInputs)
def _no_factor(inputs, i, time):
    return 0.0


@implements(pull_row, LIFPscExpAdjoint)
@implements(pull_row, LIFPscExpInputs)
def _no_row(inputs, first, words, begin, stop, time, weight, weights, each, s, alone, out):
    return False


@implements(pull, LIFPscExpInputs)
def _add_input(inputs, i, time, weight, s, factor):
    first, k = inputs.own_ptr[i], 0 if weight > 0.0 else 1
    q = first + np.searchsorted(inputs.own_time[first : inputs.own_ptr[i + 1]], time, side="right")
    if q < inputs.own_ptr[i + 1]:
        rate = TICK * inputs.rates[i, k]
        inputs.current[q, k] += weight * math.exp((time - inputs.own_time[q]) * rate)
        release = inputs.own_time[q - 1] + inputs.refractory[i] if q > first else np.int64(-1)
        if time <= release:
            inputs.released[q, k] += weight * math.exp((time - release) * rate)
    return 0.0, 0.0


@implements(begin, LIFPscExpInputs)
def _chain(inputs, i):
    for q in range(inputs.own_ptr[i] + 1, inputs.own_ptr[i + 1]):
        span = (inputs.own_time[q] - inputs.own_time[q - 1]) * TICK
        for k in range(2):
            before = inputs.current[q - 1, k]
            inputs.current[q, k] += before * math.exp(-span * inputs.rates[i, k])
            inputs.released[q, k] += before * math.exp(-inputs.refractory[i] * TICK * inputs.rates[i, k])


@inner
def response(rate, other, span):
    """Return (e^(-rate span) - e^(-other span))/(other - rate), also where both rates are (nearly) one."""
    x = (other - rate) * span
    if abs(x) > 0.5:
        return (math.exp(-rate * span) - math.exp(-other * span)) / (other - rate)
    return math.exp(-rate * span) * span * (1.0 if x == 0.0 else -math.expm1(-x) / x)


@inner
def response_by_other(rate, other, span):
    """Return the derivative of `response` by ``other``; that by ``rate`` is ``-span response`` less it."""
    x = (other - rate) * span
    if abs(x) > 0.5:
        slope = (math.exp(-x) * (1.0 + x) - 1.0) / (x * x)
    else:  # sum over n of (-1)^n n x^(n - 1)/(n + 1)!: what is left out is below 1e-17
        slope, term = 0.0, -0.5
        for n in range(1, 15):
            slope += term
            term *= -x * (n + 1) / (n * (n + 2))
    return span * span * math.exp(-rate * span) * slope


@merged
def _by_rates(adjoint, i, k, q, w, held, span):
    """Account for what the time constants do to a current ``w`` that begins ``held`` ms before V is released, ``span`` ms before own spike
    ``q``."""
    rate, other = adjoint.rate[i], adjoint.rates[i, k]
    left, dV = w * math.exp(-other * held), adjoint.own_dV[q] * adjoint.per_C[i]
    whole, by_other = response(rate, other, span), response_by_other(rate, other, span)
    adjoint.of_rate[i] -= dV * left * (span * whole + by_other)
    at_end = adjoint.own_dI[q, k] * (held + span) * math.exp(-other * span)
    adjoint.of_rates[i, k] += left * (dV * (by_other - held * whole) - at_end)


@merged
def _at(adjoint, i, k, q, span):
    """Return dL/dV and dL/dI_k a ``span`` (ms) of free flow before own spike ``q``."""
    dV = adjoint.own_dV[q] * math.exp(-span * adjoint.rate[i])
    own = adjoint.own_dI[q, k] * math.exp(-span * adjoint.rates[i, k])
    return dV, own + adjoint.own_dV[q] * adjoint.per_C[i] * response(adjoint.rate[i], adjoint.rates[i, k], span)


@implements(factor_of, LIFPscExpAdjoint)
def _factor_of(adjoint, i, time):
    return 0.0


@implements(pull, LIFPscExpAdjoint)
def _pull(adjoint, i, time, weight, s, factor):
    q, k = _next(adjoint, i, time, adjoint.place[i]), 0 if weight > 0.0 else 1
    if q == adjoint.own_ptr[i + 1]:
        return 0.0, 0.0
    release = adjoint.own_time[q - 1] + adjoint.refractory[i] if q > adjoint.own_ptr[i] else np.int64(-1)
    if adjoint.full:
        held = (release - time) * TICK if time < release else 0.0
        _by_rates(adjoint, i, k, q, weight, held, (adjoint.own_time[q] - max(time, release)) * TICK)
    if time < release:
        _, dI = _at(adjoint, i, k, q, (adjoint.own_time[q] - release) * TICK)
        dV, dI = 0.0, dI * math.exp((time - release) * TICK * adjoint.rates[i, k])
    else:
        dV, dI = _at(adjoint, i, k, q, (adjoint.own_time[q] - time) * TICK)
    return dI, weight * (dI * adjoint.rates[i, k] - dV * adjoint.per_C[i])


@merged
def _speed(adjoint, i, V, currents):
    """Return V' at V, mV/ms."""
    return adjoint.rate[i] * (adjoint.rest[i] - V) + (currents[0] + currents[1]) * adjoint.per_C[i]


@merged
def _from(adjoint, i, time, V):
    """Account for the interval that starts at ``time``, with potential ``V``; return dL/dV there."""
    n = adjoint.place[i]
    span = (adjoint.own_time[n] - time) * TICK
    dV, _ = _at(adjoint, i, 0, n, span)
    adjoint.of_rest[i] -= dV
    by_currents = adjoint.V_th[i] - adjoint.rest[i] - (V - adjoint.rest[i]) * math.exp(-span * adjoint.rate[i])
    adjoint.of_scale[i] += adjoint.own_dV[n] * by_currents
    adjoint.of_rate[i] -= dV * (V - adjoint.rest[i]) * span
    return dV


@implements(settle, LIFPscExpAdjoint)
def _settle(adjoint, i, s, cotangent):
    n = adjoint.place[i]
    q = n - 1
    if n < adjoint.own_ptr[i + 1]:
        release = adjoint.own_time[q] + adjoint.refractory[i]
        dV = _from(adjoint, i, release, adjoint.V_reset[i])
        adjoint.of_V_reset[i] += dV
        by_shift = -dV * _speed(adjoint, i, adjoint.V_reset[i], adjoint.released[n])
        adjoint.of_t_ref[i] += by_shift
        cotangent += by_shift
        for k in range(2):
            _, dI = _at(adjoint, i, k, n, (adjoint.own_time[n] - release) * TICK)
            adjoint.own_dI[q, k] = dI * math.exp(-adjoint.refractory[i] * TICK * adjoint.rates[i, k])
            if adjoint.full:
                held = adjoint.refractory[i] * TICK
                _by_rates(adjoint, i, k, n, adjoint.current[q, k], held, (adjoint.own_time[n] - release) * TICK)
    dV = -cotangent / _speed(adjoint, i, adjoint.V_th[i], adjoint.current[q])
    adjoint.own_dV[q] = dV
    adjoint.of_V_th[i] -= dV
    adjoint.of_rest[i] += dV
    adjoint.place[i] = q


@implements(begin, LIFPscExpAdjoint)
def _begin(adjoint, i):
    if adjoint.own_ptr[i] < adjoint.own_ptr[i + 1]:
        adjoint.of_V_m[i] = _from(adjoint, i, np.int64(0), adjoint.V_m[i])


@implements(rebase, LIFPscExpAdjoint)
def _rebase(adjoint, anchor):
    adjoint.anchor[0] = anchor
