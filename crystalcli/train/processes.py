"""Processes that train one model together, as torchrun starts them; alone without it.

The batch is the same as that of one process; each process works on a part of its structures (contiguous, of about
equal numbers of atoms). Predictions are brought together before the loss, so that every head computes its loss of the
whole batch, with whatever masks and weights it has; gradients are summed. One sum of one flat tensor a step does all
of it for models of a few megabytes, and knows what torch's DistributedDataParallel, which averages the gradients of
losses computed apart, does not: how many labels the others have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crystalcli.contracts.modules import Labels, Prediction
from crystalcli.contracts.nn import joint
from crystalcli.engine.model.model import CrystalModel
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import EnvironmentProblem, InputError, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessTeam:
    """This process and the others.

    Args:
        rank: number of this one; the first, 0, writes and speaks. size: how many they are.
        local: number of this one on its machine, that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def device(self, wish: str) -> str:
        """The word for the device of this process: on several GPUs each has its own.

        Raises:
            UsageError: one GPU for all.
        """
        if self.size == 1:
            return wish
        if wish not in ("auto", "cpu", "cuda"):
            raise UsageError(f"--device {wish} is one for {self.size} processes; use auto, cpu or cuda")
        gpu = torch.cuda.is_available() if wish == "auto" else wish == "cuda"
        return f"cuda:{self.local}" if gpu else "cpu"

    def part(self, sizes: NDArray[np.int64]) -> slice:
        """Which structures of a batch, whose numbers of atoms are ``sizes``, this process works on."""
        return slice(0, len(sizes)) if self.size == 1 else cuts(sizes, self.size)[self.rank]

    def everyones(self, mine: T) -> list[T]:
        """What each of the processes has, in order."""
        if self.size == 1:
            return [mine]
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, mine)
        return found

    def firsts(self, mine: T) -> T:
        """What the first process has."""
        return self.everyones(mine)[0]

    def same(self, module: nn.Module) -> None:
        """Let weights and buffers be those of the first process."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                torch.distributed.broadcast(tensor, 0)

    def sum_gradients(self, weights: Sequence[nn.Parameter], mine: bool) -> bool:
        """Sum the gradients over the processes; whether ``mine`` is true in any of them.

        A weight without a gradient in all of them has none afterwards; one sum for each type of number.
        """
        if self.size == 1:
            return mine
        heard = False
        for dtype in dict.fromkeys(w.dtype for w in weights):
            some = [w for w in weights if w.dtype == dtype]
            known = torch.tensor([float(w.grad is not None) for w in some] + [float(mine)], dtype=dtype)
            pieces = [torch.zeros_like(w) if w.grad is None else w.grad for w in some]
            flat = torch.cat([known.to(some[0].device), *(p.reshape(-1) for p in pieces)])
            torch.distributed.all_reduce(flat)
            said = flat[: len(known)].tolist()
            heard |= said[-1] > 0
            summed = torch.split(flat[len(known) :], [w.numel() for w in some])
            for w, n, piece in zip(some, said[:-1], summed, strict=True):
                w.grad = piece.view_as(w) if n else None
        return heard

    def loss(
        self,
        model: CrystalModel,
        own: CrystalGraph,
        whole: CrystalGraph,
        first: int,
        labels: Mapping[str, Labels],
        kind: str,
        baseline_values: Mapping[str, Tensor] | None,
    ) -> Tensor:
        """Loss of the whole batch, with gradients for what this process predicts of it.

        Args:
            model: the model.
            own: structures of this process.
            whole: structures of the batch.
            first: number of the first own structure in the batch.
            labels: of the batch.
            kind: of the loss.
            baseline_values: values of the baselines of this process' structures.
        """
        if self.size == 1:
            return model.loss(own, labels, kind, baseline_values)[1]
        predictions = self._together(model(own, baseline_values), whole, first)
        loss = model.answers.loss(model.head.loss(predictions, labels, whole, kind))
        penalty = getattr(model.architecture, "penalty", None)
        if penalty is not None:
            found = penalty()
            loss = loss + found / self.size + (found * (1.0 - 1.0 / self.size)).detach()  # its gradient counts once
        return joint.anchor(loss)

    def _together(
        self, predictions: Mapping[str, Prediction], whole: CrystalGraph, first: int
    ) -> dict[str, Prediction]:
        """Predictions for the whole batch: our own, and those of the others, which are numbers to us."""
        atoms = int(whole.atom_counts[:first].sum())
        places = {
            "structure": (first, whole.n_structures),
            "site": (atoms, whole.n_atoms),
            "edge": (int(whole.row_pointers[atoms]), whole.n_edges),
        }

        def joined(p: Prediction) -> Prediction:
            tensors = {k: v for k, v in p.__dict__.items() if isinstance(v, Tensor)}
            every: dict[str, Any] = {k: _among_all(v, *places[p.quantity.level]) for k, v in tensors.items()}
            return replace(p, **every)

        return {name: joined(p) for name, p in predictions.items()}


ALONE = ProcessTeam()


def cuts(sizes: NDArray[np.int64], n: int) -> list[slice]:
    """Cut structures with so many atoms into n runs of about equal numbers of atoms, none of them empty.

    Raises:
        UsageError: fewer structures than runs.
    """
    if len(sizes) < n:
        raise UsageError(f"a batch of {len(sizes)} structures is too small for {n} processes; start fewer")
    ends = np.cumsum(sizes)
    edges = [0]
    for k in range(1, n):
        wished = int(np.searchsorted(ends, ends[-1] * k / n)) + 1
        edges.append(min(max(wished, edges[-1] + 1), len(sizes) - (n - k)))
    return [slice(a, b) for a, b in pairwise([*edges, len(sizes)])]


@contextmanager
def gathered(device: str) -> Iterator[ProcessTeam]:
    """The team that torchrun started; :data:`ALONE` without it.

    Raises:
        EnvironmentProblem: the processes do not find each other.
    """
    team = started_by_torchrun()
    if team.size == 1:
        yield team
        return
    word = team.device(device)
    if word != "cpu":
        torch.cuda.set_device(torch.device(word))
    try:
        with speaking(team):
            with watched(team):
                torch.distributed.init_process_group("gloo" if word == "cpu" else "nccl")
            yield team
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextmanager
def speaking(team: ProcessTeam) -> Iterator[None]:
    """Inside, what all processes refuse is said by the first one, and the others end with it."""
    try:
        yield
    except (UsageError, InputError) as problem:
        if team.is_first:
            raise
        raise SystemExit(int(problem.exit_code)) from problem


@contextmanager
def watched(team: ProcessTeam) -> Iterator[None]:
    """Inside, the loss of another process is an error of one line.

    Raises:
        EnvironmentProblem: another process is gone.
    """
    try:
        yield
    except RuntimeError as problem:
        if team.size == 1 or not _is_loss(problem):
            raise
        raise EnvironmentProblem(
            f"process {team.rank} of {team.size} lost another one; crystal train --resume goes on from the last state"
        ) from problem


def _is_loss(problem: RuntimeError) -> bool:
    """Whether an error comes from the connection to the other processes; gloo says it in words only."""
    words = ("gloo", "NCCL", "onnection", "peer")
    return isinstance(problem, torch.distributed.DistError) or any(w in str(problem) for w in words)


def started_by_torchrun() -> ProcessTeam:
    """Who this process is, as torchrun says."""
    said = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID")]
    if not all(said):
        return ALONE
    return ProcessTeam(int(said[0]), int(said[1]), int(said[2]))


def _among_all(own: Tensor, start: int, n: int) -> Tensor:
    """All n rows of a batch, of which ours begin at ``start``."""
    every = own.new_zeros(n, *own.shape[1:])
    every[start : start + len(own)] = own.detach()
    torch.distributed.all_reduce(every)
    return torch.cat([every[:start], own, every[start + len(own) :]])
