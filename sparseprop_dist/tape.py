"""The log of a run: all its spikes in emission order, each with the spike that triggered it. What the backward sweep goes over."""

from typing import Any, NamedTuple

import numpy as np

from .clock import TICK
from .models.adjoint import BY_FLOW
from .state import NO_TRIGGER

ENTRY = np.dtype([("time", np.int64), ("trigger_time", np.int64), ("gid", np.int32), ("trigger_gid", np.int32)])
"""A spike at absolute ticks."""


class Log(NamedTuple):
    """All spikes of all ranks and of spike sources, in emission order (``docs/design/order.md``)."""

    time: np.ndarray  # int64 (S,), absolute tick
    gid: np.ndarray  # int32 (S,)
    trigger: np.ndarray  # int32 (S,), place of the spike that triggered it, or BY_FLOW

    def spikes(self, n_neurons: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the places, times (ms) and ids (int64) of the spikes of neurons, by (time, gid)."""
        of_neurons = np.flatnonzero(self.gid < n_neurons)
        order = of_neurons[np.lexsort((self.gid[of_neurons], self.time[of_neurons]))]
        return order, self.time[order] * TICK, self.gid[order].astype(np.int64)


class Tape:
    """Keeps the spikes of this rank as they are made."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = [np.empty(0, ENTRY)]

    def add(self, spikes: np.ndarray, origin: int) -> None:
        """Keep spikes (`engine.session.SPIKE`) whose ticks count from ``origin``."""
        kept = np.empty(len(spikes), ENTRY)
        kept["gid"], kept["trigger_gid"] = spikes["gid"], spikes["trigger_gid"]
        kept["time"] = spikes["time"] + origin
        kept["trigger_time"] = np.where(spikes["trigger_time"] == NO_TRIGGER, NO_TRIGGER, spikes["trigger_time"] + origin)
        self.parts.append(kept)

    def log(self, communicator: Any, times: np.ndarray, gids: np.ndarray) -> Log:
        """Return the log of all ranks, with the spikes of spike sources (ticks, gids) before the end; collective."""
        sources = np.empty(len(times), ENTRY)
        sources["time"], sources["gid"], sources["trigger_time"], sources["trigger_gid"] = times, gids, NO_TRIGGER, -1
        all_ = np.concatenate([*communicator.collect(np.concatenate(self.parts)), sources])
        all_ = all_[np.lexsort([all_[name] for name in ("gid", "trigger_gid", "trigger_time", "time")])]
        trigger = _triggers(all_)
        order = np.lexsort((np.arange(len(all_)), _generations(all_, trigger), all_["time"]))
        place = np.empty(len(all_), np.int32)
        place[order] = np.arange(len(all_))
        trigger = np.where(trigger >= 0, place[trigger], trigger)[order]
        return Log(all_["time"][order], all_["gid"][order], trigger)


def _triggers(spikes: np.ndarray) -> np.ndarray:
    """Return the places of the triggers of all spikes."""
    out = np.full(len(spikes), BY_FLOW, np.int32)
    made = np.flatnonzero(spikes["trigger_time"] != NO_TRIGGER)
    if made.size:
        moments = np.unique(spikes["time"])
        key = spikes["gid"].astype(np.int64) * len(moments) + np.searchsorted(moments, spikes["time"])
        order = np.argsort(key, kind="stable")
        wanted = spikes["trigger_gid"][made].astype(np.int64) * len(moments) + np.searchsorted(moments, spikes["trigger_time"][made])
        out[made] = order[np.searchsorted(key[order], wanted)]
    return out


def _generations(spikes: np.ndarray, trigger: np.ndarray) -> np.ndarray:
    """Return how many arrivals without delay led to each spike at its time: spikes of one time are made generation by generation."""
    at_once = (trigger >= 0) & (spikes["trigger_time"] == spikes["time"])
    out, origin, links = np.zeros(len(spikes), np.int32), trigger.copy(), np.flatnonzero(at_once)
    while links.size:
        out[links] += 1
        links = links[at_once[origin[links]]]
        origin[links] = trigger[origin[links]]
    return out
