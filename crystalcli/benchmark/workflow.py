"""``crystal benchmark`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalcli.benchmark.options import FREE, BenchmarkOptions
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow

if TYPE_CHECKING:
    from crystalcli.contracts.sections import ReportedRun, Section


def _prepare(request: Request, host: Host) -> Work:
    from crystalcli.benchmark.run import Benchmark

    return Benchmark(request, host)


def _more(request: Request, report: Mapping[str, Any]) -> bool:
    """Whether something is compared that the table does not have."""
    from crystalcli.benchmark.view import in_table

    return not in_table(request.options, report)


def _headline(report: Mapping[str, Any]) -> str:
    from crystalcli.benchmark.view import headline

    return headline(report)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.benchmark.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.benchmark.view import planned

    return planned(described)


def _sections(run: ReportedRun) -> Sequence[Section]:
    from crystalcli.benchmark.sections import sections

    return sections(run)


def _example(folder: Path) -> list[str]:
    """Twenty-four crystals of three metals with an energy that grows with their size, in a column of three folds."""
    import ase.build
    import ase.io

    made = []
    for k in range(24):
        atoms = ase.build.bulk(("Cu", "Ag", "Au")[k % 3], "fcc", a=3.6 + 0.05 * k)
        atoms.info.update(gap=0.1 * k, part=f"part-{k // 3 % 3}")
        made.append(atoms)
    ase.io.write(folder / "metals.extxyz", made)
    return ["metals.extxyz", "--target", "gap:eV", "--fold-column", "part", "--epochs", "1", "--threads", "1"]


BENCHMARK = Workflow(
    name="benchmark",
    summary="Compare architectures on the same folds: every structure is tested once, by models that never saw it.",
    help="""Folds come from a column, are dealt, or are those of Matbench. What is outside a fold trains, but for the
part that chooses the epoch. One table has the errors of all architectures and baselines in every fold, their mean and
spread; benchmark.csv and predictions-NAME.csv keep all of it. The same command again, or --resume RUN, goes on after a
stop or a kill; with one more --arch only that is trained.""",
    options=BenchmarkOptions,
    prepare=_prepare,
    show=_show,
    headline=_headline,
    plan=_plan,
    sections=_sections,
    free=FREE,
    grows=("arch", "published"),
    more=_more,
    talks=True,
    writes=(
        "benchmark.csv",
        "predictions-*.csv",
        "fold-*.json",
        "*-fold-*",
        "graphs-*.h5",
        "graphs-*.h5.failures.jsonl",
        "parity-*",
        "matbench-*.json.gz",
    ),
    keeps=("graphs-*.h5.parts",),
    example=_example,
)
