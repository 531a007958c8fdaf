"""The command line: what is printed by whom, exit statuses, and that no rank is left behind."""

import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from sparseprop_dist import cli
from sparseprop_dist.errors import InputError, SimulationError
from sparseprop_dist.interruption import Checkpoints

ROOT = Path(__file__).resolve().parent.parent
SMALL = ROOT / "docs" / "examples" / "small.toml"
COMMAND = ["-m", "sparseprop_dist"]


class Communicator:
    """One rank of a job that exists only as far as the command line sees it."""

    library = "a library"
    ranks_on_node = 1

    def __init__(self, rank: int = 0, size: int = 1, others_come: bool = True) -> None:
        self.rank, self.size, self.others_come = rank, size, others_come
        self.aborted: int | None = None

    def agree(self, error):
        if error is not None:
            raise error

    def meet(self):
        return self.others_come

    def abort(self, status):
        self.aborted = status


@pytest.fixture
def command(capsys):
    """``command(*arguments)`` -> (status, stdout, stderr) of one rank."""

    def run(*arguments, communicator=None):
        communicator = communicator or Communicator()
        with cli._voice_of_rank_0(communicator.rank):
            status = cli._run_command(communicator, [str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def engine(monkeypatch):
    """Stand-ins for what reads a network and simulates it: ``engine.error`` is raised, ``engine.calls`` are the arguments."""
    state = SimpleNamespace(error=None, calls=[], until=50.0, output=None)

    def load(path):
        return SimpleNamespace(
            network=SimpleNamespace(n_neurons=10), until=state.until, output=state.output, window=None, schedule=None, checkpoints=None
        )

    def simulate(network, until, **options):
        state.calls.append({"until": until, **options})
        if isinstance(state.error, Warning):
            warnings.warn(state.error, stacklevel=1)
        elif state.error is not None:
            raise state.error
        return SimpleNamespace(summary={"neurons": 10_000, "spikes": 1234567, "mean_rate": 3.14159, "cv": None, "ranks": 1})

    stand_ins = {
        "simulate": {"simulate": simulate},
        "plan": {"plan": lambda network, ranks: f"a table for {ranks} ranks", "shortage": lambda network, ranks, on_node: ""},
    }
    for name, contents in stand_ins.items():
        stub = ModuleType(f"sparseprop_dist.{name}")
        vars(stub).update(contents)
        monkeypatch.setitem(sys.modules, stub.__name__, stub)
    monkeypatch.setattr("sparseprop_dist.network_file.load", load)
    return state


def is_one_sentence(text):
    return text.startswith("sparseprop: error: ") and text.count("\n") == 1 and text.endswith("\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "a.toml", "--untill", "3"], r"no such option: --untill .*--until"),
        (["rnu"], r"no such command 'rnu'. Did you mean 'run'\?"),
        (["run"], r"missing argument 'CONFIG'"),
        (["run", "a.toml", "b.toml"], r"unexpected extra argument.*b.toml"),
        (["run", "a.toml", "--until", "soon"], r'--until.*"soon" is given; give a number of ms above 0'),
        (["run", "a.toml", "--until", "nan"], r'--until.*"nan" is given'),
        (["run", "a.toml", "--window=-1"], r'--window.*"-1" is given'),
        (["run", "a.toml", "--schedule", "slap"], r"--schedule.*'slap'.*'slab'"),
        (["export", "a_run"], r"missing option '--sonata'"),
    ],
)
def test_wrong_use_is_one_sentence(command, arguments, told):
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert is_one_sentence(err)
    assert re.search(told, err)


def test_help_comes_from_rank_0_only(command):
    status, out, err = command("run", "--help")
    assert (status, err) == (0, "")
    assert "--dry-run" in out
    assert command("run", "--help", communicator=Communicator(1, 2)) == (0, "", "")


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (InputError("tau_m is -1"), 2, "tau_m is -1"),
        (SimulationError("neuron 3 overflows"), 1, "neuron 3 overflows"),
        (MemoryError(), 1, "there is not enough memory; --dry-run prints what the network needs on each rank"),
    ],
)
def test_error_of_all_ranks_is_told_once(command, engine, error, status, told):
    engine.error = error
    for rank in (0, 1):
        communicator = Communicator(rank, 2)
        sentence = f"sparseprop: error: {told}\n" if rank == 0 else ""
        assert command("run", "a.toml", communicator=communicator) == (status, "", sentence)
        assert communicator.aborted is None


def test_error_of_one_rank_is_told_by_it_and_ends_the_job(command, engine):
    engine.error = InputError("the disk of this node is full")
    communicator = Communicator(1, 2, others_come=False)
    assert command("run", "a.toml", communicator=communicator) == (2, "", "sparseprop: error: rank 1: the disk of this node is full\n")
    assert communicator.aborted == 2


def test_defect_shows_traceback_and_rank_and_ends_the_job(command, engine):
    engine.error = ZeroDivisionError("a defect")
    communicator = Communicator(1, 2)
    status, out, err = command("run", "a.toml", communicator=communicator)
    assert (status, out) == (1, "")
    assert "unexpected error on rank 1 of 2" in err
    assert "Traceback" in err
    assert err.endswith("ZeroDivisionError: a defect\n")
    assert communicator.aborted == 1


def test_interrupt_is_one_line(command, engine):
    engine.error = KeyboardInterrupt()
    assert command("run", "a.toml") == (130, "", "sparseprop: interrupted\n")
    for rank, others_come in ((0, True), (0, False), (1, True), (1, False)):
        communicator = Communicator(rank, 2, others_come)
        told = "" if rank == 1 and others_come else "sparseprop: interrupted\n"
        assert command("run", "a.toml", communicator=communicator) == (130, "", told)
        assert communicator.aborted == 130


def test_warning_is_one_line_of_rank_0(command, engine, recwarn):
    engine.error = UserWarning("more ranks than neurons")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert command("run", "a.toml")[2] == "sparseprop: warning: more ranks than neurons\n"
        assert command("run", "a.toml", communicator=Communicator(1, 2))[2] == ""
    assert not recwarn.list


LASTING = ("--checkpoint-every", "5", "--keep", "3", "--wall-limit", "60")


def test_run_passes_options_on_and_prints_the_summary(command, engine):
    status, out, err = command("run", "some/net.toml", "--until", "20", "--window", "0.5", "--schedule", "slab", *LASTING)
    assert (status, err) == (0, "")
    (call,) = engine.calls
    reporter = call.pop("progress")
    assert callable(reporter.update)
    assert call.pop("file") == Path("some/net.toml").absolute()
    assert call.pop("checkpoints") == Checkpoints(every=5.0, every_wall=900.0, keep=3)
    assert call == {"until": 20.0, "output": Path("net_run"), "window": 0.5, "schedule": "slab", "wall_limit": 60.0}
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert lines == {"neurons": "10,000", "spikes": "1,234,567", "mean rate": "3.142 Hz", "ranks": "1", "run directory": "net_run"}


def test_run_takes_what_the_configuration_says(command, engine):
    engine.output = "there"
    assert command("run", "net.toml", "--quiet") == (0, "", "")
    (call,) = engine.calls
    assert (call["until"], call["output"], call["schedule"]) == (50.0, Path("there"), "auto")


def test_run_needs_an_end(command, engine):
    engine.until = None
    status, _, err = command("run", "net.toml")
    assert status == 2
    assert is_one_sentence(err)
    assert "--until" in err
    assert not engine.calls


def test_dry_run_prints_the_plan_and_simulates_nothing(command, engine):
    status, out, err = command("run", "net.toml", "--dry-run", communicator=Communicator(0, 3))
    assert (status, err) == (0, "")
    assert out == "a table for 3 ranks\nit fits into the memory of this machine\n"
    assert not engine.calls


@pytest.mark.parametrize(("name", "told"), [("", "is a directory"), ("none.toml", "there is no"), ("net.yaml", "must be a .toml file or")])
def test_configuration_that_cannot_be_one(command, tmp_path, name, told):
    (tmp_path / "net.yaml").touch()
    status, _, err = command("run", tmp_path / name)
    assert status == 2
    assert is_one_sentence(err)
    assert told in err


# --- whole processes ---


def test_info_of_one_process(solo):
    told = solo([*COMMAND, "info"]).stdout
    for word in ("sparseprop_dist", "numba", "MPI library", "CPU", "threads", "compiled code"):
        assert f"\n{word}" in f"\n{told}"


@pytest.mark.mpi
def test_info_of_two_ranks(mpirun):
    told = mpirun(2, [*COMMAND, "info"]).stdout
    assert re.search(r"^ranks +2$", told, re.MULTILINE)
    assert told.count("numba ") == 1


@pytest.mark.mpi
@pytest.mark.parametrize("n", [1, 2, 3])
def test_run_and_export_on_ranks(mpirun, solo, tmp_path, n):
    told = mpirun(n, [*COMMAND, "run", SMALL, "--until", "50", "--output", tmp_path / "run", "--picture"], timeout=200.0).stdout
    assert re.search(rf"^ranks +{n}$", told, re.MULTILINE)
    assert (tmp_path / "run" / "raster.png").read_bytes().startswith(b"\x89PNG")
    solo([*COMMAND, "export", tmp_path / "run", "--sonata", tmp_path / "spikes.h5"])
    before = (tmp_path / "spikes.h5").read_bytes()
    refused = solo([*COMMAND, "export", tmp_path / "run", "--sonata", tmp_path / "spikes.h5"], status=2)
    assert is_one_sentence(refused.stderr)
    assert (tmp_path / "spikes.h5").read_bytes() == before


@pytest.mark.mpi
def test_bad_input_ends_all_ranks_with_one_sentence(mpirun, tmp_path):
    config = tmp_path / "net.toml"
    config.write_text(SMALL.read_text("utf-8").replace("t_ref = 2.0", "t_reff = 2.0"), "utf-8")
    ended = mpirun(3, [*COMMAND, "run", config, "--output", tmp_path / "run"], timeout=20.0, status=2)
    assert is_one_sentence(ended.stderr)
    assert '"t_ref"' in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.mpi
def test_other_run_is_not_overwritten(mpirun, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.txt").write_text("precious")
    ended = mpirun(2, [*COMMAND, "run", SMALL, "--output", tmp_path / "run"], timeout=30.0, status=2)
    assert is_one_sentence(ended.stderr)
    assert os.listdir(tmp_path / "run") == ["results.txt"]


INJECTION = """
import sys
from sparseprop_dist import cli, exchange
from sparseprop_dist.interruption import Checkpoints
from sparseprop_dist.errors import InputError
simulate = sys.modules.get("sparseprop_dist.simulate") or __import__("importlib").import_module("sparseprop_dist.simulate")
whole = simulate.simulate

def broken(*arguments, **options):
    if exchange.world().rank == 1:
        raise {error}
    return whole(*arguments, **options)

simulate.simulate = broken
cli.main(sys.argv[1:])
"""


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        ("IndexError('injected')", 1, r"unexpected error on rank 1 of 2(.|\n)*Traceback(.|\n)*IndexError: injected\n"),
        ("InputError('injected')", 2, r"sparseprop: error: rank 1: injected\n"),
    ],
)
def test_exception_on_one_rank_ends_the_job(mpirun, tmp_path, error, status, told):
    script = tmp_path / "script.py"
    script.write_text(INJECTION.format(error=error))
    ended = mpirun(2, [script, "run", SMALL, "--output", tmp_path / "run", "--quiet"], timeout=30.0, status=status)
    assert re.search(told, ended.stderr)


@pytest.mark.parametrize(("times", "status"), [(1, 85), (2, 130)])
def test_interrupt_ends_a_run(tmp_path, times, status):
    """The first after a checkpoint, the second at once."""
    command = [sys.executable, *COMMAND, "run", str(SMALL), "--until", "1e7", "--output", str(tmp_path / "run"), "--progress", "lines"]
    if times == 2:
        command += ["--window", "1"]
    # a shell starts jobs in the background deaf to it
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    try:
        deadline = time.monotonic() + 120.0  # a cold cache is compiled first
        while not (tmp_path / "run" / "spikes.zarr").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)
        _, err = process.communicate(timeout=20.0)
    finally:
        process.kill()
    assert process.returncode == status
    told = {85: r'sparseprop: the run stopped at \S+ of 1e\+07 ms because of SIGINT, .*resume "\S+run"', 130: "sparseprop: interrupted"}
    assert re.fullmatch(told[status], err.splitlines()[-1])


def test_a_run_with_a_warm_cache_compiles_nothing(tmp_path):
    """The warm-up makes all that a run needs: it starts in a second, once another run has filled the cache."""
    for number in range(2):
        command = [sys.executable, *COMMAND, "run", SMALL, "--until", "10", "--output", tmp_path / str(number), "--quiet"]
        environment = {**os.environ, "NUMBA_DEBUG_CACHE": "1"}
        ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert "[cache] data loaded" in ended.stdout
    assert "saved" not in ended.stdout
