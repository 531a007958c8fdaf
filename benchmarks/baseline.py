"""The published algorithm (R. Engelken, NeurIPS 2023) as a yardstick: phases, a threshold that moves, and a heap of all neurons.

A phase grows with time at one speed for all neurons, so not phases move but threshold and reset do. A heap that can be searched by neuron
has the largest phase on top; a spike takes it, changes the phases of its targets by the phase transition curve (an exponential and a
logarithm, or a tangent and its inverse, an event), and puts each back into its place: O(K log N) a spike. LIF and QIF with one drive for
all neurons and without a refractory period, one weight, no delay.

Compiled by the same compiler with the same flags as the package. Owns no network: rows come as pointers and targets.
"""

import math
from typing import Any

import numpy as np

from sparseprop_dist.jit import njit
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.qif import QIF

LEAKY, QUADRATIC = 0, 1


@njit
def _sink(phase, who, place, k):
    """Put the entry ``k`` of the heap into its place below."""
    value, i = phase[k], who[k]
    while 2 * k + 1 < phase.size:
        child = 2 * k + 1
        if child + 1 < phase.size and phase[child + 1] > phase[child]:
            child += 1
        if phase[child] <= value:
            break
        phase[k], who[k] = phase[child], who[child]
        place[who[k]] = k
        k = child
    phase[k], who[k] = value, i
    place[i] = k


@njit
def _rise(phase, who, place, k):
    """Put the entry ``k`` of the heap into its place above."""
    value, i = phase[k], who[k]
    while k > 0 and phase[(k - 1) >> 1] < value:
        phase[k], who[k] = phase[(k - 1) >> 1], who[(k - 1) >> 1]
        place[who[k]] = k
        k = (k - 1) >> 1
    phase[k], who[k] = value, i
    place[i] = k


@njit
def _heapify(phase, who, place):
    for k in range(phase.size // 2 - 1, -1, -1):
        _sink(phase, who, place, k)


@njit
def _moved(kind, phase, speed, jump):
    """Return the phase after an input: the phase transition curve."""
    if kind == LEAKY:
        return -speed * math.log(math.exp(-phase / speed) + jump)
    return 2.0 * math.atan(math.tan(0.5 * phase) + jump)


@njit
def _run(kind, row_ptr, targets, phase, who, place, shift, threshold, reset, speed, jump, times, gids):
    """Make as many spikes as ``times`` has room for; return how far phases have moved by then."""
    for s in range(times.size):
        i = np.int64(who[0])
        shift = threshold - phase[0]
        times[s], gids[s] = shift, i
        for q in range(row_ptr[i], row_ptr[i + 1]):
            k = place[targets[q]]
            before = phase[k]
            phase[k] = _moved(kind, before + shift, speed, jump) - shift
            if phase[k] < before:
                _sink(phase, who, place, k)
            else:
                _rise(phase, who, place, k)
        k = place[i]
        phase[k] = reset - shift
        _sink(phase, who, place, k)
    return shift


class Published:
    """A network in the state ``V`` (of all neurons, mV), with rows of pointers (N + 1,) and targets."""

    def __init__(self, model: Any, weight: float, V: np.ndarray, row_ptr: np.ndarray, targets: np.ndarray) -> None:
        assert np.isscalar(model.t_ref), "one drive for all neurons"
        assert model.t_ref == 0.0, "no refractory period"
        if isinstance(model, LIF):
            V_inf = model.E_L + model.I_e * model.tau_m / model.C_m
            span = V_inf - model.V_reset
            self.kind, self.threshold, self.reset = LEAKY, 1.0, 0.0
            self.speed, self.jump = 1.0 / math.log(span / (V_inf - model.V_th)), -weight / span
            phase = -self.speed * np.log((V_inf - V) / span)
        else:
            assert isinstance(model, QIF)
            root = math.sqrt(model.I)
            self.kind, self.threshold, self.reset = QUADRATIC, math.pi, -math.pi
            self.speed, self.jump = 2.0 * root, weight / root
            phase = 2.0 * np.arctan(V / root)
        self.tau_m = model.tau_m
        self.row_ptr, self.targets, self.phase = row_ptr, targets, phase
        self.who = np.arange(len(V), dtype=np.int32)
        self.place = np.arange(len(V), dtype=np.int32)
        self.time = 0.0  # ms
        _heapify(self.phase, self.who, self.place)

    def run(self, n_spikes: int) -> tuple[np.ndarray, np.ndarray]:
        """Make ``n_spikes`` spikes; return their times (ms since the first state) and gids."""
        times, gids = np.empty(n_spikes), np.empty(n_spikes, np.int64)
        constants = (self.threshold, self.reset, self.speed, self.jump)
        shift = _run(self.kind, self.row_ptr, self.targets, self.phase, self.who, self.place, 0.0, *constants, times, gids)
        self.phase += shift  # phases count from now again: the shift would eat their digits
        times = self.time + times * self.tau_m / self.speed
        self.time += shift * self.tau_m / self.speed
        return times, gids
