"""Spikes in SONATA files: /spikes/<population>/{timestamps, node_ids}, and the older /spikes/{timestamps, gids}.

Owns both layouts, and that spikes come out ordered by time whatever the file's order. Knows nothing of networks.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparseprop_dist.errors import InputError, nearest
from sparseprop_dist.sonata import hdf5

SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
MILLISECONDS = ("ms", "msec", "millisecond", "milliseconds")
CHUNK = 1 << 16
"""Spikes in an HDF5 chunk: 0.5 MB."""


def read_spikes(path: str | os.PathLike[str], population: str | None = None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read spikes.

    Parameters
    ----------
    path : a SONATA spike file, sorted or not
    population : whose spikes; may be left out if the file has one population. A file of the older layout, which names none, gives all
    its spikes.

    Returns
    -------
    times : (n_spikes,) float64 ms, ascending; spikes of equal time stay in the order of the file
    ids : (n_spikes,) int64, node of the population, 0-based

    Raises
    ------
    InputError
        if the file is missing, damaged or of another layout, or holds negative, infinite or NaN times.
    """
    with hdf5.reading(path, "spike file") as file:
        found = _population(hdf5.group(file, "spikes"), population)
        times = hdf5.numbers(found, "timestamps")
        ids = hdf5.integers(found, "node_ids" if "node_ids" in found or "gids" not in found else "gids", len(times))
        column = found["timestamps"]
        unit = hdf5.attribute(column, "units")
        if unit not in (None, *MILLISECONDS):
            raise InputError(f'{hdf5.place(column)} is in units "{unit}"; convert it to ms')
        wrong = np.flatnonzero(~((times >= 0.0) & (times < np.inf)))
        if wrong.size:
            raise InputError(f"{hdf5.place(column)} holds {times[wrong[0]]} at position {wrong[0]}; spike times must be 0 or more")
    if np.all(times[1:] >= times[:-1]):
        return times, ids
    order = np.argsort(times, kind="stable")
    return hdf5.sealed(times[order]), hdf5.sealed(ids[order])


def _population(root: h5py.Group, name: str | None) -> h5py.Group:
    """Return the group that holds the spikes of a population."""
    if isinstance(root.get("timestamps"), h5py.Dataset):
        return root
    names = [member for member in root if isinstance(root[member], h5py.Group)]
    if name is None and len(names) == 1:
        name = names[0]
    if name is None or name not in names:
        asked = "several populations; say which of them" if name is None else f'no spikes of population "{name}"'
        hint = nearest(name or "", names) or f"; it has {', '.join(names) or 'none'}"
        raise InputError(f'the spike file "{root.file.filename}" has {asked}{hint}')
    return hdf5.group(root, name)


class SpikeWriter:
    """A SONATA spike file that grows block by block: ``with SpikeWriter(path, names) as writer: writer.append(name, times, ids)``.

    The file appears at `path`, complete, when the block is left without an error.

    Parameters
    ----------
    path : where; must not exist, unless `overwrite`
    populations : names, in the order of the file
    """

    def __init__(self, path: str | os.PathLike[str], populations: Iterable[str], *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self._aside = self.path.with_name(self.path.name + ".part")
        if self.path.is_dir() or (self.path.exists() and not overwrite):
            raise InputError(f'"{path}" exists already; nothing was overwritten: name another file, or move this one away')
        try:
            self._file = h5py.File(self._aside, "w")
        except OSError as error:
            raise InputError(f'"{path}" cannot be written ({error}); name another file') from error
        # what the specification asks of every file: that it is SONATA's (0x0A7A), and of which version
        self._file.attrs["magic"] = np.uint32(0x0A7A)
        self._file.attrs["version"] = np.array([0, 1], dtype=np.uint32)
        self._last: dict[str, float] = {}
        for name in populations:
            group = self._file.create_group(f"spikes/{name}")
            group.attrs.create("sorting", 2, dtype=SORTING)
            for column, dtype in (("timestamps", np.float64), ("node_ids", np.uint64)):
                # no time stamps of the clock: equal spikes make equal files
                group.create_dataset(
                    column,
                    (0,),
                    dtype,
                    maxshape=(None,),
                    chunks=(CHUNK,),
                    shuffle=True,
                    compression="gzip",
                    compression_opts=1,
                    track_times=False,
                )
            group["timestamps"].attrs["units"] = "ms"
            self._last[name] = 0.0

    def append(self, population: str, times: ArrayLike, ids: ArrayLike) -> None:
        """Add spikes: times in ms, ascending and not before those added earlier; ids, 0-based in the population."""
        times, ids = np.asarray(times, dtype=np.float64), np.asarray(ids)
        if times.shape != ids.shape or times.ndim != 1:
            raise InputError(f'spikes of "{population}" have times of shape {times.shape} and ids of shape {ids.shape}; give one of each')
        if not times.size:
            return
        if ids.dtype.kind not in "iu" or ids.min() < 0:
            raise InputError(f'spikes of "{population}" have ids that are negative or no whole numbers; ids count from 0')
        if not (times[0] >= self._last[population] and np.all(times[1:] >= times[:-1]) and times[-1] < np.inf):
            raise InputError(f'spike times of "{population}" are not sorted, negative or not finite; sort them by time, in ms')
        self._last[population] = float(times[-1])
        group = self._file[f"spikes/{population}"]
        for name, values in (("timestamps", times), ("node_ids", ids)):
            column = group[name]
            start = column.shape[0]
            column.resize((start + len(values),))
            column[start:] = values

    def __enter__(self) -> "SpikeWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._aside, self.path)
        else:
            self._aside.unlink(missing_ok=True)


def write_spikes(path: str | os.PathLike[str], spikes: Mapping[str, tuple[ArrayLike, ArrayLike]], *, overwrite: bool = False) -> None:
    """Write spikes to a SONATA file.

    Parameters
    ----------
    path : where; must not exist, unless `overwrite`
    spikes : for each population (times in ms, node ids from 0), in any order; they are stored by time, equal times in the given order

    Raises
    ------
    InputError
        if the file exists or cannot be written, or times are negative or not finite.
    """
    with SpikeWriter(path, spikes, overwrite=overwrite) as writer:
        for name, (times, ids) in spikes.items():
            times = np.asarray(times, dtype=np.float64)
            order = np.argsort(times, kind="stable") if times.ndim == 1 and np.shape(ids) == times.shape else slice(None)
            writer.append(name, times[order], np.asarray(ids)[order])
