"""The networks of paper_*.toml in Python. Run one: python paper.py qif, or on two ranks: mpiexec -n 2 python paper.py qif"""

import sys

import sparseprop_dist as sp
from sparseprop_dist.examples import balanced_network, paper_network

networks = {
    "lif": paper_network("lif", size=10_000, indegree=100),
    "qif": paper_network("qif", size=10_000, indegree=100),
    "eif": paper_network("eif", size=10_000, indegree=100),
    "heterogeneous": paper_network("qif", size=10_000, indegree=100, spread=0.4),
    "balanced": balanced_network("qif", size=10_000, indegree=100, excitation=0.1),
}
if sys.argv[1:] not in [[name] for name in networks]:
    sys.exit(f"give one of {', '.join(networks)}")

result = sp.simulate(networks[sys.argv[1]], until=1000.0)
if result.rank == 0:
    print(f"{result.summary['spikes']} spikes, {result.summary['mean_rate']:.2f} Hz, CV {result.summary['cv']:.2f}")
