"""The oracle against closed forms, against 50 digits, against a published network; and the random cases that tests are made of.

Delays and the order at one tick come first, then what happens without delay, then the models beside the LIF one by one.
"""

from __future__ import annotations

import bisect
import csv
import itertools
import json
import math
import os
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import mpmath
import pytest
from cases import PRESETS, Case, random_case
from instant_cases import MOST_SPIKES, SPECIAL, InstantCase, instant_case
from instant_cases import PRESETS as INSTANT_PRESETS
from mpmath import mpf
from oracle import (
    EIF,
    QIF,
    TICK,
    Cascade,
    Exponential,
    Function,
    Model,
    Neuron,
    Perfect,
    Spike,
    Synapse,
    history,
    simulate,
    to_ticks,
)

# V_inf = V_reset = 0: a potential made of simultaneous inputs is an exact sum
QUIET = Neuron(tau_m=10.0, V_inf=0.0, V_th=1.0, V_reset=0.0, t_ref=2.0, V_m=0.0)
DRIVEN = replace(QUIET, V_inf=1.5)
FIRST = 10.0 * math.log(3.0)  # ms; when DRIVEN fires by itself
Spikes = list[tuple[int, int]]


def in_ms(spikes: Spikes, gid: int | None = None) -> list[float]:
    return [tick * TICK for tick, who in spikes if gid in (None, who)]


def single(neuron: Model, inputs: list[tuple[float, float]], until: float = 100.0) -> list[float]:
    """Spike times of one neuron that gets the inputs (ms, mV)."""
    return in_ms(simulate([neuron], [], until, events=[(t, 0, w, 0) for t, w in inputs]))


# --- one neuron ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("V_inf", [-54.9, -50.0, 0.0])
@pytest.mark.parametrize("t_ref", [0.0, 0.1, 2.0])
def test_frequency_current_curve(V_inf: float, t_ref: float) -> None:
    neuron = Neuron(tau_m=10.0, V_inf=V_inf, V_th=-55.0, V_reset=-70.0, t_ref=t_ref, V_m=-60.0)
    first, interval = (10.0 * math.log((V_inf - V) / (V_inf + 55.0)) for V in (-60.0, -70.0))
    times = single(neuron, [], until=1000.0)
    assert len(times) == 1 + int((1000.0 - first) / (interval + t_ref))
    for k, time in enumerate(times):
        assert time == pytest.approx(first + k * (interval + t_ref), abs=1e-9)


@pytest.mark.parametrize("V_inf", [-60.0, -55.0])
def test_drive_up_to_threshold_is_silent(V_inf: float) -> None:
    assert single(Neuron(10.0, V_inf, V_th=-55.0, V_reset=-70.0, t_ref=2.0, V_m=-70.0), [], until=1e5) == []


def test_potential_decays_between_two_inputs() -> None:
    needed = 1.0 - 0.6 * math.exp(-0.5)
    assert single(QUIET, [(1.0, 0.6), (6.0, needed + 1e-12)]) == [6.0]
    assert single(QUIET, [(1.0, 0.6), (6.0, needed - 1e-12)]) == []


@pytest.mark.parametrize("neuron", [QUIET, Neuron(10.0, V_inf=-70.3, V_th=-69.3, V_reset=-70.3, t_ref=2.0, V_m=-70.3)])
def test_reaching_the_threshold_exactly_is_enough(neuron: Neuron) -> None:
    assert single(neuron, [(1.0, 0.5), (1.0, 0.5)]) == [1.0]
    assert single(neuron, [(1.0, 0.5), (1.0, 0.5 - 1e-9)]) == []


def test_at_or_above_threshold_at_the_start() -> None:
    assert single(replace(QUIET, V_m=1.0), []) == [0.0]
    assert single(replace(QUIET, V_m=1.0), [(0.0, -5.0)]) == [0.0], "the crossing comes before the arrivals"


def test_an_arrival_exactly_at_the_end_counts() -> None:
    end = 5.0 + QUIET.t_ref
    for shift, expected in ((-TICK, [5.0]), (0.0, [5.0, end]), (TICK, [5.0, end + TICK])):
        assert single(QUIET, [(5.0, 1.0), (end + shift, 1.0)]) == expected


def test_the_flow_starts_again_at_the_end_of_the_refractory_period() -> None:
    times = single(DRIVEN, [(FIRST + 1.0, -3.0), (FIRST + 2.5, -0.3)], until=27.0)
    V = 1.5 * (1.0 - math.exp(-0.05)) - 0.3
    assert times == pytest.approx([FIRST, FIRST + 2.5 + 10.0 * math.log((1.5 - V) / 0.5)], abs=1e-11)


def test_refractory_input_is_kept_to_the_release() -> None:
    keeps = replace(QUIET, refractory_input=True)
    kept = 0.7 * math.exp(-0.15) + 0.2 * math.exp(-0.05)  # of inputs at 5.5 and 6.5, at the release at 7
    inputs = [(5.0, 1.0), (5.5, 0.7), (6.5, 0.2)]
    assert single(keeps, [*inputs, (7.0, 1.0 - kept + 1e-12)]) == [5.0, 7.0]
    assert single(keeps, [*inputs, (7.0, 1.0 - kept - 1e-12)]) == [5.0]
    assert single(QUIET, [*inputs, (7.0, 1.0 - kept + 1e-12)]) == [5.0]
    assert single(keeps, [(5.0, 1.0), (5.0, 0.9), (7.0, 1.0 - 0.9 * math.exp(-0.2) + 1e-12)]) == [5.0, 7.0], "also at the tick of the spike"


def test_refractory_input_above_threshold_fires_one_tick_after_the_release() -> None:
    keeps = replace(QUIET, refractory_input=True)
    inputs = [(5.0, 1.0), (6.0, 1.5)]
    assert single(keeps, inputs) == [5.0, 7.0 + TICK]
    assert single(keeps, [*inputs, (7.0, -1.0)]) == [5.0], "an arrival at the release comes before the crossing one tick later"
    assert single(keeps, [*inputs, (7.0, -0.1)]) == [5.0, 7.0], "and fires the neuron, whatever its sign, if it is left above threshold"


def test_without_refractory_period_two_spikes_at_one_tick() -> None:
    assert single(replace(QUIET, t_ref=0.0), [(3.0, 1.0), (3.0, 2.0), (3.0, 0.5)]) == [3.0, 3.0]
    assert single(QUIET, [(3.0, 1.0), (3.0, 2.0), (3.0, 0.5)]) == [3.0]


def test_a_crossing_is_at_least_one_tick_after_what_precedes_it() -> None:
    near = 1.0 - 1e-15  # the flow needs far less than a tick from here
    assert single(replace(DRIVEN, V_m=0.0), [(1.0, near - 1.5 * (1.0 - math.exp(-0.1)))], until=2.0) == [1.0 + TICK]
    hasty = Neuron(tau_m=1e-9, V_inf=1e9, V_th=1.0, V_reset=0.0, t_ref=0.0, V_m=0.0)
    assert [tick for tick, _ in simulate([hasty], [], 10 * TICK)] == list(range(10))


def test_the_crossing_comes_before_arrivals_at_its_tick() -> None:
    crossing = to_ticks(FIRST) * TICK
    for shift, fires in ((-TICK, False), (0.0, True), (TICK, True)):
        assert (single(DRIVEN, [(crossing + shift, -0.5)], until=14.0) != []) == fires


def test_until_is_exclusive_and_the_time_of_a_tick_is_rounded_once() -> None:
    assert single(QUIET, [(5.0, 1.0)], until=5.0) == []
    assert single(QUIET, [(5.0, 1.0)], until=5.0 + TICK) == [5.0]
    assert (to_ticks(2.5 * TICK), to_ticks(3.5 * TICK), to_ticks(0.1)) == (2, 4, 109951162778)


# --- delays and the order at one tick -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("w", [0.7, 0.8])
def test_two_coupled_neurons(w: float) -> None:
    """0 is driven and excites 1; at 0.8 mV, not yet at 0.7, the second spike of 0 makes 1 fire, which inhibits 0."""
    there, back, v = 1.5, 2.25, -0.4
    spikes = simulate([DRIVEN, QUIET], [Synapse(0, 1, w, there), Synapse(1, 0, v, back)], until=45.0)
    first, second = FIRST, 2 * FIRST + 2.0
    if w * (1.0 + math.exp(-(second - first) / 10.0)) < 1.0:
        relay, third = [], 3 * FIRST + 4.0
    else:
        relay = [second + there]
        hit = second + there + back  # the release was at second + 2
        V = 1.5 * (1.0 - math.exp(-(hit - second - 2.0) / 10.0)) + v
        third = hit + 10.0 * math.log((1.5 - V) / 0.5)
    assert (relay == []) == (w == 0.7)
    assert in_ms(spikes, 0) == pytest.approx([first, second, third], abs=1e-11)
    assert in_ms(spikes, 1) == pytest.approx(relay, abs=1e-11)


def test_autapse() -> None:
    kick = [(1.0, 0, 1.0, 0)]
    assert in_ms(simulate([QUIET], [Synapse(0, 0, 1.0, 2.0)], 8.0, events=kick)) == [1.0, 3.0, 5.0, 7.0]
    assert in_ms(simulate([QUIET], [Synapse(0, 0, 1.0, 1.75)], 8.0, events=kick)) == [1.0], "it finds its neuron refractory"


def test_a_source_may_have_no_delay() -> None:
    assert in_ms(simulate([QUIET], [Synapse(1, 0, 1.0, 0.0)], 8.0, [(3.0, 1)])) == [3.0]


@pytest.mark.parametrize("excitation_first", [True, False])
def test_the_spike_emitted_first_arrives_first(excitation_first: bool) -> None:
    early, late = (1.2, -0.5) if excitation_first else (-0.5, 1.2)
    synapses = [Synapse(2, 0, late, 2.0), Synapse(1, 0, early, 3.0)]  # neither the order of the description nor that of the gids
    for names in ({1: 1, 2: 2}, {1: 2, 2: 1}):
        renamed = [replace(s, source=names[s.source]) for s in synapses]
        spikes = simulate([QUIET], renamed, 9.0, [(2.0, names[2]), (1.0, names[1])])
        assert in_ms(spikes) == ([4.0] if excitation_first else [])


def test_ties_of_emission_are_broken_by_gid_then_by_the_description() -> None:
    def fires(*synapses: tuple[int, float]) -> bool:
        return simulate([QUIET], [Synapse(source, 0, weight, 2.0) for source, weight in synapses], 9.0, [(2.0, 2), (2.0, 1)]) != []

    assert [fires((2, -0.5), (1, 1.2)), fires((2, 1.2), (1, -0.5))] == [True, False]
    assert [fires((1, 1.2), (1, -0.5)), fires((1, -0.5), (1, 1.2))] == [True, False]


def test_poisson_events_come_first_in_the_order_of_the_inputs() -> None:
    def fires(poisson: list[tuple[float, int]], spike: float) -> bool:
        return simulate([QUIET], [Synapse(1, 0, spike, 2.0)], 9.0, [(2.0, 1)], [(4.0, 0, w, index) for w, index in poisson]) != []

    assert [fires([(1.2, 0)], -0.5), fires([(-0.5, 0)], 1.2)] == [True, False]
    assert [fires([(-0.5, 1), (1.2, 0)], 0.0), fires([(1.2, 1), (-0.5, 0)], 0.0)] == [True, False]


def order_by_trigger(
    delay: float, relay_of: dict[int, int], sources: dict[int, tuple[float, float]], start: tuple[float, float] = (0.0, 0.0)
) -> int:
    """Neurons 0 and 1 fire at one tick, by their sources (emission, delay) or, without one, by themselves: whose spike reaches 2 first?"""
    neurons = [replace(QUIET, V_m=start[0]), replace(QUIET, V_m=start[1]), QUIET]
    relays = [Synapse(source, relay, 1.0, sources[source][1]) for relay, source in relay_of.items()]
    train = [(sources[source][0], source) for source in sources]
    outcomes = []
    for excitatory in (0, 1):
        outputs = [Synapse(relay, 2, 1.2 if relay == excitatory else -0.5, delay) for relay in (0, 1)]
        spikes = simulate(neurons, relays + outputs, 9.0, train)
        assert [tick for tick, gid in spikes if gid == 0] == [tick for tick, gid in spikes if gid == 1] != []
        outcomes.append(any(gid == 2 for _, gid in spikes))
    assert outcomes.count(True) == 1
    return outcomes.index(True)


@pytest.mark.parametrize("delay", [2.0, 0.0])
def test_simultaneous_spikes_are_ordered_by_their_triggers(delay: float) -> None:
    assert order_by_trigger(delay, {0: 3, 1: 4}, {3: (1.0, 2.0), 4: (0.5, 2.5)}) == 1, "trigger time"
    assert order_by_trigger(delay, {0: 3, 1: 4}, {3: (0.5, 2.5), 4: (1.0, 2.0)}) == 0, "trigger time"
    assert order_by_trigger(delay, {0: 4, 1: 3}, {3: (1.0, 2.0), 4: (1.0, 2.0)}) == 1, "trigger gid"
    assert order_by_trigger(delay, {0: 3, 1: 3}, {3: (1.0, 2.0)}) == 0, "gid"
    assert order_by_trigger(delay, {0: 3}, {3: (0.0, 0.0)}, start=(0.0, 1.0)) == 1, "a crossing has no trigger and comes first"
    assert order_by_trigger(delay, {1: 3}, {3: (0.0, 0.0)}, start=(1.0, 0.0)) == 0, "a crossing has no trigger and comes first"


@pytest.mark.parametrize("excitatory", [2, 3])
def test_the_order_looks_back_one_level_only(excitatory: int) -> None:
    """0 triggers 2, 1 triggers 3. 1 was emitted before 0, by an older trigger; but at one level the gids of the triggers decide."""
    relays = [Synapse(5, 0, 1.0, 2.0), Synapse(6, 1, 1.0, 3.0), Synapse(0, 2, 1.0, 1.0), Synapse(1, 3, 1.0, 1.0)]
    outputs = [Synapse(relay, 4, 1.2 if relay == excitatory else -0.5, 2.0) for relay in (2, 3)]
    spikes = simulate([QUIET] * 5, relays + outputs, 9.0, [(1.0, 5), (0.0, 6)])
    assert [(tick * TICK, gid) for tick, gid in spikes if gid < 4] == [(3.0, 0), (3.0, 1), (4.0, 2), (4.0, 3)]
    assert any(gid == 4 for _, gid in spikes) == (excitatory == 2)


def test_two_spikes_of_one_neuron_at_one_tick_arrive_one_after_the_other() -> None:
    """Each spike of 0 gives 1 first 0.6, then -0.6: summed by spike it stays quiet, by synapse it would fire."""
    free = replace(QUIET, t_ref=0.0)
    synapses = [Synapse(0, 1, 0.6, 1.0), Synapse(0, 1, -0.6, 1.0)]
    spikes = simulate([free, QUIET], synapses, 9.0, events=[(3.0, 0, 1.0, 0), (3.0, 0, 1.0, 0)])
    assert spikes == [(to_ticks(3.0), 0)] * 2


# --- without delay ------------------------------------------------------------------------------------------------------------------


def instant(*synapses: tuple[int, int, float]) -> list[Synapse]:
    return [Synapse(source, target, weight, 0.0) for source, target, weight in synapses]


def kicks(*gids: int, at: float = 3.0) -> list[tuple[float, int, float, int]]:
    """Events that make these neurons fire at one time."""
    return [(at, gid, 1.0, 0) for gid in gids]


AT = to_ticks(3.0)


def fires(gid: int, synapses: list[Synapse], kicked: Sequence[int], neuron: Neuron = QUIET) -> bool:
    """Whether a neuron fires at AT, in a network of seven, if some others do."""
    return (AT, gid) in simulate([neuron] * 7, synapses, 9.0, events=kicks(*kicked))


def test_a_chain_of_generations() -> None:
    spikes = history([QUIET] * 4, instant((2, 1, 1.0), (1, 3, 1.0), (0, 2, 1.0)), 9.0, events=kicks(0))
    assert spikes == [Spike(AT, (-1, -1), 0, 0), Spike(AT, (AT, 0), 2, 1), Spike(AT, (AT, 1), 3, 3), Spike(AT, (AT, 2), 1, 2)]


def test_a_loop_ends_at_neurons_that_are_refractory() -> None:
    loop = instant((0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0))
    assert simulate([QUIET] * 3, loop, 9.0, events=kicks(1)) == [(AT, 0), (AT, 1), (AT, 2)]
    assert simulate([replace(QUIET, t_ref=TICK)] * 3, loop, 9.0, events=kicks(1)) == [(AT, 0), (AT, 1), (AT, 2)]


def test_breadth_before_depth() -> None:
    """0 fires, hence 1 (generation 1); 5 fires with 0. What 5 says reaches 2 before what 1 says, although 1 follows from 0."""
    assert not fires(2, instant((0, 1, 1.0), (1, 2, 1.2), (5, 2, -0.5)), [0, 5])
    assert fires(2, instant((0, 1, 1.0), (1, 2, -0.5), (5, 2, 1.2)), [0, 5])


def test_order_in_generation_0() -> None:
    for early, late, expected in ((1.2, -0.5, True), (-0.5, 1.2, False)):
        assert fires(2, instant((4, 2, late), (3, 2, early)), [4, 3]) == expected, "gid, not the order of events or of the description"


@pytest.mark.parametrize(("early", "late", "expected"), [(1.2, -0.5, True), (-0.5, 1.2, False)])
def test_order_in_later_generations(early: float, late: float, expected: bool) -> None:
    by_trigger = instant((0, 3, 1.0), (1, 2, 1.0), (2, 4, late), (3, 4, early))
    assert fires(4, by_trigger, [0, 1]) == expected, "3 was triggered by 0, 2 by 1"
    by_gid = instant((0, 3, 1.0), (0, 2, 1.0), (3, 4, late), (2, 4, early))
    assert fires(4, by_gid, [0]) == expected, "the synapse that triggers 3 is described first, but 2 is before 3"
    second = instant((6, 0, 1.0), (6, 1, 1.0), (0, 3, 1.0), (1, 2, 1.0), (2, 4, late), (3, 4, early))
    assert fires(4, second, [6]) == expected, "in generation 2"


def test_the_trigger_is_the_spike_that_lifts_a_neuron() -> None:
    """3 needs both 0 and 1, so it is triggered by 1, like 2; 2 comes first by its gid. Were it 0, 3 would come first."""
    synapses = instant((0, 3, 0.5), (1, 3, 0.5), (1, 2, 1.0))
    assert fires(4, synapses + instant((3, 4, -0.5), (2, 4, 1.2)), [0, 1])
    assert not fires(4, synapses + instant((3, 4, 1.2), (2, 4, -0.5)), [0, 1])


def test_two_synapses_of_one_spike_in_the_order_of_the_description() -> None:
    assert fires(1, instant((0, 1, 1.2), (0, 1, -0.5)), [0])
    assert not fires(1, instant((0, 1, -0.5), (0, 1, 1.2)), [0])
    assert not fires(2, instant((0, 2, 0.6), (1, 2, 0.6), (0, 2, -0.6), (1, 2, -0.6)), [0, 1]), "spike by spike"


def test_what_was_on_its_way_comes_before_what_has_no_delay() -> None:
    """0 and 1 fire at 3 ms: delayed spikes, Poisson events and spikes of a source at 3 ms come before theirs, whichever is named first."""
    for early, late, expected in ((1.2, -0.5, True), (-0.5, 1.2, False)):
        own = instant((0, 2, late))
        delayed = simulate([QUIET] * 4, [*own, Synapse(3, 2, early, 1.0)], 9.0, events=[*kicks(3, at=2.0), *kicks(0)])
        poisson = simulate([QUIET] * 4, own, 9.0, events=[*kicks(0), (3.0, 2, early, 1)])
        source = simulate([QUIET] * 4, [*own, Synapse(4, 2, early, 0.0)], 9.0, [(3.0, 4)], kicks(0))
        flow = simulate([replace(QUIET, V_m=1.0)] + [QUIET] * 3, [*own, Synapse(4, 2, early, 0.0)], 9.0, [(0.0, 4)])
        assert [(AT, 2) in delayed, (AT, 2) in poisson, (AT, 2) in source, (0, 2) in flow] == [expected] * 4


def test_spikes_by_flow_by_poisson_and_by_sources_are_generation_0() -> None:
    neurons = [replace(QUIET, V_m=1.0), *[QUIET] * 4]
    spikes = history(neurons, [Synapse(5, 2, 1.0, 0.0), *instant((0, 3, 0.5), (1, 3, 0.5), (2, 4, 1.0))], 9.0, [(0.0, 5)], kicks(1, at=0.0))
    assert spikes == [
        Spike(0, (-1, -1), 0, 0),
        Spike(0, (-1, -1), 1, 0),
        Spike(0, (0, 1), 3, 1),
        Spike(0, (0, 2), 4, 1),
        Spike(0, (0, 5), 2, 0),
    ]


def test_delays_know_no_generation() -> None:
    """At one tick 5 fires, hence 2, hence 3: their delayed spikes are in emission order, 5, then 3 (trigger 2), then 2 (trigger 5)."""
    chain = instant((5, 2, 1.0), (2, 3, 1.0))
    assert [(spike.gid, spike.generation) for spike in history([QUIET] * 6, chain, 9.0, events=kicks(5))] == [(5, 0), (3, 2), (2, 1)]
    for first, second in ((5, 3), (3, 2), (5, 2)):
        for early, late, expected in ((1.2, -0.5, True), (-0.5, 1.2, False)):
            delayed = [Synapse(second, 4, late, 1.0), Synapse(first, 4, early, 1.0)]
            spikes = simulate([QUIET] * 6, chain + delayed, 9.0, events=kicks(5))
            assert ((to_ticks(4.0), 4) in spikes) == expected


def test_a_release_comes_before_all_arrivals_of_its_tick() -> None:
    for shift, expected in ((-TICK, False), (0.0, True), (TICK, True)):
        end = 5.0 + QUIET.t_ref + shift
        spikes = simulate([QUIET] * 2, instant((0, 1, 1.0)), 9.0, events=[*kicks(1, at=5.0), *kicks(0, at=end)])
        assert ((to_ticks(end), 1) in spikes) == expected


def test_a_refractory_neuron_keeps_arrivals_without_delay_if_it_keeps_any() -> None:
    keeps = replace(QUIET, refractory_input=True, tau_m=math.inf)
    for weight, expected in ((1.0, [3.0, 5.0 + TICK]), (1.0 - 1e-9, [3.0])):
        spikes = simulate([QUIET, keeps], instant((0, 1, 1.0), (0, 1, weight)), 9.0, events=kicks(0))
        assert in_ms(spikes, 1) == expected


def test_the_flow_continues_after_an_arrival_without_delay() -> None:
    spikes = simulate([QUIET, DRIVEN], instant((0, 1, 0.2)), 12.0, events=kicks(0))
    V = 1.5 * (1.0 - math.exp(-0.3)) + 0.2
    assert in_ms(spikes, 1) == pytest.approx([3.0 + 10.0 * math.log((1.5 - V) / 0.5)], abs=1e-11)
    near = 1.0 - 1e-15 - 1.5 * (1.0 - math.exp(-0.3))
    assert in_ms(simulate([QUIET, DRIVEN], instant((0, 1, near)), 4.0, events=kicks(0)), 1) == [3.0 + TICK]


FREE = replace(QUIET, t_ref=0.0)


@pytest.mark.parametrize(
    ("synapses", "kicked", "gid"),
    [
        pytest.param([(0, 1, 1.0), (1, 0, 1.0)], [0], 0, id="two of each other"),
        pytest.param([(3, 3, 1.0)], [3], 3, id="one of itself"),
        pytest.param([(0, 1, 1.0), (0, 2, 1.0), (2, 1, 1.0)], [0], 1, id="by 0 and by 2"),
        pytest.param([(0, 1, 1.0), (1, 2, 1.0), (2, 1, 0.5), (0, 2, 0.1), (2, 1, 0.5)], [0], 1, id="by a sum"),
        pytest.param([(0, 1, 1.0), (0, 1, 1.0)], [0], 1, id="by two synapses of one spike"),
        pytest.param([(0, 1, 1.0)], [0, 1], 1, id="fired by an event before"),
    ],
)
def test_a_cascade_is_an_error(synapses: list[tuple[int, int, float]], kicked: list[int], gid: int) -> None:
    with pytest.raises(Cascade) as error:
        simulate([FREE] * 4, instant(*synapses), 9.0, events=kicks(*kicked))
    assert (error.value.gid, error.value.tick) == (gid, AT)
    simulate([FREE] * 4, instant(*synapses), 3.0, events=kicks(*kicked))
    weaker = [replace(s, weight=0.49 * s.weight) for s in instant(*synapses)]
    assert simulate([FREE] * 4, weaker, 9.0, events=kicks(*kicked)) == [(AT, k) for k in kicked], "it may be reached, but not lifted"
    for t_ref in (TICK, 2.0):
        simulate([replace(QUIET, t_ref=t_ref)] * 4, instant(*synapses), 9.0, events=kicks(*kicked))


def test_a_cascade_after_the_flow_and_after_a_delayed_arrival() -> None:
    for start, synapses, events in (
        (1.0, instant((1, 0, 1.0)), kicks(1, at=0.0)),
        (0.0, [Synapse(2, 0, 1.0, 1.0), *instant((1, 0, 1.0))], [*kicks(2, at=2.0), *kicks(1)]),
    ):
        with pytest.raises(Cascade) as error:
            simulate([replace(FREE, V_m=start), FREE, FREE], synapses, 9.0, events=events)
        assert error.value.gid == 0


def test_inputs_may_make_a_free_neuron_fire_twice() -> None:
    """Which is no cascade; each spike of 0 then gives 1 first 0.6, then -0.6."""
    spikes = history([FREE, QUIET], instant((0, 1, 0.6), (0, 1, -0.6)), 9.0, events=kicks(0, 0))
    assert spikes == [Spike(AT, (-1, -1), 0, 0)] * 2


def test_a_free_neuron_fires_again_a_tick_later() -> None:
    spikes = simulate([FREE, FREE], instant((0, 1, 1.0)), 9.0, events=[*kicks(0), *kicks(0, at=3.0 + TICK)])
    assert spikes == [(AT, 0), (AT, 1), (AT + 1, 0), (AT + 1, 1)]


# --- against 50 digits --------------------------------------------------------------------------------------------------------------


def next_spike(n: Neuron, start: mpf, V_start: mpf, arrivals: list[tuple[mpf, float]]) -> mpf:
    """V(t) = V_inf - exp(-(t - start) / tau) (V_inf - V_start - sum of w exp((t_input - start) / tau)): first time at threshold."""
    deficit = n.V_inf - V_start
    for time, weight in [*arrivals, (mpmath.inf, 0.0)]:
        if n.V_inf > n.V_th:
            crossing = start + n.tau_m * mpmath.log(deficit / (mpf(n.V_inf) - n.V_th))
            if crossing <= time:
                return crossing
        if time < mpmath.inf:
            growth = mpmath.exp((time - start) / n.tau_m)
            deficit -= weight * growth
            if n.V_inf - deficit / growth >= n.V_th:
                return time
    return mpmath.inf


def resimulate(
    neurons: list[Neuron], synapses: list[Synapse], until: float, arrivals: list[list[tuple[mpf, float]]]
) -> list[tuple[mpf, int]]:
    """No heap, no ticks, no state: always commit the earliest next spike of all, and tell its targets (sorted lists of arrivals)."""
    spikes: list[tuple[mpf, int]] = []
    start, V_start = [mpf(0)] * len(neurons), [mpf(n.V_m) for n in neurons]

    def foresee(i: int) -> mpf:
        # nothing is simultaneous here: an arrival at the start is the one that made the neuron fire, without refractory period
        return next_spike(neurons[i], start[i], V_start[i], [a for a in arrivals[i] if a[0] > start[i]])

    foreseen = [foresee(i) for i in range(len(neurons))]
    while min(foreseen) < until:
        time = min(foreseen)
        i = foreseen.index(time)
        spikes.append((time, i))
        start[i], V_start[i] = time + neurons[i].t_ref, mpf(neurons[i].V_reset)
        told = [s for s in synapses if s.source == i]
        for s in told:
            bisect.insort(arrivals[s.target], (time + s.delay, s.weight))
        for k in {i, *(s.target for s in told)}:
            foreseen[k] = foresee(k)
    return spikes


@pytest.mark.parametrize(("seed", "refractory"), [(1, (2.0,)), (2, (0.0,)), (3, (0.5, 1.0, 3.0))])
def test_a_random_network_against_50_digits(seed: int, refractory: tuple[float, ...]) -> None:
    draw = random.Random(seed)
    N, until = 12, 500.0
    neurons = [
        Neuron(draw.uniform(8, 25), draw.uniform(-65, -40), -55.0, -70.0, draw.choice(refractory), draw.uniform(-70, -56)) for _ in range(N)
    ]

    def dyadic(low: float, high: float) -> float:
        return to_ticks(draw.uniform(low, high)) * TICK  # the reference knows no ticks

    def weight() -> float:
        return draw.choice((1.0, -1.0)) * draw.uniform(0.3, 6.0)

    synapses = [Synapse(draw.randrange(N + 3), i, weight(), dyadic(0.3, 4.0)) for i in range(N) for _ in range(6)]
    sources = [(dyadic(0.0, until), N + draw.randrange(3)) for _ in range(100)]
    events = [(dyadic(0.0, until), draw.randrange(N), weight(), 0) for _ in range(700)]
    spikes = simulate(neurons, synapses, until, sources, events)
    with mpmath.workdps(50):
        arrivals: list[list[tuple[mpf, float]]] = [[] for _ in neurons]
        for time, target, w, _ in events:
            arrivals[target].append((mpf(time), w))
        for time, source in sources:
            for s in synapses:
                if s.source == source:
                    arrivals[s.target].append((mpf(time) + s.delay, s.weight))
        reference = resimulate(neurons, synapses, until, [sorted(a) for a in arrivals])
        assert len(reference) > 200
        assert len(spikes) == len(reference)
        for gid in range(N):
            for time, exact in zip(in_ms(spikes, gid), [t for t, who in reference if who == gid], strict=True):
                assert abs(time - exact) < 1e-11


# --- other models, against closed forms and 50 digits -------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [0.1, 1.0, 1.7])
def test_perfect_integrator(drift: float) -> None:
    neuron = Perfect(drift, V_th=-55.0, V_reset=-70.0, t_ref=2.0, V_m=-60.0)
    times = single(neuron, [(1.0, 1.25)], until=200.0)
    expected = [3.75 / drift + k * (15.0 / drift + 2.0) for k in range(len(times))]
    assert times == pytest.approx(expected, abs=1e-10)
    assert expected[-1] + 15.0 / drift + 2.0 > 200.0
    assert single(replace(neuron, drift=0.0), [(1.0, 2.5), (90.0, 2.5)]) == [90.0]
    assert single(replace(neuron, drift=-0.125), [(1.0, 2.5), (81.0, 12.5 - TICK)]) == []
    assert single(replace(neuron, drift=-0.125), [(1.0, 2.5), (81.0, 12.625)]) == [81.0]


@pytest.mark.parametrize("tau_m", [1e6, 1e7])
@pytest.mark.parametrize("refractory_input", [False, True])
def test_perfect_integrator_is_the_limit_of_the_leaky_one(refractory_input: bool, tau_m: float) -> None:
    draw = random.Random(2)
    inputs = [(draw.uniform(0.0, 100.0), draw.uniform(-1.0, 4.0)) for _ in range(60)]
    perfect = single(Perfect(0.5, 15.0, 0.0, 3.0, 1.0, refractory_input), inputs)
    assert len(perfect) > 5
    leaky = single(Neuron(tau_m, 0.5 * tau_m, 15.0, 0.0, 3.0, 1.0, refractory_input), inputs)
    assert perfect == pytest.approx(leaky, abs=1e4 / tau_m, rel=0)  # V_th^2 / (2 drift^2 tau_m) for each spike


@pytest.mark.parametrize("I", [0.01, 1.0, 25.0])
@pytest.mark.parametrize("t_ref", [0.0, 2.0])
def test_period_of_the_qif(I: float, t_ref: float) -> None:  # noqa: E741
    period = 10.0 * math.pi / math.sqrt(I)
    times = single(QIF(10.0, I, V_m=0.0, t_ref=t_ref), [], until=10 * (period + t_ref))
    assert times == pytest.approx([(k + 0.5) * period + k * t_ref for k in range(10)], abs=1e-10, rel=0)


def after_input(I: float, V: float, weight: float, time: float, tau: float = 10.0) -> float | None:  # noqa: E741
    """When a QIF fires that starts at V and gets one input before, by 50 digits; None: never."""
    with mpmath.workdps(50):
        root = mpmath.sqrt(mpf(I))  # imaginary below zero: one formula for all but I = 0
        if I:
            V_then = root * mpmath.tan(root * time / tau + mpmath.atan(V / root)) + weight
            V_then = mpmath.re(V_then)
            if I < 0 and V_then < mpmath.sqrt(-mpf(I)):
                return None
            left = mpmath.acot(V_then / root) / root * tau
            left = mpmath.re(left) + (mpmath.pi / root * tau if I > 0 and V_then < 0 else 0)
        else:
            V_then = 1 / (1 / mpf(V) - mpf(time) / tau) + weight
            if V_then <= 0:
                return None
            left = tau / V_then
        return float(time + left)


@pytest.mark.parametrize("I", [2.0, 0.3, 0.0, -0.25, -2.0])
def test_response_of_the_qif_to_one_input(I: float) -> None:  # noqa: E741
    silent = 0
    for V, time, weight in itertools.product((-30.0, -0.6, 0.4), (0.5, 4.0), (-3.0, -0.2, 0.7, 2.5)):
        expected = after_input(I, V, weight, time)
        times = single(QIF(10.0, I, V_m=V), [(time, weight)], until=70.0)
        silent += expected is None
        if expected is None:
            assert times == []
        elif expected < 70.0:
            assert times[0] == pytest.approx(expected, abs=2e-12)
    assert (silent > 0) == (I <= 0)


def test_qif_without_drive_after_a_spike() -> None:
    """From minus infinity: V = -tau / t, or -a coth(a t / tau)."""
    kick = -1.0 + 10.0 / 4.0  # from 0.5 of it on, V is tau / (tau / V - t)
    times = single(QIF(10.0, 0.0, V_m=1.0), [(30.0, kick)], until=200.0)
    V = -10.0 / (30.0 - 10.0) + kick
    assert times == pytest.approx([10.0, 30.0 + 10.0 / V], abs=1e-11)
    a = 0.5
    first = 10.0 / a * math.atanh(a / 1.0)
    V = -a / math.tanh(a * (30.0 - first) / 10.0) + 2.0
    assert single(QIF(10.0, -a * a, V_m=1.0), [(30.0, 2.0)], until=200.0) == pytest.approx(
        [first, 30.0 + 10 / a * math.atanh(a / V)], abs=1e-11
    )


def test_an_input_to_a_qif_at_infinity_does_nothing() -> None:
    period = 10.0 * math.pi
    first = to_ticks(period / 2) * TICK
    assert single(QIF(10.0, 1.0, V_m=0.0), [(first, 1e3), (first, -1e3)], until=60.0) == pytest.approx(
        [period / 2, 1.5 * period], abs=1e-11
    )
    times = single(QIF(10.0, 1.0, V_m=0.0, t_ref=2.0), [(first + 1.0, 1e3), (first + 2.0 - TICK, -1e3)], until=60.0)
    assert times == pytest.approx([period / 2, 1.5 * period + 2.0], abs=1e-11)


@pytest.mark.parametrize(
    ("I", "V_th", "V_reset"), [(1.0, 2.0, -3.0), (-0.25, 4.0, 0.6), (-4.0, -2.5, -8.0), (0.0, -0.5, -math.inf), (0.0, 3.0, 0.1)]
)
def test_qif_with_finite_threshold(I: float, V_th: float, V_reset: float) -> None:  # noqa: E741
    times = single(QIF(10.0, I, V_m=V_reset, V_th=V_th, V_reset=V_reset, t_ref=1.0), [], until=300.0)
    period = float(mpmath.quad(lambda V: 10.0 / (V * V + I), [V_reset, V_th]))
    assert len(times) == 1 + int((300.0 - period) / (period + 1.0))
    assert times == pytest.approx([period + k * (period + 1.0) for k in range(len(times))], abs=1e-10)


def test_qif_fires_at_an_arrival_that_reaches_its_threshold() -> None:
    neuron = QIF(10.0, -1.0, V_m=-1.0, V_th=0.5, V_reset=-2.0)
    assert single(neuron, [(3.0, 1.5)]) == [3.0]
    assert single(neuron, [(3.0, 1.5 - 1e-12)]) == []


def root(f: Callable[[mpf], mpf], low: float | mpf, high: float | mpf) -> mpf:
    """Where f turns from negative to positive, to all digits."""
    low, high = mpf(low), mpf(high)
    assert f(low) < 0 <= f(high)
    while high - low > mpmath.eps * abs(high) * 4:
        middle = (low + high) / 2
        low, high = (low, middle) if f(middle) >= 0 else (middle, high)
    return high


# tau_m, V_T and Delta_T as everywhere in the following; the rest vanishes at V_inf = -52
def exponential_slope(V: Any, V_inf: float) -> Any:
    exp = mpmath.exp if isinstance(V, mpf) else math.exp
    return (V_inf - V + 2 * exp((V + 50) / 2)) / 10


def eif(V_inf: float, V_m: float) -> EIF:
    return EIF(10.0, V_inf, V_T=-50.0, Delta_T=2.0, V_th=-30.0, V_reset=-60.0, t_ref=1.5, V_m=V_m)


def by_quadrature(V: float, V_inf: float) -> float:
    """Time to spike, 30 digits."""
    with mpmath.workdps(30):
        stops = [V, *(stop for stop in (-55.0, -52.0, -51.0, -50.0, -49.0, -48.0, -45.0, -40.0) if stop > V), -30.0]
        return float(mpmath.quad(lambda V: 1 / exponential_slope(mpf(V), V_inf), stops))


@pytest.mark.parametrize("V_inf", [-51.9, -50.0, -40.0])
def test_eif_fires_regularly(V_inf: float) -> None:
    first, later = by_quadrature(-100.0, V_inf), by_quadrature(-60.0, V_inf)
    expected = [first + k * (later + 1.5) for k in range(4)]
    assert single(eif(V_inf, -100.0), [], until=expected[-1] + 1.0) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("V_inf", [-70.0, -53.0, -52.0001])
def test_eif_with_a_rest_fires_from_above_it_only(V_inf: float) -> None:
    with mpmath.workdps(30):
        brink = float(root(lambda V: exponential_slope(V, V_inf), -50.0, -40.0))
    for V_m in (-200.0, -60.0, -50.1, brink - 1e-6):
        assert single(eif(V_inf, V_m), [], until=1e4) == []
    for V_m in (brink + 2.0, -35.0):
        assert single(eif(V_inf, V_m), [], until=200.0)[0] == pytest.approx(by_quadrature(V_m, V_inf), abs=1e-12)
    assert single(eif(V_inf, -35.0), [(50.0, 60.0)], until=200.0) == pytest.approx([by_quadrature(-35.0, V_inf), 50.0], abs=1e-12)


def test_eif_between_two_inputs() -> None:
    """Where it is after some time, by inverting the quadrature; towards rest, and on the way to a spike."""
    for V_inf, V_m in ((-65.0, -60.0), (-65.0, -70.0), (-65.0, -47.0), (-45.0, -60.0)):
        for ms in (0.1, 2.0, 7.0):
            V = eif(V_inf, V_m).later(V_m, ms)
            with mpmath.workdps(30):
                needed = mpmath.quad(lambda V: 1 / exponential_slope(mpf(V), V_inf), [V_m, (V_m + V) / 2, V])  # noqa: B023
                assert abs(float(needed - ms) * exponential_slope(V, V_inf)) < 1e-12
    assert eif(-65.0, -60.0).later(-60.0, 1e4) == pytest.approx(-65.0 + 2 * math.exp(-15.0 / 2 + 0.00055335), abs=1e-6)


@pytest.mark.parametrize(
    ("closed", "slope"),
    [
        (Neuron(10.0, 1.5, 1.0, 0.0, 2.0, 0.3), lambda V: (1.5 - V) / 10.0),
        (Neuron(10.0, 0.9, 1.0, 0.0, 0.0, 0.3), lambda V: (0.9 - V) / 10.0),
        (Perfect(0.07, 1.0, 0.0, 2.0, 0.3), lambda V: 0.07),
        (QIF(10.0, 0.5, 0.3, 3.0, -2.0, 2.0), lambda V: (V * V + 0.5) / 10.0),
        (QIF(10.0, -0.5, 0.3, 3.0, -2.0, 0.0), lambda V: (V * V - 0.5) / 10.0),
    ],
    ids=["leaky", "leaky, silent", "perfect", "quadratic", "quadratic, silent"],
)
def test_brute_force_and_closed_forms_agree(closed: Any, slope: Callable[[float], float]) -> None:
    draw = random.Random(5)
    inputs = sorted((draw.uniform(0.0, 300.0), draw.uniform(-0.3, 0.6)) for _ in range(150))
    brute = Function(slope, closed.V_th, closed.V_reset, closed.t_ref, closed.V_m)
    times = single(closed, inputs, until=300.0)
    assert len(times) > 5
    assert single(brute, inputs, until=300.0) == pytest.approx(times, abs=1e-10)


# --- exponential currents -----------------------------------------------------------------------------------------------------------


LINEAR = Exponential(10.0, 250.0, E_L=-70.0, V_th=-55.0, V_reset=-70.0, t_ref=2.0, I_e=0.0, tau_syn_ex=2.0, tau_syn_in=5.0, V_m=-70.0)
TAUS = [2.0, 5.0, 10.0, math.nextafter(10.0, 11.0), 10.0 - 1e-9, 10.00001, 10.3, 40.0]


def potential(n: Exponential, t: mpf, inputs: Sequence[tuple[float, float]], V_start: float, start: float = 0.0) -> mpf:
    """V of a neuron that is free from `start` on, by superposition of all inputs (ms, pA), also of earlier ones."""

    def after(s: mpf, tau: mpf) -> mpf:
        if tau == n.tau_m:
            return s * mpmath.exp(-s / tau)
        return (mpmath.exp(-s / tau) - mpmath.exp(-s / n.tau_m)) / (1 / mpf(n.tau_m) - 1 / tau)

    V_inf = mpf(n.E_L) + mpf(n.I_e) * n.tau_m / n.C_m
    V = V_inf + (V_start - V_inf) * mpmath.exp(-(t - start) / n.tau_m)
    for time, weight in inputs:
        tau = mpf(n.tau_syn_ex if weight >= 0 else n.tau_syn_in)
        begin = max(mpf(time), mpf(start))
        if t > begin:
            V += weight * mpmath.exp(-(begin - time) / tau) * after(t - begin, tau) / n.C_m
    return V


def first_crossing(n: Exponential, inputs: Sequence[tuple[float, float]], V_start: float, start: float, until: float) -> float | None:
    """By looking every 1/16 ms, from one input to the next."""
    stops = sorted({start, until, *(time for time, _ in inputs if start < time < until)})
    for low, high in itertools.pairwise(stops):
        count = max(1, round(16 * (high - low)))
        grid = [low + (high - low) * mpf(k) / count for k in range(count + 1)]
        for left, right in itertools.pairwise(grid):
            if potential(n, right, inputs, V_start, start) >= n.V_th:
                return float(root(lambda t: potential(n, t, inputs, V_start, start) - n.V_th, left, right))
    return None


@pytest.mark.parametrize("tau_syn", TAUS)
def test_a_train_of_currents_against_50_digits(tau_syn: float) -> None:
    """Spike after spike: currents go on through the reset and the refractory period, in which inputs count."""
    n = replace(LINEAR, tau_syn_ex=tau_syn, tau_syn_in=TAUS[(TAUS.index(tau_syn) + 3) % len(TAUS)], I_e=450.0)
    draw = random.Random(7)
    charges = [draw.uniform(-2000.0, 6000.0) for _ in range(25)]
    inputs = [(to_ticks(draw.uniform(0.0, 25.0)) * TICK, q / (n.tau_syn_ex if q > 0 else n.tau_syn_in)) for q in charges]
    times = single(n, inputs, until=30.0)
    with mpmath.workdps(30):
        V, start = n.V_m, 0.0
        for time in times:
            crossing = first_crossing(n, inputs, V, start, 30.0)
            assert crossing is not None
            assert time == pytest.approx(crossing, abs=2e-12)
            V, start = n.V_reset, time + n.t_ref  # the oracle's: errors do not add up
        assert first_crossing(n, inputs, V, start, 30.0) is None
    assert len(times) >= 2
    assert any(time < at < time + n.t_ref for time in times for at, _ in inputs)


@pytest.mark.parametrize("tau_syn", TAUS)
def test_a_peak_just_below_and_just_above_threshold(tau_syn: float) -> None:
    """V touches its threshold: it fires on one side of the touch, and not on the other."""
    n = replace(LINEAR, E_L=0.0, V_m=0.0, V_reset=-1.0, tau_syn_ex=tau_syn)
    with mpmath.workdps(50):
        tau_m, tau = mpf(n.tau_m), mpf(tau_syn)
        top = tau_m if tau == tau_m else mpmath.log(tau / tau_m) / (1 / tau_m - 1 / tau)
        peak = potential(n, top, [(0.0, 100.0)], 0.0)
        for margin in (1e-6, 1e-9, 1e-13):
            touched = replace(n, V_th=float(peak) - margin)
            crossing = root(lambda t: potential(n, t, [(0.0, 100.0)], 0.0) - touched.V_th, top / 2, top)  # noqa: B023
            bend = mpmath.diff(lambda t: potential(n, t, [(0.0, 100.0)], 0.0), top, 2)
            slope = mpmath.sqrt(2 * -bend * (peak - touched.V_th))
            times = single(touched, [(1.0, 100.0)], until=60.0)
            assert len(times) == 1
            assert abs(times[0] - 1.0 - float(crossing)) < 2e-12 + 1e-15 / slope, "V is exact to a few 1e-16 mV"
            assert single(replace(n, V_th=float(peak) + margin), [(1.0, 100.0)], until=200.0) == []


def test_a_short_excursion_is_found_whatever_follows() -> None:
    """Excitation is faster than inhibition, and V_inf is above threshold: up for 1 ms, down below rest, and up again for good."""
    n = replace(LINEAR, I_e=400.0, tau_syn_ex=0.5, tau_syn_in=30.0)
    kick = [(0.0, 6000.0), (0.0, -2000.0)]
    with mpmath.workdps(50):
        top = max(potential(n, mpf(k) / 64, kick, -70.0) for k in range(200))
        assert potential(n, mpf(10), kick, -70.0) < -75.0
        for V_th, late in ((float(top) - 1e-3, False), (float(top) + 1e-3, True)):
            crossing = first_crossing(replace(n, V_th=V_th), kick, -70.0, 0.0, 300.0) if late else None
            times = single(replace(n, V_th=V_th), kick, until=5.0)
            assert (times == []) == late
            if late:
                assert single(replace(n, V_th=V_th), kick, until=300.0)[:1] == pytest.approx([crossing], abs=1e-10)


def test_currents_without_input_are_the_leaky_neuron() -> None:
    for I_e, silent in ((370.0, True), (375.0, True), (380.0, False), (700.0, False)):
        leaky = Neuron(10.0, -70.0 + I_e * 10.0 / 250.0, -55.0, -70.0, 2.0, -63.0)
        times = single(replace(LINEAR, I_e=I_e, V_m=-63.0), [], until=500.0)
        assert times == pytest.approx(single(leaky, [], until=500.0), abs=1e-9)
        assert (times == []) == silent


@pytest.mark.parametrize("tau_syn", TAUS)
def test_a_rest_at_threshold_is_not_reached_by_itself(tau_syn: float) -> None:
    n = replace(LINEAR, I_e=375.0, tau_syn_ex=tau_syn, tau_syn_in=tau_syn)
    assert n.V_inf == n.V_th
    assert single(n, [], until=1e5) == single(n, [(1.0, -100.0)], until=1e5) == []
    assert single(n, [(1.0, 8000.0)], until=1e5) != []


def test_currents_at_or_above_threshold_at_the_start() -> None:
    assert single(replace(LINEAR, V_m=-55.0), [(0.0, -1e4)]) == [0.0]


# --- a published network ------------------------------------------------------------------------------------------------------------


def sonata_folder() -> Path:
    given = os.environ.get("SPARSEPROP_SONATA")
    if given == "absent":
        pytest.skip("SPARSEPROP_SONATA=absent: not compared with the published network")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "sonata"
    if not (folder / "300_intfire").is_dir():
        pytest.fail(
            f"no folder 300_intfire in {folder}: set SPARSEPROP_SONATA to the folder that holds it, or to 'absent' to go without this test"
        )
    return folder


def types(path: Path, key: str) -> dict[int, dict[str, str]]:
    with open(path, newline="") as file:
        return {int(row[key]): row for row in csv.DictReader(file, delimiter=" ")}


def published_network(folder: Path) -> tuple[list[Neuron], list[Synapse], list[tuple[float, int]]]:
    network, components = folder / "300_intfire" / "network", folder / "shared_components"
    models = {}
    for number, row in types(network / "v1_node_types.csv", "node_type_id").items():
        model = json.loads((components / "point_neuron_models_dir" / row["dynamics_params"]).read_text())
        models[number] = Neuron(1e3 * model["tau"], V_inf=0.0, V_th=1.0, V_reset=0.0, t_ref=1e3 * model["refrac"], V_m=0.0)
    first: dict[str, int] = {}  # the gid of the first node of each population
    nodes: list[int] = []
    for population in ("v1", "lgn", "tw"):
        with h5py.File(network / f"{population}_nodes.h5") as file:
            first[population] = len(nodes)
            nodes += file[f"nodes/{population}/node_type_id"][:].tolist()
    synapses = []
    for population in ("v1", "lgn", "tw"):
        kinds = {}
        for number, row in types(network / f"{population}_v1_edge_types.csv", "edge_type_id").items():
            sign = json.loads((components / "synaptic_models" / row["dynamics_params"]).read_text())["sign"]
            kinds[number] = (sign * float(row["syn_weight"]), float(row["delay"]))
        with h5py.File(network / f"{population}_v1_edges.h5") as file:
            edges = file[f"edges/{population}_to_v1"]
            columns = [edges[name][:].tolist() for name in ("source_node_id", "target_node_id", "edge_type_id", "0/nsyns")]
        for source, target, number, count in zip(*columns, strict=True):
            weight, delay = kinds[number]
            synapses.append(Synapse(first[population] + source, target, weight * count, delay))
    trains = []
    for population in ("lgn", "tw"):
        with h5py.File(folder / "300_intfire" / "inputs" / f"{population}_spikes.h5") as file:
            times, ids = file["spikes/timestamps"][:].tolist(), file["spikes/gids"][:].tolist()
        trains += [(time, first[population] + source) for time, source in zip(times, ids, strict=True)]
    return [models[number] for number in nodes[: first["lgn"]]], synapses, trains


def test_the_published_network() -> None:
    folder = sonata_folder()
    neurons, synapses, trains = published_network(folder)
    with h5py.File(folder / "300_intfire" / "reference" / "spikes.h5") as file:
        times, ids = file["spikes/v1/timestamps"][:].tolist(), file["spikes/v1/node_ids"][:].tolist()
    reference = defaultdict(list)
    for time, gid in sorted(zip(times, ids, strict=True)):
        reference[gid].append(time)
    spikes = simulate(neurons, synapses, 3000.0, trains)
    assert len(spikes) == len(times) == 4322
    assert sum(one[0] == other[0] for one, other in itertools.pairwise(spikes)) == 4253, "ties"
    for gid in range(len(neurons)):
        assert in_ms(spikes, gid) == pytest.approx(reference[gid], abs=1e-9, rel=0)
    # NEURON fires above threshold, the oracle at or above: no potential of this network ends exactly on it
    above = [replace(neuron, V_th=math.nextafter(1.0, 2.0)) for neuron in neurons]
    assert simulate(above, synapses, 3000.0, trains) == spikes


# --- the random cases ---------------------------------------------------------------------------------------------------------------


def run(case: Case, threshold_shift: float = 0.0) -> Spikes:
    neurons = [replace(neuron, V_th=neuron.V_th + threshold_shift) for neuron in case.neurons]
    return simulate(neurons, case.synapses, case.until, case.source_spikes, case.events)


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("seed", range(4))
def test_cases_are_bounded_and_on_no_knife_edge(preset: str, seed: int) -> None:
    """Thresholds moved by 1e-10 mV leave every neuron its spikes, so rounding may not change them in any engine either."""
    case = random_case(seed, preset)
    assert case == random_case(seed, preset)
    assert case.source_spikes == sorted(case.source_spikes)
    assert all(len(case.neurons) <= gid for _, gid in case.source_spikes)
    spikes = run(case)
    assert len(spikes) < 3000
    for shift in (-1e-10, 1e-10):
        moved = run(case, shift)
        for gid in range(len(case.neurons)):
            assert in_ms(moved, gid) == pytest.approx(in_ms(spikes, gid), abs=1e-6, rel=0)


def test_cases_contain_what_they_promise() -> None:
    def ties(preset: str) -> float:
        trains = [run(random_case(seed, preset)) for seed in range(10)]
        return sum(a[0] == b[0] for t in trains for a, b in itertools.pairwise(t)) / sum(map(len, trains))

    assert all(ties(preset) > 0.4 for preset in ("ties", "ties_few", "no_refractory", "cascade", "self_kick", "twins", "equality"))
    assert ties("cascade_free") < 0.01
    free = [run(random_case(seed, "no_refractory")) for seed in range(10)]
    assert any(len(spikes) > len(set(spikes)) for spikes in free), "a neuron fires twice at a tick"
    assert any(run(random_case(seed, "equality")) != run(random_case(seed, "equality"), 1e-10) for seed in range(5))
    assert {random_case(seed).name.rsplit("-", 1)[0] for seed in range(len(PRESETS))} == set(PRESETS)


# --- without delay, and all models --------------------------------------------------------------------------------------------------


def step_by_step(case: InstantCase) -> list[Spike]:
    """The contract read aloud: at each tick that holds anything its four steps, one after the other; no heap, no keys, no versions."""
    neurons, n = case.neurons, len(case.neurons)
    state: list[Any] = [neuron.start() for neuron in neurons]
    since, crossing, spikes = [0] * n, [math.inf] * n, []
    # (tick, order at it, target, weight, trigger); what a spike says later is added with the spike
    on_their_way: list[tuple[int, tuple, int, float, tuple[int, int]]] = [
        (to_ticks(ms), (0, which), target, weight, (-1, -1)) for ms, target, weight, which in case.events
    ]

    def say(tick: int, trigger: tuple[int, int], gid: int, serial: int = 0) -> None:
        for k, s in enumerate(case.synapses):
            if s.source == gid and (s.delay > 0 or gid >= n):
                on_their_way.append((tick + to_ticks(s.delay), (1, tick, trigger, gid, serial, k), s.target, s.weight, (tick, gid)))

    def foresee(i: int, earliest: int) -> None:
        up, wait = neurons[i].is_up(state[i]), neurons[i].wait(state[i])
        crossing[i] = earliest if up else math.inf if wait is None else max(earliest, since[i] + to_ticks(wait))

    def fire(tick: int, trigger: tuple[int, int], i: int, generation: int) -> None:
        spikes.append(Spike(tick, trigger, i, generation))
        say(tick, trigger, i, len(spikes))
        release = tick + to_ticks(neurons[i].t_ref)
        state[i], since[i] = neurons[i].reset(state[i], (release - since[i]) * TICK), release
        foresee(i, release + 1)

    def arrive(tick: int, i: int, weight: float, trigger: tuple[int, int], generation: int) -> None:
        if tick < since[i]:
            state[i] = neurons[i].kept(state[i], weight, (since[i] - tick) * TICK)
            return foresee(i, since[i] + 1)
        state[i], since[i] = neurons[i].jump(neurons[i].later(state[i], (tick - since[i]) * TICK), weight), tick
        if not neurons[i].is_up(state[i]):
            return foresee(i, tick + 1)
        if generation and any(spike.gid == i and spike.tick == tick for spike in spikes):
            raise Cascade(i, tick)
        return fire(tick, trigger, i, generation)

    for i in range(n):
        foresee(i, 0)
    for ms, gid in case.source_spikes:
        say(to_ticks(ms), (-1, -1), gid)
    while (tick := min([*crossing, *(arrival[0] for arrival in on_their_way)])) < to_ticks(case.until):
        assert isinstance(tick, int)
        for i in [i for i in range(n) if crossing[i] == tick]:
            fire(tick, (-1, -1), i, 0)
        arrivals = sorted(arrival for arrival in on_their_way if arrival[0] == tick)
        on_their_way = [arrival for arrival in on_their_way if arrival[0] != tick]
        for _, _, target, weight, trigger in arrivals:
            arrive(tick, target, weight, trigger, 0)
        generation = 0
        while now := sorted(spike for spike in spikes if spike.tick == tick and spike.generation == generation):
            generation += 1
            for spike in now:
                for s in case.synapses:
                    if s.source == spike.gid and s.delay == 0:
                        arrive(tick, s.target, s.weight, (tick, spike.gid), generation)
    return sorted(spikes, key=lambda spike: (spike.tick, spike.trigger, spike.gid))


def spikes_of(case: InstantCase, shift: float = 0.0) -> list[Spike]:
    """With all finite thresholds and initial potentials moved."""
    neurons: list[Any] = [replace(neuron, V_m=neuron.V_m + shift, V_th=neuron.V_th + shift) for neuron in case.neurons]  # type: ignore[type-var, attr-defined]
    return history(neurons, case.synapses, case.until, case.source_spikes, case.events)


QUICK = [preset for preset in INSTANT_PRESETS if preset not in ("eif", "function", "all_models")]


@pytest.mark.parametrize("preset", [*QUICK, "equality", "equality_perfect"])
def test_the_heap_does_what_the_contract_says(preset: str) -> None:
    for seed in range(3):
        case = instant_case(seed, preset)
        case = replace(case, until=min(case.until, 40.0))
        assert spikes_of(case) == step_by_step(case)


@pytest.mark.parametrize("seed", range(6))
def test_cascades_of_random_networks(seed: int) -> None:
    case = instant_case(seed, "runaway")
    with pytest.raises(Cascade) as one:
        spikes_of(case)
    with pytest.raises(Cascade) as other:
        step_by_step(case)
    assert (one.value.gid, one.value.tick) == (other.value.gid, other.value.tick)
    assert spikes_of(replace(case, until=one.value.tick * TICK)) is not None, "none before"


@pytest.mark.parametrize("preset", INSTANT_PRESETS)
@pytest.mark.parametrize("seed", range(3))
def test_instant_cases_are_bounded_and_on_no_knife_edge(preset: str, seed: int) -> None:
    case = instant_case(seed, preset)
    assert case == instant_case(seed, preset)
    assert sum(case.sizes) == len(case.neurons)
    assert case.source_spikes == sorted(case.source_spikes)
    assert all(len(case.neurons) <= gid < len(case.neurons) + case.n_sources for _, gid in case.source_spikes)
    spikes = [(spike.tick, spike.gid) for spike in spikes_of(case)]
    assert len(spikes) < MOST_SPIKES
    for shift in (-1e-10, 1e-10):
        moved = [(spike.tick, spike.gid) for spike in spikes_of(case, shift)]
        for gid in range(len(case.neurons)):
            assert in_ms(sorted(moved), gid) == pytest.approx(in_ms(sorted(spikes), gid), abs=1e-6, rel=0)


def test_instant_cases_contain_what_they_promise() -> None:
    runs = {preset: [spikes_of(instant_case(seed, preset)) for seed in range(8)] for preset in QUICK if "exponential" not in preset}

    def share(preset: str, condition: Callable[[Spike], bool]) -> float:
        spikes = [spike for run in runs[preset] for spike in run]
        return sum(map(condition, spikes)) / len(spikes)

    for preset in ("balanced", "generations", "generations_free", "ties", "delays", "perfect", "mixed", "mixed_ties"):
        assert share(preset, lambda spike: spike.generation > 0) > 0.15, preset
        assert share(preset, lambda spike: spike.generation > 2) > 0.01, preset
    assert share("no_refractory", lambda spike: spike.generation > 1) > 0.01
    assert share("dense_mixed", lambda spike: spike.generation > 0) > 0.05
    assert any(spike.generation > 0 for run in runs["qif_finite"] for spike in run)
    for preset in ("delays", "mixed_ties"):
        assert share(preset, lambda spike: 0 <= spike.trigger[0] < spike.tick) > 0.1, "fired by a delayed spike"
    for preset in ("equality", "equality_perfect"):
        cases = [instant_case(seed, preset) for seed in range(10)]
        assert sum(len(spikes_of(case)) != len(spikes_of(replace(case, neurons=raised(case)))) for case in cases) >= 4
    assert {instant_case(seed).name.rsplit("-", 1)[0] for seed in range(len(INSTANT_PRESETS))} == set(INSTANT_PRESETS)
    assert not set(SPECIAL) & set(INSTANT_PRESETS)


def raised(case: InstantCase) -> list[Any]:
    """Neurons that fire only above their threshold."""
    return [replace(neuron, V_th=neuron.V_th + 1e-10) for neuron in case.neurons]  # type: ignore[type-var, attr-defined]
