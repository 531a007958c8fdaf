"""A window that ranks settle by running it: in order, with what the others tell, and anew from the first tick at which that changed.

For any model and any synapses; see `together`. Owns `Remote`.
"""

import numpy as np

from ..errors import CASCADE, LOG_FULL, OK, QUEUE_FULL, ROUND_FULL, STATE_OVERFLOW
from ..jit import inner, merged
from ..meeting import BEGIN, END, RESPOND, TELL
from ..state import Counter
from . import messages
from .agenda import foreseen
from .instant import run
from .messages import LOW, others, sort
from .tick import take_back
from .tracts import fetch_pointers, fetch_rows, tracts_of, words_in


@merged
def _guess(w, piece, now, limit, wire):
    """Tell the spikes foreseen in the window [now, limit); return a status."""
    box, distinct = w.told.box, np.int64(0)
    n = foreseen(w, piece, now, limit, box)
    if w.counters[Counter.FULL]:
        return QUEUE_FULL
    sort(box, n)
    for m in range(n):
        if distinct == 0 or box[m, 0] != box[distinct - 1, 0] or box[m, 1] != box[distinct - 1, 1]:
            box[distinct, 0], box[distinct, 1], box[distinct, 2], box[distinct, 3] = box[m, 0], box[m, 1], box[m, 2], box[m, 3]
            distinct += 1
    w.counters[Counter.FORGET] = 1
    status = messages.begin(w, wire, distinct)
    for m in range(distinct if status == OK else 0):
        messages.add(w, wire, box[m, 0], box[m, 1], box[m, 2], box[m, 3], -1)
    if status == OK:
        messages.end(w, wire)
    return status


@merged
def _take_in(w, box, n):
    """Make the sorted spikes of ``box`` the remote ones; return the tick of the first that is new or gone, -1 if there is none."""
    r, first = w.remote, np.int64(-1)
    before = w.counters[Counter.REMOTES]
    for m in range(n):
        time, gid, trigger_gid = box[m, 0], box[m, 1] >> 32, np.int32(box[m, 1] & LOW)
        trigger_time, generation = box[m, 2], box[m, 3]
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
def _leave(w, piece):
    """Of a run that failed, take back the tick at which it did: what came before it was told, since it may make others avert the
    failure."""
    if w.counters[Counter.FAILED] != OK and w.counters[Counter.DONE] == w.counters[Counter.LIMIT]:
        w.counters[Counter.DONE] = w.counters[Counter.TICK]
        take_back(w, piece, w.counters[Counter.TICK])


@merged
def _tell(w, piece, wire):
    """Tell the own spikes of the window, if it was run anew (CHANGED) and they are not those told before; return a status."""
    e, told, first = w.emitted, w.told.spike[wire.rank], w.counters[Counter.WINDOW]
    n = w.counters[Counter.EMITTED] - first
    changed = w.counters[Counter.CHANGED] != 0 and n != w.told.n[wire.rank]
    for m in range(n if w.counters[Counter.CHANGED] and not changed else 0):
        s = first + m
        gids = np.int64(e.gid[s]) << 32 | (np.int64(e.trigger_gid[s]) & LOW)
        changed |= told[m, 0] != e.time[s] or told[m, 1] != gids or told[m, 2] != e.trigger_time[s] or told[m, 3] != e.generation[s]
    w.counters[Counter.FORGET] = changed
    status = messages.begin(w, wire, n if changed else 0)
    if status != OK:
        return status
    for s in range(first, first + n if changed else first):
        gids = np.int64(e.gid[s]) << 32 | (np.int64(e.trigger_gid[s]) & LOW)
        messages.add(w, wire, e.time[s], gids, e.trigger_time[s], np.int64(e.generation[s]), -1)
    w.counters[Counter.CHANGED] = changed
    messages.end(w, wire)
    _leave(w, piece)
    return OK


@merged
def _respond(w, piece, now, limit, rank):
    """Take in what the other ranks tell, and run anew what that changes; return a status.

    SPIKES_FULL, LOG_FULL and QUEUE_FULL are mended and the call repeated. A run that fails (a cascade, an overflow) is not a failure until
    all ranks agree: FAILED says so.
    """
    counters, n = w.counters, others(w, rank)
    counters[Counter.CHANGED] = 0
    if n > w.remote.time.size:
        counters[Counter.NEEDED] = n
        return ROUND_FULL
    first = _take_in(w, w.told.box, n)
    back = counters[Counter.DONE]
    if first >= 0:
        back = max(now, min(back, first - piece.start))
        counters[Counter.FAILED] = OK
    if counters[Counter.FAILED] != OK or back == limit:
        return OK
    if first >= 0:
        take_back(w, piece, back)
        for m in range(n):
            fetch_pointers(w.synapses, w.told.box[m, 1] >> 32)
        for m in range(n):
            fetch_rows(w.synapses, w.told.box[m, 1] >> 32)
    counters[Counter.DONE] = back
    status = run(w, piece, limit)
    if status in (LOG_FULL, QUEUE_FULL):
        take_back(w, piece, now)
        counters[Counter.DONE] = now
        return status
    if status not in (OK, CASCADE, STATE_OVERFLOW):
        return status
    counters[Counter.FAILED], counters[Counter.DONE], counters[Counter.CHANGED] = status, limit, 1
    return OK


@merged
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
    n, (first, last) = np.int64(0), tracts_of(synapses, gid)
    for t in range(first, last):
        begin, stop = words_in(synapses, blocks, t, gid)
        n += stop - begin
    return n


@inner
def step(w, piece, wire, what):
    """Do a step of the window [SETTLED, LIMIT), see `meeting.BEGIN`; return a status."""
    now, limit, status = w.counters[Counter.SETTLED], w.counters[Counter.LIMIT], np.int64(OK)
    if what == BEGIN:
        status = np.int64(_guess(w, piece, now, limit, wire))
    if what == TELL:
        status = np.int64(_tell(w, piece, wire))
    if what == RESPOND:
        status = np.int64(_respond(w, piece, now, limit, wire.rank))
    if what == END:
        _count_arrivals(w, w.counters[Counter.BEFORE])
    return status
