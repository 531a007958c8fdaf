"""Exact gradients: against forward tangents by hand, finite differences of whole runs, one copy against many, and their refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tangent

import sparseprop_dist as sp
from sparseprop_dist import frames, gradients, losses
from sparseprop_dist.clock import TICK
from sparseprop_dist.exchange import Alone
from sparseprop_dist.replicas import Replicas, gids_of, listed

N, N_SOURCES, UNTIL = 20, 4, 50.0
NAMES = ("weight", "delay", "I_e", "V_th", "V_reset", "t_ref", "V_m", "C_m", "E_L", "spike_times")
CASES = [
    # model, delays, refractory, excitation
    ("lif", "none", 0.0, 0.0),
    ("lif", "none", 2.0, 0.5),
    ("lif", "none", 0.0, 0.5),
    ("lif", "one", 0.0, 0.3),
    ("lif", "each", 2.0, 0.5),
    ("lif", "each", 1.0, 0.0),
    ("lif_psc_exp", "none", 2.0, 0.5),
    ("lif_psc_exp", "one", 0.0, 0.3),
    ("lif_psc_exp", "each", 2.0, 0.5),
]
IDS = ["-".join(map(str, case)) for case in CASES]


class Case:
    """A random network, its parameters by name, and how to build it with others."""

    def __init__(self, model: str, delays: str, t_ref: float, excitation: float, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, *map(ord, model + delays), int(t_ref), int(10 * excitation)])
        n = 6 * N
        pairs = rng.choice(N * N, n, replace=False)
        self.sources, self.targets = pairs // N, pairs % N
        self.currents = model == "lif_psc_exp"
        scale = 6.0 if self.currents else 1.0
        sign = np.where(rng.random(n) < excitation, 1.0, -1.0)
        self.delays, self.trains = delays, np.sort(rng.uniform(0.0, 35.0, 12))
        self.train_ids, self.input_weights = rng.integers(0, N_SOURCES, 12), scale * rng.normal(0.0, 0.2, N_SOURCES * N)
        spread = {"none": np.zeros(n), "one": np.full(n, 1.3), "each": rng.uniform(0.5, 4.0, n)}[delays]
        self.values = {
            "weight": scale * sign * rng.uniform(0.02, 0.3, n),
            "delay": spread,
            "I_e": rng.uniform(1.1, 1.5, N),
            "V_th": rng.uniform(0.95, 1.05, N),
            "V_reset": rng.uniform(-0.1, 0.1, N),
            "t_ref": t_ref * rng.uniform(0.5, 1.0, N),
            "V_m": rng.uniform(0.0, 0.9, N),
            "C_m": rng.uniform(9.0, 11.0, N),
            "E_L": rng.uniform(-0.1, 0.1, N),
            "tau_m": rng.uniform(8.0, 12.0, N),
            "tau_syn_ex": np.concatenate([[8.0, 12.0], rng.uniform(2.0, 12.0, N - 2)]),
            "tau_syn_in": rng.uniform(3.0, 6.0, N),
            "spike_times": self.trains,
        }

    def network(self, **changed: np.ndarray) -> tuple[sp.Network, sp.Projection]:
        v = self.values | changed
        own: dict[str, Any] = {name: v[name] for name in ("I_e", "V_th", "V_reset", "t_ref", "V_m", "C_m", "E_L", "tau_m")}
        currents = {name: v[name] for name in ("tau_syn_ex", "tau_syn_in")}
        model: Any = sp.LIFPscExp(**currents, **own) if self.currents else sp.LIF(**own)
        net = sp.Network(1)
        net.add_population("a", N, model)
        net.add_population("in", N_SOURCES, sp.SpikeTrains(v["spike_times"], self.train_ids))
        made = net.connect("a", "a", sp.Pairs(self.sources, self.targets), weight=v["weight"], delay=v["delay"])
        net.connect("in", "a", sp.AllToAll(), weight=self.input_weights, delay=0.7)
        return net, made

    @property
    def names(self) -> list[str]:
        """What has a derivative here: not delays that are 0 or must be one, nor a refractory period that is not there."""
        names = [*NAMES, "tau_m", *(["tau_syn_ex", "tau_syn_in"] if self.currents else [])]
        without = {"none": "delay"}.get(self.delays, "")
        return [name for name in names if name != without and (name != "t_ref" or self.values["t_ref"].any())]

    def gradient(self, cotangents: Any) -> tuple[float, dict[str, np.ndarray]]:
        net, made = self.network()
        value, found = sp.value_and_grad(net, cotangents, UNTIL, wrt=self.names)
        key = {"weight": made, "delay": made, "spike_times": "in"}
        return value, {name: found[name][key.get(name, "a")] for name in self.names}


def linear(seed: int) -> Any:
    """A loss that is linear in the times, with random coefficients."""

    def loss(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
        by = np.random.default_rng(seed).normal(size=len(times))
        return float(by @ times), by

    return loss


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_adjoint_identity(case: tuple[str, str, float, float], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """<c, J v> by forward tangents is <J^T c, v> by the sweep, to rounding; wherever the anchors of the frames lie."""
    monkeypatch.setattr(frames, "REACH", (8.0, 0.3)[seed])
    made = Case(*case, seed=seed)
    _, found = made.gradient(linear(3))
    rng = np.random.default_rng(7)
    v = {name: rng.normal(size=len(made.values[name])) for name in made.names}
    net, _ = made.network()
    _, log = gradients.record(net, UNTIL, "auto", Alone())
    neurons = []
    for i in range(N):
        p = {name: float(made.values[name][i]) for name in ("I_e", "V_th", "V_reset", "t_ref", "V_m", "C_m", "E_L", "tau_m")}
        p |= {name: float(made.values[name][i]) for name in ("tau_syn_ex", "tau_syn_in")} if made.currents else {}
        neurons.append(tangent.Neuron(p, {name: float(v[name][i]) if name in v else 0.0 for name in p}))
    nothing = np.zeros(len(made.sources))
    columns = (made.sources, made.targets, made.values["weight"], made.values["delay"], v["weight"], v.get("delay", nothing))
    synapses = list(zip(*(column.tolist() for column in columns), strict=True))
    synapses += [(N + k // N, k % N, float(w), 0.7, 0.0, 0.0) for k, w in enumerate(made.input_weights)]
    trains = np.flatnonzero(log.gid >= N)
    times = tangent.tangents(log, neurons, synapses, dict(zip(trains.tolist(), v["spike_times"].tolist(), strict=True)))
    mine = np.flatnonzero(log.gid < N)
    order = mine[np.lexsort((log.gid[mine], log.time[mine]))]
    cotangents = np.random.default_rng(3).normal(size=len(order))
    forward = float(cotangents @ times[order])
    terms = [found[name] * v[name] for name in made.names]
    size = sum(float(np.abs(term).sum()) for term in terms)
    assert len(order) > N
    assert forward == pytest.approx(sum(float(term.sum()) for term in terms), abs=2e-11 * size)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_finite_differences(case: tuple[str, str, float, float]) -> None:
    """Central differences of whole runs, extrapolated, where both sides fire in the same order."""
    made = Case(*case)
    loss = linear(3)
    value, found = made.gradient(loss)

    def at(name: str, step: float, direction: np.ndarray) -> tuple[float, bytes]:
        net, _ = made.network(**{name: made.values[name] + step * direction})
        spikes = sp.simulate(net, UNTIL).spikes
        return loss(spikes.times, spikes.ids)[0], spikes.ids.tobytes()

    same = at("I_e", 0.0, np.zeros(N))
    assert same[0] == value
    for name in made.names:
        alike = name == "delay" and made.delays == "one"  # else they would no longer be one
        direction = np.ones_like(made.values[name]) if alike else np.random.default_rng(5).normal(size=len(made.values[name]))
        exact, size = float(found[name] @ direction), float(np.abs(found[name] * direction).sum())
        errors = []
        for h in (1e-4, 1e-5, 1e-6):
            both = [[at(name, sign * step, direction) for sign in (1, -1)] for step in (h, h / 2)]
            if all(end[1] == same[1] for pair in both for end in pair):
                wide, near = ((plus[0] - minus[0]) / (2 * step) for (plus, minus), step in zip(both, (h, h / 2), strict=True))
                errors.append(abs((4.0 * near - wide) / 3.0 - exact) / size)
        assert errors, name
        assert min(errors) < 1e-7, (name, errors)


def test_shared_numbers_have_the_sum() -> None:
    """One weight, delay or current for all: its gradient is the sum of those of each, whatever the rule."""

    def network(each: bool) -> tuple[sp.Network, sp.Projection]:
        net = sp.Network(3)
        pop = net.add_population(
            "a", 40, sp.LIF(tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, C_m=10.0, I_e=1.3, t_ref=1.0, V_m=sp.Uniform(0.0, 0.9))
        )
        rule = sp.FixedIndegree(8)
        return net, net.connect(pop, pop, rule, weight=sp.Uniform(-0.1, -0.1 + 1e-15) if each else -0.1, delay=1.5)

    net, made = network(False)
    value, shared = sp.value_and_grad(net, linear(1), 60.0, wrt=("weight", "delay", "I_e"))
    other, drawn = network(True)
    value_of_each, each = sp.value_and_grad(other, linear(1), 60.0, wrt=("weight",))
    assert value_of_each == pytest.approx(value, abs=1e-9)
    assert each["weight"][drawn].shape == (320,)
    assert shared["weight"][made] == pytest.approx(each["weight"][drawn].sum(), rel=1e-9)
    numbers = sp.value_and_grad(listed(net, ("I_e",)), linear(1), 60.0, wrt=("weight", "delay", "I_e"))[1]
    for name, thing in (("weight", 0), ("delay", 0), ("I_e", "a")):
        assert shared[name][thing] == pytest.approx(np.sum(numbers[name][thing]), rel=1e-12)


def test_a_copy_has_the_bits_that_it_has_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the frames' anchors nor groups of spikes depend on what other copies do: batches may be cut."""
    monkeypatch.setattr(frames, "REACH", 0.3)
    case = Case("lif", "each", 2.0, 0.5)
    trains = [case.trains + 0.3 * k for k in range(3)]
    many = Replicas(listed(case.network()[0]), 3)
    shifted = {"in": sp.SpikeTrains(*_merged([(trains[k], case.train_ids + k * N_SOURCES) for k in range(3)]))}
    together = _swept(many.build(many.network, shifted))
    for k in range(3):
        alone = _swept(listed(case.network(spike_times=trains[k])[0]))
        for name in ("weight", "delay"):
            assert together[name][0].reshape(3, -1)[k].tobytes() == alone[name][0].tobytes()


def _swept(net: sp.Network) -> Any:
    wanted = ("weight", "delay")
    run, log = gradients.record(net, UNTIL, "auto", Alone(), wanted)
    return gradients.sweep(run, log, np.cos(log.time * TICK) * (log.gid < net.n_neurons), wanted, net, "frame", largest=1.0)


def test_copies_side_by_side_have_the_gradients_of_each() -> None:
    case = Case("lif", "each", 2.0, 0.5)
    net, _ = case.network()
    net = listed(net)
    copies = Replicas(net, 3)
    shifted = {"in": sp.SpikeTrains(*_merged([(case.trains + 0.3 * k, case.train_ids + k * N_SOURCES) for k in range(3)]))}

    def loss(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.sin(times).sum()), np.cos(times)

    value, together = sp.value_and_grad(copies.build(net, shifted), loss, UNTIL, wrt=("weight", "delay"))
    total = 0.0
    for k in range(3):
        one, _ = Case("lif", "each", 2.0, 0.5).network(spike_times=case.trains + 0.3 * k)
        own, found = sp.value_and_grad(listed(one), loss, UNTIL, wrt=("weight", "delay"))
        total += own
        for name in ("weight", "delay"):
            np.testing.assert_allclose(together[name][0].reshape(3, -1)[k], found[name][0], rtol=1e-9, atol=1e-12)
    assert value == pytest.approx(total, rel=1e-12)
    assert gids_of(net, "a", 3).tolist() == np.arange(3 * N).reshape(3, N).tolist()


def _merged(trains: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    times, ids = (np.concatenate(column) for column in zip(*trains, strict=True))
    order = np.argsort(times, kind="stable")
    return times[order], ids[order]


def small(**more: Any) -> sp.Network:
    net = sp.Network(1)
    net.add_population("a", 4, sp.LIF(**{"E_L": 0.0, "V_th": 1.0, "V_reset": 0.0, "C_m": 10.0, "I_e": 1.3, "V_m": 0.0} | more))
    net.connect("a", "a", sp.AllToAll(), weight=-0.01, delay=1.0)
    return net


def test_poisson_drives_without_derivative() -> None:
    """Below threshold every spike is made by an event: no parameter moves it, but where it was released."""
    net = small(I_e=0.0)
    net.add_input("a", sp.Poisson(2000.0), weight=0.3)
    _, found = sp.value_and_grad(net, linear(1), 100.0, wrt=("weight", "I_e", "t_ref", "V_th"))
    assert [found[name][0 if name == "weight" else "a"] for name in found] == [0.0, 0.0, 0.0, 0.0]
    net = small()
    net.add_input("a", sp.Poisson(2000.0), weight=0.3)
    with pytest.raises(sp.InputError, match=r"neuron 0 has no gradient: it gets Poisson input, and its drive alone takes it over V_th"):
        sp.value_and_grad(net, linear(1), 100.0)


def no_numbers(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
    return 0.0, np.where(np.arange(len(times)) == 2, np.nan, 0.0)


def test_refusals() -> None:
    with pytest.raises(
        sp.InputError, match=r'wrt names "wieght"; did you mean "weight"\?; give names among weight, delay, spike_times, tau_m'
    ):
        sp.value_and_grad(small(), linear(1), 50.0, wrt=("wieght",))
    with pytest.raises(sp.InputError, match=r"the loss has derivative nan by the spike of neuron 2 at \S+ ms \(spike 2\)"):
        sp.value_and_grad(small(), no_numbers, 50.0)
    with pytest.raises(sp.InputError, match=r"derivatives of shape \(\) for \d+ spikes; give one for each spike"):
        sp.value_and_grad(small(), lambda times, ids: (0.0, 1.0), 50.0)
    with pytest.raises(sp.InputError, match=r"refractory_input has no gradients"):
        sp.value_and_grad(small(refractory_input=True), linear(1), 50.0)
    _, found = sp.value_and_grad(small(), linear(1), 50.0, wrt="weight")
    with pytest.raises(sp.InputError, match=r'there is no gradient of "I_e"; name it in wrt'):
        found["I_e"]


TIMES, OF = np.array([1.0, 2.5, 3.0, 4.2, 6.0, 7.7, 8.0]), np.array([0, 1, 0, 2, 1, 0, 1])
LOSSES = {
    "cross entropy": losses.first_spike_cross_entropy([[0, 1, 2], [2, 1, 0]], [1, 2], scale=1.5, early=0.1, early_scale=6.0),
    "with silence": losses.first_spike_cross_entropy([[0, 1, 5]], [1], scale=1.5, silent=9.0),
    "squared error": losses.first_spike_squared_error([0, 1, 2], [1.5, np.nan, 4.0]),
    "distance": losses.spike_time_distance([1.5, 2.0, 6.0, 9.0], [0, 1, 1, 2], until=10.0),
    "van Rossum": losses.van_rossum([1.5, 2.0, 6.0, 9.0], [0, 1, 1, 2], tau=2.0),
    "intervals": losses.interval_targets([0, 1, 2], rate=300.0, cv=0.7),
    "total": losses.total(losses.van_rossum([1.0], [3], tau=2.0, neurons=[0, 3]), losses.first_spike_squared_error([1], [2.0])),
}


@pytest.mark.parametrize("name", LOSSES)
def test_derivatives_of_losses(name: str) -> None:
    loss = LOSSES[name]
    _, found = loss(TIMES, OF)
    for k in range(len(TIMES)):
        step = 1e-5 * (np.arange(len(TIMES)) == k)
        difference = (loss(TIMES + step, OF)[0] - loss(TIMES - step, OF)[0]) / 2e-5
        # what is left of a run after spikes without partner counts, but is not followed
        if not (name == "distance" and k in (2, 5, 6)):
            assert found[k] == pytest.approx(difference, abs=1e-8)


def test_refusals_of_losses() -> None:
    with pytest.raises(sp.InputError, match=r"first spike of neuron 5, which never fires, nor do 0 others; give silent"):
        losses.first_spike_squared_error([5], [1.0])(TIMES, OF)
    with pytest.raises(sp.InputError, match=r"the target spike of neuron 1 at 12 ms is outside the run, 0 to 10 ms"):
        losses.spike_time_distance([1.0, 12.0], [0, 1], until=10.0)


def test_a_flat_vector_for_other_optimisers() -> None:
    """L-BFGS of scipy, by exact gradients, moves first spikes to where they are asked for."""
    from scipy.optimize import minimize

    net, _ = Case("lif_psc_exp", "each", 2.0, 0.5).network()
    spikes = sp.simulate(net, 40.0).spikes
    ids, first = np.unique(spikes.ids, return_index=True)  # times ascend: the first spikes
    early = np.argsort(spikes.times[first])[:5]
    loss = losses.first_spike_squared_error(ids[early], spikes.times[first][early] + [0.3, -0.3, 0.5, 0.2, -0.5], silent=40.0)
    flat = sp.Flat(net, loss, 40.0, wrt=("I_e", "weight"))
    assert [flat.start.shape, flat.names] == [(N + 6 * N + N_SOURCES * N,), ("I_e/0", "weight/0", "weight/1")]
    value, gradient = flat(flat.start)
    direction = np.random.default_rng(1).normal(size=len(flat.start))
    both = [flat(flat.start + step * direction)[0] for step in (1e-6, -1e-6)]
    assert gradient @ direction == pytest.approx((both[0] - both[1]) / 2e-6, rel=1e-6)
    found = minimize(flat, flat.start, jac=True, method="L-BFGS-B", options={"maxiter": 40})
    assert found.fun < 1e-6 * value
    assert flat(found.x)[0] == found.fun
    with pytest.raises(sp.InputError, match=r"the vector has shape \(3,\); give \(220,\), as start has"):
        flat.network(np.zeros(3))
