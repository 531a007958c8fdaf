"""The description: ids, counts, values, and the one sentence that refuses each mistake."""

import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Lognormal, Normal, Uniform
from sparseprop_dist.errors import InputError
from sparseprop_dist.inputs import Poisson, SpikeTrains
from sparseprop_dist.models.intfire1 import IntFire1
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.rules import AllToAll, FixedIndegree, FixedOutdegree, FixedTotalNumber, OneToOne, Pairs, PairwiseBernoulli

NAN = float("nan")


def small(seed: int = 1) -> Network:
    """Sources a (3), neurons b (4), sources c (2), neurons d (5): added in this order."""
    network = Network(seed)
    network.add_population("a", 3, SpikeTrains([0.5, 1.0], [2, 0]))
    network.add_population("b", 4, LIF(V_m=Uniform(-70.0, -60.0)))
    network.add_population("c", 2, SpikeTrains([], []))
    network.add_population("d", 5, IntFire1(tau=[1.0, 2.0, 3.0, 4.0, 5.0]))
    return network


def brunel() -> Network:
    network = Network(seed=1)
    exc = network.add_population("exc", 8000, LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0))
    inh = network.add_population("inh", 2000, exc.model)
    network.connect(exc, [exc, inh], FixedIndegree(800), weight=0.1, delay=1.5)
    network.connect(inh, ["exc", inh], FixedIndegree(200), weight=-0.5, delay=1.5)
    network.add_input([exc, inh], Poisson(20_000.0), weight=0.1)
    return network


def test_neurons_are_numbered_before_spike_sources() -> None:
    network = small()
    assert {name: network.gids(name) for name in "abcd"} == {"b": range(4), "d": range(4, 9), "a": range(9, 12), "c": range(12, 14)}
    assert (network.n_neurons, network.n_sources) == (9, 14)
    assert network.first("d") == network.first(network.population("d")) == 4
    assert network.pool(["d", "b"]).gids == (range(4, 9), range(4))
    assert network.pool(["d", "b"]).member(6) == "b[1]"
    assert [population.is_source for population in network.populations] == [True, False, True, False]


@pytest.mark.parametrize(
    ("rule", "n"),
    [
        (FixedIndegree(3), 3 * 9),
        (FixedOutdegree(3), 3 * 5),
        (FixedTotalNumber(11), 11),
        (PairwiseBernoulli(0.25), 0.25 * 45),
        (PairwiseBernoulli(0.5, allow_autapses=False), 0.5 * 40),
        (AllToAll(), 45),
        (AllToAll(allow_autapses=False), 40),
        (Pairs([0, 4, 4], [8, 0, 0]), 3),
    ],
)
def test_expected_synapses(rule: Any, n: float) -> None:
    network = small()
    projection = network.connect("d", ["b", "d"], rule, weight=1.0, delay=1.0)
    assert network.expected_synapses(projection) == n
    assert network.expected_indegree(projection) == n / 9


def test_one_to_one() -> None:
    network = small()
    projection = network.connect("d", "d", OneToOne(), weight=[1, 2, 3, 4, 5], delay=1.0)
    assert network.expected_synapses(projection) == 5
    assert network.weights(projection, 1, 3).tolist() == [2.0, 3.0]


def test_a_huge_network_costs_nothing() -> None:
    tracemalloc.start()
    network = Network()
    network.add_population("n", 100_000_000, LIF(V_m=Normal(-65.0, 2.0)))
    projection = network.connect("n", "n", FixedIndegree(1000, allow_autapses=False), weight=Lognormal(-1.0, 0.5), delay=1.5)
    network.add_input("n", Poisson(10.0), weight=0.1)
    assert network.expected_synapses(projection) == 1e11
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_parameters() -> None:
    network = small()
    assert network.parameters("d", "tau_m", 1, 3).tolist() == [2.0, 3.0]
    assert network.parameters("d", "V_th", 0, 2).tolist() == [1.0, 1.0]
    drawn = network.parameters("b", "V_m", 0, 4)
    assert len(set(drawn.tolist())) == 4
    assert drawn[1:3].tolist() == network.parameters("b", "V_m", 1, 3).tolist()
    assert drawn.tolist() == small().parameters("b", "V_m", 0, 4).tolist()
    assert drawn.tolist() != small(seed=2).parameters("b", "V_m", 0, 4).tolist()
    assert list(network.checked_parameters("b", 0, 4)) == ["tau_m", "C_m", "E_L", "V_th", "V_reset", "t_ref", "I_e", "V_m"]


def test_each_projection_draws_its_own() -> None:
    network = small()
    weight, delay = Normal(1.0, 0.1), Uniform(1.0, 2.0)
    one, two = (network.connect("b", "d", FixedIndegree(2), weight=weight, delay=delay) for _ in range(2))
    assert one == two
    assert network.weights(one, 0, 4).tolist() != network.weights(two, 0, 4).tolist()
    assert network.delays(one, 0, 4).tolist() != network.delays(two, 0, 4).tolist()
    assert network.delays(one, 0, 4).min() >= 1.0
    assert network.weights_at(one, np.array([3, 0])).tolist() == network.weights(one, 0, 4)[[3, 0]].tolist()
    assert network.delays_at(two, np.array([3, 0])).tolist() == network.delays(two, 0, 4)[[3, 0]].tolist()


def test_all_to_all_takes_a_matrix() -> None:
    network = small()
    matrix = np.arange(20.0).reshape(4, 5)
    projection = network.connect("b", "d", AllToAll(), weight=matrix, delay=1.0)
    assert network.weights(projection, 5, 7).tolist() == [5.0, 6.0]
    assert projection.rule.ends(7, network.pools(projection)) == (1, 2)


def test_arrays_are_kept_as_they_were_given() -> None:
    given = np.array([1.0, 2.0, 3.0])
    model = LIF(tau_m=given)
    given[0] = -1.0
    assert model.tau_m.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="read-only"):
        model.tau_m[0] = 5.0
    given.flags.writeable = False
    assert IntFire1(m=given).m is given  # nothing to protect: large arrays are not copied


def test_input_rates() -> None:
    network = small()
    flat = network.add_input("d", Poisson(5), weight=1.0)
    each = network.add_input("d", Poisson([1, 2, 3, 4, 5]), weight=[1, 2, 3, 4, 5])
    pieces = network.add_input("d", Poisson([1, 2], times=[0, 100]), weight=1.0)
    both = network.add_input("d", Poisson(np.arange(10).reshape(2, 5), times=[0, 100]), weight=1.0)
    drawn = network.add_input("d", Poisson(Uniform(0.0, 9.0)), weight=Normal(0.0, 1.0))
    assert network.input_rates(flat, 0, 2).tolist() == [[5.0, 5.0]]
    assert network.input_rates(each, 3, 5).tolist() == [[4.0, 5.0]]
    assert network.input_weights(each, 3, 5).tolist() == [4.0, 5.0]
    assert network.input_rates(pieces, 0, 2).tolist() == [[1.0, 1.0], [2.0, 2.0]]
    assert network.input_rates(both, 3, 5).tolist() == [[3.0, 4.0], [8.0, 9.0]]
    assert network.input_rates(drawn, 0, 5)[:, 2:4].tolist() == network.input_rates(drawn, 2, 4).tolist()
    assert Poisson([1, 2], times=[0, 100]).starts.tolist() == [0.0, 100.0]
    assert Poisson(5).starts.tolist() == [0.0]


def test_intfire1_is_a_lif() -> None:
    model = IntFire1(tau=20.0, refrac=3.0, m=Uniform(0.0, 1.0)).lowered()
    assert model == LIF(tau_m=20.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=3.0, V_m=Uniform(0.0, 1.0))
    assert model.lowered() is model


def test_nest_defaults() -> None:
    assert LIF() == LIF(10.0, 250.0, -70.0, -55.0, -70.0, 2.0, 0.0, -70.0, False)


def test_equal_descriptions_are_equal() -> None:
    assert brunel() == brunel()
    assert small() == small()
    assert small() != small(seed=2)
    other = brunel()
    other.add_input("exc", Poisson(1.0), weight=1.0)
    assert other != brunel()
    assert LIF(tau_m=[1, 2]) == LIF(tau_m=np.array([1.0, 2.0])) != LIF(tau_m=[1, 3])
    assert hash(LIF(tau_m=[1, 2])) == hash(LIF(tau_m=[1.0, 2.0]))
    assert LIF(tau_m=[1, 1]) != LIF(tau_m=1)


def test_delays_may_be_zero() -> None:
    """Some of those of spike sources; of neurons, all of a projection."""
    network = small()
    network.connect(["a", "c"], "d", FixedIndegree(2), weight=1.0, delay=0)
    network.connect("a", "d", FixedIndegree(2), weight=1.0, delay=Uniform(0.0, 1.0))
    network.connect(["a", "b"], "d", FixedIndegree(2), weight=1.0, delay=0)
    assert network.delays(network.projections[-1], 0, 4).tolist() == [0.0] * 4


def test_empty_rules_are_allowed() -> None:
    network = small()
    network.connect("b", "d", FixedIndegree(0), weight=1.0, delay=1.0)
    projection = network.connect("b", "d", Pairs([], []), weight=[], delay=1.0)
    assert network.weights(projection, 0, 0).size == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LIF(tau_m=-1), "tau_m is -1.0 ms; it must be positive"),
        (lambda: LIF(tau_m=[1, 2, 3, 0]), "tau_m is 0.0 ms for neuron 3; it must be positive"),
        (lambda: LIF(tau_m="20 ms"), "tau_m is '20 ms' (a string); give a number in ms, an array"),
        (lambda: LIF(tau_m=[1, "2"]), "tau_m is a list that holds '2' (a string)"),
        (lambda: LIF(tau_m=[[1.0]]), "tau_m is an array of 2 dimensions"),
        (lambda: LIF(tau_m=[[1.0], [1.0, 2.0]]), "give a number in ms"),
        (lambda: LIF(tau_m=1j), "tau_m is 1j of type complex"),
        (lambda: LIF(tau_m=None), "tau_m is None (nothing); give a number in ms"),
        (lambda: LIF(tau_m=[]), "tau_m is an empty array"),
        (lambda: LIF(tau_m={"mean": 3}), "(a table); give a number in ms"),
        (lambda: LIF(E_L=True), "E_L is True (a truth value); give a number in mV"),
        (lambda: LIF(I_e=[0.0, NAN]), "I_e is nan pA for neuron 1; it must be a finite number"),
        (lambda: LIF(C_m=0), "C_m is 0.0 pF; it must be positive"),
        (lambda: LIF(t_ref=-0.1), "t_ref is -0.1 ms; it must not be negative"),
        (lambda: LIF(t_ref=1e9), "t_ref is 1000000000.0 ms; at most 1e+06 ms are allowed"),
        (lambda: LIF(V_reset=-55), "V_reset is -55.0 mV and V_th is -55.0 mV; V_reset must be below V_th"),
        (lambda: LIF(V_th=[-50, -71]), "V_reset is -70.0 mV and V_th is -71.0 mV for neuron 1; V_reset must be below V_th"),
        (lambda: LIF(V_m=[1, 2], E_L=[1, 2, 3]), "E_L has 3 values and V_m has 2"),
        (lambda: LIF(refractory_input=1), "refractory_input is 1; give true or false"),  # type: ignore[arg-type]
        (lambda: IntFire1(tau=0), "tau is 0.0 ms; it must be positive"),
        (lambda: FixedIndegree(-1), "indegree is -1; give a whole number of at least 0"),
        (lambda: FixedIndegree(1.5), "indegree is 1.5; give a whole number"),  # type: ignore[arg-type]
        (lambda: FixedOutdegree("3"), "outdegree is '3' (a string); give a whole number"),  # type: ignore[arg-type]
        (lambda: FixedTotalNumber(True), "number is True (a truth value); give a whole number"),
        (lambda: FixedIndegree(1, allow_autapses=1), "allow_autapses is 1; give true or false"),  # type: ignore[arg-type]
        (lambda: PairwiseBernoulli(1.1), "p is 1.1; give a probability between 0 and 1"),
        (lambda: PairwiseBernoulli(NAN), "p is nan; give a probability"),
        (lambda: Pairs([0, 1], [0]), "pairs have 2 sources and 1 targets"),
        (lambda: Pairs([0, -1], [0, 0]), "sources holds -1 at position 1; positions count from 0"),
        (lambda: Pairs([0.5], [0]), "sources is an array of type float64; give a list of whole numbers"),
        (lambda: SpikeTrains([1.0, 0.5], [0, 0]), "spike times are not sorted: 1.0 ms is followed by 0.5 ms at spike 1"),
        (lambda: SpikeTrains([-1.0], [0]), "times is -1.0 ms for spike 0; spike times must not be negative"),
        (lambda: SpikeTrains([1.0, NAN], [0, 0]), "times is nan ms for spike 1"),
        (lambda: SpikeTrains([1.0], [0, 1]), "spike trains have 1 times and 2 ids"),
        (lambda: SpikeTrains(["1"], [0]), "times is a list that holds '1' (a string)"),
        (lambda: Poisson(-1), "rate is -1.0 Hz; it must not be negative"),
        (lambda: Poisson([1, -1]), "rate is -1.0 Hz for neuron 1"),
        (lambda: Poisson(Normal(1, 1)), "give the distribution low = 0"),
        (lambda: Poisson([1, 2], times=[0, 1, 2]), "with times of 3 pieces"),
        (lambda: Poisson([1, -2], times=[0, 1]), "rate is -2.0 Hz for element 1"),
        (lambda: Poisson([1, 2], times=[1, 2]), "give a list in ms that increases from 0"),
        (lambda: Poisson([1, 2], times=[0, 0]), "give a list in ms that increases from 0"),
        (lambda: Network(-1), "seed is -1; give a whole number of at least 0"),
        (lambda: Network(1 << 63), "give a whole number below 2**63"),
    ],
)
def test_values_refused(make: Any, said: str) -> None:
    with pytest.raises(InputError) as refused:
        make()
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("b", 1, LIF()), 'population "b" exists already'),
        (("e", 0, LIF()), 'population "e": size is 0; give a whole number of at least 1'),
        (("e", 2.0, LIF()), 'population "e": size is 2.0'),
        (("e", 3, LIF(tau_m=[1, 2])), 'population "e" has 3 neurons, but its model has arrays of 2; give one value for each'),
        (("e", 3, SpikeTrains([1.0], [3])), 'spike 0 has id 3, but population "e" has 3 members, 0 to 2'),
        (("e", 3, "lif"), "the model is 'lif' (a string); give a model such as LIF()"),
        (("e", 3, LIF), "give a model such as LIF()"),
        (("", 3, LIF()), "the name of a population is ''"),
        (("a/b", 3, LIF()), "give a printable string without /"),
        ((3, 3, LIF()), "the name of a population is 3"),
    ],
)
def test_populations_refused(arguments: Any, said: str) -> None:
    network = small()
    with pytest.raises(InputError) as refused:
        network.add_population(*arguments)
    assert said in str(refused.value)
    assert network == small()


REFUSED_PROJECTIONS = [
    ("e", "d", OneToOne(), {}, 'there is no population "e"'),
    ("b", "a", OneToOne(), {}, 'population "a" only sends spikes; it cannot be a target'),
    ("b", ["d", "d"], OneToOne(), {}, 'population "d" is given twice in one pool'),
    ([], "d", OneToOne(), {}, "[] (a list) is given for a population"),
    (3, "d", OneToOne(), {}, "3 is given for a population; give one, its name, or a list of these"),
    ("b", "d", "one_to_one", {}, "projection b -> d: the rule is 'one_to_one' (a string)"),
    ("b", "d", OneToOne(), {}, "one_to_one needs pools of one size; the source pool has 4 neurons, the target pool 5"),
    ("b", "d", FixedIndegree(5, allow_multapses=False), {}, "indegree is 5, but the source pool has 4 neurons; lower it"),
    ("b", "b", FixedIndegree(4, False, False), {}, "the source pool has 3 neurons other than the neuron itself"),
    ("b", "d", FixedOutdegree(6, allow_multapses=False), {}, "outdegree is 6, but the target pool has 5 neurons"),
    ("b", "b", FixedTotalNumber(13, False, False), {}, "number is 13, but the pools have only 12 pairs"),
    ("b", "d", Pairs([0, 4], [0, 0]), {}, "synapse 1 names source 4, but the source pool has 4 neurons, 0 to 3"),
    ("b", "d", Pairs([0], [5]), {}, "synapse 0 names target 5, but the target pool has 5 neurons"),
    ("b", "d", Pairs([0, 3], [0, 2]), {"weight": [1, NAN]}, "weight is nan mV for synapse 1, b[3] -> d[2]; it must be a finite number"),
    ("b", ["b", "d"], AllToAll(), {"weight": [1.0] * 34 + [NAN, 1.0]}, "weight is nan mV for synapse 34, b[3] -> d[3]"),
    ("b", "b", OneToOne(), {"delay": [1, 1, -1, 1]}, "delay is -1.0 ms for synapse 2, b[2] -> b[2]; it must not be negative"),
    ("b", "d", Pairs([0], [0]), {"weight": [1, 2]}, "weight has 2 values, but pairs makes 1 synapses here"),
    ("b", "d", FixedIndegree(1), {"weight": [1.0] * 5}, "weight is an array, but fixed_indegree draws its synapses at random"),
    ("b", "d", FixedIndegree(1), {"weight": "1 mV"}, "weight is '1 mV' (a string); give a number in mV"),
    ("b", "d", FixedIndegree(1), {"weight": NAN}, "weight is nan mV; it must be a finite number"),
    ("b", "d", Pairs([0], [0]), {"weight": ["x"]}, "weight is a list that holds 'x' (a string)"),
    ("b", "d", Pairs([0, 0], [0, 1]), {"delay": [0.0, 1.0]}, "synapses without delay need a projection of their own"),
    ("b", "d", FixedIndegree(1), {"delay": -1}, "delay is -1.0 ms; it must not be negative"),
    ("a", "d", FixedIndegree(1), {"delay": -1}, "delay is -1.0 ms; it must not be negative"),
    ("b", "d", FixedIndegree(1), {"delay": 1e-13}, "that is below the resolution of time"),
    ("b", "d", FixedIndegree(1), {"delay": 1e7}, "at most 1e+06 ms are allowed"),
    ("b", "d", FixedIndegree(1), {"delay": Normal(1, 0.5)}, "delay can be as short as -3.1 ms with Normal"),
    ("b", "d", FixedIndegree(1), {"delay": Uniform(0, 1)}, "give the distribution low = 0.1, or another low above 0"),
    ("b", "d", FixedIndegree(1), {"delay": Normal(1, 0.5, low=0)}, "give the distribution low = 0.1"),
    ("a", "d", FixedIndegree(1), {"delay": Normal(1, 0.5)}, "give the distribution low = 0"),
    ("b", "d", FixedIndegree(1), {"delay": Lognormal(0, 3)}, "give the distribution a high below 1e6"),
]


@pytest.mark.parametrize(("source", "target", "rule", "given", "said"), REFUSED_PROJECTIONS, ids=lambda value: str(value)[:30])
def test_projections_refused(source: Any, target: Any, rule: Any, given: Any, said: str) -> None:
    network = small()
    with pytest.raises(InputError) as refused:
        network.connect(source, target, rule, **{"weight": 1.0, "delay": 1.0, **given})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert network == small()


@pytest.mark.parametrize(
    ("target", "kind", "given", "said"),
    [
        ("a", Poisson(1), {}, 'poisson input to a: population "a" only sends spikes'),
        ("f", Poisson(1), {}, 'there is no population "f"'),
        ("d", "poisson", {}, "input to d: its kind is 'poisson' (a string)"),
        ("d", LIF(), {}, "give Poisson(rate), SpikeTrains(times, ids) or a current"),
        ("d", Poisson([1, 2]), {}, "rate has 2 values, but the target pool has 5 neurons"),
        ("d", SpikeTrains([1.0], [5]), {}, "spike 0 has id 5, but the target pool has 5 members"),
        ("d", Poisson(1), {"weight": [1, 2]}, "weight has 2 values, but the target pool has 5 neurons"),
        ("d", Poisson(1), {"weight": NAN}, "weight is nan mV"),
        ("d", Poisson(1), {"delay": -1}, "delay is -1.0 ms; it must not be negative"),
        ("d", Poisson(1), {"delay": [1, 2]}, "give one number in ms, 0 or more"),
    ],
)
def test_inputs_refused(target: Any, kind: Any, given: Any, said: str) -> None:
    network = small()
    with pytest.raises(InputError) as refused:
        network.add_input(target, kind, **{"weight": 1.0, **given})
    assert said in str(refused.value)
    assert network == small()


def test_drawn_parameters_are_checked_where_they_are_drawn() -> None:
    network = Network()
    network.add_population("n", 1000, LIF(tau_m=Normal(3.0, 1.5)))
    network.add_population("m", 1000, LIF(V_reset=Uniform(-70.0, -50.0)))
    drawn = network.parameters("n", "tau_m", 0, 1000)
    wrong = int(np.argmax(drawn <= 0.0))
    assert drawn[wrong] <= 0.0
    network.checked_parameters("n", 0, wrong)
    with pytest.raises(InputError) as refused:
        network.checked_parameters("n", wrong - 2, 1000)
    assert str(refused.value) == f'population "n": tau_m is {float(drawn[wrong])!r} ms for neuron {wrong}; it must be positive'
    with pytest.raises(InputError, match=r'population "m": V_reset is .* for neuron \d+; V_reset must be below V_th'):
        network.checked_parameters("m", 0, 1000)


def test_questions_that_have_no_answer() -> None:
    network = small()
    with pytest.raises(InputError, match='population "a" only sends spikes; it has no parameters'):
        network.parameters("a", "tau_m", 0, 1)
    with pytest.raises(InputError, match='population "a" only sends spikes; it has no parameters'):
        network.checked_parameters("a", 0, 1)
    with pytest.raises(InputError, match="has no rates"):
        network.input_rates(network.add_input("d", SpikeTrains([], []), weight=1.0), 0, 1)


def test_a_population_of_another_network_is_refused() -> None:
    other = small().population("b")
    with pytest.raises(InputError, match="belongs to another network"):
        small().connect(other, "d", FixedIndegree(1), weight=1.0, delay=1.0)


def test_the_nearest_population_is_named() -> None:
    network = brunel()
    with pytest.raises(InputError, match='there is no population "inj"; did you mean "inh"'):
        network.connect("exc", "inj", FixedIndegree(1), weight=1.0, delay=1.0)


def test_the_description_needs_no_heavy_library() -> None:
    program = "import sys, sparseprop_dist.description; print([name for name in sys.argv[1:] if name in sys.modules])"
    heavy = ["pydantic", "h5py", "zarr", "mpi4py", "numba", "dask"]
    assert subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_poisson_input_has_no_delay() -> None:
    """It would be silently ignored: its events have no source."""
    network = small()
    with pytest.raises(InputError, match=r"poisson input to d: delay is 5\.0 ms, but Poisson events are made at their targets"):
        network.add_input("d", Poisson(5), weight=1.0, delay=5.0)
    assert not network.inputs
