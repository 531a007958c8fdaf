"""Derivatives of the LIF neuron with exponential synaptic currents; see ``docs/design/gradients.md``.

Between its own spikes V and the currents are linear in each other, so that with D = t_q - t to the next own spike q, and dL/dV = m and
dL/dI_k = n_k just before q,

    dL/dV(t) = m e^(-D/tau_m),    dL/dI_k(t) = n_k e^(-D/tau_k) + m g_k(D)/C_m,
    g_k(D) = (e^(-D/tau_m) - e^(-D/tau_k))/(1/tau_k - 1/tau_m)

While a neuron is refractory V is held, and only currents pass on. An input w at t has dL/dw = dL/dI_k and
dL/dt = w (dL/dI_k/tau_k - dL/dV/C_m). In frames, E(t) = e^((t - anchor)/tau), both are sums of two constants of the interval:

    dL/dI_k = a_k E_k(t) + b_k E_m(t),    dL/dt = w (a_k/tau_k E_k(t) + b_k/tau_m E_m(t)),    b_k = m E_m(t_q)^-1/(C_m (1/tau_k - 1/tau_m))

so that a row of neurons alike needs three exponentials. Where tau_k is near tau_m the two cancel, and g_k is taken as it is.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import TICK, ticks
from sparseprop_dist.exact_sum import HIGH, split
from sparseprop_dist.jit import bits_float, float_bits, implements, inner, merged, prefetch
from sparseprop_dist.models.adjoint import NEVER, begin, exponential, factor_of, fetch, pull, pull_row, rebase, settle
from sparseprop_dist.models.lif_psc_exp_inputs import LIFPscExpInputs

NEXT, RELEASE, PLACE, OWN, VIA = 0, 1, 2, 3, 5
"""Of a node: the earliest settled own spike (-1: no frame is used), the end of the refractory period before it, its place, and the bits of
a_k and b_k."""
CLOSE = 0.05
"""Of the larger rate: rates nearer than this cancel more than 20 times."""


@by_address
class LIFPscExpAdjoint(NamedTuple):
    """Adjoints of such neurons. Arrays have one entry a neuron, or one an own spike (S)."""

    node: np.ndarray  # int64 (N, 8), one line of the cache each
    anchor: np.ndarray  # int64 (1,), tick
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
        values: Mapping[str, Any], own: tuple[np.ndarray, np.ndarray], log: Any, dt: np.ndarray, poisson: np.ndarray, full: bool
    ) -> "LIFPscExpAdjoint":
        """Return adjoints after the last spike, see `LIFAdjoint.make`; all spikes are crossings by the flow."""
        own_ptr, own_time = own[0], log.time[own[1]]
        n, spikes = len(values["tau_m"]), len(own_time)
        taus = np.stack([values["tau_syn_ex"], values["tau_syn_in"]], axis=1)
        node = np.zeros((n, 8), np.int64)
        node[:, NEXT], node[:, RELEASE], node[:, PLACE] = NEVER, -1, own_ptr[1:]
        return LIFPscExpAdjoint(
            node, np.zeros(1, np.int64), 1.0 / values["tau_m"], 1.0 / taus, 1.0 / values["C_m"],
            values["E_L"] + values["I_e"] * values["tau_m"] / values["C_m"], values["V_th"], values["V_reset"], values["V_m"],
            ticks(values["t_ref"]), own_ptr, own_time, np.zeros((spikes, 2)), np.zeros((spikes, 2)), np.zeros(spikes),
            np.zeros((spikes, 2)), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n),
            np.zeros((n, 2)), int(full),
        )  # fmt: skip

    @property
    def inputs(self) -> "LIFPscExpInputs":
        """What is to be gathered over the log from its start on, before the sweep: the currents at own spikes."""
        return LIFPscExpInputs.make(self.rates, self.refractory, self.own_ptr, self.own_time, self.current, self.released)

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


@merged
def _next(record, i, time, q):
    """Return the first own spike of neuron ``i`` later than ``time``, not before place ``q``."""
    stop = record.own_ptr[i + 1]
    while q < stop and record.own_time[q] <= time:
        q += 1
    return q


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


@implements(fetch, LIFPscExpAdjoint)
def _fetch(adjoint, i):
    prefetch(adjoint.node, i * 8)


@inner
def _slow(adjoint, i, time, weight, k):
    """Return dL/dweight and dL/dtime of an arrival, from the own spike after it, with no frame."""
    q = _next(adjoint, i, time, adjoint.node[i, PLACE])
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
def _see(adjoint, i, time, weight, k, of_m, of_k, rate, other):
    """Return dL/dweight and dL/dtime of an arrival, with E_m and E_k then and both rates."""
    node = adjoint.node[i]
    if node[RELEASE] <= time < node[NEXT] and of_m < math.inf and of_k < math.inf:
        own, via = bits_float(node[OWN + k]) * of_k, bits_float(node[VIA + k]) * of_m
        return own + via, weight * (own * other + via * rate)
    return _slow(adjoint, i, time, weight, k)


@implements(pull, LIFPscExpAdjoint)
def _pull(adjoint, i, time, weight, s, factor):
    k = 0 if weight > 0.0 else 1
    if adjoint.full:
        return _slow(adjoint, i, time, weight, k)
    rate, other = adjoint.rate[i], adjoint.rates[i, k]
    return _see(adjoint, i, time, weight, k, exponential(adjoint.anchor, rate, time), exponential(adjoint.anchor, other, time), rate, other)


@implements(pull_row, LIFPscExpAdjoint)
def _pull_row(adjoint, first, words, begin, stop, time, weight, weights, each, s, alone, out):
    if adjoint.full:
        return False
    weighted, kept, rate, ex, in_ = weights.size > 0, each.size > 0, adjoint.rate[first], adjoint.rates[first, 0], adjoint.rates[first, 1]
    of_m, of_ex, of_in = (
        exponential(adjoint.anchor, rate, time),
        exponential(adjoint.anchor, ex, time),
        exponential(adjoint.anchor, in_, time),
    )
    t_high, t_low, w_high, w_low, worst = np.int64(0), np.int64(0), np.int64(0), np.int64(0), 0.0
    for q in range(begin, stop):
        if weighted:
            weight = weights[q - begin]
        i, k = first + np.int64(words[q]), 0 if weight > 0.0 else 1
        dI, by_time = _see(adjoint, i, time, weight, k, of_m, of_ex if k == 0 else of_in, rate, ex if k == 0 else in_)
        high, low = split(by_time * HIGH)
        t_high, t_low, worst = t_high + high, t_low + low, max(worst, abs(dI), abs(by_time))
        if kept:
            each[q - begin] += dI
        else:
            high, low = split(dI * HIGH)
            w_high, w_low = w_high + high, w_low + low
    out[0], out[1], out[2], out[3], out[4] = t_high, t_low, w_high, w_low, float_bits(worst * HIGH)
    return True


@merged
def _speed(adjoint, i, V, currents):
    """Return V' at V, mV/ms."""
    return adjoint.rate[i] * (adjoint.rest[i] - V) + (currents[0] + currents[1]) * adjoint.per_C[i]


@merged
def _from(adjoint, i, time, V):
    """Account for the interval that starts at ``time``, with potential ``V``; return dL/dV there."""
    n = adjoint.node[i, PLACE]
    span = (adjoint.own_time[n] - time) * TICK
    dV, _ = _at(adjoint, i, 0, n, span)
    adjoint.of_rest[i] -= dV
    by_currents = adjoint.V_th[i] - adjoint.rest[i] - (V - adjoint.rest[i]) * math.exp(-span * adjoint.rate[i])
    adjoint.of_scale[i] += adjoint.own_dV[n] * by_currents
    adjoint.of_rate[i] -= dV * (V - adjoint.rest[i]) * span
    return dV


@merged
def _stand(adjoint, i, q):
    """Let the node stand for the interval that own spike ``q`` ends."""
    node, rate = adjoint.node[i], adjoint.rate[i]
    time = adjoint.own_time[q]
    since = (time - adjoint.anchor[0]) * TICK
    node[PLACE], node[NEXT] = q, time
    node[RELEASE] = adjoint.own_time[q - 1] + adjoint.refractory[i] if q > adjoint.own_ptr[i] else np.int64(-1)
    for k in range(2):
        other = adjoint.rates[i, k]
        if abs(other - rate) < CLOSE * max(other, rate):
            node[NEXT] = -1
            return
        via = adjoint.own_dV[q] * adjoint.per_C[i] / (other - rate)
        node[OWN + k] = float_bits((adjoint.own_dI[q, k] - via) * math.exp(-since * other))
        node[VIA + k] = float_bits(via * math.exp(-since * rate))


@implements(settle, LIFPscExpAdjoint)
def _settle(adjoint, i, s, cotangent):
    n = adjoint.node[i, PLACE]
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
    _stand(adjoint, i, q)


@implements(begin, LIFPscExpAdjoint)
def _begin(adjoint, i):
    if adjoint.own_ptr[i] < adjoint.own_ptr[i + 1]:
        adjoint.of_V_m[i] = _from(adjoint, i, np.int64(0), adjoint.V_m[i])


@implements(rebase, LIFPscExpAdjoint)
def _rebase(adjoint, anchor):
    back = (anchor - adjoint.anchor[0]) * TICK
    adjoint.anchor[0] = anchor
    for i in range(adjoint.rate.size):
        node, by_m = adjoint.node[i], math.exp(back * adjoint.rate[i])
        for k in range(2):
            node[OWN + k] = float_bits(bits_float(node[OWN + k]) * math.exp(back * adjoint.rates[i, k]))
            node[VIA + k] = float_bits(bits_float(node[VIA + k]) * by_m)
