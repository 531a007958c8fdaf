"""Synapses that are kept between gradients: the same bits as of a network that is built anew, whatever has changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_gradients import linear

import sparseprop_dist as sp
from sparseprop_dist.build import Numbered, build
from sparseprop_dist.build.part import lower
from sparseprop_dist.partition import partition

N, K, UNTIL = 30, 6, 60.0
PAIRS = sp.Pairs(np.random.default_rng(1).integers(0, N, K * N), np.repeat(np.arange(N), K))


def network(delay: Any = 1.5, rule: Any = None, weight: Any = None, I_e: float = 300.0, loose: float = 0.3) -> sp.Network:
    rng = np.random.default_rng(2)
    net = sp.Network(3)
    net.add_population(
        "a", N, sp.LIF(tau_m=10.0, C_m=100.0, E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=1.0, I_e=I_e, V_m=sp.Uniform(0.0, 14.0))
    )
    net.add_population("b", N, sp.LIF(tau_m=10.0, C_m=100.0, E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=1.0, I_e=280.0))
    weight = rng.normal(0.0, 0.5, K * N) if weight is None else weight
    net.connect("a", "b", rule or PAIRS, weight=weight, delay=delay)
    net.connect("b", "a", sp.FixedIndegree(K), weight=loose, delay=2.0)
    net.add_input("b", sp.SpikeTrains([3.0, 9.0], [0, 4]), weight=1.0, delay=1.0)
    return net


CHANGES: list[Callable[[sp.Network], sp.Network]] = [
    lambda net: net,
    lambda net: with_weights(net, np.linspace(-1.0, 1.0, K * N)),
    lambda net: with_weights(net, np.full(K * N, 0.25)),
    lambda net: network(weight=sp.Normal(0.1, 0.4)),
    lambda net: network(weight=sp.Normal(0.1, 0.4), I_e=310.0),
    lambda net: network(weight=sp.Normal(0.1, 0.4), loose=-0.3),
    lambda net: network(delay=2.5),
    lambda net: network(delay=0.0),
    lambda net: network(delay=np.linspace(1.0, 3.0, K * N)),
    lambda net: network(delay=sp.Uniform(1.0, 3.0)),
    lambda net: network(rule=sp.FixedOutdegree(K), weight=sp.Normal(0.1, 0.4)),
    lambda net: network(rule=sp.Pairs(PAIRS.targets, PAIRS.sources)),
]


def with_weights(net: sp.Network, weight: np.ndarray) -> sp.Network:
    net.projections[0] = dataclasses.replace(net.projections[0], weight=weight)
    return net


def test_kept_synapses_leave_the_bits() -> None:
    kept, net = sp.Kept(), network()
    for number, change in enumerate(CHANGES):
        net = change(net)
        value, found = sp.value_and_grad(net, linear(3), UNTIL, wrt=("weight", "I_e"), kept=kept)
        again, anew = sp.value_and_grad(net, linear(3), UNTIL, wrt=("weight", "I_e"))
        assert value == again, number
        for name, thing in (("weight", 0), ("weight", 1), ("I_e", "a")):
            assert np.array_equal(found[name][thing], anew[name][thing]), (number, name)
        assert np.abs(found["weight"][0]).max() > 0.0


@pytest.mark.parametrize("delay", [0.0, 1.5, sp.Uniform(1.0, 3.0)], ids=["none", "one", "each"])
@pytest.mark.parametrize("weight", [sp.Normal(0.1, 0.4), sp.Normal(0.1, 0.4, low=0.0), 0.3], ids=["normal", "cut", "one"])
def test_numbered_synapses_are_those_of_a_plain_build(delay: Any, weight: Any) -> None:
    net = lower(network(delay=delay, weight=weight))
    for rank in range(2):
        plain = build(net, partition(net, 2), rank)
        part = build(net, partition(net, 2), rank, Numbered(frozenset({0})))
        a, b = plain.synapses, part.synapses
        for name in ("words16", "words32", "words64", "row_ptr", "largest", "delay", "safe"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert np.array_equal(plain.blocks.increment, part.blocks.increment)
        weights = net.weights(net.projections[0], 0, K * N)
        n = len(part.numbers)
        assert np.array_equal(b.weights[:n], weights[part.numbers])
        assert a.weighted[0] == 0 or np.array_equal(a.weights[:n], b.weights[:n])


def test_arrays_that_are_changed_in_place_are_seen() -> None:
    delays, kept = np.linspace(1.0, 3.0, K * N), sp.Kept()
    net = network()
    net.projections[0] = dataclasses.replace(net.projections[0], delay=delays)
    for wrt in (("weight",), ("I_e",)):
        for changed in (delays, net.projections[0].weight):
            assert isinstance(changed, np.ndarray)
            sp.value_and_grad(net, linear(3), UNTIL, wrt=wrt, kept=kept)
            changed.flags.writeable = True
            changed *= 1.25
            value, _ = sp.value_and_grad(net, linear(3), UNTIL, wrt=wrt, kept=kept)
            assert value == sp.value_and_grad(net, linear(3), UNTIL, wrt=wrt)[0]


def test_only_weights_are_written_again() -> None:
    kept, net = sp.Kept(), network()
    sp.value_and_grad(net, linear(3), UNTIL, kept=kept)
    built = kept.built
    assert built is not None
    sp.value_and_grad(with_weights(net, 2.0 * np.asarray(net.projections[0].weight)), linear(3), UNTIL, kept=kept)
    assert kept.built is not None
    assert kept.built.synapses.words16 is built.synapses.words16
