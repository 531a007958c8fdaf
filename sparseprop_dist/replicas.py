"""Networks in the form that training takes: every synapse and parameter listed, and many copies of a network side by side.

A batch of samples is one network of as many copies, which nothing connects: one run and one sweep do them all, on any number of ranks.
"""

import dataclasses
from typing import Any

import numpy as np

from .build import Kept
from .connectivity import incoming
from .description import Network, Projection
from .distributions import Distribution
from .errors import InputError
from .exchange import Alone
from .inputs import SpikeTrains
from .models.parameters import Model
from .rules import Pairs
from .sweep import SYNAPTIC


def listed(network: Network, wrt: tuple[str, ...] = ()) -> Network:
    """Return the same network with each synapse in a `Pairs` rule, a weight and a delay each, and the parameters of neurons as arrays where
    they are drawn or named in ``wrt``."""
    out = Network(network.seed)
    for population in network.populations:
        model = population.model
        if isinstance(model, Model):
            model = model.lowered()
            drawn = [name for name in model.quantities if isinstance(getattr(model, name), Distribution) or name in wrt]
            values: dict[str, Any] = {name: network.parameters(population, name, 0, population.size) for name in drawn}
            model = dataclasses.replace(model, **values)  # type: ignore[type-var]
        out.add_population(population.name, population.size, model)
    for projection in network.projections:
        sources, targets, weights, delays = _synapses(network, projection)
        rule = Pairs(sources, targets)
        out.connect(list(projection.sources), list(projection.targets), rule, weight=weights, delay=delays)
    if network.inputs:
        raise InputError(f"{network.inputs[0]}: training takes populations of spike trains as inputs; add one, and connect it")
    return out


def _synapses(network: Network, projection: Projection) -> tuple[np.ndarray, ...]:
    sources, targets = list[np.ndarray](), list[np.ndarray]()
    weights, delays = list[np.ndarray](), list[np.ndarray]()
    for part in incoming(network, projection, 0, network.pool(projection.targets).size):
        n = len(part.sources)
        numbers = part.numbers if isinstance(part.numbers, np.ndarray) else part.numbers + np.arange(n)
        sources.append(part.sources.astype(np.int64))
        targets.append(part.start + np.repeat(np.arange(len(part.ptr) - 1), np.diff(part.ptr)))
        for name, values in (("weight", weights), ("delay", delays)):
            given = getattr(projection, name)
            values.append(np.full(n, given) if isinstance(given, float) else getattr(network, f"{name}s_at")(projection, numbers))
    none = np.empty(0, np.int64)
    return tuple(np.concatenate([none, *parts]) for parts in (sources, targets)) + tuple(
        np.concatenate([np.empty(0), *parts]) for parts in (weights, delays)
    )


def gids_of(network: Network, name: str, n: int) -> np.ndarray:
    """Return the gids of a population in each of ``n`` copies of a network, int64 (n, size)."""
    size = network.population(name).size
    first = n * network.first(name)
    return first + np.arange(n * size).reshape(n, size)


class Replicas:
    """Copies of a listed network. Copy r of member m of a population is its member ``r * size + m``, copy r of synapse k its synapse
    ``r * n_synapses + k``. What runs of them keep is in ``kept``."""

    def __init__(self, network: Network, n: int) -> None:
        self.n, self.network, self.kept = n, network, Kept()
        self._rules = [_tiled(network, projection, n) for projection in network.projections]

    def build(self, network: Network, trains: dict[str, SpikeTrains]) -> Network:
        """Return the copies of ``network``, which differs from the one given first in its numbers alone; ``trains``: spikes of the copies
        of populations that only send."""
        out, n = Network(network.seed), self.n
        for population in network.populations:
            model = population.model
            if isinstance(model, SpikeTrains):
                model = trains.get(population.name) or _copied(model, population.size, n)
            else:
                arrays = {name: value for name in model.quantities if isinstance(value := getattr(model, name), np.ndarray)}
                model = dataclasses.replace(model, **{name: np.tile(value, n) for name, value in arrays.items()})  # type: ignore[type-var]
            out.add_population(population.name, n * population.size, model)
        for projection, rule in zip(network.projections, self._rules, strict=True):
            weight, delay = (np.tile(getattr(projection, name), n) for name in SYNAPTIC)
            # checked when the network was listed: its copies need no second look
            out.projections.append(Projection(projection.sources, projection.targets, rule, weight, delay))
        return out


def _copied(trains: SpikeTrains, size: int, n: int) -> SpikeTrains:
    order = np.argsort(np.tile(trains.times, n), kind="stable")
    ids = (np.arange(n)[:, None] * size + trains.ids[None, :]).ravel()
    return SpikeTrains(np.tile(trains.times, n)[order], ids[order])


def _tiled(network: Network, projection: Projection, n: int) -> Pairs:
    rule = projection.rule
    assert isinstance(rule, Pairs)
    sources = _positions(network, projection.sources, rule.sources, n)
    return Pairs(sources, _positions(network, projection.targets, rule.targets, n))


def _positions(network: Network, names: tuple[str, ...], own: np.ndarray, n: int) -> np.ndarray:
    """Return positions in the pool of the copies of these populations, for positions in the pool of one copy."""
    sizes = np.array([network.population(name).size for name in names])
    starts = np.cumsum(sizes) - sizes
    which = np.searchsorted(starts, own, side="right") - 1
    one = n * starts[which] + own - starts[which]
    return (one[None, :] + np.arange(n)[:, None] * sizes[which][None, :]).ravel()


Arrays = dict[str, np.ndarray]


def taken(network: Network, wrt: tuple[str, ...]) -> Arrays:
    """Return the parameters of a listed network that are named in ``wrt``: arrays by "name/place of the projection or population"."""
    out: Arrays = {}
    for name in wrt:
        if name in SYNAPTIC:
            out |= {f"{name}/{k}": np.array(getattr(projection, name)) for k, projection in enumerate(network.projections)}
        else:
            out |= {
                f"{name}/{k}": np.array(getattr(population.model, name))
                for k, population in enumerate(network.populations)
                if isinstance(population.model, Model) and name in population.model.quantities
            }
    return out


UNITS = 51
"""Bits of a term that sums over copies keep of the largest term: 2^11 copies overflow no integer."""


def summed(gradients: Any, key: str, shape: tuple[int, ...], across: Alone | None = None) -> np.ndarray:
    """Return the gradient of one parameter of `taken`, of this shape, summed over copies, here and on other ranks.

    Sums have no order: terms are integers in units of 2^-51 of the largest term of each element, rounded once. ``gradients`` is None on a
    rank that has no copies.
    """
    name, place = key.split("/")
    each = np.zeros((0, *shape))
    if gradients is not None:
        each = np.asarray(gradients[name].at("projection" if name in SYNAPTIC else "population", int(place))).reshape(-1, *shape)
    across = across or Alone()
    if each.shape[0] == 1 and across.size == 1:
        return each[0]
    unit = np.frexp(across.most(np.abs(each).max(0, initial=0.0)))[1] - UNITS
    total = np.zeros(shape, np.int64)
    for one in each:
        total += np.rint(np.ldexp(one, -unit)).astype(np.int64)
    return np.ldexp(across.total(total).astype(np.float64), unit)


def put(network: Network, parameters: Arrays) -> Network:
    """Return a listed network with these parameters."""
    out = Network(network.seed)
    for k, population in enumerate(network.populations):
        values = {
            key.split("/")[0]: value for key, value in parameters.items() if key.endswith(f"/{k}") and key.split("/")[0] not in SYNAPTIC
        }
        model = population.model if isinstance(population.model, SpikeTrains) else dataclasses.replace(population.model, **values)  # type: ignore[type-var]
        out.add_population(population.name, population.size, model)
    for k, projection in enumerate(network.projections):
        own: dict[str, Any] = {name: value for name in SYNAPTIC if (value := parameters.get(f"{name}/{k}")) is not None}
        out.projections.append(dataclasses.replace(projection, **own))
    return out
