"""The parameters of a network as one vector, and a loss as a function of it: what optimisers of other libraries take.

flat = sp.Flat(network, loss, until=100.0, wrt=("weight", "I_e"))
found = scipy.optimize.minimize(flat, flat.start, jac=True, method="L-BFGS-B")
network = flat.network(found.x)
"""

from typing import Any

import numpy as np

from .build import Kept
from .description import Network
from .errors import InputError
from .exchange import Alone
from .gradients import MEMORY, Loss, checked, method_of, value_and_grad
from .replicas import listed, put, summed, taken


class Flat:
    """A loss of the spikes of a network as a function of one vector; calling it returns the value and the gradient. Collective.

    Parameters
    ----------
    network : its inputs a population of `SpikeTrains`, or none
    loss, until, method, memory : as for `value_and_grad`
    wrt : names of the parameters that the vector holds, each synapse and neuron by itself

    Attributes
    ----------
    start : float64 (n,), the parameters as they are in ``network``
    names : of the parts of the vector, "name/place of the projection or population", in their order

    Raises
    ------
    InputError
        for networks and names that `value_and_grad` does not take.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        until: float,
        *,
        wrt: tuple[str, ...] = ("weight",),
        method: str = "auto",
        memory: float = MEMORY,
        comm: Alone | None = None,
    ) -> None:
        self._wanted = checked(network, wrt)
        method_of(network, self._wanted, method, memory)
        self._more: dict[str, Any] = {"method": method, "memory": memory, "kept": Kept(), "comm": comm}
        self._network, self._loss, self._until = listed(network, self._wanted), loss, until
        parts = taken(self._network, self._wanted)
        self._shapes = {key: value.shape for key, value in parts.items()}
        self.names = tuple(parts)
        self.start = np.concatenate([np.empty(0), *(value.ravel() for value in parts.values())])

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient, (n,), at a vector (n,)."""
        value, found = value_and_grad(self.network(x), self._loss, self._until, wrt=self._wanted, **self._more)
        parts = [summed(found, key, shape).ravel() for key, shape in self._shapes.items()]
        return value, np.concatenate([np.empty(0), *parts])

    def network(self, x: np.ndarray) -> Network:
        """Return the network with the parameters of a vector, each synapse listed."""
        x = np.asarray(x, np.float64)
        if x.shape != self.start.shape:
            raise InputError(f"the vector has shape {x.shape}; give {self.start.shape}, as start has")
        parts, at = {}, 0
        for name, shape in self._shapes.items():
            parts[name] = x[at : at + int(np.prod(shape))].reshape(shape)
            at += parts[name].size
        return put(self._network, parts)
