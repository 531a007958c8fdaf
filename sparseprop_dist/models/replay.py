"""Derivatives of spike times by what reached a neuron, by going over its arrivals once more (``docs/design/gradients.md``).

Between two own spikes q - 1 and q of a neuron of one variable, V' = F(V), an arrival e takes V to V + w. With ``g = dt_q/dV`` after it,

    dt_q/dw = g,    dt_q/dt_e = g (F(V) - F(V + w)),    g before = g after,    g after the arrival before = D g,

D the derivative of the flow from there on; at the crossing ``g = -1/F``. These numbers of a neuron need those of no other. So they are
made for all arrivals of a stretch of time first, and the sweep only multiplies them with dL/dt_q.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import TICK, ticks
from sparseprop_dist.jit import bits_float, float_bits, implements, inner, merged, njit, protocol
from sparseprop_dist.models.adjoint import after, begin, factor_of, pull, pull_row, rebase, settle

AFTER, GROWTH, BY_SHAPE = 0, 1, 2
"""Of a row that `flow` writes: V, its derivative by V before, those by the parameters that shape the flow."""
BY_V, BY_THRESHOLD = 0, 1
"""Of a row that `crossing` writes: the derivatives of the time by V, by the threshold; those by parameters follow, from BY_SHAPE on."""
WEIGHT, FLOW = 0, 1
"""Of a row of the trace: the weight of an arrival, and from where on `flow` has written."""
FROM, TO = 0, 1


@protocol
def flow(course, j, V, dt, out):
    """Write where the flow takes neuron ``j`` from V in ``dt`` ms, and its derivatives."""
    raise NotImplementedError


@protocol
def crossing(course, j, V, dt, out):
    """Write the derivatives of the time of a crossing of threshold, ``dt`` ms after V."""
    raise NotImplementedError


@protocol
def speed(course, j, V):
    """Return F(V), per ms."""
    raise NotImplementedError


@by_address
class Events(NamedTuple):
    """The arrivals at the neurons of this rank in a segment of time, at most E of them, in the order of the log."""

    neuron: np.ndarray  # int32 (E,)
    link: np.ndarray  # int32 (E,), place of its source in the log; after the replay the own spike that it bears on, or -1
    number: np.ndarray  # float64 (E, 2), weight and (bits of the) time; after the replay the derivatives of that spike by both
    order: np.ndarray  # int32 (E,), places by neuron, then time
    ptr: np.ndarray  # int64 (N + 1,), where the arrivals of each neuron start in `order`
    cursor: np.ndarray  # int64 (S,), place of the next arrival of each spike of the log, -1: none yet
    span: np.ndarray  # int64 (2,), ticks, the segment
    filled: np.ndarray  # int64 (1,)


@by_address
class Own(NamedTuple):
    """The neurons of this rank and their own spikes, Q of them, H parameters that shape flows."""

    ptr: np.ndarray  # int64 (N + 1,)
    time: np.ndarray  # int64 (Q,)
    trigger: np.ndarray  # int32 (Q,)
    reset: np.ndarray  # float64 (N,), V_reset
    refractory: np.ndarray  # int64 (N,)
    V: np.ndarray  # float64 (N,), after the last arrival, or own spike, before the segment
    at: np.ndarray  # int64 (N,), tick of that
    coming: np.ndarray  # int64 (N,), the next own spike then
    gain: np.ndarray  # float64 (N,), dt_q/dV there
    place: np.ndarray  # int64 (N,), the earliest settled own spike
    before: np.ndarray  # float64 (Q,), V after the last arrival before the spike
    since: np.ndarray  # int64 (Q,), tick of that
    start: np.ndarray  # float64 (Q,), dt_q/dV at the start of the interval
    shift: np.ndarray  # float64 (Q,), dt_q/d(time of that start)
    by_threshold: np.ndarray  # float64 (Q,)
    shape: np.ndarray  # float64 (Q, H)
    dt: np.ndarray  # float64 (Q,), dL/dt_q
    of_V_th: np.ndarray  # float64 (N,), gradients
    of_V_reset: np.ndarray  # float64 (N,)
    of_V_m: np.ndarray  # float64 (N,)
    of_t_ref: np.ndarray  # float64 (N,)
    of_shape: np.ndarray  # float64 (N, H)
    unclear: np.ndarray  # int64 (1,), 1 + a neuron whose gradient is not clear, else 0

    @staticmethod
    def make(values: Mapping[str, Any], own_ptr: Any, own_time: Any, own_trigger: Any, n_shape: int) -> "Own":
        """Return neurons at time 0, before the first arrival; ``values``: their ``V_reset``, ``V_m`` and ``t_ref``."""
        n, n_own = len(values["V_m"]), len(own_time)
        of_neurons, of_spikes = (lambda: np.zeros(n)), (lambda: np.zeros(n_own))
        return Own(
            own_ptr, own_time, own_trigger, values["V_reset"], ticks(values["t_ref"]), values["V_m"].copy(), np.zeros(n, np.int64),
            own_ptr[:-1].copy(), of_neurons(), own_ptr[1:].copy(), of_spikes(), np.zeros(n_own, np.int64), of_spikes(), of_spikes(),
            of_spikes(), np.zeros((n_own, n_shape)), of_spikes(), of_neurons(), of_neurons(),
            of_neurons(), of_neurons(), np.zeros((n, n_shape)), np.zeros(1, np.int64),
        )  # fmt: skip


# --- the arrivals of a segment ---


@by_address
class Arriving(NamedTuple):
    """Writes down arrivals when they are pulled."""

    events: Events


@by_address
class Replayed(NamedTuple):
    """Adjoints of neurons whose arrivals were replayed."""

    events: Events
    own: Own
    anchor: np.ndarray  # int64 (1,), of frames, which there are none of


@implements(pull_row, Arriving)
@implements(pull_row, Replayed)
def _no_row(adjoint, first, words, begin, stop, time, weight, s, alone, out):
    return False


@implements(factor_of, Arriving)
@implements(factor_of, Replayed)
def _no_factor(adjoint, i, time):
    return 0.0


@implements(pull, Arriving)
def _write_down(arriving, i, time, weight, s, factor):
    events = arriving.events
    if events.span[FROM] <= time < events.span[TO]:
        e = events.filled[0]
        if events.cursor[s] < 0:
            events.cursor[s] = e
        events.neuron[e], events.link[e] = i, s
        events.number[e, 0], events.number[e, 1] = weight, bits_float(time)
        events.filled[0] = e + 1
    return 0.0, 0.0


@njit
def in_order(events):
    """Order the arrivals of each neuron by time; those at one time are in the order of the log. By insertion: they nearly are in order."""
    n, ptr, order, number = events.ptr.size - 1, events.ptr, events.order, events.number
    ptr[:] = 0
    for e in range(events.filled[0]):
        ptr[events.neuron[e]] += 1
    for i in range(n):
        ptr[i + 1] += ptr[i]
    for e in range(events.filled[0] - 1, -1, -1):
        i = events.neuron[e]
        ptr[i] -= 1
        order[ptr[i]] = e
    for i in range(n):
        for k in range(ptr[i] + 1, ptr[i + 1]):
            e = order[k]
            time = float_bits(number[e, 1])
            while k > ptr[i] and float_bits(number[order[k - 1], 1]) > time:
                order[k] = order[k - 1]
                k -= 1
            order[k] = e


# --- the replay of a neuron ---


@merged
def _pass_spike(own, i, q, V, at):
    """Take neuron ``i`` over its own spike ``q``."""
    own.before[q], own.since[q] = V, at
    return q + 1, own.reset[i], own.time[q] + own.refractory[i]


@inner
def _forward(course, own, events, trace, i, j):
    """Go over the arrivals at neuron ``i`` (``j`` in its course) in the segment; leave its trace, and the own spike that each bears on."""
    V, at, q, stop = own.V[i], own.at[i], own.coming[i], own.ptr[i + 1]
    done = q - 1  # the own spike whose trigger is found
    for k in range(events.ptr[i], events.ptr[i + 1]):
        e, row = events.order[k], trace[k - events.ptr[i]]
        time, weight, s = float_bits(events.number[e, 1]), events.number[e, 0], events.link[e]
        while q < stop and (after(own.time, own.trigger, q, time, s) or (done == q and own.time[q] <= time)):
            q, V, at = _pass_spike(own, i, q, V, at)
        events.link[e] = q if q < stop else -1
        row[WEIGHT], row[FLOW + AFTER] = weight, math.nan
        if q < stop and own.time[q] == time and own.trigger[q] == s:
            events.number[e, 0], events.number[e, 1], done = 0.0, 1.0, q
        else:
            events.number[e, 0], events.number[e, 1] = 0.0, 0.0
            if q > own.ptr[i] and own.trigger[q - 1] == s and own.time[q - 1] == time and own.refractory[i] == 0:
                own.unclear[0] = i + 1  # was it the first or the second that took it over threshold?
            elif time >= at:
                flow(course, j, V, (time - at) * TICK, row[FLOW:])
                if math.isinf(row[FLOW + AFTER]):  # at the very time of a reset to -inf it is not felt
                    row[FLOW + AFTER] = math.nan
                else:
                    V, at = row[FLOW + AFTER] + weight, time
    while q < stop and own.time[q] < events.span[TO]:
        q, V, at = _pass_spike(own, i, q, V, at)
    return V, at, q


@merged
def _arrival(course, own, events, trace, i, j, k, q, g):
    """Go back over an arrival that bears on own spike ``q``, with ``g = dt_q/dV`` after it; return that of the arrival before."""
    e, row = events.order[k], trace[k - events.ptr[i]]
    V = row[FLOW + AFTER]
    if math.isnan(V):
        return g
    slope = speed(course, j, V)
    events.number[e, 0], events.number[e, 1] = g, g * (slope - speed(course, j, V + row[WEIGHT]))
    if math.isinf(own.reset[i]):
        own.shift[q] = -g * slope  # the time that the interval starts is felt at its first arrival
    for h in range(course.n_shape):
        own.shape[q, h] += g * row[FLOW + BY_SHAPE + h]
    return g * row[FLOW + GROWTH]


@merged
def _end(course, own, trace, j, q):
    """Return dt_q/dV after the last arrival before own spike ``q``."""
    if own.trigger[q] >= 0:
        own.shift[q] = 0.0
        return 0.0
    out = trace[trace.shape[0] - 1, FLOW:]
    crossing(course, j, own.before[q], (own.time[q] - own.since[q]) * TICK, out)
    own.by_threshold[q], own.shift[q] = out[BY_THRESHOLD], 1.0
    for h in range(course.n_shape):
        own.shape[q, h] = out[BY_SHAPE + h]
    return out[BY_V]


@inner
def _back(course, own, events, trace, i, j, q):
    """Go back over the segment, at whose end own spike ``q`` is the next; return dt/dV of the own spike that is the next at its start."""
    first, k = events.ptr[i], events.ptr[i + 1] - 1
    g = own.gain[i]
    while True:
        while k >= first and events.link[events.order[k]] == (q if q < own.ptr[i + 1] else -1):
            g = _arrival(course, own, events, trace, i, j, k, q, g) if q < own.ptr[i + 1] else 0.0
            k -= 1
        if q == own.coming[i]:
            return g
        if q < own.ptr[i + 1]:
            own.start[q] = g
            if math.isfinite(own.reset[i]):
                own.shift[q] = -g * speed(course, j, own.reset[i])
        q -= 1
        g = _end(course, own, trace, j, q)


@njit
def replay(course, own, events, trace, first, n, backward):
    """Replay the arrivals in the segment at ``n`` neurons from ``first`` on; ``backward``: and leave the derivatives, else the state.

    ``trace``: float64 (most arrivals of one neuron + 1, 3 + H), room for the weight of each and what `flow` says of it.
    """
    for j in range(n):
        i = first + j
        V, at, q = _forward(course, own, events, trace, i, j)
        if backward:
            own.gain[i] = _back(course, own, events, trace, i, j, q)
        else:
            own.V[i], own.at[i], own.coming[i] = V, at, q


# --- the sweep ---


@implements(pull, Replayed)
def _pull(adjoint, i, time, weight, s, factor):
    events = adjoint.events
    if not events.span[FROM] <= time < events.span[TO]:
        return 0.0, 0.0
    e = events.cursor[s]
    events.cursor[s] = e + 1
    q = events.link[e]
    if q < 0:
        return 0.0, 0.0
    dt = adjoint.own.dt[q]
    return dt * events.number[e, 0], dt * events.number[e, 1]


@implements(settle, Replayed)
def _settle(adjoint, i, s, cotangent):
    own = adjoint.own
    q = own.place[i] - 1
    own.dt[q] = cotangent + (own.dt[q + 1] * own.shift[q + 1] if q + 1 < own.ptr[i + 1] else 0.0)
    own.place[i] = q


@implements(begin, Replayed)
def _begin(adjoint, i):
    own = adjoint.own
    for q in range(own.ptr[i], own.ptr[i + 1]):
        dt = own.dt[q]
        own.of_V_th[i] += dt * own.by_threshold[q]
        for h in range(own.shape.shape[1]):
            own.of_shape[i, h] += dt * own.shape[q, h]
        if q > own.ptr[i]:
            own.of_V_reset[i] += dt * own.start[q]
            own.of_t_ref[i] += dt * own.shift[q]
        else:
            own.of_V_m[i] += dt * own.start[q]


@implements(rebase, Replayed)
def _rebase(adjoint, anchor):
    adjoint.anchor[0] = anchor


def begun(own: Own) -> None:
    """Account for the start of the run, when its first segment is replayed."""
    some = np.flatnonzero(own.ptr[1:] > own.ptr[:-1])
    own.start[own.ptr[some]] = own.gain[some]
