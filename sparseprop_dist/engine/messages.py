"""Spikes as ranks tell them to each other in a round.

Owns the rows of a box, int64 of shape (spikes, WORDS): time, trigger time, gid << 32 | trigger gid, generation; and their order, that in
which `tick` delivers them: by time, generation, trigger time, trigger gid, gid.
"""

import numpy as np

from ..jit import inner
from ..state import WORDS

LOW = (1 << 32) - 1
GAPS = (701, 301, 132, 57, 23, 10, 4, 1)


@inner
def later(box, m, time, generation, trigger_time, gids):
    """Does spike ``m`` come after one of these words?"""
    if box[m, 0] != time:
        return box[m, 0] > time
    if box[m, 3] != generation:
        return box[m, 3] > generation
    if box[m, 1] != trigger_time:
        return box[m, 1] > trigger_time
    trigger_gid, other = np.int32(gids & LOW), np.int32(box[m, 2] & LOW)
    return other > trigger_gid or (other == trigger_gid and box[m, 2] >> 32 > gids >> 32)


@inner
def copy(box, m, to):
    for word in range(WORDS):
        box[to, word] = box[m, word]


@inner
def sort(box, n):
    for gap in GAPS:
        for m in range(gap, n):
            time, trigger_time, gids, generation = box[m, 0], box[m, 1], box[m, 2], box[m, 3]
            q = m
            while q >= gap and later(box, q - gap, time, generation, trigger_time, gids):
                copy(box, q - gap, q)
                q -= gap
            box[q, 0], box[q, 1], box[q, 2], box[q, 3] = time, trigger_time, gids, generation
