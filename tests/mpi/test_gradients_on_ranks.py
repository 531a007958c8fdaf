"""Gradients on several ranks: the same bits on any number of them; and a training that all ranks do together."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.mpi
TESTS = Path(__file__).resolve().parent.parent
LONG = bool(os.environ.get("LONG"))
RANKS = (1, 2, 3, 4) if LONG else (1, 3)
"""More ranks than cores are slow: all of these numbers with LONG=1 ./launch/test."""


@pytest.mark.timeout(600)
def test_nothing_depends_on_ranks(mpirun: Any) -> None:
    """All models, delays of all kinds and none, cascades, inputs; with respect to everything."""
    found = {n: json.loads(mpirun(n, [TESTS / "gradients_on_ranks.py"], timeout=300.0).stdout) for n in RANKS}
    assert len(found[1]) == 9
    for n in RANKS[1:]:
        assert found[n] == found[1]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "mix",
    ["qif-each-2.0", pytest.param("qif-none-0.0", marks=pytest.mark.long), pytest.param("lif-qif-eif-each-1.0", marks=pytest.mark.long)],
)
def test_replays_do_not_depend_on_ranks(mix: str, mpirun: Any) -> None:
    """Nor on the memory that each rank has for them."""
    found = {n: json.loads(mpirun(n, [TESTS / "gradients_on_ranks.py", mix], timeout=300.0).stdout) for n in RANKS}
    for n in RANKS:
        assert found[n][f"{mix} in segments"] == found[1][mix] == found[n][mix]


@pytest.mark.timeout(600)
def test_training_does_not_depend_on_ranks_nor_on_groups_of_them(mpirun: Any, tmp_path: Path) -> None:
    """Batches of 8, 8, 8 and 3 samples, of which a group may have none."""
    ways = [(1, 1), (2, 2), (4, 2), *[(2, 1), (4, 4), (3, 1)][: 3 if LONG else 0]]
    found = {
        (n, groups): mpirun(n, [TESTS / "training_on_ranks.py", tmp_path / f"{n} {groups}", groups], timeout=300.0).stdout
        for n, groups in ways
    }
    for way in ways:
        assert found[way] == found[1, 1], way
    assert len(found[1, 1].splitlines()) == 2
