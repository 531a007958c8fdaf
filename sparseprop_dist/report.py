"""Figures as text: what the command line prints of a run and of this installation."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def summary_rows(summary: Mapping[str, Any], directory: Path, picture: Path | None) -> list[tuple[str, str]]:
    """Return (label, text) for the figures of a run and its files; figures that the summary lacks are left out."""
    texts: list[tuple[str, str, str]] = [
        ("neurons", "neurons", "{:,}"),
        ("synapses", "synapses", "{:,}"),
        ("spikes", "spikes", "{:,}"),
        ("mean rate", "mean_rate", "{:.3f} Hz"),
        ("CV of intervals", "cv", "{:.3f}"),
        ("events", "events", "{:,}"),
        ("time per event", "ns_per_event", "{:.2f} ns"),
        ("wall time", "wall", "{:.2f} s"),
        ("real-time factor", "real_time_factor", "{:.3g} (wall time / simulated time)"),
        ("memory per synapse", "bytes_per_synapse", "{:.2f} bytes"),
        ("ranks", "ranks", "{}"),
    ]
    rows = [(label, form.format(summary[key])) for label, key, form in texts if summary.get(key) is not None]
    rows.append(("run directory", str(directory)))
    if picture is not None:
        rows.append(("picture", str(picture)))
    return rows


def analysis_rows(summary: Mapping[str, Any], directory: Path) -> list[tuple[str, str]]:
    """Return (label, text) for what `analysis.analyze` found."""
    rows = [("spikes", f"{summary['spikes']:,}"), ("mean rate", f"{summary['mean_rate']:.3f} Hz")]
    for name, found in summary["populations"].items():
        rate, cv = found["rate"], found["cv"]
        spread = f", 5 % to 95 %: {rate['quantiles']['0.05']:.3f} to {rate['quantiles']['0.95']:.3f} Hz, silent {found['silent']:.1%}"
        rows.append((name, f"{found['neurons']:,} neurons, {rate['mean']:.3f} Hz{spread}"))
        if cv["neurons"]:
            rows.append(("", f"CV {cv['mean']:.3f} (of {cv['neurons']:,} neurons)"))
    return [*rows, ("figures", str(directory / "analysis.json"))]


def info_rows(communicator: Any) -> list[tuple[str, str]]:
    """Return (label, text) about this installation and machine."""
    from sparseprop_dist import __version__, jit

    rows = [("sparseprop_dist", __version__), ("Python", platform.python_version())]
    for name in ("numpy", "numba", "llvmlite", "zarr", "h5py", "dask", "pydantic", "mpi4py"):
        try:
            rows.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            rows.append((name, "not installed"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        *rows,
        ("MPI library", communicator.library or "none: one rank"),
        ("ranks", str(communicator.size)),
        ("threads", f"1 a rank; OMP_NUM_THREADS is {os.environ.get('OMP_NUM_THREADS', 'not set')}"),
        ("CPU", f"{_cpu_name()}, {cores} cores for this process"),
        ("system", platform.platform()),
        ("compiled code", f"{jit.CACHE}{'' if jit.ENABLED else ' (not used: the JIT is off)'}"),
    ]


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def table(rows: list[tuple[str, str]]) -> str:
    """Return (label, text) pairs as lines."""
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)
