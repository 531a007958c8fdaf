"""What the schedules ask of a model.

A model is a record (a NamedTuple of arrays over the neurons of this rank) and a body for each function below, given with `jit.implements`.
A schedule calls these names and knows no model. Times inside a slab are *offsets*: ticks since the slab's start, the tick ``start``. The
state of a neuron is kept in the frame of the slab, in which it is constant but for inputs and its own events.

The first part is asked of every model, by the event-driven schedules. The second is asked of *additive* models, for the slab schedule:
their state is int64 in quanta, so that sums do not depend on their order.
"""

import inspect
from collections.abc import Callable
from typing import Any

from ..jit import implements, protocol, written

NOTHING, FIRED, OVERFLOW = 0, 1, 2
"""What `receive` and `act` answer."""

NEVER = 1 << 62
"""An offset beyond every slab."""

CELLS = 16
"""Cells of a slab, the finest: `bounds` gives the threshold at their ends."""

UNKNOWN = NEVER
"""A `mark` that says nothing."""
STATES = 4
"""Numbers of 64 bits that hold the state of a neuron of any model, at most: rows of `save`."""

# --- every model ---


@protocol
def receive(model, i, start, offset, weight):
    """Give neuron ``i`` an input of ``weight`` at ``offset``; return NOTHING, FIRED (and reset) or OVERFLOW."""
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
def save(model, first, n, copy):
    """Copy the state of these neurons into ``copy``, int64 of shape (states, n)."""
    raise NotImplementedError


@protocol
def restore(model, i, copy, k):
    """Set the state of neuron ``i`` back to column ``k`` of ``copy``."""
    raise NotImplementedError


@protocol
def beyond(model, first, n):
    """Return k < n such that the state of neuron ``first + k`` has left the range in which it may be, or -1; asked now and then."""
    raise NotImplementedError


@protocol
def carry(model, first, n, start):
    """Carry the state of these neurons from the frame of the slab that starts at ``start`` into that of the next; return what `beyond` says
    of them, or -1 after a slab in which a model does not look."""
    raise NotImplementedError


@protocol
def potential(model, i, start, offset):
    """Return V of neuron ``i`` at ``offset``, which no event of it precedes that was not yet done."""
    raise NotImplementedError


@protocol
def observe(model, i, start, offset, number):
    """As `potential`, of the quantity of this number among those that the model names in ``recordable``; 0: V."""
    raise NotImplementedError


@protocol
def candidates(model, first, n, alike, start, a, b, found):
    """Write to ``found``, int32, the k < n of those neurons ``first + k`` that may do something by themselves at offsets in [a, b); return
    their number.

    All that do must be among them. ``alike`` is 2 if the neurons have the same parameters, 1 if the same frame, else 0.
    """
    raise NotImplementedError


@protocol
def strike(model, first, alike, words, begin, stop, weight, weights, start, offset, b, touched):
    """Deliver a spike at ``offset`` to the neurons ``first + target`` of the words from ``begin`` to ``stop - 1``, the whole of a row (see
    `gaps.next_target`), one after the other; return the length of ``touched``.

    The q-th input is ``weights[q - begin]``, or ``weight`` if there are no weights. ``touched`` (int64) is told, in this order, the
    targets whose neuron may now do something by itself before ``b`` (its next own event may be earlier than it was), and ``~target`` of
    each that fired; it has room for two numbers a word, in which a model may work. The state is not checked for overflow
    (`beyond`).
    """
    raise NotImplementedError


@protocol
def mark(model, i):
    """Return an int64 that changes whenever an input or an own event of neuron ``i`` changes what `own_event` says; UNKNOWN: ask it."""
    raise NotImplementedError


@protocol
def fetch(model, i):
    """Ask for the state of neuron ``i`` ahead of its use."""
    raise NotImplementedError


@protocol
def is_resting(model, i):
    """Is neuron ``i`` refractory?"""
    raise NotImplementedError


@protocol
def strike_back(model, first, alike, words, begin, stop, weight, start, offset):
    """Take back a `strike` that had no weights of its own and changed nothing else since; return False, and do nothing, where the model
    cannot, for these arguments at any time."""
    raise NotImplementedError


@protocol
def set_apart(model, i):
    """Put a mark that `inhibit` sees in the place of the state of neuron ``i``, which was saved; return False, and do nothing, where the
    model cannot."""
    raise NotImplementedError


@protocol
def inhibit(model, first, alike, words, begin, stop, weight, weights, sign, start, offset, met):
    """Deliver (``sign`` 1) or take back (-1) an inhibitory spike at ``offset``, in any order, to the neurons of a row, as `strike` does;
    write to ``met`` of each that is set apart, and keeps its mark, the target and the number of its word in the row.

    Returns their number; -1, and nothing is changed, where the model cannot, or a neuron that does not act by itself could fire at it.
    """
    raise NotImplementedError


IN_ORDER_ONLY: set[type] = set()
"""Records whose inputs must come in their order."""


def _no_strike_back(model, first, alike, words, begin, stop, weight, start, offset):
    return False


def _not_apart(model, i):
    return False


def _no_inhibit(model, first, alike, words, begin, stop, weight, weights, sign, start, offset, met):
    return -1


def in_order_only(record):
    """Let a record answer that it can take nothing back, and that its inputs must come in their order."""
    IN_ORDER_ONLY.add(record)
    implements(strike_back, record)(_no_strike_back)
    implements(set_apart, record)(_not_apart)
    implements(inhibit, record)(_no_inhibit)


def _only_potential(model, i, start, offset, number):
    return potential(model, i, start, offset)


def nothing_but_potential(record):
    """Let a record answer that V is all that can be observed."""
    implements(observe, record)(_only_potential)


# --- additive models ---


@protocol
def sums(model):
    """Return how many sums of increments the cells hold for a neuron, a constant of the model. 2: its state is one number, and the sums are
    those of excitation and inhibition. 3: an input changes a first number, and a second of its own kind; the sums are those of the
    changes of the first, of the second by excitation, and of the second by inhibition."""
    raise NotImplementedError


@protocol
def increment(frame, offset, weight):
    """Return the two int64 by which an input of ``weight`` at ``offset`` changes the state, the second 0 if there is only one; ``frame`` is
    the scalar record that `frame_of` returned."""
    raise NotImplementedError


@protocol
def increments(model, first, uniform, keys, target_bits, weights, amounts, others):
    """Write to ``amounts`` and ``others`` (int64) what `increment` says of many inputs: the m-th of the weight of which ``weights[m]`` are
    the bits, at the offset ``keys[m] >> target_bits``, to neuron ``first + k``, k the lower bits. ``uniform``: all neurons have the frame
    of the first."""
    raise NotImplementedError


@protocol
def frame_of(model, i):
    """Return the frame of neuron ``i``: a record of scalars, all that `increment` needs."""
    raise NotImplementedError


@protocol
def accumulate(model, i, cells, c, k):
    """Add the sums of cell ``c``, column ``k``, to neuron ``i``, which is known not to reach threshold in it."""
    raise NotImplementedError


@protocol
def next_own(model, i, start, after, before):
    """As `own_event`; what is not before ``before`` need not be found (any offset from there on, or NEVER)."""
    raise NotImplementedError


@protocol
def sweep(model, first, n, alike, start, a, b, shift, cells, flags, bounds, c0, c1, step, inputs):
    """Find out which neurons are loud in the piece [a, b) of the slab that starts at tick ``start``, and advance the others.

    Add the sums ``cells[c, :, k]`` (see `sums`) of the cells ``c0`` to ``c1 - 1`` to neuron ``first + k``, k < n, and set ``flags[c, k]``
    where it could have fired or acts by itself, and ``flags[CELLS, k]`` if it is flagged in any cell: its state is then not to be trusted,
    and will be replayed. A neuron that could fire and be active again in the piece must stay flagged to its end. A cell is 2^shift ticks
    long, and spans ``step`` columns of ``bounds``. ``alike`` is as for `candidates`; no neuron has more than ``inputs`` arrivals.
    """
    raise NotImplementedError


def pass_on(record: type, field: str, *functions: Callable[..., Any]) -> None:
    """Let the record that a record has as a field answer for it."""
    for function in functions:
        first, *rest = inspect.signature(function).parameters
        lines = [f"def passed({', '.join([first, *rest])}):", f"    return function({', '.join([f'{first}.{field}', *rest])})"]
        implements(function, record)(written(lines, {"function": function}, "passed"))
