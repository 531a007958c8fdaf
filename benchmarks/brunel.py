"""Question: what does a synaptic event cost on one core, Brunel's network, beside the bare memory access?

    python benchmarks/brunel.py                     # N = 1e4, K = 1000, 304 ms: a minute
    python benchmarks/brunel.py --neurons 100000 --until 54

Prints ns per event (recurrent and external) of the slab schedule, with one delay and with a delay each, minimum of several runs; and the
floor: the bare loop ``u[row[k]] += x`` over the rows of the same spikes, int32 targets and float64 state, plain and with the rows fetched
ahead. With ``--check``, that slab and ordered schedule make the same spikes to the bit, on the network and on one with many simultaneous
spikes.
"""

import argparse
import time

import numpy as np
from networks import brunel

from sparseprop_dist.build import build
from sparseprop_dist.build.part import lower
from sparseprop_dist.build.synapses import parts
from sparseprop_dist.clock import TICK_BITS
from sparseprop_dist.description import Network
from sparseprop_dist.engine import ordered, slab
from sparseprop_dist.engine.session import Session
from sparseprop_dist.jit import njit, prefetch
from sparseprop_dist.partition import partition
from sparseprop_dist.state import Counter

WARM_UP = 20  # ms, not counted: buffers find their sizes
WINDOW = 16  # ms


def session(network: Network, schedule) -> Session:
    """Return a session of one rank at time 0."""
    part = build(lower(network), partition(network, 1), 0)
    shortest = int(part.synapses.delay.min())
    return Session(part, schedule, min(part.slab_bits, shortest.bit_length() - 1), np.empty(0), np.empty(0, np.int32))


def run(running: Session, start: int, until: int) -> list[np.ndarray]:
    """Advance from ``start`` to ``until`` ms; return the spikes of each window."""
    out = []
    for now in range(start, until, WINDOW):
        out.append(running.advance(min(now + WINDOW, until) << TICK_BITS))
        running.forget()
    return out


def cost(network: Network, until: int) -> tuple[float, np.ndarray]:
    """Return ns per event, and the gids of the spikes."""
    running = session(network, slab)
    run(running, 0, WARM_UP)
    before, begun = running.counters.copy(), time.perf_counter()
    spikes = run(running, WARM_UP, WARM_UP + until)
    wall = time.perf_counter() - begun
    done = running.counters - before
    return wall * 1e9 / (done[Counter.RECURRENT] + done[Counter.EXTERNAL]), np.concatenate(spikes)["gid"]


@njit
def bare(state, row_ptr, targets, gids, x):
    """The least that delivering spikes can be."""
    for s in range(gids.size):
        for k in range(row_ptr[gids[s]], row_ptr[gids[s] + 1]):
            state[np.uint32(targets[k])] += x


@njit
def bare_prefetched(state, row_ptr, targets, gids, x):
    """The same, with the rows of the spike after next fetched."""
    for s in range(gids.size):
        ahead = gids[min(s + 2, gids.size - 1)]
        for k in range(row_ptr[ahead], row_ptr[ahead + 1], 16):
            prefetch(targets, np.int64(k))
        for k in range(row_ptr[gids[s]], row_ptr[gids[s] + 1]):
            state[np.uint32(targets[k])] += x


def floor(network: Network, gids: np.ndarray) -> list[float]:
    """Return ns per synaptic event of the bare loops over the rows of ``gids``."""
    shares = partition(network, 1).shares(0)
    sources, targets = [], []
    for projection in network.projections:
        first = network.pools(projection).sources.gids[0].start
        for _, part in parts(network, projection, shares):
            sources.append(part.sources + first)
            targets.append(np.repeat(part.start + np.arange(len(part.ptr) - 1), np.diff(part.ptr)).astype(np.int32))
    source, target = np.concatenate(sources), np.concatenate(targets)
    rows = target[np.argsort(source, kind="stable")]
    row_ptr = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=network.n_neurons))])
    state, n = np.zeros(network.n_neurons), int(np.diff(row_ptr)[gids].sum())
    out = []
    for loop in (bare, bare_prefetched):
        loop(state, row_ptr, rows, gids[:10], 1.0)
        begun = time.perf_counter()
        loop(state, row_ptr, rows, gids, 1.0)
        out.append((time.perf_counter() - begun) * 1e9 / n)
    return out


def check(network: Network, until: int) -> float:
    """Compare the schedules to the bit; return the share of spikes that have their time in common with another."""
    one, other = (np.concatenate(run(session(network, schedule), 0, until)) for schedule in (slab, ordered))
    assert len(one), "no neuron fired"
    assert (one == other).all(), "the schedules differ"
    return float((np.diff(one["time"]) == 0).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=10_000)
    parser.add_argument("--indegree", type=int, default=1000)
    parser.add_argument("--until", type=int, default=304, help="ms")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    for name, each in (("one delay", False), ("a delay each", True)):
        network = brunel(given.neurons, given.indegree, each_delay=each)
        costs, gids = [], np.empty(0)
        for _ in range(given.repeats):
            nanoseconds, gids = cost(network, given.until)
            costs.append(nanoseconds)
        plain, fetched = floor(network, gids)
        print(
            f"{name:13} {min(costs):5.2f} ns per event; floor {plain:.2f} ns per synaptic event, rows fetched ahead {fetched:.2f}",
            flush=True,
        )
    if given.check:
        for name, ties in (("this network", False), ("strong synapses", True)):
            share = check(brunel(given.neurons, given.indegree, ties=ties), min(given.until, 48))
            print(f"{name}: slab = ordered to the bit; {share:.1%} of the spikes share their time with the one before")


if __name__ == "__main__":
    main()
