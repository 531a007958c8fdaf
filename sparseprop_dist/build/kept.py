"""Synapses that are kept from one build to the next: of a network whose weights alone change, as in training."""

from typing import Any, NamedTuple

import numpy as np

from ..description import Network, Projection
from ..errors import InputError
from ..partition import Share
from ..rules import Pairs
from ..state import Blocks
from .numbers import n_numbered
from .stored import Built, weigh
from .synapses import build_synapses


class _Seen(NamedTuple):
    """All that decides where words lie."""

    seed: int
    populations: list[tuple[str, int]]
    projections: list[Projection]
    shares: list[Share]
    firsts: np.ndarray
    block_bits: int
    bulk: bool
    numbered: frozenset[int]


class Kept:
    """What `value_and_grad` keeps of a network between calls: its synapses, if only weights have changed since.

        kept = sp.Kept()
        for step in range(100):
            value, gradients = sp.value_and_grad(network, loss, until, wrt="weight", kept=kept)
            network.projections[0] = dataclasses.replace(network.projections[0], weight=...)

    Nothing depends on it but the time that a call takes, and the memory in between.

    Attributes
    ----------
    numbered : places of the projections (of the lowered network) whose synapses keep their numbers
    built : what was built last, or None
    """

    def __init__(self, numbered: frozenset[int] = frozenset()) -> None:
        self.numbered = numbered
        self._seen: _Seen | None = None
        self.built: Built | None = None

    def synapses(self, network: Network, shares: list[Share], blocks: Blocks, bulk: bool) -> Built:
        """Return the synapses of a rank, see `build_synapses`; those of the call before, with new weights, if they differ in those of
        numbered projections alone.

        Raises
        ------
        InputError
            for projections that give their synapses too many numbers.
        """
        for place in self.numbered:
            projection = network.projections[place]
            if (n := n_numbered(network, projection)) >= 1 << 40:
                raise InputError(f"{projection}: {n} synapses are too many for a gradient each; give weight or delay as one number")
        populations = [(population.name, population.size) for population in network.populations]
        now = _Seen(network.seed, populations, list(network.projections), shares, blocks.first, blocks.block_bits, bulk, self.numbered)
        if self.built is None or self._seen is None or not _alike(self._seen, now):
            self.built = build_synapses(network, shares, blocks, bulk, self.numbered)
        else:
            self.built = weigh(network, self.built)
        self._seen = now
        return self.built


def _alike(one: _Seen, other: _Seen) -> bool:
    """Return whether two networks have their synapses in the same places, and the same weights where those are not numbered."""
    if one._replace(projections=[], firsts=None) != other._replace(projections=[], firsts=None):  # type: ignore[arg-type]
        return False
    if not np.array_equal(one.firsts, other.firsts) or len(one.projections) != len(other.projections):
        return False
    return all(
        _same(a.rule, b.rule)
        and (a.sources, a.targets, a.storage) == (b.sources, b.targets, b.storage)
        and _same(a.delay, b.delay)
        and (place in one.numbered or _same(a.weight, b.weight))
        for place, (a, b) in enumerate(zip(one.projections, other.projections, strict=True))
    )


def _same(a: Any, b: Any) -> bool:
    """Return whether two rules, weights or delays are the same; of lists of pairs, whether they are one object."""
    if a is b:
        return True
    if isinstance(a, Pairs) or isinstance(b, Pairs):
        return False
    return np.array_equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else bool(a == b)
