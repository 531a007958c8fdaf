"""NEURON's IntFire1: a case of the LIF, in its own names."""

from dataclasses import dataclass
from typing import ClassVar

from sparseprop_dist.distributions import Given
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.parameters import Model, Quantity


@dataclass(frozen=True, eq=False)
class IntFire1(Model):
    """NEURON's IntFire1: m decays to 0 with ``tau`` (ms), fires at 1, and starts again from 0 after ``refrac`` (ms), deaf meanwhile.

    ``m`` is its value at time 0. Weights have no unit: they add to m.
    """

    kind: ClassVar[str] = "intfire1"
    quantities: ClassVar[dict[str, Quantity]] = {
        "tau": Quantity("ms", "positive"),
        "refrac": Quantity("ms", "not negative", most=1e6),
        "m": Quantity(""),
    }
    tau: Given = 10.0
    refrac: Given = 5.0
    m: Given = 0.0

    def lowered(self) -> LIF:
        """The LIF that it is."""
        return LIF(tau_m=self.tau, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=self.refrac, V_m=self.m)
