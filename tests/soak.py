"""Kill runs at random moments and resume them on other numbers of ranks: the spikes must be those of an undisturbed run, each time.

    python tests/soak.py --times 200        # about half an hour; prints a line a trial
    python tests/soak.py --times 1 --seed 57

Each trial starts a run on 1 to 4 ranks, kills a rank, all ranks or mpiexec (kill -9) after a random time (during imports, build, windows,
writing, a checkpoint), and resumes on a random number of ranks; half of the resumed runs are killed too. ``tests/mpi/test_resume.py`` runs
a few.
"""

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sparseprop_dist import store, tables

DELAYED = """
[network]
seed = 3
[populations.exc]
size = 400
model = "lif"
t_ref = 2.0
tau_m = 20.0
E_L = 0.0
V_th = 20.0
V_reset = 10.0
V_m = 0.0
[populations.inh]
like = "exc"
size = 100
[[projections]]
source = "exc"
target = ["exc", "inh"]
rule = "fixed_indegree"
indegree = 40
weight = 0.4
delay = 1.5
[[projections]]
source = "inh"
target = ["exc", "inh"]
rule = "fixed_indegree"
indegree = 10
weight = -2.0
delay = {distribution = "uniform", low = 1.0, high = 3.0}
[[inputs]]
kind = "poisson"
target = ["exc", "inh"]
rate = 8000.0
weight = 0.2
[[recordings]]
what = "V"
target = "exc"
neurons = [1, 2, 350]
every = 0.73
[[recordings]]
what = "count"
target = ["exc", "inh"]
bin = 7.3
[run]
until = 3000.0
[checkpoint]
every_wall = 0.2
every = 217.0
keep = 2
"""
INSTANT = """
[network]
seed = 5
[populations.inh]
size = 600
model = "lif"
tau_m = 10.0
E_L = 0.0
V_th = 1.0
V_reset = 0.0
t_ref = 0.0
V_m = {distribution = "uniform", low = 0.0, high = 0.99}
C_m = 1.0
I_e = 0.18
[[projections]]
source = "inh"
target = "inh"
rule = "fixed_indegree"
indegree = 50
weight = -0.1
delay = 0.0
[run]
until = 200.0
[checkpoint]
every_wall = 0.2
every = 23.0
"""
NETWORKS = {"delayed": DELAYED, "instant": INSTANT}
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))) or "mpiexec"
"""That of this environment, which may not be on the PATH."""
LONGEST = 120.0
"""s that any job may take."""
ENDS_WITHIN = 15.0
"""s in which a job ends whose rank was killed; seconds, but for shared cores."""


def digest(run: Path) -> str:
    """Return a digest of all that a run wrote."""
    found, spikes = hashlib.sha256(), store.spikes(run)
    found.update(spikes.times.tobytes() + spikes.ids.tobytes())
    for name, table in sorted(tables.recordings(run).items()):
        found.update(name.encode() + table.times.tobytes() + table.values.tobytes())
    return f"{len(spikes)} {found.hexdigest()[:16]}"


def start(ranks: int, *arguments: object) -> subprocess.Popen:
    """Start the command line on so many ranks."""
    command = [sys.executable, "-m", "sparseprop_dist", *map(str, arguments)]
    if ranks > 1:
        command = [MPIEXEC, "-n", str(ranks), *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, text=True)


def ranks_of(run: Path) -> list[int]:
    """Return the processes of the ranks that work on ``run``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        works = b"sparseprop_dist" in words and (b"run" in words or b"resume" in words) and os.fsencode(run) in words
        if works and os.path.basename(words[0]).startswith(b"python"):
            found.append(int(entry.name))
    return found


def kill(job: subprocess.Popen, run: Path, what: str, chance: random.Random) -> None:
    """Kill a rank, all of them, or what started them."""
    pids = ranks_of(run)
    if what == "mpiexec" or not pids:
        pids = [job.pid]
    elif what == "rank":
        pids = [chance.choice(pids)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def disturbed(config: Path, run: Path, chance: random.Random, longest: float) -> str:
    """Make a run, killed once or twice, and resume it until it ends; return what happened."""
    said, command = [], ["run", config, "--output", run, "--quiet"]
    for attempt in range(4):
        ranks = chance.randint(1, 4)
        job = start(ranks, *command)
        if attempt == 0 or (attempt < 3 and chance.random() < 0.5):
            what, after = chance.choice(["rank", "all", "mpiexec"]), chance.uniform(0.0, longest)
            time.sleep(after)
            kill(job, run, what, chance)
            killed = time.monotonic()
            job.communicate(timeout=LONGEST)
            said.append(f"{ranks} ranks, {what} killed after {after:.2f} s, status {job.returncode}")
            assert time.monotonic() - killed < ENDS_WITHIN, f"the job went on: {said}"
            while ranks_of(run):  # those that outlive mpiexec see it gone
                assert time.monotonic() - killed < LONGEST, f"ranks went on: {said}"
                time.sleep(0.05)
        else:
            text, _ = job.communicate(timeout=LONGEST)
            said.append(f"{ranks} ranks to the end")
            assert job.returncode == 0 or "has reached its end" in text, f"{said}: {text}"
        if (run / "provenance.json").exists():
            command = ["resume", run, "--quiet"]
            if '"finished"' in (run / "provenance.json").read_text():
                return "; ".join(said)
        else:  # killed before it made its directory, or while it did
            shutil.rmtree(run, ignore_errors=True)
    raise AssertionError(f"the run did not end: {said}")


def trials(times: int, seed: int, folder: Path, names: list[str]) -> None:
    """Make so many trials; an AssertionError for the first that fails."""
    expected, took = {}, {}
    for name in names:
        (folder / f"{name}.toml").write_text(NETWORKS[name])
        for _ in range(2):  # the first compiles
            shutil.rmtree(folder / name, ignore_errors=True)
            begun = time.monotonic()
            job = start(1, "run", folder / f"{name}.toml", "--output", folder / name, "--quiet")
            text, _ = job.communicate(timeout=5 * LONGEST)
            assert job.returncode == 0, text
            took[name] = time.monotonic() - begun
        expected[name] = digest(folder / name)
    for number in range(seed, seed + times):
        chance = random.Random(number)
        name, run = chance.choice(names), folder / f"run_{number}"
        said = disturbed(folder / f"{name}.toml", run, chance, 1.2 * took[name])
        assert digest(run) == expected[name], f"trial {number}, {name}: {digest(run)} is not {expected[name]}; {said}"
        print(f"{number} {name}: {said}: {digest(run)}", flush=True)
        shutil.rmtree(run)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trials(given.times, given.seed, Path(folder), given.networks)


if __name__ == "__main__":
    main()
