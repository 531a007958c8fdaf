"""SONATA networks: the published one, and small ones made by hand with every variation of the format that is understood."""

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sonata_files import DATA, FILES, Change, make, needs_data

import sparseprop_dist as sp
from sparseprop_dist import sonata


def load(path: Path | str) -> Any:
    """The configuration, for type checkers anything: tests know which model and rule it holds."""
    return sonata.load(path)


@needs_data
def test_published_network():
    found = load(DATA / "300_intfire" / "config.json")
    network = found.network
    assert found.until == 3000.0
    assert found.output == str((DATA / "300_intfire" / "output").absolute())
    assert [(part.name, part.size, network.first(part)) for part in network.populations] == [
        ("v1", 300, 0),
        ("lgn", 90, 300),
        ("tw", 30, 390),
    ]
    model = network.population("v1").model
    assert isinstance(model, sp.IntFire1)
    np.testing.assert_array_equal(model.tau, np.repeat([24.0, 7.0], [240, 60]))
    assert model.refrac == 3.0
    assert model.m == 0.0

    recurrent, lgn, tw = network.projections
    assert [projection.delay for projection in network.projections] == [2.0, 2.0, 2.0]
    assert [len(projection.rule.sources) for projection in (recurrent, lgn, tw)] == [61_560, 17_160, 9_000]
    with h5py.File(DATA / "300_intfire/network/v1_v1_edges.h5") as file:
        edges = file["edges/v1_to_v1"]
        each = {100: -0.01, 101: -0.15, 102: 0.3, 103: 0.002}
        expected = np.array([each[kind] for kind in edges["edge_type_id"][()]]) * edges["0/nsyns"][()]
        np.testing.assert_allclose(recurrent.weight, expected, rtol=1e-15)
        np.testing.assert_array_equal(recurrent.rule.sources, edges["source_node_id"][()])
        np.testing.assert_array_equal(recurrent.rule.targets, edges["target_node_id"][()])

    trains = network.population("lgn").model
    with h5py.File(DATA / "300_intfire/inputs/lgn_spikes.h5") as file:
        order = np.lexsort((file["spikes/gids"][()], file["spikes/timestamps"][()]))
        np.testing.assert_array_equal(trains.times, file["spikes/timestamps"][()][order])
        np.testing.assert_array_equal(trains.ids, file["spikes/gids"][()][order])
    assert len(network.population("tw").model.times) == 295


@needs_data
def test_published_network_with_an_own_delay_and_weight_on_each_edge(tmp_path):
    """Per-edge datasets in the group go before the columns of the edge types."""
    shutil.copytree(DATA, tmp_path / "sonata", copy_function=shutil.copyfile)
    generator = np.random.default_rng(1)
    own = {}
    for name in ("v1_v1", "lgn_v1", "tw_v1"):
        with h5py.File(tmp_path / f"sonata/300_intfire/network/{name}_edges.h5", "r+") as file:
            group = file[f"edges/{name.replace('_', '_to_')}/0"]
            own[name] = (generator.uniform(0.5, 4.0, len(group["nsyns"])), generator.uniform(0.0, 0.1, len(group["nsyns"])))
            group["delay"], group["syn_weight"] = own[name]
    network = load(tmp_path / "sonata/300_intfire/config.json").network
    published = load(DATA / "300_intfire" / "config.json").network
    for projection, before, name in zip(network.projections, published.projections, own, strict=True):
        delay, weight = own[name]
        np.testing.assert_array_equal(projection.delay, delay)
        with h5py.File(DATA / f"300_intfire/network/{name}_edges.h5") as file:
            nsyns = file[f"edges/{name.replace('_', '_to_')}/0/nsyns"][()]
        np.testing.assert_array_equal(projection.weight, np.sign(before.weight) * weight * nsyns)


def test_small_network(tmp_path):
    found = load(make(tmp_path))
    network = found.network
    assert found.until == 100.0
    assert found.output == str(tmp_path / "out")
    assert found.path == str(tmp_path / "config.json")
    v1, lgn = network.populations
    assert (v1.name, v1.size, lgn.name, lgn.size) == ("v1", 5, "lgn", 2)
    np.testing.assert_array_equal(v1.model.tau, [20.0, 20.0, 20.0, 10.0, 10.0])
    np.testing.assert_array_equal(v1.model.refrac, [3.0, 3.0, 3.0, 2.0, 2.0])
    np.testing.assert_array_equal(v1.model.m, [0.0, 0.0, 0.0, 0.25, 0.25])
    np.testing.assert_array_equal(lgn.model.times, [5.0, 5.0, 7.0])
    np.testing.assert_array_equal(lgn.model.ids, [0, 1, 0])
    recurrent, feedforward = network.projections
    assert (recurrent.sources, recurrent.targets) == (("v1",), ("v1",))
    np.testing.assert_array_equal(recurrent.weight, [0.5, 1.0, -0.75, -1.0, -1.25])
    np.testing.assert_array_equal(recurrent.delay, [2.0, 2.0, 1.5, 1.5, 1.5])
    assert (feedforward.sources, feedforward.targets) == (("lgn",), ("v1",))
    assert (feedforward.weight, feedforward.delay) == (0.125, 0.5)  # one number, since all are equal
    np.testing.assert_array_equal(feedforward.rule.sources, [0, 1, 1])
    np.testing.assert_array_equal(feedforward.rule.targets, [0, 0, 4])


def test_one_file(tmp_path):
    """A simulation file that names its circuit, and one file with everything."""
    make(tmp_path, {"simulation.json": {"network": "circuit/circuit.json"}})
    expected = load(tmp_path / "config.json")
    assert load(tmp_path / "simulation.json").network == expected.network
    circuit = json.loads((tmp_path / "circuit/circuit.json").read_text("utf-8"))
    circuit["manifest"]["$BASE"] = "circuit"
    simulation = json.loads((tmp_path / "simulation.json").read_text("utf-8"))
    del simulation["network"]
    (tmp_path / "all.json").write_text(json.dumps({**circuit, **simulation}), "utf-8")
    found = load(tmp_path / "all.json")
    assert found.network == expected.network
    assert (found.until, found.output) == (expected.until, expected.output)


def test_circuit_alone_has_no_end_and_silent_inputs(tmp_path):
    make(tmp_path)
    found = load(tmp_path / "circuit/circuit.json")
    assert found.until is None
    assert found.output is None
    assert not len(found.network.population("lgn").model.times)


def test_relative_to_the_file_not_to_the_working_directory(tmp_path, monkeypatch):
    make(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    found = load("a/config.json")
    assert found.output == str(tmp_path / "a" / "out")


def test_values_by_node(tmp_path):
    """A dataset of the group's dynamics_params goes before the JSON file of the type; nodes stand where their id says."""
    own = {"nodes/v1/node_id": [4, 3, 2, 1, 0], "nodes/v1/0/dynamics_params/tau": [0.1, 0.2, 0.3, 0.4, 0.5]}
    network = load(make(tmp_path, {"circuit/net/v1_nodes.h5": own})).network
    model = network.population("v1").model
    np.testing.assert_allclose(model.tau, [500.0, 400.0, 300.0, 200.0, 100.0], rtol=1e-15)
    np.testing.assert_array_equal(model.refrac, [2.0, 2.0, 3.0, 3.0, 3.0])


def test_groups(tmp_path):
    """Nodes and edges in two groups, one with datasets of its own, in no order."""
    nodes = {
        "nodes/v1/node_group_id": [1, 0, 1, 0, 1],
        "nodes/v1/node_group_index": [2, 0, 0, 1, 1],
        "nodes/v1/0/x": [0.0, 0.0],
        "nodes/v1/1/dynamics_params/tau": [0.001, 0.002, 0.003],
    }
    edges = {
        "edges/v1_v1/edge_group_id": [3, 0, 3, 0, 0],
        "edges/v1_v1/edge_group_index": [1, 2, 0, 0, 1],
        "edges/v1_v1/0/nsyns": [7, 8, 9],
        "edges/v1_v1/3/delay": [0.75, 0.25],
        "edges/v1_v1/3/syn_weight": [4.0, 2.0],
    }
    network = load(make(tmp_path, {"circuit/net/v1_nodes.h5": nodes, "circuit/net/v1_edges.h5": edges})).network
    np.testing.assert_array_equal(network.population("v1").model.tau, [3.0, 20.0, 1.0, 10.0, 2.0])
    np.testing.assert_array_equal(network.projections[0].delay, [0.25, 2.0, 0.75, 1.5, 1.5])
    np.testing.assert_array_equal(network.projections[0].weight, [2.0, 0.5 * 9, -4.0, -0.25 * 7, -0.25 * 8])


@pytest.mark.parametrize("form", ["strings", "library", "enumeration"])
def test_texts_by_element(tmp_path, form):
    """A text attribute in the group, in the three forms that SONATA has."""
    words = ["exc.json", "inh.json"]
    which = [1, 1, 0, 0, 1]
    own: dict[str, Any] = {"edges/v1_v1/0/dynamics_params": which, "edges/v1_v1/0/@library/dynamics_params": words}
    if form == "strings":
        own = {"edges/v1_v1/0/dynamics_params": [words[k] for k in which]}
    if form == "enumeration":
        own = {"edges/v1_v1/0/dynamics_params": np.array(which, dtype=h5py.enum_dtype({"exc.json": 0, "inh.json": 1}))}
    network = load(make(tmp_path, {"circuit/net/v1_edges.h5": own})).network
    np.testing.assert_array_equal(np.sign(network.projections[0].weight), [-1, -1, 1, 1, -1])


def test_nest_model_and_two_populations_of_neurons(tmp_path):
    changes: Change = {
        "circuit/circuit.json": {
            "networks/nodes": [
                {"nodes_file": "net/both.h5", "node_types_file": "net/both.csv"},
                {"nodes_file": "$NET/lgn_nodes.h5", "node_types_file": "$NET/lgn_node_types.csv"},
            ],
            "networks/edges": [{"edges_file": "net/a_b.h5", "edge_types_file": "net/a_b.csv"}],
        },
        "circuit/net/both.h5": {"nodes/a/node_type_id": [1, 2, 1], "nodes/a/0": {}, "nodes/b/node_type_id": [1, 1], "nodes/b/0": {}},
        "circuit/net/both.csv": "population node_type_id model_type model_template dynamics_params\n"
        "a 1 point_neuron nest:iaf_psc_delta one.json\n"
        "a 2 point_neuron nest:iaf_psc_delta two.json\nb 1 point_neuron nest:iaf_psc_delta NULL\n",
        "circuit/cells/one.json": {"tau_m": 20.0, "V_th": 20.0, "E_L": 0.0, "V_reset": 10.0, "I_e": 100, "refractory_input": True},
        "circuit/cells/two.json": {"tau_m": 30.0, "V_th": 20.0, "E_L": 0.0, "V_reset": 10.0, "refractory_input": True},
        "circuit/net/a_b.h5": {
            "edges/a_b/source_node_id": [2, 0],
            "edges/a_b/source_node_id@node_population": "a",
            "edges/a_b/target_node_id": [0, 1],
            "edges/a_b/target_node_id@node_population": "b",
            "edges/a_b/edge_type_id": [1, 1],
        },
        "circuit/net/a_b.csv": "edge_type_id delay syn_weight model_template\n1 1.5 -0.5 static_synapse\n",
        "circuit/net/v1_nodes.h5": None,
    }
    network = load(make(tmp_path, changes)).network
    a, b, _ = network.populations
    assert isinstance(a.model, sp.LIF)
    np.testing.assert_array_equal(a.model.tau_m, [20.0, 30.0, 20.0])
    np.testing.assert_array_equal(a.model.I_e, [100.0, 0.0, 100.0])
    assert (a.model.V_th, a.model.refractory_input) == (20.0, True)
    assert b.model == sp.LIF()
    assert (network.first("a"), network.first("b"), network.first("lgn")) == (0, 3, 5)
    (projection,) = network.projections
    assert (projection.sources, projection.targets, projection.weight, projection.delay) == (("a",), ("b",), -0.5, 1.5)


def test_population_without_edges_and_without_types_file(tmp_path):
    nothing = np.zeros(0, np.uint64)
    changes: Change = {
        "circuit/circuit.json": {"networks/edges": [{"edges_file": "$NET/v1_edges.h5"}]},
        "circuit/net/v1_edges.h5": {
            **dict.fromkeys(FILES["circuit/net/v1_edges.h5"]),
            "edges/none/edge_type_id": nothing,
            "edges/v1_v1/source_node_id": [0],
            "edges/v1_v1/source_node_id@node_population": "v1",
            "edges/v1_v1/target_node_id": [1],
            "edges/v1_v1/target_node_id@node_population": "v1",
            "edges/v1_v1/edge_type_id": [77],
            "edges/v1_v1/0/delay": [1.25],
            "edges/v1_v1/0/syn_weight": [0.5],
        },
    }
    (projection,) = load(make(tmp_path, changes)).network.projections
    assert (projection.weight, projection.delay) == (0.5, 1.25)


def test_node_sets(tmp_path):
    """A list of sets, one of them by node id; two inputs to one population are merged by time."""
    inputs = {
        "a": {"input_type": "spikes", "module": "sonata", "input_file": "spikes.h5", "node_set": ["Second", "First"]},
        "b": {"input_type": "spikes", "input_file": "more.h5", "node_set": {"population": "lgn", "node_id": 1}},
    }
    changes: Change = {
        "simulation.json": {"inputs": inputs},
        "node_sets.json": {"Second": {"population": ["lgn"], "node_id": [1]}, "First": {"population": "lgn", "node_id": [0]}},
        "more.h5": {"spikes/timestamps": [6.0, 1.0, 5.0], "spikes/gids": [1, 0, 1]},
    }
    model = load(make(tmp_path, changes)).network.population("lgn").model
    np.testing.assert_array_equal(model.times, [5.0, 5.0, 5.0, 6.0, 7.0])
    np.testing.assert_array_equal(model.ids, [0, 1, 1, 1, 0])


def test_reports_are_left_out_with_a_warning(tmp_path):
    path = make(tmp_path, {"simulation.json": {"reports": {"v": {"variable_name": "v"}}}})
    with pytest.warns(UserWarning, match=r'"reports" in ".*simulation.json" is not supported, and left out'):
        load(path)


def test_milliseconds_where_seconds_are_meant(tmp_path):
    path = make(tmp_path, {"circuit/cells/exc.json": {"tau": 20.0}})
    with pytest.warns(UserWarning, match=r"tau of .* reaches 20000 ms; SONATA gives tau and refrac in seconds"):
        load(path)


def test_ten_million_edges_are_read_in_a_moment(tmp_path):
    """No object an edge: 1e6 edges here take a fraction of a second, constant columns no memory."""
    n = 1_000_000
    generator = np.random.default_rng(2)
    own = {
        "edges/v1_v1/source_node_id": generator.integers(0, 5, n).astype(np.uint64),
        "edges/v1_v1/target_node_id": generator.integers(0, 5, n).astype(np.uint64),
        "edges/v1_v1/edge_type_id": np.full(n, 10, np.uint32),
        "edges/v1_v1/edge_group_id": np.zeros(n, np.uint16),
        "edges/v1_v1/edge_group_index": np.arange(n, dtype=np.uint32),
        "edges/v1_v1/0/nsyns": np.ones(n, np.uint16),
    }
    path = make(tmp_path)
    with h5py.File(tmp_path / "circuit/net/v1_edges.h5", "r+") as file:
        for name, values in own.items():
            del file[name]
            file[name] = values
        for name in ("source", "target"):
            file[f"edges/v1_v1/{name}_node_id"].attrs["node_population"] = "v1"
    projection = load(path).network.projections[0]
    assert (projection.weight, projection.delay) == (-0.25, 1.5)
    np.testing.assert_array_equal(projection.rule.targets, own["edges/v1_v1/target_node_id"])
