"""``crystal train`` and ``crystal predict`` as programs: what stands on the screen, exit codes, signals, resume."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from common import small_cache

CRYSTAL = [sys.executable, "-m", "crystalcli"]
SMALL = ["--width", "8", "--n-conv", "1", "--hidden", "8", "--batch-size", "8", "--threads", "1", "--split", "random"]


def crystal(
    *args: str, cwd: Path, code: int = 0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    own = os.environ | (env or {})
    done = subprocess.run([*CRYSTAL, *args], check=False, cwd=cwd, capture_output=True, text=True, timeout=240, env=own)
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    if code:
        assert len([x for x in done.stderr.splitlines() if x.startswith("error: ")]) == (code != 3)
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache, structure files and a finished run."""
    import ase.build
    import ase.io

    path = tmp_path_factory.mktemp("work")
    small_cache.write(path / "graphs.h5")
    (path / "new").mkdir()
    for k, atoms in enumerate(small_cache.crystals(6, seed=9)):
        ase.io.write(path / "new" / f"c{k}.cif", atoms)
    ase.io.write(path / "new" / "c9.cif", ase.build.bulk("Xe", "fcc", a=6.2))
    crystal("train", "--epochs", "2", "-o", "run", "--seed", "0", *SMALL, cwd=path)
    return path


def test_the_plan_is_shown_and_nothing_written(folder: Path) -> None:
    done = crystal("train", "--dry-run", "--json", "-o", "none", *SMALL, cwd=folder)
    plan = json.loads(done.stdout)
    assert plan["split"]["sizes"] == {"train": 34, "val": 4, "test": 4}
    assert plan["parts"]["architecture"]["options"]["width"] == 8
    assert plan["recipe"]["batch_size"] == 8
    assert plan["parameters"] > 0
    assert not (folder / "none").exists()


def test_lines_for_people_and_one_object_for_programs(folder: Path) -> None:
    done = crystal("train", "--epochs", "2", "-o", "j", "--json", *SMALL, cwd=folder)
    report = json.loads(done.stdout)
    assert report["test"]["energy_per_atom"]["unit"] == "eV/atom"
    lines = done.stderr.splitlines()
    assert lines[0] == "split: 34 train, 4 val, 4 test; random"
    assert any(x.startswith("epoch 2/2  train loss ") and "val MAE" in x for x in lines)
    assert any("MAE" in x and "max error" in x for x in lines)
    other = crystal("train", "--epochs", "3", "-o", "j", *SMALL, cwd=folder, code=2)
    assert other.stderr == "error: j: holds another run of train (epochs differ); --overwrite replaces it\n"
    again = crystal("train", "--epochs", "2", "-o", "j", "--json", *SMALL, cwd=folder)
    assert json.loads(again.stdout) == report
    assert again.stderr.startswith("j: finished before; nothing to do")


def test_the_written_config_runs_the_same_again(folder: Path) -> None:
    crystal("train", "-c", "run/config.toml", "-o", "again", cwd=folder)
    assert (folder / "again" / "model.safetensors").read_bytes() == (folder / "run" / "model.safetensors").read_bytes()
    record = json.loads((folder / "again" / "run.json").read_text())
    assert record["exit_code"] == 0
    assert set(record["inputs"]) == {"graphs.h5"}
    assert {"config.toml", "model.safetensors", "report.json"} <= set(record["outputs"])


def test_a_split_file_is_obeyed(folder: Path) -> None:
    done = crystal("train", "--dry-run", "--split-file", "run/splits.json", "--json", *SMALL, cwd=folder)
    wanted = json.loads((folder / "run" / "splits.json").read_text())["sha256"]
    assert json.loads(done.stdout)["split"]["sha256"] == wanted


def test_sigterm_keeps_a_state_and_resume_gives_the_same_bits(folder: Path) -> None:
    args = ["train", "--epochs", "30", *SMALL]
    crystal(*args, "-o", "whole", cwd=folder)
    running = subprocess.Popen(
        [*CRYSTAL, *args, "-o", "cut"], cwd=folder, stderr=subprocess.PIPE, text=True, stdout=subprocess.PIPE
    )
    metrics = folder / "cut" / "metrics.jsonl"
    for _ in range(2000):
        if metrics.exists() or running.poll() is not None:
            break
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 75, said
    assert "go on with: crystal train --resume cut" in said
    refused = crystal("train", "--resume", "cut", "--lr", "0.1", cwd=folder, code=2)
    assert "--lr cannot change" in refused.stderr
    crystal("train", "--resume", "cut", cwd=folder)
    assert (folder / "cut" / "model.safetensors").read_bytes() == (folder / "whole" / "model.safetensors").read_bytes()


def test_time_limit(folder: Path) -> None:
    done = crystal("train", "--epochs", "9999", "-o", "t", "--time-limit", "2s", *SMALL, cwd=folder, code=75)
    assert "the time limit" in done.stderr
    assert json.loads((folder / "t" / "run.json").read_text())["exit_code"] == 75


def test_wishes_that_cannot_be_granted(folder: Path, tmp_path: Path) -> None:
    gone = crystal("train", cwd=tmp_path, code=2).stderr
    assert gone == "error: graphs.h5: no such file; crystal build-graphs makes one\n"
    assert "energy_per_atom" in crystal("train", "--target", "energy", cwd=folder, code=2).stderr
    assert "cuda:97" in crystal("train", "--device", "cuda:97", "-o", "x", *SMALL, cwd=folder, code=5).stderr
    assert "no such model" in crystal("predict", "nowhere.safetensors", "new", cwd=folder, code=2).stderr
    assert not (folder / "x").exists()


def test_predictions_with_units_failures_and_exit_code(folder: Path) -> None:
    done = crystal("predict", "run", "new", "-o", "out.csv", cwd=folder, code=3)
    table = list(csv.reader(io.StringIO((folder / "out.csv").read_text())))
    assert table[0] == ["id", "energy_per_atom [eV/atom]", "extrapolating"]
    assert [r[0] for r in table[1:]] == [f"c{k}" for k in range(6)]
    assert done.stderr.splitlines()[0].startswith("warning: elements that the model has never seen: Xe")
    (failure,) = [json.loads(x) for x in (folder / "out.failures.jsonl").read_text().splitlines()]
    assert (failure["id"], failure["stage"], failure["code"]) == ("c9", "elements", "unseen-element")
    assert "6 predicted, 1 failed" in done.stderr
    allowed = crystal("predict", "run", "new", "--allow-unseen-elements", cwd=folder)
    assert len(allowed.stdout.splitlines()) == 8


ODD = """
import os, time
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Reader

def read(path):
    if "hang" in path.name:
        time.sleep(600)
    os._exit(11)
    yield

@hookimpl
def crystal_parts():
    return [Reader(name="odd", summary="hangs or dies", suffixes=(".odd",), sniff=lambda p: True, read=read)]
"""


def test_files_that_hang_or_kill_their_reader_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    for name in ("hang.odd", "die.odd"):
        (tmp_path / name).touch()
    line = ["predict", "run", "new/c0.cif", str(tmp_path / "hang.odd"), "new/c1.cif", str(tmp_path / "die.odd")]
    env = {"CRYSTAL_PLUGINS": str(tmp_path / "odd.py")}
    for jobs in ("1", "3"):
        more = ["-j", jobs, "--seconds-per-file", "1", "-o", f"odd{jobs}.csv"]
        crystal(*line, "new/c2.cif", *more, cwd=folder, code=3, env=env)
        failures = [json.loads(x) for x in (folder / f"odd{jobs}.failures.jsonl").read_text().splitlines()]
        assert [(f["id"], f["code"]) for f in failures] == [("hang", "timeout"), ("die", "worker-died")]
    rows = [(folder / f"odd{jobs}.csv").read_text() for jobs in ("1", "3")]
    assert [r.split(",")[0] for r in rows[0].splitlines()] == ["id", "c0", "c1", "c2"]
    assert rows[0] == rows[1]


def test_errors_and_a_picture_where_labels_exist(folder: Path) -> None:
    done = crystal("predict", "run/model.safetensors", "graphs.h5", "-o", "p.jsonl", "--json", cwd=folder)
    report = json.loads(done.stdout)
    assert report["errors"]["energy_per_atom"]["n"] == report["n"] == 42
    assert (folder / "p-parity-energy_per_atom.png").exists()
    assert "energy_per_atom: MAE" in done.stderr


def test_the_newest_default_run_is_found_and_few_structures_make_small_batches(folder: Path) -> None:
    assert not (folder / "runs").exists()  # runs with -o leave it alone
    at = SMALL.index("--batch-size")
    few = SMALL[:at] + SMALL[at + 2 :]
    done = crystal("train", "--epochs", "1", *few, cwd=folder)
    (first,) = [p for p in (folder / "runs").iterdir() if not p.is_symlink()]
    assert (folder / "runs" / "latest").readlink() == Path(first.name)
    assert "batch size: 8 instead of" in done.stdout
    assert "batch_size = 8" in (first / "config.toml").read_text()
    assert json.loads((first / "run.json").read_text())["settled"]["batch_size"] == 8
    crystal("train", "-c", str(first / "config.toml"), "--width", "4", cwd=folder)
    second = (folder / "runs" / "latest").resolve()
    assert second != first.resolve()
    assert "energy_per_atom" in crystal("predict", "runs/latest", "new/c0.cif", cwd=folder).stdout


def test_classes_from_the_command_line(tmp_path: Path) -> None:
    tags = [{"kind": "salt" if k % 2 else "oxide"} for k in range(42)]
    small_cache.write(tmp_path / "graphs.h5", tags=tags)
    done = crystal("train", "--target", "kind", "--epochs", "2", "-o", "run", *SMALL, cwd=tmp_path)
    assert "classes of 'kind': oxide (21), salt (21)" in done.stdout
    assert "ROC-AUC" in done.stdout
    assert "true \\ predicted" in done.stdout
    said = crystal("predict", "run", "graphs.h5", "-o", "out.csv", cwd=tmp_path)
    assert "kind: accuracy" in said.stdout
    assert (tmp_path / "out.csv").read_text().splitlines()[
        0
    ] == "id,kind,kind P(oxide),kind P(salt),kind true,extrapolating"
    assert (tmp_path / "out-confusion-kind.png").exists()


def test_nothing_usable_and_outputs_that_exist(folder: Path) -> None:
    crystal("predict", "run", "new/c9.cif", "-o", "n.csv", cwd=folder, code=4)
    assert not (folder / "n.csv").exists()
    (folder / "mine.csv").write_text("mine")
    crystal("predict", "run", "new", "-o", "mine.csv", cwd=folder, code=2)
    assert (folder / "mine.csv").read_text() == "mine"


def test_a_reader_that_goes_away_is_no_failure(folder: Path) -> None:
    line = f"{' '.join(CRYSTAL)} predict run graphs.h5 --quiet 2>said | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], check=False, cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Most of these rows taught the model: said if the reader is still there then. Of the closed pipe there is no word.
    said = (folder / "said").read_text().splitlines()
    assert all(row.startswith("warning: ") and "trained or validated the model" in row for row in said)
    assert done.stdout == "id,energy_per_atom [eV/atom],energy_per_atom true [eV/atom],extrapolating\n"


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        (">&-", "error: stdout is closed, and values would go there; give -o FILE\n"),
        (">/dev/full", "error: stdout: cannot write: No space left on device; give -o FILE\n"),
        (">&- 2>&-", ""),
    ],
)
def test_values_that_cannot_be_written(folder: Path, streams: str, said: str) -> None:
    line = f"{' '.join(CRYSTAL)} predict run new/c0.cif --quiet {streams}"
    done = subprocess.run(["bash", "-c", line], check=False, cwd=folder, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (5, "", said)


def test_seeds_and_another_architecture_in_one_line(folder: Path) -> None:
    """Mean and spread on the screen and in the report; a member's config.toml trains it again."""
    line = ("train", "--epochs", "2", "-o", "many", "--seeds", "2", "--compare", "lcgcn", *SMALL)
    done = crystal(*line, cwd=folder)
    assert "run 2 of 2: cgcnn, seed 1 -> many/seed-1" in done.stdout
    assert "beside the model: lcgcn -> many/seed-1/lcgcn" in done.stdout
    assert "lcgcn: epoch 2/2" in done.stdout
    assert "±" in done.stdout
    report = json.loads((folder / "many" / "report.json").read_text())
    assert [r["folder"] for r in report["runs"]][:2] == ["many/seed-0", "many/seed-1"]
    for k, member in enumerate(("seed-1", "seed-1/lcgcn")):
        crystal("train", "-c", f"many/{member}/config.toml", "-o", f"member-{k}", cwd=folder)
        again, before = (
            json.loads((folder / f / "report.json").read_text()) for f in (f"member-{k}", f"many/{member}")
        )
        assert again["test"] == before["test"]
    shown = crystal("train", "--seeds", "3", "--dry-run", "-o", "none", *SMALL, cwd=folder)
    assert "runs: seed-0, seed-1, seed-2" in shown.stdout


def test_sites_from_end_to_end(tmp_path: Path) -> None:
    """Labels of atoms in a file, and every output of their predictions, with the typed lines of docs/per-site.md."""
    import ase.io
    import numpy as np

    for name, seed in (("labelled", 1), ("new", 2)):
        structures = small_cache.crystals(30, seed=seed)
        for atoms in structures:
            moments = atoms.numbers / 10.0
            moments[0] = np.nan if atoms.get_volume() < 20 else moments[0]
            atoms.set_array("moment", moments)
        ase.io.write(tmp_path / f"{name}.extxyz", structures)
    crystal("build-graphs", "labelled.extxyz", "--targets", "moment:µB", cwd=tmp_path)
    line = ("train", "--arch", "cgcnn", "--head", "site", "--positive", "--epochs", "2", "-o", "run", *SMALL)
    done = crystal(*line, cwd=tmp_path)
    assert "moment by element (µB)" in done.stdout
    assert "beside the model: neighborhood-mlp -> run/neighborhood-mlp" in done.stdout
    assert (tmp_path / "run" / "model.safetensors").exists()
    for flags, said in (((), True), (("--no-compare",), False)):
        shown = crystal("train", "--head", "site", "-o", "none", "--dry-run", *flags, *SMALL, cwd=tmp_path)
        assert ("trained beside it: neighborhood-mlp" in shown.stdout) is said
    line = ("predict", "run", "new.extxyz", "-o", "values.csv", "--latent", "seen.npz", "--json")
    done = crystal(*line, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert report["errors"]["moment"]["macro_mae"] > 0
    assert {"K", "Br", "Na"} <= set(report["errors"]["moment"]["by_element"])
    assert (tmp_path / "values-distribution-moment.png").exists()
    crystal("predict", "run", "new.extxyz", "-o", "values.magmom", "--similar", "seen.npz", "-q", cwd=tmp_path)
    assert (tmp_path / "values.magmom").read_text().count("MAGMOM = ") == 30
    first = next(csv.DictReader((tmp_path / "values-similar.csv").read_text().splitlines()))
    assert (first["rank"], first["distance"], first["similar id"]) == ("1", "0", first["id"])
    wrong = crystal("predict", "run", "new.extxyz", "--similar", "seen.npz", cwd=tmp_path, code=2)
    assert "-o FILE" in wrong.stderr
