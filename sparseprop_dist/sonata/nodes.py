"""Node populations of SONATA: which neurons there are, and the parameters of each.

Owns the models that are understood and the units of their parameters: ``nrn:IntFire1`` (tau and refrac in seconds),
``nest:iaf_psc_delta`` (NEST's names and units), and virtual nodes. Knows nothing of edges.
"""

import dataclasses
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sparseprop_dist.errors import InputError, nearest
from sparseprop_dist.models.intfire1 import IntFire1
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.sonata import hdf5
from sparseprop_dist.sonata.elements import Elements
from sparseprop_dist.sonata.settings import read_json

MODELS: dict[str, tuple[type, dict[str, float]]] = {
    "nrn:IntFire1": (IntFire1, {"tau": 1000.0, "refrac": 1000.0, "m": 1.0}),
    "nest:iaf_psc_delta": (LIF, dict.fromkeys(LIF.quantities, 1.0)),
}
"""For each model template the description, and the factor that takes each of its parameters to the units of the description."""
NEURONS = ("point_neuron", "point_process")
"""Values of model_type that mean a point neuron; the second is that of older files."""
SLOW = 10_000.0
"""ms. A time constant of IntFire1 above this was meant in ms more likely than in seconds."""


@dataclass(frozen=True)
class Nodes:
    """A population. Node k of the file is member k, so that ids need no translation."""

    name: str
    size: int
    model: LIF | IntFire1 | None
    """None: virtual nodes, which only send given spikes."""
    file: Path


def read_nodes(path: Path, table: Path | None, models: Path | None) -> list[Nodes]:
    """Return the populations of a nodes file.

    Parameters
    ----------
    path : the HDF5 file
    table : the CSV table of node types, None if there is none
    models : the folder of the JSON files that "dynamics_params" names
    """
    with hdf5.reading(path, "nodes file") as file:
        root = hdf5.group(file, "nodes")
        return [_read_population(hdf5.group(root, name), path, table, models) for name in root]


def _read_population(group: h5py.Group, path: Path, table: Path | None, models: Path | None) -> Nodes:
    elements = Elements("node", group, table)
    if not elements.size:
        raise InputError(f"there are no {elements.where}; add a node, or take the file out of the configuration")
    place = _places(elements)
    kind = _one_word(elements, "model_type", "virtual nodes and neurons")
    if kind == "virtual":
        return Nodes(elements.name, elements.size, None, path)
    if kind not in NEURONS:
        raise InputError(f'the {elements.where} have model_type "{kind}"; supported are "virtual", "point_neuron" and "point_process"')
    template = _one_word(elements, "model_template", "neurons of different models")
    if template not in MODELS:
        supported = f"supported are {', '.join(MODELS)}, and virtual nodes"
        raise InputError(f'the {elements.where} have model_template "{template}"; {supported}{nearest(template, MODELS)}')
    values = _parameters(elements, template, models)
    values = {name: value[place] if isinstance(value, np.ndarray) else value for name, value in values.items()}
    if template == "nrn:IntFire1" and (slowest := np.max(values.get("tau", 0.0))) > SLOW:
        warnings.warn(f"tau of the {elements.where} reaches {slowest:g} ms; SONATA gives tau and refrac in seconds", stacklevel=2)
    try:
        return Nodes(elements.name, elements.size, MODELS[template][0](**values), path)
    except InputError as error:
        raise InputError(f"{elements.where}: {error}") from None


def _places(elements: Elements) -> Any:
    """Return which entry of the file each member is; a slice if they stand in order."""
    in_order = slice(None)
    if "node_id" not in elements.population:
        return in_order
    ids = hdf5.integers(elements.population, "node_id", elements.size)
    expected = np.arange(elements.size)
    if np.array_equal(ids, expected):
        return in_order
    order = np.argsort(ids, kind="stable")
    wrong = np.flatnonzero(ids[order] != expected)
    if wrong.size:
        given = f"node_id of the {elements.where} skips or repeats an id at {ids[order][wrong[0]]}"
        raise InputError(f"{given}; the ids must be 0 to {elements.size - 1}, each once, in any order")
    return order


def _one_word(elements: Elements, name: str, mixture: str) -> str:
    """Return the text that an attribute has for all elements (the two that mean a neuron count as one)."""
    found = []
    for word in elements.words(name)[0]:
        if word is None:
            raise InputError(f"the {elements.where} have no {name}; give it in the table of node types ({elements.table.where})")
        found.append(NEURONS[0] if word in NEURONS else word)
    if len(set(found)) > 1:
        raise InputError(f"the {elements.where} have {name} {' and '.join(found)}; put {mixture} into populations of their own")
    return found[0]


def _parameters(elements: Elements, template: str, models: Path | None) -> dict[str, Any]:
    """Return the parameters that are given, in the units of the description."""
    description, factors = MODELS[template]
    known = {field.name for field in dataclasses.fields(description)}
    words, which = elements.words("dynamics_params")
    rows = [{} if word is None else _read_model(models, word, known, elements) for word in words]
    inside = [group for group in elements.subgroups("dynamics_params") if all(_known(name, known, hdf5.place(group)) for name in group)]
    names = dict.fromkeys(name for row in (*rows, *inside) for name in row)
    values: dict[str, Any] = {}
    for name in names:
        factor = factors.get(name, 1.0)
        given = [row.get(name, getattr(description, name) / factor) for row in rows]
        same = all(value == given[0] for value in given)
        if name in factors:
            column = float(given[0]) if same else np.array(given, dtype=np.float64)[which]
            values[name] = elements.override(column, f"dynamics_params/{name}") * factor
        elif same and not any(name in group for group in inside):
            values[name] = given[0]
        else:
            raise InputError(f"the {elements.where} differ in {name}; put them into populations of their own")
    return values


def _read_model(folder: Path | None, name: str, known: set[str], elements: Elements) -> dict[str, Any]:
    """Return the parameters in a JSON file of point neuron models."""
    if folder is None:
        raise InputError(
            f'the {elements.where} have dynamics_params "{name}", but the components name no "point_neuron_models_dir"; add it'
        )
    path = folder / name
    content = read_json(path, "model file")
    content.pop("type", None)  # repeats the template
    for key, value in content.items():
        _known(key, known, f'"{path}"')
        if key == "refractory_input":
            if not isinstance(value, bool):
                raise InputError(f'"{key}" in "{path}" is {value!r}; it must be true or false')
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f'"{key}" in "{path}" is {value!r}; it must be a number')
    return content


def _known(name: str, known: set[str], where: str) -> bool:
    if name not in known:
        raise InputError(f'{where} has the unknown parameter "{name}"; known are {", ".join(sorted(known))}{nearest(name, known)}')
    return True
