"""The slab schedule: quiet neurons add up, loud ones are replayed.

For additive models whose delays are all positive. The clock is cut into *pieces*, at most a slab and at most the smallest delay, so that
all arrivals of a piece are known when it begins. For each piece, for each block of neurons:

1. add every arrival, without order, to sums of excitation and inhibition per neuron and *cell* (a sixteenth of a slab, or more);
2. sweep: a neuron whose state plus all excitation of a cell stays below the threshold's minimum in that cell is quiet there, whatever the
   order of its arrivals was: it is done;
3. pick the arrivals of loud neurons, bring them into order, and replay them one at a time from the last quiet cell on.

Then the spikes of the piece take off together. Sums of integers do not depend on order, so this gives the bits of the ordered schedule. A
block is a transaction: if a buffer is full, its state is put back and the status tells the caller what to enlarge before it calls again.
Invariant between pieces: all neurons stand at NOW, all spikes before NOW are in flight. See ``docs/design/slab.md``.
"""

import numpy as np

from ..errors import EVENTS_FULL, OK, STATE_OVERFLOW
from ..jit import bits_float, float_bits, inner, njit
from ..models.mixed import per_record
from ..models.protocol import (
    CELLS,
    FIRED,
    NEVER,
    OVERFLOW,
    accumulate,
    act,
    next_own,
    receive,
    restore,
    save,
    sums,
    sweep,
)
from ..state import TARGET_BITS, Counter
from . import piece
from .arrivals import TARGET_MASK, collect, drive_weight, keep_cursors, locate, pick_keys, pick_rows
from .cells import add_drive, add_rows
from .emission import fire, precedes
from .poisson import generate
from .watch import WATCHED, mark, read_one, rows_of

WHOLE = False
"""The schedule saves the state of one block at a time."""
SUM_LIMIT = 2.0**62
"""Bound on the sum of the absolute increments of a block and piece: below it no 64-bit sum can wrap."""


@inner
def _draw(drive, block, slab, slab_bits, a, b, counters, scratch):
    """Draw the Poisson events of a block in the piece; return a status, their number and the sum of their largest weights."""
    n, volume = np.int64(0), 0.0
    first = drive.entry_ptr[block]
    for e in range(first, drive.entry_ptr[block + 1]):
        scratch.batch[e - first] = n
        status, stop = generate(drive, e, slab, slab_bits, a, b, counters, scratch.keys, n)
        if status != OK:
            return status, n, volume
        volume += (stop - n) * drive.largest[e]
        n = stop
    scratch.batch[drive.entry_ptr[block + 1] - first] = n
    return OK, n, volume


@inner
def _pick_drive(drive, block, columns, shift, scratch):
    """List the Poisson events of flagged neurons; return their number."""
    out, weights, references = scratch.loud[0], scratch.loud[1], scratch.loud[2]
    n = 0
    e0 = drive.entry_ptr[block]
    for e in range(e0, drive.entry_ptr[block + 1]):
        n0 = n
        n = pick_keys(scratch.keys[scratch.batch[e - e0] : scratch.batch[e - e0 + 1]], columns, shift, scratch.flags_flat, out, weights, n)
        for m in range(n0, n):
            weights[m] = float_bits(drive_weight(drive, e, out[m]))
            references[m] = -1 - e
    return n


@inner
def _sort(scratch, flight, train, n):
    """Group the ``n`` loud arrivals by neuron, each group in order: those of column k are then ``sorted[:, begin[k]:end[k]]``."""
    keys, weights, references = scratch.loud[0], scratch.loud[1], scratch.loud[2]
    begin, end = scratch.member[0], scratch.member[1]
    out_keys, out_weights, out_references = scratch.sorted[0], scratch.sorted[1], scratch.sorted[2]
    end[:] = 0
    for m in range(n):
        end[keys[m] & TARGET_MASK] += 1
    position = 0
    for k in range(end.size):
        begin[k] = position
        position += end[k]
        end[k] = begin[k]
    for m in range(n):
        key, weight, reference = keys[m], weights[m], references[m]
        k = key & TARGET_MASK
        q = end[k]
        while q > begin[k] and (
            out_keys[q - 1] > key or (out_keys[q - 1] == key and precedes(flight, train, reference, out_references[q - 1]))
        ):
            out_keys[q], out_weights[q], out_references[q] = out_keys[q - 1], out_weights[q - 1], out_references[q - 1]
            q -= 1
        out_keys[q], out_weights[q], out_references[q] = key, weight, reference
        end[k] += 1


@inner
def _replay(model, i, k, local, gid, start, a, b, c0, c1, shift, scratch, flight, train, emitted, counters):
    """Run neuron ``i`` (column ``k``) through the piece: quiet cells as sums, loud ones one event at a time, own events before arrivals."""
    restore(model, i, scratch.saved, k)
    m, stop = scratch.member[0, k], scratch.member[1, k]
    now = np.int64(-1)
    w, w_stop = rows_of(scratch.watch, start, a, b) if scratch.flags[CELLS, k] == WATCHED else (0, 0)
    for c in range(c0, c1):
        if scratch.flags[c, k] == 0:
            accumulate(model, i, scratch.cells, c, k)
            continue
        end, after = min(b, (c + 1) << shift), max(a, c << shift, now + 1)
        while True:
            arrival = scratch.sorted[0, m] >> TARGET_BITS if m < stop else NEVER
            own = next_own(model, i, start, after, min(end, arrival + 1))
            while w < w_stop and scratch.watch.tick[w] - start <= min(own, arrival, end - 1):
                read_one(model, i, scratch.watch, w, local, start)
                w += 1
            if min(own, arrival) >= end:
                break
            if own <= arrival:
                code, now, reference = act(model, i, start, own), own, np.int64(-1)
            else:
                code, now, reference = receive(model, i, start, arrival, bits_float(scratch.sorted[1, m])), arrival, scratch.sorted[2, m]
                m += 1
            if code == OVERFLOW:
                counters[Counter.CULPRIT] = i
                return STATE_OVERFLOW
            if code == FIRED:
                status = fire(emitted, counters, flight, train, start + now, gid, reference)
                if status != OK:
                    return status
            after = now + 1
    return OK


@inner
def _pick(synapses, drive, block, columns, shift, scratch):
    """List all arrivals of flagged neurons in ``scratch.loud``; return their number."""
    n = _pick_drive(drive, block, columns, shift, scratch)
    for p in range(synapses.kind.size):
        if synapses.index[p, block] >= 0:
            n = pick_rows(synapses, p, block, columns, shift, scratch, n)
    return n


@inner
def _replay_loud(model, first, n, local, gid, start, a, b, c0, c1, shift, scratch, flight, train, emitted, counters):
    for k in range(n):
        if scratch.flags[CELLS, k]:
            status = _replay(model, first + k, k, local + k, gid + k, start, a, b, c0, c1, shift, scratch, flight, train, emitted, counters)
            if status != OK:
                return status
    return OK


@inner
def _locate(synapses, flight, train, block, block_bits, a, b, scratch, n_keys, volume):
    """Locate the arrivals of all pathways at a block; return the number of all arrivals (negative: no room), and the sum of their largest
    weights, from those of the inputs on."""
    n_arrivals = n_keys
    for p in range(synapses.kind.size):
        if synapses.index[p, block] >= 0:
            n, n_keys = locate(synapses, p, block, block_bits, flight, train, a, b, scratch, n_keys)
            if n < 0:
                return n, volume
            n_arrivals += n
            volume += n * synapses.largest[p]
    return n_arrivals, volume


@inner
def _put_back(model, first, n, scratch, counters, emitted_before):
    for k in range(n):
        restore(model, first + k, scratch.saved, k)
    counters[Counter.EMITTED] = emitted_before


@inner
def _cells_log(model, arrivals, n, slab_bits, a, b):
    """Return log2 of the cells of a slab: about two arrivals a neuron and cell leave few neurons loud, and more cells only cost. Where an
    input changes a current, whose V does not jump, eight do: at two 4.6, at four 4.4, at eight 4.2, at sixteen 5.2 ns per event."""
    a_cell = 2 if sums(model) == 2 else 8
    per_slab = arrivals * ((1 << slab_bits) // (b - a)) // (a_cell * n)
    log = 0
    while (1 << log) < CELLS and (1 << log) <= per_slab:
        log += 1
    return log


@per_record
def _step(model, first, blocks, synapses, drive, flight, train, emitted, scratch, counters, block, start, a, b, slab_bits):
    """Take a block, whose first neuron is ``first`` in the record, through the piece [a, b) of the slab that starts at tick ``start``."""
    n, block_bits = blocks.first[block + 1] - blocks.first[block], blocks.block_bits
    uniform, columns = blocks.alike[block] != 0, scratch.flags.shape[1]
    status, external, volume = _draw(drive, block, counters[Counter.SLAB] + (start >> slab_bits), slab_bits, a, b, counters, scratch)
    if status != OK:
        return status
    n_arrivals, volume = _locate(synapses, flight, train, block, block_bits, a, b, scratch, external, volume)
    if n_arrivals < 0 or n_arrivals >= scratch.loud.shape[1]:
        counters[Counter.NEEDED] = 2 * max(n_arrivals, scratch.keys.size)
        return EVENTS_FULL
    log = _cells_log(model, n_arrivals, n, slab_bits, a, b)
    shift = slab_bits - log
    c0, c1 = a >> shift, ((b - 1) >> shift) + 1
    save(model, first, n, scratch.saved)
    scratch.flags[CELLS, :n] = 0
    bounds = blocks.bounds[:, blocks.bounds_first[block] : blocks.bounds_first[block + 1]]
    if volume * blocks.increment[block] < SUM_LIMIT:
        scratch.cells[c0:c1] = 0
        for p in range(synapses.kind.size):
            if synapses.index[p, block] >= 0:
                add_rows(model, synapses, p, block, first, uniform, columns, shift, scratch)
        add_drive(model, drive, block, first, uniform, columns, shift, scratch)
        sweep(
            model, first, n, blocks.alike[block], start, a, b, shift, scratch.cells, scratch.flags, bounds, c0, c1, CELLS >> log, n_arrivals
        )
    else:
        scratch.flags[c0:c1, :n] = 1
        scratch.flags[CELLS, :n] = 1
    mark(scratch.watch, blocks.first[block], n, start, a, b, shift, scratch.flags)
    loud = _pick(synapses, drive, block, columns, shift, scratch)
    before = counters[Counter.EMITTED]
    _sort(scratch, flight, train, loud)
    status = _replay_loud(
        model, first, n, blocks.first[block], blocks.gid[block], start, a, b, c0, c1, shift, scratch, flight, train, emitted, counters
    )
    if status != OK:
        counters[Counter.CULPRIT] += blocks.first[block] - first
        _put_back(model, first, n, scratch, counters, before)
        return status
    for p in range(synapses.kind.size):
        if synapses.index[p, block] >= 0:
            keep_cursors(synapses, p, block, flight, train, scratch)
    counters[Counter.RECURRENT] += n_arrivals - external
    counters[Counter.EXTERNAL] += external
    counters[Counter.LOUD] += loud
    return OK


@njit
def advance(model, blocks, synapses, drive, flight, train, emitted, scratch, counters, until, slab_bits, piece_bits):
    """Advance all neurons of this rank to tick ``until``; return OK, or the status that tells what stopped it and can be mended.

    ``emitted`` receives the spikes, in emission order. All spikes of other ranks that arrive before ``until`` must be in ``flight``, and
    all of spike sources in ``train``.
    """
    while counters[Counter.NOW] < until:
        start, a, b = piece.begin(counters, until, slab_bits, piece_bits)
        status = collect(synapses, flight, train, counters, start, a, b, scratch)
        if status != OK:
            return status
        for block in range(counters[Counter.BLOCK], blocks.gid.size):
            first, stop = blocks.first[block], blocks.first[block + 1]
            status = _step(model, first, blocks, synapses, drive, flight, train, emitted, scratch, counters, block, start, a, b, slab_bits)
            if status != OK:
                return status
            status = piece.settle(model, first, stop - first, start, b, slab_bits, counters)
            if status != OK:
                return status
            counters[Counter.BLOCK] = block + 1
        status = piece.end(emitted, flight, counters, start + b)
        if status != OK:
            return status
    return OK
