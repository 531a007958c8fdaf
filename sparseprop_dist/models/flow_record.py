"""The kernel record of neurons V' = F(V).

In the frame of a slab, ``y = X(V) - 2^fineness offset`` is constant between inputs: X is the position of the potential on the time line
that ``flow_table`` lays out, in quanta of 2^-fineness ticks. So time passes by exact sums of integers. An input reads V from X, adds its
weight, and reads X from V: two polynomials.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.by_address import by_address
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


FINENESS, FIRES, RESET, V_FIRST, X_FIRST = range(5)
"""Columns of `FlowRecord.sets`: log2 of the quanta in a tick; X at which a neuron fires by itself, or CEILING: never; X of V_reset; the
first of its pieces, and of its stretches (those of the next set follow)."""
AT, LOW, HIGH, V_RESET = range(4)
"""Columns of `FlowRecord.bounds`, mV: where an input fires, V_th less a slack; the lowest potential; from where on no time is left until
V_th; V_reset."""
EDGE, ANCHOR, SCALE, LEAST = range(4)
"""Columns of `FlowRecord.pieces`: up to which V it reaches, inf for the last; (V - ANCHOR) SCALE (mV, 1/mV) is what its cells are over,
and LEAST the smallest value of that."""
X_EDGE, X_LOW, X_HIGH, X_STOP, X_ANCHOR, X_OCTAVE, X_SINKS = range(7)
"""Columns of `FlowRecord.stretches`: up to which X it reaches; its ends; beyond X_STOP no state goes, which is the end at a zero of F;
where distance counts from; its place in `octave`; 1: at its end the neuron leaves the potentials that are covered."""


@by_address
class FlowRecord(NamedTuple):
    """Neurons of one rank with a flow: N neurons, S parameter sets; in all their tables P pieces (V to X) and Q stretches (X to V), of C
    and D cells."""

    y: np.ndarray  # int64 (N,), quanta
    release: np.ndarray  # int64 (N,), tick at which the neuron leaves refractoriness, or FREE
    kind: np.ndarray  # int32 (N,), its parameter set
    refractory: np.ndarray  # int64 (N,), t_ref, ticks
    sets: np.ndarray  # int64 (S + 1, columns)
    bounds: np.ndarray  # float64 (S, columns)
    error: np.ndarray  # float64 (S,), of the tables (`flow_table.measured`)
    pieces: np.ndarray  # float64 (P, columns), in ascending order of V in a set
    place: np.ndarray  # int64 (P,), where the octave of exponent bits 0 would be in `octave`
    stretches: np.ndarray  # int64 (Q, columns), in ascending order of X in a set
    stretch: np.ndarray  # float64 (Q, 2), 1/quanta: the scale of the distance, and the smallest value of that
    octave: np.ndarray  # int64, first cell << CUT_BITS | log2 of the cells
    level: np.ndarray  # int64 (C,), X at the middle of a cell
    slope: np.ndarray  # float64 (C, DEGREE), the powers of u that are added to it, quanta
    rest: np.ndarray  # float64 (D,), mV, V at the middle of a cell
    bend: np.ndarray  # float64 (D, DEGREE), the powers of u that are added to it, mV
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
            bounds=np.stack([V_th - SLACK * (V_th - V_reset), low, np.array([table.high for table in tables]), V_reset], axis=1),
            error=np.array([table.error for table in tables]),
            **_joined(tables, V_reset.tolist()),
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


def _joined(tables: Sequence[Table], V_reset: Sequence[float]) -> dict[str, Any]:
    """The rows of the sets, pieces and stretches, and the cells of all tables."""
    sets: list[list[int]] = []
    pieces: list[list[float]] = []
    stretches: list[list[int]] = []
    stretch: list[list[float]] = []
    place: list[int] = []
    octaves: list[int] = []
    to_X: list[Side] = []
    to_V: list[Side] = []
    for table, V in zip(tables, V_reset, strict=True):
        sets.append([table.fineness, table.fires_at, table.position(V), len(to_X), len(to_V)])
        for placed in table.pieces:
            side = placed.to_X
            edge = np.inf if placed is table.pieces[-1] else max(placed.piece.slow, placed.piece.fast)
            pieces.append([edge, side.anchor, side.scale, 2.0 ** -len(side.cells.cuts)])
            place.append(_listed(side, octaves, to_X))
        parts = [(placed, part) for placed in sorted(table.pieces, key=lambda placed: placed.low) for part in placed.to_V]
        lows = [part.low for _, part in parts[1:]]
        for (placed, part), following in zip(parts, [*lows, None], strict=True):
            stretches.append([*_ends(placed, part, following), part.side.anchor, _listed(part.side, octaves, to_V), _sinks(placed, part)])
            stretch.append([part.side.scale, 2.0 ** -len(part.side.cells.cuts)])
    sets.append([0, 0, 0, len(to_X), len(to_V)])
    return {
        "sets": np.array(sets, np.int64),
        "pieces": np.array(pieces),
        "place": np.array(place, np.int64),
        "stretches": np.array(stretches, np.int64),
        "stretch": np.array(stretch),
        "octave": np.array(octaves, np.int64),
        "level": np.concatenate([side.level for side in to_X]),
        "slope": np.ascontiguousarray(np.concatenate([side.powers for side in to_X])),
        "rest": np.concatenate([side.level for side in to_V]),
        "bend": np.ascontiguousarray(np.concatenate([side.powers for side in to_V])),
    }


def _ends(placed: Placed, part: Stretch, following: int | None) -> list[int]:
    """X_EDGE, X_LOW, X_HIGH, X_STOP of a stretch; ``following`` is where the next one begins."""
    never = 1 << 62
    edge = never if following is None else (part.high + following) // 2
    return [edge, part.low, part.high, part.high if placed.rests and part.high == placed.high else never]


def _sinks(placed: Placed, part: Stretch) -> int:
    return int(placed.sinks and part.high == placed.high)


def _listed(side: Side, octaves: list[int], sides: list[Side]) -> int:
    """Add a side to others and its octaves to theirs; return where the octave of exponent bits 0 would be."""
    n, before = len(side.cells.cuts), sum(len(other.level) for other in sides)
    at = len(octaves) + n - 1023
    octaves += ((side.cells.base + before) << CUT_BITS | side.cells.cuts).tolist()
    sides.append(side)
    return at
