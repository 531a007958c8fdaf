"""A small SONATA network for tests, written with any change that a test asks for; and where the published one is."""

import json
import os
from pathlib import Path
from typing import Any

import h5py
import pytest

DATA = Path(os.environ.get("SPARSEPROP_SONATA") or Path(__file__).resolve().parents[2] / "shared" / "sonata")
needs_data = pytest.mark.skipif(
    not (DATA / "300_intfire").is_dir(), reason="needs the published network; set SPARSEPROP_SONATA to its folder"
)

FILES: dict[str, Any] = {
    "config.json": {"network": "circuit/circuit.json", "simulation": "simulation.json"},
    "circuit/circuit.json": {
        "manifest": {"$NET": "${BASE}/net", "$BASE": "."},
        "components": {"point_neuron_models_dir": "$BASE/cells", "synaptic_models_dir": "${BASE}/synapses"},
        "networks": {
            "nodes": [
                {"nodes_file": "$NET/v1_nodes.h5", "node_types_file": "$NET/v1_node_types.csv"},
                {"nodes_file": "$NET/lgn_nodes.h5", "node_types_file": "$NET/lgn_node_types.csv"},
            ],
            "edges": [
                {"edges_file": "$NET/v1_edges.h5", "edge_types_file": "$NET/v1_edge_types.csv"},
                {"edges_file": "$NET/lgn_edges.h5", "edge_types_file": "$NET/lgn_edge_types.csv"},
            ],
        },
    },
    "simulation.json": {
        "run": {"tstop": 100.0, "dt": 0.1},
        "node_sets_file": "node_sets.json",
        "inputs": {"drive": {"input_type": "spikes", "module": "h5", "input_file": "spikes.h5", "node_set": "Retina"}},
        "output": {"output_dir": "out", "overwrite_output_dir": True},
    },
    "node_sets.json": {"Retina": {"population": "lgn"}},
    "circuit/cells/exc.json": {"tau": 0.02, "refrac": 0.003, "type": "NEURON_IntFire1"},
    "circuit/cells/inh.json": {"tau": 0.01, "refrac": 0.002, "m": 0.25},
    "circuit/synapses/exc.json": {"level_of_detail": "instanteneous", "sign": 1},
    "circuit/synapses/inh.json": {"level_of_detail": "instantaneous", "sign": -1},
    "circuit/net/v1_node_types.csv": "node_type_id model_type model_template dynamics_params pop_name\n"
    '8 point_process nrn:IntFire1 exc.json "layer 4 e"\n'
    "9 point_neuron   nrn:IntFire1 inh.json layer4i \n",
    "circuit/net/lgn_node_types.csv": "node_type_id model_type\n1 virtual\n",
    "circuit/net/v1_edge_types.csv": "edge_type_id target_query source_query delay weight_function syn_weight dynamics_params\n"
    "20 ei=='i' * 2.0 wmax 0.5 exc.json\n"
    "10 \"ei=='e' & x\" * 1.5 wmax 0.25 inh.json\n",
    "circuit/net/lgn_edge_types.csv": "edge_type_id delay syn_weight\n1 0.5 0.125\n",
    "circuit/net/v1_nodes.h5": {
        "nodes/v1/node_type_id": [8, 8, 8, 9, 9],
        "nodes/v1/node_id": [0, 1, 2, 3, 4],
        "nodes/v1/node_group_id": [0, 0, 0, 0, 0],
        "nodes/v1/node_group_index": [0, 1, 2, 3, 4],
        "nodes/v1/0/x": [0.5, 1.5, 2.5, 3.5, 4.5],
    },
    "circuit/net/lgn_nodes.h5": {"nodes/lgn/node_type_id": [1, 1], "nodes/lgn/0/x": [0.0, 1.0]},
    "circuit/net/v1_edges.h5": {
        "edges/v1_v1/source_node_id": [0, 1, 3, 4, 4],
        "edges/v1_v1/source_node_id@node_population": "v1",
        "edges/v1_v1/target_node_id": [3, 4, 0, 4, 4],
        "edges/v1_v1/target_node_id@node_population": "v1",
        "edges/v1_v1/edge_type_id": [20, 20, 10, 10, 10],
        "edges/v1_v1/edge_group_id": [0, 0, 0, 0, 0],
        "edges/v1_v1/edge_group_index": [0, 1, 2, 3, 4],
        "edges/v1_v1/0/nsyns": [1, 2, 3, 4, 5],
    },
    "circuit/net/lgn_edges.h5": {
        "edges/lgn_v1/source_node_id": [0, 1, 1],
        "edges/lgn_v1/source_node_id@network": "lgn",
        "edges/lgn_v1/target_node_id": [0, 0, 4],
        "edges/lgn_v1/target_node_id@network": "v1",
        "edges/lgn_v1/edge_type_id": [1, 1, 1],
    },
    "spikes.h5": {"spikes/lgn/timestamps": [5.0, 7.0, 5.0], "spikes/lgn/node_ids": [0, 0, 1], "spikes/lgn/timestamps@units": "ms"},
}

Change = dict[str, Any]
"""A file and what to change in it: all of it (a text; None: no file), or keys ("run/tstop", HDF5 paths) and their values (None: remove)."""


def make(folder: Path, changes: Change | None = None) -> Path:
    """Write the small network with changes, and return its configuration file."""
    for name in {**FILES, **(changes or {})}:
        content, change = FILES.get(name, {}), (changes or {}).get(name, {})
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(change, bytes | str):
            path.write_bytes(change if isinstance(change, bytes) else change.encode())
        elif change is not None and isinstance(content, str):
            path.write_text(content, "utf-8")
        elif change is not None and path.suffix == ".h5":
            write_hdf5(path, {**content, **change})
        elif change is not None:
            path.write_text(json.dumps(altered(content, change)), "utf-8")
    return folder / "config.json"


def altered(content: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    content = json.loads(json.dumps(content))
    for key, value in change.items():
        *above, last = key.split("/")
        inner = content
        for name in above:
            inner = inner[name]
        inner[last] = value
        if value is None:
            del inner[last]
    return content


def write_hdf5(path: Path, items: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for key, value in items.items():
            name, _, attribute = key.partition("@") if "@library" not in key else (key, "", "")
            if value is None:
                continue
            if attribute:
                if name in file:
                    file[name].attrs[attribute] = value
            elif isinstance(value, dict):
                file.create_group(name)
            else:
                file[name] = value
