"""A window that ranks settle neuron by neuron: where synapses without delay inhibit, and inputs add (``docs/design/together.md``).

A neuron that inhibition alone can reach, and that does nothing by itself in the window, does nothing: all that is delivered to it is added,
in any order, and subtracted again if it was not so. The few others are *set apart*, each in a slot: the state it had, its arrivals in the
window, its spikes. A row that meets one adds to its arrivals, and what it does is found anew. So what a round changes costs what it
changes. `tick` gives the same spikes; what this cannot do (ONLY_IN_ORDER) is left to it.

Owns `Slots` and, while a window is settled so, ``scratch.own`` of the neurons set apart: -1 and the slot.
"""

import numpy as np

from ..errors import OK, ONLY_IN_ORDER, QUEUE_FULL, SLOTS_FULL, SPIKES_FULL
from ..jit import bits_float, inner, merged
from ..models.protocol import FIRED, OVERFLOW, act, inhibit, own_event, receive, restore, save, set_apart
from ..queue import LOCAL_BITS
from ..state import ANEW, BEGUN, NO_ROWS, NO_TRIGGER, NONE, Counter
from .agenda import LOCAL_MASK, again, fetch_pointers, fetch_rows, gid_of, next_own, open_until, schedule, take_own
from .arrivals import row_of
from .emission import emission_key, emit, sort_spikes
from .messages import LOW, later
from .procedural import words_of

ROWS_AHEAD, POINTERS_AHEAD = 6, 12
"""Spikes ahead whose rows, and whose row pointers, are fetched: as in the bare loop of benchmarks/paper.py."""
ALL = 1 << 62


@merged
def _slot_of(w, i):
    """Return the slot of a neuron, -1 if it is not set apart."""
    slot = w.scratch.own[i, 1]
    return slot if 0 <= slot < w.counters[Counter.SLOTS] and w.slots.neuron[slot] == i else np.int64(-1)


@merged
def _anew(w, slot):
    """What a neuron does is to be found anew."""
    if w.slots.stale[slot] == 0:
        w.slots.stale[slot] = 1
        w.slots.again[w.counters[Counter.AGAIN]] = slot
        w.counters[Counter.AGAIN] += 1


@merged
def _set_apart(w, i):
    """Set a neuron apart; return a status."""
    slots, slot = w.slots, w.counters[Counter.SLOTS]
    if slot == slots.neuron.size:
        return SLOTS_FULL
    save(w.model, i, 1, slots.before[:, slot:])
    if not set_apart(w.model, i):
        w.counters[Counter.INORDER] = 1
        return ONLY_IN_ORDER
    slots.neuron[slot], slots.arrival[slot], slots.made[slot], slots.stale[slot] = i, -1, -1, 0
    w.scratch.own[i, 0], w.scratch.own[i, 1] = -1, slot
    w.counters[Counter.SLOTS] = slot + 1
    _anew(w, slot)
    return OK


@merged
def _arrive(w, slot, spike, weight):
    """Add an arrival; there must be room."""
    slots, e = w.slots, w.counters[Counter.ARRIVED]
    slots.spike[e], slots.weight[e], slots.before_it[e] = spike, weight, slots.arrival[slot]
    slots.arrival[slot] = e
    w.counters[Counter.ARRIVED] = e + 1


@merged
def _know(w, time, trigger_time, gids, generation):
    """Add a spike, whose rows are to be delivered; return its number, -1 if there is no room."""
    slots, n = w.slots, w.counters[Counter.KNOWN]
    if n == slots.time.size:
        return np.int64(-1)
    slots.time[n], slots.trigger_time[n], slots.gids[n], slots.generation[n] = time, trigger_time, gids, generation
    slots.alive[n], slots.delivered[n], slots.after_it[n] = 1, 0, -1
    slots.todo[w.counters[Counter.TODO]] = n
    w.counters[Counter.KNOWN], w.counters[Counter.TODO] = n + 1, w.counters[Counter.TODO] + 1
    return n


@merged
def _drop(w, n):
    """A spike is not made after all."""
    w.slots.alive[n] = 0
    w.slots.todo[w.counters[Counter.TODO]] = n
    w.counters[Counter.TODO] += 1


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
        status = OK if _slot_of(w, i) >= 0 else _set_apart(w, i)
        if status != OK:
            return np.int64(status)
        _arrive(w, _slot_of(w, i), -1 - m, bits_float(scratch.loud[1, m]))
        w.counters[Counter.ARRIVAL] = m + 1
    return np.int64(OK)


@inner
def begin(w, piece, now, limit):
    """Begin the window [now, limit): set neurons apart, and find what they do if no other spike arrives; return a status. One other than OK
    has undone everything."""
    c = w.counters
    c[Counter.SLOTS], c[Counter.KNOWN], c[Counter.ARRIVED], c[Counter.TODO], c[Counter.AGAIN], c[Counter.REMOTES] = 0, 0, 0, 0, 0, 0
    c[Counter.APART], c[Counter.CHANGED] = BEGUN, 0
    status = np.int64(OK)
    while status == OK:
        open_until(w, piece, limit)
        if c[Counter.HEAP] == 0 or next_own(w, piece) >= limit:
            break
        i = take_own(w, piece, next_own(w, piece))
        if i < 0:
            continue
        soon = own_event(w.model, i, piece.start, now) < limit
        if soon:
            status = _set_apart(w, i)
        if not soon or status != OK:
            schedule(w, piece, i, now - 1)
    if status == OK:
        status = _list_known(w, piece, limit)
    if status == OK:
        status = _find(w, piece, now, limit)
    if status == OK and c[Counter.FULL]:
        status = np.int64(QUEUE_FULL)
    if status != OK:
        _undo(w, piece, now, status)
    return status


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
def _drop_from(w, n):
    """Of a neuron, the spikes from number ``n`` on are not made after all."""
    while n >= 0:
        _drop(w, n)
        w.counters[Counter.CHANGED] = 1
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
    n = _know(w, time, trigger_time, gids, 0)
    w.counters[Counter.CHANGED] = 1
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
        reference, trigger_time, trigger_gid = w.scratch.loud[2, -1 - spike], np.int64(NO_TRIGGER), np.int64(-1)
        if reference >= 0:
            trigger_time, _, _, trigger_gid = emission_key(w.flight, w.train, reference)
        last, known = _make(w, slot, last, known, piece.start + at, trigger_time, np.int64(trigger_gid))
    return np.int64(OK if last >= 0 or code != FIRED else SLOTS_FULL), last, known


@merged
def _do(w, piece, slot, now, limit):
    """Find what a neuron does in the window, given its arrivals; return a status."""
    slots, i = w.slots, w.slots.neuron[slot]
    restore(w.model, i, slots.before, slot)
    n, k, status = _in_order(w, piece, slot), np.int64(0), np.int64(OK)
    last, known, own = np.int64(-1), slots.made[slot], own_event(w.model, i, piece.start, now)
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
    set_apart(w.model, i)
    return status


@merged
def _find(w, piece, now, limit):
    """Find anew what neurons do of which that is stale; return a status."""
    for k in range(w.counters[Counter.AGAIN]):
        slot = w.slots.again[k]
        w.slots.stale[slot] = 0
        status = _do(w, piece, slot, now, limit)
        if status != OK:
            return status
    w.counters[Counter.AGAIN] = 0
    return np.int64(OK)


@merged
def _deliver_block(w, piece, n, sign, p, block, row):
    """Deliver a spike to a block, or take it back; return a status. After SLOTS_FULL it is delivered, but not all have its arrival."""
    slots, first = w.slots, w.blocks.first[block]
    begin, stop = words_of(w.synapses, w.blocks, p, block, row)
    weights, weight, met = w.synapses.weights[:0], w.synapses.weight[p], w.scratch.touched
    if w.synapses.weighted[p]:
        own = w.synapses.weight_base[p, block] - w.synapses.base[p, block]
        weights = w.synapses.weights[own + begin : own + stop]
    at, words = slots.time[n] - piece.start, w.synapses.words32
    m = inhibit(w.model, first, w.blocks.alike[block], words, begin, stop, weight, weights, sign, piece.start, at, met)
    if m < 0:
        w.counters[Counter.INORDER] = 1
        return np.int64(ONLY_IN_ORDER)
    w.counters[Counter.RECURRENT] += sign * (stop - begin)
    if sign > 0 and w.counters[Counter.ARRIVED] + m > slots.spike.size:
        return np.int64(SLOTS_FULL)
    for k in range(m):
        slot = _slot_of(w, first + np.int64(words[met[k]]))
        if sign > 0:
            _arrive(w, slot, n, weights[met[k] - begin] if weights.size else weight)
        _anew(w, slot)
    return np.int64(OK)


@inner
def _deliver(w, piece, n, sign, most):
    """Deliver a spike to the first ``most`` blocks that it reaches, or take it back; return a status and to how many it is delivered."""
    gid, done = w.slots.gids[n] >> 32, np.int64(0)
    for p in range(w.synapses.kind.size):
        row = row_of(w.synapses, p, gid) if w.synapses.instant[p] else -1
        for block in range(w.blocks.gid.size if row >= 0 else 0):
            if w.synapses.index[p, block] == NO_ROWS:
                continue
            if done == most:
                return np.int64(OK), done
            status = _deliver_block(w, piece, n, sign, p, block, row)
            if status != OK:
                return status, done + (status == SLOTS_FULL)
            done += 1
    return np.int64(OK), done


@merged
def _deliver_all(w, piece):
    """Deliver, or take back, what is to be; return a status."""
    slots, n_todo = w.slots, w.counters[Counter.TODO]
    for k in range(min(n_todo, POINTERS_AHEAD)):
        fetch_pointers(w.blocks, w.synapses, slots.gids[slots.todo[k]] >> 32)
    for k in range(min(n_todo, ROWS_AHEAD)):
        fetch_rows(w.blocks, w.synapses, slots.gids[slots.todo[k]] >> 32)
    for k in range(n_todo):
        if k + POINTERS_AHEAD < n_todo:
            fetch_pointers(w.blocks, w.synapses, slots.gids[slots.todo[k + POINTERS_AHEAD]] >> 32)
        if k + ROWS_AHEAD < n_todo:
            fetch_rows(w.blocks, w.synapses, slots.gids[slots.todo[k + ROWS_AHEAD]] >> 32)
        n = slots.todo[k]
        if slots.alive[n] == slots.delivered[n]:
            continue
        sign = 1 if slots.alive[n] else -1
        status, done = _deliver(w, piece, n, sign, ALL)
        if status != OK:
            _deliver(w, piece, n, -sign, done)
            return status
        slots.delivered[n] = slots.alive[n]
    w.counters[Counter.TODO] = 0
    return np.int64(OK)


@merged
def _comes_later(w, box, m, n):
    """Does row ``m`` of a box come after the spike ``n``?"""
    slots = w.slots
    return later(box, m, slots.time[n], slots.generation[n], slots.trigger_time[n], slots.gids[n])


@merged
def _is(w, box, m, n):
    slots = w.slots
    same = slots.time[n] == box[m, 0] and slots.trigger_time[n] == box[m, 1]
    return same and slots.gids[n] == box[m, 2] and slots.generation[n] == box[m, 3]


@merged
def _take_in(w, box, n):
    """Make the sorted spikes of ``box`` those of other ranks; return a status."""
    slots, before, a = w.slots, w.counters[Counter.REMOTES], np.int64(0)
    if w.counters[Counter.KNOWN] + n > slots.time.size:
        return np.int64(SLOTS_FULL)
    for m in range(n):
        while a < before and _comes_later(w, box, m, slots.remote[a]):
            _drop(w, slots.remote[a])
            a += 1
        if a < before and _is(w, box, m, slots.remote[a]):
            slots.fresh[m] = slots.remote[a]
            a += 1
        else:
            slots.fresh[m] = _know(w, box[m, 0], box[m, 1], box[m, 2], box[m, 3])
    for rest in range(a, before):
        _drop(w, slots.remote[rest])
    for m in range(n):
        slots.remote[m] = slots.fresh[m]
    w.counters[Counter.REMOTES] = n
    return np.int64(OK)


@inner
def respond(w, piece, now, limit, inbox, n):
    """Take in the ``n`` sorted spikes that the other ranks tell, and find what that changes; return a status. One other than OK has undone
    everything."""
    c, status = w.counters, np.int64(OK)
    if c[Counter.APART] == ANEW:
        status = begin(w, piece, now, limit)
        if status != OK:
            return status
        c[Counter.CHANGED] = 1
    else:
        c[Counter.CHANGED] = 0
    status = _take_in(w, inbox, n)
    while status == OK and c[Counter.TODO] > 0:
        if c[Counter.VOLUME] + c[Counter.KNOWN] >= w.synapses.safe:
            status = np.int64(ONLY_IN_ORDER)
        if status == OK:
            status = _deliver_all(w, piece)
        if status == OK:
            status = _find(w, piece, now, limit)
    if status != OK:
        _undo(w, piece, now, status)
    return status


@inner
def tell(w, box):
    """Write the spikes of the neurons set apart into ``box``; return their number."""
    slots, n = w.slots, np.int64(0)
    for slot in range(w.counters[Counter.SLOTS]):
        k = slots.made[slot]
        while k >= 0:
            box[n, 0], box[n, 1], box[n, 2], box[n, 3] = slots.time[k], slots.trigger_time[k], slots.gids[k], slots.generation[k]
            n += 1
            k = slots.after_it[k]
    return n


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
        w.scratch.own[slots.neuron[slot], 0] = -1
        schedule(w, piece, slots.neuron[slot], now - 1)
    while c[Counter.ARRIVAL] > 0 and piece.a + (w.scratch.loud[0, c[Counter.ARRIVAL] - 1] >> LOCAL_BITS) >= now:
        c[Counter.ARRIVAL] -= 1
    c[Counter.KNOWN], c[Counter.ARRIVED], c[Counter.TODO], c[Counter.AGAIN], c[Counter.REMOTES] = 0, 0, 0, 0, 0
    c[Counter.APART] = NONE if status == ONLY_IN_ORDER else ANEW


@merged
def _alive(w):
    """Return the number of spikes of the window."""
    alive = np.int64(0)
    for n in range(w.counters[Counter.KNOWN]):
        alive += w.slots.alive[n]
    return alive


@inner
def end(w, piece, limit):
    """End the window: let the neurons set apart take part again, and emit their spikes. Return SPIKES_FULL, and do nothing, if there is no
    room for these."""
    c, slots, alive = w.counters, w.slots, _alive(w)
    if c[Counter.EMITTED] + alive > w.emitted.time.size:
        c[Counter.NEEDED] = c[Counter.EMITTED] + alive
        return np.int64(SPIKES_FULL)
    c[Counter.VOLUME] += alive
    n_slots, c[Counter.SLOTS] = c[Counter.SLOTS], 0
    for slot in range(n_slots):
        i, k = slots.neuron[slot], slots.made[slot]
        while k >= 0:
            gid, trigger_gid = np.int32(slots.gids[k] >> 32), np.int32(slots.gids[k] & LOW)
            emit(w.emitted, c, slots.time[k], gid, slots.trigger_time[k], trigger_gid)
            k = slots.after_it[k]
        restore(w.model, i, slots.after, slot)
        w.scratch.own[i, 0] = -1
        schedule(w, piece, i, limit - 1)
    sort_spikes(w.emitted, c[Counter.WINDOW], c[Counter.EMITTED])
    c[Counter.APART] = NONE
    if c[Counter.FULL]:
        again(w, piece, limit - 1)
    return np.int64(OK)
