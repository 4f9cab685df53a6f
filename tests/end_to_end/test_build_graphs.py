"""``crystal build-graphs`` and ``crystal graphs``: whole output, exit codes, files."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import ase.build
import ase.io
import pytest

from crystalcli.engine.cache.cache import GraphCache

BIN = str(Path(sys.executable).parent)


def crystal(line: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": BIN + os.pathsep + os.environ["PATH"]} | env
    return subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def folder(tmp_path):
    """Five copper crystals with an id_prop.csv."""
    (tmp_path / "data").mkdir()
    lines = []
    for k in range(5):
        ase.io.write(tmp_path / "data" / f"cu-{k}.cif", ase.build.bulk("Cu", "fcc", a=3.6 + 0.1 * k))
        lines.append(f"cu-{k},{k / 10}")
    (tmp_path / "data" / "id_prop.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


NOTE = "labels from data/id_prop.csv: 5 rows, quantity 'target', one per structure, unit unknown\n"


def test_the_typed_line_its_repetition_and_its_contradictions(folder):
    done = crystal("crystal build-graphs data/*.cif", folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines(keepends=True)
    assert lines[0] == NOTE
    assert "label 'target'" in lines[1]
    assert "5 of 5" in lines[1]
    assert lines[2:] == ["graphs.h5: 5 structures, 5 atoms, 60 edges\n", "5 ok, 0 warned, 0 failed\n"]
    assert sorted(p.name for p in folder.iterdir()) == ["data", "graphs.h5"]
    stamp = (folder / "graphs.h5").stat().st_mtime_ns

    again = crystal("crystal build-graphs data/*.cif", folder)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == NOTE + "graphs.h5 is up to date: 5 structures, 5 atoms, 60 edges\n5 ok, 0 warned, 0 failed\n"
    assert (folder / "graphs.h5").stat().st_mtime_ns == stamp

    other = crystal("crystal build-graphs data/*.cif --cutoff 6", folder)
    assert (other.returncode, other.stdout) == (2, "")
    cure = "--overwrite replaces it, -o FILE writes elsewhere\n"
    assert other.stderr == f"error: graphs.h5: was built with cutoff 8.0 (here 6.0); {cure}"

    (folder / "data" / "cu-0.cif").write_text((folder / "data" / "cu-1.cif").read_text())
    changed = crystal("crystal build-graphs data/*.cif", folder)
    assert changed.returncode == 2
    assert changed.stderr == f"error: graphs.h5: exists and was built from other inputs, labels or versions; {cure}"
    assert (folder / "graphs.h5").stat().st_mtime_ns == stamp
    assert crystal("crystal build-graphs data/*.cif --overwrite -q", folder).returncode == 0
    assert (folder / "graphs.h5").stat().st_mtime_ns > stamp


def test_a_broken_file_never_stops_the_rest(folder):
    (folder / "data" / "cu-2.cif").write_text("<html>404</html>\n")
    (folder / "data" / "empty.cif").write_text("")
    done = crystal("crystal build-graphs data/*.cif data/none.cif --json", folder)
    assert done.returncode == 3
    said = json.loads(done.stdout)
    failed = {f["path"].split(":")[0] for f in said["failures"]}
    assert failed == {"data/cu-2.cif", "data/empty.cif", "data/none.cif"}
    assert (said["ok"], said["warned"], said["failed"], said["exit_code"]) == (4, 0, 3, 3)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [e.split()[1].rstrip(":").split(":")[0] for e in errors] == [
        "data/cu-2.cif",
        "data/empty.cif",
        "data/none.cif",
    ]
    assert "Traceback" not in done.stderr
    listed = [json.loads(line) for line in (folder / "graphs.h5.failures.jsonl").read_text().splitlines()]
    assert listed == said["failures"]
    assert GraphCache(folder / "graphs.h5").failures == listed
    assert GraphCache(folder / "graphs.h5").ids == ["cu-0", "cu-1", "cu-3", "cu-4"]
    assert crystal("crystal build-graphs data/*.cif data/none.cif", folder).returncode == 3
    allowed = crystal("crystal build-graphs data/*.cif --overwrite --allow-failures 40%", folder)
    assert allowed.returncode == 0
    assert "4 ok, 0 warned, 2 failed (listed in graphs.h5.failures.jsonl)" in allowed.stdout


def test_the_list_of_failures_goes_when_there_are_none(folder):
    bad = folder / "data" / "bad.cif"
    bad.write_text("")
    assert crystal("crystal build-graphs data/*.cif", folder).returncode == 3
    bad.unlink()
    assert crystal("crystal build-graphs data/*.cif --overwrite", folder).returncode == 0
    assert not (folder / "graphs.h5.failures.jsonl").exists()


def test_nothing_usable_and_nothing_there(folder):
    (folder / "bad.cif").write_text("")
    done = crystal("crystal build-graphs bad.cif", folder)
    assert done.returncode == 4
    assert done.stderr.startswith("error: bad.cif: ")
    assert not (folder / "graphs.h5").exists()
    assert crystal("crystal build-graphs 'nothing/*.cif'", folder).returncode == 4
    assert crystal("crystal build-graphs data/cu-0.cif --allow-failures many", folder).returncode == 2
    assert crystal("crystal build-graphs data/cu-0.cif --targets energy", folder).returncode == 2
    assert not (folder / "graphs.h5").exists()


@pytest.mark.parametrize("what", ["file", "hdf5", "folder"])
def test_what_belongs_to_others_is_refused(folder, what):
    import h5py

    target = folder / "graphs.h5"
    if what == "folder":
        target.mkdir()
        (target / "precious.txt").write_text("x")
    elif what == "hdf5":
        with h5py.File(target, "w") as h:
            h["precious"] = 1
    else:
        target.write_text("precious")
    done = crystal("crystal build-graphs data/*.cif", folder)
    assert done.returncode == 2
    assert done.stderr.startswith("error: graphs.h5: ")
    assert len(done.stderr.splitlines()) == 1
    if what == "folder":
        assert crystal("crystal build-graphs data/*.cif --overwrite", folder).returncode == 2
        assert (target / "precious.txt").read_text() == "x"
    elif what == "file":
        assert target.read_text() == "precious"


def test_any_number_of_workers_gives_the_same_bytes(tmp_path):
    (tmp_path / "data").mkdir()
    for k in range(70):
        atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4 + 0.01 * k)
        ase.io.write(tmp_path / "data" / f"s{k:02d}.cif", atoms)
    (tmp_path / "data" / "s33.cif").write_text("not a CIF")
    (tmp_path / "data" / "id_prop.csv").write_text("".join(f"s{k:02d},{k}\n" for k in range(70)))
    codes = [crystal(f"crystal build-graphs data/*.cif -j {j} -o j{j}.h5", tmp_path).returncode for j in (1, 2, 3)]
    assert codes == [3, 3, 3]
    digests = {hashlib.sha256((tmp_path / f"j{j}.h5").read_bytes()).hexdigest() for j in (1, 2, 3)}
    assert len(digests) == 1
    lists = {(tmp_path / f"j{j}.h5.failures.jsonl").read_bytes() for j in (1, 2, 3)}
    assert len(lists) == 1


def test_dry_run_writes_nothing(folder):
    done = crystal("crystal build-graphs data/*.cif --dry-run --json --max-neighbors 6", folder)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "output": "graphs.h5",
        "files": 5,
        "featurizer": "cgcnn",
        "options": {"cutoff": 8.0, "max_neighbors": 6, "ties": "cut"},
        "fields": [],
        "up_to_date": False,
    }
    assert sorted(p.name for p in folder.iterdir()) == ["data"]


def test_isolated_atoms_are_kept_and_said(folder):
    ase.io.write(folder / "lonely.cif", ase.Atoms("H", cell=[30, 30, 30], pbc=True))
    done = crystal("crystal build-graphs lonely.cif", folder)
    assert done.returncode == 0
    assert "warning: lonely.cif: 1 of 1 atoms have no neighbors\n" in done.stderr
    assert done.stdout == "graphs.h5: 1 structures, 1 atoms, 0 edges\n0 ok, 1 warned, 0 failed\n"


def test_an_unwritable_place_is_an_environment_problem(folder):
    (folder / "shut").write_text("")
    done = crystal("crystal build-graphs data/*.cif -o shut/graphs.h5", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 1)
    assert done.stderr.startswith("error: shut/graphs.h5: cannot write: ")


def test_info_verify_and_merge(folder):
    crystal("crystal build-graphs data/*.cif", folder)
    crystal("crystal build-graphs data/cu-0.cif data/cu-1.cif --targets none -o few.h5", folder)
    shown = crystal("crystal graphs info", folder)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("graphs.h5: 5 structures, ")
    assert lines[1] == "  featurizer  cgcnn: cutoff 8.0, max_neighbors 12, ties cut"
    assert lines[3:] == [
        "  atoms       5; 1 … 1 a structure, median 1",
        "  edges       60; 12.00 an atom",
        "  elements    1: Cu",
        "  label       target [unit unknown], one a structure: 5 there, 0 missing, 0 … 0.4, mean 0.2",
        "  failures    0",
    ]
    merged = crystal("crystal graphs merge graphs.h5 few.h5 -o all.h5", folder)
    assert merged.returncode == 0, merged.stderr
    assert merged.stdout == (
        "4 ids occur in several caches; they are now CACHE:ID\nall.h5: 7 structures, labels: target\n"
    )
    assert crystal("crystal graphs merge graphs.h5 few.h5 -o all.h5", folder).returncode == 2
    assert crystal("crystal graphs merge graphs.h5 few.h5 -o few.h5 --overwrite", folder).returncode == 2
    told = json.loads(crystal("crystal graphs info all.h5 --json", folder).stdout)["caches"][0]
    assert (told["structures"], told["edges"], told["duplicate_structures"]) == (7, 84, 2)
    assert (told["labels"]["target"]["present"], told["labels"]["target"]["missing"]) == (5, 2)
    checked = crystal("crystal graphs verify all.h5 few.h5 --json", folder)
    assert checked.returncode == 0
    assert [c["problems"] for c in json.loads(checked.stdout)["caches"]] == [[], []]


def test_verify_names_what_is_damaged(folder):
    crystal("crystal build-graphs data/*.cif", folder)
    cache = GraphCache(folder / "graphs.h5")
    position = cache.array("atoms/positions")
    raw = bytearray((folder / "graphs.h5").read_bytes())
    import h5py

    with h5py.File(folder / "graphs.h5") as h:
        offset = h["edges/neighbor"].id.get_offset()
    assert len(position) == 5
    raw[offset] ^= 1
    (folder / "graphs.h5").write_bytes(raw)
    done = crystal("crystal graphs verify graphs.h5", folder)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "error: graphs.h5: cu-0: the edges are not those that were written (sha256)"
    gone = crystal("crystal graphs verify absent.h5", folder)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert gone.stderr == "error: absent.h5: no such file; crystal build-graphs makes one\n"
    both = crystal("crystal graphs verify absent.h5 graphs.h5 --json", folder)
    assert both.returncode == 3
    assert [bool(c["problems"]) for c in json.loads(both.stdout)["caches"]] == [True, True]


def test_structures_and_labels_are_never_the_output(folder):
    for name in ("data/cu-0.cif", "data/id_prop.csv"):
        before = (folder / name).read_bytes()
        done = crystal(f"crystal build-graphs data -o {name} --overwrite", folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {name}: holds structures or labels; choose another output with -o\n"
        assert (folder / name).read_bytes() == before
    done = crystal("crystal build-graphs data --targets none -o new.h5", folder)
    assert (done.returncode, done.stdout) == (0, "new.h5: 5 structures, 5 atoms, 60 edges\n5 ok, 0 warned, 0 failed\n")
