"""Projections without delay: which they are, and whether the words of their rows are gaps (`sparseprop_dist.gaps`)."""

import numpy as np

from ..description import Network, Projection
from ..distributions import Distribution
from .procedural import is_drawn

LONG = 256
"""Words of a row, on average, from which on gaps are worth while: a row of 1,000 takes 500 instead of 650 ns, one of 100 57 instead of 55
(``docs/design/gaps.md``)."""
CLOSE = 2048
"""Neurons from one target of a row to the next, on average: at random, a gap has no room once in e^32 synapses."""


def is_instant(network: Network, projection: Projection) -> bool:
    """Return whether a projection has no delay."""
    between_neurons = not all(network.population(name).is_source for name in projection.sources)
    return (
        between_neurons
        and not isinstance(projection.delay, Distribution)
        and np.size(projection.delay) > 0
        and not np.any(projection.delay)
    )


def has_gaps(network: Network, ranks: int) -> bool:
    """Return whether the rows of a lowered network on so many ranks are to have gaps, where all have room: then those of all projections
    without delay do. What spike sources reach is listed, word by word; what is made when a source fires is a target."""
    words, rows = 0.0, 0
    for projection in network.projections:
        pools, n = network.pools(projection), network.expected_synapses(projection)
        if n == 0.0 or not is_instant(network, projection):
            continue
        if is_drawn(projection) or any(network.population(name).is_source for name in projection.sources):
            return False
        if pools.sources.size * pools.targets.size > CLOSE * n:
            return False
        words, rows = words + n / ranks, rows + pools.sources.size * len(projection.targets)
    return words > LONG * rows
