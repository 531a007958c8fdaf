"""A heap of integers in an array.

Owns the order in which neurons act by themselves: keys are ``offset << LOCAL_BITS | local index``, the smallest is on top. An entry is
never removed when its neuron changes; whoever pops it asks the neuron whether it still holds.
"""

from .jit import njit

LOCAL_BITS = 22
"""Low bits of a key that hold the local index of a neuron: 4 million neurons a rank, and 40 bits for the offset in a slab."""


@njit
def push(heap, n, key):
    """Add ``key`` to the ``n`` keys of ``heap``; return their new number."""
    k = n
    while k > 0 and heap[(k - 1) >> 1] > key:
        heap[k] = heap[(k - 1) >> 1]
        k = (k - 1) >> 1
    heap[k] = key
    return n + 1


@njit
def pop(heap, n):
    """Remove the smallest of the ``n`` keys of ``heap``, ``heap[0]``; return their new number."""
    n -= 1
    key, k = heap[n], 0
    while 2 * k + 1 < n:
        child = 2 * k + 1
        if child + 1 < n and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[k] = heap[child]
        k = child
    heap[k] = key
    return n
