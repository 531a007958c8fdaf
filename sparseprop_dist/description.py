"""The network as the user describes it: populations, projections, inputs.

Owns these as frozen values, their global ids, and all validation that needs more than one of them. Never sees a rank; builds no synapse and
allocates nothing of the size of a population. Its one rule: a network is a pure function of this description and the seed.

Global ids: the neurons of all populations in order of addition, then the members of populations that only send (spike sources), whatever
the order in which the two kinds were added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist import recordings
from sparseprop_dist.distributions import (
    PURPOSE_DELAY,
    PURPOSE_INPUT_WEIGHT,
    PURPOSE_PARAMETER,
    PURPOSE_RATE,
    PURPOSE_WEIGHT,
    Value,
    draw,
    draw_at,
)
from sparseprop_dist.errors import InputError, nearest
from sparseprop_dist.inputs import Current, Poisson, SpikeTrains, cast_input_weight, check_current
from sparseprop_dist.models.parameters import ByValue, Model, cast_count, same, spoken
from sparseprop_dist.pools import Pool, Pools
from sparseprop_dist.quantile import Floats
from sparseprop_dist.rules import Rule
from sparseprop_dist.synapses import STORAGES, cast_delay, cast_input_delay, cast_storage, cast_weight


@dataclass(frozen=True, eq=False)
class Population(ByValue):
    """``size`` neurons of one model, or the ``size`` senders of given spike trains."""

    name: str
    size: int
    model: Model | SpikeTrains

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or "/" in self.name or not self.name.isprintable():
            raise InputError(f"the name of a population is {spoken(self.name)}; give a printable string without /")
        if not isinstance(self.model, Model | SpikeTrains):
            raise InputError(f"{self}: the model is {spoken(self.model)}; give a model such as LIF(), or SpikeTrains(times, ids)")
        object.__setattr__(self, "size", cast_count(self.size, f"{self}: size", 1))
        if isinstance(self.model, SpikeTrains):
            self.model.check(self.size, str(self))
        elif self.model.n_values not in (None, self.size):
            raise InputError(f"{self} has {self.size} neurons, but its model has arrays of {self.model.n_values}; give one value for each")

    @property
    def is_source(self) -> bool:
        """Whether it only sends given spikes."""
        return isinstance(self.model, SpikeTrains)

    def __str__(self) -> str:
        return f'population "{self.name}"'


@dataclass(frozen=True, eq=False)
class Projection(ByValue):
    """Synapses from the populations ``sources`` (one pool, in this order) to the populations ``targets``.

    ``weight`` is the jump of the target's potential (mV), ``delay`` is in ms; an array has one for each synapse, in the rule's numbering.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    rule: Rule
    weight: Value
    delay: Value
    storage: str = STORAGES[0]

    def __str__(self) -> str:
        return f"projection {_listed(self.sources)} -> {_listed(self.targets)}"


@dataclass(frozen=True, eq=False)
class Input(ByValue):
    """Spikes from outside, or a current, onto the populations ``targets`` (one pool).

    ``weight`` is in mV, an array has one for each target neuron, None for a current; ``delay`` is in ms.
    """

    targets: tuple[str, ...]
    kind: Poisson | SpikeTrains | Current
    weight: Value | None
    delay: float

    def __str__(self) -> str:
        return f"{self.kind.kind} input to {_listed(self.targets)}"


class Network:
    """Populations, projections and inputs. ``seed`` (0 to 2**63 - 1) decides everything that is drawn at random."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = cast_count(seed, "seed", 0)
        if self.seed >= 1 << 63:
            raise InputError(f"seed is {seed}; give a whole number below 2**63")
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.inputs: list[Input] = []
        self.recordings: list[recordings.Recording] = []

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return all(same(value, vars(other)[name]) for name, value in vars(self).items())

    __hash__ = None  # type: ignore[assignment]

    # --- making it ---

    def add_population(self, name: str, size: int, model: Model | SpikeTrains) -> Population:
        """Add ``size`` neurons of ``model``, or as many senders of given spike trains, and return them.

        Raises
        ------
        InputError
            for a name that is taken, a size below 1, arrays of another length, spike ids beyond the size.
        """
        population = Population(name, size, model)
        if any(population.name == known.name for known in self.populations):
            raise InputError(f"{population} exists already; give each population its own name")
        self.populations.append(population)
        return population

    def connect(self, source: Any, target: Any, rule: Rule, *, weight: Any, delay: Any, storage: str = STORAGES[0]) -> Projection:
        """Project from ``source`` to ``target``: populations, their names, or lists of these, each list making one pool.

        Parameters
        ----------
        rule : such as FixedIndegree(800)
        weight : jump of the target's potential (mV): number, distribution, or an array with one for each synapse (rules that list their
            synapses: Pairs, OneToOne, AllToAll)
        delay : ms, likewise; between neurons all positive or all 0, from populations that only send 0 or more
        storage : "procedural" keeps no synapse in memory, but makes those of a source each time it fires; the spikes are the same

        Raises
        ------
        InputError
            for unknown populations, a rule that the pools cannot meet or storage does not take, NaN weights, delays that can be too short.
        """
        sources, targets = self._names(source), self._names(target)
        where = f"projection {_listed(sources)} -> {_listed(targets)}"
        if not isinstance(rule, Rule):
            raise InputError(f"{where}: the rule is {spoken(rule)}; give a rule such as FixedIndegree(100)")
        try:
            self._check_targets(targets)
            pools = Pools(self.pool(sources), self.pool(targets))
            rule.check(pools)
            weight = cast_weight(weight, rule, pools)
            delay = cast_delay(delay, rule, pools, recurrent=not all(self.population(name).is_source for name in sources))
            storage = cast_storage(storage, rule, weight, delay)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        projection = Projection(sources, targets, rule, weight, delay, storage)
        self.projections.append(projection)
        return projection

    def add_input(self, target: Any, kind: Poisson | SpikeTrains | Current, *, weight: Any = None, delay: float = 0.0) -> Input:
        """Drive the neurons of ``target`` (a population, its name, or a list of these) with spikes from outside, or with a current.

        Parameters
        ----------
        kind : Poisson(rate), SpikeTrains(times, ids) with ids counted in the target pool, or a current: StepCurrent, SampledCurrent or
            SineCurrent; several currents onto one population add up
        weight : mV: number, distribution, or an array with one for each target neuron; a current has none
        delay : ms, a number, 0 or more; of spike trains only, since Poisson events are made at their targets

        Raises
        ------
        InputError
            for unknown populations, arrays of another length, spike ids beyond the pool, a negative delay, a model that takes no currents.
        """
        targets = self._names(target)
        if not isinstance(kind, Poisson | SpikeTrains | Current):
            raise InputError(
                f"input to {_listed(targets)}: its kind is {spoken(kind)}; give Poisson(rate), SpikeTrains(times, ids) or a current"
            )
        where = f"{kind.kind} input to {_listed(targets)}"
        try:
            self._check_targets(targets)
            if isinstance(kind, Current):
                check_current(kind, [self.population(name) for name in targets], weight, delay)
            else:
                weight, delay = cast_input_weight(weight, kind, self.pool(targets).size), cast_input_delay(delay)
                if delay and isinstance(kind, Poisson):
                    raise InputError(f"delay is {delay!r} ms, but Poisson events are made at their targets; leave it out, or shift times")
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        added = Input(targets, kind, weight, delay)
        self.inputs.append(added)
        return added

    record = recordings.record

    # --- asking it ---

    def population(self, name: str) -> Population:
        """The population of that name; an InputError names the nearest known one."""
        for population in self.populations:
            if population.name == name:
                return population
        raise InputError(f'there is no population "{name}"{nearest(name, [known.name for known in self.populations])}')

    @property
    def n_neurons(self) -> int:
        """Number of neurons; their global ids are 0 .. n_neurons - 1."""
        return sum(population.size for population in self.populations if not population.is_source)

    @property
    def n_sources(self) -> int:
        """Number of all that can send: neurons, then members of spike-source populations."""
        return sum(population.size for population in self.populations)

    def gids(self, population: Population | str) -> range:
        """Global ids of the members of a population."""
        name = population if isinstance(population, str) else population.name
        wanted = self.population(name)
        first = self.n_neurons if wanted.is_source else 0
        for earlier in self.populations:
            if earlier.name == name:
                break
            if earlier.is_source == wanted.is_source:
                first += earlier.size
        return range(first, first + wanted.size)

    def first(self, population: Population | str) -> int:
        """Global id of the first member of a population."""
        return self.gids(population).start

    def pool(self, names: Sequence[str]) -> Pool:
        """The members of these populations laid end to end."""
        return Pool(tuple(names), tuple(self.gids(name) for name in names))

    def pools(self, projection: Projection) -> Pools:
        """The source and target pool of a projection."""
        return Pools(self.pool(projection.sources), self.pool(projection.targets))

    def expected_synapses(self, projection: Projection) -> float:
        """Number of synapses of a projection, or its mean where the number is random."""
        return projection.rule.expected_synapses(self.pools(projection))

    def expected_indegree(self, projection: Projection) -> float:
        """Mean number of synapses that a neuron of the target pool gets."""
        return self.expected_synapses(projection) / self.pool(projection.targets).size

    # --- its values ---

    def parameters(self, population: Population | str, name: str, start: int, stop: int) -> Floats:
        """(stop - start,) float64: parameter ``name`` of the lowered model for members ``start`` .. ``stop - 1``. Unchecked if drawn."""
        population = self.population(population if isinstance(population, str) else population.name)
        if isinstance(population.model, SpikeTrains):
            raise InputError(f"{population} only sends spikes; it has no parameters")
        model = population.model.lowered()
        key = (self.seed, PURPOSE_PARAMETER, _place(population, self.populations), list(model.quantities).index(name))
        return draw(getattr(model, name), key, start, stop)

    def checked_parameters(self, population: Population | str, start: int, stop: int) -> dict[str, Floats]:
        """All parameters of members ``start`` .. ``stop - 1`` by name, each (stop - start,) float64; drawn ones are checked too.

        Raises
        ------
        InputError
            that names the population, the parameter, its value, and the neuron by its position in the population.
        """
        population = self.population(population if isinstance(population, str) else population.name)
        if isinstance(population.model, SpikeTrains):
            raise InputError(f"{population} only sends spikes; it has no parameters")
        model = population.model.lowered()
        values = {name: self.parameters(population, name, start, stop) for name in model.quantities}
        try:
            model.check(values, start)
        except InputError as error:
            raise InputError(f"{population}: {error}") from None
        return values

    def weights(self, projection: Projection, start: int, stop: int) -> Floats:
        """(stop - start,) mV: weights of synapses ``start`` .. ``stop - 1`` in the numbering of the rule."""
        return draw(projection.weight, (self.seed, PURPOSE_WEIGHT, _place(projection, self.projections)), start, stop)

    def delays(self, projection: Projection, start: int, stop: int) -> Floats:
        """(stop - start,) ms: delays of synapses ``start`` .. ``stop - 1`` in the numbering of the rule."""
        return draw(projection.delay, (self.seed, PURPOSE_DELAY, _place(projection, self.projections)), start, stop)

    def weights_at(self, projection: Projection, numbers: NDArray[np.int64]) -> Floats:
        """Weights (mV) of the synapses of these numbers, in any order; see `weights`."""
        return draw_at(projection.weight, (self.seed, PURPOSE_WEIGHT, _place(projection, self.projections)), numbers)

    def delays_at(self, projection: Projection, numbers: NDArray[np.int64]) -> Floats:
        """Delays (ms) of the synapses of these numbers, in any order; see `delays`."""
        return draw_at(projection.delay, (self.seed, PURPOSE_DELAY, _place(projection, self.projections)), numbers)

    def currents(self, name: str) -> tuple[Current, ...]:
        """The currents that the neurons of a population get, on top of their own I_e."""
        return tuple(driven.kind for driven in self.inputs if isinstance(driven.kind, Current) and name in driven.targets)

    def input_weights(self, driven: Input, start: int, stop: int) -> Floats:
        """(stop - start,) mV: weights of an input onto positions ``start`` .. ``stop - 1`` of its target pool."""
        if driven.weight is None:
            raise InputError(f"{driven} has no weights; only spikes do")
        return draw(driven.weight, (self.seed, PURPOSE_INPUT_WEIGHT, _place(driven, self.inputs)), start, stop)

    def input_rates(self, driven: Input, start: int, stop: int) -> Floats:
        """(n_pieces, stop - start) Hz: rates of a Poisson input for positions ``start`` .. ``stop - 1`` of its target pool."""
        if not isinstance(driven.kind, Poisson):
            raise InputError(f"{driven} has no rates; only Poisson inputs do")
        return driven.kind.rates((self.seed, PURPOSE_RATE, _place(driven, self.inputs)), start, stop)

    # --- checks ---

    def _names(self, given: Any) -> tuple[str, ...]:
        """The names of the populations that ``given`` means, each known and none twice."""
        items = (given,) if isinstance(given, str | Population) else given
        if not isinstance(items, list | tuple) or not items:
            raise InputError(f"{spoken(given)} is given for a population; give one, its name, or a list of these")
        names = []
        for item in items:
            if not isinstance(item, str | Population):
                raise InputError(f"{spoken(item)} is given for a population; give one, its name, or a list of these")
            known = self.population(item if isinstance(item, str) else item.name)
            if isinstance(item, Population) and item is not known:
                raise InputError(f"{item} belongs to another network; add it to this one with add_population")
            if known.name in names:
                raise InputError(f"{known} is given twice in one pool; name it once")
            names.append(known.name)
        return tuple(names)

    def _check_targets(self, names: Sequence[str]) -> None:
        for name in names:
            if self.population(name).is_source:
                raise InputError(f"{self.population(name)} only sends spikes; it cannot be a target")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _place(wanted: object, things: Sequence[object]) -> int:
    """Where this very object is in a list; an equal one elsewhere draws other numbers."""
    return next(place for place, thing in enumerate(things) if thing is wanted)
