"""Neuron models, one file each: the description that a user writes, the record that kernels read, and its bodies."""
