"""Training: batches, epochs, validation, what is kept of it, and going on where it stopped.

Owns the loop. A step is a run and a sweep of the copies of a `batch`, on all ranks together.
"""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .batch import Batches, Groups
from .description import Network
from .errors import InputError
from .exchange import Alone, agreed, world
from .gradients import MEMORY, check, checked, method_of
from .optimisers import Adam
from .replicas import Arrays, gids_of, listed, put, taken
from .rules import Pairs
from .seal import write_whole

MOST_EVALUATED = 500
"""Samples that each group of ranks evaluates at a time."""
STATE, HISTORY, PICTURE = "training.npz", "history.json", "learning.png"


@dataclass(frozen=True)
class Rates:
    """What wakes silent neurons and calms loud ones, which exact gradients do not: after each step, the weights onto neurons of these
    populations that fired in fewer than ``low`` of the samples of the batch grow by ``step``; of those with more than ``high`` spikes a
    sample they shrink."""

    populations: tuple[str, ...]
    low: float = 0.1
    high: float = np.inf
    step: float = 0.01


@dataclass(frozen=True)
class Constraints:
    """What parameters must keep to after each step.

    ``bounds``: (least, most) by name, such as {"delay": (0.1, 20.0)}; ``keep_signs``: no weight changes its sign (Dale's law, where a
    population has one sign).
    """

    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    keep_signs: bool = False


@dataclass
class Trained:
    """What training gives back."""

    network: Network
    """With the best parameters (by validation loss, or else by training loss), each synapse listed."""
    history: list[dict[str, float]]
    """One entry an epoch: epoch, loss, accuracy, validation_loss, validation_accuracy, seconds."""
    parameters: Arrays


def evaluate(
    network: Network, task: Any, until: float, *, batch: int = MOST_EVALUATED, groups: int = 1, comm: Alone | None = None
) -> tuple[float, float]:
    """Return the mean loss and the accuracy of a listed network over all samples of a task; collective."""
    return Batches(Groups(world() if comm is None else comm, groups, network), network, task, until).evaluate(network, batch)


class Training:
    """A training that is taken forward epoch by epoch; its parameters are those of `train`."""

    def __init__(
        self, network: Network, task: Any, until: float, *, wrt: tuple[str, ...] = ("weight",), optimiser: Any = None, batch: int = 100,
        validation: Any = None, constraints: Constraints | None = None, rates: tuple[Rates, ...] = (), seed: int = 0, output: Any = None,
        method: str = "auto", memory: float = MEMORY, groups: int = 1, comm: Alone | None = None,
    ) -> None:  # fmt: skip
        self.communicator = world() if comm is None else comm
        check(network)
        way = method_of(network, wanted := checked(network, wrt), method, memory)
        self.network = listed(network, wanted)
        of_ranks = Groups(self.communicator, groups, self.network)
        self._batches = Batches(of_ranks, self.network, task, float(until), wanted, way, memory)
        self._validation = None if validation is None else Batches(of_ranks, self.network, validation, float(until))
        self.optimiser, self.batch = Adam(1e-3) if optimiser is None else optimiser, min(int(batch), task.n_samples)
        self.constraints, self.seed = constraints or Constraints(), int(seed)
        self.rates = (rates,) if isinstance(rates, Rates) else tuple(rates)
        self.parameters = taken(self.network, wanted)
        self._signs = {key: np.sign(value) for key, value in self.parameters.items() if key.startswith("weight/")}
        self.epoch, self.history, self.best = 0, list[dict[str, float]](), dict(self.parameters)
        self.folder = None if output is None else Path(output)
        if self.folder is not None:
            agreed(self.communicator, self._open)

    def _open(self) -> None:
        assert self.folder is not None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f'"{self.folder}" cannot be made: {error.strerror}; give another output') from None
        if (self.folder / STATE).exists():
            with np.load(self.folder / STATE, allow_pickle=False) as state:
                self._read(state)

    def run_epoch(self) -> dict[str, float]:
        """Go once over all samples in a new order; return the epoch's entry of the history."""
        begun, n = time.monotonic(), self._batches.task.n_samples
        order = np.random.Generator(np.random.Philox(key=(self.seed << 32) + self.epoch)).permutation(n)
        total, right = 0.0, 0
        for first in range(0, n, self.batch):
            samples = order[first : first + self.batch]
            value, correct = self._step(samples)
            total, right = total + value * len(samples), right + correct
        entry = {"epoch": float(self.epoch + 1), "loss": total / n, "accuracy": right / n}
        if self._validation is not None:
            loss, accuracy = self._validation.evaluate(put(self.network, self.parameters), MOST_EVALUATED)
            entry |= {"validation_loss": loss, "validation_accuracy": accuracy}
        measure = "validation_loss" if self._validation is not None else "loss"
        if not self.history or entry[measure] < min(old[measure] for old in self.history):
            self.best = dict(self.parameters)
        entry["seconds"] = time.monotonic() - begun
        self.history.append(entry)
        self.epoch += 1
        if self.folder is not None and self.communicator.rank == 0:
            self._write()
        return entry

    def _step(self, samples: np.ndarray) -> tuple[float, int]:
        step = self._batches.step(put(self.network, self.parameters), samples, self.parameters)
        changed = self.optimiser.update(self.parameters, step.gradients)
        for rates in self.rates:
            self._wake(rates, changed, step.counts, len(samples))
        self.parameters = {key: self._kept(key, value) for key, value in changed.items()}
        return step.value, step.right

    def _wake(self, rates: Rates, parameters: Arrays, counts: np.ndarray, n: int) -> None:
        for name in rates.populations:
            own = counts[gids_of(self.network, name, n)]
            step = rates.step * (((own > 0).mean(0) < rates.low).astype(float) - (own.mean(0) > rates.high))
            for k, projection in enumerate(self.network.projections):
                if name in projection.targets and f"weight/{k}" in parameters:
                    assert isinstance(projection.rule, Pairs)
                    offset = sum(self.network.population(other).size for other in projection.targets[: projection.targets.index(name)])
                    target = projection.rule.targets - offset
                    here = (target >= 0) & (target < len(step))
                    parameters[f"weight/{k}"][here] += step[target[here]]

    def _kept(self, key: str, value: np.ndarray) -> np.ndarray:
        name = key.split("/")[0]
        if self.constraints.keep_signs and key in self._signs:
            sign = self._signs[key]
            value = np.where(sign > 0, np.maximum(value, 0.0), np.where(sign < 0, np.minimum(value, 0.0), value))
        return np.clip(value, *self.constraints.bounds[name]) if name in self.constraints.bounds else value

    def _write(self) -> None:
        assert self.folder is not None
        state = {f"parameter/{key}": value for key, value in self.parameters.items()}
        state |= {f"best/{key}": value for key, value in self.best.items()}
        state |= {f"optimiser/{key}": value for key, value in self.optimiser.state.items()}
        text = json.dumps(
            {"epoch": self.epoch, "step": self.optimiser.step, "seed": self.seed, "batch": self.batch, "history": self.history}
        )
        file = io.BytesIO()
        np.savez(file, about=np.array(text), **state)  # type: ignore[arg-type]
        write_whole(self.folder / STATE, file.getvalue())
        write_whole(self.folder / HISTORY, json.dumps(self.history, indent=1).encode())

    def _read(self, state: Any) -> None:
        about = json.loads(str(state["about"]))
        for name in ("seed", "batch"):
            if about[name] != getattr(self, name):
                raise InputError(
                    f'the training in "{self.folder}" has {name} {about[name]}, not {getattr(self, name)}; give another output'
                )
        found = {key.removeprefix("parameter/"): state[key] for key in state if key.startswith("parameter/")}
        if {key: value.shape for key, value in found.items()} != {key: value.shape for key, value in self.parameters.items()}:
            raise InputError(f'the training in "{self.folder}" is of another network; give another output')
        self.parameters, self.history, self.epoch = found, about["history"], about["epoch"]
        self.best = {key.removeprefix("best/"): state[key] for key in state if key.startswith("best/")}
        self.optimiser.step = about["step"]
        self.optimiser.state = {key.removeprefix("optimiser/"): state[key] for key in state if key.startswith("optimiser/")}


def train(
    network: Network, task: Any, until: float, *, epochs: int, progress: Callable[[dict[str, float]], None] | None = None, **more: Any
) -> Trained:
    """Train ``network`` by gradients of its spike times; under mpiexec or srun all ranks call it, with the same arguments.

    Parameters
    ----------
    network : one copy, whose input is a population of `SpikeTrains`
    task : `tasks.FirstSpikes`, `tasks.Fit`, or an object with the same methods
    until : ms, length of a sample
    epochs : in all; a training that is gone on with counts those before
    progress : called after each epoch with its entry of the history, on rank 0
    wrt : names of the parameters to train, as for `value_and_grad`
    optimiser : `optimisers.Adam` or `optimisers.SGD`
    batch : samples a step
    validation : a task of other samples, evaluated after each epoch
    constraints, rates : `Constraints`, `Rates`
    seed : of the order of samples
    method, memory : as for `value_and_grad`
    groups : of ranks, all of one size: samples are shared out to groups, the network to the ranks of each. No bit depends on it.
    output : directory; a training that is in it already goes on from its last epoch, with the same bits

    Raises
    ------
    InputError
        for bad input, and a directory with another training.
    """
    training = Training(network, task, until, **more)
    while training.epoch < epochs:
        entry = training.run_epoch()
        if progress is not None and training.communicator.rank == 0:
            progress(entry)
    return Trained(put(training.network, training.best), training.history, training.parameters)
