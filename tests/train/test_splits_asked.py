"""A split is what was asked for: no column, odd frame, isolated atom or later member makes it another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk
from common import small_cache

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import DRAWN, Split
from crystalcli.train.material import Material
from crystalcli.train.options import TrainOptions
from crystalcli.train.split import choose
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

N = 42


def material(
    folder: Path, structures: Sequence[ase.Atoms] | None = None, *, numbers: dict[str, Any] | None = None, **tags: Any
) -> Material:
    """Structures with an energy, labels ``numbers`` and words ``tags``; an empty word is none."""
    atoms = list(structures or small_cache.crystals(N))
    energy = np.linspace(0.0, 1.0, len(atoms)) % 0.1
    columns = [Column(small_cache.ENERGY, energy, np.ones(len(atoms), dtype=bool))]
    for name, values in (numbers or {}).items():
        columns.append(Column(Quantity(name, ""), np.array(values, dtype=float), np.isfinite(values)))
    rows = [{k: v[i] for k, v in tags.items() if v[i]} for i in range(len(atoms))]
    sources = [f"run.xyz:{k}" for k in range(len(atoms))]
    path = small_cache.write(folder / "graphs.h5", columns=columns, structures=atoms, tags=rows, sources=sources)
    data = GraphDataset.open([path])
    return Material(data, np.arange(len(data)), energy, data.ids)


def asked(made: Material, **options: Any) -> Split:
    o = TrainOptions(caches=(Path("graphs.h5"),), **options)
    o.check()
    return choose(made, o)


def shared(split: Split, names: Sequence[str], one: str = "train", other: str = "val") -> set[str]:
    parts = split.parts()
    return {names[i] for i in parts[one]} & {names[i] for i in parts[other]} - {""}


PARTS = [("train", "train", "train", "val", "test")[k % 5] for k in range(N)]


@pytest.mark.parametrize(
    "wish",
    [
        {"leave_out": "O"},
        {"group": "family"},
        {"fractions": "0.5,0.25,0.25"},
        {"folds": 3},
        {"split": "random"},
        {"kinds": "family"},
    ],
)
def test_a_wish_is_stronger_than_a_column_of_parts(wish: dict[str, Any], tmp_path: Path) -> None:
    families = [f"f{k // 4}" for k in range(N)]
    found = asked(material(tmp_path, split=PARTS, family=families), **wish)
    (tmp_path / "bare").mkdir()
    bare = asked(material(tmp_path / "bare", family=families), **wish)
    (name, value), *_ = wish.items()
    assert (
        found.how == f"{bare.how}; column 'split' is not used, because --{name.replace('_', '-')} {value} is asked for"
    )
    assert all(np.array_equal(a, b) for a, b in zip(found.parts().values(), bare.parts().values(), strict=True))


def test_a_column_that_lacks_a_structure_is_not_passed_over(tmp_path: Path) -> None:
    made = material(tmp_path, split=["", *PARTS[1:]])
    with pytest.raises(UsageError, match=r"of 41 of 42 structures, and not of 1, e\.g\. 'salt \"00\".*--split formula"):
        asked(made)
    assert "'split' is not used" in asked(made, split="formula").how
    with pytest.raises(UsageError, match="says nothing of 1 of 42 structures"):
        asked(made, split_column="split")
    unlabelled = Material(made.data, made.usable[1:], made.values, made.ids)  # it takes no part
    assert asked(unlabelled).how == "column 'split'"


def test_a_column_of_other_words_or_of_one_part_says_so(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = material(tmp_path / "other", split=["left", "right"] * 21)
    assert asked(other).how == "random, grouped by formula (7 formulas)"
    with pytest.raises(UsageError, match="says 'test' of no structure with a label; --split formula"):
        asked(material(tmp_path, split=["train"] * N))


def test_what_all_parts_given_leaves_unused_is_said(tmp_path: Path) -> None:
    made = material(tmp_path, part=PARTS)
    assert asked(made, split_column="part", split="random").how == "column 'part'; --split random is not used"
    assert "--gap is not used" in asked(made, gap=3).how


@pytest.mark.parametrize("as_numbers", [False, True])
def test_groups_of_words_or_whole_numbers_stay_together(as_numbers: bool, tmp_path: Path) -> None:
    numbers = [k // 4 for k in range(N)]
    names = [str(k) for k in numbers]
    made = material(tmp_path, numbers={"g": numbers}) if as_numbers else material(tmp_path, g=names)
    for wish in ({}, {"split": "group"}, {"folds": 3, "fold": 1}, {"leave_out": "O"}):
        split = asked(made, group="g", **wish)
        assert not shared(split, names)
        if "leave_out" not in wish:
            assert not shared(split, names, "train", "test")
            assert "(11 groups)" in split.how


def test_structures_without_a_group_are_counted_and_belong_to_nobody(tmp_path: Path) -> None:
    names = ["" if k % 2 else f"f{k // 8}" for k in range(N)]
    split = asked(material(tmp_path, g=names), group="g")
    assert "'g' (6 groups, and 21 structures of which it says nothing, each by itself)" in split.how
    assert not shared(split, names, "train", "test")
    alone = {names[i] for part in (split.val, split.test) for i in part}
    assert "" in alone
    assert any(not names[i] for i in split.train)
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match=r"label 'x' has values such as 0\.5; groups are words or whole numbers"):
        asked(material(tmp_path / "none", numbers={"x": [0.5 * k for k in range(N)]}), group="x")


def salts() -> list[ase.Atoms]:
    """Twelve formulas, three crystals of each."""
    names = [f"{a}{b}" for a in ("Li", "Na", "K", "Rb") for b in ("F", "Cl", "Br")]
    return [bulk(name, "rocksalt", a=a) for name in names for a in (5.0, 5.3, 5.6)]


@pytest.mark.parametrize("wish", [{}, {"folds": 3}, {"leave_out": "Li"}, {"train_size": 8}])
def test_members_keep_groups_together(wish: dict[str, Any], tmp_path: Path) -> None:
    names = [f"g{k % 9}" for k in range(36)]
    made = material(tmp_path, salts(), g=names)
    first, *others = (asked(made, group="g", fractions="0.6,0.2,0.2", member=m, **wish) for m in range(4))
    assert any(not np.array_equal(first.train, s.train) for s in others)
    for split in others:
        assert not shared(split, names)
        assert np.array_equal(split.test, first.test)
        assert "values of 'g' together" in split.how


def test_members_of_few_structures_share_no_formula_either(tmp_path: Path) -> None:
    made = material(tmp_path, salts())
    formulas = made.data.formulas()
    for member in range(1, 6):
        split = asked(made, fractions="0.4,0.4,0.2", train_size=8, member=member)
        assert not shared(split, formulas)


def test_members_keep_blocks_of_time(tmp_path: Path) -> None:
    made = material(tmp_path, salts())  # of formulas enough
    first, other = (asked(made, split="time", fractions="0.6,0.2,0.2", member=m) for m in (0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first.parts().values(), other.parts().values(), strict=True))
    assert other.how == f"{first.how}; the same for all members"


@pytest.mark.parametrize("way", ["caches", "file", "column"])
def test_a_validation_part_that_is_given_judges_all_members(way: str, tmp_path: Path) -> None:
    atoms = salts()
    parts = {"train": atoms[:24], "val": atoms[24:30], "test": atoms[30:]}
    named = [name for name, some in parts.items() for _ in some]
    wish: dict[str, Any] = {"caches": (Path("graphs.h5"),)}
    if way == "caches":
        paths = [small_cache.write(tmp_path / f"{n}.h5", structures=some, stem=n) for n, some in parts.items()]
        data = GraphDataset.open(paths)
        wish = {n: (p,) for n, p in zip(parts, paths, strict=True)}
        made = Material(data, np.arange(36), np.zeros(36), data.ids)
    else:
        made = material(tmp_path, atoms, split=named)
    if way == "file":
        ids = {n: [i for i, m in zip(made.ids, named, strict=True) if m == n] for n in parts}
        wish["split_file"] = tmp_path / "s.json"
        wish["split_file"].write_text(json.dumps(ids))
    for member in range(3):
        split = choose(made, TrainOptions(member=member, **wish))
        assert [len(p) for p in split.parts().values()] == [24, 6, 6]
        assert split.val.tolist() == list(range(24, 30))
    assert "as given, the same for all members" in split.how


def test_a_validation_part_that_was_drawn_is_drawn_anew(tmp_path: Path) -> None:
    """As the folds of a benchmark are, whose files say what stays together."""
    names = [f"g{k % 9}" for k in range(36)]
    made = material(tmp_path, salts(), g=names)
    path = tmp_path / "fold-0.json"
    path.write_text(json.dumps({**asked(made, group="g").to_json(made.ids), DRAWN: "g"}))
    first, *others = (asked(made, split_file=path, member=m) for m in range(4))
    assert any(not np.array_equal(first.val, s.val) for s in others)
    assert not any(shared(s, names) for s in others)


def shaken(n: int) -> list[ase.Atoms]:
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
        frames.append(atoms)
    return frames


def strained(size: float) -> ase.Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell * (1 + size), scale_atoms=True)
    return atoms


@pytest.mark.parametrize("wish", [{}, {"split": "time"}])
@pytest.mark.parametrize("place", [0, 30, 80])
def test_an_odd_frame_makes_no_random_split_of_a_run(place: int, wish: dict[str, Any], tmp_path: Path) -> None:
    run = shaken(80)
    frames = [*run[:place], strained(0.08), *run[place:]]
    split = asked(material(tmp_path, frames), **wish)
    assert split.how.startswith("time blocks with a gap of")
    assert "1 structure that is no step of a run in training" in split.how
    assert place in split.train
    steps = np.delete(np.arange(81), place)
    order = {int(k): n for n, k in enumerate(steps)}
    taught = [order[int(i)] for i in split.train if int(i) != place]
    tested = [order[int(i)] for i in split.test]
    assert min(abs(a - b) for a in taught for b in tested) > 1  # no test frame follows a training frame


def test_configurations_beside_a_run_are_dealt_by_their_share(tmp_path: Path) -> None:
    cells = [strained(s) for s in np.linspace(-0.1, 0.1, 20)]
    short = shaken(4)  # a piece of a run is in one part
    made = material(tmp_path, [*shaken(60), *cells, *short])
    split = asked(made)
    assert split.how.startswith("time blocks with a gap of")
    assert "24 structures that are no steps of a run: random" in split.how
    for part in split.parts().values():
        assert ((part >= 60) & (part < 80)).sum() >= 1
    assert sum(bool((part >= 80).any()) for part in split.parts().values()) == 1
    folded = asked(material(tmp_path, [*shaken(24), *cells, *short]), folds=3)
    assert "random" in folded.how  # a set that is no run for the most part has folds as before


def atom(symbol: str) -> ase.Atoms:
    return ase.Atoms(symbol, cell=[30.0] * 3, pbc=True)


def test_an_isolated_atom_of_an_element_that_is_left_out_teaches_nobody(tmp_path: Path) -> None:
    made = material(tmp_path, [*small_cache.crystals(N), atom("O"), atom("Na")])
    for member in range(2):
        split = asked(made, leave_out="O", member=member)
        assert N + 1 in split.train
        assert not any(N in part for part in split.parts().values())
        assert "1 isolated atoms of O in no part" in split.how
        assert 8 not in made.data.elements(split.train)
    with pytest.raises(UsageError, match="1 of 8 structures contain He; 1 of them isolated atoms; nothing"):
        asked(material(tmp_path, [*small_cache.crystals(7), atom("He")]), leave_out="He")


def test_isolated_atoms_train_in_every_member(tmp_path: Path) -> None:
    made = material(tmp_path, [*salts(), *(atom(s) for s in ("Li", "Na", "K", "Rb", "F", "Cl", "Br"))])
    for member in range(4):
        assert set(range(36, 43)) <= set(asked(made, member=member).train.tolist())


def test_members_of_a_file_deal_no_further_start_into_validation(tmp_path: Path) -> None:
    """A benchmark's file names further starts that train; a member whose validation is drawn anew has its own."""
    atoms = small_cache.crystals(N)
    ids = [f'salt "{k:02d}", {a.get_chemical_formula()}' for k, a in enumerate(atoms)]
    starts = [ids[k - 28] if k >= 28 else "" for k in range(N)]
    made = material(tmp_path, atoms, lab=[f"lab {k % 28 % 6}" for k in range(N)], start_of=starts)
    test, val = {k for k in range(28) if k % 6 == 0}, {k for k in range(28) if k % 6 == 1}
    train = {k for k in range(N) if k % 28 not in test | val}
    named = {n: [ids[k] for k in sorted(p)] for n, p in (("train", train), ("val", val), ("test", test))}
    path = tmp_path / "fold.json"
    path.write_text(json.dumps({**named, DRAWN: "lab"}))
    drawn = set()
    for member in range(4):
        split = asked(made, split_file=path, member=member)
        own = {k for k in split.train.tolist() if k < 28}
        assert set(split.test) == test
        assert len(split.val)
        assert max(split.val) < 28
        assert {k for k in split.train.tolist() if k >= 28} == {k for k in train if k >= 28 and k - 28 in own}
        drawn.add(tuple(split.val))
    assert len(drawn) > 1
