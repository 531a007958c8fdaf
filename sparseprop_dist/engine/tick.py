"""One tick of the schedules that ask only neurons that may act: own events, arrivals known ahead, then generation by generation what spikes
deliver without delay (``docs/design/order.md``).

Owns the order inside a tick, and the log by which a tick can be taken back. Spikes of other ranks take part in their generations.
"""

import numpy as np

from ..errors import CASCADE, LOG_FULL, OK, STATE_OVERFLOW
from ..gaps import next_target
from ..jit import bits_float, float_bits, inner, merged
from ..models.protocol import FIRED, OVERFLOW, UNKNOWN, act, mark, own_event, receive, restore, save, strike, strike_back
from ..queue import LOCAL_BITS, pop, push
from ..state import NO_TRIGGER, NOT_STORED, Counter, Tract
from .agenda import LOCAL_MASK, gid_of, local_of, next_own, schedule, take_own
from .emission import emit, fire, sort_spikes
from .entries import LAST, MARK, NEURON, ORDER, do_entries, fetch_ahead, key_of, leave
from .tracts import tracts_of, weights_in, words_in


@merged
def _log(w, piece, i, now):
    """Log the state of neuron ``i`` before it changes; return a status."""
    n = w.counters[Counter.LOG]
    if w.log.tick.size == 0:
        return OK
    if n == w.log.tick.size:
        return LOG_FULL
    w.log.tick[n], w.log.neuron[n] = piece.start + now, i
    save(w.model, i, 1, w.log.state[:, n:])
    w.counters[Counter.LOG] = n + 1
    return OK


@merged
def _own_events(w, piece, now):
    """Do what neurons do by themselves at an offset; return a status."""
    while w.counters[Counter.HEAP] > 0 and next_own(w, piece) == now:
        if 0 < w.log.tick.size == w.counters[Counter.LOG]:
            return LOG_FULL
        i = take_own(w, piece, now)
        if i < 0:
            continue
        status = _log(w, piece, i, now)
        if status != OK:
            return status
        # changed since it was entered, it acts later
        seen = mark(w.model, i)
        due = (seen == w.scratch.own[i, 1] and seen != UNKNOWN) or own_event(w.model, i, piece.start, now) == now
        if due and act(w.model, i, piece.start, now) == FIRED:
            w.scratch.fired[i] = piece.start + now
            emit(w.emitted, w.counters, piece.start + now, gid_of(w.blocks, i), np.int64(NO_TRIGGER), np.int32(-1))
        schedule(w, piece, i, now)
    return OK


@merged
def _arrivals(w, piece, now):
    """Deliver the listed arrivals of an offset; return a status."""
    while w.counters[Counter.ARRIVAL] < w.counters[Counter.ARRIVALS]:
        m = w.counters[Counter.ARRIVAL]
        if piece.a + (w.scratch.loud[0, m] >> LOCAL_BITS) != now:
            break
        w.counters[Counter.ARRIVAL] += 1
        i = w.scratch.loud[0, m] & LOCAL_MASK
        status = _log(w, piece, i, now)
        if status != OK:
            return status
        code = receive(w.model, i, piece.start, now, bits_float(w.scratch.loud[1, m]))
        if code == OVERFLOW:
            w.counters[Counter.CULPRIT] = i
            return STATE_OVERFLOW
        if code == FIRED:
            w.scratch.fired[i] = piece.start + now
            time, gid = piece.start + now, gid_of(w.blocks, i)
            fire(w.emitted, w.counters, w.flight, w.train, time, gid, w.scratch.loud[2, m])
        schedule(w, piece, i, now)
    return OK


@merged
def _log_row(w, piece, p, block, begin, stop, now, weighted):
    """Log a row before it is delivered: as one where the model can take it back, else each of its neurons; return a status."""
    n, first = w.counters[Counter.LOG], w.blocks.first[block]
    if w.log.tick.size == 0:
        return OK
    if n + stop - begin >= w.log.tick.size:
        return LOG_FULL
    alike, weight = w.blocks.alike[block], w.synapses.weight[p]
    if not weighted and strike_back(w.model, first, alike, w.synapses.targets, begin, begin, weight, piece.start, now):
        w.log.tick[n], w.log.neuron[n] = piece.start + now, ~block
        w.log.state[0, n], w.log.state[1, n], w.log.state[2, n] = begin, stop, float_bits(weight)
        w.counters[Counter.LOG] = n + 1
        return OK
    target = np.uint64(0)
    for q in range(begin, stop):
        target = next_target(w.synapses.targets, q, target)
        _log(w, piece, first + np.int64(target), now)
    return OK


@merged
def _deliver(w, piece, t, now, gid):
    """Deliver the spike of ``gid`` to a tract; return a status."""
    p, block = w.synapses.tract[t, Tract.PATHWAY], w.synapses.tract[t, Tract.BLOCK]
    first = w.blocks.first[block]
    begin, stop = words_in(w.synapses, w.blocks, t, gid)
    own, last = weights_in(w.synapses, t, begin, stop)
    weights = w.synapses.weights[own:last]
    # words made for this spike are gone when it is taken back
    status = _log_row(w, piece, p, block, begin, stop, now, weights.size > 0 or w.synapses.tract[t, Tract.PLACE] == NOT_STORED)
    if status != OK:
        return status
    alike, weight, touched = w.blocks.alike[block], w.synapses.weight[p], w.scratch.touched
    n = strike(w.model, first, alike, w.synapses.targets, begin, stop, weight, weights, piece.start, now, piece.b, touched)
    w.counters[Counter.RECURRENT] += stop - begin
    if n and w.counters[Counter.QUIET]:
        leave(w, piece, now)
    for k in range(n):
        target = touched[k]
        i = first + max(target, ~target)
        if target < 0:
            if w.scratch.fired[i] == piece.start + now:
                w.counters[Counter.CULPRIT] = i
                return CASCADE
            w.scratch.fired[i] = piece.start + now
            emit(w.emitted, w.counters, piece.start + now, gid_of(w.blocks, i), piece.start + now, np.int32(gid))
        schedule(w, piece, i, now)
    return OK


@merged
def _spread(w, piece, now, gid):
    """Deliver the spike of ``gid`` without delay; return a status."""
    first, last = tracts_of(w.synapses, gid)
    for t in range(first, last):
        status = _deliver(w, piece, t, now, gid)
        if status != OK:
            return status
    return OK


@merged
def _remote_first(w, tick, generation, s, stop):
    """Does the next spike of another rank come before the own spike ``s`` of this generation (``stop``: there is none)?"""
    m = w.counters[Counter.REMOTE]
    remote, own = w.remote, w.emitted
    if m == w.counters[Counter.REMOTES] or remote.time[m] != tick or remote.generation[m] != generation:
        return False
    if s == stop:
        return True
    key = (remote.trigger_time[m], remote.trigger_gid[m], remote.gid[m])
    return key < (own.trigger_time[s], own.trigger_gid[s], own.gid[s])


@inner
def _generations(w, piece, now, begin, generation):
    """Deliver without delay the spikes of a generation of this tick, the own ones from number ``begin`` on, and those that they make;
    return a status."""
    tick, none = piece.start + now, np.int64(0)
    while begin < w.counters[Counter.EMITTED] or _remote_first(w, tick, generation, none, none):
        s, stop = begin, w.counters[Counter.EMITTED]
        if stop - begin > 1:
            sort_spikes(w.emitted, begin, stop)
        while True:
            if _remote_first(w, tick, generation, s, stop):
                gid = np.int64(w.remote.gid[w.counters[Counter.REMOTE]])
                w.counters[Counter.REMOTE] += 1
            elif s < stop:
                gid = np.int64(w.emitted.gid[s])
                w.emitted.generation[s] = generation
                s += 1
            else:
                break
            w.counters[Counter.VOLUME] += 1
            status = _spread(w, piece, now, gid)
            if status != OK:
                for made in range(stop, w.counters[Counter.EMITTED]):
                    w.emitted.generation[made] = generation + 1
                for left in range(s, stop):
                    w.emitted.generation[left] = generation
                return status
        begin = stop
        generation += 1
    while w.counters[Counter.REMOTE] < w.counters[Counter.REMOTES] and w.remote.time[w.counters[Counter.REMOTE]] == tick:
        w.counters[Counter.REMOTE] += 1  # without cause: none of the generation before. Two ranks could make each other believe in it
    return OK


@merged
def do_tick(w, piece, now):
    """Do all that happens at an offset; return a status. There must be room for the spikes."""
    begin, status = w.counters[Counter.EMITTED], OK
    if w.counters[Counter.QUIET]:
        do_entries(w, piece, now)
    else:
        status = _own_events(w, piece, now)
        if status == OK:
            status = _arrivals(w, piece, now)
    if status == OK:
        status = _generations(w, piece, now, begin, np.int64(0))
    return status


@merged
def run_quietly(w, piece, limit):
    """Go through a quiet piece up to the offset ``limit``, one neuron after the other, as far as it is quiet, no two act at one tick, and
    there is room: the rest is left to `do_tick`. Returns a status.

    As `do_entries` and `_generations`. Where it stands is kept in registers: what the next spike waits for is what a spike costs beside its
    row, since a row fills the core's window of instructions.
    """
    c, entry, heap, emitted, model = w.counters, w.scratch.entry, w.scratch.heap, w.emitted, w.model
    q, last, n, made = c[Counter.ENTRY], c[Counter.LAST_ENTRY], c[Counter.HEAP], c[Counter.EMITTED]
    most = min(emitted.time.size, made + w.synapses.safe - c[Counter.VOLUME])
    start, a, end, status = piece.start, piece.a, key_of(limit - piece.a), OK
    while made < most and n < heap.size - 1:
        key, other = entry[ORDER, q] if q < last else np.int64(LAST), heap[0] if n > 0 else np.int64(LAST)
        if min(key, other) >= end:
            break
        seen = np.int64(UNKNOWN)
        if key <= other:
            fetch_ahead(w, q)
            k = key & LOCAL_MASK
            i, seen = entry[NEURON, k], entry[MARK, k]
            q += 1
            key, other = other, key
            if q < last:
                key = min(key, entry[ORDER, q])
        else:
            i = other & LOCAL_MASK
            n = pop(heap, n)
            if n > 0:
                key = min(key, heap[0])
        if key >> LOCAL_BITS == other >> LOCAL_BITS:
            n = push(heap, n, other & ~LOCAL_MASK | i)
            break
        now = a + (other >> LOCAL_BITS)
        offset = now if seen != UNKNOWN and mark(model, i) == seen else own_event(model, i, start, now)
        fires = offset == now and act(model, i, start, now) == FIRED
        if offset == now:
            offset = own_event(model, i, start, now + 1)
        if offset < piece.b:
            n = push(heap, n, (offset - a) << LOCAL_BITS | i)
        if fires:
            gid = gid_of(w.blocks, i)
            emitted.time[made], emitted.gid[made], emitted.generation[made] = start + now, gid, 0
            emitted.trigger_time[made], emitted.trigger_gid[made] = NO_TRIGGER, -1
            made += 1
            c[Counter.EMITTED] = made
            c[Counter.VOLUME] += 1
            status = _spread(w, piece, now, gid)
            if c[Counter.QUIET] == 0:
                return status if status != OK else _generations(w, piece, now, made, np.int64(1))
    c[Counter.ENTRY], c[Counter.HEAP] = q, n
    return status


@inner
def take_back(w, piece, now):
    """Undo everything from an offset on."""
    tick, log = piece.start + now, w.log
    stop = n = w.counters[Counter.LOG]
    while n > 0 and log.tick[n - 1] >= tick:
        n -= 1
        i, state = log.neuron[n], log.state
        if i >= 0:
            restore(w.model, i, state[:, n:], 0)
            w.scratch.own[i, 0] = -1
        else:
            block = ~i
            first, alike, words = w.blocks.first[block], w.blocks.alike[block], w.synapses.targets
            at = log.tick[n] - piece.start
            strike_back(w.model, first, alike, words, state[0, n], state[1, n], bits_float(state[2, n]), piece.start, at)
    w.counters[Counter.LOG] = n
    while w.counters[Counter.EMITTED] > w.counters[Counter.WINDOW] and w.emitted.time[w.counters[Counter.EMITTED] - 1] >= tick:
        w.counters[Counter.EMITTED] -= 1
        w.scratch.fired[local_of(w.blocks, w.emitted.gid[w.counters[Counter.EMITTED]])] = -1
    while w.counters[Counter.ARRIVAL] > 0 and piece.a + (w.scratch.loud[0, w.counters[Counter.ARRIVAL] - 1] >> LOCAL_BITS) >= now:
        w.counters[Counter.ARRIVAL] -= 1
    w.counters[Counter.REMOTE] = np.searchsorted(w.remote.time[: w.counters[Counter.REMOTES]], tick)
    for k in range(n, stop):
        if log.neuron[k] >= 0:
            schedule(w, piece, log.neuron[k], now - 1)
