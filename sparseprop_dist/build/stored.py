"""Rows of synapses that are written: where those of each projection are, and what they say; weights are written over.

Owns what a build keeps of rows, and all that follows from weights, so that a network whose weights change is built once.
"""

from typing import NamedTuple

import numpy as np

from ..connectivity import place_of
from ..description import Network, Projection
from ..distributions import PURPOSE_DELAY, PURPOSE_WEIGHT, Distribution
from ..laws import has_law, law_of, stream_of, values_of
from ..state import CONSTANT, DRAWN, GAPS, WIDE, Synapses
from .procedural import Limits
from .rows import runs

ONE_DELAY = (CONSTANT, WIDE, GAPS)


class Format(NamedTuple):
    """How the delays of a projection are stored: a function of the description alone."""

    kind: int
    unit: int  # log2 of the ticks in a unit of delay
    delay: int  # ticks, of all synapses, where they agree

    @property
    def is_instant(self) -> bool:
        """Without delay."""
        return self.kind in (WIDE, GAPS) and self.delay == 0


class Rows(NamedTuple):
    """One projection on this rank."""

    projection: Projection
    format: Format
    weighted: bool
    places: np.ndarray  # int64 (B,), where the row pointers start, or -1
    base: np.ndarray  # int64 (B,)
    weight_base: np.ndarray  # int64 (B,)
    n_rows: int
    limits: Limits | None  # of rows that are made when their source fires
    numbered: bool  # its words know their numbers in the rule's numbering
    repeats: np.ndarray  # int64 (B,), without delay: how many synapses of one source onto one neuron there are at most


class Built(NamedTuple):
    """The synapses of a rank, and what else a build and those after it must know of them."""

    synapses: Synapses
    largest: np.ndarray  # float64 (B,), mV, the largest absolute weight onto each block
    instant: np.ndarray  # float64 (B,), mV, the largest that one spike gives a neuron of it without delay
    n_synapses: int
    needs: np.ndarray  # bool (n_neurons,), which neurons they come from
    numbers: np.ndarray  # int64, of numbered projections: the number of the synapse of each entry of `Synapses.weights`; or none
    rows: list[Rows]  # by projection


def values_at(network: Network, projection: Projection, numbers: np.ndarray, name: str) -> np.ndarray:
    """Return the weights (mV) or delays (ms), by name, of the synapses of these numbers, in any order."""
    value = getattr(projection, name.removesuffix("s"))
    if isinstance(value, Distribution) and has_law(value):
        # numbers may lie far apart, where `draw_at` would draw all between them
        values, purpose = np.empty(numbers.size), {"weights": PURPOSE_WEIGHT, "delays": PURPOSE_DELAY}[name]
        values_of(law_of(value), stream_of((network.seed, purpose, place_of(network, projection))), numbers, values)
        return values
    found: np.ndarray = getattr(network, f"{name}_at")(projection, numbers)
    return found


def delay_range(rows: Rows, row_ptr: np.ndarray, words: np.ndarray, block_bits: int) -> tuple[int, int]:
    """Return the smallest and the largest delay of a projection onto this rank, in ticks; of one without synapses (1 << 61, 0)."""
    if rows.format.kind in ONE_DELAY:
        return rows.format.delay, rows.format.delay
    if rows.limits:
        return rows.limits.least_delay, rows.limits.most_delay
    least, most = 1 << 61, 0
    for block in np.flatnonzero(rows.places >= 0):
        n = int(row_ptr[rows.places[block] + rows.n_rows])
        if n:
            own = words[rows.base[block] : rows.base[block] + n]
            least = min(least, int(own.min() >> block_bits) << rows.format.unit)
            most = max(most, int(own.max() >> block_bits) << rows.format.unit)
    return least, most


def _largest(rows: Rows, row_ptr: np.ndarray, weights: np.ndarray, n_blocks: int) -> np.ndarray:
    """Return the largest absolute weight onto each block, mV."""
    largest = np.zeros(n_blocks)
    if rows.limits:
        largest[rows.places == DRAWN] = rows.limits.weight
    for block in np.flatnonzero(rows.places >= 0):
        n = int(row_ptr[rows.places[block] + rows.n_rows])
        own = weights[rows.weight_base[block] : rows.weight_base[block] + n] if rows.weighted else one_weight(rows.projection)
        largest[block] = np.abs(own).max() if n else 0.0
    return largest


def one_weight(projection: Projection) -> float:
    """Return the weight of a projection whose synapses have one, mV."""
    weight = projection.weight
    return 0.0 if isinstance(weight, Distribution) or np.size(weight) == 0 else float(np.atleast_1d(weight)[0])


def needs(network: Network, todo: list[Rows], row_ptr: np.ndarray) -> np.ndarray:
    """Return of which neurons this rank must be told after a window: those with synapses onto it that have a delay."""
    found = np.zeros(network.n_neurons, bool)
    for rows in todo:
        if rows.format.is_instant:
            continue
        targets = np.full(rows.n_rows, rows.limits is not None and (rows.places == DRAWN).any())
        for block in np.flatnonzero(rows.places >= 0):
            targets |= np.diff(row_ptr[rows.places[block] : rows.places[block] + rows.n_rows + 1]) > 0
        row = 0
        for gids in network.pools(rows.projection).sources.gids:
            if gids.start < network.n_neurons:
                found[gids.start : gids.stop] |= targets[row : row + len(gids)]
            row += len(gids)
    return found


def repeats(rows: Rows, row_ptr: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, int]:
    """Return how many synapses of one source onto one neuron there are at most, per block, and the length of the longest row."""
    most, longest = np.zeros(len(rows.places), np.int64), 0
    if rows.limits:
        most[:] = rows.limits.repeats
        return most, rows.limits.longest
    for block in np.flatnonzero(rows.places >= 0):
        pointers = row_ptr[rows.places[block] : rows.places[block] + rows.n_rows + 1]
        most[block], own = runs(pointers, words[rows.base[block] : rows.base[block] + int(pointers[-1])])
        longest = max(longest, own)
    return most, longest


def own_weights(rows: Rows, row_ptr: np.ndarray) -> slice:
    """Return where the weights of a projection are: those of its blocks follow each other."""
    own = np.flatnonzero(rows.places >= 0)
    if not own.size:
        return slice(0, 0)
    last = own[-1]
    return slice(int(rows.weight_base[own[0]]), int(rows.weight_base[last] + row_ptr[rows.places[last] + rows.n_rows]))


def _heaviest(todo: list[Rows], row_ptr: np.ndarray, weights: np.ndarray, n_blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the largest absolute weight of each projection, that onto each block, and the largest that one spike gives a neuron of a block
    without delay."""
    heaviest, largest, instant = np.zeros(len(todo)), np.zeros(n_blocks), np.zeros(n_blocks)
    for place, rows in enumerate(todo):
        own = _largest(rows, row_ptr, weights, n_blocks)
        largest, heaviest[place] = np.maximum(largest, own), own.max(initial=0.0)
        instant = np.maximum(instant, own * rows.repeats)
    return heaviest, largest, instant


def weigh(network: Network, built: Built) -> Built:
    """Return the same synapses with the weights that the numbered projections have in ``network``, written over the old ones."""
    synapses = built.synapses
    for projection, rows in zip(network.projections, built.rows, strict=True):
        own = own_weights(rows, synapses.row_ptr)
        if rows.numbered and own.stop > own.start:
            synapses.weights[own] = values_at(network, projection, built.numbers[own], "weights")
    heaviest, largest, instant = _heaviest(built.rows, synapses.row_ptr, synapses.weights, len(built.largest))
    return built._replace(synapses=synapses._replace(largest=heaviest[synapses.drawn.place]), largest=largest, instant=instant)
