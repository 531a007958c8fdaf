"""Exact event-driven simulation of large sparse spiking networks, over MPI ranks.

Every public name is imported from its module when it is first used, so that importing the package costs milliseconds and needs none of MPI,
HDF5, Zarr and Dask.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparseprop_dist.at_spikes import AtSpikes, at_spikes
    from sparseprop_dist.build.kept import Kept
    from sparseprop_dist.config import load_pairs, load_spikes
    from sparseprop_dist.configuration import Configuration
    from sparseprop_dist.description import Input, Network, Population, Projection
    from sparseprop_dist.distributions import Lognormal, Normal, Uniform
    from sparseprop_dist.errors import InputError, Interrupted, SimulationError
    from sparseprop_dist.flat import Flat
    from sparseprop_dist.gradient_values import Gradients
    from sparseprop_dist.gradients import value_and_grad
    from sparseprop_dist.heartbeat import status
    from sparseprop_dist.inputs import Poisson, SampledCurrent, SineCurrent, SpikeTrains, StepCurrent
    from sparseprop_dist.interruption import Checkpoints
    from sparseprop_dist.models.eif import EIF
    from sparseprop_dist.models.flow import Flow
    from sparseprop_dist.models.intfire1 import IntFire1
    from sparseprop_dist.models.lif import LIF
    from sparseprop_dist.models.lif_psc_exp import LIFPscExp
    from sparseprop_dist.models.qif import QIF
    from sparseprop_dist.network_file import load
    from sparseprop_dist.plan import plan
    from sparseprop_dist.recordings import Recording
    from sparseprop_dist.result import Result
    from sparseprop_dist.resume import resume
    from sparseprop_dist.rules import (
        AllToAll,
        FixedIndegree,
        FixedOutdegree,
        FixedTotalNumber,
        OneToOne,
        Pairs,
        PairwiseBernoulli,
    )
    from sparseprop_dist.simulate import Simulation, simulate
    from sparseprop_dist.toml_text import dump, dumps
    from sparseprop_dist.train import Constraints, Rates, Trained, Training, train

__version__ = "0.1.0"

__all__ = [
    "EIF",
    "LIF",
    "QIF",
    "AllToAll",
    "AtSpikes",
    "Checkpoints",
    "Configuration",
    "Constraints",
    "FixedIndegree",
    "FixedOutdegree",
    "FixedTotalNumber",
    "Flat",
    "Flow",
    "Gradients",
    "Input",
    "InputError",
    "IntFire1",
    "Interrupted",
    "Kept",
    "LIFPscExp",
    "Lognormal",
    "Network",
    "Normal",
    "OneToOne",
    "Pairs",
    "PairwiseBernoulli",
    "Poisson",
    "Population",
    "Projection",
    "Rates",
    "Recording",
    "Result",
    "SampledCurrent",
    "Simulation",
    "SimulationError",
    "SineCurrent",
    "SpikeTrains",
    "StepCurrent",
    "Trained",
    "Training",
    "Uniform",
    "at_spikes",
    "dump",
    "dumps",
    "load",
    "load_pairs",
    "load_spikes",
    "plan",
    "resume",
    "simulate",
    "status",
    "train",
    "value_and_grad",
]

_HOME = {
    "at_spikes": ("AtSpikes", "at_spikes"),
    "build.kept": ("Kept",),
    "rules": (
        "AllToAll",
        "FixedIndegree",
        "FixedOutdegree",
        "FixedTotalNumber",
        "OneToOne",
        "Pairs",
        "PairwiseBernoulli",
    ),
    "config": ("load_pairs", "load_spikes"),
    "configuration": ("Configuration",),
    "description": ("Input", "Network", "Population", "Projection"),
    "distributions": ("Lognormal", "Normal", "Uniform"),
    "errors": ("InputError", "Interrupted", "SimulationError"),
    "gradient_values": ("Gradients",),
    "flat": ("Flat",),
    "gradients": ("value_and_grad",),
    "heartbeat": ("status",),
    "inputs": ("Poisson", "SampledCurrent", "SineCurrent", "SpikeTrains", "StepCurrent"),
    "interruption": ("Checkpoints",),
    "models.eif": ("EIF",),
    "models.flow": ("Flow",),
    "models.intfire1": ("IntFire1",),
    "models.lif": ("LIF",),
    "models.lif_psc_exp": ("LIFPscExp",),
    "models.qif": ("QIF",),
    "network_file": ("load",),
    "plan": ("plan",),
    "recordings": ("Recording",),
    "result": ("Result",),
    "resume": ("resume",),
    "simulate": ("Simulation", "simulate"),
    "toml_text": ("dump", "dumps"),
    "train": ("Constraints", "Rates", "Trained", "Training", "train"),
}


MODULES = ("losses", "optimisers", "tasks")
"""Used by their own names."""


def __getattr__(name: str) -> object:
    if name in MODULES:
        return import_module(f"{__name__}.{name}")
    for module, names in _HOME.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value  # the next use finds it without this function
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *MODULES})


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        """Importing the module ``simulate`` must not hide the function of that name: it is what ``sparseprop_dist.simulate`` means."""
        if isinstance(value, ModuleType) and name in __all__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
