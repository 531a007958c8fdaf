"""Question: how much faster are two ranks than one, and what memory does a synapse take?

    python benchmarks/ranks.py                       # N = 1e5, K = 1000: two minutes, 0.6 GB

Starts this file under mpiexec on 1, 2, ... ranks. Memory: the peak of a process less the peak of one that simulated ten neurons.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys

from networks import brunel

import sparseprop_dist as sp


def peak() -> int:
    """Return the peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(given: argparse.Namespace) -> None:
    """Run on the ranks of this job, and print a line of JSON."""
    sp.simulate(brunel(10, 5, each_delay=given.each_delay), 1.0)
    empty = peak()
    result = sp.simulate(brunel(given.neurons, given.indegree, each_delay=given.each_delay), given.until, record=False)
    if result.rank == 0:
        synapses = given.neurons * given.indegree / result.summary["ranks"]
        print(json.dumps({**result.summary, "bytes": (peak() - empty) / synapses}), flush=True)


def main() -> None:
    """Start the ranks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=100_000)
    parser.add_argument("--indegree", type=int, default=1000)
    parser.add_argument("--until", type=float, default=200.0, help="ms")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--each-delay", action="store_true")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given)
        return
    mpiexec = shutil.which("mpiexec") or f"{sys.prefix}/bin/mpiexec"
    alone = None
    for ranks in range(1, given.ranks + 1):
        command = [mpiexec, "-n", str(ranks), sys.executable, *sys.argv, "--measure"]
        row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=1200).stdout.splitlines()[-1])
        alone = alone or row["wall"]
        speed = f"{row['wall']:.2f} s, {row['ns_per_event']:.2f} ns per event, {alone / row['wall']:.2f} x one rank"
        print(f"{ranks} ranks: {speed}; peak {row['bytes']:.2f} bytes per synapse; built in {row['build_wall']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
