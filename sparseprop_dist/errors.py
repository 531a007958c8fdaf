"""What can go wrong, and the status codes by which kernels say so.

Owns the exceptions of the package and the integers that compiled loops return instead of raising. Knows nothing of any other module.
"""

import difflib
from collections.abc import Iterable

OK = 0
SPIKES_FULL = 1
"""The buffer of emitted spikes is full: the caller enlarges it and calls again."""
EVENTS_FULL = 2
"""The buffer of arrivals is full: the caller enlarges it and calls again."""
STATE_OVERFLOW = 3
"""The potential of a neuron does not fit its 64-bit integer any more."""
CASCADE = 4
"""A neuron would fire twice at one time by synapses without delay."""
LOG_FULL = 5
"""There is no room to log what a window changes."""
QUEUE_FULL = 6
"""There is no room to enter when neurons act, in a window that may have to be taken back."""
NOT_LISTED = 7
"""The arrivals of the next piece must be listed first."""
MEET = 8
"""Ranks must tell each other their spikes, which the caller does."""
WIRE_FULL = 9
"""A message has no room for the spikes of a rank; on all ranks alike."""
ROUND_FULL = 10
"""There is no room for the spikes of a round."""
NOT_SENT = 11
"""MPI failed."""
RUN_FAILED = 12
"""All ranks agree that a run failed."""

SLOTS_FULL = 13
"""There is no room for what a window that is settled neuron by neuron needs."""
ONLY_IN_ORDER = 14
"""A window cannot be settled neuron by neuron, and is run in order."""


class InputError(ValueError):
    """Bad input. Its message is one sentence: what was given, what is allowed, where, and how to mend it."""


class SimulationError(RuntimeError):
    """A run that cannot go on, although its input was good. The message names the neuron and the time."""


class Interrupted(RuntimeError):
    """A run that was asked to stop, and did, after a checkpoint from which it can be resumed."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``'; did you mean "tau_m"?'`` for the known word nearest to ``word``, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f'; did you mean "{found[0]}"?' if found else ""
