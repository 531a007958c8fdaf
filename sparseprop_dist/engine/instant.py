"""The instant schedule: one event at a time, in time order, at the cost of what happens; for synapses without delay and for models that do
not add.

As the ordered schedule, whose bits it gives, but it asks only those neurons that may act (`agenda`):

1. *sweep*: at the start of a piece one pass over all neurons finds those that may do something by themselves in it;
2. *buckets*: their times sort them into fine stretches of the piece; excitation that may let a neuron act earlier adds an entry;
3. *heap*: the entries of the bucket at hand, tens of them, by time. An entry whose time is no longer that of its neuron is put back.

What a spike delivers without delay is one pass over its row (`models.protocol.strike`); the rows of the next entries are fetched ahead. A
piece can be left between two ticks, when the buffer of spikes is full, and is gone on with later. See ``docs/design/instant.md``.
"""

from ..errors import NOT_LISTED, OK, QUEUE_FULL, SPIKES_FULL, STATE_OVERFLOW
from ..jit import inner, merged, njit
from ..models.protocol import NEVER, beyond
from ..queue import LOCAL_BITS
from ..state import Counter, Piece
from . import piece
from .agenda import again, next_own, open_until, shift_of, sweep
from .entries import fill, is_quiet, next_entry
from .listing import list_arrivals
from .tick import do_tick, run_quietly
from .watch import read_until

WHOLE = True
"""The schedule works on all neurons at once."""
IN_VAIN = 2000
"""A neuron that a sweep finds, and that does not fire, costs about as much as going over so many (150 to 200 against 0.1 ns)."""
FEW = 64
"""Such neurons that are no reason to make pieces shorter."""
MOST_SHORTER = 6
"""Log2 of the parts that a piece is cut into at most."""
TAKES_BACK = True
"""It can take back what it did, and so be run by several ranks together (`together`)."""


@merged
def _checked(w):
    """Check all states for overflow, after so many spikes that one could have come close to it; return a status."""
    if w.counters[Counter.VOLUME] < w.synapses.safe:
        return OK
    w.counters[Counter.VOLUME] = 0
    for block in range(w.blocks.gid.size):
        first = w.blocks.first[block]
        culprit = beyond(w.model, first, w.blocks.first[block + 1] - first)
        if culprit >= 0:
            w.counters[Counter.CULPRIT] = first + culprit
            return STATE_OVERFLOW
    return OK


@merged
def _next(w, piece, limit):
    """Return the offset at which something happens next, at most ``limit``."""
    m, known = w.counters[Counter.ARRIVAL], limit
    if m < w.counters[Counter.ARRIVALS]:
        known = min(known, piece.a + (w.scratch.loud[0, m] >> LOCAL_BITS))
    m = w.counters[Counter.REMOTE]
    if m < w.counters[Counter.REMOTES]:
        known = min(known, w.remote.time[m] - piece.start)
    open_until(w, piece, known)
    return min(known, next_own(w, piece) if w.counters[Counter.HEAP] > 0 else NEVER)


@inner
def run(w, piece, limit):
    """The loop: tick by tick, up to the offset ``limit``; return a status."""
    while True:
        if w.counters[Counter.QUIET]:
            status = run_quietly(w, piece, limit)
            if status != OK:
                return status
            if w.counters[Counter.QUIET] == 0:
                again(w, piece, w.counters[Counter.TICK])
        now = min(limit, next_entry(w, piece)) if w.counters[Counter.QUIET] else _next(w, piece, limit)
        if w.counters[Counter.FULL]:
            return QUEUE_FULL
        if now >= limit:
            return OK
        room = w.blocks.first[-1] + w.counters[Counter.ARRIVALS] - w.counters[Counter.ARRIVAL]
        if w.emitted.time.size < w.counters[Counter.EMITTED] + room:
            w.counters[Counter.NEEDED] = w.counters[Counter.EMITTED] + room
            return SPIKES_FULL
        w.counters[Counter.TICK] = now
        status = do_tick(w, piece, now)
        if status == OK:
            status = _checked(w)
        if status != OK:
            return status
        if w.counters[Counter.FULL]:
            if w.log.tick.size:
                return QUEUE_FULL
            again(w, piece, now)


@njit
def list_piece(blocks, synapses, drive, flight, train, scratch, counters, until, slab_bits, piece_bits):
    """List what is known to arrive in the piece at NOW; return a status. Knows no model, so that it is compiled once for all."""
    start, a, b = piece.begin(counters, until, slab_bits, piece_bits)
    status, n = list_arrivals(blocks, synapses, drive, flight, train, scratch, counters, start, a, b, slab_bits)
    if status == OK:
        counters[Counter.ARRIVAL], counters[Counter.ARRIVALS], counters[Counter.LISTED] = 0, n, 1
    return status


@inner
def begin(w, until, slab_bits, piece_bits):
    """Begin the piece at NOW, unless it was begun before; return a status and the piece."""
    start, a, b = piece.begin(w.counters, until, slab_bits, piece_bits)
    fresh = w.counters[Counter.BLOCK] == 0
    if fresh and w.counters[Counter.LISTED] == 0:
        return NOT_LISTED, Piece(start, a, b, 0)
    if fresh:
        w.counters[Counter.SHIFT] = shift_of(a, b, w.counters[Counter.ENTRIES])
    here = Piece(start, a, b, w.counters[Counter.SHIFT])
    if fresh:
        w.counters[Counter.QUIET] = is_quiet(w) and fill(w, here, a)
        if w.counters[Counter.QUIET] == 0:
            sweep(w, here, a)
        w.counters[Counter.BLOCK] = 1
    return OK, here


@inner
def settle(w, here, slab_bits):
    """Settle the states after a piece whose events are all done; return a status."""
    status = piece.settle_all(w.model, w.blocks, here.start, here.b, slab_bits, w.counters, False)
    if status == OK:
        w.counters[Counter.BLOCK], w.counters[Counter.LISTED] = 2, w.counters[Counter.UNLISTED]
        w.counters[Counter.WISHED] = wished(w)
    return status


@inner
def end(w, here):
    """End a piece that is settled; return a status."""
    return piece.end(w.emitted, w.flight, w.counters, here.start + here.b)


@merged
def _watched(w, here):
    """Return the offset at which something is read next, at most the end of the piece."""
    watch, row = w.scratch.watch, w.counters[Counter.WATCHED]
    return min(here.b, watch.tick[row] - here.start) if row < watch.tick.size else here.b


@njit
def _advance(w, until, slab_bits, piece_bits):
    while w.counters[Counter.NOW] < until:
        status, here = begin(w, until, slab_bits, max(0, piece_bits - w.counters[Counter.SHORTER]))
        while status == OK and w.counters[Counter.BLOCK] == 1:
            limit = _watched(w, here)
            status = run(w, here, limit)
            if status != OK or limit == here.b:
                break
            w.counters[Counter.WATCHED] = read_until(w.model, w.scratch.watch, w.counters[Counter.WATCHED], here.start, limit)
        if status == OK and w.counters[Counter.BLOCK] == 1:
            status = settle(w, here, slab_bits)
        if status == OK:
            status = end(w, here)
        if status != OK:
            return status
        w.counters[Counter.SHORTER] = w.counters[Counter.WISHED]
    return OK


def advance(w, drive, until, slab_bits, piece_bits):
    """Advance all neurons of this rank to tick ``until``; see `ordered.advance`. No other rank takes part, and nothing is logged."""
    while (status := _advance(w, until, slab_bits, piece_bits)) == NOT_LISTED:
        status = list_now(w, drive, until, slab_bits, max(0, piece_bits - w.counters[Counter.SHORTER]))
        if status != OK:
            return status
    return status


def list_now(w, drive, until, slab_bits, piece_bits):
    """As `list_piece`."""
    return list_piece(w.blocks, w.synapses, drive, w.flight, w.train, w.scratch, w.counters, until, slab_bits, piece_bits)


@merged
def wished(w):
    """Return what SHORTER should be for the next piece, at the end of one: as long as going over all neurons costs more than those found in
    vain, it may be longer."""
    shorter = w.counters[Counter.SHORTER]
    in_vain = w.counters[Counter.ENTRIES] - (w.counters[Counter.EMITTED] - w.counters[Counter.PIECE])
    if in_vain > FEW and in_vain * IN_VAIN > 2 * w.blocks.first[-1] and shorter < MOST_SHORTER:
        return shorter + 1
    if 2 * in_vain * IN_VAIN < w.blocks.first[-1] and shorter > 0:
        return shorter - 1
    return shorter
