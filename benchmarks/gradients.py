"""Question: what does the backward sweep cost per synaptic event, beside the forward run, in the paper's inhibitory LIF network?

    python benchmarks/gradients.py                                              # N = 1e5, K = 100
    python benchmarks/gradients.py --neurons 1000 10000 100000 1000000
    python benchmarks/gradients.py --neurons 1000000 --spikes 1000000 --probe   # and a finite-difference probe

Prints a table in Markdown, ns per synaptic event: the forward run with its log; the sweep with respect to a shared weight; and with respect
to each weight. Spikes of the first 50 ms are in all of it: gradients begin with the run.
"""

import argparse
import resource
import time

import numpy as np

from sparseprop_dist.description import Network
from sparseprop_dist.examples import paper_network
from sparseprop_dist.exchange import Alone
from sparseprop_dist.gradients import record, sweep
from sparseprop_dist.replicas import put

LONGEST = 300.0
"""ms: over seconds the derivatives of the first times grow beyond all bounds."""


def loss(times: np.ndarray) -> tuple[float, np.ndarray]:
    """A loss of all spikes, of random coefficients."""
    by = np.random.default_rng(1).normal(size=len(times))
    return float(by @ times), by


def measured(network: Network, until: float, indegree: int) -> list[str]:
    """Return the cells of a row."""
    begun = time.perf_counter()
    run, log = record(network, until, "auto", Alone())
    forward = time.perf_counter() - begun
    events = len(log.time) * indegree
    cotangents = loss(log.time * 2.0**-40)[1]
    seconds = []
    for wanted in (("weight",), ("weight", "I_e", "V_m")):
        best = np.inf
        for _ in range(2):
            begun = time.perf_counter()
            sweep(run, log, cotangents, wanted, network)
            best = min(best, time.perf_counter() - begun)
        seconds.append(best)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    figures = [forward, *seconds]
    return [f"{len(log.time):,}", *(f"{x / events * 1e9:.1f}" for x in figures), *(f"{x:.2f}" for x in figures), f"{peak:.2f}"]


def probe(size: int, indegree: int, until: float) -> str:
    """Compare the gradient of the shared weight with a central difference."""
    network = paper_network("lif", size, indegree)
    run, log = record(network, until, "auto", Alone())
    found = sweep(run, log, loss(log.time * 2.0**-40)[1], ("weight",), network)["weight"][0]
    values, weight = [], network.projections[0].weight
    for step in (1e-9, -1e-9):
        _, other = record(put(network, {"weight/0": np.float64(weight + step)}), until, "auto", Alone())
        assert np.array_equal(other.gid, log.gid), "the order of spikes changed"
        values.append(loss(other.time * 2.0**-40)[0])
    return f"dL/dweight {found:.9g}, by a central difference {(values[0] - values[1]) / 2e-9:.9g}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--neurons", type=int, nargs="+", default=[100_000])
    parser.add_argument("--indegree", type=int, default=100)
    parser.add_argument("--spikes", type=int, default=100_000)
    parser.add_argument("--probe", action="store_true")
    arguments = parser.parse_args()
    warm = paper_network("lif", 1000, arguments.indegree)
    measured(warm, 10.0, arguments.indegree)
    heads = ["N", "K", "spikes", "forward", "shared weight", "and I_e, V_m", "s", "s", "s", "peak GB"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for size in arguments.neurons:
        until = min(max(20.0, 1000.0 * arguments.spikes / size), LONGEST)
        cells = measured(paper_network("lif", size, arguments.indegree), until, arguments.indegree)
        print(f"| {' | '.join([f'{size:,}', str(arguments.indegree), *cells])} |", flush=True)
        if arguments.probe:
            print(probe(size, arguments.indegree, min(until, 20.0)))


if __name__ == "__main__":
    main()
