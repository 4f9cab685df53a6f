"""Every option of every command is declared once: its flag and its line of config.toml have that default.

``crystal train``, whose defaults follow from its parts, has a file of its own: test_train_options.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crystalcli.cli import main, workflow_command
from crystalcli.contracts import options as opt
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.record import run_record
from crystalcli.engine.registry.plugin_manager import registry

WORKFLOWS = {o.part.name: o.part for o in registry().offered() if isinstance(o.part, Workflow)}


def test_all_commands_are_looked_at() -> None:
    assert main.WORKFLOWS.keys() | {"glass", "pack", "slabs", "pairs"} <= WORKFLOWS.keys()


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_flag_has_the_default_that_is_declared(name: str) -> None:
    workflow = WORKFLOWS[name]
    flags = workflow_command.function(workflow).__signature__.parameters  # type: ignore[attr-defined]
    looked = 0
    for spec in opt.specs(workflow.options):
        flag = flags[spec.name]
        if flag.default is flag.empty:  # it must be given, or is the part that is the default of its family
            assert spec.argument or spec.name in workflow.chooses, spec.name
            continue
        assert flag.default == (list(spec.default) or None if spec.many else spec.default), spec.name
        looked += 1
    assert looked > 0


@pytest.mark.parametrize("name", sorted(set(WORKFLOWS) - {"train"}))
def test_a_run_is_told_with_the_defaults_that_are_declared(name: str, tmp_path: Path) -> None:
    """And comes back from what it is told with."""
    workflow = WORKFLOWS[name]
    asked = Request(opt.make(workflow.options, {}, owner=name), {}, tmp_path)
    told = json.loads(json.dumps(asked.to_json()))
    assert Request.from_json(workflow.options, told, tmp_path) == asked
    for key, value in run_record.table(workflow, asked).get(name.replace("-", "_"), {}).items():
        spec = next(s for s in opt.specs(workflow.options) if s.flag.replace("-", "_") == key)
        declared = getattr(asked.options, spec.name)
        assert value == ([str(d) for d in declared] if spec.many else opt.to_dict(asked.options)[spec.name]), key
