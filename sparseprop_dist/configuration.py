"""What a file says: a network, and how to run it. The same for TOML and SONATA; knows neither."""

from dataclasses import dataclass
from typing import Any

from sparseprop_dist.description import Network
from sparseprop_dist.interruption import Checkpoints


@dataclass(frozen=True)
class Configuration:
    """A network, and how a file says to run it; None where it says nothing."""

    network: Network
    until: float | None = None
    """ms"""
    output: str | None = None
    """Run directory, an absolute path."""
    window: float | None = None
    """ms"""
    schedule: str | None = None
    checkpoints: Checkpoints | None = None
    train: dict[str, Any] | None = None
    """What [train] says; see `training_file`."""
    path: str = ""
    """The file."""
