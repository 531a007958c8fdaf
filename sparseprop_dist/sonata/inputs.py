"""The spikes that virtual nodes send: the "inputs" of a configuration, and the node sets that say whose they are.

Owns node sets, as far as they choose by population and node id. Knows nothing of models or edges.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.errors import InputError, nearest
from sparseprop_dist.inputs import SpikeTrains
from sparseprop_dist.rules import Origin
from sparseprop_dist.sonata.settings import Settings, read_json
from sparseprop_dist.sonata.spikes import read_spikes

Members = dict[str, NDArray[np.int64] | None]
"""For each population its nodes in the set; None: all."""
MODULES = ("h5", "sonata")


def read_inputs(settings: Settings, virtual: Mapping[str, int], neurons: Mapping[str, int]) -> dict[str, SpikeTrains]:
    """Return the spikes of each virtual population (none for those that no input names).

    Parameters
    ----------
    settings : the configuration
    virtual, neurons : number of nodes of each population of either kind
    """
    parts: dict[str, list[SpikeTrains]] = {name: [] for name in virtual}
    sets = _read_sets(settings)
    for name, entry in settings.section("inputs").items():
        where = f'input "{name}" of "{settings.file("inputs")}"'
        path = _spike_file(settings, entry, where)
        for population, members in _resolve(entry.get("node_set"), sets, {**virtual, **neurons}, where).items():
            if population not in virtual:
                raise InputError(
                    f'{where} sends spikes from population "{population}", whose nodes are neurons; only virtual nodes can be given spikes'
                )
            times, ids = read_spikes(path, population)
            origin: Origin | None = Origin(os.path.abspath(path), population)
            if members is not None:
                chosen = np.isin(ids, members)
                times, ids, origin = times[chosen], ids[chosen], None
            if ids.size and ids.max() >= virtual[population]:
                last = virtual[population] - 1
                raise InputError(
                    f'"{path}" has spikes of node {ids.max()}, but population "{population}" has nodes 0 to {last}; mend the file'
                )
            parts[population].append(SpikeTrains(times, ids, origin=origin))
    return {name: _merged(found) for name, found in parts.items()}


def _merged(parts: list[SpikeTrains]) -> SpikeTrains:
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([np.zeros(0), *(part.times for part in parts)])
    ids = np.concatenate([np.zeros(0, np.int64), *(part.ids for part in parts)])
    order = np.argsort(times, kind="stable")
    return SpikeTrains(times[order], ids[order])


def _spike_file(settings: Settings, entry: Any, where: str) -> Path:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {json.dumps(entry)[:60]}; it must be an object {{...}}")
    kind, module = entry.get("input_type"), entry.get("module", MODULES[0])
    if kind != "spikes" or module not in MODULES:
        given = f"input_type {json.dumps(kind)} and module {json.dumps(module)}"
        raise InputError(f'{where} has {given}; supported is input_type "spikes" with module "h5" or "sonata"')
    return settings.locate("inputs", entry.get("input_file"), "input_file")


def _read_sets(settings: Settings) -> dict[str, Any]:
    path = settings.named_file("node_sets_file")
    return {} if path is None else read_json(path, "node sets file")


def _resolve(given: Any, sets: Mapping[str, Any], sizes: Mapping[str, int], where: str, above: tuple[str, ...] = ()) -> Members:
    """Return the nodes of a node set: its name, its definition, a population's name, or a list of these."""
    if isinstance(given, str) and given in sets and given not in above:
        return _resolve(sets[given], sets, sizes, where, (*above, given))
    if isinstance(given, str):
        if given not in sizes:
            raise InputError(
                f'{where} names the node set "{given}", which is neither in the node sets nor a population{nearest(given, [*sets, *sizes])}'
            )
        return {given: None}
    if isinstance(given, list):
        return _union([_resolve(part, sets, sizes, where, above) for part in given])
    if not isinstance(given, dict):
        raise InputError(f"{where} has node_set {json.dumps(given)}; it must name a node set or a population")
    if unknown := set(given) - {"population", "node_id"}:
        raise InputError(f'{where} has a node set that chooses by "{sorted(unknown)[0]}"; supported are "population" and "node_id"')
    names, ids = given.get("population"), given.get("node_id")
    names = names if isinstance(names, list) else [names]
    for name in names:
        if name not in sizes:
            raise InputError(f"{where} has a node set with population {json.dumps(name)}; the populations are {', '.join(sizes)}")
    if ids is None:
        return dict.fromkeys(names)
    members = np.asarray(ids if isinstance(ids, list) else [ids])
    if members.dtype.kind != "i" or members.ndim != 1:
        raise InputError(f"{where} has a node set with node_id {json.dumps(ids)[:60]}; it must be a list of whole numbers")
    return dict.fromkeys(names, members)


def _union(parts: list[Members]) -> Members:
    together: Members = {}
    for part in parts:
        for name, members in part.items():
            known = together.get(name, members)
            together[name] = None if known is None or members is None else np.union1d(known, members)
    return together
