"""What a run would take, before anything is allocated: neurons, synapses, work and memory of each rank, and the lookahead.

Owns the estimate of memory that `--dry-run` prints and `run` refuses by. A function of the description alone, cheap for any size of
network.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .build.instant import has_gaps, is_instant
from .build.part import block_bits, frame_bits, in_bulk, lower, shortest_delay, smallest_tau
from .build.synapses import WORD_TYPES, delay_format
from .description import Network, Projection
from .distributions import Distribution
from .errors import InputError
from .models.current import Currents
from .models.lif_curve import KIND, PART
from .partition import Partition, partition, record_kind, work
from .rules import FixedIndegree, FixedOutdegree, FixedTotalNumber, Pairs
from .state import GAPS
from .synapses import STORAGES

NEURON_BYTES = 150
"""Record of the model 74, statistics 32, transients of the build."""
NETWORK_BYTES = 13
"""A neuron of the whole network, on every rank: whether it is needed 1, and 12 while ranks tell each other which."""
PROCESS_BYTES = 350e6
"""An interpreter with its libraries and the compiled kernels, and buffers."""
NOT_SHAPING = {"V_m", "V_reset", "t_ref", "tau_syn_ex", "tau_syn_in"}
"""Parameters in which neurons that share the curve of a current may differ (`models.lif_curve`)."""
LEAST_TAU = 1e-6
"""ms: below this, a slab would be so short that a second of simulated time takes days."""
MOST_RANKS = 1 << 20
"""A remedy of more ranks than this is none."""
SHOWN = 16
"""Ranks that are printed one by one, at most."""


@dataclass(frozen=True)
class Plan:
    """The division of a network over ranks; arrays have one entry a rank."""

    neurons: np.ndarray
    synapses: np.ndarray
    events: np.ndarray  # expected arrivals per second of simulated time
    memory: np.ndarray  # bytes
    lookahead: float  # ms, smallest delay between neurons; inf without synapses

    def __str__(self) -> str:
        """A table, and the lookahead."""
        lines = [f"{'rank':>6} {'neurons':>13} {'synapses':>17} {'events/s':>10} {'memory':>10}"]
        n = len(self.neurons)
        shown = range(n) if n <= SHOWN else (*range(3), n - 1)
        for rank in shown:
            row = f"{self.neurons[rank]:13,.0f} {self.synapses[rank]:17,.0f} {self.events[rank]:10.3g} {size(self.memory[rank]):>10}"
            lines += [f"{rank:6} {row}"]
            lines += ["   ..."] if n > SHOWN and rank == 2 else []
        neurons, synapses, events, memory = (array.sum() for array in (self.neurons, self.synapses, self.events, self.memory))
        lines += [f"{'all':>6} {neurons:13,.0f} {synapses:17,.0f} {events:10.3g} {size(memory):>10}"]
        unevenness = self.events.max() / max(self.events.mean(), 1e-300)
        return "\n".join([*lines, f"lookahead {self.lookahead:g} ms, busiest rank {unevenness:.2f} times the mean"])


def size(n_bytes: float) -> str:
    """Return a number of bytes in words: ``12.3 GB``."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes / 1e3:.0f} kB"


def plan(network: Network, ranks: int, gaps: bool = True) -> Plan:
    """Return how ``network`` is divided over ``ranks`` ranks, and what each would take; ``gaps``: long rows without delay take half.

    Raises
    ------
    InputError
        for a network without neurons, or fewer ranks than 1.
    """
    if ranks < 1:
        raise InputError(f"ranks is {ranks}; give 1 or more")
    check(network)
    network = lower(network)
    division = partition(network, ranks)
    neurons = np.diff(division.cuts, axis=1)
    synapses, memory = np.zeros(ranks), PROCESS_BYTES + NEURON_BYTES * neurons.sum(0) + NETWORK_BYTES * network.n_neurons
    bits, bulk, gaps = block_bits(network), in_bulk(network), gaps and has_gaps(network, ranks)
    for projection in network.projections:
        own = _own_targets(division, projection)
        expected = network.expected_synapses(projection) * own / max(own.sum(), 1)
        synapses += expected
        if projection.storage == STORAGES[1]:
            memory += _row_bytes(network, projection)
            continue
        memory += expected * _bytes_per_synapse(
            projection, bits, bulk, gaps and is_instant(network, projection) and not isinstance(projection.rule, Pairs)
        )
        blocks = np.ceil(own / (1 << bits)) + (own > 0) * (len(projection.targets) - 1)
        memory += 4 * blocks * network.pools(projection).sources.size
    for name, own in zip(division.names, neurons, strict=True):
        if network.currents(name):
            memory += np.minimum(own, _curves(network, name)) * _curve_bytes(network, name, division.names)
    return Plan(neurons.sum(0), synapses, _events(network, division), memory, shortest_delay(network))


def check(network: Network) -> None:
    """Refuse a network that has nothing to simulate, or that no slab of time fits."""
    if network.n_neurons == 0:
        raise InputError("the network has no neurons; add a population of a neuron model")
    for population in network.populations:
        alone = Network()
        alone.populations = [population]
        if (tau := smallest_tau(alone)) < LEAST_TAU:
            given = f'the membrane time constant of population "{population.name}" can be as small as {tau:.3g} ms'
            raise InputError(f"{given}; at least {LEAST_TAU:g} ms are allowed: give the distribution a low, or a larger value")


def _curves(network: Network, name: str) -> int:
    """Return how many neurons of a population differ in what shapes the threshold that currents move, at most."""
    model = network.population(name).model.lowered()  # type: ignore[union-attr]
    values = [getattr(model, one) for one in sorted({*model.quantities} - NOT_SHAPING)]
    if any(isinstance(value, Distribution) for value in values):
        return network.population(name).size
    arrays = [value for value in values if np.size(value) > 1]
    return len(np.unique(np.stack(arrays, axis=1), axis=0)) if arrays else 1


def _curve_bytes(network: Network, name: str, names: Sequence[str]) -> float:
    """Return the memory of a curve: all in one record have room for the one that is cut most often."""
    kind, frame = record_kind(network, name), frame_bits(network)
    sets = [network.currents(other) for other in names if network.currents(other) and record_kind(network, other) == kind]
    currents = Currents.make(sets, frame)
    return KIND.itemsize + PART.itemsize * (2.0 + max(currents.cuts_in_slab(which) for which in range(len(sets))))


def _own_targets(division: Partition, projection: Projection) -> np.ndarray:
    """Return the number of targets of a projection on each rank."""
    cuts = [own for name, own in zip(division.names, division.cuts, strict=True) if name in projection.targets]
    return np.diff(cuts, axis=1).sum(0)


def _bytes_per_synapse(projection: Projection, bits: int, bulk: bool, gaps: bool) -> float:
    weight = projection.weight
    each = isinstance(weight, Distribution) or (isinstance(weight, np.ndarray) and weight.size > 0 and np.ptp(weight) > 0)
    return np.dtype(WORD_TYPES[GAPS if gaps else delay_format(projection, bits, bulk).kind]).itemsize + (8 if each else 0)


def _row_bytes(network: Network, projection: Projection) -> float:
    """Memory of a projection that is made row by row: the row at hand, with numbers, values and who is touched, and a bit for each target;
    where ends are matched, the number of ends of each neuron (the longest row is six standard deviations above the mean at most)."""
    rule, pools = projection.rule, network.pools(projection)
    n = pools.targets.size
    if isinstance(rule, FixedIndegree | FixedTotalNumber):
        mean = rule.expected_synapses(pools) / max(pools.sources.size, 1)
        return 64.0 * (mean + 6.0 * mean**0.5 + 10.0) + 8.0 * (pools.sources.size + n) + n / 8
    return 64.0 * (rule.outdegree if isinstance(rule, FixedOutdegree) else n) + n / 8


def _events(network: Network, division: Partition) -> np.ndarray:
    events = np.zeros(division.n_ranks)
    for name, cuts in zip(division.names, division.cuts, strict=True):
        each = work(network, name)
        if isinstance(each, float):
            events += np.diff(cuts) * each
        else:
            events += np.diff(np.concatenate([[0.0], np.cumsum(each)])[cuts])
    return events


def available_memory() -> float:
    """Return the bytes that this machine, or the control group of this process, has left."""
    free = float("inf")
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable"):
                free = float(line.split()[1]) * 1024
    except OSError:
        free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
        free = min(free, float(limit) - float(used)) if limit != "max" else free
    except (OSError, ValueError):
        pass  # no control group, or one without a limit
    return free


def check_memory(network: Network, ranks: int, ranks_on_node: int, gaps: bool) -> None:
    """Refuse a network that does not fit, before anything is allocated; ``gaps`` as `plan`.

    Raises
    ------
    InputError
        with the memory it would take on each rank, what there is, and the number of ranks that would do.
    """
    if short := shortage(network, ranks, ranks_on_node, gaps):
        raise InputError(f"{short} (see --dry-run)")


def shortage(network: Network, ranks: int, ranks_on_node: int, gaps: bool = True) -> str:
    """Return why ``network`` does not fit into the memory that each of the ranks on this node has, and how many ranks would do; "" if it
    does."""
    room = available_memory() / ranks_on_node
    most = float(plan(network, ranks, gaps).memory.max())
    if most <= room:
        return ""
    enough = _enough(network, ranks, room, gaps)
    remedy = f"{enough} ranks with as much each would do" if enough else "no number of ranks with as much each would do"
    where = "on one rank" if ranks == 1 else f"on each of {ranks} ranks"
    return f"the network needs {size(most)} {where}, but there is room for {size(room)}; {remedy}"


def _enough(network: Network, too_few: int, room: float, gaps: bool) -> int:
    """Return the number of ranks that need at most ``room`` bytes each, to a percent; 0 if there is none."""

    def fits(ranks: int) -> bool:
        return bool(plan(network, ranks, gaps).memory.max() <= room)

    most = min(network.n_neurons, MOST_RANKS)
    enough = 2 * too_few
    while not fits(enough):
        too_few, enough = enough, 2 * enough
        if enough > most:
            return 0
    while enough - too_few > max(1, enough // 100):
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if fits(middle) else (middle, enough)
    return enough
