"""Inputs from outside as frozen values: Poisson processes and given spike trains.

Owns their parameters and validation. Knows no network: whom they drive, and with which weight, stands in ``description.Input``.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from sparseprop_dist.distributions import Distribution, Given, draw
from sparseprop_dist.errors import InputError
from sparseprop_dist.models.parameters import ByValue, cast, cast_indices, check_each, frozen, spoken
from sparseprop_dist.quantile import Floats
from sparseprop_dist.rules import Origin


@dataclass(frozen=True, eq=False)
class Poisson(ByValue):
    """Independent Poisson spikes for every target neuron.

    Parameters
    ----------
    rate : Hz, not negative: a number, an array with one for each target neuron, or a distribution. With ``times``: shape (n_pieces,), the
        same for all neurons, or (n_pieces, n_targets).
    times : (n_pieces,) ms, increasing from 0: piece k holds from ``times[k]`` to ``times[k + 1]``, the last one for ever. None: one piece.

    Raises
    ------
    InputError
        for a wrong type or shape, a negative rate, times that do not increase from 0.
    """

    kind: ClassVar[str] = "poisson"
    rate: Given
    times: Any = None

    def __post_init__(self) -> None:
        if self.times is None:
            rate = cast(self.rate, "rate", "Hz")
            if isinstance(rate, Distribution):
                if rate.lowest < 0.0:
                    raise InputError(f"rate can be as low as {rate.lowest:.3g} Hz with {rate!r}; give the distribution low = 0")
            else:
                check_each(rate, np.asarray(rate) >= 0.0, "rate", "Hz", "neuron" if np.ndim(rate) else None, "it must not be negative")
            object.__setattr__(self, "rate", rate)
            return
        times = cast(self.times, "times", "ms", each="piece")
        if not isinstance(times, np.ndarray) or times[0] != 0.0 or (np.diff(times) <= 0.0).any():
            raise InputError(f"times of a Poisson input are {spoken(self.times)}; give a list in ms that increases from 0")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "rate", self._cast_pieces(len(times)))

    def _cast_pieces(self, n_pieces: int) -> Floats:
        allowed = f"with times of {n_pieces} pieces, give a rate in Hz for each, or a list of one for each target neuron for each"
        try:
            rate = np.asarray(self.rate)
        except ValueError:
            raise InputError(f"rate is {spoken(self.rate)}; {allowed}") from None
        if rate.dtype.kind not in "iuf" or rate.ndim not in (1, 2) or len(rate) != n_pieces or rate.size == 0:
            raise InputError(f"rate is {spoken(self.rate)}; {allowed}")
        rate = frozen(rate, np.float64)
        check_each(rate.ravel(), (np.isfinite(rate) & (rate >= 0.0)).ravel(), "rate", "Hz", "element", "it must be finite and not negative")
        return rate

    @property
    def n_values(self) -> int | None:
        """Number of target neurons that the rates are given for, None if they suit any number."""
        return self.rate.shape[-1] if isinstance(self.rate, np.ndarray) and self.rate.ndim == (1 if self.times is None else 2) else None

    @property
    def starts(self) -> Floats:
        """(n_pieces,) ms: when each piece begins."""
        return np.zeros(1) if self.times is None else self.times

    def rates(self, key: tuple[int, ...], start: int, stop: int) -> Floats:
        """(n_pieces, stop - start) Hz: the rates of target neurons ``start`` .. ``stop - 1``, drawn with ``key`` if a distribution."""
        if self.times is None:
            return draw(self.rate, key, start, stop)[None, :]
        if self.rate.ndim == 2:
            return self.rate[:, start:stop]
        return np.repeat(self.rate[:, None], stop - start, axis=1)


@dataclass(frozen=True, eq=False)
class SpikeTrains(ByValue):
    """Given spikes, of the members of a population that only sends, or of an input to neurons.

    Parameters
    ----------
    times : (n_spikes,) float64 ms, not negative, none smaller than the one before it
    ids : (n_spikes,) int64: which member of the population, or which neuron of the target pool, 0-based

    Raises
    ------
    InputError
        for unsorted, negative or non-finite times, negative ids, or different lengths.
    """

    kind: ClassVar[str] = "spikes"
    times: Any
    ids: Any
    origin: Origin | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        times, ids = self.times, cast_indices(self.ids, "ids")
        times = frozen(np.zeros(0), np.float64) if np.size(times) == 0 else cast(times, "times", "ms", each="spike")
        if not isinstance(times, np.ndarray) or len(times) != len(ids):
            n = len(times) if isinstance(times, np.ndarray) else spoken(self.times)
            raise InputError(f"spike trains have {n} times and {len(ids)} ids; give one of each for every spike")
        check_each(times, times >= 0.0, "times", "ms", "spike", "spike times must not be negative")
        backwards = np.flatnonzero(np.diff(times) < 0.0)
        if backwards.size:
            where = int(backwards[0])
            given = f"{float(times[where])!r} ms is followed by {float(times[where + 1])!r} ms at spike {where + 1}"
            raise InputError(f"spike times are not sorted: {given}; sort times and ids by time")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "ids", ids)

    def check(self, size: int, whose: str) -> None:
        """Raise an InputError if an id is not one of the ``size`` members of ``whose``."""
        if self.ids.size and self.ids.max() >= size:
            where = int(np.argmax(self.ids >= size))
            raise InputError(f"spike {where} has id {self.ids[where]}, but {whose} has {size} members, 0 to {size - 1}")
