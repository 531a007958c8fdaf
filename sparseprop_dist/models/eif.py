"""The exponential integrate-and-fire neuron with delta synapses: NEST's aeif_psc_delta without adaptation.

Its one formula: ``tau_m V' = E_L - V + Delta_T e^((V - V_T)/Delta_T) + I_e tau_m / C_m``; an input adds its weight to V; at V >= V_peak
there is a spike, V = V_reset, and inputs are ignored for t_ref.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sparseprop_dist.distributions import Given
from sparseprop_dist.errors import InputError
from sparseprop_dist.models.flow import KEPT, OneVariable
from sparseprop_dist.models.flow_table import Table, table
from sparseprop_dist.models.parameters import Quantity, check_below, check_each
from sparseprop_dist.quantile import Floats, exp

STEEPEST = 50.0
"""Delta_T above V_T the upstroke is over in tau_m e^-50, 2e-22 tau_m: no time is left until any V_peak."""


@dataclass(frozen=True, eq=False)
class EIF(OneVariable):
    """Exponential integrate-and-fire neuron with delta synapses; names and defaults near NEST's aeif_psc_delta.

    Each parameter is a number, an array with one for each neuron, or a distribution; at most 1,000 sets of those that shape the flow (all
    but t_ref and V_m) can be tabulated on a rank.

    Parameters
    ----------
    tau_m : membrane time constant (ms), positive: C_m / g_L
    C_m : capacitance (pF), positive; only turns I_e into a voltage
    E_L : resting potential (mV) of the leak
    V_T : soft threshold (mV), where the exponential current has slope 1; NEST's V_th
    Delta_T : sharpness (mV) of the upstroke, positive
    V_peak : potential (mV) at which the neuron fires, above V_T
    V_reset : potential (mV) after a spike, below V_peak
    t_ref : refractory period (ms), 0 allowed; an input exactly at its end counts
    I_e : constant current (pA)
    V_m : potential (mV) at time 0

    Raises
    ------
    InputError
        for a wrong type, a value that is not finite or outside its bound, V_T or V_reset not below V_peak, V_reset so high that the
        neuron would fire again at once, and a drive at which F nearly touches 0, so that the last bits of the parameters decide.
    """

    kind: ClassVar[str] = "eif"
    differentiable: ClassVar[tuple[str, ...]] = (
        "tau_m", "C_m", "E_L", "V_T", "Delta_T", "V_peak", "V_reset", "t_ref", "I_e", "V_m",
    )  # fmt: skip
    threshold: ClassVar[str] = "V_peak"
    shaping: ClassVar[tuple[str, ...]] = ("tau_m", "C_m", "E_L", "V_T", "Delta_T", "V_peak", "V_reset", "I_e")
    quantities: ClassVar[dict[str, Quantity]] = {
        "tau_m": Quantity("ms", "positive"),
        "C_m": Quantity("pF", "positive"),
        "E_L": Quantity("mV"),
        "V_T": Quantity("mV"),
        "Delta_T": Quantity("mV", "positive"),
        "V_peak": Quantity("mV"),
        "V_reset": Quantity("mV"),
        "t_ref": Quantity("ms", "not negative", most=1e6),
        "I_e": Quantity("pA"),
        "V_m": Quantity("mV"),
    }
    tau_m: Given = 281.0 / 30.0
    C_m: Given = 281.0
    E_L: Given = -70.6
    V_T: Given = -50.4
    Delta_T: Given = 2.0
    V_peak: Given = 0.0
    V_reset: Given = -60.0
    t_ref: Given = 0.0
    I_e: Given = 0.0
    V_m: Given = -70.6

    def check(self, values: Mapping[str, Any], first: int = 0) -> None:
        """Refuse values outside their bounds, V_T >= V_peak, and V_reset too high; see :meth:`Model.check`."""
        super().check(values, first)
        check_below(values, "V_T", "V_peak", first)
        check_below(values, "V_reset", "V_peak", first)
        if all(name in values for name in ("V_T", "V_reset", "Delta_T")):
            good = values["V_reset"] < values["V_T"] + STEEPEST * values["Delta_T"]
            each = "neuron" if getattr(good, "ndim", 0) else None
            must = f"it must be below V_T + {STEEPEST:g} Delta_T, from where the neuron would fire again at once"
            check_each(values["V_reset"], good, "V_reset", "mV", each, must, first)

    def lines(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """tau_m, the potential that leak and current pull to, V_T, Delta_T, V_peak, V_reset."""
        pull = values["E_L"] + values["I_e"] * values["tau_m"] / values["C_m"]
        return [values["tau_m"], pull, values["V_T"], values["Delta_T"], values["V_peak"], values["V_reset"]]

    def tabulated(self, *line: float) -> Table:
        """The tables for these numbers."""
        return _tabulated(*line)


@functools.lru_cache(maxsize=KEPT)
def _tabulated(tau_m: float, pull: float, V_T: float, Delta_T: float, V_peak: float, V_reset: float) -> Table:
    def F(V: Floats) -> Floats:
        v = (V - V_T) / Delta_T
        return ((pull - V) + Delta_T * exp(v)) / tau_m

    def why(V: float) -> str:
        raise InputError(f"the flow of an EIF neuron has no value at V = {V:.6g} mV; its parameters are too large")

    return table(F, V_peak, V_reset, min(V_peak, V_T + STEEPEST * Delta_T), why, marks=(V_T,))
