"""The figures of a run."""

from typing import Any

import numpy as np

from .preparation import Run
from .state import Counter


def events_of(run: Run) -> np.ndarray:
    """Return the arrivals of spikes and of Poisson events so far, int64 (2,): sums over ranks are what happened."""
    counters = run.session.counters
    return run.before + np.array([counters[Counter.RECURRENT], counters[Counter.EXTERNAL]], np.int64)


def summary_of(run: Run, until: float, wall: float, build_wall: float) -> dict[str, Any]:
    """Return the summary of a run to ``until`` ms, see `Result`; collective."""
    own = [run.part.n_synapses, *events_of(run), run.n_spikes, run.part.synapses_bytes]
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


def _rounds(run: Run) -> dict[str, int]:
    """Return how many windows ranks settled together, in how many rounds, and the bytes told in them by all ranks."""
    windows, rounds, words = (int(run.session.counters[number]) for number in (Counter.WINDOWS, Counter.ROUNDS, Counter.TELLS))
    return {"windows": windows, "rounds": rounds, "told_bytes": words * 8 * run.communicator.size}
