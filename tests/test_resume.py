"""Checkpoints: resumed = straight through, and whatever is done to the files is noticed, named, and loses nothing that was committed."""

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from described import DESCRIBED

import sparseprop_dist as sp
from sparseprop_dist import checkpoint, sampling, store
from sparseprop_dist.clock import TICK_BITS
from sparseprop_dist.examples import paper_network
from sparseprop_dist.heartbeat import status
from sparseprop_dist.resume import resumed
from sparseprop_dist.seal import canonical, digest, sealed_record, verify
from sparseprop_dist.simulate import Simulation
from sparseprop_dist.tables import recordings

UNTIL = 40.0
DELAYED = ("brunel", "drawn", "mixed", "restless", "several_inputs")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Many files of spikes and recordings."""
    monkeypatch.setattr(store, "CHUNK", 64)
    monkeypatch.setattr(store, "READ_CHUNK", 32)
    monkeypatch.setattr(sampling, "BLOCK", 60)
    monkeypatch.setattr(sampling, "CHUNK", 16)


def recorded(network: sp.Network) -> sp.Network:
    """Have V and counts recorded too."""
    target = next(p for p in network.populations if not p.is_source)
    network.record("V", target.name, every=0.9, neurons=[0])
    network.record("count", target.name, bin=3.1)
    return network


def results(run: Path) -> list[bytes]:
    """Return all that a run wrote."""
    spikes, tables = store.spikes(run), recordings(run)
    return [spikes.times.tobytes(), spikes.ids.tobytes(), *(tables[name].values.tobytes() for name in sorted(tables))]


def interrupted(network: sp.Network, run: Path, times: tuple[float, ...], until: float = UNTIL, **more: Any) -> None:
    """Make a run that writes checkpoints at some times, and then is gone."""
    more = {"checkpoints": sp.Checkpoints(keep=9), **more}
    with contextlib.closing(Simulation(network, until, output=run, **more)) as simulation:
        for time in times:
            simulation.advance(time)
            simulation.checkpoint()
        simulation.advance(min(times[-1] + 5.0, until))


def procedural() -> sp.Network:
    """Rows made when a neuron fires, without delay and with, and a spike train."""
    network = sp.Network(3)
    own = network.add_population(
        "own", 50, sp.LIF(tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0, C_m=10.0, I_e=2.0, V_m=sp.Uniform(0.0, 0.9))
    )
    network.connect(own, own, sp.PairwiseBernoulli(0.2), weight=-0.1, delay=0.0, storage="procedural")
    network.connect(own, own, sp.PairwiseBernoulli(0.2), weight=0.1, delay=1.3, storage="procedural")
    network.add_input(own, sp.SpikeTrains([3.0, 17.0, 18.3, 31.0], [0, 3, 3, 7]), weight=0.7, delay=1.1)
    return network


NETWORKS = {name: lambda name=name: DESCRIBED[name](8) for name in DELAYED} | {
    "lif without delay": lambda: paper_network("lif", 60, 8, rate=50.0),
    "qif without delay": lambda: paper_network("qif", 60, 8, rate=50.0),
    "procedural": procedural,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_resumed_is_straight_through(tmp_path, name):
    """All kinds of delays, inputs and storages."""
    made = NETWORKS[name]
    sp.simulate(recorded(made()), UNTIL, output=tmp_path / "straight")
    assert len(store.spikes(tmp_path / "straight")) > 20
    interrupted(recorded(made()), tmp_path / "run", (7.3, 18.21))
    with contextlib.closing(resumed(tmp_path / "run", network=recorded(made()))) as simulation:
        assert simulation.now == pytest.approx(18.21)
        simulation.advance(25.0)
        simulation.checkpoint()
    sp.resume(tmp_path / "run", network=recorded(made()))
    assert results(tmp_path / "run") == results(tmp_path / "straight")
    assert status(tmp_path / "run")["state"] == "finished"


@pytest.fixture
def network() -> sp.Network:
    return recorded(DESCRIBED["brunel"](8))


def test_a_finished_run_is_extended(tmp_path, network):
    sp.simulate(network, UNTIL, output=tmp_path / "straight")
    sp.simulate(network, 17.7, output=tmp_path / "run")
    with pytest.raises(sp.InputError, match=r"has reached its end, 17\.7 ms; give --until MS beyond it"):
        sp.resume(tmp_path / "run")
    with pytest.raises(sp.InputError, match=r"until is 5 ms, but the run in .* ends at 17\.7 ms; give that or more"):
        sp.resume(tmp_path / "run", 5.0)
    sp.resume(tmp_path / "run", UNTIL)
    assert results(tmp_path / "run") == results(tmp_path / "straight")


def test_a_refused_resume_changes_nothing(tmp_path, network):
    """Files are touched when all else is known to be right: here the end is beyond what any run has."""
    sp.simulate(network, UNTIL, output=tmp_path / "run")
    before = results(tmp_path / "run")
    with pytest.raises(sp.InputError, match=r"until is 10000000000000\.0; give a number of ms above 0 and below"):
        sp.resume(tmp_path / "run", 1e13)
    assert results(tmp_path / "run") == before
    assert "finished" in json.loads((tmp_path / "run" / "provenance.json").read_bytes())


def test_another_description_is_refused_and_named(tmp_path, network):
    interrupted(network, tmp_path / "run", (10.0,))
    other = recorded(DESCRIBED["brunel"](9))
    with pytest.raises(sp.InputError, match=r"the seed is not what it was when .* was made; resume with the same description"):
        sp.resume(tmp_path / "run", network=other)


def test_two_runs_in_one_directory(tmp_path, network):
    with contextlib.closing(Simulation(network, UNTIL, output=tmp_path / "run")) as simulation:
        simulation.advance(5.0)
        with pytest.raises(sp.InputError, match=r"is in use by process \d+ on \S+; wait for it, or stop it first"):
            sp.resume(tmp_path / "run")
        assert status(tmp_path / "run")["state"] == "running"
    assert status(tmp_path / "run")["state"] == "dead"


def test_checkpoints_are_written_when_they_are_due(tmp_path):
    """However long a window of few neurons may be: it ends there, and no spike depends on it. Without a directory none is due."""
    network = sp.Network()
    network.add_population("few", 3, sp.LIF(I_e=600.0))
    every = sp.Checkpoints(every=100.1, keep=20)
    found = sp.simulate(network, 1000.0, output=tmp_path / "run", checkpoints=every)
    written = [int(folder.name) * 2.0**-TICK_BITS for folder in sorted((tmp_path / "run" / "checkpoints").iterdir())]
    assert written == pytest.approx([*(100.1 * np.arange(1, 10)), 1000.0], abs=1e-9)
    assert found.spikes.times[:].tolist() == sp.simulate(network, 1000.0, checkpoints=every).spikes.times[:].tolist()


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_every_damage_to_a_checkpoint_is_noticed(tmp_path, network):
    """An older one is used instead, and the run is the same. One file after the other: flipped, cut, gone."""
    sp.simulate(network, UNTIL, output=tmp_path / "straight")
    interrupted(network, tmp_path / "made", (9.0, 20.0))
    newest = sorted((tmp_path / "made" / "checkpoints").iterdir())[-1]
    chance = np.random.default_rng(1)
    for number, file in enumerate(files_of(newest)):
        run = tmp_path / "run"
        shutil.copytree(tmp_path / "made", run)
        damaged = run / file.relative_to(tmp_path / "made")
        data = bytearray(file.read_bytes())
        if number % 3 == 0 and data:
            data[chance.integers(len(data))] ^= 1 << int(chance.integers(8))
            damaged.write_bytes(data)
        elif number % 3 == 1 and data:
            damaged.write_bytes(data[:-1])
        else:
            damaged.unlink()
        with pytest.warns(UserWarning, match=f'the checkpoint "{newest.name}" is not used: .*{file.name}'):
            simulation = resumed(run)
        with contextlib.closing(simulation):
            assert simulation.now == pytest.approx(9.0), file
            if number == 0:
                simulation.finish()
                assert results(run) == results(tmp_path / "straight")
        shutil.rmtree(run)


def test_damage_to_committed_spikes_is_named(tmp_path, network):
    interrupted(network, tmp_path / "run", (30.0,))
    record = json.loads((sorted((tmp_path / "run" / "checkpoints").iterdir())[-1] / "checkpoint.json").read_bytes())
    names = sorted(record["files"]["spikes.zarr"])
    assert len(names) >= 2
    file = tmp_path / "run" / "spikes.zarr" / names[1]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    with pytest.raises(sp.InputError, match=rf'"\S+{names[1]}" is damaged .* cannot go on from what was committed'):
        sp.resume(tmp_path / "run")


@pytest.mark.parametrize("function", ["fsync", "replace", "rename"])
def test_a_checkpoint_that_cannot_be_written(tmp_path, network, monkeypatch, function):
    """As on a full disk: the run goes on, older checkpoints stay, and nothing half done is taken for one."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with contextlib.closing(Simulation(network, UNTIL, output=tmp_path / "run")) as simulation:
        simulation.advance(5.0)
        simulation.checkpoint()
        simulation.advance(10.0)
        with monkeypatch.context() as patched:
            patched.setattr(os if function != "rename" else Path, function, full)
            with pytest.raises(sp.SimulationError, match=r"No space left on device"):
                simulation.checkpoint()
        assert len(checkpoint._all(tmp_path / "run" / "checkpoints")) == 1
        simulation.finish()
    assert results(tmp_path / "run")[0] == sp.simulate(network, UNTIL).spikes.times.tobytes()


def test_a_hostile_directory(tmp_path, network):
    interrupted(network, tmp_path / "run", (10.0,))
    (path,) = (tmp_path / "run" / "checkpoints").iterdir()
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    with pytest.raises(sp.InputError, match="leads out of"):
        verify(path, {"../../../secret": [1, digest(b"x")]})
    (path / "link").symlink_to(secret)
    with pytest.raises(sp.InputError, match="leads out of"):
        verify(path, {"link": [1, digest(b"x")]})
    # a huge shape, sealed as it should be
    metadata = path / "rank_0" / "state" / "zarr.json"
    found = json.loads(metadata.read_bytes())
    found["shape"] = [4, 1 << 50]
    metadata.write_bytes(json.dumps(found).encode())
    manifest = json.loads((path / "rank_0.json").read_bytes())
    manifest["state/zarr.json"] = [metadata.stat().st_size, digest(metadata.read_bytes())]
    (path / "rank_0.json").write_bytes(canonical(manifest))
    record = json.loads((path / "checkpoint.json").read_bytes())
    del record["seal"]
    record["parts"][0][1:3] = [len(canonical(manifest)), digest(canonical(manifest))]
    (path / "checkpoint.json").write_bytes(sealed_record(record))
    with pytest.raises(sp.InputError, match="is not one that a checkpoint holds"):
        sp.resume(tmp_path / "run")


def test_version_is_named(tmp_path, network, monkeypatch):
    interrupted(network, tmp_path / "run", (10.0,))
    monkeypatch.setattr(checkpoint, "DYNAMICS", 2)
    with pytest.warns(UserWarning, match="is not used"), pytest.raises(sp.InputError, match=r"has version 1 of the dynamics, and .* has 2"):
        sp.resume(tmp_path / "run")


def test_wall_limit_stops_in_time(tmp_path, network):
    with pytest.raises(sp.Interrupted, match=r"because of its wall limit, after a checkpoint; go on with: sparseprop resume"):
        sp.simulate(network, 1e7, output=tmp_path / "run", wall_limit=1.0)
    assert status(tmp_path / "run")["state"] == "stopped"


@pytest.mark.parametrize(
    ("given", "told"), [({"every": 0.0}, "every of the"), ({"every_wall": -1}, "every_wall"), ({"keep": 0}, "keep of")]
)
def test_cadences_that_are_refused(given, told):
    with pytest.raises(sp.InputError, match=told):
        sp.Checkpoints(**given)
