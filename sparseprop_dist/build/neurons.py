"""The neurons of a rank: their record and their blocks."""

import itertools
from typing import Any

import numpy as np

from ..description import Network
from ..models.protocol import CELLS
from ..partition import Share
from ..state import Blocks


def build_neurons(network: Network, shares: list[Share], slab_bits: int, block_bits: int) -> tuple[Any, Blocks]:
    """Return the model's record and the blocks (their largest increment is not known yet)."""
    values: list[dict[str, np.ndarray]] = []
    for share in shares:
        population = network.population(share.population)
        drawn: dict[str, Any] = dict(network.checked_parameters(population, share.start, share.stop))
        drawn["refractory_input"] = np.full(share.stop - share.start, population.model.lowered().refractory_input)  # type: ignore[union-attr]
        drawn["gid"] = share.first_gid + np.arange(share.start, share.stop)
        values.append(drawn)
    joined = {name: np.concatenate([part[name] for part in values]) for name in values[0]} if values else {}
    models: list[Any] = [network.population(share.population).model.lowered() for share in shares]  # type: ignore[union-attr]
    record = models[0].record(joined, slab_bits)
    first, gids = _cut(shares, block_bits)
    uniform, bounds, bounds_first = _bounds(record, first, slab_bits)
    return record, Blocks(first, gids, uniform, bounds, bounds_first, np.zeros(len(gids)), block_bits)


def _cut(shares: list[Share], block_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut shares at multiples of the block size, counted in their population, so that blocks hold whole groups."""
    size = 1 << block_bits
    first, gids = [0], []
    for share in shares:
        start = share.start
        while start < share.stop:
            stop = min(share.stop, (start // size + 1) * size)
            gids.append(share.first_gid + start)
            first.append(first[-1] + stop - start)
            start = stop
    return np.array(first, np.int64), np.array(gids, np.int64)


def _bounds(record: Any, first: np.ndarray, slab_bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which blocks are uniform, and the lower bounds of the threshold at the ends of the cells: one column for a block whose neurons
    agree, else one a neuron."""
    offsets = np.arange(CELLS + 1) * ((1 << slab_bits) // CELLS)
    uniform = np.zeros(len(first) - 1, np.uint8)
    columns, starts = [np.empty((CELLS + 1, 0), np.int64)], [0]
    for block, (start, stop) in enumerate(itertools.pairwise(first)):
        uniform[block] = record.is_uniform(start, stop)
        bound = record.threshold_bounds(start, stop, offsets)
        if (bound == bound[:, :1]).all():
            bound = bound[:, :1]
        columns.append(bound)
        starts.append(starts[-1] + bound.shape[1])
    return uniform, np.ascontiguousarray(np.concatenate(columns, axis=1)), np.array(starts, np.int64)
