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

FRAMES = 4
"""The origin moves by whole groups of 2^FRAMES slabs: a model may keep the anchor of its frame for one group."""
LONGEST_BITS = 44
"""A slab of a network without arrivals that are known ahead is at most 16 ms."""
LONG_REACH = 1.0 / 2.0
"""Where there is no input in bulk, a slab is at most this part of the smallest time constant: `elementary.exp_frame` reaches half of it."""
PIECES = 1
"""Log2 of the pieces of such a slab, at least: each begins with a pass over all neurons, each slab with a second."""
MAX_PIECE_BITS = 41
"""Keys of events hold a tick of a piece and a local index in 63 bits."""
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
    bits = math.floor(math.log2(tau_min * FRAME_REACH)) + TICK_BITS if tau_min < math.inf else MAX_SLAB_BITS
    by_delay = math.floor(math.log2(delay_min)) + TICK_BITS if delay_min < math.inf else MAX_SLAB_BITS
    return min(MAX_SLAB_BITS, bits, max(by_delay, MIN_DELAY_BITS))


def long_slab_bits(tau_min: float, listed: bool) -> int:
    """Return log2 of the slab's length in ticks for a network that is done event by event; ``listed``: some arrivals are known ahead, and
    their keys hold MAX_SLAB_BITS."""
    bits = math.floor(math.log2(tau_min * LONG_REACH)) + TICK_BITS if tau_min < math.inf else LONGEST_BITS
    return min(bits, MAX_SLAB_BITS if listed else LONGEST_BITS)
