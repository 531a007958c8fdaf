"""Rates, intervals and population activity of a run of any length, on Dask.

Owns what is counted. The spikes are read a file at a time by a few tasks, each of which goes through consecutive files and keeps a few
numbers a neuron; what two tasks counted is joined at the interval between them. Nothing depends on how many workers there are.
CV = standard deviation / mean of the interspike intervals of a neuron with two intervals or more (that of the population, 1/n).
"""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist import store
from sparseprop_dist.errors import InputError
from sparseprop_dist.record import COUNT, LAST, SQUARES, SUM, count_intervals, cv_of

TASKS = 8
"""Tasks, at most: each keeps 48 bytes a neuron until it is joined with another."""
BINS = 1000
"""Of the population rates over the run."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Tally(NamedTuple):
    """What some consecutive spikes say, one entry a neuron."""

    spikes: np.ndarray  # int64
    first: np.ndarray  # float64, ms, of the first spike
    last: np.ndarray  # float64, ms
    total: np.ndarray  # float64, ms, sum of intervals
    squares: np.ndarray  # float64, ms^2
    bins: np.ndarray  # int64 (populations, BINS)


class Statistics(NamedTuple):
    """What a run did."""

    names: list[str]
    """of the populations"""
    firsts: np.ndarray
    """gid of the first neuron of each, and the number of neurons"""
    spikes: np.ndarray
    """int64 (neurons,)"""
    cv: np.ndarray
    """float64 (neurons,), nan for fewer than two intervals"""
    bins: np.ndarray
    """int64 (populations, BINS), spikes"""
    until: float
    """ms"""

    def rates(self, k: int) -> np.ndarray:
        """Return the rate of each neuron of population ``k`` (Hz)."""
        return self.spikes[self.firsts[k] : self.firsts[k + 1]] / (self.until * 1e-3)

    def cvs(self, k: int) -> np.ndarray:
        """Return the CV of each neuron of population ``k`` that has one."""
        cv = self.cv[self.firsts[k] : self.firsts[k + 1]]
        return cv[~np.isnan(cv)]

    def activity(self, k: int) -> np.ndarray:
        """Return the rate of population ``k`` over the run, in BINS bins (Hz)."""
        size = int(self.firsts[k + 1] - self.firsts[k])
        return self.bins[k] / (size * self.until * 1e-3 / BINS)

    def summary(self) -> dict[str, Any]:
        """Return the figures, as JSON values."""
        populations = {}
        for k, name in enumerate(self.names):
            rates, cvs = self.rates(k), self.cvs(k)
            populations[name] = {
                "neurons": len(rates),
                "spikes": int(self.spikes[self.firsts[k] : self.firsts[k + 1]].sum()),
                "rate": _described(rates),
                "silent": float((rates == 0.0).mean()),
                "cv": {"neurons": len(cvs), **_described(cvs)},
            }
        return {
            "until": self.until,
            "spikes": int(self.spikes.sum()),
            "mean_rate": float(self.spikes.sum() / len(self.spikes) / self.until * 1e3),
            "populations": populations,
            "activity": {"bin": self.until / BINS, **{name: self.activity(k).tolist() for k, name in enumerate(self.names)}},
            "units": {"until": "ms", "mean_rate": "Hz", "rate": "Hz", "cv": "1", "bin": "ms", "activity": "Hz"},
        }


def _described(values: np.ndarray) -> dict[str, Any]:
    if not len(values):
        return {"mean": None, "std": None, "quantiles": {}}
    quantiles = dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES).tolist(), strict=True))
    return {"mean": float(values.mean()), "std": float(values.std()), "quantiles": quantiles}


def statistics(run: str | os.PathLike[str], *, client: Any = None) -> Statistics:
    """Count the spikes of a run.

    Parameters
    ----------
    run : path
        Run directory, on a file system that all workers see.
    client : dask.distributed.Client, optional
        Where to compute; without it, threads of this process, one a core.

    Raises
    ------
    InputError
        for a directory that holds no run, and spikes that are damaged.
    """
    from dask.delayed import delayed

    stored = store.spikes(run)
    populations = sorted(stored.attributes["populations"], key=lambda entry: entry["first"])
    n_neurons, until = int(stored.attributes["n_neurons"]), float(stored.attributes["until"])
    firsts = np.array([*(entry["first"] for entry in populations), n_neurons], np.int64)
    n_files = -(-len(stored) // store.CHUNK)
    cuts = np.linspace(0, n_files, min(TASKS, max(n_files, 1)) + 1).astype(int).tolist()
    path = str(Path(run).absolute())
    parts = [delayed(tally)(path, a, b, firsts, until) for a, b in itertools.pairwise(cuts)]
    while len(parts) > 1:  # neighbours, so that intervals between them are known
        parts = [delayed(joined)(*parts[k : k + 2]) if k + 1 < len(parts) else parts[k] for k in range(0, len(parts), 2)]
    found = client.compute(parts[0]).result() if client is not None else parts[0].compute(scheduler="threads")
    cv = cv_of(found.spikes, found.total, found.squares)
    return Statistics([entry["name"] for entry in populations], firsts, found.spikes, cv, found.bins, until)


def tally(run: str, first_file: int, stop_file: int, firsts: np.ndarray, until: float) -> Tally:
    """Return what the spikes of some files of ``run`` say."""
    n_neurons, stored = int(firsts[-1]), store.spikes(run)
    table, first = np.zeros((n_neurons, 4)), np.zeros(n_neurons)
    out = np.zeros((len(firsts) - 1, BINS), np.int64)
    for k in range(first_file, stop_file):
        times, ids = stored.block(k)
        if len(ids) and not 0 <= ids.min() <= ids.max() < n_neurons:
            raise InputError(f'a spike of "{run}" is of neuron {ids.max()}, and there are {n_neurons}; the run directory is damaged')
        count_intervals(ids, times, table, first)
        band = np.searchsorted(firsts, ids, side="right") - 1
        bins = np.minimum((times * (BINS / until)).astype(np.int64), BINS - 1)
        out += np.bincount(band * BINS + bins, minlength=out.size).reshape(out.shape)
    return Tally(table[:, COUNT].astype(np.int64), first, table[:, LAST], table[:, SUM], table[:, SQUARES], out)


def joined(one: Tally, later: Tally) -> Tally:
    """Return what spikes and later ones say together."""
    both, fires = (one.spikes > 0) & (later.spikes > 0), later.spikes > 0
    gap = np.where(both, later.first - one.last, 0.0)
    return Tally(
        one.spikes + later.spikes,
        np.where(one.spikes > 0, one.first, later.first),
        np.where(fires, later.last, one.last),
        one.total + gap + later.total,
        one.squares + gap**2 + later.squares,
        one.bins + later.bins,
    )


@contextlib.contextmanager
def workers(scheduler: str | None, jobs: int | None) -> Iterator[Any]:
    """Give a client of a Dask cluster: the one at the address ``scheduler``, or ``jobs`` jobs of Slurm, by dask-jobqueue with its
    configuration; None without either.

    Raises
    ------
    InputError
        if that cannot be had.
    """
    if scheduler is None and jobs is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            from dask.distributed import Client

            if jobs is None:
                yield stack.enter_context(Client(scheduler, timeout=30))
                return
            from dask_jobqueue import SLURMCluster

            cluster = stack.enter_context(SLURMCluster())
        except ImportError as error:
            raise InputError(f"{error.name} is not installed; install sparseprop_dist[cluster], or leave the option out") from None
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"there is no Dask cluster ({error}); see that the scheduler runs, or configure dask-jobqueue") from None
        cluster.scale(jobs=jobs)
        yield stack.enter_context(Client(cluster))
