"""Synapses without delay on several ranks: the same spikes, statistics and recordings on any number of them, bit for bit; and errors that
end all ranks."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.mpi
TESTS = Path(__file__).resolve().parent.parent
RANKS = (1, 2, 3, 4) if os.environ.get("LONG") else (1, 3)
"""More ranks than cores are slow: all of these numbers with LONG=1 ./launch/test."""


@pytest.mark.timeout(900)  # more ranks than cores, which others use too
def test_nothing_depends_on_ranks(mpirun: Any) -> None:
    """Cascades, ties, QIF and mixed models, delays beside; sparse and dense, up to 10,000 neurons."""
    found = {n: json.loads(mpirun(n, [TESTS / "instant_on_ranks.py"], timeout=400.0).stdout) for n in RANKS}
    for n in RANKS[1:]:
        assert found[n] == found[1]
    for name, digest in found[1].items():
        assert digest == found[1].get(name.split(", windows")[0], digest)
    spikes = {
        name: int(found[1][name].split()[0])
        for name in ("inhibitory", "balanced", "both", "dense", "quadratic", "few_of_another_kind", "two_models")
    }
    assert min(spikes.values()) > 400, spikes


CASCADE = """
[populations.exc]
size = 6
model = "lif"
t_ref = 0.0

[[projections]]
source = "exc"
target = "exc"
rule = "pairs"
sources = [1, 4]
targets = [4, 1]
weight = 20.0
delay = 0.0

[[inputs]]
kind = "poisson"
target = "exc"
rate = 500.0
weight = 20.0

[run]
until = 100000.0
"""
"""Neurons 1 and 4 (on different ranks) make each other fire for ever."""


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_cascade_ends_all_ranks(mpirun: Any, tmp_path: Path, n: int) -> None:
    (tmp_path / "net.toml").write_text(CASCADE)
    begin = time.monotonic()
    arguments = ["-m", "sparseprop_dist", "run", tmp_path / "net.toml", "--output", tmp_path / "run", "--quiet"]
    ended = mpirun(n, arguments, timeout=90.0, status=1)
    assert time.monotonic() - begin < 80.0
    told = (
        r"neuron [14] would fire twice at one time, after \S+ ms, by synapses without delay, a cascade that need not end; give the neurons"
    )
    assert re.match(rf"sparseprop: error: {told} t_ref above 0, or the synapses a delay\n", ended.stderr), ended.stderr
    assert "Traceback" not in ended.stderr


OVERFLOW = CASCADE.replace("t_ref = 0.0", "t_ref = 1.0").replace("weight = 20.0\ndelay", "weight = -15000.0\ndelay")


@pytest.mark.parametrize("n", [1, 2])
def test_an_overflow_ends_all_ranks(mpirun: Any, tmp_path: Path, n: int) -> None:
    (tmp_path / "net.toml").write_text(OVERFLOW)
    arguments = ["-m", "sparseprop_dist", "run", tmp_path / "net.toml", "--output", tmp_path / "run", "--quiet"]
    ended = mpirun(n, arguments, timeout=90.0, status=1)
    assert re.match(r"sparseprop: error: neuron [14] overflowed at \S+ ms: its potential is beyond .*\n", ended.stderr), ended.stderr
    assert "Traceback" not in ended.stderr
