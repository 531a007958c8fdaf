"""Training: optimisers, constraints, what wakes silent neurons, going on where it stopped, and that it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseprop_dist as sp
from sparseprop_dist import losses
from sparseprop_dist.optimisers import SGD, Adam, cosine, exponential
from sparseprop_dist.replicas import put, taken
from sparseprop_dist.tasks import FirstSpikes, Fit
from sparseprop_dist.train import Constraints, Rates, Training, evaluate, train

MODEL = {"tau_m": 20.0, "C_m": 20.0, "E_L": 0.0, "V_th": 1.0, "V_reset": 0.0, "t_ref": 5.0, "V_m": 0.0}


def classifier(n_hidden: int = 12, weight: float = 3.0) -> sp.Network:
    """Channels that say in which half a number is; two classes."""
    net = sp.Network(1)
    model = sp.LIFPscExp(tau_syn_ex=5.0, tau_syn_in=5.0, **MODEL)
    net.add_population("hidden", n_hidden, model)
    net.add_population("out", 2, model)
    net.add_population("in", 3, sp.SpikeTrains([], []))
    net.connect("in", "hidden", sp.AllToAll(), weight=sp.Normal(weight, 0.8), delay=1.0)
    net.connect("hidden", "out", sp.AllToAll(), weight=sp.Normal(1.2, 0.3), delay=1.0)
    return net


def task(n: int, seed: int) -> FirstSpikes:
    x = np.random.default_rng(seed).random(n)
    times = 2.0 + 15.0 * np.stack([x, 1.0 - x, np.full(n, 0.5)], axis=1)
    return FirstSpikes(times, (x > 0.5).astype(int), "in", "out", scale=1.0, silent=40.0)


def test_a_classifier_learns() -> None:
    seen: list[dict[str, float]] = []
    done = train(classifier(), task(120, 1), 40.0, epochs=6, batch=20, optimiser=Adam(0.05), validation=task(60, 2), progress=seen.append)
    assert [entry["epoch"] for entry in seen] == [1, 2, 3, 4, 5, 6]
    assert done.history == seen
    assert seen[-1]["loss"] < 0.3 * seen[0]["loss"]
    _, accuracy = evaluate(done.network, task(200, 3), 40.0)
    assert accuracy > 0.95
    assert min(entry["validation_loss"] for entry in seen) == pytest.approx(evaluate(done.network, task(60, 2), 40.0)[0], rel=1e-12)


def test_a_stopped_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    more: dict[str, Any] = {"batch": 16, "seed": 5}
    straight = train(classifier(), task(40, 1), 40.0, epochs=4, optimiser=Adam(0.02), **more)
    for epochs in (1, 3, 4):
        resumed = train(classifier(), task(40, 1), 40.0, epochs=epochs, optimiser=Adam(0.02), output=tmp_path / "run", **more)
    assert straight.parameters.keys() == resumed.parameters.keys()
    for name, value in straight.parameters.items():
        assert value.tobytes() == resumed.parameters[name].tobytes()
    assert [entry["loss"] for entry in straight.history] == [entry["loss"] for entry in resumed.history]
    with pytest.raises(sp.InputError, match=r'the training in ".*run" has seed 5, not 6; give another output'):
        train(classifier(), task(40, 1), 40.0, epochs=5, batch=16, seed=6, output=tmp_path / "run")
    with pytest.raises(sp.InputError, match=r'the training in ".*run" is of another network; give another output'):
        train(classifier(7), task(40, 1), 40.0, epochs=5, output=tmp_path / "run", **more)


def test_silent_neurons_wake() -> None:
    """Without any spike there is no gradient; what wakes them raises the weights onto them, and onto nobody else."""
    net = classifier(weight=0.01)
    training = Training(net, task(20, 1), 40.0, batch=20, rates=(Rates(("hidden",), low=0.5, step=0.25),), optimiser=Adam(0.0))
    before = training.parameters
    training.run_epoch()
    np.testing.assert_allclose(training.parameters["weight/0"] - before["weight/0"], 0.25)
    assert training.parameters["weight/1"].tobytes() == before["weight/1"].tobytes()
    for _ in range(6):
        training.run_epoch()
    counts = sp.simulate(put(training.network, training.parameters), 40.0).spikes
    assert len(counts) == 0  # without input
    assert evaluate(put(training.network, training.parameters), task(20, 1), 40.0)[0] < 40.0


def test_constraints_are_kept() -> None:
    limits = Constraints({"delay": (0.5, 1.2)}, keep_signs=True)
    training = Training(
        classifier(), task(20, 1), 40.0, batch=10, wrt=("weight", "delay"), optimiser=SGD(50.0, momentum=0.5), constraints=limits
    )
    signs = {key: np.sign(value) for key, value in training.parameters.items() if key.startswith("weight")}
    for _ in range(2):
        training.run_epoch()
    for key, sign in signs.items():
        assert (training.parameters[key] * sign >= 0.0).all()
        assert (training.parameters[key] == 0.0).any()
    for key in ("delay/0", "delay/1"):
        assert training.parameters[key].min() >= 0.5
        assert training.parameters[key].max() <= 1.2
        assert np.ptp(training.parameters[key]) > 0.0


def recurrent(weights: Any, delays: Any) -> sp.Network:
    """A recurrent network of 12, driven by currents."""
    net = sp.Network(2)
    own: dict[str, Any] = MODEL | {"I_e": np.linspace(1.2, 1.6, 12), "t_ref": 2.0}
    net.add_population("a", 12, sp.LIF(**own))
    net.connect("a", "a", sp.AllToAll(allow_autapses=False), weight=weights, delay=delays)
    return net


def test_a_student_learns_the_trains_and_delays_of_a_teacher() -> None:
    rng = np.random.default_rng(0)
    weights, delays = rng.normal(-0.05, 0.03, 144), rng.uniform(1.0, 5.0, 144)
    wanted = sp.simulate(recurrent(weights, delays), 100.0).spikes
    loss = losses.spike_time_distance(wanted.times, wanted.ids, until=100.0)
    start = recurrent(weights + rng.normal(0.0, 0.002, 144), delays + rng.normal(0.0, 0.1, 144))
    optimiser = Adam({"weight/0": 3e-4, "delay/0": 1e-2}, schedule=exponential(0.5, 40))
    done = train(start, Fit(loss), 100.0, epochs=120, wrt=("weight", "delay"), optimiser=optimiser)
    assert len(wanted) > 24
    assert done.history[-1]["loss"] < 1e-2 * done.history[0]["loss"]


FILE = """
[network]
seed = 1
[populations.hidden]
size = 12
model = "lif_psc_exp"
tau_m = 20.0
C_m = 20.0
E_L = 0.0
V_th = 1.0
V_reset = 0.0
V_m = 0.0
t_ref = 5.0
tau_syn_ex = 5.0
tau_syn_in = 5.0
[populations.out]
like = "hidden"
size = 2
[populations.in]
size = 3
model = "spikes"
times = []
ids = []
[[projections]]
source = "in"
target = "hidden"
rule = "all_to_all"
weight = {distribution = "normal", mean = 3.0, std = 0.8}
delay = 1.0
[[projections]]
source = "hidden"
target = "out"
rule = "all_to_all"
weight = {distribution = "normal", mean = 1.2, std = 0.3}
delay = 1.0
[run]
until = 40.0
[train]
data = "data.npz"
source = "in"
outputs = "out"
scale = 1.0
silent = 40.0
epochs = 2
batch = 10
rate = 0.05
wake = [{populations = ["out"], low = 0.5, step = 0.01}]
"""


def command(*arguments: object) -> int:
    from sparseprop_dist.cli import main

    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A training, gone on with, and the network that it leaves, which runs."""
    (tmp_path / "net.toml").write_text(FILE)
    tasks = {name: task(n, k) for k, (name, n) in enumerate({"train": 40, "validation": 10, "test": 20}.items())}
    arrays = {f"{name}_{what}": getattr(own, what) for name, own in tasks.items() for what in ("times", "labels")}
    np.savez(tmp_path / "data.npz", **arrays)
    assert command("train", tmp_path / "net.toml", "--output", tmp_path / "run") == 0
    assert command("train", tmp_path / "net.toml", "--output", tmp_path / "run", "--epochs", 3) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1", "epoch 2", "epochs 2", "epoch 3", "epochs 3"]
    assert "validation_accuracy" in lines[0]
    assert "test_accuracy" in lines[2]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"training.npz", "history.json", "learning.png", "network.toml"}
    assert command("run", tmp_path / "run" / "network.toml", "--output", tmp_path / "spikes", "--quiet") == 0
    del arrays["train_labels"]
    np.savez(tmp_path / "data.npz", **arrays)
    assert command("train", tmp_path / "net.toml", "--output", tmp_path / "other") == 2
    assert "has no array train_labels; it has train_times, validation_times" in capfd.readouterr().err
    (tmp_path / "data.npz").write_text("nothing")
    assert command("train", tmp_path / "net.toml", "--output", tmp_path / "other") == 2
    assert "is no .npz file of numbers" in capfd.readouterr().err
    (tmp_path / "net.toml").write_text(FILE.replace("rate = 0.05", "rtae = 0.05"))
    assert command("train", tmp_path / "net.toml") == 2
    assert "rtae" in capfd.readouterr().err


def test_optimisers() -> None:
    """Against their papers' formulas, written out."""
    values, gradient = {"x": np.array([1.0, 2.0])}, {"x": np.array([0.5, -1.0])}
    adam = Adam(0.1)
    assert adam.update(values, gradient)["x"] == pytest.approx([0.9, 2.1], abs=1e-7)
    sgd = SGD(0.1, momentum=0.9)
    once = sgd.update(values, gradient)
    assert once["x"] == pytest.approx([0.95, 2.1])
    assert sgd.update(once, gradient)["x"] == pytest.approx([0.95 - 0.1 * 0.95, 2.1 + 0.1 * 1.9])
    clipped = SGD(1.0, clip=0.5).update(values, {"x": np.array([3.0, 4.0])})
    assert clipped["x"] == pytest.approx([1.0 - 0.3, 2.0 - 0.4])
    assert [exponential(0.5, 10)(step) for step in (0, 9, 10, 20)] == [1.0, 1.0, 0.5, 0.25]
    assert cosine(10)(0) == 1.0
    assert cosine(10)(10) == 0.0
    with pytest.raises(sp.InputError, match=r'the optimiser has no rate for "x"; it has them for y'):
        Adam({"y": 0.1}).update(values, gradient)


def test_refusals_of_tasks() -> None:
    with pytest.raises(sp.InputError, match=r"times have shape \(3,\) and labels \(3,\); give \(samples, channels\) and \(samples,\)"):
        FirstSpikes([1.0, 2.0, 3.0], [0, 1, 0], "in", "out", scale=1.0, silent=40.0)
    net = classifier()
    net.add_input("hidden", sp.Poisson(10.0), weight=0.1)
    with pytest.raises(sp.InputError, match=r"training takes populations of spike trains as inputs; add one, and connect it"):
        Training(net, task(4, 1), 40.0)


def test_parameters_go_out_and_in() -> None:
    training = Training(classifier(), task(4, 1), 40.0, wrt=("weight", "V_th"))
    assert sorted(training.parameters) == ["V_th/0", "V_th/1", "weight/0", "weight/1"]
    changed = {key: value + 1.0 for key, value in training.parameters.items()}
    back = taken(put(training.network, changed), ("weight", "V_th"))
    for key, value in changed.items():
        np.testing.assert_array_equal(back[key], value)
