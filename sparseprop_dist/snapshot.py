"""All that the future of a run depends on, out of a run and into one on any number of ranks (``docs/design/checkpoints.md``).

Owns which arrays those are. Knows nothing of files.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .engine.session import SPIKE
from .models.protocol import STATES
from .preparation import Run
from .record import COUNT, LAST, SQUARES, STAMP, SUM
from .summary import events_of

Arrays = dict[str, np.ndarray]
Parts = Callable[[Callable[[int, int], bool], Sequence[str] | None], Sequence[Arrays]]
"""Returns the arrays, or those of some names, of those ranks that had a range of gids, first and end, that is wanted."""

COLUMNS = {"count": COUNT, "last": LAST, "sum": SUM, "squares": SQUARES}
"""Of the statistics, by their names in checkpoints."""


def _any(first: int, stop: int) -> bool:
    return True


def take(run: Run) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of this rank, and what all ranks have alike, as JSON values. All complete chunks of spikes must be written."""
    assert run.record is not None
    if run.failure is not None:
        raise run.failure
    session, statistics = run.session, run.statistics
    flying = session.flying()
    flying = flying[np.isin(flying["gid"], run.gids)]
    arrays = {
        "gid": run.gids,
        "state": session.state(),
        "flight": _columns(flying),
        **{name: statistics.table[:, column] for name, column in COLUMNS.items()},
        "kept": _columns(run.record.unwritten),
        "events": events_of(run),
    }
    for k, samples in enumerate(run.recorder.samples):
        arrays[f"columns_{k}"], arrays[f"rows_{k}"] = samples.unwritten()
    for k, counts in enumerate(run.recorder.counts):
        arrays[f"counts_{k}"] = counts.unwritten()
    common = {
        "tick": session.now,
        "origin": session.origin,
        "written": run.record.n_written,
        "sampled": [samples.row for samples in run.recorder.samples],
        "counted": [counts.first for counts in run.recorder.counts],
    }
    return arrays, common


def put(run: Run, common: dict[str, Any], parts: Parts) -> None:
    """Put ``run``, which was just prepared, where another one stood; ``common`` and arrays as `take` returned them."""
    assert run.record is not None
    first_rank = run.communicator.rank == 0
    own = np.sort(run.gids)
    order = np.argsort(run.gids)
    # counts of populations and numbers of arrivals are sums over ranks, which the first one goes on with
    found = parts(_any if first_rank else lambda a, b: bool(np.searchsorted(own, a) < np.searchsorted(own, b)), None)
    state = np.zeros((STATES, len(own)), np.int64)
    kept = [np.empty(0, STAMP)]
    for part in found:
        here = np.flatnonzero(np.isin(part["gid"], own))
        local = order[np.searchsorted(own, part["gid"][here])]
        state[:, local] = part["state"][:, here]
        for name, column in COLUMNS.items():
            run.statistics.table[local, column] = part[name][here]
        spikes = _rows(part["kept"], STAMP)
        kept.append(spikes[np.isin(spikes["gid"], own)])
        if first_rank:
            run.before += part["events"]
    run.n_spikes = int(run.statistics.table[:, COUNT].sum())
    flight = np.concatenate([np.empty(0, SPIKE), *(_rows(part["flight"], SPIKE) for part in parts(_any, ["flight"]))])
    flight = flight[run.part.needs[flight["gid"]] | np.isin(flight["gid"], run.gids)]
    run.session.restore(common["tick"], common["origin"], state, flight)
    run.record.resume(common["written"], np.concatenate(kept))
    _put_recordings(run, common, found)


def _put_recordings(run: Run, common: dict[str, Any], found: Sequence[Arrays]) -> None:
    for k, samples in enumerate(run.recorder.samples):
        samples.resume(common["sampled"][k], [(part[f"columns_{k}"], part[f"rows_{k}"]) for part in found])
    for k, counts in enumerate(run.recorder.counts):
        counts.resume(common["counted"][k], [part[f"counts_{k}"] for part in found] if run.communicator.rank == 0 else [])


def _columns(spikes: np.ndarray) -> np.ndarray:
    """Return a structured array of integers as int64 (fields, spikes)."""
    return np.stack([spikes[name].astype(np.int64) for name in spikes.dtype.names or ()])


def _rows(columns: np.ndarray, dtype: np.dtype) -> np.ndarray:
    out = np.empty(columns.shape[1], dtype)
    for name, column in zip(dtype.names or (), columns, strict=True):
        out[name] = column
    return out
