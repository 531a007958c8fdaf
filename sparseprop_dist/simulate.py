"""A run from description to spikes: the composition of all parts.

Owns the order in which parts are made and files are written; what a window does is in `window`.
"""

import contextlib
import dataclasses
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import checkpoint, recorder, store, tables
from .build import Numbered
from .checkpoint import FOLDER, Checkpoint
from .clock import TICK, TICK_BITS
from .description import Network
from .errors import InputError, Interrupted, SimulationError
from .exchange import Alone, agreed, world
from .fingerprint import fingerprint
from .heartbeat import FINISHED, STOPPED, Heartbeat
from .interruption import STOP, WRITE, Checkpoints, Watchman
from .output import Output, gathered, new_output
from .plan import check, check_memory
from .preparation import Run, check_arguments, prepare, schedule_of, warm, warn_of_idle_ranks
from .record import SpikeRecord
from .recorder import Recorder
from .result import Result
from .run_directory import RunDirectory
from .snapshot import put, take
from .summary import events_of, summary_of
from .window import report_every, window_to


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
    checkpoints: Checkpoints | None = None,
    wall_limit: float | None = None,
    file: Any = None,
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
    checkpoints : Checkpoints, optional
        How often a run with a directory writes checkpoints; every 900 s if nothing is said, and at its end.
    wall_limit : float, optional
        s: a run with a directory stops in time, after a checkpoint.
    file : path, optional
        The file that the network came from, for the record.
    record : bool
        Whether to keep the spikes; statistics and what `Network.record` was asked for are kept anyway.

    Raises
    ------
    InputError
        for bad input, on all ranks; nothing was written.
    SimulationError
        if the run cannot go on.
    Interrupted
        for a run with a directory, after a checkpoint: SIGTERM, SIGINT or SIGUSR1 came to any rank, or the wall limit is near.
    """
    simulation = Simulation(
        network, until, output=output, window=window, schedule=schedule, progress=progress, record=record, comm=comm,
        checkpoints=checkpoints, wall_limit=wall_limit, file=file,
    )  # fmt: skip
    with contextlib.closing(simulation):
        return simulation.finish()


class Simulation:
    """A run that is taken forward in steps; its parameters are those of `simulate`.

    It stands at `now`; `advance` takes it on, `checkpoint` writes all that its future depends on, `finish` takes it to its end. Under
    mpiexec or srun all ranks call the same.
    """

    def __init__(
        self,
        network: Network,
        until: float,
        *,
        output: Any = None,
        window: float | None = None,
        schedule: str = "auto",
        progress: Any = None,
        record: bool = True,
        comm: Alone | None = None,
        checkpoints: Checkpoints | None = None,
        wall_limit: float | None = None,
        file: Any = None,
        reopen: "Callable[[], tuple[Output, Checkpoint | None]] | None" = None,
        kept: Numbered | None = None,
    ) -> None:
        """``kept``: for gradients; ``reopen``: for `resume`, which also gives ``output``: returns its files, and where the run goes on."""
        communicator = self._communicator = world() if comm is None else comm
        check_arguments(network, until, window, schedule)
        schedule = schedule_of(network, schedule)
        if output is not None and not record:
            raise InputError("output is given although record is false; leave output out, or record the spikes")
        self.until, self._directory, self._network = float(until), None if output is None else Path(output), network
        self._watchman = Watchman(communicator, checkpoints or Checkpoints(), wall_limit)
        self._output = Output(None, {})
        self._more = {"checkpoints": dataclasses.asdict(self._watchman.checkpoints), "file": None if file is None else str(file)}
        check(network)
        agreed(communicator, lambda: check_memory(network, communicator.size, communicator.ranks_on_node, kept is None))
        agreed(communicator, lambda: recorder.check(network, until, output, communicator.ranks_on_node))
        if output is not None and reopen is None:
            agreed(communicator, lambda: RunDirectory.check(output) if communicator.rank == 0 else None)
        warn_of_idle_ranks(communicator, network)
        warm(communicator, network, schedule, kept is None)
        try:
            with self._listening():
                self._prepare(window, schedule, progress, record, reopen, kept)
        except BaseException:
            self.close()
            raise

    def _prepare(self, window: float | None, schedule: str, progress: Any, record: bool, reopen: Any, kept: Numbered | None) -> None:
        communicator, network, begun = self._communicator, self._network, time.monotonic()
        run = self._run = prepare(communicator, network, window, schedule, progress, kept)
        self._build_wall = time.monotonic() - begun
        self._fingerprint = {} if self._directory is None else fingerprint(network)
        if reopen is not None:  # not before now: whatever was wrong has left the files of the run as they were
            self._output, found = reopen()
        else:
            more = {**self._more, "fingerprint": self._fingerprint}
            self._output, found = new_output(communicator, network, self._directory, self.until, more), None
        if record:
            run.record = SpikeRecord(communicator, self._output.spikes, store.CHUNK)
        run.recorder = Recorder(communicator, network, run.division, run.gid_to_local, self.until, self._output.tables)
        self._wall, self._files = 0.0, dict[str, Any]()
        if found is not None:
            put(run, found.record["common"], found.parts)
            self._wall, self._files = found.record["wall"], found.record["files"]
        self._heart = Heartbeat(self._directory if communicator.rank == 0 else None, self.until, communicator.size)
        if self._directory is not None:
            self._watchman.begin(self.now)
        self._windows, self._from = 0, self.now
        self._begun = time.monotonic()
        self._report()

    @property
    def run(self) -> Run:
        """What this rank works on."""
        return self._run

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self._network.n_neurons

    @property
    def progress(self) -> Any:
        """What is told how far the run is."""
        return self._run.progress

    @progress.setter
    def progress(self, reporter: Any) -> None:
        self._run.progress = reporter

    @property
    def now(self) -> float:
        """Time up to which everything is done (ms)."""
        return self._run.session.now * TICK

    def advance(self, until: float | None = None) -> None:
        """Take the run on to ``until`` ms, or to its end.

        Raises
        ------
        Interrupted
            on all ranks, after a checkpoint, when a signal came or the wall limit is near; only for a run with a directory.
        SimulationError
            on all ranks, if the run cannot go on.
        """
        if until is not None and not self.now <= until <= self.until:
            raise InputError(f"until is {until!r} ms; give a time from {self.now:.6g} to {self.until:g} ms")
        last = _tick(self.until)
        end = last if until is None else _tick(until)
        run = self._run
        every = report_every(run, end)
        with self._listening():
            while run.session.now < end:
                now = run.session.now
                window_to(run, self._watchman.cut(now, min((now // run.window + 1) * run.window, end)), last)
                self._windows += 1
                if self._windows % every == 0:
                    if run.record is not None:
                        run.record.flush()
                    self._report()
                if self._directory is not None:
                    self._heed(self._watchman.ask(self.now))

    def _listening(self) -> Any:
        return contextlib.nullcontext() if self._directory is None else self._watchman.listening()

    def _heed(self, wish: int) -> None:
        """Do what the ranks asked for after a window."""
        if wish == WRITE and (failure := self._tried()) and self._communicator.rank == 0:
            warnings.warn(f"{failure}; the run goes on", stacklevel=2)
        if wish == STOP:
            self.checkpoint()
            self._end(STOPPED)
            names = [name for name in self._communicator.collect(self._watchman.signal) if name]
            reason = names[0] if names else "its wall limit"
            where = f"the run stopped at {self.now:.6g} of {self.until:g} ms because of {reason}, after a checkpoint"
            raise Interrupted(f'{where}; go on with: sparseprop resume "{self._directory}"')

    def _tried(self) -> str:
        """Write a checkpoint; return why it could not be written: older ones are as they were, and the next may succeed."""
        try:
            self.checkpoint()
        except SimulationError as error:
            self._watchman.did(self.now, 0.0)
            return str(error)
        return ""

    def checkpoint(self, path: Any = None) -> Path:
        """Write all that the future of the run depends on; collective.

        Parameters
        ----------
        path : path, optional
            Folder of the checkpoint, to be given to `resume`; it must not exist. Without it, one of those in the run directory, of which
            the last few are kept.

        Returns
        -------
        Path
            of the checkpoint.

        Raises
        ------
        InputError
            for a run without a directory.
        SimulationError
            if it cannot be written. Older ones are as they were.
        """
        run, communicator, begun = self._run, self._communicator, time.monotonic()
        if self._directory is None or run.record is None:
            raise InputError("a run without a directory has no checkpoints; give output=DIR")
        folder = self._directory / FOLDER
        place = folder / checkpoint.name_of(run.session.now) if path is None else Path(path)
        if path is not None:
            agreed(communicator, lambda: _must_be_new(place) if communicator.rank == 0 else None)
        run.record.flush()
        self._seal_files()
        arrays, common = take(run)
        record = {
            "common": common, "until": self.until, "n_neurons": run.network.n_neurons, "fingerprint": self._fingerprint,
            "wall": self._elapsed(), "files": self._files,
        }  # fmt: skip
        checkpoint.write(communicator, place, arrays, record)
        if communicator.rank == 0:
            checkpoint.remove_old(folder, self._watchman.checkpoints.keep)
        seconds = time.monotonic() - begun
        self._watchman.did(self.now, seconds)
        self._heart.checkpointed(self.now, seconds)
        return place

    def _seal_files(self) -> None:
        """Have all that was written of spikes and recordings on the disk, and in ``_files``."""
        error = None
        try:
            self._output.seal()
        except SimulationError as raised:
            error = raised
        self._communicator.agree(error)
        for theirs in self._communicator.collect(self._output.sealed):
            for name, manifest in theirs.items():
                self._files.setdefault(name, {}).update(manifest)
        self._output.sealed = {}

    def finish(self) -> Result:
        """Take the run to its end, write what is left, and return what it made; collective. Raises as `advance`."""
        self.advance()
        run, communicator, output = self._run, self._communicator, self._directory
        failure = None if output is None else self._tried()
        if run.record is not None:
            run.record.flush(last=True)
        if failure and communicator.rank == 0:
            warnings.warn(f"{failure}; the run is complete, but cannot be extended from here", stacklevel=2)
        summary = summary_of(run, self.until, self._elapsed(), self._build_wall)
        self._report()
        if output is not None and communicator.rank == 0:
            RunDirectory.open(output).finish(summary)
        self._end(FINISHED)
        communicator.barrier()
        spikes = None
        if run.record is not None:
            spikes = gathered(communicator, self._output.spikes) if output is None else store.spikes(output)
        return Result(spikes, summary, communicator.rank, run.recorder.gathered() if output is None else tables.recordings(output))

    def _elapsed(self) -> float:
        return self._wall + time.monotonic() - self._begun

    def _end(self, state: str) -> None:
        self._heart.beat(force=True, state=state)
        self.close()

    def close(self) -> None:
        """Let others write in the directory; `finish` does it too."""
        self._output.close()

    def _report(self) -> None:
        run = self._run
        own = [run.n_spikes, *events_of(run)]
        spikes, recurrent, external = self._communicator.total(np.array(own, np.int64)).tolist()
        if run.progress is not None:
            run.progress.update(self.now, spikes)
        wall, events = self._elapsed(), max(1, recurrent + external)
        done, here = self.now - self._from, time.monotonic() - self._begun
        remaining = (self.until - self.now) * here / done if done > 0.0 else None
        self._heart.beat(now=self.now, spikes=spikes, wall=wall, ns_per_event=wall * 1e9 / events, remaining=remaining)


def _tick(ms: float) -> int:
    return round(ms * 2.0**TICK_BITS)


def _must_be_new(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f'the checkpoint "{path}" exists already; give another path')
