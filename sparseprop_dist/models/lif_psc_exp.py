"""The leaky integrate-and-fire neuron with exponential synaptic currents: NEST's iaf_psc_exp.

``tau_m V' = E_L - V + (I_e + I_syn_ex + I_syn_in) tau_m / C_m``; an input of weight w adds it to I_syn_ex (w >= 0), which decays with
tau_syn_ex, or to I_syn_in (w < 0). V is continuous; at V = V_th there is a spike, and V stays at V_reset for t_ref while the currents go
on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparseprop_dist.distributions import Given
from sparseprop_dist.inputs import Current
from sparseprop_dist.models import lif_psc_exp_rows, lif_psc_exp_slab  # noqa: F401  # their bodies
from sparseprop_dist.models.lif_psc_exp_adjoint import LIFPscExpAdjoint
from sparseprop_dist.models.lif_psc_exp_current import DrivenLIFPscExpRecord
from sparseprop_dist.models.lif_psc_exp_record import LIFPscExpRecord
from sparseprop_dist.models.parameters import Model, Quantity, check_below, joined, lowest


@dataclass(frozen=True, eq=False)
class LIFPscExp(Model):
    """Leaky integrate-and-fire neuron with exponential synaptic currents; names and defaults of NEST's iaf_psc_exp.

    Weights are in pA. A spike is where V first reaches V_th, to the nearest tick, also where V turns right behind it.
    Each parameter is a number, an array with one for each neuron, or a distribution.

    Parameters
    ----------
    tau_m : membrane time constant (ms), positive
    C_m : capacitance (pF), positive
    E_L : resting potential (mV)
    V_th : threshold (mV); a neuron fires when V reaches it
    V_reset : potential (mV) after a spike, below V_th
    t_ref : refractory period (ms), 0 allowed; V stays at V_reset, inputs add to the currents
    I_e : constant current (pA)
    tau_syn_ex, tau_syn_in : time constants (ms) of the excitatory and the inhibitory current, positive; may be tau_m
    V_m : potential (mV) at time 0, when there is no synaptic current

    Raises
    ------
    InputError
        for a wrong type, a value that is not finite or outside its bound, V_reset >= V_th, or arrays of different lengths.
    """

    kind: ClassVar[str] = "lif_psc_exp"
    additive: ClassVar[bool] = True
    takes_currents: ClassVar[bool] = True
    weight_unit: ClassVar[str] = "pA"
    adjoint: ClassVar[Any] = LIFPscExpAdjoint
    recordable: ClassVar[dict[str, str]] = {"V": "mV", "I_syn_ex": "pA", "I_syn_in": "pA"}
    """In the order of `protocol.observe`."""
    differentiable: ClassVar[tuple[str, ...]] = (
        "tau_m",
        "tau_syn_ex",
        "tau_syn_in",
        "C_m",
        "E_L",
        "V_th",
        "V_reset",
        "t_ref",
        "I_e",
        "V_m",
    )
    quantities: ClassVar[dict[str, Quantity]] = {
        "tau_m": Quantity("ms", "positive"),
        "C_m": Quantity("pF", "positive"),
        "E_L": Quantity("mV"),
        "V_th": Quantity("mV"),
        "V_reset": Quantity("mV"),
        "t_ref": Quantity("ms", "not negative", most=1e6),
        "I_e": Quantity("pA"),
        "tau_syn_ex": Quantity("ms", "positive"),
        "tau_syn_in": Quantity("ms", "positive"),
        "V_m": Quantity("mV"),
    }
    tau_m: Given = 10.0
    C_m: Given = 250.0
    E_L: Given = -70.0
    V_th: Given = -55.0
    V_reset: Given = -70.0
    t_ref: Given = 2.0
    I_e: Given = 0.0
    tau_syn_ex: Given = 2.0
    tau_syn_in: Given = 2.0
    V_m: Given = -70.0

    def check(self, values: Mapping[str, Any], first: int = 0) -> None:
        """Refuse values outside their bounds, and V_reset >= V_th; see :meth:`Model.check`."""
        super().check(values, first)
        check_below(values, "V_reset", "V_th", first)

    @classmethod
    def record(cls, parts: Sequence[tuple[Model, Mapping[str, Any]]], slab_bits: int) -> LIFPscExpRecord:
        """Return the kernel record of neurons at time 0; see `Model.record`."""
        return LIFPscExpRecord.make(joined([values for _, values in parts]), slab_bits)

    @classmethod
    def driven_record(
        cls, parts: Sequence[tuple[Model, Mapping[str, Any]]], currents: Sequence[Sequence[Current]], slab_bits: int
    ) -> DrivenLIFPscExpRecord:
        """Return the kernel record of neurons with currents; see `Model.driven_record`."""
        which = np.repeat(np.arange(len(parts)), [len(values["gid"]) for _, values in parts])
        return DrivenLIFPscExpRecord.make(joined([values for _, values in parts]), which, currents, slab_bits)

    def time_scale(self) -> float:
        """The smallest of tau_m, tau_syn_ex and tau_syn_in, ms."""
        return min(lowest(self.tau_m), lowest(self.tau_syn_ex), lowest(self.tau_syn_in))

    def bulk_scale(self) -> float:
        """16 of these: the polynomials of the flow reach a quarter of a time constant to either side of the middle of a slab."""
        return 16.0 * self.time_scale()
