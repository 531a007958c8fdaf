"""Networks as TOML text.

Owns the writing of a description; reading belongs to ``config``. Numbers are written so that they are read back with the same bits, lists
and distributions on one line (tomli-w would spread a list over as many lines as it has values, and make a table of a distribution).
"""

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from sparseprop_dist.configuration import Configuration
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Distribution
from sparseprop_dist.errors import InputError
from sparseprop_dist.inputs import Current
from sparseprop_dist.models.parameters import same
from sparseprop_dist.recordings import default_name
from sparseprop_dist.rules import Pairs
from sparseprop_dist.synapses import STORAGES

MOST_NUMBERS = 1_000_000
RUN_KEYS = ("until", "output", "window", "schedule")


def dump(described: Network | Configuration, path: str | os.PathLike[str]) -> None:
    """Write a TOML file from which `load` makes the same; see `dumps`."""
    text = dumps(described)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f'"{path}" cannot be written: {error.strerror}') from None


def dumps(described: Network | Configuration) -> str:
    """The TOML text from which `loads` makes the same network, and the same way to run it.

    Raises
    ------
    InputError
        for arrays of more than a million numbers in all that came from no file.
    """
    found = described if isinstance(described, Configuration) else Configuration(described)
    network = found.network
    tables: list[tuple[str, dict[str, Any]]] = [("[network]", {"seed": network.seed})]
    for population in network.populations:
        plain = {"size": population.size, "model": population.model.kind, **_plain(population.model)}
        tables.append((f"[populations.{key_text(population.name)}]", plain))
    for projection in network.projections:
        columns = projection.rule.origin.columns if isinstance(projection.rule, Pairs) and projection.rule.origin else {}
        given = {"weight": projection.weight, "delay": projection.delay}
        own = {name: value for name, value in given.items() if value is not columns.get(name)}
        ends = {"source": list(projection.sources), "target": list(projection.targets), "rule": projection.rule.kind}
        kept = {"storage": projection.storage} if projection.storage != STORAGES[0] else {}
        tables.append(("[[projections]]", {**ends, **_plain(projection.rule), **own, **kept}))
    for driven in network.inputs:
        ends = {"kind": driven.kind.kind, "target": list(driven.targets)}
        spikes = {} if isinstance(driven.kind, Current) else {"weight": driven.weight, "delay": driven.delay}
        tables.append(("[[inputs]]", {**ends, **_plain(driven.kind), **spikes}))
    for recording in network.recordings:
        values = {name: value for name, value in _plain(recording).items() if name not in ("name", "what", "targets")}
        named = {} if recording.name == default_name(recording.what, recording.targets) else {"name": recording.name}
        tables.append(("[[recordings]]", {"what": recording.what, "target": list(recording.targets), **named, **values}))
    run = {name: value for name in RUN_KEYS if (value := getattr(found, name)) is not None}
    if run:
        tables.append(("[run]", run))
    n_numbers = sum(value.size for _, table in tables for value in table.values() if isinstance(value, np.ndarray))
    if n_numbers > MOST_NUMBERS:
        allowed = f"more than the {MOST_NUMBERS} that are written into a TOML file"
        raise InputError(f"the network holds arrays of {n_numbers} numbers, {allowed}; keep them in HDF5 files and load them from there")
    return "\n".join(f"{head}\n" + "".join(f"{key} = {value_text(value)}\n" for key, value in table.items()) for head, table in tables)


def _plain(described: Any) -> dict[str, Any]:
    """The keys of a model, rule or kind of input that differ from their defaults."""
    origin = getattr(described, "origin", None)
    if origin:
        return {"file": origin.file} | ({"file_population": origin.population} if origin.population is not None else {})
    given = {field.name: (getattr(described, field.name), field.default) for field in dataclasses.fields(described) if field.compare}
    return {name: value for name, (value, default) in given.items() if not same(value, default)}


def value_text(value: Any) -> str:
    """A string, truth value, number, array, list, table or distribution; a float so that it is read back with the same bits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, np.ndarray):
        return value_text(value.tolist())
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if isinstance(value, Distribution):
        fields = [field for field in dataclasses.fields(value) if getattr(value, field.name) != field.default]  # type: ignore[arg-type]
        return value_text({"distribution": value.kind} | {field.name: getattr(value, field.name) for field in fields})
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key_text(key)} = {value_text(item)}" for key, item in value.items()) + "}"
    if callable(value):
        raise InputError("the network holds a function of Python, which no TOML file can; give its text instead, as an expression")
    raise TypeError(f"TOML has no {type(value).__name__}")


def key_text(key: str) -> str:
    """A key, quoted where it must be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else value_text(key)
