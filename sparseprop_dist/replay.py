"""Gradients by a replay of arrivals, segment by segment of time, within a budget of memory: for all models that have a course.

Owns the segments and what is kept at their starts. Going forward, the arrivals of a segment are written down, ordered by neuron and time,
and gone over, for the state at its end; going backward they are made again, with derivatives, and the sweep goes over the segment. One
segment, if the budget allows, is made once. See ``docs/design/gradients.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import backward
from .backward import Sweep
from .build.neurons import member, model_and_values
from .build.numbers import n_rows
from .errors import InputError
from .models.replay import NEXT, Arriving, Events, Own, Replayed, begun, go_back, go_over, in_order
from .preparation import Run
from .state import DELAYED_32, DELAYED_64, NO_ROWS, Synapses
from .sweep import swept
from .tape import Log

EVENT = 40
"""Bytes that an arrival takes, with its place in the order."""
LAST = 1 << 62
STARTS = ("V_reset", "V_m", "V_th", "t_ref")


@dataclass(frozen=True)
class Segment:
    """A stretch of time, [start, end) in ticks."""

    start: int
    end: int
    low: int  # places in the log: its first spike,
    stop: int  # the one after its last,
    early: int  # and the first before whose arrivals may fall in it


@dataclass(frozen=True)
class Neurons:
    """Neurons of one population on this rank."""

    first: int  # local index
    values: Mapping[str, Any]
    course: Any
    threshold: str  # the name of that parameter

    @property
    def size(self) -> int:
        """How many neurons there are."""
        return len(self.values["gid"])

    def gradients(self, own: Own) -> dict[str, np.ndarray]:
        """Return the gradients of its parameters by name, after the sweep."""
        here = slice(self.first, self.first + self.size)
        found = {"V_reset": own.of_V_reset, "V_m": own.of_V_m, "t_ref": own.of_t_ref, self.threshold: own.of_V_th}
        return {name: array[here] for name, array in found.items()} | self.course.gradients(self.values, own.of_shape[here])


def shares_of(run: Run, wanted: tuple[str, ...]) -> list[Neurons]:
    """Return the populations of this rank with their courses."""
    found = []
    for share in run.division.shares(run.communicator.rank):
        model, values = model_and_values(run.network, share)
        if share.stop > share.start:
            record, base = member(run.part.model, share.local)
            shaped = bool(({*model.quantities} - {"V_reset", "t_ref", "V_m"}) & {*wanted})
            named = {**values, "V_th": values[model.threshold]}
            found.append(Neurons(share.local, named, model.course.make(named, record, share.local - base, shaped), model.threshold))
    return found


def segments(log: Log, counts: np.ndarray, longest: int, room: int, size: int) -> list[Segment]:
    """Return the segments of a run, which may end at any tick: an arrival belongs to that of its time, a spike likewise.

    Parameters
    ----------
    counts : int64 (S,), the arrivals that each spike of the log makes (the most on any rank)
    longest : ticks, the longest delay
    room : arrivals that fit in memory, of ``size`` bytes each

    Raises
    ------
    InputError
        where the arrivals of the shortest segment do not fit.
    """
    before = np.concatenate([[0], np.cumsum(counts)])
    start, S = 0, len(log.time)
    found: list[Segment] = []
    while not found or found[-1].stop < S:
        low, early = (int(k) for k in np.searchsorted(log.time, [start, start - longest]))
        stop = int(np.searchsorted(before, before[early] + room, side="right")) - 1
        if stop >= S:
            found.append(Segment(start, LAST, low, S, early))
            break
        end = int(log.time[stop])
        if end <= start:
            enough = _most(log.time, before, longest) * size
            raise InputError(f"memory is {room * size} bytes; {enough} are enough for the arrivals that any segment has at least")
        found.append(Segment(start, end, low, int(np.searchsorted(log.time, end)), early))
        start = end
    return found


def _most(time: np.ndarray, before: np.ndarray, longest: int) -> int:
    """Return the most arrivals that a segment of a tick can have, with those that are still to come from spikes before it; the sums
    ``before`` are of the arrivals of spikes at ``time``."""
    return int((before[np.searchsorted(time, time + 1)] - before[np.searchsorted(time, time - longest)]).max(initial=0))


def longest_delay(synapses: Synapses, block_bits: int) -> int:
    """Return the longest delay on this rank, in ticks."""
    longest = int(synapses.delay.max(initial=0))
    for p in np.flatnonzero(np.isin(synapses.kind, (DELAYED_32, DELAYED_64))):
        words = synapses.words32 if synapses.kind[p] == DELAYED_32 else synapses.words64
        for block in np.flatnonzero(synapses.index[p] != NO_ROWS):
            base = int(synapses.base[p, block])
            own = words[base : base + int(synapses.row_ptr[synapses.index[p, block] + n_rows(synapses, int(p))])]
            longest = max(longest, (int(own.max(initial=0)) >> block_bits) << int(synapses.unit[p]))
    return longest


class Replay:
    """The replay of a run on one rank."""

    def __init__(self, run: Run, log: Log, w: Sweep, own: tuple[np.ndarray, np.ndarray], wanted: tuple[str, ...], memory: float) -> None:
        """``own``: where the own spikes of each neuron start, and their places in the log."""
        part, communicator, n_spikes = run.part, run.communicator, len(log.time)
        self.run, self.w, self.shares = run, w, shares_of(run, wanted)
        n_shape = max((share.course.n_shape for share in self.shares), default=0)
        counts = np.zeros(n_spikes, np.int64)
        backward.count(w, part.synapses, part.blocks, counts)
        most = np.max(communicator.collect(counts), axis=0)
        longest = -communicator.least(-longest_delay(part.synapses, part.blocks.block_bits))
        size = -communicator.least(-(EVENT + 8 * n_shape))
        self.segments = segments(log, most, longest, int(memory // size), size)
        room = max(int(counts[segment.early : segment.stop].sum()) for segment in self.segments)
        self.events = Events(
            np.empty(room, np.int32), np.empty(room, np.int32), np.empty((room, 3)), np.empty((room, n_shape)),
            np.empty(n_spikes, np.int64), np.zeros(2, np.int64), np.zeros(1, np.int64),
        )  # fmt: skip
        values = {name: np.concatenate([np.empty(0), *(share.values[name] for share in self.shares)]) for name in STARTS}
        values["V_m"] = np.minimum(values["V_m"], values["V_th"])
        self.own = Own.make(values, own[0], log.time[own[1]], log.trigger[own[1]], n_shape)

    def gradients(self) -> dict[str, np.ndarray]:
        """Sweep; return the gradients of all parameters of neurons by name, one for each neuron of this rank; collective."""
        own, starts = self.own, [self.own.node.copy()]
        for segment in self.segments[:-1]:
            self._go_over(segment)
            starts.append(own.node.copy())
        own.going[:] = own.ptr[1:]
        for segment, start in zip(reversed(self.segments), reversed(starts), strict=True):
            own.node[:] = start
            order, first = self._go_over(segment), start[:, NEXT].copy()
            for share in self.shares:
                go_back(share.course, own, self.events, order, share.first, share.size, first)
            self._sweep(segment)
        begun(own)
        backward.begin_all(self._adjoint, len(own.node))
        out: dict[str, np.ndarray] = {}
        for share in self.shares:
            for name, found in share.gradients(own).items():
                out.setdefault(name, np.zeros(len(own.node)))[share.first : share.first + share.size] = found
        return out

    @property
    def unclear(self) -> int:
        """1 + the local index of a neuron whose gradient is not clear, else 0."""
        return int(self.own.unclear[0])

    @property
    def _adjoint(self) -> Replayed:
        return Replayed(self.events, self.own, np.full(1, -LAST))

    def _go_over(self, segment: Segment) -> np.ndarray:
        """Make the arrivals of a segment and go over them; return their order."""
        part, events = self.run.part, self.events
        events.span[:], events.filled[0], events.cursor[:] = (segment.start, segment.end), 0, -1
        arriving = Arriving(events, np.zeros(1, np.int64))
        backward.forward(arriving, self.w.without_numbers(), part.synapses, part.blocks, LAST, segment.early, segment.stop)
        order = in_order(events)
        for share in self.shares:
            go_over(share.course, self.own, events, order, share.first, share.size)
        return order

    def _sweep(self, segment: Segment) -> None:
        part, n_neurons = self.run.part, self.run.network.n_neurons
        swept(self.run.communicator, self._adjoint, self.w, part, 0, (segment.low, segment.stop), n_neurons)
        backward.early(self._adjoint, self.w, part.synapses, part.blocks, segment.early, segment.low)
