"""Who acts by itself next: buckets of time, and a heap for the one at hand.

Owns the order of own events. Keys of the heap are ``offset << LOCAL_BITS | local index``, offsets counted from some tick of the owner's
choice; the smallest is on top. Buckets are lists that an entry is added to in a few instructions, in no order. Nothing is ever removed
when its neuron changes; whoever takes an entry asks whether it still holds.
"""

from .jit import inner

LOCAL_BITS = 22
"""Low bits of a key that hold the local index of a neuron: 4 million neurons a rank, and 40 bits for the offset."""
MOST_LOCAL = (1 << LOCAL_BITS) - 1
"""Neurons a rank at most. The key of one more, at the last tick of the longest piece, would be the largest number there is, which says
that there is none (`engine.entries.LAST`)."""
BUCKETS = 1024
"""Of a piece of the clock. A heap of all its entries, thousands, would cost 80 ns an entry instead of 20."""
FREE, UNUSED = BUCKETS, BUCKETS + 1
"""Where `head` has the first entry of the list of used ones that are free, and the number of the first that was never used."""


@inner
def push(heap, n, key):
    """Add ``key`` to the ``n`` keys of ``heap``; return their new number."""
    k = n
    while k > 0 and heap[(k - 1) >> 1] > key:
        heap[k] = heap[(k - 1) >> 1]
        k = (k - 1) >> 1
    heap[k] = key
    return n + 1


@inner
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


@inner
def clear(head):
    """Empty all buckets."""
    head[:] = -1
    head[UNUSED] = 0


@inner
def put(node, head, bucket, i):
    """Add neuron ``i`` to a bucket; return False if there is no room."""
    k = head[FREE]
    if k >= 0:
        head[FREE] = node[k, 1]
    else:
        k = head[UNUSED]
        if k == node.shape[0]:
            return False
        head[UNUSED] = k + 1
    node[k, 0], node[k, 1] = i, head[bucket]
    head[bucket] = k
    return True


@inner
def take(node, head, bucket):
    """Remove an entry of a bucket and return its neuron, or -1 if there is none."""
    k = head[bucket]
    if k < 0:
        return -1
    head[bucket] = node[k, 1]
    node[k, 1] = head[FREE]
    head[FREE] = k
    return node[k, 0]
