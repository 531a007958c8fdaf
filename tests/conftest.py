"""Fixtures of all tests: programs run in a process of their own, alone or on several ranks, that cannot hang a test run."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RANK_MAIN = Path(__file__).with_name("rank_main.py")


@dataclass(frozen=True)
class Ended:
    """What a program left behind."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def mpirun(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    """``mpirun(n, arguments, timeout=60.0, *, status=0, cwd=None, env={})``: run ``python arguments...`` on n ranks.

    The mpiexec is that of this environment. The test fails if the job does not end within ``timeout`` seconds, showing where each rank
    stood, or ends with another exit status than ``status`` (None: any).
    """
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if mpiexec is None or importlib.util.find_spec("mpi4py") is None:
        pytest.skip("needs mpiexec and mpi4py: install the extra 'mpi'")

    def run(n: int, arguments: Sequence[object], timeout: float = 60.0, **more: object) -> Ended:
        return _run([mpiexec, "-n", str(n)], tmp_path_factory.mktemp("ranks"), arguments, timeout, **more)  # type: ignore[arg-type]

    return run


@pytest.fixture
def solo(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    """``solo(arguments, timeout=60.0, *, status=0, cwd=None, env={})``: the same in one process, without mpiexec."""

    def run(arguments: Sequence[object], timeout: float = 60.0, **more: object) -> Ended:
        return _run([], tmp_path_factory.mktemp("solo"), arguments, timeout, **more)  # type: ignore[arg-type]

    return run


def _run(
    launcher: list[str],
    folder: Path,
    arguments: Sequence[object],
    timeout: float,
    *,
    status: int | None = 0,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> Ended:
    command = [*launcher, sys.executable, str(RANK_MAIN), str(folder), str(timeout), *map(str, arguments)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ, **(env or {})}
    # Files, not pipes: a rank that hangs keeps a pipe open, and reading to its end would hang as well.
    with open(folder / "stdout", "w+", encoding="utf-8") as out, open(folder / "stderr", "w+", encoding="utf-8") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd or ROOT, env=environment, start_new_session=True
        )
        try:
            process.wait(timeout + 2.0)
        except subprocess.TimeoutExpired:
            pass
        finally:
            late = process.poll() is None
            if late:
                _end(process)
    ended = Ended(process.returncode, (folder / "stdout").read_text("utf-8"), (folder / "stderr").read_text("utf-8"))
    if late:
        stacks = "\n".join(f"--- {path.stem} ---\n{path.read_text('utf-8')}" for path in sorted(folder.glob("rank-*.txt")))
        pytest.fail(f"not finished after {timeout} s: {command}\n{stacks}\n{_told(ended)}", pytrace=False)
    if status is not None and ended.status != status:
        pytest.fail(f"exit status {ended.status}, not {status}: {command}\n{_told(ended)}", pytrace=False)
    return ended


def _end(process: subprocess.Popen) -> None:
    """End mpiexec, which ends its ranks; any that it leaves behind (each leads a session of its own) die by the timer that rank_main.py
    set."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)
        try:
            process.wait(5.0)
            return
        except subprocess.TimeoutExpired:
            continue


def _told(ended: Ended) -> str:
    return f"--- stdout ---\n{ended.stdout[-10_000:]}\n--- stderr ---\n{ended.stderr[-10_000:]}"
