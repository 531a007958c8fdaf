"""Prints a digest of the gradients of some networks, on rank 0: ``tests/mpi/test_gradients_on_ranks.py`` compares them."""

import hashlib
import json
import sys
from typing import Any

import numpy as np
from test_gradients import CASES, IDS, Case, linear
from test_replay import MIXES, NAMES, Mix, enough_for

from sparseprop_dist.exchange import world


def digest(value: float, gradients: dict[str, np.ndarray]) -> str:
    """Of all bits."""
    found = hashlib.sha256(np.float64(value).tobytes())
    for key in sorted(gradients):
        found.update(np.ascontiguousarray(gradients[key]).tobytes())
    return found.hexdigest()


found: dict[str, Any] = {}
for name in sys.argv[1:]:
    *parts, until = MIXES[NAMES.index(name)]
    mix = Mix(*parts)  # type: ignore[arg-type]
    found[name] = digest(*mix.gradients(until))
    found[f"{name} in segments"] = digest(*mix.gradients(until, memory=enough_for(mix, until)))
if not sys.argv[1:]:
    found = {name: digest(*Case(*case).gradient(linear(3))) for name, case in zip(IDS, CASES, strict=True)}
if world().rank == 0:
    print(json.dumps(found))
