"""A recurrent network learns the spike trains of a teacher, and with them the teacher's weights and delays.

    python docs/examples/teacher_student.py
    mpiexec -n 2 python docs/examples/teacher_student.py

Teacher and student have the same synapses. The teacher's weights and delays are drawn; the student begins with one weight and one delay for
all. It is shown what the teacher fires in answer to random input spikes, and follows the exact gradients of its own spike times by weights
and delays. Prints the loss, and how far weights and delays are from those of the teacher.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseprop_dist as sp
from sparseprop_dist.losses import Loss, spike_time_distance
from sparseprop_dist.optimisers import Adam, exponential
from sparseprop_dist.replicas import listed

CHANNELS, FROM_INPUT, FROM_NEURONS = 50, 12, 10
"""Input channels; synapses onto each neuron from those, and from other neurons."""
UNTIL, LAST_INPUT = 40.0, 25.0
WEIGHT, DELAY = (5.0, 15.0), (1.0, 5.0)
"""pA and ms, between which those of the teacher are drawn."""


def network(size: int, seed: int, weight: Any, delay: Any) -> sp.Network:
    """Return teacher or student, by weights and delays of its recurrent synapses."""
    net = sp.Network(seed)
    model = sp.LIFPscExp(tau_m=10.0, C_m=100.0, E_L=0.0, V_th=1.0, V_reset=0.0, V_m=0.0, t_ref=5.0, tau_syn_ex=3.0, tau_syn_in=3.0)
    net.add_population("neurons", size, model)
    net.add_population("input", CHANNELS, sp.SpikeTrains([], []))
    net.connect(
        "neurons", "neurons", sp.FixedIndegree(FROM_NEURONS, allow_autapses=False, allow_multapses=False), weight=weight, delay=delay
    )
    net.connect("input", "neurons", sp.FixedIndegree(FROM_INPUT, allow_multapses=False), weight=sp.Uniform(20.0, 60.0), delay=1.0)
    return net


@dataclass
class Lessons:
    """Input spikes of samples, and what the teacher answers: a task of `sp.train`."""

    inputs: list[np.ndarray]  # times (ms) of one spike of each channel
    answers: list[tuple[np.ndarray, np.ndarray]]  # times and ids

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    def trains(self, samples: np.ndarray) -> dict[str, sp.SpikeTrains]:
        """Return the input spikes of these samples, one copy of the network each."""
        times = np.concatenate([self.inputs[k] for k in samples])
        order = np.argsort(times, kind="stable")
        return {"input": sp.SpikeTrains(times[order], order)}

    def loss(self, gids: Any, samples: np.ndarray) -> Loss:
        """Return the distance of spike trains."""
        own = gids("neurons")
        times = np.concatenate([self.answers[k][0] for k in samples])
        ids = np.concatenate([own[row][self.answers[k][1]] for row, k in enumerate(samples)])
        return spike_time_distance(times, ids, neurons=own.ravel(), until=UNTIL)

    def right(self, times: np.ndarray, ids: np.ndarray, gids: Any, samples: np.ndarray) -> int:
        """Return how many samples have every neuron fire as often as the teacher's."""
        own = gids("neurons")
        counts = np.bincount(ids, minlength=int(own.max()) + 1)[own]
        wanted = [np.bincount(self.answers[k][1], minlength=own.shape[1]) for k in samples]
        return int((counts == np.array(wanted)).all(1).sum())


def lessons(teacher: sp.Network, n: int, seed: int) -> Lessons:
    """Return what a teacher answers to ``n`` random inputs."""
    rng = np.random.default_rng(seed)
    task = Lessons([rng.uniform(1.0, LAST_INPUT, CHANNELS) for _ in range(n)], [])
    for k in range(n):
        model = task.trains(np.array([k]))["input"]
        teacher.populations[1] = sp.Population("input", CHANNELS, model)
        spikes = sp.simulate(teacher, UNTIL).spikes
        task.answers.append((spikes.times, spikes.ids))
    return task


def taught(size: int, samples: int, epochs: int, batch: int, seed: int) -> tuple[list[dict[str, float]], np.ndarray, np.ndarray]:
    """Return the history, and weights and delays (2, synapses) of the teacher and of the student."""
    teacher = network(size, seed, sp.Uniform(*WEIGHT), sp.Uniform(*DELAY))
    student = network(size, seed, float(np.mean(WEIGHT)), float(np.mean(DELAY)))
    steps = epochs * -(-samples // batch)
    optimiser = Adam({"weight/0": 0.2, "delay/0": 0.05, "weight/1": 0.0, "delay/1": 0.0}, schedule=exponential(0.1, steps))
    limits = sp.Constraints(bounds={"delay": (0.1, 20.0)})
    found = sp.train(
        student, lessons(teacher, samples, seed + 1), UNTIL, epochs=epochs, batch=batch, wrt=("weight", "delay"), optimiser=optimiser,
        constraints=limits, progress=lambda entry: print(f"epoch {entry['epoch']:.0f}  loss {entry['loss']:.6f} ms^2", flush=True),
    )  # fmt: skip
    made = listed(teacher).projections[0]
    return found.history, np.array([made.weight, made.delay]), np.array([found.parameters["weight/0"], found.parameters["delay/0"]])


def main() -> None:
    """Teach a student, and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--neurons", type=int, default=200)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    _, teacher, student = taught(given.neurons, given.samples, given.epochs, given.batch, given.seed)
    for name, unit, theirs, own in zip(("weights", "delays"), ("pA", "ms"), teacher, student, strict=True):
        spread, off = theirs.std(), float(np.sqrt(np.mean((own - theirs) ** 2)))
        median = float(np.median(np.abs(own - theirs)))
        print(f"{name}: {spread:.3g} {unit} of spread; off by {off:.3g} (root mean square), {median:.2g} (median) {unit}")


if __name__ == "__main__":
    main()
