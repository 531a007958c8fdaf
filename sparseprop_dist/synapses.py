"""Weights and delays of the synapses of a projection, as the user gives them.

Owns their casting and checks: a number, a distribution, or one for each synapse where the rule lists them; and whether they can be made
anew each time. Knows no network.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.clock import TICK
from sparseprop_dist.distributions import Distribution, Value
from sparseprop_dist.errors import InputError
from sparseprop_dist.models.parameters import cast, frozen, spoken
from sparseprop_dist.pools import Pools
from sparseprop_dist.rules import Rule

STORAGES = ("stored", "procedural")
"""Synapses are kept in memory, or made when their source fires."""
LONGEST_DELAY = 1e6
"""ms, 17 minutes: times are 64-bit integers of ticks, and an arrival must stay in their range."""


def cast_weight(value: Any, rule: Rule, pools: Pools) -> Value:
    """Weight in mV as float, distribution, or read-only float64 array of one for each synapse; refuse NaN, other types and lengths."""
    return _cast(value, "weight", "mV", rule, pools)


def cast_delay(value: Any, rule: Rule, pools: Pools, *, recurrent: bool) -> Value:
    """Delay in ms, like a weight; between neurons (``recurrent``) all are 0 or none is, nor can be."""
    delay = _cast(value, "delay", "ms", rule, pools)
    if isinstance(delay, Distribution):
        if delay.lowest < 0.0 or (recurrent and delay.lowest < TICK):
            least = "low = 0.1, or another low above 0" if recurrent else "low = 0"
            raise InputError(f"delay can be as short as {delay.lowest:.3g} ms with {delay!r}; give the distribution {least}")
        if delay.highest > LONGEST_DELAY:
            raise InputError(f"delay can be as long as {delay.highest:.3g} ms with {delay!r}; give the distribution a high below 1e6")
        return delay
    each = np.atleast_1d(delay)
    none = not recurrent or not each.any()
    wrong = (each < (0.0 if none else TICK)) | (each > LONGEST_DELAY)
    if wrong.any():
        where = int(np.argmax(wrong))
        place = f" for {_named(where, rule, pools)}" if isinstance(delay, np.ndarray) else ""
        raise InputError(f"delay is {float(each[where])!r} ms{place}; {_refusal(each[where])}")
    return delay


def cast_input_delay(value: Any) -> float:
    """Delay of an input as a float in ms, 0 or more."""
    delay = cast(value, "delay", "ms")
    if not isinstance(delay, float):
        raise InputError(f"delay of an input is {spoken(value)}; give one number in ms, 0 or more")
    if not 0.0 <= delay <= LONGEST_DELAY:
        raise InputError(f"delay is {delay!r} ms; {_refusal(delay)}")
    return delay


def cast_storage(value: Any, rule: Rule, weight: Value, delay: Value) -> str:
    """How synapses are kept; refuse what cannot be made anew each time a source fires."""
    if not isinstance(value, str) or value not in STORAGES:
        raise InputError(f'storage is {spoken(value)}; give "stored" or "procedural"')
    if value == STORAGES[0]:
        return value
    if rule.must_store:
        raise InputError(f'storage is "procedural", but {rule.kind} {rule.must_store}, or storage = "stored"')
    for name, given in (("weight", weight), ("delay", delay)):
        if isinstance(given, np.ndarray):
            kept = f'storage is "procedural", but {name} is an array, which must be stored'
            raise InputError(f'{kept}; give a number, a distribution, or storage = "stored"')
    return value


def _refusal(delay: float) -> str:
    if delay < 0.0:
        return "it must not be negative"
    if delay == 0.0:
        return "synapses without delay need a projection of their own, in which all have delay 0"
    if delay > LONGEST_DELAY:
        return f"at most {LONGEST_DELAY:g} ms are allowed"
    return f"that is below the resolution of time, {TICK:.2g} ms"


def _cast(value: Any, name: str, unit: str, rule: Rule, pools: Pools) -> Value:
    array = _numbers(value)
    if array is None:
        return cast(value, name, unit, each="synapse")
    n = rule.n_listed(pools)
    if n is None:
        raise InputError(f"{name} is an array, but {rule.kind} draws its synapses at random; give a number in {unit} or a distribution")
    if array.shape not in ((n,), rule.shape(pools)):
        raise InputError(f"{name} has {array.size} values, but {rule.kind} makes {n} synapses here; give one for each, or a number")
    array = array.reshape(-1) if array.ndim > 1 else array
    wrong = np.flatnonzero(~np.isfinite(array))
    if wrong.size:
        where = int(wrong[0])
        raise InputError(f"{name} is {float(array[where])!r} {unit} for {_named(where, rule, pools)}; it must be a finite number")
    return frozen(array, np.float64)


def _numbers(value: Any) -> NDArray[Any] | None:
    """The array that is given, if it is one and holds numbers; an empty list is an array too."""
    if not isinstance(value, np.ndarray | list | tuple):
        return None
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array if array.ndim > 0 and (array.dtype.kind in "iuf" or array.size == 0) else None


def _named(synapse: int, rule: Rule, pools: Pools) -> str:
    source, target = rule.ends(synapse, pools)
    return f"synapse {synapse}, {pools.sources.member(source)} -> {pools.targets.member(target)}"
