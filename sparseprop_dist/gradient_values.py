"""Gradients as they are given back: by name of the parameter, then by what has it; and how they are collected from all ranks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .backward import Sweep
from .build.numbers import add_each, n_numbered
from .description import Input, Network, Population, Projection
from .distributions import Distribution
from .errors import InputError, nearest
from .exact_sum import carried, value_of
from .inputs import SpikeTrains
from .models.parameters import Model
from .preparation import Run
from .sweep import SPIKE_TIMES, SYNAPTIC, of_each
from .tape import Log


class Gradients(Mapping[str, Any]):
    """Gradients by name of the parameter, then by the thing that has it: a population (or its name), a projection or an input (or its place
    in the network). Each is a float where the parameter is one number, else an array of its shape; of a drawn parameter, one for each
    neuron or synapse."""

    def __init__(self, network: Network, values: dict[str, dict[tuple[str, int], Any]]) -> None:
        self._network, self._values = network, values

    def __getitem__(self, name: str) -> "GradientsOf":
        if name not in self._values:
            raise InputError(f'there is no gradient of "{name}"{nearest(name, self._values)}; name it in wrt')
        return GradientsOf(self._network, name, self._values[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class GradientsOf(Mapping[Any, Any]):
    """Those of one parameter."""

    def __init__(self, network: Network, name: str, values: dict[tuple[str, int], Any]) -> None:
        self._network, self._name, self._values = network, name, values

    def __getitem__(self, thing: Any) -> Any:
        key = self._key(thing)
        if key not in self._values:
            raise InputError(f'there is no gradient of "{self._name}" for {thing}; there is for {", ".join(map(str, self)) or "nothing"}')
        return self._values[key]

    def at(self, kind: str, place: int) -> Any:
        """Return that of a "population", "projection" or "input" by its place in the network."""
        return self._values[kind, place]

    def _key(self, thing: Any) -> tuple[str, int]:
        network = self._network
        if isinstance(thing, str | Population):
            name = thing if isinstance(thing, str) else thing.name
            return "population", next((k for k, known in enumerate(network.populations) if known.name == name), -1)
        if isinstance(thing, Projection):
            return "projection", next((k for k, known in enumerate(network.projections) if known is thing), -1)
        if isinstance(thing, Input):
            return "input", next((k for k, known in enumerate(network.inputs) if known is thing), -1)
        return "projection", int(thing)

    def __iter__(self) -> Iterator[Any]:
        lists: dict[str, Sequence[Any]] = {
            "population": [population.name for population in self._network.populations],
            "projection": self._network.projections,
            "input": self._network.inputs,
        }
        return (lists[kind][place] for kind, place in self._values)

    def __len__(self) -> int:
        return len(self._values)


def collected(
    run: Run, network: Network, log: Log, w: Sweep, own: dict[str, np.ndarray], wanted: tuple[str, ...], scale: float
) -> dict[str, dict[tuple[str, int], Any]]:
    """Return all gradients that are asked for, of all ranks; collective."""
    out: dict[str, dict[tuple[str, int], Any]] = {}
    for name in wanted:
        if name in SYNAPTIC:
            out[name] = _of_synapses(run, network, w, name, scale)
        elif name == SPIKE_TIMES:
            out[name] = _of_spike_times(run, network, log, w, scale)
        else:
            out[name] = _of_neurons(run, network, own.get(name, np.zeros(len(run.gids))) * scale, name)
    return out


def _key(network: Network, place: int) -> tuple[str, int]:
    """Return what a projection of the lowered network is in the description."""
    if place < len(network.projections):
        return "projection", place
    trains = [k for k, driven in enumerate(network.inputs) if isinstance(driven.kind, SpikeTrains)]
    return "input", trains[place - len(network.projections)]


def _of_synapses(run: Run, network: Network, w: Sweep, name: str, scale: float) -> dict[tuple[str, int], Any]:
    of, each = (w.of_weight, w.each_weight) if name == "weight" else (w.of_delay, w.each_delay)
    projections, communicator = run.network.projections, run.communicator
    total = value_of(carried(communicator.total(of))) * scale
    places, synapses = of_each(run.network, (name,)), run.part.synapses
    out: dict[tuple[str, int], Any] = {}
    for place, projection in enumerate(projections):
        if place not in places:
            out[_key(network, place)] = float(total[place])
            continue
        gradient = np.zeros(n_numbered(run.network, projection))
        if (own := np.flatnonzero(synapses.drawn.place == place)).size:
            add_each(gradient, each[w.word_base[own[0]] :], scale, synapses, run.part.numbers, place)
        # a synapse is on one rank: to all others' zeros its number is added as it is
        out[_key(network, place)] = communicator.total(gradient) if communicator.size > 1 else gradient
    return out


def _of_neurons(run: Run, network: Network, own: np.ndarray, name: str) -> dict[tuple[str, int], Any]:
    parts = {
        share.population: own[share.local : share.local + share.stop - share.start] for share in run.division.shares(run.communicator.rank)
    }
    every = run.communicator.collect(parts)
    out: dict[tuple[str, int], Any] = {}
    for place, population in enumerate(network.populations):
        if isinstance(population.model, Model):
            gradient = np.concatenate([part[population.name] for part in every])
            if name not in population.model.lowered().differentiable:
                continue
            one = not isinstance(getattr(population.model, name), np.ndarray | Distribution)
            out["population", place] = math.fsum(gradient) if one else gradient
    return out


def _of_spike_times(run: Run, network: Network, log: Log, w: Sweep, scale: float) -> dict[tuple[str, int], Any]:
    of_sources = np.flatnonzero(log.gid >= run.network.n_neurons)
    derivatives = value_of(carried(run.communicator.total(w.sums[:, of_sources]))) * scale
    out: dict[tuple[str, int], Any] = {}
    for population in run.network.populations:
        if isinstance(population.model, SpikeTrains):
            gids, model = run.network.gids(population), population.model
            mine = (log.gid[of_sources] >= gids.start) & (log.gid[of_sources] < gids.stop)
            gradient = np.zeros(len(model.times))
            order = np.lexsort((model.ids, model.times))
            gradient[order[: mine.sum()]] = derivatives[mine]
            out[_source_key(network, population)] = gradient
    return out


def _source_key(network: Network, population: Population) -> tuple[str, int]:
    for place, known in enumerate(network.populations):
        if known is population:
            return "population", place
    return "input", int(population.name.removeprefix("input "))
