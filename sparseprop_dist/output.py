"""Where the spikes of a run go: a run directory, or memory.

Owns the making of a run directory by all ranks together, and of one array out of what they kept.
"""

import contextlib
import socket
from typing import Any

import numpy as np

from . import recorder, store
from .description import Network
from .errors import InputError
from .exchange import Alone, agreed
from .record import Memory
from .result import Spikes
from .run_directory import RunDirectory, provenance


def output_of(communicator: Alone, network: Network, output: Any, until: float) -> tuple[Any, dict[str, Any]]:
    """Return the sink of the spikes and those of recordings, by name: files in the run directory ``output``, which is made, or memory.

    Raises
    ------
    InputError
        on all ranks, if the directory cannot be made or a rank does not see it; nothing is left there.
    """
    if output is None:
        return Memory(), {recording.name: recorder.Memory() for recording in network.recordings}
    hosts = sorted(set(communicator.collect(socket.gethostname())))

    def create() -> None:
        record = provenance(
            config=_text(network), seed=network.seed, ranks=communicator.size, hosts=hosts, mpi=communicator.library, until=until
        )
        populations = [{"name": p.name, "first": network.first(p), "size": p.size} for p in network.populations if not p.is_source]
        stack.callback(RunDirectory.create(output, record).discard)
        store.SpikeFile.create(output, {"n_neurons": network.n_neurons, "until": until, "populations": populations})
        recorder.create(network, until, output)

    def open_all() -> tuple[Any, dict[str, Any]]:
        tables = {recording.name: store.RecordingFile.open(output, recording.name) for recording in network.recordings}
        return store.SpikeFile.open(output), tables

    with contextlib.ExitStack() as stack:  # a run that cannot begin, because one rank does not see the file, leaves nothing
        agreed(communicator, lambda: create() if communicator.rank == 0 else None)
        sinks = agreed(communicator, open_all)
        stack.pop_all()
    return sinks


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
