"""A batch of samples: the copies of a network that run them, over groups of ranks; the loss of all of them, and its gradient.

Owns who runs which sample. The loss sees the spikes of all samples as those of one network of as many copies, and no bit depends on groups:
copies share nothing, and sums over them have no order (`replicas.summed`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .description import Network
from .errors import InputError, SimulationError
from .exchange import Alone
from .gradients import MEMORY, check_cotangents, record, sweep, warm_sweep
from .preparation import Run, schedule_of, warm
from .replicas import Arrays, Replicas, gids_of, summed
from .tape import Log


class Groups:
    """The ranks of a job in groups of one size: samples are shared out to the groups, a network to the ranks of its group."""

    def __init__(self, world: Alone, n: int, network: Network) -> None:
        if n < 1 or world.size % n:
            raise InputError(f"groups is {n}, for {world.size} ranks; give a number that divides them")
        self.world, self.n = world, n
        self.own, self.across, self.number = world.split(n)
        if n > 1:  # all together, so that one rank compiles
            warm(world, network, schedule_of(network, "auto"), False)

    def together(self, call: Callable[[], Any]) -> Any:
        """Call on every rank; what goes wrong in one group ends all."""
        result, error = None, None
        try:
            result = call()
        except (InputError, SimulationError) as raised:
            error = raised
        self.world.agree(error)
        return result


class Step(NamedTuple):
    """What a batch says."""

    value: float  # the loss
    right: int  # samples that are classified rightly
    counts: np.ndarray  # int64 (samples * neurons,), spikes of each copy of each neuron
    gradients: Arrays  # by "name/place of the projection or population"


class Batches:
    """Runs batches of samples of one task; networks differ in their numbers alone."""

    def __init__(
        self,
        groups: Groups,
        network: Network,
        task: Any,
        until: float,
        wrt: tuple[str, ...] = (),
        method: str = "frame",
        memory: float = MEMORY,
    ) -> None:
        """``network``: listed; ``wrt``, ``method``, ``memory``: as for `gradients.sweep`."""
        self.groups, self.network, self.task, self.until = groups, network, task, until
        self.wrt, self.method, self.memory = wrt, method, memory
        self._copies: dict[int, Replicas] = {}
        if groups.n > 1 and wrt:
            warm_sweep(groups.world, network, method, several=groups.own.size > 1)

    def _record(self, network: Network, samples: np.ndarray) -> tuple[Network, Run, Log]:
        n = len(samples)
        if n not in self._copies:
            self._copies[n] = Replicas(self.network, n)
        copies = self._copies[n]
        whole = copies.build(network, self.task.trains(samples))
        return whole, *record(whole, self.until, "auto", self.groups.own, self.wrt, copies.kept)

    def _gids(self, n: int) -> Callable[[str], np.ndarray]:
        return lambda name: gids_of(self.network, name, n)

    def step(self, network: Network, samples: np.ndarray, parameters: Arrays) -> Step:
        """Return the loss of these samples and its gradients by ``parameters``, those of one copy; collective."""
        groups, n = self.groups, len(samples)
        cuts = np.arange(groups.n + 1) * n // groups.n
        first, own = int(cuts[groups.number]), samples[cuts[groups.number] : cuts[groups.number + 1]]
        ran = groups.together(lambda: self._record(network, own) if len(own) else None)
        order, times, ids = ran[2].spikes(ran[0].n_neurons) if ran else (np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))
        parts = groups.world.collect((times, _renumbered(self.network, ids, len(own), n, first)) if groups.own.rank == 0 else None)
        value, right, counts, cotangents = groups.world.share(groups.together(lambda: self._loss(parts, samples)))
        start = sum(len(part[0]) for part in [part for part in parts if part is not None][: groups.number])
        largest, of_log = float(np.abs(cotangents).max(initial=0.0)), np.zeros(len(ran[2].time) if ran else 0)
        of_log[order] = cotangents[start : start + len(order)]
        gradients = groups.together(
            lambda: sweep(ran[1], ran[2], of_log, self.wrt, ran[0], self.method, self.memory, largest) if ran else None
        )
        return Step(value, right, counts, {key: summed(gradients, key, array.shape, groups.across) for key, array in parameters.items()})

    def _loss(self, parts: list[Any], samples: np.ndarray) -> tuple[float, int, np.ndarray, np.ndarray] | None:
        """On rank 0, return what the spikes of all groups say; cotangents in the order of ``parts``."""
        if self.groups.world.rank:
            return None
        n = len(samples)
        times, ids = (np.concatenate(column) for column in zip(*(part for part in parts if part is not None), strict=True))
        order = np.lexsort((ids, times))
        times, ids = times[order], ids[order]
        value, by_time = self.task.loss(self._gids(n), samples)(times, ids)
        cotangents = np.empty(len(times))
        cotangents[order] = check_cotangents(by_time, times, ids)
        right = self.task.right(times, ids, self._gids(n), samples)
        return float(value), right, np.bincount(ids, minlength=n * self.network.n_neurons), cotangents

    def evaluate(self, network: Network, size: int) -> tuple[float, float]:
        """Return the mean loss and the accuracy over all samples, ``size`` at a time in each group; collective."""
        groups, n = self.groups, self.task.n_samples
        firsts = range(0, n, size)

        def own() -> list[tuple[int, float, int]]:
            return [
                (first, *self._evaluated(network, np.arange(first, min(first + size, n)))) for first in firsts[groups.number :: groups.n]
            ]

        found = groups.world.collect(groups.together(own))
        each = sorted({entry[0]: entry for part in found for entry in part}.values())
        total = 0.0
        for first, value, _ in each:
            total += min(size, n - first) * value
        return total / n, sum(right for _, _, right in each) / n

    def _evaluated(self, network: Network, samples: np.ndarray) -> tuple[float, int]:
        whole, _, log = self._record(network, samples)
        _, times, ids = log.spikes(whole.n_neurons)
        gids = self._gids(len(samples))
        return self.task.loss(gids, samples)(times, ids)[0], self.task.right(times, ids, gids, samples)


def _renumbered(network: Network, ids: np.ndarray, n_own: int, n: int, first: int) -> np.ndarray:
    """Return gids in a network of ``n`` copies, for those in one of ``n_own`` that are its copies from ``first`` on."""
    if not n_own:
        return ids
    starts = np.array([network.first(population.name) for population in network.populations if not population.is_source])
    sizes = np.array([population.size for population in network.populations if not population.is_source])
    which = np.searchsorted(n_own * starts, ids, side="right") - 1
    return n * starts[which] + ids - n_own * starts[which] + first * sizes[which]
