"""The windows of a piece that ranks settle together, round by round: tell, take in what the others tell, run anew what that changes.

Owns the messages, int64 of shape (spikes, WORDS), and the list of the spikes of other ranks. One compiled loop for a whole piece: a call
from Python takes 0.2 ms for its arguments alone. See `together`.
"""

import numpy as np

from ..errors import (
    CASCADE,
    LOG_FULL,
    MEET,
    NOT_SENT,
    OK,
    ONLY_IN_ORDER,
    QUEUE_FULL,
    ROUND_FULL,
    RUN_FAILED,
    STATE_OVERFLOW,
    WIRE_FULL,
)
from ..jit import allgather, inner, merged, njit
from ..state import CHANGED, FAILED, HEAD, HEARD, NO_ROWS, NONE, OPEN, ORDERED, QUIET, TOLD, WISH, WORDS, Counter
from . import slots
from .agenda import fetch_pointers, fetch_rows, foreseen
from .arrivals import row_of
from .instant import run, wished
from .messages import LOW, copy, sort
from .procedural import words_of
from .tick import take_back
from .watch import read_until

FEW, MANY = 2, 2
"""A window that was settled in so few rounds may be longer next time; in more than the second, it must be shorter."""
FEW_APART, MANY_APART = 3, 4
"""The same of a window that is settled neuron by neuron."""


@inner
def _first_guess(w, piece, now, limit, box):
    """Write the spikes foreseen in the window [now, limit) into ``box`` and return their number."""
    n, distinct = foreseen(w, piece, now, limit, box), np.int64(0)
    sort(box, n)
    for m in range(n):
        if distinct == 0 or box[m, 0] != box[distinct - 1, 0] or box[m, 2] != box[distinct - 1, 2]:
            copy(box, m, distinct)
            distinct += 1
    return distinct


@merged
def _take_in(w, box, n):
    """Make the sorted spikes of ``box`` the remote ones; return the tick of the first that is new or gone, -1 if there is none."""
    r, first = w.remote, np.int64(-1)
    before = w.counters[Counter.REMOTES]
    for m in range(n):
        time, trigger_time, gid, trigger_gid, generation = box[m, 0], box[m, 1], box[m, 2] >> 32, np.int32(box[m, 2] & LOW), box[m, 3]
        if first < 0:
            if m < before:
                same = r.time[m] == time and r.gid[m] == gid and r.generation[m] == generation
                same = same and r.trigger_time[m] == trigger_time and r.trigger_gid[m] == trigger_gid
                first = first if same else min(r.time[m], time)
            else:
                first = time
        r.time[m], r.gid[m], r.trigger_time[m], r.trigger_gid[m], r.generation[m] = time, gid, trigger_time, trigger_gid, generation
    if first < 0 and n < before:
        first = r.time[n]
    w.counters[Counter.REMOTES] = n
    return first


@merged
def _tell(w, box, n_before):
    """Write the own spikes of the window into ``box``, and whether that changes it; return their number."""
    e, first = w.emitted, w.counters[Counter.WINDOW]
    n = w.counters[Counter.EMITTED] - first
    changed = np.int64(n != n_before)
    for m in range(n):
        s = first + m
        gids = np.int64(e.gid[s]) << 32 | (np.int64(e.trigger_gid[s]) & LOW)
        changed |= box[m, 0] != e.time[s] or box[m, 1] != e.trigger_time[s] or box[m, 2] != gids or box[m, 3] != e.generation[s]
        box[m, 0], box[m, 1], box[m, 2], box[m, 3] = e.time[s], e.trigger_time[s], gids, e.generation[s]
    w.counters[Counter.CHANGED] = changed
    return n


@inner
def _respond(w, piece, now, limit, inbox, n_in, outbox, n_out):
    """Take in the ``n_in`` spikes that the other ranks tell, run anew what they change, and write what to tell into ``outbox``, which holds
    the ``n_out`` spikes told before; return a status and the new number.

    SPIKES_FULL, LOG_FULL, SLOTS_FULL and QUEUE_FULL are mended and the call repeated. A run that fails (a cascade, an overflow) is not a failure until
    all ranks agree: FAILED says so.
    """
    counters = w.counters
    sort(inbox, n_in)
    if counters[Counter.APART] != NONE:
        status = slots.respond(w, piece, now, limit, inbox, n_in)
        if status == OK and counters[Counter.CHANGED]:
            n_out = slots.tell(w, outbox)
        if status != ONLY_IN_ORDER:
            return status, n_out
    first = _take_in(w, inbox, n_in)
    back = counters[Counter.DONE]
    if first >= 0:
        back = max(now, min(back, first - piece.start))
        counters[Counter.FAILED] = OK
    if counters[Counter.FAILED] != OK or back == limit:
        counters[Counter.CHANGED] = 0
        return OK, n_out
    if first >= 0:
        take_back(w, piece, back)
        for m in range(n_in):
            fetch_pointers(w.blocks, w.synapses, inbox[m, 2] >> 32)
        for m in range(n_in):
            fetch_rows(w.blocks, w.synapses, inbox[m, 2] >> 32)
    counters[Counter.DONE] = back
    status = run(w, piece, limit)
    if status in (LOG_FULL, QUEUE_FULL):
        take_back(w, piece, now)
        counters[Counter.DONE] = now
        return status, n_out
    if status not in (OK, CASCADE, STATE_OVERFLOW):
        return status, n_out
    counters[Counter.FAILED] = status
    n_out = _tell(w, outbox, n_out)  # of a run that failed, what came before: it may make others avert the failure
    counters[Counter.DONE] = limit
    if status != OK:
        counters[Counter.DONE] = counters[Counter.TICK]
        take_back(w, piece, counters[Counter.TICK])
    return OK, n_out


@inner
def _count_arrivals(w, recurrent):
    """Count the arrivals of the window, of which there were ``recurrent`` before it."""
    n = np.int64(0)
    for s in range(w.counters[Counter.WINDOW], w.counters[Counter.EMITTED]):
        n += _arrivals(w.synapses, w.blocks, np.int64(w.emitted.gid[s]))
    for m in range(w.counters[Counter.REMOTES]):
        n += _arrivals(w.synapses, w.blocks, np.int64(w.remote.gid[m]))
    w.counters[Counter.RECURRENT] = recurrent + n


@merged
def _arrivals(synapses, blocks, gid):
    """Return the number of synapses without delay that a spike reaches here."""
    n = np.int64(0)
    for p in range(synapses.kind.size):
        row = row_of(synapses, p, gid) if synapses.instant[p] else -1
        for block in range(blocks.gid.size if row >= 0 else 0):
            if synapses.index[p, block] != NO_ROWS:
                begin, stop = words_of(synapses, blocks, p, block, row)
                n += stop - begin
    return n


@merged
def _open(w, piece, box):
    """Begin the next window: read what is watched, say how far it goes, and what to tell first. Return a status."""
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
    status = np.int64(OK)
    if c[Counter.INORDER] == 0:
        status = slots.begin(w, piece, now, c[Counter.LIMIT])
    if c[Counter.INORDER] or status == ONLY_IN_ORDER:
        c[Counter.OUT], c[Counter.CHANGED] = _first_guess(w, piece, now, c[Counter.LIMIT], box), 1
        status = np.int64(QUEUE_FULL if c[Counter.FULL] else OK)
    elif status == OK:
        c[Counter.OUT] = slots.tell(w, box)
    if status == OK:
        c[Counter.PHASE] = TOLD
    return status


@merged
def _close(w, piece):
    """End a window that is settled, and choose the length of the next one; return a status."""
    c = w.counters
    few, many = (FEW, MANY) if c[Counter.MOST] & ORDERED else (FEW_APART, MANY_APART)
    if c[Counter.APART]:
        status = slots.end(w, piece, c[Counter.LIMIT])
        if status != OK:
            return status
    else:
        _count_arrivals(w, c[Counter.BEFORE])
    c[Counter.ROUNDS] += 1
    c[Counter.TELLS] += c[Counter.OUT]
    rounds, length = c[Counter.ROUNDS] - c[Counter.ROUNDS_BEFORE], c[Counter.LENGTH]
    if rounds > many:
        c[Counter.LENGTH] = max(1, length >> 1)
    elif rounds <= few and c[Counter.LIMIT] - c[Counter.SETTLED] == length:
        c[Counter.LENGTH] = length + (length >> 3) + 1
    c[Counter.WINDOWS] += 1
    c[Counter.AGREED] = c[Counter.MOST] & WISH & ~ORDERED
    c[Counter.SETTLED], c[Counter.PHASE] = c[Counter.LIMIT], OPEN
    return np.int64(OK)


@inner
def flag_of(counters):
    """Return the flag that goes with the own spikes, and the wish. A run that failed counts once nobody tells anything new, since that may
    avert it."""
    wish = counters[Counter.WISHED] | (ORDERED if counters[Counter.APART] == NONE else 0)
    if counters[Counter.CHANGED]:
        return CHANGED | wish
    return (FAILED if counters[Counter.FAILED] != OK else QUIET) | wish


@inner
def _tell_all(counters, box, inbox, wire):
    """Tell the other ranks own spikes, and put theirs into the inbox; return a status."""
    n, room, words = counters[Counter.OUT], np.int64((wire.own.size - HEAD) // WORDS), wire.all
    wire.own[0], wire.own[1] = n, flag_of(counters)
    for m in range(min(n, room)):
        for word in range(WORDS):
            wire.own[HEAD + m * WORDS + word] = box[m, word]
    if allgather(wire.address, wire.own, wire.all, wire.datatype, wire.comm) != 0:
        return NOT_SENT
    most, flag, total = np.int64(0), np.int64(QUIET), np.int64(0)
    for rank in range(words.shape[0]):
        most, flag = max(most, words[rank, 0]), max(flag, words[rank, 1])
    if most > room:
        counters[Counter.NEEDED] = most
        return WIRE_FULL
    for rank in range(words.shape[0]):
        for m in range(words[rank, 0] if rank != wire.rank else 0):
            for word in range(WORDS):
                inbox[total, word] = words[rank, HEAD + m * WORDS + word]
            total += 1
    counters[Counter.IN], counters[Counter.MOST] = total, flag
    return OK


@njit
def settle(w, piece, box, inbox, wire):
    """Settle the windows of a piece, from ``Counter.SETTLED`` on; return OK at its end, or the status that tells what the caller must do
    before it calls again.

    MEET: tell the others the first OUT spikes of ``box`` with `flag_of`, put theirs into ``inbox`` (IN, MOST), and say so (HEARD).
    """
    c = w.counters
    c[Counter.WISHED] = wished(w)
    while c[Counter.SETTLED] < piece.b:
        if c[Counter.IN] > w.remote.time.size or max(w.emitted.time.size, w.slots.time.size) > box.shape[0]:
            return ROUND_FULL
        if c[Counter.PHASE] == OPEN:
            status = _open(w, piece, box)
            if status != OK:
                return status
        if c[Counter.PHASE] == TOLD:
            if wire.address == 0:
                return MEET
            status = _tell_all(c, box, inbox, wire)
            if status != OK:
                return status
            c[Counter.PHASE] = HEARD
        if c[Counter.MOST] & ~WISH == FAILED:
            return RUN_FAILED
        if c[Counter.MOST] & ~WISH != CHANGED:
            status = _close(w, piece)
            if status != OK:
                return status
            continue
        told = c[Counter.OUT]
        status, n = _respond(w, piece, c[Counter.SETTLED], c[Counter.LIMIT], inbox, c[Counter.IN], box, told)
        if status != OK:
            return status
        c[Counter.OUT], c[Counter.PHASE] = n, TOLD
        c[Counter.ROUNDS] += 1
        c[Counter.TELLS] += told
    return OK
