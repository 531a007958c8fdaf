"""What the schedules ask of an additive model.

A model is a record (a NamedTuple of arrays over the neurons of this rank) and a body for each function below, given with `jit.implements`.
A schedule calls these names and knows no model. Times inside a slab are *offsets*: ticks since the slab's start. All state is int64 in
quanta, so that sums do not depend on their order.
"""

from ..jit import protocol

NOTHING, FIRED, OVERFLOW = 0, 1, 2
"""What `receive` and `act` answer."""

NEVER = 1 << 62
"""An offset beyond every slab."""

CELLS = 16
"""Cells of a slab, the finest: `bounds` gives the threshold at their ends."""


@protocol
def increment(frame, offset, weight):
    """Return the int64 by which an input of ``weight`` mV at ``offset`` changes the state; ``frame`` is the scalar record that `frame_of`
    returned."""
    raise NotImplementedError


@protocol
def frame_of(model, i):
    """Return the frame of neuron ``i``: a record of scalars, all that `increment` needs."""
    raise NotImplementedError


@protocol
def receive(model, i, start, offset, amount):
    """Add an increment to neuron ``i`` at ``offset`` of the slab that starts at tick ``start``; return NOTHING, FIRED (and reset) or
    OVERFLOW."""
    raise NotImplementedError


@protocol
def accumulate(model, i, amount):
    """Add a sum of increments to neuron ``i``, which is known not to reach threshold."""
    raise NotImplementedError


@protocol
def own_event(model, i, start, after):
    """Return the offset, at or after ``after``, at which neuron ``i`` does something by itself (is released, or crosses threshold by the
    flow); NEVER if not in this slab."""
    raise NotImplementedError


@protocol
def act(model, i, start, offset):
    """Let neuron ``i`` do what `own_event` announced for ``offset``; return NOTHING (released) or FIRED (and reset)."""
    raise NotImplementedError


@protocol
def sweep(model, first, n, start, a, b, shift, cells, flags, bounds, c0, c1, step):
    """Find out which neurons are loud in the piece [a, b) of the slab that starts at tick ``start``, and advance the others.

    Add the sums ``cells[c, 0:2, k]`` (excitation, inhibition) of the cells ``c0`` to ``c1 - 1`` to neuron ``first + k``, k < n, and set
    ``flags[c, k]`` where it could have fired or acts by itself, and ``flags[CELLS, k]`` if it is flagged in any cell: its state is then not
    to be trusted, and will be replayed. A neuron that could fire and be active again in the piece must stay flagged to its end. A cell is
    2^shift ticks long, and spans ``step`` columns of ``bounds``.
    """
    raise NotImplementedError


@protocol
def save(model, first, n, copy):
    """Copy the state of these neurons into ``copy``, int64 of shape (states, n)."""
    raise NotImplementedError


@protocol
def restore(model, i, copy, k):
    """Set the state of neuron ``i`` back to column ``k`` of ``copy``."""
    raise NotImplementedError


@protocol
def beyond(model, first, n):
    """Return the index of one of these neurons whose state has left the range in which it may be, or -1; asked after every piece."""
    raise NotImplementedError


@protocol
def carry(model, first, n):
    """Carry the state of these neurons from the frame of one slab into that of the next."""
    raise NotImplementedError
