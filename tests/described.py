"""Networks that use what the random cases do not: rules, drawn values, Poisson inputs, several populations. For tests of the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Lognormal, Normal, Uniform
from sparseprop_dist.inputs import Poisson, SpikeTrains
from sparseprop_dist.models.intfire1 import IntFire1
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.rules import AllToAll, FixedIndegree, FixedOutdegree, FixedTotalNumber, OneToOne, PairwiseBernoulli

BELOW = LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0, V_m=Uniform(0.0, 20.0))


def _pair(seed: int, exc: int = 48, inh: int = 12, model: LIF = BELOW) -> Network:
    network = Network(seed=seed)
    network.add_population("exc", exc, model)
    network.add_population("inh", inh, model)
    return network


def brunel(seed: int) -> Network:
    """One delay, two weights, one Poisson input: a balanced network where many spikes tie."""
    network = _pair(seed)
    network.connect("exc", ["exc", "inh"], FixedIndegree(10), weight=1.0, delay=1.5)
    network.connect("inh", ["exc", "inh"], FixedIndegree(3), weight=-4.0, delay=1.5)
    network.add_input(["exc", "inh"], Poisson(1500.0), weight=1.0)
    return network


def drawn(seed: int) -> Network:
    """Every value is drawn: neurons, weights, delays, rates."""
    model = LIF(
        tau_m=Uniform(8.0, 25.0), E_L=Normal(-70.0, 2.0), V_th=Uniform(-56.0, -50.0), t_ref=Uniform(0.0, 3.0), I_e=Normal(100.0, 80.0)
    )
    network = _pair(seed, model=model)
    network.connect("exc", ["exc", "inh"], PairwiseBernoulli(0.2), weight=Lognormal(0.0, 0.5, high=5.0), delay=Uniform(0.1, 4.0))
    network.connect("inh", ["exc", "inh"], FixedOutdegree(12, allow_autapses=False), weight=Normal(-3.0, 1.0), delay=Lognormal(0.0, 0.5))
    network.add_input("exc", Poisson(Uniform(0.0, 3000.0)), weight=Normal(0.8, 0.2))
    network.add_input(["inh", "exc"], Poisson(200.0), weight=2.5)
    return network


def several_inputs(seed: int) -> Network:
    """Poisson inputs of all kinds: silent, shared, one rate each, rates that change in time for all and for each, with a weight each."""
    network = _pair(seed)
    network.connect("exc", ["inh", "exc"], FixedTotalNumber(400), weight=1.0, delay=Uniform(0.5, 2.0))
    network.add_input("exc", Poisson(0.0), weight=1.0)
    network.add_input("exc", Poisson(np.linspace(0.0, 2000.0, 48)), weight=np.linspace(0.5, 1.5, 48))
    network.add_input("inh", Poisson([500.0, 0.0, 4000.0, 800.0], times=[0.0, 7.3, 7.4, 21.0]), weight=0.9)
    rates = np.random.default_rng(seed).uniform(0.0, 1500.0, (3, 60))
    network.add_input(["inh", "exc"], Poisson(rates, times=[0.0, 11.17, 31.0]), weight=0.7)
    network.add_input(["exc", "inh"], Poisson(300.0), weight=-1.0)
    return network


def mixed(seed: int) -> Network:
    """Models of two kinds, sources and neurons in one pool, trains that drive neurons directly, no delay from a source; all rules that
    list.

    No sum of weights is the threshold: that would be a knife's edge for any arithmetic."""
    draw = np.random.default_rng(seed)
    network = Network(seed=seed)
    network.add_population("retina", 5, SpikeTrains(np.sort(draw.uniform(0.0, 60.0, 80).round(1)), draw.integers(0, 5, 80)))
    network.add_population("lif", 21, LIF(E_L=0.0, V_th=1.0, V_reset=0.0, V_m=0.0, refractory_input=True))
    network.add_population("cells", 14, IntFire1(tau=Uniform(5.0, 12.0), refrac=3.0))
    network.connect(["retina", "cells", "lif"], ["lif", "cells"], FixedIndegree(8, allow_multapses=False), weight=0.3127, delay=0.5)
    network.connect(
        "retina",
        ["lif", "cells"],
        AllToAll(),
        weight=draw.choice([0.4313, -0.2171, 0.8893], (5, 35)),
        delay=draw.choice([0.0, 0.5, 1.25], 175),
    )
    network.connect(["cells", "lif"], ["lif", "cells"], OneToOne(), weight=-0.3041, delay=0.5)
    network.connect("lif", "cells", AllToAll(), weight=0.1079, delay=draw.uniform(1.0, 1000.0, 294))  # too long for 32-bit words
    network.add_input(["cells", "lif"], SpikeTrains([1.0, 1.0, 2.5, 40.0], [0, 20, 20, 34]), weight=2.0, delay=0.5)
    network.add_input("lif", Poisson(400.0), weight=0.3917)
    return network


def restless(seed: int) -> Network:
    """Refractory periods much shorter than the stretches of time that are worked on at once: neurons fire, rest and fire again in one."""
    network = _pair(seed, model=LIF(tau_m=40.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=Uniform(0.02, 0.6), V_m=Uniform(0.0, 20.0)))
    network.connect("exc", ["exc", "inh"], FixedIndegree(5), weight=1.3, delay=1.5)
    network.connect("inh", ["exc", "inh"], FixedIndegree(5), weight=-3.1, delay=Uniform(1.1, 4.0))
    network.add_input(["exc", "inh"], Poisson(4000.0), weight=6.7)
    network.add_input(["exc", "inh"], Poisson(3000.0), weight=-6.1)
    return network


def unconnected(seed: int) -> Network:
    """Neurons that only their inputs drive."""
    network = _pair(seed)
    network.add_input(["exc", "inh"], Poisson(2500.0), weight=1.0)
    return network


def wide(seed: int) -> Network:
    """More than one block and more than one group of Poisson input."""
    network = _pair(seed, 2100, 500)
    network.connect("exc", ["exc", "inh"], FixedIndegree(20), weight=1.0, delay=1.5)
    network.connect("inh", ["exc", "inh"], FixedIndegree(5), weight=-5.0, delay=Uniform(0.5, 2.0))
    network.add_input(["exc", "inh"], Poisson(1500.0), weight=1.0)
    return network


DESCRIBED: dict[str, Callable[[int], Network]] = {
    function.__name__: function for function in (brunel, drawn, several_inputs, mixed, restless, unconnected, wide)
}
