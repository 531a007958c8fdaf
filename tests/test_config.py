"""TOML in and out: the same network as in Python, back again with the same bits, and one sentence for each mistake."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseprop_dist import config
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Lognormal, Normal, Uniform
from sparseprop_dist.errors import InputError
from sparseprop_dist.inputs import Poisson, SpikeTrains
from sparseprop_dist.models.intfire1 import IntFire1
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.rules import AllToAll, FixedIndegree, FixedOutdegree, FixedTotalNumber, OneToOne, Pairs, PairwiseBernoulli
from sparseprop_dist.sonata import write_spikes

BRUNEL = """
[network]
seed = 1
[populations.exc]
size = 8000
model = "lif"
tau_m = 20.0
E_L = 0.0
V_th = 20.0
V_reset = 10.0
t_ref = 2.0
[populations.inh]
like = "exc"
size = 2000
V_m = { distribution = "uniform", low = 0, high = 20 }
[[projections]]
source = "exc"
target = ["exc", "inh"]
rule = "fixed_indegree"
indegree = 800
weight = 0.1
delay = 1.5
[[inputs]]
kind = "poisson"
target = ["exc", "inh"]
rate = 20000.0
weight = 0.1
[run]
until = 1000.0
"""

EVERYTHING = """
populations.exc = { size = 4, model = "lif", tau_m = [10, 11, 12, 13], I_e = 375.5, refractory_input = true }
populations.fire = { size = 3, model = "intfire1", m = { distribution = "normal", mean = 0.5, std = 0.1, low = 0, high = 0.9 } }
populations."a b.c".size = 2
populations."a b.c".model = "spikes"
populations."a b.c".times = [0.1, 7]
populations."a b.c".ids = [1, 0]
[[projections]]
source = ["a b.c", "exc"]
target = "fire"
rule = "pairs"
sources = [0, 5, 5]
targets = [2, 2, 1]
weight = [0.1, 0.30000000000000004, -1e-300]
delay = { distribution = "lognormal", mu = -1, sigma = 0.5, high = 20 }
[[projections]]
source = "exc"
target = "exc"
rule = "one_to_one"
weight = { distribution = "normal", mean = 0.5, std = 0.1 }
delay = [1, 2, 3, 4.5]
[[projections]]
source = "exc"
target = "fire"
rule = "all_to_all"
allow_autapses = false
weight = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
delay = 1
[[projections]]
source = "exc"
target = "fire"
rule = "fixed_outdegree"
outdegree = 2
allow_multapses = false
weight = 1
delay = 1
[[projections]]
source = "exc"
target = "fire"
rule = "fixed_total_number"
number = 9
weight = 1
delay = 1
[[projections]]
source = "exc"
target = "fire"
rule = "pairwise_bernoulli"
p = 0.1
weight = 1
delay = 1
[[inputs]]
kind = "poisson"
target = "exc"
times = [0, 100.5]
rate = [[1, 2, 3, 4], [5, 6, 7, 8]]
weight = [1, 2, 3, 4]
[[inputs]]
kind = "poisson"
target = ["exc", "fire"]
rate = { distribution = "uniform", low = 1, high = 2 }
weight = 0.1
[[inputs]]
kind = "spikes"
target = "fire"
times = [1.5, 1.5]
ids = [2, 0]
weight = 1
delay = 2
[run]
window = 0.25
schedule = "ordered"
"""


def everything() -> Network:
    """What EVERYTHING says, in Python."""
    network = Network()
    exc = network.add_population("exc", 4, LIF(tau_m=[10, 11, 12, 13], I_e=375.5, refractory_input=True))
    fire = network.add_population("fire", 3, IntFire1(m=Normal(0.5, 0.1, 0, 0.9)))
    sender = network.add_population("a b.c", 2, SpikeTrains([0.1, 7], [1, 0]))
    weight = np.array([0.1, 0.1 + 0.2, -1e-300])
    network.connect([sender, exc], fire, Pairs([0, 5, 5], [2, 2, 1]), weight=weight, delay=Lognormal(-1, 0.5, high=20))
    network.connect(exc, exc, OneToOne(), weight=Normal(0.5, 0.1), delay=[1, 2, 3, 4.5])
    network.connect(exc, fire, AllToAll(allow_autapses=False), weight=np.arange(1, 13).reshape(4, 3), delay=1)
    network.connect(exc, fire, FixedOutdegree(2, allow_multapses=False), weight=1, delay=1)
    network.connect(exc, fire, FixedTotalNumber(9), weight=1, delay=1)
    network.connect(exc, fire, PairwiseBernoulli(0.1), weight=1, delay=1)
    network.add_input(exc, Poisson([[1, 2, 3, 4], [5, 6, 7, 8]], times=[0, 100.5]), weight=[1, 2, 3, 4])
    network.add_input([exc, fire], Poisson(Uniform(1, 2)), weight=0.1)
    network.add_input(fire, SpikeTrains([1.5, 1.5], [2, 0]), weight=1, delay=2)
    return network


def test_toml_is_the_twin_of_python() -> None:
    model: dict[str, Any] = {"tau_m": 20.0, "E_L": 0.0, "V_th": 20.0, "V_reset": 10.0}
    network = Network(seed=1)
    exc = network.add_population("exc", 8000, LIF(**model))
    inh = network.add_population("inh", 2000, LIF(**model, V_m=Uniform(0.0, 20.0)))
    network.connect(exc, [exc, inh], FixedIndegree(800), weight=0.1, delay=1.5)
    network.add_input([exc, inh], Poisson(20_000.0), weight=0.1)
    found = config.loads(BRUNEL)
    assert found.network == network
    assert (found.until, found.output, found.window, found.schedule) == (1000.0, None, None, None)
    assert config.loads(EVERYTHING).network == everything()


@pytest.mark.parametrize("text", [BRUNEL, EVERYTHING])
def test_written_and_read_again(text: str) -> None:
    found = config.loads(text)
    written = config.dumps(found)
    assert config.loads(written) == found
    assert config.dumps(config.loads(written)) == written
    assert config.loads(config.dumps(found.network)).network == found.network


@given(st.data())
def test_any_value_comes_back(data: Any) -> None:
    number = st.floats(allow_nan=False, allow_infinity=False)
    network = Network(data.draw(st.integers(0, 2**63 - 1)))
    names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1).filter(lambda name: "/" not in name)
    name = data.draw(names)
    network.add_population(name, 3, LIF(E_L=data.draw(number), V_m=data.draw(st.lists(number, min_size=3, max_size=3))))
    network.connect(name, name, Pairs([0], [2]), weight=[data.draw(number)], delay=data.draw(st.floats(1e-9, 1e6)))
    assert config.loads(config.dumps(network)).network == network


def test_files_are_relative_to_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "data" / "edges.h5", "w") as file:
        file["source"], file["target"], file["weight"], file["delay"] = [0, 1, 2], [2, 2, 0], [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]
    write_spikes(tmp_path / "data" / "in.h5", {"lgn": ([1.0, 2.0], [1, 0]), "tw": ([3.0], [0])})
    (tmp_path / "net.toml").write_text("""
populations.n = { size = 3, model = "lif" }
populations.lgn = { size = 2, model = "spikes", file = "data/in.h5", file_population = "lgn" }
projections = [
  { source = "n", target = "n", rule = "pairs", file = "data/edges.h5" },
  { source = "n", target = "n", rule = "pairs", file = "data/edges.h5", weight = 0.5 },
]
inputs = [{ kind = "spikes", target = "n", file = "data/in.h5", file_population = "tw", weight = 1 }]
run.output = "../out"
""")
    monkeypatch.chdir("/")
    found = config.load(tmp_path / "net.toml")
    one, two = found.network.projections
    assert one.rule == two.rule == Pairs([0, 1, 2], [2, 2, 0])
    assert found.network.weights(one, 0, 3).tolist() == [0.1, 0.2, 0.3]
    assert found.network.delays(two, 1, 3).tolist() == [2.0, 3.0]
    assert two.weight == 0.5
    assert found.network.population("lgn").model == SpikeTrains([1.0, 2.0], [1, 0])
    assert found.network.inputs[0].kind == SpikeTrains([3.0], [0])
    assert found.output == str(tmp_path.parent / "out")
    written = config.dumps(found)
    assert "edges.h5" in written
    assert "sources" not in written
    again = config.loads(written)
    assert again.network == found.network
    assert config.dumps(again) == written
    rule, weight, delay = config.load_pairs(tmp_path / "data" / "edges.h5")
    assert rule == one.rule
    assert np.array_equal(weight, [0.1, 0.2, 0.3])  # type: ignore[arg-type]
    assert np.array_equal(delay, [1.0, 2.0, 3.0])  # type: ignore[arg-type]


def test_large_arrays_are_not_written() -> None:
    network = Network()
    network.add_population("n", 1_000_001, LIF(V_m=np.full(1_000_001, -65.0)))
    with pytest.raises(InputError, match="arrays of 1000001 numbers, more than the 1000000"):
        config.dumps(network)


def test_dump_and_load(tmp_path: Path) -> None:
    config.dump(everything(), tmp_path / "net.toml")
    found = config.load(tmp_path / "net.toml")
    assert found.network == everything()
    assert found.path == str(tmp_path / "net.toml")
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        config.dump(everything(), tmp_path / "no" / "net.toml")


MISTAKES = [
    ("tau_m =", "tau =", 'the key "tau" in [populations.exc] is unknown; did you mean "tau_m"?'),
    ("t_ref = 2.0", "xyzzy = 1", 'the key "xyzzy" in [populations.exc] is unknown; known are model, size'),
    ("indegree =", "indegre =", 'the key "indegre" in [[projections]] number 1 is unknown; did you mean "indegree"?'),
    ("8000", "'8000'", "size in [populations.exc] is '8000' (a string); give a whole number of at least 1"),
    ("8000", "2.5", "size in [populations.exc] is 2.5; give a whole number of at least 1"),
    ("size = 8000", "", '[populations.exc] lacks the key "size"'),
    ("8000", "0", 'population "exc": size is 0; give a whole number of at least 1'),
    ('like = "exc"', 'like = "ex"', "like in [populations.inh] is 'ex' (a string), which is no population; did you mean \"exc\"?"),
    ('like = "exc"', 'like = "inh"', "the populations inh are like each other in a circle"),
    ('like = "exc"', "like = [3]", "like in [populations.inh] is [3] (a list), which is no population"),
    ("20.0", "'20 ms'", "population \"exc\": tau_m is '20 ms' (a string); give a number in ms"),
    ("20.0", "-20.0", 'population "exc": tau_m is -20.0 ms; it must be positive'),
    ("20.0", "1979-05-27", 'population "exc": tau_m is datetime.date(1979, 5, 27) of type date; give a number in ms'),
    ("20.0", "[1, 2]", 'population "exc" has 8000 neurons, but its model has arrays of 2; give one value for each'),
    ("V_reset = 10.0", "V_reset = 20.0", 'population "exc": V_reset is 20.0 mV and V_th is 20.0 mV; V_reset must be below V_th'),
    ('"uniform"', '"unform"', 'distribution in V_m of [populations.inh] is "unform"; did you mean "uniform"?'),
    ("low = 0", "lw = 0", 'the key "lw" in V_m of [populations.inh] is unknown; did you mean "low"?'),
    ("low = 0,", "", 'V_m of [populations.inh] lacks the key "low"'),
    ("low = 0", "low = 30", "a uniform distribution has low = 30.0 and high = 20.0; low must be below high"),
    ('"lif"', '"lof"', 'model in [populations.exc] is "lof"; did you mean "lif"?'),
    ('"lif"', "3", "model in [populations.exc] is 3; known are lif, qif, intfire1"),
    ('model = "lif"', "", '[populations.exc] lacks the key "model"; known are lif, qif, intfire1'),
    ('"fixed_indegree"', '"fixed_inxdegree"', 'rule in [[projections]] number 1 is "fixed_inxdegree"; did you mean "fixed_indegree"?'),
    ('"fixed_indegree"', '"pairs"', 'the key "indegree" in [[projections]] number 1 is unknown'),
    ('rule = "fixed_indegree"\nindegree = 800', 'rule = "pairs"', "the pairs come from sources and targets, or from a file"),
    ("delay = 1.5", "", '[[projections]] number 1 lacks the key "delay"'),
    ("delay = 1.5", "delay = [1.5]", "delay is an array, but fixed_indegree draws its synapses at random"),
    ("indegree = 800", "indegree = 8001\nallow_multapses = false", "indegree is 8001, but the source pool has 8000 neurons"),
    ("indegree = 800", "indegree = 8\nallow_multapses = 1", "[[projections]] number 1: allow_multapses is 1; give true or false"),
    ('["exc", "inh"]', '["exc", "ing"]', '[[projections]] number 1: there is no population "ing"; did you mean "inh"?'),
    ('["exc", "inh"]', "[1]", "target in [[projections]] number 1 is [1] (a list); give the name of a population, or a list of names"),
    ("weight = 0.1", "weight = nan", "weight is nan mV; it must be a finite number"),
    ("weight = 0.1", "weight = { mean = 1 }", 'weight of [[projections]] number 1 lacks the key "distribution"; known are uniform'),
    ('kind = "poisson"', 'kind = "poison"', 'kind in [[inputs]] number 1 is "poison"; did you mean "poisson"?'),
    ("rate = 20000.0", "rate = -1", "[[inputs]] number 1: rate is -1.0 Hz; it must not be negative"),
    ("[[inputs]]", "[inputs]", "give tables, each headed [[inputs]]"),
    ("1000.0", "-3", "until in [run] is -3; give a positive number of ms"),
    ("1000.0", "inf", "until in [run] is inf; give a positive number of ms"),
    ("1000.0", "true", "until in [run] is True (a truth value); give a positive number of ms"),
    ("until = 1000.0", 'schedule = "slow"', 'schedule in [run] is \'slow\' (a string); give "auto", "slab", "instant" or "ordered"'),
    ("[run]", "[rum]", 'the key "rum" in the file is unknown; did you mean "run"?'),
    ("[network]", "[network", "this is not valid TOML: Expected ']' at the end of a table declaration (at line 2"),
    ("seed = 1", "seed = 'a'", "seed in [network] is 'a' (a string); give a whole number of at least 0"),
    ("seed = 1", "seed = -1", "seed is -1; give a whole number of at least 0"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[f"{new or 'without ' + old}"[:40] for old, new, _ in MISTAKES])
def test_mistakes(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in BRUNEL
    path = tmp_path / "net.toml"
    path.write_text(BRUNEL.replace(old, new, 1))
    with pytest.raises(InputError) as refused:
        config.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_longer_circle_of_likes() -> None:
    with pytest.raises(InputError, match="the populations a, b, c are like each other in a circle"):
        config.loads('populations = { a = { like = "b" }, b = { like = "c" }, c = { like = "a" } }')


def test_no_populations() -> None:
    with pytest.raises(InputError, match='the file lacks the key "populations"'):
        config.loads("")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('file = "in.h5", times = [1.0]', "give either both lists or file"),
        ("times = [1.0]", "the spikes come from times and ids, or from a file; give either both lists or file"),
        ("", "the spikes come from times and ids, or from a file"),
        ("times = [1.0, 0.5], ids = [0, 0]", "spike times are not sorted"),
        ("times = [1.0], ids = [0.0]", "ids is an array of type float64; give a list of whole numbers"),
        ("file = 3", "file in [populations.s] is 3; give the path of a file"),
        ('file = "none.h5"', "none.h5"),
    ],
)
def test_spike_sources_refused(source: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        config.loads(f'populations.s = {{ size = 2, model = "spikes"{", " + source if source else ""} }}')
    assert said in str(refused.value)


def test_pairs_without_weights_need_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "edges.h5", "w") as file:
        file["source"], file["target"] = [0], [0]
    text = 'populations.n = { size = 1, model = "lif" }\nprojections = [{ source = "n", target = "n", rule = "pairs", file = "edges.h5" }]'
    with pytest.raises(InputError, match=r"neither the table nor .*edges.h5 has a weight; give one"):
        config.loads(text, tmp_path)
    with pytest.raises(InputError, match="there is no weight; give one"):
        config.loads(text.replace('file = "edges.h5"', "sources = [0], targets = [0]"), tmp_path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a directory; give a TOML file"):
        config.load(tmp_path)
    with pytest.raises(InputError, match=r'there is no file ".*none.toml"'):
        config.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\x89HDF\xff")
    with pytest.raises(InputError, match="is not a text in UTF-8"):
        config.load(tmp_path / "binary.toml")
