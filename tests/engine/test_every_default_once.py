"""Every default of a workflow is written once: flag, settings, run.json, plan, man page and docs all say the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import tomli_w
import typer

from crystalcli.builtin import WORKFLOWS
from crystalcli.calibrate.calibrating import CalibrationPlan
from crystalcli.calibrate.options import CalibrateOptions
from crystalcli.cli import tree, workflow_command
from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Work
from crystalcli.contracts.workflow_record import POTENTIAL, Workflow
from crystalcli.engine.record import run_record
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.places import Place
from crystalcli.engine.run.tasks import Limits
from crystalcli.graphs.options import BuildOptions
from crystalcli.graphs.plan import BuildPlan
from crystalcli.label_sites.options import LabelSitesOptions
from crystalcli.label_sites.run import LabellingPlan
from crystalcli.vocabulary.errors import UsageError

DOCS = Path(__file__).parents[2] / "docs"
NAMES = [w.name for w in WORKFLOWS]


def of_name(name: str) -> Workflow:
    return next(w for w in WORKFLOWS if w.name == name)


def required(workflow: Workflow) -> dict[str, Any]:
    """Values of what must be said."""
    named = [s for s in opt.specs(workflow.options) if s.required]
    return {s.name: ("a.cif", "b.cif") if s.many else Path("model") for s in named}


def words(values: dict[str, Any]) -> list[str]:
    return [word for v in values.values() for word in (v if isinstance(v, tuple) else (str(v),))]


def asked(workflow: Workflow, typed: Sequence[str]) -> Request:
    """What the command asks the workflow for, which goes no further."""
    found: list[Request] = []

    def prepare(request: Request, _host: Host) -> Work:
        found.append(request)
        raise UsageError("that is all")

    app = typer.Typer(add_completion=False)
    app.callback()(lambda: None)
    workflow_command.add(app, replace(workflow, prepare=prepare))
    with pytest.raises(UsageError, match="that is all"):
        typer.main.get_command(app)([workflow.name, *typed, "--dry-run"], standalone_mode=False)
    return found[0]


def declared(workflow: Workflow) -> Request:
    """What the record alone says that the command asks for where nothing is typed but what must be."""
    parts = {o: registry().get(f, registry().default(f)) for o, f in workflow.chooses.items() if f != POTENTIAL}
    options = workflow.options(**required(workflow), **{o: p.name for o, p in parts.items()})
    chosen = {o: (p.name, opt.to_dict(p.options())) for o, p in parts.items()}
    return Request.from_json(
        workflow.options,
        {
            "options": opt.to_dict(options),
            "parts": {o: {"name": name, "options": values} for o, (name, values) in chosen.items()},
        },
        Path(),
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_flags_settings_and_run_json_say_what_the_record_says(name: str) -> None:
    workflow = of_name(name)
    plain = asked(workflow, words(required(workflow)))
    if workflow.choose is None:  # else the defaults follow from the parts: see the tests of those commands
        assert plain.to_json() == declared(workflow).to_json()
    assert Request.from_json(workflow.options, plain.to_json(), Path()).to_json() == plain.to_json()
    every = {k: v for k, v in plain.to_json()["options"].items() if v is not None}
    parts = {c.name: dict(c.options) for c in plain.parts.values() if c.options}
    tables = [run_record.table(workflow, plain), *([] if workflow.choose else [{name: every | parts}])]
    for table in tables:
        Path("said.toml").write_text(tomli_w.dumps(table))
        assert asked(workflow, ["-c", "said.toml"]).to_json() == plain.to_json()


@cache
def pages() -> dict[str, tree.Page]:
    return {" ".join(p.path): p for p in tree.pages()}


@pytest.mark.parametrize("name", NAMES)
def test_pages_say_it(name: str) -> None:
    workflow, page = of_name(name), pages()[name]
    items = {name: item for item in page.options for name in item.names}
    for spec in opt.specs(workflow.options):
        if spec.argument:
            continue
        family = workflow.chooses.get(spec.name, POTENTIAL)
        default = registry().default(family) if family != POTENTIAL and spec.default == "" else spec.default
        said = re.findall(r"default ([^,]*(?:,[^ ][^,]*)*)", items[f"--{spec.flag}"].extra)
        assert said == ([] if spec.type is bool or default in (None, "", ()) else [str(default)])


SAID = re.compile(r"`--([a-z-]+)`\s\((\d[\d.]*)\s?[^)`]*\)")
"""``--fmax`` (0.02 eV/Å)."""


def test_docs_say_it() -> None:
    known: dict[str, list[Any]] = {}
    of_plugins = [cast(Workflow, registry().get("workflow", name)) for name in registry().names("workflow")]
    for workflow in {w.name: w for w in (*WORKFLOWS, *of_plugins)}.values():
        for spec in opt.specs(workflow.options):
            known.setdefault(spec.flag, []).append(spec.default)
    seen = 0
    for page in DOCS.glob("*.md"):
        for flag, number in SAID.findall(page.read_text(encoding="utf-8")):
            if flag in known:
                seen += 1
                assert float(number) in known[flag], f"{page.name}: --{flag} ({number})"
    assert seen >= 3


def test_plans_have_no_defaults_of_their_own(tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    model.write_bytes(b"")  # names of models are looked up, files are not opened
    inputs, output = ("a.cif",), Path("a.h5")
    of = BuildPlan.of(BuildOptions(inputs=inputs, output=output, featurizer="cgcnn"), {}, overwrite=False)
    assert replace(of, place=Place()) == BuildPlan(inputs, output, "cgcnn")
    asked_for = CalibrateOptions(model=model, inputs=inputs, output=output)
    calibration = CalibrationPlan.of(asked_for, overwrite=False)
    assert replace(calibration, device=asked_for.device) == CalibrationPlan(model, inputs, output)
    labelling = LabellingPlan.of(Request(LabelSitesOptions(inputs=inputs, output=output, label=("frequency",))))
    assert labelling == LabellingPlan(inputs, output, ("frequency",))
    assert Limits() == of.limits
