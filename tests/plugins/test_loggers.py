"""Loggers that come with crystal, and that one that fails is in nobody's way."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from common import small_cache
from crystal_loggers import CSV, TENSORBOARD
from crystal_loggers.table import Table

from crystalcli.cli.main import run as crystal
from crystalcli.contracts.records import Logger
from crystalcli.engine.host import following
from crystalcli.engine.registry import plugin_manager
from crystalcli.engine.registry.plugin_loading import Origin
from crystalcli.engine.registry.plugin_manager import OfferedPart
from crystalcli.testing import LoggerContract


class TestCsv(LoggerContract):
    part = CSV


class TestTensorboard(LoggerContract):
    part = TENSORBOARD


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_goes_back_with_the_run(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    table = Table(path)
    for step, loss in ((4, 0.5), (8, 0.25), (12, 0.125)):
        table.values(step, {"loss": loss})
    Table(path).values(8, {"loss": 0.3, "more, with a comma": 1e-20})
    assert rows(path) == [
        {"step": "4", "loss": "0.5", "more, with a comma": ""},
        {"step": "8", "loss": "0.3", "more, with a comma": "1e-20"},
    ]
    Table(path).values(12, {"loss": 1 / 3})
    assert float(rows(path)[-1]["loss"]) == 1 / 3


class Service:
    """A third party's, which keeps what it is told."""

    def __init__(self, fails: bool = False) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []
        self.closed, self.fails = 0, fails

    def values(self, step: int, values: Any) -> None:
        if self.fails:
            raise ConnectionError("no route to host")
        self.told.append((step, dict(values)))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Any:
    def offer(service: Any, **more: Any) -> None:
        part = Logger(name="wandb", summary="stand-in", build=lambda _options, _folder: service, **more)
        found = OfferedPart(part, Origin("crystal-wandb", "crystal_wandb", "crystal-wandb", "0.3"))
        monkeypatch.setitem(plugin_manager.registry().parts, ("logger", "wandb"), found)

    return offer


def trained(folder: Path, *more: str) -> int:
    cache = small_cache.write(folder / "graphs.h5")
    words = ["train", str(cache), "--arch", "cgcnn", "--epochs", "2", "--threads", "1", "-o", str(folder / "run"), "-q"]
    return crystal([*words, "--no-compare", *more])


def test_a_service_of_a_third_party_follows_a_training(tmp_path: Path, offered: Any) -> None:
    service = Service()
    offered(service)
    assert trained(tmp_path, "--log", "wandb", "--log", "csv") == 0
    kept = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [step for step, _ in service.told] == [row["step"] for row in kept]
    assert [values["train_loss"] for _, values in service.told] == [row["train_loss"] for row in kept]
    (target,) = kept[0]["val"]
    assert service.told[0][1][f"val/{target}/mae"] == kept[0]["val"][target]["mae"]
    assert not {"step", "best"} & service.told[0][1].keys()
    assert service.closed == 1
    assert [row["train_loss"] for row in rows(tmp_path / "run" / "log.csv")] == [repr(r["train_loss"]) for r in kept]
    # the same run again with another logger is the same run; replaced, it keeps nothing of the old table
    assert trained(tmp_path, "--log", "wandb") == 0
    assert trained(tmp_path, "--seed", "3", "--overwrite") == 0
    assert not (tmp_path / "run" / "log.csv").exists()


def test_one_that_fails_costs_itself(tmp_path: Path, offered: Any, capsys: pytest.CaptureFixture[str]) -> None:
    service = Service(fails=True)
    offered(service)
    assert trained(tmp_path, "--log", "wandb") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "wandb" in line]  # once, and not for every row
    assert said == ["warning: logger wandb of crystal-wandb 0.3 is left out: ConnectionError: no route to host"]


def test_dynamics_is_followed(tmp_path: Path, offered: Any) -> None:
    ase_build = pytest.importorskip("ase.build")
    ase_build.bulk("Cu", cubic=True).write(tmp_path / "cu.extxyz", format="extxyz")
    service = Service()
    offered(service)
    words = ["md", str(tmp_path / "cu.extxyz"), "--potential", "emt", "--steps", "20", "--log-every", "10", "-q"]
    assert crystal([*words, "--temperature", "300", "-o", str(tmp_path / "md"), "--log", "wandb"]) == 0
    assert [step for step, _ in service.told] == [0, 10, 20]
    assert set(service.told[0][1]) == {"temperature [K]", "E_pot [eV/atom]", "pressure [GPa]"}
    thermo = (tmp_path / "md" / "thermo.csv").read_text().splitlines()
    column = next(k for k, head in enumerate(thermo[0].split(",")) if head.startswith("temperature"))
    kelvin = [float(line.split(",")[column]) for line in thermo[1:]]
    assert [values["temperature [K]"] for _, values in service.told] == pytest.approx(kelvin, rel=1e-4)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--log", "nothing"), 2, "no logger 'nothing'"),
        (("--log", "csv", "--log", "csv"), 2, "a logger is named twice"),
        (("--log", "wandb"), 5, "--log wandb needs the package no_such_package; pip install wandb"),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_refused_before_anything_is_written(
    words: tuple[str, ...], code: int, said: str, dry: bool, tmp_path: Path, offered: Any, capsys: Any
) -> None:
    offered(Service(), package="no_such_package", install="pip install wandb")
    assert trained(tmp_path, *words, *(["--dry-run"] if dry else [])) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_rows_that_say_no_step_are_none_of_theirs(tmp_path: Path, offered: Any) -> None:
    service = Service()
    offered(service)
    (part,) = following.loggers(SimpleNamespace(options=SimpleNamespace(log=("wandb",))))  # type: ignore[arg-type]
    followers = following.Followers([part], tmp_path, pytest.fail)
    followers.row({"id": "a", "energy": 1.0})
    followers.row({"step": 3, "a": float("nan"), "b": True, "c": "x", "d": {"e": {"f": 2}}, "g": float("inf")})
    followers.close()
    assert service.told == [(3, {"d/e/f": 2.0})]


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="there is the real one")
def test_event_files_by_a_stand_in_of_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real writer is tried where tensorboard is installed (the contract); this is what it is asked."""
    asked: list[Any] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            asked.append((Path(folder).name, purge_step))

        def add_scalar(self, *told: Any) -> None:
            asked.append(told)

        def flush(self) -> None: ...

        def close(self) -> None:
            asked.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=SummaryWriter))  # type: ignore[arg-type]
    board: Any = TENSORBOARD.build(None, tmp_path)
    for step in (4, 8, 4):
        board.values(step, {"loss": 0.5})
    board.close()
    written = [("loss", 0.5, 4), ("loss", 0.5, 8)]
    assert asked == [("tensorboard", 4), *written, "closed", ("tensorboard", 4), written[0], "closed"]
