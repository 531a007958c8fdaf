"""The synapses that a rule makes: a pure function of the description, the seed and the targets asked for.

Owns how each rule draws. Every rule but `FixedOutdegree` and `Pairs` is first turned into an indegree of each target and then draws that
many sources, keyed by (seed, projection, target), so a rank makes the synapses onto its own neurons alone. Knows no rank and stores
nothing.

Laws: fixed_total_number with multapses gives multinomial indegrees, without them multivariate hypergeometric ones; pairwise_bernoulli
binomial ones; given its indegree, the sources of a target are independent and uniform, or a uniform subset.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .description import Network, Projection
from .jit import njit
from .pools import Pools
from .random import SOURCE, TARGET, U, below, philox
from .rules import AllToAll, FixedIndegree, FixedOutdegree, FixedTotalNumber, OneToOne, Pairs, PairwiseBernoulli

CHUNK_SYNAPSES = 1 << 20
"""Synapses that are made at a time where a rule can make any part alone."""
PURPOSE_COUNT = 7
"""Second number of the key of the streams that indegrees are drawn from (1 to 6: ``distributions``)."""


class Incoming(NamedTuple):
    """Synapses onto the targets ``start`` to ``start + n - 1`` of a target pool, ordered by target, then as the description has them."""

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
        sources, targets, numbers = _outgoing(network, projection, start, stop)
        part = _listed(sources, targets, start, stop)
        yield part._replace(numbers=numbers[part.numbers])
    elif isinstance(rule, AllToAll):
        yield from _all(rule, pools, start, stop)
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


def _place(network: Network, projection: Projection) -> int:
    return next(k for k, other in enumerate(network.projections) if other is projection)


def _indegrees(network: Network, projection: Projection, stop: int) -> np.ndarray:
    """Return the indegrees of targets 0 to ``stop - 1``; where they are drawn, those of all targets are."""
    rule, pools = projection.rule, network.pools(projection)
    if isinstance(rule, FixedIndegree):
        return np.full(stop, rule.indegree, np.int64)
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((network.seed, PURPOSE_COUNT, _place(network, projection)))))
    available = np.full(pools.targets.size, pools.sources.size, np.int64)
    if not rule.allow_autapses:  # type: ignore[attr-defined]
        available -= own_positions(pools, 0, pools.targets.size) >= 0
    if isinstance(rule, PairwiseBernoulli):
        return generator.binomial(available, rule.p)[:stop].astype(np.int64)
    assert isinstance(rule, FixedTotalNumber)
    if rule.allow_multapses:
        return generator.multinomial(rule.number, available / available.sum())[:stop].astype(np.int64)
    return generator.multivariate_hypergeometric(available, rule.number, method="marginals")[:stop].astype(np.int64)


def _drawn(network: Network, projection: Projection, start: int, stop: int) -> Iterator[Incoming]:
    rule, pools = projection.rule, network.pools(projection)
    degrees = _indegrees(network, projection, stop)
    number = int(degrees[:start].sum())
    degrees = degrees[start:stop]
    distinct = isinstance(rule, PairwiseBernoulli) or not rule.allow_multapses  # type: ignore[attr-defined]
    own = np.full(stop - start, -1) if rule.allow_autapses else own_positions(pools, start, stop)  # type: ignore[attr-defined]
    ends = np.cumsum(degrees)
    first = 0
    while first < stop - start:
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + CHUNK_SYNAPSES)))
        ptr = np.concatenate([[0], ends[first:last] - before]).astype(np.int64)
        sources = np.empty(ptr[-1], np.int32)
        marks = np.zeros(pools.sources.size if distinct else 0, np.int64)
        n, place = pools.sources.size, _place(network, projection)
        _draw_partners(ptr, sources, n, own[first:last], distinct, marks, start + first, place, SOURCE, network.seed)
        yield Incoming(start + first, ptr, sources, number + int(before))
        first = last


def _outgoing(network: Network, projection: Projection, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sources, targets and numbers of the synapses of `FixedOutdegree` onto targets ``start`` to ``stop - 1``; draws those of all
    sources, a part at a time."""
    rule, pools = projection.rule, network.pools(projection)
    assert isinstance(rule, FixedOutdegree)
    n, degree = pools.sources.size, rule.outdegree
    own = np.full(n, -1) if rule.allow_autapses else own_positions(Pools(pools.targets, pools.sources), 0, n)
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64))]
    step = max(1, CHUNK_SYNAPSES // max(1, degree))
    for first in range(0, n, step):
        last = min(first + step, n)
        ptr = np.arange(last - first + 1) * degree
        targets = np.empty(ptr[-1], np.int32)
        marks = np.zeros(0 if rule.allow_multapses else pools.targets.size, np.int64)
        place = _place(network, projection)
        _draw_partners(
            ptr, targets, pools.targets.size, own[first:last], not rule.allow_multapses, marks, first, place, TARGET, network.seed
        )
        here = np.flatnonzero((targets >= start) & (targets < stop))
        kept.append(((first + here // max(1, degree)).astype(np.int32), targets[here], first * degree + here))
    sources, targets, numbers = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return sources, targets, numbers


@njit
def _draw_partners(ptr, partners, n, own, distinct, marks, first, place, purpose, seed):
    """Draw the partners of neurons ``first``, ``first + 1``, ... out of ``n``, except ``own`` (-1: none); distinct ones by rejection, or by
    drawing those left out if they are fewer."""
    key = U(seed)
    for t in range(ptr.size - 1):
        out = partners[ptr[t] : ptr[t + 1]]
        pool = n - 1 if own[t] >= 0 else n
        left_out = distinct and 2 * out.size > pool
        wanted = pool - out.size if left_out else out.size
        c1, c2, c3 = U((first + t) & 0xFFFFFFFF), U(place), U(purpose)
        k, attempt, x, y = 0, 0, U(0), U(0)
        while k < wanted:
            if attempt & 1:
                word = y
            else:
                x, y = philox(U(attempt >> 1), c1, c2, c3, key)
                word = x
            partner = below(word, U(pool), U(attempt), c1, c2, c3 | U(1 << 8), key)
            attempt += 1
            if own[t] >= 0 and partner >= own[t]:
                partner += 1
            if distinct:
                if marks[partner] == t + 1:
                    continue
                marks[partner] = t + 1
            if not left_out:
                out[k] = partner
            k += 1
        if left_out:
            k = 0
            for partner in range(n):
                if marks[partner] != t + 1 and partner != own[t]:
                    out[k] = partner
                    k += 1
