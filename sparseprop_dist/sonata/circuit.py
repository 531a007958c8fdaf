"""A SONATA configuration as a network and a run: :func:`load`.

Owns the order: node populations as the configuration lists them, then edge populations likewise, which is the order of synapses on a tie.
"""

import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

from sparseprop_dist.configuration import Configuration
from sparseprop_dist.description import Network
from sparseprop_dist.errors import InputError
from sparseprop_dist.rules import Pairs
from sparseprop_dist.sonata.edges import read_edges
from sparseprop_dist.sonata.inputs import read_inputs
from sparseprop_dist.sonata.nodes import Nodes, read_nodes
from sparseprop_dist.sonata.settings import Settings


def load(path: str | os.PathLike[str]) -> Configuration:
    """Read the JSON configuration of a SONATA simulation.

    Understood are the node models ``nrn:IntFire1`` (tau and refrac in seconds, as in the published networks), ``nest:iaf_psc_delta`` and
    virtual nodes; instantaneous synapses; input spikes in HDF5. Of a simulation "run/tstop" and "output/output_dir" are used.

    Parameters
    ----------
    path : the file that names the circuit and the simulation file, or either of these, or one file with all sections

    Returns
    -------
    Configuration
        network, until = tstop (ms; None without one) and output = output_dir. "overwrite_output_dir" is not obeyed: no run is ever
        overwritten.

    Raises
    ------
    InputError
        in one sentence that names the file and what to mend.
    """
    settings = Settings(Path(path))
    nodes = _read_all_nodes(settings)
    network = Network()
    trains = read_inputs(
        settings,
        {part.name: part.size for part in nodes if part.model is None},
        {part.name: part.size for part in nodes if part.model is not None},
    )
    for part in nodes:
        try:
            network.add_population(part.name, part.size, trains[part.name] if part.model is None else part.model)
        except InputError as error:
            raise InputError(f'nodes of "{part.file}": {error}') from None
    _connect(network, settings, {part.name: part.size for part in nodes})
    if settings.section("reports"):
        warnings.warn(f'"reports" in "{settings.file("reports")}" is not supported, and left out: only spikes are recorded', stacklevel=2)
    return _configuration(settings, network)


def _read_all_nodes(settings: Settings) -> list[Nodes]:
    models = _component(settings, "point_neuron_models_dir")
    nodes = [part for file, table in _files(settings, "nodes") for part in read_nodes(file, table, models)]
    if not any(part.model is not None for part in nodes):
        given = "only virtual nodes" if nodes else 'no nodes: "networks" must list "nodes" files'
        raise InputError(f'the configuration "{settings.path}" has {given}; there is nothing to simulate')
    return nodes


def _connect(network: Network, settings: Settings, sizes: dict[str, int]) -> None:
    models = _component(settings, "synaptic_models_dir")
    for file, table in _files(settings, "edges"):
        for edges in read_edges(file, table, models, sizes):
            try:
                pairs = Pairs(edges.sources, edges.targets)
                network.connect(edges.source, edges.target, pairs, weight=edges.weight, delay=edges.delay)
            except InputError as error:
                raise InputError(f"{edges.where}: {error}") from None


def _files(settings: Settings, kind: str) -> list[tuple[Path, Path | None]]:
    """Return the HDF5 file and the table of types of each entry of networks/nodes or networks/edges."""
    entries = settings.section("networks").get(kind, [])
    file = settings.file("networks")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f'"networks" in "{file}" must have a list of objects {{"{kind}_file": ...}} as "{kind}"')
    found = []
    for entry in entries:
        table = entry.get(f"{kind[:-1]}_types_file")
        located = None if table is None else settings.locate("networks", table, f"{kind[:-1]}_types_file")
        found.append((settings.locate("networks", entry.get(f"{kind}_file"), f"{kind}_file"), located))
    return found


def _component(settings: Settings, name: str) -> Path | None:
    folder = settings.section("components").get(name)
    return None if folder is None else settings.locate("components", folder, name)


def _configuration(settings: Settings, network: Network) -> Configuration:
    run, file = settings.section("run"), settings.file("run")
    until = _number(run.get("tstop"), "tstop", file)
    if until is not None and until <= 0.0:
        raise InputError(f'"tstop" in "{file}" is {until:g}; it must be a time in ms above 0')
    if _number(run.get("tstart"), "tstart", file):
        raise InputError(f'"tstart" in "{file}" is {run["tstart"]:g}; runs start at 0 ms: leave it out')
    folder = settings.section("output").get("output_dir")
    output = None if folder is None else os.path.abspath(settings.locate("output", folder, "output_dir"))
    return Configuration(network=network, until=until, output=output, path=str(settings.path))


def _number(value: Any, name: str, file: Path) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f'"{name}" in "{file}" is {json.dumps(value)}; it must be a number in ms')
    return float(value)
