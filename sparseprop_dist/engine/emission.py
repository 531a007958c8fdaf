"""What happens to a spike once it is made: the buffer of the window, its order, and its take-off.

Owns the emission order (``docs/design/order.md``) within a piece: time, then trigger, then gid.
"""

import numpy as np

from ..errors import OK, SPIKES_FULL
from ..jit import inner
from ..state import NO_TRIGGER, Counter


@inner
def emit(emitted, counters, time, gid, trigger_time, trigger_gid):
    """Append a spike to the buffer of the window; return SPIKES_FULL if there is no room."""
    n = counters[Counter.EMITTED]
    if n == emitted.time.size:
        counters[Counter.NEEDED] = 2 * n
        return SPIKES_FULL
    emitted.time[n] = time
    emitted.gid[n] = gid
    emitted.trigger_time[n] = trigger_time
    emitted.trigger_gid[n] = trigger_gid
    counters[Counter.EMITTED] = n + 1
    return OK


@inner
def emission_key(flight, train, reference):
    """Return the place of a spike in the emission order, as a tuple to compare."""
    s = reference >> 1
    spikes = train if reference & 1 else flight
    return spikes.time[s], spikes.trigger_time[s], spikes.trigger_gid[s], spikes.gid[s]


@inner
def precedes(flight, train, x, y):
    """Does the arrival of reference ``x`` come before that of ``y`` at the same neuron and time? Poisson events first, by input; then
    spikes in emission order."""
    if x < 0 or y < 0:
        return x > y if x < 0 and y < 0 else x < 0
    key_x, key_y = emission_key(flight, train, x), emission_key(flight, train, y)
    return key_x < key_y or (key_x == key_y and x < y)


@inner
def trigger_of(flight, train, reference):
    """Return time and gid of the trigger of a spike that the arrival of this reference made; those of none if that was not a spike."""
    if reference < 0:
        return np.int64(NO_TRIGGER), np.int32(-1)
    trigger_time, _, _, trigger_gid = emission_key(flight, train, reference)
    return trigger_time, trigger_gid


@inner
def fire(emitted, counters, flight, train, time, gid, reference):
    """Emit a spike of ``gid``; ``reference`` is that of the arrival that made it, negative if it was not a spike. Returns a status."""
    trigger_time, trigger_gid = trigger_of(flight, train, reference)
    return emit(emitted, counters, time, gid, trigger_time, trigger_gid)


GAPS = (1750, 701, 301, 132, 57, 23, 10, 4, 1)
"""Ciura's gaps (Proc. FCT 2001): a sort in place, since kernels do not allocate."""


@inner
def _key(spikes, n):
    return spikes.time[n], spikes.trigger_time[n], spikes.trigger_gid[n], spikes.gid[n]


@inner
def _write(spikes, n, key):
    spikes.time[n], spikes.trigger_time[n], spikes.trigger_gid[n], spikes.gid[n] = key


@inner
def sort_spikes(spikes, first, stop):
    """Bring spikes into emission order. Not stable: spikes of one key are alike in everything."""
    for gap in GAPS:
        for m in range(first + gap, stop):
            key, q = _key(spikes, m), m
            while q >= first + gap and _key(spikes, q - gap) > key:
                _write(spikes, q, _key(spikes, q - gap))
                q -= gap
            _write(spikes, q, key)


@inner
def _is_sorted(spikes, first, stop):
    m = first + 1
    while m < stop and _key(spikes, m - 1) <= _key(spikes, m):
        m += 1
    return m >= stop


@inner
def launch(emitted, flight, counters):
    """Bring the spikes of the piece into emission order and put them in flight, if any can arrive later; return SPIKES_FULL if there is no
    room for them."""
    first, stop = counters[Counter.PIECE], counters[Counter.EMITTED]
    n = counters[Counter.FLIGHT]
    if counters[Counter.KEEP] and n + stop - first > flight.time.size:
        counters[Counter.NEEDED] = n + stop - first
        return SPIKES_FULL
    if not _is_sorted(emitted, first, stop):
        sort_spikes(emitted, first, stop)
    if counters[Counter.KEEP]:
        for m in range(first, stop):
            _write(flight, n, _key(emitted, m))
            flight.cursors[:, n] = -1
            n += 1
        counters[Counter.FLIGHT] = n
    return OK
