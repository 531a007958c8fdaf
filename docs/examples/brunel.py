"""The network of brunel.toml in Python. Run it: python brunel.py, or on two ranks: mpiexec -n 2 python brunel.py"""

import sparseprop_dist as sp

net = sp.Network(seed=1)
exc = net.add_population("exc", 8000, sp.LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, V_m=0.0, t_ref=2.0))
inh = net.add_population("inh", 2000, exc.model)
net.connect(exc, [exc, inh], sp.FixedIndegree(800), weight=0.1, delay=1.5)
net.connect(inh, [exc, inh], sp.FixedIndegree(200), weight=-0.5, delay=1.5)
net.add_input([exc, inh], sp.Poisson(rate=20_000.0), weight=0.1)

result = sp.simulate(net, until=1000.0)
if result.rank == 0:
    print(f"{result.summary['spikes']} spikes, {result.summary['mean_rate']:.1f} Hz, CV {result.summary['cv']:.2f}")
