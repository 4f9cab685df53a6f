"""What cannot be benchmarked is refused in one line, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from common import small_cache
from common.some_benchmarks import LINE, SMALL, write
from in_process import crystal

CACHE = ["benchmark", "graphs.h5", "--target", "energy_per_atom"]
TABLE = ["benchmark", "salts.csv", "--target", "energy:eV/atom"]
COLUMN = ["--fold-column", "part"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("refused")
    small_cache.write(made / "graphs.h5", tags=[{"part": f"p{k % 3}", "lone": "a" if k else "b"} for k in range(42)])
    write(made / "salts.csv")
    splits = {"matbench_salts": {"fold_0": {"train": [], "test": ["mb-salts-1"]}}}
    (made / "matbench.json").write_text(json.dumps({"splits": splits}))
    return made


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["benchmark", "--folds", "3"], 2, "name the structures, or the graph caches"),
        (CACHE, 2, "say what the folds are: --fold-column NAME, --folds 5 or --matbench-folds FILE"),
        ([*CACHE, *COLUMN, "--folds", "3"], 2, "--fold-column and --folds both say what the folds are"),
        ([*CACHE, "--folds", "1"], 2, "--folds 1 leaves nothing to train on"),
        ([*CACHE, "--folds", "30"], 2, "30 folds of 7 groups are not possible"),
        ([*CACHE, "--fold-column", "prat"], 2, "no label or text column 'prat'; did you mean 'part'"),
        ([*CACHE, "--fold-column", "lone"], 2, "fold 'b' has one structure with a label"),
        ([*CACHE, *COLUMN, "--group", "prat"], 2, "no label or text column 'prat'; did you mean 'part'"),
        ([*CACHE, *COLUMN, "--validation", "0.95"], 2, "--validation"),
        ([*CACHE, *COLUMN, "--ensemble", "1"], 2, "an ensemble has two members or more"),
        ([*CACHE, *COLUMN, "--allow-missing"], 2, "--allow-missing is about the folds of Matbench"),
        ([*CACHE, *COLUMN, "--matbench-task", "x"], 2, "--matbench-task is about the folds of Matbench"),
        ([*CACHE, "--matbench-folds", "none.json"], 2, "none.json: cannot be read as folds of Matbench: No such"),
        ([*CACHE, "--matbench-folds", "matbench.json"], 2, "1 of 1 ids of matbench_salts have no structure"),
        ([*TABLE, "--matbench-folds", "none.json"], 2, "none.json: cannot be read as folds of Matbench: No such"),
        ([*TABLE, "--matbench-folds", "salts.csv"], 2, "salts.csv: cannot be read as folds of Matbench: "),
        ([*TABLE, "--matbench-folds", "matbench.json", "--matbench-task", "x"], 2, "matbench.json: has no task 'x'"),
        ([*CACHE, *COLUMN, "--arch", "cgcn"], 2, "cgcn"),
        ([*CACHE, *COLUMN, "--arch", "cgcnn:n_con=3"], 2, "there is no option 'n_con'; did you mean 'n_conv'"),
        ([*CACHE, *COLUMN, "--arch", "lcgcn-ff"], 2, "was built with featurizer 'cgcnn', --arch lcgcn-ff has 'radius'"),
        (
            [*CACHE, *COLUMN, "--arch", "cgcnn:cutoff=5"],
            2,
            "--arch cgcnn:cutoff=5 asks for others; give the structures",
        ),
        ([*CACHE, *COLUMN, "--arch", "cgcnn:head=site"], 2, "head 'site' learns site labels"),
        ([*CACHE, *COLUMN, "--baseline", "krrr"], 2, "no baseline 'krrr'"),
        ([*CACHE, *COLUMN, "--published", "theirs"], 2, "no label 'theirs' with published predictions"),
        ([*CACHE, *COLUMN, "--published", "energy_per_atom"], 2, "is the target itself"),
        ([*CACHE, *COLUMN, "--id-column", "id"], 2, "--id-column is about files of structures"),
        ([*CACHE[:-1], "energy_per_atom:meV/atom", *COLUMN], 2, "is in eV/atom in the cache, not in meV/atom"),
        ([*CACHE[:-1], "enrgy", *COLUMN], 2, "no label 'enrgy' in the caches"),
        (["benchmark", "graphs.h5", "salts.csv", *COLUMN], 2, "salts.csv: is no graph cache, others are"),
        (["benchmark", "salts.csv", *COLUMN], 2, "--fold-column names a label of the files; name the one to learn"),
        (["benchmark", "none.csv", "--folds", "3"], 4, "no structure can be used; none.csv: no such file"),
        ([*TABLE, "--fold-column", "prat"], 2, "no structure has a label 'prat' (known: energy, number, th"),
        ([*TABLE, *COLUMN, "--published", "thiers:eV/atom"], 2, "no structure has a label 'thiers'"),
        (
            [*TABLE, *COLUMN, "--group", "prat"],
            2,
            "no structure has a text column 'prat' for --group; did you",
        ),
        (["benchmark", "salts.csv", "--target", "enegy", *COLUMN], 2, "no structure has a label 'enegy'"),
    ],
)
def test_in_one_line(words: list[str], code: int, reason: str, folder: Path, tmp_path: Path) -> None:
    arch = [] if "--arch" in words else ["--arch", SMALL]
    ran = crystal([*words, *arch, *LINE[:-1], str(tmp_path / "run")], folder)
    assert ran.returncode == code, ran.stderr
    errors = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ran.stderr
    assert reason in errors[0]
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not (tmp_path / "run").exists()


def test_a_run_of_something_else_is_kept(folder: Path, tmp_path: Path) -> None:
    """Another target is another benchmark; so is another file of folds."""
    words = [*CACHE, *COLUMN, "--arch", SMALL, *LINE[:-1], str(tmp_path / "run")]
    assert crystal([*words, "--dry-run"], folder).returncode == 0
    assert not (tmp_path / "run").exists()
    shown = crystal([*words, "--dry-run", "--json"], folder).stdout
    plan = json.loads(shown)
    assert [f["sizes"]["test"] for f in plan["folds"]] == [14, 14, 14]
    assert plan["architectures"][SMALL]["recipe"]["epochs"] == 1


def test_what_only_the_graphs_tell_stands_in_nobodys_way(folder: Path, tmp_path: Path) -> None:
    """The folder of a refused benchmark, with its graphs, is for the corrected one, that of a begun one is not."""
    words = [*TABLE, "--arch", SMALL, *LINE[:-1], str(tmp_path / "run")]
    for _ in range(2):
        ran = crystal([*words, "--folds", "30"], folder)
        assert ran.returncode == 2
        assert "30 folds of 7 groups are not possible" in ran.stderr
    (graphs,) = (tmp_path / "run").glob("graphs-*.h5")
    made = graphs.stat().st_mtime_ns
    ran = crystal([*words, "--folds", "2"], folder)
    assert ran.returncode == 0, ran.stderr
    assert graphs.stat().st_mtime_ns == made
    refused = crystal([*words, "--folds", "3"], folder)
    assert "holds another run of benchmark (folds differ)" in refused.stderr


def test_graphs_of_a_refused_benchmark_of_other_files_are_made_anew(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "salts.csv").write_bytes((folder / "salts.csv").read_bytes())
    words = [*TABLE, "--arch", SMALL, *LINE, "--folds"]
    assert crystal([*words, "30"], tmp_path).returncode == 2
    write(tmp_path / "salts.csv", n=28)
    ran = crystal([*words, "2", "--json"], tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert sum(fold["sizes"]["test"] for fold in json.loads(ran.stdout)["folds"]) == 28
