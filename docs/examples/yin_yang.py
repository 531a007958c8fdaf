"""The Yin-Yang task (Kriener et al. 2022): writes ``yin_yang.npz`` for ``yin_yang.toml``.

    python docs/examples/yin_yang.py && sparseprop train docs/examples/yin_yang.toml

A point of the disc is in the yin, the yang or one of the two dots. Its coordinates x, y, 1 - x, 1 - y are the times of four spikes; a
fifth comes always. The class is that of the output neuron that fires first.
"""

import argparse
from pathlib import Path

import numpy as np

BIG, SMALL = 0.5, 0.1
FIRST, LAST, BIAS = 2.0, 27.0, 0.7
"""ms, between which the coordinates lie; the bias, as a coordinate."""


def class_of(x: float, y: float) -> int:
    """Yin 0, yang 1, dots 2."""
    right, left = np.hypot(x - 1.5 * BIG, y - BIG), np.hypot(x - 0.5 * BIG, y - BIG)
    if right < SMALL or left < SMALL:
        return 2
    is_yin = right <= SMALL or SMALL < left <= 0.5 * BIG or (y > BIG and right > 0.5 * BIG)
    return 1 if is_yin else 0


def points(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) of the unit square, as many of each class, and their classes (n,)."""
    rng, found, labels = np.random.default_rng(seed), [], []
    while len(found) < n:
        x, y = rng.random(2) * 2.0 * BIG
        if np.hypot(x - BIG, y - BIG) <= BIG and class_of(x, y) == len(found) % 3:
            found.append((x, y))
            labels.append(len(found[:-1]) % 3)
    return np.array(found), np.array(labels)


def spikes(xy: np.ndarray) -> np.ndarray:
    """Times (n, 5) of the input spikes, ms."""
    return FIRST + (LAST - FIRST) * np.column_stack([xy, 1.0 - xy, np.full(len(xy), BIAS)])


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("yin_yang.npz"))
    parser.add_argument("--sizes", type=int, nargs=3, default=(5000, 1000, 1000), help="of the three sets")
    arguments = parser.parse_args()
    arrays = {}
    for name, size, seed in zip(("train", "validation", "test"), arguments.sizes, (100, 200, 300), strict=True):
        xy, labels = points(size, seed)
        arrays |= {f"{name}_times": spikes(xy), f"{name}_labels": labels}
    np.savez(arguments.output, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
