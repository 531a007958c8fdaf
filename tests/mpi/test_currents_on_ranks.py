"""Currents that vary in time: the same spikes on any number of ranks, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_currents import network_of

import sparseprop_dist as sp
from sparseprop_dist.store import spikes

pytestmark = pytest.mark.mpi


@pytest.mark.long  # instant_on_ranks compares driven neurons too
def test_spikes_do_not_depend_on_ranks(mpirun: Any, tmp_path: Path) -> None:
    sp.dump(network_of(7, without_delay=False), tmp_path / "net.toml")
    found = []
    for n in (1, 3):
        out = tmp_path / str(n)
        mpirun(n, ["-m", "sparseprop_dist", "run", tmp_path / "net.toml", "--until", 60.0, "--output", out], timeout=280.0)
        own = spikes(out)
        found.append((own.times[:].tobytes(), own.ids[:].tobytes()))
    assert len(found[0][0]) > 30 * 8
    assert found[1] == found[0]
