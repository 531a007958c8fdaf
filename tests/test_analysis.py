"""Pictures and exports of a run: what they show is what the spikes say, counted by brute force."""

import json
from typing import Any

import numpy as np
import pytest

from sparseprop_dist import analysis, store
from sparseprop_dist.errors import InputError
from sparseprop_dist.export import to_sonata
from sparseprop_dist.run_directory import RunDirectory, provenance
from sparseprop_dist.sonata import read_spikes

N_NEURONS, UNTIL = 250, 1500.0
POPULATIONS: list[dict[str, Any]] = [{"name": "exc", "first": 0, "size": 200}, {"name": "inh", "first": 200, "size": 50}]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 5,000 random spikes in three files, and a spike at each edge of what is drawn."""
    monkeypatch.setattr(store, "CHUNK", 2048)
    monkeypatch.setattr(store, "READ_CHUNK", 512)
    generator = np.random.default_rng(3)
    times = np.sort(np.concatenate((generator.uniform(0.0, UNTIL, 5000), [500.0, np.nextafter(UNTIL, 0.0)])))
    ids = generator.integers(0, N_NEURONS, len(times))
    directory = RunDirectory.create(tmp_path / "run", provenance(config="", seed=0, ranks=1))
    file = store.SpikeFile.create(directory, {"n_neurons": N_NEURONS, "until": UNTIL, "populations": POPULATIONS})
    file.write(0, times, ids)
    file.commit(len(times))
    return directory, times, ids


def test_raster_shows_the_last_second(run):
    directory, times, ids = run
    data = analysis.raster(directory)
    assert (data.edges[0], data.edges[-1], len(data.shown)) == (500.0, 1500.0, 100)
    wanted = (times >= 500.0) & (times < 1500.0) & np.isin(ids, data.shown)
    np.testing.assert_array_equal(data.times, times[wanted])
    np.testing.assert_array_equal(data.shown[data.rows], ids[wanted])
    assert np.count_nonzero(data.shown < 200) == 80


def test_rates_are_counts_by_bin(run):
    directory, times, ids = run
    data = analysis.raster(directory, start=100.0, stop=300.0)
    width = (data.edges[1] - data.edges[0]) * 1e-3
    for number, band in enumerate(data.bands):
        mine = times[(ids >= band.first) & (ids < band.first + band.size)]
        counts = np.array([np.count_nonzero((mine >= a) & (mine < b)) for a, b in zip(data.edges[:-1], data.edges[1:], strict=True)])
        np.testing.assert_allclose(data.rates[number], counts / (band.size * width), rtol=1e-12)


def test_part_that_is_empty_is_refused(run):
    with pytest.raises(InputError, match="nothing to draw between"):
        analysis.raster(run[0], start=5.0, stop=5.0)


def test_network_smaller_than_what_is_shown_and_no_spikes(tmp_path):
    directory = RunDirectory.create(tmp_path / "run", provenance(config="", seed=0, ranks=1))
    store.SpikeFile.create(directory, {"n_neurons": 3, "until": 10.0, "populations": [{"name": "all", "first": 0, "size": 3}]}).commit(0)
    data = analysis.raster(directory)
    assert (data.shown.tolist(), len(data.times), data.rates.max()) == ([0, 1, 2], 0, 0.0)
    assert analysis.picture(directory).stat().st_size > 1000


def test_many_populations_share_bands():
    populations = [{"name": f"p{k}", "first": 10 * k, "size": 10} for k in range(20)]
    bands = analysis._bands({"n_neurons": 200, "populations": [*populations, {"name": "senders", "first": 200, "size": 5}]})
    assert len(bands) == analysis.NAMED
    assert sum(band.size for band in bands) == 200
    assert bands[0].name == "p0 to p2"


def test_picture_is_a_png(run, tmp_path):
    path = analysis.picture(run[0], tmp_path / "raster.png")
    assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_export_has_local_ids(run, tmp_path):
    directory, times, ids = run
    assert to_sonata(directory, tmp_path / "spikes.h5") == len(times)
    for population in POPULATIONS:
        first = population["first"]
        mine = (ids >= first) & (ids < first + population["size"])
        found_times, found_ids = read_spikes(tmp_path / "spikes.h5", population["name"])
        np.testing.assert_array_equal(found_times, times[mine])
        np.testing.assert_array_equal(found_ids, ids[mine] - first)
    with pytest.raises(InputError, match="exists already"):
        to_sonata(directory, tmp_path / "spikes.h5")


def test_statistics_are_those_of_brute_force(run):
    """Rates, CV and activity, counted neuron by neuron; nothing depends on how many files a task has."""
    directory, times, ids = run
    summary = analysis.analyze(directory)
    assert summary == json.loads((directory.path / "analysis.json").read_bytes())
    assert (directory.path / "analysis.png").stat().st_size > 1000
    for name, first, size in (("exc", 0, 200), ("inh", 200, 50)):
        counts = [np.count_nonzero(ids == first + k) for k in range(size)]
        intervals = [np.diff(times[ids == first + k]) for k in range(size)]
        cvs = [own.std() / own.mean() for own in intervals if len(own) >= 2]
        found = summary["populations"][name]
        assert (found["neurons"], found["spikes"], found["cv"]["neurons"]) == (size, sum(counts), len(cvs))
        assert found["rate"]["mean"] == pytest.approx(np.mean(counts) / (UNTIL * 1e-3), rel=1e-12)
        assert found["rate"]["quantiles"]["0.25"] == pytest.approx(np.quantile(counts, 0.25) / (UNTIL * 1e-3), rel=1e-12)
        assert found["cv"]["mean"] == pytest.approx(np.mean(cvs), rel=1e-9)
        activity = np.array(summary["activity"][name])
        assert activity.sum() * size * UNTIL * 1e-3 / len(activity) == pytest.approx(sum(counts), rel=1e-12)


def test_a_cluster_that_is_not_there():
    from sparseprop_dist.spike_statistics import workers

    with pytest.raises(InputError, match=r"is not installed|there is no Dask cluster"), workers("tcp://127.0.0.1:1", None):
        pass
