"""The same spikes on any number of ranks, bit for bit; and a published network, by the command line."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from oracle import TICK, Neuron, Synapse, simulate
from test_oracle import published_network, sonata_folder

from sparseprop_dist.store import spikes

pytestmark = pytest.mark.mpi
TESTS = Path(__file__).resolve().parent.parent
RANKS = (1, 2, 3, 4) if os.environ.get("LONG") else (1, 3)
"""More ranks than cores are slow: all of these numbers with LONG=1 ./launch/test."""


def test_spikes_do_not_depend_on_ranks_or_windows(mpirun: Any, tmp_path: Path) -> None:
    """Delays constant, few and continuous, ties, Poisson inputs, spike sources; more ranks than neurons; files of few spikes."""
    found = {}
    for n in RANKS:
        folder = tmp_path / str(n)
        folder.mkdir()
        found[n] = json.loads(mpirun(n, [TESTS / "on_ranks.py", folder], timeout=200.0).stdout)
    assert len(found[1]) > 30
    for n in RANKS[1:]:
        assert found[n] == found[1]
    for name, digest in found[1].items():  # nor on windows, nor on the schedule
        if "on disk" not in name and "files" not in name:
            assert digest == found[1][name.removesuffix(", a tenth").removesuffix(", odd windows, ordered")], name
    for name in ("ties_few-22", "unconnected"):
        assert found[1][f"{name}, on disk"] == found[1][name]
        assert int(found[1][f"{name}, files"].split()[0]) > 2 + 2 * (int(found[1][name].split()[0]) // 64)


def run(mpirun: Any, n: int, config: Path, output: Path) -> dict[str, bytes]:
    """Run a network by the command line; return the files of spikes.zarr."""
    mpirun(n, ["-m", "sparseprop_dist", "run", config, "--output", output, "--quiet"], timeout=120.0)
    folder = output / "spikes.zarr"
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def trains(times: np.ndarray, ids: np.ndarray) -> dict[int, np.ndarray]:
    found = defaultdict(list)
    for time, gid in zip(times.tolist(), ids.tolist(), strict=True):
        found[gid].append(time)
    return {gid: np.sort(own) for gid, own in found.items()}


def largest_difference(one: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> float:
    assert {gid: len(own) for gid, own in one.items()} == {gid: len(own) for gid, own in other.items()}
    return max(float(np.abs(own - other[gid]).max()) for gid, own in one.items())


def test_the_published_network(mpirun: Any, tmp_path: Path) -> None:
    folder = sonata_folder() / "300_intfire"
    files = {n: run(mpirun, n, folder / "config.json", tmp_path / str(n)) for n in RANKS}
    assert all(files[n] == files[1] for n in RANKS)
    own = spikes(tmp_path / "3")
    with h5py.File(folder / "reference" / "spikes.h5") as file:
        reference = trains(file["spikes/v1/timestamps"][:], file["spikes/v1/node_ids"][:])
    assert len(own) == 4322
    assert largest_difference(trains(own.times[:], own.ids[:]), reference) < 1e-9


def test_the_published_network_with_a_delay_and_a_weight_for_each_edge(mpirun: Any, tmp_path: Path) -> None:
    """As the HDF5 group of the edges gives them, against the oracle."""
    source = sonata_folder()
    for name in ("300_intfire", "shared_components"):
        shutil.copytree(source / name, tmp_path / name, copy_function=shutil.copyfile)
    neurons, synapses, sources = published_network(source)
    synapses = _with_random_edges(tmp_path / "300_intfire" / "network", neurons, synapses)
    settings = tmp_path / "300_intfire" / "simulation_config.json"
    changed = json.loads(settings.read_text())
    changed["run"]["tstop"] = 1000.0
    settings.write_text(json.dumps(changed))
    files = {n: run(mpirun, n, tmp_path / "300_intfire" / "config.json", tmp_path / f"run-{n}") for n in (1, 3)}
    assert files[3] == files[1]
    own = spikes(tmp_path / "run-1")
    expected = simulate(neurons, synapses, 1000.0, [spike for spike in sources if spike[0] < 1000.0])
    assert len(own) == len(expected) > 500
    assert own.ids[:].tolist() == [gid for _, gid in expected]
    assert np.abs(own.times[:] - np.array([tick for tick, _ in expected]) * TICK).max() < 1e-9


def _with_random_edges(folder: Path, neurons: list[Neuron], synapses: list[Synapse]) -> list[Synapse]:
    """Write a real weight and delay to each edge, and return the synapses that they make. `synapses` are those of the files in this
    order."""
    draw = np.random.default_rng(300)
    changed: list[Synapse] = []
    for population in ("v1", "lgn", "tw"):
        with h5py.File(folder / f"{population}_v1_edges.h5", "r+") as file:
            group = file[f"edges/{population}_to_v1/0"]
            copies = group["nsyns"][:]
            own = synapses[len(changed) : len(changed) + len(copies)]
            size = np.array([abs(s.weight) for s in own]) / copies * draw.uniform(0.5, 1.5, len(own))
            group["syn_weight"], group["delay"] = size, draw.uniform(0.5, 6.0, len(own))
            signs = [1.0 if s.weight > 0 else -1.0 for s in own]
            values = zip(own, signs, group["syn_weight"][:].tolist(), copies.tolist(), group["delay"][:].tolist(), strict=True)
            changed += [replace(s, weight=sign * w * n, delay=d) for s, sign, w, n, d in values]
    assert len(changed) == len(synapses)
    assert max(s.target for s in changed) < len(neurons)
    return changed
