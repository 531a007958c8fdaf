"""The neurons of the oracle: each knows its state, how it flows, what an arrival does to it, and when it fires by itself.

Plain formulas, nothing of the engine; times in ms. The event loop keeps the time at which a state holds, its release if refractory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Model(Protocol):
    """What the event loop asks of a neuron; a state is whatever the model makes it."""

    @property
    def t_ref(self) -> float:
        """The refractory period."""

    def start(self) -> Any:
        """The state at time 0."""

    def later(self, state: Any, ms: float) -> Any:
        """The state after a time in which nothing happens; not beyond the next spike."""

    def jump(self, state: Any, weight: float) -> Any:
        """The state after an arrival."""

    def kept(self, state: Any, weight: float, ms: float) -> Any:
        """The state at the end of the refractory period, after an arrival this long before it."""

    def is_up(self, state: Any) -> bool:
        """Whether it is at threshold or above."""

    def wait(self, state: Any) -> float | None:
        """How long until the flow meets the threshold, from below; None: never."""

    def reset(self, state: Any, ms: float) -> Any:
        """The state at the end of the refractory period after a spike, this long after the given state."""


class _Potential:
    """What models of which V is the whole state have in common."""

    V_m: float
    V_th: float
    V_reset: float

    def start(self) -> float:
        return self.V_m

    def jump(self, V: float, weight: float) -> float:
        return V + weight

    def kept(self, V: float, weight: float, ms: float) -> float:
        return V

    def is_up(self, V: float) -> bool:
        return self.V_th <= V

    def reset(self, V: float, ms: float) -> float:
        return self.V_reset


@dataclass(frozen=True)
class Neuron(_Potential):
    """LIF, NEST's iaf_psc_delta: tau_m V' = V_inf - V (ms, mV); V_m is the potential at time 0, here as in all models."""

    tau_m: float
    V_inf: float
    V_th: float
    V_reset: float
    t_ref: float
    V_m: float
    refractory_input: bool = False

    def later(self, V: float, ms: float) -> float:
        return V + (V - self.V_inf) * math.expm1(-ms / self.tau_m)  # expm1: exactly nothing when no time has passed

    def kept(self, V: float, weight: float, ms: float) -> float:
        return V + weight * math.exp(-ms / self.tau_m) if self.refractory_input else V

    def wait(self, V: float) -> float | None:
        return self.tau_m * math.log((self.V_inf - V) / (self.V_inf - self.V_th)) if self.V_inf > self.V_th else None


@dataclass(frozen=True)
class Perfect(_Potential):
    """Perfect integrator, the LIF for tau_m to infinity: V' = drift (mV/ms), which is I_e / C_m."""

    drift: float
    V_th: float
    V_reset: float
    t_ref: float
    V_m: float
    refractory_input: bool = False

    def later(self, V: float, ms: float) -> float:
        return V + self.drift * ms

    def kept(self, V: float, weight: float, ms: float) -> float:
        return V + weight if self.refractory_input else V

    def wait(self, V: float) -> float | None:
        return (self.V_th - V) / self.drift if self.drift > 0 else None


@dataclass(frozen=True)
class QIF(_Potential):
    """Quadratic: tau_m V' = V^2 + I; V, I and weights have no unit."""

    tau_m: float
    I: float  # noqa: E741
    V_m: float
    V_th: float = math.inf
    V_reset: float = -math.inf
    t_ref: float = 0.0

    def later(self, V: float, ms: float) -> float:
        """V(t) = (V + I s / c) / (1 - V s / c), with sine and cosine (I > 0), their hyperbolic kin (I < 0) or s = t / tau_m, c = 1."""
        a, t = math.sqrt(abs(self.I)), ms / self.tau_m
        if self.I > 0:
            s, c = math.sin(a * t) / a, math.cos(a * t)
        else:
            s, c = (math.tanh(a * t) / a if self.I < 0 else t), 1.0
        if s == 0:
            return V
        if -math.inf == V:
            return -c / s if s > 0 else math.inf
        left = c - V * s
        return (V * c + self.I * s) / left if left > 0 else math.inf  # rounding alone leads to the blow-up or beyond it

    def wait(self, V: float) -> float | None:
        a = math.sqrt(abs(self.I))
        if self.I > 0 or a < V or self.V_th < -a:
            return self._before_blow_up(V) - self._before_blow_up(self.V_th)
        return None

    def _before_blow_up(self, V: float) -> float:
        """The integral of dV tau_m / (V^2 + I) from V to infinity; below zero (no rest in between), from V back to -infinity."""
        a = math.sqrt(abs(self.I))
        if self.I > 0:
            return self.tau_m / a * math.atan2(a, V)
        if self.I == 0:
            return self.tau_m / V
        return self.tau_m / (2 * a) * math.log1p(2 * a / (V - a))


class _Flow(_Potential):
    """Models V' = F(V) that are integrated by brute force."""

    def F(self, V: float) -> float:
        raise NotImplementedError

    def later(self, V: float, ms: float) -> float:
        return V + integral(lambda _, V: self.F(V), 0.0, V, ms)

    def wait(self, V: float) -> float | None:
        def pace(V: float, _: float) -> float:
            if self.F(V) <= 0:
                raise _Never
            return 1.0 / self.F(V)

        try:
            for k in range(256):  # not needed, but a rest is found faster so than by approaching it
                pace(V + (self.V_th - V) * k / 256, 0.0)
            return integral(pace, V, 0.0, self.V_th - V, finest=(self.V_th - V) / 2**16)
        except _Never:
            return None


@dataclass(frozen=True)
class EIF(_Flow):
    """Exponential: tau_m V' = V_inf - V + Delta_T exp((V - V_T) / Delta_T) (ms, mV), V_inf = E_L + R I_e; fires at V_th (V_peak)."""

    tau_m: float
    V_inf: float
    V_T: float
    Delta_T: float
    V_th: float
    V_reset: float
    t_ref: float
    V_m: float

    def F(self, V: float) -> float:
        return (self.V_inf - V + self.Delta_T * math.exp((V - self.V_T) / self.Delta_T)) / self.tau_m


@dataclass(frozen=True)
class Function(_Flow):
    """Any model of one variable: V' = slope(V) per ms."""

    slope: Callable[[float], float]
    V_th: float
    V_reset: float
    t_ref: float
    V_m: float

    def F(self, V: float) -> float:
        return self.slope(V)


class _Never(Exception):
    """The flow comes to rest."""


def integral(f: Callable[[float, float], float], x: float, y: float, h: float, finest: float = 0.0) -> float:
    """How much y grows while x grows by h, if dy/dx = f(x, y); steps are halved until nothing changes, or to the finest."""
    first = _leap(f, x, y, h / 2)
    whole, halves = _leap(f, x, y, h), first + _leap(f, x + h / 2, y + first, h / 2)
    # the difference is 2^12 times the error (order 12); but near to a pole of 1 / F all is rounding, however short the step
    if h <= finest or abs(whole - halves) <= 1e-12 + 1e-11 * abs(halves):
        return halves
    first = integral(f, x, y, h / 2, finest)
    return first + integral(f, x + h / 2, y + first, h / 2, finest)


def _leap(f: Callable[[float, float], float], x: float, y: float, h: float) -> float:
    """The same by the modified midpoint rule with 2, 4, ... 12 substeps, extrapolated to infinitely many (Gragg); nan if f overflows."""
    try:
        row: list[float] = []
        for n in range(2, 14, 2):
            d = h / n
            before, now = 0.0, d * f(x, y)
            for k in range(1, n):
                before, now = now, before + 2 * d * f(x + k * d, y + now)
            better = [(before + now + d * f(x + h, y + now)) / 2]
            for m, coarser in enumerate(row, 1):
                better.append(better[-1] + (better[-1] - coarser) / ((n / (n - 2 * m)) ** 2 - 1))
            row = better
        return row[-1]
    except OverflowError:
        return math.nan


Currents = tuple[float, float, float]


@dataclass(frozen=True)
class Exponential:
    """LIF with exponential currents, NEST's iaf_psc_exp: ms, pF, mV, pA; weights in pA; its state is V, I_syn_ex, I_syn_in."""

    tau_m: float
    C_m: float
    E_L: float
    V_th: float
    V_reset: float
    t_ref: float
    I_e: float
    tau_syn_ex: float
    tau_syn_in: float
    V_m: float

    @property
    def V_inf(self) -> float:
        """Where V goes without synaptic current."""
        return self.E_L + self.I_e * self.tau_m / self.C_m

    def start(self) -> Currents:
        return self.V_m, 0.0, 0.0

    def later(self, state: Currents, ms: float) -> Currents:
        V, I_ex, I_in = state
        V += (V - self.V_inf) * math.expm1(-ms / self.tau_m)
        V += I_ex * self.response(ms, self.tau_syn_ex) + I_in * self.response(ms, self.tau_syn_in)
        return V, I_ex * math.exp(-ms / self.tau_syn_ex), I_in * math.exp(-ms / self.tau_syn_in)

    def jump(self, state: Currents, weight: float) -> Currents:
        V, I_ex, I_in = state
        return (V, I_ex + weight, I_in) if weight >= 0 else (V, I_ex, I_in + weight)

    def kept(self, state: Currents, weight: float, ms: float) -> Currents:
        return self.jump(state, weight * math.exp(-ms / (self.tau_syn_ex if weight >= 0 else self.tau_syn_in)))

    def is_up(self, state: Currents) -> bool:
        return state[0] >= self.V_th

    def reset(self, state: Currents, ms: float) -> Currents:
        _, I_ex, I_in = state
        return self.V_reset, I_ex * math.exp(-ms / self.tau_syn_ex), I_in * math.exp(-ms / self.tau_syn_in)

    def response(self, ms: float, tau: float) -> float:
        """V (mV) after a current that was 1 pA and has decayed by tau: (e^(-t/slow) - e^(-t/fast)) / (1/fast - 1/slow) / C_m."""
        fast, slow = sorted((tau, self.tau_m))
        x = ms * (slow - fast) / (slow * fast)
        return ms * math.exp(-ms / slow) * (-math.expm1(-x) / x if x else 1.0) / self.C_m

    def wait(self, state: Currents) -> float | None:
        """V is monotone between its extrema, and V' e^(t/tau_m) = const + the integral of e^(t/tau_m) I'/C_m is so between zeros of I'."""
        V, I_ex, I_in = state
        needed = self.V_th - self.V_inf

        def above_rest(t: float) -> float:
            return (
                (V - self.V_inf) * math.exp(-t / self.tau_m)
                + I_ex * self.response(t, self.tau_syn_ex)
                + I_in * self.response(t, self.tau_syn_in)
            )

        def is_up(t: float) -> bool:
            return above_rest(t) >= needed if needed else above_rest(t) > 0  # rest at threshold itself is never reached

        def rises(t: float) -> bool:
            I = I_ex * math.exp(-t / self.tau_syn_ex) + I_in * math.exp(-t / self.tau_syn_in)  # noqa: E741
            return I / self.C_m > above_rest(t) / self.tau_m

        end = self._horizon(state)
        bends = [0.0, *(t for t in self._current_extremum(I_ex, I_in) if t < end), end]
        ends = [0.0]
        for low, high in itertools.pairwise(bends):
            if rises(low) != rises(high):
                ends.append(_first(lambda t: rises(t) == rises(high), low, high))  # noqa: B023
            ends.append(high)
        for low, high in itertools.pairwise(ends):
            if is_up(high):
                return _first(is_up, low, high)
        return None

    def _current_extremum(self, I_ex: float, I_in: float) -> list[float]:
        """Where I_ex e^(-t/tau_ex) / tau_ex = -I_in e^(-t/tau_in) / tau_in, if anywhere at t > 0."""
        a, b = I_ex / self.tau_syn_ex, -I_in / self.tau_syn_in
        if a > 0 and b > 0 and self.tau_syn_ex != self.tau_syn_in:
            t = math.log(a / b) * self.tau_syn_ex * self.tau_syn_in / (self.tau_syn_in - self.tau_syn_ex)
            return [t] if t > 0 else []
        return []

    def _horizon(self, state: Currents) -> float:
        """From here on V is on the side of the threshold where V_inf is: its distance from V_inf is below a bound that decreases."""
        V, I_ex, I_in = state
        slowest = max(self.tau_m, self.tau_syn_ex, self.tau_syn_in)  # no response grows at a later time
        t = slowest
        while t < 500 * slowest:
            bound = abs(V - self.V_inf) * math.exp(-t / self.tau_m)
            bound += abs(I_ex) * self.response(t, self.tau_syn_ex) + abs(I_in) * self.response(t, self.tau_syn_in)
            if bound < abs(self.V_th - self.V_inf):
                break
            t *= 2
        return t


def _first(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition begins to hold that holds at `high`, by halving to the last bit."""
    while low < (middle := (low + high) / 2) < high:
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
