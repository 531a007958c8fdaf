"""Bad input and bad luck on several ranks: one sentence, the right status, and no rank that is left waiting."""

import re
import time
from pathlib import Path

import pytest
from bad_inputs import NETWORK, OVERFLOW, REFUSED, written

pytestmark = pytest.mark.mpi
TESTS = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}

EVERY_MISTAKE = """
import sys, tempfile, pathlib
from bad_inputs import REFUSED
from sparseprop_dist import cli, exchange

ranks = exchange.world()
for case in REFUSED:
    folder = pathlib.Path(ranks.share(tempfile.mkdtemp()))
    (folder / "input").mkdir(exist_ok=True)
    config = ranks.share(case.prepare(folder / "input") if ranks.rank == 0 else None)
    if ranks.rank == 0:
        sys.stderr.write(f"== {case.name}\\n")
    with cli._voice_of_rank_0(ranks.rank):
        status = cli._run_command(ranks, ["run", str(config), "--output", str(folder / "run")])
    ended = ranks.collect((status, sorted(path.name for path in folder.iterdir())))
    if ranks.rank == 0:
        sys.stderr.write(f"{ended}\\n")
"""


def test_every_mistake_on_three_ranks(mpirun, tmp_path):
    script = written(tmp_path, EVERY_MISTAKE)
    told = mpirun(3, [script], timeout=250.0, env=TESTS).stderr
    found = {part.splitlines()[0]: part.splitlines()[1:] for part in told.split("== ")[1:]}
    assert list(found) == [case.name for case in REFUSED]
    for case in REFUSED:
        sentence, ended = found[case.name]
        assert re.fullmatch(rf"sparseprop: error: .*{case.told}.*", sentence)
        assert ended == str([(2, ["input"])] * 3)


def test_more_ranks_than_neurons(mpirun, tmp_path):
    config = written(tmp_path, "populations.all = { size = 2, model = 'lif', I_e = 500.0 }\nrun.until = 50.0")
    ended = mpirun(3, ["-m", "sparseprop_dist", "run", config, "--output", tmp_path / "run", "--quiet"])
    assert ended.stdout == ""
    assert ended.stderr == "sparseprop: warning: 3 ranks share 2 neurons, so that 1 has nothing to do; start fewer\n"
    assert (tmp_path / "run" / "spikes.zarr").is_dir()


def test_overflow_on_one_rank(mpirun, tmp_path):
    begin = time.monotonic()
    arguments = ["-m", "sparseprop_dist", "run", written(tmp_path, OVERFLOW), "--output", tmp_path / "run", "--quiet"]
    ended = mpirun(2, arguments, status=1)
    assert time.monotonic() - begin < 20.0
    assert re.fullmatch(r"sparseprop: error: neuron 5 overflowed at \S+ ms: its potential is beyond .*\n", ended.stderr)


CAUGHT = """
import sys
import sparseprop_dist as sp
from sparseprop_dist.exchange import world

net, output = sp.load(sys.argv[1]).network, sys.argv[2] if len(sys.argv) > 2 else None
net.record("V", "exc", times=[2.75])  # in the window that fails: a table is full, and written by all ranks together
net.record("count", "inh", bin=2.75)
simulation = sp.Simulation(net, 1000.0, output=output)
for call in (simulation.advance, simulation.finish):
    try:
        call()
    except sp.SimulationError as error:
        told = world().collect(str(error))
        if world().rank == 0:
            print(*told, sep="\\n")
"""


@pytest.mark.timeout(400)  # compiles the loop of ranks, if it is the first
@pytest.mark.parametrize("output", [(), ("run",)])
@pytest.mark.parametrize("delay", [0.5, 0.0])
def test_an_overflow_on_one_rank_is_raised_on_all(mpirun, tmp_path, delay, output):
    """So that a script that catches it goes on with all ranks: none waits for another. The run itself cannot go on."""
    (tmp_path / "script.py").write_text(CAUGHT)
    config = written(tmp_path, OVERFLOW.replace("delay = 0.5", f"delay = {delay}"))
    told = mpirun(2, [tmp_path / "script.py", config, *(tmp_path / name for name in output)], timeout=300.0).stdout.splitlines()
    assert len(told) == 4
    assert len(set(told)) == 1
    assert re.fullmatch(r"neuron 5 overflowed at 2\.5 ms: its potential is beyond .*", told[0])


INJECTION = """
import sys
from sparseprop_dist import cli, exchange
from sparseprop_dist.engine.session import Session

whole, calls = Session.advance, []

def broken(session, until, watch=None):
    calls.append(until)
    if exchange.world().rank == 1 and len(calls) > 3:
        {failure}
    return whole(session, until, watch)

Session.advance = broken
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("raise IndexError('injected')", r"sparseprop: unexpected error on rank 1 of 3(.|\n)*Traceback(.|\n)*IndexError: injected\n"),
        ("raise MemoryError", r"sparseprop: error: rank 1: there is not enough memory; --dry-run prints what"),
    ],
)
def test_failure_of_one_rank_in_the_middle_of_a_run(mpirun, tmp_path, failure, told):
    (tmp_path / "script.py").write_text(INJECTION.format(failure=failure))
    begin = time.monotonic()
    arguments = [tmp_path / "script.py", "run", written(tmp_path, NETWORK), "--until", "1e5", "--output", tmp_path / "run", "--quiet"]
    ended = mpirun(3, arguments, status=1)
    assert time.monotonic() - begin < 20.0
    assert re.match(told, ended.stderr)


FULL = """
import resource, sys
from sparseprop_dist import cli, exchange

exchange.world()  # MPI makes large files when it starts
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 13, 1 << 13))  # a file that grows beyond that cannot be written
cli.main(sys.argv[1:])
"""


def test_full_disk(mpirun, tmp_path):
    (tmp_path / "script.py").write_text(FULL)
    config = written(tmp_path, NETWORK.replace("rate = 1000.0", "rate = 50000.0"))
    arguments = [tmp_path / "script.py", "run", config, "--until", "500", "--output", tmp_path / "run", "--quiet"]
    ended = mpirun(2, arguments, status=1)
    assert re.match(r'sparseprop: error: rank \d: the spikes cannot be written to "\S+" any more \(File too large\); the', ended.stderr)
    assert "Traceback" not in ended.stderr


SCRIPT = """
import sparseprop_dist as sp
from sparseprop_dist.exchange import world

rank = world().rank
net = sp.Network()
all = net.add_population("all", 10, sp.LIF())
{line}
sp.simulate(net, 1.0)
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("net.connect(all, 'everyone', sp.OneToOne(), weight=1.0, delay=1.0)", r'Traceback(.|\n)*InputError: .*"everyone"'),
        ("rank == 1 and 1 / 0", r"Traceback(.|\n)*ZeroDivisionError"),
    ],
)
def test_exception_in_a_script(mpirun, tmp_path, line, told):
    """What nobody catches ends all ranks; what comes to all is told once."""
    (tmp_path / "script.py").write_text(SCRIPT.format(line=line))
    ended = mpirun(2, [tmp_path / "script.py"], status=1)
    assert re.match(told, ended.stderr)
    assert ended.stderr.count("Traceback") == 1
