"""Gradients of exponential currents: frames, rows of neurons alike and single arrivals give what the plain way gives, and that is compared
with tangents by hand and finite differences in `test_gradients`. With a gradient of a time constant asked for, all goes the plain way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_gradients import linear

import sparseprop_dist as sp
from sparseprop_dist import frames

N, UNTIL = 24, 150.0
NAMES = ("weight", "delay", "I_e", "C_m", "E_L", "V_th", "V_reset", "V_m", "spike_times")


def network(tau_syn: Any, delay: Any, weight: Any, t_ref: float) -> sp.Network:
    rng = np.random.default_rng(4)
    net = sp.Network(1)
    model = sp.LIFPscExp(
        tau_m=10.0, C_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=t_ref, I_e=rng.uniform(1.1, 1.5, N), V_m=rng.uniform(0.0, 0.9, N),
        tau_syn_ex=tau_syn, tau_syn_in=3.0,
    )  # fmt: skip
    net.add_population("a", N, model)
    net.add_population("in", 3, sp.SpikeTrains(np.sort(rng.uniform(0.0, 0.9 * UNTIL, 30)), rng.integers(0, 3, 30)))
    net.connect("a", "a", sp.FixedIndegree(6, allow_multapses=False), weight=weight, delay=delay)
    net.connect("in", "a", sp.AllToAll(), weight=0.3, delay=1.0)
    return net


SPREAD = np.linspace(2.0, 10.0, N)
MANY = pytest.mark.long
"""Of all combinations; CI takes those in which something is special."""


@pytest.mark.parametrize("t_ref", [2.0, pytest.param(0.0, marks=MANY)])
@pytest.mark.parametrize("delay", [0.0, 1.3, sp.Uniform(1.0, 4.0)], ids=["none", "one", "each"])
@pytest.mark.parametrize("weight", [pytest.param(-0.2, marks=MANY), sp.Normal(0.0, 0.3)], ids=["one weight", "a weight each"])
@pytest.mark.parametrize(
    "tau_syn",
    [5.0, 9.6, *(pytest.param(tau, marks=MANY) for tau in (0.2, 10.0, 9.4, SPREAD))],
    ids=["5", "9.6", "0.2", "10", "9.4", "spread"],
)
def test_frames_have_the_gradients_of_the_plain_way(
    tau_syn: Any, weight: Any, delay: Any, t_ref: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synaptic time constants apart from tau_m and near it, on both sides of where frames are left; anchors every 24 and 1.6 ms."""
    net = network(tau_syn, delay, weight, t_ref)
    no_delay = isinstance(delay, float) and delay == 0.0
    names = tuple(name for name in NAMES if not (name == "delay" and no_delay))
    value, plain = sp.value_and_grad(net, linear(5), UNTIL, wrt=(*names, "tau_syn_ex"))
    for reach in (frames.REACH, 0.5):
        monkeypatch.setattr(frames, "REACH", reach)
        again, found = sp.value_and_grad(net, linear(5), UNTIL, wrt=names)
        assert value == again
        for name in names:
            for thing, expected in plain[name].items():
                size = np.abs(expected).max()
                assert size > 0.0, name
                np.testing.assert_allclose(found[name][thing], expected, rtol=1e-9, atol=1e-11 * size, err_msg=f"{name} {thing}")
