"""The spikes of a run in the formats of other tools.

Composes ``store`` and ``sonata``, a block of spikes at a time. Node id in a SONATA file = global id - first global id of its population.
"""

import os

import numpy as np

from sparseprop_dist import store
from sparseprop_dist.sonata import SpikeWriter


def to_sonata(run: str | os.PathLike[str], path: str | os.PathLike[str]) -> int:
    """Write the spikes of a run as a SONATA spike file, with a group for each population.

    Parameters
    ----------
    run : path
        Run directory.
    path : path
        HDF5 file to write; it must not exist.

    Returns
    -------
    int
        Number of spikes written.

    Raises
    ------
    InputError
        If ``run`` holds no readable spikes, or ``path`` exists or cannot be written.
    """
    spikes = store.spikes(run)
    firsts = {str(entry["name"]): int(entry["first"]) for entry in spikes.attributes["populations"]}
    names = sorted(firsts, key=firsts.__getitem__)
    with SpikeWriter(path, names) as writer:
        for times, ids in spikes.blocks():
            population = np.searchsorted([firsts[name] for name in names], ids, side="right") - 1
            for number in np.unique(population):
                mine = population == number
                writer.append(names[number], times[mine], ids[mine] - firsts[names[number]])
    return len(spikes)
