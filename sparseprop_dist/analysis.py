"""Pictures and figures of a run.

Owns the only import of matplotlib. Reads spikes through ``store``, a block at a time, so that a run of any length can be drawn; knows
nothing of how they were made.
Population rate = spikes in a bin / (neurons x width of the bin).
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist import store
from sparseprop_dist.errors import InputError
from sparseprop_dist.run_directory import plain
from sparseprop_dist.seal import write_whole
from sparseprop_dist.spike_statistics import Statistics, statistics

SUMMARY, PICTURE = "analysis.json", "analysis.png"
LONGEST_MS = 1000.0
"""Without a start, the last second of a longer run is drawn: more than that is a grey area."""
BINS = 400
NAMED = 8
"""Populations with a colour and a legend entry of their own; in a network of more, neighbours share them."""


@dataclass(frozen=True)
class Band:
    """Consecutive neurons that are drawn in one colour: global ids first to first + size - 1."""

    name: str
    first: int
    size: int


@dataclass(frozen=True)
class Raster:
    """What the picture shows: a few neurons spike by spike, all neurons as rates."""

    times: NDArray[np.float64]
    """ms, of the spikes of the neurons shown"""
    rows: NDArray[np.int64]
    """which of the neurons shown fired: position in ``shown``"""
    shown: NDArray[np.int64]
    """global ids of the neurons shown"""
    edges: NDArray[np.float64]
    """ms, edges of the bins"""
    rates: NDArray[np.float64]
    """Hz, [band, bin]"""
    bands: list[Band]


def learning_curves(history: list[dict[str, float]], path: str | os.PathLike[str]) -> None:
    """Draw loss and accuracy by epoch, of training and validation."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(8.0, 3.2), layout="constrained")
    epochs = [entry["epoch"] for entry in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((name, "training"), (f"validation_{name}", "validation")):
            if history and key in history[0]:
                axes.plot(epochs, [entry[key] for entry in history], label=label)
        axes.set(xlabel="epoch", ylabel=name, yscale="log" if name == "loss" else "linear")
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def raster(run: str | os.PathLike[str], *, n_shown: int = 100, start: float | None = None, stop: float | None = None) -> Raster:
    """Collect the spikes of ``n_shown`` neurons, spread evenly over the network, and the rate of each population.

    Parameters
    ----------
    run : path
        Run directory.
    n_shown : int
        How many neurons to show spike by spike.
    start, stop : float, optional
        Part of the run in ms; without them its last second.

    Raises
    ------
    InputError
        If the run holds no readable spikes or the part is empty.
    """
    spikes = store.spikes(run)
    bands = _bands(spikes.attributes)
    n_neurons = int(spikes.attributes["n_neurons"])
    stop = float(spikes.attributes["until"]) if stop is None else float(stop)
    start = max(0.0, stop - LONGEST_MS) if start is None else float(start)
    if not start < stop:
        raise InputError(f"nothing to draw between {start} and {stop} ms; start must be before stop")
    n_shown = min(n_shown, n_neurons)
    shown = np.arange(n_shown, dtype=np.int64) * n_neurons // n_shown
    edges = np.linspace(start, stop, BINS + 1)
    counts = np.zeros((len(bands), BINS), dtype=np.int64)
    firsts = np.array([band.first for band in bands])
    pieces: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
    for times, ids in spikes.blocks():  # ordered by time
        a, b = np.searchsorted(times, [start, stop], side="left")
        times, ids = times[a:b], ids[a:b]
        band = np.searchsorted(firsts, ids, side="right") - 1
        bin_ = np.minimum(np.searchsorted(edges, times, side="right") - 1, BINS - 1)
        counts += np.bincount(band * BINS + bin_, minlength=counts.size).reshape(counts.shape)
        row = np.minimum(np.searchsorted(shown, ids), n_shown - 1)
        hit = shown[row] == ids
        pieces.append((times[hit], row[hit]))
    sizes = np.array([band.size for band in bands])
    rates = counts / (sizes[:, None] * (edges[1] - edges[0]) * 1e-3)
    times = np.concatenate([piece[0] for piece in pieces]) if pieces else np.empty(0)
    rows = np.concatenate([piece[1] for piece in pieces]) if pieces else np.empty(0, dtype=np.int64)
    return Raster(times, rows, shown, edges, rates, bands)


def picture(
    run: str | os.PathLike[str], path: str | os.PathLike[str] | None = None, *, start: float | None = None, stop: float | None = None
) -> Path:
    """Draw a raster of 100 neurons above and the rate of each population below it.

    Parameters
    ----------
    run : path
        Run directory.
    path : path, optional
        Where to write the picture (PNG); without it ``raster.png`` in the run directory.
    start, stop : float, optional
        Part of the run in ms; without them its last second.

    Returns
    -------
    Path
        Where the picture is.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no pyplot: no window system, no state between pictures
    from matplotlib.figure import Figure

    data = raster(run, start=start, stop=stop)
    path = Path(run) / "raster.png" if path is None else Path(path)
    figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    firsts = np.array([band.first for band in data.bands])
    of_row = np.searchsorted(firsts, data.shown, side="right") - 1
    centres = 0.5 * (data.edges[1:] + data.edges[:-1])
    for number, band in enumerate(data.bands):
        colour = f"C{number}"
        mine = of_row[data.rows] == number
        above.scatter(data.times[mine], data.rows[mine], s=4, marker="|", linewidths=0.8, color=colour)
        below.plot(centres, data.rates[number], color=colour, linewidth=0.9, label=band.name)
    above.set_ylim(-1, len(data.shown))
    above.set_ylabel(f"{len(data.shown)} neurons")
    below.set_xlim(data.edges[0], data.edges[-1])
    below.set_ylim(bottom=0)
    below.set_ylabel("rate (Hz)")
    below.set_xlabel("time (ms)")
    if len(data.bands) > 1:
        below.legend(loc="upper right", fontsize="small", ncols=min(len(data.bands), 4))
    figure.savefig(path)
    return path


def analyze(run: str | os.PathLike[str], *, client: Any = None, picture: bool = True) -> dict[str, Any]:
    """Write analysis.json into the run directory (rates and their distribution, CV of the intervals, population rates over time), and
    analysis.png.

    Parameters
    ----------
    run : path
        Run directory.
    client : dask.distributed.Client, optional
        Where to count; without it, threads of this process.
    picture : bool
        Whether to draw.

    Returns
    -------
    dict
        What is in analysis.json.
    """
    found = statistics(run, client=client)
    summary = found.summary()
    try:
        write_whole(Path(run) / SUMMARY, json.dumps(plain(summary), indent=1, allow_nan=False).encode())
        if picture:
            _draw_statistics(found, raster(run), Path(run) / PICTURE)
    except OSError as error:
        raise InputError(f'"{error.filename}" cannot be written ({error.strerror}); the analysis is kept in the run directory') from None
    return summary


def _draw_statistics(found: Statistics, data: Raster, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    spikes, activity, rates, cvs = _panels(figure)
    firsts = np.array([band.first for band in data.bands])
    of_row = np.searchsorted(firsts, data.shown, side="right") - 1
    for number in range(len(data.bands)):
        mine = of_row[data.rows] == number
        spikes.scatter(data.times[mine], data.rows[mine], s=4, marker="|", linewidths=0.8, color=f"C{number}")
    centres = (np.arange(len(found.bins[0])) + 0.5) * found.until / len(found.bins[0])
    for k, name in enumerate(found.names[:NAMED]):
        activity.plot(centres, found.activity(k), color=f"C{k}", linewidth=0.9, label=name)
        for panel, values in ((rates, found.rates(k)), (cvs, found.cvs(k))):
            if len(values):
                panel.hist(values, bins=50, histtype="step", density=True, color=f"C{k}", label=name)
    spikes.set(xlim=(data.edges[0], data.edges[-1]), ylim=(-1, len(data.shown)), xlabel="time (ms)", ylabel=f"{len(data.shown)} neurons")
    activity.set(xlim=(0.0, found.until), xlabel="time (ms)", ylabel="rate (Hz)")
    activity.set_ylim(bottom=0)
    rates.set(xlabel="rate of a neuron (Hz)", ylabel="density")
    cvs.set(xlabel="CV of its intervals", ylabel="density")
    if len(found.names) > 1:
        activity.legend(loc="upper right", fontsize="small")
    figure.savefig(path)


def _panels(figure: Any) -> tuple[Any, Any, Any, Any]:
    grid = figure.add_gridspec(3, 2, height_ratios=[3, 2, 2])
    return figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, :]), figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1])


def _bands(attributes: dict) -> list[Band]:
    """Return the populations as bands, neighbours joined where there are more than `NAMED`."""
    bands = [Band(str(entry["name"]), int(entry["first"]), int(entry["size"])) for entry in attributes["populations"]]
    bands = sorted((band for band in bands if band.first < int(attributes["n_neurons"])), key=lambda band: band.first)
    if len(bands) <= NAMED:
        return bands
    joined = []
    for group in np.array_split(np.arange(len(bands)), NAMED):
        first, last = bands[group[0]], bands[group[-1]]
        name = first.name if first is last else f"{first.name} to {last.name}"
        joined.append(Band(name, first.first, last.first + last.size - first.first))
    return joined
