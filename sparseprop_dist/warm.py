"""Compiling once a node: the first rank fills the cache of compiled code while the others wait.

Owns the mark in the cache folder that says that it is full; the folder's name changes with the sources (`jit`).
"""

import contextlib
import pathlib
from collections.abc import Callable


def warm_up(cache: pathlib.Path, what: str, compile_all: Callable[[], None]) -> None:
    """Call ``compile_all`` unless it was done for this cache folder and ``what`` (a name) before."""
    mark = cache / f"complete-{what}"
    if mark.exists():
        return
    compile_all()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        cache.mkdir(parents=True, exist_ok=True)
        mark.touch()
