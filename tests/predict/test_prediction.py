"""Prediction as a whole: order, batches, unseen elements, caches made otherwise, formats."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import ase
import ase.build
import ase.io
import numpy as np
import pytest
import torch
from common import small_cache
from common.some_trainings import asked, train

from crystalcli.cli.main import run as command
from crystalcli.contracts.counting import Counted
from crystalcli.contracts.records import Recipe
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.normalisers import target_statistics
from crystalcli.engine.drawing import plots
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.errors import Compared
from crystalcli.prediction.extrapolation import Domain, Said
from crystalcli.prediction.output import Writer
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.texts import inert

ENERGY = small_cache.ENERGY.name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run."""
    folder = tmp_path_factory.mktemp("prediction")
    cache = small_cache.write(folder / "graphs.h5")
    plan = asked(
        arch="cgcnn",
        head="crystal",
        output=str(folder / "run"),
        caches=(str(cache),),
        arch_options={"n_conv": 1, "width": 8},
        recipe=Recipe(batch_size=8, epochs=2),
        split="random",
        device="cpu",
        threads=1,
    )
    return train(plan).folder


def rows(predictor: Predictor, structures: list[ase.Atoms]) -> list[Row | Failure]:
    return list(predictor.of_entries(Entry(f"s{k}", a, f"{k}.cif") for k, a in enumerate(structures)))


def values(found: list[Row | Failure]) -> np.ndarray:
    assert all(isinstance(r, Row) for r in found)
    return np.array([r.values[ENERGY] for r in found if isinstance(r, Row)])


@pytest.mark.parametrize("batch_size", [2, 7, 64])
def test_batches_equal_singles_and_order_is_kept(run: Path, batch_size: int) -> None:
    structures = [a * (1 + k % 3, 1, 1) for k, a in enumerate(small_cache.crystals(20, seed=3))]
    singles = values(rows(Predictor(run, batch_size=1), structures))
    together = rows(Predictor(run, batch_size=batch_size), structures)
    assert [r.id for r in together] == [f"s{k}" for k in range(20)]
    np.testing.assert_allclose(values(together), singles, atol=1e-5)


def test_a_cache_gives_what_its_structures_give(run: Path) -> None:
    predictor = Predictor(run)
    of_cache = list(predictor.predict([str(run.parent / "graphs.h5")]))
    np.testing.assert_allclose(values(of_cache), values(rows(predictor, small_cache.crystals(42))), atol=1e-6)
    labels = np.array([r.labels[ENERGY] for r in of_cache if isinstance(r, Row)])
    np.testing.assert_array_equal(labels, small_cache.energies(small_cache.crystals(42)))


def test_warnings_of_readers_are_said_once_for_all_that_have_them(run: Path) -> None:
    heard: list[str] = []
    predictor = Predictor(run, warn=heard.append)
    entries = [
        Entry(f"s{k}", a, f"{k}.cif", warnings=("atoms are near", *(("odd",) if k == 2 else ())))
        for k, a in enumerate(small_cache.crystals(4))
    ]
    list(predictor.of_entries(entries))
    predictor.say_extrapolation()
    assert heard == ["s0: atoms are near", "s2: odd", "3 more structures: atoms are near"]
    many = [Entry(f"m{k}", a, "m.cif", warnings=(f"word {k}",)) for k, a in enumerate(small_cache.crystals(14))]
    heard.clear()
    predictor = Predictor(run, warn=heard.append)
    list(predictor.of_entries(many))
    predictor.say_extrapolation()
    assert len(heard) == 11
    assert heard[-1] == "4 more warnings of structures, of other words; --json has all"


def test_errors_on_what_taught_the_model_are_said_to_be_such(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "p.csv")
    assert command(["predict", str(run), str(run.parent / "graphs.h5"), "-o", out, "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    split = model_file.load(run / "model.safetensors")[1]["split"]
    assert report["labelled"] == 42
    assert report["labelled_known"] == len(split["train"]) + len(split["val"])
    assert (
        f"{report['labelled_known']} of 42 labelled structures, by their crystals, trained or validated" in printed.err
    )
    ase.io.write(tmp_path / "a.extxyz", small_cache.crystals(2))
    assert command(["predict", str(run), str(tmp_path / "a.extxyz"), "-o", str(tmp_path / "q.csv")]) == 0
    assert "trained or validated" not in capsys.readouterr().err


def test_supercells_have_the_same_value_per_atom(run: Path) -> None:
    (atoms,) = small_cache.crystals(1)
    a, b = values(rows(Predictor(run), [atoms, atoms * (2, 2, 2)]))
    assert a == pytest.approx(b, abs=1e-5)


def test_an_isolated_atom_is_finite(run: Path) -> None:
    lonely = ase.Atoms("Na", cell=[30, 30, 30], pbc=True)
    assert np.isfinite(values(rows(Predictor(run), [lonely]))).all()


def test_unseen_elements_are_named_first_and_fail_unless_allowed(run: Path) -> None:
    structures = [small_cache.crystals(1)[0], ase.build.bulk("Og", "fcc", a=5.0), small_cache.crystals(1)[0]]
    heard: list[str] = []
    predictor = Predictor(run, warn=heard.append)
    entries = predictor.of_entries(Entry(f"s{k}", a, f"{k}.cif") for k, a in enumerate(structures))
    first = next(entries)
    assert heard == ["elements that the model has never seen: Og; structures with them are not predicted"]
    found = [first, *entries]
    assert [type(r) for r in found] == [Row, Failure, Row]
    assert isinstance(found[1], Failure)
    assert found[1].code == "unseen-element"
    assert "Og" in found[1].reason


def test_one_bad_number_does_not_touch_the_others(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    structures = small_cache.crystals(10)
    predictor = Predictor(run, batch_size=10)
    good = values(rows(predictor, structures))
    plain = type(predictor.model).seen

    def poisoned(self: Any, *args: Any) -> Any:
        found = plain(self, *args)
        found.predictions[ENERGY].value[4] = torch.nan
        return found

    monkeypatch.setattr(type(predictor.model), "seen", poisoned)
    found = rows(predictor, structures)
    assert isinstance(found[4], Failure)
    assert found[4].id == "s4"
    others = [k for k in range(10) if k != 4]
    np.testing.assert_array_equal(values([found[k] for k in others]), good[others])


def test_a_cache_made_otherwise_is_refused_before_anything(run: Path, tmp_path: Path) -> None:
    other = small_cache.write(tmp_path / "o.h5", 8, options={**small_cache.OPTIONS, "cutoff": 6.0})
    with pytest.raises(UsageError, match=r"o\.h5: .*cutoff 6"):
        next(iter(Predictor(run).predict([str(run.parent / "graphs.h5"), str(other)])))


def test_ids_are_kept_apart_over_caches_and_files(run: Path, tmp_path: Path) -> None:
    cache = small_cache.write(tmp_path / "c.h5", 2, stem="c")
    ids = [row.id for row in Predictor(run).predict([str(cache)])]
    structures = small_cache.crystals(2)
    for atoms, name in zip(structures, ids, strict=True):
        atoms.info["id"] = name
    ase.io.write(tmp_path / "a.extxyz", structures)
    (tmp_path / "d").mkdir()
    again = (tmp_path / "d" / "c.h5", tmp_path / "a.extxyz")
    again[0].write_bytes(cache.read_bytes())
    for inputs in ((cache, again[1]), (again[1], cache), (cache, *again)):
        found = [row.id for row in Predictor(run).predict([str(p) for p in inputs])]
        assert found == [*ids, *(f"{i}#{n}" for n in range(2, len(inputs) + 1) for i in ids)]


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model"):
        Predictor(tmp_path)


NASTY = {
    "a,b": "a,b",
    'say "hi"': 'say "hi"',
    "two\nlines": "two\\nlines",
    "=1+1": "'=1+1",
    "@SUM(1)": "'@SUM(1)",
    "<b>": "<b>",
    "Å μ": "Å μ",
    " space ": " space ",
    "'": "'",
    "\x1b[2J\x9b1m": "\\x1b[2J\\x9b1m",
    "a\u202eb": "a\\u202eb",
    "nul\0": "nul\\x00",
    "back\\slash": "back\\slash",
}
"""Ids, and how a table shows them."""


def test_every_id_survives_every_format(run: Path) -> None:
    predictor = Predictor(run)
    structures = small_cache.crystals(len(NASTY))
    found = list(predictor.of_entries(Entry(i, a, "x.cif") for i, a in zip(NASTY, structures, strict=True)))
    texts = {}
    for kind in ("csv", "jsonl", "extxyz"):
        writer = Writer(kind, predictor.quantities)
        texts[kind] = "".join(writer.text(r) for r in found if isinstance(r, Row))
    table = list(csv.reader(io.StringIO(texts["csv"])))
    assert table[0] == ["id", f"{ENERGY} [eV/atom]"]
    assert [r[0] for r in table[1:]] == list(NASTY.values())
    expected = values(found)
    np.testing.assert_array_equal([float(r[1]) for r in table[1:]], expected)
    objects = [json.loads(line) for line in texts["jsonl"].splitlines()]
    assert [o["id"] for o in objects] == list(NASTY)
    assert all(line.isprintable() for line in [*texts["jsonl"].splitlines(), *texts["csv"].splitlines()])
    assert objects[0]["predictions"][ENERGY] == {"value": expected[0], "unit": "eV/atom", "level": "structure"}
    frames = ase.io.read(io.StringIO(texts["extxyz"]), index=":", format="extxyz")
    assert [str(f.info["id"]) for f in frames] == [inert(i) for i in NASTY]
    np.testing.assert_allclose([f.info[f"predicted_{ENERGY}"] for f in frames], expected, rtol=1e-7)
    assert frames[0].info[f"predicted_{ENERGY}_unit"] == "eV/atom"


def test_comparison_counts_only_what_has_labels() -> None:
    compared = Compared(small_cache.ENERGY)
    for k, label in enumerate((1.0, None, 3.0)):
        labels = {} if label is None else {ENERGY: label}
        compared.add(Row(str(k), "", ase.Atoms("H"), {ENERGY: 2.0}, {}, labels))
    errors = compared.errors()
    assert errors is not None
    assert errors.to_json() | {"r2": 0} == {
        "n": 2, "mae": 1.0, "rmse": 1.0, "bias": 0.0, "max_error": 1.0, "r2": 0,
    }  # fmt: skip


def test_a_picture_says_errors_in_the_unit_in_which_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Angles that are learned in rad and counted in degrees."""

    class Head:
        def errors(self, predictions: Any, labels: Any, _graph: Any) -> dict[str, Counted]:
            return {"phase": Counted(predictions["phase"].value - labels["phase"].value, factor=57.3, unit="°")}

    drawn: dict[str, Any] = {}
    monkeypatch.setattr(plots, "parity", lambda *_, **said: drawn.update(said))
    compared = Compared(Quantity("phase", "rad"), Head())
    compared.add(Row("a", "", ase.Atoms("H", cell=np.eye(3)), {"phase": 2.0}, {}, {"phase": 1.5}))
    compared.draw([Path("p.png")], "")
    assert (drawn["mae"], drawn["unit"], drawn["words"][0]) == (pytest.approx(0.5 * 57.3), "°", "MAE")


def test_a_total_that_does_not_grow_is_an_extrapolation_at_another_size(tmp_path: Path) -> None:
    """An average over the atoms has learned what it is of crystals of one size, whatever else is alike."""
    total = Quantity("energy", "eV", extensive=True)
    column = Column(total, 2 * small_cache.energies(small_cache.crystals(42)), np.ones(42, dtype=bool))
    data = GraphDataset.open([small_cache.write(tmp_path / "g.h5", columns=[column])])
    part, known = PartChoice("cgcnn"), target_statistics(data, ["energy"], np.arange(42))
    assert known.atoms == 2
    for pool, flagged in (("average", True), ("sum", False)):
        spec = ModelSpec(part, part, PartChoice("cgcnn"), PartChoice("crystal", {"pool": pool}), (total,), known)
        domain = Domain.of(CrystalModel(ModelSpec.from_json(spec.to_json())), {})
        assert domain.is_known == flagged
        assert domain.reasons([11, 17], {}, None) == ""
        said = domain.reasons([11, 11, 17, 17], {}, None)
        assert said == flagged * "energy is learned of structures with 2 atoms alone, and this has 4"


def test_what_defines_the_usual_is_no_extrapolation() -> None:
    """Rounding in another batch moves it to either side of 1."""
    known = Domain(frozenset({14}), {"e": {"low": 0.0, "high": 1.0, "epistemic": 0.2}}, {}, measured=True)
    for distance, spread, why in ((1.0 + 1e-6, 0.2 + 1e-7, ""), (1.01, 0.2, "unlike"), (0.5, 0.21, "members")):
        found = known.reasons([14], {"e": Said(0.5, epistemic=spread)}, distance)
        assert bool(found) == bool(why), found
        assert why in found
