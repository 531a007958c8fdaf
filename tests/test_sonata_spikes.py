"""Spikes in SONATA files, in and out, and files of pairs."""

import h5py
import numpy as np
import pytest
from sonata_files import DATA, needs_data, write_hdf5

from sparseprop_dist import sonata
from sparseprop_dist.errors import InputError


def unsorted_spikes(n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(n)
    return np.round(generator.uniform(0.0, 100.0, n), 1), generator.integers(0, 9, n)


@pytest.mark.parametrize("n", [0, 1, 200_000])
def test_spikes_round_trip(tmp_path, n):
    times, ids = unsorted_spikes(n)
    sonata.write_spikes(tmp_path / "a.h5", {"exc": (times, ids), "inh": (times[:0], ids[:0])})
    order = np.argsort(times, kind="stable")
    found_times, found_ids = sonata.read_spikes(tmp_path / "a.h5", "exc")
    np.testing.assert_array_equal(found_times, times[order])
    np.testing.assert_array_equal(found_ids, ids[order])
    assert found_times.dtype == np.float64
    assert found_ids.dtype == np.int64
    assert not len(sonata.read_spikes(tmp_path / "a.h5", "inh")[0])
    assert not list(tmp_path.glob("*.part"))


def test_spikes_are_laid_out_as_specified(tmp_path):
    sonata.write_spikes(tmp_path / "a.h5", {"v1": ([1.0, 2.0], [3, 4])})
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["magic"] == 0x0A7A
        assert list(file.attrs["version"]) == [0, 1]
        sorting = file["spikes/v1"].attrs.get_id("sorting").dtype
        assert h5py.check_enum_dtype(sorting) == {"none": 0, "by_id": 1, "by_time": 2}
        assert file["spikes/v1"].attrs["sorting"] == 2
        assert file["spikes/v1/timestamps"].attrs["units"] == "ms"
        assert file["spikes/v1/timestamps"].dtype == np.float64
        assert file["spikes/v1/node_ids"].dtype == np.uint64


def test_equal_spikes_make_equal_files(tmp_path):
    times, ids = unsorted_spikes(1000)
    for name in "ab":
        sonata.write_spikes(tmp_path / name, {"v1": (times, ids)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_writing_block_by_block(tmp_path):
    times, ids = unsorted_spikes(1000)
    times.sort()
    with sonata.SpikeWriter(tmp_path / "a.h5", ["v1"]) as writer:
        for start in range(0, 1000, 300):
            writer.append("v1", times[start : start + 300], ids[start : start + 300])
        assert not (tmp_path / "a.h5").exists()  # until it is complete
    np.testing.assert_array_equal(sonata.read_spikes(tmp_path / "a.h5"), (times, ids))


def fail_inside(path, *blocks):
    with sonata.SpikeWriter(path, ["v1"]) as writer:
        for times in blocks:
            writer.append("v1", times, np.zeros(len(times), int))
        raise KeyboardInterrupt


def test_failed_writing_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fail_inside(tmp_path / "a.h5", [1.0])
    assert not list(tmp_path.iterdir())


def test_existing_spike_file_is_kept_unless_told(tmp_path):
    sonata.write_spikes(tmp_path / "a.h5", {"v1": ([1.0], [1])})
    before = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(InputError, match=r'"\S+a.h5" exists already; nothing was overwritten: name another file, or move this one away$'):
        sonata.write_spikes(tmp_path / "a.h5", {"v1": ([2.0], [1])})
    assert (tmp_path / "a.h5").read_bytes() == before
    sonata.write_spikes(tmp_path / "a.h5", {"v1": ([2.0], [1])}, overwrite=True)
    assert sonata.read_spikes(tmp_path / "a.h5")[0] == [2.0]


@pytest.mark.parametrize(
    ("times", "ids", "sentence"),
    [
        ([1.0, 2.0], [1], r'spikes of "v1" have times of shape \(2,\) and ids of shape \(1,\); give one of each$'),
        ([-1.0], [1], r'spike times of "v1" are not sorted, negative or not finite; sort them by time, in ms$'),
        ([np.nan], [1], r"not sorted, negative or not finite"),
        ([1.0, np.inf], [1, 1], r"not sorted, negative or not finite"),
        ([1.0], [-1], r'spikes of "v1" have ids that are negative or no whole numbers; ids count from 0$'),
        ([1.0], [0.5], r"ids that are negative or no whole numbers"),
    ],
)
def test_spikes_that_are_not_written(tmp_path, times, ids, sentence):
    with pytest.raises(InputError, match=sentence):
        sonata.write_spikes(tmp_path / "a.h5", {"v1": (times, ids)})
    assert not list(tmp_path.iterdir())


def test_blocks_must_follow_each_other(tmp_path):
    with pytest.raises(InputError, match="not sorted"):
        fail_inside(tmp_path / "a.h5", [5.0], [4.0])


def test_unwritable_spike_file(tmp_path):
    with pytest.raises(InputError, match=r'"\S+a.h5" cannot be written \(.*\); name another file$'):
        sonata.write_spikes(tmp_path / "nowhere" / "a.h5", {"v1": ([1.0], [1])})


FOUND = ([1.0, 1.0, 2.0, 3.0], [5, 4, 6, 3])
"""Unsorted [3, 1, 2, 1] of nodes [3, 5, 6, 4] by time, those of equal time in the order of the file."""
LISTS = ([3.0, 1.0, 2.0, 1.0], np.array([3, 5, 6, 4], np.uint64))


@pytest.mark.parametrize(
    "layout",
    [
        {"spikes/v1/timestamps": LISTS[0], "spikes/v1/node_ids": LISTS[1], "spikes/v1/timestamps@units": "ms"},
        {"spikes/v1/timestamps": LISTS[0], "spikes/v1/node_ids": LISTS[1], "spikes/v1/timestamps@units": np.bytes_("ms")},
        {"spikes/v1/timestamps": LISTS[0], "spikes/v1/gids": LISTS[1]},
        {"spikes/timestamps": LISTS[0], "spikes/gids": LISTS[1]},
        {"spikes/timestamps": LISTS[0], "spikes/node_ids": LISTS[1]},
    ],
)
@pytest.mark.parametrize("asked", [None, "v1"])
def test_layouts_of_spikes(tmp_path, layout, asked):
    write_hdf5(tmp_path / "a.h5", layout)
    times, ids = sonata.read_spikes(tmp_path / "a.h5", asked)
    assert (list(times), list(ids)) == FOUND


SPIKES = {"spikes/v1/timestamps": [1.0, 2.0], "spikes/v1/node_ids": [3, 5]}


@pytest.mark.parametrize(
    ("change", "asked", "sentence"),
    [
        (
            {"spikes/v1/timestamps": [1.0, -2.0]},
            None,
            r'"/spikes/v1/timestamps" of "\S+" holds -2.0 at position 1; spike times must be 0 or more$',
        ),
        ({"spikes/v1/timestamps": [np.nan, 2.0]}, None, r"holds nan at position 0; spike times must be 0 or more$"),
        ({"spikes/v1/timestamps": [np.inf, 2.0]}, None, r"holds inf at position 0; spike times must be 0 or more$"),
        ({"spikes/v1/timestamps@units": "s"}, None, r'"/spikes/v1/timestamps" of "\S+" is in units "s"; convert it to ms$'),
        ({"spikes/v1/node_ids": [1]}, None, r'"/spikes/v1/node_ids" of "\S+" has 1 entries and must have 2'),
        ({"spikes/v1/node_ids": None}, None, r'has no dataset "node_ids" in /spikes/v1; it holds "timestamps"$'),
        ({"spikes/v1/timestamps": None}, None, r'has no dataset "timestamps" in /spikes/v1; it holds "node_ids"$'),
        ({"spikes/v1/timestamps": [b"a", b"b"]}, None, r'"/spikes/v1/timestamps" of "\S+" is of type \S+; it must hold numbers$'),
        ({"spikes/v2/timestamps": [1.0]}, None, r'the spike file "\S+" has several populations; say which of them; it has v1, v2$'),
        ({}, "v2", r'the spike file "\S+" has no spikes of population "v2"; did you mean "v1"\?$'),
        ({}, "thalamus", r'has no spikes of population "thalamus"; it has v1$'),
        (dict.fromkeys(SPIKES) | {"a": [1]}, None, r'"\S+" has no group "spikes" in /; it holds "a"$'),
    ],
)
def test_spikes_that_are_refused(tmp_path, change, asked, sentence):
    write_hdf5(tmp_path / "a.h5", {**SPIKES, **change})
    with pytest.raises(InputError, match=sentence):
        sonata.read_spikes(tmp_path / "a.h5", asked)


@needs_data
def test_published_spikes():
    times, ids = sonata.read_spikes(DATA / "300_intfire/reference/spikes.h5")
    assert len(times) == len(ids) == 4322
    assert np.all(np.diff(times) >= 0.0)
    assert ids.max() < 300


# --- pairs ---


def test_pairs(tmp_path):
    write_hdf5(tmp_path / "a.h5", {"source": [0, 2], "target": np.array([1, 1], np.uint8), "delay": np.array([1.5, 2.5], np.float32)})
    sources, targets, weight, delay = sonata.read_pairs(tmp_path / "a.h5")
    assert (list(sources), list(targets), weight) == ([0, 2], [1, 1], None)
    assert delay is not None
    assert list(delay) == [1.5, 2.5]
    assert [column.dtype.name for column in (sources, targets, delay)] == ["int64", "int64", "float64"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"source": [0, 2]}, r'"\S+a.h5" has no dataset "target" in /; it holds "source"$'),
        ({"sources": [0, 2], "target": [0, 1]}, r'has no dataset "source" in /; did you mean "sources"\?$'),
        ({"source": [0, 2], "target": [0]}, r'"/target" of "\S+" has 1 entries and must have 2'),
        ({"source": [0, 2], "target": [0, -1]}, r'"/target" of "\S+" holds -1 at position 1; it must be a whole number from 0'),
        (
            {"source": [0], "target": [0], "weights": [1.0]},
            r'"\S+a.h5" holds "weights"; a file of pairs has source, target and, if wanted, weight and',
        ),
        ({"source": [0], "target": [0], "weight": [b"a"]}, r'"/weight" of "\S+" is of type \S+; it must hold numbers$'),
    ],
)
def test_pairs_that_are_refused(tmp_path, content, sentence):
    write_hdf5(tmp_path / "a.h5", content)
    with pytest.raises(InputError, match=sentence):
        sonata.read_pairs(tmp_path / "a.h5")


@pytest.mark.parametrize("read", [sonata.read_pairs, sonata.read_spikes])
def test_no_such_file(tmp_path, read):
    with pytest.raises(InputError, match=r'there is no \w+ ?\w* ?\w* "\S+a.h5"; mend the path, or put the file there$'):
        read(tmp_path / "a.h5")
