"""Currents that vary in time, for kernels: sums of straight pieces and sines, their values, and their integrals against e^(rate t).

Owns the tables of the currents of a rank, one *set* for each sum that a population gets, and their arithmetic. Knows no neuron. Times are
integer ticks from the origin; the phase of a sine at a slab's start is made from the number of the slab, in integers: as right late in a run
as early (``docs/design/varying_currents.md``).
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from sparseprop_dist.clock import TICK, TICK_BITS
from sparseprop_dist.elementary import PI, exp_to_quarter, sin_cos
from sparseprop_dist.errors import InputError
from sparseprop_dist.inputs import Current
from sparseprop_dist.jit import njit

PAST = -(1 << 62)
"""A tick before all: there begins the piece without current."""
LIMB = 24
"""Bits of a limb of the turns in a slab, of which there are three: the product of a limb with the number of a slab fits 63 bits."""
LEAST_SLAB_BITS = 22
"""With sines, a slab has at least this power of two of ticks: its number (below 2^39) times a limb is below 2^63."""


class Currents(NamedTuple):
    """Sets of currents. Arrays over pieces are cut by ``piece_ptr``, over sines by ``sine_ptr``."""

    piece_ptr: np.ndarray  # int64 (sets + 1,)
    begin: np.ndarray  # int64, tick of the first value of a piece
    value: np.ndarray  # float64, pA
    slope: np.ndarray  # float64, pA per tick
    sine_ptr: np.ndarray  # int64 (sets + 1,)
    amplitude: np.ndarray  # float64, pA
    frequency: np.ndarray  # float64, Hz
    on: np.ndarray  # int64, tick
    off: np.ndarray  # int64, tick
    speed: np.ndarray  # float64, radians per tick
    turns: np.ndarray  # int64 (3, sines), turns in a slab less whole ones, in limbs, the highest first
    base: np.ndarray  # float64, turns at the origin
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
        sines = [[sine for current in currents for sine in current.sines()] for currents in sets]
        flat = [sine for own in sines for sine in own]
        if flat and slab_bits < LEAST_SLAB_BITS:
            raise InputError(f"a sine current needs time constants of at least {4.0 * 2.0 ** (LEAST_SLAB_BITS - TICK_BITS):.2g} ms")
        limbs = [_limbs(_turns(sine.frequency, 1 << slab_bits)) for sine in flat]
        return Currents(
            piece_ptr=np.cumsum([0, *(len(begin) for begin, _, _ in pieces)]),
            begin=np.concatenate([begin for begin, _, _ in pieces]),
            value=np.concatenate([value for _, value, _ in pieces]),
            slope=np.concatenate([slope for _, _, slope in pieces]),
            sine_ptr=np.cumsum([0, *map(len, sines)]),
            amplitude=np.array([sine.amplitude for sine in flat], np.float64),
            frequency=np.array([sine.frequency for sine in flat], np.float64),
            on=np.array([sine.on for sine in flat], np.int64),
            off=np.array([sine.off for sine in flat], np.int64),
            speed=np.array([2.0 * PI * (sine.frequency * TICK / 1e3) for sine in flat], np.float64),
            turns=np.array(limbs, np.int64).reshape(-1, 3).T.copy(),
            base=np.array([float(Fraction(sine.turns) % 1) for sine in flat], np.float64),
            length=1 << slab_bits,
        )

    def most(self, which: int) -> float:
        """Return a bound on the absolute current of a set, pA."""
        pieces, sines = (slice(*ptr[which : which + 2]) for ptr in (self.piece_ptr, self.sine_ptr))
        ends = np.append(self.begin[pieces][1:], 0) - self.begin[pieces]
        ends = self.value[pieces] + self.slope[pieces] * np.where(self.slope[pieces] == 0.0, 0, ends)
        return float(np.abs([self.value[pieces], ends]).max() + np.abs(self.amplitude[sines]).sum())

    def pieces_in_slab(self, which: int) -> int:
        """Return how many pieces a slab can meet."""
        begin = self.begin[slice(*self.piece_ptr[which : which + 2])][1:]
        return 1 + int(np.unique(begin // self.length, return_counts=True)[1].max(initial=0))

    def turns_in_slab(self, which: int) -> int:
        """Return how often the current of a set can pass any one value in a slab.

        The sum of a straight line and n sines solves a linear equation of order 2n + 2, so on a stretch shorter than half the shortest
        period it has at most 2n + 1 zeros.
        """
        sines = slice(*self.sine_ptr[which : which + 2])
        n, halves = self.amplitude[sines].size, float(self.speed[sines].max(initial=0.0)) * self.length / PI
        return (self.pieces_in_slab(which) + math.ceil(halves) + 1) * (2 * n + 1)

    def keep_origin(self, shift: int) -> None:
        """Count times from an origin that is ``shift`` ticks later."""
        moved = np.maximum(self.begin - shift, PAST) if self.begin.size else self.begin
        self.value[:] += self.slope * (moved - (self.begin - shift))
        self.begin[:] = moved
        self.on[:] = np.maximum(self.on - shift, PAST)
        self.off[:] = np.where(self.off == -PAST, -PAST, np.maximum(self.off - shift, PAST))
        for k in range(self.base.size):
            self.base[k] = float((Fraction(self.base[k]) + _turns(self.frequency[k], shift)) % 1)


def _turns(frequency: float, ticks: int) -> Fraction:
    """Turns of a sine in so many ticks, without loss."""
    return Fraction(float(frequency)) * ticks / (1000 << TICK_BITS)


def _limbs(turns: Fraction) -> list[int]:
    scaled = round((turns % 1) * (1 << 3 * LIMB)) % (1 << 3 * LIMB)
    return [scaled >> 2 * LIMB, scaled >> LIMB & (1 << LIMB) - 1, scaled & (1 << LIMB) - 1]


def _summed(currents: Sequence[Current]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the straight pieces of a sum."""
    parts = [current.pieces() for current in currents]
    begin = np.unique(np.concatenate([own for own, _, _ in parts]))
    value, slope = np.zeros(len(begin)), np.zeros(len(begin))
    for own, values, slopes in parts:
        k = np.searchsorted(own, begin, side="right") - 1
        here = k >= 0
        value += np.where(here, values[k] + slopes[k] * (begin - own[k]), 0.0)
        slope += np.where(here, slopes[k], 0.0)
    return np.append(PAST, begin), np.append(0.0, value), np.append(0.0, slope)


# --- kernels ---

PHI_1 = tuple(1.0 / math.factorial(n + 1) for n in range(16))
"""Series of (e^z - 1)/z; for abs(z) <= 1/2 the remainder is below 1e-19."""
PHI_2 = tuple(1.0 / (math.factorial(n) * (n + 2)) for n in range(16))
"""Series of the integral of s e^(z s) over [0, 1]."""


@njit
def piece_at(currents, which, tick):
    """Return the piece of a set that holds at a tick."""
    low, high = currents.piece_ptr[which], currents.piece_ptr[which + 1]
    while high - low > 1:
        middle = (low + high) >> 1
        if currents.begin[middle] <= tick:
            low = middle
        else:
            high = middle
    return low


@njit
def angle(currents, q, start, offset):
    """Return the angle of a sine, in radians, at an offset in the slab that starts at tick ``start``, less whole turns at its start."""
    n = start // currents.length
    high, middle, low = currents.turns[0, q], currents.turns[1, q], currents.turns[2, q]
    mask = (1 << LIMB) - 1
    turn = (((high * n) & mask) << LIMB) + ((middle * n) & ((1 << 2 * LIMB) - 1))
    turn = (turn & ((1 << 2 * LIMB) - 1)) * 2.0**-48 + low * n * 2.0**-72
    turn += currents.base[q]
    return 2.0 * PI * (turn - np.floor(turn + 0.5)) + currents.speed[q] * offset


@njit
def sines_at(currents, which, start, begin, offset):
    """Return the sum of the sines of a set that are on at the offset ``begin``, its derivative (per tick), and a bound on the absolute
    second derivative."""
    value = slope = bend = 0.0
    for q in range(currents.sine_ptr[which], currents.sine_ptr[which + 1]):
        if currents.on[q] <= start + begin < currents.off[q]:
            s, c = sin_cos(angle(currents, q, start, offset))
            speed = currents.speed[q]
            value += currents.amplitude[q] * s
            slope += currents.amplitude[q] * speed * c
            bend += abs(currents.amplitude[q]) * speed * speed
    return value, slope, bend


@njit
def _series(coefficients, z):
    total = coefficients[15]
    for n in range(14, -1, -1):
        total = coefficients[n] + z * total
    return total


@njit
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


@njit
def integral(currents, which, start, begin, value, slope, rate, d):
    """Return the integral of I(begin + x) e^(rate x) over x from 0 to ``d`` (pA ticks), within one piece, whose straight part has ``value``
    and ``slope`` at the offset ``begin``."""
    z = rate * d
    total = d * (value * _series(PHI_1, z))
    if slope != 0.0:
        total += d * d * (slope * _series(PHI_2, z))
    for q in range(currents.sine_ptr[which], currents.sine_ptr[which + 1]):
        if currents.on[q] <= start + begin < currents.off[q]:
            s, c = sin_cos(angle(currents, q, start, begin))
            total += currents.amplitude[q] * sine_integral(rate, currents.speed[q], d, s, c)
    return total
