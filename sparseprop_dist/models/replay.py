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
from sparseprop_dist.jit import bits_float, float_bits, implements, inner, merged, njit, prefetch, protocol
from sparseprop_dist.models.adjoint import NEVER, after, begin, factor_of, fetch, pull, pull_row, rebase, settle

AFTER, GROWTH, BY_SHAPE = 0, 1, 2
"""Of a row that `flow` writes: V, its derivative by V before, those by the parameters that shape the flow."""
BY_V, BY_THRESHOLD = 0, 1
"""Of a row that `crossing` writes: the derivatives of the time by V, by the threshold; those by parameters follow, from BY_SHAPE on."""
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
    number: np.ndarray  # float64 (E, 3), see WEIGHT
    shape: np.ndarray  # float64 (E, H), the derivatives of V before it by the parameters that shape the flow
    cursor: np.ndarray  # int64 (S,), place of the next arrival of each spike of the log, -1: none yet
    span: np.ndarray  # int64 (2,), ticks, the segment
    filled: np.ndarray  # int64 (1,)


WEIGHT, WHEN, GAIN = 0, 1, 2
"""Columns of `Events.number`. As they are written down: weight and (bits of the) time. Gone over: weight, V before it (nan: not felt), the
derivative of that by V after the arrival before (1: it made the neuron fire). After the replay: the derivatives of the own spike by weight
and time."""


@by_address
class Own(NamedTuple):
    """The neurons of this rank and their own spikes, Q of them, H parameters that shape flows."""

    ptr: np.ndarray  # int64 (N + 1,)
    time: np.ndarray  # int64 (Q,)
    trigger: np.ndarray  # int32 (Q,)
    reset: np.ndarray  # float64 (N,), V_reset
    refractory: np.ndarray  # int64 (N,)
    node: np.ndarray  # int64 (N, 4), see POTENTIAL
    going: np.ndarray  # int64 (N,), the next own spike, going back
    gain: np.ndarray  # float64 (N,), its derivative by V
    place: np.ndarray  # int64 (N,), the earliest settled own spike
    before: np.ndarray  # float64 (Q,), V after the last arrival before the spike
    since: np.ndarray  # int64 (Q,), tick of that
    start: np.ndarray  # float64 (Q,), dt_q/dV at the start of the interval
    shift: np.ndarray  # float64 (Q,), dt_q/d(time of that start)
    by_threshold: np.ndarray  # float64 (Q,)
    shape: np.ndarray  # float64 (Q, H)
    dt: np.ndarray  # float64 (Q,), dL/dt_q
    out: np.ndarray  # float64 (2 + most H,), room for what `flow` and `crossing` say
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
        node = np.zeros((n, 4), np.int64)
        node[:, POTENTIAL], node[:, NEXT] = values["V_m"].astype(np.float64).view(np.int64), own_ptr[:-1]
        some = own_ptr[:-1] < own_ptr[1:]
        node[:, DUE] = NEVER
        node[some, DUE] = own_time[own_ptr[:-1][some]]
        of_neurons, of_spikes = (lambda: np.zeros(n)), (lambda: np.zeros(n_own))
        return Own(
            own_ptr, own_time, own_trigger, values["V_reset"], ticks(values["t_ref"]), node, np.zeros(n, np.int64), of_neurons(),
            own_ptr[1:].copy(), of_spikes(), np.zeros(n_own, np.int64), of_spikes(), of_spikes(), of_spikes(), np.zeros((n_own, n_shape)),
            of_spikes(), np.zeros(2 + MOST_SHAPE), of_neurons(), of_neurons(), of_neurons(), of_neurons(), np.zeros((n, n_shape)),
            np.zeros(1, np.int64),
        )  # fmt: skip


POTENTIAL, AT, DUE, NEXT = 0, 1, 2, 3
"""Columns of `Own.node`, 32 bytes that are one visit: (bits of) V after the last arrival or own spike, the tick of that, that of the next
own spike (or NEVER), and its place."""
MOST_SHAPE = 4


# --- the arrivals of a segment ---


@by_address
class Arriving(NamedTuple):
    """Writes down arrivals when they are pulled."""

    events: Events
    anchor: np.ndarray  # int64 (1,), of frames, which there are none of


@by_address
class Replayed(NamedTuple):
    """Adjoints of neurons whose arrivals were replayed."""

    events: Events
    own: Own
    anchor: np.ndarray  # int64 (1,), of frames, which there are none of


@implements(pull_row, Arriving)
@implements(pull_row, Replayed)
def _no_row(adjoint, first, words, begin, stop, time, weight, weights, each, s, alone, out):
    return False


@implements(factor_of, Arriving)
@implements(factor_of, Replayed)
def _no_factor(adjoint, i, time):
    return 0.0


@implements(fetch, Arriving)
@implements(fetch, Replayed)
def _nothing_to_fetch(adjoint, i):
    return


@implements(pull, Arriving)
def _write_down(arriving, i, time, weight, s, factor):
    events = arriving.events
    if events.span[FROM] <= time < events.span[TO]:
        e = events.filled[0]
        if events.cursor[s] < 0:
            events.cursor[s] = e
        events.neuron[e], events.link[e] = i, s
        events.number[e, WEIGHT], events.number[e, WHEN] = weight, bits_float(time)
        events.filled[0] = e + 1
    return 0.0, 0.0


@implements(settle, Arriving)
def _pass_by(arriving, i, s, cotangent):
    return


def in_order(events: Events) -> np.ndarray:
    """Return the places of arrivals by time, those at one time in the order of the log; empty if they are so already."""
    times = events.number[: events.filled[0], WHEN].view(np.int64)
    if (times[1:] >= times[:-1]).all():
        return np.empty(0, np.int64)
    return np.argsort(times, kind="stable")


# --- the replay ---


@merged
def _pass_spike(own, i):
    """Take neuron ``i`` over its next own spike."""
    node = own.node[i]
    q = node[NEXT]
    own.before[q], own.since[q] = bits_float(node[POTENTIAL]), node[AT]
    node[POTENTIAL], node[AT] = float_bits(own.reset[i]), own.time[q] + own.refractory[i]
    node[NEXT], node[DUE] = q + 1, own.time[q + 1] if q + 1 < own.ptr[i + 1] else NEVER


@inner
def _go_over(course, own, events, e, i, j):
    """Take neuron ``i`` (``j`` in its course) over an arrival."""
    node, number, out = own.node[i], events.number[e], own.out
    time, weight, s = float_bits(number[WHEN]), number[WEIGHT], np.int64(events.link[e])
    while node[DUE] <= time and after(own.time, own.trigger, node[NEXT], time, s):
        _pass_spike(own, i)
    q = node[NEXT]
    events.link[e] = q if q < own.ptr[i + 1] else -1
    number[WHEN], number[GAIN] = math.nan, 0.0
    if node[DUE] == time and own.trigger[q] == s:
        number[GAIN] = 1.0
        _pass_spike(own, i)
        return
    if time < node[AT]:
        return
    if time == node[AT] and q > own.ptr[i] and own.time[q - 1] == time and own.trigger[q - 1] == s:
        own.unclear[0] = i + 1  # was it the first or the second that took it over threshold?
    flow(course, j, bits_float(node[POTENTIAL]), (time - node[AT]) * TICK, out)
    if math.isinf(out[AFTER]):  # at the very time of a reset to -inf it is not felt
        return
    number[WHEN], number[GAIN] = out[AFTER], out[GROWTH]
    node[POTENTIAL], node[AT] = float_bits(out[AFTER] + weight), time
    for h in range(course.n_shape):
        events.shape[e, h] = out[BY_SHAPE + h]


@merged
def _close(course, own, i, j, g):
    """Go back over the start of the interval before own spike ``own.going[i]``, and into that before; return dt/dV at its end."""
    q, out = own.going[i], own.out
    if q < own.ptr[i + 1]:
        own.start[q] = g
        if math.isfinite(own.reset[i]):
            own.shift[q] = -g * speed(course, j, own.reset[i])
    q -= 1
    own.going[i] = q
    if own.trigger[q] >= 0:
        own.shift[q] = 0.0
        return 0.0
    crossing(course, j, own.before[q], (own.time[q] - own.since[q]) * TICK, out)
    own.by_threshold[q], own.shift[q] = out[BY_THRESHOLD], 1.0
    for h in range(course.n_shape):
        own.shape[q, h] = out[BY_SHAPE + h]
    return out[BY_V]


@inner
def _go_back(course, own, events, e, i, j):
    """Take neuron ``i`` back over an arrival."""
    q, number, g = np.int64(events.link[e]), events.number[e], own.gain[i]
    if q < 0:
        return
    while own.going[i] > q:
        g = _close(course, own, i, j, g)
    own.gain[i] = g
    V, weight = number[WHEN], number[WEIGHT]
    if math.isnan(V):
        number[WEIGHT], number[WHEN] = 0.0, number[GAIN]
        return
    slope = speed(course, j, V)
    number[WEIGHT], number[WHEN] = g, g * (slope - speed(course, j, V + weight))
    if math.isinf(own.reset[i]):
        own.shift[q] = -g * slope  # the time that the interval starts is felt at its first arrival
    for h in range(course.n_shape):
        own.shape[q, h] += g * events.shape[e, h]
    own.gain[i] = g * number[GAIN]


AHEAD = 12
"""Arrivals ahead whose neurons are fetched."""


@njit
def go_over(course, own, events, order, first, n):
    """Go over the arrivals in the segment at ``n`` neurons from ``first`` on; leave V before each, and the state at the end."""
    for k in range(events.filled[0]):
        e = np.int64(order[k]) if order.size else k
        if k + AHEAD < events.filled[0]:
            prefetch(own.node, np.int64(events.neuron[order[k + AHEAD] if order.size else k + AHEAD]) * 4)
        i = np.int64(events.neuron[e])
        if first <= i < first + n:
            _go_over(course, own, events, e, i, i - first)
    for j in range(n):
        while own.node[first + j, DUE] < events.span[TO]:
            _pass_spike(own, first + j)


@njit
def go_back(course, own, events, order, first, n, begun):
    """Go back over the arrivals that `go_over` left; leave the derivatives. ``begun``: int64 (N,), the next own spikes at the start."""
    for k in range(events.filled[0] - 1, -1, -1):
        e = np.int64(order[k]) if order.size else k
        i = np.int64(events.neuron[e])
        if first <= i < first + n:
            _go_back(course, own, events, e, i, i - first)
    for j in range(n):
        while own.going[first + j] > begun[first + j]:
            own.gain[first + j] = _close(course, own, first + j, j, own.gain[first + j])


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
    return dt * events.number[e, WEIGHT], dt * events.number[e, WHEN]


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


@implements(rebase, Arriving)
@implements(rebase, Replayed)
def _rebase(adjoint, anchor):
    adjoint.anchor[0] = anchor


def begun(own: Own) -> None:
    """Account for the start of the run, when its first segment is replayed."""
    some = np.flatnonzero(own.ptr[1:] > own.ptr[:-1])
    own.start[own.ptr[some]] = own.gain[some]
