"""All arrays of one rank."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..clock import FRAME_REACH, MAX_PIECE_BITS, PIECES, TICK, TICK_BITS, long_slab_bits, slab_bits
from ..description import Network
from ..distributions import Distribution
from ..errors import InputError
from ..inputs import Current, SpikeTrains
from ..models.parameters import Model
from ..partition import GROUP, Partition
from ..rules import OneToOne
from ..state import Blocks, Drive, Synapses
from .drive import build_drive
from .instant import has_gaps, is_instant
from .kept import Numbered
from .neurons import build_neurons, member

LEAST_ROW = 64
"""Blocks are made larger than a group until a row has about this many words in one: a visit costs about as much as ten of them
(``docs/design/slab.md``)."""
MAX_BLOCK_BITS = 13
MIN_SLAB_BITS = 12
"""A slab has at least this power of two of ticks: fewer would not resolve the order of events in it."""


@dataclass(frozen=True)
class Part:
    """What one rank computes with."""

    model: Any  # record of the neurons
    blocks: Blocks
    synapses: Synapses
    drive: Drive
    slab_bits: int
    piece_bits: int  # log2 of the ticks in a piece, at most, but for the smallest delay
    n_synapses: int
    needs: np.ndarray  # bool (n_neurons,), the neurons of whose spikes this rank must be told after a window
    numbers: np.ndarray  # int64, see `stored.Built`

    @property
    def synapses_bytes(self) -> int:
        """Memory of the synapses, with all that belongs to them; an array that has two names counts once."""
        return sum({id(array): array.nbytes for array in self.synapses if isinstance(array, np.ndarray)}.values())


def lower(network: Network) -> Network:
    """Return the network in which spike trains that drive neurons directly are populations that project one to one."""
    if not any(isinstance(driven.kind, SpikeTrains) for driven in network.inputs):
        return network
    lowered = Network(network.seed)
    lowered.populations, lowered.projections = list(network.populations), list(network.projections)
    lowered.inputs = [driven for driven in network.inputs if not isinstance(driven.kind, SpikeTrains)]
    for k, driven in enumerate(network.inputs):
        if isinstance(driven.kind, SpikeTrains):
            source = lowered.add_population(f"input {k}", network.pool(driven.targets).size, driven.kind)
            lowered.connect(source, list(driven.targets), OneToOne(), weight=driven.weight, delay=driven.delay)
    return lowered


def smallest_tau(network: Network) -> float:
    """Return the smallest time constant of the neurons of a network in ms, the same for all ranks."""
    return min((model.time_scale() for model in _models(network)), default=math.inf)


def _models(network: Network) -> list[Model]:
    """Return the models of the neurons of a network, lowered."""
    return [population.model.lowered() for population in network.populations if not isinstance(population.model, SpikeTrains)]


def in_bulk(network: Network) -> bool:
    """Return whether the slab schedule can run a network: all models add, and all synapses between neurons have a delay."""
    additive = all(model.additive for model in _models(network))
    return additive and not any(is_instant(network, projection) for projection in network.projections)


def frame_bits(network: Network) -> int:
    """Return log2 of the ticks in a slab of a network."""
    if in_bulk(network):
        return slab_bits(min((model.bulk_scale() for model in _models(network)), default=math.inf), shortest_delay(network))
    listed = not all(isinstance(driven.kind, Current) for driven in network.inputs) or not all(
        is_instant(network, projection) for projection in network.projections
    )
    return long_slab_bits(smallest_tau(network), listed)


def shortest_delay(network: Network) -> float:
    """Return the smallest positive delay between neurons that the description allows, in ms; inf if there is none."""
    delays = [
        projection.delay.lowest if isinstance(projection.delay, Distribution) else float(np.min(projection.delay))
        for projection in network.projections
        if not all(network.population(name).is_source for name in projection.sources)
        and np.size(projection.delay)  # type: ignore[arg-type]
        and not is_instant(network, projection)
    ]
    return max(min(delays, default=math.inf), TICK)


def block_bits(network: Network) -> int:
    """Return log2 of the most neurons in a block, the same for all ranks: those of a group, or more where rows would be short.

    With a delay each, a row is visited in each piece that it reaches into, for a few words each time: twice the group takes 4.0 instead of
    5.1 ns per event.
    """
    if not in_bulk(network):
        sizes = [population.size for population in network.populations if not population.is_source]
        return max(GROUP, *sizes, 1).bit_length() - (0 if max(GROUP, *sizes, 1) & (max(GROUP, *sizes, 1) - 1) else 1)
    bits = GROUP.bit_length() - 1 + any(isinstance(projection.delay, Distribution | np.ndarray) for projection in network.projections)
    synapses = sum(network.expected_synapses(projection) for projection in network.projections)
    row = synapses / max(network.n_sources, 1) * GROUP / max(network.n_neurons, 1)
    while row < LEAST_ROW and bits < MAX_BLOCK_BITS and (1 << bits) < network.n_neurons:
        row *= 2
        bits += 1
    return bits


def build(network: Network, partition: Partition, rank: int, kept: Numbered | None = None) -> Part:
    """Return the arrays of ``rank`` for a network that `lower` returned; ``kept``: which synapses keep their numbers, and what
    may be kept of an earlier build.

    Raises
    ------
    InputError
        for drawn parameters out of bounds, and weights or potentials too large for the state.
    """
    shares = partition.shares(rank)
    bulk, bits = in_bulk(network), frame_bits(network)
    if bits < MIN_SLAB_BITS:
        least = 2.0 ** (MIN_SLAB_BITS - TICK_BITS) / FRAME_REACH
        raise InputError(f"tau_m is as small as {smallest_tau(network):g} ms; at least {least:.2g} ms can be resolved")
    model, blocks = build_neurons(network, shares, bits, block_bits(network), bulk)
    built = (kept or Numbered(gaps=has_gaps(network, partition.n_ranks))).synapses(network, shares, blocks, bulk)
    drive, largest_drive = build_drive(network, shares, blocks, bits)
    weights = np.maximum(built.largest, largest_drive)
    increments = np.zeros(len(blocks.gid))
    for block, (start, stop) in enumerate(itertools.pairwise(blocks.first)):
        own, base = member(model, start)
        increments[block] = own.largest_increment(start - base, stop - base, weights[block])
    blocks = blocks._replace(increment=increments)
    synapses = built.synapses._replace(safe=_safe(built.instant, increments))
    piece_bits = bits if bulk else min(bits - PIECES, MAX_PIECE_BITS)
    return Part(model, blocks, synapses, drive, bits, piece_bits, built.n_synapses, built.needs, built.numbers)


def _safe(instant: np.ndarray, increments: np.ndarray) -> int:
    """Return how many spikes without delay, each of at most ``instant`` mV onto a neuron of each block, change no state by 2^61."""
    most = float((instant * increments).max(initial=0.0))
    return int(min(2.0**61 / most, 2.0**61)) if most > 0.0 else 1 << 61
