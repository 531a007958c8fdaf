"""Recordings while a run goes on: values from the ranks to their place in a table of times by columns.

Owns what is read when; the tables themselves belong to ``sampling``.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import tables
from .description import Network
from .engine.session import Session
from .engine.watch import nothing
from .errors import InputError
from .partition import Partition
from .plan import available_memory, size
from .recordings import COUNT, Recording, quantities, tick_at
from .result import Recorded
from .sampling import Counts, Samples, chunk_shape
from .state import Watch

CROWD = 4
"""The slab schedule replays neurons that are read (130 us for 1,000 of the 10,000 of Brunel's network), or ends a piece there (380 us for
any number): the second where more neurons are read than one in this many."""


def columns_of(network: Network, recording: Recording) -> np.ndarray:
    """Return the gids of the neurons that a recording samples, int64, in the order of its columns."""
    gids = np.concatenate([np.arange(gids.start, gids.stop) for gids in network.pool(recording.targets).gids])
    return gids if recording.neurons is None else gids[recording.neurons]


def shape_of(network: Network, recording: Recording, until: float) -> tuple[int, int]:
    """Return rows and columns of the table of a recording."""
    if recording.what == COUNT:
        return recording.grid(until).n, len(recording.targets)
    n = network.pool(recording.targets).size if recording.neurons is None else len(recording.neurons)
    return recording.grid(until).n, n


def unit_of(network: Network, recording: Recording) -> str:
    """Return the unit of the values: "1" if they have none."""
    if recording.what == COUNT:
        return "1"
    return quantities(network.population(recording.targets[0]).model)[recording.what] or "1"


def _number_of(network: Network, recording: Recording) -> int:
    return list(quantities(network.population(recording.targets[0]).model)).index(recording.what)


def check(network: Network, until: float, output: Any, ranks_on_node: int) -> None:
    """Refuse recordings that do not fit the run, the memory, or the disk.

    Raises
    ------
    InputError
        for times beyond the run, and for more values than there is room for.
    """
    sizes = {str(recording): 8.0 * np.prod(shape_of(network, recording, until), dtype=float) for recording in network.recordings}
    needed = sum(sizes.values())
    if output is None:
        needed *= 2.0 * ranks_on_node  # each rank has all, and its parts until they are put together
        room, where = available_memory(), "in memory; write them to a directory, or"
    else:
        room, where = _free_disk(output), "on the disk;"
    if needed > room:
        largest = max(sizes, key=sizes.__getitem__)
        taken = f"{largest} would take {size(sizes[largest])}, all recordings {size(needed)}"
        raise InputError(f"{taken}, but there is room for {size(room)} {where} record fewer neurons, or less often")


def _free_disk(output: Any) -> float:
    path = Path(os.path.abspath(output))
    return float(shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free)


class Recorder:
    """All recordings of a run on one rank."""

    def __init__(
        self, communicator: Any, network: Network, division: Partition, to_local: Any, until: float, sinks: Mapping[str, Any]
    ) -> None:
        """``network``: with the recordings that `check` let pass; ``division``: of its neurons; ``to_local``: from own gids to local
        indices; ``sinks``: of each recording, by name."""
        self.communicator, self.network, self.until, self.sinks = communicator, network, until, sinks
        self.samples: list[Samples] = []
        self.counts: list[Counts] = []
        for recording in network.recordings:
            sink, grid = sinks[recording.name], recording.grid(until)
            if recording.what == COUNT:
                gids = [network.gids(name) for name in recording.targets]
                self.counts.append(Counts(communicator, sink, grid, gids))
            else:
                gids_sampled = columns_of(network, recording)
                self.samples.append(Samples(communicator, sink, grid, gids_sampled, division, to_local))
        self.crowded = CROWD * sum(samples.n_columns for samples in self.samples) > network.n_neurons
        self.ptr = np.cumsum([0, *(len(samples.neurons) for samples in self.samples)])
        self.numbers = np.array([_number_of(network, recording) for recording in network.recordings if recording.what != COUNT], np.int64)
        self.neurons = np.concatenate([np.empty(0, np.int64), *(samples.neurons for samples in self.samples)])

    def watch(self, session: Session, until: int) -> tuple[int, Watch]:
        """Return how far the session is to go, at most to the absolute tick ``until``, and what to read on the way, but for what is read
        now; the same tick on all ranks."""
        self.read(session)
        halt = self.crowded and not session.schedule.WHOLE
        for samples in self.samples:
            row = samples.row + (0 if halt else samples.limit)
            if row < samples.n_rows:
                until = min(until, tick_at(samples.grid.ms(row)))
        return until, self._rows(session, until)

    def _rows(self, session: Session, until: int) -> Watch:
        """Return what to read before the absolute tick ``until``."""
        ticks = [samples.ticks(session.origin, until) for samples in self.samples]
        if not any(map(len, ticks)):
            return nothing()
        group = np.repeat(np.arange(len(ticks)), [len(own) for own in ticks])
        tick = np.concatenate(ticks)
        order = np.argsort(tick, kind="stable")
        sizes = np.diff(self.ptr)[group[order]]
        first = np.cumsum(sizes) - sizes
        return Watch(tick[order], group[order], first, self.ptr, self.numbers, self.neurons, np.empty(int(sizes.sum())))

    def keep(self, watch: Watch) -> None:
        """Keep what was read; collective."""
        for group, first in zip(watch.group.tolist(), watch.first.tolist(), strict=True):
            samples = self.samples[group]
            samples.keep(watch.value[first : first + len(samples.neurons)])

    def read(self, session: Session) -> None:
        """Take the samples of the tick at which the session stands; collective."""
        if any(samples.grid.before(session.now + 1) > samples.row for samples in self.samples):
            watch = self._rows(session, session.now + 1)
            session.read(watch)
            self.keep(watch)

    def count(self, spikes: np.ndarray, session: Session) -> None:
        """Count the spikes (SPIKE, times from the origin of the session) that the own neurons made since the last call; collective."""
        for counts in self.counts:
            counts.add(spikes["time"], spikes["gid"], session.origin, session.now)

    def gathered(self) -> dict[str, Recorded]:
        """Return the recordings that are in memory by name, on all ranks; collective."""
        out = {}
        for recording in self.network.recordings:
            parts = [part for own in self.communicator.collect(self.sinks[recording.name].parts) for part in own]
            values = np.empty(shape_of(self.network, recording, self.until), np.int64 if recording.what == COUNT else np.float64)
            for row, column, chunk in parts:
                values[row : row + chunk.shape[0], column : column + chunk.shape[1]] = chunk
            ids = None if recording.what == COUNT else columns_of(self.network, recording)
            grid = recording.grid(self.until)
            times = grid.ms(np.arange(grid.n))
            out[recording.name] = Recorded(recording.what, unit_of(self.network, recording), recording.targets, times, ids, values)
        return out


def create(network: Network, until: float, output: Any) -> None:
    """Make the tables of all recordings in a run directory, empty. One rank calls it."""
    for recording in network.recordings:
        counts = recording.what == COUNT
        grid = recording.grid(until)
        shape = shape_of(network, recording, until)
        attributes = {"what": recording.what, "populations": list(recording.targets), "until": until}
        attributes |= {"bin": recording.bin} if counts else {}
        tables.RecordingFile.create(
            output, recording.name, recording.what, grid.ms, None if counts else columns_of(network, recording), shape,
            chunk_shape(*shape), unit_of(network, recording), attributes,
        )  # fmt: skip
