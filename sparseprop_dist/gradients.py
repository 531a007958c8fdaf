"""Gradients of a loss of spike times: a run, its log, the backward sweep, and what each parameter gets of it.

Owns the composition; the sweep is in `backward`, the derivatives of each model in `models/*_adjoint.py`. See ``docs/design/gradients.md``.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import backward
from .backward import EACH, NONE, SHARED, Sweep
from .build.neurons import model_and_values
from .build.numbers import n_numbered, numbers, words_of_each
from .clock import ticks
from .description import Network, Population, Projection
from .distributions import Distribution
from .errors import InputError, SimulationError, nearest
from .exact_sum import HIGH, MOST, carried, value_of
from .exchange import Alone, agreed, world
from .gradient_values import Gradients
from .inputs import Current, Poisson, SpikeTrains
from .models.adjoint import own_spikes
from .models.parameters import Model, joined
from .partition import Share
from .preparation import Run
from .simulate import Simulation
from .tape import Log, Tape

REACH = 8.0
"""Smallest time constants between two anchors of the frames: e^8 is far from an overflow, and all neurons are moved on so rarely."""
SYNAPTIC = ("weight", "delay")
SPIKE_TIMES = "spike_times"

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, Any]]


def value_and_grad(
    network: Network, loss: Loss, until: float, *, wrt: Sequence[str] = ("weight",), schedule: str = "auto", comm: Alone | None = None
) -> tuple[float, Gradients]:
    """Simulate ``network`` to ``until`` ms and return a loss of its spikes with its exact gradients; collective.

    Spikes that appear or vanish have no gradient: what is returned is that of the spikes there are.

    Parameters
    ----------
    loss : a function of all spikes of neurons, ``times`` (float64 (S,), ms, ascending) and ``ids`` (int64 (S,), gids), that returns its
        value and the derivatives of it by each time, (S,); see `losses`. It is called on rank 0.
    wrt : names of parameters: "weight", "delay", "spike_times" (of spike sources), and those of models, such as "I_e", "V_th"
    schedule : as for `simulate`

    Returns
    -------
    value : float
    gradients : Gradients
        ``gradients["weight"][projection]``, ``gradients["I_e"]["exc"]``: in units of the loss per unit of the parameter.

    Raises
    ------
    InputError
        for unknown names, a model or input without derivatives, cotangents that are no numbers.
    SimulationError
        where gradients have grown beyond 1e10 times the largest cotangent, or the run itself cannot go on.
    """
    communicator = world() if comm is None else comm
    wanted = _checked(network, wrt)
    run, log = record(network, until, schedule, communicator)
    value, cotangents = _loss(communicator, loss, log, network)
    return value, sweep(run, log, cotangents, wanted, network)


def record(network: Network, until: float, schedule: str, communicator: Alone) -> tuple[Run, Log]:
    """Simulate; return the run and its log, the same on all ranks."""
    check(network)
    simulation = Simulation(network, until, schedule=schedule, record=False, comm=communicator)
    run = simulation.run
    tape = run.tape = Tape()
    simulation.advance()
    simulation.close()
    times, gids = run.trains
    before = times < until
    return run, tape.log(communicator, ticks(times[before]), gids[before])


def check(network: Network) -> None:
    """Refuse networks that cannot be differentiated."""
    kinds = set()
    for population in network.populations:
        if isinstance(population.model, SpikeTrains):
            continue
        model = population.model.lowered()
        if model.adjoint is None:
            raise InputError(f"{population}: gradients of {type(population.model).__name__} are not there yet; use LIF or LIFPscExp")
        kinds.add(type(model))
        if getattr(model, "refractory_input", False):
            raise InputError(f"{population}: refractory_input has no gradients; leave it out")
    if len(kinds) > 1:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(f"gradients of networks that mix {names} are not there yet; use one model for all populations")
    for driven in network.inputs:
        if isinstance(driven.kind, Current):
            raise InputError(f"{driven}: networks with currents that vary have no gradients yet; leave it out")
    for projection in network.projections:
        if projection.storage != "stored":
            raise InputError(f'{projection}: gradients need stored synapses; give storage = "stored"')


def _checked(network: Network, wrt: Sequence[str]) -> tuple[str, ...]:
    if isinstance(wrt, str):
        wrt = (wrt,)
    models = [population.model.lowered() for population in network.populations if isinstance(population.model, Model)]
    known = [*SYNAPTIC, SPIKE_TIMES, *dict.fromkeys(name for model in models for name in model.differentiable)]
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
        cotangents = np.asarray(cotangents, np.float64)
        if cotangents.shape != times.shape:
            raise InputError(f"the loss returned derivatives of shape {cotangents.shape} for {len(times)} spikes; give one for each spike")
        wrong = np.flatnonzero(~np.isfinite(cotangents))
        if wrong.size:
            k = int(wrong[0])
            where = f"the spike of neuron {ids[k]} at {times[k]:.6g} ms"
            raise InputError(f"the loss has derivative {cotangents[k]} by {where} (spike {k}); all must be finite numbers")
        return float(value), cotangents

    value, cotangents = communicator.share(agreed(communicator, call))
    out = np.zeros(len(log.time))
    out[order] = cotangents
    return value, out


def sweep(run: Run, log: Log, cotangents: np.ndarray, wanted: tuple[str, ...], network: Network) -> Gradients:
    """Sweep back over the log of a run, and return the gradients that are asked for; collective."""
    communicator, part = run.communicator, run.part
    largest = float(np.abs(cotangents).max(initial=0.0))
    scale = 2.0 ** math.frexp(largest)[1] if largest else 1.0
    shares = run.division.shares(communicator.rank)
    values = joined([model_and_values(run.network, share)[1] for share in shares])
    reach = communicator.least(int(ticks(REACH * min(float(values["tau_m"].min(initial=1e3)), 1e3))))
    local = np.full(len(log.gid), -1, np.int32)
    mine = (log.gid < network.n_neurons) & (run.division.owner(log.gid.astype(np.int64)) == communicator.rank)
    local[mine] = run.gid_to_local(log.gid[mine].astype(np.int64))
    own_ptr, own = own_spikes(local, len(values["gid"]))
    model: Any = next(p.model.lowered() for p in network.populations if isinstance(p.model, Model))
    poisson = np.concatenate([_gets_poisson(network, share) for share in shares])
    adjoint = agreed(communicator, lambda: model.adjoint.make(values, own_ptr, log.time[own], log.trigger[own], poisson, "tau_m" in wanted))
    w = _sweep_of(run, log, local, cotangents / scale, wanted, reach)
    adjoint.anchor[0] = int(log.time[-1] // reach + 1) * reach if len(log.time) else 0
    if (inputs := getattr(adjoint, "inputs", None)) is not None:
        backward.forward(inputs, w._replace(want_weight=0 * w.want_weight, want_delay=0 * w.want_delay), part.synapses, part.blocks)
        backward.begin_all(inputs, len(values["gid"]))
    if communicator.size == 1:
        backward.sweep(adjoint, w, part.synapses, part.blocks, reach, network.n_neurons)
    else:
        _together(communicator, adjoint, w, part, reach, network.n_neurons)
    backward.begin_all(adjoint, len(values["gid"]))
    worst = max(communicator.collect(float(w.worst[0])))
    if not worst < MOST:
        raise SimulationError(
            f"gradients grew beyond {MOST / HIGH:.1g} times the largest derivative of the loss: the network is chaotic "
            "over this time, or a neuron crosses threshold with almost no speed; take a shorter run"
        )
    unclear = getattr(adjoint, "unclear", np.zeros(1, np.int64))[0]
    for gid in communicator.collect(int(values["gid"][unclear - 1]) if unclear else -1):
        if gid >= 0:
            raise SimulationError(
                f"neuron {gid} has no clear gradient: two synapses of one source reach it at once and make it fire; give it t_ref above "
                "0, or the rule allow_multapses = false"
            )
    return Gradients(network, _collected(run, network, log, w, adjoint.gradients(values), wanted, scale))


def _gets_poisson(network: Network, share: Share) -> np.ndarray:
    here = any(share.population in driven.targets for driven in network.inputs if isinstance(driven.kind, Poisson))
    return np.full(share.stop - share.start, here)


def _want(wanted: tuple[str, ...], projection: Projection, name: str) -> int:
    if name not in wanted:
        return NONE
    return EACH if isinstance(getattr(projection, name), np.ndarray | Distribution) else SHARED


def _sweep_of(run: Run, log: Log, local: np.ndarray, cotangents: np.ndarray, wanted: tuple[str, ...], longest: int) -> Sweep:
    """Return the record of the sweep, empty."""
    synapses, communicator, projections = run.part.synapses, run.communicator, run.network.projections
    recurrent = synapses.train == 0
    instant = communicator.least(-int((recurrent & (synapses.instant == 1)).any()))
    shortest = communicator.least(int(synapses.delay[recurrent & (synapses.instant == 0)].min(initial=1 << 61)))
    wants = np.array([[_want(wanted, projections[j], name) for j in synapses.drawn.place] for name in SYNAPTIC], np.uint8).reshape(2, -1)
    bases, n_words = backward.word_bases(synapses)
    room = [np.zeros(n_words if (want == EACH).any() else 0) for want in wants]
    return Sweep(
        log.time, log.gid, local, cotangents, np.zeros((2, len(log.gid)), np.int64), wants[0], wants[1],
        np.zeros((2, len(projections)), np.int64), np.zeros((2, len(projections)), np.int64), bases,
        room[0], room[1], np.zeros(1), np.zeros(5, np.int64), int(instant < 0), min(shortest, longest),
    )  # fmt: skip


def _together(communicator: Alone, adjoint: Any, w: Sweep, part: Any, reach: int, n_neurons: int) -> None:
    """Sweep with other ranks: the sums of each group are added up between its two steps."""
    stop = len(w.time)
    while stop > 0:
        first = backward.gather(adjoint, w, part.synapses, part.blocks, reach, stop, n_neurons)
        w.sums[:, first:stop] = carried(communicator.total(w.sums[:, first:stop]))
        backward.finish(adjoint, w, part.synapses, part.blocks, first, stop, n_neurons)
        stop = first


def _collected(
    run: Run, network: Network, log: Log, w: Sweep, own: dict[str, np.ndarray], wanted: tuple[str, ...], scale: float
) -> dict[str, dict[tuple[str, int], Any]]:
    """Return all gradients that are asked for, of all ranks; collective."""
    out: dict[str, dict[tuple[str, int], Any]] = {}
    for name in wanted:
        if name in SYNAPTIC:
            out[name] = _of_synapses(run, network, w, name, scale)
        elif name == SPIKE_TIMES:
            out[name] = _of_spike_times(run, network, log, w, scale)
        else:
            out[name] = _of_neurons(run, network, own[name] * scale, name)
    return out


def _key(network: Network, place: int) -> tuple[str, int]:
    """Return what a projection of the lowered network is in the description."""
    if place < len(network.projections):
        return "projection", place
    trains = [k for k, driven in enumerate(network.inputs) if isinstance(driven.kind, SpikeTrains)]
    return "input", trains[place - len(network.projections)]


def _of_synapses(run: Run, network: Network, w: Sweep, name: str, scale: float) -> dict[tuple[str, int], Any]:
    of, each = (w.of_weight, w.each_weight) if name == "weight" else (w.of_delay, w.each_delay)
    projections, communicator = run.network.projections, run.communicator
    total = value_of(carried(communicator.total(of))) * scale
    places = [k for k, projection in enumerate(projections) if _want((name,), projection, name) == EACH]
    numbered = numbers(run.network, run.division, communicator.rank, places) if places else None
    out: dict[tuple[str, int], Any] = {}
    for place, projection in enumerate(projections):
        if numbered is None or place not in places:
            out[_key(network, place)] = float(total[place])
            continue
        found, derivatives = [np.empty(0, np.int64)], [np.empty(0)]
        for p in np.flatnonzero(numbered.drawn.place == place):
            words, which = words_of_each(numbered, int(p))
            found.append(which)
            derivatives.append(each[w.word_base[p] + words] * scale)
        gradient = np.zeros(n_numbered(run.network, projection))
        for which, own in communicator.collect((np.concatenate(found), np.concatenate(derivatives))):
            gradient[which] += own
        out[_key(network, place)] = gradient
    return out


def _of_neurons(run: Run, network: Network, own: np.ndarray, name: str) -> dict[tuple[str, int], Any]:
    parts = {
        share.population: own[share.local : share.local + share.stop - share.start] for share in run.division.shares(run.communicator.rank)
    }
    every = run.communicator.collect(parts)
    out: dict[tuple[str, int], Any] = {}
    for place, population in enumerate(network.populations):
        if isinstance(population.model, Model):
            gradient = np.concatenate([part[population.name] for part in every])
            one = not isinstance(getattr(population.model, name), np.ndarray | Distribution)
            out["population", place] = math.fsum(gradient) if one else gradient
    return out


def _of_spike_times(run: Run, network: Network, log: Log, w: Sweep, scale: float) -> dict[tuple[str, int], Any]:
    of_sources = np.flatnonzero(log.gid >= run.network.n_neurons)
    derivatives = value_of(carried(run.communicator.total(w.sums[:, of_sources]))) * scale
    out: dict[tuple[str, int], Any] = {}
    for population in run.network.populations:
        if isinstance(population.model, SpikeTrains):
            gids, model = run.network.gids(population), population.model
            mine = (log.gid[of_sources] >= gids.start) & (log.gid[of_sources] < gids.stop)
            gradient = np.zeros(len(model.times))
            order = np.lexsort((model.ids, model.times))
            gradient[order[: mine.sum()]] = derivatives[mine]
            out[_source_key(network, population)] = gradient
    return out


def _source_key(network: Network, population: Population) -> tuple[str, int]:
    for place, known in enumerate(network.populations):
        if known is population:
            return "population", place
    return "input", int(population.name.removeprefix("input "))
