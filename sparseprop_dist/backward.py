"""The backward sweep over the log of a run: gather what a spike did, settle the neuron that made it (``docs/design/gradients.md``).

Owns the order of the sweep, the passes over rows, and sums that do not depend on the order of their terms. Knows no model and no
communication: `sums` of a group of spikes are handed out between its two steps.
"""

from typing import NamedTuple

import numpy as np

from .by_address import by_address
from .engine.arrivals import one_delay, row_of
from .exact_sum import HIGH, LOW, add, carry
from .jit import bits_float, inner, merged, njit, prefetch
from .models.adjoint import begin, factor_of, fetch, pull, pull_row, rebase, settle
from .state import CONSTANT, DELAYED_32, DELAYED_64, NO_ROWS, WIDE, Synapses

NONE, SHARED, EACH = 0, 1, 2
"""Whether the gradient of the weights, or delays, of a pathway is asked for: as one number, or one for each synapse."""


@by_address
class Sweep(NamedTuple):
    """The log of a run, and what the sweep adds up. S spikes, P pathways, J projections."""

    time: np.ndarray  # int64 (S,), absolute tick
    gid: np.ndarray  # int32 (S,)
    local: np.ndarray  # int32 (S,), the neuron, -1 if it is not of this rank
    cotangent: np.ndarray  # float64 (S,), dL/dtime of each spike by the loss alone, scaled
    sums: np.ndarray  # int64 (2, S), dL/dtime by all arrivals, see `exact_sum`; `by_group`: (2, spikes of the largest group)
    want_weight: np.ndarray  # uint8 (P,): NONE, SHARED, EACH
    want_delay: np.ndarray  # uint8 (P,)
    of_weight: np.ndarray  # int64 (2, J), sums
    of_delay: np.ndarray  # int64 (2, J)
    word_base: np.ndarray  # int64 (P,), where the words of a pathway's kind start in the arrays of each
    each_weight: np.ndarray  # float64 (words,), or none
    each_delay: np.ndarray  # float64 (words,), or none
    worst: np.ndarray  # float64 (1,), the largest term
    row: np.ndarray  # int64 (5,), what `models.adjoint.pull_row` says
    one_by_one: int  # 1: some synapses have no delay, and a group is one spike
    group: int  # ticks, the smallest delay between neurons
    base: np.ndarray  # int64 (1,), the spike that the first sum is of
    by_group: int  # 1: sums are kept of the spikes of one group alone

    def without_numbers(self) -> "Sweep":
        """Return it with no gradient of a synapse asked for."""
        return self._replace(want_weight=0 * self.want_weight, want_delay=0 * self.want_delay)


def word_bases(synapses: Synapses) -> tuple[np.ndarray, int]:
    """Return where the words of each pathway's kind start in arrays of one number a word, and the length of such arrays."""
    n16, n32 = len(synapses.words16), len(synapses.words32)
    starts = {CONSTANT: 0, DELAYED_32: n16, WIDE: n16, DELAYED_64: n16 + n32}
    return np.array([starts[int(kind)] for kind in synapses.kind], np.int64), n16 + n32 + len(synapses.words64)


@merged
def _synapse(adjoint, w, synapses, p, block, q, i, time, weight, s, factor):
    """Gather one arrival."""
    by_weight, by_time = pull(adjoint, i, time, weight, s, factor)
    projection = synapses.drawn.place[p]
    add(w.sums, s - w.base[0], by_time, w.worst)
    if w.want_weight[p] == SHARED:
        add(w.of_weight, projection, by_weight, w.worst)
    elif w.want_weight[p] == EACH:
        w.each_weight[w.word_base[p] + q] += by_weight
    if w.want_delay[p] == SHARED:
        add(w.of_delay, projection, by_time, w.worst)
    elif w.want_delay[p] == EACH:
        w.each_delay[w.word_base[p] + q] += by_time


@inner
def _row(adjoint, w, synapses, blocks, p, block, words, begin_, stop, s):
    """Gather the arrivals of one row."""
    first, alike, at_once = blocks.first[block], blocks.alike[block] > 0, one_delay(synapses, p)
    shift, mask = np.int64(blocks.block_bits), (1 << blocks.block_bits) - 1
    own = synapses.weight_base[p, block] - synapses.base[p, block]
    if at_once and alike and w.want_delay[p] != EACH:
        weights = synapses.weights[own + begin_ : own + stop] if synapses.weighted[p] else synapses.weights[:0]
        base = w.word_base[p]
        each = w.each_weight[base + begin_ : base + stop] if w.want_weight[p] == EACH else w.each_weight[:0]
        alone = synapses.instant[p] > 0 and (s + 1 == w.time.size or w.time[s + 1] > w.time[s])
        at, weight, projection = w.time[s] + synapses.delay[p], synapses.weight[p], synapses.drawn.place[p]
        if pull_row(adjoint, first, words, begin_, stop, at, weight, weights, each, s, alone, w.row):
            w.worst[0] = max(w.worst[0], bits_float(w.row[4]))
            for k in range(2):
                w.sums[k, s - w.base[0]] += w.row[k]
                w.of_delay[k, projection] += w.row[k]
                w.of_weight[k, projection] += w.row[2 + k]
            return
    time, factor = w.time[s] + synapses.delay[p], 0.0
    if alike and at_once:
        factor = factor_of(adjoint, first, time)
    for q in range(begin_, stop):
        word = np.int64(words[q])
        target = word
        if not at_once:
            target, time = word & mask, w.time[s] + ((word >> shift) << synapses.unit[p])
        i = first + target
        if not (alike and at_once):
            factor = factor_of(adjoint, i, time)
        weight = synapses.weights[own + q] if synapses.weighted[p] else synapses.weight[p]
        _synapse(adjoint, w, synapses, p, block, q, i, time, weight, s, factor)


@inner
def _gather(adjoint, w, synapses, blocks, s):
    """Add up dL/dtime of the spike at place ``s`` of the log, and what its arrivals add to other gradients."""
    for p in range(synapses.kind.size):
        row = row_of(synapses, p, np.int64(w.gid[s]))
        for block in range(blocks.gid.size if row >= 0 else 0):
            place = synapses.index[p, block]
            if place == NO_ROWS:
                continue
            base = synapses.base[p, block]
            begin_, stop = base + np.int64(synapses.row_ptr[place + row]), base + np.int64(synapses.row_ptr[place + row + 1])
            kind = synapses.kind[p]
            if kind == CONSTANT:
                _row(adjoint, w, synapses, blocks, p, block, synapses.words16, begin_, stop, s)
            elif kind == WIDE or kind == DELAYED_32:  # noqa: SIM109  # Numba knows no `in`
                _row(adjoint, w, synapses, blocks, p, block, synapses.words32, begin_, stop, s)
            else:
                _row(adjoint, w, synapses, blocks, p, block, synapses.words64, begin_, stop, s)
            carry(w.of_weight, synapses.drawn.place[p])
            carry(w.of_delay, synapses.drawn.place[p])
    carry(w.sums, s - w.base[0])


@inner
def _group_of(w, stop, low):
    """Return the tick at which the group starts that ends before place ``stop``, and its first spike, not before place ``low``."""
    if w.one_by_one:
        return w.time[stop - 1], stop - 1
    start = w.time[stop - 1] // w.group * w.group
    first = stop - 1
    while first > low and w.time[first - 1] >= start:
        first -= 1
    return start, first


@njit
def largest_group(w):
    """Return how many spikes the largest group has."""
    largest, stop = 0, w.time.size
    while stop > 0:
        _, first = _group_of(w, stop, 0)
        largest, stop = max(largest, stop - first), first
    return largest


TARGETS_AHEAD, AHEAD, POINTERS_AHEAD = 1, 4, 8
"""Spikes ahead whose targets, rows, and pointers of rows are fetched."""
MOST_LINES = 64
LINE = 64
"""Bytes."""


POINTERS, ROWS, TARGETS = 0, 1, 2
"""What is fetched of a spike."""


@inner
def _fetch_lines(array, begin_, stop):
    """Fetch the lines of array[begin_:stop], at most MOST_LINES."""
    step = LINE // array.itemsize
    for q in range(begin_, min(stop, begin_ + MOST_LINES * step), step):
        prefetch(array, q)


@inner
def _fetch_words(adjoint, words, begin_, stop, first, mask, what):
    """Fetch the words of a row, or its targets."""
    if what == ROWS:
        _fetch_lines(words, begin_, stop)
        return
    for q in range(begin_, stop):
        fetch(adjoint, first + (np.int64(words[q]) & mask))


@inner
def _fetch(adjoint, w, synapses, blocks, s, what):
    """Fetch something of the spike at place ``s``."""
    mask = (1 << blocks.block_bits) - 1
    for p in range(synapses.kind.size if 0 <= s < w.time.size else 0):
        row, kind = row_of(synapses, p, np.int64(w.gid[s])), synapses.kind[p]
        for block in range(blocks.gid.size if row >= 0 else 0):
            place = synapses.index[p, block]
            if place == NO_ROWS:
                continue
            if what == POINTERS:
                prefetch(synapses.row_ptr, place + row)
                continue
            base, first = synapses.base[p, block], blocks.first[block]
            begin_, stop = base + np.int64(synapses.row_ptr[place + row]), base + np.int64(synapses.row_ptr[place + row + 1])
            if kind == CONSTANT:
                _fetch_words(adjoint, synapses.words16, begin_, stop, first, mask, what)
            elif kind == WIDE or kind == DELAYED_32:  # noqa: SIM109  # Numba knows no `in`
                _fetch_words(adjoint, synapses.words32, begin_, stop, first, mask, what)
            else:
                _fetch_words(adjoint, synapses.words64, begin_, stop, first, mask, what)
            if what == ROWS and synapses.weighted[p]:
                own = synapses.weight_base[p, block] - base
                _fetch_lines(synapses.weights, own + begin_, own + stop)
            if what == ROWS and w.want_weight[p] == EACH:
                _fetch_lines(w.each_weight, w.word_base[p] + begin_, w.word_base[p] + stop)
            if what == ROWS and w.want_delay[p] == EACH:
                _fetch_lines(w.each_delay, w.word_base[p] + begin_, w.word_base[p] + stop)


@inner
def _fetch_ahead(adjoint, w, synapses, blocks, s, step):
    """Fetch what the next spikes need, in steps of 1 or -1."""
    _fetch(adjoint, w, synapses, blocks, s + step * POINTERS_AHEAD, POINTERS)
    _fetch(adjoint, w, synapses, blocks, s + step * AHEAD, ROWS)
    _fetch(adjoint, w, synapses, blocks, s + step * TARGETS_AHEAD, TARGETS)


@njit
def gather(adjoint, w, synapses, blocks, reach, low, stop, n_neurons):
    """Gather the spikes of neurons in the group that ends before place ``stop`` of the log, not before place ``low``; return its first.
    ``reach``: ticks between two anchors of the frames."""
    start, first = _group_of(w, stop, low)
    if w.by_group:
        w.base[0] = first
        w.sums[:, : stop - first] = 0
    while start < adjoint.anchor[0]:  # by the clock, not by spikes: no neuron's bits depend on when others fire
        rebase(adjoint, adjoint.anchor[0] - reach)
    for s in range(stop - 1, first - 1, -1):
        if w.gid[s] < n_neurons:
            _fetch_ahead(adjoint, w, synapses, blocks, s, -1)
            _gather(adjoint, w, synapses, blocks, s)
    return first


@njit
def finish(adjoint, w, synapses, blocks, first, stop, n_neurons):
    """Settle the spikes of a group, whose sums are complete, then gather those of spike sources in it, which nothing depends on."""
    for s in range(stop - 1, first - 1, -1):
        if w.local[s] >= 0:
            k = s - w.base[0]
            by_arrivals = (w.sums[0, k] + w.sums[1, k] / LOW) / HIGH
            settle(adjoint, np.int64(w.local[s]), s, w.cotangent[s] + by_arrivals)
    for s in range(stop - 1, first - 1, -1):
        if w.gid[s] >= n_neurons:
            _gather(adjoint, w, synapses, blocks, s)


@njit
def sweep(adjoint, w, synapses, blocks, reach, low, stop, n_neurons):
    """Sweep the log of one rank from place ``stop`` back to place ``low``."""
    while stop > low:
        first = gather(adjoint, w, synapses, blocks, reach, low, stop, n_neurons)
        finish(adjoint, w, synapses, blocks, first, stop, n_neurons)
        stop = first


@njit
def forward(inputs, w, synapses, blocks, reach, low, stop):
    """Gather the log from place ``low`` up to ``stop``, and settle spikes on the way: what a model must know before the sweep. ``reach``:
    ticks between two anchors of the frames."""
    for s in range(low, stop):
        while w.time[s] >= inputs.anchor[0] + reach:
            rebase(inputs, inputs.anchor[0] + reach)
        if w.by_group:
            w.base[0] = s
        if w.local[s] >= 0:
            settle(inputs, np.int64(w.local[s]), s, 0.0)
        _fetch_ahead(inputs, w, synapses, blocks, s, 1)
        _gather(inputs, w, synapses, blocks, s)


@njit
def early(adjoint, w, synapses, blocks, low, stop):
    """Gather the spikes before place ``stop`` back to ``low``, none of which is settled yet: what they still bring about later."""
    for s in range(stop - 1, low - 1, -1):
        _gather(adjoint, w, synapses, blocks, s)


@njit
def count(w, synapses, blocks, counts):
    """Write the arrivals that each spike of the log makes on this rank."""
    for s in range(w.time.size):
        counts[s] = 0
        for p in range(synapses.kind.size):
            row = row_of(synapses, p, np.int64(w.gid[s]))
            for block in range(blocks.gid.size if row >= 0 else 0):
                place = synapses.index[p, block]
                if place != NO_ROWS:
                    counts[s] += np.int64(synapses.row_ptr[place + row + 1]) - np.int64(synapses.row_ptr[place + row])


@njit
def begin_all(adjoint, n_neurons):
    """Take all neurons back to time 0."""
    for i in range(n_neurons):
        begin(adjoint, i)
