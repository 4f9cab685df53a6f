"""Building caches when things go wrong on the way: dying workers, bad featurizers, kills, a choice that fails early."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import ase.build
import ase.io
import h5py
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from moody_plugin import moody_plugin
from reference import neighbors as twin

from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.run import files
from crystalcli.engine.run.places import Place
from crystalcli.graphs import build as build_graphs
from crystalcli.graphs.build import build
from crystalcli.graphs.options import BuildOptions
from crystalcli.graphs.plan import BuildPlan
from crystalcli.vocabulary.errors import Exit, UsageError


def write_crystals(folder: Path, symbols: list[str]) -> tuple[str, ...]:
    folder.mkdir()
    for k, symbol in enumerate(symbols):
        ase.io.write(folder / f"{k:03d}.cif", ase.build.bulk(symbol, "fcc", a=4.0 + 0.001 * k))
    return tuple(str(p) for p in sorted(folder.glob("*.cif")))


@pytest.fixture
def moody(tmp_path, monkeypatch):
    """A featurizer that fails on gold and kills its process on silver."""
    from crystalcli.engine.registry.plugin_manager import registry

    (tmp_path / "moody.py").write_text(moody_plugin(0.1))
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(tmp_path / "moody.py"))
    registry.cache_clear()
    yield
    monkeypatch.undo()
    registry.cache_clear()


@pytest.mark.usefixtures("moody")
def test_a_dying_worker_is_named_and_the_rest_is_built(tmp_path):
    symbols = ["Cu"] * 40
    symbols[20], symbols[30] = "Ag", "Au"
    inputs = write_crystals(tmp_path / "in", symbols)
    report = build(BuildPlan(inputs, tmp_path / "a.h5", "moody", place=Place(2)))
    assert report.exit_code == Exit.SOME_FAILED
    assert [(Path(f.path).name, f.code) for f in report.failures] == [
        ("020.cif", "worker-died"),
        ("030.cif", "featurizer-error"),
    ]
    assert report.failures[1].reason.startswith("featurizer 'moody' of plugin ")
    assert "ZeroDivisionError: gold" in report.failures[1].reason
    assert GraphCache(tmp_path / "a.h5").ids == [f"{k:03d}" for k in range(40) if k not in (20, 30)]


@pytest.mark.usefixtures("moody")
def test_a_killed_build_leaves_the_old_cache_and_the_next_one_cleans_up(tmp_path):
    old = write_crystals(tmp_path / "old", ["Cu"])
    build(BuildPlan(old, tmp_path / "a.h5", "moody"))
    before = (tmp_path / "a.h5").read_bytes()
    new = write_crystals(tmp_path / "new", ["Pt"] * 12)
    command = [str(Path(sys.executable).parent / "crystal"), "build-graphs", *new, "-o", str(tmp_path / "a.h5")]
    command += ["--featurizer", "moody", "--overwrite", "-j", "1"]
    files.unforeseen(tmp_path / "a.h5").write_text("left by a program killed while it wrote")
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 60
    while not (tmp_path / ".a.h5.lock").exists() and running.poll() is None and time.time() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGSTOP)  # it is at work for as long as the second one takes to start
    try:
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert second.returncode == 5, second.stderr
    assert f"process {running.pid} on " in second.stderr
    assert (tmp_path / "a.h5").read_bytes() == before
    assert (tmp_path / ".a.h5.lock").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(GraphCache(tmp_path / "a.h5")) == 12
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "moody.py", "new", "old"]


def test_a_choice_of_labels_that_cannot_be_made_stops_early_and_writes_nothing(tmp_path):
    frames = []
    for k in range(250):
        atoms = ase.build.bulk("Cu", "fcc", a=3.6)
        atoms.info |= {"alpha": float(k), "beta": float(-k)}
        frames.append(atoms)
    ase.io.write(tmp_path / "many.extxyz", frames)
    seen = []
    plan = BuildPlan((str(tmp_path / "many.extxyz"),), tmp_path / "a.h5", "cgcnn")
    with pytest.raises(UsageError, match="alpha"):
        build(plan, lambda n, _text: seen.append(n))
    assert len(seen) < 250
    assert sorted(p.name for p in tmp_path.iterdir()) == ["many.extxyz"]


def test_the_same_files_in_another_way_of_typing_have_the_same_graphs(tmp_path):
    inputs = write_crystals(tmp_path / "in", ["Cu", "Ag", "Au"])
    one = build(BuildPlan(inputs, tmp_path / "one.h5", "cgcnn"))
    two = build(BuildPlan((str(tmp_path / "in"), *inputs), tmp_path / "two.h5", "cgcnn"))
    assert (one.n_structures, two.n_structures) == (3, 3)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_real_crystals_equal_brute_force(tmp_path):
    root = os.environ.get("CRYSTAL_DATA")
    if not root:
        pytest.skip("CRYSTAL_DATA is not set; it names the folder with mp-formation-energy/")
    source = Path(root) / "mp-formation-energy" / "al_o_phases.csv.gz"
    target = "formation_energy_per_atom"
    report = build(BuildPlan((str(source),), tmp_path / "a.h5", "cgcnn", {"cutoff": 5.0}, targets=(target,)))
    assert (report.n_structures, report.failures) == (18, ())
    data = GraphDataset.open([tmp_path / "a.h5"])
    import torch

    for k in range(0, 18, 3):
        graph = data.batch(np.array([k]), [target], torch.float64).graph
        atoms = ase.Atoms(graph.atomic_numbers.numpy(), graph.positions.numpy(), cell=graph.cell[0].numpy(), pbc=True)
        wanted = twin.nearest(twin.all_pairs(atoms, 5.0), len(atoms), 12, "cut")
        shifts = graph.cell_shifts.long().T.tolist()
        found = set(zip(*graph.edge_index.tolist(), *shifts, strict=True))
        assert found == set().union(*wanted)


def test_structures_without_a_required_label_are_left_out_and_counted(tmp_path: Path) -> None:
    frames = [ase.build.bulk("Cu", a=3.6 + 0.01 * k) for k in range(4)]
    for atoms in frames[1:3]:
        atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=np.zeros((1, 3)))
    ase.io.write(tmp_path / "a.extxyz", frames, format="extxyz")
    plan = BuildPlan((str(tmp_path / "a.extxyz"),), tmp_path / "g.h5", "cgcnn", targets=("e=energy", "forces"))
    everything = build(plan)
    assert (everything.n_structures, dict(everything.left_out)) == (4, {})
    report = build(replace(plan, output=tmp_path / "h.h5", require_labels=True))
    assert (report.n_structures, dict(report.left_out), report.exit_code) == (2, {"energy": 2}, Exit.OK)
    assert GraphCache(tmp_path / "h.h5").ids == GraphCache(tmp_path / "g.h5").ids[1:3]
    with pytest.raises(UsageError, match="name them with --targets"):
        build(replace(plan, output=tmp_path / "i.h5", require_labels=True, targets=()))


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_that_can_be_used(tmp_path: Path, jobs: int) -> None:
    inputs = write_crystals(tmp_path / "in", ["Cu", "Ag", "Au", "Ni"])
    Path(sorted(inputs)[1]).write_text("data_nothing\n")
    plan = BuildPlan(inputs, tmp_path / "g.h5", "cgcnn", place=Place(jobs))
    ids = [GraphCache(build(plan).output).ids[k] for k in range(3)]
    few = replace(plan, output=tmp_path / "h.h5", limit=2)
    report = build(few)
    assert (GraphCache(few.output).ids, len(report.failures)) == (ids[:2], 1)
    assert build(few).up_to_date
    with pytest.raises(UsageError, match="was built from other"):
        build(replace(few, limit=3))
    assert GraphCache(build(replace(plan, output=tmp_path / "i.h5", limit=9)).output).ids == ids
    with pytest.raises(UsageError, match="leave one of them out"):
        BuildPlan.of(BuildOptions(inputs=inputs, limit=2, shard="1/2"), {}, overwrite=False)


def test_a_damaged_cache_is_not_what_the_command_would_make(tmp_path: Path) -> None:
    plan = BuildPlan(write_crystals(tmp_path / "in", ["Cu", "Ag"]), tmp_path / "a.h5", "cgcnn")
    build(plan)
    assert build(plan).up_to_date
    whole = plan.output.read_bytes()
    with h5py.File(plan.output) as h:
        at = h["edges/shift"].id.get_offset()
    for data, said in (
        (whole[:at] + b"\x55" + whole[at + 1 :], "edges/shift of .* is not what was written"),
        (whole.replace(b"crystal-graphs 4", b"crystal-graphs 3"), "of version 3, this crystal reads 4"),
    ):
        plan.output.write_bytes(data)
        with pytest.raises(UsageError, match=said + ".*--overwrite replaces it"):
            build(plan)
        build(replace(plan, overwrite=True))
        assert plan.output.read_bytes() == whole


def test_lists_of_failures_are_inert_whatever_made_the_failure(tmp_path: Path) -> None:
    """A worker that dies names the file as it is called, and a plugin says what it likes."""
    failure = Failure("a\u202eb.cif", "a\x9bb", "read", "worker-died", "\u2066down")
    build_graphs._write_failures(tmp_path / "list.jsonl", [failure.to_json()])
    text = (tmp_path / "list.jsonl").read_text()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert Failure(**json.loads(text)) == failure


def test_numbers_among_words_of_a_column_are_words(tmp_path: Path) -> None:
    """A cell says what it says, whatever the other cells of its column are."""
    rows = [("1", "1", "0.5", "x"), ("2", "2.0", "0.7", "7"), ("3", "n/a", "none", "0.5"), ("4", "4b", "odd", "y")]
    cif = tmp_path / "a.cif"
    with (tmp_path / "t.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "y", "mixed", "measured", "half", "cif"])
        for k, (name, *cells) in enumerate(rows):
            ase.io.write(cif, ase.build.bulk("Cu", "fcc", a=4.0 + 0.1 * k))
            table.writerow([f"s{name}", f"{0.1 * k}", *cells, cif.read_text()])
    report = build(BuildPlan((str(tmp_path / "t.csv"),), tmp_path / "a.h5", "cgcnn", targets=("y",)))
    data = GraphDataset.open([tmp_path / "a.h5"])
    assert data.tags["mixed"] == ["1", "2", "", "4b"]
    assert data.tags["measured"] == ["", "", "", "odd"]  # a quantity with a word for nothing
    assert data.tags["half"] == ["x", "", "", "y"]
    assert list(data.columns) == ["y"]
    (line, *_) = report.seen.lines()
    assert "mixed" not in line.partition("kept as tags")[0]
    assert "measured (a number; 2 of 4)" in line
