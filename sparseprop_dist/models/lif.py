"""The leaky integrate-and-fire neuron with delta synapses: NEST's iaf_psc_delta.

Its one formula: ``tau_m V' = V_inf - V`` with ``V_inf = E_L + I_e tau_m / C_m``; an input adds its weight to V; at V >= V_th there is a
spike, V = V_reset, and inputs are ignored for t_ref. With tau_m = inf: ``V' = I_e / C_m``, the perfect integrator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparseprop_dist.distributions import Given
from sparseprop_dist.errors import InputError
from sparseprop_dist.inputs import Current
from sparseprop_dist.models import lif_current_slab, lif_rows, lif_slab  # noqa: F401  # their bodies
from sparseprop_dist.models.lif_adjoint import LIFAdjoint
from sparseprop_dist.models.lif_course import LIFCourse
from sparseprop_dist.models.lif_current import DrivenLIFRecord
from sparseprop_dist.models.lif_record import LIFRecord
from sparseprop_dist.models.parameters import Model, Quantity, check_below, joined, lowest


@dataclass(frozen=True, eq=False)
class LIF(Model):
    """Leaky integrate-and-fire neuron with delta synapses; names and defaults of NEST's iaf_psc_delta.

    Each parameter is a number, an array with one for each neuron, or a distribution.

    Parameters
    ----------
    tau_m : membrane time constant (ms), positive; inf: nothing leaks, and E_L has no meaning
    C_m : capacitance (pF), positive; only turns I_e into a voltage
    E_L : resting potential (mV)
    V_th : threshold (mV); a neuron fires when V reaches it
    V_reset : potential (mV) after a spike, below V_th
    t_ref : refractory period (ms), 0 allowed; an input exactly at its end counts
    I_e : constant current (pA); drives V to E_L + I_e * tau_m / C_m
    V_m : potential (mV) at time 0
    refractory_input : keep the inputs of the refractory period, decayed by tau_m, and add them at its end

    Raises
    ------
    InputError
        for a wrong type, a value that is not finite or outside its bound, V_reset >= V_th, or arrays of different lengths.
    """

    kind: ClassVar[str] = "lif"
    additive: ClassVar[bool] = True
    takes_currents: ClassVar[bool] = True
    adjoint: ClassVar[Any] = LIFAdjoint
    course: ClassVar[Any] = LIFCourse
    differentiable: ClassVar[tuple[str, ...]] = ("tau_m", "C_m", "E_L", "V_th", "V_reset", "t_ref", "I_e", "V_m")
    quantities: ClassVar[dict[str, Quantity]] = {
        "tau_m": Quantity("ms", "positive", infinite=True),
        "C_m": Quantity("pF", "positive"),
        "E_L": Quantity("mV"),
        "V_th": Quantity("mV"),
        "V_reset": Quantity("mV"),
        "t_ref": Quantity("ms", "not negative", most=1e6),
        "I_e": Quantity("pA"),
        "V_m": Quantity("mV"),
    }
    tau_m: Given = 10.0
    C_m: Given = 250.0
    E_L: Given = -70.0
    V_th: Given = -55.0
    V_reset: Given = -70.0
    t_ref: Given = 2.0
    I_e: Given = 0.0
    V_m: Given = -70.0
    refractory_input: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.refractory_input, bool):
            raise InputError(f"refractory_input is {self.refractory_input!r}; give true or false")

    def check(self, values: Mapping[str, Any], first: int = 0) -> None:
        """Refuse values outside their bounds, and V_reset >= V_th; see :meth:`Model.check`."""
        super().check(values, first)
        check_below(values, "V_reset", "V_th", first)

    @classmethod
    def record(cls, parts: Sequence[tuple[Model, Mapping[str, Any]]], slab_bits: int) -> LIFRecord:
        """Return the kernel record of neurons at time 0; see `Model.record`."""
        return LIFRecord.make(_values(parts), slab_bits)

    @classmethod
    def driven_record(
        cls, parts: Sequence[tuple[Model, Mapping[str, Any]]], currents: Sequence[Sequence[Current]], slab_bits: int
    ) -> DrivenLIFRecord:
        """Return the kernel record of neurons with currents; see `Model.driven_record`."""
        which = np.repeat(np.arange(len(parts)), [len(values["gid"]) for _, values in parts])
        return DrivenLIFRecord.make(_values(parts), which, currents, slab_bits)

    def time_scale(self) -> float:
        """tau_m, ms."""
        return lowest(self.tau_m)


def _values(parts: Sequence[tuple[Model, Mapping[str, Any]]]) -> dict[str, Any]:
    """The values of all parts, with the flag of each as an array."""
    keep = [np.full(len(values["gid"]), model.refractory_input) for model, values in parts]  # type: ignore[attr-defined]
    return joined([values for _, values in parts]) | {"refractory_input": np.concatenate(keep)}
