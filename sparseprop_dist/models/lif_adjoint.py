"""Derivatives of the LIF neuron with delta synapses; the equations are in ``docs/design/gradients.md`` and ``DERIVATIONS``.

With ``E(t) = e^((t - anchor)/tau_m)``, dL/dV is ``lam E(t)`` between two own spikes, ``lam`` constant. An input at t_a has
``dL/dweight = lam E(t_a)``, ``dL/dt_a = weight lam E(t_a)/tau_m``. A crossing at t_s has ``dt_s = -dV/V'(t_s)``.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import TICK, ticks
from sparseprop_dist.errors import InputError
from sparseprop_dist.exact_sum import HIGH, split
from sparseprop_dist.jit import bits_float, float_bits, implements, inner, merged, prefetch
from sparseprop_dist.models.adjoint import (
    BY_FLOW,
    NEVER,
    after,
    begin,
    exponential,
    factor_of,
    fetch,
    pull,
    pull_row,
    rebase,
    settle,
)

LAM, NEXT, RELEASE, PLACE = 0, 1, 2, 3
"""Of a node: bits of lam, the earliest settled own spike, the end of the refractory period before it, and its place in the own spikes."""
SIZE = (1 << 63) - 1
"""The bits of a float without its sign: as integers they are in the order of the sizes, and the largest is found in any order."""


@by_address
class LIFAdjoint(NamedTuple):
    """Adjoints of LIF neurons. All arrays but those of own spikes have one entry a neuron."""

    node: np.ndarray  # int64 (N, 4)
    lam: np.ndarray  # float64 (N,), once more: where nothing else is asked for, eight neurons share a line of the cache
    anchor: np.ndarray  # int64 (1,), tick
    rate: np.ndarray  # float64, 1/tau_m, per ms
    rest: np.ndarray  # float64, V_inf, mV (0 where nothing leaks)
    slope: np.ndarray  # float64, mV/ms, where nothing leaks, else 0
    V_th: np.ndarray  # float64, mV
    V_reset: np.ndarray  # float64, mV
    V_m: np.ndarray  # float64, mV, at time 0
    refractory: np.ndarray  # int64, ticks
    poisson: np.ndarray  # bool, such input makes its spikes, where no spike does
    own_ptr: np.ndarray  # int64 (N + 1,)
    own: np.ndarray  # int32 (own spikes,), places in the log
    time: np.ndarray  # int64 (S,), of the log: tick,
    trigger: np.ndarray  # int32 (S,), place of the trigger, or BY_FLOW,
    dt: np.ndarray  # float64 (S,), and dL/dtime, of the spikes that are settled
    of_rest: np.ndarray  # float64, gradients: V_inf,
    of_slope: np.ndarray  # float64
    of_rate: np.ndarray  # float64, of 1/tau_m in the flow alone; its part by inputs only where `full`
    of_V_th: np.ndarray  # float64
    of_V_reset: np.ndarray  # float64
    of_V_m: np.ndarray  # float64
    of_t_ref: np.ndarray  # float64
    unclear: np.ndarray  # int64 (1,), 1 + a neuron whose gradient is not clear, else 0
    full: int  # 1: the gradient of tau_m is asked for
    rests: int  # 1: some neuron is refractory after its spikes

    @staticmethod
    def make(
        values: Mapping[str, Any], own: tuple[np.ndarray, np.ndarray], log: Any, dt: np.ndarray, poisson: np.ndarray, full: bool
    ) -> "LIFAdjoint":
        """Return adjoints after the last spike, from the parameters of the neurons (arrays by name).

        Parameters
        ----------
        own : where the own spikes of each neuron start, and their places in the log
        dt : float64 (S,), the derivatives by the loss alone; those by all that followed take their place
        poisson : who gets such input

        Raises
        ------
        InputError
            where it cannot be told whether spikes are crossings by the flow or made by Poisson events.
        """
        n, (rate, rest, slope) = len(values["tau_m"]), shape(values)
        unclear = np.flatnonzero(poisson & np.where(rate > 0.0, rest > values["V_th"], slope > 0.0))
        if unclear.size:
            i = unclear[0]
            both = "it gets Poisson input, and its drive alone takes it over V_th"
            raise InputError(f"neuron {values['gid'][i]} has no gradient: {both}; lower I_e or E_L, or give spike trains instead")
        node = np.zeros((n, 4), np.int64)
        node[:, NEXT], node[:, RELEASE], node[:, PLACE] = NEVER, -NEVER, own[0][1:]
        return LIFAdjoint(
            node, np.zeros(n), np.zeros(1, np.int64), rate, rest, slope,
            values["V_th"], values["V_reset"], values["V_m"], ticks(values["t_ref"]),
            poisson, *own, log.time, log.trigger, dt,
            np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(1, np.int64), int(full),
            int((values["t_ref"] > 0.0).any()),
        )  # fmt: skip

    def gradients(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the gradients of all parameters by name, after the sweep."""
        found = {"V_th": self.of_V_th, "V_reset": self.of_V_reset, "V_m": self.of_V_m, "t_ref": self.of_t_ref}
        return found | by_shape(values, self.of_rate, self.of_rest, self.of_slope)


def shape(values: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what shapes the flow: 1/tau_m (per ms), V_inf (mV; 0 where nothing leaks), the drive where nothing does (mV/ms)."""
    leaks, drive = np.isfinite(values["tau_m"]), values["I_e"] / values["C_m"]
    rest = values["E_L"] + drive * np.where(leaks, values["tau_m"], 0.0)
    return np.where(leaks, 1.0 / values["tau_m"], 0.0), np.where(leaks, rest, 0.0), np.where(leaks, 0.0, drive)


def by_shape(values: Mapping[str, Any], of_rate: np.ndarray, of_rest: np.ndarray, of_slope: np.ndarray) -> dict[str, np.ndarray]:
    """Return the gradients of parameters by name, from those of what `shape` returns."""
    leaks, C, I_e = np.isfinite(values["tau_m"]), values["C_m"], values["I_e"]
    tau = np.where(leaks, values["tau_m"], 0.0)
    rate = np.where(leaks, 1.0 / values["tau_m"], 0.0)
    of_drive = np.where(leaks, of_rest * tau, of_slope)  # of I_e/C_m
    return {
        "E_L": np.where(leaks, of_rest, 0.0),
        "I_e": of_drive / C,
        "C_m": -of_drive * I_e / C**2,
        "tau_m": np.where(leaks, -of_rate * rate**2 + of_rest * I_e / C, 0.0),
    }


@merged
def _speed(model, i, V):
    """Return V' at V, mV/ms."""
    return model.rate[i] * (model.rest[i] - V) + model.slope[i]


@implements(factor_of, LIFAdjoint)
def _factor_of(adjoint, i, time):
    return exponential(adjoint.anchor, adjoint.rate[i], time)


@implements(fetch, LIFAdjoint)
def _fetch(adjoint, i):
    prefetch(adjoint.node, i * 4)


@merged
def _before(adjoint, i, at):
    """Return dL/dV just before the own spike at place ``at`` of the log, a crossing of threshold or not."""
    flow = adjoint.trigger[at] == BY_FLOW and not adjoint.poisson[i]
    return -adjoint.dt[at] / _speed(adjoint, i, adjoint.V_th[i]) if flow else 0.0


@inner
def _slow(adjoint, i, time, s):
    """Return dL/dV at an arrival, dL/dtime of the own spike that it triggered, and the time of the next own spike."""
    q, stop = adjoint.node[i, PLACE], adjoint.own_ptr[i + 1]
    while q < stop:
        at = adjoint.own[q]
        if adjoint.time[at] > time:
            break
        triggers = adjoint.time[at] == time and adjoint.trigger[at] == s
        if triggers and not math.isnan(adjoint.dt[at]):
            by_trigger = adjoint.dt[at]
            adjoint.dt[at] = math.nan  # given to the first such synapse
            return 0.0, by_trigger, time
        if triggers and adjoint.refractory[i] == 0:
            adjoint.unclear[0] = i + 1  # was it the first or the second that took it over threshold?
        if not triggers and not after(adjoint.time, adjoint.trigger, at, time, s):
            break
        q += 1
    if q == stop:
        return 0.0, 0.0, time
    if q > adjoint.own_ptr[i] and time < adjoint.time[adjoint.own[q - 1]] + adjoint.refractory[i]:
        return 0.0, 0.0, time
    until = adjoint.time[adjoint.own[q]]
    return _before(adjoint, i, adjoint.own[q]) * math.exp((time - until) * (TICK * adjoint.rate[i])), 0.0, until


@merged
def _see(adjoint, i, time, s, factor):
    """Return dL/dV at an arrival, dL/dtime of the own spike that it triggers, and the time of the next own spike."""
    node = adjoint.node[i]
    if node[RELEASE] <= time < node[NEXT] and factor < math.inf:
        return bits_float(node[LAM]) * factor, 0.0, node[NEXT]
    return _slow(adjoint, i, time, s)


@implements(pull, LIFAdjoint)
def _pull(adjoint, i, time, weight, s, factor):
    dV, by_trigger, until = _see(adjoint, i, time, s, factor)
    if adjoint.full and dV != 0.0:
        adjoint.of_rate[i] -= dV * weight * ((until - time) * TICK)
    return dV, weight * dV * adjoint.rate[i] + by_trigger


@implements(pull_row, LIFAdjoint)
def _pull_row(adjoint, first, words, begin, stop, time, weight, weights, each, s, alone, out):
    factor, rate, weighted, kept = factor_of(adjoint, first, time), adjoint.rate[first], weights.size > 0, each.size > 0
    if adjoint.full or not factor < math.inf:
        return False
    t_high, t_low, w_high, w_low, worst, heaviest = np.int64(0), np.int64(0), np.int64(0), np.int64(0), 0.0, abs(weight)
    if alone and not adjoint.rests:
        lam, row, bits, heavy = adjoint.lam[first:], words[begin:stop], np.int64(0), np.int64(0)
        for k in range(row.size):
            dV = lam[row[k]] * factor
            if weighted:
                weight, heavy = weights[k], max(heavy, float_bits(weights[k]) & SIZE)
            high, low = split(weight * dV * rate * HIGH)  # in the order of `pull`, so that it is the same number
            t_high, t_low, bits = t_high + high, t_low + low, max(bits, float_bits(dV) & SIZE)
            if kept:
                each[k] += dV
            else:
                high, low = split(dV * HIGH)
                w_high, w_low = w_high + high, w_low + low
        stop, worst, heaviest = begin, bits_float(bits), max(heaviest, bits_float(heavy))
    for k in range(stop - begin):
        dV, by_trigger, _ = _see(adjoint, first + np.int64(words[begin + k]), time, s, factor)
        if weighted:
            weight = weights[k]
            heaviest = max(heaviest, abs(weight))
        high, low = split((weight * dV * rate + by_trigger) * HIGH)  # in the order of `pull`, so that it is the same number
        t_high, t_low, worst = t_high + high, t_low + low, max(worst, abs(dV), abs(by_trigger))
        if kept:
            each[k] += dV
        else:
            high, low = split(dV * HIGH)
            w_high, w_low = w_high + high, w_low + low
    out[0], out[1], out[2], out[3] = t_high, t_low, w_high, w_low
    out[4] = float_bits(worst * max(HIGH, abs(heaviest * rate * HIGH)))
    return True


@merged
def _start(adjoint, i, time, V):
    """Account for the start at ``time``, with potential ``V``, of the interval that the node stands for; return dL/dV there."""
    node = adjoint.node[i]
    until = node[NEXT]
    if until == NEVER:
        return 0.0
    dV = _before(adjoint, i, adjoint.own[node[PLACE]]) * math.exp((time - until) * (TICK * adjoint.rate[i]))
    span = (until - time) * TICK
    adjoint.of_rest[i] -= dV
    adjoint.of_slope[i] += dV * span
    adjoint.of_rate[i] -= dV * (V - adjoint.rest[i]) * span
    return dV


@implements(settle, LIFAdjoint)
def _settle(adjoint, i, s, cotangent):
    node = adjoint.node[i]
    q, time = node[PLACE] - 1, adjoint.time[s]
    dV = _start(adjoint, i, time + adjoint.refractory[i], adjoint.V_reset[i])
    adjoint.of_V_reset[i] += dV
    by_shift = -dV * _speed(adjoint, i, adjoint.V_reset[i])
    adjoint.of_t_ref[i] += by_shift
    adjoint.dt[s] = cotangent + by_shift
    before = _before(adjoint, i, s)
    adjoint.of_V_th[i] -= before
    adjoint.of_rest[i] += before
    adjoint.lam[i] = before * math.exp((adjoint.anchor[0] - time) * (TICK * adjoint.rate[i]))
    node[LAM] = float_bits(adjoint.lam[i])
    node[NEXT], node[PLACE] = time, q
    node[RELEASE] = adjoint.time[adjoint.own[q - 1]] + adjoint.refractory[i] if q > adjoint.own_ptr[i] else -NEVER


@implements(begin, LIFAdjoint)
def _begin(adjoint, i):
    adjoint.of_V_m[i] = _start(adjoint, i, np.int64(0), adjoint.V_m[i])


@implements(rebase, LIFAdjoint)
def _rebase(adjoint, anchor):
    back = (anchor - adjoint.anchor[0]) * TICK
    adjoint.anchor[0] = anchor
    for i in range(adjoint.rate.size):
        adjoint.lam[i] *= math.exp(back * adjoint.rate[i])
        adjoint.node[i, LAM] = float_bits(adjoint.lam[i])
