"""Targets of a training that starts from a model: each goes on as the one of its name, in whatever order they come."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from common import small_cache
from common.some_trainings import Trained, train
from train.test_training import RECIPE, plan

from crystalcli.contracts.host import Host
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.model import model_file
from crystalcli.train.same_targets import matched
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

NOTHING = replace(RECIPE, epochs=0)
ALL = np.ones(42, dtype=bool)


def numbers(path: Path, **names: np.ndarray) -> Path:
    return small_cache.write(path, columns=[Column(Quantity(n), v, ALL) for n, v in names.items()])


def words(path: Path, name: str, some: list[str]) -> Path:
    """A text column with ``some`` words in turn, by the metal."""
    atoms = small_cache.crystals(42)
    kinds = [some[0 if a.numbers.mean() > 12 else 1] for a in atoms]
    return small_cache.write(path, structures=atoms, tags=[{name: k} for k in kinds])


@pytest.fixture(scope="module")
def small() -> np.ndarray:
    return small_cache.energies(small_cache.crystals(42))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, small: np.ndarray) -> Path:
    home = tmp_path_factory.mktemp("targets")
    train(plan(numbers(home / "g.h5", bulk=small, far=small + 1000.0), home / "run", target=("bulk", "far")))
    train(plan(words(home / "w.h5", "kind", ["cubic", "hex"]), home / "words", target=("kind",)))
    return home


def maes(found: Trained) -> dict[str, float]:
    return {name: test["model"]["mae"] for name, test in found.data["test"].items()}


def test_the_order_is_that_of_the_model(home: Path, tmp_path: Path) -> None:
    """What is asked for in another order changes nothing."""
    asked = {"from_": home / "run", "recipe": NOTHING}
    one = train(plan(home / "g.h5", tmp_path / "a", target=("bulk", "far"), **asked))
    other = train(plan(home / "g.h5", tmp_path / "b", target=("far", "bulk"), **asked))
    assert maes(one) == maes(other)
    assert max(maes(other).values()) < 500
    assert [q.name for q in model_file.load(other.model)[0].spec.targets] == ["bulk", "far"]


def test_one_of_another_name_is_said_and_of_two_nobody_can_say(home: Path, small: np.ndarray, tmp_path: Path) -> None:
    heard: list[str] = []
    asked = {"from_": home / "run", "recipe": NOTHING}
    cache = numbers(tmp_path / "g.h5", away=small + 1000.0, bulk=small, thick=small)
    found = train(plan(cache, tmp_path / "a", target=("away", "bulk"), **asked), Host(say=heard.append))
    assert "label 'away' is learned as the model's 'far'" in heard
    assert max(maes(found).values()) < 500
    with pytest.raises(
        UsageError, match=r"which of 'away', 'thick' are the model's 'bulk', 'far' cannot be told.*--targets"
    ):
        train(plan(cache, tmp_path / "b", target=("away", "thick"), **asked))
    with pytest.raises(UsageError, match="1 targets are asked for"):
        train(plan(cache, tmp_path / "b", target=("bulk",), **asked))


def test_names_that_differ_go_by_their_units() -> None:
    old = (Quantity("e", "eV/atom"), Quantity("gap", "eV"))
    new = (Quantity("width", "eV"), Quantity("energy", "eV/atom"))
    assert [q.name for q in matched(old, new)] == ["energy", "width"]
    with pytest.raises(UsageError, match="cannot be told"):
        matched(old, (Quantity("width"), Quantity("energy")))
    with pytest.raises(UsageError, match=r"'gap' \(GPa\) is not what the model predicts, 'gap' \(eV\)"):
        matched(old, (Quantity("gap", "GPa"), Quantity("e", "eV/atom")))


def test_other_units_are_converted(small: np.ndarray, tmp_path: Path) -> None:
    """The same numbers in other words: the same errors, in the unit of the model."""
    train(plan(energies(tmp_path / "ev.h5", small, "eV/atom"), tmp_path / "ev"))
    asked = {"from_": tmp_path / "ev", "recipe": NOTHING}
    same = train(plan(energies(tmp_path / "a.h5", small, "eV/atom"), tmp_path / "a", **asked))
    heard: list[str] = []
    cache = energies(tmp_path / "b.h5", 1000.0 * small, "meV/atom")
    other = train(plan(cache, tmp_path / "b", **asked), Host(say=heard.append))
    assert "label 'e' (meV/atom) is learned in eV/atom, as the model has it" in heard
    assert maes(other) == pytest.approx(maes(same), rel=1e-9)
    assert [q.unit for q in model_file.load(other.model)[0].spec.targets] == ["eV/atom"]
    with pytest.raises(UsageError, match=r"'e' \(GPa\) is not what the model predicts, 'e' \(eV/atom\); --new-head"):
        train(plan(energies(tmp_path / "c.h5", small, "GPa"), tmp_path / "c", **asked))


def energies(path: Path, values: np.ndarray, unit: str) -> Path:
    return small_cache.write(path, columns=[Column(Quantity("e", unit), values, ALL)])


def test_classes_go_on_by_their_words(home: Path, tmp_path: Path) -> None:
    other = words(tmp_path / "w.h5", "kind", ["hex", "tetra"])
    asked = {"target": ("kind",), "from_": home / "words", "recipe": NOTHING}
    with pytest.raises(
        UsageError, match=r"classes of 'kind' are hex, tetra; those of the model's 'kind' are cubic, hex.*--new-head"
    ):
        train(plan(other, tmp_path / "a", **asked))
    turned = Quantity("kind", classes=2, class_names=("hex", "cubic"))
    assert matched([Quantity("kind", classes=2, class_names=("cubic", "hex"))], [turned])[0].words == ("cubic", "hex")


def test_class_numbers_are_those_of_the_model(tmp_path: Path) -> None:
    """Numbers and words are sorted differently: 2 and 10."""
    atoms = small_cache.crystals(42)
    heavy = np.array([a.numbers.mean() > 15 for a in atoms])
    text = small_cache.write(tmp_path / "t.h5", tags=[{"kind": "10" if h else "2"} for h in heavy])
    made = train(plan(text, tmp_path / "run", target=("kind",), recipe=replace(RECIPE, epochs=10, lr=2e-2)))
    cache = small_cache.write(tmp_path / "n.h5", columns=[Column(Quantity("kind"), np.where(heavy, 10.0, 2.0), ALL)])
    asked = {"task": "classification", "from_": tmp_path / "run", "recipe": NOTHING}
    again = train(plan(cache, tmp_path / "on", **asked))
    assert again.data["test"]["kind"]["model"]["accuracy"] == made.data["test"]["kind"]["model"]["accuracy"] > 0.5
