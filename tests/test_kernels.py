"""The kernels' parts: random numbers, elementary functions, heap, sorting; and that compiled kernels and plain Python make the same
bits."""

from __future__ import annotations

import heapq
import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from digests import digests, instant_networks, small_networks
from networks import Run, emitted, largest_difference, oracle_spikes, plain
from scipy import stats

from sparseprop_dist import elementary
from sparseprop_dist.engine import instant
from sparseprop_dist.engine.emission import precedes, sort_spikes
from sparseprop_dist.jit import ENABLED, STRIDE, count_below, njit, python_body, spread
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.row import are_distinct
from sparseprop_dist.models.scan import scan
from sparseprop_dist.queue import BUCKETS, LOCAL_BITS, clear, pop, push, put, take
from sparseprop_dist.random import U, below, normal, philox, poisson, unit
from sparseprop_dist.state import NO_TRIGGER, Emitted, Flight

pytestmark = pytest.mark.kernels
SAMPLES = 40_000 if ENABLED else 3_000
LEAST_P = 1e-3
"""Seeds are fixed, so a test passes or fails for ever; about one seed in a thousand would fail it."""


# --- the same bits, compiled and not --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not ENABLED, reason="the compiled run makes this comparison")
def test_plain_python_makes_the_same_bits(solo: Any) -> None:
    """Plain Python in a process of its own."""
    other = json.loads(solo(["tests/digests.py"], 200.0, env={"NUMBA_DISABLE_JIT": "1"}).stdout)
    own = digests()
    assert len(set(own.values())) > 15
    assert own == other
    for name in own:  # the digests do not say with which schedule
        network, _, schedule = name.rpartition(", ")
        if schedule in ("slab", "instant"):
            assert own[name] == own[f"{network}, ordered"]


def test_these_networks_are_those_of_the_oracle() -> None:
    for name, network, until in itertools.chain(small_networks(), instant_networks()):
        spikes = plain(emitted(network, until, Run(instant)))
        assert largest_difference(spikes, oracle_spikes(network, until), network.n_neurons) < 1e-9, name


# --- random numbers -------------------------------------------------------------------------------------------------------------------


@njit
def call_philox(c0, c1, c2, c3, key):
    return philox(c0, c1, c2, c3, key)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter: Any, key: Any, words: Any) -> None:
    x, y = (int(word) for word in call_philox(*(U(c) for c in counter), U(key[1] << 32 | key[0])))
    assert (x >> 32, x & 0xFFFFFFFF, y >> 32, y & 0xFFFFFFFF) == words


@njit
def fill_below(out, n, key):
    for k in range(out.size):
        word = philox(U(k), U(1), U(2), U(3), key)[0]
        out[k] = below(word, n, U(k), U(1), U(2), U(3), key)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000, 3 << 30, (1 << 32) - 1])
def test_below_is_uniform(n: int) -> None:
    """3 << 30 is the worst case of the rejection: a quarter of all words is drawn again."""
    out = np.empty(SAMPLES, np.int64)
    fill_below(out, U(n), U(5))
    assert 0 <= out.min() <= out.max() < n
    bins = min(n, 12)
    counts = np.bincount(out * bins // n, minlength=bins)
    sizes = np.diff([-(-k * n // bins) for k in range(bins + 1)])
    assert bins == 1 or stats.chisquare(counts, SAMPLES * sizes / n).pvalue > LEAST_P


@njit
def fill_unit(out, key):
    for k in range(out.size):
        out[k] = unit(philox(U(k), U(1), U(2), U(3), key)[1])


def test_unit_lies_strictly_between_0_and_1() -> None:
    assert 0.0 < python_body(unit)(U(0)) < python_body(unit)(U((1 << 64) - 1)) < 1.0
    out = np.empty(SAMPLES)
    fill_unit(out, U(1 << 40))
    assert stats.kstest(out, "uniform").pvalue > LEAST_P


@njit
def fill_poisson(out, mean, key):
    for k in range(out.size):
        out[k] = poisson(mean, U(k), U(2), U(3), key)


@pytest.mark.parametrize("mean", [1e-3, 0.1, 1.0, 7.7, 29.9, 30.0, 30.1, 47.0, 100.0, 1e3, 1e5])
def test_poisson_numbers(mean: float) -> None:
    """From 30 on they are made in another way."""
    out = np.empty(SAMPLES, np.int64)
    fill_poisson(out, mean, U(11))
    law = stats.poisson(mean)
    edges = np.unique(law.ppf(np.linspace(0.0, 1.0, 40)[1:-1])).astype(np.int64)  # bins of about equal probability
    counts = np.bincount(np.searchsorted(edges, out), minlength=len(edges) + 1)
    expected = np.diff(np.concatenate([[0.0], law.cdf(edges), [1.0]])) * SAMPLES
    keep = expected > 4.0
    counts, expected = (np.append(part[keep], part[~keep].sum()) for part in (counts, expected))
    statistic = np.sum((counts - expected)[expected > 0] ** 2 / expected[expected > 0])
    assert stats.chi2.sf(statistic, max(1, (expected > 0).sum() - 1)) > LEAST_P
    assert abs(out.mean() - mean) < 4.0 * math.sqrt(mean / SAMPLES)


def test_poisson_numbers_of_no_rate() -> None:
    out = np.empty(3, np.int64)
    fill_poisson(out, 0.0, U(1))
    assert out.tolist() == [0, 0, 0]


@njit
def fill_normal(out, key):
    for k in range(out.size):
        out[k] = normal(U(k), U(1), U(2), U(3), key)


def test_normal_numbers() -> None:
    out = np.empty(SAMPLES)
    fill_normal(out, U(2))
    assert stats.kstest(out, "norm").pvalue > LEAST_P


# --- elementary functions ---------------------------------------------------------------------------------------------------------------


def worst(function: Callable, exact: Callable, arguments: np.ndarray) -> float:
    """The largest relative error, in units of 2^-53."""
    with mpmath.workdps(40):
        values = [(mpmath.mpf(float(function(x))), exact(mpmath.mpf(x))) for x in arguments.tolist()]
        return float(max(abs((y - e) / e) for y, e in values) * 2**53)


def test_elementary_functions() -> None:
    draw = np.random.default_rng(1)
    exp_small, log_near_one = python_body(elementary.exp_small), python_body(elementary.log_near_one)
    assert worst(exp_small, mpmath.exp, draw.uniform(-1 / 64, 1 / 64, 2000)) < 2.0
    assert worst(exp_small, mpmath.exp, np.array([-1 / 64, 1 / 64, 1e-9, 1e-300])) < 2.0
    assert worst(log_near_one, mpmath.log, draw.uniform(0.7, 1.42, 2000)) < 5.0
    assert worst(log_near_one, mpmath.log, 1.0 + draw.uniform(-1e-6, 1e-6, 2000)) < 5.0
    assert worst(elementary.log, mpmath.log, np.exp(draw.uniform(-700.0, 700.0, 2000))) < 5.0
    assert worst(elementary.log, mpmath.log, draw.uniform(0.5, 2.0, 2000)) < 5.0
    assert worst(elementary.exp, mpmath.exp, draw.uniform(-30.0, 0.0, 2000)) < 100.0, "the samplers need no more"
    assert worst(elementary.exp, mpmath.exp, draw.uniform(-650.0, 650.0, 2000)) < 2000.0
    assert elementary.log(1.0) == log_near_one(1.0) == 0.0
    assert exp_small(0.0) == elementary.exp(0.0) == 1.0


def farthest(function: Callable, exact: Callable, arguments: np.ndarray) -> float:
    """The largest absolute error, in units of 2^-53."""
    with mpmath.workdps(40):
        return float(max(abs(mpmath.mpf(float(function(x))) - exact(mpmath.mpf(x))) for x in arguments.tolist()) * 2**53)


def test_exponentials_of_long_frames() -> None:
    exp_small, exp_to_quarter = python_body(elementary.exp_small), python_body(elementary.exp_to_quarter)
    arguments = np.append(np.random.default_rng(2).uniform(-0.25, 0.25, 2000), [-0.25, 0.25, 1e-9, -1e-300])
    assert worst(exp_to_quarter, mpmath.exp, arguments) < 4.0
    assert worst(elementary.exp_frame, mpmath.exp, arguments) < 4.0
    reach = elementary.SMALL
    for x in (0.0, reach, -reach, 0.3 * reach):
        assert elementary.exp_frame(x) == exp_small(x)
    for x in (np.nextafter(reach, 1.0), -0.25):
        assert elementary.exp_frame(x) == exp_to_quarter(x)


def test_circular_functions() -> None:
    """Also where one quadrant or one interval of a series ends, and the next begins."""
    draw = np.random.default_rng(3)
    quadrants = np.arange(-40, 40) * (math.pi / 4)
    angles = np.concatenate([draw.uniform(-10.0, 10.0, 1000), draw.uniform(-1e5, 1e5, 1000), quadrants, np.nextafter(quadrants, 9.0)])
    for part, exact in enumerate((mpmath.sin, mpmath.cos)):
        assert farthest(lambda x, part=part: elementary.sin_cos(x)[part], exact, angles) < 2.0
    assert worst(lambda x: elementary.sin_cos(x)[0], mpmath.sin, draw.uniform(-0.7, 0.7, 1000)) < 2.5
    assert elementary.sin_cos(0.0) == (0.0, 1.0)
    ends = np.array([elementary.TAN_16TH, elementary.TAN_8TH, elementary.TAN_3_16THS, 1.0])
    edges = np.concatenate([ends, np.nextafter(ends, 2.0), 1.0 / ends, [0.0, 1e-12, 1e5, 1e300]])
    tangents = np.concatenate([np.tan(draw.uniform(-1.57, 1.57, 1500)), draw.uniform(-1.0, 1.0, 500), edges, -edges])
    assert farthest(elementary.atan, mpmath.atan, tangents) < 3.0
    assert worst(elementary.atan, mpmath.atan, tangents[tangents != 0.0]) < 4.0
    assert (elementary.atan(np.inf), elementary.atan(-np.inf)) == (math.pi / 2, -math.pi / 2)


def test_hyperbolic_functions() -> None:
    draw = np.random.default_rng(4)
    near, far = np.append(draw.uniform(-0.3, 0.3, 1000), [0.3, -0.3, 1e-12]), draw.uniform(-3.0, 3.0, 1000)
    small = near[near != 0.0]
    assert worst(lambda x: elementary.sinh_cosh(x)[0], mpmath.sinh, small) < 4.0
    assert worst(lambda x: elementary.sinh_cosh(x)[0], mpmath.sinh, far[np.abs(far) > 0.3]) < 150.0, (
        "e^x to 1e-14, and up to four times that of a difference"
    )
    assert worst(lambda x: elementary.sinh_cosh(x)[1], mpmath.cosh, np.append(near, far)) < 100.0
    assert elementary.sinh_cosh(0.0) == (0.0, 1.0)
    for low, high, most in ((-0.17, 0.17, 3.0), (0.17, 0.999, 8.0), (-0.999, -0.17, 8.0)):
        assert worst(elementary.atanh, mpmath.atanh, draw.uniform(low, high, 1000)) < most
    assert elementary.atanh(0.0) == 0.0


@pytest.mark.parametrize("bits", [0, 20, 34, 40])
def test_a_frame_is_nowhere_longer_than_its_functions_reach(bits: int) -> None:
    """A slab is at most tau_m / 32, so that `exp_small` is used within 1/64."""
    from sparseprop_dist.clock import TICK, slab_bits

    tau = 32.0 * TICK * 2.0**bits
    assert slab_bits(tau) == bits
    record = LIF.record([(LIF(), {"gid": np.arange(1), **_values(tau)})], slab_bits(tau))
    assert record.half * record.rate[0] <= 1 / 64
    assert record.decay[0] == pytest.approx(math.exp(-TICK * 2.0**bits / tau), rel=1e-15)


def _values(tau: float) -> dict[str, np.ndarray]:
    model = LIF(tau_m=tau)
    return {name: np.full(1, getattr(model, name)) for name in model.quantities}


# --- containers -------------------------------------------------------------------------------------------------------------------------


def test_the_heap_against_heapq() -> None:
    draw = np.random.default_rng(3)
    reference: list[int] = []
    heap, n = np.zeros(600, np.int64), 0
    for _ in range(3000):
        if n and (n == 600 or draw.random() < 0.47):
            assert heap[0] == heapq.heappop(reference)
            n = pop(heap, n)
        else:
            key = int(draw.integers(0, 1 << 62)) if draw.random() < 0.7 else int(draw.integers(5))
            heapq.heappush(reference, key)
            n = push(heap, n, key)
    assert sorted(heap[:n].tolist()) == sorted(reference)


def test_buckets_against_lists() -> None:
    """Nodes of entries that were taken are used again, so that there is room for as many as there are nodes."""
    draw = np.random.default_rng(5)
    node, head = np.zeros((50, 2), np.int32), np.zeros(BUCKETS + 2, np.int32)
    for _ in range(3):
        clear(head)
        reference: dict[int, list[int]] = {}
        n = 0
        for _ in range(2000):
            bucket, i = int(draw.integers(0, 12)) * 11, int(draw.integers(0, 1 << LOCAL_BITS))
            if draw.random() < 0.55:
                assert bool(put(node, head, bucket, i)) == (n < 50)
                if n < 50:
                    reference.setdefault(bucket, []).append(i)
                    n += 1
            else:
                own = reference.get(bucket, [])
                taken = take(node, head, bucket)
                assert (taken in own) if own else taken == -1
                if own:
                    own.remove(taken)
                    n -= 1
        for bucket in range(BUCKETS):
            left = [take(node, head, bucket) for _ in reference.get(bucket, [])]
            assert sorted(left) == sorted(reference.get(bucket, []))
            assert take(node, head, bucket) == -1


@pytest.mark.parametrize("n", [0, 1, 2, 3, 11, 200, 5000])
def test_spikes_are_sorted_into_emission_order(n: int) -> None:
    draw = np.random.default_rng(n)
    time, trigger_time = (draw.integers(-3, 4, n + 4) for _ in range(2))
    gid, trigger_gid = (draw.integers(-1, 5, n + 4).astype(np.int32) for _ in range(2))
    spikes = Emitted(time, gid, trigger_time, trigger_gid, np.zeros(n + 4, np.int32))
    before = np.stack([time, trigger_time, trigger_gid, gid])
    sort_spikes(spikes, 2, n + 2)
    after = np.stack([time, trigger_time, trigger_gid, gid])
    assert sorted(map(tuple, before[:, 2 : n + 2].T)) == list(map(tuple, after[:, 2 : n + 2].T))
    assert (before[:, [0, 1, n + 2, n + 3]] == after[:, [0, 1, n + 2, n + 3]]).all()


def test_the_order_of_arrivals_at_one_neuron_and_time() -> None:
    """Poisson events by input (references -1, -2, ...); then spikes by time, trigger time (none: first), trigger, gid; then as made."""
    of_neurons = [
        (3, NO_TRIGGER, -1, 7),
        (3, -5, 9, 4),
        (3, 1, 2, 8),
        (3, 1, 4, 0),
        (3, 1, 4, 1),
        (3, 1, 4, 1),
        (3, 2, 0, 0),
        (4, NO_TRIGGER, -1, 0),
    ]
    of_sources = [(2, NO_TRIGGER, -1, 20), (3, NO_TRIGGER, -1, 20), (3, NO_TRIGGER, -1, 21), (4, NO_TRIGGER, -1, 20)]
    flight, train = (_flight(spikes) for spikes in (of_neurons, of_sources))
    expected = [-1, -2, -9, 1, 0, 3, 5, 2, 4, 6, 8, 10, 12, 14, 7]  # spike s of neurons is 2 s, of sources 2 s + 1
    for k, one in enumerate(expected):
        for m, other in enumerate(expected):
            assert bool(precedes(flight, train, one, other)) == (k < m)


def _flight(spikes: list[tuple[int, int, int, int]]) -> Flight:
    time, trigger_time, trigger_gid, gid = np.array(spikes, np.int64).T.copy()
    return Flight(time, gid.astype(np.int32), trigger_time, trigger_gid.astype(np.int32), np.zeros((0, len(time)), np.int32))


@njit
def call_count_below(words, first, limit, room):
    return count_below(words, first, limit, room)


@njit
def call_spread(words, first, out, start):
    spread(words, first, out, start, 10, 3, -17, 16)


@pytest.mark.parametrize("kind", [np.uint32, np.uint64])
def test_vector_instructions(kind: Any) -> None:
    """They take words as unsigned, and no more of them than there is room for."""
    top = np.iinfo(kind).max
    words = np.array([*range(0, 30, 2), top // 2 + 1, top - 1, top, *[0] * STRIDE], kind)
    for first, limit, room in ((0, 7, 99), (0, 7, 2), (3, 7, 5), (15, top, 3), (14, top // 2 + 1, 4), (0, top, 40), (2, 9, 0)):
        within = words[first : first + min(STRIDE, room)]
        assert call_count_below(words, first, U(limit), room) == int((within < kind(limit)).sum())
    words = np.random.default_rng(1).integers(0, 1 << 31, 40).astype(kind)
    out = np.full(60, -1, np.int64)
    call_spread(words, 5, out, 9)
    expected = [((((word >> 10) << 3) - 17) << 16) | (word & 1023) for word in words.tolist()[5 : 5 + STRIDE]]
    assert out[9 : 9 + STRIDE].tolist() == expected
    assert (out[:9] == -1).all()
    assert (out[9 + STRIDE :] == -1).all()


@njit
def _scan(values: Any, low: Any, high: Any, outside: Any, found: Any) -> Any:
    return scan(values, low, high, outside, found)


@pytest.mark.parametrize("kind", [np.int64, np.float64])
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 500])
def test_scan_finds_what_numpy_finds(kind: Any, n: int) -> None:
    values = np.random.default_rng(n).integers(-50, 50, n).astype(kind)
    for low, high in ((-50, 50), (-3, 3), (3, 3), (49, 60)):
        inside = (low <= values) & (values < high)
        for outside in (False, True):
            found = np.full(n, -1, np.int32)
            m = _scan(values, kind(low), kind(high), outside, found)
            assert found[:m].tolist() == np.flatnonzero(inside ^ outside).tolist()


@njit
def _distinct(words: Any, begin: Any, stop: Any) -> Any:
    return are_distinct(words, begin, stop)


def test_rows_of_distinct_targets() -> None:
    words = np.array([4, 7, 9, 9, 2, 3], np.uint32)
    expected = {(0, 0): True, (0, 1): True, (0, 3): True, (0, 4): False, (3, 5): False, (4, 6): True, (6, 6): True}
    for (begin, stop), distinct in expected.items():
        assert _distinct(words, np.int64(begin), np.int64(stop)) == distinct
