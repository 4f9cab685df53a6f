"""What a training would silently pass over is refused, and what it records is what it did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common import small_cache
from common.some_trainings import asked, describe, train
from train.test_training import RECIPE, plan

from crystalcli.cli.main import run
from crystalcli.contracts.host import Host
from crystalcli.engine.model.model_head import MODEL, read_head
from crystalcli.engine.record.run_record import REQUEST
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.train.options import TrainOptions
from crystalcli.train.setup import prepare
from crystalcli.vocabulary.errors import UsageError

A, B = (Path("a.h5"),), (Path("b.h5"),)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


@pytest.fixture(scope="module")
def source(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "run"
    train(plan(cache, folder, epochs=1))
    return folder


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"test": A}, "--test goes with --train"),
        ({"val": A, "test": B}, "--val goes with --train"),
        ({"folds": 5, "leave_out": "O"}, "--leave-out and --folds both say"),
        ({"folds": 5, "train": A, "test": B}, "--train and --folds both say"),
        ({"folds": 5, "all_folds": True, "split_file": Path("s.json")}, "--split-file and --all-folds both say"),
        ({"fold": 1, "split_column": "part"}, "--split-column and --fold both say"),
        ({"leave_out": "O", "split_file": Path("s.json")}, "--split-file and --leave-out both say"),
        ({"folds": 3, "fold": 3}, "--fold 3 is not one of 0 … 2"),
        ({"fold": 3}, "--fold needs the number of folds"),
        ({"group": "g", "split_column": "part"}, "--group keeps nothing together"),
        ({"group": "g", "train": A, "val": B, "test": B}, "--group keeps nothing together"),
        *(
            ({"group": "g", "split": s}, f"--split {s} does not keep")
            for s in ("random", "formula", "stratified", "time")
        ),
        ({"group": "g", "split": "stratified"}, "--kinds g gives every part its share"),
        ({"leave_out": "O", "split": "formula"}, "--leave-out and --split formula both say"),
        (
            {"kinds": "k", "split": "formula"},
            "about --split stratified; it does not go with --split formula",
        ),
        ({"kinds": "k", "group": "g"}, "it does not go with --group"),
        ({"kinds": "k", "leave_out": "O"}, "it does not go with --leave-out"),
        ({"kinds": "k", "split_file": Path("s.json")}, "it does not go with --split-file"),
        ({"freeze": ("head.*",)}, "--freeze is about the model that a training starts from; add --from MODEL"),
        ({"new_head": True}, "--new-head is about the model"),
        *(
            ({"learning_curve": "60,250", **o}, f"--learning-curve and {name} do not go together")
            for name, o in (
                ("--compare", {"compare": ("lcgcn",)}),
                ("--baseline", {"baseline": ("krr",)}),
                ("--train-size", {"train_size": 100}),
            )
        ),
        ({"refit_normaliser": True}, "--refit-normaliser is about the model"),
    ],
)
def test_what_would_be_passed_over_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        TrainOptions(**options).check()


@pytest.mark.parametrize(
    "options",
    [
        {"train": A, "val": B, "test": B},
        {"train": A, "test": B, "group": "g"},
        {"folds": 3, "fold": 2, "group": "g"},
        {"leave_out": "O", "group": "g"},
        {"leave_out": "O", "group": "g", "split": "element"},
        {"split": "group", "group": "g"},
        {"kinds": "k", "folds": 3},
    ],
)
def test_what_has_a_meaning_is_not(options: dict[str, Any]) -> None:
    TrainOptions(**options).check()


def test_a_test_cache_without_a_training_cache_teaches_nothing(cache: Path, tmp_path: Path, capfd) -> None:
    assert run(["train", str(cache), "--test", str(cache), "-o", str(tmp_path / "run")]) == 2
    assert "--test goes with --train" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("way", ["leave_out", "caches"])
def test_groups_stay_together_where_only_validation_is_drawn(way: str, tmp_path: Path) -> None:
    names = [f"g{k // 4}" for k in range(42)]  # of six structures and more than one formula each
    tags = [{"family": name} for name in names]
    one = small_cache.write(tmp_path / "one.h5", tags=tags)
    asks: dict[str, Any] = {"leave_out": "Br", "group": "family"}
    if way == "caches":
        other = small_cache.write(tmp_path / "other.h5", 7, stem="other", tags=[{"family": "other"}] * 7)
        asks = {"caches": (), "train": (str(one),), "test": (str(other),), "group": "family"}
    split = prepare(plan(one, tmp_path / "run", split="auto", **asks), Host()).split
    assert "validation grouped by 'family'" in split.how
    taught, chose = ({names[i] for i in part} for part in (split.train, split.val))
    assert len(split.val)
    assert len(split.train)
    assert not taught & chose


def test_one_group_has_no_validation_part(tmp_path: Path) -> None:
    one = small_cache.write(tmp_path / "one.h5", tags=[{"family": "all"}] * 42)
    with pytest.raises(UsageError, match="one group of 'family' only, and no validation part"):
        prepare(plan(one, tmp_path / "run", split="auto", leave_out="Br", group="family"), Host())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arch": "lcgcn"}, "has architecture cgcnn, not lcgcn"),
        ({"head": "site"}, "has head crystal, not site; --new-head puts another in its place"),
        ({"featurizer": "radius"}, "has featurizer cgcnn, not radius"),
        ({"arch_options": {"width": 9}}, "was trained with width = 8, not 9$"),
        ({"arch_options": {"n_conv": 3}}, "was trained with n_conv = 1, not 3$"),
        ({"head_options": {"hidden": 9}}, "was trained with hidden = 8, not 9; --new-head"),
    ],
)
def test_a_model_keeps_its_parts(
    changes: dict[str, Any], reason: str, cache: Path, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=reason):
        train(plan(cache, tmp_path / "run", from_=source, **changes))
    assert not (tmp_path / "run").exists()


def test_what_is_recorded_is_what_the_model_is(cache: Path, source: Path, tmp_path: Path) -> None:
    """With nothing said of the parts, at a command line and by a program."""
    line = ["train", str(cache), "--from", str(source), "--epochs", "0", "--threads", "1", "--quiet"]
    assert run([*line, "-o", str(tmp_path / "line")]) == 0
    said = RunFolder.read(tmp_path / "line")[REQUEST]
    assert (said["options"]["arch"], said["options"]["head"]) == ("cgcnn", "crystal")
    spec = read_head(tmp_path / "line" / MODEL)["spec"]
    assert said["parts"]["head"]["options"]["hidden"] == spec["head"]["options"]["hidden"] == 8
    silent = asked(tmp_path / "program", arch="", head=None, caches=(str(cache),), from_=source, recipe=RECIPE)
    parts = describe(silent)["parts"]
    assert (parts["architecture"]["name"], parts["head"]["name"]) == ("cgcnn", "crystal")


def test_flags_of_other_parts_are_refused_and_those_of_a_new_head_are_not(
    cache: Path, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["train", str(cache), "--from", str(source), "--epochs", "0", "--threads", "1", "-o", str(tmp_path / "run")]
    assert run([*line, "--arch", "lcgcn"]) == 2
    assert "has architecture cgcnn, not lcgcn" in capfd.readouterr().err
    assert run([*line, "--hidden", "16"]) == 2
    assert "was trained with hidden = 8, not 16; --new-head" in capfd.readouterr().err
    assert run([*line, "--hidden", "16", "--new-head"]) == 0
    assert read_head(tmp_path / "run" / MODEL)["spec"]["head"]["options"]["hidden"] == 16


def test_members_of_unequal_parts_see_the_right_number_of_structures(tmp_path: Path) -> None:
    """Of a validation part that is not as large as the training part; see ``few`` of the split."""
    import ase.build

    salts = [f"{a}{b}" for a in ("Li", "Na", "K", "Rb", "Cs") for b in ("F", "Cl", "Br", "I")]
    many = [ase.build.bulk(name, "rocksalt", a=a) for name in salts for a in (5.0, 5.2, 5.4, 5.6, 5.8)]
    cache = small_cache.write(tmp_path / "many.h5", structures=many)
    wish = {"split": "auto", "fractions": "0.6,0.2,0.2", "train_size": 30}
    parts = [prepare(plan(cache, tmp_path / "x", member=m, **wish), Host()).split for m in range(1, 13)]
    whole = prepare(plan(cache, tmp_path / "x", **{**wish, "train_size": 0}), Host()).split
    dealt = round(len(whole.val) * 30 / len(whole.train))
    assert 0 < dealt < len(whole.val)
    always = set.intersection(*(set(p.val.tolist()) for p in parts))
    assert len(always) == len(whole.val) - dealt
    taught = set().union(*(p.train.tolist() for p in parts))
    assert len(taught) == 30 + dealt
    assert np.array_equal(parts[0].test, whole.test)
