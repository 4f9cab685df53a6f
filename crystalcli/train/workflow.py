"""``crystal train`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.train.choice import FAMILIES, choose
from crystalcli.train.options import TrainOptions
from crystalcli.vocabulary.errors import UsageError

if TYPE_CHECKING:
    from crystalcli.contracts.sections import ReportedRun, Section


def _prepare(request: Request, host: Host) -> Work:
    o: TrainOptions = request.options
    o.check()
    if o.learning_curve:
        from crystalcli.train.curve import LearningCurve

        return LearningCurve(request, host)
    if not o.is_one:
        from crystalcli.train.series import Series

        return Series(request, host)
    from crystalcli.train.run import Training

    return Training(request, host)


def _end(request: Request) -> None:
    if not request.options.is_one:
        raise UsageError(
            "holds several runs; --finish ends one of them, in a folder of its own in it", path=request.path
        )


def _headline(report: Mapping[str, Any]) -> str:
    from crystalcli.train.view import headline

    return headline(report)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.train.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.train.view import planned

    return planned(described)


def _sections(run: ReportedRun) -> Sequence[Section]:
    from crystalcli.train.sections import sections

    return sections(run)


TRAIN = Workflow(
    name="train",
    summary="Train a model on cached graphs and evaluate it on its untouched test part.",
    help="""The same command again, or --resume RUN, goes on after a stop or a kill with the same bits; --finish RUN
ends a run that was stopped with its best epoch. Several trainings (--seeds, --ensemble, --all-folds, --learning-curve,
--compare) are runs in folders of their own below that of the command.""",
    options=TrainOptions,
    chooses=FAMILIES,
    choose=choose,
    prepare=_prepare,
    show=_show,
    headline=_headline,
    plan=_plan,
    sections=_sections,
    end=_end,
    free=frozenset({"threads", "device", "pictures", "log"}),
    called="arch",
    talks=True,
    writes=(
        "config.toml",
        "metrics.jsonl",
        "splits.json",
        "model.safetensors",
        "failed-batch.json",
        "predictions-test*.csv",
        *(f"{picture}*" for picture in ("learning-curve", "parity", "confusion", "reliability", "distribution")),
    ),
    keeps=("state-*",),
)
