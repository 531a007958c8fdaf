"""Pools: the members of one or more populations laid end to end, counted from 0.

Owns the arithmetic between positions in a pool and global ids. Knows neither models nor rules.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pool:
    """Population names and the global ids of their members, in the order of the pool."""

    names: tuple[str, ...]
    gids: tuple[range, ...]

    @property
    def size(self) -> int:
        """Number of members."""
        return sum(len(gids) for gids in self.gids)

    def member(self, position: int) -> str:
        """How an error calls the member at a position: ``exc[17]``."""
        for name, gids in zip(self.names, self.gids, strict=True):
            if position < len(gids):
                return f"{name}[{position}]"
            position -= len(gids)
        raise IndexError(position)


@dataclass(frozen=True)
class Pools:
    """The source and the target pool of a projection."""

    sources: Pool
    targets: Pool

    @property
    def n_shared(self) -> int:
        """Number of neurons that are in both pools; each makes one possible autapse."""
        return sum(len(gids) for name, gids in zip(self.sources.names, self.sources.gids, strict=True) if name in self.targets.names)

    def n_pairs(self, allow_autapses: bool) -> int:
        """Number of (source, target) pairs, with or without those of a neuron with itself."""
        return self.sources.size * self.targets.size - (0 if allow_autapses else self.n_shared)
