"""The networks that the benchmarks run."""

import sparseprop_dist as sp


def brunel(n_neurons: int, indegree: int, *, each_delay: bool = False, ties: bool = False) -> sp.Network:
    """Return Brunel's network (J. Comput. Neurosci. 2000): 80 % excitatory, weights 0.1 and -0.5 mV at 1,000 synapses a neuron, Poisson
    input of 20 kHz.

    Potentials start spread out, so that the run is stationary from the start. ``each_delay``: delays uniform from 0.5 to 3 ms instead of
    1.5 ms for all. ``ties``: stronger synapses, so that many spikes are triggered by one and share its time.
    """
    net = sp.Network(seed=1)
    scale = 1000 / indegree
    model = sp.LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0, V_m=sp.Uniform(0.0, 20.0))
    exc = net.add_population("exc", n_neurons * 4 // 5, model)
    inh = net.add_population("inh", n_neurons - exc.size, model)
    delay = sp.Uniform(0.5, 3.0) if each_delay else 1.5
    weight = 0.1 * scale * (5.0 if ties else 1.0)
    net.connect(exc, [exc, inh], sp.FixedIndegree(indegree * 4 // 5), weight=weight, delay=delay)
    net.connect(inh, [exc, inh], sp.FixedIndegree(indegree // 5), weight=-5.0 * weight, delay=delay)
    net.add_input([exc, inh], sp.Poisson(20_000.0 / scale), weight=0.1 * scale)
    return net
