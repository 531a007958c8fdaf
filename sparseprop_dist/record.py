"""What is kept of a run: its spikes, in the order of the file, and the statistics of its summary.

Owns the way of a spike from a rank to its place in the file. The file is ordered by (time, gid), whatever the ranks and windows were; each
chunk of it is written by one rank, many at a time. In memory are only the spikes of a few windows and at most WRITERS chunks over all
ranks.
"""

from typing import Any, Protocol

import numpy as np

from .clock import TICK, TICK_BITS
from .jit import njit, prefetch

STAMP = np.dtype([("whole", np.int64), ("part", np.int64), ("gid", np.int64)])
"""A spike whose time is ``whole`` ms and ``part`` ticks: without an origin, at full resolution for ever."""
BINS_PER_CHUNK = 64
WRITERS = 16
"""Chunks that are waited for, at most: while one is put in order (50 ns a spike), ranks that have none wait."""
KEY_BITS = 20
"""Of a part of a ms that decides the bin of a spike: a key of 64 bits then spans 2^43 ms, and needs no division."""


class Sink(Protocol):
    """Where spikes go: a file."""

    def write(self, start: int, times: np.ndarray, ids: np.ndarray) -> None:
        """Store the spikes from number ``start`` on: whole chunks, or the last part of the file."""

    def commit(self, n_spikes: int) -> None:
        """Make the first ``n_spikes`` spikes visible."""


class Memory:
    """A sink that keeps all spikes in memory, on the rank that writes them."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, np.ndarray, np.ndarray]] = []

    def write(self, start: int, times: np.ndarray, ids: np.ndarray) -> None:
        """Keep the spikes from number ``start`` on."""
        self.parts.append((start, times, ids))

    def commit(self, n_spikes: int) -> None:
        """Nothing is hidden in memory."""


def stamps(times: np.ndarray, gids: np.ndarray, origin: int) -> np.ndarray:
    """Return spikes at ticks counted from the absolute tick ``origin`` as STAMP, sorted."""
    mask = (1 << TICK_BITS) - 1
    part = (times & mask) + (origin & mask)
    out = np.empty(len(times), STAMP)
    out["whole"] = (times >> TICK_BITS) + (origin >> TICK_BITS) + (part >> TICK_BITS)
    out["part"] = part & mask
    out["gid"] = gids
    later = times[1:] - times[:-1]  # spikes come in order but for ties, and a look costs a twentieth of a sort
    sorted_ = (later > 0) | ((later == 0) & (gids[1:] >= gids[:-1]))
    return out if sorted_.all() else in_order(out)


def in_order(spikes: np.ndarray) -> np.ndarray:
    """Return STAMP spikes by (time, gid); fast for a few sorted runs, one after the other, as those of several ranks."""
    span = int(np.ptp(spikes["whole"])) if len(spikes) else 0
    if span >> 62 - TICK_BITS:
        return spikes[np.lexsort((spikes["gid"], spikes["part"], spikes["whole"]))]
    ticks = (spikes["whole"] - spikes["whole"].min(initial=1 << 62) << TICK_BITS) + spikes["part"]
    order = np.argsort(ticks, kind="stable")  # merges runs; a sort by gid, which is in none, would take ten times as long
    ticks = ticks[order]
    alike = np.concatenate([[False], ticks[1:] == ticks[:-1], [False]])
    tied = np.flatnonzero(alike[1:] | alike[:-1])
    order[tied] = order[tied][np.lexsort((spikes["gid"][order[tied]], ticks[tied]))]
    return spikes[order]


def milliseconds(spikes: np.ndarray) -> np.ndarray:
    """Return the times of STAMP spikes in ms, rounded once."""
    return spikes["whole"] + spikes["part"] * TICK


class SpikeRecord:
    """Collects the spikes of the ranks and hands them to a sink in order, a chunk at a time."""

    def __init__(self, communicator: Any, sink: Sink, chunk: int) -> None:
        self.communicator, self.sink, self.chunk = communicator, sink, chunk
        self.kept: list[np.ndarray] = [np.empty(0, STAMP)]
        self.n_written = 0

    def add(self, spikes: np.ndarray) -> None:
        """Keep the spikes of a window (STAMP), all later than those of earlier windows."""
        self.kept.append(spikes)

    @property
    def unwritten(self) -> np.ndarray:
        """The own spikes that are not yet in the file, in order (STAMP)."""
        return np.concatenate(self.kept)

    def resume(self, n_written: int, unwritten: np.ndarray) -> None:
        """Go on where ``n_written`` spikes, whole chunks, are in the file; ``unwritten``: the next own ones, in any order (STAMP)."""
        self.n_written, self.kept = n_written, [in_order(unwritten)]

    def flush(self, last: bool = False) -> None:
        """Write all complete chunks, if there is one for each rank, and with ``last`` all there is; collective."""
        total = int(self.communicator.total(np.array([sum(map(len, self.kept))]))[0])
        n_chunks = -(-total // self.chunk) if last else total // self.chunk
        if n_chunks < (1 if last else min(self.communicator.size, WRITERS)):
            return
        own = np.concatenate(self.kept)  # in order: windows are, and so is each window
        if self.communicator.size == 1:
            self._write_own(own, n_chunks)
            return
        edges, before = self._bins(own, n_chunks)
        end = min(n_chunks * self.chunk, total)
        received = self.communicator.scatter(self._parts(own, edges, before, n_chunks))
        spikes = np.concatenate(received)
        self._write(in_order(spikes), before, n_chunks, end)
        self.kept = [own[self._cut(own, edges, before, end) :]]
        self.n_written += end
        self.communicator.barrier()
        if self.communicator.rank == 0:
            self.sink.commit(self.n_written)
        self.communicator.barrier()

    def _write_own(self, own: np.ndarray, n_chunks: int) -> None:
        """Write chunks where there is no other rank."""
        for start in range(0, n_chunks * self.chunk, self.chunk):
            part = own[start : start + self.chunk]
            self.sink.write(self.n_written + start, milliseconds(part), part["gid"].copy())
        end = min(n_chunks * self.chunk, len(own))
        self.kept = [own[end:].copy()]
        self.n_written += end
        self.sink.commit(self.n_written)

    def _bins(self, own: np.ndarray, n_chunks: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where time bins start among the own spikes, and how many spikes of all ranks are in earlier bins; both (bins + 1,)."""
        low = self.communicator.least(int(own["whole"][0]) if len(own) else 1 << 62)
        high = -self.communicator.least(-int(own["whole"][-1]) if len(own) else 1 << 62) + 1
        n_bins = BINS_PER_CHUNK * n_chunks
        keys = (own["whole"] - low << KEY_BITS) + (own["part"] >> TICK_BITS - KEY_BITS)
        edges = np.searchsorted(keys, [(k * (high - low) << KEY_BITS) // n_bins for k in range(n_bins + 1)])
        counts = self.communicator.total(np.diff(edges).astype(np.int64))
        return edges, np.concatenate([[0], np.cumsum(counts)])

    def _bins_of_chunks(self, before: np.ndarray, n_chunks: int) -> np.ndarray:
        """Return the first bin and the end of the bins that overlap each chunk, (chunks, 2)."""
        starts = np.arange(n_chunks) * self.chunk
        stops = np.minimum(starts + self.chunk, before[-1])
        return np.stack([np.searchsorted(before, starts, side="right") - 1, np.searchsorted(before, stops, side="left")], axis=1)

    def _owner(self, chunk: int) -> int:
        return (self.n_written // self.chunk + chunk) % self.communicator.size

    def _parts(self, own: np.ndarray, edges: np.ndarray, before: np.ndarray, n_chunks: int) -> list[np.ndarray]:
        """The own spikes that each rank needs for its chunks: all bins that overlap them, each bin once."""
        wanted = np.zeros((self.communicator.size, len(edges) - 1), bool)
        for chunk, (first, stop) in enumerate(self._bins_of_chunks(before, n_chunks)):
            wanted[self._owner(chunk), first:stop] = True
        counts = np.diff(edges)
        return [own[np.repeat(bins, counts)] for bins in wanted]

    def _write(self, spikes: np.ndarray, before: np.ndarray, n_chunks: int, end: int) -> None:
        """Write the chunks of this rank out of the sorted bins that it was sent."""
        position = 0
        sent_until = 0  # bins that are behind `position` already
        for chunk, (first, stop) in enumerate(self._bins_of_chunks(before, n_chunks)):
            if self._owner(chunk) != self.communicator.rank:
                continue
            first_new = max(first, sent_until)
            start_of_first = position - int(before[sent_until] - before[first]) if first < sent_until else position
            offset = start_of_first + chunk * self.chunk - int(before[first])
            n = min(self.chunk, end - chunk * self.chunk)
            part = spikes[offset : offset + n]
            self.sink.write(self.n_written + chunk * self.chunk, milliseconds(part), part["gid"])
            position += int(before[stop] - before[first_new])
            sent_until = stop

    def _cut(self, own: np.ndarray, edges: np.ndarray, before: np.ndarray, end: int) -> int:
        """Return how many of the own spikes are among the first ``end`` of all ranks; collective."""
        whole = int(np.searchsorted(before, end, side="right")) - 1  # bins that are written as a whole
        if before[whole] == end:
            return int(edges[whole])
        cut_bin = own[edges[whole] : edges[whole + 1]]
        everybody = in_order(np.concatenate(self.communicator.scatter([cut_bin] * self.communicator.size)))
        written = everybody[: end - int(before[whole])]
        last = written[-1]
        earlier, equal = _compare(cut_bin, last)
        # spikes that are alike (a neuron that fires twice at a tick) are all of one rank
        return int(edges[whole]) + earlier + min(equal, _compare(written, last)[1])


def _compare(spikes: np.ndarray, key: np.void) -> tuple[int, int]:
    """Return how many sorted spikes come before ``key``, and how many are equal to it."""
    same_whole = spikes["whole"] == key["whole"]
    same_part = same_whole & (spikes["part"] == key["part"])
    before = (spikes["whole"] < key["whole"]) | (same_whole & (spikes["part"] < key["part"])) | (same_part & (spikes["gid"] < key["gid"]))
    return int(before.sum()), int((same_part & (spikes["gid"] == key["gid"])).sum())


COUNT, LAST, SUM, SQUARES = range(4)
"""Columns of the statistics of a neuron, float64: spikes, time of the last one (ms), sum of intervals, sum of their squares. A row is half
a line of the cache: arrays of their own took 25 ns a spike at N = 1e6, a row takes 9."""
AHEAD = 16
"""Spikes ahead of the one at hand whose row is fetched."""


@njit
def count_intervals(neurons, times, table, first):
    """Count spikes (sorted by time) and their intervals in ``table``, float64 (N, 4). ``first`` is told the times of first spikes, float64
    (N,), or has no entries."""
    for k in range(neurons.size):
        soon = 4 * np.int64(neurons[min(k + AHEAD, neurons.size - 1)])
        prefetch(table, soon)
        prefetch(table, soon + SQUARES)
        i, time = neurons[k], times[k]
        if table[i, COUNT] > 0.0:
            interval = time - table[i, LAST]
            table[i, SUM] += interval
            table[i, SQUARES] += interval * interval
        elif first.size:
            first[i] = time
        table[i, COUNT] += 1.0
        table[i, LAST] = time


def cv_of(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Return the CV of the intervals of each neuron (standard deviation of the population, 1/n, over mean), nan for fewer than two."""
    n = np.maximum(count - 1, 1)
    mean = total / n
    variance = np.maximum(squares / n - mean**2, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count >= 3, np.sqrt(variance) / mean, np.nan)


class Statistics:
    """Spike counts and intervals of the own neurons, in constant memory."""

    def __init__(self, n_neurons: int) -> None:
        self.table = np.zeros((n_neurons, 4))

    def add(self, local: np.ndarray, times: np.ndarray) -> None:
        """Count spikes of neurons (local indices) at ``times`` (ms), sorted by time."""
        count_intervals(local, times, self.table, self.table[:0, 0])

    def sums(self) -> np.ndarray:
        """Return float64 (3,): spikes, sum of the CVs of neurons with two intervals or more, number of these."""
        enough = self.table[self.table[:, COUNT] >= 3]
        cv = cv_of(enough[:, COUNT], enough[:, SUM], enough[:, SQUARES])
        return np.array([self.table[:, COUNT].sum(), cv.sum(), len(enough)])
