"""The run directory: spikes.zarr and recordings.zarr, written while the simulation runs, and provenance.json, the record of what was run.

Owns the folder, whether it may be written, and the record. What is in the .zarr folders belongs to ``store``. Knows nothing of networks or
ranks.
"""

import contextlib
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparseprop_dist import __version__
from sparseprop_dist.errors import InputError, SimulationError
from sparseprop_dist.seal import write_whole

SPIKES = "spikes.zarr"
RECORDINGS = "recordings.zarr"
PROVENANCE = "provenance.json"
LOCK = "lock"
LOOK = 0.2
"""s: `is_locked` holds the lock for much less; a run that starts meanwhile tries again for so long."""
PART = ".part"
"""Ends the name of a file that is not complete."""


class RunDirectory:
    """The folder of one run. Works wherever a path does (``os.fspath``).

    Make one with :meth:`create` (one rank, before simulating) or :meth:`open` (all others, and readers).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._made = False

    def __fspath__(self) -> str:
        return str(self.path)

    def lock(self) -> Any:
        """Keep other runs out of this directory until the returned file is closed, or this process ends in whatever way.

        Raises
        ------
        InputError
            if another run holds it.
        """
        path = self.path / LOCK
        try:
            file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  # kept open: the lock is the open file
        except OSError as error:
            raise InputError(f'"{path}" cannot be opened ({error.strerror}); a run must write in its directory') from None
        end = time.monotonic() + LOOK
        while not _locks(file, fcntl.LOCK_EX):
            if time.monotonic() > end:
                file.seek(0)
                holder = file.read(200).strip() or "another process"
                file.close()
                raise InputError(f'the run directory "{self.path}" is in use by {holder}; wait for it, or stop it first')
            time.sleep(LOOK / 20.0)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        return file

    def is_locked(self) -> bool:
        """Return whether a run holds this directory."""
        try:
            with open(self.path / LOCK, "rb") as file:
                return not _locks(file, fcntl.LOCK_SH)
        except OSError:
            return False

    @staticmethod
    def check(path: str | os.PathLike[str]) -> None:
        """Raise InputError if a run cannot be written to `path`; leave nothing there. For use before a long build."""
        try:
            refusal = _refusal(Path(path))
        except OSError as error:
            refusal = f'the output directory "{path}" cannot be made: "{error.filename}" cannot be used ({error.strerror})'
        if refusal:
            raise InputError(f"{refusal}; {'resume it, or ' if 'did not finish' in refusal else ''}name another directory")

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
        run._made = not run.path.exists()
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            # mkdir is atomic: of two runs started at once for one directory, one gets it
            (run.path / SPIKES).mkdir()
            _write_whole(run.path / PROVENANCE, provenance)
        except FileExistsError as error:
            raise InputError(f'the output directory "{path}" was taken by another run just now; name another directory') from error
        except OSError as error:
            run.discard()
            raise InputError(f'the output directory "{path}" cannot be written ({error.strerror}); name another directory') from error
        return run

    def discard(self) -> None:
        """Remove what :meth:`create` made, for a run that never began, so that the same output can be named again."""
        for name in (SPIKES, RECORDINGS):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (PROVENANCE, PROVENANCE + PART, LOCK):
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
        if self._made:
            with contextlib.suppress(OSError):  # it was never made, or somebody else has put a file there
                self.path.rmdir()

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
            raise InputError(f'"{path}" cannot be read ({one_line(error)}); the run directory is damaged: run again') from error

    def resumed(self, ms: float, until: float, **more: Any) -> None:
        """Add to the record that the run goes on from ``ms``, to ``until``. One rank calls it."""
        record = {key: value for key, value in self.provenance.items() if key not in ("finished", "summary")}
        entry = {"at": _now(), "from": ms, **more}
        try:
            _write_whole(self.path / PROVENANCE, record | {"until": until, "resumed": [*record.get("resumed", []), entry]})
        except OSError as error:
            raise SimulationError(f'"{self.path / PROVENANCE}" cannot be written ({error.strerror}); nothing was changed') from error

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Add `summary` and the time of day to the record. One rank calls it, after the last spike is committed."""
        try:
            _write_whole(self.path / PROVENANCE, self.provenance | {"finished": _now(), "summary": summary})
        except OSError as error:
            kept = "all spikes are written"
            raise SimulationError(f'the summary cannot be written to "{self.path / PROVENANCE}" ({error.strerror}); {kept}') from error


def _locks(file: Any, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _refusal(path: Path) -> str:
    """Return why no run can be written to `path`; empty: it can. May raise OSError."""
    if path.is_dir() and (held := sorted(entry.name for entry in path.iterdir())):
        what = f'is not empty (it holds "{held[0]}")'
        if PROVENANCE in held or SPIKES in held:
            what = "already holds a run" if _finished(path) else "holds a run that did not finish"
        return f'the output directory "{path}" {what}, and nothing was overwritten'
    if path.exists() and not path.is_dir():
        return f'the output "{path}" is a file, and must be a directory that is new or empty'
    present = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not present.is_dir():
        return f'the output directory "{path}" cannot be made: "{present}" is a file'
    # By trying: permission bits say nothing of file systems that are full or read-only. A file without a name, since making and removing
    # folders would disturb other runs that start at the same time.
    try:
        with tempfile.TemporaryFile(dir=present):
            return ""
    except OSError as error:
        return f'the output directory "{path}" cannot be made: nothing can be written in "{present}" ({error.strerror})'


def _finished(path: Path) -> bool:
    with contextlib.suppress(InputError):
        return "finished" in RunDirectory(path).provenance
    return False


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


def _write_whole(path: Path, record: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(plain(record), indent=2, allow_nan=False).encode() + b"\n")


def plain(value: Any) -> Any:
    """Return `value` in JSON types: numpy's numbers and arrays as Python's, paths as strings, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def one_line(error: Exception) -> str:
    """Return the text of an error of a library in one line, as part of a sentence."""
    return " ".join(str(error).split())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
