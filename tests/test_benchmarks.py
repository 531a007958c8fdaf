"""The benchmarks run, at their smallest size, and print what they promise."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "benchmarks"


def printed(script: str, *arguments: str) -> list[str]:
    """The lines that a benchmark prints."""
    command = [sys.executable, str(FOLDER / script), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=280, env=environment).stdout.splitlines()


def test_brunel() -> None:
    lines = printed("brunel.py", "--neurons", "300", "--indegree", "100", "--until", "32", "--repeats", "1", "--check")
    assert [line.split()[:3] for line in lines[:2]] == [["one", "delay", lines[0].split()[2]], ["a", "delay", "each"]]
    assert all("ns per event; floor" in line for line in lines[:2])
    assert all("slab = ordered to the bit" in line for line in lines[2:])
    assert len(lines) == 4


def test_ranks() -> None:
    (line,) = printed("ranks.py", "--neurons", "300", "--indegree", "100", "--until", "20", "--ranks", "1")
    assert line.startswith("1 ranks:")
    assert "bytes per synapse" in line
