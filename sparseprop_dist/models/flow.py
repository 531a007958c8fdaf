"""Neurons of one variable with any flow V' = F(V), and what all models of that kind share.

Its one formula: ``V' = F(V)``; an input adds its weight to V; at V >= V_th there is a spike, V = V_reset, and inputs are ignored for
t_ref. The flow is tabulated once for each parameter set (``flow_table``), with an error of at most 1e-12 that is measured.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparseprop_dist.distributions import Distribution, Given
from sparseprop_dist.errors import InputError
from sparseprop_dist.models import flow_event  # noqa: F401  # its bodies
from sparseprop_dist.models.flow_course import FlowCourse
from sparseprop_dist.models.flow_record import FlowRecord
from sparseprop_dist.models.flow_shape import NEAR
from sparseprop_dist.models.flow_table import Table, table
from sparseprop_dist.models.flow_text import parsed
from sparseprop_dist.models.parameters import Model, Quantity, check_below, spoken
from sparseprop_dist.quantile import Floats

MOST_SETS = 1000
"""Parameter sets on a rank, each with tables of its own: about 20 ms and 40 kB."""
KEPT = 64
"""Tables that are kept for other networks of this process."""


class OneVariable(Model):
    """What models V' = F(V) have in common: tables, one for each set of the parameters that F depends on."""

    course: ClassVar[Any] = FlowCourse
    shaping: ClassVar[tuple[str, ...]]
    """The parameters that the tables depend on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if all(isinstance(getattr(self, name), float) for name in self.shaping):
            self.interpolation_error  # noqa: B018  # refuse a flow as soon as it is given

    @property
    def interpolation_error(self) -> float:
        """Error of the tables, at most 1e-12: of a potential, relative to V_th - V_reset (or to its size, if that is more); where the
        flow is so fast that no potential is that well defined, of the time, in ms.

        Raises
        ------
        InputError
            if parameters are drawn: the record of a network has the error of each set.
        """
        values = {name: getattr(self, name) for name in self.shaping}
        drawn = [name for name, value in values.items() if isinstance(value, Distribution)]
        if drawn:
            raise InputError(f"{drawn[0]} is drawn; the interpolation error is known for given numbers only")
        columns = np.broadcast_arrays(*(self.lines(values)))
        return max(self.tabulated(*line).error for line in sorted(set(zip(*(c.ravel().tolist() for c in columns), strict=True))))

    def lines(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """Columns that tell parameter sets apart: the arguments of `tabulated`."""
        return [values[name] for name in self.shaping]

    def tabulated(self, *line: float) -> Table:
        """The tables of a parameter set."""
        raise NotImplementedError

    def flow_key(self) -> object:
        """What the tables depend on besides."""
        return self.kind

    @classmethod
    def record(cls, parts: Sequence[tuple[Model, Mapping[str, Any]]], slab_bits: int) -> FlowRecord:
        """Return the kernel record of neurons at time 0; see `Model.record`. All models of one variable share one."""
        sets: dict[Any, int] = {}
        tables: list[Table] = []
        kinds = []
        for model, values in parts:
            assert isinstance(model, OneVariable)
            rows, first, own = np.unique(
                np.stack(np.broadcast_arrays(*model.lines(values)), axis=1), axis=0, return_index=True, return_inverse=True
            )
            _check_count(len(tables) + len(rows), model)
            numbers = []
            for row, gid in zip(rows.tolist(), values["gid"][first].tolist(), strict=True):
                key = (model.flow_key(), tuple(row))
                if key not in sets:
                    sets[key] = len(tables)
                    tables.append(_of_neuron(gid, model, row))
                numbers.append(sets[key])
            kinds.append(np.array(numbers)[own.ravel()])
        joined = {name: np.concatenate([values[_own_name(model, name)] for model, values in parts]) for name in COMMON}
        return FlowRecord.make(tables, np.concatenate(kinds), joined, slab_bits)

    def time_scale(self) -> float:
        """Inf: time passes exactly in its frame, however long the slab."""
        return math.inf


COMMON = ("V_th", "V_reset", "V_m", "t_ref", "gid")


def _own_name(model: Model, name: str) -> str:
    return model.threshold if name == "V_th" else name


def _check_count(count: int, model: OneVariable) -> None:
    if count > MOST_SETS:
        raise InputError(
            f"neurons of one variable have up to {count} different sets of {', '.join(model.shaping)} on a rank; at most {MOST_SETS} can "
            "be tabulated; let neurons share values, such as some hundred that are spread as the law is, or use more ranks"
        )


def _of_neuron(gid: int, model: OneVariable, line: Sequence[float]) -> Table:
    try:
        return model.tabulated(*line)
    except InputError as error:
        raise InputError(f"neuron {gid}: {error}") from None


@dataclass(frozen=True, eq=False)
class Flow(OneVariable):
    """Neuron of one variable, V' = F(V), with delta synapses.

    Parameters other than F are numbers, arrays with one for each neuron, or distributions.

    Parameters
    ----------
    F : mV/ms, a Python function of one float, V in mV; or the text of an expression in V, of numbers, + - * / **, exp, log, sin, cos, tanh
        and sqrt, such as "(-(V + 65) + 2*exp((V + 50)/2))/10 + 1.8". It is asked when tables are made, not in the run. It must be smooth,
        and cross 0 where it is 0. A text has the same bits on every machine; a function those of the library that it calls.
    V_th : threshold (mV); a neuron fires when V reaches it, by the flow or by an input
    V_reset : potential (mV) after a spike, below V_th
    t_ref : refractory period (ms), 0 allowed; an input exactly at its end counts
    V_m : potential (mV) at time 0

    The tables go down to 4,096 times V_th - V_reset below V_reset, or as far as F allows (4 times at least); a run in which V falls lower
    is ended.

    Raises
    ------
    InputError
        for an F that is no function or expression, has no value, touches 0 without crossing it, or is not smooth; V_reset >= V_th.
    """

    kind: ClassVar[str] = "flow"
    differentiable: ClassVar[tuple[str, ...]] = ("V_th", "V_reset", "t_ref", "V_m")
    shaping: ClassVar[tuple[str, ...]] = ("V_th", "V_reset")
    quantities: ClassVar[dict[str, Quantity]] = {
        "V_th": Quantity("mV"),
        "V_reset": Quantity("mV"),
        "t_ref": Quantity("ms", "not negative", most=1e6),
        "V_m": Quantity("mV"),
    }
    F: Any
    V_th: Given = -55.0
    V_reset: Given = -70.0
    t_ref: Given = 2.0
    V_m: Given = -70.0

    def __post_init__(self) -> None:
        if isinstance(self.F, str):
            parsed(self.F)
        elif not callable(self.F):
            raise InputError(f'F is {spoken(self.F)}; give a function of V, or an expression such as "(-(V + 65) + exp(V + 50))/10"')
        super().__post_init__()

    def check(self, values: Mapping[str, Any], first: int = 0) -> None:
        """Refuse values outside their bounds, and V_reset >= V_th; see :meth:`Model.check`."""
        super().check(values, first)
        check_below(values, "V_reset", "V_th", first)

    def tabulated(self, *line: float) -> Table:
        """The tables for V_th and V_reset."""
        return _tabulated(self.F, *line)

    def flow_key(self) -> object:
        """F, by its text or as the very function."""
        return self.F


@functools.lru_cache(maxsize=KEPT)
def _tabulated(F: Any, V_th: float, V_reset: float) -> Table:
    values = parsed(F) if isinstance(F, str) else _of_function(F)
    return table(values, V_th, V_reset, V_th, functools.partial(_why, F, V_reset - 2.0**NEAR * (V_th - V_reset), V_th))


def _of_function(F: Callable[[float], Any]) -> Callable[[Floats], Floats]:
    """F as a function of arrays; nan where it raises."""

    def values(V: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return np.array([_value(F, x) for x in V.tolist()])

    return values


def _value(F: Callable[[float], Any], V: float) -> float:
    try:
        value = F(V)
    except Exception:
        return math.nan  # `_why` tells
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"F returns {spoken(value)} at V = {V:.6g} mV; it must return a float, mV/ms")
    return float(value)


def _why(F: Any, low: float, high: float, V: float) -> str:
    """The sentence for a potential where F has no value."""
    needed = f"it must have a value from {low:.6g} to {high:.6g} mV at least"
    try:
        if callable(F):
            F(V)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        return f"F raises {type(error).__name__} at V = {V:.6g} mV ({reason}); {needed}"
    return f"F is nan at V = {V:.6g} mV; {needed}"
