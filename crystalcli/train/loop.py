"""The loop: batches, steps, validation, best weights, checkpoints. Everything random is f(seed, epoch, batch)."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.nn import joint
from crystalcli.contracts.workflow import Run
from crystalcli.engine.data.dataset import Batch
from crystalcli.engine.evaluate import evaluation
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.proof import PREFIX, Proof
from crystalcli.engine.run import checkpoint
from crystalcli.train import transfer
from crystalcli.train.optimizers import AveragedModel, Schedule, make_optimizer
from crystalcli.train.options import TrainOptions
from crystalcli.train.processes import ALONE, ProcessTeam
from crystalcli.train.progress import Errors, Progress, epoch_line, epoch_order, errors_line, validation_score
from crystalcli.train.recomputed import needs_no_epochs, recalibrate, settle
from crystalcli.train.setup import Prepared
from crystalcli.vocabulary.errors import NumericalFailure, Stopped, UsageError


def _copied(model: CrystalModel) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


@dataclass(frozen=True)
class Own:
    """Structures of a batch that this process works on, and the number of the first."""

    batch: Batch
    first: int


class Trainer:
    """One run of the loop over a prepared model."""

    def __init__(
        self,
        options: TrainOptions,
        prepared: Prepared,
        run: Run,
        reporter: Reporter,
        team: ProcessTeam = ALONE,
    ) -> None:
        self.options, self.prepared, self.run, self.reporter = options, prepared, run, reporter
        self.recipe, self.team, self.asked = options.recipe, team, False
        self.model, replay = prepared.model, prepared.replay
        self.data = replay.data if replay else prepared.data
        self.baseline_values = (replay.baseline_values if replay else prepared.baseline_values) or None
        factors = transfer.lr_factors(self.model, options.lr_factor)
        self.optimizer = make_optimizer(self.model, self.recipe, options.momentum, factors)
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        self.ema = AveragedModel(self.model, self.recipe.ema) if self.recipe.ema > 0 else None
        per_epoch = len(self._pieces(0))
        self.schedule = Schedule(
            self.recipe.schedule, per_epoch * self.recipe.epochs, per_epoch, options.step_epochs, options.gamma
        )
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.good = _copied(self.model)
        self.saved_at = time.monotonic()

    @property
    def evaluated(self) -> CrystalModel:
        """The model that is validated and kept: the average if there is one."""
        return self.ema.module if self.ema else self.model  # type: ignore[return-value]

    def _pieces(self, epoch: int) -> list[NDArray[np.int64]]:
        """Batches of ``epoch``; a last batch of one structure joins the one before (batch norm needs company).

        So does one of fewer structures than there are processes.
        """
        rng = np.random.default_rng([self.options.seed, 3, epoch])
        order = epoch_order(self.prepared.split.train, rng, self.options.shuffle_window)
        pieces = evaluation.pieces_of(order, self.options.size)
        if len(pieces) > 1 and len(pieces[-1]) < max(2, self.team.size):
            pieces[-2:] = [np.concatenate(pieces[-2:])]
        return self.prepared.replay.beside(pieces, rng) if self.prepared.replay else pieces

    def train(self) -> None:
        """Train until the last epoch, until patience ends, or until stopped.

        Raises:
            NumericalFailure: a loss or gradient that is not a number. Stopped: asked to stop; a state was kept.
        """
        p, recipe = self.progress, self.recipe
        self.team.same(self.model)
        if p.step == 0 and (self.prepared.baseline_values or self.options.from_):
            said = f"{self.options.from_} as it is" if self.options.from_ else "baseline alone"
            self._look_at_untrained(said)
        o = self.options
        only_test = o.from_ and not (recipe.epochs or o.new_head or o.refit_normaliser)
        if p.step == 0 and not only_test and self._settle() and needs_no_epochs(self.model):
            if not recipe.epochs:
                self.reporter.say("no epochs: what is not solved in closed form stays as it is; --epochs N trains it")
            self._look_at_untrained("before any epoch, last layer solved")
        while p.epoch < recipe.epochs and not (recipe.patience and p.waited >= recipe.patience):
            start = time.monotonic()
            self._epoch()
            self._validate(time.monotonic() - start)
            self._save_if_due()
            if p.epoch < recipe.epochs:
                self._stop_if_asked()
        self.end()

    def end(self) -> None:
        """Let the model be that of the best epoch.

        Raises:
            UsageError: no epoch has been finished.
        """
        if not self.best:
            raise UsageError(f"no epoch of it is finished: go on with {self.run.again}")
        self.model.load_state_dict(self.best)
        self.model.eval()

    def _look_at_untrained(self, said: str) -> None:
        """Say how good it is; as the best so far, training is kept only where it beats it in validation.

        A model to start from is that unless it is not to stay; without any epoch it always is.
        """
        o = self.options
        keep = o.keep_start or o.from_ is None or not self.recipe.epochs
        score = float("inf")
        if len(self.prepared.split.val):
            errors = self.validation_errors()
            score = self.team.firsts(validation_score(errors, self.model.spec.statistics))
            self.reporter.say(f"{said}  {errors_line(errors, self.prepared.targets)}")
        if keep and (score < self.progress.best or not self.best or not len(self.prepared.split.val)):
            self.progress.best = score
            self.best = _copied(self.evaluated)

    def _settle(self) -> bool:
        """Solve what follows in closed form, of the trained weights and of their average; whether there is any.

        What needs epochs, too, a constant, is solved for what is evaluated alone. Where other structures are to be
        remembered it is only learned: that of the training part is not theirs.
        """
        alone = not needs_no_epochs(self.model)
        if self.prepared.replay and alone:
            return False
        models = [self.model, self.evaluated] if self.ema and not alone else [self.evaluated]
        p = self.prepared
        solved = [settle(m, p.data, p.split.train, p.names, p.baseline_values or None) for m in models]
        if solved[0]:
            for m in models:
                self.team.same(m)
        return solved[0]

    def _epoch(self) -> None:
        p = self.progress
        pieces = self._pieces(p.epoch)
        self.model.train()
        for batch, own in evaluation.ahead(self._taken, pieces[p.batch :]):
            loss = self._step(batch, own)
            p.loss_sum += loss * len(batch.index)
            p.loss_n += len(batch.index)
            p.batch += 1
            p.step += 1
            done = p.epoch + p.batch / len(pieces)
            self.reporter.progress(f"epoch {p.epoch + 1} of {self.recipe.epochs}", done, self.recipe.epochs)
            if p.batch < len(pieces):
                self._save_if_due()
                self._stop_if_asked()

    def _taken(self, piece: NDArray[np.int64]) -> tuple[Batch, Own]:
        """A batch, and what this process has to do of it."""
        data, names, team = self.data, self.prepared.names, self.team
        batch = data.batch(piece, names)
        part = team.part(batch.graph.atom_counts.numpy())
        return batch, Own(batch if team.size == 1 else data.batch(piece[part], names), part.start)

    def _step(self, batch: Batch, own: Own) -> float:
        rank = self.team.rank
        seed = [self.options.seed, 4, self.progress.step, *([rank] if rank else [])]
        seeds = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        torch.manual_seed(int(seeds[0] >> np.uint64(1)))
        for group in self.optimizer.param_groups:
            group["lr"] = (
                group["factor"]
                * self.recipe.lr
                * self.schedule.factor(self.progress.step)
                * self.progress.plateau.factor
            )
        with joint.sharing() if self.team.size > 1 else nullcontext():
            loss = self._loss(batch, own, self.team)
        value = float(loss.detach())
        if not np.isfinite(value):
            self._fail(batch, "loss")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, inputs=self.weights)  # and not to positions, the leaves of forces
        asked = self.team.size > 1 and self.run.stop.reason() is not None  # one alone asks after the step
        self.asked = self.team.sum_gradients(self.weights, asked)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip or float("inf"))
        if not torch.isfinite(norm):
            self._fail(batch, "gradient")
        self.optimizer.step()
        if self.ema:
            self.ema.update(self.model, self.progress.step)
        return value

    def _loss(self, batch: Batch, own: Own, team: ProcessTeam) -> Tensor:
        device = self.prepared.device
        labels = {k: v.to(device) for k, v in batch.labels.items()}
        baseline_values = evaluation.baseline_values_of(own.batch, self.baseline_values, device)
        whole = batch.graph.to(device)
        graph = whole if own.batch is batch else own.batch.graph.to(device)
        return team.loss(self.model, graph, whole, own.first, labels, self.recipe.loss, baseline_values)

    def _validate(self, seconds: float) -> None:
        p, o = self.progress, self.options
        train_loss, lr = p.loss_sum / p.loss_n, self.optimizer.param_groups[0]["lr"]
        errors: Errors = {}
        recalibrate(self.evaluated, self.prepared.data, self.prepared.split.train)
        self._settle()
        if len(self.prepared.split.val):
            errors = self.validation_errors()
        score = self.team.firsts(validation_score(errors, self.model.spec.statistics) if errors else train_loss)
        p.epoch, p.batch, p.loss_sum, p.loss_n = p.epoch + 1, 0, 0.0, 0
        better = score < p.best
        p.waited = 0 if better else p.waited + 1
        if better or not errors:
            p.best, p.best_epoch = min(score, p.best), p.epoch
            self.best = _copied(self.evaluated)
        self.good = _copied(self.model)
        if not self.best:
            self.run.log(f"validation score {score}")
            raise NumericalFailure("validation gives no number in the first epoch; lower --lr", path=self.run.path)
        if o.schedule == "plateau":
            p.plateau = p.plateau.after(score, o.step_epochs, o.gamma)
        row = {"epoch": p.epoch, "step": p.step, "lr": lr, "train_loss": train_loss, "val_score": score}
        row["seconds"] = round(seconds, 3)
        self.run.metric({**row, "val": {t: e.to_json() for t, e in errors.items()}, "best": better})
        best = better and bool(errors)
        self.reporter.say(epoch_line(row, errors, self.prepared.targets, o.epochs, best=best))

    def validation_errors(self) -> Errors:
        """Errors of every target over the validation part, where it has labels."""
        model = self.evaluated
        model.eval()
        found = evaluation.collect(
            model,
            self.prepared.data,
            np.array_split(self.prepared.split.val, self.team.size)[self.team.rank],
            self.options.size,
            self.prepared.baseline_values or None,
        )
        every = [f for f in self.team.everyones(found) if f]
        joined = {t: evaluation.joined([f[t] for f in every]) for t in every[0]}
        return {t: c.errors() for t, c in joined.items() if c.mask.any()}

    def _save_if_due(self) -> None:
        if self.team.is_first and time.monotonic() - self.saved_at >= self.options.checkpoint_every:
            self.save()

    def _stop_if_asked(self) -> None:
        reason = self.run.stop.reason()
        if self.asked if self.team.size > 1 else reason:
            if self.team.is_first:
                self.save()
            reason = reason or "a signal to another process"
            again = f"go on with: {self.run.again}"
            if self.best and not self.run.inner:
                again += f", or end it with: crystal train --finish {self.run.path}; the best so far can be used"
            raise Stopped(f"stopped by {reason} in epoch {self.progress.epoch + 1}; {again}")

    def _fail(self, batch: Batch, what: str) -> None:
        """Name the structures that break a batch; the step is not applied.

        They are looked for with the weights of the last validation: in the present ones one bad structure may have
        spoiled the statistics of batch norm for all.
        """
        self.model.load_state_dict(self.good)
        self.model.eval()
        bad = [self.data.ids[int(k)] for k in batch.index if not self._finite(int(k))]
        names = bad or [self.data.ids[int(k)] for k in batch.index]
        self.run.write_json("failed-batch.json", {"what": what, "step": self.progress.step, "ids": names})
        raise NumericalFailure(
            f"the {what} of step {self.progress.step} is not a number; structures {', '.join(names[:5])}"
            f"{' …' if len(names) > 5 else ''} (all in failed-batch.json); lower --lr or look at them",
            path=self.run.path,
        )

    @torch.no_grad()
    def _finite(self, structure: int) -> bool:
        batch = self.data.batch(np.array([structure]), self.prepared.names)
        return bool(torch.isfinite(self._loss(batch, Own(batch, 0), ALONE)))

    def _circumstances(self) -> dict[str, Any]:
        """What bits depend on beside what was asked."""
        return checkpoint.circumstances(self.prepared.device, processes=self.team.size)

    def save(self) -> None:
        """Write a training state."""
        tensors = checkpoint.prefixed("model", self.model.state_dict())
        tensors |= checkpoint.prefixed("best", self.best) | checkpoint.optimizer_tensors(self.optimizer)
        if self.ema:
            tensors |= checkpoint.prefixed("ema", self.ema.module.state_dict())
        tensors |= Proof.of(self.model).tensors()
        facts = {"progress": self.progress.to_json(), **self._circumstances()}
        checkpoint.save(self.run.path, self.progress.step, checkpoint.TrainingState(tensors, facts))
        self.saved_at = time.monotonic()

    def restore(self) -> None:
        """Go on from the newest whole state of the run folder; from the beginning if there is none."""
        state, said = checkpoint.newest(self.run.path)
        for line in said:
            self.reporter.warn(line)
        if state is None:
            self.reporter.say("there is no training state yet: it begins anew")
            self.run.trim_metrics(0)
            return
        for line in checkpoint.other_circumstances(state.facts, self._circumstances()):
            self.reporter.warn(line)
        self.model.load_state_dict(checkpoint.under("model", state.tensors))
        proof = Proof.of_tensors({k: v for k, v in state.tensors.items() if k.startswith(PREFIX)})
        if (difference := proof.difference(self.model)) is not None:
            raise NumericalFailure(
                f"the model of its last training state does not say here what it said: {difference.quantity} of its "
                f"test crystals is {difference.size:.2g} off; go on with it where it began, or train anew",
                path=self.run.path,
            )
        if self.ema:
            self.ema.module.load_state_dict(checkpoint.under("ema", state.tensors))
        self.best = {k: v.to(self.prepared.device) for k, v in checkpoint.under("best", state.tensors).items()}
        checkpoint.restore_optimizer(self.optimizer, state.tensors)
        self.progress = Progress.from_json(state.facts["progress"])
        self.good = _copied(self.model)
        self.run.trim_metrics(self.progress.epoch)
