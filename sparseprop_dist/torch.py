"""A spiking network as a layer of PyTorch: spike times in, spike times out, both with exact gradients.

    layer = sparseprop_dist.torch.Spiking(network, until=60.0, source="input", outputs="output")
    loss = torch.nn.functional.cross_entropy(-layer(times) / 0.5, labels)
    loss.backward()

Owns nothing but the way between tensors and arrays. Needs PyTorch (``pip install sparseprop_dist[torch]``), which nothing else does.
"""

from typing import Any

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError("sparseprop_dist.torch needs PyTorch; pip install torch") from error

from .clock import TICK
from .description import Network
from .errors import InputError
from .exchange import Alone, world
from .gradients import MEMORY, check_cotangents, checked, method_of, record, sweep
from .inputs import SpikeTrains
from .replicas import Replicas, gids_of, listed, put, summed, taken
from .sweep import SPIKE_TIMES


class Spiking(torch.nn.Module):
    """A network of spiking neurons, simulated exactly; a batch of samples is one run of as many copies.

    Its parameters are float64 tensors, one for each projection or population: ``layer.values["weight/0"]`` holds the weight of each synapse
    of the first projection. Under mpiexec all ranks make the same calls, and get the same tensors.

    Parameters
    ----------
    network : one copy, its inputs a population of `SpikeTrains`
    until : ms, length of a sample
    source : population of spike trains, one member an input channel
    outputs : population whose spikes come out
    wrt : names of the parameters to train, as for `value_and_grad`
    silent : ms, what `forward` gives for a neuron that does not fire; inf by default
    method, memory : as for `value_and_grad`

    Raises
    ------
    InputError
        for networks and names that `value_and_grad` does not take, and a source that is no population of spike trains.
    """

    def __init__(
        self,
        network: Network,
        until: float,
        *,
        source: str,
        outputs: str,
        wrt: tuple[str, ...] = ("weight",),
        silent: float = np.inf,
        method: str = "auto",
        memory: float = MEMORY,
        comm: Alone | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(network.population(source).model, SpikeTrains):
            raise InputError(f'source is "{source}", a population of neurons; give one of spike trains')
        self.wrt = checked(network, wrt)
        self.method, self.memory, self.silent = method_of(network, (*self.wrt, SPIKE_TIMES), method, memory), memory, silent
        self.network, self.until, self.source, self.outputs = listed(network, self.wrt), float(until), source, outputs
        self.communicator = world() if comm is None else comm
        self.values = torch.nn.ParameterDict({key: torch.from_numpy(value) for key, value in taken(self.network, self.wrt).items()})
        self._copies: dict[int, Replicas] = {}

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        """Return the time of the first spike of each output neuron.

        Parameters
        ----------
        times : (batch, channels), ms; inf or nan: the channel is silent

        Returns
        -------
        first : float64 (batch, size of outputs), ms
        """
        found, sample, neuron = self.spikes(times)
        size = self.network.population(self.outputs).size
        out = torch.full((len(times) * size,), torch.inf, dtype=torch.float64)
        out = out.scatter_reduce(0, sample * size + neuron, found, "amin").reshape(len(times), size)
        return out if np.isinf(self.silent) else torch.where(torch.isinf(out), self.silent, out)

    def spikes(self, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return all spikes of the output neurons: times (float64 (S,), ms, ascending), samples and neurons (int64 (S,))."""
        channels = self.network.population(self.source).size
        if times.dim() != 2 or times.shape[1] != channels:
            shape = f'(batch, {channels}), one channel for each member of "{self.source}"'
            raise InputError(f"times have shape {tuple(times.shape)}; give {shape}")
        found, ids = _Run.apply(self, times.to(torch.float64), *self.values.values())
        gids, size = torch.from_numpy(gids_of(self.network, self.outputs, len(times))), self.network.population(self.outputs).size
        here = (ids >= gids[0, 0]) & (ids <= gids[-1, -1])
        place = ids[here] - gids[0, 0]
        return found[here], place // size, place % size

    def trained(self) -> Network:
        """Return the network with the parameters as they are now, each synapse listed."""
        return put(self.network, {key: value.detach().numpy().copy() for key, value in self.values.items()})

    def built(self, times: np.ndarray, values: dict[str, np.ndarray]) -> tuple[Network, np.ndarray]:
        """Return the copies of the network for a batch of input times, (batch, channels), and the places in ``times`` of the spikes."""
        n, flat = len(times), times.ravel()
        ids = np.flatnonzero(np.isfinite(flat))
        ids = ids[np.argsort(flat[ids], kind="stable")]
        if n not in self._copies:
            self._copies[n] = Replicas(self.network, n)
        return self._copies[n].build(put(self.network, values), {self.source: SpikeTrains(flat[ids], ids)}), ids


class _Run(torch.autograd.Function):
    """All spikes of all copies; backward: the sweep."""

    @staticmethod
    def forward(ctx: Any, layer: Spiking, times: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        arrays = {key: value.detach().numpy().copy() for key, value in zip(layer.values, values, strict=True)}
        network, ids = layer.built(times.detach().numpy(), arrays)
        wanted = (*layer.wrt, SPIKE_TIMES) if ctx.needs_input_grad[1] else layer.wrt
        run, log = record(network, layer.until, "auto", layer.communicator, wanted)
        order, found, gids = log.spikes(network.n_neurons)
        ctx.kept, ctx.shape = (layer, network, ids, run, log, order, wanted), times.shape
        out = torch.from_numpy(found), torch.from_numpy(gids)
        ctx.mark_non_differentiable(out[1])
        return out

    @staticmethod
    def backward(ctx: Any, by_time: torch.Tensor, by_gid: Any) -> tuple[torch.Tensor | None, ...]:
        layer, network, ids, run, log, order, wanted = ctx.kept
        cotangents = np.zeros(len(log.time))
        cotangents[order] = check_cotangents(by_time.numpy(), log.time[order] * TICK, log.gid[order])
        found = sweep(run, log, cotangents, wanted, network, layer.method, layer.memory)
        by_input = None
        if ctx.needs_input_grad[1]:
            by_input = torch.zeros(ctx.shape, dtype=torch.float64)
            by_input.view(-1)[torch.from_numpy(ids)] = torch.from_numpy(found[SPIKE_TIMES][layer.source])
        return (None, by_input, *(torch.from_numpy(summed(found, key, tuple(value.shape))) for key, value in layer.values.items()))
