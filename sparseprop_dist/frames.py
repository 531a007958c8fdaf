"""Gradients by adjoints that are constant in the frame of a model: nothing is replayed, no arrival is kept. See
``docs/design/gradients.md``.
"""

from typing import Any

import numpy as np

from . import backward
from .backward import Sweep
from .build.neurons import model_and_values
from .clock import ticks
from .description import Network
from .exchange import agreed
from .inputs import Poisson
from .models.parameters import Model, joined
from .partition import Share
from .preparation import Run
from .sweep import SPIKE_TIMES, swept
from .tape import Log

REACH = 8.0
"""Smallest time constants between two anchors of the frames: e^8 is far from an overflow, and all neurons are moved on so rarely."""


class Frames:
    """The adjoints of a run on one rank, all of one model."""

    def __init__(self, run: Run, log: Log, w: Sweep, own: tuple[np.ndarray, np.ndarray], wanted: tuple[str, ...]) -> None:
        """``own``: where the own spikes of each neuron start, and their places in the log."""
        self.run, shares = run, run.division.shares(run.communicator.rank)
        self.values = joined([model_and_values(run.network, share)[1] for share in shares])
        smallest = min(float(self.values[name].min(initial=1e3)) for name in ("tau_m", "tau_syn_ex", "tau_syn_in") if name in self.values)
        self.reach = run.communicator.least(int(ticks(REACH * smallest)))
        self.w = w._replace(group=min(w.group, self.reach))
        if SPIKE_TIMES not in wanted:  # a spike is done with when its group is
            self.w = self.w._replace(sums=np.zeros((2, backward.largest_group(self.w)), np.int64), by_group=1)
        model: Any = next(p.model.lowered() for p in run.network.populations if isinstance(p.model, Model))
        poisson = np.concatenate([_gets_poisson(run.network, share) for share in shares])
        full = not {"tau_m", "tau_syn_ex", "tau_syn_in"}.isdisjoint(wanted)
        self.adjoint = agreed(run.communicator, lambda: model.adjoint.make(self.values, own, log, w.cotangent, poisson, full))
        self.adjoint.anchor[0] = int(log.time[-1] // self.reach + 1) * self.reach if len(log.time) else 0

    def gradients(self) -> dict[str, np.ndarray]:
        """Sweep; return the gradients of all parameters of neurons by name, one for each neuron of this rank; collective."""
        part, n_own, n_spikes = self.run.part, len(self.values["gid"]), len(self.w.time)
        if (inputs := getattr(self.adjoint, "inputs", None)) is not None:
            backward.forward(inputs, self.w.without_numbers(), part.synapses, part.blocks, self.reach, 0, n_spikes)
            backward.begin_all(inputs, n_own)
        swept(self.run.communicator, self.adjoint, self.w, part, self.reach, (0, n_spikes), self.run.network.n_neurons)
        backward.begin_all(self.adjoint, n_own)
        found: dict[str, np.ndarray] = self.adjoint.gradients(self.values)
        return found

    @property
    def unclear(self) -> int:
        """1 + the local index of a neuron whose gradient is not clear, else 0."""
        return int(getattr(self.adjoint, "unclear", np.zeros(1, np.int64))[0])


def _gets_poisson(network: Network, share: Share) -> np.ndarray:
    here = any(share.population in driven.targets for driven in network.inputs if isinstance(driven.kind, Poisson))
    return np.full(share.stop - share.start, here)
