"""The networks of the SparseProp paper (R. Engelken, NeurIPS 2023, arXiv:2312.17216), for examples, benchmarks and tests.

Owns their parameters. With K synapses a neuron of weight J0/sqrt(K), sums of inputs vary by about J0 however many there are, and a drive of
``sqrt(K) J0 tau_m rate`` above threshold holds the balance with inhibition where neurons fire at ``rate``, up to terms of order 1/sqrt(K)
(van Vreeswijk & Sompolinsky, Science 274:1724, 1996).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Given, Normal, Uniform
from sparseprop_dist.errors import InputError, nearest
from sparseprop_dist.models.eif import EIF
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.parameters import Model, cast_count, spoken
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.rules import FixedIndegree

MOST_EXCITATION = math.sqrt(0.5)
"""Here excitation is as strong as inhibition, and nothing holds the rate."""


def _lif(tau_m: float, drive: float, spread: float) -> Model:
    """V_th - V_reset = 1 mV; C_m = tau_m, so that 1 pA holds V at 1 mV."""
    current = _spread(1.0 + drive, spread * drive)
    return LIF(tau_m=tau_m, C_m=tau_m, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0, I_e=current, V_m=Uniform(0.0, 1.0))


def _eif(tau_m: float, drive: float, spread: float) -> Model:
    """As LIF, with a soft threshold of sharpness 0.1, as the published program; 40 times that above it, the upstroke takes no time."""
    current = _spread(1.0 + drive, spread * drive)
    shape = {"V_T": 1.0, "Delta_T": 0.1, "V_peak": 5.0, "V_reset": 0.0}
    return EIF(tau_m=tau_m, C_m=tau_m, E_L=0.0, **shape, t_ref=0.0, I_e=current, V_m=Uniform(0.0, 1.0))


def _qif(tau_m: float, drive: float, spread: float) -> Model:
    """The potentials at time 0 are such that K = 100 neurons fire at their stationary rate from 20 ms on (found by trial); from phases
    spread evenly, the rate swings for a second."""
    root = math.sqrt(drive)
    return QIF(tau_m=tau_m, I=_spread(drive, spread * drive), V_m=Normal(round(-1.5 * root, 3), round(root, 3)))


MODELS: dict[str, Callable[[float, float, float], Model]] = {"lif": _lif, "qif": _qif, "eif": _eif}


def paper_network(
    model: str = "lif",
    size: int = 10_000,
    indegree: int = 100,
    *,
    rate: float = 1.0,
    coupling: float = 1.0,
    tau_m: float = 10.0,
    spread: float = 0.0,
    seed: int = 1,
) -> Network:
    """Return a network of ``size`` neurons that inhibit each other without delay, one population "inh".

    Parameters
    ----------
    model : {"lif", "qif", "eif"}
    size : number of neurons
    indegree : K, synapses onto each neuron, from different other ones
    rate : Hz, at which the drive would balance inhibition if K were infinite
    coupling : J0; a synapse has weight -J0/sqrt(K), in mV where V_th - V_reset is 1 mV, without unit for QIF
    tau_m : ms
    spread : each neuron's drive is drawn evenly between 1 - spread and 1 + spread times the mean, 0 <= spread < 1; more than 1,000 EIF
        neurons do not have one each
    seed : of the network

    Raises
    ------
    InputError
        for an unknown model, a value out of bounds, or an indegree that the population cannot meet.
    """
    _check(rate=rate, coupling=coupling, tau_m=tau_m, indegree=indegree)
    _check_below(1.0, spread=spread)
    drive = math.sqrt(indegree) * coupling * tau_m * rate * 1e-3
    network = Network(seed)
    population = network.add_population("inh", size, _model(model)(tau_m, drive, spread))
    network.connect(population, population, _rule(indegree), weight=-coupling / math.sqrt(indegree), delay=0.0)
    return network


def balanced_network(
    model: str = "qif",
    size: int = 10_000,
    indegree: int = 100,
    *,
    excitation: float = 0.1,
    rate: float = 1.0,
    coupling: float = 1.0,
    tau_m: float = 10.0,
    delay: float = 0.0,
    seed: int = 1,
) -> Network:
    """Return a network of excitatory (4 of 5) and inhibitory neurons, populations "exc" and "inh".

    Every neuron gets K synapses of weight e J0/sqrt(K) from "exc" and as many of weight -sqrt(1 - e^2) J0/sqrt(K) from "inh", e being
    ``excitation``: input varies as much as in `paper_network`, and all neurons are alike (after Monteforte & Wolf, PRL 105:268104, 2010).

    Parameters
    ----------
    excitation : e, from 0 up to sqrt(1/2). Without delay, strong excitation of neurons with a threshold (LIF) ends in a cascade
    delay : ms, of all synapses
    model, size, indegree, rate, coupling, tau_m, seed : as for `paper_network`; K synapses come from each population

    Raises
    ------
    InputError
        as `paper_network`.
    """
    _check(rate=rate, coupling=coupling, tau_m=tau_m, indegree=indegree)
    _check_below(MOST_EXCITATION, excitation=excitation)
    size = cast_count(size, "size", 5)
    inhibition = math.sqrt(1.0 - excitation**2)
    drive = math.sqrt(indegree) * coupling * (inhibition - excitation) * tau_m * rate * 1e-3
    network = Network(seed)
    neuron = _model(model)(tau_m, drive, 0.0)
    exc = network.add_population("exc", size * 4 // 5, neuron)
    inh = network.add_population("inh", size - size * 4 // 5, neuron)
    for source, strength in ((exc, excitation), (inh, -inhibition)):
        network.connect(source, [exc, inh], _rule(indegree), weight=strength * coupling / math.sqrt(indegree), delay=delay)
    return network


def _spread(mean: float, half_width: float) -> Given:
    return Uniform(mean - half_width, mean + half_width) if half_width else mean


def _rule(indegree: int) -> FixedIndegree:
    return FixedIndegree(indegree, allow_autapses=False, allow_multapses=False)


def _model(name: str) -> Callable[[float, float, float], Model]:
    if name not in MODELS:
        known = f"; known are {', '.join(MODELS)}"
        raise InputError(f"model is {spoken(name)}{(isinstance(name, str) and nearest(name, MODELS)) or known}")
    return MODELS[name]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _check(**values: Any) -> None:
    """Refuse what is not a positive finite number."""
    for name, value in values.items():
        if not _is_number(value) or not 0.0 < value < math.inf:
            raise InputError(f"{name} is {spoken(value)}; give a positive number")


def _check_below(bound: float, **values: Any) -> None:
    """Refuse what is not a number from 0 up to a bound."""
    for name, value in values.items():
        if not _is_number(value) or not 0.0 <= value < bound:
            raise InputError(f"{name} is {spoken(value)}; give a number of at least 0 and below {bound:.4g}")
