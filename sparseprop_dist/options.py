"""Options that commands share, with what is said of them, and the values that they take."""

import contextlib
import math
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Schedule(StrEnum):
    AUTO = "auto"
    SLAB = "slab"
    INSTANT = "instant"
    ORDERED = "ordered"


class ProgressStyle(StrEnum):
    AUTO = "auto"
    BAR = "bar"
    LINES = "lines"
    NONE = "none"


def _above_zero(unit: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if 0.0 < (value := float(text)) < math.inf:
                return value
        raise typer.BadParameter(f'"{text}" is given; give a number of {unit} above 0')

    return parse


milliseconds, seconds = _above_zero("ms"), _above_zero("seconds")
"""Parsers of options."""

Until = Annotated[float | None, typer.Option(parser=milliseconds, metavar="MS", help="End of the run; without it, what CONFIG says.")]
Window = Annotated[
    float | None, typer.Option(parser=milliseconds, metavar="MS", help="Exchange at least this often; the spikes do not depend on it.")
]
ScheduleOption = Annotated[Schedule | None, typer.Option(help="How to order the work; the spikes do not depend on it.")]
Picture = Annotated[bool, typer.Option("--picture", help="Also draw raster.png in the run directory.")]
Style = Annotated[ProgressStyle, typer.Option(help="auto: a bar on a terminal, lines elsewhere.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors and warnings only.")]
Every = Annotated[
    float | None, typer.Option(parser=milliseconds, metavar="MS", help="Write a checkpoint every so many ms of simulated time.")
]
EveryWall = Annotated[
    float | None, typer.Option(parser=seconds, metavar="S", help="Write a checkpoint every so many seconds; 900 if nothing is said.")
]
Keep = Annotated[int | None, typer.Option(metavar="N", help="Keep the last N checkpoints; 2 if nothing is said.")]
WallLimit = Annotated[
    float | None,
    typer.Option(parser=seconds, metavar="S", help="Stop in time, after a checkpoint, with exit status 85."),
]
RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Directory of a run.")]
