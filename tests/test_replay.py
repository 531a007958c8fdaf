"""Gradients by replay: against those in a frame, finite differences of whole runs, budgets of memory; all models, and mixtures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_gradients import CASES, IDS, UNTIL, Case, linear

import sparseprop_dist as sp

LIF_CASES = [case for case in CASES if case[0] == "lif"]
N, N_SOURCES = 12, 4


@pytest.mark.parametrize("case", LIF_CASES, ids=[name for name, case in zip(IDS, CASES, strict=True) if case in LIF_CASES])
def test_replay_has_the_gradients_of_the_frame(case: tuple[str, str, float, float]) -> None:
    made = Case(*case)
    net, synapses = made.network()
    names = made.names
    value, frame = sp.value_and_grad(net, linear(3), UNTIL, wrt=names, method="frame")
    other, replay = sp.value_and_grad(net, linear(3), UNTIL, wrt=names, method="replay")
    assert value == other
    for name in names:
        thing = {"weight": synapses, "delay": synapses, "spike_times": "in"}.get(name, "a")
        size = np.abs(frame[name][thing]).sum()
        np.testing.assert_allclose(replay[name][thing], frame[name][thing], rtol=1e-9, atol=1e-11 * size, err_msg=name)


def exponential(V: float) -> float:
    return -0.1 * (V + 65.0) + 0.25 * math.exp((V + 50.0) / 2.5) + 1.5


class Mix:
    """A random network of the models named, its parameters by name and population, and how to build it with others."""

    def __init__(self, models: tuple[str, ...], delays: str, t_ref: float, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, *map(ord, "".join(models) + delays), int(t_ref)])
        self.models, self.delays, size = models, delays, len(models) * N
        pairs = rng.choice(size * size, 5 * size, replace=False)
        self.sources, self.targets = pairs // size, pairs % size
        self.scale = np.array([{"qif": 0.25, "pif": 0.1, "lif": 0.1}.get(model, 1.5) for model in models])[self.targets // N]
        self.ids = rng.integers(0, N_SOURCES, 12)
        spread = {"none": np.zeros(len(pairs)), "one": np.full(len(pairs), 1.3), "each": rng.uniform(0.5, 4.0, len(pairs))}[delays]
        self.values: dict[str, np.ndarray] = {
            "weight": self.scale * rng.normal(0.0, 1.0, len(pairs)),
            "delay": spread,
            "spike_times": np.sort(rng.uniform(0.0, 35.0, 12)),
        }
        self.input_weights = rng.normal(0.0, 0.3, N_SOURCES * size) * np.tile(
            np.repeat([self._of(model) for model in models], N), N_SOURCES
        )
        for k, model in enumerate(models):
            own = {"V_m": rng.uniform(0.0, 0.9, N), "t_ref": t_ref * rng.uniform(0.5, 1.0, N), "tau_m": rng.uniform(8.0, 12.0, N)}
            own |= {
                "lif": {"I_e": rng.uniform(1.1, 1.5, N), "V_th": rng.uniform(0.95, 1.05, N), "V_reset": rng.uniform(-0.1, 0.1, N)},
                "qif": {"I": rng.uniform(0.3, 2.0, N)},
                "dead qif": {"I": rng.uniform(-0.3, -1e-3, N), "V_th": rng.uniform(4.0, 6.0, N), "V_reset": rng.uniform(0.8, 1.0, N)},
                "eif": {
                    "E_L": np.full(N, -65.3), "V_T": np.full(N, -50.2), "Delta_T": np.full(N, 2.1), "V_peak": np.full(N, -30.0),
                    "V_reset": np.full(N, -61.0), "I_e": np.full(N, 430.0), "C_m": np.full(N, 200.0), "tau_m": np.full(N, 9.0),
                    "V_m": rng.uniform(-65.0, -55.0, N),
                },
                "flow": {"V_th": np.full(N, -35.0), "V_reset": np.full(N, -60.0), "V_m": rng.uniform(-65.0, -55.0, N)},
            }[model]  # fmt: skip
            if model == "flow":
                del own["tau_m"]
            self.values |= {f"{k}/{name}": value for name, value in own.items()}

    @staticmethod
    def _of(model: str) -> float:
        return {"lif": 0.3, "qif": 0.6, "dead qif": 1.0}.get(model, 3.0)

    def network(self, **changed: np.ndarray) -> tuple[sp.Network, sp.Projection]:
        v = self.values | changed
        net = sp.Network(1)
        for k, model in enumerate(self.models):
            own: dict[str, Any] = {key.split("/")[1]: value for key, value in v.items() if key.startswith(f"{k}/")}
            made: Any = {
                "lif": lambda own=own: sp.LIF(E_L=0.0, C_m=10.0, **own), "qif": lambda own=own: sp.QIF(**own),
                "dead qif": lambda own=own: sp.QIF(**own), "eif": lambda own=own: sp.EIF(**own),
                "flow": lambda own=own: sp.Flow(exponential, **own),
            }[model]  # fmt: skip
            net.add_population(f"p{k}", N, made())
        everyone = [f"p{k}" for k in range(len(self.models))]
        net.add_population("in", N_SOURCES, sp.SpikeTrains(v["spike_times"], self.ids))
        synapses = net.connect(everyone, everyone, sp.Pairs(self.sources, self.targets), weight=v["weight"], delay=v["delay"])
        net.connect("in", everyone, sp.AllToAll(), weight=self.input_weights, delay=0.7)
        return net, synapses

    @property
    def names(self) -> list[str]:
        """What has a derivative here: not delays that are 0, nor a refractory period that is not there, nor infinite thresholds."""
        return [name for name, value in self.values.items() if not ((name == "delay" or name.endswith("t_ref")) and not value.any())]

    def gradients(self, until: float, **more: Any) -> tuple[float, dict[str, np.ndarray]]:
        net, synapses = self.network()
        wrt = tuple(dict.fromkeys(name.split("/")[-1] for name in self.names))
        value, found = sp.value_and_grad(net, by_neuron, until, wrt=wrt, **more)
        thing: dict[str, Any] = {"weight": synapses, "delay": synapses, "spike_times": "in"}
        return value, {
            name: found[name][thing[name]] if name in thing else found[name.split("/")[1]]["p" + name.split("/")[0]] for name in self.names
        }


def by_neuron(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
    """A loss with a random coefficient for the k-th spike of each neuron, which does not depend on the order of different neurons."""
    order = np.argsort(ids, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(ids))])
    k = np.empty(len(ids), np.int64)
    k[order] = np.arange(len(ids)) - first[ids[order]]
    by = np.random.default_rng(3).normal(size=(1000, 100))[ids, k]
    return float(by @ times), by


MIXES = [
    # models, delays, refractory, ms
    (("qif",), "none", 0.0, 80.0),
    (("qif",), "each", 2.0, 40.0),
    (("qif",), "one", 0.0, 80.0),
    (("dead qif",), "each", 1.0, 60.0),
    (("eif",), "none", 0.0, 60.0),
    (("eif",), "each", 2.0, 60.0),
    (("flow",), "one", 1.0, 100.0),
    (("lif", "qif", "eif"), "each", 1.0, 40.0),
    (("flow", "eif", "lif"), "none", 0.0, 40.0),
]
SHORT = {"qif-each-2.0", "eif-each-2.0"}
"""What CI runs; the others compile for minutes more."""
NAMES = ["-".join([*models, delays, str(t_ref)]) for models, delays, t_ref, _ in MIXES]
MARKED = [pytest.param(mix, id=name, marks=[] if name in SHORT else pytest.mark.long) for mix, name in zip(MIXES, NAMES, strict=True)]


@pytest.mark.parametrize("mix", MARKED)
def test_finite_differences(mix: tuple[tuple[str, ...], str, float, float]) -> None:
    """Central differences of whole runs, extrapolated, where all neurons fire as often on both sides."""
    *parts, until = mix
    made = Mix(*parts)  # type: ignore[arg-type]
    value, found = made.gradients(until)

    def at(name: str, step: float, direction: np.ndarray) -> tuple[float, bytes]:
        net, _ = made.network(**{name: made.values[name] + step * direction})
        spikes = sp.simulate(net, until).spikes
        return by_neuron(spikes.times, spikes.ids)[0], np.bincount(spikes.ids).tobytes()

    same = at("weight", 0.0, np.zeros(len(made.sources)))
    assert same[0] == value
    assert np.frombuffer(same[1], np.int64).sum() > N
    for name in made.names:
        # one delay stays one; each set of parameters of a flow is tabulated
        alike = len({*made.values[name].tolist()}) == 1
        direction = np.ones_like(made.values[name]) if alike else np.random.default_rng(5).normal(size=len(made.values[name]))
        exact, size = float(found[name] @ direction), float(np.abs(found[name] * direction).sum())
        errors = []
        for h in (1e-4, 1e-3, 1e-5, 1e-2, 1e-6, 0.1):
            both = [[at(name, sign * step, direction) for sign in (1, -1)] for step in (h, h / 2)]
            if all(end[1] == same[1] for pair in both for end in pair):
                wide, near = ((plus[0] - minus[0]) / (2 * step) for (plus, minus), step in zip(both, (h, h / 2), strict=True))
                errors.append(abs((4.0 * near - wide) / 3.0 - exact) / size)
                if errors[-1] < 1e-7:
                    break
        assert errors, name
        assert min(errors) < 1e-7, (name, errors, exact)


@pytest.mark.parametrize("mix", MARKED)
def test_a_budget_of_memory_leaves_the_bits(mix: tuple[tuple[str, ...], str, float, float]) -> None:
    *parts, until = mix
    made = Mix(*parts)  # type: ignore[arg-type]
    value, found = made.gradients(until)
    enough = enough_for(made, until)
    for memory in (enough, 3 * enough):
        other, again = made.gradients(until, memory=memory)
        assert other == value
        for name in found:
            assert again[name].tobytes() == found[name].tobytes(), (name, memory)


def test_segments_need_no_delay_between_neurons() -> None:
    rng = np.random.default_rng(5)
    net = sp.Network(1)
    net.add_population("a", N, sp.QIF(I=0.5, V_m=rng.uniform(-0.5, 0.5, N)))
    net.add_population("in", N_SOURCES, sp.SpikeTrains(np.sort(rng.uniform(0.0, 90.0, 40)), rng.integers(0, N_SOURCES, 40)))
    net.connect("in", "a", sp.AllToAll(), weight=rng.normal(0.0, 0.3, N_SOURCES * N), delay=0.7)

    def found(**more: Any) -> sp.Gradients:
        return sp.value_and_grad(net, by_neuron, 100.0, wrt=("weight", "I"), **more)[1]

    whole, cut = found(), found(memory=_needed(found))
    assert cut["weight"][0].tobytes() == whole["weight"][0].tobytes()
    assert cut["I"]["a"] == whole["I"]["a"]


def enough_for(made: Mix, until: float) -> int:
    """What surely does for all segments, as the refusal says."""
    return _needed(lambda memory: made.gradients(until, memory=memory))


def _needed(call: Callable[..., Any]) -> int:
    with pytest.raises(sp.InputError) as refusal:
        call(memory=1)
    return int(str(refusal.value).split("; ")[1].split()[0])


def test_refusals() -> None:
    net, _ = Mix(("qif",), "one", 1.0).network()
    with pytest.raises(sp.InputError, match=r'method is "frame", but QIF has none; give method = "replay"'):
        sp.value_and_grad(net, linear(1), 20.0, method="frame")
    with pytest.raises(sp.InputError, match=r"memory is 0 bytes; \d+ are enough for the arrivals that any segment has at least"):
        sp.value_and_grad(net, linear(1), 20.0, memory=1)
    with pytest.raises(sp.InputError, match=r'method is "tape"; give one of auto, frame, replay'):
        sp.value_and_grad(net, linear(1), 20.0, method="tape")
    net.add_input("p0", sp.Poisson(10.0), weight=0.1)
    with pytest.raises(sp.InputError, match=r"Poisson events cannot be replayed; give SpikeTrains, or leave it out"):
        sp.value_and_grad(net, linear(1), 20.0)
    mixed = sp.Network(1)
    mixed.add_population("a", 2, sp.LIFPscExp())
    mixed.add_population("b", 2, sp.LIF())
    with pytest.raises(sp.InputError, match=r"gradients of LIFPscExp neurons with neurons of other models, or by replay, are not there"):
        sp.value_and_grad(mixed, linear(1), 20.0)
