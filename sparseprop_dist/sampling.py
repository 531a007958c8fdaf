"""The table of a recording while a run goes on: values from the ranks that make them to the ranks that write them.

Owns who writes which chunk. A table is cut into chunks of rows and columns that depend on its shape alone, and each chunk is written by one
rank, so that the bytes are the same for any number of ranks. In memory are the rows of one row of chunks.
"""

from typing import Any, Protocol

import numpy as np

from .clock import TICK, TICK_BITS
from .partition import Partition
from .recordings import Grid, tick_at

BLOCK = 1 << 22
"""Values in a row of chunks, at most (32 MB over all ranks), but for a single time."""
CHUNK = 1 << 18
"""Values in a chunk (2 MB), at most."""
WINDOW = 1 << 20
"""Samples of one recording that are taken before they are put in their place, at most, but for a single time."""


class Sink(Protocol):
    """Where a table goes."""

    @property
    def chunk(self) -> tuple[int, int] | None:
        """Rows and columns of a chunk, if they are settled."""

    def read(self, row: int, stop: int) -> np.ndarray:
        """Return rows that were stored, of a table that goes on."""

    def write(self, row: int, column: int, values: np.ndarray) -> None:
        """Store one chunk, whose first value belongs to ``row`` and ``column``."""


class Memory:
    """A sink that keeps chunks in memory, on the rank that writes them."""

    chunk = None

    def read(self, row: int, stop: int) -> np.ndarray:
        """No table in memory goes on."""
        raise NotImplementedError

    def __init__(self) -> None:
        self.parts: list[tuple[int, int, np.ndarray]] = []

    def write(self, row: int, column: int, values: np.ndarray) -> None:
        """Keep a chunk."""
        self.parts.append((row, column, values.copy()))


def chunk_shape(n_rows: int, n_columns: int) -> tuple[int, int]:
    """Return the rows and columns of a chunk: as many times as a row of chunks may hold, then as many columns as a chunk may."""
    rows = min(n_rows, CHUNK, max(1, BLOCK // n_columns))
    return rows, min(n_columns, CHUNK // rows)


class _Table:
    """The rows of a recording that are not written yet: those from ``first`` on, of one row of chunks."""

    def __init__(self, communicator: Any, sink: Sink, n_rows: int, n_columns: int) -> None:
        self.communicator, self.sink = communicator, sink
        self.n_rows, self.n_columns = n_rows, n_columns
        self.rows, self.columns = sink.chunk or chunk_shape(n_rows, n_columns)
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

    def unwritten(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of the own neurons, and their rows that are not yet in the file."""
        return self.held[self.communicator.rank], self.values[: self.row - self.first]

    def resume(self, row: int, parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Go on with row ``row``; ``parts``, as `unwritten` returned them on other ranks, are what the file has not got."""
        held = self.held[self.communicator.rank]
        self.row, self.first = row, row // self.rows * self.rows
        n = max((len(rows) for _, rows in parts), default=0)
        if self.first < row - n:  # the table was longer than its last row of chunks
            self.values[: row - n - self.first] = self.sink.read(self.first, row - n)[:, held]
        for columns, rows in parts:
            here = np.isin(held, columns)
            self.values[row - len(rows) - self.first : row - self.first, here] = rows[:, np.searchsorted(columns, held[here])]

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
        self.beyond = np.zeros(len(gids), np.int64)  # in the bin that the end of the run cuts, for one that goes on

    def add(self, times: np.ndarray, gids: np.ndarray, origin: int, now: int) -> None:
        """Count the spikes before the absolute tick ``now``, at ticks from ``origin``, that were not counted; collective."""
        place = np.searchsorted(self.starts, gids, side="right") - 1
        wanted = (place >= 0) & (gids < self.stops[place])
        bins, columns = self._bins(times[wanted], origin), self.order[place[wanted]]
        np.add.at(self.beyond, columns[bins == self.n_rows], 1)
        while self.first < self.n_rows:
            here = (bins >= self.first) & (bins < self.stop)
            np.add.at(self.values, (bins[here] - self.first, columns[here]), 1)
            if now < tick_at(self.grid.ms(self.stop)):
                return
            self._flush()

    def unwritten(self) -> np.ndarray:
        """Return what the own neurons added to the rows from ``first`` on, and to the bin after the last."""
        return np.vstack([self.values[: max(0, min(self.rows, self.n_rows - self.first))], self.beyond])

    def resume(self, first: int, parts: list[np.ndarray]) -> None:
        """Go on with row ``first``; ``parts``, as `unwritten` returned them on all ranks, are given to one of them."""
        self.first = first // self.rows * self.rows
        done = first - self.first
        if done and self.communicator.rank == 0:
            self.values[:done] = self.sink.read(self.first, first)
        for rows in parts:
            own = rows[: min(self.rows - done, self.n_rows - first)]
            self.values[done : done + len(own)] += own
            if first + len(rows) - 1 == self.n_rows:
                self.beyond += rows[-1]

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
