"""The fixtures that start ranks: a deadlock ends in time and says where each rank stood."""

import time

import pytest
from _pytest.outcomes import Failed

pytestmark = pytest.mark.mpi

DEADLOCK = """
from mpi4py import MPI

def waits_for_nobody():
    MPI.COMM_WORLD.barrier()

def goes_elsewhere():
    MPI.COMM_WORLD.recv(source=0)

waits_for_nobody() if MPI.COMM_WORLD.rank == 0 else goes_elsewhere()
"""


def test_output_and_status(mpirun, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nfrom mpi4py import MPI\nif MPI.COMM_WORLD.rank == 1: print(MPI.COMM_WORLD.size, sys.argv[1])\n")
    assert mpirun(2, [script, "word"]).stdout == "2 word\n"


def test_deadlock_fails_in_time_and_shows_each_rank(mpirun, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(DEADLOCK)
    begin = time.monotonic()
    with pytest.raises(Failed) as failure:
        mpirun(2, [script], timeout=4.0)
    assert time.monotonic() - begin < 15.0
    told = str(failure.value)
    assert "not finished after 4.0 s" in told
    assert told.index("rank-0") < told.index("waits_for_nobody") < told.index("rank-1") < told.index("goes_elsewhere")


def test_exception_on_one_rank_ends_all(mpirun, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from mpi4py import MPI\nif MPI.COMM_WORLD.rank == 1: raise ValueError('told by rank 1')\nMPI.COMM_WORLD.barrier()\n")
    ended = mpirun(2, [script], timeout=20.0, status=1)
    assert "rank 1: Traceback" in ended.stderr
    assert "ValueError: told by rank 1" in ended.stderr


def test_unexpected_status_fails(solo, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys; print('some words', file=sys.stderr); sys.exit(3)")
    with pytest.raises(Failed, match=r"exit status 3, not 0(.|\n)*some words"):
        solo([script])
    assert solo([script], status=3).status == 3
