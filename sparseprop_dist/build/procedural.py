"""Projections whose rows are made when their source fires: what decides a row, bounds on what it may hold, and room for one.

Bounds follow from the description alone. Nothing is drawn here but, where ends are matched, how many each neuron has.
"""

from typing import NamedTuple

import numpy as np

from ..clock import ticks
from ..connectivity import ends_of, own_positions, place_of, target_ends
from ..description import Network, Projection
from ..distributions import PURPOSE_DELAY, PURPOSE_WEIGHT, Distribution
from ..drawing import BATCH, FIRST_GAPS, gap_scale, group_bits
from ..laws import KEY_SIZE, LAW_SIZE, law_of, stream_of
from ..matching import ROUNDS
from ..partition import Share
from ..pools import Pools
from ..rules import AllToAll, FixedIndegree, FixedOutdegree, FixedTotalNumber, OneToOne, PairwiseBernoulli, Rule
from ..state import ALL, BERNOULLI, KEPT, MATCHED, ONE, OUTDEGREE, Drawn
from ..synapses import STORAGES

KINDS: dict[type[Rule], int] = {
    FixedOutdegree: OUTDEGREE,
    PairwiseBernoulli: BERNOULLI,
    AllToAll: ALL,
    OneToOne: ONE,
    FixedIndegree: MATCHED,
    FixedTotalNumber: MATCHED,
}


class Limits(NamedTuple):
    """Bounds on the rows of a projection on a rank."""

    weight: float  # mV, largest absolute value
    least_delay: int  # ticks
    most_delay: int
    repeats: int  # synapses of one source onto one target
    longest: int  # words in a row


def is_drawn(projection: Projection) -> bool:
    """Return whether the rows of a projection are made when their source fires."""
    return projection.storage == STORAGES[1]


def is_matched(projection: Projection) -> bool:
    """Return whether rows are made by matching ends."""
    return is_drawn(projection) and KINDS[type(projection.rule)] == MATCHED


def stretches(network: Network, projection: Projection, shares: list[Share]) -> list[tuple[int, int, int]]:
    """Return the targets of a projection on a rank: first position in the pool, stop, local index of the first."""
    out, offset = [], 0
    by_name = {share.population: share for share in shares}
    for name in projection.targets:
        share = by_name[name]
        if share.stop > share.start:
            out.append((offset + share.start, offset + share.stop, share.local))
        offset += network.population(name).size
    return out


def limits(network: Network, projection: Projection, shares: list[Share], unit: int) -> Limits:
    """Return the bounds on the rows of a projection; delays are on a grid of 2^unit ticks."""
    rule, weight, delay = projection.rule, projection.weight, projection.delay
    bounds = (weight.lowest, weight.highest) if isinstance(weight, Distribution) else (weight, weight)
    delays = (delay.lowest, delay.highest) if isinstance(delay, Distribution) else (delay, delay)
    own = sum(stop - start for start, stop, _ in stretches(network, projection, shares))
    several = not isinstance(rule, PairwiseBernoulli | AllToAll | OneToOne) and rule.allow_multapses  # type: ignore[attr-defined]
    longest = rule.outdegree if isinstance(rule, FixedOutdegree) else 1 if isinstance(rule, OneToOne) else own
    if is_matched(projection):
        longest = int(np.diff(ends_of(network, projection).sources).max(initial=0))
    grid = 1 << unit
    least, most = int(ticks(delays[0])) // grid * grid, (int(ticks(delays[1])) // grid + 1) * grid
    least = max(least, grid if delays[0] > 0.0 else 0)
    return Limits(max(abs(float(bound)) for bound in bounds), least, most, longest if several else 1, longest)


def expected(network: Network, projection: Projection, shares: list[Share]) -> int:
    """Return the number of synapses of a projection onto a rank, or its mean; those of all ranks add up to that of the projection."""
    total, n = network.expected_synapses(projection), network.pools(projection).targets.size
    return sum(round(total * stop / n) - round(total * start / n) for start, stop, _ in stretches(network, projection, shares))


def _own(network: Network, projection: Projection) -> list[tuple[int, int, int]]:
    """Return the rows whose source is in the target pool and may not project to itself: first row, stop, position of the first."""
    if getattr(projection.rule, "allow_autapses", True):
        return []
    pools, out, row = network.pools(projection), [], 0
    positions = own_positions(Pools(pools.targets, pools.sources), 0, pools.sources.size)
    for gids in pools.sources.gids:
        if positions[row] >= 0:
            out.append((row, row + len(gids), int(positions[row])))
        row += len(gids)
    return out


def _laws(network: Network, projections: list[Projection], name: str, purpose: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the laws of the weights or delays (by name) of projections, where they are drawn anew, and their streams."""
    laws, streams = np.zeros((len(projections), LAW_SIZE)), np.zeros((len(projections), KEY_SIZE), np.uint64)
    for p, projection in enumerate(projections):
        if is_drawn(projection):
            laws[p] = law_of(getattr(projection, name))
            streams[p] = stream_of((network.seed, purpose, place_of(network, projection)))
    return laws, streams


def build_drawn(network: Network, shares: list[Share], projections: list[Projection]) -> Drawn:
    """Return how the rows of pathways, given by the projection of each, are made."""
    rules = [projection.rule if is_drawn(projection) else None for projection in projections]
    share = [stretches(network, projection, shares) if is_drawn(projection) else [] for projection in projections]
    own = [_own(network, projection) if is_drawn(projection) else [] for projection in projections]
    p = [rule.p if isinstance(rule, PairwiseBernoulli) else 0.5 for rule in rules]
    valued = [isinstance(projection.weight, Distribution) or isinstance(projection.delay, Distribution) for projection in projections]
    n_targets = [network.pools(projection).targets.size if is_drawn(projection) else 0 for projection in projections]
    longest = [limits(network, projection, shares, 0).longest if is_drawn(projection) else 0 for projection in projections]
    ends = [ends_of(network, projection) if is_matched(projection) else None for projection in projections]
    numbered = [each or own is not None for each, own in zip(valued, ends, strict=True)]
    room = max((size for size, each in zip(longest, numbered, strict=True) if each), default=0)
    weight_law, weight_key = _laws(network, projections, "weight", PURPOSE_WEIGHT)
    delay_law, delay_key = _laws(network, projections, "delay", PURPOSE_DELAY)
    uneven = [is_matched(projection) and isinstance(projection.rule, FixedTotalNumber) for projection in projections]
    none = np.empty(0, np.int64)
    targets = [target_ends(network, projection) if each else none for each, projection in zip(uneven, projections, strict=True)]
    sources = [own.sources if own else none for own in ends]
    return Drawn(
        rule=np.array([KINDS[type(rule)] if rule else KEPT for rule in rules], np.uint8),
        n_targets=np.array(n_targets, np.int64),
        degree=np.array([_degree(rule) for rule in rules], np.int64),
        distinct=np.array([not getattr(rule, "allow_multapses", True) for rule in rules], np.uint8),
        scale=np.array([gap_scale(each) for each in p], np.float64),
        bits=np.array([own.side if own else group_bits(each) for own, each in zip(ends, p, strict=True)], np.int64),
        place=np.array([place_of(network, projection) for projection in projections], np.int64),
        share_ptr=np.concatenate([[0], np.cumsum([len(each) for each in share])]).astype(np.int64),
        share=_columns(share),
        source_ptr=np.concatenate([[0], np.cumsum([len(own) for own in sources])]).astype(np.int64),
        source_ends=np.concatenate([none, *sources]),
        target_ptr=np.concatenate([[0], np.cumsum([len(own) for own in targets])]).astype(np.int64),
        target_ends=np.concatenate([none, *targets]),
        match_key=np.array([own.keys if own else np.zeros(ROUNDS, np.uint64) for own in ends], np.uint64).reshape(-1, ROUNDS),
        own_ptr=np.concatenate([[0], np.cumsum([len(each) for each in own])]).astype(np.int64),
        own=_columns(own),
        valued=np.array(valued, np.uint8),
        weight_law=weight_law,
        weight_key=weight_key,
        delay_law=delay_law,
        delay_key=delay_key,
        seed=network.seed,
        local=np.zeros(max(longest, default=0), np.uint32),
        number=np.zeros(room, np.int64),
        weight=np.zeros(room),
        delay=np.zeros(room, np.int64),
        at=np.array([-1, -1, 0]),
        taken=np.zeros((max(n_targets, default=0) >> 6) + 1, np.uint64),
        products=np.zeros(BATCH, np.uint64),
        gaps=np.zeros(FIRST_GAPS, np.int32),
    )


def _degree(rule: Rule | None) -> int:
    return rule.outdegree if isinstance(rule, FixedOutdegree) else rule.indegree if isinstance(rule, FixedIndegree) else 0


def _columns(lists: list[list[tuple[int, int, int]]]) -> np.ndarray:
    return np.ascontiguousarray(np.array([item for each in lists for item in each], np.int64).reshape(-1, 3).T)
