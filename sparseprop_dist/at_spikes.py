"""What neurons stood at when they fired: V, or a current, of chosen neurons at their own spikes.

A run makes the same spikes each time, bit for bit, whatever is recorded. So it is run twice: the first run tells when the neurons fire, the
second reads them at these times.
"""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import tables
from .clock import TICK
from .description import Network
from .errors import InputError
from .exchange import Alone, agreed, world
from .recorder import columns_of, unit_of
from .simulate import simulate

RESOLVED = 2.0**53 * TICK
"""ms (8192) up to which a float64 tells one tick from the next; later, a spike time may have been rounded up."""


@dataclass(frozen=True)
class AtSpikes:
    """Values at spikes, by (time, gid)."""

    what: str
    unit: str
    """"1" for a quantity without unit."""
    times: np.ndarray
    """float64, ms, of the spikes"""
    ids: np.ndarray
    """int64, gids"""
    values: np.ndarray
    """float64, just before the events of the spike's tick"""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a Zarr group of three arrays of one entry a spike: ``time`` (ms), ``id``, and the values under the name of ``what``.

        Raises
        ------
        InputError
            if there is something at ``path``, or nothing can be written there.
        """
        _check_free(path)
        tables.save_series(path, self.what, self.unit, {"time": self.times, "id": self.ids, self.what: self.values})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "AtSpikes":
        """Read what `save` wrote; an InputError if it is not there."""
        what, unit, values = tables.load_series(path)
        return cls(what, unit, *values)


def _check_free(path: str | os.PathLike[str]) -> None:
    if Path(path).exists():
        raise InputError(f'"{path}" exists already; give another output, or move it away')


def at_spikes(
    network: Network,
    what: str,
    target: Any,
    until: float,
    *,
    neurons: Any = None,
    output: str | os.PathLike[str] | None = None,
    window: float | None = None,
    schedule: str = "auto",
    comm: Alone | None = None,
) -> AtSpikes:
    """Return ``what`` of neurons at each of their spikes before ``until``, in two runs in memory.

    The value is that just before the events of the spike's time (of its tick, 9.1e-13 ms): V_th, but for what V moves within a tick, where
    V came there by itself; where an input made the neuron fire, V before that input. From 8192 ms on it is that of the last float64 before
    the time of the spike (2e-12 ms before it, 2e-8 ms after a day). Under mpiexec or srun all ranks call it, and have the same.

    Parameters
    ----------
    network : Network
        Its own recordings are left out.
    what, target, neurons
        As for `Network.record`: "V", or a current of `LIFPscExp`; a population, its name, or a list; positions in the pool, all by default.
        Each neuron is a recording of its own in the second run, so choose them.
    until : float
        ms
    output : path, optional
        A Zarr group to write, see `AtSpikes.save`.
    window, schedule, comm
        As for `simulate`.

    Raises
    ------
    InputError
        for bad input, as `Network.record` and `simulate` raise it, and for an output that exists or cannot be written.
    """
    communicator = world() if comm is None else comm
    if output is not None:
        agreed(communicator, lambda: _check_free(output))
    how: dict[str, Any] = {"window": window, "schedule": schedule, "comm": comm}
    twin = copy.copy(network)
    twin.recordings = []
    asked = twin.record(what, target, times=[0.0], neurons=neurons)
    gids, unit = columns_of(twin, asked), unit_of(twin, asked)
    twin.recordings = []
    spikes = simulate(twin, until, **how).spikes
    wanted = np.isin(spikes.ids, gids)
    times, ids = spikes.times[wanted], spikes.ids[wanted]
    read_at = np.where(times < RESOLVED, times, np.nextafter(times, 0.0))
    for column, gid in enumerate(gids.tolist()):
        if (own := ids == gid).any():
            position = column if asked.neurons is None else int(asked.neurons[column])
            twin.record(what, target, times=read_at[own], neurons=[position], name=str(gid))
    recorded = simulate(twin, until, record=False, **how).recordings
    values = np.empty(len(ids))
    for name, own_values in recorded.items():
        values[ids == int(name)] = own_values.values[:, 0]
    found = AtSpikes(what, unit, times, ids, values)
    if output is not None:
        agreed(communicator, lambda: found.save(output) if communicator.rank == 0 else None)
    return found
