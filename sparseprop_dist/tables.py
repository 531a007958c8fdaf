"""What a run leaves on disk of its recordings: recordings.zarr, a table of times by columns each, written while the simulation runs; and
values at spikes.

Owns their layout. Which rank writes which chunk is the caller's business.
"""

import functools
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparseprop_dist import __version__
from sparseprop_dist.errors import InputError, SimulationError
from sparseprop_dist.run_directory import RECORDINGS, RunDirectory, one_line, plain
from sparseprop_dist.seal import Manifest, seal
from sparseprop_dist.store import DESCRIPTIONS, DTYPES, LOST, READ_CHUNK, compressors


class RecordingFile:
    """One recording of a run, recordings.zarr/NAME, open for writing: its values, a table of times by columns of known size.

    Ranks write whole chunks in any order; what is not yet written reads as nan, or as -1 in counts.
    """

    def __init__(self, run: str | os.PathLike[str], name: str) -> None:
        import zarr

        self.path = Path(run) / RECORDINGS / name
        group: Any = zarr.open_group(str(self.path), mode="r+")
        self.what = str(group.attrs["what"])
        self._values: Any = group[self.what]
        self.chunk: tuple[int, int] = self._values.chunks
        self._written: list[str] = []

    @classmethod
    def create(
        cls, run: str | os.PathLike[str], name: str, what: str, times: Callable[[np.ndarray], np.ndarray], ids: np.ndarray | None,
        shape: tuple[int, int], chunk: tuple[int, int], unit: str, attributes: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Make a table without values. One rank calls it; then all may `open` it.

        Parameters
        ----------
        run : path of a run directory
        name : of the recording
        what : name of the array of its values: float64, or int64 counts
        times : returns the times (ms) of rows, given their numbers
        ids : gids of the columns, None for counts: then ``attributes`` has their populations
        shape, chunk : rows and columns, of the table and of one file
        unit : of the values
        attributes : JSON values
        """
        import zarr

        path = Path(run) / RECORDINGS
        dimensions = ("time", "population" if ids is None else "id")
        dtype = np.dtype(np.int64 if ids is None else np.float64)
        fixed = {"what": what, "software": f"sparseprop_dist {__version__}"}
        try:
            zarr.open_group(str(path), mode="a", zarr_format=3)
            group = zarr.create_group(str(path / name), zarr_format=3, attributes=plain({**fixed, **attributes}))
            made: dict[str, Any] = {"filters": None, "compressors": compressors()}
            group.create_array(
                what, shape=shape, dtype=dtype, chunks=chunk, fill_value=-1 if ids is None else np.nan,
                dimension_names=dimensions, attributes={"units": unit}, **made,
            )  # fmt: skip
            columns = {"time": (shape[0], times)} | ({} if ids is None else {"id": (shape[1], ids.__getitem__)})
            for key, (n, values) in columns.items():
                array = group.create_array(
                    key, shape=(n,), dtype=DTYPES[key], chunks=(min(n, READ_CHUNK),), fill_value=LOST[key],
                    dimension_names=(key,), attributes={"units": DESCRIPTIONS[key]["units"]}, **made,
                )  # fmt: skip
                for start in range(0, n, READ_CHUNK):
                    rows = np.arange(start, min(start + READ_CHUNK, n))
                    array[rows[0] : rows[-1] + 1] = values(rows)
        except OSError as error:
            raise InputError(f'"{path / name}" cannot be written ({error.strerror}); name another output directory') from error

    @classmethod
    def open(cls, run: str | os.PathLike[str], name: str) -> "RecordingFile":
        """Open a recording for writing; an InputError if it cannot be seen."""
        try:
            return cls(run, name)
        except OSError as error:
            seen = f"cannot be opened on {platform.node()} ({one_line(error)})"
            raise InputError(f'"{Path(run) / RECORDINGS / name}" {seen}; name an output directory that all nodes share') from error

    def write(self, row: int, column: int, values: np.ndarray) -> None:
        """Write a whole chunk, whose first value belongs to ``row`` and ``column``; a SimulationError if the disk is full, or gone."""
        try:
            self._values[row : row + values.shape[0], column : column + values.shape[1]] = values
        except OSError as error:
            kept = "what was recorded before is kept"
            raise SimulationError(f'"{self.path}" cannot be written any more ({error.strerror}); {kept}') from error
        if len(values) == self.chunk[0]:  # others may be written again, by a run that is extended
            self._written.append(f"{self.what}/c/{row // self.chunk[0]}/{column // self.chunk[1]}")

    def read(self, row: int, stop: int) -> np.ndarray:
        """Return rows that were written."""
        return np.asarray(self._values[row:stop])

    def sealed(self) -> Manifest:
        """As that of spikes."""
        try:
            made = seal(self.path, [name for name in self._written if (self.path / name).exists()])
        except OSError as error:
            raise SimulationError(f'"{self.path}" cannot be flushed to the disk ({error.strerror})') from error
        self._written = []
        return made

    def extend(self, n_rows: int, times: Callable[[np.ndarray], np.ndarray], attributes: Mapping[str, Any]) -> None:
        """Make room for so many rows, for a run that goes on for longer. One rank calls it; then all open the file anew."""
        import zarr

        group: Any = zarr.open_group(str(self.path), mode="r+")
        first = group["time"].shape[0]
        if n_rows <= first:
            return
        group[self.what].resize((n_rows, group[self.what].shape[1]))
        group["time"].resize((n_rows,))
        group["time"][first:] = times(np.arange(first, n_rows))
        group.update_attributes(plain(attributes))


class StoredRecording:
    """A recording of a run, read when asked for; made by `recordings`."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self.attributes: dict[str, Any] = dict(group.attrs)
        self.what: str = self.attributes["what"]
        self.populations = tuple(self.attributes["populations"])
        self.unit: str = group[self.what].attrs["units"]

    @functools.cached_property
    def times(self) -> np.ndarray:
        """Float64, ms: of samples, or the starts of bins."""
        return np.asarray(self._group["time"][:])

    @functools.cached_property
    def ids(self) -> np.ndarray | None:
        """Int64, gids of the columns; None for counts, whose columns are ``populations``."""
        return np.asarray(self._group["id"][:]) if "id" in self._group else None

    @functools.cached_property
    def values(self) -> np.ndarray:
        """Float64 (int64 for counts), times by columns."""
        return np.asarray(self._group[self.what][:])

    def to_dask(self) -> Any:
        """Return the values as a dask array, one block a file."""
        import dask.array

        return dask.array.from_zarr(self._group[self.what])


def recordings(run: str | os.PathLike[str]) -> dict[str, StoredRecording]:
    """Return the recordings of the run directory ``run`` by name (read lazily); none for a run without."""
    import zarr

    path = RunDirectory.open(run).path / RECORDINGS
    if not path.exists():
        return {}
    try:
        return {name: StoredRecording(group) for name, group in sorted(zarr.open_group(str(path), mode="r").groups())}
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f'"{path}" is damaged ({one_line(error)}); copy it again, or run again') from error


def save_series(path: str | os.PathLike[str], what: str, unit: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write values at spikes: a group of three arrays of one entry a spike, ``time``, ``id`` and ``what``; an InputError if it cannot be
    written."""
    import zarr

    described = {**DESCRIPTIONS, what: {"units": unit}}
    fixed = {"what": what, "software": f"sparseprop_dist {__version__}"}
    try:
        group = zarr.create_group(str(path), zarr_format=3, attributes=fixed)
        for name, values in arrays.items():
            group.create_array(
                name, data=values, chunks=(max(1, min(len(values), READ_CHUNK)),), filters=None, compressors=compressors(),
                dimension_names=("spike",), attributes=described[name],
            )  # fmt: skip
    except OSError as error:
        raise InputError(f'"{path}" cannot be written ({error.strerror}); give another output') from error


def load_series(path: str | os.PathLike[str]) -> tuple[str, str, list[np.ndarray]]:
    """Return what was read, its unit, and the arrays that `save_series` wrote; an InputError if they are not there."""
    import zarr

    try:
        group: Any = zarr.open_group(str(path), mode="r")
        what = str(group.attrs["what"])
        return what, str(group[what].attrs["units"]), [np.asarray(group[name][:]) for name in ("time", "id", what)]
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f'"{path}" has no values at spikes ({one_line(error)}); give the output of at_spikes') from error
