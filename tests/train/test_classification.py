"""Classes and several targets end to end: words and whole numbers, masks, probabilities, files for people."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from common import small_cache
from common.some_trainings import Trained, asked, changed, describe, train

from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.model import model_file
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.errors import Compared
from crystalcli.prediction.output import Writer
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

N = 60
ENERGY = small_cache.ENERGY.name


def is_heavy(k: int) -> bool:
    return small_cache.crystals(N)[k].numbers.mean() > 15


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Energies (some missing), words (some missing), −1/+1, and a number that is no class."""
    atoms = small_cache.crystals(N)
    heavy = np.array([a.numbers.mean() > 15 for a in atoms])
    present = np.arange(N) % 5 != 0
    energies = np.where(present, small_cache.energies(atoms), np.nan)
    columns = [
        Column(small_cache.ENERGY, energies, present),
        Column(Quantity("sign"), np.where(heavy, 1.0, -1.0), np.ones(N, dtype=bool)),
        Column(Quantity("gap", "eV"), np.linspace(0, 3, N), np.ones(N, dtype=bool)),
    ]
    words = [{} if k % 7 == 3 else {"kind": "heavy" if h else "light"} for k, h in enumerate(heavy)]
    return small_cache.write(tmp_path_factory.mktemp("classes") / "graphs.h5", N, columns=columns, tags=words)


def plan(cache: Path, output: Path, *targets: str, **changes: Any) -> Request:
    made = asked(
        arch="cgcnn",
        head="crystal",
        output=str(output),
        caches=(str(cache),),
        target=targets,
        arch_options={"n_conv": 1, "width": 16},
        head_options={"hidden": 16, "dropout": 0.1},
        recipe=Recipe(batch_size=8, epochs=25, lr=1e-2),
        split="random",
        fractions="0.6,0.2,0.2",
        device="cpu",
        threads=1,
    )
    return changed(made, **changes)


@pytest.fixture(scope="module")
def run(cache: Path) -> Trained:
    """A model of a class and an energy."""
    return train(plan(cache, cache.parent / "run", "kind", ENERGY))


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_words_are_learned_and_reported(run: Trained) -> None:
    model = run.data["test"]["kind"]["model"]
    assert model["accuracy"] > 0.9 > run.data["test"]["kind"]["baselines"]["mean"]["accuracy"]
    assert model["roc_auc"] > 0.9
    assert run.data["test"]["kind"]["baselines"]["mean"]["roc_auc"] == 0.5
    rows = table(run.folder / "predictions-test.csv")
    known = [r for r in rows if r["kind true"]]
    matrix = [[sum(r["kind true"] == a and r["kind predicted"] == b for r in known) for b in ("heavy", "light")]
              for a in ("heavy", "light")]  # fmt: skip
    assert matrix == model["confusion"]
    assert model["n"] == len(known) < len(rows)
    for r in rows:
        p = {w: float(r[f"kind P({w})"]) for w in ("heavy", "light")}
        assert sum(p.values()) == pytest.approx(1)
        assert max(p, key=p.__getitem__) == r["kind predicted"]
    assert {"confusion-kind.png", f"parity-{ENERGY}.png"} <= {p.name for p in run.folder.iterdir()}


def test_missing_labels_of_each_target_are_masks(run: Trained) -> None:
    """Only structures with neither label are left out; each error counts its own labels."""
    splits = json.loads((run.folder / "splits.json").read_text())
    neither = sum(k % 7 == 3 and k % 5 == 0 for k in range(N))
    assert sum(len(splits[p]) for p in ("train", "val", "test")) == N - neither
    rows = table(run.folder / "predictions-test.csv")
    for name, true in (("kind", "kind true"), (ENERGY, f"{ENERGY} true [eV/atom]")):
        assert run.data["test"][name]["model"]["n"] == sum(r[true] != "" for r in rows)


def test_what_stands_behind_a_mask_has_no_influence(cache: Path, tmp_path: Path) -> None:
    from crystalcli.engine.data.dataset import GraphDataset

    data = GraphDataset.open([cache])
    columns = list(data.columns.values())
    spoiled = [replace(c, values=np.where(c.mask, c.values, 1e6)) for c in columns]
    tags = [{"kind": w} if w else {} for w in data.tags["kind"]]
    other = small_cache.write(tmp_path / "graphs.h5", N, columns=spoiled, tags=tags)
    short = Recipe(batch_size=8, epochs=2)
    found = [train(plan(c, tmp_path / f"{k}", "kind", ENERGY, recipe=short)) for k, c in enumerate((cache, other))]
    assert found[0].model.read_bytes() == found[1].model.read_bytes()


def test_predictions_say_words_and_probabilities(run: Trained, cache: Path) -> None:
    predictor = Predictor(run.folder)
    rows = [r for r in predictor.predict([str(cache)]) if isinstance(r, Row)]
    assert len(rows) == N
    known = [r for r in rows if "kind" in r.labels]
    assert len(known) == sum(k % 7 != 3 for k in range(N))
    compared = Compared(predictor.quantities[0])
    for r in rows:
        compared.add(r)
    errors = compared.errors()
    assert errors is not None
    assert errors.n == len(known)
    text = {kind: "".join(w.text(r) for r in rows) for kind in ("csv", "jsonl", "extxyz")
            for w in [Writer(kind, predictor.quantities)]}  # fmt: skip
    lines = list(csv.DictReader(io.StringIO(text["csv"])))
    assert list(lines[0]) == ["id", "kind", "kind P(heavy)", "kind P(light)", f"{ENERGY} [eV/atom]"]
    first = json.loads(text["jsonl"].splitlines()[0])["predictions"]["kind"]
    assert first["value"] == lines[0]["kind"]
    assert first["probabilities"] == {w: float(lines[0][f"kind P({w})"]) for w in ("heavy", "light")}
    frames = ase.io.read(io.StringIO(text["extxyz"]), index=":", format="extxyz")
    assert [f.info["predicted_kind"] for f in frames] == [r["kind"] for r in lines]
    assert frames[0].info["predicted_kind_probabilities"].sum() == pytest.approx(1)


def test_words_of_files_are_compared_and_strange_ones_named(run: Trained) -> None:
    heard: list[str] = []
    predictor = Predictor(run.folder, warn=heard.append)
    atoms = small_cache.crystals(3)
    words = ["heavy", "odd", "odd"]
    entries = [
        Entry(str(k), a, f"{k}.cif", tags={"kind": w}) for k, (a, w) in enumerate(zip(atoms, words, strict=True))
    ]
    rows = [r for r in predictor.of_entries(entries) if isinstance(r, Row)]
    assert [r.labels for r in rows] == [{"kind": 0.0}, {}, {}]
    assert heard == ["labels 'odd' of 'kind' are no class of the model (heavy, light); not compared"]


def test_whole_numbers_are_classes_where_the_task_says_so(cache: Path, tmp_path: Path) -> None:
    report = train(plan(cache, tmp_path / "run", "sign", task="classification", arch="lcgcn",
                               recipe=Recipe(batch_size=8, epochs=1, residual_of="auto")))  # fmt: skip
    model, _ = model_file.load(report.model)
    assert model.spec.targets[0].words == ("-1", "1")
    predictor = Predictor(report.folder)
    rows = [r for r in predictor.predict([str(cache)]) if isinstance(r, Row)]
    assert [r.labels["sign"] for r in rows] == [float(is_heavy(k)) for k in range(N)]
    assert (report.folder / "confusion.png").exists()


@pytest.mark.parametrize(
    ("targets", "task", "said"),
    [
        (["gap"], "classification", "classes are words or whole numbers"),
        (["kind"], "regression", "'kind' is a text column"),
        (["knd"], "auto", "did you mean 'kind'"),
    ],
)
def test_what_cannot_be_learned(cache: Path, tmp_path: Path, targets: list[str], task: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        describe(plan(cache, tmp_path, *targets, task=task), Host())


def test_classes_have_no_zeroth_term_and_no_total(cache: Path, tmp_path: Path) -> None:
    elements = Recipe(residual_of="elements")
    with pytest.raises(UsageError, match="classes have no baseline"):
        describe(plan(cache, tmp_path, "kind", recipe=elements), Host())
    with pytest.raises(UsageError, match="--pool sum"):
        describe(plan(cache, tmp_path, "kind", head_options={"pool": "sum"}), Host())
    both = describe(plan(cache, tmp_path, "kind", ENERGY, recipe=elements), Host())
    assert [t["classes"] for t in both["targets"]] == [2, 0]
