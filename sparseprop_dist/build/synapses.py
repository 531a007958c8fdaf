"""The synapses onto the neurons of a rank.

Two passes over the rules' synapses, a part at a time: count the words of every row, then write them. What a rule draws is a function of
counters, so drawing it twice costs time but no memory: two bytes a synapse with one delay, four or eight with a delay each, eight more with
a weight each, and four a source and block for the pointers. Projections whose rows are made when their source fires take part in no pass.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..clock import TICK_BITS, ticks
from ..connectivity import Incoming, incoming, place_of
from ..description import Network, Projection
from ..distributions import PURPOSE_DELAY, PURPOSE_WEIGHT, Distribution
from ..jit import STRIDE
from ..laws import has_law, law_of, stream_of, values_of
from ..partition import Share
from ..state import CONSTANT, DELAYED_32, DELAYED_64, DRAWN, WIDE, Blocks, Synapses
from .procedural import Limits, build_drawn, expected, is_drawn, limits
from .rows import count, fill, runs, sort_rows

WORD_TYPES: dict[int, Any] = {CONSTANT: np.uint16, DELAYED_32: np.uint32, DELAYED_64: np.uint64, WIDE: np.uint32}
ONE_DELAY = (CONSTANT, WIDE)


class Format(NamedTuple):
    """How the delays of a projection are stored: a function of the description alone."""

    kind: int
    unit: int  # log2 of the ticks in a unit of delay
    delay: int  # ticks, of all synapses, where they agree


class _Rows(NamedTuple):
    """One projection on this rank."""

    projection: Projection
    format: Format
    weighted: bool
    places: np.ndarray  # int64 (B,), where the row pointers start, or -1
    base: np.ndarray  # int64 (B,)
    weight_base: np.ndarray  # int64 (B,)
    n_rows: int
    limits: Limits | None  # of rows that are made when their source fires


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
    value = getattr(projection, name.removesuffix("s"))
    if isinstance(part.numbers, np.ndarray) and isinstance(value, Distribution) and has_law(value):
        # numbers may lie far apart, where `draw_at` would draw all between them
        values, purpose = np.empty(part.numbers.size), {"weights": PURPOSE_WEIGHT, "delays": PURPOSE_DELAY}[name]
        values_of(law_of(value), stream_of((network.seed, purpose, place_of(network, projection))), part.numbers, values)
        return values
    if isinstance(part.numbers, np.ndarray):
        return getattr(network, f"{name}_at")(projection, part.numbers)
    return getattr(network, name)(projection, part.numbers, part.numbers + len(part.sources))


def _count_rows(network: Network, shares: list[Share], blocks: Blocks, bulk: bool) -> tuple[list[_Rows], np.ndarray, dict[int, int], int]:
    """The first pass: return the projections with the places of their rows, the row pointers, the number of words of each kind and of
    weights."""
    todo: list[_Rows] = []
    n_pointers = 0
    for projection in network.projections:
        n_rows = network.pools(projection).sources.size
        index, drawn = np.full(len(blocks.gid), -1, np.int64), is_drawn(projection)
        for block in _blocks_of(network, projection, shares, blocks):
            index[block] = DRAWN if drawn else n_pointers
            n_pointers += 0 if drawn else n_rows + 1
        weighted = isinstance(projection.weight, Distribution) or (
            isinstance(projection.weight, np.ndarray) and np.ptp(projection.weight) > 0
        )
        empty = np.full(len(blocks.gid), -1, np.int64)
        form = delay_format(projection, blocks.block_bits, bulk)
        bounds = limits(network, projection, shares, form.unit) if drawn else None
        if drawn:  # its delays are on the grid of the stored ones, its words have room
            form = form._replace(kind=WIDE if form.kind in ONE_DELAY else DELAYED_64)
        todo.append(_Rows(projection, form, bool(weighted), index, empty, empty.copy(), n_rows, bounds))
    row_ptr = np.zeros(n_pointers, np.int32)
    n_words = dict.fromkeys(WORD_TYPES, 0)
    n_weights = 0
    for rows in todo:
        for _, part in parts(network, rows.projection, shares) if rows.limits is None else ():
            count(part.ptr, part.sources, part.start, blocks.first, rows.places, row_ptr)
        for block in np.flatnonzero(rows.places >= 0).tolist():
            pointers = row_ptr[rows.places[block] : rows.places[block] + rows.n_rows + 1]
            np.cumsum(pointers, out=pointers)
            rows.base[block], rows.weight_base[block] = n_words[rows.format.kind], n_weights
            n_words[rows.format.kind] += int(pointers[-1])
            n_weights += int(pointers[-1]) if rows.weighted else 0
    return todo, row_ptr, n_words, n_weights


def _blocks_of(network: Network, projection: Projection, shares: list[Share], blocks: Blocks) -> list[int]:
    """The blocks that hold targets of a projection."""
    own = [share for share in shares if share.population in projection.targets]
    return [
        block
        for block, first in enumerate(blocks.first[:-1])
        if any(share.local <= first < share.local + share.stop - share.start for share in own)
    ]


def _write_rows(
    network: Network, shares: list[Share], blocks: Blocks, rows: _Rows, row_ptr: np.ndarray, words: np.ndarray, weights: np.ndarray
) -> None:
    """The second pass, of one projection."""
    if rows.limits:
        return
    for _, part in parts(network, rows.projection, shares):
        delays = np.empty(0, np.uint64)
        if rows.format.kind not in ONE_DELAY:
            delays = stored_delays(synapse_values(network, rows.projection, part, "delays"), rows.format)
        own = synapse_values(network, rows.projection, part, "weights") if rows.weighted else np.empty(0)
        own = np.ascontiguousarray(own)
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


def _pathways(network: Network, todo: list[_Rows]) -> list[tuple[_Rows, list[tuple[int, int, int]], bool]]:
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


def _delay_range(rows: _Rows, row_ptr: np.ndarray, words: np.ndarray, block_bits: int) -> tuple[int, int]:
    """Return the smallest and the largest delay of a projection onto this rank, in ticks; of one without synapses (1 << 61, 0)."""
    if rows.format.kind in ONE_DELAY:
        return rows.format.delay, rows.format.delay
    if rows.limits:
        return rows.limits.least_delay, rows.limits.most_delay
    least, most = 1 << 61, 0
    for block in np.flatnonzero(rows.places >= 0):
        n = int(row_ptr[rows.places[block] + rows.n_rows])
        if n:
            own = words[rows.base[block] : rows.base[block] + n]
            least = min(least, int(own.min() >> block_bits) << rows.format.unit)
            most = max(most, int(own.max() >> block_bits) << rows.format.unit)
    return least, most


def _largest(rows: _Rows, row_ptr: np.ndarray, weights: np.ndarray, n_blocks: int) -> np.ndarray:
    """Return the largest absolute weight onto each block, mV."""
    largest = np.zeros(n_blocks)
    if rows.limits:
        largest[rows.places == DRAWN] = rows.limits.weight
    for block in np.flatnonzero(rows.places >= 0):
        n = int(row_ptr[rows.places[block] + rows.n_rows])
        own = weights[rows.weight_base[block] : rows.weight_base[block] + n] if rows.weighted else _one_weight(rows.projection)
        largest[block] = np.abs(own).max() if n else 0.0
    return largest


def _one_weight(projection: Projection) -> float:
    weight = projection.weight
    return 0.0 if isinstance(weight, Distribution) or np.size(weight) == 0 else float(np.atleast_1d(weight)[0])


def _needs(network: Network, todo: list[_Rows], row_ptr: np.ndarray) -> np.ndarray:
    """Return which neurons have synapses onto this rank."""
    needs = np.zeros(network.n_neurons, bool)
    for rows in todo:
        targets = np.full(rows.n_rows, rows.limits is not None and (rows.places == DRAWN).any())
        for block in np.flatnonzero(rows.places >= 0):
            targets |= np.diff(row_ptr[rows.places[block] : rows.places[block] + rows.n_rows + 1]) > 0
        row = 0
        for gids in network.pools(rows.projection).sources.gids:
            if gids.start < network.n_neurons:
                needs[gids.start : gids.stop] |= targets[row : row + len(gids)]
            row += len(gids)
    return needs


def _repeats(rows: _Rows, row_ptr: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, int]:
    """Return how many synapses of one source onto one neuron there are at most, per block, and the length of the longest row."""
    most, longest = np.zeros(len(rows.places), np.int64), 0
    if rows.limits:
        most[:] = rows.limits.repeats
        return most, rows.limits.longest
    for block in np.flatnonzero(rows.places >= 0):
        pointers = row_ptr[rows.places[block] : rows.places[block] + rows.n_rows + 1]
        most[block], own = runs(pointers, words[rows.base[block] : rows.base[block] + int(pointers[-1])])
        longest = max(longest, own)
    return most, longest


def build_synapses(
    network: Network, shares: list[Share], blocks: Blocks, bulk: bool
) -> tuple[Synapses, np.ndarray, np.ndarray, int, np.ndarray]:
    """Return the synapses of a rank, the largest absolute weight onto each block, the largest that one spike gives a neuron of it without
    delay, their number, and which neurons they come from; ``bulk``: for the slab schedule."""
    todo, row_ptr, n_words, n_weights = _count_rows(network, shares, blocks, bulk)
    # kernels read whole strides: behind the last row there must be as many words that belong to none
    spare = max((rows.limits.longest + 1 for rows in todo if rows.limits and not bulk), default=0)
    words = {kind: np.zeros(n + STRIDE + (spare if kind == WIDE else 0), WORD_TYPES[kind]) for kind, n in n_words.items()}
    weights = np.empty(n_weights + spare)
    for rows in todo:
        if rows.limits:
            rows.base[:], rows.weight_base[:] = n_words[WIDE] + STRIDE, n_weights
    largest = np.zeros(len(blocks.gid))
    delays, heaviest = {}, {}
    instant, longest = np.zeros(len(blocks.gid)), 0
    for rows in todo:
        _write_rows(network, shares, blocks, rows, row_ptr, words[rows.format.kind], weights)
        own = _largest(rows, row_ptr, weights, len(blocks.gid))
        largest, heaviest[id(rows)] = np.maximum(largest, own), own.max(initial=0.0)
        if rows.format.kind == WIDE and rows.format.delay == 0:
            repeats, row = _repeats(rows, row_ptr, words[WIDE])
            instant, longest = np.maximum(instant, own * repeats), max(longest, row)
        delays[id(rows)] = _delay_range(rows, row_ptr, words[rows.format.kind], blocks.block_bits)
    pathways = _pathways(network, todo)
    ranges = [item for _, own, _ in pathways for item in own]
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
        instant=np.array([rows.format == Format(WIDE, 0, 0) and not train for rows, _, train in pathways], np.uint8),
        weight=np.array([_one_weight(rows.projection) for rows, _, _ in pathways], np.float64),
        largest=np.array([heaviest[id(rows)] for rows, _, _ in pathways], np.float64),
        delay=np.array([delays[id(rows)][0] for rows, _, _ in pathways], np.int64),
        reach=np.array([delays[id(rows)][1] for rows, _, _ in pathways], np.int64),
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
        weights=weights,
        longest=longest,
        drawn=build_drawn(network, shares, [rows.projection for rows, _, _ in pathways]),
        safe=0,
    )
    made = sum(expected(network, rows.projection, shares) for rows in todo if rows.limits)
    return synapses, largest, instant, sum(n_words.values()) + made, _needs(network, todo, row_ptr)
