"""What a spike does to the neurons of a row one after the other, where a model has no faster way."""

import numpy as np

from sparseprop_dist.gaps import next_target
from sparseprop_dist.jit import merged
from sparseprop_dist.models.protocol import FIRED, own_event, receive

AHEAD = np.uint64(16)
"""Targets ahead of the one at hand whose state is fetched: a core looks ahead five by itself."""


@merged
def before_ahead(words, begin, stop):
    """Return the target before the first that is fetched ahead."""
    target = np.uint64(0)
    for q in range(np.uint64(begin), min(np.uint64(begin) + AHEAD, np.uint64(stop))):
        target = next_target(words, q, target)
    return target


@merged
def are_distinct(words, begin, stop):
    """Are the targets of a row certain to be distinct? Those of stored rows come in ascending order."""
    ascend, before = np.int64(1), np.uint64(0)
    for q in range(np.uint64(begin), np.uint64(stop)):
        target = next_target(words, q, before)
        ascend &= np.int64(before < target) | np.int64(q == np.uint64(begin))
        before = target
    return ascend != 0


@merged
def strike_one(model, first, target, weight, start, offset, b, touched, m):
    """Give the neuron ``first + target`` an input; write to ``touched``, behind its first ``m``, as `strike` does; return its length."""
    if receive(model, first + target, start, offset, weight) == FIRED:
        touched[m] = ~target
        return m + 1
    if weight > 0.0 and own_event(model, first + target, start, offset + 1) < b:
        touched[m] = target
        return m + 1
    return m


@merged
def strike_each(model, first, words, begin, stop, weight, weights, start, offset, b, touched):
    """As `strike`, of any weights to any neurons."""
    m, target = np.int64(0), np.uint64(0)
    for q in range(begin, stop):
        own = weights[q - begin] if weights.size else weight
        target = next_target(words, q, target)
        m = strike_one(model, first, np.int64(target), own, start, offset, b, touched, m)
    return m
