"""Who owns which neuron.

Owns the division of a network over ranks: each population is cut into as many runs as there are ranks, so that populations that turn out to
be more active than others burden all ranks alike. Within a population the cuts balance the expected work. Knows no synapse and no
communication.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .description import Network
from .distributions import expected
from .inputs import Poisson
from .rules import Pairs

GROUP = 1024
"""Neurons of a population that share a stream of Poisson input; large populations are cut between groups, so that no stream is drawn
twice."""
GUESSED_RATE = 10.0
"""Hz: what a neuron is expected to fire at when the work is estimated before the run."""
NEURON_WORK = 100.0
"""Arrivals per second that a neuron costs as much as, without any."""


@dataclass(frozen=True)
class Share:
    """The members of one population that one rank owns."""

    population: str
    first_gid: int  # gid of member 0 of the population
    start: int  # first member owned
    stop: int
    local: int  # local index of the first


@dataclass(frozen=True)
class Partition:
    """The cuts of each population of neurons, in the order of gids."""

    n_ranks: int
    names: tuple[str, ...]
    first_gids: np.ndarray  # int64 (populations + 1,)
    cuts: np.ndarray  # int64 (populations, ranks + 1), members
    order: tuple[int, ...]  # of the populations in the local indices of a rank: those of one kind of record together

    def shares(self, rank: int) -> list[Share]:
        """Return what ``rank`` owns, one share a population, in the order of its local indices."""
        out, local = [], 0
        for k in self.order:
            start, stop = self.cuts[k, rank : rank + 2].tolist()
            out.append(Share(self.names[k], int(self.first_gids[k]), start, stop, local))
            local += stop - start
        return out

    def n_owned(self, rank: int) -> int:
        """Return the number of neurons of ``rank``."""
        return int((self.cuts[:, rank + 1] - self.cuts[:, rank]).sum())

    def owner(self, gids: np.ndarray) -> np.ndarray:
        """Return the rank of each gid, -1 for members of spike sources (every rank knows those)."""
        place = np.searchsorted(self.first_gids, gids, side="right") - 1
        ranks = np.full(len(gids), -1)
        for k in range(len(self.names)):
            here = place == k
            ranks[here] = np.searchsorted(self.cuts[k], gids[here] - self.first_gids[k], side="right") - 1
        return ranks


def partition(network: Network, n_ranks: int) -> Partition:
    """Cut ``network`` for ``n_ranks`` ranks; ranks beyond the number of neurons own none."""
    names = tuple(population.name for population in network.populations if not population.is_source)
    sizes = [network.population(name).size for name in names]
    cuts, before = [], 0
    for name, size in zip(names, sizes, strict=True):
        cuts.append(_cut(work(network, name), size, n_ranks, before % n_ranks))
        before += size
    first_gids = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    kinds = [record_kind(network, name) for name in names]
    # by name, not as described: networks of the same models run the same compiled code
    order = tuple(sorted(range(len(names)), key=lambda k: f"{kinds[k].__module__}.{kinds[k].__qualname__}"))
    return Partition(n_ranks, names, first_gids, np.array(cuts, np.int64).reshape(len(names), n_ranks + 1), order)


def record_kind(network: Network, name: str) -> Callable[..., Any]:
    """Return what tells the record that runs a population: populations of one kind share a record."""
    model = network.population(name).model.lowered()  # type: ignore[union-attr]
    return (model.driven_record if network.currents(name) else model.record).__func__  # type: ignore[union-attr]


def _cut(weights: np.ndarray | float, size: int, n_ranks: int, remainder: int) -> np.ndarray:
    """``remainder``, neurons of earlier populations beyond a multiple of the ranks: small populations fill up other ranks than the ones
    before."""
    if isinstance(weights, float):
        cuts = np.array([(rank * size + (remainder if rank else 0)) // n_ranks for rank in range(n_ranks)] + [size])
    else:
        total = np.cumsum(weights)
        cuts = np.searchsorted(total, total[-1] * np.arange(n_ranks + 1) / n_ranks)
        cuts[-1] = size
    if size >= 8 * GROUP * n_ranks:
        cuts[1:-1] = (cuts[1:-1] + GROUP // 2) // GROUP * GROUP
    return np.minimum(np.maximum.accumulate(cuts), size)


def work(network: Network, name: str) -> np.ndarray | float:
    """Return the expected arrivals per second and neuron of a population: a float if its neurons are alike, else float64 (size,)."""
    size = network.population(name).size
    per_neuron: np.ndarray | float = NEURON_WORK
    for projection in network.projections:
        if name not in projection.targets:
            continue
        first = _offset(network, projection.targets, name)
        rate = _source_rate(network, projection.sources)
        if isinstance(projection.rule, Pairs):
            targets = projection.rule.targets
            here = targets[(targets >= first) & (targets < first + size)] - first
            per_neuron = per_neuron + rate * np.bincount(here, minlength=size)
        else:
            per_neuron = per_neuron + rate * network.expected_indegree(projection)
    for driven in network.inputs:
        if name in driven.targets and isinstance(driven.kind, Poisson):
            first = _offset(network, driven.targets, name)
            rates = driven.kind.rate
            if driven.kind.n_values is not None:
                per_neuron = per_neuron + np.atleast_2d(rates).mean(0)[first : first + size]
            else:
                per_neuron = per_neuron + expected(rates)
    return per_neuron


def _offset(network: Network, names: tuple[str, ...], name: str) -> int:
    return sum(network.population(other).size for other in names[: names.index(name)])


def _source_rate(network: Network, names: tuple[str, ...]) -> float:
    """Mean rate of a source pool in Hz: of spike trains their own (over their span), of neurons a guess."""
    total, size = 0.0, 0
    for name in names:
        population = network.population(name)
        size += population.size
        if not population.is_source:
            total += GUESSED_RATE * population.size
        elif (times := population.model.times).size:  # type: ignore[union-attr]  # a source is SpikeTrains
            total += times.size / max(times[-1], 1.0) * 1e3
    return total / max(size, 1)
