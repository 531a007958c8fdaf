"""The passes over synapses that fill rows: compiled, one synapse at a time.

Owns the order in a row: targets as they come, or words sorted by delay.
"""

import numpy as np

from ..gaps import next_target
from ..jit import inner, njit


@njit
def count(ptr, sources, start, first, index, row_ptr, before):
    """Count the words of rows: of targets from ``start`` on, whose sources are ``sources[ptr[t] : ptr[t + 1]]``. Where ``before`` holds the
    target of the last word of each row, or 0, return the widest gap; one backward is wider than all."""
    widest = np.int64(0)
    block = np.searchsorted(first, start, side="right") - 1
    for t in range(ptr.size - 1):
        while first[block + 1] <= start + t:
            block += 1
        base, target = index[block], start + t - first[block]
        for k in range(ptr[t], ptr[t + 1]):
            r = base + sources[k]
            row_ptr[r + 1] += 1
            if before.size:
                widest = max(widest, target - before[r] if target >= before[r] else np.int64(1) << 32)
                before[r] = target
    return widest


@njit
def fill(ptr, sources, start, first, index, base, weight_base, row_ptr, words, delays, block_bits, weights, out_weights, before):
    """Write words; ``row_ptr`` holds where the next word of each row goes, and ends shifted by one row. ``before`` as `count`: it is
    gaps that are written."""
    block = np.searchsorted(first, start, side="right") - 1
    for t in range(ptr.size - 1):
        while first[block + 1] <= start + t:
            block += 1
        target = np.uint64(start + t - first[block])
        for k in range(ptr[t], ptr[t + 1]):
            r = index[block] + sources[k]
            q = row_ptr[r]
            row_ptr[r] = q + 1
            if before.size:
                words[base[block] + q] = target - np.uint64(before[r])
                before[r] = target
            else:
                words[base[block] + q] = target if delays.size == 0 else delays[k] << np.uint64(block_bits) | target
            if weights.size:
                out_weights[weight_base[block] + q] = weights[k]


@inner
def _merge(words, weights, start, middle, stop, out_words, out_weights):
    """Merge two sorted runs; of equal words those of the first run come first."""
    x, y = start, middle
    for k in range(start, stop):
        first = y == stop or (x < middle and words[x] <= words[y])
        q = x if first else y
        out_words[k] = words[q]
        if weights.size:
            out_weights[k] = weights[q]
        x, y = (x + 1, y) if first else (x, y + 1)


@njit
def sort_rows(row_ptr, words, weights, spare_words, spare_weights):
    """Sort each row by its words, stably (two synapses with one delay and target stay in the order of the description): merge sort from
    below."""
    for r in range(row_ptr.size - 1):
        n, first = row_ptr[r + 1] - row_ptr[r], row_ptr[r]
        row, own = words[first : first + n], weights[first : first + n]
        width = 1
        while width < n:
            for start in range(0, n, 2 * width):
                _merge(row, own, start, min(start + width, n), min(start + 2 * width, n), spare_words, spare_weights)
            for k in range(n):
                row[k] = spare_words[k]
            for k in range(own.size):
                own[k] = spare_weights[k]
            width *= 2


@njit
def runs(pointers, words):
    """Return the length of the longest run of one target in a row, and of the longest row; a row has its targets in order."""
    most, longest = 0, 0
    for r in range(pointers.size - 1):
        run, before = 0, np.uint64(0)
        longest = max(longest, pointers[r + 1] - pointers[r])
        for q in range(pointers[r], pointers[r + 1]):
            target = next_target(words, q, before)
            run = run + 1 if q > pointers[r] and target == before else 1
            most, before = max(most, run), target
    return most, longest
