"""Question: what does it cost that neurons, or synapses, differ?

    python benchmarks/differing.py                                     # two minutes
    python benchmarks/differing.py --neurons 300 --indegree 30 --until 32

Prints ns per synaptic event on one core, each the minimum of several stretches: of Brunel's network (N = 1e4, K = 1000, as `brunel.py`,
with its Poisson input), one delay and a delay each; and of networks of the SparseProp paper without delay (N = 1e5, K = 100, as
`paper.py`), all alike, and with one parameter drawn for each neuron or synapse.
"""

import argparse
import dataclasses
import math
import time
from typing import Any

import brunel as delayed
import networks
import paper

import sparseprop_dist as sp
from sparseprop_dist.examples import paper_network
from sparseprop_dist.state import Counter


def spread(value: float, part: float) -> sp.Uniform:
    """Return an even spread about a value, by a part of it to either side."""
    return sp.Uniform(*sorted((value * (1.0 - part), value * (1.0 + part))))


def changed(network: sp.Network, **change: Any) -> sp.Network:
    """Return the network with other parameters of its neurons; ``weight``: a part by which weights are spread."""
    part = change.pop("weight", 0.0)
    for population in network.populations:
        object.__setattr__(population, "model", dataclasses.replace(population.model, **change))
    for projection in network.projections if part else ():
        object.__setattr__(projection, "weight", spread(float(projection.weight), part))
    return network


BRUNEL: dict[str, dict[str, Any]] = {
    "all alike": {},
    "V_th": {"V_th": sp.Uniform(19.0, 21.0)},
    "tau_m": {"tau_m": sp.Uniform(18.0, 22.0)},
    "weights": {"weight": 0.2},
}


def without_delay(neurons: int, indegree: int) -> dict[str, sp.Network]:
    """Return networks of the paper by what differs."""

    def lif(**change: Any) -> sp.Network:
        return changed(paper_network("lif", neurons, indegree), **change)

    model: Any = lif().populations[0].model
    return {
        "LIF, all alike": lif(),
        "LIF, t_ref = 2 ms": lif(t_ref=2.0),
        "LIF, I_e": lif(I_e=spread(model.I_e, 0.1)),
        "LIF, I_e, t_ref = 2 ms": lif(I_e=spread(model.I_e, 0.1), t_ref=2.0),
        "LIF, V_th": lif(V_th=spread(model.V_th, 0.05)),
        "LIF, tau_m": lif(tau_m=spread(model.tau_m, 0.1)),
        "LIF, weights": lif(weight=0.5),
        "QIF, all alike": paper_network("qif", neurons, indegree),
        "QIF, I": paper_network("qif", neurons, indegree, spread=0.4),
        "QIF, weights": changed(paper_network("qif", neurons, indegree), weight=0.5),
    }


def cost(network: sp.Network, events: float, repeats: int) -> float:
    """Return ns per event of a network without delay."""
    session, costs = paper.session_of(network), []
    paper.run(session, paper.WARM_UP)
    duration = math.ceil(events * paper.WARM_UP / max(1, int(session.counters[Counter.RECURRENT])))
    for _ in range(repeats):
        before, begun = int(session.counters[Counter.RECURRENT]), time.perf_counter()
        paper.run(session, duration)
        costs.append((time.perf_counter() - begun) * 1e9 / (int(session.counters[Counter.RECURRENT]) - before))
    return min(costs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, help="1e4 with delays, 1e5 without")
    parser.add_argument("--indegree", type=int, help="1000 with delays, 100 without")
    parser.add_argument("--until", type=int, default=144, help="ms, with delays")
    parser.add_argument("--events", type=float, default=4e6, help="of a stretch, without delay")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print("| with delays, what differs | one delay | a delay each |\n|---|---|---|", flush=True)
    for name, change in BRUNEL.items():
        cells = [name]
        for each in (False, True):
            network = changed(networks.brunel(given.neurons or 10_000, given.indegree or 1000, each_delay=each), **change)
            cells.append(f"{min(delayed.cost(network, given.until)[0] for _ in range(given.repeats)):.2f}")
        print(f"| {' | '.join(cells)} |", flush=True)
    print("\n| without delay, what differs | ns per event |\n|---|---|", flush=True)
    for name, network in without_delay(given.neurons or 100_000, given.indegree or 100).items():
        print(f"| {name} | {cost(network, given.events, given.repeats):.2f} |", flush=True)


if __name__ == "__main__":
    main()
