"""The forward derivative of spike times, by hand: what the backward sweep is compared with. Too simple to be wrong, and O(S^2).

For LIF neurons with delta synapses or exponential currents: V of a neuron is the sum of its start and of what each arrival adds, so the
derivative of a crossing is minus that of V over V'. Knows nothing of frames, adjoints, rows or the order of a sweep.
"""

import cmath
import math
from dataclasses import dataclass, field

import numpy as np

MS = 2.0**-40


@dataclass
class Neuron:
    """Parameters and their tangents, by name."""

    p: dict[str, float]
    d: dict[str, float]
    arrivals: list[tuple[float, float, float, float, int]] = field(default_factory=list)
    """time, its tangent, weight, its tangent, place of the source in the log"""
    start: float = 0.0
    d_start: float = 0.0
    V0: float = 0.0
    d_V0: float = 0.0


def kernel(n: Neuron, w: float, s: float) -> tuple[float, float]:
    """What an arrival of weight 1 adds to V after s ms, and its derivative by s."""
    m = 1.0 / n.p["tau_m"]
    if "tau_syn_ex" not in n.p:
        return math.exp(-m * s), -m * math.exp(-m * s)
    r = 1.0 / n.p["tau_syn_ex" if w > 0.0 else "tau_syn_in"]
    a, b, k = math.exp(-m * s), math.exp(-r * s), n.p["C_m"] * (r - m)
    return (a - b) / k, (-m * a + r * b) / k


def by_parameters(n: Neuron, w: float, held: float, s: float) -> float:
    """The tangent, by tau_m, tau_syn and C_m, of what a current of 1 that began ``held`` ms before V is released adds to it s ms after
    that: by a complex step (the imaginary part, to all digits)."""
    step = 1e-30
    name = "tau_syn_ex" if w > 0.0 else "tau_syn_in"
    tau_m, tau, C = (n.p[key] + 1j * step * n.d[key] for key in ("tau_m", name, "C_m"))
    a, b = cmath.exp(-s / tau_m), cmath.exp(-s / tau)
    value = cmath.exp(-held / tau) * (a - b) / (C * (1.0 / tau - 1.0 / tau_m))
    return value.imag / step


def spike(n: Neuron, t: float) -> float:
    """The tangent of a crossing at t."""
    p, d, m = n.p, n.d, 1.0 / n.p["tau_m"]
    rest = p["E_L"] + p["I_e"] * p["tau_m"] / p["C_m"]
    d_rest = d["E_L"] + d["I_e"] * p["tau_m"] / p["C_m"] + p["I_e"] * d.get("tau_m", 0.0) / p["C_m"] - rest_by_C(p) * d["C_m"]
    s, decay = t - n.start, math.exp(-m * (t - n.start))
    V = rest + (n.V0 - rest) * decay
    dV = d_rest + (n.d_V0 - d_rest) * decay + (n.V0 - rest) * decay * (m * n.d_start + s * m * m * d.get("tau_m", 0.0))
    speed = -m * (n.V0 - rest) * decay
    currents = "tau_syn_ex" in p
    for time, d_time, w, d_w, _ in n.arrivals:
        if time > t or (time == t and not currents):
            continue
        if time >= n.start:
            k, dk = kernel(n, w, t - time)
            V, dV, speed = V + w * k, dV + d_w * k - w * dk * d_time, speed + w * dk
            dV += w * (by_parameters(n, w, 0.0, t - time) if currents else k * (t - time) * m * m * d.get("tau_m", 0.0))
        elif currents:  # the current alone passes on: as if what is left of it had come at the start
            r = 1.0 / p["tau_syn_ex" if w > 0.0 else "tau_syn_in"]
            left = math.exp(-r * (n.start - time))
            k, dk = kernel(n, w, s)
            V, speed = V + w * left * k, speed + w * left * dk
            dV += (d_w - w * r * (n.d_start - d_time)) * left * k - w * left * dk * n.d_start
            dV += w * by_parameters(n, w, n.start - time, s)
    assert abs(V - p["V_th"]) < 1e-8, (V, p["V_th"])
    return (d["V_th"] - dV) / speed


def rest_by_C(p: dict[str, float]) -> float:
    return p["I_e"] * p["tau_m"] / p["C_m"] ** 2


def tangents(
    log: tuple[np.ndarray, np.ndarray, np.ndarray],
    neurons: list[Neuron],
    synapses: list[tuple[int, int, float, float, float, float]],
    source_tangents: dict[int, float],
) -> np.ndarray:
    """The tangents of all spike times of a log (ticks, gids, places of triggers).

    ``synapses``: source gid, target gid, weight, delay, and the tangents of both; ``source_tangents``: of spike sources,
    by place.
    """
    time, gid, trigger = log
    out = np.zeros(len(time))
    by_source: dict[int, list[tuple[int, float, float, float, float]]] = {}
    for source, *rest in synapses:
        by_source.setdefault(source, []).append(tuple(rest))  # type: ignore[arg-type]
    for n in neurons:
        n.V0, n.d_V0 = n.p["V_m"], n.d["V_m"]
    for s in range(len(time)):
        i, t = int(gid[s]), float(time[s]) * MS
        if i >= len(neurons):
            out[s] = source_tangents.get(s, 0.0)
        else:
            n = neurons[i]
            if trigger[s] >= 0:
                at = [a for a in n.arrivals if a[4] == trigger[s] and abs(a[0] - t) < 1e-9]
                out[s] = at[0][1]
            else:
                out[s] = spike(n, t)
            n.start, n.d_start = t + round(n.p["t_ref"] / MS) * MS, out[s] + n.d["t_ref"]
            n.V0, n.d_V0 = n.p["V_reset"], n.d["V_reset"]
            if "tau_syn_ex" not in n.p:
                n.arrivals = [a for a in n.arrivals if a[0] > t or (a[0] == t and (trigger[s] < 0 or a[4] > trigger[s]))]
        for target, w, delay, d_w, d_delay in by_source.get(i, []):
            n = neurons[target]
            arrival = t + round(delay / MS) * MS
            if "tau_syn_ex" in n.p or arrival >= n.start or arrival > t:
                n.arrivals.append((arrival, out[s] + d_delay, w, d_w, s))
    return out
