"""Question: what do ranks gain where synapses have no delay, and what would a cluster give?

    python benchmarks/together.py --ranks 1 2 4                    # N = 1e6, K = 100: two minutes, 2 GB
    python benchmarks/together.py --indegree 1000 --until 50       # K = 1000: 9 GB

Starts this file under mpiexec on 1, 2, ... ranks. The model of R ranks: the work of the run on the most ranks that have a core each, which
is its time without its messages, spread over R; rounds and bytes told a spike as powers of R through the last two runs (counts do not
suffer where ranks share cores), or as many as in the only one; each round log2 R times the latency that is given; and what all tell, which
each rank hears, at 10 GB/s. No rank waits for a slower one in it: that is kind.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time

import numpy as np

import sparseprop_dist as sp
from sparseprop_dist.examples import paper_network

BANDWIDTH = 1e10
"""Bytes per second."""


def seconds_a_message(repeats: int = 20_000) -> float:
    """Return what a message of all ranks to all takes here, of as many bytes as in the run."""
    from mpi4py import MPI  # not in the process that starts the ranks

    own, all_ = np.zeros(256, np.int64), np.zeros((MPI.COMM_WORLD.size, 256), np.int64)
    MPI.COMM_WORLD.Barrier()
    begun = time.perf_counter()
    for _ in range(repeats):
        MPI.COMM_WORLD.Allgather(own, all_)
    return (time.perf_counter() - begun) / repeats


def measure(given: argparse.Namespace) -> None:
    """Run on the ranks of this job, and print a line of JSON."""
    network = paper_network(given.model, given.neurons, given.indegree)
    sp.simulate(paper_network(given.model, 10 * given.indegree, given.indegree), 20.0)  # what is compiled, for rows of this length
    result, message = sp.simulate(network, given.until, record=False), seconds_a_message()
    if result.rank == 0:
        print(json.dumps({**result.summary, "message": message}), flush=True)


def fitted(rows: list[dict], of: str, ranks: int) -> float:
    """Return rounds or bytes told a spike, as a power of the number of ranks through the last two runs."""
    *_, one, last = [rows[0], *rows]
    a, b = (row[of] / row["spikes"] for row in (one, last))
    doublings = math.log2(last["ranks"] / one["ranks"])
    return b * (b / a) ** (math.log2(ranks / last["ranks"]) / doublings) if doublings else b


def modelled(rows: list[dict], ranks: int, latency: float) -> float:
    """Return the seconds that so many ranks would take; ``rows``: runs on two ranks or more, ascending."""
    timed = [row for row in rows if row["ranks"] <= (os.cpu_count() or 1)][-1]
    work = (timed["wall"] - timed["rounds"] * timed["message"]) * timed["ranks"] / ranks
    spikes = timed["spikes"]
    return work + spikes * (fitted(rows, "rounds", ranks) * latency * math.log2(ranks) + fitted(rows, "told_bytes", ranks) / BANDWIDTH)


def main() -> None:
    """Start the ranks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("lif", "qif", "eif"), default="lif")
    parser.add_argument("--neurons", type=int, default=1_000_000)
    parser.add_argument("--indegree", type=int, default=100)
    parser.add_argument("--until", type=float, default=200.0, help="ms")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--latency", type=float, default=2.0, help="us, of a message in the model")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given)
        return
    mpiexec = shutil.which("mpiexec") or f"{sys.prefix}/bin/mpiexec"
    alone, rows = None, []
    for ranks in sorted(given.ranks):
        command = [mpiexec, "-n", str(ranks), sys.executable, *sys.argv, "--measure"]
        row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600).stdout.splitlines()[-1])
        alone = alone or row
        line = f"{ranks} ranks: {row['wall']:.2f} s, {row['ns_per_event']:.2f} ns per event, {alone['wall'] / row['wall']:.2f} x one rank"
        if ranks > 1:
            rows.append(row)
            each = f"{row['rounds'] / row['windows']:.2f} rounds a window, {row['spikes'] / row['rounds']:.1f} spikes settled a round"
            line += f"; {row['windows']:,} windows, {each}, {row['told_bytes'] / row['spikes']:.0f} bytes told per spike"
        print(line, flush=True)
    if not rows or rows[0]["ranks"] > (os.cpu_count() or 1):
        return
    for ranks in (64, 1024):
        wall = modelled(rows, ranks, given.latency * 1e-6)
        each = (
            f"{1 / fitted(rows, 'rounds', ranks):.0f} spikes settled a round, {fitted(rows, 'told_bytes', ranks):.0f} bytes told per spike"
        )
        print(f"model, {ranks} ranks at {given.latency:g} us: {wall:.2f} s, {alone['wall'] / wall:.1f} x one rank; {each}", flush=True)


if __name__ == "__main__":
    main()
