"""The workflows that come with crystal, offered as those of plugins are; loads nothing heavy."""

from __future__ import annotations

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Part
from crystalcli.workflows.graphs.build_graphs_workflow import BUILD_GRAPHS
from crystalcli.workflows.md.md_workflow import MD
from crystalcli.workflows.predict.label_sites_workflow import LABEL_SITES
from crystalcli.workflows.predict.predict_workflow import PREDICT
from crystalcli.workflows.relax.relax_workflow import RELAX
from crystalcli.workflows.report.report_workflow import REPORT_PAGE
from crystalcli.workflows.screen.screen_workflow import SCREEN
from crystalcli.workflows.train.calibrate_workflow import CALIBRATE
from crystalcli.workflows.train.train_workflow import TRAIN

WORKFLOWS = (BUILD_GRAPHS, TRAIN, PREDICT, CALIBRATE, LABEL_SITES, RELAX, MD, SCREEN, REPORT_PAGE)


@hookimpl
def crystal_parts() -> list[Part]:
    """The records."""
    return list(WORKFLOWS)
