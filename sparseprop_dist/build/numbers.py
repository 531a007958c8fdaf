"""Which synapse of the description each stored word is: for gradients with respect to each weight or delay, and for new weights."""

import numpy as np

from ..description import Network, Projection
from ..jit import njit
from ..rules import FixedIndegree, FixedOutdegree, FixedTotalNumber
from ..state import NO_ROWS, Synapses


def n_numbered(network: Network, projection: Projection) -> int:
    """Return how many numbers the rule of a projection gives its synapses."""
    rule, pools = projection.rule, network.pools(projection)
    if isinstance(rule, FixedIndegree | FixedOutdegree | FixedTotalNumber):
        return round(rule.expected_synapses(pools))
    return rule.n_listed(pools) or pools.sources.size * pools.targets.size


def add_each(out: np.ndarray, each: np.ndarray, scale: float, synapses: Synapses, numbers: np.ndarray, place: int) -> None:
    """Add what ``each`` word of the numbered projection at a place has, times ``scale``, to ``out`` by number. ``each``: of its kind."""
    p = int(np.flatnonzero(synapses.drawn.place == place)[0])  # pathways of one projection share its rows
    for block in np.flatnonzero(synapses.index[p] != NO_ROWS):
        n = int(synapses.row_ptr[synapses.index[p, block] + n_rows(synapses, p)])
        base, own = synapses.base[p, block], synapses.weight_base[p, block]
        _scatter(out, each[base : base + n], scale, numbers[own : own + n])


@njit
def _scatter(out, values, scale, numbers):
    for k in range(numbers.size):
        out[numbers[k]] += values[k] * scale


def n_rows(synapses: Synapses, p: int) -> int:
    """Return the rows of a pathway: those of a projection are those of all its pathways (neurons, and spike sources)."""
    last = [
        int(synapses.range_row[r] + synapses.range_stop[r] - synapses.range_first[r])
        for other in np.flatnonzero(synapses.drawn.place == synapses.drawn.place[p])
        for r in range(synapses.range_ptr[other], synapses.range_ptr[other + 1])
    ]
    return max(last)
