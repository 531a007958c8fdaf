"""Runs that are killed at random moments and resumed on other numbers of ranks; ``tests/soak.py`` does it hundreds of times."""

from pathlib import Path

import soak


def test_killed_and_resumed_on_other_numbers_of_ranks(tmp_path: Path) -> None:
    soak.trials(2, 3, tmp_path, ["delayed"])
