"""The command line: arguments to calls, results to text, exceptions to exit statuses.

Owns everything that is printed and the only reading of argv. Holds no logic of its own: each command is a few calls of the layers below.

Exit statuses: 0 done; 1 the run could not go on, or a defect; 2 bad input (one sentence, no traceback); 85 stopped after a checkpoint,
to be resumed; 130 interrupted.
"""

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from sparseprop_dist.errors import InputError, Interrupted, SimulationError
from sparseprop_dist.options import (
    Every,
    EveryWall,
    Keep,
    Picture,
    ProgressStyle,
    Quiet,
    RunDir,
    ScheduleOption,
    Style,
    Until,
    WallLimit,
    Window,
    milliseconds,
)  # fmt: skip
from sparseprop_dist.report import analysis_rows, info_rows, summary_rows, table

RESUME_ME = 85
"""Of a run that stopped in time, after a checkpoint: EX_TEMPFAIL is 75, and HTCondor's users know 85 as "resume me"."""
INTERRUPTED = 130
"""What typer returns for KeyboardInterrupt, and shells expect."""

T = TypeVar("T")
# Bare messages: boxes and colours of several ranks do not survive mpiexec.
app = typer.Typer(
    help="Exact event-driven simulation of large sparse spiking networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def run(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Network description: .toml, or the .json of a SONATA simulation.")],
    until: Until = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run directory, new or empty; without it, what CONFIG says or CONFIG_run.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print partition, memory and lookahead; simulate nothing.")] = False,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Another seed than that of CONFIG.")] = None,
    window: Window = None,
    schedule: ScheduleOption = None,
    checkpoint_every: Every = None,
    checkpoint_wall: EveryWall = None,
    keep: Keep = None,
    wall_limit: WallLimit = None,
    picture: Picture = False,
    progress: Style = ProgressStyle.AUTO,
    quiet: Quiet = False,
) -> None:
    """Simulate a network; under mpiexec or srun, on all ranks."""
    from sparseprop_dist.description import Network
    from sparseprop_dist.network_file import load

    communicator = context.obj
    found = _agreed(communicator, load, config)
    if seed is not None:
        found.network.seed = Network(seed).seed
    if dry_run:
        from sparseprop_dist.plan import plan, shortage

        print(plan(found.network, communicator.size))
        print(shortage(found.network, communicator.size, communicator.ranks_on_node) or "it fits into the memory of this machine")
        return
    until = found.until if until is None else until
    if until is None:
        raise InputError(f'"{config}" does not say how long to simulate; give --until MS, or until in its table [run]')
    directory = output or Path(found.output or f"{config.stem}_run")
    from sparseprop_dist.interruption import changed
    from sparseprop_dist.simulate import simulate

    style = ProgressStyle.NONE if quiet or communicator.rank else progress
    with _progress(until, found.network.n_neurons, style) as reporter:
        result = simulate(
            found.network,
            until,
            output=directory,
            window=found.window if window is None else window,
            schedule=schedule or found.schedule or "auto",
            progress=reporter,
            checkpoints=changed(found.checkpoints, every=checkpoint_every, every_wall=checkpoint_wall, keep=keep),
            wall_limit=wall_limit,
            file=config.absolute(),
        )
    _conclude(communicator, result, directory, picture, quiet)


@app.command()
def train(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Network description, .toml, with a table [train].")],
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Directory, new or of this training, which then goes on.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Epochs in all; without it, what CONFIG says.")] = None,
    groups: Annotated[int, typer.Option(min=1, metavar="N", help="Groups of ranks that samples are shared out to.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Train a network by exact gradients of its spike times; on several ranks, all together."""
    from sparseprop_dist.network_file import load
    from sparseprop_dist.training_file import train_file

    def tell(entry: dict[str, float]) -> None:
        if not quiet:
            print("  ".join(f"{name} {value:.4g}" for name, value in entry.items()), flush=True)

    found = _agreed(context.obj, load, config)
    reached = train_file(context.obj, found, output or Path(f"{config.stem}_training"), epochs, groups, tell)
    if not quiet:
        print("  ".join(f"{name} {value:.4g}" for name, value in reached.items()))


@app.command()
def resume(
    context: typer.Context,
    run_dir: RunDir,
    until: Annotated[
        float | None, typer.Option(parser=milliseconds, metavar="MS", help="A new end, beyond the one that the run had.")
    ] = None,
    window: Window = None,
    schedule: ScheduleOption = None,
    checkpoint_every: Every = None,
    checkpoint_wall: EveryWall = None,
    keep: Keep = None,
    wall_limit: WallLimit = None,
    picture: Picture = False,
    progress: Style = ProgressStyle.AUTO,
    quiet: Quiet = False,
) -> None:
    """Go on with a run from its newest checkpoint that is whole; on any number of ranks."""
    from sparseprop_dist.resume import resumed

    communicator = context.obj
    given = {"every": checkpoint_every, "every_wall": checkpoint_wall, "keep": keep}
    simulation = resumed(run_dir, until, change=given, window=window, schedule=schedule or "auto", comm=communicator, wall_limit=wall_limit)
    style = ProgressStyle.NONE if quiet or communicator.rank else progress
    with contextlib.closing(simulation), _progress(simulation.until, simulation.n_neurons, style) as reporter:
        simulation.progress = reporter
        result = simulation.finish()
    _conclude(communicator, result, run_dir, picture, quiet)


def _conclude(communicator: Any, result: Any, directory: Path, picture: bool, quiet: bool) -> None:
    if communicator.rank:
        return
    drawn = None
    if picture:
        from sparseprop_dist.analysis import picture as draw

        drawn = draw(directory)
    if not quiet:
        print(table(summary_rows(result.summary, directory, drawn)))


@app.command()
def status(context: typer.Context, run_dir: RunDir) -> None:
    """Print how far a run is, while it goes on or after it."""
    if context.obj.rank == 0:
        from sparseprop_dist.heartbeat import status as read
        from sparseprop_dist.heartbeat import status_rows

        print(table(status_rows(read(run_dir))))


@app.command()
def analyze(
    context: typer.Context,
    run_dir: RunDir,
    picture: Annotated[bool, typer.Option("--picture/--no-picture", help="Draw analysis.png in the run directory.")] = True,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address of a Dask scheduler; without it, this machine.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Start N Slurm jobs as workers, by dask-jobqueue.")] = None,
    quiet: Quiet = False,
) -> None:
    """Count rates, intervals and population activity of a run with Dask, and draw them."""
    if context.obj.rank:
        return
    from sparseprop_dist.analysis import analyze as count
    from sparseprop_dist.spike_statistics import workers

    with workers(scheduler, jobs) as client:
        summary = count(run_dir, client=client, picture=picture)
    if not quiet:
        print(table(analysis_rows(summary, run_dir)))


@app.command()
def export(
    context: typer.Context,
    run_dir: RunDir,
    sonata: Annotated[Path, typer.Option(metavar="FILE.h5", help="SONATA spike file to write; it must not exist.")],
) -> None:
    """Write the spikes of a run for other tools."""
    if context.obj.rank:
        return
    from sparseprop_dist.export import to_sonata

    print(f"{to_sonata(run_dir, sonata):,} spikes written to {sonata}")


@app.command()
def info(context: typer.Context) -> None:
    """Print versions, MPI, threads and CPU: what a bug report needs."""
    if context.obj.rank == 0:
        print(table(info_rows(context.obj)))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line of this process, on every rank, and exit."""
    from sparseprop_dist import exchange

    communicator = exchange.world()
    with _voice_of_rank_0(communicator.rank):
        status = _run_command(communicator, sys.argv[1:] if arguments is None else arguments)
    sys.exit(status)


def _run_command(communicator: Any, arguments: list[str]) -> int:
    """Return the exit status of one command. Whatever happens on this rank, no rank is left waiting."""
    command = typer.main.get_command(app)
    try:
        _check_tasks(communicator.size, os.environ)
        status = command.main(arguments, prog_name="sparseprop", standalone_mode=False, obj=communicator) or 0
        if status == INTERRUPTED:
            return _end_interrupted(communicator)
        return int(status)
    except typer.TyperException as error:  # wrong use of the command line: the same on all ranks
        sentence = " ".join(error.format_message().split())
        return _end_together(communicator, 2, f"{sentence[:1].lower()}{sentence[1:]}")
    except InputError as error:
        return _end_together(communicator, 2, str(error))
    except SimulationError as error:
        return _end_together(communicator, 1, str(error))
    except Interrupted as stopped:
        return _end_together(communicator, RESUME_ME, str(stopped), kind="")
    except MemoryError:
        return _end_together(communicator, 1, "there is not enough memory; --dry-run prints what the network needs on each rank")
    except Exception:
        place = f" on rank {communicator.rank} of {communicator.size}" if communicator.size > 1 else ""
        sys.stderr.write(
            f"sparseprop: unexpected error{place}; please report it with the output of `sparseprop info`\n{traceback.format_exc()}"
        )
        sys.stderr.flush()
        if communicator.size > 1:
            communicator.abort(1)
        return 1


def _check_tasks(size: int, environment: Mapping[str, str]) -> None:
    """Refuse to be one of many tasks that know nothing of each other: each would make the same run."""
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", "1") or 1)
    if "SLURM_STEP_ID" in environment and size == 1 < tasks and "MPI_LOCALNRANKS" not in environment:
        raise InputError(
            f"Slurm started {tasks} tasks, but MPI sees 1 rank in each; start them with srun --mpi=pmi2 (MPICH), or with mpiexec"
        )


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")  # one write: the lines of several ranks mix otherwise
    sys.stderr.flush()


def _end_together(communicator: Any, status: int, sentence: str, kind: str = "error: ") -> int:
    """Print the sentence once if all ranks come here; a rank that comes alone prints it for itself and ends the job."""
    together = communicator.meet()
    if communicator.rank == 0 or not together:
        place = "" if together else f"rank {communicator.rank}: "
        _tell(f"sparseprop: {kind}{place}{sentence}")
    if not together:
        communicator.abort(status)
    return status


def _end_interrupted(communicator: Any) -> int:
    """Say so in one line. Ranks were interrupted at different places, so that only an abort ends what they wait for."""
    if communicator.rank == 0:  # before the others, whose abort would silence it, know that it came
        _tell("sparseprop: interrupted")
    if communicator.size > 1:
        if not communicator.meet() and communicator.rank:
            _tell("sparseprop: interrupted")
        communicator.abort(INTERRUPTED)
    return INTERRUPTED


def _agreed(communicator: Any, call: Callable[..., T], *arguments: Any) -> T:
    """Call on every rank; if it raises InputError on any (a file that only one node lacks), raise that on all."""
    result, error = None, None
    try:
        result = call(*arguments)
    except InputError as raised:
        error = raised
    communicator.agree(error)
    return result  # type: ignore[return-value]  # None only if `agree` has raised


@contextlib.contextmanager
def _voice_of_rank_0(rank: int) -> Iterator[None]:
    """Silence standard output of the other ranks, and print a warning as one line, once."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, UserWarning):
            usual(message, category, *where, **more)
        elif rank == 0:
            _tell(f"sparseprop: warning: {message}")

    with contextlib.ExitStack() as stack:
        warnings.showwarning = show
        stack.callback(setattr, warnings, "showwarning", usual)
        if rank:
            silence = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        yield


@contextlib.contextmanager
def _progress(until: float, n_neurons: int, style: ProgressStyle) -> Iterator[Any]:
    from sparseprop_dist.progress import Progress

    with Progress(until, n_neurons, stream=sys.stderr, style=style.value) as reporter:
        yield reporter
