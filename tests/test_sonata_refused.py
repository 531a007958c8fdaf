"""SONATA networks with one mistake each, and the sentence that says so: which file, what is wrong, what is allowed."""

import re

import numpy as np
import pytest
from sonata_files import FILES, Change, make

from sparseprop_dist import sonata
from sparseprop_dist.errors import InputError

NODES, EDGES, CIRCUIT = "circuit/net/v1_nodes.h5", "circuit/net/v1_edges.h5", "circuit/circuit.json"
NODE_TYPES, EDGE_TYPES = "circuit/net/v1_node_types.csv", "circuit/net/v1_edge_types.csv"
EDGE_HEADER = "edge_type_id delay syn_weight weight_function dynamics_params model_template\n"
V1 = r'nodes of population "v1" in "\S+v1_nodes.h5"'
V1V1 = r'edges of population "v1_v1" in "\S+v1_edges.h5"'
INPUT = {"input_type": "spikes", "module": "h5", "input_file": "spikes.h5", "node_set": "Retina"}
WHERE_INPUT = r'input "drive" of "\S+simulation.json"'


def edge_types(*rows: str) -> str:
    return EDGE_HEADER + "\n".join(rows)


def node_types(first: str, second: str = "9 point_neuron nrn:IntFire1 inh.json") -> str:
    return f"node_type_id model_type model_template dynamics_params\n{first}\n{second}\n"


REFUSED: dict[str, tuple[Change, str]] = {
    # configuration files
    "no file": ({"config.json": None}, r'there is no SONATA configuration "\S+config.json"; mend the path, or put the file there'),
    "no JSON": ({"config.json": '{"network": }'}, r'configuration "\S+" is no valid JSON: Expecting value in line 1, column 13'),
    "no text": ({"config.json": b"\xff\xfe{}"}, r'configuration "\S+" cannot be read \(.*\)'),
    "list": ({"config.json": "[1]"}, r'configuration "\S+" holds a list; it must hold an object \{...\}'),
    "no network": (
        {"config.json": "{}"},
        r'the configuration "\S+config.json" has no nodes: "networks" must list "nodes" files; there is noth',
    ),
    "no circuit": ({CIRCUIT: None}, r'there is no network file "\S+circuit.json"; mend the path'),
    "itself": ({CIRCUIT: {"network": "../config.json"}}, r'configuration "\S+" names itself; "network" must name a circuit file'),
    "variable": (
        {CIRCUIT: {"manifest/$NET": "$BSE/net"}},
        r'"\$BSE/net" in "\S+circuit.json" uses the variable \$BSE, .*did you mean "BASE"\?',
    ),
    "unknown": ({CIRCUIT: {"manifest": {}}}, r"uses the variable \$\w+, which its manifest lacks; define it in the manifest"),
    "circle": ({CIRCUIT: {"manifest/$BASE": "$NET"}}, r'the variable \$\w+ in the manifest of "\S+circuit.json" is defined by itself'),
    "manifest": ({CIRCUIT: {"manifest": [1]}}, r'"manifest" in "\S+circuit.json" must be an object of texts'),
    "section": ({"simulation.json": {"run": 3}}, r'"run" in "\S+simulation.json" is 3; it must be an object \{...\}'),
    "entries": ({CIRCUIT: {"networks/nodes": ["a.h5"]}}, r'"networks" in "\S+circuit.json" must have a list of objects'),
    "no path": ({CIRCUIT: {"networks/nodes": [{}]}}, r'"nodes_file" in "networks" of "\S+circuit.json" is null; it must be a path'),
    "tstop text": ({"simulation.json": {"run/tstop": "3 s"}}, r'"tstop" in "\S+simulation.json" is "3 s"; it must be a number in ms'),
    "tstop sign": ({"simulation.json": {"run/tstop": -1}}, r'"tstop" in "\S+simulation.json" is -1; it must be a time in ms above 0'),
    "tstart": ({"simulation.json": {"run/tstart": 5}}, r'"tstart" in "\S+simulation.json" is 5; runs start at 0 ms: leave it out'),
    # HDF5
    "nodes missing": ({NODES: None}, r'there is no nodes file "\S+v1_nodes.h5"; mend the path, or put the file there'),
    "nodes foreign": (
        {NODES: "x = 1\n"},
        r'the nodes file "\S+v1_nodes.h5" cannot be read: it is truncated, damaged or no HDF5 file \(.*\); copy it',
    ),
    "nodes empty": ({NODES: ""}, r"cannot be read: it is truncated, damaged or no HDF5 file"),
    "a folder": ({CIRCUIT: {"networks/nodes": [{"nodes_file": "net"}]}}, r'the nodes file "\S+net" is a directory; name an HDF5 file'),
    "other HDF5": ({NODES: {**dict.fromkeys(FILES[NODES]), "a": [1]}}, r'"\S+v1_nodes.h5" has no group "nodes" in /; it holds "a"'),
    "no types": ({NODES: {"nodes/v1/node_type_id": None}}, r'has no dataset "node_type_id" in /nodes/v1; did you mean "node_\w+"\?'),
    "two dimensions": (
        {NODES: {"nodes/v1/node_id": [[0, 1, 2, 3, 4]]}},
        r'"/nodes/v1/node_id" of "\S+" has 2 dimensions; it must have one',
    ),
    "short": ({NODES: {"nodes/v1/node_id": [0, 1]}}, r'"/nodes/v1/node_id" of "\S+" has 2 entries and must have 5'),
    "real ids": ({NODES: {"nodes/v1/node_id": [0.5] * 5}}, r'"/nodes/v1/node_id" of "\S+" is of type float64; it must hold whole numbers'),
    "negative": ({NODES: {"nodes/v1/node_type_id": [8, -8, 8, 9, 9]}}, r"holds -8 at position 1; it must be a whole number from 0"),
    "one index": ({NODES: {"nodes/v1/node_group_id": None}}, r'has no dataset "node_group_id" in /nodes/v1'),
    "no group": ({NODES: {"nodes/v1/node_group_id": [0, 0, 0, 0, 6]}}, r'has no group "6" in /nodes/v1'),
    "group index": (
        {EDGES: {"edges/v1_v1/edge_group_index": [0, 1, 2, 3, 9]}},
        r'"nsyns" in "/edges/v1_v1/0" of "\S+" has 5 entries, but row 9',
    ),
    # nodes
    "no CSV": ({NODE_TYPES: None}, r'there is no table "\S+v1_node_types.csv"; mend the path, or put the file there'),
    "type missing": (
        {NODES: {"nodes/v1/node_type_id": [8, 8, 7, 9, 9]}},
        rf'node 2 of the {V1} has node_type_id 7, which the table "\S+v1_node_types.csv" lacks \(it has 8, 9\); add a row to the table',
    ),
    "no rows": ({NODE_TYPES: "node_type_id model_type\n"}, r"node 0 of the .* has node_type_id 8, .* lacks \(it has none\)"),
    "ids": (
        {NODES: {"nodes/v1/node_id": [1, 2, 3, 4, 5]}},
        rf"node_id of the {V1} skips or repeats an id at 1; the ids must be 0 to 4, each",
    ),
    "repeated": ({NODES: {"nodes/v1/node_id": [0, 1, 1, 3, 4]}}, r"skips or repeats an id at 1"),
    "no nodes": (
        {NODES: {name: [] for name in FILES[NODES]} | {"nodes/v1/node_type_id": np.zeros(0, int)}},
        rf"there are no {V1}; add a node",
    ),
    "template": (
        {NODE_TYPES: node_types("8 point_neuron nrn:IntFire2 NULL", "9 point_neuron nrn:IntFire2 NULL")},
        rf'the {V1} have model_template "nrn:IntFire2"; supported are nrn:IntFire1, nest:iaf_psc_delta, .*did you mean "nrn:IntFire1"\?',
    ),
    "model type": (
        {NODE_TYPES: node_types("8 biophysical ctdb:Biophys1 NULL", "9 biophysical ctdb:Biophys1 NULL")},
        rf'the {V1} have model_type "biophysical"; supported are "virtual", "point_neuron" and "point_process"',
    ),
    "no model type": (
        {NODE_TYPES: node_types("8 NULL NULL NULL")},
        rf'the {V1} have no model_type; give it in the table of node types \("\S+"\)',
    ),
    "no template": ({NODE_TYPES: node_types("8 point_neuron NULL NULL")}, rf"the {V1} have no model_template; give it in the table"),
    "mixed": (
        {NODE_TYPES: node_types("8 virtual NULL NULL")},
        r"have model_type virtual and point_neuron; put virtual nodes and neurons into popul",
    ),
    "two models": (
        {NODE_TYPES: node_types("8 point_neuron nest:iaf_psc_delta NULL")},
        r"have model_template .* and .*; put neurons of different mod",
    ),
    "no cell": ({"circuit/cells/inh.json": None}, r'there is no model file "\S+inh.json"; mend the path'),
    "cells": (
        {CIRCUIT: {"components": {}}},
        rf'the {V1} have dynamics_params "exc.json", but the components name no "point_neuron_models_dir"',
    ),
    "parameter": (
        {"circuit/cells/inh.json": {"tua": 3}},
        r'"\S+inh.json" has the unknown parameter "tua"; known are m, refrac, tau; did you',
    ),
    "its type": ({"circuit/cells/inh.json": {"tau": "7 ms"}}, r'"tau" in "\S+inh.json" is \'7 ms\'; it must be a number'),
    "negative tau": ({"circuit/cells/inh.json": {"tau": -0.007}}, rf"{V1}: tau is -7.0 ms for neuron 3; it must be positive"),
    "by node": (
        {NODES: {"nodes/v1/0/dynamics_params/c": [1.0] * 5}},
        r'"/nodes/v1/0/dynamics_params" of "\S+" has the unknown parameter "c"',
    ),
    "twice": (
        {CIRCUIT: {"networks/nodes": FILES[CIRCUIT]["networks"]["nodes"] * 2}},
        r'nodes of "\S+": population "v1" exists already',
    ),
    "only virtual": (
        {CIRCUIT: {"networks/nodes": FILES[CIRCUIT]["networks"]["nodes"][1:]}},
        r"has only virtual nodes; there is nothing to simul",
    ),
    # tables
    "commas": (
        {NODE_TYPES: "node_type_id,model_type\n8,virtual\n"},
        r'the columns of "\S+.csv" are separated by commas; SONATA separates them by',
    ),
    "comma space": ({NODE_TYPES: "node_type_id, model_type\n8, virtual\n"}, r"are separated by commas; SONATA separates them by spaces"),
    "tabs": ({NODE_TYPES: "node_type_id\tmodel_type\n8\tvirtual\n"}, r"are separated by tabs; SONATA separates them by spaces"),
    "empty": ({NODE_TYPES: "\n"}, r'the table "\S+" is empty; its first line must name the columns'),
    "no column": (
        {NODE_TYPES: "type model_type\n8 virtual\n"},
        r'the table "\S+" has no column "node_type_id"; its columns are type, model_type',
    ),
    "fields": (
        {NODE_TYPES: "node_type_id name\n8 layer 4\n"},
        r'line 2 of "\S+" has 3 fields, but its header has 2; put fields that contain sp',
    ),
    "type id": (
        {NODE_TYPES: "node_type_id model_type\ne virtual\n"},
        r'line 2 of "\S+" has "e" as its node_type_id; it must be a whole number',
    ),
    "type twice": (
        {NODE_TYPES: "node_type_id model_type\n\n8 virtual\n8 virtual\n"},
        r'line 4 of "\S+" repeats the node_type_id 8; give each',
    ),
    "quotes": ({NODE_TYPES: 'node_type_id model_type\n8 "virtual\n'}, r'the table "\S+" cannot be read \(unexpected end of data\)'),
    "delay text": (
        {EDGE_TYPES: edge_types("10 x 1 wmax NULL NULL", "20 1 1 wmax NULL NULL")},
        r'delay is "x" for type 10 in "\S+"; it must be a n',
    ),
    # edges
    "source": (
        {EDGES: {"edges/v1_v1/source_node_id": [0, 1, 5, 4, 4]}},
        rf'edge 2 of the {V1V1} has source node 5, but population "v1" has nodes 0 to 4; mend the edge, or add the node',
    ),
    "target": ({EDGES: {"edges/v1_v1/target_node_id": [0, 1, 2, 3, 300]}}, rf"edge 4 of the {V1V1} has target node 300"),
    "whose": (
        {EDGES: {"edges/v1_v1/source_node_id@node_population": None}},
        r'/source_node_id" of "\S+" has no attribute "node_population"; it must',
    ),
    "nobody's": (
        {EDGES: {"edges/v1_v1/source_node_id@node_population": "v2"}},
        r'names the node population "v2", .* lack; did you mean "v1"\?',
    ),
    "to virtual": (
        {EDGES: {"edges/v1_v1/target_node_id@node_population": "lgn", "edges/v1_v1/target_node_id": [0] * 5}},
        r"only sends spikes",
    ),
    "edge type": (
        {EDGES: {"edges/v1_v1/edge_type_id": [20, 20, 10, 10, 11]}},
        rf"edge 4 of the {V1V1} has edge_type_id 11, which the table",
    ),
    "no weight": (
        {EDGE_TYPES: edge_types("10 1 NULL wmax NULL NULL", "20 1 1 wmax NULL NULL")},
        rf'edge 2 of the {V1V1} has no "syn_weight"; give',
    ),
    "no delay": (
        {EDGE_TYPES: "edge_type_id syn_weight\n10 1\n20 1\n"},
        rf'edge 0 of the {V1V1} has no "delay"; give it in row 20 of "\S+.csv", or as',
    ),
    "zero delay": ({EDGE_TYPES: edge_types("10 1 1 wmax NULL NULL", "20 0 1 wmax NULL NULL")}, rf"{V1V1}: .*delay 0"),
    "NaN weight": ({EDGES: {"edges/v1_v1/0/syn_weight": [1, 1, np.nan, 1, 1]}}, rf"{V1V1}: .*synapse 2"),
    "weight rule": (
        {EDGE_TYPES: edge_types("10 1 1 gauss NULL NULL", "20 1 1 wmax NULL NULL")},
        rf'the {V1V1} have weight_function "gauss"; supp',
    ),
    "synapse": (
        {EDGE_TYPES: edge_types("10 1 1 wmax NULL exp2syn", "20 1 1 wmax NULL NULL")},
        rf'the {V1V1} have model_template "exp2syn"; sup',
    ),
    "no synapse": ({"circuit/synapses/inh.json": None}, r'there is no synaptic model "\S+inh.json"'),
    "synapses": (
        {CIRCUIT: {"components/synaptic_models_dir": None}},
        rf'the {V1V1} have dynamics_params "\w+.json", but the components name no "syn',
    ),
    "conductance": (
        {"circuit/synapses/inh.json": {"erev": -70}},
        r'the synaptic model "\S+inh.json" has "erev"; supported are instantaneous syn',
    ),
    "detail": (
        {"circuit/synapses/inh.json": {"level_of_detail": "exp2syn"}},
        r'has level_of_detail "exp2syn"; supported are instantaneous',
    ),
    "sign": ({"circuit/synapses/inh.json": {"sign": 0}}, r'"sign" in "\S+inh.json" is 0; it must be 1 or -1'),
    "by edge": (
        {EDGES: {"edges/v1_v1/0/dynamics_params/tau": [1.0] * 5}},
        r'gives "tau" by edge; supported are "syn_weight", "nsyns" and "delay"',
    ),
    "words": (
        {EDGES: {"edges/v1_v1/0/dynamics_params": [1.0] * 5}},
        r'"/edges/v1_v1/0/dynamics_params" of "\S+" is of type float64; it must hold t',
    ),
    # inputs
    "module": (
        {"simulation.json": {"inputs/drive/module": "nwb"}},
        rf'{WHERE_INPUT} has input_type "spikes" and module "nwb"; supported is',
    ),
    "clamp": ({"simulation.json": {"inputs/drive/input_type": "current_clamp"}}, rf'{WHERE_INPUT} has input_type "current_clamp"'),
    "no input": ({"simulation.json": {"inputs/drive": 3}}, rf"{WHERE_INPUT} is 3; it must be an object"),
    "no spikes": ({"spikes.h5": None}, r'there is no spike file "\S+spikes.h5"; mend the path'),
    "set": (
        {"simulation.json": {"inputs/drive/node_set": "Retna"}},
        rf'{WHERE_INPUT} names the node set "Retna", .*did you mean "Retina"\?',
    ),
    "no set": (
        {"simulation.json": {"inputs/drive/node_set": None}},
        rf"{WHERE_INPUT} has node_set null; it must name a node set or a population",
    ),
    "set itself": ({"node_sets.json": {"Retina": ["Retina"]}}, r'names the node set "Retina", which is neither'),
    "set by layer": (
        {"node_sets.json": {"Retina": {"layer": 4}}},
        rf'{WHERE_INPUT} has a node set that chooses by "layer"; supported are "popu',
    ),
    "set of none": (
        {"node_sets.json": {"Retina": {"node_id": [1]}}},
        rf"{WHERE_INPUT} has a node set with population null; the populations are lgn, v1",
    ),
    "set by text": (
        {"node_sets.json": {"Retina": {"population": "lgn", "node_id": ["a"]}}},
        r'has a node set with node_id \["a"\]; it must be a list',
    ),
    "sets": ({"node_sets.json": None}, r'there is no node sets file "\S+node_sets.json"'),
    "to neurons": (
        {"simulation.json": {"inputs/drive/node_set": "v1"}},
        rf'{WHERE_INPUT} sends spikes from population "v1", whose nodes are neurons',
    ),
    "node": (
        {"spikes.h5": {"spikes/lgn/node_ids": [0, 2, 1]}},
        r'"\S+spikes.h5" has spikes of node 2, but population "lgn" has nodes 0 to 1',
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    changes, sentence = REFUSED[case]
    path = make(tmp_path, changes)
    with pytest.raises(InputError) as caught:
        sonata.load(path)
    told = str(caught.value)
    assert re.search(sentence, told), told
    assert "\n" not in told


def test_refused_directory(tmp_path):
    with pytest.raises(InputError, match=r'the SONATA configuration ".*" is a directory; name a JSON file$'):
        sonata.load(tmp_path)


@pytest.mark.parametrize("name", [NODES, EDGES, "spikes.h5"])
@pytest.mark.parametrize("left", [0.1, 0.5, 0.99])
def test_truncated_file(tmp_path, name, left):
    path = make(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * left)])
    with pytest.raises(InputError, match=r'file "\S+.h5" cannot be read: it is truncated, damaged or no HDF5 file \(.*\); copy it again$'):
        sonata.load(path)
