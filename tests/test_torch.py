"""The layer of PyTorch, with the real one: its gradients are those of `value_and_grad`, layers stack, optimisers and losses work."""

import numpy as np
import pytest

import sparseprop_dist as sp

torch = pytest.importorskip("torch", reason='needs PyTorch (700 MB): pip install "sparseprop_dist[torch]"')

from sparseprop_dist.torch import Spiking  # noqa: E402

pytestmark = pytest.mark.long


def network(seed: int, n_in: int, n_out: int) -> sp.Network:
    net, rng = sp.Network(seed), np.random.default_rng(seed)
    model = sp.LIFPscExp(tau_m=20.0, C_m=20.0, E_L=0.0, V_th=1.0, V_reset=0.0, V_m=0.0, t_ref=100.0, tau_syn_ex=5.0, tau_syn_in=5.0)
    net.add_population("out", n_out, model)
    net.add_population("in", n_in, sp.SpikeTrains([], []))
    net.connect("in", "out", sp.AllToAll(), weight=rng.normal(2.0, 0.5, n_in * n_out), delay=1.0)
    return net


def test_layers_stack() -> None:
    """A loss through two layers has the gradients of finite differences, by weights of both and by input times."""
    one = Spiking(network(1, 4, 6), 60.0, source="in", outputs="out", silent=60.0)
    layers = [one, Spiking(network(2, 6, 3), 80.0, source="in", outputs="out")]
    times = torch.tensor(np.random.default_rng(3).uniform(2.0, 20.0, (5, 4)), requires_grad=True)

    def loss():
        return layers[1](layers[0](times)).pow(2).mean()

    loss().backward()
    tensors = [times, layers[0].values["weight/0"], layers[1].values["weight/0"]]
    for tensor in tensors:
        direction = torch.tensor(np.random.default_rng(4).normal(size=tuple(tensor.shape)))
        values = []
        with torch.no_grad():
            for step in (1e-5, -2e-5):
                tensor += step * direction
                values.append(float(loss()))
            tensor += 1e-5 * direction
        assert float((tensor.grad * direction).sum()) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6)


def test_training_with_its_optimisers_and_losses() -> None:
    layer = Spiking(network(1, 4, 3), 60.0, source="in", outputs="out", silent=60.0, wrt=("weight", "delay"))
    assert sorted(layer.state_dict()) == ["values.delay/0", "values.weight/0"]
    rng = np.random.default_rng(1)
    times, labels = torch.tensor(rng.uniform(2.0, 20.0, (30, 4))), torch.tensor(rng.integers(0, 3, 30))
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(-layer(times), labels)
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
    assert losses[-1] < 0.7 * losses[0]
    first = layer(times)[0]
    net = layer.trained()
    net.populations[1] = sp.description.Population("in", 4, sp.SpikeTrains(np.sort(times[0].numpy()), np.argsort(times[0].numpy())))
    spikes = sp.simulate(net, 60.0).spikes
    for k in range(3):
        own = spikes.times[spikes.ids == k]
        assert (own[0] if len(own) else 60.0) == float(first[k].detach())


def test_refusals() -> None:
    with pytest.raises(sp.InputError, match=r'source is "out", a population of neurons; give one of spike trains'):
        Spiking(network(1, 4, 3), 60.0, source="out", outputs="out")
    layer = Spiking(network(1, 4, 3), 60.0, source="in", outputs="out")
    with pytest.raises(sp.InputError, match=r'times have shape \(5, 3\); give \(batch, 4\), one channel for each member of "in"'):
        layer(torch.zeros(5, 3))
    first = layer(torch.full((2, 4), torch.inf))
    assert torch.isinf(first).all()
