"""LIF neurons, also with exponential currents, with currents that vary in time: against closed forms and the oracle, bits, refusals.

The oracle's neuron here knows nothing of the engine: V by closed forms in libm, the first crossing by a fine grid and bisection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import oracle
import pytest
from networks import Run, emitted, largest_difference, plain, same_bits, session_of, synapses_of
from scipy.optimize import brentq

import sparseprop_dist as sp
from sparseprop_dist.config import loads
from sparseprop_dist.engine import instant, ordered, slab
from sparseprop_dist.errors import InputError
from sparseprop_dist.inputs import Current
from sparseprop_dist.jit import ENABLED
from sparseprop_dist.models.current import Currents, angle
from sparseprop_dist.plan import plan

GRID = 1.0 / 64.0  # ms, of the search for crossings
TICK = oracle.TICK


# --- the oracle's neuron --------------------------------------------------------------------------------------------------------------


def response(current: Current, tau: float, t: Any) -> Any:
    """Integral of I(s) e^((s - t)/tau) over s from 0 to t, pA ms; tau may be inf."""
    if isinstance(current, sp.SineCurrent):
        return _sine_response(current, tau, t)
    times, values = np.asarray(current.times), np.asarray(current.values)  # type: ignore[attr-defined]
    total = np.zeros_like(t)
    for k, begin in enumerate(times):
        end = times[k + 1] if k + 1 < len(times) else math.inf
        slope = (values[k + 1] - values[k]) / (end - begin) if isinstance(current, sp.SampledCurrent) and k + 1 < len(times) else 0.0
        x = np.clip(t, begin, end) - begin  # of this piece, this much is past
        if tau == math.inf:
            total = total + values[k] * x + 0.5 * slope * x * x
        else:
            part = values[k] * tau * -np.expm1(-x / tau) + slope * tau * (x + tau * np.expm1(-x / tau))
            total = total + part * np.exp((np.clip(t, begin, end) - t) / tau)
    return total


def _sine_response(current: sp.SineCurrent, tau: float, t: Any) -> Any:
    w, phase, rate = 2.0 * math.pi * current.frequency / 1e3, math.radians(current.phase), 1.0 / tau

    def primitive(s: Any) -> Any:
        a = w * s + phase
        wave = current.amplitude * (rate * np.sin(a) - w * np.cos(a)) / (rate * rate + w * w)
        return (wave + current.offset * (tau if tau < math.inf else s)) * np.exp((s - t) * rate)

    return primitive(np.minimum(t, current.stop)) - primitive(np.minimum(t, current.start))


@dataclass(frozen=True)
class Driven:
    """LIF with currents; a state is the time (ms) and V."""

    tau_m: float
    C_m: float
    V_inf: float  # E_L where nothing leaks
    drift: float  # mV/ms, there
    V_th: float
    V_reset: float
    t_ref: float
    V_m: float
    currents: tuple[Current, ...]
    until: float

    def start(self) -> tuple[float, ...]:
        return 0.0, self.V_m

    def _V(self, state: tuple[float, ...], t: Any) -> Any:
        since, V = state[:2]
        fade = np.exp((since - t) / self.tau_m)
        moved = sum(response(c, self.tau_m, t) - response(c, self.tau_m, since) * fade for c in self.currents) / self.C_m
        return self.V_inf + (V - self.V_inf) * fade + self.drift * (t - since) + moved

    def later(self, state: tuple[float, ...], ms: float) -> tuple[float, ...]:
        t = round((state[0] + ms) / TICK) * TICK
        return (t, float(self._V(state, t)), *self._rest(state, ms)) if ms else state

    def _rest(self, state: tuple[float, ...], ms: float) -> tuple[float, ...]:
        return ()

    def jump(self, state: tuple[float, ...], weight: float) -> tuple[float, ...]:
        return state[0], state[1] + weight

    def kept(self, state: tuple[float, ...], weight: float, ms: float) -> tuple[float, ...]:
        return state

    def is_up(self, state: tuple[float, ...]) -> bool:
        return state[1] >= self.V_th

    def wait(self, state: tuple[float, ...]) -> float | None:
        since = state[0]
        for first in np.arange(since, self.until, 512 * GRID):
            t = first + np.arange(514) * GRID
            up = np.flatnonzero(self._V(state, t) >= self.V_th)
            if up.size:
                high = t[up[0]]
                return brentq(lambda x: float(self._V(state, x) - self.V_th), high - GRID, high, xtol=1e-14, rtol=1e-15) - since
        return None

    def reset(self, state: tuple[float, ...], ms: float) -> tuple[float, ...]:
        return round((state[0] + ms) / TICK) * TICK, self.V_reset, *self._rest(state, ms)


@dataclass(frozen=True)
class DrivenExponential(Driven):
    """With exponential currents: a state is the time, V, I_syn_ex and I_syn_in (pA)."""

    tau_syn_ex: float
    tau_syn_in: float

    def start(self) -> tuple[float, ...]:
        return 0.0, self.V_m, 0.0, 0.0

    def _V(self, state: tuple[float, ...], t: Any) -> Any:
        ms, total = t - state[0], super()._V(state, t)
        for current, tau in ((state[2], self.tau_syn_ex), (state[3], self.tau_syn_in)):
            if tau == self.tau_m:
                total = total + current / self.C_m * ms * np.exp(-ms / tau)
            else:
                total = total + current / self.C_m * (np.exp(-ms / self.tau_m) - np.exp(-ms / tau)) / (1 / tau - 1 / self.tau_m)
        return total

    def _rest(self, state: tuple[float, ...], ms: float) -> tuple[float, ...]:
        return state[2] * math.exp(-ms / self.tau_syn_ex), state[3] * math.exp(-ms / self.tau_syn_in)

    def jump(self, state: tuple[float, ...], weight: float) -> tuple[float, ...]:
        t, V, ex, in_ = state
        return (t, V, ex + weight, in_) if weight >= 0.0 else (t, V, ex, in_ + weight)

    def kept(self, state: tuple[float, ...], weight: float, ms: float) -> tuple[float, ...]:
        tau = self.tau_syn_ex if weight >= 0.0 else self.tau_syn_in
        return self.jump(state, weight * math.exp(-ms / tau))


def driven_neurons(network: sp.Network, until: float) -> list[Driven]:
    neurons = []
    for population in network.populations:
        if population.is_source:
            continue
        values = network.checked_parameters(population, 0, population.size)
        for k in range(population.size):
            own = {name: float(column[k]) for name, column in values.items()}
            leaks = own["tau_m"] < math.inf
            drive = own["I_e"] / own["C_m"]
            V_inf = own["E_L"] + (drive * own["tau_m"] if leaks else 0.0)
            same = {name: own[name] for name in ("tau_m", "C_m", "V_th", "V_reset", "t_ref", "V_m")}
            currents = network.currents(population.name)
            synaptic = {name: own[name] for name in ("tau_syn_ex", "tau_syn_in") if name in own}
            kind: Any = DrivenExponential if synaptic else Driven
            neurons.append(kind(V_inf=V_inf, drift=0.0 if leaks else drive, currents=currents, until=until, **same, **synaptic))
    return neurons


def reference(network: sp.Network, until: float) -> list[tuple[int, int]]:
    return oracle.simulate(driven_neurons(network, until), list(synapses_of(network)), until)


# --- single neurons -------------------------------------------------------------------------------------------------------------------

STEPS = sp.StepCurrent([3.0, 20.0, 20.7, 47.3, 80.0], [450.0, 100.0, 900.0, 380.0, 600.0])
RAMPS = sp.SampledCurrent([0.0, 10.0, 11.0, 40.0, 70.0], [0.0, 500.0, -300.0, 800.0, 420.0])
FINE = sp.SampledCurrent(np.arange(400) * 0.25, 400.0 + 200.0 * np.random.default_rng(5).normal(size=400))
ALONE: dict[str, tuple[Current, ...]] = {
    "steps": (STEPS,),
    "ramps": (RAMPS,),
    "samples": (FINE,),
    "slow sine": (sp.SineCurrent(300.0, 0.7, phase=20.0, offset=500.0),),
    "sine": (sp.SineCurrent(300.0, 13.0, offset=380.0),),
    "fast sine": (sp.SineCurrent(4000.0, 450.0, phase=-75.0, offset=360.0, start=5.0, stop=90.0),),
    "sum": (STEPS, RAMPS, sp.SineCurrent(200.0, 31.0), sp.SineCurrent(100.0, 77.0, phase=90.0, offset=-150.0)),
}
MODELS = {
    "leaky": sp.LIF(I_e=30.0),
    "slow": sp.LIF(tau_m=40.0, t_ref=0.0, V_reset=-63.0),
    "exponential": sp.LIFPscExp(I_e=30.0, V_m=-60.0, tau_syn_ex=0.7),
    "perfect": sp.LIF(tau_m=math.inf, E_L=0.0, V_th=15.0, V_reset=-5.0, V_m=0.0, I_e=-60.0, t_ref=1.0),
}


def alone(currents: tuple[Current, ...], model: Any, n: int = 1) -> sp.Network:
    network = sp.Network()
    network.add_population("cells", n, model)
    network.add_population("plain", 1, sp.LIF())  # silent: all tests here run the code of both kinds
    for current in currents:
        network.add_input("cells", current)
    return network


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("model", MODELS)
def test_one_neuron_fires_when_the_closed_form_says(name, model):
    network = alone(ALONE[name], MODELS[model])
    spikes, expected = plain(emitted(network, 100.0, Run(schedule=ordered))), reference(network, 100.0)
    assert len(expected) >= 2
    # half a tick of rounding in each, what that does to those after it, and half a quantum (5e-14 mV) in each of 400 slabs over the slope
    # of V at threshold, as little as 0.1 mV/ms
    assert largest_difference(spikes, expected, 1) < 1e-11


@pytest.mark.skipif(not ENABLED, reason="2e5 slabs")
def test_phase_is_right_late_in_a_run():
    """An hour after the begin, with the origin moved three times: against 40 digits."""
    frequency, start = 37.0 / 3.0, 3.6e6
    current = sp.SineCurrent(1200.0, frequency, offset=2000.0, start=start)
    model = sp.LIF(tau_m=40.0, C_m=1000.0)
    spikes = plain(emitted(alone((current,), model), start + 40.0, Run(schedule=ordered, window=1.19e6)))
    with mpmath.workdps(40):
        w, tau, t0 = 2 * mpmath.pi * mpmath.mpf(frequency) / 1000, mpmath.mpf(40), mpmath.mpf(start)

        def primitive(t):
            return 1200 * (mpmath.sin(w * t) / tau - w * mpmath.cos(w * t)) / (1 / tau**2 + w**2) + 2000 * tau

        def V(t):
            return -70 + (primitive(t) - primitive(t0) * mpmath.exp((t0 - t) / tau)) / 1000

        first = mpmath.findroot(lambda t: V(t) + 55, (t0 + 1, t0 + 30), solver="anderson", tol=1e-30)
        assert abs(mpmath.mpf(spikes[0][0]) / 2**40 - first) < 1e-12


@pytest.mark.kernels
def test_phase_does_not_depend_on_the_origin():
    """To the bit; and it is that of 60 digits."""
    bits, sines = 37, [sp.SineCurrent(1.0, 37.0 / 3.0, phase=33.0), sp.SineCurrent(1.0, 0.001), sp.SineCurrent(1.0, 450.1, phase=-77.0)]
    still, rng = Currents.make([sines], bits), np.random.default_rng(1)
    for slabs in rng.integers(1, 1 << 24, 20).tolist():
        moved = Currents.make([sines], bits)
        for shift in (slabs // 3, slabs // 2):
            moved.keep_origin(shift << bits)
        left = slabs - slabs // 3 - slabs // 2
        for q, sine in enumerate(sines):
            found = angle(still, q, slabs << bits, 12345.0)
            assert found == angle(moved, q, left << bits, 12345.0)
            with mpmath.workdps(60):
                ms = mpmath.mpf((slabs << bits) + 12345) / (1 << 40)
                turns = mpmath.mpf(sine.frequency) * ms / 1000 + mpmath.mpf(sine.phase) / 360
                away = mpmath.mpf(found) / (2 * mpmath.pi) - turns
                assert abs(away - mpmath.nint(away)) < 1e-15


@pytest.mark.parametrize("model", [sp.LIF, sp.LIFPscExp])
def test_a_current_that_only_touches_threshold(model):
    """V turns at threshold within rounding, just below and just above: no spike is missed, none made."""
    current = sp.SineCurrent(100.0, 20.0, offset=350.0)
    neuron = driven_neurons(alone((current,), model(V_th=0.0, V_m=-70.0)), 200.0)[0]
    t = np.linspace(100.0, 150.0, 400_001)
    peak = float(neuron._V(neuron.start(), t).max())
    for above, fires in ((1e-9, False), (-1e-9, True)):
        spikes = plain(emitted(alone((current,), model(V_th=peak + above, V_m=-70.0, V_reset=-71.0)), 145.0, Run(schedule=ordered)))
        assert bool(spikes) is fires


def test_a_current_that_is_rheobase_at_a_round_time():
    """I passes 375 pA, where it holds V at threshold, at a time that the search for its turns looks at: the excess is 0 there."""
    found = []
    for offset in (375.0, 375.0 + 1e-9):
        network = alone((sp.SineCurrent(100.0, 200.0, phase=180.0, offset=offset),), sp.LIF(V_m=np.linspace(-60.0, -55.5, 400)), 400)
        network.connect("cells", "cells", sp.FixedIndegree(0), weight=0.1, delay=0.0)  # long slabs
        found.append(plain(emitted(network, 12.0, Run(schedule=instant))))
    assert len(found[0]) == len(found[1]) == 4
    assert largest_difference(found[0], found[1], 400) < 1e-6


@pytest.mark.parametrize("schedule", [ordered, instant, slab])
def test_a_current_that_ends_as_the_threshold_is_reached(schedule):
    """The spike is there whether or not a window begins at its tick."""
    for V_m in np.linspace(-70.0, -68.0, 12):
        network = alone((sp.StepCurrent([0.0], [500.0]),), sp.LIF(V_m=V_m))
        tick = plain(emitted(network, 18.0, Run(schedule=schedule)))[0][0]
        network = alone((sp.StepCurrent([0.0, tick * TICK], [500.0, 0.0]),), sp.LIF(V_m=V_m))
        found = []
        for cuts in ([18 << 40], [tick, 18 << 40]):
            session = session_of(network, Run(schedule=schedule))
            found.append(np.concatenate([session.advance(cut)["time"] for cut in cuts]).tolist())
        assert found[0] == found[1]


def test_sines_that_cancel():
    """What is left is rheobase, whatever the sines: V comes to threshold for ever, and the run to its end."""
    currents = (sp.SineCurrent(10.0, 400.0), sp.SineCurrent(-10.0, 400.0), sp.StepCurrent([0.0], [375.0]))
    assert plain(emitted(alone(currents, sp.LIF()), 2.0, Run(schedule=ordered))) == []


@pytest.mark.kernels
def test_pieces_stay_as_they_are_when_the_origin_moves():
    """Also those that began more than 2^62 ticks (70 minutes) ago, and a sine that ends at that tick."""
    ramp, sine = sp.SampledCurrent([1.0, 6e6], [0.1, 1e3 / 3.0]), sp.SineCurrent(1.0, 2.0, start=3.0, stop=4194304.0)
    at, once, often = 5_500_000 << 40, Currents.make([[ramp, sine]], 38), Currents.make([[ramp, sine]], 38)
    once.keep_origin(at)
    for _ in range(11):
        often.keep_origin(500_000 << 40)
    for name in ("begin", "value", "slope"):
        assert (once.piece[name] == often.piece[name]).all()
    assert (once.sine.off == often.sine.off).all()
    assert once.sine.off[0] == (1 << 62) - at
    assert (np.diff(once.piece.begin.astype(object)) > 0).all()


@pytest.mark.parametrize("model", [sp.LIF, sp.LIFPscExp])
def test_equal_currents_are_equal_however_they_are_told(model):
    """Steps, a flat sampled function and I_e: the same current, the same spikes to the rounding of each."""
    told = [
        alone((sp.StepCurrent([0.0], [500.0]),), model()),
        alone((sp.SampledCurrent([0.0, 1e3], [500.0, 500.0]),), model()),
        alone((sp.SineCurrent(0.0, 10.0, offset=500.0),), model()),
        alone((), model(I_e=500.0)),
    ]
    first, *others = [plain(emitted(network, 300.0, Run(schedule=ordered))) for network in told]
    assert len(first) == 19
    for other in others:
        assert largest_difference(first, other, 1) < 2e-11  # 19 spikes, one after the other


@pytest.mark.parametrize("model", [sp.LIF(V_th=0.0), sp.LIFPscExp(V_th=0.0, tau_syn_ex=10.0, tau_syn_in=0.5)])
def test_recorded_potential(model):
    network, times = alone(ALONE["sum"], model), np.arange(1, 100) * 0.731
    network.add_input("cells", sp.SpikeTrains([20.0], [0]), weight=5.0)
    network.add_input("cells", sp.SpikeTrains([20.0], [0]), weight=-3.0)
    network.record("V", "cells", times=times, name="V")
    recorded = sp.simulate(network, 80.0).recordings["V"]
    neuron = driven_neurons(network, 80.0)[0]
    state = neuron.jump(neuron.jump(neuron.later(neuron.start(), 20.0), 5.0), -3.0)
    expected = np.where(times < 20.0, neuron._V(neuron.start(), times), neuron._V(state, times))
    assert np.abs(np.ravel(recorded.values)[: len(times)] - expected).max() < 1e-11


# --- networks -------------------------------------------------------------------------------------------------------------------------


def network_of(seed: int, without_delay: bool, exponential: bool = False) -> sp.Network:
    """Two driven populations, one of neurons alike and one of neurons that differ, and one without a current of its own."""
    rng = np.random.default_rng(seed)
    network = sp.Network(seed=seed)

    def model(n: int, **more: Any) -> Any:
        V_m = rng.uniform(-70.0, -56.0, n)
        return sp.LIFPscExp(V_m=V_m, tau_syn_in=3.0, **more) if exponential else sp.LIF(V_m=V_m, **more)

    network.add_population("same", 6, model(6))
    network.add_population(
        "other",
        5,
        model(
            5,
            tau_m=rng.uniform(8.0, 30.0, 5),
            C_m=rng.uniform(150.0, 300.0, 5),
            I_e=rng.uniform(-50.0, 200.0, 5),
            t_ref=rng.uniform(0.5, 3.0, 5),
            **({"tau_syn_ex": [2.0, 8.0, 10.0, 0.5, 20.0]} if exponential else {}),
        ),
    )
    network.add_population("plain", 4, model(4, I_e=450.0))
    everyone, unit = ["same", "other", "plain"], 100.0 if exponential else 1.0
    network.connect(everyone, everyone, sp.FixedIndegree(4), weight=1.7 * unit, delay=0.0 if without_delay else 1.25)
    network.connect("plain", everyone, sp.FixedIndegree(2), weight=-2.9 * unit, delay=0.75)
    network.add_input(["same", "other"], sp.SineCurrent(250.0, 23.0, offset=250.0))
    network.add_input("same", sp.StepCurrent([11.3, 30.0, 52.0], [150.0, -100.0, 60.0]))
    network.add_input("other", sp.SampledCurrent([5.0, 33.0, 60.0], [0.0, 240.0, 90.0]))
    return network


@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("without_delay", [True, False])
def test_networks_agree_with_the_oracle_to_the_bit_whatever_the_schedule(seed, without_delay, exponential):
    network, until = network_of(seed, without_delay, exponential), 80.0
    runs = [
        Run(schedule=ordered),
        Run(schedule=instant),
        Run(schedule=instant, window=0.77, piece_bits=37),
        Run(schedule=ordered, window=7.1, origin_span=1 << 44, capacity=8),
    ]
    if not without_delay:
        runs += [Run(schedule=slab), Run(schedule=slab, window=0.31, origin_span=1 << 44, capacity=8)]
    first, *others = [emitted(network, until, run) for run in runs]
    expected = reference(network, until)
    assert len(expected) > 30
    assert largest_difference(plain(first), expected, network.n_neurons) < 1e-10
    assert all(same_bits(first, other) for other in others)


def test_input_kept_while_refractory():
    """What arrives meanwhile counts at its end, decayed; the current does not, since V is held."""
    network = alone((sp.StepCurrent([0.0], [500.0]),), sp.LIF(t_ref=4.0, refractory_input=True))
    network.add_input("cells", sp.SpikeTrains([15.0], [0]), weight=3.0)
    spikes = [tick * TICK for tick, _ in plain(emitted(network, 40.0, Run(schedule=ordered)))]
    V_inf = -70.0 + 500.0 * 10.0 / 250.0
    first = 10.0 * math.log((V_inf + 70.0) / (V_inf + 55.0))
    kept = -70.0 + 3.0 * math.exp((15.0 - first - 4.0) / 10.0)
    second = first + 4.0 + 10.0 * math.log((V_inf - kept) / (V_inf + 55.0))
    assert spikes == pytest.approx([first, second], abs=2e-12)


# --- description ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [sp.LIF, sp.LIFPscExp], ids=["lif", "exponential"])
def test_curves_are_planned(model):
    """A curve for each neuron that differs in what shapes it, one for all that do not; all have the room of the longest."""
    n, ranks, classes = 100, 2, np.repeat([200.0, 250.0, 300.0], [20, 30, 50])
    planned, made = [], []
    for values in ({"V_m": sp.Uniform(-70.0, -60.0)}, {"C_m": sp.Uniform(200.0, 300.0)}, {"C_m": classes}):
        network = sp.Network()
        network.add_population("n", n, model(t_ref=0.0, **values))
        network.add_population("one", 1, model(t_ref=0.0))
        network.add_input("n", RAMPS)
        network.add_input("one", FINE)
        planned.append(plan(network, ranks).memory)
        curves = session_of(network, Run(slab)).part.model.curves
        made.append(curves.kind.nbytes + curves.part.nbytes)
    each = made[0] // 2  # one of either population
    assert made == [2 * each, (n + 1) * each, (3 + 1) * each]
    assert [(other - planned[0]).tolist() for other in planned[1:]] == [[(n // ranks - 1) * each] * ranks, [(3 - 1) * each] * ranks]


def test_toml_round_trip():
    network = network_of(3, True)
    network.add_input("same", sp.SineCurrent(1.0, 2.0, phase=0.1, start=1.0, stop=2.0))
    assert loads(sp.dumps(network)).network == network


REFUSED = {
    r"times of a step current do not increase: 2.0 ms is followed by 1.0 ms at position 1": lambda: sp.StepCurrent([2.0, 1.0], [1.0, 2.0]),
    r"do not increase: 1.0 ms is followed by 1.0 ms": lambda: sp.SampledCurrent([1.0, 1.0], [1.0, 2.0]),
    r"times is -1.0 ms for value 0; times go from 0 to 8e\+06 ms": lambda: sp.StepCurrent([-1.0], [1.0]),
    r"values is nan pA for time 1; it must be a finite number": lambda: sp.SampledCurrent([1.0, 2.0], [1.0, math.nan]),
    r"has 2 times and 1 values; give one value for each": lambda: sp.StepCurrent([1.0, 2.0], [1.0]),
    r"times of a step current are 1.0; give a list in ms": lambda: sp.StepCurrent(1.0, [1.0]),
    r"frequency is 0.0 Hz; it must be positive": lambda: sp.SineCurrent(1.0, 0.0),
    r"frequency is -5.0 Hz; it must be positive": lambda: sp.SineCurrent(1.0, -5.0),
    r"amplitude is inf pA; it must be a finite number": lambda: sp.SineCurrent(math.inf, 1.0),
    r"amplitude of a sine current is .* the current is the same for all": lambda: sp.SineCurrent([1.0, 2.0], 1.0),  # type: ignore[arg-type]
    r"goes from 5.0 to 4.0 ms; give start and stop": lambda: sp.SineCurrent(1.0, 1.0, start=5.0, stop=4.0),
    r'there is no population "cell"; did you mean "cells"\?': lambda: alone((), sp.LIF()).add_input("cell", STEPS),
    r"weight is 2.0, but a current has neither weight nor delay": lambda: alone((), sp.LIF()).add_input("cells", STEPS, weight=2.0),
    r"delay is 1.0, but a current has neither weight nor delay": lambda: alone((), sp.LIF()).add_input("cells", STEPS, delay=1.0),
    r'population "cells" is of model qif, but only lif and lif_psc_exp take currents that vary': lambda: alone((STEPS,), sp.QIF()),
    r"neuron 0: its currents reach 1e\+09 pA; with its C_m at most \S+ pA can be held": lambda: sp.simulate(
        alone((sp.StepCurrent([1.0], [1e9]),), sp.LIF()), 1.0
    ),
    r"neuron 0: its currents reach 1e\+08 pA; with its C_m at most \S+ pA can be held": lambda: sp.simulate(
        alone((sp.StepCurrent([1.0], [1e8]),), sp.LIFPscExp()), 1.0
    ),
}


@pytest.mark.parametrize("told", REFUSED)
def test_refused(told):
    with pytest.raises(InputError, match=told):
        REFUSED[told]()


def test_refused_in_toml():
    text = sp.dumps(alone((STEPS,), sp.LIF())).replace("values =", "value =")
    with pytest.raises(InputError, match=r'the key "value" in \[\[inputs\]\] number 1 is unknown; did you mean "values"\?'):
        loads(text)
