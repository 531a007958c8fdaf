"""Recordings: V against closed forms and the oracle, counts against the spikes, no spike changed, and what is refused."""

from __future__ import annotations

import functools
import math
import shutil
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import oracle
import pytest
import zarr
from cases import random_case
from described import DESCRIBED
from hypothesis import given
from hypothesis import strategies as st
from networks import network_of, neurons_of, poisson_events, synapses_of, whole, with_delays
from recorded import everything, neuron_names, recording, with_currents, without_delay

from sparseprop_dist import config, recorder, sampling, tables
from sparseprop_dist import simulate as run
from sparseprop_dist.at_spikes import AtSpikes, at_spikes
from sparseprop_dist.build.part import lower
from sparseprop_dist.clock import TICK, TICK_BITS
from sparseprop_dist.description import Network
from sparseprop_dist.engine.session import Session
from sparseprop_dist.errors import InputError
from sparseprop_dist.exchange import Alone
from sparseprop_dist.inputs import SpikeTrains
from sparseprop_dist.jit import ENABLED
from sparseprop_dist.models.intfire1 import IntFire1
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.lif_psc_exp import LIFPscExp
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.partition import partition
from sparseprop_dist.recorder import Recorder
from sparseprop_dist.recordings import Grid, Recording, quantities, tick_at
from sparseprop_dist.rules import OneToOne
from sparseprop_dist.sampling import Counts, Memory, ticks_from

UNTIL = 60.0 if ENABLED else 4.0
"""ms, of the runs of whole networks."""
MODULE = __import__("importlib").import_module("sparseprop_dist.preparation")


# --- closed forms -------------------------------------------------------------------------------------------------------------------


@pytest.mark.kernels
def test_V_of_a_leaky_neuron() -> None:
    """Decay towards V_inf = E_L + I_e tau_m / C_m, from the first row, which is time 0, to the last, which is the end."""
    network = Network()
    network.add_population("n", 3, LIF(tau_m=[10.0, 20.0, 3.7], I_e=[0.0, 150.0, -500.0], V_m=[-60.0, -58.0, -75.0]))
    network.record("V", "n", every=0.1)
    found = run(network, 40.0).recordings["n.V"]
    assert np.array_equal(found.times, 0.1 * np.arange(401))
    tau, V_inf = np.array([10.0, 20.0, 3.7]), -70.0 + np.array([0.0, 150.0, -500.0]) * [10.0, 20.0, 3.7] / 250.0
    expected = V_inf + ([-60.0, -58.0, -75.0] - V_inf) * np.exp(-found.times[:, None] / tau)
    assert np.abs(found.values - expected).max() < 1e-12
    assert (found.what, found.unit, found.populations, found.ids.tolist()) == ("V", "mV", ("n",), [0, 1, 2])


@pytest.mark.kernels
def test_V_of_a_neuron_that_fires_and_rests() -> None:
    """From V_reset to V_th, where it fires, and at V_reset while it is refractory."""
    network = Network()
    network.add_population("n", 1, LIF(tau_m=10.0, E_L=0.0, I_e=750.0, V_th=20.0, V_reset=5.0, V_m=5.0, t_ref=3.0))
    network.record("V", "n", every=0.25)
    found = run(network, 50.0)
    V_inf = 30.0
    wait = 10.0 * math.log((V_inf - 5.0) / (V_inf - 20.0))
    spikes = np.arange(1, 5) * wait + np.arange(4) * 3.0
    assert np.abs(found.spikes.times - spikes).max() < 1e-9
    phase = found.recordings["n.V"].times % (wait + 3.0)
    expected = np.where(phase <= wait, V_inf + (5.0 - V_inf) * np.exp(-phase / 10.0), 5.0)
    assert np.abs(found.recordings["n.V"].values[:, 0] - expected).max() < 1e-9


@pytest.mark.kernels
def test_V_of_a_perfect_integrator_and_of_intfire1() -> None:
    network = Network()
    network.add_population("perfect", 1, LIF(tau_m=math.inf, I_e=100.0, V_m=-68.0))
    network.add_population("one", 1, IntFire1(tau=8.0, m=0.75))
    network.record("V", "perfect", every=1.0, stop=20.0)
    network.record("V", "one", times=[0.0, 2.0, 16.0])
    found = run(network, 20.0).recordings
    assert np.abs(found["perfect.V"].values[:, 0] - (-68.0 + 0.4 * np.arange(21))).max() < 80 * 2.0**-45  # half a quantum a slab
    assert np.abs(found["one.V"].values[:, 0] - 0.75 * np.exp(-np.array([0.0, 2.0, 16.0]) / 8.0)).max() < 1e-14
    assert found["one.V"].unit == "1"


@pytest.mark.kernels
def test_V_of_quadratic_neurons() -> None:
    """tan for I > 0, tanh for I < 0, 1/(1/V - t) for I = 0; over spikes through infinity."""
    network = Network()
    network.add_population("n", 3, QIF(tau_m=10.0, I=[1.0, -1.0, 0.0], V_m=[-0.3, 0.3, 0.04]))
    network.record("V", "n", every=0.5)
    found = run(network, 100.0)
    x = found.recordings["n.V"].times / 10.0
    values = found.recordings["n.V"].values
    assert len(found.spikes) == 3
    turned = math.atan(-0.3) + x
    near = np.abs(np.cos(turned)) > 0.05  # V within 20; at infinity the arctangent is compared instead
    assert np.abs(values[near, 0] - np.tan(turned[near])).max() < 1e-9
    assert np.abs(np.sin(np.arctan(values[:, 0]) - turned)).max() < 1e-11
    assert np.abs(values[:, 1] - np.tanh(math.atanh(0.3) - x)).max() < 1e-12
    assert np.abs(values[:, 2] - 1.0 / (25.0 - x)).max() < 1e-12


@pytest.mark.kernels
@pytest.mark.parametrize("schedule", ["slab", "ordered", "instant"])
def test_currents_are_sums_of_exponentials(schedule: str) -> None:
    """Over resets and refractory periods, which they do not know of; at an input, that before it."""
    draw, until = np.random.default_rng(5), 40.0
    excitation, inhibition = (np.sort(draw.uniform(0.0, until, 40)) for _ in range(2))
    network = Network()
    network.add_population("n", 2, LIFPscExp(I_e=[350.0, 0.0], tau_syn_ex=[1.7, 10.0], tau_syn_in=[4.1, 0.6]))
    network.add_population("m", 1, LIF())
    for inputs, each in ((excitation, [300.0, 500.0]), (inhibition, [-200.0, -90.0])):
        network.add_input("n", SpikeTrains(np.repeat(inputs, 2), np.tile([0, 1], len(inputs))), weight=each, delay=0.5)
    at_inputs = np.concatenate([excitation, inhibition]) + 0.5
    times = np.unique([*at_inputs[at_inputs < until], *draw.uniform(0.0, until, 200), 0.0, until])
    for what in ("I_syn_ex", "V", "I_syn_in"):
        network.record(what, "n", times=times)
    network.record("V", "m", every=1.0)
    found = run(network, until, schedule=schedule)
    assert len(found.spikes) > 4
    for name, inputs, weights, taus in (
        ("I_syn_ex", excitation, (300.0, 500.0), (1.7, 10.0)),
        ("I_syn_in", inhibition, (-200.0, -90.0), (4.1, 0.6)),
    ):
        age = times[:, None] - np.rint((inputs + 0.5) / TICK) * TICK
        assert (np.abs(age) < 1e-9).sum() > 30, "samples at inputs"
        recorded = found.recordings[f"n.{name}"]
        for neuron, (weight, tau) in enumerate(zip(weights, taus, strict=True)):
            expected = np.where(age > TICK / 2, weight * np.exp(-np.maximum(age, 0.0) / tau), 0.0).sum(axis=1)
            assert np.abs(recorded.values[:, neuron] - expected).max() < 1e-9
        assert recorded.unit == "pA"


def test_currents_that_a_model_does_not_have_are_refused() -> None:
    network = Network()
    network.add_population("n", 2, LIFPscExp())
    network.add_population("m", 1, LIF())
    with pytest.raises(InputError, match=r'"?I_syn_ex.* of population "m" cannot be recorded; known are V, count'):
        network.record("I_syn_ex", ["n", "m"], every=1.0)
    with pytest.raises(InputError, match=r'I_syn_exc.* of population "n" cannot be recorded.*did you mean.*I_syn_ex'):
        network.record("I_syn_exc", "n", every=1.0)


# --- the convention: just before the events of the tick -----------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("delay", [0.0, 1.5])
def test_a_value_at_an_event_is_the_one_before_it(delay: float) -> None:
    """An arrival, the spike that it makes, and the end of the refractory period, each at a sample and next to it."""
    network = Network()
    network.add_population("n", 2, LIF(E_L=0.0, V_th=1.0, V_reset=-0.5, V_m=0.0, t_ref=2.0))
    network.connect("n", "n", OneToOne(), weight=-1.0, delay=delay or 0.5)
    network.add_input("n", SpikeTrains([5.0, 5.0], [0, 1]), weight=[0.5, 1.5], delay=delay)
    at = 5.0 + delay
    network.record("V", "n", times=[at - 0.001, at, at + 0.001, at + 2.0, at + 2.001])
    found = run(network, 20.0)
    assert found.spikes.times.tolist() == [at]
    one, other = found.recordings["n.V"].values.T
    decay = np.exp(-np.array([0.0, 0.001, 2.0, 2.001]) / 10.0)
    assert np.abs(one - [0.0, *([0.0, *0.5 * decay[1:]])]).max() < 1e-13  # quanta of 8e-15 mV
    assert np.abs(other - [0.0, 0.0, -0.5, -0.5, -0.5 * decay[1]]).max() < 1e-13


def test_a_spike_at_the_edge_of_two_bins_is_in_the_later_one() -> None:
    """0.3 is not a whole number of ticks, and 3 times 0.1 is not 0.3: edges and spikes are rounded to ticks alike."""
    times = 0.1 * np.arange(1, 40)
    network = Network()
    network.add_population("n", 1, LIF(E_L=0.0, V_th=1.0, V_reset=0.0, V_m=0.0, t_ref=0.0))
    network.add_input("n", SpikeTrains(times, np.zeros(39, int)), weight=2.0)
    network.record("count", "n", bin=0.1)
    found = run(network, 4.0).recordings["n.count"]
    assert found.values[:, 0].tolist() == [0] + [1] * 39
    assert found.ids is None


def test_V_at_own_spikes() -> None:
    """V_th where V comes there by itself, also where a float64 does not tell ticks apart; V before the input that makes it fire."""
    network = Network()
    network.add_population("own", 3, LIF(E_L=0.0, I_e=[0.0, 750.0, 900.0], V_th=20.0, V_reset=5.0, V_m=5.0, t_ref=3.0))
    network.add_population("driven", 1, LIF(E_L=0.0, V_th=1.0, V_reset=0.0, V_m=0.5, t_ref=0.0))
    network.add_input("driven", SpikeTrains([2.0, 7.0], [0, 0]), weight=2.0)
    network.record("count", ["own"], bin=1.0)
    found = at_spikes(network, "V", ["driven", "own"], 9000.0, neurons=[0, 3, 1])
    plain = run(network, 9000.0).spikes
    of_those = plain.ids != 1
    assert found.times.tobytes() == plain.times[of_those].tobytes()
    assert found.ids.tobytes() == plain.ids[of_those].tobytes()
    own = found.ids == 2
    assert found.times[own].max() > 8990.0
    assert np.abs(found.values[own & (found.times < 8192.0)] - 20.0).max() < 1e-11  # half a tick
    assert np.abs(found.values[own] - 20.0).max() < 3e-11
    assert np.abs(found.values[found.ids == 3] - [0.5 * math.exp(-0.2), 0.0]).max() < 1e-13
    assert (found.what, found.unit, len(network.recordings)) == ("V", "mV", 1)
    silent = at_spikes(network, "V", "own", 50.0, neurons=[0])
    assert len(silent.values) == len(silent.times) == len(silent.ids) == 0


def test_values_at_own_spikes_are_written(tmp_path: Path) -> None:
    """To Zarr, that of Dask too; and never over something."""
    network, path = with_currents(3), tmp_path / "at_spikes.zarr"
    name = network.populations[0].name
    found = at_spikes(network, "I_syn_ex", name, UNTIL, output=path)
    read = AtSpikes.load(path)
    assert (read.what, read.unit) == ("I_syn_ex", "pA")
    assert all((getattr(read, key) == getattr(found, key)).all() for key in ("times", "ids", "values"))
    assert (dask.array.from_zarr(str(path), component="I_syn_ex").compute() == found.values).all()
    with pytest.raises(InputError, match=r"at_spikes.zarr\" exists already; give another output, or move it away"):
        at_spikes(network, "V", name, UNTIL, output=path)
    with pytest.raises(InputError, match=r"missing.zarr\" has no values at spikes .*; give the output of at_spikes"):
        AtSpikes.load(tmp_path / "missing.zarr")
    empty = at_spikes(network, "V", name, 0.001, output=tmp_path / "none.zarr")
    assert len(AtSpikes.load(tmp_path / "none.zarr").values) == len(empty.values) == 0


@pytest.mark.parametrize("network", [with_currents(3), without_delay(3)], ids=["currents", "without delay"])
def test_values_at_own_spikes_are_those_of_a_recording(network: Network) -> None:
    spikes = run(network, UNTIL).spikes
    name = network.populations[0].name
    gids = network.gids(name)
    for what in quantities(network.populations[0].model):
        found = at_spikes(network, what, name, UNTIL)
        assert len(found.times) == (spikes.ids < gids.stop).sum() > 10
        dense = recording(network, functools.partial(Network.record, what=what, target=name, times=np.unique(found.times), name="x"))
        recorded = run(dense, UNTIL).recordings["x"]
        rows = np.searchsorted(recorded.times, found.times)
        assert found.values.tobytes() == recorded.values[rows, found.ids - gids.start].tobytes()


# --- the oracle ---------------------------------------------------------------------------------------------------------------------


def oracle_potentials(network: Network, times: np.ndarray, until: float) -> np.ndarray:
    """V of all neurons at sorted times, before the events of their ticks."""
    lowered = lower(network)
    neurons = list(neurons_of(lowered))
    events = [(tick * oracle.TICK, *rest) for tick, *rest in poisson_events(whole(network), until)]
    running = oracle._Network(neurons, list(synapses_of(lowered)))
    for i in range(len(neurons)):
        running.foresee_crossing(i, 0)
    for ms, gid in zip(*MODULE._trains(lowered), strict=True):
        running.emit(oracle.to_ticks(ms), oracle.NO_TRIGGER, int(gid), 0)
    for position, (ms, target, weight, index) in enumerate(events):
        running.push(oracle.to_ticks(ms), oracle.POISSON, (index, position), int(target), float(weight))
    rows = []
    for tick in map(oracle.to_ticks, times):
        while running.heap and running.heap[0][0] < tick:
            running.next_event()
        rows.append([_oracle_V(running, i, tick) for i in range(len(neurons))])
    return np.array(rows)


def _oracle_V(running: Any, i: int, tick: int) -> float:
    neuron = running.neurons[i]
    resting = running.since[i] >= tick and running.fired[i] >= 0 and running.since[i] > 0
    return neuron.V_reset if resting else neuron.later(running.state[i], (tick - running.since[i]) * oracle.TICK)


def networks() -> list[tuple[str, Network]]:
    cases = [random_case(31, preset) for preset in ("driven", "ties_few", "poisson", "refractory_input", "no_refractory")]
    found = [(case.name, network_of(case)) for case in cases]
    found.append(("with_delays", network_of(with_delays(random_case(32, "ties_few")), "mixed")))
    return found + [(name, DESCRIBED[name](5)) for name in ("brunel", "drawn", "mixed", "restless")]


NETWORKS = networks()


@pytest.mark.kernels
@pytest.mark.parametrize("network", [network for _, network in NETWORKS], ids=[name for name, _ in NETWORKS])
def test_V_is_that_of_the_oracle(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any times, and at ticks at which something arrives."""
    monkeypatch.setattr(recorder, "CROWD", 0)  # the slab schedule replays neurons that are read; below it also ends pieces
    until = min(UNTIL, 40.0)
    ticks = [event[0] for event in poisson_events(whole(network), until)][:150]
    trains = MODULE._trains(lower(network))[0]
    times = [*np.random.default_rng(1).uniform(0.0, until, 150), *(np.array(ticks) * TICK), *trains[trains < until][:150], 0.0, until]
    recorded = recording(
        network, *(functools.partial(Network.record, what="V", target=name, times=np.unique(times)) for name in neuron_names(network))
    )
    found = run(recorded, until).recordings.values()
    expected = oracle_potentials(network, np.unique(times), until)
    for own in found:
        assert np.abs(own.values - expected[:, own.ids]).max() < 1e-9
    assert sum(len(own.ids) for own in found) == network.n_neurons


# --- nothing is disturbed, and nothing matters --------------------------------------------------------------------------------------


ALL = [*NETWORKS, ("without delay", without_delay(2)), ("currents", with_currents(2))]


@pytest.mark.parametrize("network", [network for _, network in ALL], ids=[name for name, _ in ALL])
def test_no_spike_is_changed_and_no_value_depends_on_how_it_is_run(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(network, UNTIL).spikes
    recorded = everything(network)
    bulk = MODULE.in_bulk(network)
    ways: list[dict[str, Any]] = [{}, {"window": 0.29}, {"schedule": "ordered", "window": 3.3}, {"schedule": "instant"}]
    runs = [run(recorded, UNTIL, **way) for way in ways]
    monkeypatch.setattr(recorder, "CROWD", 0)
    runs += [run(recorded, UNTIL, **way) for way in ways[:2]]
    assert bulk == (MODULE.schedule_of(network, "auto") == "slab")
    for found in runs:
        assert found.spikes.times.tobytes() == plain.times.tobytes()
        assert found.spikes.ids.tobytes() == plain.ids.tobytes()
        for name, own in found.recordings.items():
            assert own.values.tobytes() == runs[0].recordings[name].values.tobytes(), name
    assert len(runs[0].recordings) == len(recorded.recordings) >= 5


def test_rows_of_a_recording_do_not_depend_on_which_are_asked_for() -> None:
    """Columns in the order asked for, times in any density."""
    network = DESCRIBED["brunel"](6)
    dense = recording(network, lambda twin: twin.record("V", ["exc", "inh"], every=0.25))
    sparse = recording(network, lambda twin: twin.record("V", ["inh", "exc"], every=2.5, start=5.0, neurons=[40, 3, 11]))
    one, other = (run(net, UNTIL).recordings.popitem()[1] for net in (dense, sparse))  # type: ignore[attr-defined]
    assert other.ids.tolist() == [40 - 12, 48 + 3, 48 + 11]
    assert np.array_equal(other.values, one.values[20::10][:, other.ids])


@pytest.mark.parametrize(("block", "chunk"), [(1, 1), (100, 7), (600, 64), (5000, 4000)])
def test_chunks_do_not_matter(block: int, chunk: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network = everything(DESCRIBED["mixed"](5))
    expected = run(network, 10.0).recordings
    monkeypatch.setattr(sampling, "BLOCK", block)
    monkeypatch.setattr(sampling, "CHUNK", chunk)
    for output in (None, tmp_path / "run") if block > 1 else (None,):
        found = run(network, 10.0, output=output).recordings
        for name, own in expected.items():
            assert found[name].values.tobytes() == own.values.tobytes()


def test_the_origin_of_ticks_may_move(monkeypatch: pytest.MonkeyPatch) -> None:
    network = everything(DESCRIBED["brunel"](5))
    expected = run(network, UNTIL).recordings
    monkeypatch.setattr(MODULE, "Session", functools.partial(Session, origin_span=3 << TICK_BITS))
    found = run(network, UNTIL).recordings
    for name, own in expected.items():
        assert found[name].values.tobytes() == own.values.tobytes()


def test_one_kernel_reads_all_kinds_of_neurons_at_any_moment() -> None:
    """A session that was advanced by hand, of two records; on a rank, the 30 LIF neurons are before the QIF neurons."""
    network = without_delay(4)
    part = whole(network)
    session = Session(part, MODULE.instant, part.piece_bits, np.empty(0), np.empty(0, np.int32))
    network.record("V", "q", times=[3.3], neurons=[39, 0])
    sink = Memory()
    recorder_ = Recorder(Alone(), network, partition(network, 1), lambda gids: gids + 30, 5.0, {"q.V": sink})
    session.advance(tick_at(3.3))
    recorder_.read(session)
    ((row, column, values),) = sink.parts
    assert (row, column, values.shape) == (0, 0, (1, 2))
    assert np.array_equal(values, run(network, 5.0).recordings["q.V"].values)


# --- counts -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["brunel", "mixed", "restless"])
@pytest.mark.parametrize(("width", "start", "stop"), [(0.1, 0.0, None), (1.5, 0.0, None), (7.0, 3.2, 31.0), (0.013, 11.0, 11.4)])
def test_counts_are_those_of_a_histogram(name: str, width: float, start: float, stop: float | None) -> None:
    network = DESCRIBED[name](7)
    names = neuron_names(network)[::-1]
    network.record("count", names, bin=width, start=start, stop=stop)
    found = run(network, 60.0)
    (counts,) = found.recordings.values()
    n = math.floor(((60.0 if stop is None else stop) - start) / width + 1e-9)
    assert np.array_equal(counts.times, start + width * np.arange(n))
    edges = [tick_at(start + width * k) * TICK for k in range(n + 1)]
    for column, population in enumerate(names):
        gids = network.gids(population)
        own = found.spikes.times[(found.spikes.ids >= gids.start) & (found.spikes.ids < gids.stop) & (found.spikes.times < edges[-1])]
        assert counts.values[:, column].tolist() == np.histogram(own, edges)[0].tolist()
    assert counts.values.dtype == np.int64
    assert counts.values.sum() > 0 or width == 0.013


def test_counts_without_spikes_kept() -> None:
    network = DESCRIBED["brunel"](7)
    network.record("count", ["exc", "inh"], bin=60.0)
    found = run(network, 60.0, record=False)
    assert found.spikes is None
    assert found.recordings["exc+inh.count"].values.sum() == found.summary["spikes"] > 0


@given(
    st.floats(0.0, 1e7), st.floats(1e-6, 1e3), st.lists(st.integers(0, 1 << 53), max_size=20), st.integers(0, 1 << 22), st.integers(1, 40)
)
def test_bins_of_any_width(start: float, step: float, offsets: list[int], ms: int, n: int) -> None:
    """Each spike is in the bin between whose edges, in ticks, it is: in exact integers, also where floats cannot tell."""
    origin = ms << TICK_BITS
    around = [tick_at(start + k * step) - origin + shift for k in range(0, n, 7) for shift in (-1, 0, 1)]
    times = np.array([time for time in sorted([*offsets, *around]) if 0 <= time < 1 << 60], np.int64)
    counts = Counts(Alone(), Memory(), Grid(n, start, step), [range(3)])
    for time, found in zip(times.tolist(), counts._bins(times, origin).tolist(), strict=True):
        assert tick_at(start + found * step) <= origin + time < tick_at(start + (found + 1) * step)


@given(st.lists(st.floats(0.0, 4e6), min_size=1), st.integers(0, 1 << 21))
def test_ticks_from_an_origin(ms: list[float], whole_ms: int) -> None:
    origin = (whole_ms << TICK_BITS) + 12345
    assert ticks_from(np.array(ms), origin).tolist() == [tick_at(time) - origin for time in ms]


@given(st.floats(0.0, 100.0), st.floats(0.01, 50.0), st.floats(0.0, 1000.0))
def test_a_grid_ends_at_its_stop(start: float, step: float, length: float) -> None:
    """The last sample is not after the end, the next one is."""
    grid = Recording("x", "V", ("n",), every=step, start=start).grid(start + length)
    assert tick_at(grid.ms(grid.n - 1)) <= tick_at(start + length) < tick_at(grid.ms(grid.n))
    assert grid.ms(0) == start


@pytest.mark.parametrize(("step", "until", "n"), [(0.1, 0.3, 4), (0.1, 1000.0, 10_001), (0.7, 4.9, 8), (1.0, 1.0, 2), (5.0, 3.0, 1)])
def test_regular_samples(step: float, until: float, n: int) -> None:
    assert Recording("x", "V", ("n",), every=step).grid(until).n == n


# --- on disk ------------------------------------------------------------------------------------------------------------------------


def test_files_are_read_by_other_tools(tmp_path: Path) -> None:
    import xarray

    network = everything(DESCRIBED["brunel"](5))
    kept = run(network, 10.0).recordings
    written = run(network, 10.0, output=tmp_path / "run").recordings
    assert set(kept) == set(written) == {recording.name for recording in network.recordings}
    for name, own in kept.items():
        found = written[name]
        for values, expected in ((found.values, own.values), (found.times, own.times), (found.to_dask().compute(), own.values)):
            assert values.tobytes() == expected.tobytes()
        assert (found.what, found.unit, found.populations) == (own.what, own.unit, own.populations)
        assert (found.ids is own.ids is None) or np.array_equal(found.ids, own.ids)
        assert np.array_equal(own.to_dask().compute(), own.values)
    path = tmp_path / "run" / "recordings.zarr"
    group: Any = zarr.open_group(str(path), mode="r")
    assert np.array_equal(group["exc+inh.V/V"][:], kept["exc+inh.V"].values)
    frame = xarray.open_zarr(str(path), group="half", consolidated=False)
    assert frame.V.dims == ("time", "id")
    assert np.array_equal(frame.V.sel(id=kept["half"].ids[3], time=3.3), kept["half"].values[1, 3])
    assert frame.V.attrs["units"] == "mV"
    counts = xarray.open_zarr(str(path), group="few bins", consolidated=False)
    assert counts["count"].dims == ("time", "population")
    assert (counts.attrs["populations"], counts.attrs["bin"]) == (["inh", "exc"], 2.7)


def test_what_a_run_did_not_reach_is_marked(tmp_path: Path) -> None:
    """A run that was killed leaves tables of full size, with nan and -1 where there is nothing."""
    network = everything(DESCRIBED["brunel"](5))
    run(network, 10.0, output=tmp_path / "run")
    for folder in (tmp_path / "run" / "recordings.zarr").glob("*/*/c"):
        if folder.parent.name in ("V", "count"):
            shutil.rmtree(folder)
    for found in tables.recordings(tmp_path / "run").values():
        lost = np.isnan(found.values) if found.what == "V" else found.values == -1
        assert lost.all()
        assert len(found.times) == len(found.values)


def test_a_run_without_recordings_has_none(tmp_path: Path) -> None:
    found = run(DESCRIBED["brunel"](5), 5.0, output=tmp_path / "run")
    assert dict(found.recordings) == {}
    assert not (tmp_path / "run" / "recordings.zarr").exists()


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    run(everything(DESCRIBED["brunel"](5)), 10.0, output=tmp_path / "run")
    (tmp_path / "run" / "recordings.zarr" / "half" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r'recordings\.zarr" is damaged .*run again'):
        tables.recordings(tmp_path / "run")


# --- TOML ---------------------------------------------------------------------------------------------------------------------------

TOML = """
populations.exc = { size = 5, model = "lif", V_m = -60.0 }
populations.inh = { size = 2, model = "lif" }
[[recordings]]
what = "V"
target = "exc"
every = 0.1
[[recordings]]
what = "V"
target = ["inh", "exc"]
times = [0, 2.5]
neurons = [6, 0]
name = "two"
[[recordings]]
what = "count"
target = "inh"
bin = 1
start = 2.0
stop = 4.0
[run]
until = 10.0
"""


def test_toml_is_the_twin_of_python() -> None:
    network = Network()
    exc = network.add_population("exc", 5, LIF(V_m=-60.0))
    inh = network.add_population("inh", 2, LIF())
    network.record("V", exc, every=0.1)
    network.record("V", [inh, exc], times=[0, 2.5], neurons=[6, 0], name="two")
    network.record("count", "inh", bin=1, start=2.0, stop=4.0)
    found = config.loads(TOML)
    assert found.network == network
    written = config.dumps(found)
    assert config.loads(written) == found
    assert config.dumps(config.loads(written)) == written
    network.recordings.pop()
    assert found.network != network
    assert run(found.network, 10.0).recordings["inh.count"].values.tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("every = 0.1", "evry = 0.1", 'the key "evry" in [[recordings]] number 1 is unknown; did you mean "every"?'),
        ("every = 0.1", "every = '1'", "[[recordings]] number 1: every is '1' (a string); give a number in ms"),
        ('what = "V"\n', "", '[[recordings]] number 1 lacks the key "what"'),
        ('target = "exc"', 'target = "ex"', '[[recordings]] number 1: there is no population "ex"; did you mean "exc"?'),
        ("[[recordings]]\nwhat = \"V\"\ntarget = \"exc\"\nevery = 0.1\n", "recordings = 3\n", "give tables, each headed [[recordings]]"),
    ],
)  # fmt: skip
def test_mistakes_in_toml(old: str, new: str, said: str) -> None:
    text = TOML.replace(old, new, 1)
    if "recordings = 3" in new:
        text = f"{new}populations.exc = {{ size = 1, model = 'lif' }}\n"
    with pytest.raises(InputError) as refused:
        config.loads(text)
    assert said in str(refused.value)


# --- refusals -----------------------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("V", "ex"), {"every": 1.0}, 'there is no population "ex"; did you mean "exc"?'),
    (("V", []), {"every": 1.0}, "is given for a population; give one, its name, or a list of these"),
    (("v", "exc"), {"every": 1.0}, "'v' (a string) of population \"exc\" cannot be recorded; known are V, count"),
    (("I_syn_ex", "exc"), {"every": 1.0}, "'I_syn_ex' (a string) of population \"exc\" cannot be recorded; known are V, count"),
    ((["V"], "exc"), {"every": 1.0}, "['V'] (a list) of population \"exc\" cannot be recorded; known are V, count"),
    (("cont", "exc"), {"bin": 1.0}, "cannot be recorded; did you mean \"count\"?"),
    (("count", "src"), {"bin": 1.0}, 'population "src" only sends given spikes; nothing of it can be recorded'),
    (("V", ["exc", "qif"]), {"every": 1.0}, "one recording has one unit, but V has several (exc: mV, qif: none); record"),
    (("V", "exc"), {}, 'recording "exc.V" samples V, but neither is given; give either every (ms) or times (ms)'),
    (("V", "exc"), {"every": 1.0, "times": [1.0]}, "but every and times is given; give either every (ms) or times (ms)"),
    (("V", "exc"), {"bin": 1.0}, "but bin is given; give either every (ms) or times (ms)"),
    (("V", "exc"), {"times": [1.0], "start": 1.0}, "times are given, so start and stop mean nothing; leave them out"),
    (("count", "exc"), {}, 'recording "exc.count" counts spikes in bins; give bin (ms) alone'),
    (("count", "exc"), {"every": 1.0}, "counts spikes in bins, but every is given; give bin (ms) alone"),
    (("count", "exc"), {"bin": 1.0, "neurons": [1]}, "counts spikes in bins, but neurons is given; give bin (ms) alone"),
    (("count", "exc"), {"bin": 0.0}, "bin is 0.0 ms; it must be at least 1e-09 ms"),
    (("count", "exc"), {"bin": -5}, "bin is -5.0 ms; it must be at least 1e-09 ms"),
    (("count", "exc"), {"bin": math.nan}, "bin is nan ms; it must be a finite number"),
    (("count", "exc"), {"bin": [1.0, 2.0]}, "bin is [1.0, 2.0] (a list); give one number in ms"),
    (("V", "exc"), {"every": 1.0, "start": -1.0}, "start is -1.0 ms; it must not be negative"),
    (("V", "exc"), {"every": 1.0, "start": 3.0, "stop": 2.0}, "start is 3.0 ms and stop is 2.0 ms; stop must not be before start"),
    (("V", "exc"), {"times": [-1.0, 2.0]}, "times begins with -1.0 ms; a run begins at 0"),
    (("V", "exc"), {"times": [1.0, 3.0, 2.0]}, "times has 2.0 ms after 3.0 ms; give increasing times, 1e-09 ms apart at least"),
    (("V", "exc"), {"times": [1.0, 1.0]}, "times has 1.0 ms after 1.0 ms; give increasing times"),
    (("V", "exc"), {"times": []}, "times is an empty array"),
    (("V", "exc"), {"times": [1.0, math.inf]}, "times is inf ms for sample 1; it must be a finite number"),
    (("V", "exc"), {"times": "all"}, "times is 'all' (a string)"),
    (("V", "exc"), {"every": 1.0, "neurons": [0, 5]}, "neurons holds 5, but the target pool has 5 neurons; positions count from 0"),
    (("V", "exc"), {"every": 1.0, "neurons": [0, -1]}, "neurons holds -1 at position 1; positions count from 0"),
    (("V", "exc"), {"every": 1.0, "neurons": [2, 0, 2]}, "neurons holds 2 twice; give each position once"),
    (("V", "exc"), {"every": 1.0, "neurons": []}, "neurons is an empty list; give positions in the target pool, or leave it out for all"),
    (("V", "exc"), {"every": 1.0, "neurons": [0.5]}, "give a list of whole numbers, 0-based positions"),
    (("V", "exc"), {"every": 1.0, "name": "a/b"}, "the name of a recording is 'a/b' (a string); give a printable string without /"),
    (("V", "exc"), {"every": 1.0, "name": "__x"}, "without __ at its start"),
    (("V", "exc"), {"every": 1.0, "name": ""}, "the name of a recording is '' (a string)"),
    (("V", "exc"), {"every": 1.0, "name": "taken"}, 'recording "taken" exists already; give each recording its own name'),
]  # fmt: skip


def small() -> Network:
    network = Network()
    network.add_population("exc", 5, LIF())
    network.add_population("qif", 2, QIF())
    network.add_population("src", 2, SpikeTrains([1.0], [0]))
    network.record("V", "exc", every=1.0, name="taken")
    return network


@pytest.mark.parametrize(("given_", "how", "said"), REFUSED, ids=[said[:40] for _, _, said in REFUSED])
def test_refused(given_: tuple[Any, ...], how: dict[str, Any], said: str) -> None:
    network = small()
    with pytest.raises(InputError) as refused:
        network.record(*given_, **how)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(network.recordings) == 1


@pytest.mark.parametrize(
    ("what", "how", "said"),
    [
        ("V", {"times": [1.0, 10.5]}, 'recording "exc.V" has a sample at 10.5 ms, but the run ends at 10 ms; run longer, or leave it out'),
        ("V", {"every": 1.0, "start": 11.0}, 'recording "exc.V" has its start at 11 ms, but the run ends at 10 ms'),
        ("count", {"bin": 1.0, "stop": 11.0}, 'recording "exc.count" has its stop at 11 ms, but the run ends at 10 ms'),
        ("count", {"bin": 11.0}, 'has bins of 11 ms, none of which fits between 0 and 10 ms; give a smaller bin'),
        ("V", {"every": 1e-8}, 'recording "exc.V" would take 40.0 GB'),
    ],
)  # fmt: skip
def test_refused_when_run(what: str, how: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "available_memory", lambda: 10e9)
    monkeypatch.setattr(recorder, "_free_disk", lambda output: 10e9)
    network = small()
    network.record(what, "exc", **how)
    for output in (None, tmp_path / "run"):
        with pytest.raises(InputError) as refused:
            run(network, 10.0, output=output)
        assert said in str(refused.value)
        assert not (tmp_path / "run").exists()


def test_more_than_there_is_room_for() -> None:
    """What is there: memory without an output, else the disk."""
    network = small()
    network.record("V", "exc", every=1e-9, name="much")
    with pytest.raises(InputError, match=r'recording "much" would take 40000\.0 TB, .* write them to a directory, or record fewer'):
        run(network, 1e6)
    with pytest.raises(InputError, match=r"on the disk; record fewer neurons, or less often"):
        run(network, 1e6, output="nowhere/run")


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise InputError("not seen")

    monkeypatch.setattr(tables.RecordingFile, "open", fail)
    network = everything(DESCRIBED["brunel"](5))
    with pytest.raises(InputError, match="not seen"):
        run(network, 10.0, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
