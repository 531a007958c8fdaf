"""Poisson input against its law, with fixed seeds: counts, intervals, rates that differ between neurons and in time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from networks import poisson_events, whole
from oracle import TICK
from scipy import stats

from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Normal, Uniform
from sparseprop_dist.inputs import Poisson
from sparseprop_dist.models.lif import LIF

LEAST_P = 1e-3
"""Seeds are fixed, so a test passes or fails for ever; about one seed in a thousand would fail it."""


def events_of(size: int, kind: Poisson, until: float, seed: int = 1, tau_m: float = 10.0, **more: object) -> tuple[np.ndarray, np.ndarray]:
    """Times (ms) and neurons of the events of a Poisson input."""
    network = Network(seed=seed)
    network.add_population("exc", size, LIF(tau_m=tau_m))
    network.add_input("exc", kind, weight=more.pop("weight", 1.0))
    events = np.array([event[:2] for event in poisson_events(whole(network), until)], np.int64).reshape(-1, 2)
    return events[:, 0] * TICK, events[:, 1]


def is_count(count: float, mean: float) -> bool:
    return abs(count - mean) <= 4.0 * math.sqrt(mean)


# 1,024 is a group whole, 1,000 one that is not, 1,500 a group and a part of one; 300 Hz makes few events a group and slab, 20 kHz many
@pytest.mark.parametrize(
    ("size", "rate", "until"), [(1, 2000.0, 2000.0), (60, 300.0, 500.0), (1000, 20_000.0, 3.0), (1024, 3000.0, 20.0), (1500, 800.0, 40.0)]
)
@pytest.mark.parametrize("tau_m", [1.3, 40.0])
def test_counts_and_intervals(size: int, rate: float, until: float, tau_m: float) -> None:
    """tau_m sets the slabs in which events are drawn; nothing shows of them."""
    times, ids = events_of(size, Poisson(rate), until, tau_m=tau_m)
    mean = rate * until * 1e-3
    assert is_count(len(times), size * mean)
    counts = np.bincount(ids, minlength=size)
    dispersion = ((counts - mean) ** 2 / mean).sum()
    assert LEAST_P < stats.chi2.cdf(dispersion, size) < 1.0 - LEAST_P
    # only the first intervals, which every neuron has: a look at all would prefer short ones, which end in time
    complete = int(mean - 6.0 * math.sqrt(mean))
    if complete > 0:
        intervals = [np.diff(times[ids == k], prepend=0.0)[:complete] for k in range(size)]
        assert {len(own) for own in intervals} == {complete}
        assert stats.kstest(np.concatenate(intervals) * rate * 1e-3, "expon").pvalue > LEAST_P
    assert stats.kstest(times / until, "uniform").pvalue > LEAST_P
    assert stats.kstest(times * 32.0 % 1.0, "uniform").pvalue > LEAST_P, "within slabs"


def test_neurons_and_slabs_are_independent() -> None:
    times, ids = events_of(1500, Poisson(1000.0), 30.0)
    counts = np.zeros((1500, 60))
    np.add.at(counts, (ids, (times * 2.0).astype(int)), 1.0)
    counts -= counts.mean()
    scale = counts.std() ** 2 * math.sqrt(counts.size)
    for shift, axis in ((1, 0), (1, 1), (512, 0), (1024, 0), (2, 1)):
        assert abs((counts * np.roll(counts, shift, axis)).sum() / scale) < 4.0


def test_inputs_and_seeds_are_independent() -> None:
    network = Network(seed=4)
    network.add_population("exc", 200, LIF())
    for _ in range(2):
        network.add_input("exc", Poisson(1000.0), weight=1.0)
    events = poisson_events(whole(network), 50.0)
    ticks = [{event[0] for event in events if event[3] == k} for k in range(2)]
    other = {round(time / TICK) for time in events_of(200, Poisson(1000.0), 50.0, seed=5)[0]}
    for one in (*ticks, other):
        assert is_count(len(one), 10_000.0)
    assert not ticks[0] & ticks[1]
    assert not ticks[0] & other


def test_a_rate_for_each_neuron() -> None:
    rates = np.concatenate([np.linspace(0.0, 4000.0, 1400), [0.0], [50_000.0]])
    _, ids = events_of(1402, Poisson(rates), 30.0)
    counts, mean = np.bincount(ids, minlength=1402), rates * 0.03
    assert (counts[rates == 0.0] == 0).all()
    some = mean > 5.0
    assert LEAST_P < stats.chi2.cdf(((counts - mean)[some] ** 2 / mean[some]).sum(), some.sum()) < 1.0 - LEAST_P
    assert is_count(counts[~some].sum(), mean[~some].sum())


@pytest.mark.parametrize("law", [Uniform(0.0, 2000.0), Normal(800.0, 300.0, low=0.0)])
def test_drawn_rates(law: Uniform | Normal) -> None:
    network = Network(seed=3)
    network.add_population("exc", 1200, LIF())
    driven = network.add_input("exc", Poisson(law), weight=1.0)
    rates = network.input_rates(driven, 0, 1200)[0]
    counts = np.bincount([event[1] for event in poisson_events(whole(network), 40.0)], minlength=1200)
    mean = rates * 0.04
    some = mean > 2.0
    assert LEAST_P < stats.chi2.cdf(((counts - mean)[some] ** 2 / mean[some]).sum(), some.sum()) < 1.0 - LEAST_P


@pytest.mark.parametrize("shared", [True, False])
def test_rates_that_change_in_time(shared: bool) -> None:
    """Pieces start at any time, are longer and shorter than a slab, and may be silent."""
    draw = np.random.default_rng(2)
    starts = np.concatenate([[0.0], np.sort(draw.uniform(0.1, 10.0, 40)), [10.0, 10.25, 10.26, 10.27, 14.0]])
    rates = draw.uniform(0.0, 9000.0, (len(starts), 1 if shared else 300)) * (np.arange(len(starts)) % 3 > 0)[:, None]
    rates[-1] = 3000.0
    until = 20.0
    times, ids = events_of(300, Poisson(rates[:, 0] if shared else rates, times=starts), until)
    lengths = np.diff([*starts, until])
    means = rates * lengths[:, None] * 1e-3 * (300 if shared else 1)
    counts = np.zeros((len(starts), 300))
    np.add.at(counts, (np.searchsorted(starts, times, side="right") - 1, ids), 1.0)
    assert (counts.sum(1)[::3] == 0).all() or len(starts) % 3 == 1
    assert (counts[(means == 0).all(1)] == 0).all()
    mean, seen = means.sum(1), counts.sum(1)
    some = mean > 5.0
    assert some.sum() > 20
    assert LEAST_P < stats.chi2.cdf(((seen - mean)[some] ** 2 / mean[some]).sum(), some.sum()) < 1.0 - LEAST_P
    if not shared:
        per_neuron, own = counts.sum(0), means.sum(0)
        assert LEAST_P < stats.chi2.cdf(((per_neuron - own) ** 2 / own).sum(), 300) < 1.0 - LEAST_P
    for k in np.flatnonzero(some):
        inside = times[(times >= starts[k]) & (times < starts[k] + lengths[k])]
        assert stats.kstest((inside - starts[k]) / lengths[k], "uniform").pvalue > LEAST_P / 10


def test_each_neuron_has_its_weight() -> None:
    network = Network(seed=2)
    network.add_population("exc", 1100, LIF())
    network.add_population("inh", 50, LIF())
    network.add_input(["inh", "exc"], Poisson(100.0), weight=np.arange(1150.0))
    law = Normal(1.0, 0.5)
    drawn = network.add_input(["exc"], Poisson(100.0), weight=law)
    weights = network.input_weights(drawn, 0, 1100)
    seen = set()
    for _, gid, weight, k in poisson_events(whole(network), 30.0):
        position = gid + 50 if gid < 1100 else gid - 1100
        assert weight == (position if k == 0 else weights[gid])
        seen.add((k, gid))
    assert len(seen) > 2000
    assert stats.kstest(weights, stats.norm(1.0, 0.5).cdf).pvalue > LEAST_P
