"""The workflows that come with crystal, offered as those of plugins are; loads nothing heavy."""

from __future__ import annotations

from crystalcli.benchmark.workflow import BENCHMARK
from crystalcli.calibrate.workflow import CALIBRATE
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Part
from crystalcli.graphs.workflow import BUILD_GRAPHS
from crystalcli.label_sites.workflow import LABEL_SITES
from crystalcli.md.workflow import MD
from crystalcli.prediction.workflow import PREDICT
from crystalcli.relax.workflow import RELAX
from crystalcli.report.workflow import REPORT_PAGE
from crystalcli.screen.workflow import SCREEN
from crystalcli.train.workflow import TRAIN

WORKFLOWS = (BUILD_GRAPHS, TRAIN, PREDICT, CALIBRATE, LABEL_SITES, RELAX, MD, SCREEN, BENCHMARK, REPORT_PAGE)


@hookimpl
def crystal_parts() -> list[Part]:
    """The records."""
    return list(WORKFLOWS)
