"""Checkpoints on disk: a Zarr store a checkpoint, complete or absent, written by all ranks at once (``docs/design/checkpoints.md``).

Owns their layout, and which of them is the newest that is whole. Knows nothing of what the arrays mean.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError, SimulationError
from .exchange import Alone, agreed
from .run_directory import one_line
from .seal import canonical, digest, files_in, flush, read_sealed_record, seal, sealed_record, verify, write_whole

FOLDER = "checkpoints"
RECORD = "checkpoint.json"
PART = ".part"
"""Ends the name of a checkpoint that is not complete."""
FORMAT = 1
"""Of the files."""
DYNAMICS = 1
"""Of what is simulated: raised whenever a change of the code changes a bit of a spike train."""
MOST_RANKS = 1 << 20
KINDS = ("float64", "int64")

Arrays = dict[str, np.ndarray]


def name_of(tick: int) -> str:
    """Return the name of the checkpoint at an absolute tick: names sort as ticks do."""
    return f"{tick:024d}"


def write(communicator: Alone, path: Path, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
    """Write a checkpoint; collective. ``record``: JSON values, those of rank 0 count.

    Raises
    ------
    SimulationError
        on all ranks, if any cannot write its part: a checkpoint of this name is then absent, and older ones are as they were.
    """
    aside = path.with_name(path.name + PART)

    def begin() -> None:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)

    def own_part() -> list[Any]:
        name = f"rank_{communicator.rank}"
        _write_arrays(aside / name, arrays)
        manifest = seal(aside / name, files_in(aside / name))
        write_whole(aside / f"{name}.json", canonical(manifest))
        return [name, len(canonical(manifest)), digest(canonical(manifest)), _ranges(arrays["gid"])]

    def end(parts: list[list[Any]]) -> None:
        whole = {**record, "format": FORMAT, "dynamics": DYNAMICS, "parts": parts}
        write_whole(aside / RECORD, sealed_record(whole))
        if path.exists():  # the same tick again: a run that was resumed there and stopped at once
            shutil.rmtree(path)
        aside.rename(path)
        flush(path.parent)

    try:
        _writing(communicator, path, lambda: begin() if communicator.rank == 0 else None)
        part = _writing(communicator, path, own_part)
        parts = communicator.collect(part)
        _writing(communicator, path, lambda: end(parts) if communicator.rank == 0 else None)
    except SimulationError:
        if communicator.rank == 0:
            shutil.rmtree(aside, ignore_errors=True)
        raise


def _writing(communicator: Alone, path: Path, call: Callable[[], Any]) -> Any:
    result, error = None, None
    try:
        result = call()
    except OSError as raised:
        error = SimulationError(f'the checkpoint "{path}" cannot be written ({raised.strerror or raised}); older ones are kept')
    communicator.agree(error)
    return result


def remove_old(folder: Path, keep: int) -> None:
    """Remove all but the last ``keep`` checkpoints, and what was left incomplete. One rank calls it."""
    for path in folder.glob(f"*{PART}"):
        shutil.rmtree(path, ignore_errors=True)
    for path in _all(folder)[:-keep]:
        aside = path.with_name(path.name + PART)
        with_record = path / RECORD
        with_record.unlink(missing_ok=True)  # from now on it is no checkpoint, whatever happens
        path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _all(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the newest last."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.isdigit() and path.is_dir() and not path.is_symlink())


class Checkpoint:
    """A checkpoint that is whole."""

    def __init__(self, path: Path, record: Mapping[str, Any]) -> None:
        self.path, self.record = path, record

    @classmethod
    def open(cls, communicator: Alone, path: Path) -> "Checkpoint":
        """Open a checkpoint and compare all its files with their seals; collective.

        Raises
        ------
        InputError
            on all ranks: for a file that is missing or damaged, another format, other dynamics.
        """
        record = agreed(communicator, lambda: _record(path) if communicator.rank == 0 else None)
        record = communicator.share(record)

        def check() -> None:
            for name, size, digested, _ in record["parts"][communicator.rank :: communicator.size]:
                verify(path, {f"{name}.json": [size, digested]})
                verify(path / name, json.loads((path / f"{name}.json").read_bytes()))

        agreed(communicator, check)
        return cls(path, record)

    def parts(self, wanted: Callable[[int, int], bool], names: Sequence[str] | None = None) -> list[Arrays]:
        """Return the arrays (of some names) of those ranks that had a range of gids, first and end, that is ``wanted``."""
        return [_read_arrays(self.path / name, names) for name, _, _, ranges in self.record["parts"] if any(wanted(*r) for r in ranges)]


def newest(communicator: Alone, folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint of a folder that is whole, with a warning for each that is not; collective.

    Raises
    ------
    InputError
        if there are some, and none is whole or all are of another version.
    """
    refusal = None
    for path in reversed([Path(path) for path in communicator.share([os.fspath(path) for path in _all(folder)])]):
        try:
            return Checkpoint.open(communicator, path)
        except InputError as error:
            refusal = error
            if communicator.rank == 0:
                warnings.warn(f'the checkpoint "{path.name}" is not used: {error}', stacklevel=2)
    if refusal is not None:
        raise InputError(f'no checkpoint in "{folder}" can be used, the last because {refusal}; run again, into another directory')
    return None


def _record(path: Path) -> dict[str, Any]:
    record = read_sealed_record(path / RECORD)
    for key, mine, what in (("format", FORMAT, "the format"), ("dynamics", DYNAMICS, "the dynamics")):
        if record.get(key) != mine:
            raise InputError(f'"{path}" has version {record.get(key)} of {what}, and this program has {mine}; resume with that version')
    names = [part[0] for part in record["parts"]]
    if len(names) > MOST_RANKS or names != [f"rank_{k}" for k in range(len(names))]:
        raise InputError(f'"{path / RECORD}" names parts that no rank wrote')
    return record


def _ranges(gids: np.ndarray) -> list[list[int]]:
    """Return sorted gids as ranges, first and end."""
    gids = np.sort(gids)
    cuts = np.flatnonzero(np.diff(gids) != 1) + 1
    return [[int(part[0]), int(part[-1]) + 1] for part in np.split(gids, cuts) if len(part)]


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of 64-bit numbers, one file each and not compressed: the size of the file then follows from the shape."""
    import zarr

    group = zarr.create_group(str(path), zarr_format=3)
    for name, array in arrays.items():
        made = group.create_array(
            name, shape=array.shape, dtype=array.dtype, chunks=tuple(max(1, n) for n in array.shape), filters=None, compressors=None,
            config={"write_empty_chunks": True},
        )  # fmt: skip
        made[...] = array


def _read_arrays(path: Path, wanted: Sequence[str] | None) -> Arrays:
    """Return the arrays of a part whose files were verified; an InputError for any that `_write_arrays` would not have written."""
    import zarr

    try:
        names = sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if wanted is None else wanted
        for name in names:
            _check_metadata(path / name)
        group = zarr.open_group(str(path), mode="r", zarr_format=3)
        return {name: np.asarray(group[name][...]) for name in names}  # type: ignore[index]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f'"{path}" cannot be read ({one_line(error)})') from None


def _check_metadata(path: Path) -> None:
    """Refuse an array before memory is asked for it, unless it is one of plain numbers whose file is as long as its shape says."""
    found = json.loads((path / "zarr.json").read_bytes())
    shape, kind = tuple(found["shape"]), found["data_type"]
    codecs = [codec["name"] for codec in found["codecs"]]
    chunk = tuple(found["chunk_grid"]["configuration"]["chunk_shape"])
    file = path.joinpath("c", *["0"] * len(shape))
    n_bytes = 8 * int(np.prod(shape, dtype=object))
    length = file.stat().st_size if file.exists() else 0
    if kind not in KINDS or codecs != ["bytes"] or chunk != tuple(max(1, n) for n in shape) or length != n_bytes:
        raise InputError(f'the array "{path}" is not one that a checkpoint holds')
