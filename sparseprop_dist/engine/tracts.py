"""Where the rows of a source lie that it reaches without delay, for the schedules whose hot loop asks at every spike.

A tract holds the rows of a range of sources in one block, through one pathway (`state.Tract`). One flat table, a line of the cache each, in
the place of loops over pathways, ranges and blocks: plainer, and as fast for few populations (``docs/design/instant.md``).
"""

import numpy as np

from ..jit import merged, prefetch
from ..state import NOT_STORED, Tract
from .procedural import words_of

LINE = 16
"""Words in a line of the cache."""
MOST_LINES = 64
"""Lines of a row that are fetched ahead; what follows them the processor finds by itself."""


@merged
def holds(tract, t, gid):
    """Has the tract number ``t`` the row of a source?"""
    return tract[t, Tract.FIRST] <= gid < tract[t, Tract.STOP]


@merged
def words_in(synapses, blocks, t, gid):
    """Return the first and the last place of the words of a source in a tract that holds its row."""
    tract = synapses.tract
    place = tract[t, Tract.PLACE]
    if place == NOT_STORED:
        return words_of(synapses, blocks, tract[t, Tract.PATHWAY], tract[t, Tract.BLOCK], gid + tract[t, Tract.ROW])
    base = tract[t, Tract.BASE]
    return base + np.int64(synapses.row_ptr[place + gid]), base + np.int64(synapses.row_ptr[place + gid + 1])


@merged
def fetch_pointers(synapses, gid):
    """Fetch where the rows of a source are."""
    tract = synapses.tract
    for t in range(tract.shape[0]):
        if holds(tract, t, gid) and tract[t, Tract.PLACE] != NOT_STORED:
            prefetch(synapses.row_ptr, tract[t, Tract.PLACE] + gid)


@merged
def fetch_rows(synapses, gid):
    """Fetch these rows."""
    tract = synapses.tract
    for t in range(tract.shape[0]):
        place = tract[t, Tract.PLACE]
        if not holds(tract, t, gid) or place == NOT_STORED:
            continue
        begin = np.int64(synapses.row_ptr[place + gid])
        stop = min(np.int64(synapses.row_ptr[place + gid + 1]), begin + MOST_LINES * LINE)
        base, own = tract[t, Tract.BASE], tract[t, Tract.WEIGHT_BASE]
        for q in range(base + begin, base + stop, LINE):
            prefetch(synapses.words32, q)
        for q in range(own + begin, own + (stop if own >= 0 else begin), LINE // 2):
            prefetch(synapses.weights, q)


@merged
def weights_in(synapses, t, begin, stop):
    """Return the first and the last place of the weights of a row's words in a tract; none where all have one."""
    own = synapses.tract[t, Tract.WEIGHT_BASE]
    if own < 0:
        return np.int64(0), np.int64(0)
    base = synapses.tract[t, Tract.BASE]
    return own - base + begin, own - base + stop
