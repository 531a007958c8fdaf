"""From a description and a partition to the arrays of one rank.

Owns the order of the steps; each step is a module: `neurons`, `synapses`, `drive`. Pure functions of the description and the share of the
rank: no communication.
"""

from .kept import Kept, Numbered
from .part import Part, build

__all__ = ["Kept", "Numbered", "Part", "build"]
