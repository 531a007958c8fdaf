"""Digests of runs of the engine, one by one: the same from compiled kernels and from the same kernels as plain Python. As a program, it
prints them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace

from cases import PRESETS, random_case
from described import DESCRIBED
from instant_cases import instant_case
from networks import Run, emitted, network_of, plain, poisson_events, whole

from sparseprop_dist.description import Network
from sparseprop_dist.engine import instant, ordered, slab

UNTIL = 15.0
"""ms: plain Python is slow."""


def small_networks() -> Iterator[tuple[str, Network, float]]:
    """Name, network and how long to run it (ms)."""
    for preset in PRESETS:
        case = random_case(7, preset)
        yield preset, network_of(case), min(case.until, UNTIL)
    case = replace(random_case(7, "ties"), until=UNTIL)
    yield "ties, rows of one weight", network_of(case, "synapses"), UNTIL
    for name in ("brunel", "drawn", "several_inputs", "mixed"):
        yield name, DESCRIBED[name](1), 10.0


def instant_networks() -> Iterator[tuple[str, Network, float]]:
    """The same, of synapses without delay: LIF and QIF."""
    for preset in ("generations", "delays", "no_refractory", "dense", "perfect", "qif", "qif_driven", "qif_finite"):
        case = instant_case(7, preset)
        yield case.name, network_of(case), min(case.until, UNTIL)


def digests() -> dict[str, str]:
    found = {}
    for networks, schedules in ((small_networks(), (slab, ordered)), (instant_networks(), (instant, ordered))):
        for name, network, until in networks:
            for schedule in schedules:
                run = Run(schedule, window=3.3, capacity=64)
                found[f"{name}, {schedule.__name__.rpartition('.')[2]}"] = _digest(plain(emitted(network, until, run)))
    found["poisson events"] = _digest(poisson_events(whole(DESCRIBED["several_inputs"](1)), 5.0))
    return found


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


if __name__ == "__main__":
    print(json.dumps(digests()))
