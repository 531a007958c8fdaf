"""The clock: integer time.

Owns the tick, the slab and the conversions. A tick is 2^-40 ms. The clock is cut into slabs of a fixed power of two of ticks: the state of
a neuron is kept in a frame that is anchored at the middle of the current slab, and carried into the next frame at its end. The length of a
slab depends on the network alone, never on ranks or windows, since it is part of the bits. Inside, an int64 counts ticks from an *origin*,
which moves on in a long run (`ORIGIN_SPAN`), so that neither range nor precision ends.
"""

import math
from typing import Any

import numpy as np

TICK_BITS = 40
TICK = 2.0**-TICK_BITS
"""Length of a tick in ms (9.1e-13)."""

ORIGIN_SPAN = 1 << 60
"""The origin moves when the time since it reaches this many ticks (17 minutes of simulated time)."""

MAX_SLAB_BITS = 40
MIN_DELAY_BITS = 34
FRAME_REACH = 1.0 / 32.0
"""A slab is at most this part of the smallest time constant: `elementary.exp_small` reaches half of it to either side of the middle."""


def ticks(ms: Any) -> Any:
    """Return the nearest tick of a time or duration in ms, as int64 (array in, array out); below 8e6 ms."""
    return np.rint(np.multiply(ms, 2.0**TICK_BITS)).astype(np.int64)


def slab_bits(tau_min: float, delay_min: float = math.inf) -> int:
    """Return log2 of the slab's length in ticks, for the smallest time constant and the smallest delay of a network in ms.

    At most 1 ms, so that input that comes in bulk (a Poisson group in a slab) stays in the cache. At most the smallest delay, so that a
    slab need not be done in pieces, each of which makes the bulk anew; but for that alone not below 1/64 ms.
    """
    bits = math.floor(math.log2(tau_min * FRAME_REACH)) + TICK_BITS
    by_delay = math.floor(math.log2(delay_min)) + TICK_BITS if delay_min < math.inf else MAX_SLAB_BITS
    return min(MAX_SLAB_BITS, bits, max(by_delay, MIN_DELAY_BITS))
