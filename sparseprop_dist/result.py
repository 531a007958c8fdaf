"""What a run gives back: its spikes, its recordings and its summary. Knows nothing of how they were made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .store import CHUNK


@dataclass(frozen=True)
class Spikes:
    """Spikes in memory, by (time, gid)."""

    times: np.ndarray
    """float64, ms"""
    ids: np.ndarray
    """int64, gids"""

    def __len__(self) -> int:
        """Return the number of spikes."""
        return len(self.times)

    def to_dask(self) -> tuple[Any, Any]:
        """Return times and ids as Dask arrays."""
        import dask.array

        return dask.array.from_array(self.times, chunks=CHUNK), dask.array.from_array(self.ids, chunks=CHUNK)


@dataclass(frozen=True)
class Recorded:
    """A recording in memory."""

    what: str
    unit: str
    """"1" for counts, and for quantities without unit."""
    populations: tuple[str, ...]
    times: np.ndarray
    """float64, ms: of samples, or the starts of bins"""
    ids: np.ndarray | None
    """int64, gids of the columns; None for counts, whose columns are ``populations``"""
    values: np.ndarray
    """float64 (int64 for counts), times by columns"""

    def to_dask(self) -> Any:
        """Return the values as a Dask array."""
        import dask.array

        return dask.array.from_array(self.values)


@dataclass(frozen=True)
class Result:
    """What a run made. On several ranks every rank has the same."""

    spikes: Any
    """`Spikes`, or those of the run directory (``times``, ``ids``, ``to_dask()``), which are read when asked for."""
    summary: dict[str, Any]
    """neurons, synapses, spikes, mean_rate (Hz), cv, events, ns_per_event, wall (s), build_wall (s), real_time_factor (wall time /
    simulated time), bytes_per_synapse, ranks."""
    rank: int = 0
    """Rank of this process: print on rank 0 only."""
    recordings: Mapping[str, Any] = field(default_factory=dict)
    """`Recorded` by name, or those of the run directory (the same fields), which are read when asked for."""
