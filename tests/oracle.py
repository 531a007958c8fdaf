"""The oracle: networks of neurons with and without delays, simulated event by event with one heap.

It is meant to be too simple to be wrong. It shares nothing with the engine, and it spells out the contract of ``docs/design/order.md``.
The neurons are those of ``oracle_models.py``; which one is which, nothing here knows.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from oracle_models import EIF, QIF, Exponential, Function, Model, Neuron, Perfect

__all__ = [
    "EIF",
    "QIF",
    "TICK",
    "Cascade",
    "Exponential",
    "Function",
    "Model",
    "Neuron",
    "Perfect",
    "Spike",
    "Synapse",
    "history",
    "simulate",
    "to_ticks",
]

TICK = 2.0**-40  # ms
CROSSING, POISSON, SPIKE, INSTANT = range(4)  # the order at one tick; the end of a refractory period needs no event, see `since`
NO_TRIGGER = (-1, -1)


@dataclass(frozen=True)
class Synapse:
    """A source that is not the number of a neuron is a spike source; weight in the unit of the target, delay in ms."""

    source: int
    target: int
    weight: float
    delay: float


class Spike(NamedTuple):
    """Of a neuron; `trigger` (tick, gid) is the spike that lifted it over threshold, `generation` counts from 0 at each tick."""

    tick: int
    trigger: tuple[int, int]
    gid: int
    generation: int


class Cascade(Exception):
    """A neuron that has fired at a tick is lifted to threshold again by a synapse without delay, at the same tick."""

    def __init__(self, gid: int, tick: int) -> None:
        super().__init__(f"neuron {gid} fires again at tick {tick}")
        self.gid, self.tick = gid, tick


def to_ticks(ms: float) -> int:
    """The nearest tick (half to even)."""
    return round(ms / TICK)


def simulate(
    neurons: Sequence[Model],
    synapses: Sequence[Synapse],
    until: float,
    source_spikes: Sequence[tuple[float, int]] = (),
    events: Sequence[tuple[float, int, float, int]] = (),
) -> list[tuple[int, int]]:
    """Spikes (tick, gid) of the neurons before `until`, sorted; source spikes: (ms, gid), Poisson events: (ms, target, weight, input)."""
    return sorted((spike.tick, spike.gid) for spike in history(neurons, synapses, until, source_spikes, events))


def history(
    neurons: Sequence[Model],
    synapses: Sequence[Synapse],
    until: float,
    source_spikes: Sequence[tuple[float, int]] = (),
    events: Sequence[tuple[float, int, float, int]] = (),
) -> list[Spike]:
    """The same with triggers and generations, in emission order."""
    network = _Network(neurons, synapses)
    for i in range(len(neurons)):
        network.foresee_crossing(i, 0)
    for ms, gid in source_spikes:
        network.emit(to_ticks(ms), NO_TRIGGER, gid, 0)
    for position, (ms, target, weight, input_index) in enumerate(events):
        network.push(to_ticks(ms), POISSON, (input_index, position), target, weight)
    while network.heap and network.heap[0][0] < to_ticks(until):
        network.next_event()
    return sorted(network.spikes, key=lambda spike: spike[:3])


class _Network:
    def __init__(self, neurons: Sequence[Model], synapses: Sequence[Synapse]) -> None:
        self.neurons = neurons
        self.rows: dict[int, list[tuple[int, Synapse]]] = {}
        for position, synapse in enumerate(synapses):
            self.rows.setdefault(synapse.source, []).append((position, synapse))
        self.state: list[Any] = [neuron.start() for neuron in neurons]
        self.since = [0] * len(neurons)  # the tick at which the state holds; in the future, at the release, while the neuron is refractory
        self.fired = [-1] * len(neurons)  # the tick of the latest spike
        self.version = [0] * len(neurons)  # a crossing on the heap counts only if nothing happened to its neuron since it was foreseen
        self.heap: list[tuple[int, int, tuple, int, float, tuple[int, int]]] = []  # (tick, kind, key: unique, neuron, weight, trigger)
        self.serial = itertools.count()  # tells apart the spikes of one neuron at one tick (t_ref = 0) that have the same trigger
        self.spikes: list[Spike] = []

    def push(self, tick: int, kind: int, key: tuple, i: int, weight: float, trigger: tuple[int, int] = NO_TRIGGER) -> None:
        heapq.heappush(self.heap, (tick, kind, key, i, weight, trigger))

    def emit(self, tick: int, trigger: tuple[int, int], gid: int, generation: int) -> None:
        emission = (tick, trigger, gid, next(self.serial))
        for position, s in self.rows.get(gid, ()):
            if s.source < len(self.neurons) and to_ticks(s.delay) == 0:
                self.push(tick, INSTANT, (generation, emission, position), s.target, s.weight, (tick, gid))
            else:
                self.push(tick + to_ticks(s.delay), SPIKE, (emission, position), s.target, s.weight, (tick, gid))

    def foresee_crossing(self, i: int, earliest: int) -> None:
        self.version[i] += 1
        wait = 0.0 if self.neurons[i].is_up(self.state[i]) else self.neurons[i].wait(self.state[i])
        if wait is not None:
            self.push(max(self.since[i] + to_ticks(wait), earliest), CROSSING, (i, self.version[i]), i, 0.0)

    def fire(self, i: int, tick: int, trigger: tuple[int, int], generation: int) -> None:
        self.spikes.append(Spike(tick, trigger, i, generation))
        self.emit(tick, trigger, i, generation)
        release = tick + to_ticks(self.neurons[i].t_ref)
        self.state[i] = self.neurons[i].reset(self.state[i], (release - self.since[i]) * TICK)
        self.since[i], self.fired[i] = release, tick
        self.foresee_crossing(i, release + 1)

    def next_event(self) -> None:
        tick, kind, key, i, weight, trigger = heapq.heappop(self.heap)
        neuron = self.neurons[i]
        if kind == CROSSING:
            if key == (i, self.version[i]):
                self.fire(i, tick, NO_TRIGGER, 0)
        elif tick < self.since[i]:
            self.state[i] = neuron.kept(self.state[i], weight, (self.since[i] - tick) * TICK)
            self.foresee_crossing(i, self.since[i] + 1)
        else:
            self.state[i] = neuron.jump(neuron.later(self.state[i], (tick - self.since[i]) * TICK), weight)
            self.since[i] = tick
            if not neuron.is_up(self.state[i]):
                self.foresee_crossing(i, tick + 1)
            elif kind == INSTANT and self.fired[i] == tick:
                raise Cascade(i, tick)
            else:
                self.fire(i, tick, trigger, key[0] + 1 if kind == INSTANT else 0)
