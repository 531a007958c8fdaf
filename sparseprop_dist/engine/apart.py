"""A window that ranks settle neuron by neuron: where synapses without delay inhibit, and inputs add (``docs/design/together.md``).

A neuron that inhibition alone can reach, and that does nothing by itself in the window, does nothing: all that is delivered to it is added,
in any order, and subtracted again if it was not so. The few others are set apart (`slots`). A row that meets one adds to its arrivals, and
what it does is found anew. So what a round changes costs what it changes. `tick` gives the same spikes; what this cannot do
(ONLY_IN_ORDER) is left to `rerun`.
"""

import numpy as np

from ..errors import OK, ONLY_IN_ORDER, QUEUE_FULL, SLOTS_FULL, SPIKES_FULL
from ..jit import bits_float, inner, merged, overloaded, prefetch, protocol
from ..meeting import ANEW, BEGIN, BEGUN, END, HEAD, NONE, RESPOND, TELL
from ..models.protocol import IN_ORDER_ONLY, fetch, inhibit, own_event, restore
from ..queue import LOCAL_BITS
from ..state import Counter, Tract
from . import entries, messages
from .agenda import LOCAL_MASK, SOON, again, fetch_lists, schedule, take_before
from .emission import emit, sort_spikes
from .messages import LOW
from .slots import anew, arrive, drop, find, find_all, know, put, slot_of
from .tracts import fetch_pointers, fetch_rows, tracts_of, weights_in, words_in

ROWS_AHEAD, POINTERS_AHEAD = 6, 12
"""Spikes ahead whose rows, and whose row pointers, are fetched: as in the bare loop of benchmarks/paper.py."""
BATCH = 64
"""Neurons that are asked together when they act."""
ALL = 1 << 62


@merged
def _list_known(w, piece, limit):
    """Set neurons apart at which something arrives that was known before; return a status."""
    scratch = w.scratch
    while w.counters[Counter.ARRIVAL] < w.counters[Counter.ARRIVALS]:
        m = w.counters[Counter.ARRIVAL]
        if piece.a + (scratch.loud[0, m] >> LOCAL_BITS) >= limit:
            break
        i = scratch.loud[0, m] & LOCAL_MASK
        if w.counters[Counter.ARRIVED] == w.slots.spike.size:
            return np.int64(SLOTS_FULL)
        status = np.int64(OK) if slot_of(w, i) >= 0 else put(w, i)
        if status != OK:
            return status
        arrive(w, slot_of(w, i), -1 - m, bits_float(scratch.loud[1, m]))
        anew(w, slot_of(w, i))
        w.counters[Counter.ARRIVAL] = m + 1
    return np.int64(OK)


@merged
def _enter(w, piece, i, now):
    """Enter when a neuron that is on no list acts by itself from ``now`` on."""
    if w.counters[Counter.QUIET]:
        entries.enter(w, piece, i, now)
        return
    w.scratch.own[i, 0] = -1
    schedule(w, piece, i, now - 1)


@merged
def _batch(w, piece, now, limit):
    """Set apart a batch of those neurons that may act before ``limit``; return the number of entries looked at, and a status. What each
    will do is asked first, so that the answers do not wait for each other."""
    neuron, own, status = w.scratch.chunk[0, :BATCH], w.scratch.chunk[1], np.int64(OK)
    if w.counters[Counter.QUIET]:
        taken = n = entries.take_before(w, piece, now, limit, neuron, own)
    else:
        taken, n = take_before(w, piece, now, limit, neuron)
        for k in range(n):
            own[k] = own_event(w.model, neuron[k], piece.start, now)
    for k in range(n):
        if own[k] < limit and status == OK:
            status = put(w, neuron[k])
            if status == OK:
                status = find(w, piece, w.counters[Counter.SLOTS] - 1, own[k], limit)
                continue
        _enter(w, piece, neuron[k], now)
    return taken, status


@merged
def _begin(w, piece, now, limit):
    """Begin the window [now, limit): set neurons apart, and find what they do if no other spike arrives; return a status. One other than OK
    has undone everything."""
    c = w.counters
    c[Counter.SLOTS], c[Counter.KNOWN], c[Counter.ARRIVED], c[Counter.PENDING], c[Counter.AGAIN], c[Counter.NEWS] = 0, 0, 0, 0, 0, 0
    c[Counter.APART], c[Counter.FORGET], c[Counter.GONE], c[Counter.AHEAD] = BEGUN, 1, 0, -1
    for rank in range(w.told.n.size):
        w.told.number[rank, : w.told.n[rank]] = -1
    if c[Counter.QUIET] == 0:
        fetch_lists(w)
    status = _list_known(w, piece, limit)
    taken = BATCH
    while status == OK and taken == BATCH:
        taken, status = _batch(w, piece, now, limit)
    if status == OK:
        status = find_all(w, piece, now, limit)
    if status == OK and c[Counter.FULL]:
        status = np.int64(QUEUE_FULL)
    if status != OK:
        _undo(w, piece, now, status)
    return status


@merged
def _deliver_tract(w, piece, n, sign, t, gid):
    """Deliver a spike to a tract, or take it back; return a status. After SLOTS_FULL it is delivered, but not all have its arrival."""
    slots, block = w.slots, w.synapses.tract[t, Tract.BLOCK]
    first = w.blocks.first[block]
    begin, stop = words_in(w.synapses, w.blocks, t, gid)
    if begin == stop:
        return np.int64(OK)
    own, last = weights_in(w.synapses, t, begin, stop)
    weights, weight, met = w.synapses.weights[own:last], w.synapses.weight[w.synapses.tract[t, Tract.PATHWAY]], w.scratch.touched
    at, words = slots.time[n] - piece.start, w.synapses.targets
    m = inhibit(w.model, first, w.blocks.alike[block], words, begin, stop, weight, weights, sign, piece.start, at, met)
    if m < 0:
        w.counters[Counter.INORDER] = 1
        return np.int64(ONLY_IN_ORDER)
    w.counters[Counter.RECURRENT] += sign * (stop - begin)
    if sign > 0 and w.counters[Counter.ARRIVED] + m > slots.spike.size:
        return np.int64(SLOTS_FULL)
    for k in range(m):
        slot = slot_of(w, first + met[2 * k])
        if sign > 0:
            arrive(w, slot, n, weights[met[2 * k + 1]] if weights.size else weight)
        anew(w, slot)
    return np.int64(OK)


@inner
def _deliver(w, piece, n, sign, most):
    """Deliver a spike to the first ``most`` tracts that have its row, or take it back; return a status and to how many it is delivered."""
    gid = w.slots.gids[n] >> 32
    first, last = tracts_of(w.synapses, gid)
    last = min(last, first + most)
    for t in range(first, last):
        status = _deliver_tract(w, piece, n, sign, t, gid)
        if status != OK:
            return status, t - first + (status == SLOTS_FULL)
    return np.int64(OK), last - first


@merged
def _deliver_all(w, piece):
    """Deliver, or take back, what is to be; return a status."""
    slots, n_pending = w.slots, w.counters[Counter.PENDING]
    for k in range(min(n_pending, POINTERS_AHEAD)):
        fetch_pointers(w.synapses, slots.gids[slots.pending[k]] >> 32)
    for k in range(min(n_pending, ROWS_AHEAD)):
        fetch_rows(w.synapses, slots.gids[slots.pending[k]] >> 32)
    for k in range(n_pending):
        if k + POINTERS_AHEAD < n_pending:
            fetch_pointers(w.synapses, slots.gids[slots.pending[k + POINTERS_AHEAD]] >> 32)
        if k + ROWS_AHEAD < n_pending:
            fetch_rows(w.synapses, slots.gids[slots.pending[k + ROWS_AHEAD]] >> 32)
        n = slots.pending[k]
        if slots.alive[n] == slots.delivered[n]:
            continue
        sign = 1 if slots.alive[n] else -1
        status, done = _deliver(w, piece, n, sign, ALL)
        if status != OK:
            _deliver(w, piece, n, -sign, done)
            return status
        slots.delivered[n] = slots.alive[n]
    w.counters[Counter.PENDING] = 0
    return np.int64(OK)


@merged
def _take_in(w, rank):
    """Take in what the other ranks told since; return a status."""
    c, told = w.counters, w.told
    for k in range(c[Counter.GONE]):
        if told.gone[k] >= 0:
            drop(w, told.gone[k])
    c[Counter.GONE] = 0
    for r in range(told.n.size):
        for row in range(told.n[r] if r != rank else 0):
            if told.number[r, row] < 0:
                spike = told.spike[r, row]
                n = know(w, spike[0], spike[2], spike[1], spike[3])
                if n < 0:
                    return np.int64(SLOTS_FULL)
                told.number[r, row] = n
    return np.int64(OK)


@merged
def _respond(w, piece, now, limit, rank):
    """Take in what the other ranks tell, and find what that changes; return a status. One other than OK has undone everything."""
    c, status = w.counters, _take_in(w, rank)
    while status == OK and c[Counter.PENDING] > 0:
        if c[Counter.VOLUME] + c[Counter.KNOWN] >= w.synapses.safe:
            status = np.int64(ONLY_IN_ORDER)
        if status == OK:
            status = _deliver_all(w, piece)
        if status == OK:
            status = find_all(w, piece, now, limit)
    if status != OK:
        _undo(w, piece, now, status)
    return status


@merged
def _tell(w, wire):
    """Tell what is new of the spikes of the neurons set apart; return a status."""
    c, slots, forget = w.counters, w.slots, w.counters[Counter.FORGET]
    status = np.int64(messages.begin(w, wire, c[Counter.NEWS]))
    if status != OK:
        return status
    for k in range(0 if forget else c[Counter.NEWS]):
        n = slots.news[k]
        if slots.row[n] >= 0 and not slots.alive[n]:
            moved = messages.take_back(w, wire, slots.row[n])
            if moved >= 0:
                slots.row[moved] = slots.row[n]
            slots.row[n] = -1
    for k in range(c[Counter.NEWS]):
        n = slots.news[k]
        if slots.row[n] < 0 and slots.alive[n]:
            slots.row[n] = messages.add(w, wire, slots.time[n], slots.gids[n], slots.trigger_time[n], np.int64(0), n)
    again_anew = forget != 0 and c[Counter.ROUNDS] > c[Counter.ROUNDS_BEFORE]
    c[Counter.NEWS], c[Counter.CHANGED] = 0, np.int64(c[Counter.OUT] > HEAD or again_anew)
    messages.end(w, wire)
    return np.int64(OK)


@inner
def _undo(w, piece, now, status):
    """Put all neurons back to where they stood when the window began."""
    c, slots = w.counters, w.slots
    for n in range(c[Counter.KNOWN]):
        if slots.delivered[n]:
            _deliver(w, piece, n, -1, ALL)
    n_slots, c[Counter.SLOTS] = c[Counter.SLOTS], 0
    for slot in range(n_slots):
        restore(w.model, slots.neuron[slot], slots.before, slot)
        _enter(w, piece, slots.neuron[slot], now)
    while c[Counter.ARRIVAL] > 0 and piece.a + (w.scratch.loud[0, c[Counter.ARRIVAL] - 1] >> LOCAL_BITS) >= now:
        c[Counter.ARRIVAL] -= 1
    c[Counter.KNOWN], c[Counter.ARRIVED], c[Counter.PENDING], c[Counter.AGAIN], c[Counter.NEWS] = 0, 0, 0, 0, 0
    c[Counter.APART] = NONE if status == ONLY_IN_ORDER else ANEW


@merged
def _alive(w):
    """Return the number of spikes of the window."""
    alive = np.int64(0)
    for n in range(w.counters[Counter.KNOWN]):
        alive += w.slots.alive[n]
    return alive


@merged
def _end(w, piece, limit):
    """End the window: let the neurons set apart take part again, and emit their spikes. Return SPIKES_FULL, and do nothing, if there is no
    room for these."""
    c, slots, alive = w.counters, w.slots, _alive(w)
    if c[Counter.EMITTED] + alive > w.emitted.time.size:
        c[Counter.NEEDED] = c[Counter.EMITTED] + alive
        return np.int64(SPIKES_FULL)
    c[Counter.VOLUME] += alive
    n_slots, c[Counter.SLOTS] = c[Counter.SLOTS], 0
    for slot in range(n_slots):
        ahead = slots.neuron[min(slot + SOON, n_slots - 1)]
        if c[Counter.QUIET] == 0:
            prefetch(w.scratch.own, 2 * ahead)
        fetch(w.model, ahead)
        i, k = slots.neuron[slot], slots.made[slot]
        while k >= 0:
            gid, trigger_gid = np.int32(slots.gids[k] >> 32), np.int32(slots.gids[k] & LOW)
            emit(w.emitted, c, slots.time[k], gid, slots.trigger_time[k], trigger_gid)
            k = slots.after_it[k]
        restore(w.model, i, slots.after, slot)
        _enter(w, piece, i, limit)
    sort_spikes(w.emitted, c[Counter.WINDOW], c[Counter.EMITTED])
    c[Counter.APART] = NONE
    if c[Counter.FULL]:
        c[Counter.QUIET] = 0
        again(w, piece, limit - 1)
    return np.int64(OK)


@protocol
def step(model, w, piece, wire, what):
    """Do a step of the window [SETTLED, LIMIT), see `meeting.BEGIN`; return a status. `model` is that of `w`."""
    return _step(model, w, piece, wire, what)


def _step(model, w, piece, wire, what):
    now, limit, status = w.counters[Counter.SETTLED], w.counters[Counter.LIMIT], np.int64(OK)
    if what == BEGIN or (what == RESPOND and w.counters[Counter.APART] == ANEW):
        status = _begin(w, piece, now, limit)
    if what == RESPOND and status == OK:
        status = _respond(w, piece, now, limit, wire.rank)
    if what == TELL:
        status = _tell(w, wire)
    if what == END:
        status = _end(w, piece, limit)
    return status


def _no_step(model, w, piece, wire, what):
    w.counters[Counter.INORDER] = 1
    return np.int64(ONLY_IN_ORDER)


# what a model cannot do is not compiled for it: half a minute
overloaded(step, _step, lambda kind: kind is not None and kind not in IN_ORDER_ONLY)
overloaded(step, _no_step, lambda kind: kind in IN_ORDER_ONLY)
