"""The same recordings on any number of ranks: values on all ranks, and bytes on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.mpi
TESTS = Path(__file__).resolve().parent.parent


def test_recordings_do_not_depend_on_ranks(mpirun: Any, tmp_path: Path) -> None:
    found = {}
    for n in (1, 2, 3):
        folder = tmp_path / str(n)
        folder.mkdir()
        found[n] = json.loads(mpirun(n, [TESTS / "recorded.py", folder], timeout=200.0).stdout)
    assert found[2] == found[1]
    assert found[3] == found[1]
    assert len(found[1]) == 5 * (2 * 5 + 1) + 2 * 7 + 1  # two currents are recorded of the one that has them
    for name, digest in found[1].items():
        if name.endswith(" on disk"):
            assert digest == found[1][name.removesuffix(" on disk")]
        if name.endswith(", files"):
            assert int(digest.split()[0]) > (20 if name.startswith("few") else 60)
