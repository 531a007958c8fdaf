"""Poisson input, exact event by event.

Owns the stream of a group of neurons in a slab: their number is one Poisson number, each event one word of the counter-based generator (its
time and its member), in no order, and nothing is kept between slabs. Rates that differ between neurons or in time thin the stream of the
largest rate of the group.
"""

import numpy as np

from ..clock import TICK
from ..errors import EVENTS_FULL, OK
from ..jit import inner
from ..random import POISSON_COUNT, POISSON_EVENT, POISSON_THIN, U, philox, poisson, unit
from ..state import TARGET_BITS, Counter


@inner
def _pieces(drive, e, slab):
    """Return the pieces of constant rate of an entry that overlap a slab, as a range."""
    first, stop = drive.piece_ptr[e], drive.piece_ptr[e + 1]
    while stop - first > 1 and drive.piece_slab[stop - 1] > slab:
        stop -= 1
    low = first
    while low + 1 < stop and (drive.piece_slab[low + 1] < slab or (drive.piece_slab[low + 1] == slab and drive.piece_offset[low + 1] == 0)):
        low += 1
    return low, stop


@inner
def _peak(drive, low, stop):
    peak = drive.peak[low]
    for piece in range(low + 1, stop):
        peak = max(peak, drive.peak[piece])
    return peak


@inner
def _words(count, c1, c2, c3, key, member_bits, slab_bits, lift, keys):
    """Fill ``keys`` with ``count`` events: offset << TARGET_BITS | member + lift. Two words a call; the second half holds the second
    words."""
    half = (count + 1) >> 1
    member, offset = U((1 << member_bits) - 1), U((1 << slab_bits) - 1)
    one, two = keys[:half], keys[half : 2 * half]
    shift, target_bits = U(member_bits), U(TARGET_BITS)
    for m in range(half):
        x, y = philox(U(m), c1, c2, c3, key)
        one[m] = np.int64((((x >> shift) & offset) << target_bits) | (x & member)) + lift
        two[m] = np.int64((((y >> shift) & offset) << target_bits) | (y & member)) + lift


@inner
def _filter(drive, e, low, stop, slab, a, b, thin, c1, c2, c3, key, keys):
    """Keep the events of neurons of the block at offsets in [a, b), each with the probability rate / peak; return their number."""
    peak = _peak(drive, low, stop)
    mask = (1 << TARGET_BITS) - 1
    n = 0
    for m in range(keys.size):
        offset, target = keys[m] >> TARGET_BITS, (keys[m] & mask) - drive.shift[e]
        if not (a <= offset < b and drive.low[e] <= target < drive.stop[e]):
            continue
        if thin:
            piece = stop - 1
            while piece > low and drive.piece_slab[piece] == slab and drive.piece_offset[piece] > offset:
                piece -= 1
            first = drive.rate_first[piece]
            rate = drive.peak[piece] if first < 0 else drive.rates[first + target]
            if unit(philox(U(m), c1, c2, c3, key)[0]) * peak >= rate:
                continue
        keys[n] = offset << TARGET_BITS | target
        n += 1
    return n


@inner
def generate(drive, e, slab, slab_bits, a, b, counters, keys, n):
    """Append the events of an entry at offsets in [a, b) of slab number ``slab`` to ``keys`` behind the first ``n``; return a status and
    the new length.

    Where the group lies in the block as a whole, members need not be looked at (those beyond the group's end fall on columns that nobody
    reads).
    """
    low, stop = _pieces(drive, e, slab)
    peak = _peak(drive, low, stop)
    c1, c2 = U(slab & 0xFFFFFFFF), U(drive.group[e])
    c3 = U(drive.input[e] << 4 | (slab >> 32) << 16)
    key = U(drive.seed)
    mean = peak * 1e-3 * (TICK * (1 << slab_bits)) * (1 << drive.bits[e])
    count = poisson(mean, c1, c2, c3 | U(POISSON_COUNT), key)
    if n + count + 2 > keys.size:
        counters[Counter.NEEDED] = n + count + 2
        return EVENTS_FULL, n
    part = keys[n : n + count + 1]
    thin = stop - low > 1 or drive.rate_first[low] >= 0
    whole = drive.whole[e] and not thin and a == 0 and b == (1 << slab_bits)
    _words(count, c1, c2, c3 | U(POISSON_EVENT), key, drive.bits[e], slab_bits, -drive.shift[e] if whole else 0, part)
    if not whole:
        count = _filter(drive, e, low, stop, slab, a, b, thin, c1, c2, c3 | U(POISSON_THIN), key, keys[n : n + count])
    return OK, n + count
