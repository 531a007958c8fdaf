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
from sparseprop_dist.elementary import sin_cos, sinh_cosh
from sparseprop_dist.jit import implements, inner, merged
from sparseprop_dist.models.replay import AFTER, BY_SHAPE, BY_THRESHOLD, BY_V, GROWTH, crossing, flow, speed

BY_DRIVE, BY_TAU = 0, 1
"""The parameters that shape the flow: I, tau_m."""
RATE, DRIVE, ROOT, PER_ROOT = 0, 1, 2, 3
"""Columns of `QIFCourse.line`, one visit."""


@by_address
class QIFCourse(NamedTuple):
    """QIF neurons; one entry a neuron."""

    line: np.ndarray  # float64 (N, 4): 1/tau_m (per ms), I, sqrt(abs(I)), 1 over that (0: not there)
    V_th: np.ndarray  # float64 (N,)
    n_shape: int  # 2, or 0: such derivatives are not asked for

    @staticmethod
    def make(values: Mapping[str, Any], record: Any, first: int, shaped: bool) -> "QIFCourse":
        """From the parameters (arrays by name)."""
        root = np.sqrt(np.abs(values["I"]))
        line = np.stack([1.0 / values["tau_m"], values["I"], root, 1.0 / np.where(root > 0.0, root, np.inf)], axis=1)
        return QIFCourse(line, values["V_th"], 2 if shaped else 0)

    def gradients(self, values: Mapping[str, Any], of_shape: np.ndarray) -> dict[str, np.ndarray]:
        """Return the gradients of the parameters that shape the flow, by name; none where they are not asked for."""
        if not self.n_shape:
            return {}
        return {"I": of_shape[:, BY_DRIVE], "tau_m": of_shape[:, BY_TAU]}


@inner
def cubic(drive, x, c, s):
    """Return the integral of S^2, (x - c S)/(2 I), also where I is near 0."""
    z = 4.0 * drive * x * x
    if abs(z) > 0.5:
        return (x - c * s) / (2.0 * drive)
    # to z^6: the term after the last is below 1e-17
    tail = 1 / 39916800 - z * (1 / 6227020800 - z * (1 / 1307674368000))
    return 2.0 * x * x * x * (1 / 6 - z * (1 / 120 - z * (1 / 5040 - z * (1 / 362880 - z * tail))))


@merged
def _turn(course, j, x):
    """Return c and S after x."""
    drive, root, per_root = course.line[j, DRIVE], course.line[j, ROOT], course.line[j, PER_ROOT]
    if drive > 0.0:
        sine, cosine = sin_cos(root * x)
        return cosine, sine * per_root
    if drive < 0.0:
        sine, cosine = sinh_cosh(root * x)
        return cosine, sine * per_root
    return 1.0, x


@implements(speed, QIFCourse)
def _speed(course, j, V):
    return (V * V + course.line[j, DRIVE]) * course.line[j, RATE]


@implements(flow, QIFCourse)
def _flow(course, j, V, dt, out):
    x, drive = dt * course.line[j, RATE], course.line[j, DRIVE]
    c, s = _turn(course, j, x)
    growth = 0.0
    if math.isinf(V):
        out[AFTER] = -c / s if s != 0.0 else -math.inf
    else:
        per_d = 1.0 / (c - V * s)
        growth = per_d * per_d
        out[AFTER] = (V * c + drive * s) * per_d
    out[GROWTH] = growth
    if course.n_shape:
        if growth == 0.0:
            out[BY_SHAPE + BY_DRIVE] = cubic(drive, x, c, s) / (s * s) if s != 0.0 else 0.0
        else:
            out[BY_SHAPE + BY_DRIVE] = growth * (0.5 * (x + c * s) - V * s * s + V * V * cubic(drive, x, c, s))
        out[BY_SHAPE + BY_TAU] = -speed(course, j, out[AFTER]) * x


@implements(crossing, QIFCourse)
def _crossing(course, j, V, dt, out):
    rate, drive, threshold = course.line[j, RATE], course.line[j, DRIVE], course.V_th[j]
    out[BY_V] = 0.0 if math.isinf(V) else -1.0 / speed(course, j, V)
    out[BY_THRESHOLD] = 0.0 if math.isinf(threshold) else 1.0 / speed(course, j, threshold)
    if course.n_shape:
        x = dt * rate
        c, s = _turn(course, j, x)
        by_drive = cubic(drive, x, c, s)
        if not math.isinf(V):
            by_drive = (0.5 * (x + c * s) - V * s * s + V * V * by_drive) / (V * V + drive)
        out[BY_SHAPE + BY_DRIVE], out[BY_SHAPE + BY_TAU] = -by_drive / rate, x
