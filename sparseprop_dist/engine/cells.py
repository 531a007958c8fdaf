"""The sums of what arrives at a block, by neuron and cell, of excitation and inhibition: the row pass of the slab schedule.

Owns ``scratch.cells``. Sums of integers do not depend on order, so that arrivals are added as they lie in memory.
"""

import numpy as np

from ..jit import bits_float, float_bits, inline, inner, prefetch
from ..models.protocol import frame_of, increment, increments, sums
from ..state import CHUNK, CONSTANT, TARGET_BITS
from .arrivals import TARGET_MASK, drive_weight

FETCHED = 104
"""Words of a row that are fetched ahead: what follows them the processor finds by itself."""


@inline
def _rows(model, weight):
    """Return the sums of a cell that an input of a weight adds to (`models.protocol.sums`); the second counts where there are three."""
    own = 1 if weight < 0.0 else 0
    return own if sums(model) == 2 else 0, own + 1


@inner
def add_keys(model, first, keys, weight, columns, shift, scratch):
    """Add arrivals of one weight, given as keys, to the cells; the neurons of the block share the frame of its first."""
    frame, cells, cell = frame_of(model, first), scratch.cells_flat, scratch.cells.shape[1] * columns
    row, second = _rows(model, weight)
    there, further = row * columns, np.uint64((second - row) * columns)
    for begin in range(0, keys.size, CHUNK):
        part = keys[begin : begin + CHUNK]
        places, amounts, others = (scratch.chunk[0][: part.size], scratch.chunk[1][: part.size], scratch.chunk[2][: part.size])
        if sums(model) == 2:
            for m in range(part.size):
                amounts[m] = increment(frame, part[m] >> TARGET_BITS, weight)[0]
                places[m] = (part[m] >> (TARGET_BITS + shift)) * cell + there + (part[m] & TARGET_MASK)
            for m in range(part.size):
                cells[np.uint64(places[m])] += amounts[m]
        else:
            for m in range(part.size):
                amounts[m], others[m] = increment(frame, part[m] >> TARGET_BITS, weight)
                places[m] = (part[m] >> (TARGET_BITS + shift)) * cell + there + (part[m] & TARGET_MASK)
            for m in range(part.size):
                place = np.uint64(places[m])
                cells[place] += amounts[m]
                cells[place + further] += others[m]


@inner
def _add_constant(model, first, words, weight, columns, shift, scratch, k0, k1):
    """One delay, one weight, one frame: the increment is made once a spike, the words are only added."""
    frame, cells = frame_of(model, first), scratch.cells_flat
    row, second = _rows(model, weight)
    for k in range(k0, k1):
        ahead = min(k + 2, k1 - 1)
        for q in range(scratch.slice_first[ahead], scratch.slice_first[ahead] + FETCHED, 32):
            prefetch(words, q)
        offset = scratch.active_offset[k]
        amount, other = increment(frame, offset, weight)
        o = ((offset >> shift) * scratch.cells.shape[1] + row) * columns
        targets = cells[o : o + columns]
        if sums(model) == 2:
            for q in range(np.uint64(scratch.slice_first[k]), np.uint64(scratch.slice_stop[k])):
                targets[words[q]] += amount
        else:
            o += (second - row) * columns
            others = cells[o : o + columns]
            for q in range(np.uint64(scratch.slice_first[k]), np.uint64(scratch.slice_stop[k])):
                target = words[q]
                targets[target] += amount
                others[target] += other


@inner
def _add_chunk(model, first, uniform, keys, columns, shift, scratch):
    """Add arrivals to the cells, whose weights are in ``scratch.chunk[3]``, as bits."""
    n, cells, cell = keys.size, scratch.cells_flat, scratch.cells.shape[1] * columns
    places, amounts, others, weights = scratch.chunk[0][:n], scratch.chunk[1][:n], scratch.chunk[2][:n], scratch.chunk[3][:n]
    increments(model, first, uniform, keys, TARGET_BITS, weights, amounts, others)
    for m in range(n):
        inhibits = np.int64(bits_float(weights[m]) < 0.0)
        row = inhibits if sums(model) == 2 else 0
        places[m] = (keys[m] >> (TARGET_BITS + shift)) * cell + row * columns + (keys[m] & TARGET_MASK)
        weights[m] = (inhibits + 1) * columns
    for m in range(n):
        cells[np.uint64(places[m])] += amounts[m]
        if sums(model) == 3:
            cells[np.uint64(places[m] + weights[m])] += others[m]


@inner
def _fetch(synapses, p, block, q):
    """Fetch what the words from ``q`` on need."""
    own = synapses.weight_base[p, block] - synapses.base[p, block] + q
    for more in range(0, FETCHED if synapses.weighted[p] else 0, 8):
        prefetch(synapses.weights, own + more)
    for more in range(0, FETCHED if synapses.kind[p] == CONSTANT else 0, 32):
        prefetch(synapses.words16, q + more)


@inner
def _weigh(synapses, p, block, q, n, scratch):
    """Write the weights of ``n`` words from ``q`` on."""
    own = synapses.weight_base[p, block] + q - synapses.base[p, block]
    for m in range(n):
        scratch.chunk[3, m] = float_bits(synapses.weights[own + m] if synapses.weighted[p] else synapses.weight[p])


@inner
def _add_each(model, synapses, p, block, first, uniform, columns, shift, scratch):
    """A weight a synapse, or a frame a neuron."""
    k1 = scratch.active_ptr[p + 1]
    for k in range(scratch.active_ptr[p], k1):
        _fetch(synapses, p, block, scratch.slice_first[min(k + 2, k1 - 1)])
        start, stop = scratch.slice_first[k], scratch.slice_stop[k]
        for q in range(start, stop, CHUNK):
            n = min(CHUNK, stop - q)
            if synapses.kind[p] == CONSTANT:
                keys = scratch.chunk[4][:n]
                for m in range(n):
                    keys[m] = scratch.active_offset[k] << TARGET_BITS | np.int64(synapses.words16[q + m])
            else:
                keys = scratch.keys[scratch.slice_key[k] + q - start :][:n]
            _weigh(synapses, p, block, q, n, scratch)
            _add_chunk(model, first, uniform, keys, columns, shift, scratch)


@inner
def add_rows(model, synapses, p, block, first, uniform, columns, shift, scratch):
    """Add the located arrivals of a pathway to the cells of a block."""
    if not uniform or synapses.weighted[p]:
        _add_each(model, synapses, p, block, first, uniform, columns, shift, scratch)
    elif synapses.kind[p] == CONSTANT:
        k0, k1 = scratch.active_ptr[p], scratch.active_ptr[p + 1]
        _add_constant(model, first, synapses.words16, synapses.weight[p], columns, shift, scratch, k0, k1)
    else:
        keys = scratch.keys[scratch.key_ptr[p, 0] : scratch.key_ptr[p, 1]]
        add_keys(model, first, keys, synapses.weight[p], columns, shift, scratch)


@inner
def add_drive(model, drive, block, first, uniform, columns, shift, scratch):
    """Add the Poisson events of a block, which are in ``scratch.keys``, to its cells."""
    e0 = drive.entry_ptr[block]
    for e in range(e0, drive.entry_ptr[block + 1]):
        keys = scratch.keys[scratch.batch[e - e0] : scratch.batch[e - e0 + 1]]
        if uniform and drive.weight_first[e] < 0:
            add_keys(model, first, keys, drive.weight[e], columns, shift, scratch)
            continue
        for begin in range(0, keys.size, CHUNK):
            n = 0
            for m in range(begin, min(begin + CHUNK, keys.size)):
                if keys[m] & TARGET_MASK < drive.stop[e]:
                    scratch.chunk[4, n], scratch.chunk[3, n] = keys[m], float_bits(drive_weight(drive, e, keys[m]))
                    n += 1
            _add_chunk(model, first, uniform, scratch.chunk[4][:n], columns, shift, scratch)
