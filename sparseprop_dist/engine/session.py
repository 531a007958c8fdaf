"""A rank in the middle of a run: its buffers, its counters, and what is done to them between windows.

Owns the memory that schedules work in, and mends what a status says is too small. Knows no communication: spikes of other ranks are handed
in.
"""

from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from ..build.part import Part
from ..clock import FRAMES, ORIGIN_SPAN, TICK, ticks
from ..errors import CASCADE, EVENTS_FULL, OK, SPIKES_FULL, STATE_OVERFLOW, SimulationError
from ..meeting import WORDS, Log, Remote, Slots, Told
from ..models.mixed import members
from ..models.protocol import CELLS, STATES, sums
from ..queue import BUCKETS
from ..state import CHUNK, NO_TRIGGER, Counter, Emitted, Flight, Scratch, Synapses, Watch, Work
from .entries import ROOM
from .states import restore_all, save_all
from .watch import nothing, read_until

LIMIT_IN_THRESHOLDS = 1 << 12
"""What `models.lif.LIMIT` is in units of V_th - V_reset, at least."""
SPIKE = np.dtype([("time", np.int64), ("trigger_time", np.int64), ("gid", np.int32), ("trigger_gid", np.int32)])
"""A spike on its way between ranks."""


def _flight(n_cursors: int, capacity: int) -> Flight:
    return Flight(
        time=np.zeros(capacity, np.int64),
        gid=np.zeros(capacity, np.int32),
        trigger_time=np.zeros(capacity, np.int64),
        trigger_gid=np.zeros(capacity, np.int32),
        cursors=np.full((n_cursors, capacity), -1, np.int32),
    )


def _emitted(capacity: int) -> Emitted:
    return Emitted(*(np.zeros(capacity, kind) for kind in (np.int64, np.int32, np.int64, np.int32, np.int32)))


def empty_remote(capacity: int = 0) -> Remote:
    """Return room for so many spikes of other ranks."""
    return Remote(*(np.zeros(capacity, kind) for kind in (np.int64, np.int32, np.int64, np.int32, np.int32)))


def empty_log(capacity: int = 0) -> Log:
    """Return a log with room for so many changes."""
    return Log(np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty((STATES, capacity), np.int64))


def empty_slots(capacity: int = 0) -> Slots:
    """Return room for so many neurons set apart, spikes, and arrivals."""
    kinds = {"stale": np.uint8, "alive": np.uint8, "delivered": np.uint8, "weight": np.float64}
    shapes = {"before": (STATES, capacity), "after": (STATES, capacity), "pending": (2 * capacity,), "news": (2 * capacity,)}
    return Slots(*(np.zeros(shapes.get(name, (capacity,)), kinds.get(name, np.int64)) for name in Slots._fields))


def empty_told(ranks: int = 0, capacity: int = 0) -> Told:
    """Return room for so many spikes of each of so many ranks."""
    return Told(
        n=np.zeros(ranks, np.int64),
        spike=np.zeros((ranks, capacity, WORDS), np.int64),
        number=np.full((ranks, capacity), -1, np.int64),
        gone=np.zeros(ranks * capacity, np.int64),
        box=np.zeros((ranks * capacity, WORDS), np.int64),
    )


def _scratch(part: Part, capacity: int, whole: bool) -> Scratch:
    n_neurons = int(part.blocks.first[-1])
    columns, room = (0, n_neurons + 64) if whole else (1 << part.blocks.block_bits, 0)
    entries = int(np.diff(part.drive.entry_ptr).max(initial=0))
    n_sums = 0 if whole else max(sums(record) for _, record in members(part.model))
    cells, flags = np.zeros((CELLS, n_sums, columns), np.int64), np.zeros((CELLS + 1, columns), np.uint8)
    return Scratch(
        active_ptr=np.zeros(part.synapses.kind.size + 1, np.int64),
        active_row=np.zeros(capacity, np.int32),
        active_offset=np.zeros(capacity, np.int64),
        active_spike=np.zeros(capacity, np.int64),
        slice_first=np.zeros(capacity, np.int64),
        slice_stop=np.zeros(capacity, np.int64),
        slice_key=np.zeros(capacity, np.int64),
        keys=np.zeros(capacity, np.int64),
        key_ptr=np.zeros((part.synapses.kind.size, 2), np.int64),
        batch=np.zeros(entries + 1, np.int64),
        chunk=np.zeros((5, CHUNK), np.int64),
        cells=cells,
        cells_flat=cells.reshape(-1),
        flags=flags,
        flags_flat=flags.reshape(-1),
        saved=np.zeros((STATES, n_neurons if whole else columns), np.int64),
        heap=np.zeros(room, np.int64),
        own=np.full((n_neurons if whole else 0, 2), -1, np.int64),
        fired=np.full(n_neurons if whole else 0, -1, np.int64),
        found=np.zeros(2 * room, np.int32),
        entry=np.zeros((4, min(room, ROOM)), np.int64),
        touched=np.zeros(2 * part.synapses.longest, np.int64),
        node=np.zeros((2 * room, 2), np.int32),
        head=np.zeros(BUCKETS + 2, np.int32),
        loud=np.zeros((3, capacity), np.int64),
        sorted=np.zeros((3, capacity), np.int64),
        member=np.zeros((3, columns), np.int64),
        watch=nothing(),
    )


def _inhibits(synapses: Synapses) -> bool:
    """Return whether synapses without delay surely inhibit; where their weights are made with their rows, that is not known."""
    instant = synapses.instant == 1
    weighted = instant & (synapses.weighted == 1)
    if weighted.any() and (synapses.drawn.rule.any() or synapses.weights.max(initial=-1.0) >= 0.0):
        return False
    return bool((synapses.weight[instant & ~weighted] < 0.0).all())


def _larger(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    new[..., : old.shape[-1]] = old
    return new


def _copied(buffer: Emitted | Flight, n: int) -> np.ndarray:
    spikes = np.empty(n, SPIKE)
    for name in SPIKE.names or ():
        spikes[name] = getattr(buffer, name)[:n]
    return spikes


@dataclass
class Session:
    """The state of one rank between windows. ``train_times`` (ms, sorted) and ``train_gids`` are the spikes of all spike sources."""

    part: Part
    schedule: ModuleType  # a module with `advance`: `slab` or `ordered`
    piece_bits: int
    train_times: np.ndarray
    train_gids: np.ndarray
    origin_span: int = ORIGIN_SPAN
    reach: int = 0  # ticks, the longest delay between neurons, of any rank: own spikes are kept for as long
    origin: int = 0  # absolute tick number of tick 0
    counters: np.ndarray = field(default_factory=lambda: np.zeros(Counter.SIZE, np.int64))

    def __post_init__(self) -> None:
        synapses = self.part.synapses
        recurrent = synapses.train == 0
        self.counters[Counter.KEEP] = int((recurrent & (synapses.instant == 0)).any() or self.reach > 0)
        known = bool((synapses.instant == 0).any()) or self.part.drive.entry_ptr[-1] > 0
        self.counters[Counter.LISTED] = self.counters[Counter.UNLISTED] = int(not known)
        self.counters[Counter.INHIBITS] = _inhibits(synapses)
        self._n_cursors = [int(synapses.cursor[synapses.train == train].max(initial=-1)) + 1 for train in (0, 1)]
        self._reach = [int(synapses.reach[synapses.train == train].max(initial=0)) for train in (0, 1)]
        self._reach[0] = max(self._reach[0], self.reach)
        self.flight = _flight(self._n_cursors[0], 1024)
        self.emitted = _emitted(1024)
        self.scratch = _scratch(self.part, 4096, self.schedule.WHOLE)
        self.remote, self.log, self.slots, self.told = empty_remote(), empty_log(), empty_slots(), empty_told()

    @property
    def now(self) -> int:
        """Absolute tick up to which everything is done."""
        return self.origin + int(self.counters[Counter.NOW])

    def advance(self, until: int, watch: Watch | None = None) -> np.ndarray:
        """Advance to the absolute tick ``until``; return the spikes that were made, in emission order (SPIKE, times counted from the
        origin). ``watch``, with ticks from now on and before ``until``, is told what was read.

        Raises
        ------
        SimulationError
            if the potential of a neuron outgrows its integer.
        """
        self.begin(until, watch)
        while (status := self._call(until - self.origin)) != OK:
            self.mend(status)
        return self.spikes()

    def begin(self, until: int, watch: Watch | None = None) -> None:
        """Begin a window that ends at the absolute tick ``until``: with no spikes made, and those of spike sources at hand."""
        self.counters[Counter.EMITTED], self.counters[Counter.WATCHED] = 0, 0
        self.scratch = self.scratch._replace(watch=watch or nothing())
        self.train = self._train(until - self.origin)

    @property
    def work(self) -> Work:
        """All that a schedule works on."""
        part = self.part
        arrays = (self.flight, self.train, self.emitted, self.remote, self.log, self.slots, self.told, self.scratch, self.counters)
        return Work(part.model, part.blocks, part.synapses, *arrays)

    def _call(self, until: int) -> int:
        part = self.part
        if getattr(self.schedule, "TAKES_BACK", False):
            return self.schedule.advance(self.work, part.drive, until, part.slab_bits, self.piece_bits)
        arrays = (self.flight, self.train, self.emitted, self.scratch, self.counters)
        return self.schedule.advance(part.model, part.blocks, part.synapses, part.drive, *arrays, until, part.slab_bits, self.piece_bits)

    def read(self, watch: Watch) -> None:
        """Read what is watched now: all its ticks are the one at which the session stands."""
        now = int(self.counters[Counter.NOW])
        start = now >> self.part.slab_bits << self.part.slab_bits
        read_until(self.part.model, watch, 0, start, now - start)

    def spikes(self) -> np.ndarray:
        """Return the spikes of the window (SPIKE)."""
        return _copied(self.emitted, int(self.counters[Counter.EMITTED]))

    def _train(self, until: int) -> Flight:
        """The spikes of sources that may arrive in the window, in emission order."""
        start = self.origin * TICK
        first = np.searchsorted(self.train_times, start + (int(self.counters[Counter.NOW]) - self._reach[1]) * TICK - 1e-9)
        stop = np.searchsorted(self.train_times, start + until * TICK + 1e-9)
        times, gids = ticks(self.train_times[first:stop] - start), self.train_gids[first:stop]
        order = np.lexsort((gids, times))
        train = _flight(self._n_cursors[1], len(order))
        train.time[:], train.gid[:] = times[order], gids[order]
        train.trigger_time[:], train.trigger_gid[:] = NO_TRIGGER, -1
        return train

    def mend(self, status: int) -> None:
        """Enlarge what a status says is too small; raise a SimulationError for one that nothing mends."""
        needed = int(self.counters[Counter.NEEDED])
        if status in (STATE_OVERFLOW, CASCADE):
            raise SimulationError(self._failure(status))
        if status == EVENTS_FULL:
            larger = _scratch(self.part, 2 * max(needed, self.scratch.active_row.size), self.schedule.WHOLE)
            self.scratch = larger._replace(watch=self.scratch.watch)
        if status == SPIKES_FULL and needed > self.emitted.time.size:
            self.emitted = Emitted(*(_larger(old, new) for old, new in zip(self.emitted, _emitted(2 * needed), strict=True)))
        if status == SPIKES_FULL and self.counters[Counter.KEEP] and needed > self.flight.time.size:
            self._grow_flight(needed)

    def widen(self) -> None:
        """Double the room to enter when neurons act; what was entered is lost."""
        heap, node = np.zeros(2 * self.scratch.heap.size, np.int64), np.zeros((2 * len(self.scratch.node), 2), np.int32)
        self.scratch = self.scratch._replace(heap=heap, node=node)

    def _grow_flight(self, needed: int) -> None:
        self.flight = Flight(*(_larger(old, new) for old, new in zip(self.flight, _flight(self._n_cursors[0], 2 * needed), strict=True)))

    def _failure(self, status: int) -> str:
        i = int(self.counters[Counter.CULPRIT])
        blocks = self.part.blocks
        block = int(np.searchsorted(blocks.first, i, side="right")) - 1
        gid = int(blocks.gid[block]) + i - int(blocks.first[block])
        if status == CASCADE:
            made = f"neuron {gid} would fire twice at one time, after {self.now * TICK:.6g} ms, by synapses without delay"
            return f"{made}, a cascade that need not end; give the neurons t_ref above 0, or the synapses a delay"
        reason = f"its potential is beyond {LIMIT_IN_THRESHOLDS} times V_th - V_reset from its rest"
        reason += "; its weights, input rates or currents are too large"
        return f"neuron {gid} overflowed at {self.now * TICK:.6g} ms: {reason}"

    def receive(self, spikes: np.ndarray, window_start: int) -> None:
        """Put spikes of other ranks, made since the absolute tick ``window_start``, in flight, among the own ones in emission order."""
        n, flight = int(self.counters[Counter.FLIGHT]), self.flight
        if len(spikes) == 0:
            return
        if n + len(spikes) > flight.time.size:
            self._grow_flight(n + len(spikes))
            flight = self.flight
        first = int(np.searchsorted(flight.time[:n], window_start - self.origin))
        stop = n + len(spikes)
        for name in SPIKE.names or ():
            getattr(flight, name)[n:stop] = spikes[name]
        order = first + np.lexsort([getattr(flight, name)[first:stop] for name in ("gid", "trigger_gid", "trigger_time", "time")])
        for name in SPIKE.names or ():
            getattr(flight, name)[first:stop] = getattr(flight, name)[order]
        flight.cursors[:, first:stop] = -1
        self.counters[Counter.FLIGHT] = stop

    def forget(self) -> None:
        """Drop spikes that have arrived everywhere, and move the origin when it is time."""
        n, flight = int(self.counters[Counter.FLIGHT]), self.flight
        now = int(self.counters[Counter.NOW])
        done = int(np.searchsorted(flight.time[:n], now - self._reach[0]))
        if done:
            for array in flight:
                array[..., : n - done] = array[..., done:n].copy()
            self.counters[Counter.FLIGHT] = n - done
        if now >= self.origin_span:
            self._move_origin(now >> self.part.slab_bits + FRAMES << FRAMES)

    def flying(self) -> np.ndarray:
        """Return the spikes in flight, in emission order (SPIKE, times counted from the origin)."""
        return _copied(self.flight, int(self.counters[Counter.FLIGHT]))

    def state(self) -> np.ndarray:
        """Return the states of all neurons between two windows, int64 (STATES, neurons), as `models.protocol.save` writes them."""
        out = np.zeros((STATES, int(self.part.blocks.first[-1])), np.int64)
        save_all(self.part.model, out)
        return out

    def restore(self, now: int, origin: int, state: np.ndarray, flying: np.ndarray) -> None:
        """Put a session that was just made where another one stood at the absolute tick ``now``, with its origin, the states of these
        neurons and the spikes in flight."""
        if origin:
            self._move_origin(origin >> self.part.slab_bits)
        self.counters[Counter.NOW] = now - origin
        restore_all(self.part.model, state)
        self.receive(flying, origin)

    def _move_origin(self, slabs: int) -> None:
        shift = slabs << self.part.slab_bits
        n = int(self.counters[Counter.FLIGHT])
        self.flight.time[:n] -= shift
        self.flight.trigger_time[:n] -= np.where(self.flight.trigger_time[:n] == NO_TRIGGER, 0, shift)
        for _, record in members(self.part.model):
            record.keep_origin(shift)
        self.scratch.own[:], self.scratch.fired[:] = -1, -1
        self.counters[Counter.NOW] -= shift
        self.counters[Counter.SLAB] += slabs
        self.origin += shift
