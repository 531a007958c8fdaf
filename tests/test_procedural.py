"""Rows that are made when their source fires: the stored rows, the same spikes, no memory; and the values of synapses as a kernel."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built import edges, parts_of, stored
from networks import Run as Runs
from networks import emitted, same_bits
from scipy import stats

from sparseprop_dist.config import dumps, loads
from sparseprop_dist.description import Network
from sparseprop_dist.distributions import Distribution, Lognormal, Normal, Uniform, draw, draw_at
from sparseprop_dist.drawing import group_bits
from sparseprop_dist.engine import instant, ordered, slab
from sparseprop_dist.engine.procedural import draw_row
from sparseprop_dist.errors import InputError
from sparseprop_dist.exchange import world
from sparseprop_dist.inputs import Poisson, SpikeTrains
from sparseprop_dist.laws import law_of, stream_of, values_of
from sparseprop_dist.matching import match_key, match_side, owner, source_end, source_ends, target_end, target_ends
from sparseprop_dist.models.lif import LIF
from sparseprop_dist.models.qif import QIF
from sparseprop_dist.plan import plan
from sparseprop_dist.rules import AllToAll, FixedIndegree, FixedOutdegree, FixedTotalNumber, OneToOne, Pairs, PairwiseBernoulli, Rule
from sparseprop_dist.simulate import simulate

RULES: list[Rule] = [
    FixedOutdegree(12),
    FixedOutdegree(40, allow_autapses=False),  # many synapses of one source onto one neuron
    FixedOutdegree(12, allow_autapses=False, allow_multapses=False),
    FixedOutdegree(50, allow_multapses=False),  # those left out are drawn
    PairwiseBernoulli(0.2),
    PairwiseBernoulli(0.9, allow_autapses=False),
    PairwiseBernoulli(0.0),
    PairwiseBernoulli(1.0),
    AllToAll(allow_autapses=False),
    OneToOne(),
    FixedIndegree(11, matched=True),
    FixedTotalNumber(500, matched=True),
    FixedTotalNumber(0, matched=True),
]
NAMES = [repr(rule) for rule in RULES]
STORAGES = ("stored", "procedural")


def network(rule: Rule, storage: str, delay: Any = 0.0, weight: Any = -0.4, drawn_later: Any = -0.3) -> Network:
    """One projection whose storage may be chosen between two of the same delay that are stored, and one from spike sources."""
    made = Network(seed=5)
    lif = LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0, V_m=Uniform(0.0, 20.0), I_e=300.0)
    made.add_population("exc", 48, lif)
    made.add_population("trains", 60, SpikeTrains(np.linspace(0.0, 30.0, 90), np.arange(90) * 7 % 60))
    made.add_population("inh", 12, lif)
    made.connect("exc", ["exc", "inh"], FixedIndegree(5), weight=0.5, delay=delay)
    made.connect(["inh", "exc"], ["exc", "inh"], rule, weight=weight, delay=delay, storage=storage)
    made.connect("inh", ["inh", "exc"], FixedOutdegree(7), weight=drawn_later, delay=delay)
    made.connect("trains", ["exc", "inh"], rule, weight=0.7, delay=1.0, storage=storage)
    made.add_input(["exc", "inh"], Poisson(500.0), weight=1.0)
    return made


def rows(made: Network, n_ranks: int) -> list[list[tuple[int, float, int]]]:
    """(target, weight, delay) of all synapses of the second projection, source by source, as kernels make them on some ranks."""
    parts = parts_of(made, n_ranks)
    out = []
    for row in range(60):
        found = []
        for part in parts:
            synapses = part.synapses
            for p in np.flatnonzero(synapses.drawn.rule)[:1]:
                n = draw_row(synapses, p, row)
                local = synapses.drawn.local[:n].astype(np.int64)
                block = np.searchsorted(part.blocks.first, local, side="right") - 1
                gids = part.blocks.gid[block] + local - part.blocks.first[block]
                valued = synapses.drawn.valued[p]
                weights = synapses.drawn.weight[:n] if valued else np.full(n, synapses.weight[p])
                delays = synapses.drawn.delay[:n] if valued else np.full(n, synapses.delay[p])
                found += list(zip(gids.tolist(), weights.tolist(), delays.tolist(), strict=True))
        out.append(sorted(found))
    return out


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_rows_are_those_that_are_stored(rule: Rule) -> None:
    """On any number of ranks; weights and delays of a synapse go by its number, or by its place where all are alike."""
    delay, weight = Uniform(0.5, 2.0), Normal(-0.4, 0.1)
    alone = Network(seed=5)
    for population in network(rule, "stored").populations:
        alone.add_population(population.name, population.size, population.model)
    for _ in range(2):
        alone.connect(["inh", "exc"], ["exc", "inh"], rule, weight=weight, delay=delay)
    reference = stored(parts_of(alone, 1)[0])
    procedural = Network(seed=5)
    for population in alone.populations:
        procedural.add_population(population.name, population.size, population.model)
    for storage in STORAGES:
        procedural.connect(["inh", "exc"], ["exc", "inh"], rule, weight=weight, delay=delay, storage=storage)
    for n_ranks in (1, 2, 3):
        made = rows(procedural, n_ranks)
        together = sorted((source, *synapse) for source, row in zip([*range(48, 60), *range(48)], made, strict=True) for synapse in row)
        twice = sorted(together + sorted(zip(*(column.tolist() for column in stored_of(procedural)), strict=True)))
        assert twice == sorted(zip(*(column.tolist() for column in reference), strict=True))


def stored_of(made: Network) -> list[np.ndarray]:
    """What a rank alone has stored of a network."""
    return list(stored(parts_of(made, 1)[0]))


CASES = [
    (0.0, -0.4),
    (0.0, Normal(-0.4, 0.1)),
    (1.5, -0.4),
    (1.5, Lognormal(-1.0, 0.5, high=3.0)),
    (Uniform(0.3, 4.0), -0.4),
    (Lognormal(0.0, 0.5, low=0.2), Uniform(-0.6, 0.1)),
]


@pytest.mark.parametrize(("delay", "weight"), CASES, ids=lambda value: repr(value))
@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_spikes_are_those_of_the_stored_network(rule: Rule, delay: Any, weight: Any) -> None:
    """Bit for bit, with their triggers: whatever the schedule of either."""
    reference = emitted(network(rule, "stored", delay, weight), 30.0, Runs(instant if delay == 0.0 else slab))
    assert len(reference) > 100
    for schedule in (instant, ordered):
        assert same_bits(reference, emitted(network(rule, "procedural", delay, weight), 30.0, Runs(schedule, window=3.7, capacity=64)))


def test_synapses_of_one_spike_come_in_the_order_of_the_description() -> None:
    """A first projection that lifts a neuron over threshold and a second that pulls it down again, the first, the second or both made."""
    found = []
    for first, second in ((a, b) for a in STORAGES for b in STORAGES):
        for delay in (0.0, 1.0):
            made = Network(seed=1)
            lif = LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=0.0, t_ref=1.0, V_m=0.0)
            made.add_population("starter", 1, SpikeTrains([1.0], [0]))
            made.add_population("one", 1, lif)
            made.add_population("many", 30, lif)
            made.connect("starter", "one", AllToAll(), weight=25.0, delay=0.0)
            made.connect("one", "many", AllToAll(), weight=21.0, delay=delay, storage=first)
            made.connect("one", "many", AllToAll(), weight=-10.0, delay=delay, storage=second)
            for schedule in (instant, ordered):
                assert len(emitted(made, 5.0, Runs(schedule))) == 31
            made.projections = [made.projections[0], made.projections[2], made.projections[1]]
            found.append(len(emitted(made, 5.0, Runs(instant))))
    assert found == [1] * 8


def test_several_models_and_one_block_each() -> None:
    def made(storage: str) -> Network:
        two = Network(seed=2)
        two.add_population("qif", 40, QIF(V_m=Uniform(-65.0, -55.0)))
        two.add_population("lif", 30, LIF(E_L=0.0, V_th=20.0, V_reset=0.0, t_ref=1.0, V_m=Uniform(0.0, 20.0), I_e=700.0))
        two.connect(["lif", "qif"], ["qif", "lif"], FixedOutdegree(15), weight=Normal(-0.2, 0.05), delay=0.0, storage=storage)
        return two

    reference = emitted(made("stored"), 40.0, Runs(instant))
    assert len(reference) > 30
    assert same_bits(reference, emitted(made("procedural"), 40.0, Runs(instant)))


@pytest.mark.parametrize("p", [0.02, 0.3])
def test_pairs_in_many_groups_of_targets(p: float) -> None:
    """Independent for all pairs, at the edges of groups too; and the same whichever targets are asked for."""
    n_sources, n_targets, bits = 200, 20_000, group_bits(p)
    made = Network(seed=11)
    made.add_population("from", n_sources, LIF())
    made.add_population("to", n_targets, LIF())
    projection = made.connect("from", "to", PairwiseBernoulli(p), weight=0.1, delay=1.0)
    sources, targets, numbers = edges(made, projection)
    assert n_targets >> bits > 4
    assert (numbers == sources * n_targets + targets).all()
    for counts, law in ((np.bincount(sources), stats.binom(n_targets, p)), (np.bincount(targets), stats.binom(n_sources, p))):
        assert stats.kstest(law.cdf(counts) - law.pmf(counts) * np.random.default_rng(1).uniform(size=len(counts)), "uniform").pvalue > 1e-3
    made_of = np.zeros((n_sources, n_targets), bool)
    made_of[sources, targets] = True
    assert made_of.sum() == len(sources)
    edge = np.arange(1, n_targets >> bits) << bits
    for one, other in ((edge - 1, edge), (edge, edge + 1), (edge[:-1], edge[1:]), (edge - 2, edge - 1)):
        both = int((made_of[:, one] & made_of[:, other]).sum())
        assert stats.binomtest(both, n_sources * len(one), p * p).pvalue > 1e-3
    cuts = edges(made, projection, (1, (1 << bits) - 1, 1 << bits, (3 << bits) + 7, 19_999))
    assert all((own == whole).all() for own, whole in zip(cuts, (sources, targets, numbers), strict=True))


@pytest.mark.kernels
@pytest.mark.parametrize("n", [1, 2, 100, 4096, 4097, 10_000])
def test_ends_are_matched_one_to_one(n: int) -> None:
    keys, side = match_key((7, n)), match_side(n)
    found = [source_end(end, n, side, keys) for end in range(n)]
    assert sorted(found) == list(range(n))
    assert [target_end(end, n, side, keys) for end in found] == list(range(n))
    for first in {0, n // 3, n - 1}:
        out = np.empty(n - first, np.int64)
        source_ends(first, n, side, keys, out)
        assert out.tolist() == found[first:]
        target_ends(first, n, side, keys, out)
        assert out.tolist() == [target_end(end, n, side, keys) for end in range(first, n)]


@pytest.mark.kernels
def test_the_owner_of_an_end() -> None:
    for degrees in ([0, 3, 0, 0, 2, 1, 0], [1], [0, 0, 9], [5] * 20, np.random.default_rng(1).poisson(0.5, 200)):
        ends = np.concatenate([[0], np.cumsum(degrees)])
        assert [owner(ends, end) for end in range(ends[-1])] == np.repeat(np.arange(len(degrees)), degrees).tolist()


@pytest.mark.parametrize("rule", [FixedIndegree(50, matched=True), FixedTotalNumber(50 * 4000, matched=True)], ids=lambda rule: rule.kind)
def test_matched_synapses_have_the_law_of_the_rule(rule: Rule) -> None:
    """Degrees of sources, and of targets where they are drawn; every source meets every target alike; pairs with several synapses."""
    n_sources, n_targets, n = 3000, 4000, 200_000
    made = Network(seed=21)
    made.add_population("from", n_sources, LIF())
    made.add_population("to", n_targets, LIF())
    sources, targets, numbers = edges(made, made.connect("from", "to", rule, weight=0.1, delay=1.0))
    assert (numbers == np.arange(n)).all()
    assert (np.diff(targets) >= 0).all()
    indegree = np.bincount(targets, minlength=n_targets)
    if isinstance(rule, FixedIndegree):
        assert (indegree == 50).all()
    else:
        assert dispersion(indegree) > 1e-3
    assert dispersion(np.bincount(sources, minlength=n_sources)) > 1e-3
    for a, b in ((30, 40), (300, 400), (3000, 1)):  # blocks of sources and targets, and of neighbours
        assert dispersion(np.bincount(sources * a // n_sources * b + targets * b // n_targets, minlength=a * b)) > 1e-3
    assert dispersion(np.bincount(sources % 7 * 11 + targets % 11, minlength=77)) > 1e-3
    several = np.bincount(np.unique(sources * n_targets + targets, return_counts=True)[1])
    pairs = n * n / (2 * n_sources * n_targets)
    assert stats.poisson(pairs).cdf(several[2]) == pytest.approx(0.5, abs=0.499)


def dispersion(counts: np.ndarray) -> float:
    """The probability that multinomial counts are as far from even as these, to either side."""
    mean = counts.mean()
    p = stats.chi2(len(counts) - 1).cdf(float(((counts - mean) ** 2 / mean).sum()))
    return 2.0 * float(min(p, 1.0 - p))


# --- several ranks --------------------------------------------------------------------------------------------------------------------


@pytest.mark.mpi
def test_spikes_on_two_ranks(mpirun: Any) -> None:
    """Without delay (ranks settle windows, and take rows back) and with one; the number of events too."""
    found = {n: json.loads(mpirun(n, [Path(__file__)], timeout=300.0).stdout) for n in (1, 2)}
    assert found[1] == found[2]
    for name, digest in found[1].items():
        assert digest == found[1][name.replace("procedural", "stored")], name


def on_ranks() -> dict[str, Any]:
    """What a job of any number of ranks must find."""
    found = {}
    for rule in (FixedOutdegree(12), PairwiseBernoulli(0.2), FixedIndegree(11, matched=True), FixedTotalNumber(500, matched=True)):
        for delay in (0.0, 1.5):
            for storage in STORAGES:
                result = simulate(network(rule, storage, delay, Normal(-0.4, 0.1)), 20.0)
                spikes = hashlib.sha256(result.spikes.times.tobytes() + result.spikes.ids.tobytes()).hexdigest()
                found[f"{rule!r}, {delay} ms, {storage}"] = [spikes, result.summary["spikes"], result.summary["events"]]
    return found


# --- values ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "law",
    [Uniform(0.5, 4.0), Normal(1.0, 0.3), Normal(1.0, 2.0, low=0.0), Normal(2.0, 0.0), Lognormal(0.0, 0.5), Lognormal(0.1, 0.5, high=5.0)],
)
def test_values_are_those_of_the_description(law: Distribution) -> None:
    key, far = (2**40 + 5, 2, 3), np.random.default_rng(1).integers(0, 10**13, 200)
    numbers = np.concatenate([np.arange(3000), far])
    expected = np.concatenate([draw_at(law, key, np.arange(3000)), *(draw(law, key, e, e + 1) for e in far.tolist())])
    values = np.empty(len(numbers))
    values_of(law_of(law), stream_of(key), numbers, values)
    assert (values == expected).all()


# --- description, memory, refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [FixedOutdegree(3), PairwiseBernoulli(0.5), AllToAll(), OneToOne(), FixedIndegree(2, matched=True), FixedTotalNumber(9, matched=True)],
    ids=lambda rule: rule.kind,
)
def test_toml_round_trip(rule: Rule) -> None:
    made = network(rule, "procedural", 1.0)
    text = dumps(made)
    assert text.count('storage = "procedural"') == 2
    assert loads(text).network == made
    assert loads(text.replace("procedural", "stored")).network == network(rule, "stored", 1.0)
    assert "storage" not in dumps(network(rule, "stored", 1.0))


def test_no_memory_per_synapse() -> None:
    """10^9 synapses: what is planned, and what is allocated, is a millionth of what stored ones take."""
    n, degree = 1_000_000, 1000
    for rule in (FixedOutdegree(degree), PairwiseBernoulli(degree / n), FixedIndegree(degree, matched=True)):
        planned = {}
        for storage in STORAGES:
            made = Network()
            made.add_population("lif", n, LIF(t_ref=0.0))
            made.connect("lif", "lif", rule, weight=-0.1, delay=0.0, storage=storage)
            planned[storage] = float(plan(made, 1).memory[0])
            assert plan(made, 4).synapses.sum() == 1e9
        assert planned["stored"] - planned["procedural"] > 1.9e9  # rows of a thousand have gaps, two bytes each
        assert planned["procedural"] < 0.7e9
        part = parts_of(made, 1)[0]
        drawn = sum(array.nbytes for array in part.synapses.drawn if isinstance(array, np.ndarray))
        assert part.synapses_bytes + drawn < 20e6
        assert part.n_synapses == 10**9


def test_flags_may_be_numpys() -> None:
    made = connect(FixedIndegree(2, matched=np.bool_(True), allow_autapses=np.bool_(True)))  # type: ignore[arg-type]
    assert loads(dumps(made)).network == made


def test_a_long_row_is_planned() -> None:
    few = Network()
    few.add_population("from", 4, LIF())
    few.add_population("to", 100_000, LIF())
    few.connect("from", "to", FixedIndegree(400, matched=True), weight=-0.1, delay=0.0, storage="procedural")
    bare = Network()
    bare.add_population("from", 4, LIF())
    bare.add_population("to", 100_000, LIF())
    assert plan(few, 1).memory[0] - plan(bare, 1).memory[0] > 1e7 * 44


def connect(rule: Rule, storage: Any = "procedural", weight: Any = 0.1, delay: Any = 1.0) -> Network:
    made = Network()
    made.add_population("exc", 4, LIF())
    made.connect("exc", "exc", rule, weight=weight, delay=delay, storage=storage)
    return made


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"rule": FixedIndegree(2)}, "fixed_indegree draws the sources of each target.*fixed_outdegree or pairwise_bernoulli, or storage"),
        ({"rule": FixedTotalNumber(2)}, 'fixed_total_number first shares out.*give it matched = true, or .*or storage = "stored"'),
        ({"rule": FixedIndegree(2, allow_multapses=False, matched=True)}, "matched = true needs allow_multapses = true: ends are matched"),
        ({"rule": FixedTotalNumber(2, allow_autapses=False, matched=True)}, "matched = true needs allow_autapses.*pool share 4 neurons"),
        ({"rule": Pairs([0], [1])}, 'pairs lists its synapses; give a rule that draws them.*or storage = "stored"'),
        ({"rule": AllToAll(), "weight": np.ones(16)}, 'weight is an array, which must be stored; give a number.*or storage = "stored"'),
        ({"rule": OneToOne(), "delay": np.ones(4)}, "delay is an array, which must be stored; give a number, a distribution, or storage"),
        ({"rule": OneToOne(), "storage": "none"}, 'projection exc -> exc: storage is .none. .a string.; give "stored" or "procedural"'),
        ({"rule": OneToOne(), "storage": True}, 'storage is True .a truth value.; give "stored" or "procedural"'),
    ],
)
def test_refusals(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        connect(**given)


def test_the_slab_schedule_refuses_and_auto_takes_another() -> None:
    made = connect(FixedOutdegree(2))
    with pytest.raises(InputError, match='stored synapses only, and projection exc -> exc is "procedural"; give auto, instant or ordered'):
        simulate(made, 1.0, schedule="slab")
    assert simulate(made, 1.0).summary["synapses"] == 8


if __name__ == "__main__":
    own = on_ranks()
    if world().rank == 0:
        print(json.dumps(own))
