"""Which synapse of the description each stored word is: for gradients with respect to each weight or delay, and for new weights."""

import numpy as np

from ..description import Network, Projection
from ..rules import FixedIndegree, FixedOutdegree, FixedTotalNumber
from ..state import NO_ROWS, Synapses


def n_numbered(network: Network, projection: Projection) -> int:
    """Return how many numbers the rule of a projection gives its synapses."""
    rule, pools = projection.rule, network.pools(projection)
    if isinstance(rule, FixedIndegree | FixedOutdegree | FixedTotalNumber):
        return round(rule.expected_synapses(pools))
    return rule.n_listed(pools) or pools.sources.size * pools.targets.size


def words_of_each(synapses: Synapses, numbers: np.ndarray, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, of a pathway that is numbered, the places of all its words and the numbers of their synapses."""
    places, found = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for block in np.flatnonzero(synapses.index[p] != NO_ROWS):
        n = int(synapses.row_ptr[synapses.index[p, block] + n_rows(synapses, p)])
        places.append(synapses.base[p, block] + np.arange(n))
        found.append(numbers[synapses.weight_base[p, block] : synapses.weight_base[p, block] + n])
    return np.concatenate(places), np.concatenate(found)


def n_rows(synapses: Synapses, p: int) -> int:
    """Return the rows of a pathway: those of a projection are those of all its pathways (neurons, and spike sources)."""
    last = [
        int(synapses.range_row[r] + synapses.range_stop[r] - synapses.range_first[r])
        for other in np.flatnonzero(synapses.drawn.place == synapses.drawn.place[p])
        for r in range(synapses.range_ptr[other], synapses.range_ptr[other + 1])
    ]
    return max(last)
