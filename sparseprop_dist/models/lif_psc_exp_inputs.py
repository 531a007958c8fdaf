"""The currents of LIF neurons with exponential currents at their own spikes, from the log: what the adjoint must know before the sweep.

With ``E_k(t) = e^((t - anchor)/tau_k)``, what arrives between two own spikes is summed up as ``weight E_k(t)``, one exponential for a row
of neurons alike. Arrivals while a neuron is refractory, and those that come out of turn, are added where they belong one by one.
"""

import math
from typing import NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import TICK
from sparseprop_dist.jit import bits_float, float_bits, implements, inner, merged, prefetch
from sparseprop_dist.models.adjoint import NEVER, begin, exponential, factor_of, fetch, pull, pull_row, rebase, settle

FROM, NEXT, PLACE, HELD = 0, 1, 2, 3
"""Of a node: the end of the refractory period after the last own spike passed, the next own spike, its place, and the bits of both sums."""


@by_address
class LIFPscExpInputs(NamedTuple):
    """Currents at own spikes (S) of neurons (N), summed up going forward."""

    node: np.ndarray  # int64 (N, 8), one line of the cache each
    anchor: np.ndarray  # int64 (1,)
    rates: np.ndarray  # float64 (N, 2), 1/tau_syn_ex and 1/tau_syn_in
    refractory: np.ndarray  # int64 (N,), ticks
    own_ptr: np.ndarray  # int64 (N + 1,)
    own_time: np.ndarray  # int64 (S,)
    current: np.ndarray  # float64 (S, 2), pA
    released: np.ndarray  # float64 (S, 2), pA, when V was released before it

    @staticmethod
    def make(
        rates: np.ndarray, refractory: np.ndarray, own_ptr: np.ndarray, own_time: np.ndarray, current: np.ndarray, released: np.ndarray
    ) -> "LIFPscExpInputs":
        """Return neurons before their first arrivals."""
        node = np.zeros((len(rates), 8), np.int64)
        some = np.flatnonzero(own_ptr[:-1] < own_ptr[1:])
        node[:, FROM], node[:, NEXT], node[:, PLACE] = -1, NEVER, own_ptr[:-1]
        node[some, NEXT] = own_time[own_ptr[some]]
        return LIFPscExpInputs(node, np.zeros(1, np.int64), rates, refractory, own_ptr, own_time, current, released)


@implements(factor_of, LIFPscExpInputs)
def _no_factor(inputs, i, time):
    return 0.0


@implements(fetch, LIFPscExpInputs)
def _fetch(inputs, i):
    prefetch(inputs.node, i * 8)


@inner
def _late(inputs, i, time, weight, k):
    """Add an arrival to the currents at the next own spike, and to those at the release before it."""
    first = inputs.own_ptr[i]
    q = first + np.searchsorted(inputs.own_time[first : inputs.own_ptr[i + 1]], time, side="right")
    if q < inputs.own_ptr[i + 1]:
        rate = TICK * inputs.rates[i, k]
        inputs.current[q, k] += weight * math.exp((time - inputs.own_time[q]) * rate)
        release = inputs.own_time[q - 1] + inputs.refractory[i] if q > first else np.int64(-1)
        if time <= release:
            inputs.released[q, k] += weight * math.exp((time - release) * rate)


@merged
def _add(inputs, i, time, weight, k, factor):
    node = inputs.node[i]
    if node[FROM] < time < node[NEXT] and factor < math.inf:
        node[HELD + k] = float_bits(bits_float(node[HELD + k]) + weight * factor)
    else:
        _late(inputs, i, time, weight, k)


@implements(pull, LIFPscExpInputs)
def _pull(inputs, i, time, weight, s, factor):
    k = 0 if weight > 0.0 else 1
    _add(inputs, i, time, weight, k, exponential(inputs.anchor, inputs.rates[i, k], time))
    return 0.0, 0.0


@implements(pull_row, LIFPscExpInputs)
def _pull_row(inputs, first, words, begin, stop, time, weight, weights, each, s, alone, out):
    weighted, rates = weights.size > 0, inputs.rates[first]
    ex, in_ = exponential(inputs.anchor, rates[0], time), exponential(inputs.anchor, rates[1], time)
    for q in range(begin, stop):
        if weighted:
            weight = weights[q - begin]
        k = 0 if weight > 0.0 else 1
        _add(inputs, first + np.int64(words[q]), time, weight, k, ex if k == 0 else in_)
    out[:] = 0
    return True


@implements(settle, LIFPscExpInputs)
def _pass(inputs, i, s, cotangent):
    """Take neuron ``i`` over its next own spike."""
    node = inputs.node[i]
    q = node[PLACE]
    for k in range(2):
        since = (inputs.own_time[q] - inputs.anchor[0]) * (TICK * inputs.rates[i, k])
        inputs.current[q, k] += bits_float(node[HELD + k]) * math.exp(-since)
        node[HELD + k] = 0
    node[FROM], node[PLACE] = inputs.own_time[q] + inputs.refractory[i], q + 1
    node[NEXT] = inputs.own_time[q + 1] if q + 1 < inputs.own_ptr[i + 1] else NEVER


@implements(begin, LIFPscExpInputs)
def _chain(inputs, i):
    for q in range(inputs.own_ptr[i] + 1, inputs.own_ptr[i + 1]):
        span = (inputs.own_time[q] - inputs.own_time[q - 1]) * TICK
        for k in range(2):
            before = inputs.current[q - 1, k]
            inputs.current[q, k] += before * math.exp(-span * inputs.rates[i, k])
            inputs.released[q, k] += before * math.exp(-inputs.refractory[i] * TICK * inputs.rates[i, k])


@implements(rebase, LIFPscExpInputs)
def _rebase(inputs, anchor):
    back = (anchor - inputs.anchor[0]) * TICK
    inputs.anchor[0] = anchor
    for i in range(inputs.refractory.size):
        for k in range(2):
            inputs.node[i, HELD + k] = float_bits(bits_float(inputs.node[i, HELD + k]) * math.exp(-back * inputs.rates[i, k]))
