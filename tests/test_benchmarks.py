"""The benchmarks run, at their smallest size, and print what they promise."""

import os
import re
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


def test_paper(tmp_path: Path) -> None:
    """The table has a row for each network; the published algorithm makes the same spikes, or the benchmark ends with an error."""
    small = ("--neurons", "300", "--indegree", "30", "--events", "20000", "--published-events", "20000", "--repeats", "1")
    models = ("lif", "qif", "balanced", "heterogeneous")
    head, rule, *rows = printed("paper.py", *small, "--models", *models, "--picture", str(tmp_path / "paper.png"))
    assert len({line.count("|") for line in (head, rule, *rows)}) == 1
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == list(models)
    assert ["-" in row for row in cells] == [False, False, True, True]
    assert (tmp_path / "paper.png").read_bytes().startswith(b"\x89PNG")


def test_paper_end_to_end() -> None:
    (line,) = printed("paper.py", "--end-to-end", "--neurons", "2000", "--spikes", "2000")
    found = re.fullmatch(r"lif, N = 2,000, K = 100: ([\d,]+) spikes in [\d.]+ s \(build .* s, run .* s\), peak [\d.]+ GB", line)
    assert found
    assert int(found[1].replace(",", "")) >= 2000


def test_differing() -> None:
    """A row for each network."""
    small = ("--neurons", "300", "--indegree", "30", "--until", "32", "--events", "20000", "--repeats", "1")
    lines = printed("differing.py", *small)
    costs = [
        float(cell)
        for line in lines
        if line.startswith("|")
        for cell in line.strip("| ").split("|")[1:]
        if re.fullmatch(r" [\d.]+ ?", cell)
    ]
    assert len(costs) == 4 * 2 + 10
    assert min(costs) > 0.0


def test_gradients() -> None:
    """A row, and a probe that agrees."""
    *_, row, probe = printed("gradients.py", "--neurons", "300", "--indegree", "30", "--probe")
    assert row.startswith("| lif | 300 | 30 |")
    exact, difference = (
        float(word.rstrip(",")) for word in re.findall(r"-?[0-9.]+(?:e[-+]\d+)?,?(?= |$)", probe.replace("dL/dweight", ""))[-2:]
    )
    assert abs(exact - difference) < 1e-4 * abs(exact)
