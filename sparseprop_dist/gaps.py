"""Words of rows without delay: targets, or the gaps between them.

A row has its targets in ascending order, and is gone through from its start. Where rows are long, a gap takes two bytes and a target four:
that is memory, and it is time, since a core waits for the lines of long rows (``docs/design/gaps.md``).
"""

import numpy as np

from .jit import item_bytes, merged

WIDEST = 0xFFFF
"""The widest gap that a word has room for."""
GAP_BYTES = 2


@merged
def next_target(words, q, target):
    """Return the target of word ``q``, where ``target`` is that of the word before, or 0 at the start of a row."""
    return target + np.uint64(words[q]) if item_bytes(words) == GAP_BYTES else np.uint64(words[q])
