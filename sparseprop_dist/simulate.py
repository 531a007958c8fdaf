"""A run from description to spikes: the composition of all parts.

The schedule. A run is a sequence of windows [now, until), each at most the smallest delay of any synapse that crosses ranks:

1. *advance*: every rank takes its own neurons through the window. Whatever spikes of other ranks arrive in it were sent in earlier windows.
2. *exchange*: the spikes of the window go to the ranks that hold targets of them; none of them arrives before the window's end.
3. *keep*: the spikes are counted and recorded; now and then all ranks write what is complete.

Invariant between windows: all neurons of all ranks stand at the same tick; every spike before it is in flight on the ranks that need it.
Ties are decided by ``docs/design/order.md``, never by who came first.
"""

import contextlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import recorder, store
from .build import Part, build
from .build.part import in_bulk, is_instant, lower
from .clock import TICK, TICK_BITS
from .description import Network
from .engine import instant, ordered, slab
from .engine.session import Session
from .engine.together import Together
from .errors import InputError, SimulationError
from .exchange import Alone, Meeting, Ranks, Routes, agreed, world
from .jit import CACHE
from .output import gathered, output_of
from .partition import Partition, partition
from .plan import check, check_memory
from .queue import LOCAL_BITS
from .record import SpikeRecord, Statistics, stamps
from .recorder import Recorder
from .result import Result
from .run_directory import RunDirectory
from .synapses import STORAGES
from .warm import kinds, tiny, warm_up

SCHEDULES = {"slab": slab, "instant": instant, "ordered": ordered}
LONGEST = 1e12
"""ms: runs are shorter. 30 years, beyond which nothing is tested."""
LONGEST_WINDOW = 1 << (TICK_BITS + 4)
"""Ticks (16 ms): a window where delays allow a longer one, so that spikes need not be kept for long."""
REPORTS = 200
"""Times, about, that progress is reported and spikes are written in a run."""
MOST_WINDOWS = 64
"""Windows between two reports, at most: their spikes are in memory."""


@dataclass
class _Run:
    """One run on one rank."""

    communicator: Alone
    network: Network
    division: Partition
    part: Part
    routes: Routes
    session: Session
    together: Together | None  # settles windows with the other ranks, where synapses without delay cross
    window: int  # ticks
    record: SpikeRecord | None
    statistics: Statistics
    progress: Any
    recorder: Recorder = field(init=False)
    n_spikes: int = 0
    gid_to_local: Callable[[np.ndarray], np.ndarray] = field(default=lambda gids: gids)


def simulate(
    network: Network,
    until: float,
    *,
    output: Any = None,
    window: float | None = None,
    schedule: str = "auto",
    progress: Any = None,
    record: bool = True,
    comm: Alone | None = None,
) -> Result:
    """Simulate ``network`` from 0 to ``until`` ms; under mpiexec or srun all ranks call it, with the same arguments.

    Parameters
    ----------
    network : Network
    until : float
        ms, exclusive: spikes before it are made.
    output : path, optional
        Run directory to write spikes and provenance to; new, or empty. Without it spikes are kept in memory.
    window : float, optional
        ms, length of a window, at most the smallest delay between ranks (the default). No spike depends on it.
    schedule : {"auto", "slab", "instant", "ordered"}
        How work is ordered. No spike depends on it. Slab: where all models add and all synapses have a delay.
    progress : optional
        An object with ``update(now_ms, n_spikes)``.
    record : bool
        Whether to keep the spikes; statistics and what `Network.record` was asked for are kept anyway.

    Raises
    ------
    InputError
        for bad input, on all ranks; nothing was written.
    SimulationError
        if the run cannot go on.
    """
    communicator = world() if comm is None else comm
    _check(until, window, schedule)
    schedule = _schedule(network, schedule)
    if output is not None and not record:
        raise InputError("output is given although record is false; leave output out, or record the spikes")
    check(network)
    agreed(communicator, lambda: check_memory(network, communicator.size, communicator.ranks_on_node))
    agreed(communicator, lambda: recorder.check(network, until, output, communicator.ranks_on_node))
    if output is not None:
        agreed(communicator, lambda: RunDirectory.check(output) if communicator.rank == 0 else None)
    _warn_of_idle_ranks(communicator, network)
    _warm(communicator, network, schedule)
    begun = time.monotonic()
    run = _prepare(communicator, network, until, window, schedule, progress)
    built = time.monotonic()
    sink, tables = output_of(communicator, network, output, until)
    if record:
        run.record = SpikeRecord(communicator, sink, store.CHUNK)
    run.recorder = Recorder(communicator, network, run.division, run.gid_to_local, until, tables)
    _loop(run, round(until * 2.0**TICK_BITS))
    summary = _summary(run, until, time.monotonic() - built, built - begun)
    if output is not None and communicator.rank == 0:
        RunDirectory.open(output).finish(summary)
    communicator.barrier()
    spikes = None
    if record:
        spikes = gathered(communicator, sink) if output is None else store.spikes(output)
    return Result(spikes, summary, communicator.rank, store.recordings(output) if output is not None else run.recorder.gathered())


def _check(until: float, window: float | None, schedule: str) -> None:
    for name, value in (("until", until), ("window", window)):
        if value is not None and not (isinstance(value, int | float | np.number) and 2 * TICK < value < LONGEST):
            raise InputError(f"{name} is {value!r}; give a number of ms above 0 and below {LONGEST:g}")
    if schedule not in ("auto", *SCHEDULES):
        raise InputError(f'schedule is "{schedule}"; give one of auto, {", ".join(SCHEDULES)}')


def _schedule(network: Network, asked: str) -> str:
    """Return the schedule for a network, and refuse one that cannot run it."""
    bulk = in_bulk(network)
    if asked == "slab" and not bulk:
        takes = "the slab schedule takes models that add, constant currents and synapses with delays, only"
        raise InputError(f"{takes}; give auto, instant or ordered")
    if made := [projection for projection in network.projections if projection.storage == STORAGES[1]]:
        if asked == "slab":
            raise InputError(f'the slab schedule takes stored synapses only, and {made[0]} is "procedural"; give auto, instant or ordered')
        bulk = False
    return asked if asked != "auto" else "slab" if bulk else "instant"


def _warn_of_idle_ranks(communicator: Alone, network: Network) -> None:
    idle = communicator.size - network.n_neurons
    if idle > 0 and communicator.rank == 0:
        nothing = f"{idle} {'has' if idle == 1 else 'have'} nothing to do"
        warnings.warn(f"{communicator.size} ranks share {network.n_neurons} neurons, so that {nothing}; start fewer", stacklevel=3)


def _prepare(communicator: Alone, network: Network, until: float, window: float | None, schedule: str, progress: Any) -> _Run:
    lowered = lower(network)
    division = partition(lowered, communicator.size)
    if schedule != "slab" and max(map(division.n_owned, range(communicator.size))) > 1 << LOCAL_BITS:
        raise InputError(f"the {schedule} schedule takes {1 << LOCAL_BITS} neurons a rank at most; use more ranks")
    part = agreed(communicator, lambda: build(lowered, division, communicator.rank))
    needed = [_needed(part, division, rank) for rank in range(communicator.size)]
    routes = Routes(communicator, needed)
    recurrent = (part.synapses.train == 0) & (part.synapses.instant == 0)
    shortest = communicator.least(int(part.synapses.delay[recurrent].min(initial=1 << 61)))
    remote = np.sort(np.concatenate([gids[:0] if rank == communicator.rank else gids for rank, gids in enumerate(needed)]))
    crossing = communicator.least(_crossing_delay(part, remote))
    times, gids = _trains(lowered)
    session = Session(part, SCHEDULES[schedule], min(part.piece_bits, shortest.bit_length() - 1), times, gids)
    length, statistics = _window(window, crossing, part.slab_bits), Statistics(division.n_owned(communicator.rank))
    together = None
    if isinstance(communicator, Ranks) and any(is_instant(lowered, projection) for projection in lowered.projections):
        if schedule != "instant":
            raise InputError(f"on several ranks, synapses without delay need the instant schedule, not {schedule}; give auto or instant")
        together = Together(session, (meeting := Meeting(communicator)), communicator.agree, meeting.lay)
    run = _Run(communicator, lowered, division, part, routes, session, together, length, None, statistics, progress)
    run.gid_to_local = _local_indices(division, communicator.rank)
    return run


def _needed(part: Part, division: Partition, rank: int) -> np.ndarray:
    """Return the neurons of ``rank`` that have synapses onto this one: gids, sorted int32. Never as many numbers as the network has
    neurons."""
    firsts = sorted((share.first_gid + share.start, share.first_gid + share.stop) for share in division.shares(rank))
    return np.concatenate([(np.flatnonzero(part.needs[first:stop]) + first).astype(np.int32) for first, stop in firsts])


def _crossing_delay(part: Part, remote: np.ndarray) -> int:
    """Return the smallest delay of the pathways that bring spikes of ``remote`` neurons (sorted gids) here, in ticks."""
    synapses = part.synapses
    least = 1 << 61
    for p in np.flatnonzero((synapses.train == 0) & (synapses.instant == 0)):
        for r in range(synapses.range_ptr[p], synapses.range_ptr[p + 1]):
            if np.searchsorted(remote, synapses.range_first[r]) < np.searchsorted(remote, synapses.range_stop[r]):
                least = min(least, int(synapses.delay[p]))
    return least


def _window(asked: float | None, crossing: int, slab_bits: int) -> int:
    """Return the length of a window in ticks: whole slabs where there is room for one."""
    if asked is not None:
        return max(1, min(round(asked * 2.0**TICK_BITS), crossing))
    longest = min(crossing, LONGEST_WINDOW)
    return longest >> slab_bits << slab_bits or 1 << (longest.bit_length() - 1)


def _trains(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Return the times (ms) and gids of all spikes of spike sources, sorted by time."""
    trains = [(p.model, network.first(p)) for p in network.populations if p.is_source]
    times = np.concatenate([model.times for model, _ in trains] or [np.empty(0)])  # type: ignore[union-attr]
    gids = np.concatenate([model.ids + first for model, first in trains] or [np.empty(0)]).astype(np.int32)  # type: ignore[union-attr]
    order = np.lexsort((gids, times))
    return times[order], gids[order]


def _local_indices(division: Partition, rank: int) -> Callable[[np.ndarray], np.ndarray]:
    shares = sorted((share for share in division.shares(rank) if share.stop > share.start), key=lambda share: share.first_gid)
    firsts = np.array([share.first_gid + share.start for share in shares], np.int64)
    locals_ = np.array([share.local for share in shares], np.int64)

    def local(gids: np.ndarray) -> np.ndarray:
        place = np.searchsorted(firsts, gids, side="right") - 1
        return gids - firsts[place] + locals_[place]

    return local


def _loop(run: _Run, end: int) -> None:
    """The schedule that stands above, window after window, to the absolute tick ``end``."""
    session = run.session
    n_windows = -(-end // run.window)
    every = min(max(1, n_windows // REPORTS), MOST_WINDOWS)
    _report(run, 0)
    for k in range(n_windows):
        start = session.now
        spikes = _advance(run, min((k + 1) * run.window, end), end)
        session.receive(run.routes.exchange(spikes), start)
        run.n_spikes += len(spikes)
        kept = stamps(spikes["time"], spikes["gid"], session.origin)
        run.statistics.add(run.gid_to_local(kept["gid"]), kept["whole"] + kept["part"] * TICK)
        if run.record is not None:
            run.record.add(kept)
        session.forget()
        if (k + 1) % every == 0 or k + 1 == n_windows:
            if run.record is not None:
                run.record.flush(last=k + 1 == n_windows)
            _report(run, session.now)


def _advance(run: _Run, until: int, end: int) -> np.ndarray:
    """Advance to the absolute tick ``until`` as `Session.advance` does, and record."""
    session, recorder, advance = run.session, run.recorder, (run.together or run.session).advance
    spikes = []
    while session.now < until:
        stop, watch = recorder.watch(session, until)
        spikes.append(advance(stop, watch))
        recorder.keep(watch)
    out = np.concatenate(spikes)
    recorder.count(out, session)
    if session.now == end:
        recorder.read(session)
    return out


def _report(run: _Run, now: int) -> None:
    total = int(run.communicator.total(np.array([run.n_spikes]))[0])
    if run.progress is not None:
        run.progress.update(now * TICK, total)


def _summary(run: _Run, until: float, wall: float, build_wall: float) -> dict[str, Any]:
    from .state import Counter

    counters = run.session.counters
    own = [run.part.n_synapses, counters[Counter.RECURRENT], counters[Counter.EXTERNAL], run.n_spikes, run.part.synapses_bytes]
    synapses, recurrent, external, spikes, memory = (int(x) for x in run.communicator.total(np.array(own, np.int64)))
    sums = np.sum(run.communicator.collect(run.statistics.sums()), axis=0)
    events = recurrent + external
    n = run.network.n_neurons
    return {
        "neurons": n,
        "synapses": synapses,
        "spikes": spikes,
        "mean_rate": spikes / n / until * 1e3,
        "cv": float(sums[1] / sums[2]) if sums[2] else None,
        "events": events,
        "ns_per_event": wall * 1e9 / events if events else None,
        "real_time_factor": wall * 1e3 / until,
        "bytes_per_synapse": memory / synapses if synapses else None,
        "wall": wall,
        "build_wall": build_wall,
        "ranks": run.communicator.size,
        **(_rounds(run) if run.together else {}),
    }


def _rounds(run: _Run) -> dict[str, int]:
    """Return how many windows ranks settled together, in how many rounds, and the spikes and bytes told in them by all ranks."""
    from .state import WORDS, Counter

    windows, rounds, told = (int(run.session.counters[number]) for number in (Counter.WINDOWS, Counter.ROUNDS, Counter.TELLS))
    told = int(run.communicator.total(np.array([told]))[0])
    return {"windows": windows, "rounds": rounds, "told": told, "told_bytes": told * WORDS * 8}


def _warm(communicator: Alone, network: Network, schedule: str) -> None:
    """Compile what a run needs, once a node and network of these kinds."""
    together = schedule == "instant" and communicator.size > 1

    def compile_all() -> None:
        # what is wrong with the parameters is told of the network itself, by the build
        with contextlib.suppress(InputError, SimulationError):
            session = _prepare(Alone(), tiny(network, drawn=schedule != "slab"), 1.0, None, schedule, None).session
            session.advance(1 << TICK_BITS)
            if together:
                Together(session, lambda spikes, flag: (spikes[:0], flag), Alone().agree).advance(2 << TICK_BITS)

    name = "-".join([schedule, *kinds(network), *["ranks"] * together])
    communicator.first_on_node(lambda: warm_up(CACHE, name, compile_all))
