"""Rows without delay whose words are gaps: read back they are the same synapses, and no spike depends on how they are written.

Networks that a test can run have short rows: the bounds that decide are moved, so that all have gaps.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built import parts_of, stored
from instant_cases import instant_case
from networks import Run, emitted, network_of, same_bits, session_of
from together_ranks import emitted_together

from sparseprop_dist import preparation
from sparseprop_dist.build import instant as build_instant
from sparseprop_dist.build import synapses as build_synapses
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Normal, Uniform
from sparseprop_dist.engine import instant, ordered
from sparseprop_dist.exchange import Alone
from sparseprop_dist.gaps import next_target
from sparseprop_dist.gradients import value_and_grad
from sparseprop_dist.inputs import Poisson, SpikeTrains, StepCurrent
from sparseprop_dist.jit import ENABLED, moebius, njit
from sparseprop_dist.losses import first_spike_squared_error
from sparseprop_dist.models.eif import EIF
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.lif_psc_exp import LIFPscExp
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.models.qif_record import MOST, moved
from sparseprop_dist.plan import plan
from sparseprop_dist.rules import AllToAll, FixedIndegree, OneToOne, Pairs
from sparseprop_dist.state import Counter

UNTIL = 40.0 if ENABLED else 15.0
"""ms"""
ABOVE = LIF(tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0, I_e=28.0, V_m=Uniform(0.0, 1.0))


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """All rows without delay that can have gaps have them."""
    monkeypatch.setattr(build_instant, "LONG", 0)
    monkeypatch.setattr(build_instant, "CLOSE", math.inf)
    return monkeypatch


def recurrent(model: Any, weight: Any, n: int = 60, degree: int = 20, **more: Any) -> Network:
    """One population onto itself."""
    network = Network(seed=11)
    network.add_population("cells", n, model)
    network.connect("cells", "cells", FixedIndegree(degree, **more), weight=weight, delay=0.0)
    return network


def two_signs() -> Network:
    """E and I, in one row of two populations."""
    network = Network(seed=12)
    model = LIF(tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=1.5, I_e=30.0, V_m=Uniform(0.0, 1.0))
    network.add_population("exc", 50, model)
    network.add_population("inh", 20, model)
    network.connect("exc", ["exc", "inh"], FixedIndegree(6), weight=0.12, delay=0.0)
    network.connect("inh", ["exc", "inh"], FixedIndegree(4), weight=-0.3, delay=0.0)
    network.connect("inh", "exc", FixedIndegree(3), weight=-0.1, delay=Uniform(0.5, 2.0))
    return network


def driven(weight: float) -> Network:
    """LIF with a current that varies."""
    network = recurrent(LIF(V_m=Uniform(-70.0, -55.0)), weight)
    network.add_input("cells", StepCurrent([0.0, 20.0], [500.0, 450.0]))
    return network


CURRENT = LIFPscExp(I_e=450.0, V_m=Uniform(-70.0, -56.0))
NETWORKS = {
    "lif": lambda: recurrent(ABOVE, -0.03),
    "lif, each": lambda: recurrent(ABOVE, Normal(-0.03, 0.03)),
    "lif of each kind": lambda: recurrent(LIF(tau_m=Uniform(8.0, 12.0), I_e=Uniform(400.0, 500.0), V_m=Uniform(-70.0, -55.0)), -0.4),
    "two signs": two_signs,
    "driven lif": lambda: driven(-0.4),
    "driven lif, excited": lambda: driven(0.02),
    "qif": lambda: recurrent(QIF(I=1.0, V_m=Uniform(-2.0, 2.0)), -0.05),
    "qif, excited": lambda: recurrent(QIF(I=0.2, V_m=Uniform(-2.0, 2.0)), 0.02),
    "qif, each": lambda: recurrent(QIF(I=1.0, V_m=Uniform(-2.0, 2.0)), Normal(0.0, 0.05)),
    "qif of each kind": lambda: recurrent(QIF(I=Uniform(0.5, 1.5), V_m=Uniform(-2.0, 2.0)), -0.05, allow_multapses=False),
    "eif": lambda: recurrent(EIF(I_e=900.0, V_m=Uniform(-70.0, -55.0)), -0.4),
    "eif, distinct": lambda: recurrent(EIF(I_e=900.0, V_m=Uniform(-70.0, -55.0)), -0.4, allow_multapses=False),
    "currents": lambda: recurrent(CURRENT, -20.0),
    "currents of each kind": lambda: recurrent(LIFPscExp(tau_m=Uniform(9.0, 11.0), I_e=450.0, V_m=Uniform(-70.0, -56.0)), 5.0),
}


def gaps_in(network: Network) -> bool:
    """Has a rank that owns all of it gaps?"""
    return bool(session_of(network, Run(instant)).part.synapses.targets.itemsize == 2)


@pytest.mark.skipif(not ENABLED, reason="nothing is compiled")
def test_what_gaps_need_is_compiled_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a node, by a small network. First in this file: no kernel of these types is there yet."""
    monkeypatch.setattr(preparation, "CACHE", tmp_path)
    network, kernel = recurrent(ABOVE, -0.001, 400, 300), instant._advance
    before = len(kernel.signatures)
    preparation.warm(Alone(), network, "instant", True)
    assert len(kernel.signatures) == before + 1
    assert [mark.name for mark in tmp_path.iterdir()] == ["complete-instant-lif-gaps"]
    assert gaps_in(network)
    emitted(network, 5.0, Run(instant))
    assert len(kernel.signatures) == before + 1


@pytest.mark.kernels
@pytest.mark.parametrize("name", NETWORKS)
def test_no_spike_depends_on_how_rows_are_written(name: str, everywhere: pytest.MonkeyPatch) -> None:
    """Against the ordered schedule, which reads targets one by one, without gaps."""
    network = NETWORKS[name]()
    assert gaps_in(network)
    spikes = emitted(network, UNTIL, Run(instant))
    with everywhere.context() as undone:
        undone.setattr(build_instant, "LONG", math.inf)
        assert not gaps_in(network)
        expected = emitted(network, UNTIL, Run(ordered))
    assert len(expected) > (30 if ENABLED else 0)
    assert same_bits(spikes, expected)


@pytest.mark.kernels
def test_the_ordered_schedule_reads_gaps(everywhere: pytest.MonkeyPatch) -> None:
    network = two_signs()
    assert same_bits(emitted(network, UNTIL, Run(ordered)), emitted(network, UNTIL, Run(instant)))


TOGETHER = {name: NETWORKS[name] for name in ("lif", "lif, each", "two signs", "driven lif")}
TOGETHER |= {preset: functools.partial(lambda preset: network_of(instant_case(0, preset)), preset) for preset in ("generations", "dense")}
"""Settled neuron by neuron; in order, with rows that are taken back as a whole; with weights that are taken back one by one."""


@pytest.mark.parametrize("name", TOGETHER)
def test_ranks_that_settle_windows_together_read_gaps(name: str, everywhere: pytest.MonkeyPatch) -> None:
    network, until = TOGETHER[name](), 25.0
    assert gaps_in(network)
    with everywhere.context() as undone:
        undone.setattr(build_instant, "LONG", math.inf)
        expected = emitted(network, until, Run(instant))
    assert len(expected) > 10
    for n in (2, 3):
        seen: list[Any] = []
        assert same_bits(emitted_together(network, until, n, seen=seen), expected), n
        assert all(session.part.synapses.targets.itemsize == 2 for session in seen)
        apart = not any(session.counters[Counter.INORDER] for session in seen)
        assert apart == (name in ("lif", "driven lif", "dense"))


# --- what is stored -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ranks", [1, 3])
@pytest.mark.parametrize("name", ["lif", "lif, each", "two signs", "eif, distinct"])
def test_synapses_read_back_are_the_same(name: str, n_ranks: int, everywhere: pytest.MonkeyPatch) -> None:
    network = NETWORKS[name]()
    parts = parts_of(network, n_ranks)
    assert all(part.synapses.targets.dtype == np.uint16 for part in parts)
    everywhere.setattr(build_instant, "LONG", math.inf)
    for one, other in zip(parts, parts_of(network, n_ranks), strict=True):
        assert other.synapses.targets.dtype == np.uint32
        assert all(np.array_equal(a, b) for a, b in zip(stored(one), stored(other), strict=True))
        assert one.synapses.longest == other.synapses.longest
        assert one.synapses.safe == other.synapses.safe  # knows how often a row has one target


@pytest.mark.parametrize(("widest", "fits"), [(41, True), (40, False)])
def test_a_gap_that_is_too_wide_leaves_all_targets_as_they_are(widest: int, fits: bool, everywhere: pytest.MonkeyPatch) -> None:
    network = Network(seed=13)
    network.add_population("cells", 60, ABOVE)
    network.connect("cells", "cells", Pairs([0, 0, 5, 5, 5], [3, 44, 40, 40, 59]), weight=-0.1, delay=0.0)
    network.connect("cells", "cells", AllToAll(), weight=-0.01, delay=0.0)
    everywhere.setattr(build_synapses, "WIDEST", widest)
    assert gaps_in(network) == fits
    assert same_bits(emitted(network, 20.0, Run(instant)), emitted(network, 20.0, Run(ordered)))


def test_gaps_are_for_long_rows_between_neurons() -> None:
    """Rows of 300 words have them; those of 200, those that are made, those of neurons far apart, and those of spike sources have not."""
    assert gaps_in(recurrent(ABOVE, -0.001, 400, 300))
    assert not gaps_in(recurrent(ABOVE, -0.001, 400, 200))
    network = recurrent(ABOVE, -0.001, 400, 300)
    network.connect("cells", "cells", AllToAll(), weight=-0.001, delay=0.0, storage="procedural")
    assert not gaps_in(network)
    network = recurrent(ABOVE, -0.001, 400, 300)
    network.connect("cells", "cells", Pairs([0], [399]), weight=-0.001, delay=0.0)
    assert not gaps_in(network)
    network = recurrent(ABOVE, -0.001, 400, 300)
    source = network.add_population("source", 2, SpikeTrains([1.0, 2.0], [0, 1]))
    network.connect([source, "cells"], "cells", AllToAll(), weight=-0.001, delay=0.0)
    assert not gaps_in(network)


def test_what_spike_sources_reach_at_once_has_targets_beside_gaps(everywhere: pytest.MonkeyPatch) -> None:
    network = recurrent(ABOVE, -0.03)
    network.add_population("source", 60, SpikeTrains(np.linspace(0.5, 30.0, 60), np.arange(60)))
    network.connect("source", "cells", OneToOne(), weight=-0.2, delay=0.0)
    network.connect("cells", "cells", FixedIndegree(4), weight=0.01, delay=1.5)
    network.add_input("cells", Poisson(50.0), weight=0.05)
    assert gaps_in(network)
    assert same_bits(emitted(network, 30.0, Run(instant)), emitted(network, 30.0, Run(ordered)))
    everywhere.setattr(build_instant, "LONG", math.inf)
    assert same_bits(emitted(network, 30.0, Run(instant)), emitted(network, 30.0, Run(ordered)))


def test_gradients_see_targets(everywhere: pytest.MonkeyPatch) -> None:
    """The backward sweep reads no gaps."""
    network, loss = recurrent(ABOVE, -0.03), first_spike_squared_error([0, 7], [5.0, 9.0], silent=UNTIL)
    found = value_and_grad(network, loss, UNTIL, wrt="weight")
    everywhere.setattr(build_instant, "LONG", math.inf)
    again = value_and_grad(network, loss, UNTIL, wrt="weight")
    assert found[0] == again[0]
    assert np.array_equal(found[1]["weight"][0], again[1]["weight"][0])
    assert np.any(found[1]["weight"][0])


def test_the_plan_knows_them() -> None:
    network = recurrent(ABOVE, -0.001, 400, 300)
    assert plan(network, 1, gaps=False).memory[0] - plan(network, 1).memory[0] == 2 * 400 * 300
    assert np.array_equal(plan(network, 2, gaps=False).memory, plan(network, 2).memory)  # rows of 150 words


# --- a few instructions -------------------------------------------------------------------------------------------------------------


@njit
def targets_in(words, out):
    target = np.uint64(0)
    for q in range(words.size):
        target = next_target(words, q, target)
        out[q] = target


@pytest.mark.kernels
def test_words_of_both_kinds() -> None:
    targets = np.array([0, 0, 7, 65_542, 65_543], np.uint32)
    for words in (targets, np.diff(targets, prepend=np.uint32(0)).astype(np.uint16)):
        found = np.empty(5, np.int64)
        targets_in(words, found)
        assert found.tolist() == targets.tolist()


@njit
def move_by_four(r, one, two, three, four, most):
    for k in range(0, r.size, 4):
        k0 = np.uint64(k)
        moebius(r, k0 + np.uint64(3), k0, k0 + np.uint64(2), k0 + np.uint64(1), one, two, three, four, most)


@njit
def move_one_by_one(r, one, two, three, four):
    for k in range(r.size):
        r[k] = moved(r[k], one, two, three, four)


@pytest.mark.kernels
@np.errstate(all="ignore")
def test_four_states_are_moved_as_one_is() -> None:
    """Bit for bit: values of all sizes, at and beyond the largest, poles, zeros of either sign, and what is no number."""
    rng = np.random.default_rng(3)
    special = [0.0, -0.0, 1.0, -1.0, MOST, -MOST, 1e300, -1e300, math.inf, -math.inf, math.nan, 5e-324]
    states = np.concatenate([special, rng.standard_normal(500) * 10.0 ** rng.integers(-20, 20, 500)])
    for map_ in [(1.0, 0.1, -0.2, 1.0), (1.0, 1.0, 1.0, 1.0), (0.0, 1.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0), *rng.standard_normal((40, 4))]:
        one, four = states.copy(), states.copy()
        move_one_by_one(one, *map(float, map_))
        move_by_four(four, *map(float, map_), MOST)
        numbers = ~np.isnan(one)
        assert np.array_equal(np.isnan(four), ~numbers)
        assert one[numbers].tobytes() == four[numbers].tobytes()
