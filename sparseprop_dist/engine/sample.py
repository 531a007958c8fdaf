"""Values of chosen neurons at the tick at which a session stands.

A read of the state: no bit of a run depends on where it stops in between.
"""

import numpy as np

from ..jit import njit
from ..models.protocol import potential
from ..state import Counter
from .session import Session


@njit
def _potentials(model, neurons, start, offset, out):
    for k in range(neurons.size):
        out[k] = potential(model, neurons[k], start, offset)


def potentials(session: Session, neurons: np.ndarray, out: np.ndarray) -> None:
    """Write V of ``neurons`` (local indices, int64) to ``out`` (float64), before the events of the tick at which the session stands."""
    now, bits = int(session.counters[Counter.NOW]), session.part.slab_bits
    start = now >> bits << bits
    _potentials(session.part.model, neurons, start, now - start, out)
