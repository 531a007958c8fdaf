"""What a rank has stored, read back as plain arrays; for tests of the build."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparseprop_dist.build import Part, build
from sparseprop_dist.build.part import lower
from sparseprop_dist.connectivity import incoming
from sparseprop_dist.description import Network, Projection
from sparseprop_dist.partition import partition
from sparseprop_dist.state import CONSTANT, DELAYED_32, GAPS, WIDE


class Stored(NamedTuple):
    """Synapses: gids, mV, ticks."""

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray

    def sorted(self) -> list[np.ndarray]:
        """The same in an order that depends on nothing but them."""
        order = np.lexsort(self[::-1])
        return [column[order] for column in self]


def parts_of(network: Network, n_ranks: int) -> list[Part]:
    """The arrays of all ranks."""
    lowered = lower(network)
    return [build(lowered, partition(lowered, n_ranks), rank) for rank in range(n_ranks)]


def stored(part: Part) -> Stored:
    """All synapses of a rank, as its kernels read them."""
    synapses, blocks = part.synapses, part.blocks
    columns: list[list[np.ndarray]] = [[], [], [], []]
    for p in range(synapses.kind.size):
        for block in range(len(blocks.gid)):
            if synapses.index[p, block] < 0:
                continue
            for r in range(synapses.range_ptr[p], synapses.range_ptr[p + 1]):
                for gid in range(synapses.range_first[r], synapses.range_stop[r]):
                    found = _row(part, p, block, gid - synapses.range_first[r] + synapses.range_row[r])
                    for column, values in zip(columns, (np.full(len(found[0]), gid), *found), strict=True):
                        column.append(values)
    return Stored(*(np.concatenate([np.empty(0, np.int64), *column]) for column in columns))


def _row(part: Part, p: int, block: int, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets (gids), weights (mV) and delays (ticks) of a row."""
    synapses, blocks = part.synapses, part.blocks
    first, stop = synapses.row_ptr[synapses.index[p, block] + row], synapses.row_ptr[synapses.index[p, block] + row + 1]
    kind, base = synapses.kind[p], synapses.base[p, block]
    arrays = {CONSTANT: synapses.words16, DELAYED_32: synapses.words32, WIDE: synapses.words32, GAPS: synapses.targets}
    words = arrays.get(kind, synapses.words64)[base + first : base + stop]
    weights = (
        synapses.weights[synapses.weight_base[p, block] + first :][: stop - first]
        if synapses.weighted[p]
        else np.full(len(words), synapses.weight[p])
    )
    words = words.astype(np.int64)
    words = np.cumsum(words) if kind == GAPS else words
    if kind in (CONSTANT, WIDE, GAPS):
        return blocks.gid[block] + words, weights, np.full(len(words), synapses.delay[p])
    assert (np.diff(words) >= 0).all(), "rows are sorted"
    delays = (words >> blocks.block_bits) << synapses.unit[p]
    assert (delays >= synapses.delay[p]).all()
    assert (delays <= synapses.reach[p]).all()
    return blocks.gid[block] + (words & ((1 << blocks.block_bits) - 1)), weights, delays


def edges(network: Network, projection: Projection, cuts: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of source and target in their pools, and number, of all synapses of a rule; made in parts that end at `cuts`."""
    n = network.pools(projection).targets.size
    columns: list[list[np.ndarray]] = [[], [], []]
    for start, stop in zip((0, *cuts), (*cuts, n), strict=True):
        for part in incoming(network, projection, start, stop):
            numbers = part.numbers if isinstance(part.numbers, np.ndarray) else part.numbers + np.arange(len(part.sources))
            targets = part.start + np.repeat(np.arange(len(part.ptr) - 1), np.diff(part.ptr))
            for column, values in zip(columns, (part.sources.astype(np.int64), targets, numbers), strict=True):
                column.append(values)
    sources, targets, numbers = (np.concatenate([np.empty(0, np.int64), *column]) for column in columns)
    return sources, targets, numbers
