"""Which synapse of the description each stored word is: for gradients with respect to each weight or delay."""

import dataclasses

import numpy as np

from ..description import Network, Projection
from ..errors import InputError
from ..partition import Partition
from ..rules import FixedIndegree, FixedOutdegree, FixedTotalNumber
from ..state import NO_ROWS, Synapses
from .part import build

UNIT = 2.0**-40
"""mV that stand for one in a number: no state overflows."""


def n_numbered(network: Network, projection: Projection) -> int:
    """Return how many numbers the rule of a projection gives its synapses."""
    rule, pools = projection.rule, network.pools(projection)
    if isinstance(rule, FixedIndegree | FixedOutdegree | FixedTotalNumber):
        return round(rule.expected_synapses(pools))
    return rule.n_listed(pools) or pools.sources.size * pools.targets.size


def numbers(network: Network, division: Partition, rank: int, places: list[int]) -> Synapses:
    """Return synapses whose weights are their numbers, times UNIT, for the projections at ``places``; their words are those of the build.

    Built as the network itself is, so that words lie where they do there.
    """
    numbered = Network(network.seed)
    numbered.populations, numbered.inputs = network.populations, network.inputs
    numbered.projections = list(network.projections)
    for place in places:
        projection = network.projections[place]
        n = n_numbered(network, projection)
        if n >= 1 << 40:
            raise InputError(f"{projection}: {n} synapses are too many for a gradient each; give weight or delay as one number")
        numbered.projections[place] = dataclasses.replace(projection, weight=np.arange(max(n, 2), dtype=np.float64) * UNIT)
    return build(numbered, division, rank).synapses


def words_of_each(synapses: Synapses, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, of a pathway of `numbers`, the places of all its words and the numbers of their synapses."""
    places, found = [np.empty(0, np.int64)], [np.empty(0)]
    for block in np.flatnonzero(synapses.index[p] != NO_ROWS):
        pointers = synapses.row_ptr[synapses.index[p, block] : synapses.index[p, block] + n_rows(synapses, p) + 1]
        n = int(pointers[-1])
        places.append(synapses.base[p, block] + np.arange(n))
        found.append(synapses.weights[synapses.weight_base[p, block] : synapses.weight_base[p, block] + n])
    return np.concatenate(places), np.rint(np.concatenate(found) / UNIT).astype(np.int64)


def n_rows(synapses: Synapses, p: int) -> int:
    """Return the rows of a pathway: those of a projection are those of all its pathways (neurons, and spike sources)."""
    last = [
        int(synapses.range_row[r] + synapses.range_stop[r] - synapses.range_first[r])
        for other in np.flatnonzero(synapses.drawn.place == synapses.drawn.place[p])
        for r in range(synapses.range_ptr[other], synapses.range_ptr[other + 1])
    ]
    return max(last)
