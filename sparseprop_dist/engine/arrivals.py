"""Which arrivals fall into a piece of the clock, and the row pass that delivers them.

Owns the passes over synapses that the schedules share: `collect` (spikes with arrivals in the piece), `locate` (their words in one block), `add_rows` (sum them into cells, without order), `pick_rows`
(list those of loud neurons). The order of spikes is in `docs/design/order.md`.
"""

import numpy as np

from ..errors import EVENTS_FULL, OK
from ..jit import njit, prefetch
from ..models.protocol import frame_of, increment
from ..state import CHUNK, CONSTANT, DELAYED_32, TARGET_BITS, Counter

TARGET_MASK = (1 << TARGET_BITS) - 1


@njit
def row_of(synapses, p, gid):
    """Return the row of a source in a pathway, or -1 if it is not one of its sources."""
    for r in range(synapses.range_ptr[p], synapses.range_ptr[p + 1]):
        if synapses.range_first[r] <= gid < synapses.range_stop[r]:
            return gid - synapses.range_first[r] + synapses.range_row[r]
    return -1


@njit
def collect(synapses, flight, train, counters, start, a, b, scratch):
    """List, for each pathway, the spikes that have arrivals at offsets in [a, b) of the slab that starts at tick ``start``."""
    n = 0
    for p in range(synapses.kind.size):
        scratch.active_ptr[p] = n
        of_train = np.int64(synapses.train[p])
        spikes = train if of_train else flight
        times = spikes.time[: spikes.time.size if of_train else counters[Counter.FLIGHT]]
        low = np.searchsorted(times, start + a - synapses.reach[p])
        high = np.searchsorted(times, start + b - synapses.delay[p])
        if n + high - low > scratch.active_row.size:
            counters[Counter.NEEDED] = n + high - low
            return EVENTS_FULL
        delay = synapses.delay[p] if synapses.kind[p] == CONSTANT else 0
        for s in range(low, high):
            row = row_of(synapses, p, spikes.gid[s])
            if row >= 0:
                scratch.active_row[n] = row
                scratch.active_offset[n] = times[s] + delay - start
                scratch.active_spike[n] = s << 1 | of_train
                n += 1
    scratch.active_ptr[synapses.kind.size] = n
    return OK


@njit
def _advance(words, q, stop, limit):
    while q < stop and words[q] < limit:
        q += 1
    return q


@njit
def _units(ticks, unit):
    """Return the least number of units that is at least ``ticks``, or 0."""
    return max(0, (ticks + (1 << unit) - 1) >> unit)


@njit
def _locate_delayed(synapses, words, p, block, block_bits, spikes, a, b, scratch, k, first, stop):
    """Return the words of a row, sorted by delay, that arrive in [a, b): from the cursor, or from the row's start if that is not known."""
    emitted = scratch.active_offset[k]
    cursor = spikes.cursors[synapses.cursor[p, block], scratch.active_spike[k] >> 1]
    unit = synapses.unit[p]
    if cursor >= 0:
        first = synapses.base[p, block] + cursor
    else:
        first = _advance(words, first, stop, np.uint64(_units(a - emitted, unit) << block_bits))
    return first, _advance(words, first, stop, np.uint64(_units(b - emitted, unit) << block_bits))


@njit
def locate(synapses, p, block, block_bits, flight, train, a, b, scratch):
    """Write the slice of words that each active spike of a pathway delivers to a block in the piece; return the number of arrivals."""
    index, base = synapses.index[p, block], synapses.base[p, block]
    spikes = train if synapses.train[p] else flight
    pointers = synapses.row_ptr[index:]
    n = 0
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        row = scratch.active_row[k]
        first, stop = base + pointers[row], base + pointers[row + 1]
        if synapses.kind[p] == DELAYED_32:
            first, stop = _locate_delayed(synapses, synapses.words32, p, block, block_bits, spikes, a, b, scratch, k, first, stop)
        elif synapses.kind[p] != CONSTANT:
            first, stop = _locate_delayed(synapses, synapses.words64, p, block, block_bits, spikes, a, b, scratch, k, first, stop)
        scratch.slice_first[k], scratch.slice_stop[k] = first, stop
        n += stop - first
    return n


@njit
def keep_cursors(synapses, p, block, flight, train, scratch):
    """Remember where the rows of a pathway with delays stand in a block, after their slices were delivered."""
    if synapses.kind[p] == CONSTANT:
        return
    cursors = (train if synapses.train[p] else flight).cursors[synapses.cursor[p, block]]
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        cursors[scratch.active_spike[k] >> 1] = scratch.slice_stop[k] - synapses.base[p, block]


@njit
def add_keys(keys, frame, weight, columns, shift, scratch):
    """Add arrivals of one weight, given as keys, to the cells; the neurons of the block share the frame."""
    cells = scratch.cells_flat
    sign = columns if weight < 0.0 else 0
    for first in range(0, keys.size, CHUNK):
        part = keys[first : first + CHUNK]
        amounts, places = scratch.chunk[1][: part.size], scratch.chunk[2][: part.size]
        for m in range(part.size):
            amounts[m] = increment(frame, part[m] >> TARGET_BITS, weight)
            places[m] = (part[m] >> (TARGET_BITS + shift)) * (2 * columns) + sign + (part[m] & TARGET_MASK)
        for m in range(part.size):
            cells[np.uint64(places[m])] += amounts[m]


@njit
def _add_constant(words, weight, frame, columns, shift, scratch, k0, k1):
    """One delay, one weight, one frame: the increment is made once a spike, the words are only added."""
    cells = scratch.cells_flat
    for k in range(k0, k1):
        ahead = min(k + 2, k1 - 1)
        for q in range(scratch.slice_first[ahead], scratch.slice_first[ahead] + 104, 32):
            prefetch(words, q)
        offset = scratch.active_offset[k]
        amount = increment(frame, offset, weight)
        o = ((offset >> shift) * 2 + (1 if weight < 0.0 else 0)) * columns
        targets = cells[o : o + columns]
        for q in range(np.uint64(scratch.slice_first[k]), np.uint64(scratch.slice_stop[k])):
            targets[words[q]] += amount


@njit
def _add_delayed(words, unit, block_bits, weight, frame, columns, shift, scratch, k0, k1):
    """One delay a synapse, one weight, one frame: words become keys, a chunk at a time."""
    keys = scratch.chunk[0]
    mask = (1 << block_bits) - 1
    n = 0
    for k in range(k0, k1):
        ahead = min(k + 8, k1 - 1)
        prefetch(words, scratch.slice_first[ahead])
        prefetch(words, scratch.slice_first[ahead] + 16)
        emitted = scratch.active_offset[k]
        q, stop = scratch.slice_first[k], scratch.slice_stop[k]
        while q < stop:
            m = min(stop - q, CHUNK - n)
            part, out = words[q : q + m], keys[n : n + m]
            for j in range(m):
                word = np.int64(part[j])
                out[j] = (((word >> block_bits) << unit) + emitted) << TARGET_BITS | (word & mask)
            n += m
            q += m
            if n == CHUNK:
                add_keys(keys[:n], frame, weight, columns, shift, scratch)
                n = 0
    add_keys(keys[:n], frame, weight, columns, shift, scratch)


@njit
def offset_target(word, kind, unit, block_bits, base_offset):
    """Return the offset of an arrival and its target in the block, from its word and the offset of its spike."""
    if kind == CONSTANT:
        return base_offset, word
    return base_offset + ((word >> block_bits) << unit), word & ((1 << block_bits) - 1)


@njit
def amount_of(model, synapses, p, block, first, uniform, frame, q, offset, target):
    """Return the increment that word ``q`` of a pathway makes."""
    weight = synapses.weights[synapses.weight_base[p, block] + q - synapses.base[p, block]] if synapses.weighted[p] else synapses.weight[p]
    if uniform:
        return increment(frame, offset, weight)
    return increment(frame_of(model, first + target), offset, weight)


@njit
def words_of(synapses, p, q):
    """Return word ``q`` of a pathway."""
    if synapses.kind[p] == CONSTANT:
        return np.int64(synapses.words16[q])
    return np.int64(synapses.words32[q]) if synapses.kind[p] == DELAYED_32 else np.int64(synapses.words64[q])


@njit
def _add_general(model, synapses, words, p, block, first, uniform, block_bits, columns, shift, scratch):
    """A weight a synapse, or a frame a neuron: one arrival at a time."""
    cells = scratch.cells_flat
    frame = frame_of(model, first)
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        for q in range(scratch.slice_first[k], scratch.slice_stop[k]):
            offset, target = offset_target(np.int64(words[q]), synapses.kind[p], synapses.unit[p], block_bits, scratch.active_offset[k])
            amount = amount_of(model, synapses, p, block, first, uniform, frame, q, offset, target)
            cells[((offset >> shift) * 2 + (1 if amount < 0 else 0)) * columns + target] += amount


@njit
def add_rows(model, synapses, p, block, first, uniform, block_bits, columns, shift, scratch):
    """Add the located arrivals of a pathway to the cells of a block."""
    k0, k1 = scratch.active_ptr[p], scratch.active_ptr[p + 1]
    kind, weight, unit = synapses.kind[p], synapses.weight[p], synapses.unit[p]
    if uniform and not synapses.weighted[p]:
        frame = frame_of(model, first)
        if kind == CONSTANT:
            _add_constant(synapses.words16, weight, frame, columns, shift, scratch, k0, k1)
        elif kind == DELAYED_32:
            _add_delayed(synapses.words32, unit, block_bits, weight, frame, columns, shift, scratch, k0, k1)
        else:
            _add_delayed(synapses.words64, unit, block_bits, weight, frame, columns, shift, scratch, k0, k1)
    elif kind == CONSTANT:
        _add_general(model, synapses, synapses.words16, p, block, first, uniform, block_bits, columns, shift, scratch)
    elif kind == DELAYED_32:
        _add_general(model, synapses, synapses.words32, p, block, first, uniform, block_bits, columns, shift, scratch)
    else:
        _add_general(model, synapses, synapses.words64, p, block, first, uniform, block_bits, columns, shift, scratch)


@njit
def _pick_constant(words, first, stop, offset, flags, loud, n):
    """Append without branches: every arrival is written, and the end moves on only behind those of flagged neurons. Returns the new length."""
    keys, places = loud[0], loud[1]
    base = offset << TARGET_BITS
    for q in range(np.uint64(first), np.uint64(stop)):
        target = np.uint64(words[q])
        keys[np.uint64(n)] = base | np.int64(target)
        places[np.uint64(n)] = np.int64(q)
        n += np.int64(flags[target])
    return n


@njit
def _pick_delayed(words, first, stop, emitted, unit, block_bits, columns, shift, flags, loud, n):
    """As `_pick_constant`, with a delay in each word."""
    keys, places = loud[0], loud[1]
    mask = (1 << block_bits) - 1
    for q in range(np.uint64(first), np.uint64(stop)):
        word = np.int64(words[q])
        offset, target = emitted + ((word >> block_bits) << unit), word & mask
        keys[np.uint64(n)] = offset << TARGET_BITS | target
        places[np.uint64(n)] = np.int64(q)
        n += np.int64(flags[np.uint64((offset >> shift) * columns + target)])
    return n


@njit
def pick_rows(model, synapses, p, block, first, uniform, block_bits, columns, shift, scratch, n):
    """Append the located arrivals that meet a flagged neuron to ``scratch.loud``; return the new length, or -1 if it is full."""
    flags, loud = scratch.flags_flat, scratch.loud
    frame = frame_of(model, first)
    kind, unit = synapses.kind[p], synapses.unit[p]
    for k in range(scratch.active_ptr[p], scratch.active_ptr[p + 1]):
        q0, q1, offset = scratch.slice_first[k], scratch.slice_stop[k], scratch.active_offset[k]
        if n + q1 - q0 >= loud.shape[1]:
            return -1
        n0 = n
        if kind == CONSTANT:
            n = _pick_constant(synapses.words16, q0, q1, offset, flags[(offset >> shift) * columns :], loud, n)
        elif kind == DELAYED_32:
            n = _pick_delayed(synapses.words32, q0, q1, offset, unit, block_bits, columns, shift, flags, loud, n)
        else:
            n = _pick_delayed(synapses.words64, q0, q1, offset, unit, block_bits, columns, shift, flags, loud, n)
        for m in range(n0, n):
            loud[1, m] = amount_of(model, synapses, p, block, first, uniform, frame, loud[1, m], loud[0, m] >> TARGET_BITS, loud[0, m] & TARGET_MASK)
            loud[2, m] = scratch.active_spike[k]
    return n


@njit
def drive_amount(model, drive, e, first, uniform, key):
    """Return the increment that a Poisson event makes."""
    target = key & TARGET_MASK
    weight = drive.weight[e] if drive.weight_first[e] < 0 else drive.weights[drive.weight_first[e] + target]
    return increment(frame_of(model, first if uniform else first + target), key >> TARGET_BITS, weight)
