"""Bad input as a user meets it: files with one mistake each, and the sentence that the command line must answer with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sonata_files import FILES, Change, make

NETWORK = """
[network]
seed = 3

[populations.exc]
size = 20
model = "lif"
tau_m = 20.0

[populations.inh]
like = "exc"
size = 5

[[projections]]
source = "exc"
target = ["exc", "inh"]
rule = "fixed_indegree"
indegree = 4
weight = 0.5
delay = 1.5

[[inputs]]
kind = "poisson"
target = "exc"
rate = 1000.0
weight = 0.5

[run]
until = 5.0
"""

SPIKES = """
[populations.source]
size = 2
model = "spikes"
times = [1.0, 2.0]
ids = [0, 1]

[[projections]]
source = "source"
target = "exc"
rule = "all_to_all"
weight = 0.5
delay = 0.0
"""

PAIRS = """
[[projections]]
source = "exc"
target = "inh"
rule = "pairs"
sources = [0, 7]
targets = [1, 2]
weight = [0.5, nan]
delay = 1.0
"""

PAIRS_SOME_0 = PAIRS.replace("nan", "0.5").replace("delay = 1.0", "delay = [1.0, 0.0]")

QIF = """
[populations.qif]
size = 3
model = "qif"
I = 0.5
V_th = 2.0
V_reset = -1.0
"""

OVERFLOW = """
[populations.exc]
size = 3
model = "lif"

[populations.inh]
size = 3
model = "lif"

[[projections]]
source = "exc"
target = "inh"
rule = "pairs"
sources = [0, 1, 2]
targets = [2, 2, 2]
weight = -15000.0
delay = 0.5

[[inputs]]
kind = "poisson"
target = "exc"
rate = 1e5
weight = 20.0

[run]
until = 1000.0
"""
"""Neuron 5, the last, is inhibited by a thousand times V_th - V_reset again and again."""

HUGE = """
populations.exc = { size = 80_000_000, model = "lif" }
populations.inh = { size = 20_000_000, model = "lif", tau_m = { distribution = "uniform", low = 5.0, high = 15.0 } }

[[projections]]
source = "exc"
target = ["exc", "inh"]
rule = "fixed_indegree"
indegree = 800
weight = 0.1
delay = 1.5

[[projections]]
source = "inh"
target = ["exc", "inh"]
rule = "fixed_indegree"
indegree = 200
weight = -0.5
delay = { distribution = "uniform", low = 0.5, high = 2.0 }

[[inputs]]
kind = "poisson"
target = ["exc", "inh"]
rate = 20_000.0
weight = 0.1

[run]
until = 100.0
"""
"""1e8 neurons, 1e11 synapses."""

NODES, EDGES, NODE_TYPES = "circuit/net/v1_nodes.h5", "circuit/net/v1_edges.h5", "circuit/net/v1_node_types.csv"


@dataclass(frozen=True)
class Case:
    """One mistake: `prepare` makes the files in an empty folder and returns what ``sparseprop run`` is to be given."""

    name: str
    prepare: Callable[[Path], Path]
    told: str
    """Regular expression for the sentence."""


def written(folder: Path, text: str) -> Path:
    """Write a network file."""
    (folder / "net.toml").write_text(text, "utf-8")
    return folder / "net.toml"


def toml(name: str, old: str, new: str, told: str, *, text: str = NETWORK) -> Case:
    """A mistake in a TOML file: `new` stands where `old` should, or is added if `old` is empty."""
    assert text.count(old) == 1 or not old
    return Case(name, lambda folder: written(folder, text.replace(old, new) if old else text + new), told)


def sonata(name: str, changes: Change, told: str) -> Case:
    """A mistake in the files of a SONATA network."""
    return Case(name, lambda folder: make(folder, changes), told)


def truncated(folder: Path) -> Path:
    config = make(folder)
    nodes = folder / NODES
    nodes.write_bytes(nodes.read_bytes()[:-200])
    return config


LOW_TAU = 'tau_m = {distribution = "normal", mean = 1.0, std = 10.0}'
DRAWN_0 = 'delay = {distribution = "uniform", low = 0.0, high = 2.0}'
MANY_DISTINCT = "indegree = 21\nallow_multapses = false"
PLACE = r"net.toml: \[\[projections\]\] number \d: projection exc -> exc, inh: "

REFUSED: list[Case] = [
    # networks in TOML
    toml("unknown key", "tau_m", "tau_n", r'net.toml: the key "tau_n" in \[populations.exc\] is unknown; did you mean "tau_m"\?'),
    toml("unknown table", "[[inputs]]", "[[input]]", r'the key "input" in the file is unknown; did you mean "inputs"\?'),
    toml("unknown rule", "fixed_indegree", "fixed_indegre", r'rule in .* is "fixed_indegre"; did you mean "fixed_indegree"\?'),
    toml("unknown model", '"lif"', '"lib"', r'model in \[populations.exc\] is "lib"; did you mean "lif"\?'),
    toml("unit in a text", "tau_m = 20.0", 'tau_m = "20 ms"', r"tau_m is '20 ms' \(a string\); give a number in ms"),
    toml("broken number", "size = 20", "size = 20.5", r"size in \[populations.exc\] is 20.5; give a whole number of at least 1"),
    toml("truth value", "tau_m = 20.0", "tau_m = true", r"tau_m is True \(a truth value\); give a number in ms"),
    toml("negative tau_m", "tau_m = 20.0", "tau_m = -20.0", r'population "exc": tau_m is -20.0 ms; it must be positive'),
    toml("drawn tau_m", "tau_m = 20.0", LOW_TAU, r'of population "exc" can be as small as -\S+ ms; at least 1e-06 ms are allowed'),
    toml("V_reset", "tau_m", "V_reset = -55.0\ntau_m", r"V_reset is -55.0 mV and V_th is -55.0 mV; V_reset must be below V_th"),
    toml("negative delay", "delay = 1.5", "delay = -1.5", PLACE + r"delay is -1.5 ms; it must not be negative"),
    toml(
        "some delays 0", "", PAIRS_SOME_0, r"delay is 0.0 ms for synapse 1, exc\[7\] -> inh\[2\]; synapses without delay need a projection"
    ),
    toml("drawn delay of 0", "delay = 1.5", DRAWN_0, PLACE + r"delay can be as short as \S+ ms with .*; give the distribution low = 0.1"),
    toml("tiny delay", "delay = 1.5", "delay = 1e-13", PLACE + r"delay is 1e-13 ms; that is below the resolution of time, 9.1e-13 ms"),
    toml(
        "QIF thresholds", "", QIF.replace("V_reset = -1.0", "V_reset = 3.0"), r"V_reset is 3.0 and V_th is 2.0; V_reset must be below V_th"
    ),
    toml("QIF I", "", QIF.replace("I = 0.5", "I = nan"), r'population "qif": I is nan; it must be a finite number'),
    toml("QIF tau_m", "", QIF + "tau_m = 0.0\n", r'population "qif": tau_m is 0.0 ms; it must be positive'),
    toml("NaN weight", "", PAIRS, r"weight is nan mV for synapse 1, exc\[7\] -> inh\[2\]; it must be a finite number"),
    toml(
        "large weight", "0.5\ndelay = 1.5", "1e6\ndelay = 1.5", r"weight 1e\+06 mV is too large; at most \S+ mV, \d+ times V_th - V_reset"
    ),
    toml(
        "large QIF weight",
        "",
        QIF + '[[projections]]\nsource = "exc"\ntarget = "qif"\nrule = "all_to_all"\nweight = -1e7\ndelay = 1.0\n',
        r"weight 1e\+07 is too large; at most 10000 keeps the digits of V",
    ),
    toml("indegree", "indegree = 4", MANY_DISTINCT, PLACE + r"indegree is 21, but the source pool has 20 neurons; lower it, or set"),
    toml("unknown population", 'source = "exc"', 'source = "exe"', r'there is no population "exe"; did you mean "exc"\?'),
    toml("empty population", "size = 5", "size = 0", r'population "inh": size is 0; give a whole number of at least 1'),
    toml("no neurons", NETWORK, SPIKES.split("[[")[0] + "[run]\nuntil = 1", r"the network has no neurons; add a population of a neuron"),
    toml("unsorted spikes", "[1.0, 2.0]", "[2.0, 1.0]", r"times are not sorted: 2.0 ms is followed by 1.0 ms", text=NETWORK + SPIKES),
    toml("negative spikes", "[1.0, 2.0]", "[-1.0, 2.0]", r"-1.0 ms for spike 0; spike times must not be neg", text=NETWORK + SPIKES),
    toml("no TOML", "size = 20", "size = = 20", r"net.toml: this is not valid TOML: .* \(at line 6, column 8\)"),
    toml("no end", "until = 5.0", "", r"net.toml\" does not say how long to simulate; give --until MS"),
    toml("no room", NETWORK, HUGE, r"needs \S+ TB on (one rank|each of \d+ ranks), but there is room for .*; \d+ ranks with as much each"),
    Case("directory", lambda folder: folder, r"is a directory; give the configuration file in it"),
    Case("no file", lambda folder: folder / "net.toml", r'there is no configuration file "\S+net.toml"'),
    Case("long name", lambda folder: folder / ("x" * 1000), r'configuration file "\S+" cannot be read \(File name too long\)'),
    # networks in SONATA's form
    Case("truncated HDF5", truncated, r'nodes file "\S+v1_nodes.h5" cannot be read: it is truncated, damaged or no HDF5 file'),
    sonata("foreign HDF5", {NODES: {**dict.fromkeys(FILES[NODES]), "a": [1]}}, r'"\S+v1_nodes.h5" has no group "nodes"'),
    sonata("no HDF5", {EDGES: "x = 1\n"}, r'edges file "\S+v1_edges.h5" cannot be read: it is truncated, damaged or no HDF5 file'),
    sonata(
        "missing node", {EDGES: {"edges/v1_v1/target_node_id": [3, 4, 0, 4, 9]}}, r"edge 4 .* has target node 9, but .* has nodes 0 to 4"
    ),
    sonata(
        "missing node type", {NODES: {"nodes/v1/node_type_id": [8, 8, 7, 9, 9]}}, r"node 2 .* has node_type_id 7, which the table .* lacks"
    ),
    sonata(
        "commas", {NODE_TYPES: "node_type_id,model_type\n8,virtual\n"}, r"v1_node_types.csv\" are separated by commas; SONATA .* spaces"
    ),
    sonata(
        "negative times",
        {"spikes.h5": {"spikes/lgn/timestamps": [-5.0, 7.0, 5.0]}},
        r"spikes.h5\" holds -5.0 at position 0; spike times must",
    ),
]
