"""The oracle: networks of LIF neurons (NEST's iaf_psc_delta) with delays, simulated event by event with one heap.

It is meant to be too simple to be wrong. It shares nothing with the engine, and it spells out the contract of ``docs/design/order.md``.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

TICK = 2.0**-40  # ms
CROSSING, POISSON, SPIKE = range(3)  # the order at one tick; the end of a refractory period needs no event, see `since`
NO_TRIGGER = (-1, -1)


@dataclass(frozen=True)
class Neuron:
    """Times in ms, potentials in mV; V_m is the potential at time 0."""

    tau_m: float
    V_inf: float
    V_th: float
    V_reset: float
    t_ref: float
    V_m: float
    refractory_input: bool = False


@dataclass(frozen=True)
class Synapse:
    """A source that is not the number of a neuron is a spike source; weight in mV, delay in ms."""

    source: int
    target: int
    weight: float
    delay: float


def to_ticks(ms: float) -> int:
    """The nearest tick (half to even)."""
    return round(ms / TICK)


def simulate(
    neurons: Sequence[Neuron],
    synapses: Sequence[Synapse],
    until: float,
    source_spikes: Sequence[tuple[float, int]] = (),
    events: Sequence[tuple[float, int, float, int]] = (),
) -> list[tuple[int, int]]:
    """Spikes (tick, gid) of the neurons before `until`, sorted; source spikes: (ms, gid), Poisson events: (ms, target, mV, input)."""
    assert all(to_ticks(s.delay) >= (1 if s.source < len(neurons) else 0) for s in synapses), "recurrent delays must be positive"
    rows: dict[int, list[tuple[int, Synapse]]] = {}
    for position, synapse in enumerate(synapses):
        rows.setdefault(synapse.source, []).append((position, synapse))

    V = [neuron.V_m for neuron in neurons]
    since = [0] * len(neurons)  # the tick at which V holds; it lies in the future, at the release, while the neuron is refractory
    version = [0] * len(neurons)  # a crossing on the heap counts only if nothing happened to its neuron since it was foreseen
    heap: list[tuple[int, int, tuple, int, float, tuple[int, int]]] = []  # (tick, kind, key: unique at its tick, neuron, weight, trigger)
    serial = itertools.count()  # tells apart the spikes of one neuron at one tick (t_ref = 0) that have the same trigger
    spikes: list[tuple[int, int]] = []

    def emit(tick: int, trigger: tuple[int, int], gid: int) -> None:
        emission = (tick, trigger, gid, next(serial))
        for position, s in rows.get(gid, ()):
            heapq.heappush(heap, (tick + to_ticks(s.delay), SPIKE, (emission, position), s.target, s.weight, (tick, gid)))

    def foresee_crossing(i: int, earliest: int) -> None:
        n = neurons[i]
        version[i] += 1
        if V[i] >= n.V_th:
            heapq.heappush(heap, (earliest, CROSSING, (i, version[i]), i, 0.0, NO_TRIGGER))
        elif n.V_inf > n.V_th:
            wait = n.tau_m * math.log((n.V_inf - V[i]) / (n.V_inf - n.V_th))
            heapq.heappush(heap, (max(since[i] + to_ticks(wait), earliest), CROSSING, (i, version[i]), i, 0.0, NO_TRIGGER))

    def fire(i: int, tick: int, trigger: tuple[int, int]) -> None:
        spikes.append((tick, i))
        emit(tick, trigger, i)
        V[i] = neurons[i].V_reset
        since[i] = tick + to_ticks(neurons[i].t_ref)
        foresee_crossing(i, since[i] + 1)

    for i in range(len(neurons)):
        foresee_crossing(i, 0)
    for ms, gid in source_spikes:
        emit(to_ticks(ms), NO_TRIGGER, gid)
    for position, (ms, target, weight, input_index) in enumerate(events):
        heapq.heappush(heap, (to_ticks(ms), POISSON, (input_index, position), target, weight, NO_TRIGGER))

    while heap and heap[0][0] < to_ticks(until):
        tick, kind, key, i, weight, trigger = heapq.heappop(heap)
        n = neurons[i]
        if kind == CROSSING:
            if key == (i, version[i]):
                fire(i, tick, NO_TRIGGER)
        elif tick < since[i]:
            if n.refractory_input:
                V[i] += weight * math.exp(-(since[i] - tick) * TICK / n.tau_m)
                foresee_crossing(i, since[i] + 1)
        else:
            V[i] += (V[i] - n.V_inf) * math.expm1(-(tick - since[i]) * TICK / n.tau_m)  # expm1: exactly nothing when no time has passed
            V[i] += weight
            since[i] = tick
            if V[i] >= n.V_th:
                fire(i, tick, trigger)
            else:
                foresee_crossing(i, tick + 1)
    return sorted(spikes)
