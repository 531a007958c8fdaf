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


@pytest.mark.parametrize(
    ("name", "data", "classes", "channels"),
    [("yin_yang", "yin_yang", 3, 5), ("yin_yang_qif", "yin_yang", 3, 5), ("digits", "digits", 10, 64)],
)
def test_classifiers(name: str, data: str, classes: int, channels: int, solo, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Their data has all classes; two epochs of the command line make a network that can be run."""
    for file in (f"{data}.py", f"{name}.toml"):
        shutil.copy(EXAMPLES / file, tmp_path)
    solo([f"{data}.py", "--sizes", "60", "20", "20"], cwd=tmp_path)
    with np.load(tmp_path / f"{data}.npz") as arrays:
        assert arrays["train_times"].shape == (60, channels)
        assert set(arrays["train_labels"].tolist()) == set(range(classes))
        assert not set(map(bytes, arrays["train_times"])) & set(map(bytes, arrays["test_times"]))
    told = solo(["-m", "sparseprop_dist", "train", f"{name}.toml", "--output", "out", "--epochs", "2"], timeout=280.0, cwd=tmp_path).stdout
    assert re.search(r"^epochs 2  steps 4  test_loss [\d.]+  test_accuracy [\d.]+$", told, re.MULTILINE), told
    solo(["-m", "sparseprop_dist", "run", "out/network.toml", "--until", "10"], timeout=280.0, cwd=tmp_path)
