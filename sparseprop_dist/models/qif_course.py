"""The course of a QIF neuron between arrivals, and its derivatives.

With x the time in tau_m, ``c, S`` as in ``qif_record`` and ``d = c - V S``, V goes to ``(V c + I S)/d``, and

    dV'/dV = 1/d^2,    dV'/dI = ((x + c S)/2 - V S^2 + V^2 (x - c S)/(2 I))/d^2

(the derivative of V by I is ``F(V') int dt/F``; c^2, c S and S^2 are integrated). From V = -inf, where V'= -c/S, ``V^2/d^2 = 1/S^2``.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.jit import implements, inner
from sparseprop_dist.models.qif_record import turn
from sparseprop_dist.models.replay import AFTER, BY_SHAPE, BY_THRESHOLD, BY_V, GROWTH, crossing, flow, speed

DRIVE, TAU = 0, 1
"""The parameters that shape the flow: I, tau_m."""


@by_address
class QIFCourse(NamedTuple):
    """QIF neurons; one entry a neuron."""

    tau: np.ndarray  # float64, ms
    drive: np.ndarray  # float64, I
    root: np.ndarray  # float64, sqrt(abs(I))
    V_th: np.ndarray  # float64
    n_shape: int

    @staticmethod
    def make(values: Mapping[str, Any], record: Any, first: int, shaped: bool) -> "QIFCourse":
        """From the parameters (arrays by name)."""
        return QIFCourse(values["tau_m"], values["I"], np.sqrt(np.abs(values["I"])), values["V_th"], 2)

    def gradients(self, values: Mapping[str, Any], of_shape: np.ndarray) -> dict[str, np.ndarray]:
        """Return the gradients of the parameters that shape the flow, by name."""
        return {"I": of_shape[:, DRIVE], "tau_m": of_shape[:, TAU]}


@inner
def cubic(drive, x, c, s):
    """Return the integral of S^2, (x - c S)/(2 I), also where I is near 0."""
    z = 4.0 * drive * x * x
    if abs(z) > 0.5:
        return (x - c * s) / (2.0 * drive)
    total = 0.0
    for k in range(8, 0, -1):  # 1/3! - z/5! + z^2/7! - ...: the term after the last is below 2e-17
        total = (1.0 - z * total) / ((2 * k + 1) * 2 * k)
    return 2.0 * x * x * x * total


@implements(speed, QIFCourse)
def _speed(course, j, V):
    return (V * V + course.drive[j]) / course.tau[j]


@implements(flow, QIFCourse)
def _flow(course, j, V, dt, out):
    x, drive = dt / course.tau[j], course.drive[j]
    c, s = turn(course, j, x)
    if math.isinf(V):
        out[AFTER], out[GROWTH] = (-c / s if s != 0.0 else -math.inf), 0.0
        out[BY_SHAPE + DRIVE] = cubic(drive, x, c, s) / (s * s) if s != 0.0 else 0.0
    else:
        growth = 1.0 / (c - V * s) ** 2
        out[AFTER], out[GROWTH] = (V * c + drive * s) / (c - V * s), growth
        out[BY_SHAPE + DRIVE] = growth * (0.5 * (x + c * s) - V * s * s + V * V * cubic(drive, x, c, s))
    out[BY_SHAPE + TAU] = -speed(course, j, out[AFTER]) * x


@implements(crossing, QIFCourse)
def _crossing(course, j, V, dt, out):
    tau, drive, threshold = course.tau[j], course.drive[j], course.V_th[j]
    x = dt / tau
    c, s = turn(course, j, x)
    if math.isinf(V):
        out[BY_V], out[BY_SHAPE + DRIVE] = 0.0, -tau * cubic(drive, x, c, s)
    else:
        size = V * V + drive
        out[BY_V] = -tau / size
        out[BY_SHAPE + DRIVE] = -tau * (0.5 * (x + c * s) - V * s * s + V * V * cubic(drive, x, c, s)) / size
    out[BY_THRESHOLD] = 0.0 if math.isinf(threshold) else tau / (threshold * threshold + drive)
    out[BY_SHAPE + TAU] = x
