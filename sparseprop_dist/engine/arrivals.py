"""Which arrivals fall into a piece of the clock, and where their words are.

Owns the passes over synapses that the schedules share: `collect` (spikes with arrivals in the piece), `locate` (their words in one block),
`pick_rows` (list those of loud neurons); `cells` sums them. The order of spikes is in `docs/design/order.md`.
"""

import numpy as np

from ..errors import EVENTS_FULL, OK
from ..jit import STRIDE, count_below, float_bits, inner, prefetch, spread
from ..state import CONSTANT, DELAYED_32, DELAYED_64, TARGET_BITS, Counter

TARGET_MASK = (1 << TARGET_BITS) - 1
AHEAD = 8
"""Spikes whose words are fetched ahead: rows lie anywhere in memory."""
MOST_32, MOST_64 = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFFFFFFFFFF)
"""The largest words; no synapse has them (`build.synapses.delay_format` leaves the highest delay free)."""


@inner
def row_of(synapses, p, gid):
    """Return the row of a source in a pathway, or -1 if it is not one of its sources."""
    for r in range(synapses.range_ptr[p], synapses.range_ptr[p + 1]):
        if synapses.range_first[r] <= gid < synapses.range_stop[r]:
            return gid - synapses.range_first[r] + synapses.range_row[r]
    return -1


@inner
def one_delay(synapses, p):
    """Have all synapses of a pathway the same delay?"""
    return synapses.kind[p] != DELAYED_32 and synapses.kind[p] != DELAYED_64


@inner
def collect(synapses, flight, train, counters, start, a, b, scratch):
    """List, for each pathway, the spikes that have arrivals at offsets in [a, b) of the slab that starts at tick ``start``."""
    n = 0
    for p in range(synapses.kind.size):
        scratch.active_ptr[p] = n
        if synapses.instant[p]:
            continue
        of_train = np.int64(synapses.train[p])
        spikes = train if of_train else flight
        times = spikes.time[: spikes.time.size if of_train else counters[Counter.FLIGHT]]
        low = np.searchsorted(times, start + a - synapses.reach[p])
        high = np.searchsorted(times, start + b - synapses.delay[p])
        if n + high - low > scratch.active_row.size:
            counters[Counter.NEEDED] = n + high - low
            return EVENTS_FULL
        delay = synapses.delay[p] if one_delay(synapses, p) else 0
        for s in range(low, high):
            row = row_of(synapses, p, np.int64(spikes.gid[s]))
            if row >= 0:
                scratch.active_row[n] = row
                scratch.active_offset[n] = times[s] + delay - start
                scratch.active_spike[n] = s << 1 | of_train
                n += 1
    scratch.active_ptr[synapses.kind.size] = n
    return OK


@inner
def _below(words, q, stop, limit):
    """Return the first of the sorted words from ``q`` on that is not below ``limit``, at most ``stop``."""
    while q < stop:
        n = count_below(words, q, limit, stop - q)
        q += n
        if n < STRIDE:
            break
    return q


@inner
def _limit(ticks, unit, block_bits, most):
    """Return the smallest word whose delay is at least ``ticks``, or the largest word, ``most``, if there is none."""
    units = max(0, (ticks + (1 << unit) - 1) >> unit)
    return most if units > np.int64(most >> np.uint64(block_bits)) else np.uint64(units << block_bits)


@inner
def _locate_delayed(synapses, words, most, p, block, block_bits, cursors, a, b, scratch, n_keys):
    """As `locate`, for rows sorted by delay: from the cursor of each, or from its start if that is not known, and write the keys of their
    arrivals too."""
    base, unit = synapses.base[p, block], synapses.unit[p]
    pointers = synapses.row_ptr[synapses.index[p, block] :]
    scratch.key_ptr[p, 0] = n_keys
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        ahead = min(k + AHEAD, scratch.active_ptr[p + 1] - 1)
        place = base + cursors[scratch.active_spike[ahead] >> 1]
        prefetch(words, place)
        prefetch(words, place + STRIDE)
        emitted, cursor, row = scratch.active_offset[k], cursors[scratch.active_spike[k] >> 1], scratch.active_row[k]
        q, stop = base + pointers[row], base + pointers[row + 1]
        if cursor >= 0:
            q = base + cursor
        else:
            q = _below(words, q, stop, _limit(a - emitted, unit, block_bits, most))
        if n_keys + stop - q + STRIDE > scratch.keys.size:
            return np.int64(-1)
        scratch.slice_first[k], scratch.slice_key[k] = q, n_keys
        limit = _limit(b - emitted, unit, block_bits, most)
        while q < stop:
            spread(words, q, scratch.keys, n_keys, block_bits, unit, emitted, TARGET_BITS)
            n = count_below(words, q, limit, stop - q)
            q += n
            n_keys += n
            if n < STRIDE:
                break
        scratch.slice_stop[k] = q
    scratch.key_ptr[p, 1] = n_keys
    return n_keys


@inner
def locate(synapses, p, block, block_bits, flight, train, a, b, scratch, n_keys):
    """Write the slice of words that each active spike of a pathway delivers to a block in the piece.

    Arrivals with delays of their own are also written to ``scratch.keys``, behind the first ``n_keys``. Returns the number of arrivals and
    the new number of keys; both -1 if there is no room for those.
    """
    if not one_delay(synapses, p):
        cursors = (train if synapses.train[p] else flight).cursors[synapses.cursor[p, block]]
        if synapses.kind[p] == DELAYED_32:
            n = _locate_delayed(synapses, synapses.words32, MOST_32, p, block, block_bits, cursors, a, b, scratch, n_keys)
        else:
            n = _locate_delayed(synapses, synapses.words64, MOST_64, p, block, block_bits, cursors, a, b, scratch, n_keys)
        return (n, n) if n < 0 else (n - n_keys, n)
    base = synapses.base[p, block]
    pointers = synapses.row_ptr[synapses.index[p, block] :]
    n = np.int64(0)
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        row = scratch.active_row[k]
        first, stop = base + pointers[row], base + pointers[row + 1]
        scratch.slice_first[k], scratch.slice_stop[k] = first, stop
        n += stop - first
    return n, n_keys


@inner
def keep_cursors(synapses, p, block, flight, train, scratch):
    """Remember where the rows of a pathway with delays stand in a block, after their slices were delivered."""
    if one_delay(synapses, p):
        return
    cursors = (train if synapses.train[p] else flight).cursors[synapses.cursor[p, block]]
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        cursors[scratch.active_spike[k] >> 1] = scratch.slice_stop[k] - synapses.base[p, block]


@inner
def word_of(synapses, p, q):
    """Return word ``q`` of a pathway."""
    if synapses.kind[p] == CONSTANT:
        return np.int64(synapses.words16[q])
    return np.int64(synapses.words64[q]) if synapses.kind[p] == DELAYED_64 else np.int64(synapses.words32[q])


@inner
def arrival_of(synapses, p, block_bits, k, q, scratch):
    """Return the offset at which word ``q`` of the ``k``-th active spike arrives, and its target in the block."""
    word = word_of(synapses, p, q)
    if one_delay(synapses, p):
        return scratch.active_offset[k], word
    return scratch.active_offset[k] + ((word >> block_bits) << synapses.unit[p]), word & ((1 << block_bits) - 1)


@inner
def weight_of(synapses, p, block, q):
    """Return the weight of word ``q`` of a pathway."""
    return synapses.weights[synapses.weight_base[p, block] + q - synapses.base[p, block]] if synapses.weighted[p] else synapses.weight[p]


@inner
def _pick_constant(words, first, stop, base, flags, keys, places, n):
    """Append the arrivals of flagged neurons. One in fifty is: a branch costs less than a write of each."""
    for q in range(np.uint64(first), np.uint64(stop)):
        target = np.uint64(words[q])
        if flags[target]:
            keys[n] = base | np.int64(target)
            places[n] = np.int64(q)
            n += 1
    return n


@inner
def pick_keys(keys, columns, shift, flags, out, places, n):
    """Append those of ``keys`` that meet a flagged neuron to ``out``, and where they stand in ``keys`` to ``places``; return the new
    length."""
    for m in range(keys.size):
        key = keys[m]
        if flags[np.uint64((key >> (TARGET_BITS + shift)) * columns + (key & TARGET_MASK))]:
            out[n] = key
            places[n] = m
            n += 1
    return n


@inner
def _pick_delayed(synapses, p, columns, shift, scratch, n):
    """Append the arrivals of flagged neurons, from their keys, and find the spike and the word of each."""
    n0, k = n, scratch.active_ptr[p]
    start = scratch.key_ptr[p, 0]
    n = pick_keys(scratch.keys[start : scratch.key_ptr[p, 1]], columns, shift, scratch.flags_flat, scratch.loud[0], scratch.loud[1], n)
    for m in range(n0, n):
        position = start + scratch.loud[1, m]
        while k + 1 < scratch.active_ptr[p + 1] and scratch.slice_key[k + 1] <= position:
            k += 1
        scratch.loud[1, m] = scratch.slice_first[k] + position - scratch.slice_key[k]
        scratch.loud[2, m] = scratch.active_spike[k]
    return n


@inner
def pick_rows(synapses, p, block, columns, shift, scratch, n):
    """Append the located arrivals that meet a flagged neuron to ``scratch.loud``, which has room for all; return the new length."""
    keys, weights, references = scratch.loud[0], scratch.loud[1], scratch.loud[2]
    n0 = n
    if synapses.kind[p] != CONSTANT:
        n = _pick_delayed(synapses, p, columns, shift, scratch, n)
    else:
        for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
            offset, before = scratch.active_offset[k], n
            flags = scratch.flags_flat[(offset >> shift) * columns :]
            n = _pick_constant(
                synapses.words16, scratch.slice_first[k], scratch.slice_stop[k], offset << TARGET_BITS, flags, keys, weights, n
            )
            for m in range(before, n):
                references[m] = scratch.active_spike[k]
    for m in range(n0, n):
        weights[m] = float_bits(weight_of(synapses, p, block, weights[m]))
    return n


@inner
def drive_weight(drive, e, key):
    """Return the weight of a Poisson event."""
    return drive.weight[e] if drive.weight_first[e] < 0 else drive.weights[drive.weight_first[e] + (key & TARGET_MASK)]
