"""The course of a LIF neuron between arrivals, and its derivatives: for replays, where the frame of `lif_adjoint` cannot be used."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.jit import implements
from sparseprop_dist.models.lif_adjoint import by_shape, shape
from sparseprop_dist.models.replay import AFTER, BY_SHAPE, BY_THRESHOLD, BY_V, GROWTH, crossing, flow, speed

REST, SLOPE, RATE = 0, 1, 2
"""The parameters that shape the flow: V_inf, the drive where nothing leaks, 1/tau_m."""


@by_address
class LIFCourse(NamedTuple):
    """LIF neurons; one entry a neuron."""

    rate: np.ndarray  # float64, 1/tau_m, per ms
    rest: np.ndarray  # float64, V_inf, mV (0 where nothing leaks)
    slope: np.ndarray  # float64, mV/ms, where nothing leaks, else 0
    V_th: np.ndarray  # float64
    n_shape: int  # 3, or 0: such derivatives are not asked for

    @staticmethod
    def make(values: Mapping[str, Any], record: Any, first: int, shaped: bool) -> "LIFCourse":
        """From the parameters (arrays by name)."""
        return LIFCourse(*shape(values), values["V_th"], 3 if shaped else 0)

    def gradients(self, values: Mapping[str, Any], of_shape: np.ndarray) -> dict[str, np.ndarray]:
        """Return the gradients of the parameters that shape the flow, by name; none where they are not asked for."""
        if not self.n_shape:
            return {}
        return by_shape(values, of_shape[:, RATE], of_shape[:, REST], of_shape[:, SLOPE])


@implements(speed, LIFCourse)
def _speed(course, j, V):
    return course.rate[j] * (course.rest[j] - V) + course.slope[j]


@implements(flow, LIFCourse)
def _flow(course, j, V, dt, out):
    decay = math.exp(-dt * course.rate[j])
    away = V - course.rest[j]
    out[AFTER] = course.rest[j] + away * decay + course.slope[j] * dt
    out[GROWTH] = decay
    if course.n_shape:
        out[BY_SHAPE + REST], out[BY_SHAPE + SLOPE], out[BY_SHAPE + RATE] = 1.0 - decay, dt, -away * dt * decay


@implements(crossing, LIFCourse)
def _crossing(course, j, V, dt, out):
    flow(course, j, V, dt, out)
    per_speed = 1.0 / speed(course, j, course.V_th[j])
    growth = out[GROWTH]
    out[BY_THRESHOLD], out[BY_V] = per_speed, -growth * per_speed
    for h in range(BY_SHAPE, BY_SHAPE + course.n_shape):
        out[h] *= -per_speed
