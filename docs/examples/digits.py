"""Handwritten digits: writes ``digits.npz`` for ``digits.toml``, from the 1,797 images of 8 x 8 pixels that come with scikit-learn.

    python docs/examples/digits.py && sparseprop train docs/examples/digits.toml

Latency code: a pixel sends one spike, the brighter the earlier; a black pixel sends none. The class is that of the output neuron that fires
first.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

FIRST, LAST = 2.0, 12.0
"""ms, of the brightest pixels, and of the darkest that are not black."""
SIZES = (1197, 300, 300)
"""Training, validation and test images, drawn in an order of its own."""


def spikes(images: np.ndarray) -> np.ndarray:
    """Times (n, 64) of the input spikes, ms, for images (n, 64) of 0 to 16; nan: none."""
    return np.where(images > 0.0, FIRST + (LAST - FIRST) * (16.0 - images) / 15.0, np.nan)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("digits.npz"))
    parser.add_argument("--sizes", type=int, nargs=3, default=SIZES, help="of the three sets")
    arguments = parser.parse_args()
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(labels))
    arrays, start = {}, 0
    for name, size in zip(("train", "validation", "test"), arguments.sizes, strict=True):
        own = order[start : start + size]
        arrays |= {f"{name}_times": spikes(images[own]), f"{name}_labels": labels[own]}
        start += size
    np.savez(arguments.output, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
