"""Inputs from outside as frozen values: Poisson processes, given spike trains, currents.

Owns their parameters and validation. Knows no network: whom they drive, and with which weight, stands in ``description.Input``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sparseprop_dist.clock import ticks
from sparseprop_dist.distributions import Distribution, Given, Value, draw
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


def cast_input_weight(weight: Any, kind: Poisson | SpikeTrains, n: int) -> Value:
    """Return the weight (mV) of spikes onto a pool of ``n`` neurons, checked, and check that they suit the pool."""
    if isinstance(kind, SpikeTrains):
        kind.check(n, "the target pool")
    elif kind.n_values not in (None, n):
        raise InputError(f"rate has {kind.n_values} values, but the target pool has {n} neurons; give one for each")
    weight = cast(weight, "weight", "mV")
    if isinstance(weight, np.ndarray) and len(weight) != n:
        raise InputError(f"weight has {len(weight)} values, but the target pool has {n} neurons; give one for each")
    return weight


# --- currents ---

LATEST = 8e6
"""ms: the latest time at which a current can change; int64 ticks end soon after."""
FASTEST = 1e5
"""Hz: the highest frequency of a current; `elementary.sin_cos` reaches so many turns in a slab."""


class Sine(NamedTuple):
    """``amplitude`` (pA) times sin(2 pi (``frequency`` (Hz) t + ``turns``)), from tick ``on`` to tick ``off``."""

    amplitude: float
    frequency: float
    turns: float
    on: int
    off: int


class Current(ByValue):
    """A current (pA) that every target neuron gets alike, on top of its own I_e: straight pieces and sines."""

    kind: ClassVar[str]

    def pieces(self) -> tuple[np.ndarray, Floats, Floats]:
        """Return the ticks (int64, increasing) at which straight pieces begin, their first values (pA) and their slopes (pA per tick); the
        last one lasts for ever, and before the first there is no current."""
        raise NotImplementedError

    def sines(self) -> list[Sine]:
        """Return the sines that are added to the pieces; each begins and ends with one."""
        return []


def _cast_series(times: Any, values: Any, kind: str) -> tuple[Floats, Floats]:
    """Return times (ms) and values (pA) of a current, checked."""
    arrays = []
    for name, given, unit in (("times", times, "ms"), ("values", values, "pA")):
        array = cast(given, name, unit, each="time")
        if not isinstance(array, np.ndarray):
            raise InputError(f"{name} of a {kind} are {spoken(given)}; give a list in {unit}, with one for each time at which it changes")
        arrays.append(array)
    times, values = arrays
    if len(times) != len(values):
        raise InputError(f"a {kind} has {len(times)} times and {len(values)} values; give one value for each time")
    check_each(times, (times >= 0.0) & (times <= LATEST), "times", "ms", "value", f"times go from 0 to {LATEST:g} ms")
    still = np.flatnonzero(np.diff(ticks(times)) <= 0)
    if still.size:
        where = int(still[0])
        given = f"{float(times[where])!r} ms is followed by {float(times[where + 1])!r} ms at position {where + 1}"
        raise InputError(f"times of a {kind} do not increase: {given}; sort times and values by time, and give no time twice")
    return times, values


@dataclass(frozen=True, eq=False)
class StepCurrent(Current):
    """A current that jumps, as NEST's step_current_generator: ``values[k]`` from ``times[k]`` on, 0 before the first.

    Parameters
    ----------
    times : (n,) ms, increasing, 0 to 8e6; kept to the tick (2^-40 ms)
    values : (n,) pA

    Raises
    ------
    InputError
        for times that do not increase, values that are not finite, or different lengths.
    """

    kind: ClassVar[str] = "step_current"
    times: Any
    values: Any

    def __post_init__(self) -> None:
        times, values = _cast_series(self.times, self.values, "step current")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    def pieces(self) -> tuple[np.ndarray, Floats, Floats]:
        """See `Current.pieces`."""
        return ticks(self.times), self.values, np.zeros(len(self.values))


@dataclass(frozen=True, eq=False)
class SampledCurrent(Current):
    """A current through the points ``(times[k], values[k])``, straight between them; 0 before the first, ``values[-1]`` after the last.

    Parameters
    ----------
    times : (n,) ms, increasing, 0 to 8e6; kept to the tick (2^-40 ms)
    values : (n,) pA

    Raises
    ------
    InputError
        for times that do not increase, values that are not finite, or different lengths.
    """

    kind: ClassVar[str] = "sampled_current"
    times: Any
    values: Any

    def __post_init__(self) -> None:
        times, values = _cast_series(self.times, self.values, "sampled current")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    def pieces(self) -> tuple[np.ndarray, Floats, Floats]:
        """See `Current.pieces`."""
        begin = ticks(self.times)
        return begin, self.values, np.append(np.diff(self.values) / np.diff(begin), 0.0)


@dataclass(frozen=True, eq=False)
class SineCurrent(Current):
    """NEST's ac_generator: a current ``offset + amplitude sin(2 pi frequency t + phase)`` from ``start`` to ``stop``, else 0.

    t is the time since the begin of the simulation, not since ``start``.

    Parameters
    ----------
    amplitude : pA
    frequency : Hz, positive, at most 1e5
    phase : degrees
    offset : pA
    start, stop : ms, 0 to 8e6, start before stop; ``stop`` may be inf

    Raises
    ------
    InputError
        for a wrong type, a value that is not finite or outside its bound.
    """

    kind: ClassVar[str] = "sine_current"
    amplitude: float
    frequency: float
    phase: float = 0.0
    offset: float = 0.0
    start: float = 0.0
    stop: float = math.inf

    def __post_init__(self) -> None:
        units = {"amplitude": "pA", "frequency": "Hz", "phase": "degrees", "offset": "pA", "start": "ms", "stop": "ms"}
        for name, unit in units.items():
            value = cast(getattr(self, name), name, unit, infinite=name == "stop")
            if not isinstance(value, float):
                raise InputError(f"{name} of a sine current is {spoken(value)}; give a number in {unit}: the current is the same for all")
            object.__setattr__(self, name, value)
        if not 0.0 < self.frequency <= FASTEST:
            raise InputError(f"frequency is {self.frequency!r} Hz; it must be positive, and at most {FASTEST:g} Hz")
        if not 0.0 <= self.start <= LATEST or (LATEST < self.stop < math.inf) or not self.start + 2.0**-40 <= self.stop:
            given = f"a sine current goes from {self.start!r} to {self.stop!r} ms"
            raise InputError(f"{given}; give start and stop from 0 to {LATEST:g} ms, start before stop; stop may be inf")

    def pieces(self) -> tuple[np.ndarray, Floats, Floats]:
        """See `Current.pieces`."""
        n = 1 if self.stop == math.inf else 2
        return ticks([self.start, self.stop][:n]), np.array([self.offset, 0.0][:n]), np.zeros(n)

    def sines(self) -> list[Sine]:
        """See `Current.sines`."""
        off = (1 << 63) - 1 if self.stop == math.inf else int(ticks(self.stop))
        return [Sine(self.amplitude, self.frequency, self.phase / 360.0, int(ticks(self.start)), off)]


def check_current(kind: Current, targets: Sequence[Any], weight: Any, delay: Any) -> None:
    """Refuse a current with a weight or a delay, or onto populations (each with ``model``) whose model takes none."""
    for name, value in (("weight", weight), ("delay", delay or None)):
        if value is not None:
            raise InputError(f"{name} is {spoken(value)}, but a current has neither weight nor delay; scale its values, or shift its times")
    for population in targets:
        if not population.model.takes_currents:
            told = f"{population} is of model {population.model.kind}, but only lif and lif_psc_exp take currents that vary in time"
            raise InputError(f"{told}; make its neurons LIF or LIFPscExp, or leave the {kind.kind} out")
