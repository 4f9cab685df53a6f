"""Every option of ``crystal train`` is declared once: flags, TOML, run.json and config.toml say the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import typer

from crystalcli.cli import workflow_command
from crystalcli.cli.main import run
from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.host import life
from crystalcli.engine.record import run_record
from crystalcli.train.choice import architecture, head, recipe_of
from crystalcli.train.options import TrainOptions
from crystalcli.train.workflow import TRAIN

SPECS = {s.name: s for s in opt.specs(TrainOptions)}
OTHER: dict[str, Any] = {"pictures": "svg", "fractions": "0.6,0.2,0.2", "learning_curve": "60,250", "device": "cpu"}


def other(spec: opt.OptionSpec) -> Any:
    """A value that is not the default."""
    if spec.name in OTHER:
        return OTHER[spec.name]
    if spec.choices:
        return next(c for c in spec.choices if c != spec.default)
    if spec.inner is bool:
        return not spec.default
    if spec.inner is int:
        return (spec.default or 0) + 3
    if spec.inner is float:
        return (spec.default or 0.5) / 2
    text = {"arch": "lcgcn", "head": "site", "featurizer": "radius", "compare": "lcgcn"}.get(spec.name, "there")
    return [text] if spec.many else text


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the host is asked; nothing is done."""
    found: list[Request] = []

    def plan(_workflow: object, request: Request, _host: object) -> Any:
        found.append(request)
        raise typer.Exit

    monkeypatch.setattr(life, "describe", plan)
    return found


def test_a_flag_has_the_default_that_is_declared() -> None:
    made = workflow_command.function(TRAIN).__signature__.parameters  # type: ignore[attr-defined]
    for name, spec in SPECS.items():
        default = made[name].default
        if name == "arch":
            assert default is made[name].empty
        else:
            assert default == (list(spec.default) or None if spec.many else spec.default), name


def test_what_suits_is_written_once() -> None:
    for field in dataclasses.fields(Recipe):
        assert SPECS[field.name].default == (None if field.name in ("batch_size", "lr") else field.default)


@pytest.mark.parametrize("name", [n for n in SPECS if n != "from_"])
def test_a_flag_and_a_table_say_the_same(
    name: str, asked: list[Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec, value = SPECS[name], other(SPECS[name])
    table: dict[str, Any] = {} if name in ("arch", "head", "featurizer") else {"arch": "cgcnn"}
    (tmp_path / "one.toml").write_text(tomli_w.dumps({"train": {**table, name.rstrip("_"): value}}))
    words = [*([] if spec.argument or spec.inner is bool else [f"--{spec.flag}"])]
    words += [] if spec.inner is bool else [str(v) for v in (value if spec.many else [value])]
    words += [f"--no-{spec.flag}" if spec.default else f"--{spec.flag}"] if spec.inner is bool else []
    run(["train", "--dry-run", "-o", "x", *words])
    run(["train", "--dry-run", "-o", "x", "-c", "one.toml"])
    first, second = asked
    assert first == second
    found = opt.to_dict(first.options)[name]
    assert found == value
    assert run_record.table(TRAIN, first)["train"][spec.flag.replace("-", "_")] == value
    assert Request.from_json(TrainOptions, first.to_json(), first.path) == dataclasses.replace(first, dry_run=False)
    defaults = {n: s.default for n, s in SPECS.items()}
    told = {n for n, v in dataclasses.asdict(first.options).items() if v != defaults[n]}
    follows = {f.name for f in dataclasses.fields(Recipe)} | {"arch", "head", "featurizer", "caches"}
    assert told - follows <= {name}


@pytest.mark.parametrize("words", [[], ["--arch", "lcgcn"], ["--arch", "pair-moments"], ["--head", "site"]])
def test_defaults_follow_from_the_parts(words: list[str], asked: list[Request]) -> None:
    run(["train", "--dry-run", "-o", "x", *words])
    (request,) = asked
    arch = architecture(request)
    wanted = recipe_of(arch, head(request)) | {"batch_size": None}
    assert {k: getattr(request.options, k) for k in wanted} == wanted
    assert (request.options.head, request.options.featurizer) == (head(request).name, arch.featurizer)
    for option, chosen in request.parts.items():
        told = arch.partner_options.get(chosen.name, {}) if option != "arch" else {}
        assert chosen.options.items() >= told.items()
