"""Losses: functions of the times and ids of all spikes, that return their value and its derivative by each time.

Each function here returns such a loss. A user's own is any function ``loss(times, ids) -> (value, cotangents)``; losses are added by
`total`. Neurons are gids. Exact gradients do not see spikes that appear or vanish: see `train.Rates` for what wakes silent neurons.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .errors import InputError

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def total(*losses: Loss) -> Loss:
    """Return the sum of losses."""

    def loss(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
        parts = [each(times, ids) for each in losses]
        return sum(value for value, _ in parts), np.sum([cotangents for _, cotangents in parts], axis=0)

    return loss


def first_spikes(times: np.ndarray, ids: np.ndarray, neurons: np.ndarray, silent: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the time of the first spike of each neuron (ms, shaped like ``neurons``), and its place among the spikes (-1: none).

    Neurons that never fire are given the time ``silent``; without it they are refused.
    """
    flat = np.asarray(neurons, np.int64).ravel()
    order = np.argsort(ids, kind="stable")  # times ascend, so the first of each id is its first spike
    place = np.searchsorted(ids[order], flat)
    there = (place < len(ids)) & (ids[order[np.minimum(place, len(ids) - 1)]] == flat) if len(ids) else np.zeros(len(flat), bool)
    if silent is None and not there.all():
        quiet = flat[~there]
        raise InputError(
            f"the loss asks for the first spike of neuron {quiet[0]}, which never fires, nor do {len(quiet) - 1} others; give silent = a "
            "time in ms to count for them, and wake them by regularisation (rates = Rates(...) of train), or raise their weights or I_e"
        )
    which = np.where(there, order[np.minimum(place, max(len(ids) - 1, 0))] if len(ids) else -1, -1)
    found = np.where(there, times[which] if len(ids) else 0.0, 0.0 if silent is None else silent)
    shape = np.shape(neurons)
    return found.reshape(shape), which.reshape(shape)


def _spread(n: int, which: np.ndarray, derivatives: np.ndarray) -> np.ndarray:
    out = np.zeros(n)
    np.add.at(out, which[which >= 0], derivatives[which >= 0])
    return out


def first_spike_cross_entropy(
    neurons: Any, labels: Any, *, scale: float, silent: float | None = None, early: float = 0.0, early_scale: float = 10.0
) -> Loss:
    """Cross entropy of softmax(-t/scale) of first spikes: the neuron of the right class should be the first.

    Parameters
    ----------
    neurons : int (samples, classes), gids of the output neurons of each sample
    labels : int (samples,)
    scale : ms
    silent : ms, the time that counts for a neuron without spike
    early : weight of ``exp(t/early_scale) - 1`` of the right neuron, that draws it to early times (Goeltz et al. 2021, eq. 5)
    early_scale : ms
    """
    neurons, labels = np.atleast_2d(np.asarray(neurons, np.int64)), np.atleast_1d(np.asarray(labels, np.int64))
    n = len(labels)
    if neurons.shape[0] != n or (n and (labels.min() < 0 or labels.max() >= neurons.shape[1])):
        raise InputError(
            f"labels are {n} for output neurons of shape {neurons.shape}; give (samples, classes) neurons and a class a sample"
        )

    def loss(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
        t, which = first_spikes(times, ids, neurons, silent)
        z = -t / scale
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        rows = np.arange(n)
        right, own = p[rows, labels], t[rows, labels]
        by_t = p.copy()
        by_t[rows, labels] -= 1.0
        by_t /= -scale
        pull = np.exp(own / early_scale)
        by_t[rows, labels] += early * pull / early_scale
        value = float(np.mean(-np.log(np.maximum(right, 1e-300)) + early * (pull - 1.0)))
        return value, _spread(len(times), which, by_t / n)

    return loss


def first_spike_squared_error(neurons: Any, targets: Any, *, silent: float | None = None) -> Loss:
    """Mean of ``(t - target)**2`` (ms^2) over first spikes; ``neurons`` and ``targets`` (ms) have one shape, NaN: no target."""
    neurons, targets = np.asarray(neurons, np.int64), np.asarray(targets, np.float64)
    if neurons.shape != targets.shape:
        raise InputError(f"targets have shape {targets.shape} for neurons of shape {neurons.shape}; give one time for each")
    wanted = np.isfinite(targets)

    def loss(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
        t, which = first_spikes(times, ids, neurons[wanted], silent)
        error = t - targets[wanted]
        return float(np.mean(error**2)), _spread(len(times), which, 2.0 * error / max(error.size, 1))

    return loss


def _spikes_of(ids: np.ndarray, neurons: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each neuron with the places of its spikes, by time."""
    order = np.argsort(ids, kind="stable")  # times ascend
    ends = ids[order]
    for gid, first, stop in zip(neurons, np.searchsorted(ends, neurons), np.searchsorted(ends, neurons, side="right"), strict=True):
        yield int(gid), order[first:stop]


def _trains(times: Any, ids: Any, until: float | None) -> dict[int, np.ndarray]:
    times, ids = np.asarray(times, np.float64), np.asarray(ids, np.int64)
    if times.shape != ids.shape:
        raise InputError(f"target trains have {times.size} times and {ids.size} ids; give one id for each time")
    outside = (times < 0.0) | ~np.isfinite(times) | (times >= (np.inf if until is None else until))
    if outside.any():
        k = int(np.argmax(outside))
        raise InputError(f"the target spike of neuron {ids[k]} at {times[k]:g} ms is outside the run, 0 to {until:g} ms; leave it out")
    order = np.lexsort((times, ids))
    gids, first = np.unique(ids[order], return_index=True)
    return dict(zip(gids.tolist(), np.split(times[order], first[1:]), strict=True)) if len(gids) else {}


def spike_time_distance(target_times: Any, target_ids: Any, *, neurons: Sequence[int] | None = None, until: float | None = None) -> Loss:
    """Mean squared distance (ms^2) of the k-th spike of each neuron from the k-th of its target train.

    Spikes without partner have no derivative; each counts as the square of what is left of the run (``until``), if that is given.
    """
    trains = _trains(target_times, target_ids, until)
    which_neurons = np.asarray(sorted(trains) if neurons is None else neurons, np.int64)
    n = max(sum(len(trains.get(int(gid), ())) for gid in which_neurons), 1)

    def loss(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
        value, out = 0.0, np.zeros(len(times))
        for gid, own in _spikes_of(ids, which_neurons):
            train = trains.get(gid, np.empty(0))
            k = min(len(own), len(train))
            error = times[own[:k]] - train[:k]
            value += float(error @ error)
            out[own[:k]] = 2.0 * error / n
            if until is not None:
                left = np.concatenate([times[own[k:]], train[k:]])
                value += float(((until - left) ** 2).sum())
        return value / n, out

    return loss


def van_rossum(target_times: Any, target_ids: Any, *, tau: float, neurons: Sequence[int] | None = None, until: float | None = None) -> Loss:
    """Mean van Rossum distance squared of each neuron's train from its target train (van Rossum 2001, eq. 2), exponential kernel of ``tau``
    ms: ``1/2 sum_ab s_a s_b exp(-abs(t_a - t_b)/tau)``, s = 1 for spikes, -1 for targets."""
    trains = _trains(target_times, target_ids, until)
    which_neurons = np.asarray(sorted(trains) if neurons is None else neurons, np.int64)

    def loss(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
        value, out = 0.0, np.zeros(len(times))
        n = max(len(which_neurons), 1)
        for gid, own in _spikes_of(ids, which_neurons):
            train = trains.get(gid, np.empty(0))
            t, sign = np.concatenate([times[own], train]), np.repeat([1.0, -1.0], [len(own), len(train)])
            away = t[:, None] - t[None, :]
            kernel = np.exp(-np.abs(away) / tau)
            value += 0.5 * float(sign @ kernel @ sign)
            out[own] = ((-np.sign(away) * kernel) @ sign)[: len(own)] / tau / n
        return value / n, out

    return loss


def interval_targets(neurons: Any, *, rate: float | None = None, cv: float | None = None) -> Loss:
    """Squared relative error of the rate (Hz, 1000 over the mean interval) and squared error of the CV of the intervals, each a mean over
    the neurons that have two (three) spikes: what of rates spike times can change."""
    neurons = np.asarray(neurons, np.int64).ravel()

    def loss(times: np.ndarray, ids: np.ndarray) -> tuple[float, np.ndarray]:
        value, out = 0.0, np.zeros(len(times))
        for _, own in _spikes_of(ids, neurons):
            intervals = np.diff(times[own])
            if len(intervals) < 1:
                continue
            mean, by = intervals.mean(), np.zeros(len(intervals))
            if rate is not None:
                error = 1e3 / mean / rate - 1.0
                value += error**2
                by += 2.0 * error * (-1e3 / mean**2 / rate) / len(intervals)
            if cv is not None and len(intervals) > 1 and (spread := intervals.std()) > 0.0:
                error = spread / mean - cv
                value += error**2
                by += 2.0 * error * ((intervals - mean) / (len(intervals) * spread * mean) - spread / mean**2 / len(intervals))
            out[own[1:]] += by
            out[own[:-1]] -= by
        n = max(len(neurons), 1)
        return value / n, out / n

    return loss
