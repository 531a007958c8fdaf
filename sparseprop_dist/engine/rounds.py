"""One round of a window that ranks settle together: take in what the others tell, run anew what that changes, tell what comes of it.

Owns the messages, int64 of shape (spikes, WORDS), and the list of the spikes of other ranks. See `together`.
"""

import numpy as np

from ..errors import CASCADE, LOG_FULL, OK, QUEUE_FULL, STATE_OVERFLOW
from ..jit import inner, merged, njit
from ..state import NO_ROWS, WORDS, Counter
from .agenda import foreseen
from .arrivals import row_of
from .instant import run
from .procedural import words_of
from .tick import take_back

LOW = (1 << 32) - 1
GAPS = (701, 301, 132, 57, 23, 10, 4, 1)


@inner
def _later(box, m, time, generation, trigger_time, gids):
    """Does spike ``m`` come after one of these words?"""
    if box[m, 0] != time:
        return box[m, 0] > time
    if box[m, 3] != generation:
        return box[m, 3] > generation
    if box[m, 1] != trigger_time:
        return box[m, 1] > trigger_time
    trigger_gid, other = np.int32(gids & LOW), np.int32(box[m, 2] & LOW)
    return other > trigger_gid or (other == trigger_gid and box[m, 2] >> 32 > gids >> 32)


@inner
def _copy(box, m, to):
    for word in range(WORDS):
        box[to, word] = box[m, word]


@inner
def _sort(box, n):
    for gap in GAPS:
        for m in range(gap, n):
            time, trigger_time, gids, generation = box[m, 0], box[m, 1], box[m, 2], box[m, 3]
            q = m
            while q >= gap and _later(box, q - gap, time, generation, trigger_time, gids):
                _copy(box, q - gap, q)
                q -= gap
            box[q, 0], box[q, 1], box[q, 2], box[q, 3] = time, trigger_time, gids, generation


@njit
def begin_window(w, piece, now, limit, box):
    """Begin the window [now, limit); write the spikes foreseen in it into ``box`` and return their number."""
    counters = w.counters
    counters[Counter.WINDOW], counters[Counter.LOG] = counters[Counter.EMITTED], 0
    counters[Counter.REMOTE], counters[Counter.REMOTES] = 0, 0
    counters[Counter.DONE], counters[Counter.FAILED], counters[Counter.CHANGED] = now, OK, 1
    n, distinct = foreseen(w, piece, limit, box), np.int64(0)
    _sort(box, n)
    for m in range(n):
        if distinct == 0 or box[m, 0] != box[distinct - 1, 0] or box[m, 2] != box[distinct - 1, 2]:
            _copy(box, m, distinct)
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


@njit
def respond(w, piece, now, limit, inbox, n_in, outbox, n_out):
    """Take in the ``n_in`` spikes that the other ranks tell, run anew what they change, and write what to tell into ``outbox``, which holds
    the ``n_out`` spikes told before; return a status and the new number.

    SPIKES_FULL, LOG_FULL and QUEUE_FULL are mended and the call repeated. A run that fails (a cascade, an overflow) is not a failure until
    all ranks agree: FAILED says so.
    """
    counters = w.counters
    _sort(inbox, n_in)
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


@njit
def end_window(w, recurrent):
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
