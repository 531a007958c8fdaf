"""Runs networks without delay on all ranks of a job and prints digests of their spikes, statistics and recordings, as JSON. Must not depend
on ranks, windows or schedules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import numpy as np
from instant_cases import instant_case
from networks import network_of
from on_ranks import digest

from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Normal, Uniform
from sparseprop_dist.exchange import world
from sparseprop_dist.inputs import Poisson, SineCurrent, StepCurrent
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.lif_psc_exp import LIFPscExp
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.rules import FixedIndegree
from sparseprop_dist.simulate import simulate

CASES = {"generations": 25.0, "ties": 25.0, "delays": 20.0, "no_refractory": 15.0, "qif_driven": 20.0, "mixed_ties": 20.0}
"""Presets of `instant_cases`, and until when (ms)."""
ABOVE = LIF(tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0, I_e=28.0, V_m=Uniform(0.0, 1.0))
"""V_inf is 1.12: about 45 Hz without input."""


def inhibitory(n: int = 10_000) -> Network:
    """LIF, K = 50, synapses without delay alone."""
    network = Network(seed=4)
    network.add_population("inh", n, ABOVE)
    network.connect("inh", "inh", FixedIndegree(50, allow_autapses=False), weight=-0.02, delay=0.0)
    return network


def balanced(n: int = 2_000) -> Network:
    """E and I, of which E makes cascades: t_ref above 0."""
    network = Network(seed=5)
    model = LIF(tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=1.5, I_e=22.5, V_m=Uniform(0.0, 1.0))
    network.add_population("exc", n * 4 // 5, model)
    network.add_population("inh", n // 5, model)
    network.connect("exc", ["exc", "inh"], FixedIndegree(8), weight=0.12, delay=0.0)
    network.connect("inh", ["exc", "inh"], FixedIndegree(2), weight=-0.5, delay=0.0)
    network.add_input(["exc", "inh"], Poisson(60.0), weight=0.2)
    return network


def both(n: int = 1_000) -> Network:
    """With and without delay, drawn weights."""
    network = balanced(n)
    network.connect(["inh", "exc"], "exc", FixedIndegree(6), weight=Normal(-0.02, 0.05), delay=Uniform(0.5, 3.0))
    return network


def dense(n: int = 1_000) -> Network:
    """Half of all pairs."""
    network = Network(seed=6)
    network.add_population("inh", n, ABOVE)
    network.connect("inh", "inh", FixedIndegree(n // 2, allow_autapses=False, allow_multapses=False), weight=-0.002, delay=0.0)
    return network


def long_rows(n: int = 1_800) -> Network:
    """On one rank and on two rows are long enough for gaps, on three they are not."""
    network = Network(seed=10)
    network.add_population("lif", n // 2, ABOVE)
    network.add_population("qif", n // 2, QIF(I=1.0, V_m=Uniform(-2.0, 2.0)))
    for name, weight in (("lif", -0.0007), ("qif", -0.0013)):
        network.connect(name, ["lif", "qif"], FixedIndegree(n // 3, allow_autapses=False), weight=weight, delay=0.0)
    return network


def quadratic(n: int = 2_000) -> Network:
    """QIF, of different drives."""
    network = Network(seed=7)
    network.add_population("inh", n, QIF(I=Uniform(0.5, 1.5), V_m=Uniform(-2.0, 2.0)))
    network.connect("inh", "inh", FixedIndegree(50, allow_autapses=False), weight=-0.05, delay=0.0)
    return network


def few_of_another_kind(n: int = 1_500) -> Network:
    """QIF, of which one neuron alone, on one rank, has I < 0: all have the frames that it needs."""
    network = quadratic(n)
    network.add_population("down", 1, QIF(I=-9.0))
    return network


def two_models(n: int = 500) -> Network:
    """LIF excites QIF, which inhibits LIF: one at once, the other later."""
    network = Network(seed=8)
    network.add_population("lif", n, ABOVE)
    network.add_population("qif", n, QIF(I=0.4, V_m=Uniform(-1.0, 1.0)))
    network.connect("lif", "qif", FixedIndegree(10), weight=0.05, delay=0.0)
    network.connect("qif", ["lif", "qif"], FixedIndegree(10), weight=-0.04, delay=0.0)
    network.connect("lif", "lif", FixedIndegree(5), weight=0.01, delay=1.2)
    return network


def driven(n: int = 400, delay: float = 0.0) -> Network:
    """LIF and LIF with exponential currents, with currents that vary; a third population without."""
    network = Network(seed=9)
    network.add_population("lif", n, ABOVE)
    network.add_population("exp", n, LIFPscExp(I_e=350.0, V_m=Uniform(-70.0, -56.0), tau_syn_ex=Uniform(1.0, 3.0)))
    network.add_population("plain", n // 2, LIFPscExp(I_e=400.0, V_m=Uniform(-70.0, -56.0)))
    network.connect("lif", "lif", FixedIndegree(20), weight=-0.02, delay=delay)
    network.connect(["lif", "exp", "plain"], ["exp", "plain"], FixedIndegree(10), weight=40.0, delay=delay)
    network.connect("plain", "exp", FixedIndegree(10), weight=-90.0, delay=1.1)
    network.add_input(["lif", "exp"], SineCurrent(8.0, 31.0, phase=10.0, offset=2.0))
    network.add_input("exp", StepCurrent([5.3, 21.0], [120.0, -40.0]))
    return network


def driven_later(n: int = 400) -> Network:
    """The same, in bulk."""
    return driven(n, delay=0.8)


LARGE = {
    inhibitory: 15.0,
    balanced: 20.0,
    both: 20.0,
    dense: 60.0,
    long_rows: 40.0,
    quadratic: 40.0,
    few_of_another_kind: 40.0,
    two_models: 30.0,
    driven: 30.0,
    driven_later: 30.0,
}
"""Networks, and until when (ms)."""


def runs() -> Iterator[tuple[str, Network, float]]:
    for preset, until in CASES.items():
        case = instant_case(31, preset)
        yield case.name, network_of(case), min(case.until, until)
    for network, until in LARGE.items():
        yield network.__name__, network(), until


UNTIL = 100.0
"""ms: neurons fire several times."""


def recorded() -> dict[str, str]:
    """V of some neurons, sampled between their events, counts, and the statistics of a run."""
    found = {}
    for make in (both, two_models):
        network = make(300)
        name = network.populations[0].name
        network.record("V", name, every=0.7, start=0.35, neurons=[0, 7, 3, 100])
        network.record("V", network.populations[1], times=[2.0, 2.001, 9.5])
        network.record("count", name, bin=1.5)
        result = simulate(network, UNTIL)
        for key, record in result.recordings.items():
            values = np.ascontiguousarray(record.values)
            found[f"{make.__name__}, {key}"] = f"{values.shape} {hashlib.sha256(values.tobytes()).hexdigest()[:16]}"
        kept = {key: result.summary[key] for key in ("neurons", "synapses", "spikes", "mean_rate", "events")}
        # a sum over ranks: of all these, it alone may differ in its last bits
        found[f"{make.__name__}, summary"] = f"{kept} {result.summary['cv']:.12g}"
    return found


def digests() -> dict[str, str]:
    found = {name: digest(network, until) for name, network, until in runs()}
    case = instant_case(31, "delays")
    for window in (0.13, 1.0):
        found[f"{case.name}, windows of {window} ms"] = digest(network_of(case), CASES["delays"], window=window)
    return found | recorded()


if __name__ == "__main__":
    own = digests()
    ranks = world()
    assert all(other == own for other in ranks.collect(own)), "all ranks have the same result"
    if ranks.rank == 0:
        print(json.dumps(own))
