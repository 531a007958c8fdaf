"""SONATA, the format of the Allen Institute and the Blue Brain Project: networks in, spikes in and out; and pairs of neurons in HDF5.

Owns how those files are laid out; only this package imports h5py. What comes out is a description, arrays in ms and 0-based ids.
"""

from sparseprop_dist.sonata.circuit import load
from sparseprop_dist.sonata.pairs import read_pairs
from sparseprop_dist.sonata.spikes import SpikeWriter, read_spikes, write_spikes

__all__ = ["SpikeWriter", "load", "read_pairs", "read_spikes", "write_spikes"]
