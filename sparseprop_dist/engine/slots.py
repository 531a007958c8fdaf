"""Neurons set apart: those of which it has to be found out what they do in a window, each by itself.

A neuron in a *slot* has the state that it had when the window began, its arrivals in the window, and the spikes that it makes, given these.
Owns `Slots` and, of the neurons in slots, ``scratch.own``: -1 and the slot. See `apart`, whose windows they are of.
"""

import numpy as np

from ..errors import OK, ONLY_IN_ORDER, SLOTS_FULL
from ..jit import inner, merged
from ..models.protocol import FIRED, OVERFLOW, act, own_event, receive, restore, save, set_apart
from ..queue import LOCAL_BITS
from ..state import NO_TRIGGER, Counter
from .agenda import gid_of
from .emission import trigger_of
from .messages import LOW


@merged
def slot_of(w, i):
    """Return the slot of a neuron, -1 if it is not set apart."""
    slot = w.scratch.own[i, 1]
    return slot if 0 <= slot < w.counters[Counter.SLOTS] and w.slots.neuron[slot] == i else np.int64(-1)


@merged
def anew(w, slot):
    """What a neuron does is to be found anew."""
    if w.slots.stale[slot] == 0:
        w.slots.stale[slot] = 1
        w.slots.again[w.counters[Counter.AGAIN]] = slot
        w.counters[Counter.AGAIN] += 1


@merged
def put(w, i):
    """Put a neuron into a slot; return a status. Until `find` it has its state."""
    slots, slot = w.slots, w.counters[Counter.SLOTS]
    if slot == slots.neuron.size:
        return np.int64(SLOTS_FULL)
    save(w.model, i, 1, slots.before[:, slot:])
    slots.neuron[slot], slots.arrival[slot], slots.made[slot], slots.stale[slot] = i, -1, -1, 0
    w.scratch.own[i, 0], w.scratch.own[i, 1] = -1, slot
    w.counters[Counter.SLOTS] = slot + 1
    return np.int64(OK)


@merged
def arrive(w, slot, spike, weight):
    """Add an arrival; there must be room."""
    slots, e = w.slots, w.counters[Counter.ARRIVED]
    slots.spike[e], slots.weight[e], slots.before_it[e] = spike, weight, slots.arrival[slot]
    slots.arrival[slot] = e
    w.counters[Counter.ARRIVED] = e + 1


@merged
def know(w, time, trigger_time, gids, generation):
    """Add a spike, whose rows are to be delivered; return its number, -1 if there is no room."""
    slots, n = w.slots, w.counters[Counter.KNOWN]
    if n == slots.time.size:
        return np.int64(-1)
    slots.time[n], slots.trigger_time[n], slots.gids[n], slots.generation[n] = time, trigger_time, gids, generation
    slots.alive[n], slots.delivered[n], slots.after_it[n], slots.row[n] = 1, 0, -1, -1
    slots.pending[w.counters[Counter.PENDING]] = n
    w.counters[Counter.KNOWN], w.counters[Counter.PENDING] = n + 1, w.counters[Counter.PENDING] + 1
    return n


@merged
def drop(w, n):
    """A spike is not made after all."""
    w.slots.alive[n] = 0
    w.slots.pending[w.counters[Counter.PENDING]] = n
    w.counters[Counter.PENDING] += 1


@merged
def _offset(w, piece, e):
    """Return the offset of an arrival."""
    spike = w.slots.spike[e]
    return w.slots.time[spike] - piece.start if spike >= 0 else piece.a + (w.scratch.loud[0, -1 - spike] >> LOCAL_BITS)


@merged
def _comes_before(w, piece, e, f):
    """Does an arrival come before another at the same neuron? In the order of `tick`; two synapses of one spike as they were met."""
    slots, x, y = w.slots, w.slots.spike[e], w.slots.spike[f]
    at, other = _offset(w, piece, e), _offset(w, piece, f)
    if at != other or x == y:
        return at < other or (at == other and e < f)
    if x < 0 or y < 0:
        return x > y if x < 0 and y < 0 else x < 0
    if slots.generation[x] != slots.generation[y]:
        return slots.generation[x] < slots.generation[y]
    key = (slots.trigger_time[x], np.int32(slots.gids[x] & LOW), slots.gids[x] >> 32)
    return key < (slots.trigger_time[y], np.int32(slots.gids[y] & LOW), slots.gids[y] >> 32)


@merged
def _in_order(w, piece, slot):
    """Bring the arrivals of a neuron into their order; return their number."""
    slots, n, e = w.slots, np.int64(0), w.slots.arrival[slot]
    while e >= 0:
        if slots.spike[e] < 0 or slots.alive[slots.spike[e]]:
            slots.order[n] = e
            n += 1
        e = slots.before_it[e]
    for k in range(n >> 1):  # they were met nearly in order
        slots.order[k], slots.order[n - 1 - k] = slots.order[n - 1 - k], slots.order[k]
    for k in range(1, n):
        e, q = slots.order[k], k
        while q > 0 and _comes_before(w, piece, e, slots.order[q - 1]):
            slots.order[q] = slots.order[q - 1]
            q -= 1
        slots.order[q] = e
    return n


@merged
def _note(w, n):
    """Note that there is something new to tell of an own spike."""
    w.slots.news[w.counters[Counter.NEWS]] = n
    w.counters[Counter.NEWS] += 1


@merged
def _drop_from(w, n):
    """Of a neuron, the spikes from number ``n`` on are not made after all."""
    while n >= 0:
        drop(w, n)
        _note(w, n)
        n = w.slots.after_it[n]


@merged
def _make(w, slot, last, known, time, trigger_time, trigger_gid):
    """A neuron fires, after its spike ``last``. ``known`` is what it was taken to do next. Return the number of the spike, -1 if there is
    no room, and what it was taken to do after it."""
    slots = w.slots
    gids = np.int64(gid_of(w.blocks, slots.neuron[slot])) << 32 | (np.int64(trigger_gid) & LOW)
    if known >= 0 and slots.time[known] == time and slots.trigger_time[known] == trigger_time and slots.gids[known] == gids:
        return known, slots.after_it[known]
    _drop_from(w, known)
    n = know(w, time, trigger_time, gids, 0)
    if n < 0:
        return n, n
    _note(w, n)
    if last < 0:
        slots.made[slot] = n
    else:
        slots.after_it[last] = n
    return n, np.int64(-1)


@merged
def _receive(w, piece, i, e, at, slot, last, known):
    """Let an arrival come to a neuron; return a status, its last spike and what it was taken to do next."""
    spike = w.slots.spike[e]
    code = receive(w.model, i, piece.start, at, w.slots.weight[e])
    if code == OVERFLOW or (code == FIRED and spike >= 0):
        return np.int64(ONLY_IN_ORDER), last, known
    if code == FIRED:
        trigger_time, trigger_gid = trigger_of(w.flight, w.train, w.scratch.loud[2, -1 - spike])
        last, known = _make(w, slot, last, known, piece.start + at, trigger_time, np.int64(trigger_gid))
    return np.int64(OK if last >= 0 or code != FIRED else SLOTS_FULL), last, known


@inner
def find(w, piece, slot, own, limit):
    """Find what a neuron does in the window, whose own event comes at ``own`` unless something arrives before; return a status. It is left
    marked as set apart."""
    slots, i = w.slots, w.slots.neuron[slot]
    n, k, status = _in_order(w, piece, slot), np.int64(0), np.int64(OK)
    last, known = np.int64(-1), slots.made[slot]
    while True:
        at = min(own, _offset(w, piece, slots.order[k]) if k < n else limit)
        if at >= limit:
            break
        if own == at and act(w.model, i, piece.start, at) == FIRED:
            last, known = _make(w, slot, last, known, piece.start + at, np.int64(NO_TRIGGER), np.int64(-1))
            status = np.int64(OK if last >= 0 else SLOTS_FULL)
        while status == OK and k < n and _offset(w, piece, slots.order[k]) == at:
            status, last, known = _receive(w, piece, i, slots.order[k], at, slot, last, known)
            k += 1
        if status != OK:
            return status
        own = own_event(w.model, i, piece.start, at + 1)
    _drop_from(w, known)
    if last < 0:
        slots.made[slot] = -1
    else:
        slots.after_it[last] = -1
    save(w.model, i, 1, slots.after[:, slot:])
    if not set_apart(w.model, i):
        w.counters[Counter.INORDER] = 1
        return np.int64(ONLY_IN_ORDER)
    return status


@merged
def find_all(w, piece, now, limit):
    """Find anew what neurons do of which that may have changed; return a status."""
    slots, status = w.slots, np.int64(OK)
    for k in range(w.counters[Counter.AGAIN]):
        slot = slots.again[k]
        slots.stale[slot] = 0
        if status == OK:
            restore(w.model, slots.neuron[slot], slots.before, slot)
            status = find(w, piece, slot, own_event(w.model, slots.neuron[slot], piece.start, now), limit)
    w.counters[Counter.AGAIN] = 0
    return status
