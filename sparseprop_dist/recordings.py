"""What a run records beside its spikes, as the user describes it: V of chosen neurons at chosen times, spike counts of populations.

Owns the description of a recording, its grid of times and the sentences that refuse it. Knows nothing of ranks or of how values are made.

Its one convention: a value at a time is the one just before the events of that tick, hence after all events of earlier ticks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.clock import TICK_BITS
from sparseprop_dist.errors import InputError, nearest
from sparseprop_dist.models.parameters import ByValue, cast, cast_indices, spoken
from sparseprop_dist.quantile import Floats

COUNT = "count"
"""What is counted and not sampled: spikes."""
LEAST = 1e-9
"""ms between two samples, and in a bin, at least: a thousand ticks, so that no two are the same."""


@dataclass(frozen=True)
class Grid:
    """The times of the rows of a recording: ``start + k step`` ms, or those that were listed."""

    n: int
    start: float = 0.0
    step: float = 0.0
    listed: Floats | None = None

    def ms(self, k: Any) -> Any:
        """Return the time of row ``k`` (a number or an array), the end of the last bin for k = n."""
        return self.listed[k] if self.listed is not None else self.start + k * self.step

    def before(self, tick: int) -> int:
        """Return how many rows are before an absolute tick."""
        ms = tick * 2.0**-TICK_BITS
        k = int(np.searchsorted(self.listed, ms)) if self.listed is not None else math.floor((ms - self.start) / self.step) + 1
        k = min(max(k, 0), self.n)
        while k > 0 and tick_at(self.ms(k - 1)) >= tick:
            k -= 1
        while k < self.n and tick_at(self.ms(k)) < tick:
            k += 1
        return k


@dataclass(frozen=True, eq=False)
class Recording(ByValue):
    """What to record of the neurons of ``targets`` (one pool); made by `Network.record`.

    Parameters
    ----------
    name : its key among the recordings of a network
    what : "V", or another quantity of the model; "count" for spikes in bins
    targets : names of populations
    every : ms between samples
    times : ms, the times of samples, where they are not regular
    bin : ms, width of a bin
    neurons : positions in the target pool, in the order of the columns; None: all
    start, stop : ms, where regular samples and bins begin and end; None: the end of the run
    """

    name: str
    what: str
    targets: tuple[str, ...]
    every: float | None = None
    times: Floats | None = None
    bin: float | None = None
    neurons: NDArray[np.int64] | None = None
    start: float = 0.0
    stop: float | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_choice(self)
        for key in ("every", "bin", "start", "stop"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, _number(getattr(self, key), key, LEAST if key in ("every", "bin") else 0.0))
        if self.stop is not None and self.stop < self.start:
            raise InputError(f"start is {self.start!r} ms and stop is {self.stop!r} ms; stop must not be before start")
        if self.times is not None:
            object.__setattr__(self, "times", _listed_times(self.times))
        if self.neurons is not None:
            object.__setattr__(self, "neurons", _positions(self.neurons))

    def grid(self, until: float) -> Grid:
        """Return the times of its rows in a run to ``until`` ms: samples, or starts of whole bins.

        Raises
        ------
        InputError
            for times beyond the end of the run, and where there is none before it.
        """
        if self.times is not None:
            if self.times[-1] > until:
                raise InputError(
                    f"{self} has a sample at {self.times[-1]:.15g} ms, but the run ends at {until:g} ms; run longer, or leave it out"
                )
            return Grid(len(self.times), listed=self.times)
        for key, value in (("start", self.start), ("stop", self.stop)):
            if value is not None and value > until:
                raise InputError(f"{self} has its {key} at {value:g} ms, but the run ends at {until:g} ms; give one within the run")
        step, stop = self.bin if self.every is None else self.every, until if self.stop is None else self.stop
        assert step is not None
        last = _last(self.start, step, stop)
        if self.every is not None:
            return Grid(last + 1, self.start, step)
        if last == 0:
            raise InputError(
                f"{self} has bins of {step:g} ms, none of which fits between {self.start:g} and {stop:g} ms; give a smaller bin"
            )
        return Grid(last, self.start, step)

    def __str__(self) -> str:
        return f'recording "{self.name}"'


def tick_at(ms: float) -> int:
    """Return the absolute tick nearest to a time in ms, however late."""
    return round(float(ms) * 2.0**TICK_BITS)


def quantities(model: Any) -> dict[str, str]:
    """Return what can be sampled of a neuron model, with units, in the order of `models.protocol.observe`. A model that has more than V
    names it in ``recordable``."""
    units = model.quantities
    return getattr(model, "recordable", {"V": units["V_m"].unit if "V_m" in units else ""})


def default_name(what: str, targets: Sequence[str]) -> str:
    """Return the name of a recording that was given none: ``exc.V``, ``exc+inh.count``."""
    return f"{'+'.join(targets)}.{what}"


def record(
    network: Any,
    what: str,
    target: Any,
    *,
    every: float | None = None,
    times: Any = None,
    bin: float | None = None,
    neurons: Any = None,
    start: float = 0.0,
    stop: float | None = None,
    name: str | None = None,
) -> Recording:
    """Record ``what`` of the neurons of ``target`` in each run of this network; no spike depends on it.

    A sample at a time is the value just before the events of that time (of its tick, 9.1e-13 ms): before a spike, not after it. A spike at
    the edge of two bins is in the later one. Times are rounded to ticks, as delays are.

    Parameters
    ----------
    what : "V" (mV; without unit where the model's V has none) sampled at times, "I_syn_ex" or "I_syn_in" (pA) of `LIFPscExp`, or "count",
        the spikes of each population in bins
    target : a population, its name, or a list of these that makes one pool
    every : ms between samples: at start, start + every, ... to stop, both included
    times : ms, increasing; samples at other times than regular ones
    bin : ms, width of the bins of "count"; bins begin at start, and only whole ones are counted
    neurons : positions in the target pool (0-based, each once), one column each in this order; all by default
    start, stop : ms; from 0 to the end of the run by default
    name : key in ``result.recordings`` and in recordings.zarr; "exc.V", "exc+inh.count" by default

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        for an unknown population or quantity, a name that is taken, times or bins that are negative, not increasing or closer than 1e-9 ms,
        neurons that the pool does not have.
    """
    targets = network._names(target)
    known = {population.name: _recordable(population) for population in map(network.population, targets)}
    for population, units in known.items():
        if not isinstance(what, str) or what not in units:
            hint = nearest(what, units) if isinstance(what, str) else ""
            raise InputError(f'{spoken(what)} of population "{population}" cannot be recorded{hint or "; known are " + ", ".join(units)}')
    if len({own[what] for own in known.values()}) > 1:
        units_told = ", ".join(f"{population}: {own[what] or 'none'}" for population, own in known.items())
        raise InputError(f"one recording has one unit, but {what} has several ({units_told}); record the populations apart")
    recording = Recording(default_name(what, targets) if name is None else name, what, targets, every, times, bin, neurons, start, stop)
    size = network.pool(targets).size
    if recording.neurons is not None and recording.neurons.max() >= size:
        wrong = int(recording.neurons.max())
        raise InputError(f"{recording}: neurons holds {wrong}, but the target pool has {size} neurons; positions count from 0")
    if any(recording.name == other.name for other in network.recordings):
        raise InputError(f"{recording} exists already; give each recording its own name")
    network.recordings.append(recording)
    return recording


def _recordable(population: Any) -> dict[str, str]:
    if population.is_source:
        raise InputError(f"{population} only sends given spikes; nothing of it can be recorded")
    return quantities(population.model) | {COUNT: "1"}


def _check_name(name: Any) -> None:
    # Zarr keeps names of dots, and those that begin with __, for itself (Zarr core 3.0, "Node names"); zarr.json is its file
    if (
        not isinstance(name, str)
        or not name.isprintable()
        or "/" in name
        or not name.strip(".")
        or name.startswith("__")
        or name == "zarr.json"
    ):
        raise InputError(
            f"the name of a recording is {spoken(name)}; give a printable string without /, not of dots, and without __ at its start"
        )


def _check_choice(recording: Recording) -> None:
    """Refuse what does not go together."""
    given = [key for key in ("every", "times", "bin", "neurons") if getattr(recording, key) is not None]
    if recording.what == COUNT:
        wrong = next((key for key in given if key != "bin"), None)
        if wrong or not given:
            raise InputError(f"{recording} counts spikes in bins{f', but {wrong} is given' if wrong else ''}; give bin (ms) alone")
        return
    if "bin" in given or ("every" in given) == ("times" in given):
        how = " and ".join(key for key in given if key != "neurons") or "neither"
        raise InputError(f"{recording} samples {recording.what}, but {how} is given; give either every (ms) or times (ms)")
    if "times" in given and (recording.start or recording.stop is not None):
        raise InputError(f"{recording}: times are given, so start and stop mean nothing; leave them out")


def _number(value: Any, name: str, least: float) -> float:
    number = cast(value, name, "ms")
    if not isinstance(number, float):
        raise InputError(f"{name} is {spoken(value)}; give one number in ms")
    if number < least:
        raise InputError(f"{name} is {number!r} ms; it must {f'be at least {least:g} ms' if least else 'not be negative'}")
    return number


def _listed_times(value: Any) -> Floats:
    times = cast([value] if isinstance(value, float | int) else value, "times", "ms", each="sample")
    if not isinstance(times, np.ndarray):
        raise InputError(f"times is {spoken(value)}; give a list of numbers in ms")
    if times[0] < 0.0:
        raise InputError(f"times begins with {float(times[0])!r} ms; a run begins at 0")
    if (wrong := np.diff(times) < LEAST).any():
        k = int(np.argmax(wrong))
        raise InputError(
            f"times has {float(times[k + 1])!r} ms after {float(times[k])!r} ms; give increasing times, {LEAST:g} ms apart at least"
        )
    return times


def _positions(value: Any) -> NDArray[np.int64]:
    positions = cast_indices(value, "neurons")
    if len(positions) == 0:
        raise InputError("neurons is an empty list; give positions in the target pool, or leave it out for all")
    ordered = np.sort(positions)
    if (twice := ordered[1:] == ordered[:-1]).any():
        raise InputError(f"neurons holds {int(ordered[1:][twice][0])} twice; give each position once")
    return positions


def _last(start: float, step: float, stop: float) -> int:
    """Return the largest k for which ``start + k step`` is not after ``stop``, in ticks."""
    k = max(0, math.floor((stop - start) / step) + 1)
    while k > 0 and tick_at(start + k * step) > tick_at(stop):
        k -= 1
    return k
