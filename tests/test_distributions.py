"""Distributions: their laws, and that each element is a function of its key and number alone."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from sparseprop_dist.distributions import DISTRIBUTIONS, Lognormal, Normal, Uniform, draw, draw_at, expected, uniforms
from sparseprop_dist.errors import InputError
from sparseprop_dist.quantile import exp, log, normal_quantile

LAWS = [
    (Uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    (Normal(5.0, 2.0), stats.norm(5.0, 2.0)),
    (Normal(5.0, 2.0, low=4.0), stats.truncnorm(-0.5, np.inf, 5.0, 2.0)),
    (Normal(0.0, 1.0, low=2.0, high=2.5), stats.truncnorm(2.0, 2.5)),
    (Lognormal(-1.0, 0.5), stats.lognorm(0.5, scale=math.exp(-1.0))),
]

GOLDEN_UNIFORM = ["0x1.7096262293ae3p-1", "0x1.a03885a652f40p-7", "0x1.981c17df6a528p-4"]
GOLDEN_LOGNORMAL = ["0x1.5fcc3767e3902p+0", "0x1.51fa9a24b3488p-1", "0x1.3ee99da19f807p+1"]


def test_normal_quantile_to_rounding() -> None:
    u = np.concatenate([2.0 ** -np.arange(1.0, 54.0), 1.0 - 2.0 ** -np.arange(2.0, 54.0), np.linspace(0.001, 0.999, 997)])
    np.testing.assert_allclose(normal_quantile(u), special.ndtri(u), rtol=2e-15, atol=1e-15)


def test_exp_and_log_to_rounding() -> None:
    x = np.linspace(-700.0, 700.0, 20_001)
    np.testing.assert_allclose(exp(x), np.exp(x), rtol=4e-16)
    y = np.concatenate([np.exp(x), np.linspace(0.5, 2.0, 10_001), 1.0 + 2.0 ** -np.arange(1.0, 53.0)])
    np.testing.assert_allclose(log(y), np.log(y), rtol=1e-15)
    assert exp(np.array([-1e4, 1e4])).tolist() == [0.0, math.inf]


@pytest.mark.parametrize(("law", "reference"), LAWS, ids=lambda law: repr(law)[:40])
def test_draws_follow_the_law(law: Any, reference: Any) -> None:
    values = draw(law, (7, 1), 0, 100_000)
    assert stats.kstest(values, reference.cdf).pvalue > 1e-3
    assert expected(law) == pytest.approx(reference.mean(), rel=0.01, abs=0.01)
    assert law.lowest <= values.min() <= values.max() <= law.highest


def test_truncated_lognormal_stays_inside() -> None:
    values = draw(Lognormal(0.0, 1.0, low=0.5, high=3.0), (0,), 0, 50_000)
    assert values.min() >= 0.5
    assert values.max() <= 3.0
    kept = draw(Lognormal(0.0, 1.0), (1,), 0, 200_000)
    kept = kept[(kept >= 0.5) & (kept <= 3.0)]
    assert stats.ks_2samp(values, kept).pvalue > 1e-3


@given(st.integers(0, 200_000), st.integers(0, 3000), st.integers(0, 2**63 - 1))
def test_any_part_can_be_drawn_alone(start: int, length: int, seed: int) -> None:
    law = Normal(0.0, 1.0)
    inner = draw(law, (seed, 2), start, start + length)
    outer = draw(law, (seed, 2), max(0, start - 5), start + length + 7)
    assert inner.tolist() == outer[min(start, 5) : min(start, 5) + length].tolist()


@pytest.mark.parametrize("spec", [2.5, np.arange(300_000.0), Normal(0.0, 1.0)], ids=["number", "array", "law"])
def test_scattered_elements(spec: Any) -> None:
    elements = np.random.default_rng(1).integers(0, 300_000, 1000)
    assert draw_at(spec, (4, 5), elements).tolist() == draw(spec, (4, 5), 0, 300_000)[elements].tolist()
    assert draw_at(spec, (4, 5), elements[:0]).size == 0


def test_chunks_do_not_show() -> None:
    whole = draw(Uniform(0.0, 1.0), (3,), 0, 150_001)
    assert whole.tolist() == uniforms((3,), 0, 150_001).tolist()


def test_streams_keep_their_bits() -> None:
    """A run that is resumed with another version must find its network again: these numbers may never change."""
    assert [value.hex() for value in draw(Uniform(0.0, 1.0), (1, 2, 3), 0, 3)] == GOLDEN_UNIFORM
    assert [value.hex() for value in draw(Lognormal(0.0, 1.0), (1, 2, 3), 1_000_001, 1_000_004)] == GOLDEN_LOGNORMAL


def test_keys_make_independent_streams() -> None:
    first, second = uniforms((1, 2), 0, 50_000), uniforms((1, 3), 0, 50_000)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert not set(first.tolist()) & set(second.tolist())


def test_numbers_and_arrays() -> None:
    assert draw(1.5, (0,), 10, 13).tolist() == [1.5] * 3
    assert draw(np.arange(5.0), (0,), 1, 3).tolist() == [1.0, 2.0]
    assert draw(Normal(2.0, 0.0), (0,), 0, 2).tolist() == [2.0, 2.0]
    assert expected(2.0) == 2.0
    assert expected(np.array([1.0, 2.0])) == 1.5


def test_extremes_are_those_that_can_be_drawn() -> None:
    assert Normal(0.0, 1.0).lowest == pytest.approx(-8.2095, abs=1e-3)
    assert Normal(1.0, 0.1).lowest > 0.0
    assert Lognormal(0.0, 1.0).lowest > 0.0
    assert Uniform(1.0, 2.0).highest <= 2.0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Uniform(1, 0), "low must be below high"),
        (lambda: Uniform(0, math.inf), "high of a uniform distribution is inf; give a finite number"),
        (lambda: Uniform(-1.7e308, 1.7e308), "too large for a float64"),
        (lambda: Normal(0, -1), "std of a normal distribution is -1.0; it must not be negative"),
        (lambda: Normal("a", 1), "mean of a normal distribution is 'a'; give a finite number"),  # type: ignore[arg-type]
        (lambda: Normal(True, 1), "mean of a normal distribution is True"),
        (lambda: Normal(0, math.nan), "std of a normal distribution is nan"),
        (lambda: Normal(0, 1, low=1, high=1), "low must be below high"),
        (lambda: Normal(0, 1, low=6), "keeps less than 1e-06"),
        (lambda: Normal(0, 0, low=1), "keeps less than"),
        (lambda: Lognormal(0, 1, high=0), "keeps less than"),
        (lambda: Lognormal(0, 100), "too large for a float64"),
    ],
)
def test_refused(make: Any, said: str) -> None:
    with pytest.raises(InputError) as refused:
        make()
    assert said in str(refused.value)


def test_laws_are_values() -> None:
    assert Normal(1, 2) == Normal(1.0, 2.0)
    assert len({Normal(1, 2), Normal(1.0, 2.0), Normal(1, 2, low=0)}) == 2
    assert set(DISTRIBUTIONS) == {"uniform", "normal", "lognormal"}
