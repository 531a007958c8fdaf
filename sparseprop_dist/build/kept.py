"""Synapses that are kept from one build to the next: of a network whose weights alone change, as in training."""

import hashlib
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
    """All that decides where words lie, and weights that are not written again."""

    seed: int
    populations: list[tuple[str, int]]
    projections: list[tuple[Any, ...]]
    shares: list[Share]
    firsts: bytes
    block_bits: int
    bulk: bool
    numbered: frozenset[int]


class Numbered:
    """How the synapses of a rank are built: those of the projections at ``numbered`` (places in the lowered network) keep their numbers;
    with ``gaps``, rows without delay have gaps for targets if all have room, which the backward sweep does not read."""

    def __init__(self, numbered: frozenset[int] = frozenset(), gaps: bool = False) -> None:
        self.numbered, self.gaps = numbered, gaps

    def synapses(self, network: Network, shares: list[Share], blocks: Blocks, bulk: bool) -> Built:
        """Return the synapses of a rank, see `build_synapses`.

        Raises
        ------
        InputError
            for projections that give their synapses too many numbers.
        """
        for place in self.numbered:
            projection = network.projections[place]
            if (n := n_numbered(network, projection)) >= 1 << 40:
                raise InputError(f"{projection}: {n} synapses are too many for a gradient each; give weight or delay as one number")
        return build_synapses(network, shares, blocks, bulk, self.numbered, self.gaps)


class Kept(Numbered):
    """What `value_and_grad` keeps of a network between calls: its synapses, if only weights have changed since.

        kept = sp.Kept()
        for step in range(100):
            value, gradients = sp.value_and_grad(network, loss, until, wrt="weight", kept=kept)
            network.projections[0] = dataclasses.replace(network.projections[0], weight=...)

    Nothing depends on it but the time that a call takes, and the memory in between.

    Attributes
    ----------
    built : what was built last, or None
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: _Seen | None = None
        self.built: Built | None = None

    def synapses(self, network: Network, shares: list[Share], blocks: Blocks, bulk: bool) -> Built:
        """Return those of the call before, with new weights, if the weights of numbered projections alone are others; else new ones."""
        populations = [(population.name, population.size) for population in network.populations]
        projections = [_stamp(projection, place in self.numbered) for place, projection in enumerate(network.projections)]
        firsts = blocks.first.tobytes()
        now = _Seen(network.seed, populations, projections, shares, firsts, blocks.block_bits, bulk, self.numbered)
        self.built = weigh(network, self.built) if self.built and self._seen == now else super().synapses(network, shares, blocks, bulk)
        self._seen = now
        return self.built


class _Same:
    """Equal to itself only, where a rule lists its pairs."""

    def __init__(self, rule: Pairs) -> None:
        self.rule = rule

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.rule is self.rule

    __hash__ = None  # type: ignore[assignment]


def _stamp(projection: Projection, numbered: bool) -> tuple[Any, ...]:
    """Return what the place of a projection's words follows from; arrays by their digests, since they may be changed in place."""
    rule = _Same(projection.rule) if isinstance(projection.rule, Pairs) else projection.rule
    weight = None if numbered else _digest(projection.weight)
    return projection.sources, projection.targets, rule, projection.storage, _digest(projection.delay), weight


def _digest(value: Any) -> Any:
    return hashlib.blake2b(np.ascontiguousarray(value).data).digest() if isinstance(value, np.ndarray) else value
