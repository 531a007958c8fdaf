"""A piece of the clock, the stretch that a schedule does at a time: how it begins and how it ends, for all schedules alike.

Owns the counters NOW, BLOCK and PIECE. A piece lies in one slab and is at most the smallest delay, so that its arrivals are
known when it begins.
"""

import numpy as np

from ..errors import OK, STATE_OVERFLOW
from ..jit import inner
from ..models.protocol import beyond, carry
from ..state import Counter
from .emission import launch


@inner
def begin(counters, until, slab_bits, piece_bits):
    """Return the tick at which the slab of the next piece starts, and the offsets at which the piece begins and ends, [a, b)."""
    start = (counters[Counter.NOW] >> slab_bits) << slab_bits
    a = counters[Counter.NOW] - start
    if counters[Counter.BLOCK] == 0:
        counters[Counter.PIECE] = counters[Counter.EMITTED]
    return start, a, min(until - start, ((a >> piece_bits) + 1) << piece_bits)


@inner
def settle(model, first, n, start, b, slab_bits, counters, checked=True):
    """Carry the states of neurons that are through the piece into the next slab, if the slab ends with it, which checks them, too;
    ``checked`` does at the end of any piece."""
    culprit = np.int64(-1)
    if b == 1 << slab_bits:
        culprit = carry(model, first, n, start)
    elif checked:
        culprit = beyond(model, first, n)
    if culprit >= 0:
        counters[Counter.CULPRIT] = first + culprit
        return STATE_OVERFLOW
    return OK


@inner
def settle_all(model, blocks, start, b, slab_bits, counters, checked=True):
    """As `settle`, for all neurons."""
    for block in range(blocks.gid.size):
        first = blocks.first[block]
        status = settle(model, first, blocks.first[block + 1] - first, start, b, slab_bits, counters, checked)
        if status != OK:
            return status
    return OK


@inner
def end(emitted, flight, counters, now):
    """Let the spikes of the piece take off, and go on to tick ``now``; return SPIKES_FULL if there is no room for them."""
    status = launch(emitted, flight, counters)
    if status == OK:
        counters[Counter.BLOCK] = 0
        counters[Counter.NOW] = now
    return status
