"""Networks from TOML files.

Owns the form of the file: tables, keys, and the paths in it (relative to its folder). The meaning of the values, and whether they fit,
belongs to the description; the only importer of pydantic, which compares keys and their types with the fields of the description's
classes, so that a new parameter of a model or rule is a key of its table without a word here.
"""

import dataclasses
import functools
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from sparseprop_dist.configuration import Configuration
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import DISTRIBUTIONS
from sparseprop_dist.errors import InputError, nearest
from sparseprop_dist.inputs import Current, Poisson, SampledCurrent, SineCurrent, SpikeTrains, StepCurrent
from sparseprop_dist.interruption import changed
from sparseprop_dist.models.eif import EIF
from sparseprop_dist.models.flow import Flow
from sparseprop_dist.models.intfire1 import IntFire1
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.lif_psc_exp import LIFPscExp
from sparseprop_dist.models.parameters import frozen, spoken
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.quantile import Floats
from sparseprop_dist.recordings import Recording
from sparseprop_dist.rules import RULES, Origin, Pairs
from sparseprop_dist.toml_text import dump, dumps

__all__ = ["Configuration", "FilePairs", "dump", "dumps", "load", "load_pairs", "load_spikes", "loads"]

MODELS: dict[str, type[Any]] = {model.kind: model for model in (LIF, QIF, IntFire1, EIF, Flow, LIFPscExp, SpikeTrains)}
MODELS["iaf_psc_exp"] = LIFPscExp  # NEST's name for it
INPUTS: dict[str, type[Any]] = {kind.kind: kind for kind in (Poisson, SpikeTrains, StepCurrent, SampledCurrent, SineCurrent)}
Names = str | list[str]


class FilePairs(NamedTuple):
    """Synapses read from a file; unpack as ``rule, weight, delay``."""

    rule: Pairs
    weight: Floats | None
    """(n_synapses,) mV, None if the file has none."""
    delay: Floats | None
    """(n_synapses,) ms, None if the file has none."""


# --- the form of the tables; a description says what is allowed, for the sentence that refuses anything else ---


class Table(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NetworkTable(Table):
    seed: int = Field(0, description="a whole number of at least 0")


class RunTable(Table):
    until: float | None = Field(None, gt=0.0, allow_inf_nan=False, description="a positive number of ms")
    output: str | None = Field(None, min_length=1, description="the path of a directory")
    window: float | None = Field(None, gt=0.0, allow_inf_nan=False, description="a positive number of ms")
    schedule: Literal["auto", "ordered", "slab", "instant"] | None = Field(None, description='"auto", "slab", "instant" or "ordered"')


class CheckpointTable(Table):
    every: float | None = Field(None, gt=0.0, allow_inf_nan=False, description="a positive number of ms")
    every_wall: float | None = Field(None, gt=0.0, allow_inf_nan=False, description="a positive number of seconds")
    keep: int | None = Field(None, ge=1, description="a whole number of at least 1")


class TrainTable(Table):
    data: str = Field(min_length=1, description="the path of a .npz file")
    source: str = Field(description="the name of a population of spike trains")
    outputs: str = Field(description="the name of a population, one neuron a class")
    scale: float = Field(gt=0.0, description="a positive number of ms")
    silent: float = Field(gt=0.0, description="a positive number of ms")
    early: float = Field(0.0, ge=0.0, description="a number of at least 0")
    early_scale: float = Field(10.0, gt=0.0, description="a positive number of ms")
    epochs: int = Field(ge=1, description="a whole number of at least 1")
    batch: int = Field(100, ge=1, description="a whole number of at least 1")
    wrt: list[str] = Field(["weight"], description="a list of names of parameters")
    optimiser: Literal["adam", "sgd"] = Field("adam", description='"adam" or "sgd"')
    rate: float = Field(gt=0.0, description="a positive number")
    clip: float = Field(float("inf"), gt=0.0, description="a positive number")
    decay: float = Field(1.0, gt=0.0, le=1.0, description="a number above 0, at most 1")
    decay_every: int = Field(1, ge=1, description="a whole number of at least 1, of steps")
    wake: list[dict[str, Any]] = Field([], description="tables with populations, low, high and step")
    keep_signs: bool = Field(False, description="true or false")
    bounds: dict[str, list[float]] = Field({}, description="a table of [least, most] by name")


class Document(Table):
    network: dict[str, Any] = Field({}, description="a table, [network]")
    populations: dict[str, dict[str, Any]] = Field(description="tables, such as [populations.exc]")
    projections: list[dict[str, Any]] = Field([], description="tables, each headed [[projections]]")
    inputs: list[dict[str, Any]] = Field([], description="tables, each headed [[inputs]]")
    recordings: list[dict[str, Any]] = Field([], description="tables, each headed [[recordings]]")
    run: dict[str, Any] = Field({}, description="a table, [run]")
    train: dict[str, Any] = Field({}, description="a table, [train]")
    checkpoint: dict[str, Any] = Field({}, description="a table, [checkpoint]")


POOL = Field(description="the name of a population, or a list of names")
COMMON_KEYS: dict[str, dict[str, Any]] = {
    "population": {"model": (Any, ...), "size": (int, Field(description="a whole number of at least 1")), "like": (Any, None)},
    "projection": {"source": (Names, POOL), "target": (Names, POOL), "rule": (Any, ...), "weight": (Any, ...), "delay": (Any, ...)}
    | {"storage": (Any, "stored")},
    "input": {"kind": (Any, ...), "target": (Names, POOL), "weight": (Any, ...), "delay": (Any, 0.0)},
    "current": {"kind": (Any, ...), "target": (Names, POOL)},
    "distribution": {"distribution": (Any, ...)},
}
FILE = (str | None, Field(None, min_length=1, description="the path of a file"))
FILE_POPULATION = (str | None, Field(None, min_length=1, description="the name of a population in that file"))


@functools.cache
def _table(described: Any, of: str) -> type[BaseModel]:
    """The table of a class of the description: its fields, and the keys that all tables ``of`` this kind have."""
    keys: dict[str, Any] = dict(COMMON_KEYS[of])
    for field in dataclasses.fields(described):
        if field.compare:
            keys[field.name] = (Any, ... if field.default is dataclasses.MISSING else field.default)
    if described is Pairs or described is SpikeTrains:  # their arrays may stand in a file instead
        optional = [field.name for field in dataclasses.fields(described) if field.compare]
        keys |= dict.fromkeys(optional, (Any, None)) | {"file": FILE}
        keys |= {"weight": (Any, None), "delay": (Any, None)} if described is Pairs else {"file_population": FILE_POPULATION}
    return create_model(described.__name__, __base__=Table, **keys)


@functools.cache
def _recording_table() -> type[BaseModel]:
    optional = [field.name for field in dataclasses.fields(Recording) if field.name not in ("what", "targets", "start")]
    keys: dict[str, Any] = {"what": (Any, ...), "target": (Names, POOL), "start": (Any, 0.0)} | dict.fromkeys(optional, (Any, None))
    return create_model("recording", __base__=Table, **keys)


def _checked(table: type[BaseModel], raw: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The keys of ``table`` with the values of ``raw``, or defaults; an InputError for one that is unknown, missing or of a wrong type."""
    try:
        return dict(table.model_validate(raw))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
    unknown = next((item for item in found if item["type"] == "extra_forbidden"), None)
    if unknown:
        key = str(unknown["loc"][-1])
        raise InputError(f'the key "{key}" in {where} is unknown{nearest(key, table.model_fields) or _known(table.model_fields)}') from None
    key = str(found[0]["loc"][0])
    if found[0]["type"] == "missing":
        raise InputError(f'{where} lacks the key "{key}"') from None
    raise InputError(f"{key} in {where} is {spoken(raw[key])}; give {table.model_fields[key].description}") from None


def _known(words: Mapping[str, Any]) -> str:
    return "; known are " + ", ".join(words)


def _class(classes: Mapping[str, Any], raw: Mapping[str, Any], key: str, where: str) -> Any:
    """The class that a key of a table names."""
    if key not in raw:
        raise InputError(f'{where} lacks the key "{key}"{_known(classes)}')
    name = raw[key]
    if not isinstance(name, str):
        raise InputError(f"{key} in {where} is {spoken(name)}{_known(classes)}")
    if name not in classes:
        raise InputError(f'{key} in {where} is "{name}"{nearest(name, classes) or _known(classes)}')
    return classes[name]


# --- reading ---


def load(path: str | os.PathLike[str]) -> Configuration:
    """Read a network, and how to run it, from a TOML file.

    Raises
    ------
    InputError
        that names the file, and the table and key that is unknown, missing, of the wrong type or out of bounds.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f'"{path}" is a directory; give a TOML file')
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f'there is no file "{path}"') from None
    except UnicodeDecodeError:
        raise InputError(f'"{path}" is not a text in UTF-8, so not TOML') from None
    except OSError as error:
        raise InputError(f'"{path}" cannot be read: {error.strerror}') from None
    try:
        return dataclasses.replace(loads(text, path.parent), path=str(path))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def loads(text: str, folder: str | os.PathLike[str] = ".") -> Configuration:
    """Like `load`, from the text of a file; paths in it are relative to ``folder``."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"this is not valid TOML: {error}") from None
    folder = Path(os.path.abspath(folder))
    document = _checked(Document, raw, "the file")
    network = Network(_checked(NetworkTable, document["network"], "[network]")["seed"])
    for name in document["populations"]:
        _add_population(network, name, _merged(document["populations"], name, ()), folder)
    for number, table in enumerate(document["projections"], 1):
        _connect(network, table, f"[[projections]] number {number}", folder)
    for number, table in enumerate(document["inputs"], 1):
        _add_input(network, table, f"[[inputs]] number {number}", folder)
    for number, table in enumerate(document["recordings"], 1):
        _record(network, table, f"[[recordings]] number {number}")
    run = _checked(RunTable, document["run"], "[run]")
    if run["output"] is not None:
        run["output"] = os.path.normpath(folder / run["output"])
    checkpoints = _checked(CheckpointTable, document["checkpoint"], "[checkpoint]")
    train = _checked(TrainTable, document["train"], "[train]") if document["train"] else None
    if train is not None:
        train["data"] = os.path.normpath(folder / train["data"])
    return Configuration(network, **run, checkpoints=changed(None, **checkpoints) if document["checkpoint"] else None, train=train)


def _merged(tables: Mapping[str, dict[str, Any]], name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """The table of a population, with what it takes over from the one that it is ``like``."""
    own = tables[name]
    if "like" not in own:
        return own
    model = own["like"]
    if not isinstance(model, str) or model not in tables:
        raise InputError(f"like in [populations.{name}] is {spoken(model)}, which is no population{nearest(str(model), tables)}")
    if model in (name, *seen):
        raise InputError(f"the populations {', '.join((*seen, name))} are like each other in a circle; describe one of them in full")
    return {**_merged(tables, model, (*seen, name)), **own}


def _add_population(network: Network, name: str, raw: dict[str, Any], folder: Path) -> None:
    where = f"[populations.{name}]"
    described = _class(MODELS, raw, "model", where)
    table = _checked(_table(described, "population"), raw, where)
    with _placed(f'population "{name}"'):
        model = _described(described, table, where, folder)
    network.add_population(name, table["size"], model)


def _connect(network: Network, raw: dict[str, Any], where: str, folder: Path) -> None:
    described = _class(RULES, raw, "rule", where)
    table = _checked(_table(described, "projection"), raw, where)
    with _placed(where):
        rule = _described(described, table, where, folder)
        given = {}
        for key in ("weight", "delay"):
            value = table[key]
            if value is None and isinstance(rule, Pairs) and rule.origin:
                value = rule.origin.columns.get(key)
                if value is None:
                    raise InputError(f"neither the table nor {rule.origin.file} has a {key}; give one")
            elif value is None:
                raise InputError(f"there is no {key}; give one")
            given[key] = _value(value, key, where)
        network.connect(table["source"], table["target"], rule, storage=table["storage"], **given)


def _add_input(network: Network, raw: dict[str, Any], where: str, folder: Path) -> None:
    described = _class(INPUTS, raw, "kind", where)
    table = _checked(_table(described, "current" if issubclass(described, Current) else "input"), raw, where)
    with _placed(where):
        kind = _described(described, table, where, folder)
        spikes = {key: _value(table[key], key, where) for key in ("weight", "delay") if key in table}
        network.add_input(table["target"], kind, **spikes)


def _record(network: Network, raw: dict[str, Any], where: str) -> None:
    table = _checked(_recording_table(), raw, where)
    with _placed(where):
        network.record(table.pop("what"), table.pop("target"), **table)


def _described(described: Any, table: Mapping[str, Any], where: str, folder: Path) -> Any:
    """The value of the description that a checked table stands for."""
    names = [field.name for field in dataclasses.fields(described) if field.compare]
    if described not in (Pairs, SpikeTrains):
        return described(**{name: _value(table[name], name, where) for name in names})
    arrays = {name: table[name] for name in names}
    file = table["file"]
    absent = [name for name, array in arrays.items() if array is None]
    if (file is None) == bool(absent) or (file is not None and len(absent) < len(names)):
        raise InputError(f"the {described.kind} come from {' and '.join(names)}, or from a file; give either both lists or file")
    if file is None:
        return described(**arrays)
    path = os.path.normpath(folder / file)
    return load_pairs(path).rule if described is Pairs else load_spikes(path, table["file_population"])


def _value(raw: Any, name: str, where: str) -> Any:
    """A value as it stands in the file, a table turned into the distribution that it names."""
    if not isinstance(raw, dict):
        return raw
    where = f"{name} of {where}"
    law = _class(DISTRIBUTIONS, raw, "distribution", where)
    checked = _checked(_table(law, "distribution"), raw, where)
    return law(**{key: checked[key] for key in checked if key != "distribution"})


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Say in which table the mistake is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def load_pairs(path: str | os.PathLike[str]) -> FilePairs:
    """Read explicit pairs, with their weights (mV) and delays (ms) if it has them, from an HDF5 file."""
    from sparseprop_dist.sonata import read_pairs  # HDF5 takes a tenth of a second to import

    sources, targets, weight, delay = read_pairs(path)
    columns = {name: frozen(values, np.float64) for name, values in (("weight", weight), ("delay", delay)) if values is not None}
    with _placed(f'"{path}"'):
        rule = Pairs(sources, targets, origin=Origin(os.path.abspath(path), columns=columns))
    return FilePairs(rule, columns.get("weight"), columns.get("delay"))


def load_spikes(path: str | os.PathLike[str], population: str | None = None) -> SpikeTrains:
    """Read spike trains from a SONATA spike file; ``population`` may be left out if it holds only one."""
    from sparseprop_dist.sonata import read_spikes

    times, ids = read_spikes(path, population)
    with _placed(f'"{path}"'):
        return SpikeTrains(times, ids, origin=Origin(os.path.abspath(path), population))
