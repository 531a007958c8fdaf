"""A file that describes a network, whatever its format.

Owns which suffix means which format; the formats themselves belong to ``config`` (TOML) and ``sonata`` (JSON with HDF5 and CSV).
"""

import os
from pathlib import Path

from sparseprop_dist.configuration import Configuration
from sparseprop_dist.errors import InputError


def load(path: str | os.PathLike[str]) -> Configuration:
    """Read a network and how long to run it.

    Parameters
    ----------
    path : path
        A TOML file, or the JSON configuration of a SONATA simulation.

    Raises
    ------
    InputError
        If there is no such file or something in it is wrong.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f'"{path}" is a directory; give the configuration file in it, .toml or (SONATA) .json')
        if not path.is_file():
            raise InputError(f'there is no configuration file "{path}"')
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise InputError(f'the configuration file "{path}" cannot be read ({error.strerror})') from None
    # The import of a reader waits until it is needed: HDF5 alone takes a tenth of a second.
    if path.suffix == ".toml":
        from sparseprop_dist import config

        return config.load(path)
    if path.suffix == ".json":
        from sparseprop_dist import sonata

        return sonata.load(path)
    raise InputError(f'the configuration file "{path}" ends in "{path.suffix}"; it must be a .toml file or a SONATA .json file')
