"""Structures or caches → folds → a training for each architecture and fold → one table, and all predictions.

Every training is a run in the run of the benchmark, done once and gone on with: after a kill only what is missing is
trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from crystalcli.benchmark import matbench, outputs, table
from crystalcli.benchmark.entrants import Entrant, entrants
from crystalcli.benchmark.folds import Folds, folds, split_file
from crystalcli.benchmark.options import BenchmarkOptions
from crystalcli.benchmark.sources import Sources
from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host, Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.engine.data import splits
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model.model_parts import refuse_misfits
from crystalcli.engine.run.devices import choose_device
from crystalcli.train.labels import choose_targets, labelled
from crystalcli.train.material import Material
from crystalcli.train.options import TrainOptions
from crystalcli.train.processes import started_by_torchrun
from crystalcli.train.series import begun
from crystalcli.train.setup import Prepared, values_of
from crystalcli.vocabulary.errors import (
    CrystalError,
    EnvironmentProblem,
    Exit,
    NothingUsable,
    RefusedLate,
    Stopped,
    UsageError,
)
from crystalcli.vocabulary.quantities import Quantity

Reports = dict[str, list[Mapping[str, Any]]]


@dataclass(frozen=True)
class Laid:
    """What is trained on and tested.

    Args:
        data: the graphs of the first architecture; the structures of all are the same.
        targets: what is learned.
        folds: which structures each fold trains on and tests.
        published: rows of others' predictions.
        left_out: structures for which some featurizer has no graph.
    """

    data: GraphDataset
    targets: tuple[Quantity, ...]
    folds: Folds
    published: Sequence[table.Row]
    left_out: int


class Benchmark(Work):
    """A benchmark with everything looked up; of graph caches the folds, too.

    Raises:
        UsageError, InputError: architectures, options, files or folds that cannot work.
        EnvironmentProblem: no such device.
    """

    def __init__(self, request: Request, host: Host) -> None:
        o: BenchmarkOptions = request.options
        o.check()
        if started_by_torchrun().size > 1:
            raise UsageError("torchrun trains one model; start a benchmark without it")
        if o.threads:
            torch.set_num_threads(o.threads)
        if o.matbench_folds is not None:
            matbench.checked(o.matbench_folds, o.matbench_task)
        self.options, self.request = o, request
        self.entrants = entrants(o)
        self.sources = Sources(o, self.entrants, request.path)
        self.settled = {"arch": tuple(one.label for one in self.entrants)}
        self.inputs = [*self.sources.paths, *([o.matbench_folds] if o.matbench_folds else [])]
        self.parts = list(dict.fromkeys(("architecture", one.training.options.arch) for one in self.entrants))
        self.facts = {
            "seed": o.seed,
            "device": str(choose_device(o.device)),
            "threads": torch.get_num_threads(),
        }
        self.laid = self._lay(host) if self.sources.caches else None

    def describe(self) -> dict[str, Any]:
        """The resolved plan: what is compared, and the folds as far as they are known before graphs are built."""
        found: dict[str, Any] = {
            "architectures": {
                one.label: {
                    "parts": {k: {"name": c.name, "options": dict(c.options)} for k, c in one.training.parts.items()},
                    "graphs": {"featurizer": one.graphs.featurizer, "options": dict(one.graphs.options)},
                    "recipe": vars(one.training.options.recipe),
                }
                for one in self.entrants
            },
            "files": len(self.sources.paths),
            "caches": bool(self.sources.caches),
            "ensemble": self.options.ensemble,
            **self.facts,
        }
        if self.laid is not None:
            found |= {"targets": [q.to_json() for q in self.laid.targets], **outputs.of_folds(self.laid.folds)}
        return found

    def do(self, run: Run) -> dict[str, Any]:
        """Build, deal, train and compare.

        Raises:
            RefusedLate: labels or folds that the structures do not have. NothingUsable: nothing could be trained.
            Stopped: says how many trainings are done.
        """
        try:
            self.sources.build(self.entrants, run)
            laid = self.laid or self._lay(run.reporter)
        except UsageError as no:  # nothing is trained yet; the graphs are as good for the command that is meant
            raise RefusedLate(no.reason, path=no.path, line=no.line, code=no.code) from no
        for k, fold in enumerate(laid.folds.all):
            parts = {**fold.split.to_json(laid.data.ids), splits.DRAWN: self.options.group}
            run.write_json(split_file(run.path, k).name, {"fold": fold.name, **parts})
        reports = self._train(run, laid)
        failed = [
            {"architecture": label, "fold": fold.name, "reason": r[table.SKIPPED]}
            for label, of in reports.items()
            for fold, r in zip(laid.folds.all, of, strict=True)
            if table.SKIPPED in r
        ]
        if len(failed) == sum(map(len, reports.values())):
            raise NothingUsable(f"no training came to its end; the first: {failed[0]['reason']}")
        words = {one.label: one.word for one in self.entrants}
        found = {q.name: table.rows(q.name, reports, laid.published) for q in laid.targets}
        outputs.write(run, laid.targets, laid.folds, reports, found, words, self.options.pictures)
        code = Exit.SOME_FAILED if failed or self.sources.failed else Exit.OK
        return {
            **outputs.of_folds(laid.folds),
            "left_out": laid.left_out,
            "targets": outputs.of_targets(laid.targets, found, reports),
            "published": list(self.sources.options.published),
            "leaks": outputs.leaks(reports),
            "runs": outputs.runs(reports, laid.folds, words),
            "failed": failed,
            "failed_structures": self.sources.failed,
            "exit_code": int(code),
        }

    def _lay(self, reporter: Reporter) -> Laid:
        """Open the graphs, choose what is learned, deal the folds.

        Raises:
            UsageError: as ``do``.
        """
        first, *others = self._datasets()
        head = self.entrants[0].parts[2]
        names = self.sources.target_names(first)
        targets = choose_targets(first, names, self.options.task, head, self.sources.paths[0], reporter)
        for one in self.entrants:
            refuse_misfits(*one.parts, targets)
        usable = labelled(first, targets, reporter)
        ids = first.ids
        everywhere = set(ids).intersection(*(d.ids for d in others))
        lost = len(set(ids).union(*(d.ids for d in others))) - len(everywhere)
        if lost:
            reporter.warn(f"{lost} structures have no graph for some of the architectures: they are left out for all")
            usable = usable[[ids[k] in everywhere for k in usable]]
        found = folds(Material(first, usable, values_of(first, targets[0]), ids), self.options)
        reporter.say(f"{found.how}: {', '.join(f'{f.name} ({len(f.split.test)})' for f in found.all)}")
        if found.in_none:
            reporter.say(f"{found.in_none} structures with a label are in no fold: they train in all, none is tested")
        if found.missing:
            reporter.warn(
                f"{len(found.missing)} ids of the file of folds have no structure: the numbers are none of Matbench's"
            )
        published = [table.published(first, n, targets[0], found.all) for n in self.sources.published_names(first)]
        return Laid(first, targets, found, published, lost)

    def _datasets(self) -> list[GraphDataset]:
        """One for every way in which graphs are made, that of the first architecture first."""
        paths = dict.fromkeys(self.sources.graphs(one) for one in self.entrants)
        return [GraphDataset.open(some) for some in paths]

    def _train(self, run: Run, laid: Laid) -> Reports:
        """What every training reports, or why it has come to nothing, by architecture and fold."""
        reports: Reports = {}
        of, said = len(self.entrants) * len(laid.folds.all), set[str]()
        for one in self.entrants:
            shared: Prepared | None = None

            def prepare(request: Request, host: Host) -> Work:
                nonlocal shared
                work = begun(request, host, shared)
                shared = shared or work.prepared
                return work

            done: list[Mapping[str, Any]] = []
            for k, fold in enumerate(laid.folds.all):
                n = sum(map(len, reports.values())) + k
                name = f"run {n + 1} of {of}: {one.label}, fold {fold.name}"
                request = self._training(one, laid, k)
                host = _warns_once(run.reporter.within(name, n, of), said, f"{one.label}, fold {fold.name}")
                try:
                    report = run.child(
                        "train",
                        request.path.name,
                        opt.to_dict(request.options),
                        request.parts,
                        reporter=host,
                        prepare=prepare,
                    )
                except Stopped as problem:
                    words = f"{n} of {of} trainings are finished"
                    raise Stopped(f"{problem.reason.split(';')[0]}; {words}; go on with: {run.again}") from None
                except EnvironmentProblem:
                    raise
                except CrystalError as problem:
                    run.reporter.warn(f"{one.label}, fold {fold.name}: {problem}")
                    report = {table.SKIPPED: str(problem)}
                run.reporter.say(f"{name}: {_came(report, laid.targets)}")
                done.append(report)
            reports[one.label] = done
        return reports

    def _training(self, one: Entrant, laid: Laid, k: int) -> Request:
        """The training of an architecture for fold ``k``, in a folder of its own."""
        o: TrainOptions = replace(
            one.training.options,
            caches=self.sources.graphs(one),
            target=tuple(q.name for q in laid.targets),
            split_file=split_file(self.sources.folder, k),
        )
        return Request(o, one.training.parts, self.request.path / f"{one.word}-fold-{k}")


def _warns_once(host: Host, said: set[str], name: str) -> Host:
    """One whose runs say nothing but in their logs, and warn of each thing once."""

    def warn(text: str) -> None:
        if text not in said:
            said.add(text)
            host.warn(f"{name}: {text}")

    return replace(host, say=lambda _line: None, warn=warn)


def _came(report: Mapping[str, Any], targets: Sequence[Quantity]) -> str:
    if table.SKIPPED in report:
        return "failed"
    return outputs.in_short(report, targets)
