"""A run that goes on from its newest checkpoint.

Owns what must be the same as when it was written, and what is done to the files of the run before it goes on.
"""

import contextlib
import functools
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from . import checkpoint, config
from .checkpoint import FOLDER, Checkpoint
from .clock import TICK
from .description import Network
from .errors import InputError
from .exchange import Alone, agreed, world
from .fingerprint import difference, fingerprint
from .interruption import Checkpoints, changed
from .network_file import load
from .output import Output, create_files, opened, spike_attributes
from .result import Result
from .run_directory import RECORDINGS, SPIKES, RunDirectory
from .seal import verify
from .simulate import Simulation


def resume(
    run_dir: Any,
    until: float | None = None,
    *,
    network: Network | None = None,
    checkpoint: Any = None,
    **more: Any,
) -> Result:
    """Take a run to its end, from its newest checkpoint that is whole, on any number of ranks.

    Parameters
    ----------
    run_dir : path
        Run directory.
    until : float, optional
        ms, a new end, beyond the one that the run had.
    network : Network, optional
        The description, for a run whose directory has not got it since it has large arrays.
    checkpoint : path, optional
        One that `Simulation.checkpoint` wrote elsewhere, instead of the newest.
    **more
        window, schedule, progress, comm, checkpoints, wall_limit, as for `simulate`.

    Raises
    ------
    InputError
        if there is nothing to resume, or what was committed is damaged, or the description or the version differs.
    """
    with contextlib.closing(resumed(run_dir, until, network=network, path=checkpoint, **more)) as simulation:
        return simulation.finish()


def resumed(
    run_dir: Any,
    until: float | None = None,
    *,
    network: Network | None = None,
    path: Any = None,
    change: dict[str, Any] | None = None,
    **more: Any,
) -> Simulation:
    """As `resume`; return the run where it goes on, as a `Simulation`. ``change``: of how often the run writes checkpoints."""
    communicator = more.get("comm") or world()
    run = agreed(communicator, lambda: RunDirectory.open(run_dir) if communicator.rank == 0 else RunDirectory(run_dir))
    lock = agreed(communicator, lambda: run.lock() if communicator.rank == 0 else None)
    try:
        record = communicator.share(agreed(communicator, lambda: run.provenance if communicator.rank == 0 else None))
        network = agreed(communicator, lambda: network or _network(run, record))
        agreed(communicator, lambda: _check_same(run, record.get("fingerprint", {}), network))
        found = _found(communicator, run, path)
        end = agreed(communicator, lambda: _end(run, record, found, until))
        _check_files(communicator, network, run, found)

        def reopen() -> tuple[Output, Checkpoint | None]:
            output = _reopened(communicator, network, run, found, end)
            output.lock = lock
            if communicator.rank == 0:
                run.resumed(_ms(found), end, ranks=communicator.size)
            return output, found

        more.setdefault("checkpoints", changed(Checkpoints(**(record.get("checkpoints") or {})), **(change or {})))
        return Simulation(network, end, output=run.path, reopen=reopen, **more)
    except BaseException:
        if lock is not None:
            lock.close()
        raise


def _network(run: RunDirectory, record: dict[str, Any]) -> Network:
    """Return the description of a run, out of its directory or of the file that it came from."""
    text, file = str(record.get("config", "")), record.get("file")
    if not text.startswith("# "):
        return config.loads(text, run.path).network
    if file:
        network = load(file).network
        network.seed = record["seed"]
        return network
    raise InputError(f'"{run.path}" has no description of the network ({text[2:].strip()}); give it: sp.resume(run_dir, network=network)')


def _check_same(run: RunDirectory, before: dict[str, str], network: Network) -> None:
    if changed := difference(before, fingerprint(network)):
        raise InputError(f'{changed} is not what it was when "{run.path}" was made; resume with the same description, or start another run')


def _found(communicator: Alone, run: RunDirectory, path: Any) -> Checkpoint | None:
    if path is not None:
        return Checkpoint.open(communicator, Path(path))
    found = checkpoint.newest(communicator, run.path / FOLDER)
    if found is None and communicator.rank == 0:
        warnings.warn(f'"{run.path}" has no checkpoint, so that the run starts at 0 ms', stacklevel=3)
    return found


def _ms(found: Checkpoint | None) -> float:
    return 0.0 if found is None else float(found.record["common"]["tick"] * TICK)


def _end(run: RunDirectory, record: dict[str, Any], found: Checkpoint | None, until: float | None) -> float:
    """Return the end of the run in ms, and refuse one that it has reached or that is before the old one."""
    before = float(record["until"])
    if until is None and "finished" in record:
        raise InputError(f'the run in "{run.path}" has reached its end, {before:g} ms; give --until MS beyond it to go on')
    if until is not None and until < before:
        raise InputError(f'until is {until:g} ms, but the run in "{run.path}" ends at {before:g} ms; give that or more')
    if found is not None and set(found.record["fingerprint"]) != set(record.get("fingerprint", {})):
        raise InputError(f'the checkpoint "{found.path}" is not of the run in "{run.path}"')
    return before if until is None else float(until)


def _check_files(communicator: Alone, network: Network, run: RunDirectory, found: Checkpoint | None) -> None:
    """Refuse to go on where what was committed before a checkpoint is damaged; collective."""
    if found is None:
        return
    known = {SPIKES, *(f"{RECORDINGS}/{recording.name}" for recording in network.recordings)}
    for name, manifest in sorted(found.record["files"].items()):
        if name not in known:
            raise InputError(f'the checkpoint "{found.path}" names "{name}", which is no file of this run')
        own = dict(sorted(manifest.items())[communicator.rank :: communicator.size])
        agreed(communicator, functools.partial(_verify, run, name, own))


def _reopened(communicator: Alone, network: Network, run: RunDirectory, found: Checkpoint | None, until: float) -> Output:
    """Return the files of a run as they were at a checkpoint; collective."""
    if found is None:

        def anew() -> None:
            for name in (SPIKES, RECORDINGS):
                shutil.rmtree(run.path / name, ignore_errors=True)
            os.makedirs(run.path / SPIKES)
            create_files(network, run.path, until)

        agreed(communicator, lambda: anew() if communicator.rank == 0 else None)
        return agreed(communicator, lambda: opened(network, run.path))

    def cut() -> None:
        output = opened(network, run.path)
        output.spikes.cut(found.record["common"]["written"], spike_attributes(network, until))
        for recording in network.recordings:
            grid = recording.grid(until)
            output.tables[recording.name].extend(grid.n, grid.ms, {"until": until})

    agreed(communicator, lambda: cut() if communicator.rank == 0 else None)
    return agreed(communicator, lambda: opened(network, run.path))


def _verify(run: RunDirectory, name: str, manifest: dict[str, Any]) -> None:
    try:
        verify(run.path / name, manifest)
    except InputError as error:
        raise InputError(f"{error}, and the run cannot go on from what was committed; copy it again, or run again") from None
