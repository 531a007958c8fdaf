"""What the backward sweep asks of a model: its derivatives (``docs/design/gradients.md``).

A model gives a record (a NamedTuple of arrays over the neurons of this rank) and a body for each function below. The sweep calls these
names and knows no model. Times are absolute ticks, derivatives are per ms, mV, pA.
"""

import math

import numpy as np

from sparseprop_dist.clock import TICK
from sparseprop_dist.jit import inline, merged, protocol

NEVER = 1 << 62
"""Time of a spike that there is not."""
FAR = 300.0
"""Time constants from the anchor of a frame beyond which its exponentials would overflow: such an arrival is pulled the slow way."""
BY_FLOW = -1
"""In place of the trigger of a spike: it crossed threshold by the flow, or a Poisson event made it."""


@protocol
def pull(adjoint, i, time, weight, s, factor):
    """Return dL/dweight and dL/dtime of an arrival at neuron ``i``, that of the spike at place ``s`` of the log; ``factor`` is what
    `factor_of` said."""
    raise NotImplementedError


@protocol
def pull_row(adjoint, first, words, begin, stop, time, weight, weights, each, s, alone, out):
    """Pull a row of arrivals at one ``time``, at neurons ``first + words[q]`` of one frame; return False, and do nothing, where the model
    does not.

    All have one ``weight``, or ``weights``, one each. ``out`` (int64 (5,)) is told the sum of dL/dtime and the sum of dL/dweight, two
    integers each (`exact_sum.split`), and the bits of a bound on all terms. dL/dweight is added to ``each`` instead, where that has room.
    ``alone``: no spike at this very time is settled, and there is no delay.
    """
    raise NotImplementedError


@protocol
def factor_of(adjoint, i, time):
    """Return what `pull` needs of all neurons of the frame of ``i`` at a time."""
    raise NotImplementedError


@protocol
def fetch(adjoint, i):
    """Fetch what `pull` reads of neuron ``i`` into the cache, if that helps."""
    raise NotImplementedError


@protocol
def settle(adjoint, i, s, cotangent):
    """Take neuron ``i`` back over its own spike at place ``s`` of the log, with dL/d(its time), all told."""
    raise NotImplementedError


@protocol
def begin(adjoint, i):
    """Take neuron ``i`` back to time 0, when all its spikes are settled."""
    raise NotImplementedError


@protocol
def rebase(adjoint, anchor):
    """Move the anchor of all frames back to a tick."""
    raise NotImplementedError


@merged
def exponential(anchor, rate, time):
    """Return e^(rate (time - anchor)), or infinity where it is too far to be used."""
    away = (time - anchor[0]) * (TICK * rate)
    return math.exp(away) if away < FAR else math.inf


@inline
def after(own_time, own_trigger, q, time, s):
    """Does an arrival at ``time``, that of the spike at place ``s`` of the log, come after the own spike ``q``?"""
    return own_time[q] < time or (own_time[q] == time and (own_trigger[q] < 0 or s > own_trigger[q]))


def own_spikes(local: np.ndarray, n_neurons: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the own spikes of each neuron start (int64 (n + 1,)), and their places in the log (int32), from the neuron of each place
    (-1: none of this rank)."""
    here = np.flatnonzero(local >= 0)
    order = here[np.argsort(local[here], kind="stable")].astype(np.int32)
    return np.concatenate([[0], np.cumsum(np.bincount(local[here], minlength=n_neurons))]).astype(np.int64), order
