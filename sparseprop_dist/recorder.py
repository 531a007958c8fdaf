"""Recordings while a run goes on: values from the ranks to their place in a table of times by columns.

Owns the way of a value from the rank that makes it to the rank that writes it. A table is cut into chunks of rows and columns that depend
on its shape alone, and each chunk is written by one rank, so that the bytes are the same for any number of ranks. In memory are the rows of
one row of chunks.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from . import store
from .clock import TICK, TICK_BITS
from .description import Network
from .engine.session import Session
from .engine.watch import nothing
from .errors import InputError
from .partition import Partition
from .plan import available_memory, size
from .recordings import COUNT, Grid, Recording, quantities, tick_at
from .result import Recorded
from .state import Watch

BLOCK = 1 << 22
"""Values in a row of chunks, at most (32 MB over all ranks), but for a single time."""
CHUNK = 1 << 18
"""Values in a chunk (2 MB), at most."""
CROWD = 4
"""The slab schedule replays neurons that are read (130 us for 1,000 of the 10,000 of Brunel's network), or ends a piece there (380 us for
any number): the second where more neurons are read than one in this many."""
WINDOW = 1 << 20
"""Samples of one recording that are taken before they are put in their place, at most, but for a single time."""


class Sink(Protocol):
    """Where a table goes."""

    def write(self, row: int, column: int, values: np.ndarray) -> None:
        """Store one chunk, whose first value belongs to ``row`` and ``column``."""


class Memory:
    """A sink that keeps chunks in memory, on the rank that writes them."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, int, np.ndarray]] = []

    def write(self, row: int, column: int, values: np.ndarray) -> None:
        """Keep a chunk."""
        self.parts.append((row, column, values.copy()))


def chunk_shape(n_rows: int, n_columns: int) -> tuple[int, int]:
    """Return the rows and columns of a chunk: as many times as a row of chunks may hold, then as many columns as a chunk may."""
    rows = min(n_rows, CHUNK, max(1, BLOCK // n_columns))
    return rows, min(n_columns, CHUNK // rows)


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


class _Table:
    """The rows of a recording that are not written yet: those from ``first`` on, of one row of chunks."""

    def __init__(self, communicator: Any, sink: Sink, n_rows: int, n_columns: int) -> None:
        self.communicator, self.sink = communicator, sink
        self.n_rows, self.n_columns = n_rows, n_columns
        self.rows, self.columns = chunk_shape(n_rows, n_columns)
        self.first = 0

    @property
    def stop(self) -> int:
        """End of the rows of this row of chunks."""
        return min(self.first + self.rows, self.n_rows)

    def chunks(self, rank: int) -> list[tuple[int, int]]:
        """Return the columns, first and end, of the chunks that ``rank`` writes: all ranks take turns."""
        per_row = -(-self.n_columns // self.columns)
        before = self.first // self.rows * per_row
        mine = [c for c in range(per_row) if (before + c) % self.communicator.size == rank]
        return [(c * self.columns, min((c + 1) * self.columns, self.n_columns)) for c in mine]


class Samples(_Table):
    """The samples of one recording."""

    def __init__(self, communicator: Any, sink: Sink, grid: Grid, gids: np.ndarray, division: Partition, to_local: Any) -> None:
        super().__init__(communicator, sink, grid.n, len(gids))
        self.grid, self.row = grid, 0
        self.limit = max(1, WINDOW // len(gids))
        owner = division.owner(gids)
        self.held = [np.flatnonzero(owner == rank) for rank in range(communicator.size)]  # columns of each rank
        own = gids[self.held[communicator.rank]]
        neurons = to_local(own) if len(own) else own
        self.order = np.argsort(neurons)
        self.neurons = neurons[self.order]
        self.values = np.empty((self.rows, len(own)))

    def ticks(self, origin: int, until: int) -> np.ndarray:
        """Return the ticks from ``origin`` of the rows not yet taken that are before the absolute tick ``until``."""
        return ticks_from(self.grid.ms(np.arange(self.row, self.grid.before(until))), origin)

    def keep(self, values: np.ndarray) -> None:
        """Keep the next row: the values of ``neurons``; collective."""
        self.values[self.row - self.first, self.order] = values
        self.row += 1
        if self.row == self.stop:
            self._flush()

    def _flush(self) -> None:
        n, communicator = self.stop - self.first, self.communicator
        parts = []
        for rank in range(communicator.size):
            cuts = [np.searchsorted(self.held[communicator.rank], chunk) for chunk in self.chunks(rank)]
            parts.append(np.concatenate([np.empty(0), *(self.values[:n, a:b].ravel() for a, b in cuts)]))
        received = communicator.scatter(parts)
        done = [0] * communicator.size
        for first, stop in self.chunks(communicator.rank):
            chunk = np.empty((n, stop - first))
            for rank, held in enumerate(self.held):
                a, b = np.searchsorted(held, (first, stop))
                chunk[:, held[a:b] - first] = received[rank][done[rank] : done[rank] + n * (b - a)].reshape(n, b - a)
                done[rank] += n * int(b - a)
            self.sink.write(self.first, first, chunk)
        self.first = self.stop


class Counts(_Table):
    """The counts of one recording: rows are bins, columns populations."""

    def __init__(self, communicator: Any, sink: Sink, grid: Grid, gids: list[range]) -> None:
        super().__init__(communicator, sink, grid.n, len(gids))
        self.grid = grid
        self.order = np.argsort([own.start for own in gids])
        self.starts = np.array([own.start for own in gids])[self.order]
        self.stops = np.array([own.stop for own in gids])[self.order]
        self.values = np.zeros((self.rows, len(gids)), np.int64)

    def add(self, times: np.ndarray, gids: np.ndarray, origin: int, now: int) -> None:
        """Count the spikes before the absolute tick ``now``, at ticks from ``origin``, that were not counted; collective."""
        place = np.searchsorted(self.starts, gids, side="right") - 1
        wanted = (place >= 0) & (gids < self.stops[place])
        bins, columns = self._bins(times[wanted], origin), self.order[place[wanted]]
        while self.first < self.n_rows:
            here = (bins >= self.first) & (bins < self.stop)
            np.add.at(self.values, (bins[here] - self.first, columns[here]), 1)
            if now < tick_at(self.grid.ms(self.stop)):
                return
            self._flush()

    def _bins(self, times: np.ndarray, origin: int) -> np.ndarray:
        """Return the bin of each spike; floats find it but for one, ticks decide."""
        bins = np.floor((origin * TICK + times * TICK - self.grid.start) / self.grid.step).astype(np.int64)
        while (early := times < ticks_from(self.grid.ms(bins), origin)).any():
            bins -= early
        while (late := times >= ticks_from(self.grid.ms(bins + 1), origin)).any():
            bins += late
        return bins

    def _flush(self) -> None:
        n = self.stop - self.first
        total = self.communicator.total(self.values[:n])
        for first, stop in self.chunks(self.communicator.rank):
            self.sink.write(self.first, first, total[:, first:stop])
        self.values[:] = 0
        self.first = self.stop


def ticks_from(ms: np.ndarray, origin: int) -> np.ndarray:
    """Return the nearest ticks to times (ms) as counted from the absolute tick ``origin``; those 4e6 ms away and more as about that."""
    whole = np.floor(ms)
    part = np.rint((ms - whole) * 2.0**TICK_BITS).astype(np.int64)
    away = np.clip(whole - (origin >> TICK_BITS), -(1 << 22), 1 << 22).astype(np.int64)
    return (away << TICK_BITS) + part - (origin & ((1 << TICK_BITS) - 1))


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
        return Watch(tick[order], group[order], first, self.ptr, self.neurons, np.empty(int(sizes.sum())))

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
        store.RecordingFile.create(
            output, recording.name, recording.what, grid.ms, None if counts else columns_of(network, recording), shape,
            chunk_shape(*shape), unit_of(network, recording), attributes,
        )  # fmt: skip
