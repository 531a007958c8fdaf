"""Slurm's warning, SIGUSR1, which may come before anything else of the package is there to hear it: unheard, it ends the process.

Owns the one fact that it came. Imports nothing that takes time.
"""

import signal

heard: list[str] = []
"""Names of the signals that came."""


def listen() -> None:
    """From now on keep in mind that a warning came."""
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(signal.Signals(number).name))
