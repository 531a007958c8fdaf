"""Networks with recordings of all kinds. As a program, it prints digests of all that is recorded, values and files: they must not depend on
ranks."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from described import DESCRIBED

from sparseprop_dist import sampling
from sparseprop_dist.description import Network
from sparseprop_dist.exchange import world
from sparseprop_dist.inputs import Poisson
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.lif_psc_exp import LIFPscExp
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.recordings import quantities
from sparseprop_dist.rules import FixedIndegree
from sparseprop_dist.simulate import simulate


def recording(network: Network, *asked: Callable[[Network], Any]) -> Network:
    """The network with recordings."""
    twin = Network(network.seed)
    twin.populations, twin.projections, twin.inputs = network.populations, network.projections, network.inputs
    for ask in asked:
        ask(twin)
    return twin


def neuron_names(network: Network) -> list[str]:
    return [population.name for population in network.populations if not population.is_source]


def everything(network: Network) -> Network:
    """With recordings of all kinds."""
    names = neuron_names(network)
    alike = [name for name in names if type(network.population(name).model) is type(network.population(names[-1]).model)]
    n = sum(network.population(name).size for name in alike)
    draw = np.random.default_rng(3)
    others = list(quantities(network.population(names[-1]).model))[1:]
    return recording(
        network,
        lambda twin: twin.record("V", alike, every=0.37),
        lambda twin: twin.record("V", names[-1:], times=np.unique(draw.uniform(0.0, 8.0, 50)), name="some times"),
        lambda twin: twin.record("V", alike[::-1], every=1.0, start=2.3, stop=7.1, neurons=draw.permutation(n)[: n // 2], name="half"),
        *(functools.partial(Network.record, what=what, target=alike, every=0.41) for what in others),
        lambda twin: twin.record("count", names, bin=0.1),
        lambda twin: twin.record("count", names[::-1], bin=2.7, start=1.3, stop=6.9, name="few bins"),
    )


def without_delay(seed: int) -> Network:
    """Synapses without delay among two models, and with one."""
    network = Network(seed)
    network.add_population("q", 40, QIF(I=0.5, V_m=np.random.default_rng(seed).uniform(-3.0, 3.0, 40)))
    network.add_population("l", 30, LIF(E_L=0.0, V_th=10.0, V_reset=0.0, I_e=400.0, V_m=np.linspace(0.0, 9.0, 30)))
    network.connect("q", "q", FixedIndegree(5), weight=-0.3, delay=0.0)
    network.connect("l", ["l", "q"], FixedIndegree(3), weight=-0.4, delay=0.0)
    network.connect("l", "l", FixedIndegree(3), weight=0.7, delay=1.5)
    network.add_input(["q", "l"], Poisson(100.0), weight=0.2)
    return network


def with_currents(seed: int) -> Network:
    """Exponential currents."""
    network = Network(seed)
    network.add_population("n", 50, LIFPscExp(I_e=380.0, V_m=np.random.default_rng(seed).uniform(-70.0, -56.0, 50)))
    network.connect("n", "n", FixedIndegree(5), weight=-40.0, delay=1.5)
    network.add_input("n", Poisson(1000.0), weight=60.0)
    return network


def digests(folder: Path) -> dict[str, str]:
    found = {}
    sampling.BLOCK, sampling.CHUNK = 300, 64  # many chunks, on all ranks
    networks = {name: DESCRIBED[name](8) for name in ("brunel", "mixed", "unconnected")}
    few = Network()
    few.add_population("n", 2, LIF(I_e=400.0))
    currents = {"currents": with_currents(8)}
    for name, network in {**networks, **currents, "without delay": without_delay(8), "few": few}.items():
        for output in (None, folder / name):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # more ranks than neurons
                recorded = simulate(everything(network), 20.0, output=output).recordings
            for key, own in recorded.items():
                data = own.values.tobytes() + own.times.tobytes() + (b"" if own.ids is None else own.ids.tobytes())
                found[f"{name}, {key}{' on disk' if output else ''}"] = hashlib.sha256(data).hexdigest()
        files = sorted(file for file in (folder / name / "recordings.zarr").rglob("*") if file.is_file())
        content = b"".join(str(file.relative_to(folder)).encode() + file.read_bytes() for file in files)
        found[f"{name}, files"] = f"{len(files)} {hashlib.sha256(content).hexdigest()}"
    return found


if __name__ == "__main__":
    own = digests(Path(sys.argv[1]))
    ranks = world()
    assert all(other == own for other in ranks.collect(own)), "all ranks have the same result"
    if ranks.rank == 0:
        print(json.dumps(own))
