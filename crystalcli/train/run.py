"""Graph cache → trained model, its honest test error and the folder of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.engine.baselines import extra_baselines
from crystalcli.engine.evaluate import evaluation
from crystalcli.engine.model import model_file, taught
from crystalcli.engine.model.model_head import MODEL
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.record.run_record import REPORT
from crystalcli.train import beside as training_beside
from crystalcli.train import kept_structures
from crystalcli.train.choice import architecture, head, learning_rate, refuse_beside_model, suited
from crystalcli.train.loop import Trainer
from crystalcli.train.options import TrainOptions
from crystalcli.train.pictures import draw
from crystalcli.train.processes import ALONE, ProcessTeam, gathered, speaking, watched
from crystalcli.train.report import predict_test, report_targets, write_test_predictions
from crystalcli.train.setup import Prepared, prepare, split_facts
from crystalcli.vocabulary.errors import Exit, NumericalFailure, Stopped


def inputs_of(options: TrainOptions) -> list[Path]:
    """Files that a training reads: caches, those of ``--replay``, and the model that it starts from."""
    start = [] if options.from_ is None else [named_by(options.from_)]
    return [*options.paths, *options.replay, *start]


class Training(Work):
    """One training: everything is looked up, data are split and the model is built.

    Args:
        request: what is asked.
        host: hears of it.
        shared: another training on the same caches and targets; this one is then no work of a team.

    Raises:
        UsageError, EnvironmentProblem: parts, options or data that cannot work.
    """

    team: ProcessTeam

    def __init__(self, request: Request, host: Host, shared: Prepared | None = None) -> None:
        asked: TrainOptions = request.options
        asked.check()
        refuse_beside_model(request)
        if asked.threads:
            torch.set_num_threads(asked.threads)
        with ExitStack() as inside:
            self.team = inside.enter_context(gathered(asked.device)) if shared is None else ALONE
            self.host = host if self.team.is_first else Host()
            self.prepared = prepare(request, self.host, shared, self.team.device(asked.device))
            self.settled = self._settled(request)
            self.options = replace(asked, **self.settled)
            self.request = replace(request, options=self.options)
            extra_baselines.parse_all(self.options.baseline)
            self.beside = training_beside.requests(self.request)
            for one in self.beside:
                prepare(one, Host(), self.prepared)
            self._inside = inside.pop_all()
        self.inputs = inputs_of(asked)
        spec = self.prepared.model.spec
        self.parts = [(f, c.name) for f, c in _parts(spec).items() if f != "embedding"]
        self.facts = {
            "split": split_facts(self.prepared),
            "seed": asked.seed,
            "device": str(self.prepared.device),
            "threads": torch.get_num_threads(),
            "processes": self.team.size,
        }

    def _settled(self, request: Request) -> dict[str, Any]:
        """What was asked for by saying nothing; says so where batches are of another size than would suit the parts."""
        o: TrainOptions = request.options
        found: dict[str, Any] = {"arch": architecture(request).name, "head": head(request).name}
        found["lr"] = learning_rate(request)
        n = len(self.prepared.split.train)
        found["batch_size"] = o.batch_size or max(suited(request, n), self.team.size)
        wished = o.batch_size or suited(request, 10**9)
        if (size := found["batch_size"]) != wished:
            why = f"{n} training structures" if size < wished else f"{self.team.size} processes"
            self.host.say(f"batch size: {size} instead of {wished}, for {why}; --batch-size decides")
        return {k: v for k, v in found.items() if getattr(o, k) != v}

    def close(self) -> None:
        """Leave the team."""
        self._inside.close()

    def describe(self) -> dict[str, Any]:
        """Parts, sizes of the split, parameters, recipe."""
        p = self.prepared
        return {
            "targets": [q.to_json() for q in p.targets],
            "parts": {k: {"name": c.name, "options": dict(c.options)} for k, c in _parts(p.model.spec).items()},
            "parameters": p.n_parameters,
            "recipe": vars(self.options.recipe),
            "split": split_facts(p),
            "leaks": [leak.to_json() for leak in p.leaks],
            "beside": [one.path.name for one in self.beside],
            "device": str(p.device),
            "seed": self.options.seed,
        }

    def do(self, run: Run) -> Mapping[str, Any]:
        """Train, save the model, train what is to stand beside it, evaluate the test part.

        Raises:
            NumericalFailure, Stopped: what was reached is kept.
        """
        with speaking(self.team), watched(self.team):
            return self._train(run)

    def _train(self, run: Run) -> Mapping[str, Any]:
        first, reporter = self.team.is_first, run.reporter if self.team.is_first else Host()
        run.write_json("splits.json", self.prepared.split.to_json(self.prepared.ids))
        trainer = Trainer(self.options, self.prepared, run, reporter, self.team)
        try:
            if run.resumed:
                trainer.restore()
            if run.ending:
                trainer.end()
            else:
                trainer.train()
            if not first:
                return {}
            if self.beside:
                trainer.save()
                self._save_model(run, trainer)
            beside = training_beside.train(run, self.beside, self._another)
            return self._finish(run, trainer, beside)
        except Stopped:
            if trainer.best and first:  # the state is kept already: a second signal costs nothing
                trainer.end()
                run.write_json(REPORT, self._finish(run, trainer, {}, Exit.STOPPED))
            raise
        except NumericalFailure:
            if trainer.best and first:
                self.prepared.model.load_state_dict(trainer.best)
                self._save_model(run, trainer)
            raise

    def _another(self, request: Request, _host: Host) -> Work:
        """A training on the same data and split, of which nothing new is to be said."""
        return Training(request, Host(), self.prepared)

    def _save_model(self, run: Run, trainer: Trainer) -> Path:
        """Write the model; its provenance holds nothing of time, place or machine: equal runs are equal bytes."""
        prepared = self.prepared
        provenance = {
            "seed": self.options.seed,
            "recipe": vars(self.options.recipe),
            "split": prepared.split.to_json(prepared.ids),
            taught.KEY: prepared.taught.to_json(),
            "epoch": trainer.progress.best_epoch,
            "structures": len(prepared.data),
        }
        parts = prepared.split
        found = kept_structures.learned_domain(prepared.model, prepared.data, parts.train, parts.val, self.options.size)
        prepared.model.out_of_domain = found
        model_file.save(run.path / MODEL, prepared.model, provenance)
        return run.path / MODEL

    def _finish(
        self, run: Run, trainer: Trainer, beside: Mapping[str, Mapping[str, Any]], code: Exit = Exit.OK
    ) -> dict[str, Any]:
        """Write the model and what it does on the test part; what report.json holds."""
        path, prepared, o = self._save_model(run, trainer), self.prepared, self.options
        score = trainer.progress.best
        found = predict_test(prepared, o.size)
        targets = [
            replace(t, compared=training_beside.rows(beside, t.quantity.name))
            for t in report_targets(prepared, found, o.baseline, paper_baselines=o.paper_baselines)
        ]
        write_test_predictions(prepared, run, found)
        draw(prepared, run, trainer, found=found, targets=targets)
        for t in targets:
            run.log(f"test {t.quantity.name}: {json.dumps(t.to_json()['model'])}")
        return {
            "model": str(path),
            "folder": str(run.path),
            "architecture": o.arch,
            "test": {t.quantity.name: t.to_json() for t in targets},
            "split": split_facts(prepared),
            "leaks": [leak.to_json() for leak in prepared.leaks],
            "parameters": prepared.n_parameters,
            "epochs": trainer.progress.epoch,
            "best_epoch": trainer.progress.best_epoch,
            "best_score": score if np.isfinite(score) else None,  # none where nothing has been validated
            "validation": self._validation_errors(),
            "seed": o.seed,
            **({"replay": prepared.replay.forgotten(prepared.model, o.size)} if prepared.replay else {}),
            "finished": code == Exit.OK,
            "exit_code": int(code),
        }

    def _validation_errors(self) -> dict[str, Any]:
        """Errors of the weights that are kept, on the part that chose them; by target."""
        p = self.prepared
        found = evaluation.collect(p.model, p.data, p.split.val, self.options.size, p.baseline_values or None)
        return {name: c.errors().to_json() for name, c in found.items() if c.mask.any()}


def _parts(spec: Any) -> dict[str, Any]:
    """The parts of a model in the order of a batch."""
    return {
        "featurizer": spec.graph,
        "embedding": spec.embedding,
        "architecture": spec.architecture,
        "head": spec.head,
    }
