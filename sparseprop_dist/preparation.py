"""From a description to a run that can begin: who owns what, this rank's arrays, the plan of the exchange, the schedule.

Owns the composition of these parts, and that all code is compiled before the clock runs.
"""

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .build import Numbered, Part, build
from .build.instant import has_gaps, is_instant
from .build.part import in_bulk, lower
from .clock import TICK, TICK_BITS
from .description import Network
from .engine import instant, ordered, slab
from .engine.session import Session
from .engine.states import restore_all
from .engine.together import Together
from .errors import InputError, SimulationError
from .exchange import Alone, Meeting, Ranks, Routes, agreed
from .jit import CACHE
from .partition import Partition, partition
from .queue import MOST_LOCAL
from .record import SpikeRecord, Statistics
from .recorder import Recorder
from .synapses import STORAGES
from .warm import kinds, tiny, warm_up

SCHEDULES = {"slab": slab, "instant": instant, "ordered": ordered}
LONGEST = 1e12
"""ms: runs are shorter. 30 years, beyond which nothing is tested."""
LONGEST_WINDOW = 1 << (TICK_BITS + 4)
"""Ticks (16 ms): a window where delays allow a longer one, so that spikes need not be kept for long."""
FEW, MOST_LONGER = 1 << 18, 8
"""With fewer neurons a window may be longer, by a factor of at most two to the second (4 s): what it costs by itself, 30 us and in
`simulate` 60, is then 3 % of the networks of docs/paper.md (with 1 << 16, 15 % of that of 10,000 neurons)."""
DENSE = 1024
"""Synapses that count as a neuron: where each has more, windows of so many neurons would take seconds, and a signal would wait."""


@dataclass
class Run:
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
    gids: np.ndarray = field(init=False)  # int64, of the own neurons, by local index
    trains: tuple[np.ndarray, np.ndarray] = field(init=False)  # times (ms) and gids of all spikes of spike sources
    failure: SimulationError | None = None  # of any rank; ranks stand at different times after it
    tape: Any = None  # keeps the log of the run, where its gradients are wanted
    n_spikes: int = 0
    before: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))
    """Arrivals of spikes and of Poisson events before a run was resumed, those of all ranks on rank 0."""
    gid_to_local: Callable[[np.ndarray], np.ndarray] = field(default=lambda gids: gids)


def check_arguments(network: Any, until: float, window: float | None, schedule: str) -> None:
    """Refuse what is no network, and times and schedules that no run takes."""
    if not isinstance(network, Network):
        where = "its .network" if isinstance(getattr(network, "network", None), Network) else "make one, or load a file"
        raise InputError(f"network is a {type(network).__name__}; give a Network: {where}")
    for name, value in (("until", until), ("window", window)):
        if value is not None and not (isinstance(value, int | float | np.number) and 2 * TICK < value < LONGEST):
            raise InputError(f"{name} is {value!r}; give a number of ms above 0 and below {LONGEST:g}")
    if schedule not in ("auto", *SCHEDULES):
        raise InputError(f'schedule is "{schedule}"; give one of auto, {", ".join(SCHEDULES)}')


def warn_of_idle_ranks(communicator: Alone, network: Network) -> None:
    """Warn where there are more ranks than neurons."""
    idle = communicator.size - network.n_neurons
    if idle > 0 and communicator.rank == 0:
        nothing = f"{idle} {'has' if idle == 1 else 'have'} nothing to do"
        warnings.warn(f"{communicator.size} ranks share {network.n_neurons} neurons, so that {nothing}; start fewer", stacklevel=3)


def schedule_of(network: Network, asked: str) -> str:
    """Return the schedule for a network, and refuse one that cannot run it."""
    bulk = in_bulk(network)
    if asked == "slab" and not bulk:
        takes = "the slab schedule takes models that add and synapses with delays, only"
        raise InputError(f"{takes}; give auto, instant or ordered")
    if made := [projection for projection in network.projections if projection.storage == STORAGES[1]]:
        if asked == "slab":
            raise InputError(f'the slab schedule takes stored synapses only, and {made[0]} is "procedural"; give auto, instant or ordered')
        bulk = False
    return asked if asked != "auto" else "slab" if bulk else "instant"


def prepare(communicator: Alone, network: Network, window: float | None, schedule: str, progress: Any, kept: Numbered | None = None) -> Run:
    """Return a run of ``network`` that stands at time 0, with neither recorder nor record; ``kept``: see `Kept`; collective.

    Raises
    ------
    InputError
        on all ranks, for parameters out of bounds and a schedule that cannot run the network.
    """
    lowered = lower(network)
    division = partition(lowered, communicator.size)
    if schedule != "slab" and max(map(division.n_owned, range(communicator.size))) > MOST_LOCAL:
        raise InputError(f"the {schedule} schedule takes {MOST_LOCAL} neurons a rank at most; use more ranks")
    part = agreed(communicator, lambda: build(lowered, division, communicator.rank, kept))
    needed = [_needed(part, division, rank) for rank in range(communicator.size)]
    routes = Routes(communicator, needed)
    recurrent = (part.synapses.train == 0) & (part.synapses.instant == 0)
    shortest = communicator.least(int(part.synapses.delay[recurrent].min(initial=1 << 61)))
    remote = np.sort(np.concatenate([gids[:0] if rank == communicator.rank else gids for rank, gids in enumerate(needed)]))
    crossing = communicator.least(_crossing_delay(part, remote))
    reach = -communicator.least(-int(part.synapses.reach[recurrent].max(initial=0)))
    times, gids = _trains(lowered)
    session = Session(part, SCHEDULES[schedule], min(part.piece_bits, shortest.bit_length() - 1), times, gids, reach=reach)
    length, statistics = _window(window, crossing, part.slab_bits, network), Statistics(division.n_owned(communicator.rank))
    together = None
    if isinstance(communicator, Ranks) and any(is_instant(lowered, projection) for projection in lowered.projections):
        if schedule != "instant":
            raise InputError(f"on several ranks, synapses without delay need the instant schedule, not {schedule}; give auto or instant")
        together = Together(session, (meeting := Meeting(communicator)), communicator.agree, meeting.lay)
    run = Run(communicator, lowered, division, part, routes, session, together, length, None, statistics, progress)
    run.trains = (times, gids)
    run.gid_to_local = _local_indices(division, communicator.rank)
    shares = division.shares(communicator.rank)
    run.gids = np.concatenate([np.arange(share.first_gid + share.start, share.first_gid + share.stop) for share in shares])
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


def longest_window(n_neurons: int, n_synapses: float) -> int:
    """Return the ticks of a window of a network of this size, at most: a power of two."""
    times = int(FEW / max(n_neurons, n_synapses / DENSE, 1.0))
    return LONGEST_WINDOW << min(max(0, times.bit_length() - 1), MOST_LONGER)


def _window(asked: float | None, crossing: int, slab_bits: int, network: Network) -> int:
    """Return the length of a window in ticks: whole slabs where there is room for one."""
    if asked is not None:
        return max(1, min(round(asked * 2.0**TICK_BITS), crossing))
    longest = min(crossing, longest_window(network.n_neurons, sum(map(network.expected_synapses, network.projections))))
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
        if len(firsts) == 1:
            return gids - firsts[0] + locals_[0]
        place = np.searchsorted(firsts, gids, side="right") - 1
        return gids - firsts[place] + locals_[place]

    return local


def warm(communicator: Alone, network: Network, schedule: str, gaps: bool) -> None:
    """Compile what a run needs, once a node and network of these kinds; ``gaps``: long rows without delay may have them."""
    together, gaps = schedule == "instant" and communicator.size > 1, gaps and has_gaps(lower(network), communicator.size)

    def compile_all() -> None:
        # what is wrong with the parameters is told of the network itself, by the build
        with contextlib.suppress(InputError, SimulationError):
            run = prepare(Alone(), tiny(network, drawn=schedule != "slab"), None, schedule, None, Numbered(gaps=gaps))
            session = run.session
            run.statistics.add(run.gids[:0], np.empty(0))
            session.advance(1 << TICK_BITS)
            restore_all(session.part.model, session.state())
            if together:
                Together(session, lambda own, all_: np.copyto(all_, own), Alone().agree).advance(2 << TICK_BITS)

    name = "-".join([schedule, *kinds(network), *["ranks"] * together, *["gaps"] * gaps])
    communicator.first_on_node(lambda: warm_up(CACHE, name, compile_all))
