"""A large recurrent network learns to give a population the firing times asked for, by all its weights.

    mpiexec -n 2 python docs/examples/firing_times.py                        # 100,000 neurons, 10 million synapses
    python docs/examples/firing_times.py --neurons 2000 --indegree 50        # a small one

Neurons inhibit each other at random, by currents with a delay; each first spike of the population "out" is asked to move by about a
millisecond. The gradient goes through the whole network, by each synapse. Prints the loss at each step.
"""

import argparse
import dataclasses
import time

import numpy as np

import sparseprop_dist as sp
from sparseprop_dist.exchange import world
from sparseprop_dist.losses import first_spike_squared_error
from sparseprop_dist.optimisers import Adam, cosine

UNTIL, MOVED = 60.0, 1.0
"""ms: length of the run, so long that a spike which a step moves away is still seen; standard deviation of what first spikes are asked to
move by."""


def network(size: int, asked: int, indegree: int, seed: int) -> sp.Network:
    """Return inhibitory LIF neurons that a constant current drives; each synapse has a weight of its own."""
    net = sp.Network(seed)
    model = sp.LIFPscExp(
        tau_m=10.0,
        C_m=10.0,
        E_L=0.0,
        V_th=1.0,
        V_reset=0.0,
        t_ref=1.0,
        tau_syn_ex=2.0,
        tau_syn_in=2.0,
        I_e=sp.Uniform(1.6, 2.0),
        V_m=sp.Uniform(0.0, 0.5),
    )
    net.add_population("net", size - asked, model)
    net.add_population("out", asked, dataclasses.replace(model, V_m=sp.Uniform(-1.5, -1.0)))
    weight = 0.4 / np.sqrt(indegree)
    for target in ("net", "out"):
        net.connect("net", target, sp.FixedIndegree(indegree), weight=sp.Uniform(-1.5 * weight, -0.5 * weight), delay=1.5)
    return net


def taught(size: int, asked: int, indegree: int, steps: int, rate: float, seed: int) -> list[float]:
    """Train; return the loss of each step. On several ranks all of them get the same gradients, and make the same step."""
    net, ranks = network(size, asked, indegree, seed), world()
    first = net.first("out")
    spikes = sp.simulate(net, UNTIL).spikes
    ids, place = np.unique(spikes.ids, return_index=True)  # times ascend: the first spikes
    here = ids >= first
    targets = spikes.times[place[here]] + np.random.default_rng(seed).normal(0.0, MOVED, int(here.sum()))
    loss = first_spike_squared_error(ids[here], targets, silent=UNTIL)
    # all weights of the network that move together move all its spikes: they go in small steps
    optimiser = Adam({"0": 0.01 * rate, "1": rate}, schedule=cosine(steps, 0.02))
    losses, parameters, kept = list[float](), dict[str, np.ndarray](), sp.Kept()
    for step in range(steps):
        begun = time.monotonic()
        value, gradients = sp.value_and_grad(net, loss, UNTIL, wrt=("weight",), kept=kept)
        losses.append(value)
        found = {str(k): gradients["weight"][k] for k in range(len(net.projections))}
        if not parameters:
            parameters = {key: net.weights(net.projections[int(key)], 0, len(found[key])) for key in found}
        parameters = optimiser.update(parameters, found)
        for key, weights in parameters.items():
            net.projections[int(key)] = dataclasses.replace(net.projections[int(key)], weight=weights)
        if ranks.rank == 0:
            print(f"step {step + 1}  loss {value:.6g} ms^2  {time.monotonic() - begun:.1f} s", flush=True)
    return losses


def main() -> None:
    """Teach the network, and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--neurons", type=int, default=100_000)
    parser.add_argument("--asked", type=int, default=1000, help="of them, in the population out")
    parser.add_argument("--indegree", type=int, default=100)
    parser.add_argument("--steps", type=int, default=45)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    losses = taught(given.neurons, given.asked, given.indegree, given.steps, given.rate, given.seed)
    if world().rank == 0:
        print(f"loss {losses[0]:.6g} to {losses[-1]:.6g} ms^2, {losses[0] / losses[-1]:.0f} times less")


if __name__ == "__main__":
    main()
