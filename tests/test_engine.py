"""The engine on one rank against the oracle, and against itself: whatever is said to be no part of a result must not change a bit of it.

Times agree within 1e-9 ms with the oracle. The two round differently (integers of 2^-48 of V_th - V_reset here, floats there), a few
1e-15 of the
potential; crossings by a slow flow magnify that: 6e-11 ms was the most in 2,800 random networks. Crossings by an arrival are at its
tick, exactly.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import PRESETS, Case, random_case
from described import DESCRIBED
from networks import (
    Run,
    emitted,
    largest_difference,
    network_of,
    oracle_spikes,
    plain,
    relabelled,
    same_bits,
    synapses_of,
    whole,
    with_delays,
)
from oracle import to_ticks

from sparseprop_dist.build import part as build_part
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Distribution
from sparseprop_dist.engine import ordered, slab
from sparseprop_dist.errors import SimulationError
from sparseprop_dist.inputs import SpikeTrains
from sparseprop_dist.jit import ENABLED
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.rules import Pairs
from sparseprop_dist.simulate import simulate
from sparseprop_dist.state import CONSTANT, DELAYED_32, DELAYED_64

SCHEDULES = (slab, ordered)
MOST = 1e-9
"""ms"""
SEEDS = range(2 if ENABLED else 1)
"""Where the tests of kernels run as plain Python, they see less."""


def compare(network: Network, until: float) -> np.ndarray:
    """Run a network with the oracle and with both schedules, compare all, and return the spikes."""
    spikes, reference = emitted(network, until), oracle_spikes(network, until)
    assert same_bits(spikes, emitted(network, until, Run(ordered)))
    assert largest_difference(plain(spikes), reference, network.n_neurons) < MOST
    assert [gid for _, gid in plain(spikes)] == [gid for _, gid in reference]
    return spikes


# --- against the oracle -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_random_networks(preset: str) -> None:
    for seed in range(12):
        case = random_case(seed, preset)
        compare(network_of(case), case.until)


def test_networks_of_cases_are_those_cases() -> None:
    for seed in range(2 * len(PRESETS)):
        case = random_case(seed)
        for kind in ("pools", "delays", "synapses"):
            own, given = (
                [(s.source, s.target, s.weight, to_ticks(s.delay)) for s in all_]
                for all_ in (synapses_of(network_of(case, kind)), case.synapses)
            )
            assert sorted(own) == sorted(given)


@pytest.mark.parametrize("seed", range(0, 200, 5))
def test_thresholds_that_are_reached_exactly(seed: int) -> None:
    """Sums of inputs that are the distance to threshold fire, although each of them is rounded."""
    case = random_case(seed, "equality")
    compare(network_of(case), case.until)


@pytest.mark.parametrize("below", [0.0, 1e-12, 1e-9])
@pytest.mark.parametrize("tau_m", [0.05, 1.0, 10.0])
def test_a_drive_up_to_threshold_is_silent(tau_m: float, below: float) -> None:
    """Potentials that approach it for ever are closer than what counts as reaching it by an input."""
    network = Network()
    network.add_population("neurons", 3, LIF(tau_m=tau_m, E_L=-55.0 - below, V_th=-55.0, V_m=[-70.0, -55.5, -55.0001]))
    network.add_input("neurons", SpikeTrains([700.0, 800.0], [0, 1]), weight=[-0.5, 0.5, 0.0])
    assert [gid for _, gid in plain(compare(network, 900.0))] == [1]


@pytest.mark.parametrize("kind", ["mixed", "delays", "synapses"])
@pytest.mark.parametrize("preset", PRESETS)
def test_kinds_of_projections(kind: str, preset: str) -> None:
    """All in one pool; rows with one delay; rows with one delay and one weight."""
    case = with_delays(random_case(1, preset))
    network = network_of(case, kind)
    synapses = whole(network).synapses
    if kind != "mixed":
        assert set(synapses.kind) == {CONSTANT}
    assert kind != "synapses" or not synapses.weighted.any()
    compare(network, case.until)


@pytest.mark.kernels
@pytest.mark.bounds
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [name for name in DESCRIBED if name != "wide"])
def test_described_networks(name: str, seed: int) -> None:
    """Rules, drawn values and Poisson inputs of all kinds, several populations and models."""
    until, least = (60.0, 150) if ENABLED else (12.0, 10)
    assert len(compare(DESCRIBED[name](seed), until)) > least


def test_a_network_of_several_blocks() -> None:
    network = DESCRIBED["wide"](1)
    assert len(whole(network).blocks.gid) > 1
    times = compare(network, 40.0)["time"]
    assert len(times) > 5000
    assert np.mean(np.diff(np.sort(times)) == 0) > 0.05, "ties"


def test_described_networks_have_all_kinds_of_rows() -> None:
    kinds = {kind for name in ("brunel", "drawn", "mixed") for kind in whole(DESCRIBED[name](0)).synapses.kind.tolist()}
    assert kinds == {CONSTANT, DELAYED_32, DELAYED_64}


# --- what must not matter -----------------------------------------------------------------------------------------------------------


def alterations(case: Case) -> Iterator[Run]:
    lookahead = min([s.delay for s in case.synapses if s.source < len(case.neurons)], default=1.0)
    for schedule in SCHEDULES:
        yield from (Run(schedule, window=lookahead / part) for part in (1.0, 2.0, 3.7, 10.0))
        yield from (Run(schedule, piece_bits=bits) for bits in (37, 34))
        yield from (Run(schedule, capacity=capacity, window=window) for capacity, window in ((1, None), (3, 1.7), (40, 11.0)))
        yield from (Run(schedule, origin_span=span, window=window) for span, window in ((1, 7.3), (1 << 40, 0.3)))


@pytest.mark.parametrize("preset", PRESETS)
def test_windows_pieces_buffers_and_the_origin(preset: str) -> None:
    for seed in SEEDS:
        case = random_case(seed, preset)
        network, until = network_of(case), min(case.until, 400.0)
        expected = emitted(network, until)
        for run in alterations(case):
            assert same_bits(emitted(network, until, run), expected), run


@pytest.mark.parametrize("name", [name for name in DESCRIBED if name != "wide"])
def test_windows_pieces_buffers_and_the_origin_with_rules_and_inputs(name: str) -> None:
    network, until = DESCRIBED[name](5), 40.0
    expected = emitted(network, until)
    for schedule in SCHEDULES:
        for run in (Run(window=0.37), Run(piece_bits=33), Run(capacity=2), Run(capacity=20, window=3.1), Run(origin_span=1, window=0.9)):
            assert same_bits(emitted(network, until, replace(run, schedule=schedule)), expected), run


@pytest.mark.parametrize("preset", PRESETS)
def test_blocks(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        case = random_case(seed, preset)
        network = network_of(case)
        expected = emitted(network, case.until)
        for bits, schedule in itertools.product((1, 3, 13), SCHEDULES):
            monkeypatch.setattr(build_part, "block_bits", lambda network, bits=bits: bits)
            assert len(whole(network).blocks.gid) == -(-len(case.neurons) >> bits)
            assert same_bits(emitted(network, case.until, Run(schedule)), expected)
            monkeypatch.undo()


@pytest.mark.parametrize("bits", [4, 9])
def test_blocks_and_poisson_inputs(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of Poisson input that lie in several blocks."""
    for name in ("several_inputs", "unconnected", "brunel", "wide"):
        network = DESCRIBED[name](2)
        # how finely drawn delays are stored depends on the blocks
        network.projections = [projection for projection in network.projections if not isinstance(projection.delay, Distribution)]
        expected = emitted(network, 20.0)
        monkeypatch.setattr(build_part, "block_bits", lambda network: bits)
        for schedule in SCHEDULES:
            assert same_bits(emitted(network, 20.0, Run(schedule)), expected)
        monkeypatch.undo()


@pytest.mark.parametrize("preset", ["single", "silent", "inhibitory", "driven", "poisson", "cascade_free"])
def test_names_of_neurons(preset: str) -> None:
    """Without ties, relabelled neurons fire at the same ticks."""
    for seed in range(4):
        case = random_case(seed, preset)
        if preset == "poisson":  # the only one of these with one delay for all
            case = replace(case, synapses=[replace(s, delay=s.delay + 1e-4 * k) for k, s in enumerate(case.synapses)])
        other, old = relabelled(case, seed)
        spikes = emitted(network_of(other), case.until)
        renamed = sorted((tick, int(old[gid])) for tick, gid in plain(spikes))
        assert renamed == plain(emitted(network_of(case), case.until))


def test_simulate_is_the_same() -> None:
    """The function that users call, with its own windows, and the order of its file."""
    for preset in ("ties", "driven"):
        case = random_case(3, preset)
        network = network_of(case)
        expected = plain(emitted(network, case.until))
        for schedule, window in itertools.product(("auto", "slab", "ordered"), (None, 0.31, 1000.0)):
            spikes = simulate(network, case.until, schedule=schedule, window=window).spikes
            assert list(zip((spikes.times * 2.0**40).astype(int).tolist(), spikes.ids.tolist(), strict=True)) == expected


def test_the_origin_moves_in_a_long_run() -> None:
    """Beyond 2^20 ms times are still exact to a tick inside, and rounded once outside."""
    later = 2.0**20 + 33.0
    trains = np.array([1.25, 2.5, 4.0])
    network = Network()
    network.add_population("source", 1, SpikeTrains(np.concatenate([trains, trains + later]), np.zeros(6, int)))
    network.add_population("neurons", 2, LIF(tau_m=100.0, E_L=0.0, V_th=1.0, V_reset=0.0, V_m=0.0, t_ref=1.0))
    network.connect("source", "neurons", Pairs([0, 0], [0, 1]), weight=[0.6, 1.2], delay=[0.5, 0.3])
    network.connect("neurons", "neurons", Pairs([1], [0]), weight=0.15, delay=40.3)
    times, ids = (values := simulate(network, later + 60.0).spikes).times, values.ids
    early = times < 100.0
    assert early.sum() > 3
    assert ids[early].tolist() == ids[~early].tolist()
    assert times[~early] == pytest.approx(times[early] + later, abs=2.0**-32, rel=0)


# --- strong inputs ------------------------------------------------------------------------------------------------------------------


def bombarded(times: np.ndarray, weights: np.ndarray, target: int = 0, t_ref: float = 5.0, keep: bool = False) -> Network:
    """Three neurons (V_th - V_reset = 1.99 mV), one of which gets inputs (ms, mV) whose sums may pass any bound."""
    network = Network()
    lif = LIF(E_L=0.0, V_th=1.99, V_reset=0.0, V_m=0.0, t_ref=t_ref, refractory_input=keep)
    network.add_population("neurons", 3, lif)
    network.add_population("sources", len(times), SpikeTrains(times, np.arange(len(times))))
    for weight in np.unique(weights):  # one projection each, so that a bound on the sum is no coarser than it must be
        own = np.flatnonzero(weights == weight)
        network.connect("sources", "neurons", Pairs(own, np.full(len(own), target)), weight=weight, delay=0.0)
    return network


@pytest.mark.kernels
def test_sums_that_could_wrap_are_not_made() -> None:
    times = np.sort(np.random.default_rng(1).uniform(4.0, 8.0, 300))
    weights = np.tile([1900.0, -1990.0, 1990.0, 0.9, -1900.0, 1.5], 50)
    for t_ref, keep in ((0.0, False), (0.3, False), (1.0, False), (0.3, True)):
        assert len(compare(bombarded(times, weights, t_ref=t_ref, keep=keep), 20.0)) > 1


@pytest.mark.kernels
@pytest.mark.parametrize("count", [20, 33, 48, 65, 100])
def test_excitation_beyond_64_bits_fires(count: int) -> None:
    """All at about one time: from 33 on, the sum would be negative in 64 bits, and from 66 on positive again."""
    assert len(compare(bombarded(5.01 + np.arange(count) * 1e-4, np.full(count, 1990.0)), 20.0)) == 1


@pytest.mark.kernels
def test_a_deaf_neuron_does_not_mind_strong_inputs() -> None:
    times = np.concatenate([[4.9], 5.02 + np.arange(20) * 1e-3, np.full(12, 5.2)])
    assert len(compare(bombarded(times, np.array([3.0] * 21 + [1990.0] * 12)), 20.0)) == 1


@pytest.mark.kernels
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("weight", "keep"), [pytest.param(-1990.0, False, id="inhibition"), pytest.param(1990.0, True, id="kept excitation")]
)
@pytest.mark.parametrize("run", [Run(), Run(piece_bits=34), Run(piece_bits=35), Run(window=0.03)])
@pytest.mark.parametrize("count", [12, 48, 64, 200])
def test_overflow_names_the_neuron(schedule: Any, weight: float, keep: bool, run: Run, count: int) -> None:
    """However many inputs there are, and however they spread over pieces, no sum wraps unseen."""
    times = np.concatenate([[4.0], 5.01 + np.arange(count) * (0.224 / count)])
    network = bombarded(times, np.array([2.5] + [weight] * count), target=1, t_ref=3.0 if keep else 0.0, keep=keep)
    with pytest.raises(SimulationError, match=r"^neuron 1 overflowed at 5(\.\d+)? ms"):
        emitted(network, 20.0, replace(run, schedule=schedule))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_overflow_names_the_right_neuron(schedule: Any) -> None:
    """Not one that is merely half as far."""
    network = bombarded(5.0 + np.arange(6) * 1e-3, np.full(6, -1990.0), target=2)
    network.connect("sources", "neurons", Pairs(range(4), [0] * 4), weight=-1990.0, delay=0.0)
    with pytest.raises(SimulationError, match="neuron 2 overflowed"):
        emitted(network, 20.0, Run(schedule))
