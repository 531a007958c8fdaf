"""The examples of training in docs/examples do what they say, at a small size."""

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"


def test_a_student_finds_the_delays_of_its_teacher() -> None:
    taught = runpy.run_path(str(EXAMPLES / "teacher_student.py"))["taught"]
    history, teacher, student = taught(12, 40, 60, 4, 1)
    assert history[-1]["loss"] < 0.02 * history[0]["loss"]
    off = np.median(np.abs(student - teacher), axis=1)
    begun = np.median(np.abs(teacher - teacher.mean(1, keepdims=True)), axis=1)
    assert (off < np.array([0.3, 0.1]) * begun).all(), (off, begun)  # weights, delays


def test_a_network_learns_firing_times() -> None:
    taught = runpy.run_path(str(EXAMPLES / "firing_times.py"))["taught"]
    losses = taught(400, 40, 30, 60, 3e-3, 1)
    assert losses[-1] < 0.01 * losses[0]


@pytest.mark.parametrize(("name", "classes", "channels"), [("yin_yang", 3, 5), ("digits", 10, 64)])
def test_classifiers(name: str, classes: int, channels: int, solo, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Their data has all classes; two epochs of the command line make a network that can be run."""
    for suffix in (".py", ".toml"):
        shutil.copy(EXAMPLES / f"{name}{suffix}", tmp_path)
    solo([f"{name}.py", "--sizes", "60", "20", "20"], cwd=tmp_path)
    with np.load(tmp_path / f"{name}.npz") as data:
        assert data["train_times"].shape == (60, channels)
        assert set(data["train_labels"].tolist()) == set(range(classes))
        assert not set(map(bytes, data["train_times"])) & set(map(bytes, data["test_times"]))
    told = solo(["-m", "sparseprop_dist", "train", f"{name}.toml", "--output", "out", "--epochs", "2"], timeout=280.0, cwd=tmp_path).stdout
    assert re.search(r"^epochs 2  steps 4  test_loss [\d.]+  test_accuracy [\d.]+$", told, re.MULTILINE), told
    solo(["-m", "sparseprop_dist", "run", "out/network.toml", "--until", "10"], timeout=280.0, cwd=tmp_path)
