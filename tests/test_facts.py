"""What is known of neurons and networks, in closed form or from the literature: periods, balance, stable chaos and chaos.

The networks are those of `sparseprop_dist.examples`. The tangent dynamics is a page of NumPy here, and knows nothing of the engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from built import edges
from test_readme import EXAMPLES, described_by

import sparseprop_dist as sp
from sparseprop_dist.errors import InputError
from sparseprop_dist.examples import balanced_network, paper_network

# --- single neurons -----------------------------------------------------------------------------------------------------------------


def alone(model: sp.LIF | sp.QIF, size: int, until: float) -> list[np.ndarray]:
    """Spike times of neurons without synapses, ms."""
    network = sp.Network()
    network.add_population("alone", size, model)
    spikes = sp.simulate(network, until).spikes
    return [spikes.times[spikes.ids == i] for i in range(size)]


def check_periodic(times: np.ndarray, first: float, period: float, until: float) -> None:
    expected = np.arange(first, until, period)
    assert len(times) == len(expected) > 2
    assert np.abs(times - expected).max() < 1e-9


def test_qif_fires_every_pi_tau_over_root_of_the_drive() -> None:
    """From V = 0 the first spike takes half of a period."""
    drives = np.array([1e-3, 0.01, 0.1, 1.0, 7.0, 30.0])
    for drive, times in zip(drives, alone(sp.QIF(tau_m=10.0, I=drives), len(drives), 3000.0), strict=True):
        period = math.pi * 10.0 / math.sqrt(drive)
        check_periodic(times, 0.5 * period, period, 3000.0)


def test_qif_between_a_threshold_and_a_reset() -> None:
    drives, V_th, V_reset, t_ref = np.array([0.02, 0.1, 3.0]), 1.5, -0.7, 2.25
    model = sp.QIF(tau_m=8.0, I=drives, V_th=V_th, V_reset=V_reset, t_ref=t_ref, V_m=V_reset)
    for drive, times in zip(drives, alone(model, len(drives), 1000.0), strict=True):
        root = math.sqrt(drive)
        wait = 8.0 / root * (math.atan(V_th / root) - math.atan(V_reset / root))
        check_periodic(times, wait, wait + t_ref, 1000.0)


def test_qif_without_drive_comes_from_above_its_unstable_point_only() -> None:
    """With I = -k^2, V passes from V_m > k to infinity in tau_m / (2 k) log((V_m + k) / (V_m - k)); then it rests at -k."""
    k, V_m = 0.5, np.array([-3.0, 0.0, 0.499, 0.501, 2.0])
    never, *_ = trains = alone(sp.QIF(tau_m=10.0, I=-(k**2), V_m=V_m), len(V_m), 500.0)
    assert not len(never)
    for V, times in zip(V_m, trains, strict=True):
        expected = [10.0 / (2 * k) * math.log((V + k) / (V - k))] if k < V else []
        assert times == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("t_ref", [0.0, 2.0])
def test_lif_f_I_curve(t_ref: float) -> None:
    """1/f = t_ref + tau_m log((V_inf - V_reset)/(V_inf - V_th)) above the rheobase; on it and below, silence."""
    tau_m, C_m, E_L, V_th, V_reset = 20.0, 200.0, -70.0, -50.0, -60.0
    rheobase = (V_th - E_L) * C_m / tau_m
    currents = rheobase * np.array([0.5, 1.0, 1.001, 1.1, 1.5, 3.0, 10.0])
    model = sp.LIF(tau_m=tau_m, C_m=C_m, E_L=E_L, V_th=V_th, V_reset=V_reset, t_ref=t_ref, I_e=currents, V_m=V_reset)
    below, at, *above = alone(model, len(currents), 1000.0)
    assert len(below) == len(at) == 0
    for current, times in zip(currents[2:], above, strict=True):
        V_inf = E_L + current * tau_m / C_m
        wait = tau_m * math.log((V_inf - V_reset) / (V_inf - V_th))
        check_periodic(times, wait, wait + t_ref, 1000.0)


# --- balance ------------------------------------------------------------------------------------------------------------------------

SETTLED = 500.0
"""ms, from which on a network counts as stationary."""


def rate_and_cv(network: sp.Network, until: float) -> tuple[float, float]:
    """Mean rate (Hz), and CV of all intervals between spikes of a neuron."""
    spikes = sp.simulate(network, until).spikes
    late = spikes.times >= SETTLED
    times, ids = spikes.times[late], spikes.ids[late]
    order = np.lexsort((times, ids))
    intervals = np.diff(times[order])[np.diff(ids[order]) == 0]
    return len(times) / network.n_neurons / (until - SETTLED) * 1e3, float(intervals.std() / intervals.mean())


def several(kind: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over seeds of rate and CV, K = 25."""
    make, model = (balanced_network, "qif") if kind == "balanced" else (paper_network, kind)
    found = np.array([rate_and_cv(make(model, size, 25, seed=seed), 2500.0) for seed in range(1, 5)])
    return found.mean(0), found.std(0, ddof=1) / math.sqrt(len(found))


SHARED = 0.3
"""Rate and CV of finite networks differ by about this times K/N, the share of its inputs that a neuron has in common with another: for the
rate of LIF, N = 1,250 to 5,000 and K = 25 and 50 give 0.2."""


@pytest.mark.parametrize("kind", ["lif", "qif", "eif", "balanced"])
def test_rate_and_irregularity_are_the_same_for_all_sizes(kind: str) -> None:
    reference, error = several(kind, 10_000)
    assert reference[1] > 0.5
    for size in (2_500, 5_000):
        found, own_error = several(kind, size)
        assert (np.abs(found - reference) < 4.0 * np.hypot(error, own_error) + SHARED * 25 / size * reference).all()


def test_rate_comes_to_its_target_as_one_over_root_of_K() -> None:
    """van Vreeswijk & Sompolinsky (1996): the drive decides the rate, and what the threshold adds is of order 1/sqrt(K)."""
    excess = np.array([(rate_and_cv(paper_network("lif", 10_000, K), 1500.0)[0] - 1.0) * math.sqrt(K) for K in (25, 50, 100, 200)])
    assert np.abs(excess / excess.mean() - 1.0).max() < 0.03


def test_excitatory_and_inhibitory_neurons_fire_alike() -> None:
    """They have the same neurons, drive and inputs: no more apart than samples of their sizes."""
    network = balanced_network("qif", 10_000, 50)
    spikes = sp.simulate(network, 1500.0).spikes
    counts = np.bincount(spikes.ids[spikes.times >= SETTLED], minlength=network.n_neurons)
    exc, inh = counts[:8000], counts[8000:]
    assert abs(exc.mean() - inh.mean()) < 4.0 * math.hypot(exc.std() / math.sqrt(len(exc)), inh.std() / math.sqrt(len(inh)))


# --- stable chaos and chaos ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phases:
    """Neurons of one kind in phases that grow as time does, in units of tau_m; of LIF ``-log(V_inf - V)``, of QIF ``atan(V/s)/s``.

    An input at phase p takes it to g(p). If it comes later by dt, because the phase of its source is displaced by -dt, the displacement of
    its target becomes ``g' d_target + (1 - g') d_source``; all else leaves displacements alone.
    """

    model: sp.LIF | sp.QIF
    weight: float

    @property
    def level(self) -> float:
        """V_inf of LIF, s = sqrt(I) of QIF."""
        return 1.0 * self.model.I_e if isinstance(self.model, sp.LIF) else math.sqrt(self.model.I)

    def of(self, V: np.ndarray) -> np.ndarray:
        if isinstance(self.model, sp.LIF):
            return -np.log(self.level - V)
        return np.arctan(V / self.level) / self.level

    def potential(self, phase: np.ndarray) -> np.ndarray:
        if isinstance(self.model, sp.LIF):
            return self.level - np.exp(-phase)
        return self.level * np.tan(self.level * phase)

    def speed(self, V: np.ndarray) -> np.ndarray:
        """tau_m V'."""
        return self.level - V if isinstance(self.model, sp.LIF) else V**2 + self.model.I

    def jump(self, phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """g and g' of phases: the phase is the integral of dV/speed."""
        V = self.potential(phase)
        return self.of(V + self.weight), self.speed(V) / self.speed(V + self.weight)


@dataclass(frozen=True)
class Tangent:
    """The spikes of a network and of one that starts infinitely near to it."""

    times: np.ndarray
    """ms"""
    ids: np.ndarray
    shifts: np.ndarray
    """of each spike, per displacement at time 0 (in phase), ms"""
    spread: np.ndarray
    """of the displacements of all neurons at each spike"""

    def exponent(self, start: float) -> float:
        """Largest Lyapunov exponent without that of time, per second, from a fit from ``start`` ms on."""
        late = self.times >= start
        return float(np.polyfit(self.times[late], np.log(self.spread[late]), 1)[0]) * 1e3


def phases_of(network: sp.Network) -> Phases:
    return Phases(network.populations[0].model, float(network.projections[0].weight))  # type: ignore[arg-type]


def tangent(network: sp.Network, displacement: np.ndarray, until: float) -> Tangent:
    """Brute force: all phases move at each spike."""
    neurons, n, tau_m = phases_of(network), network.n_neurons, 10.0
    source, target, _ = edges(network, network.projections[0])
    order = np.argsort(source, kind="stable")
    targets = np.split(target[order], np.cumsum(np.bincount(source, minlength=n))[:-1])
    phase, d = neurons.of(network.parameters("inh", "V_m", 0, n)), displacement.copy()
    is_lif = isinstance(neurons.model, sp.LIF)
    threshold = -math.log(neurons.level - 1.0) if is_lif else 0.5 * math.pi / neurons.level
    reset = -math.log(neurons.level) if is_lif else -threshold
    now, common = 0.0, 0.0
    rows: list[tuple[float, ...]] = []
    while True:
        i = int(np.argmax(phase))
        wait = threshold - phase[i]
        if (now + wait) * tau_m >= until:
            return Tangent(*np.array(rows).T)
        now, own = now + wait, targets[i]
        phase += wait
        phase[own], slope = neurons.jump(phase[own])
        d[own] += (1.0 - slope) * (d[i] - d[own])
        phase[i] = reset
        if len(rows) % 64 == 0:  # what all have in common is a shift of time: it stays for ever, and would hide the rest
            mean = d.mean()
            common, d = common + mean, d - mean
        rows.append((now * tau_m, i, -(d[i] + common) * tau_m, d.std()))


def displaced(network: sp.Network, displacement: np.ndarray) -> sp.Network:
    """The network with displaced phases at time 0."""
    neurons = phases_of(network)
    return starting(network, neurons.potential(neurons.of(network.parameters("inh", "V_m", 0, network.n_neurons)) + displacement))


def starting(network: sp.Network, V: np.ndarray) -> sp.Network:
    """The network with these potentials at time 0."""
    (population,), (projection,) = network.populations, network.projections
    other = sp.Network(network.seed)
    added = other.add_population("inh", population.size, replace(population.model, V_m=V))  # type: ignore[type-var]
    other.connect(added, added, projection.rule, weight=projection.weight, delay=projection.delay)
    return other


def direction(n: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=n)


def spreads(network: sp.Network, size: float, until: float) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation (ms), over the spikes of each 50 ms, of the shifts that a displacement of ``size`` at time 0 makes: in the engine,
    and by the tangent dynamics."""
    x = direction(network.n_neurons)
    expected = tangent(network, size * x, until)
    spikes, others = (sp.simulate(displaced(network, own), until).spikes for own in (0.0 * x, size * x))
    assert (spikes.ids == expected.ids).all()
    assert (others.ids == expected.ids).all()
    bins = (expected.times / 50.0).astype(int)
    return tuple(
        np.array([shifts[bins == k].std() for k in range(bins[-1] + 1)]) for shifts in (others.times - spikes.times, expected.shifts)
    )  # type: ignore[return-value]


def test_lif_networks_forget_how_they_began() -> None:
    """Stable chaos: irregular, and yet what lies near comes together, down to the resolution of time (Jahnke, Memmesheimer & Timme, Front.
    Comput. Neurosci. 3:13, 2009; Monteforte & Wolf, PRX 2:041007, 2012)."""
    network = paper_network("lif", 1000, 100)
    found, expected = spreads(network, 1e-6, 600.0)
    clear = expected > 1e-10
    assert clear.sum() >= 5
    assert np.abs(found[clear] / expected[clear] - 1.0).max() < 0.01
    assert found[-1] < 2e-12
    assert -100.0 < tangent(network, direction(1000), 600.0).exponent(100.0) < -20.0


@pytest.mark.parametrize(("size", "same"), [(3e-3, True), (1e-2, False)])
def test_lif_networks_forget_within_a_tube_only(size: float, same: bool) -> None:
    """Displaced by 0.03 ms, the second half of the spikes has its old order; by 0.1 ms, it has lost it for ever."""
    network, x = paper_network("lif", 1000, 100), direction(1000)
    one, other = (sp.simulate(displaced(network, own), 1000.0).spikes.ids for own in (0.0 * x, size * x))
    half = slice(len(one) // 2, min(len(one), len(other)))
    equal = (one[half] == other[half]).mean()
    assert equal == 1.0 if same else equal < 0.01


def test_qif_networks_are_chaotic() -> None:
    """What lies near comes apart as the tangent dynamics says, exponentially."""
    found, expected = spreads(paper_network("qif", 1000, 100), 1e-9, 600.0)
    assert np.abs(found / expected - 1.0).max() < 0.01
    assert found[-1] > 1e4 * found[0]


def test_eif_networks_are_chaotic() -> None:
    """What makes chaos is that spikes have an onset, however sharp: LIF neurons with the same drive and synapses forget. Two spikes change
    places after 87 ms, 1e-2 ms apart."""
    network, x = paper_network("eif", 1000, 100), direction(1000)
    V = network.parameters("inh", "V_m", 0, 1000)
    spikes, others = (sp.simulate(starting(network, own), 60.0).spikes for own in (V, V + 1e-10 * x))
    assert (spikes.ids == others.ids).all()
    early, late = (np.abs(spikes.times - others.times)[own].mean() for own in (spikes.times < 30.0, spikes.times > 40.0))
    assert late > 50.0 * early


def test_size_of_chaos() -> None:
    """Monteforte & Wolf, PRL 105:268104 (2010): tens per second at firing rates of 1 to 10 Hz; the same for all N."""
    exponents = []
    for size in (1000, 2000):
        found = tangent(paper_network("qif", size, 100), direction(size), 3000.0)
        assert 1.0 < len(found.times) / size / 3.0 < 10.0
        exponents.append(found.exponent(500.0))
    assert 20.0 < min(exponents) < max(exponents) < 50.0
    assert abs(exponents[0] / exponents[1] - 1.0) < 0.1


# --- the networks themselves --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("paper_*.toml")), ids=lambda path: path.stem)
def test_examples_in_toml_and_in_python(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = sp.load(path)
    monkeypatch.setattr("sys.argv", ["paper.py", path.stem.removeprefix("paper_")])
    assert described_by(EXAMPLES / "paper.py", monkeypatch) == (configuration.network, configuration.until)


@pytest.mark.parametrize(
    ("make", "values", "said"),
    [
        (paper_network, {"model": "lof"}, "model is 'lof' (a string); did you mean \"lif\"?"),
        (paper_network, {"model": 3}, "model is 3; known are lif, qif, eif"),
        (paper_network, {"indegree": 0}, "indegree is 0; give a positive number"),
        (paper_network, {"indegree": 2.5}, "indegree is 2.5; give a whole number"),
        (paper_network, {"size": 100}, "indegree is 100"),
        (paper_network, {"rate": float("nan")}, "rate is nan; give a positive number"),
        (paper_network, {"tau_m": "10 ms"}, "tau_m is '10 ms' (a string); give a positive number"),
        (paper_network, {"spread": 1.0}, "spread is 1.0; give a number of at least 0 and below 1"),
        (balanced_network, {"excitation": 0.8}, "excitation is 0.8; give a number of at least 0 and below 0.7071"),
        (balanced_network, {"size": 4}, "size is 4; give a whole number of at least 5"),
    ],
)
def test_networks_refused(make: object, values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as refused:
        make(**values)  # type: ignore[operator]
    assert said in str(refused.value)


def test_heterogeneous_neurons_fire_by_their_drive() -> None:
    """Each by itself every pi tau_m / sqrt(I); in the network, those with more drive more often."""
    network = paper_network("qif", 2000, 50, spread=0.4)
    drive = network.parameters("inh", "I", 0, 2000)
    mean = math.sqrt(50) * 0.01
    assert 0.6 * mean <= drive.min() < 0.61 * mean
    assert 1.39 * mean < drive.max() <= 1.4 * mean
    counts = np.bincount(sp.simulate(network, 1500.0).spikes.ids, minlength=2000)
    order = np.argsort(drive)
    assert counts[order[:500]].mean() < 0.8 * counts[order[-500:]].mean()
