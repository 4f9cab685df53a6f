"""Values of options that no part could work with are refused where all options are checked."""

from __future__ import annotations

from pathlib import Path

import ase.build
import ase.io
import pytest

from crystalcli.cli.main import run
from crystalcli.contracts import options as opt
from crystalcli.md.options import MdOptions
from crystalcli.train.options import TrainOptions
from crystalcli.vocabulary.errors import UsageError


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize(("model", "name"), [(TrainOptions, "lr"), (MdOptions, "time"), (MdOptions, "analysis_from")])
def test_numbers_are_finite(model: type, name: str, value: float) -> None:
    with pytest.raises(
        UsageError, match=rf"option {name.replace('_', '-')} of x is {value}; it must be a finite number"
    ):
        opt.make(model, {name: value}, owner="x")


def test_whole_numbers_of_any_size_are_compared() -> None:
    with pytest.raises(UsageError, match="outside 0 … ∞"):
        opt.make(TrainOptions, {"seed": -3}, owner="x")
    assert opt.make(TrainOptions, {"seed": 10**400}, owner="x").seed == 10**400


def test_an_endless_run_is_no_bug(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ase.io.write(tmp_path / "Cu.cif", ase.build.bulk("Cu", cubic=True))
    line = ["md", str(tmp_path / "Cu.cif"), "--potential", "emt", "--time", "inf", "-o", str(tmp_path / "run")]
    assert run(line) == 2
    assert "option time of crystal md is inf; it must be a finite number" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
