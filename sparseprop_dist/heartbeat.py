"""What a run that goes on says of itself: status.json in its directory, written now and then by rank 0, and read by anyone.

Owns the form of the file and the text that a user sees of it.
"""

import datetime
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InputError
from .run_directory import RunDirectory, one_line, plain
from .seal import write_whole

STATUS = "status.json"
EVERY = 2.0
"""s between two, at least: a file of 300 bytes, not flushed, costs 0.1 ms."""
RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"


class Heartbeat:
    """The heartbeat of a run, on rank 0; without a directory there is none."""

    def __init__(self, directory: Any, until: float, ranks: int) -> None:
        self.path = None if directory is None else Path(directory) / STATUS
        self.record: dict[str, Any] = {
            "state": RUNNING, "until": until, "ranks": ranks, "pid": os.getpid(), "host": socket.gethostname(), "begun": _now(),
            "slurm_job": os.environ.get("SLURM_JOB_ID"), "checkpoint": None, "checkpoint_at": None, "checkpoint_seconds": 0.0,
        }  # fmt: skip
        self.last = 0.0

    def beat(self, *, force: bool = False, **figures: Any) -> None:
        """Take notice of figures, and write them if the last time is long ago, or with ``force``."""
        self.record.update(figures)
        if self.path is None or not (force or time.monotonic() - self.last > EVERY):
            return
        self.last = time.monotonic()
        try:
            write_whole(self.path, json.dumps(plain({**self.record, "at": _now()}), indent=1).encode(), flushed=False)
        except OSError:  # a run must not end for want of a heartbeat
            self.last += 10.0 * EVERY

    def checkpointed(self, ms: float, seconds: float) -> None:
        """Take notice of a checkpoint."""
        total = self.record["checkpoint_seconds"] + seconds
        self.beat(force=True, checkpoint=ms, checkpoint_at=_now(), checkpoint_seconds=total)


def status(run: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the last heartbeat of a run directory.

    Its ``state`` is "running", "finished", "stopped" (by a signal or its wall limit, and to be resumed) or "dead" (it does not go on,
    although it said so).
    """
    directory = RunDirectory.open(run)
    path = directory.path / STATUS
    try:
        record = dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        record = {"state": FINISHED if "finished" in directory.provenance else RUNNING}
    except (OSError, ValueError) as error:
        raise InputError(f'"{path}" cannot be read ({one_line(error)}); it is written anew while a run goes on') from None
    if record["state"] == RUNNING and not directory.is_locked():
        record["state"] = "dead"
    return record


def status_rows(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (label, text) for a heartbeat."""
    state = {"dead": "dead: resume it", STOPPED: "stopped: resume it"}.get(record["state"], record["state"])
    rows = [("state", state)]
    if record.get("now") is not None:
        part = record["now"] / record["until"]
        rows.append(("simulated", f"{record['now']:,.6g} of {record['until']:,.6g} ms ({part:.1%})"))
    texts = [
        ("spikes", "spikes", "{:,}"),
        ("time per event", "ns_per_event", "{:.2f} ns"),
        ("wall time", "wall", "{:,.1f} s"),
        ("still to go", "remaining", "{:,.0f} s at this pace"),
        ("last checkpoint", "checkpoint", "at {:,.6g} ms"),
        ("written", "checkpoint_at", "{}"),
        ("time in checkpoints", "checkpoint_seconds", "{:.2f} s"),
        ("ranks", "ranks", "{}"),
        ("host of rank 0", "host", "{}"),
        ("Slurm job", "slurm_job", "{}"),
        ("heartbeat", "at", "{}"),
    ]
    return rows + [(label, form.format(record[key])) for label, key, form in texts if record.get(key) is not None]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
