"""Optimisers: what turns gradients into new parameters. Parameters are arrays by name; states are arrays too, so that they can be kept."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import InputError

Arrays = dict[str, np.ndarray]
Schedule = Callable[[int], float]
"""Factor on the learning rate, of the number of steps done."""


def exponential(decay: float, every: int) -> Schedule:
    """Return the schedule that multiplies the rate by ``decay`` every so many steps."""
    return lambda step: decay ** (step // every)


def cosine(steps: int, last: float = 0.0) -> Schedule:
    """Return the schedule that falls from 1 to ``last`` over so many steps."""
    return lambda step: last + (1.0 - last) * 0.5 * (1.0 + float(np.cos(np.pi * min(step / steps, 1.0))))


@dataclass
class SGD:
    """Gradient descent with momentum (0: none). ``rate`` is one number, or one by the name of the parameter: "weight", or "weight/1" for
    that of the second projection; 0 leaves it as it is."""

    rate: float | dict[str, float]
    momentum: float = 0.0
    clip: float = np.inf
    """Gradients of larger norm, over all parameters, are scaled to it: one spike that barely reaches threshold has a huge derivative."""
    schedule: Schedule = field(default=lambda step: 1.0)
    step: int = 0
    state: Arrays = field(default_factory=dict)

    def update(self, parameters: Arrays, gradients: Arrays) -> Arrays:
        """Return new parameters."""
        out, gradients = {}, _clipped(gradients, self.clip)
        for name, value in parameters.items():
            velocity = self.momentum * self.state.get(f"velocity/{name}", np.zeros_like(value)) + gradients[name]
            self.state[f"velocity/{name}"] = velocity
            out[name] = value - _rate(self, name) * velocity
        self.step += 1
        return out


@dataclass
class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1). ``rate`` is as for `SGD`."""

    rate: float | dict[str, float]
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    clip: float = np.inf
    """See `SGD`."""
    schedule: Schedule = field(default=lambda step: 1.0)
    step: int = 0
    state: Arrays = field(default_factory=dict)

    def update(self, parameters: Arrays, gradients: Arrays) -> Arrays:
        """Return new parameters."""
        out, t, gradients = {}, self.step + 1, _clipped(gradients, self.clip)
        for name, value in parameters.items():
            gradient = gradients[name]
            first = self.beta1 * self.state.get(f"first/{name}", np.zeros_like(value)) + (1.0 - self.beta1) * gradient
            second = self.beta2 * self.state.get(f"second/{name}", np.zeros_like(value)) + (1.0 - self.beta2) * gradient**2
            self.state[f"first/{name}"], self.state[f"second/{name}"] = first, second
            size = np.sqrt(second / (1.0 - self.beta2**t)) + self.epsilon
            out[name] = value - _rate(self, name) * (first / (1.0 - self.beta1**t)) / size
        self.step = t
        return out


def _rate(optimiser: Any, name: str) -> float:
    rate = optimiser.rate
    if isinstance(rate, dict):
        found = rate.get(name, rate.get(name.split("/")[0]))
        if found is None:
            raise InputError(f'the optimiser has no rate for "{name}"; it has them for {", ".join(rate)}')
        rate = found
    return float(rate) * optimiser.schedule(optimiser.step)


def _clipped(gradients: Arrays, most: float) -> Arrays:
    norm = float(np.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values())))
    return gradients if norm <= most else {name: gradient * (most / norm) for name, gradient in gradients.items()}


OPTIMISERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}
