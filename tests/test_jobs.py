"""The templates of ``slurm/`` on a real Slurm: Debian's, several nodes of one machine, started by ``launch/slurm_up``. As root only.

``launch/test`` installs it where it can. Elsewhere these tests say that they did not run.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soak

from sparseprop_dist.heartbeat import status

ROOT = Path(__file__).resolve().parents[1]
MISSING = [name for name in ("slurmctld", "slurmd", "munged", "sbatch", "srun") if shutil.which(name) is None]
WHY = "these need root and Debian's slurm-wlm and munge, which launch/test installs there: the Slurm templates were NOT tested"
pytestmark = [pytest.mark.skipif(bool(MISSING) or os.geteuid() != 0, reason=WHY), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster of two nodes with two cores each; jobs are submitted in the folder that is given."""
    state, folder = tmp_path_factory.mktemp("slurm"), tmp_path_factory.mktemp("jobs")
    for name in ("launch", "slurm"):
        (folder / name).symlink_to(ROOT / name)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SLURM_CONF", str(state / "slurm.conf"))
        patched.setenv("SPARSEPROP", f"{sys.executable} -m sparseprop_dist")
        patched.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        subprocess.run([ROOT / "launch" / "slurm_up", state, "2", "2"], check=True, timeout=60)
        try:
            yield folder
        finally:
            subprocess.run([ROOT / "launch" / "slurm_down", state], check=False, timeout=120)


@pytest.fixture(scope="module")
def expected(cluster: Path) -> str:
    """The network that all jobs run, and its undisturbed run."""
    (cluster / "net.toml").write_text(soak.DELAYED.replace("every = 217.0", "every = 100.0").replace("until = 3000.0", "until = 1000.0"))
    job = soak.start(1, "run", cluster / "net.toml", "--output", cluster / "straight", "--quiet")
    text, _ = job.communicate(timeout=300)
    assert job.returncode == 0, text
    return soak.digest(cluster / "straight")


def submit(folder: Path, *arguments: object) -> str:
    """Submit a job; return its number."""
    ended = subprocess.run(
        ["sbatch", "--parsable", *map(str, arguments)], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return ended.stdout.strip()


def wait_for(folder: Path, *jobs: str, seconds: float = 300.0) -> None:
    """Wait until these jobs are done, whatever became of them."""
    # Of all states: squeue's own choice of them leaves out a job that is just being requeued.
    command = ["squeue", "-h", "-t", "all", "-o", "%F %T"]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        table = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        states = [line.split() for line in table.splitlines()]
        if all(state in ENDED for job, state in states if job in jobs):
            return
        time.sleep(0.2)
    raise AssertionError("".join(path.read_text() for path in folder.glob("*.log")))


ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL", "PREEMPTED")
TWO = ("--nodes=1", "--ntasks=2", "--ntasks-per-node=2", "--time=10", "--signal=B:USR1@60")


@pytest.mark.parametrize("launcher", ["srun", "mpiexec"])
def test_one_job(cluster: Path, expected: str, launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its analysis after it."""
    monkeypatch.setenv("LAUNCHER", launcher)
    run = cluster / launcher
    job = submit(cluster, *TWO, f"--output={launcher}.log", "slurm/one_node.sbatch", "net.toml", run)
    after = (f"--dependency=afterok:{job}", "--cpus-per-task=1", "--mem=1G", "--output=analysis.log")
    wait_for(cluster, job, submit(cluster, *after, "slurm/analyze.sbatch", run))
    assert soak.digest(run) == expected
    assert {"analysis.json", "analysis.png"} <= {path.name for path in run.iterdir()}


def test_warned_and_killed_jobs_are_requeued_and_go_on(cluster: Path, expected: str) -> None:
    """Slurm's warning, then kill -9 of a rank: both times the job comes back by itself."""
    run = cluster / "requeued"
    job = submit(cluster, *TWO, "--output=requeued.log", "slurm/one_node.sbatch", "net.toml", run)
    log = cluster / "requeued.log"

    def first_checkpoint(after: int) -> None:
        end = time.monotonic() + 120.0
        while len(list((run / "checkpoints").glob("[0-9]*"))) < 1 or (log.exists() and log.read_text().count("requeued after") < after):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)

    first_checkpoint(0)
    subprocess.run(["scancel", "--batch", "--signal=USR1", job], check=True, timeout=60)
    first_checkpoint(1)
    end = time.monotonic() + 120.0
    while not (ranks := soak.ranks_of(run)):
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    os.kill(ranks[0], 9)
    wait_for(cluster, job)
    assert "status 85; requeued after restart 0" in log.read_text()
    assert status(run)["state"] == "finished", log.read_text()
    assert soak.digest(run) == expected


def test_one_task_of_an_array_is_requeued_alone(cluster: Path) -> None:
    """The last, whose SLURM_JOB_ID is that of the array."""
    options = ("--nodes=1", "--ntasks=1", "--time=10", "--signal=B:USR1@60", "--output=pair_%a.log", "--array=1-2")
    array = submit(cluster, *options, "slurm/array.sbatch", "net.toml", cluster / "pair", "--until", "3000", "--quiet")
    end = time.monotonic() + 120.0
    while len(list((cluster / "pair").glob("seed_*/checkpoints/[0-9]*"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    subprocess.run(["scancel", "--batch", "--signal=USR1", f"{array}_2"], check=True, timeout=60)
    wait_for(cluster, array)
    assert "status 85; requeued after restart 0" in (cluster / "pair_2.log").read_text()
    assert "requeue" not in (cluster / "pair_1.log").read_text().lower()
    assert [status(cluster / "pair" / f"seed_{k}")["state"] for k in (1, 2)] == ["finished", "finished"]


def test_array_over_seeds(cluster: Path, expected: str) -> None:
    small = ("--nodes=1", "--ntasks=1", "--time=10", "--signal=B:USR1@60", "--output=array_%a.log", "--array=1-6")
    wait_for(cluster, submit(cluster, *small, "slurm/array.sbatch", "net.toml", cluster / "array", "--until", "100", "--quiet"))
    runs = sorted((cluster / "array").iterdir())
    assert [run.name for run in runs] == [f"seed_{k}" for k in range(1, 7)]
    assert len({soak.digest(run) for run in runs}) == 6


def test_tasks_without_mpi_are_refused(cluster: Path) -> None:
    """srun --mpi=none starts as many runs of one rank as there are tasks."""
    command = [sys.executable, "-m", "sparseprop_dist", "run", "net.toml", "--output", str(cluster / "none")]
    srun = ["srun", "--mpi=none", "--nodes=1", "--ntasks=2", "--kill-on-bad-exit=0"]
    ended = subprocess.run([*srun, *command], cwd=cluster, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "Slurm started 2 tasks, but MPI sees 1 rank" in ended.stderr
    assert not (cluster / "none").exists()
