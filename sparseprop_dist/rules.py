"""Connectivity rules as frozen values: which neurons of a source pool project to which of a target pool.

Owns their parameters, whether a rule can be met by given pools, and how many synapses it makes. Knows no network, no weight and no stream
of random numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from sparseprop_dist.errors import InputError
from sparseprop_dist.models.parameters import ByValue, cast_count, cast_indices, spoken
from sparseprop_dist.pools import Pools
from sparseprop_dist.quantile import Floats


@dataclass(frozen=True, eq=False)
class Origin:
    """The file that arrays were read from, so that a description can name it instead of repeating them."""

    file: str
    population: str | None = None
    """Population inside a SONATA spike file."""
    columns: Mapping[str, Floats] = field(default_factory=dict)
    """Of a file of pairs: its "weight" (mV) and "delay" (ms), if it has them."""


MOST_PAIRS = 10**9
"""Of `FixedTotalNumber` without multapses: the multivariate hypergeometric law of numpy goes no further."""


class Rule:
    """What all rules answer."""

    kind: ClassVar[str]
    """Its name in a TOML file, NEST's."""

    @property
    def must_store(self) -> str:
        """Why its synapses must be stored, and what else to use; "" if the targets of a source are a function of the source."""
        return ""

    def check(self, pools: Pools) -> None:
        """Raise an InputError if the pools cannot meet the rule."""

    def expected_synapses(self, pools: Pools) -> float:
        """Number of synapses it makes, or its mean; allocates nothing."""
        raise NotImplementedError

    def n_listed(self, pools: Pools) -> int | None:
        """Number of synapses if the user can tell which is which, and so may give each a weight and delay of its own; else None."""
        return None

    def shape(self, pools: Pools) -> tuple[int, ...] | None:
        """Shape in which weights and delays of listed synapses may be given besides the flat one."""
        return None

    def ends(self, synapse: int, pools: Pools) -> tuple[int, int]:
        """Positions of the source and the target of a listed synapse in their pools."""
        return synapse, synapse

    def _cast_flags(self) -> None:
        for name in ("allow_autapses", "allow_multapses", "matched"):
            value = getattr(self, name, True)
            if not isinstance(value, bool | np.bool_):
                raise InputError(f"{name} is {spoken(value)}; give true or false")
            if hasattr(self, name):
                object.__setattr__(self, name, bool(value))


def _check_degree(name: str, degree: int, pool: str, n: int, pools: Pools, allow_autapses: bool, allow_multapses: bool) -> None:
    """Whether each neuron can find ``degree`` partners in a pool of n."""
    n -= 1 if not allow_autapses and pools.n_shared else 0
    without = " other than the neuron itself" if not allow_autapses and pools.n_shared else ""
    if degree > n and not allow_multapses:
        raise InputError(f"{name} is {degree}, but the {pool} pool has {n} neurons{without}; lower it, or set allow_multapses = true")
    if degree > 0 and n == 0:
        raise InputError(f"{name} is {degree}, but the {pool} pool has no neurons{without}; set allow_autapses = true")


def _check_matched(rule: Any, pools: Pools) -> None:
    """Whether nothing but the numbers of ends restricts the synapses, where their ends are to be matched."""
    if not rule.matched:
        return
    if not rule.allow_multapses:
        raise InputError("matched = true needs allow_multapses = true: ends are matched whatever others are; give fixed_outdegree")
    if not rule.allow_autapses and pools.n_shared:
        given = f"the source and the target pool share {pools.n_shared} neurons"
        raise InputError(f"matched = true needs allow_autapses = true, since {given}; or give fixed_outdegree")


@dataclass(frozen=True)
class FixedIndegree(Rule):
    """Every target neuron gets ``indegree`` synapses from sources drawn at random.

    With ``matched``, the same law is drawn by matching the ends of synapses (``matching``), so that the targets of a source can be made
    when it fires: `storage` may be "procedural". It is another sample; autapses and multapses must be allowed.
    """

    kind = "fixed_indegree"
    indegree: int
    allow_autapses: bool = True
    allow_multapses: bool = True
    matched: bool = False

    @property
    def must_store(self) -> str:
        told = "draws the sources of each target, not the targets of each source"
        return "" if self.matched else f"{told}; give it matched = true, or fixed_outdegree or pairwise_bernoulli"

    def __post_init__(self) -> None:
        object.__setattr__(self, "indegree", cast_count(self.indegree, "indegree", 0))
        self._cast_flags()

    def check(self, pools: Pools) -> None:
        _check_degree("indegree", self.indegree, "source", pools.sources.size, pools, self.allow_autapses, self.allow_multapses)
        _check_matched(self, pools)

    def expected_synapses(self, pools: Pools) -> float:
        return float(self.indegree * pools.targets.size)


@dataclass(frozen=True)
class FixedOutdegree(Rule):
    """Every source neuron makes ``outdegree`` synapses onto targets drawn at random."""

    kind = "fixed_outdegree"
    outdegree: int
    allow_autapses: bool = True
    allow_multapses: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "outdegree", cast_count(self.outdegree, "outdegree", 0))
        self._cast_flags()

    def check(self, pools: Pools) -> None:
        _check_degree("outdegree", self.outdegree, "target", pools.targets.size, pools, self.allow_autapses, self.allow_multapses)

    def expected_synapses(self, pools: Pools) -> float:
        return float(self.outdegree * pools.sources.size)


@dataclass(frozen=True)
class FixedTotalNumber(Rule):
    """``number`` synapses, the source and target of each drawn at random. ``matched``: as for `FixedIndegree`."""

    kind = "fixed_total_number"
    number: int
    allow_autapses: bool = True
    allow_multapses: bool = True
    matched: bool = False

    @property
    def must_store(self) -> str:
        told = "first shares out its synapses among the targets"
        return "" if self.matched else f"{told}; give it matched = true, or fixed_outdegree or pairwise_bernoulli"

    def __post_init__(self) -> None:
        object.__setattr__(self, "number", cast_count(self.number, "number", 0))
        self._cast_flags()

    def check(self, pools: Pools) -> None:
        n = pools.n_pairs(self.allow_autapses)
        if self.number > n and (n == 0 or not self.allow_multapses):
            remedy = "set allow_autapses = true" if n == 0 else "lower it, or set allow_multapses = true"
            raise InputError(f"number is {self.number}, but the pools have only {n} pairs of a source and a target; {remedy}")
        if not self.allow_multapses and n >= MOST_PAIRS:
            limit = f"the pools have {n} pairs of a source and a target, and without multapses fewer than {MOST_PAIRS} can be drawn from"
            raise InputError(f"{limit}; set allow_multapses = true, or use pairwise_bernoulli")
        _check_matched(self, pools)

    def expected_synapses(self, pools: Pools) -> float:
        return float(self.number)


@dataclass(frozen=True)
class PairwiseBernoulli(Rule):
    """Each pair of a source and a target has a synapse with probability ``p``."""

    kind = "pairwise_bernoulli"
    p: float
    allow_autapses: bool = True

    def __post_init__(self) -> None:
        number = isinstance(self.p, int | float | np.integer | np.floating) and not isinstance(self.p, bool)
        if not number or not 0.0 <= self.p <= 1.0:
            raise InputError(f"p is {spoken(self.p)}; give a probability between 0 and 1")
        object.__setattr__(self, "p", float(self.p))
        self._cast_flags()

    def expected_synapses(self, pools: Pools) -> float:
        return self.p * pools.n_pairs(self.allow_autapses)


@dataclass(frozen=True)
class OneToOne(Rule):
    """Neuron k of the source pool projects to neuron k of the target pool."""

    kind = "one_to_one"

    def check(self, pools: Pools) -> None:
        if pools.sources.size != pools.targets.size:
            sizes = f"the source pool has {pools.sources.size} neurons, the target pool {pools.targets.size}"
            raise InputError(f"one_to_one needs pools of one size; {sizes}")

    def expected_synapses(self, pools: Pools) -> float:
        return float(pools.targets.size)

    def n_listed(self, pools: Pools) -> int:
        return pools.targets.size


@dataclass(frozen=True)
class AllToAll(Rule):
    """Every source projects to every target. Synapse ``s * n_targets + t`` goes from s to t; an autapse left out keeps its number."""

    kind = "all_to_all"
    allow_autapses: bool = True

    def __post_init__(self) -> None:
        self._cast_flags()

    def expected_synapses(self, pools: Pools) -> float:
        return float(pools.n_pairs(self.allow_autapses))

    def n_listed(self, pools: Pools) -> int:
        return pools.sources.size * pools.targets.size

    def shape(self, pools: Pools) -> tuple[int, int]:
        return pools.sources.size, pools.targets.size

    def ends(self, synapse: int, pools: Pools) -> tuple[int, int]:
        return divmod(synapse, pools.targets.size)


@dataclass(frozen=True, eq=False)
class Pairs(ByValue, Rule):
    """Synapse k goes from position ``sources[k]`` of the source pool to ``targets[k]`` of the target pool (int64, 0-based, any order)."""

    kind = "pairs"
    sources: Any
    targets: Any
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @property
    def must_store(self) -> str:
        return "lists its synapses; give a rule that draws them, such as fixed_outdegree or pairwise_bernoulli"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", cast_indices(self.sources, "sources"))
        object.__setattr__(self, "targets", cast_indices(self.targets, "targets"))
        if len(self.sources) != len(self.targets):
            raise InputError(f"pairs have {len(self.sources)} sources and {len(self.targets)} targets; give one of each for every synapse")

    def check(self, pools: Pools) -> None:
        for name, positions, n in (("source", self.sources, pools.sources.size), ("target", self.targets, pools.targets.size)):
            if positions.size and positions.max() >= n:
                where = int(np.argmax(positions >= n))
                raise InputError(f"synapse {where} names {name} {positions[where]}, but the {name} pool has {n} neurons, 0 to {n - 1}")

    def expected_synapses(self, pools: Pools) -> float:
        return float(len(self.sources))

    def n_listed(self, pools: Pools) -> int:
        return len(self.sources)

    def ends(self, synapse: int, pools: Pools) -> tuple[int, int]:
        return int(self.sources[synapse]), int(self.targets[synapse])


RULES: dict[str, type[Rule]] = {
    rule.kind: rule for rule in (FixedIndegree, FixedOutdegree, FixedTotalNumber, PairwiseBernoulli, OneToOne, AllToAll, Pairs)
}
