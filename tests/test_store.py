"""The run directory: what is written comes back, bytes depend on the spikes alone, other tools can read them, nothing is overwritten."""

import hashlib
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from sparseprop_dist import run_directory, store
from sparseprop_dist.errors import InputError
from sparseprop_dist.run_directory import RunDirectory
from sparseprop_dist.store import CHUNK, SpikeFile

ATTRIBUTES = {
    "n_neurons": np.int64(300),
    "until": 1000.0,
    "populations": [{"name": "exc", "first": 0, "size": 200}, {"name": "inh", "first": 200, "size": 100}],
}
RECORD = run_directory.provenance(config="[network]\nseed = 1\n", seed=1, ranks=2, hosts=["here", "there"], mpi="MPICH 5", until=1000.0)


def make_spikes(n: int, n_neurons: int = 300) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(n)
    times = np.sort(np.round(generator.uniform(0.0, 1000.0, n), 2))  # many ties
    ids = generator.integers(0, n_neurons, n)
    order = np.lexsort((ids, times))
    return times[order], ids[order]


def write_run(path: Path, times: np.ndarray, ids: np.ndarray, *, writers: int = 1, commits: int = 1) -> RunDirectory:
    """Write as `writers` ranks would: in turn, each whole files, the last first."""
    run = RunDirectory.create(path, RECORD)
    files = [SpikeFile.create(run, ATTRIBUTES), *(SpikeFile.open(run) for _ in range(1, writers))]
    starts = list(range(0, len(times), CHUNK))
    for part in np.array_split(starts, commits):
        for number, start in reversed(list(enumerate(part))):
            files[number % writers].write(int(start), times[start : start + CHUNK], ids[start : start + CHUNK])
        files[0].commit(min(int(part[-1]) + CHUNK, len(times)) if len(part) else 0)
    return run


def digest(path: Path) -> dict[str, str]:
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(path.rglob("*")) if file.is_file()
    }


@pytest.mark.parametrize("n", [0, 1, 5, store.READ_CHUNK, store.READ_CHUNK + 1, CHUNK, CHUNK + 1, 2 * CHUNK + 12_345])
def test_round_trip(tmp_path, n):
    times, ids = make_spikes(n)
    run = write_run(tmp_path / "run", times, ids)
    spikes = store.spikes(run)
    assert len(spikes) == n
    np.testing.assert_array_equal(spikes.times, times)
    np.testing.assert_array_equal(spikes.ids, ids)
    assert spikes.times.dtype == np.float64
    assert spikes.ids.dtype == np.int64
    assert spikes.attributes["n_neurons"] == 300
    assert spikes.attributes["populations"] == ATTRIBUTES["populations"]
    assert spikes.attributes["order"] == "(time, id)"
    blocks = list(spikes.blocks())
    assert all(len(block) <= CHUNK for pair in blocks for block in pair)
    np.testing.assert_array_equal(np.concatenate([np.zeros(0), *(block for block, _ in blocks)]), times)
    np.testing.assert_array_equal(np.concatenate([np.zeros(0, int), *(block for _, block in blocks)]), ids)


@pytest.mark.parametrize(("writers", "commits"), [(2, 1), (3, 1), (1, 3), (3, 2)])
def test_bytes_depend_on_the_spikes_alone(tmp_path, writers, commits):
    times, ids = make_spikes(2 * CHUNK + 777)
    one = write_run(tmp_path / "one", times, ids)
    other = write_run(tmp_path / "other", times, ids, writers=writers, commits=commits)
    assert digest(one.path / run_directory.SPIKES) == digest(other.path / run_directory.SPIKES)


def test_partly_written_file_is_replaced(tmp_path):
    """What a resumed run does with the last file of the interrupted one."""
    times, ids = make_spikes(CHUNK - 5)
    one = write_run(tmp_path / "one", times, ids)
    two = write_run(tmp_path / "two", times[:1000], ids[:1000])
    file = SpikeFile.open(two)
    file.write(0, times, ids)
    file.commit(len(times))
    assert digest(one.path / run_directory.SPIKES) == digest(two.path / run_directory.SPIKES)


def _write_alone(path: str, start: int, times: np.ndarray, ids: np.ndarray) -> None:
    SpikeFile.open(path).write(start, times, ids)


def test_processes_write_side_by_side(tmp_path):
    """Real processes, none of which knows how long the file will be, while it is committed to length 0."""
    times, ids = make_spikes(3 * CHUNK + 99)
    alone = write_run(tmp_path / "alone", times, ids)
    run = RunDirectory.create(tmp_path / "run", RECORD)
    file = SpikeFile.create(run, ATTRIBUTES)
    context = multiprocessing.get_context("spawn")
    pieces = [(start, times[start : start + CHUNK], ids[start : start + CHUNK]) for start in range(0, len(times), CHUNK)]
    processes = [context.Process(target=_write_alone, args=(str(run.path), *piece)) for piece in pieces]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(store.spikes(run)) == 0
    file.commit(len(times))
    assert digest(run.path / run_directory.SPIKES) == digest(alone.path / run_directory.SPIKES)


def test_uncommitted_spikes_are_not_seen(tmp_path):
    times, ids = make_spikes(2 * CHUNK)
    run = RunDirectory.create(tmp_path / "run", RECORD)
    file = SpikeFile.create(run, ATTRIBUTES)
    file.write(0, times, ids)
    assert len(store.spikes(run)) == 0
    file.commit(CHUNK)
    assert len(store.spikes(run)) == CHUNK


def test_run_killed_inside_commit(tmp_path):
    import zarr

    times, ids = make_spikes(100)
    run = write_run(tmp_path / "run", times, ids)
    zarr.open_array(str(run.path / run_directory.SPIKES / "id"), mode="r+").resize((40,))
    np.testing.assert_array_equal(store.spikes(run).times, times[:40])


def test_zeros_are_written(tmp_path):
    """A chunk of zeros is data: neuron 0 firing at time 0 must not depend on a fill value."""
    n = store.READ_CHUNK
    run = write_run(tmp_path / "run", np.zeros(n), np.zeros(n, np.int64))
    assert (run.path / run_directory.SPIKES / "id" / "c" / "0").stat().st_size > 0
    spikes = store.spikes(run)
    assert not spikes.times.any()
    assert not spikes.ids.any()


def test_opens_with_zarr_dask_and_xarray(tmp_path):
    import dask.array
    import xarray
    import zarr

    times, ids = make_spikes(CHUNK + 500)
    run = write_run(tmp_path / "run", times, ids)
    path = str(run.path / run_directory.SPIKES)

    assert zarr.open_group(path, mode="r").metadata.zarr_format == 3
    np.testing.assert_array_equal(zarr.open_array(f"{path}/time", mode="r")[:], times)
    np.testing.assert_array_equal(zarr.open_array(f"{path}/id", mode="r")[-700:], ids[-700:])

    np.testing.assert_array_equal(dask.array.from_zarr(path, component="id").compute(), ids)

    dataset = xarray.open_zarr(path, consolidated=False)
    assert dict(dataset.sizes) == {"spike": len(times)}
    assert dataset["id"].dtype == np.int64
    assert dataset["time"].dtype == np.float64
    assert dataset["time"].attrs["units"] == "ms"
    assert dataset.attrs["until"] == 1000.0
    np.testing.assert_array_equal(dataset["time"].values, times)
    np.testing.assert_array_equal(dataset["id"].values, ids)

    lazy_times, lazy_ids = store.spikes(run).to_dask()
    assert lazy_times.numblocks == (2,)
    np.testing.assert_array_equal(lazy_times.compute(), times)
    assert int((lazy_ids == 7).sum().compute()) == int((ids == 7).sum())


def test_compression_pays(tmp_path):
    times, ids = make_spikes(CHUNK, n_neurons=10_000)
    run = write_run(tmp_path / "run", times, ids)
    assert sum(file.stat().st_size for file in (run.path / run_directory.SPIKES).rglob("c/*")) < 8 * CHUNK


def test_provenance_record(tmp_path):
    run = RunDirectory.create(tmp_path / "deep" / "run", RECORD)
    record = json.loads((run.path / "provenance.json").read_text("utf-8"))
    assert record == run.provenance == RECORD
    assert record["config"] == "[network]\nseed = 1\n"
    assert record["hosts"] == ["here", "there"]
    assert record["versions"]["numpy"] == np.__version__
    assert record["versions"]["mpi"] == "MPICH 5"
    run.finish({"spikes": np.int64(7), "cv": np.nan, "rate": np.float32(0.5), "ranks": (1, 2), "path": Path("x")})
    finished = RunDirectory.open(run.path).provenance
    assert finished["summary"] == {"spikes": 7, "cv": None, "rate": 0.5, "ranks": [1, 2], "path": "x"}
    assert finished["finished"] >= finished["started"]
    assert {name: finished[name] for name in RECORD} == RECORD
    assert sorted(path.name for path in run.path.iterdir()) == ["provenance.json", "spikes.zarr"]


def test_empty_directory_will_do(tmp_path):
    (tmp_path / "run").mkdir()
    RunDirectory.check(tmp_path / "run")
    RunDirectory.create(tmp_path / "run", RECORD)


def test_check_writes_nothing(tmp_path):
    RunDirectory.check(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def _holding_a_run(path: Path) -> Path:
    return write_run(path / "run", *make_spikes(3)).path


def _holding_a_finished_run(path: Path) -> Path:
    run = write_run(path / "run", *make_spikes(3))
    run.finish({"spikes": 3})
    return run.path


def _holding_a_file(path: Path) -> Path:
    (path / "run").mkdir()
    (path / "run" / "thesis.tex").touch()
    return path / "run"


def _being_a_file(path: Path) -> Path:
    (path / "run").touch()
    return path / "run"


def _below_a_file(path: Path) -> Path:
    (path / "file").touch()
    return path / "file" / "run"


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (
            _holding_a_run,
            r'output directory ".*run" holds a run that did not finish, and nothing was overwritten; resume it, or name',
        ),
        (_holding_a_finished_run, r'output directory ".*run" already holds a run, and nothing was overwritten; name another directory$'),
        (_holding_a_file, r'output directory ".*run" is not empty \(it holds "thesis.tex"\), and nothing was overwritten'),
        (_being_a_file, r'output ".*run" is a file, and must be a directory that is new or empty; name another directory$'),
        (_below_a_file, r'output directory ".*run" cannot be made: ".*file" is a file; name another directory$'),
    ],
)
def test_output_that_is_refused(tmp_path, prepare, sentence):
    path = prepare(tmp_path)
    before = digest(tmp_path)
    for refuse in (RunDirectory.check, lambda path: RunDirectory.create(path, RECORD)):
        with pytest.raises(InputError, match=sentence):
            refuse(path)
    assert digest(tmp_path) == before


def test_output_without_permission(tmp_path, monkeypatch):
    """By a stand-in: the tests may run as root, to whom all is permitted."""

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    told = r'"/.*run" cannot be made: nothing can be written in "/.*" \(Permission denied\); name another directory$'
    with pytest.raises(InputError, match=told):
        RunDirectory.check(tmp_path / "run")


def test_output_where_no_directory_can_be():
    with pytest.raises(InputError, match=r'"/proc/none/run" cannot be made: nothing can be written in "/proc" \(.*\); name another'):
        RunDirectory.check("/proc/none/run")
    with pytest.raises(InputError, match=r'cannot be made: "\S+" cannot be used \(File name too long\); name another directory$'):
        RunDirectory.check("x" * 1000)


def test_output_on_a_full_disk(tmp_path, monkeypatch):
    def full(path, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); name another directory$"):
        RunDirectory.create(tmp_path / "run", RECORD)


def test_output_taken_meanwhile(tmp_path, monkeypatch):
    RunDirectory.create(tmp_path / "run", RECORD)
    monkeypatch.setattr(RunDirectory, "check", lambda path: None)  # as when both had checked before either made it
    with pytest.raises(InputError, match=r"was taken by another run just now; name another directory$"):
        RunDirectory.create(tmp_path / "run", RECORD)


def _without_provenance(run: Path) -> None:
    (run / "provenance.json").unlink()


def _with_broken_provenance(run: Path) -> None:
    (run / "provenance.json").write_text('{"seed": ', "utf-8")


def _without_group(run: Path) -> None:
    (run / "spikes.zarr" / "zarr.json").unlink()


def _without_array(run: Path) -> None:
    (run / "spikes.zarr" / "id" / "zarr.json").unlink()


def _with_a_lost_file(run: Path) -> None:
    (run / "spikes.zarr" / "time" / "c" / "1").unlink()


def _with_a_truncated_file(run: Path) -> None:
    path = run / "spikes.zarr" / "time" / "c" / "0"
    path.write_bytes(path.read_bytes()[:1000])


def _with_a_flipped_bit(run: Path) -> None:
    path = run / "spikes.zarr" / "time" / "c" / "0"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_without_provenance, r'"\S+" is not a run directory \(it has no provenance.json\); give the one named by --output$'),
        (_with_broken_provenance, r'provenance.json" cannot be read \(.*\); the run directory is damaged: run again$'),
        (_without_group, r'spikes.zarr" is no spike file, or a damaged one \(.*\); copy it again, or run again$'),
        (_without_array, r'spikes.zarr" is no spike file, or a damaged one \(.*\); copy it again, or run again$'),
        (_with_a_lost_file, rf'spike {CHUNK} is missing, since the file "\S+/time/c/1" is lost or damaged; copy it again, or run again$'),
        (_with_a_truncated_file, r'the array "time" of "\S+" is damaged \(.*\); copy it again, or run again$'),
        (_with_a_flipped_bit, r'the array "time" of "\S+" is damaged \(.*\); copy it again, or run again$'),
    ],
)
def test_damaged_run(tmp_path, damage, sentence):
    run = write_run(tmp_path / "run", *make_spikes(CHUNK + 10))
    damage(run.path)
    with pytest.raises(InputError, match=sentence):  # noqa: PT012 what is damaged decides which of these raises
        assert RunDirectory.open(run.path).provenance
        assert len(store.spikes(run).times)


def test_no_run(tmp_path):
    with pytest.raises(
        InputError, match=r'there is no run directory "\S+nowhere"; give the directory named by --output when the run was made$'
    ):
        store.spikes(tmp_path / "nowhere")


def test_misuse_by_the_caller(tmp_path):
    run = RunDirectory.create(tmp_path / "run", RECORD)
    file = SpikeFile.create(run, ATTRIBUTES)
    with pytest.raises(ValueError, match="must be a multiple"):
        file.write(5, np.zeros(3), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="3 times cannot go with 2 ids"):
        file.write(0, np.zeros(3), np.zeros(2, np.int64))
