"""The windows of a piece that ranks settle together, round by round: tell, hear what the others tell, find what that changes.

One compiled loop for a whole piece: a call from Python takes 0.2 ms for its arguments alone. See `together`.
"""

import numpy as np

from ..errors import MEET, OK, ONLY_IN_ORDER, RUN_FAILED, WIRE_FULL
from ..jit import merged, njit
from ..meeting import CHANGED, FAILED, HEARD, MET, NONE, OPEN, ORDERED, TO_TELL, TOLD, WISH
from ..state import Counter
from . import apart, messages, rerun
from .instant import wished
from .watch import read_until

FEW, MANY = 2, 2
"""A window that was settled in so few rounds may be longer next time; in more than the second, it must be shorter."""
FEW_APART, MANY_APART = 3, 3
"""The same of a window that is settled neuron by neuron."""


@merged
def _open(w, piece, wire):
    """Begin the next window: read what is watched, say how far it goes, and find what to tell first. Return a status."""
    c, watch = w.counters, w.scratch.watch
    now = c[Counter.SETTLED]
    row = read_until(w.model, watch, c[Counter.WATCHED], piece.start, now)
    c[Counter.WATCHED] = row
    if c[Counter.LENGTH] == 0:
        c[Counter.LENGTH] = max(1, (piece.b - piece.a) >> 4)
    c[Counter.LIMIT] = min(piece.b, now + c[Counter.LENGTH])
    if row < watch.tick.size:
        c[Counter.LIMIT] = min(c[Counter.LIMIT], watch.tick[row] - piece.start)
    c[Counter.BEFORE], c[Counter.ROUNDS_BEFORE] = c[Counter.RECURRENT], c[Counter.ROUNDS]
    c[Counter.WINDOW], c[Counter.LOG] = c[Counter.EMITTED], 0
    c[Counter.REMOTE], c[Counter.REMOTES] = 0, 0
    c[Counter.DONE], c[Counter.FAILED], c[Counter.CHANGED] = now, OK, 1
    w.told.n[:] = 0
    if c[Counter.INORDER] == 0:
        status = apart.begin(w, piece, now, c[Counter.LIMIT])
        if status == OK:
            c[Counter.PHASE] = TO_TELL
        if status != ONLY_IN_ORDER:
            return status
    c[Counter.APART] = NONE
    status = rerun.guess(w, piece, now, c[Counter.LIMIT], wire)
    if status == OK:
        c[Counter.PHASE] = TOLD
    return status


@merged
def _respond(w, piece, rank):
    """Find what changes by what was heard; return a status. One other than OK is mended and the call repeated."""
    c, status = w.counters, np.int64(ONLY_IN_ORDER)
    if c[Counter.APART] != NONE:
        status = apart.respond(w, piece, c[Counter.SETTLED], c[Counter.LIMIT], rank)
    if status == ONLY_IN_ORDER:
        status = rerun.respond(w, piece, c[Counter.SETTLED], c[Counter.LIMIT], rank)
    if status == OK:
        c[Counter.PHASE] = TO_TELL
    return status


@merged
def _close(w, piece):
    """End a window that is settled, and choose the length of the next one; return a status."""
    c = w.counters
    if c[Counter.APART] != NONE:
        status = apart.end(w, piece, c[Counter.LIMIT])
        if status != OK:
            return status
    else:
        rerun.count_arrivals(w, c[Counter.BEFORE])
    few, many = (FEW, MANY) if c[Counter.MOST] & ORDERED else (FEW_APART, MANY_APART)
    rounds, length = c[Counter.ROUNDS] - c[Counter.ROUNDS_BEFORE], c[Counter.LENGTH]
    if rounds > many:
        c[Counter.LENGTH] = max(1, length >> 1)
    elif rounds <= few and c[Counter.LIMIT] - c[Counter.SETTLED] == length:
        c[Counter.LENGTH] = length + (length >> 3) + 1
    c[Counter.WINDOWS] += 1
    c[Counter.AGREED] = c[Counter.MOST] & WISH & ~ORDERED
    c[Counter.SETTLED], c[Counter.PHASE] = c[Counter.LIMIT], OPEN
    return OK


@merged
def _meet(w, wire):
    """Tell all ranks, and hear them; return a status, MEET where the caller must do it."""
    c = w.counters
    while c[Counter.PHASE] == TOLD:
        if c[Counter.SIZE_SENT] > wire.own.size:
            c[Counter.NEEDED] = c[Counter.SIZE_SENT]
            return WIRE_FULL
        if wire.address == 0:
            return MEET
        status = messages.exchange(w, wire)
        if status != OK:
            return status
        c[Counter.PHASE] = MET if messages.fits(w, wire) else TOLD
    status = messages.hear(w, wire)
    if status == OK:
        c[Counter.ROUNDS] += 1
        c[Counter.TELLS] += c[Counter.SIZE_SENT]
        c[Counter.PHASE] = HEARD
    return status


@njit
def met(w, wire):
    """The caller told all ranks, and has what they told: go on, or tell again if the messages were too short."""
    w.counters[Counter.PHASE] = MET if messages.fits(w, wire) else TOLD


@njit
def settle(w, piece, wire):
    """Settle the windows of a piece, from ``Counter.SETTLED`` on; return OK at its end, or the status that tells what the caller must do
    before it calls again.

    MEET: send SIZE_SENT words of ``wire.own`` to all ranks, put those of all into ``wire.all``, and call `met`.
    """
    c, status = w.counters, np.int64(OK)
    c[Counter.WISHED] = wished(w)
    while status == OK and c[Counter.SETTLED] < piece.b:
        if c[Counter.PHASE] == OPEN:
            status = _open(w, piece, wire)
        elif c[Counter.PHASE] == TO_TELL:
            status = apart.tell(w, wire) if c[Counter.APART] != NONE else rerun.tell(w, piece, wire)
            c[Counter.PHASE] = TOLD if status == OK else TO_TELL
        elif c[Counter.PHASE] != HEARD:
            status = _meet(w, wire)
        elif c[Counter.MOST] & ~WISH == FAILED:
            status = np.int64(RUN_FAILED)
        elif c[Counter.MOST] & ~WISH == CHANGED:
            status = _respond(w, piece, wire.rank)
        else:
            status = _close(w, piece)
    return status
