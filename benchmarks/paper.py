"""Question: what does a synaptic event cost on one core in the networks of the SparseProp paper, beside the bare memory access and the
published algorithm?

    python benchmarks/paper.py                                                    # N = 1e3 to 1e5, K = 100: half a minute
    python benchmarks/paper.py --neurons 1000 10000 100000 1000000 --picture paper.png
    python benchmarks/paper.py --neurons 10000 100000 1000000 --indegree 1000     # 4.3 GB
    python benchmarks/paper.py --models balanced heterogeneous
    python benchmarks/paper.py --end-to-end                                       # N = 1e6, K = 100, 1e6 spikes by sp.simulate

Prints a table in Markdown, in ns per synaptic event, each the minimum of several stretches after a warm-up: the event-driven schedule,
whole slabs with their sweeps, spikes handed over; the floor: the loop ``u[row[k]] += x`` over the rows of the very same spikes, uint32
targets and float64 state, rows fetched ahead; and the published algorithm (`baseline.py`), which starts from the state at the end of the
warm-up and must make the same spikes.
"""

import argparse
import math
import resource
import time
from typing import Any, NamedTuple

import numpy as np
from baseline import Published

import sparseprop_dist as sp
from sparseprop_dist.build import Part, build
from sparseprop_dist.build.part import lower
from sparseprop_dist.clock import TICK, TICK_BITS
from sparseprop_dist.engine import instant
from sparseprop_dist.engine.session import Session
from sparseprop_dist.examples import MODELS, balanced_network, paper_network
from sparseprop_dist.gaps import GAP_BYTES, next_target
from sparseprop_dist.jit import njit, prefetch
from sparseprop_dist.models.protocol import potential
from sparseprop_dist.partition import partition
from sparseprop_dist.preparation import longest_window
from sparseprop_dist.state import Counter

PUBLISHED = ("lif", "qif")
"""Networks that `baseline` does."""
LEAST = 64
"""ms of a stretch."""
WARM_UP = 192
"""ms, not counted: about where the rate of a network is stationary; buffers find their sizes."""
ROWS_AHEAD, POINTERS_AHEAD = 6, 12
"""Spikes ahead of the bare loop whose rows, and whose pointers, are fetched: fewer make it slower, more do not make it faster."""
COMPARED = 100.0
"""ms in which the published algorithm must make the same spikes: later, chaos has made its rounding large (QIF: e-fold in 40 ms)."""
SAME_TIME = 1e-9
"""ms by which they may differ."""


class Row(NamedTuple):
    """A line of the table."""

    model: str
    neurons: int
    indegree: int
    rate: float  # Hz
    ours: float  # ns per event, as all that follow
    floor: float
    published: float  # nan: not for this network


class Rows(NamedTuple):
    """The synapses of a network without delay by source."""

    pointers: np.ndarray  # integers (N + 1,)
    targets: np.ndarray  # uint32, gids


def network_of(model: str, neurons: int, indegree: int) -> sp.Network:
    """Return a network by the name it has in the table."""
    if model == "balanced":
        return balanced_network("qif", neurons, indegree)
    if model == "heterogeneous":
        return paper_network("qif", neurons, indegree, spread=0.4)
    return paper_network(model, neurons, indegree)


def session_of(network: sp.Network) -> Session:
    """Return a session of one rank at time 0."""
    part = build(lower(network), partition(network, 1), 0)
    return Session(part, instant, part.piece_bits, np.empty(0), np.empty(0, np.int32))


def rows_of(part: Part, n_neurons: int) -> Rows:
    """Return the rows as the engine has them, but with targets for gaps, those of several projections or blocks merged; nothing is copied
    where there is one that has targets."""
    synapses, blocks = part.synapses, part.blocks
    found = []
    for p, block in zip(*np.nonzero(synapses.index >= 0), strict=True):
        n_rows = int(synapses.range_stop[p] - synapses.range_first[p])
        pointers = synapses.row_ptr[synapses.index[p, block] :][: n_rows + 1]
        targets = synapses.targets[synapses.base[p, block] :][: int(pointers[-1])]
        if targets.itemsize == GAP_BYTES:
            targets = np.empty(len(words := targets), np.uint32)
            write_targets(pointers, words, targets)
        found.append((int(synapses.range_first[p]), pointers, targets, int(blocks.gid[block])))
    if len(found) == 1:
        return Rows(found[0][1], found[0][2])
    source = np.concatenate([first + np.repeat(np.arange(len(pointers) - 1), np.diff(pointers)) for first, pointers, _, _ in found])
    target = np.concatenate([targets + np.uint32(gid) for _, _, targets, gid in found])
    ends = np.cumsum(np.bincount(source, minlength=n_neurons))
    return Rows(np.concatenate([[0], ends]), target[np.argsort(source, kind="stable")])


@njit
def write_targets(pointers, words, out):
    """Write the targets of words that are gaps."""
    for i in range(pointers.size - 1):
        target = np.uint64(0)
        for q in range(pointers[i], pointers[i + 1]):
            target = next_target(words, q, target)
            out[q] = target


@njit
def bare(state, pointers, targets, gids, x):
    """The least that delivering spikes can be."""
    last = gids.size - 1
    for s in range(gids.size):
        prefetch(pointers, np.int64(gids[min(s + POINTERS_AHEAD, last)]))
        ahead = np.int64(gids[min(s + ROWS_AHEAD, last)])
        for k in range(pointers[ahead], pointers[ahead + 1], 16):
            prefetch(targets, np.int64(k))
        i = np.int64(gids[s])
        for k in range(np.uint64(pointers[i]), np.uint64(pointers[i + 1])):
            state[targets[k]] += x


@njit
def potentials(model, start, offset, out):
    """Write V of all neurons."""
    for i in range(out.size):
        out[i] = potential(model, i, start, offset)


def run(session: Session, duration: int) -> list[np.ndarray]:
    """Advance by so many ms, in windows as `simulate` does; return the spikes of each."""
    out, end = [], session.now + (duration << TICK_BITS)
    window = longest_window(int(session.part.blocks.first[-1]), session.part.n_synapses)
    while session.now < end:
        out.append(session.advance(min(end, session.now + window)))
        session.forget()
    return out


def state_of(session: Session, n_neurons: int) -> np.ndarray:
    """Return V of all neurons of a network of one population."""
    V = np.empty(n_neurons)
    start = session.now >> session.part.slab_bits << session.part.slab_bits
    potentials(session.part.model, start, session.now - start, V)
    return V


def seconds(call: Any, *arguments: Any) -> tuple[float, Any]:
    """Return how long a call took, and its result."""
    begun = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - begun, result


def measure(model: str, neurons: int, indegree: int, given: argparse.Namespace) -> Row:
    """Return the costs of one network."""
    network = network_of(model, neurons, indegree)
    session = session_of(network)
    rows, state = rows_of(session.part, neurons), np.zeros(neurons)
    run(session, WARM_UP)
    events_per_ms = max(1.0, int(session.counters[Counter.RECURRENT]) / WARM_UP)
    duration = max(LEAST, math.ceil(given.events / events_per_ms))
    begun, V = session.now, state_of(session, neurons)
    bare(state, *rows, np.zeros(2, np.int32), 1.0)
    ours, floor, spikes = [], [], []
    for _ in range(given.repeats):
        before = int(session.counters[Counter.RECURRENT])
        wall, made = seconds(run, session, duration)
        events = int(session.counters[Counter.RECURRENT]) - before
        gids = np.concatenate(made)["gid"]
        ours.append(wall * 1e9 / events)
        floor.append(seconds(bare, state, *rows, gids, 1.0)[0] * 1e9 / events)
        spikes.append(np.concatenate(made))
    n_spikes = sum(map(len, spikes))
    rate = n_spikes / neurons / (given.repeats * duration * 1e-3)
    published = math.nan
    if model in PUBLISHED and not given.without_published:
        same = spikes[0]["gid"], (spikes[0]["time"] + (session.origin - begun)) * TICK
        published = cost_of_published(network, V, rows, same, given)
    return Row(model, neurons, indegree, rate, min(ours), min(floor), published)


def cost_of_published(network: sp.Network, V: np.ndarray, rows: Rows, same: tuple[np.ndarray, np.ndarray], given: Any) -> float:
    """Return ns per event of the published algorithm, and insist that it makes the same spikes."""
    algorithm = Published(network.populations[0].model, float(network.projections[0].weight), V, *rows)
    n_spikes = max(1, int(given.published_events * len(V) / len(rows.targets)))
    gids, times = same
    made_at, made = algorithm.run(n_spikes)
    n = min(np.searchsorted(made_at, COMPARED), len(gids))
    assert np.abs(made_at[:n] - times[:n]).max() < SAME_TIME, "the published algorithm makes other spikes"
    assert (made[:n] == gids[:n]).mean() > 0.999, "the published algorithm makes other spikes"  # ticks may tie what it tells apart
    costs = []
    for _ in range(given.repeats):
        wall, (_, made) = seconds(algorithm.run, n_spikes)
        costs.append(wall * 1e9 / int((rows.pointers[made + 1] - rows.pointers[made]).sum()))
    return min(costs)


HEAD = """| network | N | K | rate (Hz) | ns per event | bare access | times the bare access | published algorithm | times faster |
|---|---|---|---|---|---|---|---|---|"""


def line(row: Row) -> str:
    """Return a row of the table in Markdown."""
    old = ("-", "-") if math.isnan(row.published) else (f"{row.published:.0f}", f"{row.published / row.ours:.1f}")
    cells = [row.model, f"{row.neurons:,}", f"{row.indegree:,}", f"{row.rate:.2f}", f"{row.ours:.2f}", f"{row.floor:.2f}"]
    return f"| {' | '.join([*cells, f'{row.ours / row.floor:.2f}', *old])} |"


def picture(table: list[Row], path: str) -> None:
    """Draw ns per event against N, a panel for each K."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    indegrees = sorted({row.indegree for row in table})
    figure = Figure(figsize=(1.0 + 4.5 * len(indegrees), 4.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(indegrees), squeeze=False, sharey=True)[0]
    for panel, indegree in zip(panels, indegrees, strict=True):
        for number, model in enumerate(dict.fromkeys(row.model for row in table)):
            own = [row for row in table if (row.model, row.indegree) == (model, indegree)]
            N = [row.neurons for row in own]
            for name, label, style in (("ours", "", "o-"), ("published", ", published algorithm", "s--"), ("floor", ", bare access", ".:")):
                costs = [getattr(row, name) for row in own]
                if not np.isnan(costs).all():
                    panel.plot(N, costs, style, color=f"C{number}", label=f"{model}{label}")
        panel.set(xscale="log", yscale="log", xlabel="N", title=f"K = {indegree:,}")
    panels[0].set_ylabel("ns per synaptic event")
    panels[-1].legend(fontsize="small")
    figure.savefig(path)


def end_to_end(model: str, neurons: int, indegree: int, n_spikes: int) -> str:
    """Simulate until there are so many spikes; return what it took, build included. A small network of the same kind tells the rate, and
    has everything compiled."""
    few = max(neurons // 100, 2 * indegree)
    rate = sp.simulate(network_of(model, few, indegree), 1000.0).summary["mean_rate"]
    wall, result = seconds(sp.simulate, network_of(model, neurons, indegree), 1.01 * n_spikes / neurons / rate * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    made = result.summary
    parts = f"build {made['build_wall']:.1f} s, run {made['wall']:.1f} s"
    return f"{model}, N = {neurons:,}, K = {indegree:,}: {made['spikes']:,} spikes in {wall:.1f} s ({parts}), peak {peak / 1e9:.2f} GB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, nargs="+", help="1e3, 1e4, 1e5; with --end-to-end 1e6")
    parser.add_argument("--indegree", type=int, nargs="+", default=[100])
    parser.add_argument("--models", nargs="+", choices=[*MODELS, "balanced", "heterogeneous"], help="lif qif; with --end-to-end lif")
    parser.add_argument("--repeats", type=int, default=5, help="stretches")
    parser.add_argument("--events", type=float, default=4e6, help="of a stretch, at least")
    parser.add_argument("--published-events", type=float, default=1e6, help="of a stretch of the published algorithm")
    parser.add_argument("--without-published", action="store_true")
    parser.add_argument("--picture", metavar="FILE.png")
    parser.add_argument("--end-to-end", action="store_true")
    parser.add_argument("--spikes", type=int, default=1_000_000, help="with --end-to-end")
    given = parser.parse_args()
    cases = [
        (model, neurons, indegree)
        for model in given.models or (["lif"] if given.end_to_end else ["lif", "qif"])
        for indegree in given.indegree
        for neurons in given.neurons or ([1_000_000] if given.end_to_end else [1_000, 10_000, 100_000])
    ]
    if given.end_to_end:
        for case in cases:
            print(end_to_end(*case, given.spikes), flush=True)
        return
    table = []
    print(HEAD, flush=True)
    for case in cases:
        table.append(measure(*case, given))
        print(line(table[-1]), flush=True)
    if given.picture:
        picture(table, given.picture)


if __name__ == "__main__":
    main()
