"""What fixes a training run, as plain values that survive a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from crystalcli.contracts.records import Recipe
from crystalcli.mechanisms.models.model_head import file_of
from crystalcli.vocabulary.pictures import DEFAULT
from crystalcli.workflows.hearing import Listener

STEPS, SMALLEST_BATCH = 4, 4
"""Steps that an epoch should have; a batch is not made smaller than that for it."""


@dataclass(frozen=True)
class SplitPlan:
    """How structures are dealt to train, validation and test.

    Args:
        kind: auto, random, stratified, formula, group, element, time.
        fractions: ``train,val,test``.
        file: JSON with lists of ids under train, val, test.
        column: tag that says train, val or test.
        group: tag whose equal values stay together (kind group), or of which every part gets its share (stratified).
        element: symbol; structures that contain it are the test part (kind element).
        folds, fold: k-fold in place of the test fraction; 0 folds is no k-fold.
        gap: frames left out between time blocks; -1 estimates it.
        rounds: how often the pattern of time blocks is repeated in a run; 0 decides by itself.
    """

    kind: str = "auto"
    fractions: str = "0.8,0.1,0.1"
    file: str = ""
    column: str = ""
    group: str = ""
    element: str = ""
    folds: int = 0
    fold: int = 0
    gap: int = -1
    rounds: int = 0


@dataclass(frozen=True)
class StartPlan:
    """From which model a training starts.

    Args:
        model: model file, ensemble or run folder; empty starts from random weights.
        freeze: patterns of names of weights that stay as they are (``architecture.convolutions.0.*``).
        lr_factors: ``PATTERN=FACTOR``: weights that learn more slowly, or faster.
        freeze_norm: auto, yes, no: whether statistics of batch norms stay; auto: for fewer than 200 structures.
        new_head: keep features and architecture only; the head starts anew.
        refit: take means and scales of the labels from the new training part, not from the model.
        keep: the model as it is stays where no epoch is better. Not for members of an ensemble that start from one
            model: those that stayed would be the same.
    """

    model: str = ""
    freeze: tuple[str, ...] = ()
    freeze_norm: str = "auto"
    new_head: bool = False
    refit: bool = False
    lr_factors: tuple[str, ...] = ()
    keep: bool = True


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that fixes a training run.

    Args:
        caches: graph caches, read as one; the split decides.
        train, val, test: caches of the three parts, in place of ``caches``.
        output: run folder.
        latest: let the link ``latest`` beside the run folder lead to it when the run is finished.
        targets: labels to learn; empty takes the only one there is.
        task: auto (words are classes, numbers are numbers), regression, classification (whole numbers are classes).
        featurizer: what the caches must be made with; empty takes any.
        recipe: loss, optimiser, schedule, ….
        fit_batches: make the batches smaller where few structures would give fewer than four steps per epoch.
        momentum: of sgd.
        shuffle_window: structures shuffled among each other, for caches larger than memory; 0: all.
        step_epochs, gamma: of the schedules step and plateau.
        split_seed: of the split; none: ``seed``. Runs of a series share it: only their beginnings differ.
        start: from which model.
        train_size: so many structures of the training part only, drawn by the seed of the split; 0: all.
        compare: architectures trained beside the model with the same recipe, split and seed, in folders below its own.
        member: of an ensemble; from 1 on train and validation are dealt anew, the test part stays.
        baselines: further ones to fit for the report, see
            :mod:`crystalcli.mechanisms.simple_models.extra_baselines`.
        paper_baselines: let the means of elements in the report be of all labels, the test part's too.
        pictures: their formats, see :mod:`crystalcli.vocabulary.pictures`.
        checkpoint_every: seconds between two training states, taken between batches.
        config: table for the folder's config.toml.
    """

    architecture: str
    head: str
    output: str
    caches: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    task: str = "auto"
    architecture_options: Mapping[str, Any] = field(default_factory=dict)
    head_options: Mapping[str, Any] = field(default_factory=dict)
    featurizer: str = ""
    embed_options: Mapping[str, Any] = field(default_factory=dict)
    split: SplitPlan = field(default_factory=SplitPlan)
    recipe: Recipe = field(default_factory=Recipe)
    fit_batches: bool = False
    latest: bool = False
    momentum: float = 0.9
    shuffle_window: int = 0
    step_epochs: int = 10
    gamma: float = 0.5
    seed: int = 0
    split_seed: int | None = None
    start: StartPlan = field(default_factory=StartPlan)
    train_size: int = 0
    compare: tuple[str, ...] = ()
    member: int = 0
    device: str = "auto"
    threads: int = 0
    baselines: tuple[str, ...] = ()
    paper_baselines: bool = False
    pictures: str = DEFAULT
    checkpoint_every: float = 20.0
    overwrite: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> list[Path]:
        """All caches, in the order in which they are read as one."""
        return [Path(p) for p in (*self.train, *self.val, *self.test, *self.caches)]

    @property
    def inputs(self) -> list[Path]:
        """All files that are read: the caches and the model that training starts from."""
        return [*self.paths, *([file_of(Path(self.start.model))] if self.start.model else [])]

    @property
    def seed_of_split(self) -> int:
        """Seed from which the split is drawn."""
        return self.seed if self.split_seed is None else self.split_seed

    def fitted_to(self, structures: int, listener: Listener) -> TrainingPlan:
        """The plan with batches that suit so many training structures; says so if they change."""
        wished = self.recipe.batch_size
        size = min(wished, max(SMALLEST_BATCH, structures // STEPS))
        if not self.fit_batches or size == wished:
            return self
        listener.say(
            f"batch size: {size} instead of {wished}, for {structures} training structures; --batch-size decides"
        )
        table = dict(self.config)
        if "train" in table:
            table["train"] = {**table["train"], "batch_size": size}
        return replace(self, recipe=replace(self.recipe, batch_size=size), fit_batches=False, config=table)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainingPlan:
        """Build from the dictionary of :meth:`to_json`."""
        lists = {k: tuple(data[k]) for k in ("caches", "train", "val", "test", "targets", "compare", "baselines")}
        start = StartPlan(**{**data["start"], **{k: tuple(data["start"][k]) for k in ("freeze", "lr_factors")}})
        parts = {"split": SplitPlan(**data["split"]), "recipe": Recipe(**data["recipe"]), "start": start}
        return cls(**{**data, **lists, **parts})
