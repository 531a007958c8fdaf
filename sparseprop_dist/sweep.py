"""The sweep of a run: its record, empty, and how ranks go through it together."""

from typing import Any

import numpy as np

from . import backward
from .backward import EACH, NONE, SHARED, Sweep
from .build.part import Part
from .description import Network, Projection
from .distributions import Distribution
from .exact_sum import carried
from .exchange import Alone
from .preparation import Run
from .tape import Log

SYNAPTIC = ("weight", "delay")
SPIKE_TIMES = "spike_times"


def want(wanted: tuple[str, ...], projection: Projection, name: str) -> int:
    """Return whether the gradient of ``name`` is asked for as one number (SHARED), or for EACH synapse."""
    if name not in wanted:
        return NONE
    return EACH if isinstance(getattr(projection, name), np.ndarray | Distribution) else SHARED


def of_each(network: Network, wanted: tuple[str, ...]) -> frozenset[int]:
    """Return the places of the projections of which a gradient is asked for, one for each synapse."""
    return frozenset(
        place for place, projection in enumerate(network.projections) for name in SYNAPTIC if want(wanted, projection, name) == EACH
    )


def empty(run: Run, log: Log, local: np.ndarray, cotangents: np.ndarray, wanted: tuple[str, ...]) -> Sweep:
    """Return the record of the sweep, with nothing added up.

    Parameters
    ----------
    local : int32 (S,), local index of the neuron of each spike of the log, -1: of another rank
    cotangents : float64 (S,), scaled
    """
    synapses, communicator, projections = run.part.synapses, run.communicator, run.network.projections
    recurrent = synapses.train == 0
    instant = communicator.least(-int((recurrent & (synapses.instant == 1)).any()))
    shortest = communicator.least(int(synapses.delay[recurrent & (synapses.instant == 0)].min(initial=1 << 61)))
    wants = np.array([[want(wanted, projections[j], name) for j in synapses.drawn.place] for name in SYNAPTIC], np.uint8).reshape(2, -1)
    bases, n_words = backward.word_bases(synapses)
    room = [np.zeros(n_words if (row == EACH).any() else 0) for row in wants]
    return Sweep(
        log.time, log.gid, local, cotangents, np.zeros((2, len(log.gid)), np.int64), wants[0], wants[1],
        np.zeros((2, len(projections)), np.int64), np.zeros((2, len(projections)), np.int64), bases,
        room[0], room[1], np.zeros(1), np.zeros(5, np.int64), int(instant < 0), shortest, np.zeros(1, np.int64), 0,
    )  # fmt: skip


def swept(communicator: Alone, adjoint: Any, w: Sweep, part: Part, reach: int, places: tuple[int, int], n_neurons: int) -> None:
    """Sweep from place ``stop`` of the log back to ``low``; with other ranks, the sums of each group are added up between its two steps."""
    low, stop = places
    if communicator.size == 1:
        backward.sweep(adjoint, w, part.synapses, part.blocks, reach, low, stop, n_neurons)
        return
    while stop > low:
        first = backward.gather(adjoint, w, part.synapses, part.blocks, reach, low, stop, n_neurons)
        of_neurons = first - w.base[0] + np.flatnonzero(w.gid[first:stop] < n_neurons)  # spike sources gather until the end
        w.sums[:, of_neurons] = carried(communicator.total(w.sums[:, of_neurons]))
        backward.finish(adjoint, w, part.synapses, part.blocks, first, stop, n_neurons)
        stop = first
