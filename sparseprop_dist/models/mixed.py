"""Neurons of several models in one network: a record of records.

The neurons of a rank are in the order of their models; what is asked about neuron ``i`` is forwarded to the record that holds it.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.errors import InputError
from sparseprop_dist.jit import implements, inner, overloaded, written
from sparseprop_dist.jit import protocol as declare
from sparseprop_dist.models import protocol


@by_address
class Mixed2(NamedTuple):
    """Two models."""

    stops: np.ndarray  # int64 (members + 1,), local index of the first neuron of each, and their number
    one: Any
    two: Any


@by_address
class Mixed3(NamedTuple):
    """Three models."""

    stops: np.ndarray
    one: Any
    two: Any
    three: Any


@by_address
class Mixed4(NamedTuple):
    """Four models."""

    stops: np.ndarray
    one: Any
    two: Any
    three: Any
    four: Any


KINDS = (Mixed2, Mixed3, Mixed4)
protocol.IN_ORDER_ONLY.update(KINDS)  # all LIF neurons are one record, so that some member is of another model


def mixed(records: list[Any], sizes: list[int]) -> Any:
    """Return one record for neurons of several models; the record itself where there is one.

    Raises
    ------
    InputError
        for more models than there are classes for.
    """
    if len(records) == 1:
        return records[0]
    if len(records) > len(KINDS) + 1:
        raise InputError(f"the network has neurons of {len(records)} kinds of models; at most {len(KINDS) + 1} can be mixed")
    return KINDS[len(records) - 2](np.cumsum([0, *sizes]), *records)


def members(record: Any) -> list[tuple[int, Any]]:
    """Return the records of single models in ``record``, each with the local index of its first neuron."""
    return list(zip(record.stops.tolist(), record[1:], strict=False)) if isinstance(record, KINDS) else [(0, record)]


def _forward(function: Any, body: Callable[..., Any], names: list[str]) -> None:
    """Let ``function``, whose first arguments are a record and a neuron, called on a mixed record, call ``body`` on its member."""
    rest = ", ".join(names[2:])
    for kind in KINDS:
        lines = [f"def forwarded(model, i, {rest}):"]
        fields = kind._fields[1:]
        for k, field in enumerate(fields):
            test = f"if i < model.stops[{k + 1}]: " if k + 1 < len(fields) else ""
            lines.append(f"    {test}return body(model.{field}, i - model.stops[{k}], {rest})")
        implements(function, kind)(written(lines, {"body": body}, "forwarded"))


def per_record(function: Callable[..., Any]) -> Any:
    """Compile a kernel whose first arguments are a record and the place of a neuron in it, to be called with any record and the local
    index of the neuron."""
    names = list(inspect.signature(function).parameters)
    compiled = inner(function)
    called = declare(function)
    arguments = ", ".join(names)
    plain = written([f"def plain({arguments}):", f"    return compiled({arguments})"], {"compiled": compiled}, "plain")
    overloaded(called, plain, lambda kind: kind is not None and kind not in KINDS)
    _forward(called, compiled, names)
    return called


for _function in vars(protocol).values():
    if hasattr(_function, "registry") and _function.__name__ not in ("sums", "increment", "frame_of"):
        _forward(_function, _function, list(inspect.signature(_function).parameters))
