"""Where the spikes of a run go: a run directory, or memory.

Owns the making of a run directory by all ranks together, and of one array out of what they kept.
"""

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import recorder, sampling, store, tables
from .description import Network
from .errors import InputError
from .exchange import Alone, agreed
from .record import Memory
from .result import Spikes
from .run_directory import RECORDINGS, SPIKES, RunDirectory, provenance
from .seal import Manifest


@dataclass
class Output:
    """Sinks of a run on one rank, and the lock of its directory on rank 0."""

    spikes: Any
    tables: dict[str, Any]
    lock: Any = None
    sealed: dict[str, Manifest] = field(default_factory=dict)
    """Manifests by folder, of what this rank has flushed and all ranks do not know of yet."""

    def seal(self) -> None:
        """Flush what this rank wrote to the disk, and add it to ``sealed``, also where another folder fails."""
        folders = {f"{RECORDINGS}/{name}": table for name, table in self.tables.items()} | {SPIKES: self.spikes}
        for name, sink in folders.items():
            self.sealed.setdefault(name, {}).update(sink.sealed())

    def close(self) -> None:
        """Let others write in the directory."""
        if self.lock is not None:
            self.lock.close()


def new_output(communicator: Alone, network: Network, directory: Any, until: float, more: Mapping[str, Any]) -> Output:
    """Return files in the run directory ``directory``, which is made, or memory. ``more`` is for the record of the run.

    Raises
    ------
    InputError
        on all ranks, if the directory cannot be made or a rank does not see it; nothing is left there.
    """
    if directory is None:
        return Output(Memory(), {recording.name: sampling.Memory() for recording in network.recordings})
    hosts = sorted(set(communicator.collect(socket.gethostname())))

    def create() -> Any:
        record = provenance(
            config=_text(network), seed=network.seed, ranks=communicator.size, hosts=hosts, mpi=communicator.library, until=until,
            **more,
        )  # fmt: skip
        run = RunDirectory.create(directory, record)
        stack.callback(run.discard)
        lock = run.lock()
        stack.callback(lock.close)
        create_files(network, directory, until)
        return lock

    with contextlib.ExitStack() as stack:  # a run that cannot begin, because one rank does not see the file, leaves nothing
        lock = agreed(communicator, lambda: create() if communicator.rank == 0 else None)
        output = agreed(communicator, lambda: opened(network, directory))
        output.lock = lock
        stack.pop_all()
    return output


def create_files(network: Network, directory: Any, until: float) -> None:
    """Make the files of a run in its directory, empty. One rank calls it."""
    store.SpikeFile.create(directory, spike_attributes(network, until))
    recorder.create(network, until, directory)


def spike_attributes(network: Network, until: float) -> dict[str, Any]:
    """Return what is said of the spikes in their file."""
    populations = [{"name": p.name, "first": network.first(p), "size": p.size} for p in network.populations if not p.is_source]
    return {"n_neurons": network.n_neurons, "until": until, "populations": populations}


def opened(network: Network, directory: Any) -> Output:
    """Return the files of a run, open for writing."""
    names = [recording.name for recording in network.recordings]
    return Output(store.SpikeFile.open(directory), {name: tables.RecordingFile.open(directory, name) for name in names})


def _text(network: Network) -> str:
    """Return the description as TOML for the record of the run; where its arrays are too long for that, a comment that says so."""
    from .toml_text import dumps

    try:
        return dumps(network)
    except InputError as error:
        return f"# {error}\n"


def gathered(communicator: Alone, sink: Memory) -> Spikes:
    """Return all spikes that the ranks kept in memory, on each; collective."""
    parts = sorted((part for own in communicator.collect(sink.parts) for part in own), key=lambda part: part[0])
    times = np.concatenate([part[1] for part in parts] or [np.empty(0)])
    return Spikes(times, np.concatenate([part[2] for part in parts] or [np.empty(0, np.int64)]))
