"""The synapses onto the neurons of a rank.

Two passes over the rules' synapses, a part at a time: count the words of every row, then write them. What a rule draws is a function of
counters, so drawing it twice costs time but no memory: two bytes a synapse with one delay, four or eight with a delay each, eight more with
a weight each, and four a source and block for the pointers. For the schedules that do one event after the other it is four with one delay,
and two in long rows without (`sparseprop_dist.gaps`). Projections whose rows are made when their source fires take part in no pass.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..clock import TICK_BITS, ticks
from ..connectivity import Incoming, incoming
from ..description import Network, Projection
from ..distributions import Distribution
from ..gaps import WIDEST
from ..jit import STRIDE
from ..partition import Share
from ..state import CONSTANT, DELAYED_32, DELAYED_64, DRAWN, GAPS, NO_ROWS, NOT_STORED, WIDE, Blocks, Synapses, Tract
from .instant import is_instant
from .procedural import build_drawn, expected, is_drawn, limits
from .rows import count, fill, sort_rows
from .stored import ONE_DELAY, Built, Format, Rows, delay_range, needs, one_weight, own_weights, repeats, values_at, weigh

WORD_TYPES: dict[int, Any] = {CONSTANT: np.uint16, DELAYED_32: np.uint32, DELAYED_64: np.uint64, WIDE: np.uint32, GAPS: np.uint16}


def delay_format(projection: Projection, block_bits: int, bulk: bool = True) -> Format:
    """Choose how to store delays; not in ``bulk``, targets have more bits.

    Given delays are kept to the tick. Drawn ones are drawn on the grid of the finest unit that fits 32-bit words with the longest one,
    2^-20 ms for 4 ms: the law of the delays is discrete there, the events are exact for the delays that were drawn. Where not even 64 bits
    hold the longest delay in ticks (beyond 8 s), the unit is larger too.
    """
    delay, room = projection.delay, 32 - block_bits
    if isinstance(delay, Distribution):
        bits = int(ticks(delay.highest)).bit_length()
        return (
            Format(DELAYED_32, max(0, bits - room), 0)
            if bulk and bits - room <= TICK_BITS - 16
            else Format(DELAYED_64, max(0, bits - 63 + block_bits), 0)
        )
    each = ticks(np.atleast_1d(delay))
    if each.size == 0 or (each == each[0]).all():
        return Format(CONSTANT if bulk else WIDE, 0, int(each[0]) if each.size else 1)
    bits = int(each.max()).bit_length()
    common = int(np.bitwise_or.reduce(each))
    unit = (common & -common).bit_length() - 1
    return Format(DELAYED_32, unit, 0) if bulk and bits - unit <= room else Format(DELAYED_64, max(0, bits - 63 + block_bits), 0)


def stored_delays(values: np.ndarray, form: Format) -> np.ndarray:
    """Return delays in ms as whole units (uint64), at least one where the delay is not 0."""
    units = np.rint(values * 2.0 ** (TICK_BITS - form.unit)).astype(np.int64)
    return np.maximum(units, values > 0.0).astype(np.uint64)


def parts(network: Network, projection: Projection, shares: list[Share]) -> Iterator[tuple[Share, Incoming]]:
    """Yield the synapses of a projection onto the neurons of a rank; each part with its share, and its ``start`` as a local index."""
    offset = 0
    by_name = {share.population: share for share in shares}
    for name in projection.targets:
        share = by_name[name]
        if share.stop > share.start:
            for part in incoming(network, projection, offset + share.start, offset + share.stop):
                yield share, part._replace(start=part.start - offset - share.start + share.local)
        offset += network.population(name).size


def synapse_values(network: Network, projection: Projection, part: Incoming, name: str) -> np.ndarray:
    """Return the weights (mV) or delays (ms), by name, of the synapses of a part."""
    if isinstance(part.numbers, np.ndarray):
        return values_at(network, projection, part.numbers, name)
    return getattr(network, name)(projection, part.numbers, part.numbers + len(part.sources))


def _count_rows(
    network: Network, shares: list[Share], blocks: Blocks, bulk: bool, numbered: frozenset[int], gaps: bool
) -> tuple[list[Rows], np.ndarray, bool]:
    """The first pass: return the projections with the numbers of the pointers of their rows, the pointers, and whether rows without delay
    have gaps: with ``gaps``, if all have room."""
    todo: list[Rows] = []
    n_pointers = 0
    for place, projection in enumerate(network.projections):
        n_rows = network.pools(projection).sources.size
        index, drawn = np.full(len(blocks.gid), -1, np.int64), is_drawn(projection)
        for block in _blocks_of(network, projection, shares, blocks):
            index[block] = DRAWN if drawn else n_pointers
            n_pointers += 0 if drawn else n_rows + 1
        weighted = isinstance(projection.weight, Distribution) or (
            isinstance(projection.weight, np.ndarray) and np.ptp(projection.weight) > 0
        )
        weighted |= place in numbered
        empty = np.full(len(blocks.gid), -1, np.int64)
        form = delay_format(projection, blocks.block_bits, bulk)
        bounds = limits(network, projection, shares, form.unit) if drawn else None
        if drawn:  # its delays are on the grid of the stored ones, its words have room
            form = form._replace(kind=WIDE if form.kind in ONE_DELAY else DELAYED_64)
        none = np.zeros(len(blocks.gid), np.int64)
        todo.append(Rows(projection, form, bool(weighted), index, empty, empty.copy(), n_rows, bounds, place in numbered, none))
    row_ptr = np.zeros(n_pointers, np.int32)
    before, widest = np.zeros(n_pointers if gaps else 0, np.int32), 0
    near = [gaps and is_instant(network, rows.projection) for rows in todo]
    for place, rows in enumerate(todo):
        for _, part in parts(network, rows.projection, shares) if rows.limits is None else ():
            own = before if near[place] else before[:0]
            widest = max(widest, count(part.ptr, part.sources, part.start, blocks.first, rows.places, row_ptr, own))
        for block in np.flatnonzero(rows.places >= 0).tolist():
            pointers = row_ptr[rows.places[block] : rows.places[block] + rows.n_rows + 1]
            np.cumsum(pointers, out=pointers)
    gaps = gaps and widest <= WIDEST
    if gaps:
        todo = [rows._replace(format=rows.format._replace(kind=GAPS)) if near[place] else rows for place, rows in enumerate(todo)]
    return todo, row_ptr, gaps


def _place_rows(todo: list[Rows], row_ptr: np.ndarray) -> tuple[dict[int, int], int]:
    """Say where the words and weights of projections start; return the number of words of each kind and of weights."""
    n_words, n_weights = dict.fromkeys(WORD_TYPES, 0), 0
    for rows in todo:
        for block in np.flatnonzero(rows.places >= 0).tolist():
            n = int(row_ptr[rows.places[block] + rows.n_rows])
            rows.base[block], rows.weight_base[block] = n_words[rows.format.kind], n_weights
            n_words[rows.format.kind] += n
            n_weights += n if rows.weighted else 0
    return n_words, n_weights


def _blocks_of(network: Network, projection: Projection, shares: list[Share], blocks: Blocks) -> list[int]:
    """The blocks that hold targets of a projection."""
    own = [share for share in shares if share.population in projection.targets]
    return [
        block
        for block, first in enumerate(blocks.first[:-1])
        if any(share.local <= first < share.local + share.stop - share.start for share in own)
    ]


def _write_rows(
    network: Network, shares: list[Share], blocks: Blocks, rows: Rows, row_ptr: np.ndarray, words: np.ndarray, weights: np.ndarray
) -> None:
    """The second pass, of one projection."""
    if rows.limits:
        return
    before = np.zeros(len(row_ptr) if rows.format.kind == GAPS else 0, np.int32)
    for _, part in parts(network, rows.projection, shares):
        delays = np.empty(0, np.uint64)
        if rows.format.kind not in ONE_DELAY:
            delays = stored_delays(synapse_values(network, rows.projection, part, "delays"), rows.format)
        own: np.ndarray = np.empty(0)
        if rows.numbered:  # numbers are exact as floats, and go the way of weights to their places
            own = part.numbers if isinstance(part.numbers, np.ndarray) else part.numbers + np.arange(len(part.sources))
        elif rows.weighted:
            own = synapse_values(network, rows.projection, part, "weights")
        own = np.ascontiguousarray(own, np.float64)
        fill(
            part.ptr,
            part.sources,
            part.start,
            blocks.first,
            rows.places,
            rows.base,
            rows.weight_base,
            row_ptr,
            words,
            delays,
            blocks.block_bits,
            own,
            weights,
            before,
        )
    for block in np.flatnonzero(rows.places >= 0):
        pointers = row_ptr[rows.places[block] : rows.places[block] + rows.n_rows + 1]
        pointers[1:] = pointers[:-1].copy()
        pointers[0] = 0
        if rows.format.kind not in ONE_DELAY:
            base, n = rows.base[block], int(pointers[-1])
            own = weights[rows.weight_base[block] : rows.weight_base[block] + n] if rows.weighted else weights[:0]
            longest = int(np.diff(pointers).max(initial=0))
            sort_rows(pointers, words[base : base + n], own, np.empty(longest, words.dtype), np.empty(longest if rows.weighted else 0))


def _pathways(network: Network, todo: list[Rows]) -> list[tuple[Rows, list[tuple[int, int, int]], bool]]:
    """One pathway for the neurons, one for the spike sources among the sources of each projection: their ranges (first gid, stop, row), and
    whether they are spike sources."""
    out = []
    for rows in todo:
        pool = network.pools(rows.projection).sources
        starts = np.concatenate([[0], np.cumsum([len(gids) for gids in pool.gids])])
        for train in (False, True):
            ranges = [
                (gids.start, gids.stop, int(row))
                for name, gids, row in zip(pool.names, pool.gids, starts, strict=False)
                if network.population(name).is_source == train
            ]
            if ranges and (rows.places != -1).any():
                out.append((rows, ranges, train))
    return out


def _with_tracts(synapses: Synapses) -> Synapses:
    """Return the same synapses with the table of rows without delay. Gids are cut into stretches whose sources have the same pathways."""
    instant = [p for p in range(synapses.kind.size) if synapses.instant[p]]
    ranges = [(p, r) for p in instant for r in range(synapses.range_ptr[p], synapses.range_ptr[p + 1])]
    bounds = np.unique([[synapses.range_first[r], synapses.range_stop[r]] for _, r in ranges]).astype(np.int64)
    out, counts = [], [0]
    for gid in bounds[:-1]:
        for p, r in ranges:
            if synapses.range_first[r] <= gid < synapses.range_stop[r]:
                out += _tracts(synapses, p, r)
        counts.append(len(out))
    return synapses._replace(
        tract=np.array(out, np.int64).reshape(-1, Tract.SIZE),
        tract_ptr=np.array([0, *counts, len(out)], np.int64),  # none before the first bound, none behind the last
        tract_stop=np.append(bounds, np.iinfo(np.int64).max),
    )


def _tracts(synapses: Synapses, p: int, r: int) -> list[tuple[int, ...]]:
    """Return the tracts of a range of sources of a pathway, one a block."""
    row, out = int(synapses.range_row[r] - synapses.range_first[r]), list[tuple[int, ...]]()
    for block in np.flatnonzero(synapses.index[p] != NO_ROWS):
        index = int(synapses.index[p, block])
        weights = int(synapses.weight_base[p, block]) if synapses.weighted[p] else -1
        out.append((NOT_STORED if index == DRAWN else index + row, int(synapses.base[p, block]), weights, row, p, int(block)))
    return out


def build_synapses(
    network: Network, shares: list[Share], blocks: Blocks, bulk: bool, numbered: frozenset[int] = frozenset(), gaps: bool = False
) -> Built:
    """Return the synapses of a rank; ``bulk``: for the slab schedule; ``numbered``: places of the projections whose synapses keep their
    numbers, which have a weight each; ``gaps``: see `Numbered`."""
    todo, row_ptr, gaps = _count_rows(network, shares, blocks, bulk, numbered, gaps)
    n_words, n_weights = _place_rows(todo, row_ptr)
    # kernels read whole strides: behind the last row there must be as many words that belong to none
    spare = max((rows.limits.longest + 1 for rows in todo if rows.limits and not bulk), default=0)
    words = {kind: np.zeros(n + STRIDE + (spare if kind == WIDE else 0), WORD_TYPES[kind]) for kind, n in n_words.items()}
    weights, numbers = np.empty(n_weights + spare), np.empty(n_weights if numbered else 0, np.int64)
    delays, longest = [], 0
    for rows in todo:
        if rows.limits:
            rows.base[:], rows.weight_base[:] = n_words[WIDE] + STRIDE, n_weights
        _write_rows(network, shares, blocks, rows, row_ptr, words[rows.format.kind], weights)
        if rows.numbered:
            numbers[own_weights(rows, row_ptr)] = weights[own_weights(rows, row_ptr)]
        if rows.format.is_instant:
            rows.repeats[:], row = repeats(rows, row_ptr, words[rows.format.kind])
            longest = max(longest, row)
        delays.append(delay_range(rows, row_ptr, words[rows.format.kind], blocks.block_bits))
    pathways = _pathways(network, todo)
    ranges = [item for _, own, _ in pathways for item in own]
    drawn = build_drawn(network, shares, [rows.projection for rows, _, _ in pathways])
    bounds = np.array(delays, np.int64).reshape(-1, 2)[drawn.place]
    with_cursor = [rows.format.kind not in ONE_DELAY for rows, _, _ in pathways]
    cursor = np.full((len(pathways), len(blocks.gid)), -1, np.int64)
    for train in (False, True):
        mine = np.array([own == train for _, _, own in pathways], bool) & np.array(with_cursor, bool)
        here = mine[:, None] & np.array([rows.places >= 0 for rows, _, _ in pathways], bool).reshape(cursor.shape)
        cursor[here] = np.arange(here.sum())
    synapses = Synapses(
        kind=np.array([rows.format.kind for rows, _, _ in pathways], np.uint8),
        weighted=np.array([rows.weighted for rows, _, _ in pathways], np.uint8),
        train=np.array([train for _, _, train in pathways], np.uint8),
        instant=np.array([rows.format.is_instant and not train for rows, _, train in pathways], np.uint8),
        weight=np.array([one_weight(rows.projection) for rows, _, _ in pathways], np.float64),
        largest=np.zeros(len(pathways)),
        delay=bounds[:, 0].copy(),
        reach=bounds[:, 1].copy(),
        unit=np.array([rows.format.unit for rows, _, _ in pathways], np.int64),
        range_ptr=np.concatenate([[0], np.cumsum([len(own) for _, own, _ in pathways])]).astype(np.int64),
        range_first=np.array([item[0] for item in ranges], np.int64),
        range_stop=np.array([item[1] for item in ranges], np.int64),
        range_row=np.array([item[2] for item in ranges], np.int64),
        index=np.array([rows.places for rows, _, _ in pathways], np.int64).reshape(cursor.shape),
        base=np.array([rows.base for rows, _, _ in pathways], np.int64).reshape(cursor.shape),
        weight_base=np.array([rows.weight_base for rows, _, _ in pathways], np.int64).reshape(cursor.shape),
        cursor=cursor,
        row_ptr=row_ptr,
        words16=words[CONSTANT],
        words32=words[DELAYED_32] if bulk else words[WIDE],
        words64=words[DELAYED_64],
        targets=words[GAPS] if gaps else words[WIDE],
        weights=weights,
        tract=np.empty((0, Tract.SIZE), np.int64),
        tract_ptr=np.zeros(2, np.int64),
        tract_stop=np.empty(0, np.int64),
        longest=longest,
        drawn=drawn,
        safe=0,
    )
    synapses = _with_tracts(synapses)
    made = sum(expected(network, rows.projection, shares) for rows in todo if rows.limits)
    none = np.empty(len(blocks.gid))
    return weigh(network, Built(synapses, none, none, sum(n_words.values()) + made, needs(network, todo, row_ptr), numbers, todo))
