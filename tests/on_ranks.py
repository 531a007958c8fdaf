"""Runs networks on all ranks of a job and prints a digest of the spikes of each, as JSON: ``on_ranks.py FOLDER``. Must not depend on
ranks or windows."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cases import random_case
from described import DESCRIBED
from networks import network_of, with_delays

from sparseprop_dist import store
from sparseprop_dist.description import Network
from sparseprop_dist.exchange import world
from sparseprop_dist.simulate import simulate

PRESETS = {
    "single": 21,
    "driven": 21,
    "inhibitory": 22,
    "poisson": 22,
    "ties": 21,
    "ties_few": 22,
    "cascade": 21,
    "cascade_free": 22,
    "twins": 21,
    "no_refractory": 22,
    "refractory_input": 21,
}
"""And the seed of each."""


MOST_WINDOWS = 200
"""Of the longest kind, in a run: each is an exchange between all ranks, and ranks share cores here."""
IN_SHORT_WINDOWS = ("ties_few-22", "refractory_input-21", "mixed")


def runs() -> Iterator[tuple[str, Network, float, float]]:
    """Name, network, how long to run it (ms), and its smallest delay (ms)."""
    for preset, seed in PRESETS.items():
        case = random_case(seed, preset)
        delay = min((s.delay for s in case.synapses if s.delay), default=1.0)
        yield case.name, network_of(case), min(case.until, MOST_WINDOWS * delay), delay
    case = with_delays(random_case(23, "ties_few"))
    yield "ties_few, sources and neurons in one pool", network_of(case, "mixed"), case.until, 0.25
    case = replace(random_case(23, "cascade"), until=60.0)
    yield "cascade, rows of one weight", network_of(case, "synapses"), 60.0, 0.25
    for name in ("brunel", "drawn", "several_inputs", "mixed", "restless", "unconnected"):
        yield name, DESCRIBED[name](9), 30.0, 0.5
    yield "wide", DESCRIBED["wide"](9), 12.0, 0.5


def digest(network: Network, until: float, **how: object) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # more ranks than neurons
        spikes = simulate(network, until, **how).spikes  # type: ignore[arg-type]
    data = spikes.times[:].tobytes() + spikes.ids[:].tobytes()
    return f"{len(spikes.times[:])} {hashlib.sha256(data).hexdigest()[:16]}"


def digests(folder: Path) -> dict[str, str]:
    found = {}
    for name, network, until, delay in runs():
        found[name] = digest(network, until)
        if name in IN_SHORT_WINDOWS:
            found[f"{name}, a tenth"] = digest(network, until, window=delay / 10.0)
            found[f"{name}, odd windows, ordered"] = digest(network, until, window=delay / 3.7, schedule="ordered")
    # files of 64 spikes, so that many are written, and spikes of one file are on several ranks
    store.CHUNK, store.READ_CHUNK = 64, 16
    for name, network, until, _ in runs():
        if name in ("single-21", "ties_few-22", "cascade_free-22", "twins-21", "unconnected"):
            path = folder / name
            found[f"{name}, on disk"] = digest(network, until, output=path, window=0.4)
            files = sorted(file for file in (path / "spikes.zarr").rglob("*") if file.is_file())
            content = b"".join(str(file.relative_to(path)).encode() + file.read_bytes() for file in files)
            found[f"{name}, files"] = f"{len(files)} {hashlib.sha256(content).hexdigest()[:16]}"
    return found


if __name__ == "__main__":
    own = digests(Path(sys.argv[1]))
    ranks = world()
    assert all(other == own for other in ranks.collect(own)), "all ranks have the same result"
    if ranks.rank == 0:
        print(json.dumps(own))
