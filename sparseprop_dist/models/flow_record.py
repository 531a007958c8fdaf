"""The kernel record of neurons V' = F(V).

In the frame of a slab, ``y = X(V) - 2^fineness offset`` is constant between inputs: X is the position of the potential on the time line
that ``flow_table`` lays out, in quanta of 2^-fineness ticks. So time passes by exact sums of integers. An input reads V from X, adds its
weight, and reads X from V: two polynomials.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.clock import ticks
from sparseprop_dist.errors import InputError
from sparseprop_dist.models.flow_sides import Side, Stretch
from sparseprop_dist.models.flow_table import CEILING, Placed, Table

FREE = -1
"""Release tick of a neuron that is not refractory."""
SUNK = -(1 << 61)
"""State of a neuron below all potentials that its table covers; all others are positive."""
SLACK = 2.0**-41
"""Part of V_th - V_reset below threshold that counts as at it, for inputs: as in the LIF, inputs that add up to it fire."""
CUT_BITS = 6


class FlowRecord(NamedTuple):
    """Neurons of one rank with a flow: N neurons, S parameter sets; in all their tables P pieces (V to X) and Q stretches (X to V)."""

    y: np.ndarray  # int64 (N,), quanta
    release: np.ndarray  # int64 (N,), tick at which the neuron leaves refractoriness, or FREE
    kind: np.ndarray  # int32 (N,), its parameter set
    refractory: np.ndarray  # int64 (N,), t_ref, ticks
    fineness: np.ndarray  # int64 (S,), log2 of the quanta in a tick
    fires: np.ndarray  # int64 (S,), X at which a neuron fires by itself, or CEILING: never
    reset: np.ndarray  # int64 (S,), X of V_reset
    at: np.ndarray  # float64 (S,), mV, from which on an input fires: V_th, less a slack
    low: np.ndarray  # float64 (S,), mV, the lowest potential
    high: np.ndarray  # float64 (S,), mV, from which on no time is left until V_th
    V_reset: np.ndarray  # float64 (S,), mV
    error: np.ndarray  # float64 (S,), of the tables (`flow_table.measured`)
    V_first: np.ndarray  # int64 (S,), its first piece
    X_first: np.ndarray  # int64 (S,), its first stretch
    V_edge: np.ndarray  # float64 (P,), mV, up to which each reaches, in ascending order in a set; inf for the last
    V_anchor: np.ndarray  # float64 (P,), mV
    V_scale: np.ndarray  # float64 (P,), 1/mV: (V - V_anchor) V_scale is what the cells are over
    V_least: np.ndarray  # float64 (P,), the smallest value of it
    V_octave: np.ndarray  # int64 (P,), where the octave of exponent bits 0 would be in `octave`
    X_edge: np.ndarray  # int64 (Q,), up to which X each reaches, in ascending order in a set
    X_low: np.ndarray  # int64 (Q,), its ends
    X_high: np.ndarray  # int64 (Q,)
    X_stop: np.ndarray  # int64 (Q,), beyond this a state does not go: X_high at a zero of F
    X_sinks: np.ndarray  # uint8 (Q,), 1: at X_high the neuron leaves the potentials that are covered
    X_anchor: np.ndarray  # int64 (Q,)
    X_scale: np.ndarray  # float64 (Q,), 1/quanta
    X_least: np.ndarray  # float64 (Q,)
    X_octave: np.ndarray  # int64 (Q,)
    octave: np.ndarray  # int64, first cell << CUT_BITS | log2 of the cells
    level: np.ndarray  # int64 (C,), X at the middle of a cell
    slope: np.ndarray  # float64 (C, DEGREE), the powers of u that are added to it, quanta
    rest: np.ndarray  # float64 (C',), mV, V at the middle of a cell
    bend: np.ndarray  # float64 (C', DEGREE), the powers of u that are added to it, mV
    slab: int  # ticks
    rests: int  # 1: some neuron has t_ref above 0

    @staticmethod
    def make(tables: Sequence[Table], kinds: Any, values: Mapping[str, Any], slab_bits: int) -> "FlowRecord":
        """Return neurons at time 0.

        Parameters
        ----------
        tables : of the parameter sets
        kinds : int (N,), the set of each neuron
        values : arrays by name: ``V_th``, ``V_reset``, ``V_m`` (mV), ``t_ref`` (ms), ``gid``

        Raises
        ------
        InputError
            for a V_m that is below all that the tables cover.
        """
        place = [int(np.argmax(kinds == kind)) for kind in range(len(tables))]
        V_th, V_reset = values["V_th"][place], values["V_reset"][place]
        low = np.array([table.low for table in tables])
        wrong = values["V_m"] < low[kinds]
        if wrong.any():
            i = int(np.argmax(wrong))
            raise InputError(
                f"neuron {values['gid'][i]}: V_m is {values['V_m'][i]:g} mV; at least {low[kinds[i]]:g} mV is allowed, the lowest "
                "potential for which its flow is known"
            )
        start = {pair: tables[pair[0]].position(pair[1]) for pair in set(zip(kinds.tolist(), values["V_m"].tolist(), strict=True))}
        y = [CEILING if V_th[kind] <= V else start[kind, V] for kind, V in zip(kinds.tolist(), values["V_m"].tolist(), strict=True)]
        return FlowRecord(
            y=np.array(y, np.int64),
            release=np.full(len(kinds), FREE, np.int64),
            kind=kinds.astype(np.int32),
            refractory=ticks(values["t_ref"]),
            fineness=np.array([table.fineness for table in tables], np.int64),
            fires=np.array([table.fires_at for table in tables], np.int64),
            reset=np.array([table.position(V) for table, V in zip(tables, V_reset.tolist(), strict=True)], np.int64),
            at=V_th - SLACK * (V_th - V_reset),
            low=low,
            high=np.array([table.high for table in tables]),
            V_reset=V_reset,
            error=np.array([table.error for table in tables]),
            **_joined(tables),
            slab=1 << slab_bits,
            rests=int((values["t_ref"] > 0.0).any()),
        )

    def alike(self, start: int, stop: int) -> int:
        """Return 2 if the neurons from ``start`` to ``stop - 1`` have the same parameters, else 0."""
        return 2 if all((array[start:stop] == array[start]).all() for array in (self.kind, self.refractory)) else 0

    def largest_increment(self, start: int, stop: int, weight: float) -> float:
        """Return 0: a state below all that the tables cover stays there until it is looked for, so no sum of inputs is too large."""
        return 0.0

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        self.release[self.release != FREE] -= shift


def _joined(tables: Sequence[Table]) -> dict[str, Any]:
    """The columns of the pieces and cells of all tables."""
    rows: dict[str, list[dict[str, Any]]] = {"V": [], "X": []}
    sides: dict[str, list[Side]] = {"V": [], "X": []}
    firsts: dict[str, list[int]] = {"V": [], "X": []}
    octaves: list[int] = []
    for table in tables:
        firsts["V"].append(len(rows["V"]))
        for placed in table.pieces:
            edge = np.inf if placed is table.pieces[-1] else max(placed.piece.slow, placed.piece.fast)
            rows["V"].append({"edge": edge, **_cells(placed.to_X, octaves, sides["V"])})
        firsts["X"].append(len(rows["X"]))
        stretches = [(placed, stretch) for placed in sorted(table.pieces, key=lambda placed: placed.low) for stretch in placed.to_V]
        lows = [stretch.low for _, stretch in stretches[1:]]
        for (placed, stretch), following in zip(stretches, [*lows, None], strict=True):
            rows["X"].append({**_ends(placed, stretch, following), **_cells(stretch.side, octaves, sides["X"])})
    columns = {f"{name}_{key}": np.array([row[key] for row in rows[name]]) for name in rows for key in rows[name][0]}
    return {
        **{f"{name}_first": np.array(firsts[name], np.int64) for name in firsts},
        **columns,
        "octave": np.array(octaves, np.int64),
        "level": np.concatenate([side.level for side in sides["V"]]),
        "slope": np.ascontiguousarray(np.concatenate([side.powers for side in sides["V"]])),
        "rest": np.concatenate([side.level for side in sides["X"]]),
        "bend": np.ascontiguousarray(np.concatenate([side.powers for side in sides["X"]])),
    }


def _ends(placed: Placed, stretch: Stretch, following: int | None) -> dict[str, Any]:
    """Where a stretch ends on the line, and how far a state in it may be; ``following`` is where the next one begins."""
    is_last = stretch.high == placed.high
    return {
        "edge": np.int64(1 << 62 if following is None else (stretch.high + following) // 2),
        "low": np.int64(stretch.low),
        "high": np.int64(stretch.high),
        "stop": np.int64(stretch.high if is_last and placed.rests else 1 << 62),
        "sinks": np.uint8(is_last and placed.sinks),
    }


def _cells(side: Side, octaves: list[int], sides: list[Side]) -> dict[str, Any]:
    """How the cells of a side are found; its octaves are added to those of all, and itself to the others."""
    n, before = len(side.cells.cuts), sum(len(other.level) for other in sides)
    at = len(octaves) + n - 1023
    octaves += ((side.cells.base + before) << CUT_BITS | side.cells.cuts).tolist()
    sides.append(side)
    return {"anchor": side.anchor, "scale": side.scale, "least": 2.0**-n, "octave": np.int64(at)}
