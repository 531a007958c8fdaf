"""Currents that vary in time, for kernels: sums of straight pieces and sines, their values, and their integrals against e^(rate t).

Owns the tables of the currents of a rank, one *set* for each sum that a population gets, and their arithmetic. Knows no neuron. Times are
integer ticks from the origin; the phase of a sine at a slab's start is made from the number of the slab, in integers: as right late in a
run as early, and the same wherever the origin is (``docs/design/varying_currents.md``).
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from sparseprop_dist.clock import TICK, TICK_BITS
from sparseprop_dist.elementary import PI, exp_to_quarter, sin_cos
from sparseprop_dist.errors import InputError
from sparseprop_dist.inputs import Current, Sine
from sparseprop_dist.jit import inner

PAST, FOREVER = -(1 << 63) + 1, (1 << 63) - 1
"""Ticks before and after all: the piece without current begins at the first. A run is shorter than 2^63 ticks, so that others stay between
them wherever the origin is."""
LIMB, LIMBS = 24, 4
"""Bits of a limb of the turns in a slab, and their number: the product of a limb with the number of a slab fits 63 bits."""
ONE = 1 << LIMB * LIMBS
"""A turn, in the units of the lowest limb: 2^-96 of it, so that 2^39 slabs sum up to less than 2^-56."""
LEAST_SLAB_BITS = 22
"""With sines, a slab has at least this power of two of ticks: its number (below 2^39) times a limb is below 2^63."""


PIECE = np.dtype(
    [
        ("begin", np.int64),  # tick
        ("value", np.float64),  # pA, at begin
        ("slope", np.float64),  # pA per tick
    ],
    align=True,
)
SINE = np.dtype(
    [
        ("amplitude", np.float64),  # pA
        ("frequency", np.float64),  # Hz
        ("on", np.int64),  # tick
        ("off", np.int64),  # tick
        ("speed", np.float64),  # radians per tick
    ],
    align=True,
)


class Currents(NamedTuple):
    """Sets of currents, which cut the arrays of pieces and sines."""

    piece_ptr: np.ndarray  # int64 (sets + 1,)
    sine_ptr: np.ndarray  # int64 (sets + 1,)
    piece: Any  # np.recarray of PIECE
    sine: Any  # np.recarray of SINE
    step: np.ndarray  # uint64 (sines, LIMBS), turns in a slab less whole ones, the lowest limb first
    origin: np.ndarray  # uint64 (sines, LIMBS), turns at the origin, likewise
    length: int  # of a slab, ticks

    @staticmethod
    def make(sets: Sequence[Sequence[Current]], slab_bits: int) -> "Currents":
        """Return the tables of sums of currents, with the origin at time 0.

        Raises
        ------
        InputError
            for sines with a slab so short that its number outgrows the arithmetic of phases.
        """
        pieces = [_summed(currents) for currents in sets]
        sines = [[_sine(sine) for current in currents for sine in current.sines()] for currents in sets]
        flat = [sine for own in sines for sine, _ in own]
        turns = [own for each in sines for _, own in each]
        if flat and slab_bits < LEAST_SLAB_BITS:
            raise InputError(f"a sine current needs time constants of at least {4.0 * 2.0 ** (LEAST_SLAB_BITS - TICK_BITS):.2g} ms")
        return Currents(
            piece_ptr=np.cumsum([0, *map(len, pieces)]),
            sine_ptr=np.cumsum([0, *map(len, sines)]),
            piece=np.concatenate(pieces).view(np.recarray),
            sine=np.array(flat, SINE).view(np.recarray),
            step=_limbs([round(_turns(sine[1], 1 << slab_bits) * ONE) for sine in flat]),
            origin=_limbs([round(Fraction(own) * ONE) for own in turns]),
            length=1 << slab_bits,
        )

    def _own(self, which: int) -> tuple[Any, Any]:
        """Pieces and sines of a set."""
        return self.piece[slice(*self.piece_ptr[which : which + 2])], self.sine[slice(*self.sine_ptr[which : which + 2])]

    def most(self, which: int) -> float:
        """Return a bound on the absolute current of a set, pA."""
        piece, sine = self._own(which)
        span = np.where(piece.slope == 0.0, 0, np.append(piece.begin[1:], 0) - piece.begin)
        return float(np.abs([piece.value, piece.value + piece.slope * span]).max() + np.abs(sine.amplitude).sum())

    def pieces_in_slab(self, which: int) -> int:
        """Return how many pieces a slab can meet."""
        begin = self._own(which)[0].begin[1:]
        return 1 + int(np.unique(begin // self.length, return_counts=True)[1].max(initial=0))

    def turns_in_slab(self, which: int) -> int:
        """Return how often the current of a set can pass any one value in a slab.

        The sum of a straight line and n sines solves a linear equation of order 2n + 2, so on a stretch shorter than half the shortest
        period it has at most 2n + 1 zeros.
        """
        sine = self._own(which)[1]
        halves = float(sine.speed.max(initial=0.0)) * self.length / PI
        return (self.pieces_in_slab(which) + math.ceil(halves) + 1) * (2 * sine.size + 1)

    def cuts_in_slab(self, which: int) -> int:
        """Return how often the current of a set can begin a piece or pass any one value in a slab."""
        return self.pieces_in_slab(which) + self.turns_in_slab(which)

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        piece, sine = self.piece, self.sine
        piece.begin = np.where(piece.begin == PAST, PAST, piece.begin - shift)
        sine.on -= shift
        sine.off = np.where(sine.off == FOREVER, FOREVER, sine.off - shift)
        slabs, scale = shift // self.length, [1 << LIMB * k for k in range(LIMBS)]
        now = [sum(int(limb) * one for limb, one in zip(limbs, scale, strict=True)) for limbs in self.origin]
        step = [sum(int(limb) * one for limb, one in zip(limbs, scale, strict=True)) for limbs in self.step]
        self.origin[:] = _limbs([begin + slabs * each for begin, each in zip(now, step, strict=True)])


def _sine(sine: Sine) -> tuple[tuple[float, ...], float]:
    """Return a row of SINE, and the turns at time 0."""
    speed = 2.0 * PI * (sine.frequency * TICK / 1e3)
    return (sine.amplitude, sine.frequency, sine.on, sine.off, speed), sine.turns


def _turns(frequency: float, ticks: int) -> Fraction:
    """Turns of a sine in so many ticks, without loss."""
    return Fraction(float(frequency)) * ticks / (1000 << TICK_BITS)


def _limbs(turns: list[int]) -> np.ndarray:
    """Return numbers of turns, in units of 1/ONE, less whole ones, in limbs."""
    limbs = [[own % ONE >> LIMB * k & (1 << LIMB) - 1 for k in range(LIMBS)] for own in turns]
    return np.array(limbs, np.uint64).reshape(-1, LIMBS)


def _summed(currents: Sequence[Current]) -> np.ndarray:
    """Return the straight pieces (PIECE) of a sum."""
    parts = [current.pieces() for current in currents]
    begin = np.unique(np.concatenate([own for own, _, _ in parts]))
    value, slope = np.zeros(len(begin)), np.zeros(len(begin))
    for own, values, slopes in parts:
        k = np.searchsorted(own, begin, side="right") - 1
        here = k >= 0
        value += np.where(here, values[k] + slopes[k] * (begin - own[k]), 0.0)
        slope += np.where(here, slopes[k], 0.0)
    pieces = np.zeros(len(begin) + 1, PIECE)
    pieces["begin"][0] = PAST
    pieces["begin"][1:], pieces["value"][1:], pieces["slope"][1:] = begin, value, slope
    return pieces


# --- kernels ---

PHI_1 = tuple(1.0 / math.factorial(n + 1) for n in range(16))
"""Series of (e^z - 1)/z; for abs(z) <= 1/2 the remainder is below 1e-19."""
PHI_2 = tuple(1.0 / (math.factorial(n) * (n + 2)) for n in range(16))
"""Series of the integral of s e^(z s) over [0, 1]."""


@inner
def piece_at(currents, which, tick):
    """Return the piece of a set that holds at a tick."""
    low, high = currents.piece_ptr[which], currents.piece_ptr[which + 1]
    while high - low > 1:
        middle = (low + high) >> 1
        if currents.piece[middle].begin <= tick:
            low = middle
        else:
            high = middle
    return low


@inner
def angle(currents, q, start, offset):
    """Return the angle of a sine, in radians, at an offset in the slab that starts at tick ``start``, less whole turns at its start."""
    n, mask, carry = np.uint64(start // currents.length), np.uint64((1 << LIMB) - 1), np.uint64(0)
    third = second = first = np.uint64(0)  # the highest limbs
    for k in range(LIMBS):
        total = currents.step[q, k] * n + currents.origin[q, k] + carry
        third, second, first, carry = second, first, total & mask, total >> np.uint64(LIMB)
    turn = np.float64(first << np.uint64(LIMB) | second) * 2.0 ** (-2 * LIMB) + np.float64(third) * 2.0 ** (-3 * LIMB)
    return 2.0 * PI * (turn - np.floor(turn + 0.5)) + currents.sine[q].speed * offset


@inner
def sines_at(currents, which, start, begin, offset):
    """Return the sum of the sines of a set that are on at the offset ``begin``, its first two derivatives (per tick), and a bound on the
    absolute third."""
    value = slope = bend = jerk = 0.0
    for q in range(currents.sine_ptr[which], currents.sine_ptr[which + 1]):
        if currents.sine[q].on <= start + begin < currents.sine[q].off:
            s, c = sin_cos(angle(currents, q, start, offset))
            size, speed = currents.sine[q].amplitude, currents.sine[q].speed
            value += size * s
            slope += size * speed * c
            bend -= size * speed * speed * s
            jerk += abs(size) * speed * speed * speed
    return value, slope, bend, jerk


@inner
def largest(currents, which, start):
    """Return a bound from above on the current of a set in the slab that starts at tick ``start``, pA."""
    k, begin, end, most = piece_at(currents, which, start), start, start, -np.inf
    while end < start + currents.length:
        last = k + 1 == currents.piece_ptr[which + 1]
        end = start + currents.length if last else min(start + currents.length, currents.piece[k + 1].begin)
        slope = currents.piece[k].slope
        at = currents.piece[k].value + slope * (begin - currents.piece[k].begin)
        here = max(at, at + slope * (end - begin))
        middle, half = 0.5 * (begin - start + (end - start)), 0.5 * (end - begin)
        for q in range(currents.sine_ptr[which], currents.sine_ptr[which + 1]):
            if currents.sine[q].on <= begin < currents.sine[q].off:
                (s, c), w = sin_cos(angle(currents, q, start, middle)), currents.sine[q].speed * half
                size = abs(currents.sine[q].amplitude)
                here += min(size, currents.sine[q].amplitude * s + size * (abs(c) * w + 0.5 * w * w))
        most, begin, k = max(most, here), end, k + 1
    return most


@inner
def _series(coefficients, z):
    total = coefficients[15]
    for n in range(14, -1, -1):
        total = coefficients[n] + z * total
    return total


@inner
def sine_integral(rate, speed, d, s, c):
    """Return the integral of sin(a + speed x) e^(rate x) over x from 0 to ``d``, with s = sin a and c = cos a; 0 <= rate d <= 1/2."""
    x, y = rate * d, speed * d
    if x * x + y * y <= 0.25:
        real, imaginary = PHI_1[15], 0.0
        for n in range(14, -1, -1):
            real, imaginary = PHI_1[n] + (real * x - imaginary * y), real * y + imaginary * x
        return d * (c * imaginary + s * real)
    grown, (sine, cosine) = exp_to_quarter(0.5 * x), sin_cos(y)
    real, imaginary = grown * grown * cosine - 1.0, grown * grown * sine
    return ((c * imaginary + s * real) * rate - (c * real - s * imaginary) * speed) / (rate * rate + speed * speed)


@inner
def integral(currents, which, start, begin, value, slope, rate, d):
    """Return the integral of I(begin + x) e^(rate x) over x from 0 to ``d`` (pA ticks), within one piece, whose straight part has ``value``
    and ``slope`` at the offset ``begin``."""
    z = rate * d
    total = d * (value * _series(PHI_1, z))
    if slope != 0.0:
        total += d * d * (slope * _series(PHI_2, z))
    for q in range(currents.sine_ptr[which], currents.sine_ptr[which + 1]):
        if currents.sine[q].on <= start + begin < currents.sine[q].off:
            s, c = sin_cos(angle(currents, q, start, begin))
            total += currents.sine[q].amplitude * sine_integral(rate, currents.sine[q].speed, d, s, c)
    return total
