"""Ranks: the communicator, what all must agree on, and the exchange of spikes by a plan made once.

Owns everything that is sent. The only importer of mpi4py; without it, or alone, there is one rank and nothing is sent. A communicator is an
argument everywhere, never a global. See ``docs/design/exchange.md``.
"""

import contextlib
import ctypes
import functools
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from .errors import InputError, SimulationError
from .meeting import Wire, plain_wire

T = TypeVar("T")
MEET_SECONDS = 3.0
"""How long a rank with bad news waits for the others to have the same, before it speaks for itself and ends the job."""
LAST_WORDS = 0.3
"""s: before a rank aborts. Without it one message in twenty was lost, since mpiexec ends at an abort and drops what it has not read."""
FIRST_NAP, LONGEST_NAP = 2e-6, 2e-4
"""s: how long a rank that shares its core sleeps between two looks at what it waits for: first, and at most."""


class Alone:
    """The communicator of one rank."""

    rank, size, ranks_on_node, library = 0, 1, 1, ""

    def agree(self, error: Exception | None) -> None:
        """Raise ``error`` on all ranks if any rank has one."""
        if error is not None:
            raise error

    def meet(self, seconds: float = MEET_SECONDS) -> bool:
        """Return whether all ranks come here within ``seconds``."""
        return True

    def abort(self, status: int) -> NoReturn:
        """End all ranks at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def barrier(self) -> None:
        """Wait for all ranks."""

    def share(self, value: Any) -> Any:
        """Return what rank 0 has."""
        return value

    def collect(self, value: Any) -> list[Any]:
        """Return the values of all ranks, on each."""
        return [value]

    def total(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over ranks of an array of int64 or float64; only integers are summed where bits matter."""
        return np.array(values)

    def least(self, value: int) -> int:
        """Return the smallest value of all ranks."""
        return value

    def most(self, values: np.ndarray) -> np.ndarray:
        """Return the largest of all ranks for each element of an array."""
        return np.array(values)

    def split(self, n: int) -> "tuple[Alone, Alone, int]":
        """Return the communicator of the own one of ``n`` groups of ranks, which divide them, that of the ranks at the same place in all
        groups, and the number of the own group."""
        return self, self, 0

    def scatter(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Send ``parts[r]`` to rank r; return what each rank sent here. All parts have one dtype."""
        return list(parts)

    def first_on_node(self, work: Callable[[], None]) -> None:
        """Do ``work`` on one rank of each node, then on the others."""
        work()


class Ranks(Alone):
    """The communicator of an MPI job."""

    def __init__(self, mpi: Any, comm: Any) -> None:
        self.mpi, self.comm = mpi, comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.library = mpi.Get_library_version().strip("\x00").splitlines()[0]
        self._meeting = comm.Dup()
        self._own, self._least = np.zeros(1, np.int64), np.zeros(1, np.int64)  # asked in each window
        self.node = comm.Split_type(mpi.COMM_TYPE_SHARED)
        self.ranks_on_node = self.node.Get_size()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.crowded = self.ranks_on_node > cores
        """More ranks than cores: waiting ranks must sleep, since one that spins holds up the one it waits for."""

    def wait(self, request: Any) -> None:
        """Wait for a request; on a crowded node in naps."""
        if not self.crowded:
            request.Wait()
            return
        nap = FIRST_NAP
        while not request.Test():
            time.sleep(nap)
            nap = min(2 * nap, LONGEST_NAP)

    def agree(self, error: Exception | None) -> None:
        mine = None if error is None else (type(error) is SimulationError, str(error), isinstance(error, InputError | SimulationError))
        if error is not None and not mine[2]:  # type: ignore[index]
            raise error
        for theirs in self.collect(mine):
            if theirs is not None:
                raise (SimulationError if theirs[0] else InputError)(theirs[1])

    def meet(self, seconds: float = MEET_SECONDS) -> bool:
        request, end = self._meeting.Ibarrier(), time.monotonic() + seconds
        while not request.Test():
            if time.monotonic() > end:
                return False
            time.sleep(1e-3)
        return True

    def abort(self, status: int) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(LAST_WORDS)
        self.comm.Abort(status)
        os._exit(status)

    def barrier(self) -> None:
        self.wait(self.comm.Ibarrier())

    def share(self, value: Any) -> Any:
        return self.collect(value if self.rank == 0 else None)[0]

    def collect(self, value: Any) -> list[Any]:
        self.barrier()
        return self.comm.allgather(value)

    def total(self, values: np.ndarray) -> np.ndarray:
        return self._reduced(values, self.mpi.SUM)

    def most(self, values: np.ndarray) -> np.ndarray:
        return self._reduced(values, self.mpi.MAX)

    def _reduced(self, values: np.ndarray, op: Any) -> np.ndarray:
        values = np.ascontiguousarray(values)
        out = np.empty_like(values)
        self.wait(self.comm.Iallreduce(values, out, op=op))
        return out

    def split(self, n: int) -> tuple[Alone, Alone, int]:
        if n == 1:
            return self, Alone(), 0
        group, place = divmod(self.rank, self.size // n)
        return self._part(group, place), self._part(place, group), group

    def _part(self, color: int, key: int) -> Alone:
        comm = self.comm.Split(color, key)
        if comm.Get_size() == 1:
            return Alone()
        part = Ranks(self.mpi, comm)
        part.ranks_on_node, part.crowded = self.ranks_on_node, self.crowded  # all ranks of the job share a node
        return part

    def least(self, value: int) -> int:
        self._own[0] = value
        self.wait(self.comm.Iallreduce(self._own, self._least, op=self.mpi.MIN))
        return int(self._least[0])

    def scatter(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        dtype = parts[0].dtype
        counts = np.array([len(part) for part in parts], np.int64) * dtype.itemsize
        theirs = np.empty_like(counts)
        self.wait(self.comm.Ialltoall(counts, theirs))
        out = np.empty(int(theirs.sum()), np.uint8)
        data = np.ascontiguousarray(np.concatenate(parts)).view(np.uint8)
        self.wait(self.comm.Ialltoallv([data, (counts, _starts(counts)), self.mpi.BYTE], [out, (theirs, _starts(theirs)), self.mpi.BYTE]))
        return [part.view(dtype) for part in np.split(out, np.cumsum(theirs)[:-1])]

    def first_on_node(self, work: Callable[[], None]) -> None:
        if self.node.Get_rank() == 0:
            work()
        self.wait(self.node.Ibarrier())
        if self.node.Get_rank():
            work()


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts) - counts


@functools.cache
def world() -> Alone:
    """Return the communicator of all ranks of this job, always the same one."""
    with contextlib.suppress(ImportError, RuntimeError):
        from mpi4py import MPI

        if MPI.COMM_WORLD.Get_size() > 1:
            ranks = Ranks(MPI, MPI.COMM_WORLD)
            sys.excepthook = functools.partial(_end_job, ranks, sys.excepthook)
            return ranks
        alone = Alone()
        alone.library = MPI.Get_library_version().strip("\x00").splitlines()[0]
        return alone
    return Alone()


def agreed(communicator: Alone, call: Callable[[], Any]) -> Any:
    """Call on every rank; if any raises an InputError, all do."""
    result, error = None, None
    try:
        result = call()
    except InputError as raised:
        error = raised
    communicator.agree(error)
    return result


def _end_job(ranks: Ranks, usual: Callable[..., Any], kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """End a script in which nothing has caught an exception: the other ranks would wait for this one for ever.

    Bad input comes to all ranks alike: then rank 0 alone tells it, and all end by themselves.
    """
    together = issubclass(kind, InputError | SimulationError) and ranks.meet()
    if ranks.rank == 0 or not together:
        usual(kind, error, trace)
    if not together:
        ranks.abort(1)


class Routes:
    """The plan of the exchange: to which ranks the spikes of each own neuron go, and from which ranks any come.

    Ranks without synapses between them never send each other anything, not even that there is nothing.
    """

    def __init__(self, communicator: Alone, needed: Sequence[np.ndarray]) -> None:
        """``needed[r]``: gids of the neurons of rank r (sorted int32) that have synapses onto this rank; collective."""
        self.communicator = communicator
        self.wanted = communicator.scatter(list(needed))  # own neurons that each rank must be told of
        if not isinstance(communicator, Ranks):
            return
        rank = communicator.rank
        self.sources = [r for r in range(communicator.size) if len(needed[r]) and r != rank]
        self.targets = [r for r in range(communicator.size) if len(self.wanted[r]) and r != rank]
        self.graph = communicator.comm.Create_dist_graph_adjacent(self.sources, self.targets)

    def exchange(self, spikes: np.ndarray) -> np.ndarray:
        """Send the spikes of a window (a structured array with a field ``gid``) where they are needed; return those of other ranks, in no
        order. Collective."""
        communicator = self.communicator
        if not isinstance(communicator, Ranks):
            return spikes[:0]
        parts = [spikes[_among(spikes["gid"], self.wanted[r])] for r in self.targets]
        size = spikes.dtype.itemsize
        counts = np.array([len(part) for part in parts], np.int64) * size
        theirs = np.zeros(len(self.sources), np.int64)
        communicator.wait(self.graph.Ineighbor_alltoall(counts, theirs))
        out = np.empty(int(theirs.sum()), np.uint8)
        data = np.concatenate([spikes[:0], *parts]).view(np.uint8)
        byte = communicator.mpi.BYTE
        communicator.wait(self.graph.Ineighbor_alltoallv([data, (counts, _starts(counts)), byte], [out, (theirs, _starts(theirs)), byte]))
        return out.view(spikes.dtype)


class Meeting:
    """The rounds in which ranks settle a window of synapses without delay: every rank tells all others what its neurons do."""

    def __init__(self, communicator: Ranks) -> None:
        self.communicator = communicator

    def __call__(self, own: np.ndarray, all_: np.ndarray) -> None:
        """Send the words ``own`` to all ranks, and put those of all into ``all_`` (int64). Collective."""
        self.communicator.wait(self.communicator.comm.Iallgather(own, all_))

    def lay(self, room: int) -> Wire:
        """Return a wire on which compiled code does the same, with messages of at most so many words; one that sends nothing where waiting
        ranks must sleep, or where the library does not say where its functions are."""
        ranks = self.communicator
        wire = plain_wire(room, ranks.rank, ranks.size)
        address = 0 if ranks.crowded else _address(ranks.mpi, "MPI_Allgather")
        if address == 0:
            return wire
        return wire._replace(address=address, datatype=ranks.mpi._handleof(ranks.mpi.INT64_T), comm=ranks.mpi._handleof(ranks.comm))


def _address(mpi: Any, function: str) -> int:
    """Return where a function of the MPI library is, in this process."""
    try:
        return ctypes.cast(getattr(ctypes.CDLL(mpi.__file__), function), ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0


def _among(values: np.ndarray, sorted_set: np.ndarray) -> np.ndarray:
    """Return which values are in a sorted array that is not empty."""
    place = np.minimum(np.searchsorted(sorted_set, values), len(sorted_set) - 1)
    return sorted_set[place] == values
