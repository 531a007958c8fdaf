"""LIF neurons with exponential currents: one neuron against 40 digits, its states near a turning point of V, networks against the oracle,
and all schedules against each other."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import mpmath
import numpy as np
import oracle
import pytest
from mpmath import mpf
from networks import Run, emitted, largest_difference, plain, poisson_events, same_bits, synapses_of, whole
from oracle import TICK

import sparseprop_dist as sp
from sparseprop_dist.build import part as build_part
from sparseprop_dist.build.part import lower
from sparseprop_dist.clock import slab_bits
from sparseprop_dist.config import loads
from sparseprop_dist.elementary import expm1_ratio
from sparseprop_dist.engine import instant, ordered, slab
from sparseprop_dist.jit import ENABLED
from sparseprop_dist.models.lif_psc_exp_flow import HEIGHT, SLOPE, _value, may_reach
from sparseprop_dist.models.lif_psc_exp_record import LIFPscExpRecord, flow_of
from sparseprop_dist.models.protocol import NEVER, candidates, carry, own_event, potential, receive
from sparseprop_dist.preparation import _trains

SCHEDULES = (slab, ordered, instant)
NAMES = ("tau_m", "C_m", "E_L", "V_th", "V_reset", "t_ref", "I_e", "tau_syn_ex", "tau_syn_in", "V_m")
QUANTUM = 2.0**-47
"""Of the distance from V_reset to V_th, at most: one quantum of the state."""

Inputs = tuple[tuple[float, float], ...]
"""(ms, pA)"""
UNTIL = 40.0 if ENABLED else 6.0
"""ms: plain Python is slow."""

mpmath.mp.dps = 40


# --- one neuron, with 40 digits -----------------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """Parameters as numbers; see LIFPscExp."""

    tau_m: float = 10.0
    C_m: float = 250.0
    E_L: float = -70.0
    V_th: float = -55.0
    V_reset: float = -70.0
    t_ref: float = 2.0
    I_e: float = 0.0
    tau_syn_ex: float = 2.0
    tau_syn_in: float = 2.0
    V_m: float = -70.0

    @property
    def model(self) -> sp.LIFPscExp:
        """Its description."""
        return sp.LIFPscExp(*self)


def response(cell: Cell, tau: float, t: Any) -> Any:
    """V (mV) that 1 pA has made t ms after it began to decay with tau."""
    fast, slow = mpf(1) / mpf(tau), mpf(1) / mpf(cell.tau_m)
    if fast == slow:
        return t * mpmath.exp(-t * fast) / mpf(cell.C_m)
    return (mpmath.exp(-t * slow) - mpmath.exp(-t * fast)) / (fast - slow) / mpf(cell.C_m)


class Exact:
    """A neuron between two events: V and the currents of both kinds at time `at` (ms)."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.at, self.V, self.ex, self.inh = cell, mpf(0), mpf(cell.V_m), mpf(0), mpf(0)
        self.V_inf = mpf(cell.E_L) + mpf(cell.I_e) * mpf(cell.tau_m) / mpf(cell.C_m)

    def potential(self, t: Any) -> Any:
        """V after t ms without an event."""
        free = (self.V - self.V_inf) * mpmath.exp(-t / mpf(self.cell.tau_m))
        fed = self.ex * response(self.cell, self.cell.tau_syn_ex, t) + self.inh * response(self.cell, self.cell.tau_syn_in, t)
        return self.V_inf + free + fed

    def slope(self, t: Any) -> Any:
        """V' then, mV/ms."""
        ex, inh = self.currents(t)
        return (ex + inh) / mpf(self.cell.C_m) - (self.potential(t) - self.V_inf) / mpf(self.cell.tau_m)

    def currents(self, t: Any) -> tuple[Any, Any]:
        """The currents then, pA."""
        return self.ex * mpmath.exp(-t / mpf(self.cell.tau_syn_ex)), self.inh * mpmath.exp(-t / mpf(self.cell.tau_syn_in))

    def advance(self, t: Any) -> None:
        """Go on by t ms."""
        self.V = self.potential(t)
        self.ex, self.inh = self.currents(t)
        self.at += t

    def crossing(self, length: Any, parts: int = 48) -> Any:
        """When V first comes to threshold within so many ms; None if it does not. By looking at many points, and at each highest one."""
        if self.potential(mpf(0)) >= self.cell.V_th:
            return mpf(0)
        points = [length * k / parts for k in range(parts + 1)]
        before = points[0]
        for low, high in itertools.pairwise(points):
            ends = [high]
            if self.slope(low) > 0 > self.slope(high):
                ends.insert(0, mpmath.findroot(self.slope, (low, high), solver="anderson", verify=False))
            for end in ends:
                if self.potential(end) >= self.cell.V_th:
                    return mpmath.findroot(lambda t: self.potential(t) - self.cell.V_th, (before, end), solver="anderson", verify=False)
                before = end
        return None


@functools.cache
def exact_spikes(cell: Cell, inputs: Inputs, until: float) -> list[tuple[int, float]]:
    """Spikes of one neuron that gets the inputs (ms, pA): tick, and V' (mV/ms) there."""
    neuron, spikes, release, arrivals = Exact(cell), [], None, [*inputs, (until, 0.0)]
    while arrivals:
        time = arrivals[0][0] if release is None else min(arrivals[0][0], release)
        waited = neuron.crossing(time - neuron.at) if release is None and time > neuron.at else None
        if waited is not None:
            tick = int(mpmath.nint((neuron.at + waited) / TICK))
            spikes.append((tick, float(neuron.slope(waited))))
            neuron.advance(tick * mpf(TICK) - neuron.at)
            release = neuron.at + mpf(cell.t_ref)
            continue
        neuron.advance(time - neuron.at)
        if release == time:
            neuron.V, release = mpf(cell.V_reset), None
            continue
        weight = arrivals.pop(0)[1]
        neuron.ex, neuron.inh = neuron.ex + max(weight, 0.0), neuron.inh + min(weight, 0.0)
    return spikes


def driven(cell: Cell, inputs: Inputs) -> sp.Network:
    """A network of that neuron and its inputs."""
    network = sp.Network()
    network.add_population("neuron", 1, cell.model)
    times, weights = zip(*inputs, strict=True)
    network.add_population("sources", len(inputs), sp.SpikeTrains(times, range(len(inputs))))
    network.connect("sources", "neuron", sp.Pairs(range(len(inputs)), [0] * len(inputs)), weight=weights, delay=0.0)
    return network


def compare_exactly(cell: Cell, inputs: Inputs, until: float, schedules: Sequence[Any] = SCHEDULES) -> list[tuple[int, float]]:
    """Compare the engine with 40 digits, and return the spikes of these: within a tick, and what the 32 quanta (5e-14 of V_th - V_reset
    each, at most) by which V may be off take."""
    expected = exact_spikes(cell, inputs, until)
    for schedule in schedules:
        spikes = plain(emitted(driven(cell, inputs), until, Run(schedule)))
        assert len(spikes) == len(expected)
        for (tick, _), (exact, slope) in zip(spikes, expected, strict=True):
            assert abs(tick - exact) <= 1.0 + 32.0 * QUANTUM * (cell.V_th - cell.V_reset) / abs(slope) / TICK
    return expected


def largest_response(cell: Cell, tau: float) -> float:
    """mV per pA."""
    t = np.linspace(0.0, 20.0 * max(cell.tau_m, tau), 40_001)
    fast, slow = sorted((tau, cell.tau_m))
    same = slow / fast < 1.0 + 1e-6
    return float(np.max(t * np.exp(-t / slow) if same else (np.exp(-t / slow) - np.exp(-t / fast)) / (1 / fast - 1 / slow)) / cell.C_m)


CELLS = {
    "default": Cell(),
    "fast": Cell(tau_syn_ex=2.0, tau_syn_in=0.5),
    "equal": Cell(tau_syn_ex=10.0, tau_syn_in=10.0),
    "nearly equal": Cell(tau_syn_ex=10.0 * (1 + 1e-15), tau_syn_in=10.0 * (1 - 1e-9)),
    "slow currents": Cell(tau_m=1.0, tau_syn_ex=30.0, tau_syn_in=5.0),
    "slow membrane": Cell(tau_m=200.0, C_m=5000.0, tau_syn_ex=0.1, tau_syn_in=10.0, t_ref=0.0),
    "driven": Cell(t_ref=0.0, I_e=400.0),
    "restless": Cell(t_ref=0.0625, I_e=-300.0, V_m=-80.0),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", CELLS)
def test_one_neuron(name: str, schedule: Any) -> None:
    cell, draw = CELLS[name], np.random.default_rng(1)
    times = np.sort(draw.integers(1, 60 * 1024, 90)) / 1024.0
    size = draw.uniform(2.0, 8.0, 90)
    excites = draw.random(90) < 0.7
    weights = np.where(excites, size / largest_response(cell, cell.tau_syn_ex), -size / largest_response(cell, cell.tau_syn_in))
    assert len(compare_exactly(cell, tuple(zip(times.tolist(), weights.tolist(), strict=True)), 70.0, [schedule])) > 3


@pytest.mark.parametrize("tau_syn", [2.0, 10.0 * (1.0 - 1e-9), 10.0, 10.0 * (1.0 + 1e-15), 30.0])
@pytest.mark.parametrize("beyond", [1e-6, 1e-9, 1e-12, -1e-12, -1e-9, -1e-6])
def test_a_peak_at_threshold(tau_syn: float, beyond: float) -> None:
    """One input lifts V to threshold, but for a part of the way; V turns there."""
    cell = Cell(tau_syn_ex=tau_syn)
    fast, slow = mpf(1) / mpf(tau_syn), mpf(1) / 10
    peak = 1 / fast if fast == slow else mpmath.log(fast / slow) / (fast - slow)
    weight = float(15 * (1 + beyond) / response(cell, tau_syn, peak))
    spikes = compare_exactly(cell, ((1.0, weight),), 150.0)
    assert len(spikes) == (beyond > 0)
    for tick, _ in spikes:
        assert float(1.0 + peak) - 20.0 * beyond**0.5 * tau_syn < tick * TICK < 1.0 + peak


def test_a_current_outlasts_the_refractory_period() -> None:
    """What arrives in it counts after it, as NEST has it."""
    cell = Cell(V_m=-55.0, tau_syn_ex=20.0, t_ref=5.0)
    weight = 3.0 * 15.0 / largest_response(cell, 20.0)
    first, second = (tick for tick, _ in compare_exactly(cell, ((2.0, weight),), 12.0)[:2])
    assert first == 0
    assert 5.0 < second * TICK < 12.0


def test_expm1_ratio() -> None:
    exact = {x: mpmath.expm1(mpf(x)) / mpf(x) for x in [*np.linspace(-0.25, 0.25, 1000).tolist(), 1e-9, -1e-300]}
    assert all(abs(float(expm1_ratio(x) / y - 1)) < 4e-16 for x, y in exact.items())
    assert expm1_ratio(0.0) == 1.0


# --- crossings as a function of the state -------------------------------------------------------------------------------------------


def states(seed: int, n: int, cell: dict[str, Any], near: int) -> LIFPscExpRecord:
    """Neurons whose V comes within ``near`` quanta of threshold at some tick of the first slab. Half of them turn there, the others cross
    it, steep or not."""
    draw = np.random.default_rng(seed)
    model = sp.LIFPscExp(**cell)
    values = {name: np.broadcast_to(np.asarray(getattr(model, name), float), n).copy() for name in model.quantities}
    record = LIFPscExpRecord.make(values | {"gid": np.arange(n)}, slab_bits(model.bulk_scale()))
    range_ = (values["V_th"] - values["V_reset"]) * record.gain
    strength, slope = 10.0 ** draw.uniform(-3.0, 1.5, n) * range_, 10.0 ** draw.uniform(-9.0, 0.0, n) * range_ * TICK
    slope[::2] = 0.0
    for i in range(n):
        s = draw.uniform(-record.half, record.half)
        none = flow_of(record, i)._replace(v=0.0, threshold=0.0)
        ones = [none._replace(v=1.0), none._replace(x=1.0), none._replace(y=1.0)]
        height, rise = (np.array([_value(one, what, s) for one in ones]) for what in (HEIGHT, SLOPE))
        solved, given = (1, 2) if record.threshold[i] > 0 else (2, 1)
        charges = np.array([0.0, 0.0, 0.0])
        charges[given] = strength[i] * (1 if given == 1 else -1)
        pair = [0, solved]
        wanted = [record.threshold[i] - height[given] * charges[given], slope[i] - rise[given] * charges[given]]
        charges[pair] = np.linalg.solve([height[pair], rise[pair]], wanted)
        record.x[i], record.y[i] = max(0, round(charges[1])), min(0, round(charges[2]))
        flow = none._replace(x=float(record.x[i]), y=float(record.y[i]), threshold=record.threshold[i])
        record.v[i] = round(-_value(flow, HEIGHT, s) / height[0]) + int(draw.integers(-near, near + 1))
    return record


def exact_height(record: LIFPscExpRecord, i: int) -> Any:
    """V - V_th (quanta) as a function of the offset, with 40 digits."""
    v, x, y = (mpf(int(state[i])) for state in (record.v, record.x, record.y))
    m, ex, inh = (mpf(float(rate[i])) for rate in (record.rate, record.rate_ex, record.rate_in))

    def fed(charge: Any, rate: Any, s: Any) -> Any:
        return charge * rate * (s if rate == m else -mpmath.expm1(-(rate - m) * s) / (rate - m))

    def height(offset: Any) -> Any:
        s = mpf(offset) - mpf(record.half)
        return mpmath.exp(-m * s) * (v + fed(x, ex, s) + fed(y, inh, s)) - mpf(float(record.threshold[i]))

    return height


FLOWS: dict[str, dict[str, Any]] = {
    "fast": {"tau_syn_ex": 2.0, "tau_syn_in": 0.5},
    "equal": {"tau_syn_ex": 10.0, "tau_syn_in": 10.0},
    "slow": {"tau_m": 1.0, "tau_syn_ex": 5.0, "tau_syn_in": 20.0, "I_e": 5000.0},
    "drive": {"tau_syn_ex": 5.0, "tau_syn_in": 4.0, "I_e": 375.0},
    "drawn": {
        "tau_m": np.linspace(5.0, 20.0, 400),
        "tau_syn_ex": np.linspace(9.0, 1.0, 400),
        "tau_syn_in": np.geomspace(1.0, 20.0, 400),
        "V_th": np.linspace(-56.0, -50.0, 400),
    },
}


@pytest.mark.parametrize("name", FLOWS)
def test_crossings_of_states_with_40_digits(name: str) -> None:
    """The first tick whose neighbourhood V reaches threshold in, among many points of the slab and its highest ones."""
    record = states(3, 400, FLOWS[name], near=1 << 30)
    crossed, slab_ticks = 0, int(2 * record.half)
    for i in range(0, 400, 3):
        height, found = exact_height(record, i), own_event(record, i, 0, 0)
        noise = 4.0 + 2.0**-48 * (abs(int(record.v[i])) + abs(int(record.x[i])) + abs(int(record.y[i])))
        if found == NEVER:
            points = [slab_ticks * k // 64 for k in range(65)]
            assert max(height(p) for p in points) < noise
            continue
        assert 0 <= found < slab_ticks
        if found > 0:
            assert height(found + mpf("0.5")) > -noise
            assert all(height(found * k // 64 - 0.5) < noise for k in range(1, 65)), "not the first"
            crossed += 1
        else:
            assert max(height(0), height(mpf("0.5"))) > -noise
    assert crossed > 20


@pytest.mark.kernels
@pytest.mark.parametrize("near", [0, 1, 1 << 10])
@pytest.mark.parametrize("name", FLOWS)
def test_a_crossing_does_not_depend_on_when_it_is_asked_for(name: str, near: int) -> None:
    """Nor does a bound say that there is none where there is one; also where V turns within a quantum of threshold."""
    record, draw = states(near, 400, FLOWS[name], near), np.random.default_rng(5)
    slab_ticks = int(2 * record.half)
    for i in range(400 if ENABLED else 40):
        asked = np.sort(draw.integers(0, slab_ticks, 12)).tolist()
        first = own_event(record, i, 0, 0)
        asked = sorted({*asked, *(t for t in range(first - 2, first + 3) if 0 <= t < slab_ticks)})
        answers = [own_event(record, i, 0, after) for after in asked]
        assert all(answer >= after for answer, after in zip(answers, asked, strict=True))
        for (after, answer), (later, other) in itertools.pairwise(zip(asked, answers, strict=True)):
            assert other == answer if answer >= later else other > answer
            if not may_reach(flow_of(record, i), (0.0, 0.0), after - record.half, float(later - after)):
                assert answer >= later


@pytest.mark.kernels
@pytest.mark.parametrize("name", FLOWS)
def test_candidates_are_all_that_cross(name: str) -> None:
    record, draw = states(9, 400, FLOWS[name], 1 << 20), np.random.default_rng(6)
    record.v[::2] -= 1 << 51  # far below
    found = np.zeros(401, np.int32)
    for _ in range(20 if ENABLED else 2):
        a, b = np.sort(draw.integers(0, int(2 * record.half), 2)).tolist()
        m = candidates(record, 0, 400, record.alike(0, 400), 0, a, b, found)
        cross = [i for i in range(400) if own_event(record, i, 0, a) < b]
        assert set(cross) <= set(found[:m].tolist())
        assert m < 250


@pytest.mark.kernels
def test_an_input_does_not_move_V_and_a_slab_ends_where_the_next_begins() -> None:
    record = states(2, 400, FLOWS["drawn"], 1 << 40)
    unit = 1.0 / record.gain
    slab_ticks = int(2 * record.half)
    for k, i in enumerate(range(0, 400, 7)):
        offset = k * slab_ticks // 60
        before = potential(record, i, 0, offset)
        receive(record, i, 0, offset, 700.0 if k % 2 else -700.0)
        assert potential(record, i, 0, offset) == pytest.approx(before, abs=3.0 * unit[i], rel=1e-15)
    ends = [potential(record, i, 0, slab_ticks) for i in range(400)]
    charges = [(int(x), int(y)) for x, y in zip(record.x, record.y, strict=True)]
    carry(record, 0, 400, 0)
    for i in range(400):
        assert potential(record, i, slab_ticks, 0) == pytest.approx(ends[i], abs=4.0 * unit[i], rel=1e-14)
        left = [float(mpmath.exp(-mpf(slab_ticks) * mpf(float(rate[i])))) for rate in (record.rate_ex, record.rate_in)]
        for now, before, q in zip((int(record.x[i]), int(record.y[i])), charges[i], left, strict=True):
            assert abs(now - before * q) <= 0.5 + 1e-15 * abs(
                before * q
            )  # rounded to a quantum, after a product and a factor rounded to 53 bits


@pytest.mark.kernels
def test_a_current_ends() -> None:
    """Rounding to the nearest quantum would keep a charge of half as many quanta as its time constant has slabs, for ever."""
    record = states(2, 4, {"tau_syn_ex": 100.0, "tau_syn_in": 50.0, "tau_m": 0.5}, 0)
    for _ in range(20_000):
        carry(record, 0, 4, 0)
    assert not record.x.any()
    assert not record.y.any()


# --- networks -----------------------------------------------------------------------------------------------------------------------


def pair(seed: int, model: Any, n: int = 16, m: int = 4) -> sp.Network:
    """Two populations, empty otherwise."""
    network = sp.Network(seed=seed)
    network.add_population("exc", n, model)
    network.add_population("inh", m, model)
    return network


BASE = {"E_L": 0.0, "V_th": 20.0, "V_reset": 10.0, "tau_syn_in": 0.5, "V_m": sp.Uniform(0.0, 20.0)}


def plain_network(seed: int) -> sp.Network:
    """One delay, two weights, one Poisson input."""
    network = pair(seed, sp.LIFPscExp(**BASE))
    network.connect("exc", ["exc", "inh"], sp.FixedIndegree(6), weight=150.0, delay=1.5)
    network.connect("inh", ["exc", "inh"], sp.FixedIndegree(3), weight=-900.0, delay=1.5)
    network.add_input(["exc", "inh"], sp.Poisson(1000.0), weight=320.0)
    return network


def drawn_network(seed: int) -> sp.Network:
    """Every value is drawn; weights of one projection have both signs."""
    model = sp.LIFPscExp(
        tau_m=sp.Uniform(5.0, 20.0),
        C_m=sp.Uniform(100.0, 300.0),
        V_th=sp.Uniform(-56.0, -50.0),
        V_reset=sp.Uniform(-75.0, -65.0),
        t_ref=sp.Uniform(0.0, 3.0),
        I_e=sp.Normal(100.0, 80.0),
        tau_syn_ex=sp.Uniform(0.5, 10.0),
        tau_syn_in=sp.Lognormal(1.0, 0.5, low=0.6),
    )
    network = pair(seed, model)
    network.connect("exc", ["exc", "inh"], sp.PairwiseBernoulli(0.4), weight=sp.Normal(60.0, 90.0), delay=sp.Uniform(0.1, 4.0))
    network.connect("inh", ["exc", "inh"], sp.FixedIndegree(3), weight=sp.Uniform(-300.0, -50.0), delay=0.7)
    network.add_input("exc", sp.Poisson(sp.Uniform(0.0, 1500.0)), weight=sp.Normal(60.0, 80.0))
    network.add_input(["inh", "exc"], sp.Poisson(300.0), weight=250.0)
    return network


def restless_network(seed: int) -> sp.Network:
    """Neurons fire, rest and fire again in one slab; time constants agree."""
    model = sp.LIFPscExp(**{**BASE, "tau_syn_ex": 10.0, "tau_syn_in": 10.0, "t_ref": sp.Uniform(0.0, 0.4), "V_reset": 19.0, "I_e": 900.0})
    network = pair(seed, model)
    network.connect("exc", ["exc", "inh"], sp.FixedIndegree(3), weight=15.0, delay=1.1)
    network.connect("inh", ["exc", "inh"], sp.FixedIndegree(4), weight=-90.0, delay=sp.Uniform(1.0, 3.0))
    network.add_input(["exc", "inh"], sp.Poisson(700.0), weight=-50.0)
    return network


def hovering_network(seed: int) -> sp.Network:
    """V is drawn to a hair below threshold, and small inputs play with it: it crosses slowly, and often turns there."""
    model = sp.LIFPscExp(**{**BASE, "I_e": 499.9, "V_reset": 19.9, "V_m": sp.Uniform(19.9, 20.0), "t_ref": 0.5})
    network = pair(seed, model)
    network.connect("exc", ["exc", "inh"], sp.FixedIndegree(4), weight=0.3, delay=1.0)
    network.connect("inh", ["exc", "inh"], sp.FixedIndegree(3), weight=-1.5, delay=sp.Uniform(0.6, 3.0))
    network.add_input(["exc", "inh"], sp.Poisson(800.0), weight=0.7)
    network.add_input(["exc", "inh"], sp.Poisson(600.0), weight=-2.5)
    return network


def strong_network(seed: int) -> sp.Network:
    """Huge currents that cancel, so that rounding is at its largest."""
    model = sp.LIFPscExp(**{**BASE, "tau_syn_in": 2.0})
    network = pair(seed, model)
    network.connect("exc", ["exc", "inh"], sp.FixedIndegree(4), weight=3e5, delay=0.9)
    network.connect("exc", ["exc", "inh"], sp.FixedIndegree(4), weight=-3e5, delay=0.9)
    network.connect("inh", ["exc", "inh"], sp.FixedIndegree(2), weight=-2e3, delay=sp.Uniform(0.9, 2.0))
    network.add_input(["exc", "inh"], sp.Poisson(800.0), weight=400.0)
    return network


def mixed_network(seed: int) -> sp.Network:
    """With LIF neurons with delta synapses, a spike source, and trains that drive neurons directly; no delay from the source."""
    draw = np.random.default_rng(seed)
    network = pair(seed, sp.LIFPscExp(**BASE))
    network.add_population("lif", 9, sp.LIF(E_L=0.0, V_th=20.0, V_reset=10.0, V_m=sp.Uniform(0.0, 20.0), tau_m=sp.Uniform(5.0, 20.0)))
    network.add_population("retina", 4, sp.SpikeTrains(np.sort(draw.uniform(0.0, 60.0, 90)), draw.integers(0, 4, 90)))
    network.connect(["exc", "lif", "retina"], ["exc", "inh"], sp.FixedIndegree(8), weight=180.0, delay=sp.Uniform(0.5, 2.0))
    network.connect(["exc", "inh", "lif"], "lif", sp.FixedIndegree(6), weight=sp.Normal(1.3, 1.5), delay=0.7)
    network.connect("retina", "lif", sp.AllToAll(), weight=3.1, delay=0.0)
    network.add_input(["inh", "exc"], sp.Poisson(700.0), weight=330.0)
    network.add_input("lif", sp.Poisson(500.0), weight=2.7)
    network.add_input(["exc", "lif"], sp.SpikeTrains([1.0, 1.0, 2.5, 20.0], [0, 20, 20, 24]), weight=200.0, delay=0.5)
    return network


def instant_network(seed: int) -> sp.Network:
    """Most synapses without delay, of one weight and of one each."""
    network = pair(seed, sp.LIFPscExp(**BASE))
    network.connect("exc", ["exc", "inh"], sp.FixedIndegree(5), weight=150.0, delay=0.0)
    network.connect("inh", ["inh", "exc"], sp.FixedIndegree(3), weight=-900.0, delay=0.0)
    network.connect("exc", "inh", sp.FixedIndegree(3), weight=sp.Normal(60.0, 90.0), delay=0.0)
    network.connect("inh", "exc", sp.FixedIndegree(2), weight=-300.0, delay=1.7)
    network.add_input(["exc", "inh"], sp.Poisson(1000.0), weight=330.0)
    return network


def instant_drawn_network(seed: int) -> sp.Network:
    """Most synapses without delay, drawn neurons, and LIF neurons with delta synapses among them."""
    model = sp.LIFPscExp(
        tau_m=sp.Uniform(5.0, 20.0),
        tau_syn_ex=sp.Uniform(1.0, 20.0),
        tau_syn_in=sp.Uniform(0.5, 3.0),
        I_e=sp.Normal(400.0, 60.0),
        V_m=sp.Uniform(-70.0, -55.0),
    )
    network = pair(seed, model)
    network.add_population("lif", 9, sp.LIF(I_e=390.0, V_m=sp.Uniform(-70.0, -55.0)))
    network.connect(["exc", "lif"], ["exc", "inh"], sp.FixedIndegree(5), weight=40.0, delay=0.0)
    network.connect("inh", ["exc", "inh"], sp.FixedIndegree(3), weight=-150.0, delay=0.0)
    network.connect(["exc", "inh"], "lif", sp.FixedIndegree(4), weight=sp.Normal(0.2, 0.5), delay=0.0)
    network.connect("lif", "lif", sp.FixedIndegree(4), weight=-0.7, delay=1.0)
    return network


DELAYED = {f.__name__.removesuffix("_network"): f for f in (plain_network, drawn_network, restless_network, hovering_network)}
DELAYED |= {f.__name__.removesuffix("_network"): f for f in (strong_network, mixed_network)}
INSTANT = {f.__name__.removesuffix("_network"): f for f in (instant_network, instant_drawn_network)}
NETWORKS = DELAYED | INSTANT


def schedules_of(name: str) -> tuple[Any, ...]:
    """Mixed with LIF, without the instant one: that mixes models in `test_instant`."""
    return (slab, ordered) if name == "mixed" else SCHEDULES if name in DELAYED else (ordered, instant)


EACH = [(name, schedule) for name in NETWORKS for schedule in schedules_of(name)]
"""A test each, so that none compiles more than one schedule."""


def neurons_of(network: sp.Network) -> Iterator[oracle.Model]:
    """The neurons, in the order of their gids."""
    for population in network.populations:
        if population.is_source:
            continue
        values = network.checked_parameters(population, 0, population.size)
        if isinstance(population.model, sp.LIFPscExp):
            yield from (oracle.Exponential(*row) for row in zip(*(values[name].tolist() for name in NAMES), strict=True))
        else:
            V_inf = values["E_L"] + values["I_e"] * values["tau_m"] / values["C_m"]
            columns = (values["tau_m"], V_inf, values["V_th"], values["V_reset"], values["t_ref"], values["V_m"])
            yield from (oracle.Neuron(*row) for row in np.stack(columns, axis=1).tolist())


@functools.cache
def oracle_spikes(name: str, seed: int, until: float) -> list[tuple[int, int]]:
    """What the oracle makes of a network."""
    network = NETWORKS[name](seed)
    lowered = lower(network)
    times, gids = _trains(lowered)
    events = [(tick * TICK, *rest) for tick, *rest in poisson_events(whole(network), until)]
    trains = list(zip(times.tolist(), gids.tolist(), strict=True))
    return oracle.simulate(list(neurons_of(lowered)), list(synapses_of(lowered)), until, trains, events)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "schedule"), EACH)
def test_networks_against_the_oracle(name: str, schedule: Any, seed: int) -> None:
    network, reference = NETWORKS[name](seed), oracle_spikes(name, seed, 40.0)
    spikes = plain(emitted(network, 40.0, Run(schedule)))
    assert len(reference) > 20
    assert largest_difference(spikes, reference, network.n_neurons) < 1e-9
    assert [gid for _, gid in spikes] == [gid for _, gid in reference]


# --- what must not matter -----------------------------------------------------------------------------------------------------------


RUNS = (
    Run(),
    Run(window=0.37),
    Run(window=5.0),
    Run(piece_bits=36),
    Run(piece_bits=33),
    Run(capacity=1),
    Run(capacity=20, window=3.1),
    Run(origin_span=1, window=0.9),
    Run(origin_span=1 << 40),
)


@pytest.mark.parametrize(("name", "schedule"), EACH)
def test_windows_pieces_buffers_and_the_origin(name: str, schedule: Any) -> None:
    network, until = NETWORKS[name](7), UNTIL
    expected = emitted(network, until, Run(ordered))
    assert len(expected) > (20 if ENABLED else 0)
    for run in RUNS:
        assert same_bits(emitted(network, until, replace(run, schedule=schedule)), expected), run


@pytest.mark.parametrize("name", [name for name in DELAYED if name != "drawn"])  # how finely delays are stored depends on the blocks
def test_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS[name](8)
    network.projections = [p for p in network.projections if not isinstance(p.delay, sp.Uniform)]
    expected = emitted(network, 30.0)
    for bits, schedule in itertools.product((1, 3, 11), (slab, ordered)):
        monkeypatch.setattr(build_part, "block_bits", lambda network, bits=bits: bits)
        assert same_bits(emitted(network, 30.0, Run(schedule)), expected)


@pytest.mark.kernels
@pytest.mark.skipif(ENABLED, reason="a function of a compiled kernel cannot be replaced")
def test_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """How finely the slab schedule cuts its slabs is no part of the result."""
    for name, log in itertools.product(DELAYED, range(5)):
        monkeypatch.setattr(slab, "_cells_log", lambda *_, log=log: log)
        assert same_bits(emitted(DELAYED[name](3), 3.0), emitted(DELAYED[name](3), 3.0, Run(ordered)))


@pytest.mark.kernels
def test_relabelled_neurons() -> None:
    """Heterogeneous neurons in another order fire at the same ticks."""
    draw = np.random.default_rng(4)
    taus, order = draw.uniform(1.0, 20.0, (2, 12)), draw.permutation(12)
    times = np.sort(draw.uniform(0.0, UNTIL, 400)).round(3)
    source, target, weight = draw.integers(0, 9, 200), draw.integers(0, 12, 200), draw.normal(100.0, 300.0, 200)
    found = []
    for new in (np.arange(12), order):
        network = sp.Network()
        network.add_population("sources", 9, sp.SpikeTrains(times, np.arange(400) % 9))
        network.add_population("neurons", 12, sp.LIFPscExp(tau_syn_ex=taus[0][new], tau_syn_in=taus[1][new], I_e=200.0))
        network.connect("sources", "neurons", sp.Pairs(source, np.argsort(new)[target]), weight=weight, delay=0.0)
        found.append(sorted((tick, int(new[gid])) for tick, gid in plain(emitted(network, UNTIL))))
    assert len(found[0]) > (20 if ENABLED else 0)
    assert found[0] == found[1]


@pytest.mark.skipif(not ENABLED, reason="the compiled run makes this comparison")
def test_plain_python_makes_the_same_bits(solo: Any) -> None:
    """In a process of its own."""
    other = json.loads(solo(["tests/test_psc_exp.py"], 250.0, env={"NUMBA_DISABLE_JIT": "1"}).stdout)
    assert digests() == other
    assert len({spikes for name, spikes in other.items() if name.endswith("ordered")}) == len(NETWORKS)


def digests() -> dict[str, str]:
    """The spikes of all networks, shortly."""
    return {
        f"{name}, {schedule.__name__.rpartition('.')[2]}": emitted(NETWORKS[name](6), 7.0, Run(schedule, window=1.3)).tobytes().hex()
        for name in NETWORKS
        for schedule in schedules_of(name)
    }


# --- strong inputs and bad values ---------------------------------------------------------------------------------------------------


def bombarded(weights: np.ndarray, targets: list[int], t_ref: float = 5.0) -> sp.Network:
    """Eight neurons, some of which get inputs (pA) within one slab, whose sums may pass any bound."""
    network = sp.Network()
    network.add_population("neurons", 8, sp.LIFPscExp(t_ref=t_ref))
    network.add_population("sources", len(weights), sp.SpikeTrains(5.01 + np.arange(len(weights)) * 4e-3, np.arange(len(weights))))
    for weight in np.unique(weights):
        own = np.flatnonzero(weights == weight)
        network.connect("sources", "neurons", sp.Pairs(np.repeat(own, len(targets)), targets * len(own)), weight=weight, delay=0.0)
    return network


STRONG = 1.3e6
"""pA, a charge of 693 C_m (V_th - V_reset): five can be held, of either sign."""


@pytest.mark.kernels
@pytest.mark.parametrize("t_ref", [0.0, 0.01, 5.0])
def test_sums_that_could_wrap_are_not_made(t_ref: float) -> None:
    network = bombarded(np.array([300.0, STRONG, -STRONG, STRONG, -STRONG, -STRONG, STRONG, 300.0, -STRONG]), [0, 1, 3, 4, 7], t_ref)
    spikes = emitted(network, 12.0)
    assert len(spikes) >= 5
    for schedule in SCHEDULES[1:]:
        assert same_bits(emitted(network, 12.0, Run(schedule)), spikes)


@pytest.mark.kernels
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("weight", [STRONG, -STRONG])
@pytest.mark.parametrize("count", [12, 40, 100])
def test_overflow_names_the_neuron(schedule: Any, weight: float, count: int) -> None:
    """Also of a current, during refractoriness."""
    with pytest.raises(sp.SimulationError, match=r"^neuron 1 overflowed at 5(\.\d+)? ms"):
        emitted(bombarded(np.full(count, weight), [1]), 12.0, Run(schedule))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tau_syn_ex": 0.0}, "tau_syn_ex is 0.0 ms; it must be positive"),
        ({"tau_syn_in": [2.0, -1.0]}, "tau_syn_in is -1.0 ms for neuron 1; it must be positive"),
        ({"tau_m": np.inf}, "tau_m is inf ms; it must be a finite number"),
        ({"C_m": -250.0}, "C_m is -250.0 pF; it must be positive"),
        ({"V_reset": -55.0}, "V_reset is -55.0 mV and V_th is -55.0 mV; V_reset must be below V_th"),
        ({"I_e": np.nan}, "I_e is nan pA; it must be a finite number"),
        ({"t_ref": -1.0}, "t_ref is -1.0 ms; it must not be negative"),
        ({"tau_syn_in": "2"}, "tau_syn_in is '2' (a string); give a number in ms, an array with one for each neuron, or a distribution"),
    ],
)
def test_refused_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(sp.InputError) as caught:
        sp.LIFPscExp(**values)
    assert str(caught.value) == message


def test_what_the_state_cannot_hold_is_refused() -> None:
    network = sp.Network()
    network.add_population("neurons", 3, sp.LIFPscExp())
    network.connect("neurons", "neurons", sp.Pairs([0], [1]), weight=-2e6, delay=1.0)
    with pytest.raises(sp.InputError, match=r"weight 2e\+06 pA is too large; at most 1.59e\+06 pA, .*, can be held"):
        whole(network)
    network = sp.Network()
    network.add_population("neurons", 2, sp.LIFPscExp(I_e=[0.0, 1e6]))
    with pytest.raises(
        sp.InputError, match=r"neuron 1: V_th is -55 mV and the drive pulls to 39930 mV; they may differ by 1.64e\+04 mV at most"
    ):
        whole(network)


def test_in_a_file() -> None:
    """Under its own name and under NEST's."""
    text = """
[populations.exc]
size = 3
model = "{}"
tau_syn_in = 0.5
V_th = {{ distribution = "uniform", low = -55, high = -50 }}
"""
    loaded = [loads(text.format(kind)).network for kind in ("lif_psc_exp", "iaf_psc_exp")]
    expected = sp.LIFPscExp(tau_syn_in=0.5, V_th=sp.Uniform(-55.0, -50.0))
    for network in loaded:
        assert network.populations[0].model == expected
        assert loads(sp.dumps(network)).network.populations[0].model == expected


if __name__ == "__main__":
    print(json.dumps(digests()))
