"""Edge populations of SONATA: who projects to whom, with which weight and delay.

Owns how a synapse follows from an edge. Attributes stand in the table of edge types or, edge by edge, in the HDF5 group, which goes first.
target_query and source_query only say how the edges were once chosen, and are not read.

Formula: weight = sign * syn_weight * nsyns; the delay is as given, in ms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.errors import InputError, nearest
from sparseprop_dist.sonata import hdf5
from sparseprop_dist.sonata.elements import Column, Elements
from sparseprop_dist.sonata.settings import read_json

INSTANT = ("instanteneous", "instantaneous")
"""Spellings of the one level of detail that is understood; the first is that of the published synaptic models."""
PLAIN_TEMPLATES = (None, "static_synapse", "nest:static_synapse")


@dataclass(frozen=True)
class Edges:
    """One edge population: edge k goes from node ``sources[k]`` of population `source` to node ``targets[k]`` of population `target`."""

    source: str
    target: str
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    weight: Column
    delay: Column
    where: str


def read_edges(path: Path, table: Path | None, models: Path | None, sizes: Mapping[str, int]) -> list[Edges]:
    """Return the edge populations of a file.

    Parameters
    ----------
    path : the HDF5 file
    table : the CSV table of edge types, None if there is none
    models : the folder of the JSON files that "dynamics_params" names
    sizes : number of nodes of each population
    """
    with hdf5.reading(path, "edges file") as file:
        root = hdf5.group(file, "edges")
        populations = (Elements("edge", hdf5.group(root, name), table) for name in root)
        return [_edges(elements, models, sizes) for elements in populations if elements.size]


def _edges(elements: Elements, models: Path | None, sizes: Mapping[str, int]) -> Edges:
    source, sources = _ends(elements, "source_node_id", sizes)
    target, targets = _ends(elements, "target_node_id", sizes)
    _check_plain(elements)
    weight = _signs(elements, models) * elements.numbers("syn_weight") * elements.numbers("nsyns", default=1.0)
    return Edges(source, target, sources, targets, _collapsed(weight), _collapsed(elements.numbers("delay")), elements.where)


def _ends(elements: Elements, name: str, sizes: Mapping[str, int]) -> tuple[str, NDArray[np.int64]]:
    """Return the population that edges start from (or go to) and the node of each."""
    ids = hdf5.integers(elements.population, name, elements.size)
    column = elements.population[name]
    population = hdf5.attribute(column, "node_population") or hdf5.attribute(column, "network")
    if population is None:
        raise InputError(f'{hdf5.place(column)} has no attribute "node_population"; it must name the population of the nodes')
    if population not in sizes:
        known = nearest(population, sizes) or f"; they have {', '.join(sizes) or 'none'}"
        raise InputError(f'{hdf5.place(column)} names the node population "{population}", which the nodes files lack{known}')
    size = sizes[population]
    if ids.size and ids.max() >= size:
        edge = int(np.argmax(ids >= size))
        end = name.split("_", 1)[0]
        given = f'edge {edge} of the {elements.where} has {end} node {ids[edge]}, but population "{population}" has nodes 0 to {size - 1}'
        raise InputError(f"{given}; mend the edge, or add the node")
    return population, ids


def _check_plain(elements: Elements) -> None:
    """Refuse what would make a synapse more than a jump: templates, weight functions that need positions, parameters by edge."""
    for template in elements.words("model_template")[0]:
        if template not in PLAIN_TEMPLATES:
            raise InputError(f'the {elements.where} have model_template "{template}"; supported are static_synapse and NULL')
    if not all("syn_weight" in block.group for block in elements.blocks) or not elements.blocks:
        for function in elements.words("weight_function")[0]:
            if function not in (None, "wmax"):
                given = f'the {elements.where} have weight_function "{function}"'
                raise InputError(f"{given}; supported is wmax (the weight is syn_weight), or syn_weight by edge in the HDF5 group")
    for parameters in elements.subgroups("dynamics_params"):
        if len(parameters):
            name = next(iter(parameters))
            raise InputError(
                f'{hdf5.place(parameters)} gives "{name}" by edge; supported are "syn_weight", "nsyns" and "delay" in the group above'
            )


def _signs(elements: Elements, models: Path | None) -> Column:
    """Return 1 or -1: what the synaptic model of each edge makes of its weight."""
    words, which = elements.words("dynamics_params")
    signs = np.array([1.0 if word is None else _read_sign(models, word, elements) for word in words])
    return float(signs[0]) if signs.size and np.all(signs == signs[0]) else signs[which]


def _read_sign(folder: Path | None, name: str, elements: Elements) -> float:
    if folder is None:
        raise InputError(f'the {elements.where} have dynamics_params "{name}", but the components name no "synaptic_models_dir"; add it')
    path = folder / name
    content = read_json(path, "synaptic model")
    detail, sign = content.pop("level_of_detail", INSTANT[0]), content.pop("sign", 1)
    if content or detail not in INSTANT:
        given = f'"{next(iter(content))}"' if content else f'level_of_detail "{detail}"'
        raise InputError(
            f'the synaptic model "{path}" has {given}; supported are instantaneous synapses, with "level_of_detail" and "sign" alone'
        )
    if isinstance(sign, bool) or sign not in (1, -1):
        raise InputError(f'"sign" in "{path}" is {sign!r}; it must be 1 or -1')
    return float(sign)


def _collapsed(values: Column) -> Column:
    """Return one number if all values are equal: an array costs memory for each synapse."""
    if not isinstance(values, np.ndarray):
        return values
    return float(values[0]) if np.all(values == values[0]) else hdf5.sealed(values)
