"""Bad input from the command line, on one rank: one sentence, exit status 2, and nothing left behind; and runs that cannot go on.

Several ranks: ``tests/mpi/test_refusals_on_ranks.py``.
"""

import errno
import os
import re
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import HUGE, NETWORK, OVERFLOW, REFUSED, written

import sparseprop_dist as sp
from sparseprop_dist import cli, store
from sparseprop_dist.errors import InputError, SimulationError
from sparseprop_dist.exchange import Alone

# The modules: the package has functions of the same names.
PLAN, PREPARATION = import_module("sparseprop_dist.plan"), import_module("sparseprop_dist.preparation")


@pytest.fixture
def command(capsys):
    """``command(*arguments)`` -> (status, stdout, stderr)."""

    def run(*arguments):
        with cli._voice_of_rank_0(0):
            status = cli._run_command(Alone(), [str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


def listed(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_bad_input(command, tmp_path, case):
    (tmp_path / "input").mkdir()
    config = case.prepare(tmp_path / "input")
    before = listed(tmp_path)
    status, out, err = command("run", config, "--output", tmp_path / "runs" / "run")
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"sparseprop: error: .*{case.told}.*\n", err)
    assert listed(tmp_path) == before


def test_network_is_good_without_the_mistakes(command, tmp_path):
    status, out, err = command("run", written(tmp_path, NETWORK), "--output", tmp_path / "run", "--quiet")
    assert (status, out, err) == (0, "", "")


def test_other_run_is_not_overwritten(command, tmp_path):
    config = written(tmp_path, NETWORK)
    assert command("run", config, "--output", tmp_path / "run", "--quiet") == (0, "", "")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    status, _, err = command("run", config, "--output", tmp_path / "run")
    assert status == 2
    assert re.fullmatch(r'sparseprop: error: the output directory "\S+run" already holds a run, and nothing was overwritten; .*\n', err)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("size", [(1 << 22) - 1, 1 << 22])
def test_more_neurons_than_a_key_holds(command, tmp_path, monkeypatch, size):
    def built(*_):
        raise InputError("built")

    monkeypatch.setattr(PREPARATION, "build", built)
    config = written(tmp_path, f"populations.all = {{ size = {size}, model = 'qif' }}\nrun.until = 1.0")
    told = "built" if size < 1 << 22 else "the instant schedule takes 4194303 neurons a rank at most; use more ranks"
    assert command("run", config) == (2, "", f"sparseprop: error: {told}\n")


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("net.toml", r'"\S+net.toml" is a file, and must be a directory'),
        ("net.toml/run", r'"\S+run" cannot be made: "\S+net.toml" is a file'),
        ("/proc/none/run", r'"/proc/none/run" cannot be made: nothing can be written in "/proc"'),
    ],
)
def test_output_that_cannot_be_written(command, tmp_path, monkeypatch, output, told):
    """It is refused before anything is built."""
    monkeypatch.setattr(PREPARATION, "build", lambda *_: pytest.fail("was built"))
    status, _, err = command("run", written(tmp_path, NETWORK), "--output", tmp_path / output)
    assert status == 2
    assert re.fullmatch(rf"sparseprop: error: the output .*{told}.*\n", err)
    assert listed(tmp_path) == ["net.toml"]


def test_directory_is_removed_if_the_run_cannot_begin(command, tmp_path, monkeypatch):
    """As when a rank on another node does not see the file: the next attempt finds the place free."""
    config = written(tmp_path, NETWORK)

    def invisible(run):
        raise InputError("the spike file cannot be opened on this node")

    with monkeypatch.context() as patched:
        patched.setattr(store.SpikeFile, "open", invisible)
        assert command("run", config, "--output", tmp_path / "run")[0] == 2
    assert listed(tmp_path) == ["net.toml"]
    assert command("run", config, "--output", tmp_path / "run", "--quiet")[0] == 0


def test_spike_file_that_cannot_be_seen(tmp_path):
    with pytest.raises(InputError, match=r'spike file "\S+spikes.zarr", made by rank 0, cannot be opened on \S+ \(.*\); name an output'):
        store.SpikeFile.open(tmp_path / "run")


@pytest.mark.parametrize("broken", ["write", "commit"])
def test_full_disk_ends_a_run_with_a_sentence(command, tmp_path, monkeypatch, broken):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    config = written(tmp_path, NETWORK.replace("rate = 1000.0", "rate = 50000.0"))
    monkeypatch.setattr("zarr.Array.__setitem__" if broken == "write" else "zarr.Array.resize", full)
    status, _, err = command("run", config, "--output", tmp_path / "run", "--quiet")
    assert status == 1
    told = (
        r'sparseprop: error: the spikes cannot be written to "\S+" any more \(No space left on device\); the spikes of earlier windows are'
    )
    assert re.match(told, err)
    assert err.count("\n") == 1


@pytest.mark.parametrize("schedule", ["slab", "instant", "ordered"])
def test_overflow_names_the_neuron(command, tmp_path, schedule):
    config = written(tmp_path, OVERFLOW)
    status, out, err = command("run", config, "--output", tmp_path / "run", "--quiet", "--schedule", schedule)
    assert (status, out) == (1, "")
    assert re.fullmatch(r"sparseprop: error: neuron 5 overflowed at \S+ ms: its potential is beyond .*\n", err)
    status, _, err = command("run", config, "--output", tmp_path / "run", "--quiet")
    assert status == 2
    assert "holds a run that did not finish, and nothing was overwritten; resume it, or name another directory" in err


def test_overflow_by_poisson_input_in_python():
    net = sp.Network()
    net.add_input(net.add_population("all", 30, sp.LIF()), sp.Poisson(1e5), weight=-6000.0)
    with pytest.raises(SimulationError, match=r"^neuron \d+ overflowed"):
        sp.simulate(net, 100.0)


def test_huge_network_is_planned_in_a_second(command, tmp_path):
    config = written(tmp_path, HUGE)
    begin = time.monotonic()
    status, out, err = command("run", config, "--dry-run")
    assert (status, err) == (0, "")
    assert time.monotonic() - begin < 3.0  # 0.05 s on an idle machine
    assert re.search(r"^ +all +100,000,000 +100,000,000,000 ", out, re.MULTILINE)
    assert re.search(r"^lookahead 0.5 ms", out, re.MULTILINE)
    assert re.search(r"^the network needs \S+ TB on one rank, but there is room for .*; \d+ ranks", out, re.MULTILINE)
    assert listed(tmp_path) == ["net.toml"]


def test_ranks_needed_would_do(command, tmp_path, monkeypatch):
    """The number of ranks that the refusal names is enough, and much fewer are not."""
    monkeypatch.setattr(PLAN, "available_memory", lambda: 32e9)
    config = written(tmp_path, HUGE)
    err = command("run", config, "--output", tmp_path / "run")[2]
    found = re.search(r"needs \S+ TB on one rank, but there is room for 32.0 GB; (\d+) ranks with as much each would do", err)
    assert found
    network, ranks = sp.load(config).network, int(found[1])
    assert np.all(PLAN.plan(network, ranks).memory <= 32e9)
    assert np.any(PLAN.plan(network, round(0.98 * ranks)).memory > 32e9)
    assert f"{ranks} ranks" in command("run", config, "--dry-run")[1]
    monkeypatch.setattr(PLAN, "available_memory", lambda: 1e8)
    assert "no number of ranks with as much each would do" in command("run", config, "--output", tmp_path / "run")[2]


def test_cache_that_cannot_be_written(solo):
    """A warning, and a folder for this process; no traceback of Numba's, and nothing in the package's folder."""
    ended = solo(["-m", "sparseprop_dist", "info"], env={"NUMBA_CACHE_DIR": "/proc/none"})
    told = r'sparseprop: warning: compiled code cannot be kept in "/proc/none/\w+" \(.*\); set NUMBA_CACHE_DIR to a folder that can, .*\n'
    assert re.fullmatch(told, ended.stderr)
    folder = re.search(r"^compiled code +(\S+)", ended.stdout, re.MULTILINE)
    assert folder
    assert not Path(folder[1]).exists()


def test_what_is_no_network(tmp_path):
    with pytest.raises(InputError, match=r"^network is a Configuration; give a Network: its \.network$"):
        sp.simulate(sp.load(written(tmp_path, NETWORK)), 1.0)
    with pytest.raises(InputError, match=r"^network is a str; give a Network: make one, or load a file$"):
        sp.simulate("net.toml", 1.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"until": -1.0}, r"until is -1.0; give a number of ms above 0 and below"),
        ({"until": "10"}, r"until is '10'; give a number of ms"),
        ({"until": float("nan")}, r"until is nan; give a number of ms"),
        ({"window": 0.0}, r"window is 0.0; give a number of ms above 0"),
        ({"schedule": "slap"}, r'schedule is "slap"; give one of auto, slab, instant, ordered'),
        ({"output": "run", "record": False}, r"output is given although record is false"),
    ],
)
def test_options_of_simulate(options, told):
    net = sp.Network()
    net.add_population("all", 3, sp.LIF())
    with pytest.raises(InputError, match=told):
        sp.simulate(net, **{"until": 1.0, **options})
