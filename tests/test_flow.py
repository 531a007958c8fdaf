"""Neurons of one variable, V' = F(V): their tables against closed forms and 30 digits, the engine against the oracle and against itself.

As a program, it prints digests of runs; with an argument, of runs on all ranks of the job.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import oracle
import pytest
from mpmath import mpf
from networks import Run, emitted, largest_difference, plain, same_bits, whole
from oracle import TICK, to_ticks

from sparseprop_dist.config import loads
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Uniform
from sparseprop_dist.engine import instant, ordered
from sparseprop_dist.errors import InputError, SimulationError
from sparseprop_dist.exchange import world
from sparseprop_dist.inputs import Poisson, SpikeTrains
from sparseprop_dist.jit import ENABLED, njit
from sparseprop_dist.models import protocol
from sparseprop_dist.models.eif import EIF
from sparseprop_dist.models.flow import MOST_SETS, Flow, OneVariable
from sparseprop_dist.models.flow_record import FlowRecord
from sparseprop_dist.models.flow_sides import positions, potentials
from sparseprop_dist.models.flow_table import CEILING, MOST_ERROR, measured
from sparseprop_dist.models.flow_text import parsed
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.rules import FixedIndegree, Pairs
from sparseprop_dist.simulate import simulate
from sparseprop_dist.toml_text import dumps

SCHEDULES = (instant, ordered)
MOST = 1e-11
"""ms between the engine and the oracle, which integrates to about 1e-12: 11 ticks."""
QUARTIC = "1.5e-4 * (V + 65) * (V + 60) * (V + 55) * (50 + V)"
"""Rests at -65 and -55, and leaves -60 and -50."""
SIGMOID = "(-60 - V) / 12 + 2.4 / (1 + exp(-(V + 52) / 3))"


# --- one neuron, against 30 digits ----------------------------------------------------------------------------------------------------


@njit
def drive(model, times, weights, until, slab, spikes, V):
    """Give neuron 0 inputs at ticks; write its spikes, and its potential before each input, and return the number of spikes."""
    n = k = start = 0
    while start < until:
        after = 0
        while True:
            own = protocol.own_event(model, 0, start, after)
            now = times[k] - start if k < times.size else protocol.NEVER
            if min(own, now) >= slab:
                break
            after = min(own, now) + 1
            if own <= now:
                code = protocol.act(model, 0, start, own)
            else:
                V[k] = protocol.potential(model, 0, start, now)
                code = protocol.receive(model, 0, start, now, weights[k])
                k += 1
            if code == protocol.FIRED:
                spikes[n] = start + after - 1
                n += 1
        protocol.carry(model, 0, 1, start)
        start += slab
    return n


def record_of(model: OneVariable, slab_bits: int = 40, **values: Any) -> FlowRecord:
    """One neuron."""
    given = {name: np.array([float(values.get(name, getattr(model, name)))]) for name in model.quantities}
    return model.record([(model, {**given, "gid": np.arange(1)})], slab_bits)


def of_eif(model: EIF) -> Callable[[Any], Any]:
    """F in the arithmetic of mpmath."""
    tau_m, C_m, E_L, V_T, Delta_T, I_e = (mpf(float(getattr(model, name))) for name in ("tau_m", "C_m", "E_L", "V_T", "Delta_T", "I_e"))
    return lambda V: (E_L + I_e * tau_m / C_m - V + Delta_T * mpmath.exp((V - V_T) / Delta_T)) / tau_m


def of_text(model: Flow) -> Callable[[Any], Any]:
    return lambda V: eval(model.F, {"exp": mpmath.exp, "tanh": mpmath.tanh}, {"V": V})


def elapsed(F: Callable[[Any], Any], start: Any, stop: Any) -> Any:
    """ms from one potential to another."""
    return mpmath.quad(lambda V: 1 / F(V), mpmath.linspace(start, stop, 7))


CASES: dict[str, tuple[OneVariable, Callable[[Any], Callable[[Any], Any]], float, float]] = {
    # model, F, mean and standard deviation of the weights (mV)
    "above": (EIF(I_e=700.0, t_ref=1.0), of_eif, 0.0, 1.0),
    "below": (EIF(I_e=300.0), of_eif, 6.0, 8.0),
    "strong": (EIF(I_e=300.0), of_eif, 0.0, 60.0),
    "steep": (EIF(I_e=400.0, Delta_T=0.2, V_peak=-40.0, t_ref=0.5), of_eif, 2.0, 4.0),
    "ghost": (EIF(I_e=547.0, V_reset=-52.0, V_m=-48.0), of_eif, 0.1, 0.2),
    "quartic": (Flow(QUARTIC, V_th=-40.0, V_reset=-57.0, t_ref=0.0, V_m=-48.0), of_text, 3.0, 4.0),
    "sigmoid": (Flow(SIGMOID, V_th=-40.0, V_reset=-60.0), of_text, 2.0, 6.0),
}


@pytest.mark.kernels
@pytest.mark.parametrize("name", CASES)
def test_one_neuron_against_30_digits(name: str) -> None:
    """Potentials to 1e-13 of V_th - V_reset, crossings to half a tick and 1e-13 ms, through a sequence of inputs."""
    model, make, mean, std = CASES[name]
    draw = np.random.default_rng(len(name))
    times, weights = np.sort(draw.integers(0, to_ticks(50.0), 25)), draw.normal(mean, std, 25)
    spikes, V = np.zeros(1000, np.int64), np.zeros(25)
    n = drive(record_of(model), times, weights, to_ticks(50.0), 1 << 40, spikes, V)
    with mpmath.workdps(30):
        errors, waits = _against_digits(model, make(model), times.tolist(), weights.tolist(), spikes[:n].tolist(), V.tolist())
    assert max(errors) < 1e-13
    assert max(waits, default=0.0) < 0.5 * TICK + 1e-13
    assert n > 0


def _against_digits(model: Any, F: Any, times: list[int], weights: list[float], spikes: list[int], V: list[float]) -> tuple[list, list]:
    """Errors of potentials, relative, and of waits for a spike, ms. Newton's step from what was found is the truth."""
    V_th, V_reset, t_ref = mpf(getattr(model, model.threshold)), mpf(model.V_reset), to_ticks(model.t_ref)
    now, true, free = 0, mpf(model.V_m), 0
    errors, waits, left = [], [], list(spikes)
    for time, weight, found in [*zip(times, weights, V, strict=True), (to_ticks(50.0), None, None)]:
        while left and left[0] < time:
            now = max(now, free)
            waits.append(float(abs(elapsed(F, true, V_th) - (left[0] - now) * mpf(TICK))))
            now, true = left.pop(0), V_reset
            free = now + t_ref
        if weight is None or time < free:
            continue
        now = max(now, free)
        guess = mpf(found)
        true = guess - F(guess) * (elapsed(F, true, guess) - (time - now) * mpf(TICK))
        errors.append(float(abs(true - guess) / max(V_th - V_reset, abs(guess), abs(F(guess)))))
        now, true = time, true + mpf(weight)
        if true >= V_th:
            assert left.pop(0) == time
            true, free = V_reset, now + t_ref
    assert not left
    return errors, waits


@pytest.mark.parametrize(
    ("F", "time", "V_th"),
    [
        ("(-40 - V) / 10", lambda V: -10 * mpmath.log(-40 - V), -55.0),
        ("(-60 - V) / 10", lambda V: -10 * mpmath.log(abs(-60 - V)), -55.0),
        ("(V ** 2 + 2500) / 700", lambda V: 14 * mpmath.atan(V / 50), 90.0),
        ("(V * V - 2500) / 700", lambda V: 7 * mpmath.log(abs((V - 50) / (V + 50))), 90.0),
        ("2.5", lambda V: V / mpf(2.5), -55.0),
        ("exp(-V / 20) / 10", lambda V: 200 * mpmath.exp(V / 20), -55.0),
    ],
)
def test_tables_against_closed_forms(F: str, time: Callable[[Any], Any], V_th: float) -> None:
    """Times between potentials without a zero in between, and back: to 1e-14 of V, or of a ms where the flow is faster."""
    table = Flow(F, V_th=V_th, V_m=-70.0).tabulated(V_th, -70.0)
    V = np.linspace(V_th - 500.0, V_th - 1e-3, 997)
    speed = np.abs(parsed(F)(V))
    for placed in table.pieces:
        low, high = sorted((placed.piece.slow, placed.piece.fast))
        own = (low <= V) & (high > V) & (speed > 1e-6)
        if not own.any():
            continue
        first = 0 if placed.piece.fast == low else -1
        with mpmath.workdps(30):
            exact = [time(mpf(v)) for v in V[own].tolist()]
            X = [table.position(v) for v in V[own].tolist()]
            away = [(x - X[first]) * mpf(TICK) / 2**table.fineness - (t - exact[first]) for x, t in zip(X, exact, strict=True)]
        off, scale = np.array([abs(float(x)) for x in away]), np.maximum(15.0, np.abs(V[own]))
        assert np.minimum(off, off * speed[own] / scale).max() < 1e-14
        back = np.abs(potentials(placed.to_V, positions(placed.to_X, V[own])) - V[own])
        assert np.minimum(back / speed[own], back / scale).max() < 1e-14


@pytest.mark.parametrize(
    "model",
    [
        EIF(),
        EIF(I_e=607.7),
        EIF(I_e=608.6),
        EIF(tau_m=0.01),
        EIF(tau_m=1000.0),
        EIF(Delta_T=0.001, I_e=800.0),
        EIF(Delta_T=30.0, V_peak=200.0),
        EIF(V_peak=-50.39, V_reset=-50.4),
        Flow(SIGMOID),
        Flow(QUARTIC, V_th=-40.0),
        Flow("sin(V) + 1.5", V_th=3.0, V_reset=-3.0, V_m=0.0),
        Flow("tanh(V) - V / 10", V_th=5.0, V_reset=-5.0, V_m=0.0),
        Flow("(-55 - V) / 10"),
        Flow("(-55 + 1e-9 - V) / 10"),
        Flow("(V + 65) / 10", V_m=-65.0),
        Flow("-1 - sqrt(V + 5000) / 1000"),
        Flow(lambda V: 0.05 * (V**4 - 1.0), V_th=4.0, V_reset=-2.0, V_m=0.0),
        Flow(lambda V: (-65 - V) / 10 + 3 / (1 + math.exp(-(V + 50) / 4))),
        Flow(lambda V: np.float64(1.0)),
        Flow(lambda V: 1),
    ],
)
def test_the_error_is_measured(model: OneVariable) -> None:
    assert 0.0 < model.interpolation_error < MOST_ERROR


@pytest.mark.parametrize("name", CASES)
def test_the_measure_finds_a_cell_that_is_wrong(name: str) -> None:
    """By 1e-9 of V, or by as much time as the flow takes for that."""
    model = CASES[name][0]
    given = {key: np.array([getattr(model, key)]) for key in model.quantities}
    table = model.tabulated(*(float(column[0]) for column in model.lines(given)))
    unit, per_ms = float(given[model.threshold][0] - given["V_reset"][0]), math.ldexp(1.0, 40 + table.fineness)
    for placed in table.pieces:
        assert measured(placed, per_ms, unit)[0] <= table.error
        side = placed.to_X
        x = side.cells.left * abs(1.0 / side.scale)
        cell = int(np.argmin(np.abs(np.log(placed.piece.speed(x) / (0.01 * unit)))))
        x = x[cell : cell + 1]
        level = side.level.copy()
        level[cell] += int(1e-9 * max(unit, abs(placed.piece.at(x[0]))) / placed.piece.speed(x)[0] * per_ms)
        assert measured(replace(placed, to_X=replace(side, level=level)), per_ms, unit)[0] > 1e-12
        for k, stretch in enumerate(placed.to_V):
            level = stretch.side.level.copy()
            level[-1] += 1e-9 * max(unit, abs(level[-1]))
            others = [*placed.to_V[:k], replace(stretch, side=replace(stretch.side, level=level)), *placed.to_V[k + 1 :]]
            assert measured(replace(placed, to_V=others), per_ms, unit)[0] > 1e-12


# --- networks, against the oracle -----------------------------------------------------------------------------------------------------


def eif_of(model: EIF, V_m: float) -> oracle.EIF:
    pull = model.E_L + model.I_e * model.tau_m / model.C_m
    return oracle.EIF(model.tau_m, pull, model.V_T, model.Delta_T, model.V_peak, model.V_reset, model.t_ref, V_m)


def function_of(model: Flow, V_m: float) -> oracle.Function:
    F = of_text(model)
    slope = (lambda V: float(F(V))) if isinstance(model.F, str) else model.F
    return oracle.Function(slope, model.V_th, model.V_reset, model.t_ref, V_m)


def lif_of(model: LIF, V_m: float) -> oracle.Neuron:
    return oracle.Neuron(model.tau_m, model.E_L, model.V_th, model.V_reset, model.t_ref, V_m)


POPULATIONS: dict[str, list[Any]] = {
    "eif above": [EIF(I_e=700.0, t_ref=1.0, V_peak=-20.0), EIF(I_e=800.0, t_ref=0.7, Delta_T=1.0, V_peak=-30.0)],
    "eif below": [EIF(I_e=500.0, t_ref=1.0, V_peak=-30.0), EIF(I_e=480.0, t_ref=2.0, tau_m=15.0, V_peak=-30.0)],
    "rests": [
        Flow(QUARTIC, V_th=-46.0, V_reset=-57.0, t_ref=0.5),
        Flow("(-58 - V) / 8", V_th=-52.0, V_reset=-60.0, t_ref=1.0),
        Flow(lambda V: 0.4 + 0.02 * (V + 55.0), V_th=-50.0, V_reset=-60.0, t_ref=1.0),
    ],
}


def network_of(name: str, delay: str, seed: int, size: int = 4) -> tuple[Network, list[Any], list[oracle.Synapse], list, list]:
    """A small network, and the oracle's neurons, synapses and sources."""
    draw, network = np.random.default_rng([len(name), seed]), Network(seed=seed)
    neurons: list[Any] = []
    names = [f"p{k}" for k in range(len(POPULATIONS[name]))]
    for model, population in zip(POPULATIONS[name], names, strict=True):
        V_m = draw.uniform(-62.0, -53.0, size)
        network.add_population(population, size, replace(model, V_m=V_m))
        make: Callable[..., Any] = {EIF: eif_of, Flow: function_of, LIF: lif_of}[type(model)]  # type: ignore[assignment]
        neurons += [make(model, V) for V in V_m.tolist()]
    n, n_in = len(neurons), 5 * len(neurons)
    sources, targets = draw.integers(0, n, n_in), draw.integers(0, n, n_in)
    weights = np.where(draw.random(n_in) < 0.5, -1.0, 1.0) * draw.uniform(0.1, 1.2, n_in)
    split = {"none": n_in, "all": 0, "some": n_in // 2}[delay]
    delays = np.where(np.arange(n_in) < split, 0.0, draw.uniform(0.2, 3.0, n_in))
    for own in (slice(0, split), slice(split, n_in)):
        if own.stop > own.start:
            pairs = Pairs(sources[own], targets[own])
            network.connect(names, names, pairs, weight=weights[own], delay=0.0 if own.start == 0 and split else delays[own])
    synapses = [oracle.Synapse(*row) for row in zip(sources.tolist(), targets.tolist(), weights.tolist(), delays.tolist(), strict=True)]
    times, ids, strength = np.sort(draw.uniform(0.0, 60.0, 12 * n)), draw.integers(0, n, 12 * n), draw.uniform(-4.0, 7.0, n)
    network.add_input(names, SpikeTrains(times, ids), weight=strength)
    synapses += [oracle.Synapse(n + i, i, weight, 0.0) for i, weight in enumerate(strength.tolist())]
    return network, neurons, synapses, times.tolist(), (n + ids).tolist()


@pytest.mark.kernels
@pytest.mark.parametrize("delay", ["none", "all", "some"])
@pytest.mark.parametrize("name", POPULATIONS)
def test_networks_against_the_oracle(name: str, delay: str) -> None:
    for seed in range(3 if ENABLED else 1):
        until = 60.0 if ENABLED else 30.0
        network, neurons, synapses, times, ids = network_of(name, delay, seed)
        assert whole(network).model.__class__.__name__ == "FlowRecord"
        spikes = emitted(network, until, Run(instant))
        assert same_bits(spikes, emitted(network, until, Run(ordered)))
        reference = oracle.simulate(neurons, synapses, until, list(zip(times, ids, strict=True)))
        assert len(reference) > (10 if ENABLED else 5)
        assert largest_difference(plain(spikes), reference, len(neurons)) < MOST


@pytest.mark.parametrize("E_L", [-50.0, -54.0, -70.0])
def test_a_leak_is_the_lif(E_L: float) -> None:
    """The same network of LIF and of `Flow` neurons, for longer than the oracle could."""
    found = []
    V_m = np.random.default_rng(1).uniform(-70.0, -56.0, 40)
    for model in (LIF(E_L=E_L), Flow(f"({E_L} - V) / 10")):
        network = Network(seed=4)
        network.add_population("neurons", 40, replace(model, V_m=V_m))
        network.connect("neurons", "neurons", FixedIndegree(8), weight=-0.317, delay=1.1)
        network.connect("neurons", "neurons", FixedIndegree(2), weight=0.613, delay=0.0)
        network.add_input("neurons", Poisson(2500.0), weight=0.7123)
        network.add_input("neurons", Poisson(500.0), weight=-0.5432)
        found.append(plain(emitted(network, 1000.0, Run(instant))))
    assert len(found[0]) > 400
    assert largest_difference(found[0], found[1], 40) < MOST


def test_distinct_neurons_are_alone_what_they_are_together() -> None:
    """Tables belong to parameter sets, not to who shares a rank with them."""
    given = {"I_e": np.linspace(0.0, 900.0, 12), "tau_m": np.linspace(5.0, 20.0, 12), "V_reset": np.linspace(-65.0, -55.0, 12)}

    def run(own: slice) -> list[np.ndarray]:
        network = Network(seed=1)
        size = len(range(12)[own])
        network.add_population("neurons", size, EIF(t_ref=1.0, **{name: values[own] for name, values in given.items()}))
        times = np.arange(1.0, 80.0, 3.7)
        network.add_input("neurons", SpikeTrains(np.repeat(times, size), np.tile(np.arange(size), len(times))), weight=1.7)
        spikes = emitted(network, 80.0, Run(instant))
        return [spikes["time"][spikes["gid"] == i] for i in range(size)]

    together = run(slice(0, 12))
    assert sum(map(len, together)) > 20
    for i in range(12):
        assert np.array_equal(run(slice(i, i + 1))[0], together[i])


# --- what must not matter -------------------------------------------------------------------------------------------------------------


def busy(seed: int = 0) -> Network:
    """EIF and other flows, above and below, with and without delays, refractoriness shorter and longer than a slab, Poisson inputs."""
    network = Network(seed=seed)
    network.add_population("eif", 30, EIF(I_e=Uniform(300.0, 800.0), t_ref=Uniform(0.01, 3.0), V_m=Uniform(-65.0, -51.0)))
    network.add_population("leaky", 20, Flow("(-54 - V) / 10", V_th=-55.0, V_reset=-70.0, t_ref=2.0, V_m=Uniform(-70.0, -55.0)))
    network.add_population("flow", 30, Flow(QUARTIC, V_th=-45.0, V_reset=-57.0, t_ref=0.2, V_m=Uniform(-59.0, -51.0)))
    names = ["eif", "leaky", "flow"]
    network.connect("eif", names, FixedIndegree(5), weight=0.8, delay=1.3)
    network.connect("flow", names, FixedIndegree(5), weight=-0.7, delay=Uniform(0.6, 3.0))
    network.connect("leaky", names, FixedIndegree(6), weight=0.31, delay=0.0)
    network.connect("eif", names, FixedIndegree(6), weight=-0.27, delay=0.0)
    network.add_input(names, Poisson(800.0), weight=1.1)
    network.add_input(names, Poisson(300.0), weight=-1.3)
    return network


def test_windows_pieces_buffers_and_the_origin() -> None:
    network, until = busy(), 60.0 if ENABLED else 9.0
    expected = emitted(network, until, Run(ordered))
    assert len(set(expected["gid"].tolist())) > 20
    runs = (Run(window=0.37), Run(piece_bits=33), Run(piece_bits=36, window=7.1), Run(capacity=2), Run(origin_span=1, window=0.4))
    for schedule in SCHEDULES:
        for run in runs:
            assert same_bits(emitted(network, until, replace(run, schedule=schedule)), expected), run


def digests() -> dict[str, str]:
    """Of runs of both schedules."""
    return {
        f"{seed}, {schedule.__name__}": hashlib.sha256(repr(plain(emitted(busy(seed), 8.0, Run(schedule)))).encode()).hexdigest()[:16]
        for seed in range(2)
        for schedule in SCHEDULES
    }


def test_plain_python_makes_the_same_bits(solo: Any) -> None:
    other = json.loads(solo([Path(__file__)], 200.0, env={"NUMBA_DISABLE_JIT": "1" if ENABLED else "0"}).stdout)
    assert digests() == other
    assert len(set(other.values())) == 2


def on_ranks() -> list[str]:
    """Of runs on all ranks of the job."""
    found = []
    for seed in range(2):
        spikes = simulate(busy(seed), 8.0).spikes
        found.append(hashlib.sha256(np.array(spikes.times).tobytes() + np.array(spikes.ids).tobytes()).hexdigest()[:16])
    return found


@pytest.mark.mpi
@pytest.mark.long
def test_any_number_of_ranks(mpirun: Any) -> None:
    own = on_ranks()
    assert own[0] != own[1]
    for n in (2, 3):
        assert json.loads(mpirun(n, [Path(__file__), "ranks"], 200.0).stdout) == own


def test_a_long_silence_loses_nothing() -> None:
    """Neurons at rest are where they were: some seconds, and moves of the origin, later they fire after the same time, to a tick."""
    network, late = Network(), 4096.0
    network.add_population("neurons", 3, EIF(I_e=300.0, V_m=[-70.6, -55.0, -62.0]))
    times = np.array([300.0, 301.0, late + 300.0, late + 301.0])
    network.add_input("neurons", SpikeTrains(np.repeat(times, 3), np.tile([0, 1, 2], 4)), weight=9.0)
    spikes = emitted(network, late + 400.0, Run(instant, window=100.0, origin_span=1 << 48))
    assert same_bits(spikes, emitted(network, late + 400.0, Run(ordered)))
    assert spikes["gid"].tolist() == [0, 1, 2, 0, 1, 2]
    assert np.array_equal(spikes["time"][3:], spikes["time"][:3] + to_ticks(late))


# --- single events --------------------------------------------------------------------------------------------------------------------


def fed(model: Any, inputs: list[tuple[float, float]], until: float = 50.0) -> list[float]:
    """Spike times of one neuron with inputs (ms, mV), ms; the same from both schedules."""
    network = Network()
    network.add_population("neuron", 1, model)
    for time, weight in inputs:
        network.add_input("neuron", SpikeTrains([time], [0]), weight=weight)
    spikes = emitted(network, until, Run(instant))
    assert same_bits(spikes, emitted(network, until, Run(ordered)))
    return (spikes["time"] * TICK).tolist()


@pytest.mark.kernels
def test_inputs_are_ignored_while_refractory_and_count_at_its_end() -> None:
    model = Flow("(-65 - V) / 10", V_th=-50.0, V_reset=-60.0, t_ref=2.0, V_m=-65.0)
    assert fed(model, [(1.0, 20.0), (2.999, 20.0)]) == [1.0]
    assert fed(model, [(1.0, 20.0), (3.0, 10.0)]) == [1.0, 3.0]
    assert fed(model, [(1.0, 20.0), (3.0, 9.9)]) == [1.0]
    assert fed(model, [(1.0, 20.0), (2.5, -100.0), (3.0, 10.0)]) == [1.0, 3.0]


@pytest.mark.kernels
def test_thresholds_that_are_reached_exactly() -> None:
    """Inputs that add up to threshold fire although each is rounded, as in the LIF; one that falls short by 1e-9 does not."""
    model = Flow("(-65 - V) / 10", V_th=-50.0, V_reset=-65.0, t_ref=0.0, V_m=-65.0)
    for weights in ([15.0], [7.5, 7.5], [4.1, 5.3, 5.6], [-3.0, 18.0]):
        assert fed(model, [(1.0, weight) for weight in weights]) == [1.0]
        assert fed(model, [(1.0, weights[0] - 1e-9), *((1.0, weight) for weight in weights[1:])]) == []


@pytest.mark.kernels
def test_from_a_rest_it_fires_by_inputs_alone() -> None:
    model = Flow("(-55 - V) / 10")  # V_th: approached for ever
    assert fed(model, [(20.0, -1e-6)]) == []
    assert fed(model, [(20.0, 1e-6), (45.0, 0.0)]) == []
    assert fed(model, [(20.0, 6.0)]) == [20.0]
    assert fed(replace(model, V_m=-55.0), []) == [0.0]
    assert fed(EIF(V_m=-44.0), [])[0] < 10.0, "above the unstable rest"
    assert fed(EIF(V_m=-46.0), []) == []
    assert len(fed(EIF(I_e=300.0, V_m=-50.0, V_reset=-44.0, t_ref=1.0), [(5.0, 20.0)])) > 10, "reset above it"


@pytest.mark.kernels
def test_an_input_near_the_peak() -> None:
    """From where less than a tick is left the spike comes at the next tick, whatever V_peak is."""
    for V_peak in (0.0, 60.0, 1e4):
        model = EIF(V_peak=V_peak)
        assert fed(model, [(1.0, V_peak + 70.59)]) == [1.0 + TICK]
        assert fed(model, [(1.0, V_peak + 71.0)]) == [1.0]


@pytest.mark.kernels
def test_strong_inhibition_is_recovered_from() -> None:
    """4,000 times V_th - V_reset below, and back by the flow: a time that is known."""
    model = Flow("(-45 - V) / 10", V_th=-55.0, V_reset=-70.0, V_m=-70.0)
    (one, *_), depth = fed(model, [(1.0, -4000.0 * 15.0)], 100.0), 25.0 * math.exp(-0.1) + 4000.0 * 15.0
    assert one == pytest.approx(1.0 + 10.0 * math.log(depth / 10.0), abs=1e-12, rel=0)


@pytest.mark.kernels
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("model", [EIF(t_ref=1.0), Flow(QUARTIC, V_th=-45.0, V_reset=-57.0, V_m=-56.0), Flow("(V + 60) / 10", V_m=-59.0)])
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_what_falls_below_the_tables_ends_the_run(schedule: Any, model: Any, delay: float) -> None:
    network = Network()
    network.add_population("neurons", 3, model)
    network.add_population("source", 1, LIF(V_m=0.0, t_ref=100.0))
    network.connect("source", "neurons", Pairs([0] * 4, [1] * 4), weight=-1e5, delay=delay)
    with pytest.raises(SimulationError, match="neuron 1 overflowed"):
        emitted(network, 20.0, Run(schedule))


def test_a_flow_that_runs_away_ends_the_run() -> None:
    network = Network()
    network.add_population("neurons", 2, Flow("(V + 60) / 10", V_m=[-60.0, -70.0], V_th=-50.0))
    with pytest.raises(SimulationError, match="neuron 1 overflowed"):
        emitted(network, 200.0, Run(instant))


# --- text and bad input ---------------------------------------------------------------------------------------------------------------


def test_functions_of_expressions() -> None:
    x = np.concatenate([np.random.default_rng(1).uniform(-30.0, 30.0, 500), [0.0, 1e-9, -1e-3, 600.0, -600.0]])
    for name, exact in (("exp", mpmath.exp), ("sin", mpmath.sin), ("cos", mpmath.cos), ("tanh", mpmath.tanh)):
        with mpmath.workdps(30):
            true = np.array([float(exact(mpf(v))) for v in x.tolist()])
        assert np.abs(parsed(f"{name}(V)")(x) - true).max() <= 6e-16 * np.maximum(1.0, np.abs(true)).max()
        assert (np.abs(parsed(f"{name}(V)")(x) - true) <= 6e-16 * np.maximum(np.abs(true), name in ("sin", "cos"))).all()
    y = np.abs(x) + 1e-3
    assert parsed("log(V)")(y) == pytest.approx(np.log(y), rel=1e-14, abs=1e-15)
    assert np.array_equal(parsed("sqrt(V)")(y), np.sqrt(y))
    assert np.array_equal(parsed("-V ** 3 + +2e0 * V ** -2 - 4 / (1 - V)")(y), -(y * y * y) + 2.0 * (1.0 / (y * y)) - 4.0 / (1.0 - y))
    assert np.isnan(parsed("log(-V)")(y)).all()
    assert np.isnan(parsed("sqrt(-V)")(y)).all()
    assert parsed("exp(V)")(np.array([1e5, -1e5])).tolist() == [math.inf, 0.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "V +",
        "U",
        "v",
        "V.real",
        "abs(V)",
        "exp",
        "exp(V, 2)",
        "exp(x=V)",
        "V if V else 1",
        "[V]",
        "V[0]",
        "lambda: V",
        "V ** 0.5",
        "V ** V",
        "2 ** 1000",
        "V ** -65",
        "V and 1",
        "V < 1",
        "True",
        "1j",
        "'a'",
        "f'{V}'",
        "(V := 1)",
        "__import__('os').system('false')",
        "exp.__class__",
        "V; V",
        "(" * 500 + "V" + ")" * 500,
        "+".join(["V"] * 500),
        "V \x00",
    ],
)
def test_expressions_that_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^F is "):
        Flow(text)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: EIF(Delta_T=0.0), "Delta_T is 0.0 mV; it must be positive"),
        (lambda: EIF(Delta_T=[2.0, -1.0]), "Delta_T is -1.0 mV for neuron 1; it must be positive"),
        (lambda: EIF(V_peak=-50.4), "V_T is -50.4 mV and V_peak is -50.4 mV; V_T must be below V_peak"),
        (lambda: EIF(V_reset=0.0), "V_reset is 0.0 mV and V_peak is 0.0 mV; V_reset must be below V_peak"),
        (lambda: EIF(V_reset=-40.0, Delta_T=0.1), r"V_reset is -40.0 mV; it must be below V_T \+ 50 Delta_T"),
        (lambda: EIF(tau_m=math.nan), "tau_m is nan ms; it must be a finite number"),
        (lambda: EIF(I_e=281.0 * 18.2 / (281.0 / 30.0)), "F touches 0 at V = -50.4 mV without crossing it; change the drive"),
        (lambda: Flow(3), "F is 3; give a function of V, or an expression"),
        (lambda: Flow(lambda V: None), r"F returns None \(nothing\) at V = .* mV; it must return a float, mV/ms"),
        (lambda: Flow(lambda V: V > 0), "F returns .* it must return a float"),
        (lambda: Flow(lambda V: 1j), "F returns 1j at V = .*; it must return a float"),
        (lambda: Flow(lambda V: math.nan), "F is nan at V = -55 mV; it must have a value from -130 to -55 mV at least"),
        (lambda: Flow(lambda V: 1 / 0), r"F raises ZeroDivisionError at V = -55 mV \(division by zero\); it must have a value"),
        (lambda: Flow(lambda: 1.0), "F raises TypeError at V = -55 mV"),
        (lambda: Flow(lambda V: max(V + 60.0, 0.0) + 1.0), "F is not smooth at V = -6.* mV; a flow is tabulated by its derivatives"),
        (lambda: Flow(lambda V: max(V + 60.0, -1.0)), "F is not smooth at V = -6[01].* mV"),
        (lambda: Flow("(V + 60) ** 2 / 100"), "F touches 0 at V = -60 mV without crossing it"),
        (lambda: Flow("-(V + 60) ** 3 / 100"), "F has a zero of higher order, .*, at V = -60 mV"),
        (lambda: Flow("0"), "F is 0 around V = .* mV; there must be no range without a flow"),
        (lambda: Flow("1e-6"), "F is so small, as at V = .* mV, that the flow takes .* ms"),
        (lambda: Flow("sin(V)"), "F has 24 zeros between -130 and -55 mV; at most 16 are allowed"),
        (lambda: Flow("1 / (V + 60)"), "F is (not smooth|inf|nan) .*"),
        (lambda: Flow("1", V_reset=-55.0), "V_reset is -55.0 mV and V_th is -55.0 mV; V_reset must be below V_th"),
        (lambda: Flow("1", V_th=math.inf), "V_th is inf mV; it must be a finite number"),
    ],
)
def test_bad_input(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()


def test_bad_input_of_drawn_and_listed_neurons_names_the_neuron() -> None:
    network = Network()
    network.add_population("first", 5, LIF())
    network.add_population("neurons", 3, EIF(I_e=[0.0, 281.0 * 18.2 / (281.0 / 30.0), 0.0]))
    with pytest.raises(InputError, match=r"^neuron 6: F touches 0"):
        whole(network)
    network = Network()
    network.add_population("neurons", 2, EIF(V_m=[-70.0, -1e6]))
    with pytest.raises(InputError, match=r"^neuron 1: V_m is -1e.06 mV; at least -245820 mV is allowed"):
        whole(network)
    network = Network()
    network.add_population("neurons", MOST_SETS + 1, EIF(I_e=Uniform(0.0, 100.0)))
    with pytest.raises(InputError, match=r"1001 different sets of tau_m.*; at most 1000 can be tabulated; let neurons share values"):
        whole(network)
    with pytest.raises(InputError, match="I_e is drawn; the interpolation error is known for given numbers only"):
        EIF(I_e=Uniform(0.0, 1.0)).interpolation_error  # noqa: B018


def test_there_is_no_way_to_threshold_without_inputs() -> None:
    """Which is allowed: it fires by inputs alone."""
    for F in ("(-65 - V) / 10", "-0.5", QUARTIC):
        assert Flow(F, V_th=-52.0).tabulated(-52.0, -70.0).fires_at == CEILING


TEXT = f"""
[populations.eif]
size = 3
model = "eif"
I_e = [500.0, 600.0, 700.0]
Delta_T = 1.5
[populations.flow]
size = 2
model = "flow"
F = "{QUARTIC}"
V_th = -45.0
V_reset = -57.0
V_m = -52.0
"""


def test_in_a_toml_file() -> None:
    network = loads(TEXT).network
    eif, flow = (population.model for population in network.populations)
    assert isinstance(eif, EIF)
    assert isinstance(flow, Flow)
    assert flow.F == QUARTIC
    assert loads(dumps(network)).network == network
    assert set(simulate(network, 100.0).spikes.ids.tolist()) >= {1, 2}
    with pytest.raises(InputError, match=r'population "flow": F is "0.3 \* abs\(V\)"'):
        loads(TEXT.replace(QUARTIC, "0.3 * abs(V)"))
    with pytest.raises(InputError, match='lacks the key "F"'):
        loads(TEXT.replace("F =", "#"))


def test_a_function_is_no_text(tmp_path: Path) -> None:
    """It cannot be written into a TOML file, which a run does not mind."""
    network = Network()
    network.add_population("neurons", 2, Flow(lambda V: 1.0, V_m=-60.0))
    with pytest.raises(InputError, match="a function of Python, which no TOML file can"):
        dumps(network)
    assert simulate(network, 20.0, output=tmp_path / "run").spikes.ids.size > 0


if __name__ == "__main__":
    told = json.dumps(on_ranks() if sys.argv[1:] else digests())
    if world().rank == 0:
        print(told)
