"""What a description is, in a few bytes a part, so that a run is not resumed with another one.

Owns which parts are told apart. Two descriptions with the same fingerprint make the same spikes from the same state.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .description import Network

IGNORED = ("origin",)
"""Fields that say where an array came from."""


def fingerprint(network: Network) -> dict[str, str]:
    """Return a digest of each part of a network, by a name for a sentence."""
    parts: dict[str, Any] = {"the seed": network.seed}
    for population in network.populations:
        parts[f'the population "{population.name}"'] = population
    for kind, entries in (("projection", network.projections), ("input", network.inputs)):
        for number, entry in enumerate(entries, 1):
            parts[f"{kind} number {number}"] = entry
    for recording in network.recordings:
        parts[str(recording)] = recording
    return {name: _digest(part) for name, part in parts.items()}


def difference(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Return the first part in which two fingerprints differ, or an empty string."""
    return next((name for name in {**one, **other} if one.get(name) != other.get(name)), "")


def _digest(value: Any) -> str:
    found = hashlib.blake2b(digest_size=16)
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        found.update(f"[{value.dtype.str}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).data)
    elif dataclasses.is_dataclass(value):
        found.update(f"<{type(value).__name__}".encode())
        for field in dataclasses.fields(value):
            if field.compare and field.name not in IGNORED:
                found.update(f";{field.name}=".encode())
                _feed(found, getattr(value, field.name))
    elif isinstance(value, tuple | list):
        found.update(f"({len(value)}".encode())
        for entry in value:
            _feed(found, entry)
    elif isinstance(value, np.generic):
        _feed(found, value.item())
    elif callable(value):
        code = getattr(value, "__code__", None)  # of a user's F(V): what it calls is not seen
        found.update(b"f" + (code.co_code + repr(code.co_consts).encode() if code else type(value).__name__.encode()))
    else:
        found.update(f"{type(value).__name__}:{value!r},".encode())
