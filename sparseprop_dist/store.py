"""What a run leaves on disk: its spikes in spikes.zarr, written while the simulation runs.

Owns their layout. Zarr is imported inside functions: it takes 0.15 s on top of numpy's, spread over a hundred of its modules, and neither
`--help` nor an error in a network file need wait for it. Knows nothing of networks or ranks:
who writes which part of the file is the caller's business, and arrives as numbers.

Formula: spike number s of the run, in the order of (time, id), stands in file ``c/(s // CHUNK)`` of both arrays.
"""

import contextlib
import dataclasses
import functools
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparseprop_dist import __version__
from sparseprop_dist.errors import InputError, SimulationError
from sparseprop_dist.run_directory import SPIKES, RunDirectory, one_line, plain
from sparseprop_dist.seal import Manifest, seal

CHUNK = 1 << 20
"""Spikes per file (a Zarr shard), the unit in which ranks write without touching each other's files. 1e9 spikes are 2 x 954 files; a
rank holds 16 MB to write one of each array."""
READ_CHUNK = 1 << 16
"""Spikes that a reader decodes at once (a Zarr chunk inside a shard): 0.5 MB, the size at which zarr's cost per chunk no longer shows."""
_UNBOUNDED = 1 << 62
LOST = {"time": np.nan, "id": -1}
"""Fill values that no spike has. Zarr does not write a chunk of nothing but fill values, and a lost chunk reads as fill values: so
chunks of zeros (neuron 0 alone, say) are written, with no need for write_empty_chunks, padding is not, and a loss is noticed."""
DTYPES = {"time": np.dtype(np.float64), "id": np.dtype(np.int64)}
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "time": {"units": "ms", "long_name": "spike time"},
    "id": {"units": "1", "long_name": "global neuron id, 0-based"},
}


class SpikeFile:
    """spikes.zarr of a run, open for writing: two arrays, ``time`` (float64, ms) and ``id`` (int64, global neuron id), one entry a spike.

    Ranks write whole files (`CHUNK` spikes) in any order and at any time; nobody needs to know how many spikes there are, since
    :meth:`commit` alone sets the arrays' length. A reader, or whoever finds the directory after the program was killed, sees the spikes
    that were committed. The bytes on disk depend on the spikes alone.
    """

    def __init__(self, run: str | os.PathLike[str]) -> None:
        self.path = Path(run) / SPIKES
        self._arrays = {name: _unbounded(self.path / name) for name in DTYPES}
        self._written: list[str] = []

    @classmethod
    def create(cls, run: str | os.PathLike[str], attributes: Mapping[str, Any]) -> "SpikeFile":
        """Make both arrays, empty. One rank calls it; then the others may :meth:`open` the file.

        Parameters
        ----------
        run : path or RunDirectory
            A directory made by ``RunDirectory.create``.
        attributes : mapping
            JSON values that describe the spikes: n_neurons, until (ms), populations (list of name, first, size). Nothing that depends on
            ranks.
        """
        import zarr

        path = Path(run) / SPIKES
        fixed = {"order": "(time, id)", "software": f"sparseprop_dist {__version__}"}
        try:
            group = zarr.create_group(str(path), zarr_format=3, attributes=plain({**fixed, **attributes}))
            for name, dtype in DTYPES.items():
                group.create_array(
                    name, shape=(0,), dtype=dtype, chunks=(READ_CHUNK,), shards=(CHUNK,), filters=None, compressors=compressors(),
                    fill_value=LOST[name], dimension_names=("spike",), attributes=DESCRIPTIONS[name],
                )  # fmt: skip
        except OSError as error:
            raise InputError(f'the spike file "{path}" cannot be written ({error.strerror}); name another output directory') from error
        return cls(run)

    @classmethod
    def open(cls, run: str | os.PathLike[str]) -> "SpikeFile":
        """Open the file of a run for writing, on a rank that did not make it; an InputError if it cannot be seen."""
        try:
            return cls(run)
        except OSError as error:
            seen = f"cannot be opened on {platform.node()} ({one_line(error)})"
            remedy = "name an output directory that all nodes share"
            raise InputError(f'the spike file "{Path(run) / SPIKES}", made by rank 0, {seen}; {remedy}') from error

    def write(self, start: int, times: np.ndarray, ids: np.ndarray) -> None:
        """Write spikes number `start`, `start` + 1, ...

        Parameters
        ----------
        start : int
            A multiple of `CHUNK`.
        times, ids : array (n,)
            Spike times in ms and global neuron ids, ordered by (time, id). n is a multiple of `CHUNK`, except at the end of the run: a
            write replaces the whole of the files it reaches.

        Raises
        ------
        SimulationError
            if the disk is full, or gone; so does :meth:`commit`.
        """
        if start % CHUNK or len(times) != len(ids):
            raise ValueError(f"start ({start}) must be a multiple of {CHUNK}, and {len(times)} times cannot go with {len(ids)} ids")
        for name, values in (("time", times), ("id", ids)):
            for begin in range(0, len(values), CHUNK):
                piece = np.asarray(values[begin : begin + CHUNK], dtype=DTYPES[name])
                if len(piece) < CHUNK:
                    # a whole file each time: its bytes then depend on its spikes, not on how they came
                    piece = np.concatenate((piece, np.full(CHUNK - len(piece), LOST[name], piece.dtype)))
                with self._going_on():
                    self._arrays[name][start + begin : start + begin + CHUNK] = piece
                self._written.append(f"{name}/c/{(start + begin) // CHUNK}")

    def commit(self, n_spikes: int) -> None:
        """Let readers see the first `n_spikes` spikes. One rank calls it, once all of them are written."""
        import zarr

        with self._going_on():
            for name in DTYPES:
                zarr.open_array(str(self.path / name), mode="r+").resize((n_spikes,))

    def sealed(self) -> Manifest:
        """Flush what this rank wrote since the last call to the disk; return its manifest."""
        with self._going_on():
            made = seal(self.path, self._written)
        self._written = []
        return made

    def cut(self, n_spikes: int, attributes: Mapping[str, Any]) -> None:
        """Drop all but the first ``n_spikes``, whole chunks, and change attributes; for a run that goes on from there. One rank calls
        it."""
        import zarr

        with self._going_on():
            self.commit(n_spikes)
            for name in DTYPES:
                for file in (self.path / name / "c").glob("*"):
                    if not file.name.isdigit() or int(file.name) >= n_spikes // CHUNK:
                        file.unlink()
            zarr.open_group(str(self.path), mode="r+").update_attributes(plain(attributes))

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = "the spikes of earlier windows are kept"
            raise SimulationError(f'the spikes cannot be written to "{self.path}" any more ({error.strerror}); {kept}') from error


class Spikes:
    """The committed spikes of a run, read when asked for; made by :func:`spikes`."""

    def __init__(self, path: Path, group: Any) -> None:
        self._path = path
        self._arrays = {name: group[name] for name in DTYPES}
        # a run killed inside `commit` has committed the shorter length
        self._length = min(array.shape[0] for array in self._arrays.values())
        self.attributes: dict[str, Any] = dict(group.attrs)

    def __len__(self) -> int:
        return self._length

    @functools.cached_property
    def times(self) -> np.ndarray:
        """Spike times in ms, float64, ordered by (time, id)."""
        return self._read("time", 0, self._length)

    @functools.cached_property
    def ids(self) -> np.ndarray:
        """Global neuron ids of the spikes, int64."""
        return self._read("id", 0, self._length)

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (times, ids) of at most `CHUNK` spikes at a time: for runs that do not fit into memory."""
        for k in range(-(-self._length // CHUNK)):
            yield self.block(k)

    def block(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (times, ids) of the spikes of file ``k``."""
        start, stop = k * CHUNK, min((k + 1) * CHUNK, self._length)
        return self._read("time", start, stop), self._read("id", start, stop)

    def to_dask(self) -> tuple[Any, Any]:
        """Return (times, ids) as dask arrays, one block a file."""
        import dask.array

        times, ids = (dask.array.from_zarr(self._arrays[name], chunks=(CHUNK,))[: self._length] for name in ("time", "id"))
        return times, ids

    def _read(self, name: str, start: int, stop: int) -> np.ndarray:
        try:
            values = np.asarray(self._arrays[name][start:stop])
        except (ValueError, RuntimeError, OSError) as error:
            raise InputError(f'the array "{name}" of "{self._path}" is damaged ({one_line(error)}); copy it again, or run again') from error
        lost = np.flatnonzero(np.isnan(values) if name == "time" else values == LOST[name])
        if len(lost):
            first = start + int(lost[0])
            file = self._path / name / "c" / str(first // CHUNK)
            raise InputError(f'spike {first} is missing, since the file "{file}" is lost or damaged; copy it again, or run again')
        return values


def spikes(run: str | os.PathLike[str]) -> Spikes:
    """Return the committed spikes of the run directory `run` (read lazily)."""
    import zarr

    path = RunDirectory.open(run).path / SPIKES
    try:
        return Spikes(path, zarr.open_group(str(path), mode="r"))
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f'"{path}" is no spike file, or a damaged one ({one_line(error)}); copy it again, or run again') from error


def compressors() -> list[Any]:
    """lz4 after bitshuffle: 6.5 of 16 bytes a spike, 12 ns to write one and 9 to read it (4e6 spikes of 1e4 neurons, two shared cores).

    zstd after bitshuffle: 6.5 bytes, 17 and 10 ns; lz4 after byte shuffle: 6.9, 12 and 14; no compression: 16, 10 to 28 and 7 to 29.
    crc32c: zarr itself guards only the index of a shard.
    """
    from zarr.codecs import BloscCodec, Crc32cCodec

    return [BloscCodec(typesize=8, cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()]


def _unbounded(path: Path) -> Any:
    """Return the array at `path` as a writer sees it: without end, so that writing does not wait for the length that `commit` sets."""
    import zarr

    array = zarr.open_array(str(path), mode="r+").async_array
    return zarr.Array(dataclasses.replace(array, metadata=array.metadata.update_shape((_UNBOUNDED,))))
