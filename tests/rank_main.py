"""Run a Python program as one rank of a test: ``rank_main.py FOLDER SECONDS (-m MODULE | SCRIPT) ARGUMENT...``

After SECONDS the stacks of all threads go to ``FOLDER/rank-<number>.txt``, also of a rank that waits inside the MPI library; ten seconds
later the kernel ends the process, so that no rank outlives its test. An exception ends all ranks.
"""

import faulthandler
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path

GRACE_SECONDS = 10.0
RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")


def main() -> None:
    folder, seconds, *arguments = sys.argv[1:]
    rank = next((os.environ[name] for name in RANK_VARIABLES if name in os.environ), "0")
    stacks = open(Path(folder) / f"rank-{rank}.txt", "w", encoding="utf-8")  # noqa: SIM115 - open as long as the process lives
    faulthandler.enable()
    faulthandler.dump_traceback_later(float(seconds), file=stacks)
    signal.setitimer(signal.ITIMER_REAL, float(seconds) + GRACE_SECONDS)
    try:
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            sys.path[0] = os.getcwd()
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            sys.path[0] = str(Path(arguments[0]).parent.resolve())
            runpy.run_path(arguments[0], run_name="__main__")
    except Exception:
        if sys.excepthook is not sys.__excepthook__:  # what the program has installed comes first, as it would without this file
            sys.excepthook(*sys.exc_info())
            sys.exit(1)
        sys.stderr.write(f"rank {rank}: {traceback.format_exc()}")
        sys.stderr.flush()
        os._exit(1) if "mpi4py.MPI" not in sys.modules else sys.modules["mpi4py.MPI"].COMM_WORLD.Abort(1)


if __name__ == "__main__":
    main()
