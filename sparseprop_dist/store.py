"""The run directory: spikes.zarr, written while the simulation runs, and provenance.json, the record of what was run.

Owns the layout of both on disk, and is the only importer of zarr (inside functions: the import takes 0.15 s on top of numpy's, spread
over a hundred of its modules, and neither `--help` nor an error in a network file need wait for it). Knows nothing of networks or ranks:
who writes which part of the file is the caller's business, and arrives as numbers.

Formula: spike number s of the run, in the order of (time, id), stands in file ``c/(s // CHUNK)`` of both arrays.
"""

import dataclasses
import datetime
import functools
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparseprop_dist import __version__
from sparseprop_dist.errors import InputError

CHUNK = 1 << 20
"""Spikes per file (a Zarr shard), the unit in which ranks write without touching each other's files. 1e9 spikes are 2 x 954 files; a
rank holds 16 MB to write one of each array."""
READ_CHUNK = 1 << 16
"""Spikes that a reader decodes at once (a Zarr chunk inside a shard): 0.5 MB, the size at which zarr's cost per chunk no longer shows."""
SPIKES = "spikes.zarr"
PROVENANCE = "provenance.json"
_UNBOUNDED = 1 << 62
_LOST = {"time": np.nan, "id": -1}
"""Fill values that no spike has. Zarr does not write a chunk of nothing but fill values, and a lost chunk reads as fill values: so
chunks of zeros (neuron 0 alone, say) are written, with no need for write_empty_chunks, padding is not, and a loss is noticed."""
_DTYPES = {"time": np.dtype(np.float64), "id": np.dtype(np.int64)}
_DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "time": {"units": "ms", "long_name": "spike time"},
    "id": {"units": "1", "long_name": "global neuron id, 0-based"},
}


class RunDirectory:
    """The folder of one run. Works wherever a path does (``os.fspath``).

    Make one with :meth:`create` (one rank, before simulating) or :meth:`open` (all others, and readers).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __fspath__(self) -> str:
        return str(self.path)

    @staticmethod
    def check(path: str | os.PathLike[str]) -> None:
        """Raise InputError if a run cannot be written to `path`; write nothing. For use before a long build."""
        path = Path(path)
        if path.is_dir() and (held := sorted(entry.name for entry in path.iterdir())):
            what = "already holds a run" if PROVENANCE in held or SPIKES in held else f'is not empty (it holds "{held[0]}")'
            raise InputError(f'the output directory "{path}" {what}; nothing was overwritten: name a new or empty directory')
        if path.exists() and not path.is_dir():
            raise InputError(f'the output "{path}" is a file, and must be a directory that is new or empty; name another one')
        present = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        if not present.is_dir():
            raise InputError(f'the output directory "{path}" cannot be made: "{present}" is a file; name another directory')
        if not os.access(present, os.W_OK | os.X_OK):
            raise InputError(f'the output directory "{path}" cannot be made: no permission to write in "{present}"; name another one')

    @classmethod
    def create(cls, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> "RunDirectory":
        """Make the directory (and its parents) with an empty spikes.zarr folder and provenance.json.

        Parameters
        ----------
        path : path
            New, or an empty directory.
        provenance : mapping
            JSON values, see :func:`provenance`.

        Raises
        ------
        InputError
            If the path holds another run or any file, or cannot be written.
        """
        cls.check(path)
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            # mkdir is atomic: of two runs started at once for one directory, one gets it
            (run.path / SPIKES).mkdir()
            _write_whole(run.path / PROVENANCE, provenance)
        except FileExistsError as error:
            raise InputError(f'the output directory "{path}" was taken by another run just now; name another directory') from error
        except OSError as error:
            raise InputError(f'the output directory "{path}" cannot be written ({error.strerror}); name another directory') from error
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunDirectory":
        """Return the run directory at `path`, or raise InputError if there is none."""
        run = cls(path)
        if not run.path.exists():
            raise InputError(f'there is no run directory "{path}"; give the directory named by --output when the run was made')
        for name in (PROVENANCE, SPIKES):
            if not (run.path / name).exists():
                raise InputError(f'"{path}" is not a run directory (it has no {name}); give the one named by --output')
        return run

    @property
    def provenance(self) -> dict[str, Any]:
        """The record of this run: what :meth:`create` was given and, once the run has ended, ``summary`` and ``finished``."""
        path = self.path / PROVENANCE
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f'"{path}" cannot be read ({_line(error)}); the run directory is damaged: run again') from error

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Add `summary` and the time of day to the record. One rank calls it, after the last spike is committed."""
        _write_whole(self.path / PROVENANCE, self.provenance | {"finished": _now(), "summary": summary})


def provenance(*, config: str, seed: int, ranks: int, hosts: Sequence[str] = (), mpi: str = "", **more: Any) -> dict[str, Any]:
    """Return the record of a run that begins now.

    Parameters
    ----------
    config : str
        Text of the network description, complete enough to run it again.
    seed : int
        Seed of the network.
    ranks : int
        Number of ranks.
    hosts : sequence of str
        Host name of each rank.
    mpi : str
        Name and version of the MPI library; empty: run without one.
    **more
        Further JSON values (until in ms, schedule, window in ms, ...).
    """
    packages = ("numpy", "numba", "mpi4py", "zarr", "h5py")
    versions = {"sparseprop_dist": __version__, "python": platform.python_version(), "mpi": mpi or None}
    versions |= {name: _version(name) for name in packages}
    return {
        "started": _now(), "seed": seed, "ranks": ranks, "hosts": list(hosts), "machine": platform.machine(), "system":
        platform.platform(), "versions": versions, **more, "config": config,
    }  # fmt: skip


class SpikeFile:
    """spikes.zarr of a run, open for writing: two arrays, ``time`` (float64, ms) and ``id`` (int64, global neuron id), one entry a spike.

    Ranks write whole files (`CHUNK` spikes) in any order and at any time; nobody needs to know how many spikes there are, since
    :meth:`commit` alone sets the arrays' length. A reader, or whoever finds the directory after the program was killed, sees the spikes
    that were committed. The bytes on disk depend on the spikes alone.
    """

    def __init__(self, run: str | os.PathLike[str]) -> None:
        self.path = Path(run) / SPIKES
        self._arrays = {name: _unbounded(self.path / name) for name in _DTYPES}

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
        from zarr.codecs import BloscCodec, Crc32cCodec

        path = Path(run) / SPIKES
        fixed = {"order": "(time, id)", "software": f"sparseprop_dist {__version__}"}
        group = zarr.create_group(str(path), zarr_format=3, attributes=_plain({**fixed, **attributes}))
        # lz4 after bitshuffle: 6.5 of 16 bytes a spike, 12 ns to write one and 9 to read it (4e6 spikes of 1e4 neurons, two shared
        # cores). zstd after bitshuffle: 6.5 bytes, 17 and 10 ns; lz4 after byte shuffle: 6.9, 12 and 14; no compression: 16, 10 to 28
        # and 7 to 29. crc32c: zarr itself guards only the index of a shard.
        compressors = [BloscCodec(typesize=8, cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()]
        for name, dtype in _DTYPES.items():
            group.create_array(
                name, shape=(0,), dtype=dtype, chunks=(READ_CHUNK,), shards=(CHUNK,), filters=None, compressors=compressors,
                fill_value=_LOST[name], dimension_names=("spike",), attributes=_DESCRIPTIONS[name],
            )  # fmt: skip
        return cls(run)

    @classmethod
    def open(cls, run: str | os.PathLike[str]) -> "SpikeFile":
        """Open the file of a run for writing."""
        return cls(run)

    def write(self, start: int, times: np.ndarray, ids: np.ndarray) -> None:
        """Write spikes number `start`, `start` + 1, ...

        Parameters
        ----------
        start : int
            A multiple of `CHUNK`.
        times, ids : array (n,)
            Spike times in ms and global neuron ids, ordered by (time, id). n is a multiple of `CHUNK`, except at the end of the run: a
            write replaces the whole of the files it reaches.
        """
        if start % CHUNK or len(times) != len(ids):
            raise ValueError(f"start ({start}) must be a multiple of {CHUNK}, and {len(times)} times cannot go with {len(ids)} ids")
        for name, values in (("time", times), ("id", ids)):
            for begin in range(0, len(values), CHUNK):
                piece = np.asarray(values[begin : begin + CHUNK], dtype=_DTYPES[name])
                if len(piece) < CHUNK:
                    # a whole file each time: its bytes then depend on its spikes, not on how they came
                    piece = np.concatenate((piece, np.full(CHUNK - len(piece), _LOST[name], piece.dtype)))
                self._arrays[name][start + begin : start + begin + CHUNK] = piece

    def commit(self, n_spikes: int) -> None:
        """Let readers see the first `n_spikes` spikes. One rank calls it, once all of them are written."""
        import zarr

        for name in _DTYPES:
            zarr.open_array(str(self.path / name), mode="r+").resize((n_spikes,))


class Spikes:
    """The committed spikes of a run, read when asked for; made by :func:`spikes`."""

    def __init__(self, path: Path, group: Any) -> None:
        self._path = path
        self._arrays = {name: group[name] for name in _DTYPES}
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
        for start in range(0, self._length, CHUNK):
            stop = min(start + CHUNK, self._length)
            yield self._read("time", start, stop), self._read("id", start, stop)

    def to_dask(self) -> tuple[Any, Any]:
        """Return (times, ids) as dask arrays, one block a file."""
        import dask.array

        times, ids = (dask.array.from_zarr(self._arrays[name], chunks=(CHUNK,))[: self._length] for name in ("time", "id"))
        return times, ids

    def _read(self, name: str, start: int, stop: int) -> np.ndarray:
        try:
            values = np.asarray(self._arrays[name][start:stop])
        except (ValueError, RuntimeError, OSError) as error:
            raise InputError(f'the array "{name}" of "{self._path}" is damaged ({_line(error)}); copy it again, or run again') from error
        lost = np.flatnonzero(np.isnan(values) if name == "time" else values == _LOST[name])
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
        raise InputError(f'"{path}" is no spike file, or a damaged one ({_line(error)}); copy it again, or run again') from error


def _unbounded(path: Path) -> Any:
    """Return the array at `path` as a writer sees it: without end, so that writing does not wait for the length that `commit` sets."""
    import zarr

    array = zarr.open_array(str(path), mode="r+").async_array
    return zarr.Array(dataclasses.replace(array, metadata=array.metadata.update_shape((_UNBOUNDED,))))


def _write_whole(path: Path, record: Mapping[str, Any]) -> None:
    """Write JSON so that `path` holds the old or the new text whatever happens, power cuts included."""
    aside = path.with_name(path.name + ".part")
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(_plain(record), file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _plain(value: Any) -> Any:
    """Return `value` in JSON types: numpy's numbers and arrays as Python's, paths as strings, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _line(error: Exception) -> str:
    """Return the text of an error of a library in one line, as part of a sentence."""
    return " ".join(str(error).split())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
