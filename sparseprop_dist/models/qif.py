"""The quadratic integrate-and-fire neuron with delta synapses.

Its one formula: ``tau_m V' = V^2 + I``; an input adds its weight to V; at V >= V_th there is a spike, V = V_reset, and inputs are ignored
for t_ref. Ermentrout & Kopell, SIAM J. Appl. Math. 46 (1986); in networks: Engelken, NeurIPS 2023.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sparseprop_dist.clock import TICK
from sparseprop_dist.distributions import Given
from sparseprop_dist.models import qif_rows  # noqa: F401  # their bodies
from sparseprop_dist.models.parameters import Model, Quantity, check_below, highest, joined, lowest
from sparseprop_dist.models.protocol import in_order_only
from sparseprop_dist.models.qif_course import QIFCourse
from sparseprop_dist.models.qif_record import QIFRecord, Span

in_order_only(QIFRecord)


@dataclass(frozen=True, eq=False)
class QIF(Model):
    """Quadratic integrate-and-fire neuron with delta synapses. V, I and weights have no unit.

    With I > 0 it fires by itself, every pi tau_m / sqrt(I) if V_th and V_reset are infinite; with I <= 0 only from above sqrt(-I).
    Each parameter is a number, an array with one for each neuron, or a distribution.

    Parameters
    ----------
    tau_m : membrane time constant (ms), positive
    I : constant drive, of any sign
    V_th : threshold; inf by default
    V_reset : V after a spike, below V_th; -inf by default
    t_ref : refractory period (ms), 0 by default; an input exactly at its end counts
    V_m : V at time 0

    Raises
    ------
    InputError
        for a wrong type, a value that is not finite or outside its bound, V_reset >= V_th, or arrays of different lengths.
    """

    kind: ClassVar[str] = "qif"
    weight_unit: ClassVar[str] = ""
    takes_kin: ClassVar[bool] = True
    course: ClassVar[Any] = QIFCourse
    differentiable: ClassVar[tuple[str, ...]] = ("tau_m", "I", "V_th", "V_reset", "t_ref", "V_m")
    quantities: ClassVar[dict[str, Quantity]] = {
        "tau_m": Quantity("ms", "positive"),
        "I": Quantity(""),
        "V_th": Quantity("", infinite=True),
        "V_reset": Quantity("", infinite=True),
        "t_ref": Quantity("ms", "not negative", most=1e6),
        "V_m": Quantity(""),
    }
    tau_m: Given = 10.0
    I: Given = 0.1  # noqa: E741  # the field's name for it
    V_th: Given = math.inf
    V_reset: Given = -math.inf
    t_ref: Given = 0.0
    V_m: Given = 0.0

    def check(self, values: Mapping[str, Any], first: int = 0) -> None:
        """Refuse values outside their bounds, and V_reset >= V_th; see :meth:`Model.check`."""
        super().check(values, first)
        check_below(values, "V_reset", "V_th", first, unit="")

    @classmethod
    def record(cls, parts: Sequence[tuple[Model, Mapping[str, Any]]], slab_bits: int, kin: Sequence[Any] = ()) -> QIFRecord:
        """Return the kernel record of neurons at time 0; see `Model.record`. ``kin``: all QIF models of the network; their frame is one."""
        span = Span(
            low=min(lowest(model.I) for model in kin),
            high=max(highest(model.I) for model in kin),
            slow=TICK / max(highest(model.tau_m) for model in kin),
            fast=TICK / min(lowest(model.tau_m) for model in kin),
        )
        return QIFRecord.make(joined([values for _, values in parts]), slab_bits, span)

    def time_scale(self) -> float:
        """tau_m, or tau_m / sqrt(-I) if that is shorter, ms."""
        return lowest(self.tau_m) / max(1.0, math.sqrt(max(0.0, -lowest(self.I))))
