"""Small random networks with synapses without delay and with all models, as plain data: ``instant_case(seed)`` or with a preset's name."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from oracle import EIF, QIF, Exponential, Function, Model, Neuron, Perfect, Synapse

GRID = 0.25  # ms and mV: sums of its multiples are exact, so that simultaneous means the same tick in any arithmetic
MOST_SPIKES = 3000  # of LIF neurons, about; by construction, no case is simulated to find out


@dataclass(frozen=True)
class InstantCase:
    """Arguments of the oracle. Neurons are 0 .. len(neurons) - 1, then follow `n_sources` spike sources.

    The neurons are populations, one after the other, of these sizes, each of one model. `source_spikes` (ms, gid) and `events` (ms, target,
    weight, input index) are sorted by time; simultaneous events are not in the order of the inputs. All events of one input have one
    weight, and targets in one population.
    """

    name: str
    sizes: list[int]
    neurons: list[Model]
    synapses: list[Synapse]
    source_spikes: list[tuple[float, int]]
    events: list[tuple[float, int, float, int]]
    until: float
    n_sources: int


@dataclass(frozen=True)
class Kind:
    """What a case is drawn from. Strengths are in units of what lifts a neuron from reset to threshold, spans (low, high) are uniform."""

    models: tuple[str, ...] = ("lif",)  # one population each, of this size
    size: tuple[int, int] = (10, 50)
    until: tuple[float, float] = (50.0, 150.0)
    drive: str = "mixed"  # fires by itself: "above", or not: "below", or "mixed" (each neuron its own)
    heterogeneous: bool = False  # parameters differ between the neurons of a population (V_m always does)
    shared: tuple[str, ...] = ()  # but for these
    instant: float = 1.0  # share of the recurrent synapses that have no delay
    grid: bool = False  # times, delays and weights in mV are multiples of GRID
    equality: bool = False  # so are potentials, and nothing leaks: potentials end exactly at threshold
    refractory_input: bool = False
    calm: bool = False  # without refractory period: excitation is bounded so that no neuron fires twice at a tick
    t_ref: tuple[float, ...] = (0.5, 2.0)  # one is drawn for each neuron or, if homogeneous, for the population
    indegree: int | None = 8  # recurrent, on the average; None: half of all pairs
    source_indegree: int = 3
    strength: tuple[float, float] = (0.05, 0.3)
    source_strength: tuple[float, float] = (0.2, 0.8)
    inhibitory: float = 0.3  # share of the neurons and of the sources
    rate: float = 30.0  # Hz, of each source
    together: float = 0.3  # share of the source spikes that all sources make at once
    inputs: int = 1  # Poisson inputs of each population; each second one inhibits
    input_rate: float = 60.0  # Hz, of each onto each neuron
    input_strength: tuple[float, float] = (0.05, 0.4)


# strong and sparse excitation: long chains of generations
GENERATIONS = Kind(drive="below", grid=True, indegree=3, strength=(0.4, 1.3), inhibitory=0.25, rate=15.0, source_strength=(0.3, 1.2))
ALONE = Kind(inhibitory=1.0, drive="above", source_indegree=0, inputs=0, strength=(0.02, 0.2))
SLOW = Kind(size=(2, 5), until=(60.0, 120.0), indegree=3, instant=0.5)  # integrated by brute force
CURRENTS = Kind(models=("exponential",), size=(2, 8), until=(40.0, 100.0), indegree=4, instant=0.6, rate=60.0)
PRESETS = {
    "balanced": Kind(heterogeneous=True),
    "generations": GENERATIONS,
    "generations_free": replace(GENERATIONS, grid=False, heterogeneous=True, drive="mixed"),
    "ties": Kind(
        drive="below", grid=True, refractory_input=True, strength=(0.2, 0.7), source_strength=(0.3, 1.3), together=0.7, inhibitory=0.5
    ),
    "delays": Kind(grid=True, instant=0.5, strength=(0.2, 0.7), source_strength=(0.3, 1.3), together=0.5, heterogeneous=True),
    "no_refractory": Kind(
        t_ref=(0.0,), calm=True, drive="above", heterogeneous=True, together=0.0, instant=0.7, source_strength=(0.2, 0.45)
    ),
    "inhibitory": ALONE,
    "dense": replace(ALONE, indegree=None, t_ref=(0.0, 1.0)),
    "dense_mixed": Kind(indegree=None, strength=(0.01, 0.1), inhibitory=0.5, instant=0.8),
    "perfect": Kind(models=("perfect",), heterogeneous=True, instant=0.8),
    "qif": replace(ALONE, models=("qif",), strength=(0.1, 0.5)),
    "qif_dense": replace(ALONE, models=("qif",), indegree=None, heterogeneous=True, until=(100.0, 300.0)),
    "qif_driven": Kind(models=("qif",), heterogeneous=True, instant=0.7, source_strength=(0.2, 1.5)),
    "qif_finite": Kind(models=("qif_finite", "qif"), heterogeneous=True, instant=0.7, source_strength=(0.2, 2.0), size=(5, 20)),
    "exponential": replace(CURRENTS, heterogeneous=True),
    "exponential_ties": replace(CURRENTS, grid=True, together=0.7, source_strength=(0.3, 2.0)),
    "exponential_free": replace(
        CURRENTS, t_ref=(0.0,), inhibitory=1.0, drive="above", strength=(0.02, 0.2), source_indegree=0, inputs=2, input_rate=200.0
    ),
    "eif": replace(SLOW, models=("eif",), heterogeneous=True, strength=(0.1, 1.5)),
    "function": replace(SLOW, models=("quartic", "quartic")),
    "mixed": replace(CURRENTS, models=("lif", "perfect", "qif", "exponential"), heterogeneous=True, indegree=8, strength=(0.1, 0.6)),
    "mixed_ties": Kind(models=("lif", "qif_finite", "lif"), size=(2, 12), grid=True, instant=0.6, strength=(0.2, 0.9), together=0.7),
    "all_models": replace(SLOW, models=("qif", "eif", "lif", "quartic", "perfect", "qif_finite", "exponential"), size=(1, 3), indegree=6),
}
# not drawn by a seed alone: an engine whose weights are rounded (fixed point) may miss a threshold that is reached exactly
EQUALITY = replace(GENERATIONS, equality=True, strength=(0.3, 1.0), source_strength=(0.3, 1.0), together=0.8, rate=60.0, inputs=2)
SPECIAL = {
    "equality": EQUALITY,
    "equality_perfect": replace(EQUALITY, models=("perfect",), drive="mixed", instant=0.7),
    # without refractory period, and with excitation that may well lift a neuron twice: most of these end in a Cascade
    "runaway": Kind(t_ref=(0.0,), size=(5, 30), strength=(0.4, 1.0), grid=True, inhibitory=0.2, together=0.7),
}


def instant_case(seed: int, preset: str | None = None) -> InstantCase:
    """A network that depends on the seed (and the preset: one of PRESETS or SPECIAL) alone; without a preset, the seed chooses it."""
    name = preset or sorted(PRESETS)[seed % len(PRESETS)]
    kind = {**PRESETS, **SPECIAL}[name]
    return make_case(f"{name}-{seed}", kind, np.random.default_rng((zlib.crc32(name.encode()), seed)))


def make_case(name: str, kind: Kind, rng: np.random.Generator) -> InstantCase:
    """Draw a network of the given kind."""
    populations = [_population(kind, model, int(rng.integers(kind.size[0], kind.size[1] + 1)), rng) for model in kind.models]
    neurons = [neuron for population in populations for neuron in population]
    n, shortest = len(neurons), min(neuron.t_ref for neuron in neurons)
    until = min(_uniform(kind.until, rng), MOST_SPIKES * shortest / n if shortest else np.inf)
    n_sources = int(rng.integers(1, 5)) if kind.source_indegree else 0
    synapses = _synapses(kind, neurons, n_sources, rng)
    if kind.calm:
        synapses = _calm(synapses, neurons)
    source_spikes, events = _source_spikes(kind, n, n_sources, until, rng), _events(kind, populations, until, rng)
    return InstantCase(name, [len(p) for p in populations], neurons, synapses, source_spikes, events, until, n_sources)


def _uniform(span: tuple[float, float], rng: np.random.Generator) -> float:
    return float(rng.uniform(*span))


def _on_grid(value: float) -> float:
    """The nearest multiple of GRID that is not 0."""
    return float(np.copysign(max(round(abs(value) / GRID), 1) * GRID, value))


# --- neurons ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """What a neuron is made from; its potential at time 0 is at `place`: 0 is reset, 1 threshold, or where it takes off by itself."""

    kind: Kind
    place: float
    above: bool  # fires by itself
    t_ref: float
    rng: np.random.Generator

    def uniform(self, low: float, high: float) -> float:
        return _uniform((low, high), self.rng)


def _lif(draw: Draw) -> Neuron:
    V_reset, scale = float(draw.rng.choice([-70.0, 0.0, 10.0])), draw.uniform(8.0, 20.0)
    V_inf, tau_m = V_reset + scale * (draw.uniform(1.05, 1.8) if draw.above else draw.uniform(-0.2, 0.9)), draw.uniform(5.0, 30.0)
    if draw.kind.equality:
        V_inf, scale = V_reset, _on_grid(scale)
    return Neuron(tau_m, V_inf, V_reset + scale, V_reset, draw.t_ref, V_reset + scale * draw.place, draw.kind.refractory_input)


def _perfect(draw: Draw) -> Perfect:
    V_reset, scale = float(draw.rng.choice([-70.0, 0.0])), draw.uniform(8.0, 20.0)
    drift = draw.uniform(0.3, 1.5) if draw.above else draw.uniform(-0.5, 0.0)
    if draw.kind.equality:  # all times are then multiples of 1/16 ms, and potentials of 1/64 mV
        drift, scale = float(draw.rng.choice([0.25, 0.5, 1.0])) if draw.above else 0.0, _on_grid(scale)
    return Perfect(drift, V_reset + scale, V_reset, draw.t_ref, V_reset + scale * draw.place, draw.kind.refractory_input)


def _qif(draw: Draw) -> QIF:
    I = draw.uniform(0.3, 2.0) if draw.above else min(draw.uniform(-1.5, 0.2), 0.0)  # noqa: E741
    return QIF(draw.uniform(5.0, 20.0), I, 3.0 * draw.place - 1.5)


def _qif_finite(draw: Draw) -> QIF:
    return replace(_qif(draw), V_th=draw.uniform(1.5, 8.0), V_reset=draw.uniform(-4.0, 0.5), t_ref=draw.t_ref)


def _exponential(draw: Draw) -> Exponential:
    tau_m, C_m, scale = draw.uniform(5.0, 30.0), draw.uniform(100.0, 300.0), draw.uniform(8.0, 20.0)
    tau_ex, tau_in = (float(draw.rng.choice([draw.uniform(0.3, 8.0), tau_m, tau_m * (1.0 + 1e-7), 2.0])) for _ in range(2))
    I_e = scale * (draw.uniform(1.05, 1.8) if draw.above else draw.uniform(-0.2, 0.9)) * C_m / tau_m
    return Exponential(tau_m, C_m, -70.0, -70.0 + scale, -70.0, draw.t_ref, I_e, tau_ex, tau_in, -70.0 + scale * draw.place)


def _eif(draw: Draw) -> EIF:
    Delta_T = draw.uniform(0.5, 3.0)
    V_inf = -50.0 - Delta_T + (draw.uniform(0.5, 8.0) if draw.above else draw.uniform(-20.0, -0.5))  # 0.0: the two rests merge
    V_th = draw.uniform(-45.0, -20.0)
    return EIF(draw.uniform(5.0, 20.0), V_inf, -50.0, Delta_T, V_th, -60.0, draw.t_ref, -60.0 + 10.0 * draw.place)


def quartic(V: float) -> float:
    """Slowest at 0; about 25 ms from reset to threshold."""
    return 0.05 * (V**4 + 1.5)


def quartic_with_rest(V: float) -> float:
    """Rests at -1, and fires by itself from above 1."""
    return 0.05 * (V**4 - 1.0)


def _quartic(draw: Draw) -> Function:
    return Function(quartic if draw.above else quartic_with_rest, 4.0, -2.0, draw.t_ref, 3.0 * draw.place - 2.0)


MAKERS: dict[str, Callable[[Draw], Model]] = {
    "lif": _lif,
    "perfect": _perfect,
    "qif": _qif,
    "qif_finite": _qif_finite,
    "exponential": _exponential,
    "eif": _eif,
    "quartic": _quartic,
}


def _population(kind: Kind, model: str, size: int, rng: np.random.Generator) -> list[Model]:
    neurons: list[Any] = []
    seed = int(rng.integers(1 << 32))
    for _ in range(size):
        # some start at threshold or above; potentials are continuous, or neurons would fire together against the intention of the preset
        place = _uniform((-0.2, 1.0) if rng.random() < 0.95 else (1.0, 1.2), rng)
        own = rng if kind.heterogeneous else np.random.default_rng(seed)
        above = kind.drive == "above" or (kind.drive == "mixed" and own.random() < 0.5)
        neurons.append(MAKERS[model](Draw(kind, 0.0 if kind.equality else place, above, float(own.choice(kind.t_ref)), own)))
    return [replace(neuron, **{name: getattr(neurons[0], name) for name in kind.shared}) for neuron in neurons]


def unit_of(neuron: Model) -> float:
    """The weight that lifts a neuron from reset to threshold, or about so."""
    if isinstance(neuron, Neuron | Perfect):
        return neuron.V_th - neuron.V_reset
    if isinstance(neuron, Exponential):
        fast, slow = sorted((neuron.tau_m, neuron.tau_syn_ex))
        peak = math.log(slow / fast) / (1.0 / fast - 1.0 / slow) if fast < slow else slow
        return (neuron.V_th - neuron.V_reset) / neuron.response(peak, neuron.tau_syn_ex)
    return 10.0 if isinstance(neuron, EIF) else 1.0


# --- synapses and inputs ------------------------------------------------------------------------------------------------------------


def _synapses(kind: Kind, neurons: list[Model], n_sources: int, rng: np.random.Generator) -> list[Synapse]:
    """Sources are drawn with repetition and may be the target itself, so autapses and multapses come by themselves."""
    n = len(neurons)
    few = [_on_grid(d) if kind.grid else float(d) for d in rng.uniform(0.1, 5.0, size=3)]
    inhibitory = rng.random(n + n_sources) < kind.inhibitory
    synapses = []
    for target, neuron in enumerate(neurons):
        recurrent = np.flatnonzero(rng.random(n) < 0.5) if kind.indegree is None else rng.integers(n, size=rng.poisson(kind.indegree))
        from_outside = rng.integers(n, n + n_sources, size=rng.poisson(kind.source_indegree)) if n_sources else recurrent[:0]
        for source in [*recurrent.tolist(), *from_outside.tolist()]:
            weight = unit_of(neuron) * _uniform(kind.source_strength if source >= n else kind.strength, rng)
            weight *= -1.0 if inhibitory[source] else 1.0
            delay = _uniform((0.1, 5.0), rng) if kind.calm else float(rng.choice(few))
            if rng.random() < (0.4 if source >= n else kind.instant):
                delay = 0.0
            synapses.append(Synapse(source, target, _on_grid(weight) if kind.grid else weight, delay))
    return [
        synapses[k] for k in rng.permutation(len(synapses))
    ]  # the order of the description is none that a container would have by itself


def _calm(synapses: list[Synapse], neurons: list[Model]) -> list[Synapse]:
    """Drop excitation until no neuron can be lifted twice at a tick, and if it cannot, no cascade is without end.

    All spikes without delay together lift a neuron by half the way to threshold at most, and only one other arrival, of less than the
    other half, is at the same tick: times and delays are continuous.
    """
    total = dict.fromkeys(range(len(neurons)), 0.0)
    seen: set[tuple[int, int]] = set()
    kept = []
    for s in synapses:
        if s.source < len(neurons) and s.delay == 0 and s.weight > 0:
            if total[s.target] + s.weight > 0.5 * unit_of(neurons[s.target]):
                continue
            total[s.target] += s.weight
        elif s.source >= len(neurons) and (s.source, s.target) in seen:
            continue
        seen.add((s.source, s.target))
        kept.append(s)
    return kept


def _times(kind: Kind, rate: float, until: float, rng: np.random.Generator) -> list[float]:
    times = rng.uniform(0.0, until, rng.poisson(rate * until / 1000.0))
    return [float(t) for t in (np.floor(times / GRID) * GRID if kind.grid else times)]


def _source_spikes(kind: Kind, n: int, n_sources: int, until: float, rng: np.random.Generator) -> list[tuple[float, int]]:
    shared = _times(kind, kind.rate * kind.together, until, rng)
    spikes = [(t, n + k) for t in shared for k in range(n_sources)]
    for k in range(n_sources):
        spikes += [(t, n + k) for t in _times(kind, kind.rate * (1 - kind.together), until, rng)]
    return sorted(spikes)


def _events(kind: Kind, populations: list[list[Model]], until: float, rng: np.random.Generator) -> list[tuple[float, int, float, int]]:
    events = []
    first = index = 0
    for population in populations:
        for k in range(kind.inputs):
            weight = min(map(unit_of, population)) * _uniform(kind.input_strength, rng) * (-1.0 if k % 2 else 1.0)
            weight = _on_grid(weight) if kind.grid else weight
            for target in range(first, first + len(population)):
                events += [(t, target, weight, index) for t in _times(kind, kind.input_rate, until, rng)]
            index += 1
        first += len(population)
    return sorted(events, key=lambda event: (event[0], -event[3]))
