"""Gradients of a loss of spike times: a run, its log, the backward sweep, and what each parameter gets of it.

Owns the composition; the sweep is in `backward`, its two ways in `frames` and `replay`, the derivatives of models beside them. See
``docs/design/gradients.md``.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .build import Kept, Numbered
from .build.part import lower
from .clock import TICK_BITS, ticks
from .description import Network
from .errors import InputError, SimulationError, nearest
from .exact_sum import HIGH, MOST
from .exchange import Alone, agreed, world
from .frames import Frames
from .gradient_values import Gradients, collected
from .inputs import Current, Poisson, SpikeTrains
from .jit import CACHE
from .models.adjoint import BY_FLOW, own_spikes
from .models.parameters import Model
from .preparation import Run, prepare, schedule_of
from .replay import Replay
from .simulate import Simulation
from .sweep import SPIKE_TIMES, SYNAPTIC, empty, of_each
from .tape import Log, Tape
from .warm import kinds, tiny, warm_up

METHODS = ("auto", "frame", "replay")
MEMORY = 2e9
"""Bytes that the arrivals of a replay may take on each rank."""

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, Any]]


def value_and_grad(
    network: Network,
    loss: Loss,
    until: float,
    *,
    wrt: Sequence[str] = ("weight",),
    schedule: str = "auto",
    method: str = "auto",
    memory: float = MEMORY,
    kept: Kept | None = None,
    comm: Alone | None = None,
) -> tuple[float, Gradients]:
    """Simulate ``network`` to ``until`` ms and return a loss of its spikes with its exact gradients; collective.

    Spikes that appear or vanish have no gradient: what is returned is that of the spikes there are.

    Parameters
    ----------
    loss : a function of all spikes of neurons, ``times`` (float64 (S,), ms, ascending) and ``ids`` (int64 (S,), gids), that returns its
        value and the derivatives of it by each time, (S,); see `losses`. It is called on rank 0.
    wrt : names of parameters: "weight", "delay", "spike_times" (of spike sources), and those of models, such as "I_e", "V_th"
    schedule : as for `simulate`
    method : "frame", by adjoints that are constant between spikes, for LIF or LIFPscExp neurons alone: nothing is kept but the spikes;
        "replay", for LIF, QIF, EIF, Flow and mixtures of them: arrivals are gone over again; "auto": a frame where there is one
    memory : bytes that the arrivals of a replay may take on each rank; a run with more is cut into segments of time, whose arrivals are
        made twice. The gradients have the same bits.
    kept : of earlier calls, see `Kept`: of a network whose weights alone change, the synapses are built once

    Returns
    -------
    value : float
    gradients : Gradients
        ``gradients["weight"][projection]``, ``gradients["I_e"]["exc"]``: in units of the loss per unit of the parameter.

    Raises
    ------
    InputError
        for unknown names, a model or input without derivatives, cotangents that are no numbers, too little memory.
    SimulationError
        where gradients have grown beyond 1e10 times the largest cotangent, or the run itself cannot go on.
    """
    communicator = world() if comm is None else comm
    wanted = checked(network, wrt)
    way = method_of(network, wanted, method, memory)
    run, log = record(network, until, schedule, communicator, wanted, kept)
    value, cotangents = _loss(communicator, loss, log, network)
    return value, sweep(run, log, cotangents, wanted, network, way, memory)


def record(
    network: Network, until: float, schedule: str, communicator: Alone, wanted: tuple[str, ...] = (), kept: Kept | None = None
) -> tuple[Run, Log]:
    """Simulate; return the run, ready for a sweep with respect to the parameters ``wanted``, and its log, the same on all ranks."""
    check(network)
    way: Numbered = Numbered() if kept is None else kept
    way.numbered = of_each(lower(network), wanted)
    simulation = Simulation(network, until, schedule=schedule, record=False, comm=communicator, kept=way)
    run = simulation.run
    tape = run.tape = Tape()
    simulation.advance()
    simulation.close()
    times, gids = run.trains
    before = times < until
    return run, tape.log(communicator, ticks(times[before]), gids[before])


def check(network: Network) -> None:
    """Refuse networks that cannot be differentiated."""
    for population in network.populations:
        if isinstance(population.model, SpikeTrains):
            continue
        if getattr(population.model.lowered(), "refractory_input", False):
            raise InputError(f"{population}: refractory_input has no gradients; leave it out")
    if not _models(network):
        raise InputError("the network has no neurons that could have gradients; add a population of a neuron model")
    for driven in network.inputs:
        if isinstance(driven.kind, Current):
            raise InputError(f"{driven}: networks with currents that vary have no gradients yet; leave it out")
    for projection in network.projections:
        if projection.storage != "stored":
            raise InputError(f'{projection}: gradients need stored synapses; give storage = "stored"')


def _models(network: Network) -> list[Model]:
    return [population.model.lowered() for population in network.populations if isinstance(population.model, Model)]


def method_of(network: Network, wanted: tuple[str, ...], method: str = "auto", memory: float = MEMORY) -> str:
    """Return how a network is differentiated, "frame" or "replay", as it is asked for; see `value_and_grad`."""
    if method not in METHODS:
        raise InputError(f'method is "{method}"; give one of {", ".join(METHODS)}')
    if not (isinstance(memory, int | float | np.number) and memory > 0):
        raise InputError(f"memory is {memory!r}; give a number of bytes above 0")
    kinds = {type(model): model for model in _models(network)}
    without_frame = [kind for kind in kinds if kind.adjoint is None]
    without_course = [kind for kind in kinds if kind.course is None]
    poisson = next((driven for driven in network.inputs if isinstance(driven.kind, Poisson)), None)
    in_frame = len(kinds) == 1 and not without_frame
    if method == "frame" and not in_frame:
        given = f"{without_frame[0].__name__} has none" if without_frame else "populations of different models have different ones"
        raise InputError(f'method is "frame", but {given}; give method = "replay"')
    if method == "frame" or (method == "auto" and in_frame):
        return "frame"
    if without_course:
        raise InputError(
            f"gradients of {without_course[0].__name__} neurons with neurons of other models, or by replay, are not there; use one model "
            'for all populations, and method = "auto"'
        )
    if poisson is not None:
        raise InputError(f"{poisson}: Poisson events cannot be replayed; give SpikeTrains, or leave it out")
    return "replay"


def checked(network: Network, wrt: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the parameters that gradients are asked for."""
    if isinstance(wrt, str):
        wrt = (wrt,)
    known = [*SYNAPTIC, SPIKE_TIMES, *dict.fromkeys(name for model in _models(network) for name in model.differentiable)]
    for name in wrt:
        if name not in known:
            raise InputError(f'wrt names "{name}"{nearest(str(name), known)}; give names among {", ".join(known)}')
    return tuple(wrt)


def _loss(communicator: Alone, loss: Loss, log: Log, network: Network) -> tuple[float, np.ndarray]:
    """Call the loss on rank 0; return its value and the cotangents in the order of the log, those of spike sources 0."""
    order, times, ids = log.spikes(network.n_neurons)

    def call() -> tuple[float, np.ndarray] | None:
        if communicator.rank:
            return None
        value, cotangents = loss(times, ids)
        return float(value), check_cotangents(cotangents, times, ids)

    value, cotangents = communicator.share(agreed(communicator, call))
    out = np.zeros(len(log.time))
    out[order] = cotangents
    return value, out


def check_cotangents(cotangents: Any, times: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the derivatives of a loss by the times of spikes, float64 (S,), if they are so many, and numbers."""
    cotangents = np.asarray(cotangents, np.float64)
    if cotangents.shape != times.shape:
        raise InputError(f"the loss returned derivatives of shape {cotangents.shape} for {len(times)} spikes; give one for each spike")
    wrong = np.flatnonzero(~np.isfinite(cotangents))
    if wrong.size:
        k = int(wrong[0])
        where = f"the spike of neuron {ids[k]} at {times[k]:.6g} ms"
        raise InputError(f"the loss has derivative {cotangents[k]} by {where} (spike {k}); all must be finite numbers")
    return cotangents


def sweep(
    run: Run, log: Log, cotangents: np.ndarray, wanted: tuple[str, ...], network: Network, method: str, memory: float = MEMORY,
    largest: float | None = None,
) -> Gradients:  # fmt: skip
    """Sweep back over the log of a run, and return the gradients that are asked for; collective. ``largest``: of the absolute cotangents,
    also of other runs that must have the same bits."""
    if run.communicator.size > 1:
        warm_sweep(run.communicator, network, method)
    return _sweep(run, log, cotangents, wanted, network, method, memory, largest)


class _Pretended(Alone):
    """One rank that sweeps as several do."""

    size = 2


def warm_sweep(communicator: Alone, network: Network, method: str, several: bool = True) -> None:
    """Compile what sweeps need, once a node, network of these kinds and method; ``several``: of more than one rank."""

    def compile_all() -> None:
        small, one = tiny(network, drawn=False), np.ones(1, np.int64)
        small.inputs.clear()
        with contextlib.suppress(InputError, SimulationError):  # of a spike that never was
            run = prepare(Alone(), small, None, schedule_of(small, "auto"), None, Numbered(of_each(small, SYNAPTIC)))
            run.communicator = _Pretended() if several else Alone()
            log = Log(one << TICK_BITS - 1, 0 * one.astype(np.int32), BY_FLOW * one.astype(np.int32))
            _sweep(run, log, np.zeros(1), SYNAPTIC, small, method, MEMORY, None)

    name = "-".join(["sweep", method, *kinds(network), *["ranks"] * several])
    communicator.first_on_node(lambda: warm_up(CACHE, name, compile_all))


def _sweep(
    run: Run, log: Log, cotangents: np.ndarray, wanted: tuple[str, ...], network: Network, method: str, memory: float, largest: float | None
) -> Gradients:
    communicator = run.communicator
    largest = float(np.abs(cotangents).max(initial=0.0)) if largest is None else largest
    scale = 2.0 ** math.frexp(largest)[1] if largest else 1.0
    local = np.full(len(log.gid), -1, np.int32)
    mine = (log.gid < network.n_neurons) & (run.division.owner(log.gid.astype(np.int64)) == communicator.rank)
    local[mine] = run.gid_to_local(log.gid[mine].astype(np.int64))
    own = own_spikes(local, len(run.gids))
    w = empty(run, log, local, cotangents / scale, wanted)
    way = Frames(run, log, w, own, wanted) if method == "frame" else Replay(run, log, w, own, wanted, memory)
    of_neurons = way.gradients()
    worst = max(communicator.collect(float(w.worst[0])))
    if not worst < MOST:
        raise SimulationError(
            f"gradients grew beyond {MOST / HIGH:.1g} times the largest derivative of the loss: the network is chaotic "
            "over this time, or a neuron crosses threshold with almost no speed; take a shorter run"
        )
    for gid in communicator.collect(int(run.gids[way.unclear - 1]) if way.unclear else -1):
        if gid >= 0:
            raise SimulationError(
                f"neuron {gid} has no clear gradient: two synapses of one source reach it at once and make it fire; give it t_ref above "
                "0, or the rule allow_multapses = false"
            )
    return Gradients(network, collected(run, network, log, w, of_neurons, wanted, scale))
