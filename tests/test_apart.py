"""Windows that ranks settle neuron by neuron (`engine.apart`): the spikes of one rank, bit for bit, whatever the windows; and what is left
to the other way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import together_ranks
from networks import Run, emitted, kept_above_threshold, same_bits, session_of
from together_ranks import emitted_together

from sparseprop_dist.clock import TICK
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Uniform
from sparseprop_dist.engine import instant
from sparseprop_dist.engine.session import Session
from sparseprop_dist.errors import SimulationError
from sparseprop_dist.inputs import Poisson, SpikeTrains, StepCurrent
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.rules import FixedIndegree, PairwiseBernoulli
from sparseprop_dist.state import Counter

UNTIL = 40.0
WHOLE_PIECE = 1 << 41


def inhibited(weight: Any, size: int = 40, rule: Any = None, storage: str = "stored", **neurons: Any) -> Network:
    """Neurons that fire by themselves and inhibit each other without delay."""
    network = Network(seed=5)
    network.add_population("neurons", size, LIF(**{"I_e": Uniform(400.0, 700.0), "t_ref": 0.0, "V_m": Uniform(-70.0, -55.0), **neurons}))
    network.connect("neurons", "neurons", rule or FixedIndegree(size // 4), weight=weight, delay=0.0, storage=storage)
    return network


def driven(network: Network) -> Network:
    """The same, with Poisson events, spike sources, and excitation with delays."""
    network.add_input("neurons", Poisson(200.0), weight=2.0)
    network.add_input("neurons", Poisson(100.0), weight=-1.0)
    network.add_population("sources", 3, SpikeTrains(np.arange(2.0, 30.0, 2.5), np.arange(12) % 3))
    network.connect("sources", "neurons", FixedIndegree(2), weight=8.0, delay=0.0)
    network.connect("neurons", "neurons", FixedIndegree(3), weight=2.0, delay=Uniform(0.3, 3.0))
    return network


def stepped(network: Network) -> Network:
    """The same, with a current that varies."""
    network.add_input("neurons", StepCurrent(times=[0.0, 7.0, 21.0], values=[0.0, 150.0, 30.0]))
    return network


NETWORKS: dict[str, Callable[[], Network]] = {
    "alike": lambda: inhibited(-0.7, I_e=600.0),
    "alike, refractory": lambda: inhibited(-0.7, t_ref=1.5, I_e=600.0),
    "heterogeneous": lambda: inhibited(-0.7, tau_m=Uniform(5.0, 20.0), t_ref=Uniform(0.0, 2.0)),
    "a weight each": lambda: inhibited(Uniform(-1.5, -0.1)),
    "dense": lambda: inhibited(-0.4, rule=FixedIndegree(39, allow_autapses=False, allow_multapses=False)),
    "multapses": lambda: inhibited(-0.2, size=12, rule=FixedIndegree(40)),
    "made when fired": lambda: inhibited(-0.7, rule=PairwiseBernoulli(0.3), storage="procedural"),
    "perfect": lambda: inhibited(-0.5, tau_m=np.inf, I_e=Uniform(100.0, 400.0)),
    "driven": lambda: driven(inhibited(-0.7, t_ref=Uniform(0.0, 2.0))),
    "driven, keeping inputs": lambda: driven(inhibited(-0.7, t_ref=Uniform(0.0, 2.0), refractory_input=True)),
    "stepped": lambda: stepped(inhibited(-0.7)),
}


def on_ranks(network: Network, n: int, run: Run | None = None, length: int = 0) -> tuple[np.ndarray, bool]:
    """Spikes on ``n`` ranks, and whether all windows were settled neuron by neuron."""
    seen: list[Any] = []
    spikes = emitted_together(network, UNTIL, n, run, length, seen)
    assert all(session.counters[Counter.WINDOWS] > 0 for session in seen)
    return spikes, not any(session.counters[Counter.INORDER] for session in seen)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] if name == "stepped" else []) for name in NETWORKS])
def test_spikes_are_those_of_one_rank(name: str) -> None:
    network = NETWORKS[name]()
    expected = emitted(network, UNTIL, Run(instant))
    assert len(expected) > 20
    for n, length in ((1, WHOLE_PIECE), (2, 0), (3, 1 << 30), (3, WHOLE_PIECE)):
        spikes, apart = on_ranks(network, n, length=length)
        assert same_bits(spikes, expected), (n, length)
        assert apart or name == "driven, keeping inputs"


@pytest.mark.parametrize(("weight", "quiet"), [(-0.7, True), (0.05, False)])
def test_pieces_in_which_nobody_becomes_earlier_are_quiet(weight: float, quiet: bool) -> None:
    """Who acts next is then known by sorted entries (`engine.entries`), as on one rank."""
    seen: list[Any] = []
    emitted_together(inhibited(weight, t_ref=1.5), UNTIL, 2, None, WHOLE_PIECE, seen)
    assert [bool(session.counters[Counter.QUIET]) for session in seen] == [quiet] * 2


@pytest.mark.parametrize("name", ["dense", "driven"])
def test_any_buffers_windows_and_origins(name: str) -> None:
    network = NETWORKS[name]()
    expected = emitted(network, UNTIL, Run(instant))
    for run in (Run(instant, capacity=1), Run(instant, tight=True), Run(instant, origin_span=1, window=3.3), Run(instant, piece_bits=35)):
        spikes, apart = on_ranks(network, 3, run, WHOLE_PIECE)
        assert same_bits(spikes, expected), run
        assert apart


def with_safe(safe: int) -> Callable[..., Session]:
    """`session_of`, of which states are looked at for overflow after so many spikes."""

    def session(*arguments: Any) -> Session:
        made = session_of(*arguments)
        made.part = replace(made.part, synapses=made.part.synapses._replace(safe=safe))
        return made

    return session


@pytest.mark.parametrize("safe", [1, 7])
def test_sums_that_could_overflow_are_left_to_the_way_in_order(safe: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS["dense"]()
    expected = emitted(network, UNTIL, Run(instant))

    monkeypatch.setattr(together_ranks, "session_of", with_safe(safe))
    spikes, _ = on_ranks(network, 2, length=WHOLE_PIECE)
    assert same_bits(spikes, expected)


@pytest.mark.parametrize("excitation", [0.0, 0.01])
@pytest.mark.parametrize("further", [0, 5])
def test_an_overflow_at_the_end_of_a_slab_is_told_to_all_ranks(excitation: float, further: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a rank that others would wait for, at the end of a run or before; windows in order, too, look at states now and then only."""
    network = inhibited(-0.7)
    network.add_population("down", 1, LIF())
    network.connect("neurons", "down", FixedIndegree(40), weight=-3000.0, delay=0.0)
    if excitation:
        network.connect("neurons", "neurons", FixedIndegree(2), weight=excitation, delay=0.0)
    monkeypatch.setattr(together_ranks, "session_of", with_safe(1 << 61))
    slab = (1 << session_of(network, Run(instant)).part.slab_bits) * TICK
    with pytest.raises(SimulationError) as alone:
        emitted_together(network, 50 * slab, 1, Run(instant, window=slab))
    begun = float(str(alone.value).split()[4])
    seen: list[Any] = []
    with pytest.raises(SimulationError, match=rf"^neuron 40 overflowed at {begun:g} ms"):
        emitted_together(network, begun + slab + further * slab, 2, Run(instant, window=slab), seen=seen)
    assert all(bool(session.counters[Counter.INORDER]) == (excitation > 0.0) for session in seen)


def test_weights_within_rounding_and_excitation_are_left_to_the_way_in_order() -> None:
    """A weight of a few quanta can lift nothing, but what stands within the slack of threshold fires at any arrival."""
    for weight in (-1e-13, 0.0, 0.05):
        network = inhibited(-0.7)
        network.connect("neurons", "neurons", FixedIndegree(2), weight=weight, delay=0.0)
        spikes, apart = on_ranks(network, 2)
        assert same_bits(spikes, emitted(network, UNTIL, Run(instant)))
        assert not apart


def test_a_neuron_that_stays_above_threshold_fires_at_an_arrival_that_inhibits() -> None:
    """Released above threshold by the inputs that it kept: in that window the neuron is left to the way in order."""
    network = kept_above_threshold()
    expected = emitted(network, UNTIL, Run(instant))
    assert len(expected) == 3
    for n in (1, 2):
        spikes, _ = on_ranks(network, n, length=WHOLE_PIECE)
        assert same_bits(spikes, expected)
