"""What a network is trained to do: the spikes that go in, the loss of those that come out, and how often it is right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InputError
from .inputs import SpikeTrains
from .losses import Loss, first_spike_cross_entropy, first_spikes

Gids = Callable[[str], np.ndarray]
"""Gids of a population in each copy of the network, int64 (copies, size)."""


@dataclass
class FirstSpikes:
    """Classification: each channel of a sample sends one spike, and the class is that of the output neuron that fires first.

    Parameters
    ----------
    times : float64 (samples, channels), ms; NaN: no spike
    labels : int64 (samples,)
    source : population of spike trains, one member a channel
    outputs : population of neurons, one a class
    scale, silent, early, early_scale : as of `losses.first_spike_cross_entropy`, ms
    """

    times: Any
    labels: Any
    source: str
    outputs: str
    scale: float
    silent: float
    early: float = 0.0
    early_scale: float = 10.0

    def __post_init__(self) -> None:
        self.times, self.labels = np.asarray(self.times, np.float64), np.asarray(self.labels, np.int64)
        if self.times.ndim != 2 or self.labels.shape != self.times.shape[:1]:
            raise InputError(f"times have shape {self.times.shape} and labels {self.labels.shape}; give (samples, channels) and (samples,)")
        if (self.times < 0.0).any() or np.isinf(self.times).any():
            raise InputError("times of input spikes must be finite and not negative, or NaN for none")

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def trains(self, samples: np.ndarray) -> dict[str, SpikeTrains]:
        """Return the input spikes of these samples, one copy of the network each."""
        times = self.times[samples].ravel()
        ids = np.flatnonzero(np.isfinite(times))
        ids = ids[np.argsort(times[ids], kind="stable")]
        return {self.source: SpikeTrains(times[ids], ids)}

    def loss(self, gids: Gids, samples: np.ndarray) -> Loss:
        """Return the mean loss over these samples."""
        return first_spike_cross_entropy(
            gids(self.outputs), self.labels[samples], scale=self.scale, silent=self.silent, early=self.early, early_scale=self.early_scale
        )

    def right(self, times: np.ndarray, ids: np.ndarray, gids: Gids, samples: np.ndarray) -> int:
        """Return how many samples are classified rightly; ties and silence are wrong."""
        t, which = first_spikes(times, ids, gids(self.outputs), np.inf)
        first = t.min(1)
        winner = t.argmin(1)
        alone = ((t == first[:, None]).sum(1) == 1) & (which >= 0).any(1)
        return int((alone & (winner == self.labels[samples])).sum())


@dataclass
class Fit:
    """One sample: a loss of the spikes of the network, as it is described.

    Parameters
    ----------
    of : the loss; see `losses`
    """

    of: Loss

    n_samples = 1

    def trains(self, samples: np.ndarray) -> dict[str, SpikeTrains]:
        """Return nothing: the description has its inputs."""
        return {}

    def loss(self, gids: Gids, samples: np.ndarray) -> Loss:
        """Return the loss."""
        return self.of

    def right(self, times: np.ndarray, ids: np.ndarray, gids: Gids, samples: np.ndarray) -> int:
        """Return 0: there is no right or wrong."""
        return 0
