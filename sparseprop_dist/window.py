"""One window of a run.

The schedule. A run is a sequence of windows [now, until), each at most the smallest delay of any synapse that crosses ranks:

1. *advance*: every rank takes its own neurons through the window. Whatever spikes of other ranks arrive in it were sent in earlier windows.
2. *exchange*: the spikes of the window go to the ranks that hold targets of them; none of them arrives before the window's end.
3. *keep*: the spikes are counted and recorded; now and then all ranks write what is complete.

A rank that fails in a window says so before the ranks meet for anything else: then all raise its error.

Invariant between windows: all neurons of all ranks stand at the same tick; every spike before it is in flight on the ranks that need it.
Ties are decided by ``docs/design/order.md``, never by who came first.
"""

import numpy as np

from .clock import TICK
from .errors import SimulationError
from .preparation import Run
from .record import stamps
from .state import Watch

REPORTS = 200
"""Times, about, that progress is reported and spikes are written in a run."""
MOST_WINDOWS, MOST_KEPT = 64, 64.0 * 1024.0 * 1024.0
"""Windows between two reports, at most, and the product of the neurons of a rank and the ms: the spikes of these are in memory."""


def report_every(run: Run, until: int) -> int:
    """Return how many windows there are from one report to the next in a run to the absolute tick ``until``."""
    n_windows = -(-(until - run.session.now) // run.window)
    kept = MOST_KEPT / (run.window * TICK * run.network.n_neurons / run.communicator.size)
    return max(1, min(n_windows // REPORTS, MOST_WINDOWS, int(kept)))


def window_to(run: Run, until: int, last: int) -> None:
    """Take a run through one window to the absolute tick ``until``; ``last``: where it ends. Raises on all ranks what any of them fails
    of."""
    if run.failure is not None:
        raise run.failure
    session, start = run.session, run.session.now
    try:
        spikes = _advance(run, until, last)
    except SimulationError as failure:
        run.failure = failure
        raise
    session.receive(run.routes.exchange(spikes), start)
    run.n_spikes += len(spikes)
    if run.tape is not None:
        run.tape.add(spikes, session.origin)
    kept = stamps(spikes["time"], spikes["gid"], session.origin)
    run.statistics.add(run.gid_to_local(kept["gid"]), kept["whole"] + kept["part"] * TICK)
    if run.record is not None:
        run.record.add(kept)
    session.forget()


def _advance(run: Run, until: int, end: int) -> np.ndarray:
    """Advance to the absolute tick ``until`` as `Session.advance` does, and record."""
    session, recorder, spikes = run.session, run.recorder, []
    while session.now < until:
        stop, watch = recorder.watch(session, until)
        spikes.append(_advance_all(run, stop, watch))
        recorder.keep(watch)
    out = spikes[0] if len(spikes) == 1 else np.concatenate(spikes)
    recorder.count(out, session)
    if session.now == end:
        recorder.read(session)
    return out


def _advance_all(run: Run, until: int, watch: Watch | None) -> np.ndarray:
    """As `Session.advance`, or `Together.advance`; an error of one rank is raised on all."""
    if run.together is not None:
        return run.together.advance(until, watch)
    spikes, failure = None, None
    try:
        spikes = run.session.advance(until, watch)
    except SimulationError as raised:
        failure = raised
    if run.communicator.least(0 if failure is None else -1) < 0:
        run.communicator.agree(failure)
    return spikes  # type: ignore[return-value]  # None only if `agree` has raised
