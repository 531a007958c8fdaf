"""The synapses that a rule makes: a pure function of the description, the seed and the targets asked for.

Owns how each rule draws, by the kernels of ``drawing``. `FixedIndegree` and `FixedTotalNumber` are turned into an indegree of each target
and then draw that many sources, keyed by (seed, projection, target). `FixedOutdegree` draws the targets of a source, keyed by it;
`PairwiseBernoulli` those in a group of targets, keyed by source and group. So a rank makes the synapses onto its own neurons alone (of
`FixedOutdegree` it draws all, and keeps its own). Knows no rank and stores nothing.

Both of the first two can also match the ends of synapses (``matching``), which can be turned round.

Laws: fixed_total_number with multapses gives multinomial indegrees, without them multivariate hypergeometric ones; given its indegree, the
sources of a target are independent and uniform, or a uniform subset. Synapse numbers: those of a source are consecutive with a fixed
outdegree, those of a target with a fixed indegree or total number; else ``source * n_targets + target``.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .description import Network, Projection
from .drawing import BATCH, FIRST_GAPS, draw_pairs, draw_partners, gap_scale, group_bits
from .jit import njit
from .matching import match_key, match_side, owner, source_ends
from .models.parameters import frozen
from .pools import Pools
from .random import SOURCE, TARGET
from .rules import AllToAll, FixedIndegree, FixedOutdegree, FixedTotalNumber, OneToOne, Pairs, PairwiseBernoulli

CHUNK_SYNAPSES = 1 << 20
"""Synapses that are made at a time where a rule can make any part alone."""
PURPOSE_COUNT = 7
"""Second number of the key of the streams that indegrees are drawn from (1 to 6: ``distributions``)."""


class Incoming(NamedTuple):
    """Synapses onto the targets ``start`` to ``start + n - 1`` of a target pool, ordered by target, then as the description has them.

    A part may hold those of a range of sources alone."""

    start: int
    ptr: np.ndarray  # int64 (n + 1,), where the synapses of each target start
    sources: np.ndarray  # int32, positions in the source pool
    numbers: np.ndarray | int  # int64, the number of each synapse in the rule's numbering, or that of the first if they are consecutive


def incoming(network: Network, projection: Projection, start: int, stop: int) -> Iterator[Incoming]:
    """Yield the synapses onto positions ``start`` to ``stop - 1`` of the target pool, a part at a time."""
    rule, pools = projection.rule, network.pools(projection)
    if isinstance(rule, Pairs):
        yield _listed(rule.sources, rule.targets, start, stop)
    elif isinstance(rule, OneToOne):
        yield Incoming(start, np.arange(stop - start + 1), np.arange(start, stop, dtype=np.int32), start)
    elif isinstance(rule, FixedOutdegree):
        yield from _outgoing(network, projection, start, stop)
    elif isinstance(rule, AllToAll):
        yield from _all(rule, pools, start, stop)
    elif isinstance(rule, PairwiseBernoulli):
        yield from _paired(network, projection, start, stop)
    else:
        yield from _drawn(network, projection, start, stop)


def own_positions(pools: Pools, start: int, stop: int) -> np.ndarray:
    """Return, for targets ``start`` to ``stop - 1``, their position in the source pool, or -1 for those that are not in it."""
    positions = np.full(pools.targets.size, -1, np.int64)[start:stop]
    offset = 0
    for gids in pools.targets.gids:
        source = 0
        for others in pools.sources.gids:
            if others == gids:
                a, b = max(start, offset), min(stop, offset + len(gids))
                if a < b:
                    positions[a - start : b - start] = source + np.arange(a - offset, b - offset)
            source += len(others)
        offset += len(gids)
    return positions


def _listed(sources: np.ndarray, targets: np.ndarray, start: int, stop: int) -> Incoming:
    numbers = np.flatnonzero((targets >= start) & (targets < stop))
    numbers = numbers[np.argsort(targets[numbers], kind="stable")]
    ptr = np.concatenate([[0], np.cumsum(np.bincount(targets[numbers] - start, minlength=stop - start))]).astype(np.int64)
    return Incoming(start, ptr, sources[numbers].astype(np.int32), numbers)


def _all(rule: AllToAll, pools: Pools, start: int, stop: int) -> Iterator[Incoming]:
    n = pools.sources.size
    own = own_positions(pools, start, stop)
    step = max(1, CHUNK_SYNAPSES // n)
    for first in range(start, stop, step):
        last = min(first + step, stop)
        sources = np.tile(np.arange(n, dtype=np.int32), last - first).reshape(last - first, n)
        numbers = sources.astype(np.int64) * pools.targets.size + np.arange(first, last)[:, None]
        keep = np.ones(sources.shape, bool) if rule.allow_autapses else sources != own[first - start : last - start, None]
        ptr = np.concatenate([[0], np.cumsum(keep.sum(1))]).astype(np.int64)
        yield Incoming(first, ptr, sources[keep], numbers[keep])


def place_of(network: Network, projection: Projection) -> int:
    """Return the number of a projection: what it draws depends on it."""
    return next(k for k, other in enumerate(network.projections) if other is projection)


def _indegrees(network: Network, projection: Projection, stop: int) -> np.ndarray:
    """Return the indegrees of targets 0 to ``stop - 1``; where they are drawn, those of all targets are."""
    rule, pools = projection.rule, network.pools(projection)
    if isinstance(rule, FixedIndegree):
        return np.full(stop, rule.indegree, np.int64)
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((network.seed, PURPOSE_COUNT, place_of(network, projection)))))
    available = np.full(pools.targets.size, pools.sources.size, np.int64)
    if not rule.allow_autapses:  # type: ignore[attr-defined]
        available -= own_positions(pools, 0, pools.targets.size) >= 0
    assert isinstance(rule, FixedTotalNumber)
    if rule.allow_multapses:
        return generator.multinomial(rule.number, available / available.sum())[:stop].astype(np.int64)
    return generator.multivariate_hypergeometric(available, rule.number, method="marginals")[:stop].astype(np.int64)


class Ends(NamedTuple):
    """The ends of the synapses of a projection, and how they are matched."""

    sources: np.ndarray  # int64 (sources + 1,), where those of each source begin
    n: int
    side: int  # see `matching`
    keys: np.ndarray  # uint64 (ROUNDS,)


@functools.lru_cache(maxsize=4)
def _source_ends(seed: int, place: int, n: int, n_sources: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, PURPOSE_COUNT, place, 1))))
    degrees = generator.multinomial(n, np.full(n_sources, 1.0 / n_sources)) if n else np.zeros(n_sources, np.int64)
    return frozen(np.concatenate([[0], np.cumsum(degrees)]), np.int64)


def ends_of(network: Network, projection: Projection) -> Ends:
    """Return how the ends of the synapses of a projection are matched: all sources are as likely."""
    pools, place = network.pools(projection), place_of(network, projection)
    n = int(network.expected_synapses(projection))
    return Ends(
        _source_ends(network.seed, place, n, pools.sources.size), n, match_side(n), match_key((network.seed, PURPOSE_COUNT, place, 2))
    )


def target_ends(network: Network, projection: Projection) -> np.ndarray:
    """Return where the ends of each target begin, int64 (targets + 1,)."""
    return np.concatenate([[0], np.cumsum(_indegrees(network, projection, network.pools(projection).targets.size))]).astype(np.int64)


def _drawn(network: Network, projection: Projection, start: int, stop: int) -> Iterator[Incoming]:
    rule, pools = projection.rule, network.pools(projection)
    degrees = _indegrees(network, projection, stop)
    number = int(degrees[:start].sum())
    degrees = degrees[start:stop]
    distinct = not rule.allow_multapses  # type: ignore[attr-defined]
    own = np.full(stop - start, -1) if rule.allow_autapses else own_positions(pools, start, stop)  # type: ignore[attr-defined]
    ends = np.cumsum(degrees)
    first = 0
    while first < stop - start:
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + CHUNK_SYNAPSES)))
        ptr = np.concatenate([[0], ends[first:last] - before]).astype(np.int64)
        sources = np.empty(ptr[-1], np.int32)
        n, place = pools.sources.size, place_of(network, projection)
        if rule.matched:  # type: ignore[attr-defined]
            _match_all(sources, number + int(before), np.empty(sources.size, np.int64), *ends_of(network, projection))
        else:
            _draw_all(ptr, sources, n, own[first:last], distinct, *_spare(n), start + first, place, SOURCE, network.seed)
        yield Incoming(start + first, ptr, sources, number + int(before))
        first = last


def _outgoing(network: Network, projection: Projection, start: int, stop: int) -> Iterator[Incoming]:
    """Draw the targets of all sources, a part at a time, and keep those asked for."""
    rule, pools = projection.rule, network.pools(projection)
    assert isinstance(rule, FixedOutdegree)
    n, degree, distinct, place = pools.sources.size, rule.outdegree, not rule.allow_multapses, place_of(network, projection)
    own, spare = _own_targets(pools, rule.allow_autapses), _spare(pools.targets.size)
    step = max(1, CHUNK_SYNAPSES // max(1, degree))
    for first in range(0, n, step):
        last = min(first + step, n)
        ends, targets = np.arange(last - first + 1) * degree, np.empty((last - first) * degree, np.int32)
        _draw_all(ends, targets, pools.targets.size, own[first:last], distinct, *spare, first, place, TARGET, network.seed)
        here = np.flatnonzero((targets >= start) & (targets < stop))
        part, places = _by_targets(targets[here], np.searchsorted(here, ends[1:]), start, stop, first)
        yield part._replace(numbers=first * degree + here[places])


def _by_targets(targets: np.ndarray, ends: np.ndarray, start: int, stop: int, first: int) -> tuple[Incoming, np.ndarray]:
    """Bring synapses from the order of sources (from ``first`` on; those of each end at ``ends``) into that of targets; return them,
    without numbers, and where each was."""
    ptr, sources, places = np.zeros(stop - start + 1, np.int64), np.empty(targets.size, np.int32), np.empty(targets.size, np.int64)
    _by_target(targets, ends, start, first, ptr, sources, places)
    return Incoming(start, ptr, sources, 0), places


def _own_targets(pools: Pools, allow_autapses: bool) -> np.ndarray:
    """Return the position of each source in the target pool, or -1 if it is not in it, or may project to itself."""
    n = pools.sources.size
    return np.full(n, -1, np.int64) if allow_autapses else own_positions(Pools(pools.targets, pools.sources), 0, n)


def _spare(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Memory for `draw_partners` to draw out of ``n``."""
    return np.zeros((n >> 6) + 1, np.uint64), np.empty(BATCH, np.uint64)


def _paired(network: Network, projection: Projection, start: int, stop: int) -> Iterator[Incoming]:
    """Draw source by source, and bring what is drawn in the order of targets: a few groups of targets and some sources at a time."""
    rule, pools = projection.rule, network.pools(projection)
    assert isinstance(rule, PairwiseBernoulli)
    n, place, own = pools.sources.size, place_of(network, projection), _own_targets(pools, rule.allow_autapses)
    scale, bits, gaps = gap_scale(rule.p), group_bits(rule.p), np.empty(FIRST_GAPS, np.int32)
    group = 1 << bits
    width = max(1, int(CHUNK_SYNAPSES / max(n * rule.p * group, 1.0))) * group
    out = np.empty(2 * CHUNK_SYNAPSES, np.int32)
    for a in range(start // group * group, stop, width):
        low, high = max(a, start), min(a + width, stop)
        step = max(1, min(n, int(CHUNK_SYNAPSES / max(rule.p * (high - low), 1.0))))
        for first in range(0, n, step):
            ends = np.empty(min(step, n - first), np.int64)
            while _draw_range(out, ends, low, high, own, scale, bits, gaps, first, place, network.seed) < 0:
                out = np.empty(2 * out.size, np.int32)
            targets = out[: ends[-1]]
            part, places = _by_targets(targets, ends, low, high, first)
            yield part._replace(numbers=part.sources.astype(np.int64) * pools.targets.size + targets[places])


@njit
def _draw_all(ptr, partners, n, own, distinct, taken, products, first, place, purpose, seed):
    """Draw the partners of neurons ``first``, ``first + 1``, ..., see `draw_partners`."""
    for k in range(ptr.size - 1):
        draw_partners(partners[ptr[k] : ptr[k + 1]], n, own[k], distinct, taken, products, first + k, place, purpose, seed)


@njit
def _match_all(sources, first, numbers, ends, n, side, keys):
    """Write the sources of the synapses that have the numbers ``first``, ``first + 1``, ... at their targets; ``numbers`` is room for as
    many."""
    source_ends(first, n, side, keys, numbers)
    for k in range(sources.size):
        sources[k] = owner(ends, numbers[k])


@njit
def _draw_range(out, ends, low, high, own, scale, bits, gaps, first, place, seed):
    """Draw the targets in [low, high) of the sources from ``first`` on; ``ends`` says where those of each end. Return their number, or -1
    if ``out`` has no room."""
    n = 0
    for k in range(ends.size):
        more = draw_pairs(out[n:], low, high, own[first + k], scale, bits, gaps, first + k, place, seed)
        if more < 0:
            return more
        n += more
        ends[k] = n
    return n


@njit
def _by_target(targets, ends, low, first, ptr, sources, places):
    """Bring synapses from the order of sources into that of targets, by counting; ``ptr`` is all 0, and then says where those of each
    target start."""
    for q in range(targets.size):
        ptr[targets[q] - low + 1] += 1
    for t in range(1, ptr.size):
        ptr[t] += ptr[t - 1]
    q = 0
    for k in range(ends.size):
        while q < ends[k]:
            t = targets[q] - low
            sources[ptr[t]], places[ptr[t]] = first + k, q
            ptr[t] += 1
            q += 1
    for t in range(ptr.size - 1, 0, -1):
        ptr[t] = ptr[t - 1]
    ptr[0] = 0
