"""The scripts in launch/: what they say where they cannot work. That they do work is seen by whoever reads this: ./launch/test runs it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ["launch/quickstart", "launch/test", ".ci/run"]


@pytest.fixture
def project(tmp_path):
    """A folder with a space in its name that holds the scripts and nothing to install."""
    folder = tmp_path / "a project"
    shutil.copytree(ROOT / "launch", folder / "launch")
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    (folder / "pyproject.toml").write_text("")
    return folder


def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([script], env={**os.environ, **environment}, capture_output=True, text=True, timeout=30, check=False)


def tools(folder: Path) -> str:
    """A PATH with what every Debian has, and no Python."""
    folder.mkdir()
    for name in ("bash", "cat", "cut", "dirname", "env", "mkdir", "sha256sum"):
        (folder / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name}"))
    return str(folder)


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_python_it_says_what_to_install(project, tmp_path, script):
    ended = run(project / script, PATH=tools(tmp_path / "bin"), PYTHON="")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "Python 3.11 or newer is needed, and no python3 was found" in ended.stderr


def test_old_python_is_not_taken(project, tmp_path):
    path = tools(tmp_path / "bin")
    old = Path(path) / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    ended = run(project / "launch/test", PATH=path, PYTHON="")
    assert ended.returncode == 2
    assert "Python 3.9.2 was found" in ended.stderr


def test_python_without_venv_is_named_with_its_remedy(project, tmp_path):
    path = tools(tmp_path / "bin")
    bare = Path(path) / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    bare.chmod(0o755)
    ended = run(project / "launch/quickstart", PATH=path, PYTHON="")
    assert ended.returncode == 2
    assert "apt install python3-venv" in ended.stderr
    assert not (project / ".venv").exists()
