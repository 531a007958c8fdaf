"""The course of neurons V' = F(V) between arrivals, and its derivatives, read from their tables.

X is a time, so F is dV/dX, the derivative of the polynomials that give V; at a zero of F their cells lie in octaves of the distance to it,
so that F has its digits there too. From V1 to V2, ``dV2/dV1 = F(V2)/F(V1)``, and by a drive that is added to F, ``J = F(V2) int dt/F``:
the one integral that is needed. Of the EIF, ``tau_m F = pull - V + Delta_T e^((V - V_T)/Delta_T)``, which shifts with (V, pull, V_T) and
scales with (V, pull, V_T, Delta_T), the rest follows:

    dV2/dpull = J/tau_m,  dV2/dV_T = 1 - dV2/dV1 - dV2/dpull,  Delta_T dV2/dDelta_T = V2 - V1 dV2/dV1 - pull dV2/dpull - V_T dV2/dV_T
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import TICK_BITS
from sparseprop_dist.jit import float_bits, implements, inner
from sparseprop_dist.models.flow_cells import BELOW_ONE
from sparseprop_dist.models.flow_event import CUT_MASK, find, position_of, stretch_of, voltage_at
from sparseprop_dist.models.flow_record import FINENESS, X_ANCHOR, X_HIGH, X_LOW, X_OCTAVE, X_STOP, FlowRecord
from sparseprop_dist.models.replay import AFTER, BY_SHAPE, BY_THRESHOLD, BY_V, GROWTH, crossing, flow, speed

PULL, V_T, DELTA_T, TAU = 0, 1, 2, 3
"""The parameters that shape the flow of an EIF neuron; pull: E_L + I_e tau_m/C_m."""
PART = 64
"""The rate at which a zero of F is approached is measured over this part of the last stretch before it, about half a time constant."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
MOST_PANELS = 1024
CLOSE = 1e-12
"""Two quadratures that differ by this part are taken for the integral."""


@by_address
class FlowCourse(NamedTuple):
    """Neurons with a flow; one entry a neuron."""

    tables: FlowRecord
    kind: np.ndarray  # int32, the parameter set
    V_th: np.ndarray  # float64
    shape: np.ndarray  # float64 (N, 4), of EIF neurons, Delta_T = 0: of another model
    n_shape: int  # 4, or 0: such derivatives are not asked for
    nodes: np.ndarray
    weights: np.ndarray

    @staticmethod
    def make(values: Mapping[str, Any], record: Any, first: int, shaped: bool) -> "FlowCourse":
        """From the parameters (arrays by name) and the record of the run, in which they are the neurons from ``first`` on."""
        n = len(values["V_th"])
        shape = np.zeros((n, 4))
        if "Delta_T" in values:
            pull = values["E_L"] + values["I_e"] * values["tau_m"] / values["C_m"]
            shape = np.stack([pull, values["V_T"], values["Delta_T"], values["tau_m"]], axis=1)
        return FlowCourse(
            record,
            record.kind[first : first + n],
            values["V_th"],
            shape,
            4 if shaped and "Delta_T" in values else 0,
            NODES.copy(),
            WEIGHTS.copy(),
        )

    def gradients(self, values: Mapping[str, Any], of_shape: np.ndarray) -> dict[str, np.ndarray]:
        """Return the gradients of the parameters that shape the flow, by name."""
        if not self.n_shape or "Delta_T" not in values:
            return {}
        of_pull, tau, C, I_e = of_shape[:, PULL], values["tau_m"], values["C_m"], values["I_e"]
        return {
            "E_L": of_pull,
            "I_e": of_pull * tau / C,
            "C_m": -of_pull * I_e * tau / C**2,
            "tau_m": of_shape[:, TAU] + of_pull * I_e / C,
            "V_T": of_shape[:, V_T],
            "Delta_T": of_shape[:, DELTA_T],
        }


@inner
def _inside(model, p, X):
    """Return F, mV per quantum, at X in stretch ``p`` or at its end."""
    away = min(max(X, model.stretches[p, X_LOW]), model.stretches[p, X_HIGH]) - model.stretches[p, X_ANCHOR]
    d = min(max(away * model.stretch[p, 0], model.stretch[p, 1]), BELOW_ONE)
    cell, u = find(model.octave, model.stretches[p, X_OCTAVE], d)
    exponent = float_bits(d) >> 52
    cuts = model.octave[np.uint64(model.stretches[p, X_OCTAVE] + exponent)] & CUT_MASK
    slope = 0.0
    for k in range(model.bend.shape[1] - 1, -1, -1):
        slope = slope * u + (k + 1) * model.bend[cell, k]
    return slope * 2.0 ** (cuts - (exponent - 1023)) * model.stretch[p, 0]


@inner
def _pace(model, s, X):
    """Return F, mV per quantum, at X; beyond the last bit of V at a zero of F, as the flow goes on there."""
    p = stretch_of(model, s, X)
    beyond = X - model.stretches[p, X_HIGH]
    last = _inside(model, p, X)
    if beyond <= 0 or model.stretches[p, X_STOP] != model.stretches[p, X_HIGH]:
        return last
    part = (model.stretches[p, X_HIGH] - model.stretches[p, X_LOW]) // PART
    return last * (last / _inside(model, p, model.stretches[p, X_HIGH] - part)) ** (beyond / part)


@inner
def _slowness(course, s, X, span):
    """Return the integral of dX/F from X on, over ``span`` quanta."""
    found, panels = 0.0, 1
    while panels <= MOST_PANELS:
        before, found, half = found, 0.0, 0.5 * span / panels
        for panel in range(panels):
            for k in range(course.nodes.size):
                at = X + np.int64(half * (2 * panel + 1 + course.nodes[k]))
                found += half * course.weights[k] / _pace(course.tables, s, at)
        if abs(found - before) <= CLOSE * abs(found):
            break
        panels *= 2
    return found


@inner
def _quanta(course, s, dt):
    """Return the quanta in ``dt`` ms."""
    return np.int64(np.rint(dt * 2.0 ** (TICK_BITS + course.tables.sets[s, FINENESS])))


@implements(speed, FlowCourse)
def _speed(course, j, V):
    s = course.kind[j]
    per_ms = 2.0 ** (TICK_BITS + course.tables.sets[s, FINENESS])
    return _pace(course.tables, s, position_of(course.tables, s, V)) * per_ms


@implements(flow, FlowCourse)
def _flow(course, j, V, dt, out):
    tables = course.tables
    s = course.kind[j]
    X, span = position_of(tables, s, V), _quanta(course, s, dt)
    pace, stop = _pace(tables, s, X + span), tables.stretches[stretch_of(tables, s, X + span), X_STOP]
    out[AFTER], out[GROWTH] = voltage_at(tables, s, min(X + span, stop)), pace / _pace(tables, s, X)
    pull, V_T_, Delta_T, tau = course.shape[j]
    if course.n_shape and Delta_T > 0.0:
        per_ms = 2.0 ** (TICK_BITS + tables.sets[s, FINENESS])
        by_pull = pace * _slowness(course, s, X, span) / (per_ms * tau)
        by_V_T = 1.0 - out[GROWTH] - by_pull
        out[BY_SHAPE + PULL], out[BY_SHAPE + V_T] = by_pull, by_V_T
        out[BY_SHAPE + DELTA_T] = (out[AFTER] - V * out[GROWTH] - pull * by_pull - V_T_ * by_V_T) / Delta_T
        out[BY_SHAPE + TAU] = -pace * per_ms * dt / tau


@implements(crossing, FlowCourse)
def _crossing(course, j, V, dt, out):
    tables = course.tables
    s = course.kind[j]
    threshold, X = course.V_th[j], position_of(tables, s, V)
    per_ms = 2.0 ** (TICK_BITS + tables.sets[s, FINENESS])
    out[BY_V], out[BY_THRESHOLD] = -1.0 / (per_ms * _pace(tables, s, X)), 1.0 / speed(course, j, threshold)
    pull, V_T_, Delta_T, tau = course.shape[j]
    if Delta_T > 0.0:  # the tables may end below V_peak
        out[BY_THRESHOLD] = tau / (pull - threshold + Delta_T * math.exp((threshold - V_T_) / Delta_T))
    if course.n_shape and Delta_T > 0.0:
        by_pull = -_slowness(course, s, X, _quanta(course, s, dt)) / (per_ms * per_ms * tau)
        by_V_T = -out[BY_V] - by_pull - out[BY_THRESHOLD]
        out[BY_SHAPE + PULL], out[BY_SHAPE + V_T] = by_pull, by_V_T
        out[BY_SHAPE + DELTA_T] = -(V * out[BY_V] + pull * by_pull + V_T_ * by_V_T + threshold * out[BY_THRESHOLD]) / Delta_T
        out[BY_SHAPE + TAU] = dt / tau
