"""Training as a file describes it: the table [train], and the arrays that it names.

The data is a .npz file with ``train_times`` (samples, channels), ms, NaN for none, ``train_labels`` (samples,), and the same with
``validation_`` and ``test_``, which may be missing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .analysis import learning_curves
from .configuration import Configuration
from .errors import InputError
from .exchange import Alone, agreed
from .inputs import SpikeTrains
from .optimisers import OPTIMISERS, exponential
from .replicas import put
from .tasks import FirstSpikes
from .toml_text import MOST_NUMBERS, dump
from .train import PICTURE, Constraints, Rates, Training, evaluate

PARTS = ("train", "validation", "test")
NETWORK = "network.toml"


def load_tasks(table: dict[str, Any]) -> dict[str, FirstSpikes]:
    """Return the tasks of a table [train], by the name of their part of the data.

    Raises
    ------
    InputError
        for a file that is missing or no .npz of numbers, and arrays that are missing or do not fit.
    """
    path = table["data"]
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise InputError(f'there is no file "{path}"; it is data of [train]') from None
    except (OSError, ValueError) as error:
        raise InputError(f'"{path}" is no .npz file of numbers ({error}); save arrays by numpy.savez') from None
    tasks = {}
    for part in PARTS:
        names = [f"{part}_times", f"{part}_labels"]
        missing = [name for name in names if name not in arrays]
        if len(missing) == 2 and part != "train":
            continue
        if missing:
            raise InputError(f'"{path}" has no array {missing[0]}; it has {", ".join(arrays) or "none"}')
        more = {name: table[name] for name in ("source", "outputs", "scale", "silent", "early", "early_scale")}
        try:
            tasks[part] = FirstSpikes(*(arrays[name] for name in names), **more)
        except InputError as error:
            raise InputError(f'"{path}", {part}: {error}') from None
    return tasks


def train_file(
    communicator: Alone, found: Configuration, folder: Path, epochs: int | None, groups: int, progress: Callable[[dict[str, float]], None]
) -> dict[str, float]:
    """Train the network of a file into ``folder``, or go on with what is there; return what it reached; collective."""
    table = found.train
    if table is None or found.until is None:
        raise InputError("the file has no table [train], or no until in [run], the length of a sample; give both")
    tasks = agreed(communicator, lambda: load_tasks(table))
    _check(found, table, tasks["train"])
    optimiser = OPTIMISERS[table["optimiser"]](
        table["rate"], clip=table["clip"], schedule=exponential(table["decay"], table["decay_every"])
    )
    training = Training(
        found.network, tasks["train"], found.until, wrt=tuple(table["wrt"]), optimiser=optimiser, batch=table["batch"],
        validation=tasks.get("validation"), rates=tuple(_rates(rates) for rates in table["wake"]), seed=found.network.seed, output=folder,
        constraints=Constraints({name: (low, high) for name, (low, high) in table["bounds"].items()}, table["keep_signs"]),
        groups=groups, comm=communicator,
    )  # fmt: skip
    while training.epoch < (epochs or table["epochs"]):
        entry = training.run_epoch()
        if communicator.rank == 0:
            learning_curves(training.history, folder / PICTURE)
            progress(entry)
    best = put(training.network, training.best)
    reached = {"epochs": float(training.epoch), "steps": float(optimiser.step)}
    if "test" in tasks:
        reached["test_loss"], reached["test_accuracy"] = evaluate(best, tasks["test"], found.until, groups=groups, comm=communicator)
    n_numbers = 4.0 * sum(best.expected_synapses(projection) for projection in best.projections)
    if communicator.rank == 0 and n_numbers <= MOST_NUMBERS:
        dump(Configuration(best, until=found.until), folder / NETWORK)
    return reached


def _rates(table: dict[str, Any]) -> Rates:
    try:
        return Rates(**table | {"populations": tuple(table["populations"])})
    except (TypeError, KeyError):
        raise InputError(f"wake in [train] has the keys {', '.join(table)}; give populations, low, high and step") from None


def _check(found: Configuration, table: dict[str, Any], task: FirstSpikes) -> None:
    source, outputs = found.network.population(table["source"]), found.network.population(table["outputs"])
    if not isinstance(source.model, SpikeTrains) or source.size != task.times.shape[1]:
        raise InputError(
            f"{source} has {source.size} members for {task.times.shape[1]} channels of data; give spike trains, one member a channel"
        )
    if outputs.size <= task.labels.max(initial=0) or task.labels.min(initial=0) < 0:
        labels = f"{task.labels.min()} to {task.labels.max()}"
        raise InputError(f"{outputs} has {outputs.size} neurons for the labels {labels}; give one neuron a class, and labels from 0 on")
