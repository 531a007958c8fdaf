"""HDF5 files: opening one, taking its columns as arrays, and the sentences that say what is wrong with it.

Owns the checks of type, shape and length. Knows nothing of what the columns mean.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.errors import InputError, nearest


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], what: str) -> Iterator[h5py.File]:
    """Open an HDF5 file; `what` it is to be ("spike file") is how an error calls it."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f'the {what} "{path}" is a directory; name an HDF5 file')
    if not path.exists():
        raise InputError(f'there is no {what} "{path}"; mend the path, or put the file there')
    try:
        # locking=False: the file may lie in a folder, or on a file system, where no lock can be made, and nobody writes to it
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise InputError(
            f'the {what} "{path}" cannot be read: it is truncated, damaged or no HDF5 file ({error}); copy it again'
        ) from error


def place(item: h5py.Dataset | h5py.Group) -> str:
    """Return how an error calls a dataset or group."""
    return f'"{item.name}" of "{item.file.filename}"'


def group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return the group `name` of `parent`, or say that it is not there."""
    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        raise _absent(parent, name, "group")
    return found


def dataset(parent: h5py.Group, name: str, length: int | None = None) -> h5py.Dataset:
    """Return the one-dimensional dataset `name` of `parent`; it must have `length` elements, if that is given."""
    found = parent.get(name)
    if not isinstance(found, h5py.Dataset):
        raise _absent(parent, name, "dataset")
    if found.ndim != 1:
        raise InputError(f"{place(found)} has {found.ndim} dimensions; it must have one, an entry for each element")
    if length is not None and found.shape[0] != length:
        raise InputError(f"{place(found)} has {found.shape[0]} entries and must have {length}, as the other datasets of its group")
    return found


def integers(parent: h5py.Group, name: str, length: int | None = None) -> NDArray[np.int64]:
    """Return the dataset `name` as read-only int64, none of them negative."""
    found = dataset(parent, name, length)
    if found.dtype.kind not in "iu" and found.size:  # an empty list becomes float64 on its way into a file
        raise InputError(f"{place(found)} is of type {found.dtype}; it must hold whole numbers")
    # a uint64 above the largest int64 comes out negative, and is refused with the negative ones
    values = found[()].astype(np.int64, copy=False)
    if values.size and values.min() < 0:
        where = int(np.argmax(values < 0))
        raise InputError(f"{place(found)} holds {found[where]} at position {where}; it must be a whole number from 0 to {2**63 - 1}")
    return sealed(values)


def numbers(parent: h5py.Group, name: str, length: int | None = None) -> NDArray[np.float64]:
    """Return the dataset `name` as read-only float64."""
    found = dataset(parent, name, length)
    if found.dtype.kind not in "iuf":
        raise InputError(f"{place(found)} is of type {found.dtype}; it must hold numbers")
    return sealed(found[()].astype(np.float64, copy=False))


def attribute(item: h5py.Dataset | h5py.Group, name: str) -> str | None:
    """Return an attribute as text, None if it is not there."""
    value = item.attrs.get(name)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None if value is None else str(value)


def sealed(values: NDArray) -> NDArray:
    """Return the array itself, made read-only: a description then keeps it without a copy."""
    values.flags.writeable = False
    return values


def _absent(parent: h5py.Group, name: str, kind: str) -> InputError:
    names = ", ".join(f'"{member}"' for member in list(parent)[:6]) or "nothing"
    hint = nearest(name, list(parent)) or f"; it holds {names}"
    return InputError(f'"{parent.file.filename}" has no {kind} "{name}" in {parent.name}{hint}')
