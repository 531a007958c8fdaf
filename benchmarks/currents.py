"""Question: what does a synaptic event cost on one core where inputs are exponential currents, beside the bare memory access?

    python benchmarks/currents.py                     # N = 1e4, K = 1000, 304 ms: a minute
    python benchmarks/currents.py --neurons 300 --indegree 100 --until 32 --repeats 1 --check

Brunel's network with tau_m = 10 ms, tau_syn_ex = 2 ms, tau_syn_in = 0.5 ms, weights of 0.05 and -1 mV/ms (times C_m), and Poisson input of
22 kHz; about 22 Hz. Prints ns per event (recurrent and external) of the slab schedule, with one delay, with a delay each, and with a sine
current, for this and for Brunel's network of LIF neurons; minimum of several runs, and the floor as in ``brunel.py``. With ``--check``,
that slab and ordered schedule make the same spikes to the bit.
"""

import argparse

from brunel import check, cost, floor
from networks import brunel

import sparseprop_dist as sp


def currents(n_neurons: int, indegree: int, *, each_delay: bool = False) -> sp.Network:
    """Return the network; with fewer synapses than 1,000 a neuron, stronger ones. ``each_delay``: delays uniform from 0.5 to 3 ms instead
    of 1.5 ms for all."""
    net = sp.Network(seed=1)
    scale = 1000 / indegree
    model = sp.LIFPscExp(E_L=0.0, V_th=20.0, V_reset=10.0, V_m=sp.Uniform(0.0, 20.0), tau_syn_ex=2.0, tau_syn_in=0.5)
    exc = net.add_population("exc", n_neurons * 4 // 5, model)
    inh = net.add_population("inh", n_neurons - exc.size, model)
    delay = sp.Uniform(0.5, 3.0) if each_delay else 1.5
    net.connect(exc, [exc, inh], sp.FixedIndegree(indegree * 4 // 5), weight=12.5 * scale, delay=delay)
    net.connect(inh, [exc, inh], sp.FixedIndegree(indegree // 5), weight=-250.0 * scale, delay=delay)
    net.add_input([exc, inh], sp.Poisson(22_000.0 / scale), weight=12.5 * scale)
    return net


def with_sine(network: sp.Network) -> sp.Network:
    """Return a network whose neurons all get a sine current."""
    network.add_input([own.name for own in network.populations], sp.SineCurrent(20.0, 8.0))
    return network


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=10_000)
    parser.add_argument("--indegree", type=int, default=1000)
    parser.add_argument("--until", type=int, default=304, help="ms")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    sizes = given.neurons, given.indegree
    cases = {
        "one delay": currents(*sizes),
        "a delay each": currents(*sizes, each_delay=True),
        "a sine": with_sine(currents(*sizes)),
        "LIF, constant": brunel(*sizes),
        "LIF, a sine": with_sine(brunel(*sizes)),
    }
    for name, network in cases.items():
        runs = [cost(network, given.until) for _ in range(given.repeats)]
        plain, fetched = floor(network, runs[0][1])
        least = min(nanoseconds for nanoseconds, _ in runs)
        print(f"{name:13} {least:5.2f} ns per event; floor {plain:.2f} ns per synaptic event, rows fetched ahead {fetched:.2f}", flush=True)
    if given.check:
        for network in (currents(*sizes), with_sine(currents(*sizes)), with_sine(brunel(*sizes))):
            check(network, min(given.until, 48))
        print("slab = ordered to the bit")


if __name__ == "__main__":
    main()
