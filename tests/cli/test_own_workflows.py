"""Commands of the packages that come with the program: found unloaded, by entry points that agree with the records."""

from __future__ import annotations

import importlib

from crystalcli.cli.main import WORKFLOWS
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.registry.plugin_manager import own_workflows, registry


def test_entry_points_name_the_workflows_of_our_packages() -> None:
    offered = {o.part.name: o.part for o in registry().offered() if o.origin.builtin and isinstance(o.part, Workflow)}
    assert offered.keys() == own_workflows().keys() | WORKFLOWS.keys()
    assert own_workflows()
    for name, target in own_workflows().items():
        module, record = target.split(":")
        assert getattr(importlib.import_module(module), record) is offered[name]
