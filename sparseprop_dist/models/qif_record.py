"""The kernel record of QIF neurons, and its bodies of the protocol.

Between inputs V moves by ``V(x) = (r c + I S)/(c - r S)``, x the time in tau_m from an anchor, r = V at the anchor, and ``c, S = cos sx,
sin(sx)/s`` with s = sqrt(I) for I > 0, ``cosh kx, sinh(kx)/k`` with k = sqrt(-I) for I < 0, ``1, x`` for I = 0 (c^2 + I S^2 = 1). So r is
constant between inputs, and an input w is a Moebius map of it:

    r <- ((1 - w c S) r + w c^2) / (-w S^2 r + 1 + w c S)

with coefficients that all targets share. V = inf and V = -inf are one projective point, r = c/S: a spike leaves r as it is. Inputs do not
commute, so r is float64 and the order of events is that of the contract.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
from sparseprop_dist.clock import FRAMES, TICK, ticks
from sparseprop_dist.elementary import PI, atan, atanh, cos_and_sinc, sin_cos, sinh_cosh
from sparseprop_dist.errors import InputError
from sparseprop_dist.jit import bits_float, float_bits, implements, inline, merged, njit, prefetch
from sparseprop_dist.models.parameters import differ
from sparseprop_dist.models.protocol import (
    FIRED,
    NEVER,
    NOTHING,
    act,
    fetch,
    is_resting,
    mark,
    nothing_but_potential,
    own_event,
    potential,
    receive,
    restore,
    save,
)

FREE, LONG_AGO = -1, -(1 << 61)
"""Release tick of a neuron that is not refractory; tick of the last spike of one that has not fired."""
NEAR = 64.0
"""Ticks (6e-11 ms): a crossing this close to the last spike is that spike. V leaves -inf in no time, but cannot come to threshold again."""
SHORT = 1 / 4
"""Reach of `cos_and_sinc`."""
HEAVIEST = 1e4
"""Largest weight: the determinant of the map of an input, 1, is a difference of squares of w c S, and one at the tick of a spike, which
leaves r as it is but for rounding, must not move that spike by NEAR."""
MOST = 1e150
"""Stands for infinite r: the projective point at V(anchor) = inf."""


class Span(NamedTuple):
    """What QIF neurons of a network lie in, all of them, as it is described: the frames of a rank must not depend on which it owns."""

    low: float  # I
    high: float
    slow: float  # rate, per tick
    fast: float


@by_address
class QIFRecord(NamedTuple):
    """QIF neurons of one rank. All arrays have one entry a neuron."""

    r: np.ndarray  # float64, V at the anchor
    release: np.ndarray  # int64, tick at which the neuron leaves refractoriness, or FREE
    last: np.ndarray  # int64, tick of the last spike
    rate: np.ndarray  # float64, 1/tau_m, per tick
    drive: np.ndarray  # float64, I
    root: np.ndarray  # float64, sqrt(abs(I))
    threshold: np.ndarray  # float64, V_th
    reset: np.ndarray  # float64, V_reset
    refractory: np.ndarray  # int64, t_ref, ticks
    turn_c: np.ndarray  # float64, c at the next anchor
    turn_s: np.ndarray  # float64, S at the next anchor
    slab_bits: int
    group: int  # slabs from one anchor to the next, less 1
    rests: int  # 1: some neuron has t_ref above 0
    endless: int  # 1: no neuron has a finite threshold
    short: int  # 1: frames are short, abs(I) x^2 is at most SHORT in them
    low: float  # the smallest I
    high: float  # the largest I
    slow: float  # the smallest rate
    fast: float  # the largest rate
    various: int  # 0: all neurons have the parameters of the first; then only those are read, which spares a cache miss for each

    @staticmethod
    def make(values: Mapping[str, Any], slab_bits: int, span: Span) -> "QIFRecord":
        """Return neurons at time 0, from their parameters (arrays by name).

        The anchor is in the middle of 2^FRAMES slabs where all I > 0, since a carry costs; else of each slab, or r would lose digits with
        e^(2kx). Where neurons differ, of as many slabs as c and S are short series in.
        """
        n = len(values["I"])
        rate, drive = TICK / values["tau_m"], values["I"].astype(np.float64)
        reach = max(abs(span.low), abs(span.high)) * (span.fast * 2.0 ** (slab_bits - 1)) ** 2
        fitting = [bits for bits in range(FRAMES + 1) if reach * 4**bits <= SHORT]
        oscillates = span.low > 0.0
        short = bool(fitting) and (not oscillates or span.low < span.high or span.slow < span.fast)
        group = (1 << (fitting[-1] if short and oscillates else FRAMES if oscillates else 0)) - 1
        record = QIFRecord(
            r=np.clip(np.minimum(values["V_m"], values["V_th"]), -MOST, MOST),
            release=np.full(n, FREE, np.int64),
            last=np.full(n, LONG_AGO, np.int64),
            rate=rate,
            drive=drive,
            root=np.sqrt(np.abs(drive)),
            threshold=values["V_th"].astype(np.float64),
            reset=values["V_reset"].astype(np.float64),
            refractory=ticks(values["t_ref"]),
            turn_c=np.empty(n),
            turn_s=np.empty(n),
            slab_bits=slab_bits,
            group=group,
            rests=int((values["t_ref"] > 0.0).any()),
            endless=int(np.isinf(values["V_th"]).all()),
            short=int(short),
            low=float(drive.min(initial=np.inf)),
            high=float(drive.max(initial=-np.inf)),
            slow=float(rate.min(initial=np.inf)),
            fast=float(rate.max(initial=0.0)),
            various=int(differ(values)),
        )
        _stand(record, float((group + 1) << slab_bits))
        return record

    def alike(self, start: int, stop: int) -> int:
        """Return 2 if the neurons from ``start`` to ``stop - 1`` have the same parameters, 1 if they have the same frame, else 0."""

        def same(*arrays: np.ndarray) -> bool:
            return all((array[start:stop] == array[start]).all() for array in arrays)

        return 1 + same(self.threshold, self.reset, self.refractory) if same(self.rate, self.drive) else 0

    def largest_increment(self, start: int, stop: int, weight: float) -> float:
        """Return 0, since inputs are not added, and refuse a weight that would take the digits of V."""
        if abs(weight) > HEAVIEST:
            raise InputError(f"weight {weight:g} is too large; at most {HEAVIEST:g} keeps the digits of V")
        return 0.0

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        self.release[self.release != FREE] -= shift
        self.last[self.last != LONG_AGO] -= shift


@inline
def _rests(model, i):
    return model.rests != 0 and model.release[i] != FREE


@merged
def turn(model, i, x):
    """Return c and S after x."""
    j = i * model.various
    if model.drive[j] > 0.0:
        sine, cosine = sin_cos(model.root[j] * x)
        return cosine, sine / model.root[j]
    if model.drive[j] < 0.0:
        sine, cosine = sinh_cosh(model.root[j] * x)
        return cosine, sine / model.root[j]
    return 1.0, x


@inline
def elapsed_at(model, start, offset):
    """Return the ticks from the anchor to an offset."""
    slabs = (start >> model.slab_bits) & model.group
    return np.float64((slabs << model.slab_bits) + offset) - 0.5 * np.float64((model.group + 1) << model.slab_bits)


@merged
def frame(model, i, start, offset):
    """Return c and S at an offset."""
    # one cache miss less a target where only I differs
    rate = model.slow if model.slow == model.fast else model.rate[i * model.various]
    x = elapsed_at(model, start, offset) * rate
    if model.short:
        c, ratio = cos_and_sinc(model.drive[i * model.various] * x * x)
        return c, ratio * x
    return turn(model, i, x)


@merged
def _back(model, i, v, start, offset):
    """Return the r of a neuron that stands at ``v`` (which may be infinite)."""
    c, s = frame(model, i, start, offset)
    j = i * model.various
    r = c / s if np.isinf(v) else (v * c - model.drive[j] * s) / (c + v * s)
    return min(max(r, -MOST), MOST)


@inline
def moved(r, one, two, three, four):
    """Return r after an input whose Moebius map has these coefficients."""
    return min(max((one * r + two) / (three * r + four), -MOST), MOST)


@inline
def struck(r, c, s, weight):
    """Return r after an input."""
    return moved(r, 1.0 - weight * c * s, weight * c * c, -weight * s * s, 1.0 + weight * c * s)


@merged
def _fire(model, i, start, offset):
    model.last[i] = start + offset
    j = i * model.various
    if model.refractory[j] > 0:
        model.release[i] = start + offset + model.refractory[j]
    else:
        model.r[i] = _back(model, i, model.reset[j], start, offset)
    return FIRED


@merged
def _reaches(model, i, c, s):
    """Is V at or above threshold?"""
    r, j = model.r[i], i * model.various
    return model.threshold[j] < np.inf and (r * c + model.drive[j] * s) / (c - r * s) >= model.threshold[j]


@njit
def _stand(model, span):
    """Take the neurons, whose r holds V, to their frame at time 0, and keep the turn of a frame of ``span`` ticks."""
    for i in range(model.r.size):
        model.r[i] = _back(model, i, model.r[i], np.int64(0), np.int64(0))
        model.turn_c[i], model.turn_s[i] = turn(model, i, span * model.rate[i * model.various])


@implements(receive, QIFRecord)
def _receive(model, i, start, offset, weight):
    if _rests(model, i):
        return NOTHING
    c, s = frame(model, i, start, offset)
    model.r[i] = struck(model.r[i], c, s, weight)
    return _fire(model, i, start, offset) if weight > 0.0 and _reaches(model, i, c, s) else NOTHING


@implements(own_event, QIFRecord)
def _own_event(model, i, start, after):
    if _rests(model, i):
        return model.release[i] - start
    j = i * model.various
    r, drive, root, threshold = model.r[i], model.drive[j], model.root[j], model.threshold[j]
    # just fired, from -inf to inf: that takes a period, two slabs at least, and to find it an arctangent, 22 ns
    endless = np.isinf(threshold) and np.isinf(model.reset[j]) and drive > 0.0
    if endless and model.last[i] == start + after - 1 and root * model.rate[j] * 2.0 ** (model.slab_bits + 1) < PI:
        return NEVER
    q = 1.0 / r if np.isinf(threshold) else (threshold - r) / (drive + r * threshold)  # S/c at the crossing
    anchor = -elapsed_at(model, start, 0)
    earliest, last = after - 1.5, np.float64(model.last[i] - start)
    if drive > 0.0:
        period = PI / (root * model.rate[j])
        t = anchor + atan(root * q) / (root * model.rate[j])
        n = np.ceil((earliest - t) / period)
        if abs(t + n * period - last) < NEAR:
            n += 1.0
        t += n * period
    else:
        if abs(root * q) >= 1.0:
            return NEVER
        t = anchor + (q if drive == 0.0 else atanh(root * q) / root) / model.rate[j]
    if t < earliest or abs(t - last) < NEAR or t > 2.0 ** (model.slab_bits + 1):
        return NEVER
    return max(after, np.int64(np.rint(t)))


@implements(act, QIFRecord)
def _act(model, i, start, offset):
    if not _rests(model, i):
        return _fire(model, i, start, offset)
    model.release[i] = FREE
    model.r[i] = _back(model, i, model.reset[i * model.various], start, offset)
    return NOTHING


@implements(save, QIFRecord)
def _save(model, first, n, copy):
    for k in range(n):
        copy[0, k], copy[2, k] = float_bits(model.r[first + k]), model.last[first + k]
        copy[1, k] = model.release[first + k] if model.rests else FREE


@implements(restore, QIFRecord)
def _restore(model, i, copy, k):
    model.r[i], model.last[i] = bits_float(copy[0, k]), copy[2, k]
    if model.rests:
        model.release[i] = copy[1, k]


@implements(potential, QIFRecord)
def _potential(model, i, start, offset):
    if _rests(model, i):
        return model.reset[i * model.various]
    c, s = frame(model, i, start, offset)
    return (model.r[i] * c + model.drive[i * model.various] * s) / (c - model.r[i] * s)


nothing_but_potential(QIFRecord)


@implements(fetch, QIFRecord)
def _fetch(model, i):
    prefetch(model.r, i)
    prefetch(model.last, i)
    if model.rests:
        prefetch(model.release, i)
    if model.various:
        prefetch(model.drive, i)
        prefetch(model.root, i)


@implements(is_resting, QIFRecord)
def _is_resting(model, i):
    return _rests(model, i)


@implements(mark, QIFRecord)
def _mark(model, i):
    return float_bits(model.r[i])
