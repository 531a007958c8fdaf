"""Networks of the engine from the random cases, and the oracle's arguments from any network: its synapses and its Poisson events, one by
one.

The oracle gets what the engine has stored (delays on their grid, drawn weights, the very events of the Poisson inputs), as plain numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import oracle
from cases import Case
from instant_cases import InstantCase

from sparseprop_dist.build import Part, build
from sparseprop_dist.build import part as build_part
from sparseprop_dist.build.part import in_bulk, lower
from sparseprop_dist.build.synapses import delay_format, stored_delays, synapse_values
from sparseprop_dist.clock import ORIGIN_SPAN
from sparseprop_dist.connectivity import incoming
from sparseprop_dist.description import Network, Population, Projection
from sparseprop_dist.engine import slab
from sparseprop_dist.engine.poisson import generate
from sparseprop_dist.engine.session import SPIKE, Session
from sparseprop_dist.errors import OK
from sparseprop_dist.inputs import SpikeTrains
from sparseprop_dist.models.eif import EIF
from sparseprop_dist.models.flow import Flow
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.partition import partition
from sparseprop_dist.preparation import _trains
from sparseprop_dist.rules import Pairs
from sparseprop_dist.state import TARGET_BITS, Counter

Spikes = list[tuple[int, int]]


# --- from a case to a network -------------------------------------------------------------------------------------------------------


def network_of(case: Case | InstantCase, projections: str = "pools") -> Network:
    """The network of a case; its populations of neurons are "neurons", or "neurons 0", "neurons 1", ...

    `projections`: "pools", all synapses of the neurons in one projection (those without delay in another) and all of the sources in
    another; "mixed", all in one (no delay may be 0); "delays", a projection for each delay, so that rows have one; "synapses", one for
    each delay and weight, so that rows have one of both.
    """
    network = Network(seed=1)
    n = len(case.neurons)
    sizes = case.sizes if isinstance(case, InstantCase) else [n]
    names = ["neurons"] if len(sizes) == 1 else [f"neurons {k}" for k in range(len(sizes))]
    starts = np.cumsum([0, *sizes]).tolist()
    for name, (start, stop) in zip(names, itertools.pairwise(starts), strict=True):
        network.add_population(name, stop - start, model_of(case.neurons[start:stop]))
    if case.n_sources:
        times, gids = zip(*case.source_spikes, strict=True) if case.source_spikes else ((), ())
        network.add_population("sources", case.n_sources, SpikeTrains(times, np.array(gids, np.int64) - n))
    for synapses in _grouped(case, projections):
        _connect(network, names, synapses, n, mixed=projections == "mixed")
    for index in sorted({event[3] for event in case.events}):
        events = [event for event in case.events if event[3] == index]
        assert len({weight for _, _, weight, _ in events}) == 1
        place = int(np.searchsorted(starts, events[0][1], side="right")) - 1
        trains = SpikeTrains([e[0] for e in events], [e[1] - starts[place] for e in events])
        network.add_input(names[place], trains, weight=events[0][2])
    return network


def kept_above_threshold() -> Network:
    """Neuron 1 is released above threshold, by inputs that it kept, when neuron 0 fires and inhibits it."""
    network = Network()
    network.add_population("neurons", 2, LIF(tau_m=np.inf, V_th=1.0, V_reset=0.0, V_m=0.0, t_ref=2.0, refractory_input=True))
    network.add_population("sources", 3, SpikeTrains([1.0, 2.0, 3.0], [0, 1, 2]))
    network.connect("sources", "neurons", Pairs([0, 1, 2], [1, 1, 0]), weight=[1.5, 3.0, 1.5], delay=0.0)
    network.connect("neurons", "neurons", Pairs([0], [1]), weight=-0.5, delay=0.0)
    return network


def model_of(neurons: list[Any]) -> Any:
    """The model of a population of neurons of the oracle, all of one class."""

    def each(name: str) -> list[float]:
        return [getattr(neuron, name) for neuron in neurons]

    one = neurons[0]
    if isinstance(one, oracle.QIF):
        return QIF(**{name: each(name) for name in QIF.quantities})
    jump = {name: each(name) for name in ("V_reset", "t_ref", "V_m")}
    if isinstance(one, oracle.Neuron):
        return LIF(tau_m=each("tau_m"), E_L=each("V_inf"), V_th=each("V_th"), **jump, refractory_input=one.refractory_input)
    if isinstance(one, oracle.Perfect):
        drift = each("drift")
        return LIF(tau_m=np.inf, C_m=1.0, I_e=drift, V_th=each("V_th"), **jump, refractory_input=one.refractory_input)
    if isinstance(one, oracle.EIF):
        shape = {name: each(name) for name in ("tau_m", "V_T", "Delta_T")}
        return EIF(E_L=each("V_inf"), V_peak=each("V_th"), **shape, **jump)
    assert isinstance(one, oracle.Function)
    assert all(neuron.slope is one.slope for neuron in neurons), "one F for a population"
    return Flow(one.slope, V_th=each("V_th"), **jump)


def _grouped(case: Case | InstantCase, projections: str) -> list[list[oracle.Synapse]]:
    if projections in ("pools", "mixed"):
        return [case.synapses]
    groups: dict[tuple[float, ...], list[oracle.Synapse]] = {}
    for synapse in case.synapses:
        groups.setdefault((synapse.delay, synapse.weight if projections == "synapses" else 0.0), []).append(synapse)
    return list(groups.values())


def _connect(network: Network, names: list[str], synapses: list[oracle.Synapse], n: int, mixed: bool) -> None:
    if mixed:
        parts = [(synapses, [p.name for p in network.populations], 0)]
    else:
        own, others = ([s for s in synapses if (s.source >= n) == outside] for outside in (False, True))
        instant, later = ([s for s in own if (s.delay == 0) == none] for none in (True, False))
        parts = [(instant, names, 0), (later, names, 0), (others, ["sources"], n)]
    for part, sources, first in parts:
        if part:
            pairs = Pairs([s.source - first for s in part], [s.target for s in part])
            network.connect(sources, names, pairs, weight=[s.weight for s in part], delay=[s.delay for s in part])


def with_delays(case: Case) -> Case:
    """The case with a delay above 0 for every synapse."""
    return replace(case, synapses=[replace(s, delay=s.delay or 0.25) for s in case.synapses])


def relabelled(case: Case, seed: int) -> tuple[Case, np.ndarray]:
    """The case with other ids for its neurons, and the old id of each new one."""
    n = len(case.neurons)
    old = np.random.default_rng(seed).permutation(n)
    new = np.argsort(old).tolist() + list(range(n, n + case.n_sources))
    synapses = [replace(s, source=new[s.source], target=new[s.target]) for s in case.synapses]
    events = [(time, new[target], weight, index) for time, target, weight, index in case.events]
    return replace(case, neurons=[case.neurons[k] for k in old], synapses=synapses, events=events), old


# --- from a network to the oracle ---------------------------------------------------------------------------------------------------


def synapses_of(network: Network) -> Iterator[oracle.Synapse]:
    """All synapses, those of one source onto one target in the order of the description; delays as stored."""
    block_bits = build_part.block_bits(network)
    for projection in network.projections:
        yield from _synapses_of(network, projection, block_bits)


def _synapses_of(network: Network, projection: Projection, block_bits: int) -> Iterator[oracle.Synapse]:
    pools = network.pools(projection)
    sources, targets = (np.concatenate([np.array(gids) for gids in pool.gids]) for pool in (pools.sources, pools.targets))
    form = delay_format(projection, block_bits, in_bulk(network))
    for part in incoming(network, projection, 0, len(targets)):
        delays = stored_delays(synapse_values(network, projection, part, "delays"), form).astype(np.int64) << form.unit
        weights = synapse_values(network, projection, part, "weights")
        ends = targets[part.start + np.repeat(np.arange(len(part.ptr) - 1), np.diff(part.ptr))]
        for source, target, weight, delay in zip(sources[part.sources], ends, weights, delays, strict=True):
            yield oracle.Synapse(int(source), int(target), float(weight), int(delay) * oracle.TICK)


def neurons_of(network: Network) -> Iterator[oracle.Model]:
    """The neurons, in the order of their gids."""
    for population in network.populations:
        if not population.is_source:
            yield from _neurons_of(network, population)


def _neurons_of(network: Network, population: Population) -> Iterator[oracle.Model]:
    values = network.checked_parameters(population, 0, population.size)
    model: Any = population.model.lowered()  # type: ignore[union-attr]
    for row in np.stack(list(values.values()), axis=1).tolist():
        own = dict(zip(values, row, strict=True))
        if isinstance(model, LIF):
            tau_m, E_L, drift = own.pop("tau_m"), own.pop("E_L"), own.pop("I_e") / own.pop("C_m")
            own["refractory_input"] = model.refractory_input
            yield oracle.Perfect(drift, **own) if tau_m == np.inf else oracle.Neuron(tau_m, E_L + drift * tau_m, **own)
        elif isinstance(model, QIF):
            yield oracle.QIF(**own)
        elif isinstance(model, EIF):
            V_inf = own.pop("E_L") + own.pop("I_e") * own["tau_m"] / own.pop("C_m")
            yield oracle.EIF(V_inf=V_inf, V_th=own.pop("V_peak"), **own)
        else:
            assert isinstance(model, Flow)
            yield oracle.Function(model.F, **own)


def poisson_events(part: Part, until: float) -> list[tuple[int, int, float, int]]:
    """(tick, gid, mV, input) of all events that the Poisson inputs of a rank make before `until` ms."""
    drive, blocks, bits = part.drive, part.blocks, part.slab_bits
    end = oracle.to_ticks(until)
    keys = np.zeros(1 << 16, np.int64)
    counters = np.zeros(Counter.SIZE, np.int64)
    events = []
    for number in range((end >> bits) + 1):
        for block in range(len(blocks.gid)):
            for e in range(drive.entry_ptr[block], drive.entry_ptr[block + 1]):
                status, n = generate(drive, e, number, bits, 0, 1 << bits, counters, keys, 0)
                assert status == OK
                for key in keys[:n].tolist():
                    tick, target = (number << bits) + (key >> TARGET_BITS), key & ((1 << TARGET_BITS) - 1)
                    if tick >= end or not drive.low[e] <= target < drive.stop[e]:
                        continue
                    weight = drive.weight[e] if drive.weight_first[e] < 0 else drive.weights[drive.weight_first[e] + target]
                    events.append((tick, int(blocks.gid[block]) + target, float(weight), int(drive.input[e])))
    return sorted(events)


def whole(network: Network) -> Part:
    """The arrays of a rank that is alone."""
    lowered = lower(network)
    return build(lowered, partition(lowered, 1), 0)


def oracle_history(network: Network, until: float) -> list[oracle.Spike]:
    """What the oracle makes of a network: spikes with their triggers, in emission order."""
    lowered = lower(network)
    times, gids = _trains(lowered)
    events = [(tick * oracle.TICK, *rest) for tick, *rest in poisson_events(whole(network), until)]
    trains = list(zip(times.tolist(), gids.tolist(), strict=True))
    return oracle.history(list(neurons_of(lowered)), list(synapses_of(lowered)), until, trains, events)  # type: ignore[arg-type]


def oracle_spikes(network: Network, until: float) -> Spikes:
    """The same as (tick, gid), sorted."""
    return sorted((spike.tick, spike.gid) for spike in oracle_history(network, until))


# --- the engine on one rank ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """How to run the engine; nothing of it may matter."""

    schedule: ModuleType = slab
    window: float | None = None  # ms
    piece_bits: int = 62
    origin_span: int = ORIGIN_SPAN
    capacity: int | None = None  # of all buffers, at first
    tight: bool = False  # the heap and the lists of the instant schedule hold no more than one entry a neuron


def session_of(network: Network, run: Run, n_ranks: int = 1, rank: int = 0) -> Session:
    """The session of a rank at time 0."""
    lowered = lower(network)
    part = build(lowered, partition(lowered, n_ranks), rank)
    bits = min(part.piece_bits, shortest_delay(part).bit_length() - 1, run.piece_bits)
    session = Session(part, run.schedule, bits, *_trains(lowered), origin_span=run.origin_span)
    if run.capacity is not None:
        shrink(session, run.capacity)
    if run.tight:
        tighten(session)
    return session


def shortest_delay(part: Part) -> int:
    """The smallest positive delay between neurons, in ticks."""
    return int(part.synapses.delay[(part.synapses.train == 0) & (part.synapses.instant == 0)].min(initial=1 << 61))


def emitted(network: Network, until: float, run: Run | None = None) -> np.ndarray:
    """All spikes with their triggers (SPIKE, absolute ticks) in emission order, from a `Session`."""
    run = run or Run()
    session = session_of(network, run)
    end = oracle.to_ticks(until)
    window = end if run.window is None else max(1, oracle.to_ticks(run.window))
    out = [np.empty(0, SPIKE)]
    for k in range(-(-end // window)):
        spikes = session.advance(min((k + 1) * window, end))
        out.append(absolute(spikes, session))
        session.forget()
    return np.concatenate(out)


def absolute(spikes: np.ndarray, session: Session) -> np.ndarray:
    """The same spikes, with times that are not counted from the origin."""
    spikes = spikes.copy()
    spikes["time"] += session.origin
    spikes["trigger_time"] += np.where(spikes["trigger_gid"] < 0, 0, session.origin)
    return spikes


def shrink(session: Session, capacity: int) -> None:
    """Replace the buffers of a session by ones of the given capacity, so that it must enlarge them."""
    from sparseprop_dist.engine import session as module

    session.flight = module._flight(session._n_cursors[0], capacity)
    session.emitted = module._emitted(capacity)
    session.scratch = module._scratch(session.part, capacity, session.schedule.WHOLE)


def tighten(session: Session) -> None:
    """Leave no room for entries of the queue that are void: one for each neuron is all that must fit."""
    n = session.scratch.fired.size
    session.scratch = session.scratch._replace(heap=np.zeros(n, np.int64), node=np.zeros((n, 2), np.int32))


def plain(spikes: np.ndarray) -> Spikes:
    """(tick, gid), sorted, as the oracle says it."""
    order = np.lexsort((spikes["gid"], spikes["time"]))
    return list(zip(spikes["time"][order].tolist(), spikes["gid"][order].tolist(), strict=True))


def trains_of(spikes: Spikes, n: int) -> list[np.ndarray]:
    """Spike times of each neuron, ticks."""
    ticks, gids = np.array(spikes, np.int64).reshape(-1, 2).T
    return [ticks[gids == gid] for gid in range(n)]


def largest_difference(spikes: Spikes, reference: Spikes, n: int) -> float:
    """ms between the k-th spikes of a neuron at most; infinite if a neuron has more or fewer."""
    largest = 0
    for own, other in zip(trains_of(spikes, n), trains_of(reference, n), strict=True):
        if len(own) != len(other):
            return np.inf
        largest = max(largest, int(np.abs(own - other).max(initial=0)))
    return largest * oracle.TICK


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two runs made the same spikes, bit for bit, with the same triggers and in the same order."""
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()
