"""Pairs of neurons in HDF5: datasets source and target, and weight and delay if each synapse has its own.

Owns that layout, which is ours (SONATA's is in ``edges``).
"""

import os

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.errors import InputError
from sparseprop_dist.sonata import hdf5

Numbers = NDArray[np.float64] | None


def read_pairs(path: str | os.PathLike[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], Numbers, Numbers]:
    """Read the synapses of a projection.

    Returns
    -------
    sources, targets : (n_synapses,) int64, 0-based position in the source pool and in the target pool
    weight : (n_synapses,) float64 mV, None if the file has none
    delay : (n_synapses,) float64 ms, None if the file has none

    Raises
    ------
    InputError
        if the file is missing, damaged, or its datasets are of another type or of different lengths.
    """
    with hdf5.reading(path, "file of pairs") as file:
        sources = hdf5.integers(file, "source")
        n = len(sources)
        targets = hdf5.integers(file, "target", n)
        weight, delay = (hdf5.numbers(file, name, n) if name in file else None for name in ("weight", "delay"))
        if unknown := set(file) - {"source", "target", "weight", "delay"}:
            raise InputError(f'"{path}" holds "{sorted(unknown)[0]}"; a file of pairs has source, target and, if wanted, weight and delay')
    return sources, targets, weight, delay
