"""Where the rows of a source lie that it reaches without delay, for the schedules whose hot loop asks at every spike.

A tract holds the rows of a stretch of sources in one block, through one pathway (`state.Tract`); those of a source follow each other, by
pathway and block. Plainer than loops over pathways, ranges and blocks, and as fast (``docs/design/instant.md``).
"""

import numpy as np

from ..jit import item_bytes, merged, prefetch
from ..state import NOT_STORED, Tract
from .procedural import words_of

LINE = 64
"""Bytes in a line of the cache."""
MOST_LINES = 64
"""Lines of a row that are fetched ahead; what follows them the processor finds by itself."""


@merged
def tracts_of(synapses, gid):
    """Return the first and the last number of the tracts that have the row of a source."""
    stretch = np.int64(0)
    while synapses.tract_stop[stretch] <= gid:
        stretch += 1
    return synapses.tract_ptr[stretch], synapses.tract_ptr[stretch + 1]


@merged
def words_in(synapses, blocks, t, gid):
    """Return the first and the last place of the words of a source in a tract of it."""
    tract = synapses.tract
    place = tract[t, Tract.PLACE]
    if place == NOT_STORED:
        return words_of(synapses, blocks, tract[t, Tract.PATHWAY], tract[t, Tract.BLOCK], gid + tract[t, Tract.ROW])
    base = tract[t, Tract.BASE]
    return base + np.int64(synapses.row_ptr[place + gid]), base + np.int64(synapses.row_ptr[place + gid + 1])


@merged
def fetch_pointers(synapses, gid):
    """Fetch where the rows of a source are."""
    tract, (first, last) = synapses.tract, tracts_of(synapses, gid)
    for t in range(first, last):
        if tract[t, Tract.PLACE] != NOT_STORED:
            prefetch(synapses.row_ptr, tract[t, Tract.PLACE] + gid)


@merged
def fetch_rows(synapses, gid):
    """Fetch these rows."""
    tract, (first, last) = synapses.tract, tracts_of(synapses, gid)
    for t in range(first, last):
        place = tract[t, Tract.PLACE]
        if place == NOT_STORED:
            continue
        begin = np.int64(synapses.row_ptr[place + gid])
        words = LINE // item_bytes(synapses.targets)
        stop = min(np.int64(synapses.row_ptr[place + gid + 1]), begin + MOST_LINES * words)
        base, own = tract[t, Tract.BASE], tract[t, Tract.WEIGHT_BASE]
        for q in range(base + begin, base + stop, words):
            prefetch(synapses.targets, q)
        for q in range(own + begin, own + (stop if own >= 0 else begin), LINE // 8):
            prefetch(synapses.weights, q)


@merged
def weights_in(synapses, t, begin, stop):
    """Return the first and the last place of the weights of a row's words in a tract; none where all have one."""
    own = synapses.tract[t, Tract.WEIGHT_BASE]
    if own < 0:
        return np.int64(0), np.int64(0)
    base = synapses.tract[t, Tract.BASE]
    return own - base + begin, own - base + stop
