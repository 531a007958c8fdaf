"""The examples of the README and of docs/examples do what they say: they describe the same networks, and run."""

import re
import runpy
from pathlib import Path

import pytest

import sparseprop_dist as sp

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = ROOT / "docs" / "examples"


class Described(Exception):
    """Stops an example where it would simulate."""


def block(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return text


def described_by(script: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[sp.Network, float]:
    """The network that a Python script would simulate, and for how long."""

    def simulate(network, until, **_):
        raise Described(network, until)

    monkeypatch.setitem(vars(sp), "simulate", simulate)
    with pytest.raises(Described) as stopped:
        runpy.run_path(str(script))
    return stopped.value.args[0], stopped.value.args[1]


def test_readme_in_toml_and_in_python(tmp_path, monkeypatch):
    (tmp_path / "net.toml").write_text(block("toml"), "utf-8")
    (tmp_path / "net.py").write_text(block("python"), "utf-8")
    configuration = sp.load(tmp_path / "net.toml")
    assert described_by(tmp_path / "net.py", monkeypatch) == (configuration.network, configuration.until)


def test_brunel_in_toml_and_in_python(monkeypatch):
    configuration = sp.load(EXAMPLES / "brunel.toml")
    assert described_by(EXAMPLES / "brunel.py", monkeypatch) == (configuration.network, configuration.until)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_example_is_read(path):
    configuration = sp.load(path)
    assert configuration.network.n_neurons > 0
    assert configuration.until


def test_readme_in_python_runs(solo, tmp_path):
    script = tmp_path / "net.py"
    script.write_text(block("python").replace("until=500.0", "until=20.0"), "utf-8")
    assert solo([script], timeout=200.0, cwd=tmp_path).stdout.startswith("[")


def test_readme_in_toml_runs(solo, tmp_path):
    (tmp_path / "net.toml").write_text(block("toml"), "utf-8")
    told = solo(["-m", "sparseprop_dist", "run", "net.toml", "--until", "20", "--picture"], timeout=200.0, cwd=tmp_path).stdout
    assert re.search(r"^run directory +net_run$", told, re.MULTILINE)
    assert {path.name for path in (tmp_path / "net_run").iterdir()} >= {"spikes.zarr", "provenance.json", "raster.png"}
