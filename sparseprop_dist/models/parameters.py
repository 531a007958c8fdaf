"""Values that a user gives: numbers, arrays and distributions, with their units and bounds.

Owns the casting of such values and the sentences that refuse them, and the base class of the descriptions of models. Knows no model and no
network.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.distributions import Distribution, Value
from sparseprop_dist.errors import InputError

Integers = NDArray[np.int64]


class ByValue:
    """Frozen dataclasses that hold arrays: equal when all their compared fields are, arrays element by element."""

    def __eq__(self, other: object) -> bool:
        return same(self, other)

    def __hash__(self) -> int:
        fields = (getattr(self, field.name) for field in dataclasses.fields(self) if field.compare)  # type: ignore[arg-type]
        return hash((type(self), *(value.shape if isinstance(value, np.ndarray) else value for value in fields)))


def same(one: object, other: object) -> bool:
    """Whether two values of a description mean the same: a number differs from an array of that number."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and bool(np.array_equal(one, other))
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one) if field.compare)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def spoken(value: object) -> str:
    """How a refused value is shown: its text, shortened, and its type when that is what is wrong."""
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    kinds = {str: "a string", bool: "a truth value", dict: "a table", list: "a list", type(None): "nothing"}
    return f"{text} ({kinds[type(value)]})" if type(value) in kinds else text


def cast(value: Any, name: str, unit: str, each: str = "neuron", infinite: bool = False) -> Value:
    """Return a value as float, read-only 1-D float64 array or Distribution.

    Parameters
    ----------
    value : number, sequence of numbers, array or Distribution
    name : how an error calls it
    unit : "ms", "mV", ..., or "" for a pure number
    each : what an array has one value for
    infinite : whether inf is allowed

    Raises
    ------
    InputError
        if it is something else, or not finite.
    """
    if isinstance(value, Distribution):
        return value
    allowed = f"give a number{f' in {unit}' if unit else ''}, an array with one for each {each}, or a distribution"
    if isinstance(value, str | bytes | bool | np.bool_ | Mapping) or value is None:
        raise InputError(f"{name} is {spoken(value)}; {allowed}")
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} is {spoken(value)}; {allowed}") from None
    if array.dtype.kind not in "iuf" or array.ndim > 1:
        raise InputError(f"{name} is {_offender(value, array)}; {allowed}")
    if array.ndim == 0:
        array = array.reshape(1)
        check_each(array, np.isfinite(array) | (infinite & np.isinf(array)), name, unit, None, "it must be a finite number")
        return float(array[0])
    if array.size == 0:
        raise InputError(f"{name} is an empty array; {allowed}")
    array = frozen(array, np.float64)
    check_each(array, np.isfinite(array) | (infinite & np.isinf(array)), name, unit, each, "it must be a finite number")
    return array


def _offender(value: Any, array: NDArray[Any]) -> str:
    """The part of a value that is no number."""
    if array.ndim > 1:
        return f"an array of {array.ndim} dimensions"
    if isinstance(value, Sequence):
        wrong = (item for item in value if isinstance(item, bool) or not isinstance(item, int | float | np.number))
        return f"a list that holds {spoken(next(wrong, value[0]))}"
    return f"{spoken(value)} of type {array.dtype}" if isinstance(value, np.ndarray) else f"{spoken(value)} of type {type(value).__name__}"


def frozen(array: Any, dtype: Any) -> NDArray[Any]:
    """A read-only contiguous array of that type: the given one if it is such already, otherwise a copy."""
    array = np.asarray(array)
    if array.dtype == dtype and not array.flags.writeable and array.flags.c_contiguous:
        return array
    array = np.array(array, dtype=dtype, order="C")
    array.flags.writeable = False
    return array


def cast_indices(value: Any, name: str) -> Integers:
    """Return 0-based positions as a read-only 1-D int64 array; refuse other types and negative numbers."""
    array = np.asarray(value)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size > 0):
        shape = "" if array.ndim == 1 else f" and {array.ndim} dimensions"
        raise InputError(f"{name} is an array of type {array.dtype}{shape}; give a list of whole numbers, 0-based positions")
    array = frozen(array, np.int64)
    if array.size and array.min() < 0:
        where = int(np.argmax(array < 0))
        raise InputError(f"{name} holds {array[where]} at position {where}; positions count from 0")
    return array


def cast_count(value: Any, name: str, least: int) -> int:
    """Return a whole number of at least ``least``, or refuse it."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} is {spoken(value)}; give a whole number of at least {least}")
    return int(value)


def check_each(values: Any, good: Any, name: str, unit: str, each: str | None, must: str, first: int = 0) -> None:
    """Raise an InputError that names the first element of ``values`` that is not ``good``; ``each`` None: there is only one."""
    if np.all(good):
        return
    values, good = np.broadcast_arrays(values, good)
    where = int(np.argmin(good.ravel()))
    place = "" if each is None else f" for {each} {first + where}"
    raise InputError(f"{name} is {float(values.ravel()[where])!r}{f' {unit}' if unit else ''}{place}; {must}")


def check_below(values: Mapping[str, Any], low: str, high: str, first: int = 0, unit: str = " mV") -> None:
    """Raise an InputError that names the first neuron whose parameter ``low`` is not below its ``high``, where both are given."""
    if low not in values or high not in values:
        return
    below, above = np.broadcast_arrays(values[low], values[high])
    wrong = below >= above
    if wrong.any():
        where = int(np.argmax(wrong))
        place = f" for neuron {first + where}" if wrong.ndim else ""
        given = f"{low} is {float(below.flat[where])!r}{unit} and {high} is {float(above.flat[where])!r}{unit}{place}"
        raise InputError(f"{given}; {low} must be below {high}")


@dataclasses.dataclass(frozen=True)
class Quantity:
    """What is known of a parameter of a model: its unit, its lower bound ("", "positive" or "not negative"), the most that it may be."""

    unit: str
    bound: str = ""
    most: float = math.inf
    infinite: bool = False  # whether inf and -inf are values of it

    def check(self, name: str, value: Any, first: int = 0) -> None:
        """Refuse a float, or an array of one each from neuron ``first`` on, outside the bound."""
        each = "neuron" if np.ndim(value) else None
        if self.bound == "positive":
            check_each(value, np.asarray(value) > 0.0, name, self.unit, each, "it must be positive", first)
        elif self.bound == "not negative":
            check_each(value, np.asarray(value) >= 0.0, name, self.unit, each, "it must not be negative", first)
        check_each(value, np.asarray(value) <= self.most, name, self.unit, each, f"at most {self.most:g} {self.unit} are allowed", first)


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return arrays of the same names one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def differ(values: Mapping[str, Any]) -> bool:
    """Return whether neurons differ in a parameter of theirs, by the arrays of `joined`: V at time 0 is none."""
    return any((value != value[:1]).any() for name, value in values.items() if name not in ("gid", "V_m"))


def lowest(value: Value) -> float:
    """Return the smallest value of a parameter, or the smallest that it can have."""
    return value.lowest if isinstance(value, Distribution) else float(np.min(value))


def highest(value: Value) -> float:
    """Return the largest value of a parameter, or the largest that it can have."""
    return value.highest if isinstance(value, Distribution) else float(np.max(value))


class Model(ByValue):
    """The description of a neuron model: a frozen dataclass with one field for each quantity, and flags."""

    kind: ClassVar[str]
    """Its name in a TOML file."""
    quantities: ClassVar[dict[str, Quantity]]
    additive: ClassVar[bool] = False
    """Whether its record has the second part of `models.protocol`."""
    weight_unit: ClassVar[str] = "mV"
    takes_kin: ClassVar[bool] = False
    """Whether `record` is told all models of the network that share one, on any rank: what it chooses for all must not depend on ranks."""
    takes_currents: ClassVar[bool] = False
    """Whether it has `driven_record`."""
    threshold: ClassVar[str] = "V_th"
    """The parameter at which the neuron fires."""
    adjoint: ClassVar[Any] = None
    """Class of its adjoints (`models.adjoint`), if its derivatives have a frame."""
    course: ClassVar[Any] = None
    """Class of its course between arrivals (`models.replay`), if arrivals can be replayed."""
    differentiable: ClassVar[tuple[str, ...]] = ()
    """Parameters that these are with respect to."""

    def __post_init__(self) -> None:
        lengths = {}
        for name, quantity in self.quantities.items():
            value = cast(getattr(self, name), name, quantity.unit, infinite=quantity.infinite)
            object.__setattr__(self, name, value)
            if isinstance(value, np.ndarray):
                lengths[name] = len(value)
        for name, length in lengths.items():
            other = next(iter(lengths))
            if length != lengths[other]:
                raise InputError(f"{other} has {lengths[other]} values and {name} has {length}; give as many for each as there are neurons")
        self.check({name: value for name in self.quantities if not isinstance(value := getattr(self, name), Distribution)})

    @property
    def n_values(self) -> int | None:
        """Length of the arrays among the parameters, None if there are none."""
        return next((len(value) for name in self.quantities if isinstance(value := getattr(self, name), np.ndarray)), None)

    def check(self, values: Mapping[str, Any], first: int = 0) -> None:
        """Refuse values outside their bounds.

        Parameters
        ----------
        values : parameter name to float, or to an array of the values of neurons ``first``, ``first + 1``, ...

        Raises
        ------
        InputError
            that names the first parameter that is wrong, its value and the neuron.
        """
        for name, value in values.items():
            self.quantities[name].check(name, value, first)

    def one(self) -> "Model":
        """Return the model of the first neuron: without arrays."""
        first = {name: float(value[0]) for name in self.quantities if isinstance(value := getattr(self, name), np.ndarray)}
        return dataclasses.replace(self, **first)  # type: ignore[type-var]

    def lowered(self) -> "Model":
        """The model whose kernel record runs this one."""
        return self

    @classmethod
    def record(cls, parts: "Sequence[tuple[Model, Mapping[str, Any]]]", slab_bits: int) -> Any:
        """Return the kernel record of neurons at time 0.

        Parameters
        ----------
        parts : runs of neurons, each with its (lowered) model and the values of its parameters: arrays by name, with ``gid``
        slab_bits : log2 of the ticks in a slab

        Raises
        ------
        InputError
            for values that the state cannot hold.
        """
        raise NotImplementedError

    @classmethod
    def driven_record(cls, parts: "Sequence[tuple[Model, Mapping[str, Any]]]", currents: "Sequence[Any]", slab_bits: int) -> Any:
        """As `record`, of neurons that get currents that vary in time: for each part, the sequence of those (`inputs.Current`)."""
        raise NotImplementedError

    def time_scale(self) -> float:
        """The shortest time constant (ms) that its frame follows: a slab is at most a part of it (`clock`); inf if there is none."""
        raise NotImplementedError

    def bulk_scale(self) -> float:
        """The time (ms) of which a slab is at most `clock.FRAME_REACH` where a network is done in bulk."""
        return self.time_scale()
