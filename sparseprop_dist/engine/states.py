"""The states of all neurons of a rank at once, out of their records and back."""

from ..jit import njit
from ..models.protocol import restore, save


@njit
def save_all(model, out):
    """Copy the states of all neurons into ``out``, int64 (STATES, neurons)."""
    for i in range(out.shape[1]):
        save(model, i, 1, out[:, i:])


@njit
def restore_all(model, copy):
    """Set all neurons to the states that `save_all` copied."""
    for i in range(copy.shape[1]):
        restore(model, i, copy, i)
