"""Question: what does the backward sweep cost per synaptic event, beside the forward run, in the paper's inhibitory networks?

    python benchmarks/gradients.py                                              # LIF, N = 1e5, K = 100
    python benchmarks/gradients.py --neurons 1000 10000 100000 1000000 --indegree 100 1000 --picture gradients.png
    python benchmarks/gradients.py --each                                       # one weight for each synapse
    python benchmarks/gradients.py --models qif eif lif --method replay
    python benchmarks/gradients.py --neurons 1000000 --spikes 1000000 --probe   # and a finite-difference probe

Prints a table in Markdown, ns per synaptic event: the forward run with its log, with the build and without; the sweep with respect to the
weights; and with respect to drives and initial potentials too. Spikes of the first 50 ms are in all of it: gradients begin with the run.
"""

import argparse
import dataclasses
import resource
import time

import numpy as np

import sparseprop_dist as sp
from sparseprop_dist.description import Network
from sparseprop_dist.examples import paper_network
from sparseprop_dist.exchange import Alone
from sparseprop_dist.gradients import method_of, record, sweep
from sparseprop_dist.replicas import put

LONGEST = 300.0
"""ms: over seconds the derivatives of the first times grow beyond all bounds."""


def loss(times: np.ndarray) -> tuple[float, np.ndarray]:
    """A loss of all spikes, of random coefficients."""
    by = np.random.default_rng(1).normal(size=len(times))
    return float(by @ times), by


def network_of(model: str, size: int, indegree: int, each: bool) -> Network:
    """Return the paper's network; ``each``: its synapses have a number each, all but the same."""
    network = paper_network(model, size, indegree)
    if each:
        weight = network.projections[0].weight
        assert isinstance(weight, float)
        weights = weight * (1.0 + 1e-12 * np.random.default_rng(1).random(size * indegree))
        network.projections[0] = dataclasses.replace(network.projections[0], weight=weights)
    return network


def measured(network: Network, until: float, indegree: int, method: str) -> list[float]:
    """Return the spikes, and the seconds of the first run, of one with synapses that are there already, and of both sweeps."""
    kept = sp.Kept()
    first, forward = np.inf, np.inf
    for _ in range(2):
        begun = time.perf_counter()
        run, log = record(network, until, "auto", Alone(), ("weight",), kept)
        first, forward = min(first, forward), time.perf_counter() - begun
    cotangents = loss(log.time * 2.0**-40)[1]
    seconds = []
    drive = "I" if "I" in network.populations[0].model.quantities else "I_e"  # type: ignore[union-attr]
    for wanted in (("weight",), ("weight", drive, "V_m")):
        best, way = np.inf, method_of(network, wanted, method)
        for _ in range(2):
            begun = time.perf_counter()
            sweep(run, log, cotangents, wanted, network, way)
            best = min(best, time.perf_counter() - begun)
        seconds.append(best)
    return [len(log.time), first, forward, *seconds]


def probe(network: Network, until: float, method: str) -> str:
    """Compare the gradient of the shared weight with a central difference.

    The loss has a coefficient for each neuron: a step may swap spikes of two that have nothing to do with each other.
    """
    by = np.random.default_rng(1).normal(size=network.n_neurons)
    run, log = record(network, until, "auto", Alone(), ("weight",))
    found = sweep(run, log, by[log.gid], ("weight",), network, method_of(network, ("weight",), method))["weight"][0]
    values, weight = [], network.projections[0].weight
    for step in (1e-9, -1e-9):
        _, other = record(put(network, {"weight/0": np.float64(weight + step)}), until, "auto", Alone())
        assert np.array_equal(np.bincount(other.gid), np.bincount(log.gid)), "spikes appeared or vanished"
        values.append(float(by[other.gid] @ (other.time * 2.0**-40)))
    return f"dL/dweight {found:.9g}, by a central difference {(values[0] - values[1]) / 2e-9:.9g}"


def picture(rows: list[tuple[str, int, int, float, float]], path: str) -> None:
    """Draw ns per event, forward and backward, over the number of neurons."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xscale="log", xlabel="neurons", ylabel="ns per synaptic event")
    for k, (model, indegree) in enumerate(dict.fromkeys((model, indegree) for model, _, indegree, *_ in rows)):
        own = [row for row in rows if (row[0], row[2]) == (model, indegree)]
        for column, style, name in ((3, "--", "forward"), (4, "-", "backward")):
            axes.plot([row[1] for row in own], [row[column] for row in own], style, color=f"C{k}", label=f"{name}, {model}, K = {indegree}")
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", default=["lif"], choices=["lif", "qif", "eif"])
    parser.add_argument("--neurons", type=int, nargs="+", default=[100_000])
    parser.add_argument("--indegree", type=int, nargs="+", default=[100])
    parser.add_argument("--spikes", type=int, default=100_000)
    parser.add_argument("--each", action="store_true", help="one weight for each synapse")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--picture", metavar="FILE.png")
    given = parser.parse_args()
    heads = ["model", "N", "K", "spikes", "with build", "forward", "weights", "and drive, V_m", "s", "s", "s", "s", "peak GB"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    rows = []
    for model in given.models:
        measured(network_of(model, 2000, 100, given.each), 10.0, 100, given.method)  # compiled
        for indegree in given.indegree:
            for size in given.neurons:
                until = min(max(20.0, 1000.0 * given.spikes / size), LONGEST)
                network = network_of(model, size, indegree, given.each)
                spikes, *seconds = measured(network, until, indegree, given.method)
                per_event = [x / (spikes * indegree) * 1e9 for x in seconds]
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
                cells = [*(f"{x:.1f}" for x in per_event), *(f"{x:.2f}" for x in seconds), f"{peak:.2f}"]
                print(f"| {' | '.join([model, f'{size:,}', f'{indegree}', f'{int(spikes):,}', *cells])} |", flush=True)
                rows.append((model, size, indegree, per_event[1], per_event[2]))
                if given.probe:
                    print(probe(network, min(until, 20.0), given.method))
    if given.picture:
        picture(rows, given.picture)


if __name__ == "__main__":
    main()
