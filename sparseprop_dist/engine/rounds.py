"""The windows that ranks settle together, round by round: tell, hear what the others tell, find what that changes.

One compiled loop for all pieces up to a tick: a call from Python takes 0.05 ms for its arguments alone. See `together`.
"""

import numpy as np

from ..errors import MEET, OK, ONLY_IN_ORDER, RUN_FAILED, WIRE_FULL
from ..jit import merged, njit
from ..meeting import ANEW, BEGIN, BETWEEN, CHANGED, END, FAILED, HEARD, MET, NONE, OPEN, ORDERED, RESPOND, TELL, TO_TELL, TOLD, WISH
from ..state import Counter, Piece
from . import apart, instant, messages, rerun
from .agenda import again
from .watch import read_until

FEW, MANY = 2, 2
"""A window that was settled in so few rounds may be longer next time; in more than the second, it must be shorter."""
FEW_APART, MANY_APART = 3, 3
"""The same of a window that is settled neuron by neuron."""


@merged
def _open(w, piece):
    """Open the next window: read what is watched, and say how far it goes."""
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
    c[Counter.APART] = NONE if c[Counter.INORDER] else ANEW
    w.told.n[:] = 0


@merged
def _close(c):
    """The window is settled: choose the length of the next one."""
    few, many = (FEW, MANY) if c[Counter.MOST] & ORDERED else (FEW_APART, MANY_APART)
    rounds, length = c[Counter.ROUNDS] - c[Counter.ROUNDS_BEFORE], c[Counter.LENGTH]
    if rounds > many:
        c[Counter.LENGTH] = max(1, length >> 1)
    elif rounds <= few and c[Counter.LIMIT] - c[Counter.SETTLED] == length:
        c[Counter.LENGTH] = length + (length >> 3) + 1
    c[Counter.WINDOWS] += 1
    c[Counter.AGREED] = c[Counter.MOST] & WISH & ~ORDERED
    c[Counter.SETTLED], c[Counter.PHASE] = c[Counter.LIMIT], OPEN


@merged
def _next(w, piece):
    """Return the next step of the window; open the next one if there is none."""
    c = w.counters
    if c[Counter.PHASE] == OPEN:
        _open(w, piece)
        return BEGIN
    if c[Counter.PHASE] == TO_TELL:
        return TELL
    return RESPOND if c[Counter.MOST] & ~WISH == CHANGED else END


@merged
def _done(c, what):
    """A step is done."""
    if what == END:
        _close(c)
    else:
        guessed = what == BEGIN and c[Counter.APART] == NONE
        c[Counter.PHASE] = TOLD if what == TELL or guessed else TO_TELL


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


@merged
def _close_piece(w, piece, wire, slab_bits):
    """All windows of a piece are settled: settle its states, and tell at a slab's end whether one overflowed: all ranks must know."""
    c = w.counters
    c[Counter.FAILED], c[Counter.CHANGED] = instant.settle(w, piece, slab_bits), 0
    if piece.b < 1 << slab_bits:
        return np.int64(OK)
    status = messages.begin(w, wire, 0)
    messages.end(w, wire)
    c[Counter.BLOCK], c[Counter.PHASE] = 1, TOLD
    return np.int64(status)


@merged
def _settle(w, piece, wire, slab_bits):
    """Settle a piece, window by window from ``Counter.SETTLED`` on; return a status, see `advance`."""
    # one call of each step: what is called twice is compiled into here twice
    c, status = w.counters, np.int64(OK)
    while status == OK and c[Counter.BLOCK] == 1:
        if c[Counter.PHASE] == TOLD or c[Counter.PHASE] == MET:
            status = np.int64(_meet(w, wire))
            continue
        if c[Counter.PHASE] == HEARD and c[Counter.MOST] & ~WISH == FAILED:
            return np.int64(RUN_FAILED)
        if c[Counter.SETTLED] == piece.b:
            if c[Counter.PHASE] == OPEN:
                status = _close_piece(w, piece, wire, slab_bits)
            else:
                c[Counter.BLOCK] = 2
                c[Counter.ROUNDS] -= 1  # it was none of a window
            continue
        what, status = _next(w, piece), np.int64(ONLY_IN_ORDER)
        if c[Counter.APART] != NONE:
            status = apart.step(w.model, w, piece, wire, what)
        if status == ONLY_IN_ORDER:
            c[Counter.APART] = NONE
            if c[Counter.QUIET]:
                c[Counter.QUIET] = 0
                again(w, piece, c[Counter.SETTLED] - 1)
            status = rerun.step(w, piece, wire, what)
        if status == OK:
            _done(c, what)
    return status


@njit
def advance(w, wire, until, slab_bits, piece_bits):
    """Advance to tick ``until``, piece by piece; return OK, or the status that tells what the caller must do before it calls again, and the
    piece at hand.

    MEET: send SIZE_SENT words of ``wire.own`` to all ranks, put those of all into ``wire.all``, and call `met`.
    """
    c, piece = w.counters, Piece(np.int64(0), np.int64(0), np.int64(0), np.int64(0))
    while c[Counter.NOW] < until:
        status, piece = instant.begin(w, until, slab_bits, max(0, piece_bits - c[Counter.SHORTER]))
        if status == OK and c[Counter.BLOCK] == 1:
            if c[Counter.PHASE] == BETWEEN:
                c[Counter.SETTLED], c[Counter.PHASE] = piece.a, OPEN
            status = _settle(w, piece, wire, slab_bits)
        if status == OK:
            status = instant.end(w, piece)
        if status != OK:
            return np.int64(status), piece
        c[Counter.PHASE], c[Counter.SHORTER] = BETWEEN, c[Counter.AGREED]
    return np.int64(OK), piece
