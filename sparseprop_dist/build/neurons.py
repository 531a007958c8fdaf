"""The neurons of a rank: their record and their blocks."""

import itertools
from typing import Any

import numpy as np

from ..description import Network
from ..models.mixed import members, mixed
from ..models.protocol import CELLS
from ..partition import Share, record_kind
from ..state import Blocks


def build_neurons(network: Network, shares: list[Share], slab_bits: int, block_bits: int, bulk: bool) -> tuple[Any, Blocks]:
    """Return the record of the neurons and their blocks (whose largest increment is not known yet); ``bulk``: for the slab schedule."""
    records, sizes = [], []
    for kind, group in itertools.groupby(shares, key=lambda share: record_kind(network, share.population)):
        own = list(group)
        parts, currents = [model_and_values(network, share) for share in own], [network.currents(share.population) for share in own]
        model = parts[0][0]
        if currents[0]:
            records.append(model.driven_record(parts, currents, slab_bits))
        else:
            records.append(model.record(parts, slab_bits, *([_kin(network, kind)] if model.takes_kin else [])))
        sizes.append(sum(len(values["gid"]) for _, values in parts))
    record = mixed(records, sizes)
    first, gids = _cut(shares, block_bits)
    alike, bounds, bounds_first = _bounds(record, first, slab_bits, bulk)
    return record, Blocks(first, gids, alike, bounds, bounds_first, np.zeros(len(gids)), block_bits)


def _kin(network: Network, kind: Any) -> list[Any]:
    """Return the models of the network that share a record, on whatever ranks."""
    own = [population for population in network.populations if not population.is_source]
    return [population.model.lowered() for population in own if record_kind(network, population.name) == kind]  # type: ignore[union-attr]


def model_and_values(network: Network, share: Share) -> tuple[Any, dict[str, Any]]:
    """Return the model of a share, and the values of its parameters."""
    population = network.population(share.population)
    values: dict[str, Any] = dict(network.checked_parameters(population, share.start, share.stop))
    values["gid"] = share.first_gid + np.arange(share.start, share.stop)
    return population.model.lowered(), values  # type: ignore[union-attr]


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


def _bounds(record: Any, first: np.ndarray, slab_bits: int, bulk: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how alike the neurons of each block are, and (in bulk) the lower bounds of the threshold at the ends of the cells: one column
    for a block whose neurons agree, else one a neuron."""
    offsets = np.arange(CELLS + 1) * ((1 << slab_bits) // CELLS)
    alike = np.zeros(len(first) - 1, np.uint8)
    columns, starts = [np.empty((CELLS + 1, 0), np.int64)], [0]
    for block, (start, stop) in enumerate(itertools.pairwise(first)):
        own, base = member(record, start)
        alike[block] = own.alike(start - base, stop - base)
        bound = own.threshold_bounds(start - base, stop - base, offsets) if bulk else np.empty((CELLS + 1, 0), np.int64)
        if (bound == bound[:, :1]).all():
            bound = bound[:, :1]
        columns.append(bound)
        starts.append(starts[-1] + bound.shape[1])
    return alike, np.ascontiguousarray(np.concatenate(columns, axis=1)), np.array(starts, np.int64)


def member(record: Any, i: int) -> tuple[Any, int]:
    """Return the record of one model that holds local neuron ``i``, and the local index of its first."""
    base, own = [(base, own) for base, own in members(record) if base <= i][-1]
    return own, base
