"""Compiling once a node: the first rank fills the cache of compiled code while the others wait.

Owns the mark in the cache folder that says that it is full (the folder's name changes with the sources, `jit`), and the small network whose
run needs all code that a network of the same kinds of models needs.
"""

import contextlib
import pathlib
from collections.abc import Callable

from .description import Network, Population
from .distributions import Uniform
from .inputs import Poisson
from .models.parameters import Model
from .rules import AllToAll, FixedIndegree, PairwiseBernoulli
from .synapses import STORAGES


def warm_up(cache: pathlib.Path, what: str, compile_all: Callable[[], None]) -> None:
    """Call ``compile_all`` unless it was done for this cache folder and ``what`` (a name) before."""
    mark = cache / f"complete-{what}"
    if mark.exists():
        return
    compile_all()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        cache.mkdir(parents=True, exist_ok=True)
        mark.touch()


def kinds(network: Network) -> dict[str, Population]:
    """Return a population of each kind of neurons that has code of its own, by a name of the kind."""
    found: dict[str, Population] = {}
    for population in network.populations:
        if isinstance(population.model, Model):
            driven = "driven" if network.currents(population.name) else ""
            found.setdefault(type(population.model.lowered()).__name__.lower() + driven, population)
    return found


def tiny(network: Network, *, drawn: bool) -> Network:
    """Return two neurons of each kind, with all kinds of rows; also of rows that are drawn when a neuron fires."""
    small = Network(seed=1)
    populations = kinds(network).values()
    for population in populations:
        small.add_population(population.name, 2, population.model.one())  # type: ignore[union-attr]
        for current in network.currents(population.name):
            small.add_input(population.name, current)
    names = [population.name for population in populations]
    each = [0.1] * (2 * len(names)) ** 2
    small.connect(names, names, FixedIndegree(1, allow_multapses=False), weight=0.1, delay=1.0)
    small.connect(names, names, FixedIndegree(1), weight=0.1, delay=Uniform(1.0, 2.0))
    small.connect(names, names, FixedIndegree(1), weight=Uniform(0.0, 0.1), delay=Uniform(1.0, 2.0))
    small.connect(names, names, AllToAll(), weight=each, delay=[1.0 + x for x in each])
    small.connect(names, names, AllToAll(), weight=0.1, delay=[1.0 + x for x in each])
    if drawn:
        small.connect(names, names, PairwiseBernoulli(0.5), weight=Uniform(0.0, 0.1), delay=1.0, storage=STORAGES[1])
    small.add_input(names, Poisson(1000.0), weight=0.1)
    return small
