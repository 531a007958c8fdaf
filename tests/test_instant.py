"""The event-driven schedules (synapses without delay, models that do not add, several models in one network) against the oracle, and
against themselves: whatever is said to be no part of a result must not change a bit of it.

Times agree within 1e-9 ms with the oracle, spikes and their triggers come in the same order. Rounding grows where a slow flow crosses
threshold and the spike goes on with a delay: of 5,000 random networks one, of no refractory period and 696 spikes, reached 1.5e-8 ms;
all others, those of QIF neurons too, stayed below 1e-9.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import oracle
import pytest
from instant_cases import ALONE, CURRENTS, PRESETS, SLOW, SPECIAL, InstantCase, Kind, instant_case, make_case
from networks import (
    Run,
    emitted,
    kept_above_threshold,
    largest_difference,
    network_of,
    oracle_history,
    plain,
    relabelled,
    same_bits,
    session_of,
    synapses_of,
    whole,
)
from together_ranks import emitted_together

from sparseprop_dist.build import part as build_part
from sparseprop_dist.clock import FRAMES
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Normal, Uniform
from sparseprop_dist.engine import instant, ordered, slab
from sparseprop_dist.errors import InputError, SimulationError
from sparseprop_dist.inputs import Poisson, SpikeTrains
from sparseprop_dist.jit import ENABLED
from sparseprop_dist.models import protocol
from sparseprop_dist.models.intfire1 import IntFire1
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.lif_record import LIMIT
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.rules import AllToAll, FixedIndegree, Pairs
from sparseprop_dist.simulate import simulate

MOST = 1e-9
"""ms"""
SEEDS, LONGEST = (range(2), 400.0) if ENABLED else (range(1), 2.5)
"""Where the tests of kernels run as plain Python, they see less (ms)."""
HERE = PRESETS | {name: SPECIAL[name] for name in ("equality", "equality_perfect")}
LIF_ONLY = [name for name, kind in HERE.items() if set(kind.models) <= {"lif", "perfect"}]
QIF_ONLY = [name for name, kind in HERE.items() if set(kind.models) <= {"qif", "qif_finite"}]
DIFFERING = {
    "qif_drives": Kind(models=("qif",), heterogeneous=True, shared=("tau_m",), instant=0.7, source_strength=(0.2, 1.5)),
    "qif_drives_above": replace(ALONE, models=("qif",), heterogeneous=True, shared=("tau_m",), strength=(0.1, 0.5), size=(20, 90)),
    "lif_drives": Kind(heterogeneous=True, shared=("tau_m", "V_th", "V_reset"), instant=0.7),
    "lif_thresholds": Kind(heterogeneous=True, shared=("tau_m",), instant=0.7, t_ref=(0.5,)),
    "lif_thresholds_alone": replace(ALONE, heterogeneous=True, shared=("tau_m",), t_ref=(0.0,), size=(20, 90)),
}
"""Of which a sweep and a row see one parameter differ: they go ways of their own."""
MIXED = {
    "lif_perfect_qif": replace(
        CURRENTS, models=("lif", "perfect", "qif"), size=(3, 15), heterogeneous=True, indegree=8, strength=(0.1, 0.6)
    ),
    "all_of_delta": replace(SLOW, models=("qif", "eif", "lif", "quartic", "perfect", "qif_finite"), size=(1, 3), indegree=6),
}


def case_of(preset: str, seed: int) -> InstantCase:
    """A case of a preset of `instant_cases`, or of one of those here."""
    if preset in MIXED | DIFFERING:
        return make_case(f"{preset}-{seed}", (MIXED | DIFFERING)[preset], np.random.default_rng((len(preset), seed)))
    return instant_case(seed, preset)


def compare(network: Network, until: float) -> np.ndarray:
    """Run a network with the oracle and with both schedules, compare all, and return the spikes."""
    spikes, reference = emitted(network, until, Run(instant)), oracle_history(network, until)
    assert same_bits(spikes, emitted(network, until, Run(ordered)))
    agree(spikes, reference, network.n_neurons)
    return spikes


def agree(spikes: np.ndarray, reference: list[oracle.Spike], n: int) -> None:
    """Same spikes in the same order, with the same triggers, at the same times up to rounding."""
    expected = sorted((spike.tick, spike.gid) for spike in reference)
    assert largest_difference(plain(spikes), expected, n) < MOST
    assert [gid for _, gid in plain(spikes)] == [gid for _, gid in expected]
    assert spikes["gid"].tolist() == [spike.gid for spike in reference]
    assert spikes["trigger_gid"].tolist() == [spike.trigger[1] for spike in reference]
    triggered = spikes["trigger_gid"] >= 0
    ticks = np.array([spike.trigger[0] for spike in reference], np.int64)
    assert np.abs(spikes["trigger_time"] - ticks)[triggered].max(initial=0) * oracle.TICK < MOST


# --- against the oracle -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [*LIF_ONLY, *QIF_ONLY, *DIFFERING, "mixed_ties", "lif_perfect_qif"])
def test_random_networks(preset: str) -> None:
    spikes = 0
    for seed in range(12):
        case = case_of(preset, seed)
        spikes += len(compare(network_of(case), case.until))
    assert spikes > 200


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_random_networks_of_five_models(seed: int) -> None:
    """LIF, perfect integrator, QIF, EIF and a model that is given by its flow; the oracle integrates the last two by brute force."""
    case = case_of("all_of_delta", seed)
    assert len(compare(network_of(case), case.until)) > 10


def test_networks_of_cases_are_those_cases() -> None:
    for preset in (*LIF_ONLY, *QIF_ONLY, *MIXED):
        case = case_of(preset, 5)
        for kind in ("pools", "delays", "synapses"):
            own, given = (
                [(s.source, s.target, s.weight, oracle.to_ticks(s.delay)) for s in all_]
                for all_ in (synapses_of(network_of(case, kind)), case.synapses)
            )
            assert sorted(own) == sorted(given)


@pytest.mark.parametrize("preset", ["generations", "equality", "delays", "qif_driven", "qif_drives", "lif_thresholds"])
@pytest.mark.parametrize("kind", ["delays", "synapses"])
def test_kinds_of_projections(kind: str, preset: str) -> None:
    """Rows of one delay, of one weight; two synapses of one spike in several projections, with and without delay."""
    for seed in range(3):
        case = case_of(preset, seed)
        network = network_of(case, kind)
        synapses = whole(network).synapses
        assert set(synapses.instant) == {0, 1}
        assert kind != "synapses" or not synapses.weighted.any()
        compare(network, case.until)


def test_neurons_that_differ_go_ways_of_their_own() -> None:
    for preset in DIFFERING:
        record = whole(network_of(case_of(preset, 0))).model
        if preset.startswith("qif"):
            assert (record.short, record.various, record.endless, record.rests, record.slow == record.fast) == (1, 1, 1, 0, True)
        else:
            assert (record.paced, record.various, record.drifts) == (1, 1, 0)
            assert (len(set(record.gain)) > 1) == preset.startswith("lif_thresholds")


def test_inhibition_meets_a_neuron_that_stays_above_threshold() -> None:
    """Released above threshold by the inputs that it kept, it fires at the arrival that leaves it there, though that inhibits."""
    network = kept_above_threshold()
    spikes = compare(network, 4.0)
    assert plain(spikes) == [(1 << 40, 1), (3 << 40, 0), (3 << 40, 1)]


def test_cases_have_what_they_are_for() -> None:
    """Cascades of several generations, ties, refractory neurons that are met, several arrivals of one spike."""
    deepest = 0
    for seed in range(12):
        network = network_of(case := instant_case(seed, "generations"))
        history = oracle_history(network, case.until)
        deepest = max(deepest, *(spike.generation for spike in history))
    assert deepest >= 5
    network = network_of(case := instant_case(0, "ties"))
    ticks = [spike.tick for spike in oracle_history(network, case.until)]
    assert len(set(ticks)) < 0.7 * len(ticks)


# --- one model, and its corners -----------------------------------------------------------------------------------------------------


def connected(model: Any, size: int, weight: Any, indegree: int, delay: Any = 0.0, seed: int = 3) -> Network:
    """Neurons of one model that project onto themselves."""
    network = Network(seed=seed)
    network.add_population("neurons", size, model)
    network.connect("neurons", "neurons", FixedIndegree(indegree, allow_autapses=False), weight=weight, delay=delay)
    return network


CORNERS: dict[str, Callable[[], Network]] = {
    "dense QIF": lambda: connected(QIF(I=1.0, V_m=Uniform(-2.0, 2.0)), 40, -0.1, 20),
    "heterogeneous QIF": lambda: connected(QIF(tau_m=Uniform(5.0, 20.0), I=Uniform(0.2, 2.0), V_m=Uniform(-2.0, 2.0)), 40, -0.2, 8),
    "QIF of any drive": lambda: connected(QIF(I=Uniform(-1.0, 1.5), V_m=Uniform(-2.0, 2.0)), 40, Normal(0.05, 0.2), 8),
    "QIF at the bifurcation": lambda: connected(QIF(I=0.0, V_m=Uniform(0.2, 2.0)), 40, Normal(0.6, 0.2, low=0.2), 4),
    "finite QIF": lambda: connected(QIF(I=0.8, V_th=3.0, V_reset=-1.5, t_ref=1.3, V_m=Uniform(-1.5, 3.0)), 40, Normal(0.1, 0.3), 8),
    "finite QIF that cannot rest": lambda: connected(QIF(I=-0.3, V_th=2.0, V_reset=0.7, V_m=Uniform(0.0, 2.0)), 40, -0.05, 8),
    "dense LIF": lambda: connected(LIF(I_e=500.0, t_ref=0.0, V_m=Uniform(-70.0, -55.0)), 40, -0.4, 20),
    "perfect": lambda: connected(LIF(tau_m=np.inf, I_e=Uniform(100.0, 400.0), t_ref=0.0, V_m=Uniform(-70.0, -55.0)), 40, -0.5, 8),
    "perfect, falling": lambda: connected(LIF(tau_m=np.inf, I_e=Uniform(-50.0, 300.0), V_m=Uniform(-70.0, -55.0)), 40, 2.0, 6),
}


@pytest.mark.parametrize("name", CORNERS)
def test_corners_of_models(name: str) -> None:
    network = CORNERS[name]()
    assert len(compare(network, 120.0)) > 40


@pytest.mark.parametrize("name", ["heterogeneous QIF", "QIF of any drive", "finite QIF", "perfect", "dense LIF"])
def test_poisson_inputs_and_spike_trains(name: str) -> None:
    network = CORNERS[name]()
    unit = 1.0 if "QIF" in name else 10.0
    network.add_input("neurons", Poisson(60.0), weight=0.2 * unit)
    network.add_input("neurons", Poisson(Uniform(0.0, 80.0)), weight=-0.1 * unit)
    network.add_population("sources", 3, SpikeTrains(np.arange(2.0, 60.0, 2.5), np.arange(24) % 3))
    network.connect("sources", "neurons", FixedIndegree(2), weight=0.3 * unit, delay=0.0)
    network.connect("neurons", "neurons", FixedIndegree(3), weight=0.1 * unit, delay=Uniform(0.3, 3.0))
    assert len(compare(network, 60.0)) > 40


def excitable(**more: Any) -> Network:
    """Two neurons and spike sources; the tests connect them."""
    network = Network()
    network.add_population("neurons", 4, LIF(tau_m=20.0, E_L=0.0, V_th=1.0, V_reset=0.0, V_m=0.0, t_ref=2.0, **more))
    network.add_population("sources", 2, SpikeTrains([1.0, 5.0, 5.0], [0, 0, 1]))
    return network


def test_an_excited_neuron_is_inhibited_by_the_second_synapse_of_the_spike_too_late() -> None:
    """Two synapses of one spike onto one target: in the order of the description, projections first."""
    for weights, spikes in (((1.2, -1.0), 1), ((-1.0, 1.2), 0)):
        network = excitable()
        network.connect("sources", "neurons", Pairs([0], [0]), weight=1.5, delay=0.0)
        for weight in weights:
            network.connect("neurons", "neurons", Pairs([0], [1]), weight=weight, delay=0.0)
        assert plain(compare(network, 4.0))[1:] == [(1 << 40, 1)] * spikes
        network = excitable()
        network.connect("sources", "neurons", Pairs([0], [0]), weight=1.5, delay=0.0)
        network.connect("neurons", "neurons", Pairs([0, 0], [1, 1]), weight=list(weights), delay=0.0)
        assert plain(compare(network, 4.0))[1:] == [(1 << 40, 1)] * spikes


def test_generations_come_one_after_the_other() -> None:
    """Breadth before depth: 3 is inhibited by 1 (first generation) before 2 (second) excites it."""
    network = excitable()
    network.connect("sources", "neurons", Pairs([0], [0]), weight=1.5, delay=0.0)
    network.connect("neurons", "neurons", Pairs([0, 1, 2, 0], [1, 2, 3, 3]), weight=[1.5, 1.5, 1.2, -0.5], delay=0.0)
    spikes = compare(network, 4.0)
    assert spikes["gid"].tolist() == [1, 2, 0], "by the trigger, which has the larger gid for 0"
    assert spikes["trigger_gid"].tolist() == [0, 1, 4]


def test_a_ring_without_delay_ends_at_its_refractory_neuron() -> None:
    network = excitable()
    network.connect("sources", "neurons", Pairs([0], [0]), weight=1.5, delay=0.0)
    network.connect("neurons", "neurons", Pairs([0, 1, 2, 3], [1, 2, 3, 0]), weight=1.5, delay=0.0)
    assert plain(compare(network, 7.0)) == [(tick << 40, gid) for tick in (1, 5) for gid in range(4)]


# --- quiet pieces: synapses that only inhibit, and nothing from elsewhere ------------------------------------------------------------


def quiet(model: Any, n: int, weight: float, degree: int) -> Network:
    """Every third neuron stands where another does, so that both fire at one tick, and every fourth a hair below its neighbour."""
    network, V_m = Network(seed=3), np.random.default_rng(2).uniform(-69.0, -56.0, n)
    V_m[::3] = V_m[1::3][: len(V_m[::3])] if n % 3 == 0 else V_m[0]
    V_m[3::4] = V_m[2::4][: len(V_m[3::4])] - 1e-12
    network.add_population("inh", n // 3, model(V_m[: n // 3]))
    network.add_population("more", n - n // 3, model(V_m[n // 3 :]))  # a block of its own: entries of the first are kept or forgotten
    network.connect(["inh", "more"], ["inh", "more"], FixedIndegree(degree, allow_autapses=False), weight=weight, delay=0.0)
    network.record("V", "inh", every=0.37, neurons=[0, 1, 5])
    return network


QUIET: dict[str, Callable[[Any], Any]] = {
    "lif": lambda V_m: LIF(V_m=V_m, I_e=450.0, t_ref=0.0),
    "refractory": lambda V_m: LIF(V_m=V_m, I_e=450.0, t_ref=1.5),
    "keeps": lambda V_m: LIF(V_m=V_m, I_e=450.0, t_ref=1.5, refractory_input=True),
    "differ": lambda V_m: LIF(V_m=V_m, I_e=450.0, t_ref=0.0, V_th=-55.0 - (V_m > -60.0)),
    "qif": lambda V_m: QIF(I=1.0, V_m=V_m + 62.0),
}


@pytest.mark.parametrize("weight", [-0.05, -1e-14])
@pytest.mark.parametrize("name", QUIET)
def test_quiet_pieces_are_those_of_the_ordered_schedule(name, weight):
    """Ties; what lies within the slack of rounding below threshold, which fires at an inhibitory arrival and so ends the quiet; recordings
    in the middle of a piece; little room, and short windows. Triggers too."""
    network = quiet(QUIET[name], 60, weight, 40)
    runs = [Run(schedule) for schedule in (ordered, instant)] + [Run(instant, window=0.9, capacity=8), Run(instant, piece_bits=36)]
    first, *others = [emitted(network, 80.0, run) for run in runs]
    assert len(first) > 100
    assert all(same_bits(first, other) for other in others)
    if weight == -1e-14 and name in ("lif", "differ"):
        assert (first["trigger_gid"] >= 0).any()
    session = session_of(network, Run(instant))
    session.scratch = session.scratch._replace(entry=np.zeros((4, 3), np.int64))  # most pieces have more, and are not done quietly
    made = session.advance(80 << 40)
    assert (made["time"] == first["time"]).all()
    assert (made["gid"] == first["gid"]).all()
    V = [simulate(network, 40.0, schedule=schedule).recordings["inh.V"].values for schedule in ("ordered", "instant")]
    assert V[0].tobytes() == V[1].tobytes()


# --- cascades that need not end -----------------------------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("schedule", [instant, ordered])
def test_a_cascade_is_an_error_and_no_hang(schedule: Any) -> None:
    network = Network()
    network.add_population("neurons", 3, LIF(E_L=0.0, V_th=1.0, V_reset=0.0, V_m=0.0, t_ref=0.0))
    network.add_population("source", 1, SpikeTrains([7.5], [0]))
    network.connect("source", "neurons", Pairs([0], [1]), weight=1.5, delay=0.0)
    network.connect("neurons", "neurons", Pairs([1, 2], [2, 1]), weight=1.5, delay=0.0)
    told = r"^neuron 1 would fire twice at one time, after 7(\.\d+)? ms, by synapses without delay, .*; give the neurons t_ref above 0, or"
    with pytest.raises(SimulationError, match=told):
        emitted(network, 20.0, Run(schedule))


def test_cascades_as_the_oracle_finds_them() -> None:
    """The same neuron, and no other networks."""
    found = 0
    for seed in range(40):
        case = instant_case(seed, "runaway")
        network = network_of(case)
        try:
            reference = oracle_history(network, case.until)
        except oracle.Cascade as cascade:
            found += 1
            for schedule in (instant, ordered):
                with pytest.raises(SimulationError, match=f"^neuron {cascade.gid} would fire twice"):
                    emitted(network, case.until, Run(schedule))
        else:
            agree(emitted(network, case.until, Run(instant)), reference, len(case.neurons))
    assert found > 10


@pytest.mark.parametrize("n", [1, 2, 3])
def test_cascades_on_several_ranks(n: int) -> None:
    for seed in range(4):
        case = instant_case(seed, "runaway")
        network = network_of(case)
        with pytest.raises(SimulationError, match="would fire twice") as alone:
            emitted(network, case.until, Run(instant))
        with pytest.raises(SimulationError, match="would fire twice") as together:
            emitted_together(network, case.until, n)
        assert str(together.value).split(" after ")[1] == str(alone.value).split(" after ")[1], "at the same time"


def test_a_cascade_that_another_rank_averts() -> None:
    """2 makes 0 and 3 fire, which inhibit and excite it, in this order; without 0, which is on another rank, 2 would fire twice."""
    network = Network()
    network.add_population("n", 4, LIF(tau_m=10.0, E_L=[0.0, 0.0, 2.0, 0.0], V_th=1.0, V_reset=0.0, V_m=0.0, t_ref=0.0))
    network.connect("n", "n", Pairs([2, 2, 0, 3], [0, 3, 2, 2]), weight=[1.5, 1.5, -1.0, 1.5], delay=0.0)
    expected = compare(network, 10.0)
    assert len(expected) > 2
    assert same_bits(emitted_together(network, 10.0, 2), expected)


# --- what must not matter -----------------------------------------------------------------------------------------------------------


def alterations(until: float) -> Iterator[Run]:
    for schedule in (instant, ordered):
        yield from (Run(schedule, window=window) for window in (until / 3, 1.37, 0.21))
        yield from (Run(schedule, piece_bits=bits) for bits in (37, 34))
        yield from (Run(schedule, capacity=capacity, window=window) for capacity, window in ((1, None), (3, 1.7), (40, 11.0)))
        yield from (Run(schedule, origin_span=span, window=window) for span, window in ((1, 7.3), (1 << 40, 0.3)))
        yield from (Run(schedule, tight=True, window=window) for window in (None, 2.3))
    yield Run(instant, tight=True, piece_bits=36, origin_span=1, window=5.1)


@pytest.mark.kernels
@pytest.mark.parametrize(
    "preset", [pytest.param("generations", marks=pytest.mark.bounds), "delays", "no_refractory", "inhibitory", "qif_driven", "qif_finite"]
)
def test_windows_pieces_buffers_and_the_origin(preset: str) -> None:
    for seed in SEEDS:
        case = instant_case(seed, preset)
        network, until = network_of(case), min(case.until, LONGEST)
        expected = emitted(network, until, Run(instant))
        for run in alterations(until):
            assert same_bits(emitted(network, until, run), expected), run


@pytest.mark.parametrize("preset", [*LIF_ONLY, *QIF_ONLY, "mixed_ties", *MIXED])
def test_windows_pieces_buffers_and_the_origin_of_all_kinds(preset: str) -> None:
    case = case_of(preset, 21)
    network, until = network_of(case), min(case.until, 60.0)
    expected = emitted(network, until, Run(instant))
    for run in alterations(until):
        assert same_bits(emitted(network, until, run), expected), run


@pytest.mark.parametrize("preset", ["generations_free", "delays", "mixed_ties"])
def test_blocks(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        case = case_of(preset, seed)
        network = network_of(case)
        expected = emitted(network, case.until, Run(instant))
        for bits, schedule in itertools.product((1, 3), (instant, ordered)):
            monkeypatch.setattr(build_part, "block_bits", lambda network, bits=bits: bits)
            assert len(whole(network).blocks.gid) == sum(-(-size >> bits) for size in case.sizes)
            assert same_bits(emitted(network, case.until, Run(schedule)), expected)
            monkeypatch.undo()


@pytest.mark.parametrize("preset", ["inhibitory", "dense", "qif", "qif_dense"])
def test_names_of_neurons(preset: str) -> None:
    """Without cascades there are no ties, and relabelled neurons fire at the same ticks."""
    for seed in range(6):
        case = instant_case(seed, preset)
        other, old = relabelled(case, seed)  # type: ignore[arg-type]
        expected = emitted(network_of(case), case.until, Run(instant))
        renamed = sorted((tick, int(old[gid])) for tick, gid in plain(emitted(network_of(other), case.until, Run(instant))))
        assert renamed == plain(expected)


RANKS = (1, 2, 3, 5)


@pytest.mark.parametrize("preset", ["generations", "ties", "delays", "no_refractory", "dense", "qif_driven", "mixed_ties"])
def test_ranks(preset: str) -> None:
    """On threads of this process; on several processes: ``mpi/test_instant_ranks.py``."""
    for seed in range(2):
        case = case_of(preset, seed)
        network, until = network_of(case), min(case.until, 25.0)
        expected = emitted(network, until, Run(instant))
        for n in RANKS:
            assert same_bits(emitted_together(network, until, n), expected), n


@pytest.mark.parametrize("preset", ["generations_free", "delays", "qif_driven"])
def test_windows_and_buffers_of_ranks(preset: str) -> None:
    """First windows that are settled as short as 1 ns and as long as a piece, moving origins, and no room for entries that are void."""
    case = case_of(preset, 1)
    network, until = network_of(case), min(case.until, 15.0)
    expected = emitted(network, until, Run(instant))
    runs = [
        (Run(instant), 1 << 20),
        (Run(instant), 1 << 41),
        (Run(instant, tight=True), 1 << 41),
        (Run(instant, window=0.77), 0),
        (Run(instant, origin_span=1, window=3.3), 0),
        (Run(instant, piece_bits=35), 0),
    ]
    for run, length in runs:
        assert same_bits(emitted_together(network, until, 3, run, length), expected), run


@pytest.mark.parametrize("preset", ["generations_free", "ties"])
def test_tiny_buffers_of_ranks(preset: str) -> None:
    same = []
    for seed in range(3):
        case = case_of(preset, seed)
        network, until = network_of(case), min(case.until, 15.0)
        expected = emitted(network, until, Run(instant))
        same += [same_bits(emitted_together(network, until, n, Run(instant, capacity=1)), expected) for n in (1, 2, 3)]
    assert all(same)


def test_simulate_is_the_same() -> None:
    """The function that users call, with its own windows, and the order of its file."""
    for preset in ("generations", "delays", "qif_driven"):
        case = instant_case(3, preset)
        network = network_of(case)
        expected = plain(emitted(network, case.until, Run(instant)))
        for schedule, window in itertools.product(("auto", "instant", "ordered"), (None, 0.31, 1000.0)):
            spikes = simulate(network, case.until, schedule=schedule, window=window).spikes
            assert list(zip((spikes.times * 2.0**40).astype(int).tolist(), spikes.ids.tolist(), strict=True)) == expected


# --- the three schedules, where all can -----------------------------------------------------------------------------------------------


def with_delays(case: InstantCase) -> InstantCase:
    """The case with a delay above 0 for every synapse between neurons."""
    n = len(case.neurons)
    return replace(case, synapses=[s if s.source >= n else replace(s, delay=s.delay or 0.25) for s in case.synapses])


@pytest.mark.parametrize("preset", ["balanced", "ties", "delays", "perfect", "equality_perfect", "no_refractory"])
def test_with_delays_all_three_schedules_agree(preset: str) -> None:
    """The perfect integrator in the slab schedule too."""
    for seed in range(8):
        case = with_delays(case_of(preset, seed))
        network = network_of(case)
        spikes, reference = emitted(network, case.until, Run(slab)), oracle_history(network, case.until)
        for schedule in (ordered, instant):
            assert same_bits(spikes, emitted(network, case.until, Run(schedule)))
        agree(spikes, reference, len(case.neurons))


def test_two_models_in_the_slab_schedule() -> None:
    """LIF and perfect integrator, and IntFire1 in its own names."""
    network = Network(seed=2)
    network.add_population("lif", 20, LIF(I_e=500.0, V_m=Uniform(-70.0, -55.0)))
    network.add_population("intfire", 15, IntFire1(tau=12.0, refrac=1.0, m=Uniform(0.0, 1.0)))
    network.add_population("perfect", 10, LIF(tau_m=np.inf, I_e=Uniform(-20.0, 200.0), V_m=Uniform(-70.0, -55.0)))
    network.connect(["lif", "perfect"], "intfire", FixedIndegree(6), weight=0.3, delay=1.0)
    network.connect(["lif", "intfire"], "perfect", FixedIndegree(6), weight=Uniform(0.5, 3.0), delay=Uniform(0.5, 3.0))
    network.connect(["intfire", "perfect"], "lif", AllToAll(), weight=-0.4, delay=0.7)
    network.add_input("intfire", Poisson(300.0), weight=0.2)
    spikes, reference = emitted(network, 80.0, Run(slab)), oracle_history(network, 80.0)
    for schedule in (ordered, instant):
        assert same_bits(spikes, emitted(network, 80.0, Run(schedule)))
    agree(spikes, reference, 45)
    assert all((spikes["gid"] // 5 == k).any() for k in range(9))


def test_the_slab_schedule_refuses_what_it_cannot_run() -> None:
    for network in (CORNERS["dense LIF"](), CORNERS["dense QIF"]()):
        with pytest.raises(
            InputError, match=r"^the slab schedule takes models that add.* and synapses with delays, only; give auto, instant or ordered$"
        ):
            simulate(network, 1.0, schedule="slab")


def test_models_of_the_oracle_are_those_of_the_network() -> None:
    """So that what is compared is what was drawn."""
    from networks import neurons_of

    for preset in (*LIF_ONLY, *QIF_ONLY, *MIXED):
        case = case_of(preset, 2)
        assert list(neurons_of(network_of(case))) == case.neurons


def test_what_has_left_its_range_is_found_when_it_is_carried_on() -> None:
    """QIF: what is no number stays none, and is looked for when the anchor of the frame moves."""
    network = Network()
    network.add_population("neurons", 100, QIF(V_m=np.linspace(-1.0, 0.5, 100)))
    part = session_of(network, Run(instant)).part
    part.model.r[70] = np.nan
    starts = [k << part.slab_bits for k in range(2 << FRAMES)]
    found = [protocol.carry(part.model, 0, 100, start) for start in starts]
    assert [k for k, culprit in enumerate(found) if culprit >= 0] == [(1 << FRAMES) - 1, (2 << FRAMES) - 1]
    assert set(found) == {-1, 70}


@pytest.mark.parametrize("far", [LIMIT, -LIMIT, LIMIT - 1, 1 - LIMIT])
def test_a_state_beyond_the_limit_is_found_when_it_is_carried_on(far: int) -> None:
    """LIF, all alike; those around it, which are carried another way, are where they would be with it."""
    network = Network()
    network.add_population("neurons", 200, LIF(V_m=Uniform(-70.0, -55.0)))
    model, same = (session_of(network, Run(instant)).part.model for _ in range(2))
    model.y[150] = far
    assert protocol.carry(same, 0, 200, 0) == -1
    assert protocol.carry(model, 0, 200, 0) == (150 if abs(far) == LIMIT else -1)
    assert (np.delete(model.y, 150) == np.delete(same.y, 150)).all()
