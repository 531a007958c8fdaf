"""Rows that are made when their source fires, for the schedules that do one event at a time.

Owns the row at hand (`state.Drawn`): drawn once a spike, then handed out block by block, as words behind the stored ones. Its order need
not be that of a stored row, but for synapses of one source onto one target, which come by their numbers.
"""

import numpy as np

from ..clock import TICK_BITS
from ..drawing import draw_pairs, draw_partners
from ..jit import inner, merged
from ..laws import values_of
from ..matching import owner, target_ends
from ..random import TARGET
from ..state import ALL, BERNOULLI, DRAWN, MATCHED, OUTDEGREE
from .emission import GAPS


@inner
def _own_target(drawn, p, row):
    """Return the position of a row's source in the target pool, if it may not project to itself; else -1."""
    for k in range(drawn.own_ptr[p], drawn.own_ptr[p + 1]):
        if drawn.own[0, k] <= row < drawn.own[1, k]:
            return drawn.own[2, k] + row - drawn.own[0, k]
    return np.int64(-1)


@inner
def _draw_outdegree(drawn, p, row, own):
    """Draw all targets of a source, and keep those on this rank; return their number."""
    degree, valued = drawn.degree[p], drawn.valued[p]
    out = drawn.local[:degree]
    draw_partners(
        out, drawn.n_targets[p], own, drawn.distinct[p] == 1, drawn.taken, drawn.products, row, drawn.place[p], np.int64(TARGET), drawn.seed
    )
    n, k0, k1 = np.int64(0), drawn.share_ptr[p], drawn.share_ptr[p + 1]
    for q in range(degree):
        target = np.int64(out[q])
        for k in range(k0, k1):
            if drawn.share[0, k] <= target < drawn.share[1, k]:
                out[n] = target - drawn.share[0, k] + drawn.share[2, k]
                if valued:
                    drawn.number[n] = row * degree + q
                n += 1
    return n


@inner
def _by_number(number, local, n):
    """Bring synapses into the order of their numbers, by insertion over gaps that shrink."""
    for gap in GAPS:
        for k in range(gap, n):
            own, target, q = number[k], local[k], k
            while q >= gap and number[q - gap] > own:
                number[q], local[q] = number[q - gap], local[q - gap]
                q -= gap
            number[q], local[q] = own, target


@inner
def _match(drawn, p, row):
    """Follow all synapses of a source to their targets, and keep those on this rank; return their number."""
    first, last = drawn.source_ptr[p] + row, drawn.source_ptr[p + 1] - 1
    begin, k0, k1 = drawn.source_ends[first], drawn.share_ptr[p], drawn.share_ptr[p + 1]
    numbers = drawn.number[: drawn.source_ends[first + 1] - begin]
    target_ends(begin, drawn.source_ends[last], drawn.bits[p], drawn.match_key[p], numbers)
    uneven, each, n = drawn.target_ends[drawn.target_ptr[p] : drawn.target_ptr[p + 1]], 1.0 / max(drawn.degree[p], 1), np.int64(0)
    for number in numbers:
        target = owner(uneven, number) if uneven.size else np.int64((number + 0.5) * each)
        for k in range(k0, k1):
            if drawn.share[0, k] <= target < drawn.share[1, k]:
                drawn.local[n] = target - drawn.share[0, k] + drawn.share[2, k]
                drawn.number[n] = number
                n += 1
    if drawn.valued[p]:
        _by_number(drawn.number, drawn.local, n)
    return n


@inner
def _draw_stretch(drawn, p, row, own, start, stop, out):
    """Write the targets in [start, stop); return their number."""
    if drawn.rule[p] == BERNOULLI:
        return draw_pairs(out, start, stop, own, drawn.scale[p], drawn.bits[p], drawn.gaps, row, drawn.place[p], drawn.seed)
    n = np.int64(0)
    if drawn.rule[p] == ALL:
        for target in range(start, stop):
            out[n] = target
            n += target != own
    elif start <= row < stop:
        out[0] = row
        n = np.int64(1)
    return n


@inner
def _draw_targets(drawn, p, row):
    """Write the local indices, and where wanted the numbers, of the synapses of a row on this rank; return how many there are."""
    own = _own_target(drawn, p, row)
    if drawn.rule[p] == OUTDEGREE:
        return _draw_outdegree(drawn, p, row, own)
    if drawn.rule[p] == MATCHED:
        return _match(drawn, p, row)
    n, each = np.int64(0), drawn.rule[p] == BERNOULLI or drawn.rule[p] == ALL
    for k in range(drawn.share_ptr[p], drawn.share_ptr[p + 1]):
        out, start = drawn.local[n:], drawn.share[0, k]
        count = _draw_stretch(drawn, p, row, own, start, drawn.share[1, k], out)
        for q in range(count):
            if drawn.valued[p]:
                drawn.number[n + q] = row * drawn.n_targets[p] + np.int64(out[q]) if each else row
            out[q] = np.int64(out[q]) - start + drawn.share[2, k]
        n += count
    return n


@inner
def _draw_delays(drawn, p, unit, n):
    """Write the delays of a row, in ticks on the grid of a unit, as `build.synapses.stored_delays` has them."""
    values_of(drawn.delay_law[p], drawn.delay_key[p], drawn.number[:n], drawn.weight[:n])
    for k in range(n):
        units = np.int64(np.rint(drawn.weight[k] * 2.0 ** (TICK_BITS - unit)))
        drawn.delay[k] = max(units, np.int64(drawn.weight[k] > 0.0)) << unit


@inner
def draw_row(synapses, p, row):
    """Make a row, unless it is at hand; return its length."""
    drawn = synapses.drawn
    if drawn.at[0] == p and drawn.at[1] == row:
        return drawn.at[2]
    n = _draw_targets(drawn, p, row)
    if drawn.valued[p]:
        _draw_delays(drawn, p, synapses.unit[p], n)
        values_of(drawn.weight_law[p], drawn.weight_key[p], drawn.number[:n], drawn.weight[:n])
    drawn.at[0], drawn.at[1], drawn.at[2] = p, row, n
    return n


@inner
def _hand_out(synapses, blocks, p, block, row):
    """Write the part of a row that lies in a block where its words belong; return their first and last place."""
    drawn, n, base = synapses.drawn, draw_row(synapses, p, row), synapses.base[p, block]
    first, size = blocks.first[block], blocks.first[block + 1] - blocks.first[block]
    own, weighted, m = synapses.weight_base[p, block], synapses.weighted[p], base
    for k in range(n):
        target = np.int64(drawn.local[k]) - first
        synapses.words32[m] = target & 0xFFFFFFFF
        if weighted:
            synapses.weights[own + m - base] = drawn.weight[k]
        m += 0 <= target < size
    return base, m


@merged
def words_of(synapses, blocks, p, block, row):
    """Return the first and the last place of a row's words in a block, in which the pathway has rows."""
    if synapses.index[p, block] == DRAWN:
        return _hand_out(synapses, blocks, p, block, row)
    place, base = synapses.index[p, block] + row, synapses.base[p, block]
    return base + np.int64(synapses.row_ptr[place]), base + np.int64(synapses.row_ptr[place + 1])
