"""What ``crystal train`` asks: every option once, for flags, TOML, run.json, help and the trainings in other runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Recipe
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import formats

SPLIT, RECIPE = "Split", "Recipe (defaults suit the architecture)"
START = "Starting from a trained model"
SUITS = Recipe()
"""What suits an architecture that says nothing else."""
CACHE = Path("graphs.h5")
"""Read where no cache is named."""


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """From which model a training starts."""

    from_: Path | None = option(
        None, "model file, ensemble, run folder or name to start from", names=common.MODEL, panel=START
    )
    freeze: tuple[str, ...] = option((), "weights that stay as they are: architecture.embed.*", panel=START)
    lr_factor: tuple[str, ...] = option(
        (), "weights that learn more slowly: features.*=0.1", metavar="PATTERN=FACTOR", panel=START
    )
    freeze_norm: Literal["auto", "yes", "no"] = option(
        "auto", "keep statistics of batch norms; auto: below 200 structures", panel=START
    )
    new_head: bool = option(False, "keep features and architecture only", panel=START)
    refit_normaliser: bool = option(False, "means and scales of the new labels", panel=START)
    replay: tuple[Path, ...] = option(
        (),
        "caches of structures at which the model keeps its answers: they are learned beside the new labels, so that "
        "it forgets less",
        metavar="CACHE",
        panel=START,
    )
    replay_share: float = option(
        1.0, "structures of --replay in a step, times those of the training part", min=0.0, panel=START
    )
    keep_start: bool = option(True, "the model as it is stays where no epoch is better", panel=START)

    def check_start(self) -> None:
        """Refuse what is done to the weights of a model where there is none.

        Raises:
            UsageError: says what.
        """
        asked = {"--freeze": self.freeze, "--new-head": self.new_head, "--refit-normaliser": self.refit_normaliser}
        asked |= {"--replay": bool(self.replay)}
        if self.from_ is None and (said := [name for name, is_asked in asked.items() if is_asked]):
            raise UsageError(f"{said[0]} is about the model that a training starts from; add --from MODEL")
        if self.replay and self.new_head:
            raise UsageError("--replay keeps the answers of a model, and --new-head takes their head away")
        if self.replay and not self.replay_share:
            raise UsageError("--replay with --replay-share 0 learns none of it")


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How structures are dealt to train, validation and test."""

    train: tuple[Path, ...] = option((), "caches of the training part", panel=SPLIT)
    val: tuple[Path, ...] = option((), "caches of the validation part", panel=SPLIT)
    test: tuple[Path, ...] = option((), "caches of the test part", panel=SPLIT)
    split: Literal["auto", "random", "stratified", "formula", "group", "element", "time"] = option(
        "auto",
        "auto: by formula; of few formulas time blocks where frames continue each other, else stratified "
        "(every kind of configuration by its share: composition, size, config_type)",
        panel=SPLIT,
    )
    fractions: str = option("0.8,0.1,0.1", "train,validation,test", panel=SPLIT)
    split_file: Path | None = option(None, "JSON: lists of ids under train, val, test", panel=SPLIT)
    split_column: str = option("", "text column that says train, val or test", panel=SPLIT)
    group: str = option("", "column of words or whole numbers whose equal values stay together", panel=SPLIT)
    kinds: str = option("", "stratified: column that says the kind, of which every part has its share", panel=SPLIT)
    leave_out: str = option("", "element; structures with it are the test part", panel=SPLIT)
    folds: int = option(0, "k-fold: number of folds; 0: none", min=0, panel=SPLIT)
    fold: int = option(0, "k-fold: the test fold, from 0", min=0, panel=SPLIT)
    all_folds: bool = option(False, "k-fold: a run for every fold; mean and spread", panel=SPLIT)
    train_size: int = option(0, "so many training structures only; 0: all", min=0, panel=SPLIT)
    gap: int = option(-1, "frames left out between time blocks; -1: estimated", min=-1, panel=SPLIT)
    rounds: int = option(0, "time blocks: repeats of the pattern in a run; 0: decided", min=0, panel=SPLIT)
    split_seed: int | None = option(None, "seed of the split; default: --seed", min=0, panel=SPLIT)
    member: int = option(
        0, "train and validation dealt anew, as for this member of an ensemble; one test part", min=0, panel=SPLIT
    )

    def check_split(self) -> None:
        """Refuse what would be passed over, because something else says what the parts are.

        Raises:
            UsageError: says what.
        """
        if not self.train and (self.val or self.test):
            # the caches would be read as one, those of the test part among them
            raise UsageError(f"--{'val' if self.val else 'test'} goes with --train: the caches of the training part")
        ways = {
            "--train": bool(self.train),
            "--split-file": self.split_file is not None,
            "--split-column": bool(self.split_column),
            "--leave-out": bool(self.leave_out),
            "--all-folds" if self.all_folds else "--folds" if self.folds else "--fold": self._is_of_folds,
        }
        said = [name for name, is_asked in ways.items() if is_asked]
        if len(said) > 1:
            raise UsageError(f"{said[0]} and {said[1]} both say what the test part is; give one of them")
        if self.leave_out and self.split not in ("auto", "element"):
            raise UsageError(f"--leave-out and --split {self.split} both say what the test part is; give one of them")
        if self.group and (self.split_file is not None or self.split_column or (self.train and self.val)):
            raise UsageError(f"{said[0]} says what all parts are; --group keeps nothing together there")
        if self.group and self.split not in ("auto", "group", "element"):
            cure = f"; --split stratified --kinds {self.group} gives every part its share of each"
            raise UsageError(
                f"--split {self.split} does not keep equal values of --group together; --split group does"
                f"{cure if self.split == 'stratified' else ''}"
            )
        if self.kinds and (wrong := self._beside_kinds(said)):
            raise UsageError(f"--kinds is about --split stratified; it does not go with {wrong}")
        if self.all_folds and self.folds < 2:
            raise UsageError("--all-folds needs their number: --folds 5")
        if self.fold and not self.folds:
            raise UsageError("--fold needs the number of folds: --folds 5")
        if self.folds and self.fold >= self.folds:
            raise UsageError(
                f"--fold {self.fold} is not one of 0 … {self.folds - 1}, the folds of --folds {self.folds}"
            )

    def _beside_kinds(self, said: Sequence[str]) -> str:
        """What else says how structures are dealt, and knows no kinds; empty if nothing does."""
        if self.split not in ("auto", "stratified"):
            return f"--split {self.split}"
        return "--group" if self.group else next((s for s in said if "--fold" not in s and s != "--all-folds"), "")

    @property
    def _is_of_folds(self) -> bool:
        return self.all_folds or self.folds > 0 or self.fold > 0


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """How the weights are found."""

    loss: Literal["l1", "mse", "huber"] = option(SUITS.loss, "loss", panel=RECIPE)
    optimizer: Literal["adam", "adamw", "muon", "sgd"] = option(
        SUITS.optimizer, "optimizer; muon: orthogonal steps for hidden layers, adamw for the rest", panel=RECIPE
    )
    lr: float | None = option(
        None,
        "peak learning rate; default: what suits the architecture, a fifth of it or less with --from",
        min=0.0,
        panel=RECIPE,
    )
    momentum: float = option(0.9, "of sgd", min=0.0, max=1.0, panel=RECIPE)
    shuffle_window: int = option(
        0, "structures shuffled at a time, for caches larger than memory; 0: all", min=0, panel=RECIPE
    )
    weight_decay: float = option(SUITS.weight_decay, "weight decay", min=0.0, panel=RECIPE)
    batch_size: int | None = option(
        None,
        "structures per step; default: what suits the architecture, fewer where structures are few",
        min=1,
        panel=RECIPE,
    )
    epochs: int = option(
        SUITS.epochs, "epochs; 0: only what is solved in closed form; 0 with --from: only test", min=0, panel=RECIPE
    )
    schedule: Literal["constant", "plateau", "cosine", "one-cycle", "step"] = option(
        SUITS.schedule, "learning-rate schedule", panel=RECIPE
    )
    step_epochs: int = option(10, "epochs to a drop of step, or without gain of plateau", min=1, panel=RECIPE)
    gamma: float = option(0.5, "factor of a drop (step, plateau)", min=0.0, max=1.0, panel=RECIPE)
    clip: float = option(SUITS.clip, "largest gradient norm; 0: any", min=0.0, panel=RECIPE)
    ema: float = option(SUITS.ema, "decay of the weight average; 0: none", min=0.0, max=0.999999, panel=RECIPE)
    patience: int = option(SUITS.patience, "stop after so many epochs without gain; 0: never", min=0, panel=RECIPE)
    residual_of: Literal["auto", "none", "mean", "elements", "pairs"] = option(
        SUITS.residual_of,
        "baseline that the model corrects; auto: that with the least leave-one-out error",
        panel=RECIPE,
    )
    baseline: tuple[str, ...] = option(
        (),
        "fit this for the report, too: krr (sine Coulomb matrices), boosting (compositions; scikit-learn)",
        metavar="NAME[:OPTION=VALUE,…]",
        panel=RECIPE,
    )
    paper_baselines: bool = option(
        False, "site values: means of elements from all labels, the test part's too, as published", panel=RECIPE
    )
    checkpoint_every: float = option(20.0, "seconds between two training states", min=0.0, panel=RECIPE)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(StartOptions, RecipeOptions, SplitOptions):
    """Everything that ``crystal train`` asks; ``caches`` are resolved as it is made.

    Raises:
        UsageError: no such format of pictures.
    """

    caches: tuple[Path, ...] = option((), f"graph caches, read as one; default {CACHE}", argument=True)
    arch: str = option("", "architecture", names="architecture")
    head: str | None = option(None, "head; default: the architecture's", names="head")
    featurizer: str | None = option(None, "what made the caches", names="featurizer")
    target: tuple[str, ...] = option((), "label (or text column) to learn; several times for several")
    task: Literal["auto", "regression", "classification"] = option(
        "auto", "auto: words are classes, numbers are numbers; classification: whole numbers are classes"
    )
    seeds: int = option(1, "train so many times, from --seed upwards, on one split; mean and spread", min=1)
    ensemble: int = option(0, "train so many members, each on its own train/validation split, as one model", min=0)
    learning_curve: str = option(
        "", "train with so many structures each, one test part; with --from both ways", metavar="60,250,…"
    )
    compare: tuple[str, ...] = option(
        (),
        "train this architecture beside the model: same recipe, split, seeds; several times for several;"
        " default: what the head is measured by",
        names="architecture",
    )
    no_compare: bool = option(False, "train nothing beside the model")
    seed: int = common.seed()
    log: tuple[str, ...] = common.log()
    device: str = common.device()
    threads: int = common.threads()
    pictures: str = common.pictures()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", ",".join(formats(self.pictures)))
        if not self.caches and not self.train:
            object.__setattr__(self, "caches", (CACHE,))

    @property
    def paths(self) -> list[Path]:
        """All caches, in the order in which they are read as one."""
        return [*self.train, *self.val, *self.test, *self.caches]

    @property
    def seed_of_split(self) -> int:
        """Seed from which the split is drawn; runs of a series share it: only their beginnings differ."""
        return self.seed if self.split_seed is None else self.split_seed

    @property
    def recipe(self) -> Recipe:
        """The recipe alone, of a training that knows its learning rate and how large its batches are."""
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe)})

    @property
    def size(self) -> int:
        """Structures per step, once that is known."""
        assert self.batch_size is not None
        return self.batch_size

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: says what.
        """
        self.check_start()
        self.check_split()
        if self.compare and self.no_compare:
            raise UsageError("--compare and --no-compare contradict each other")
        if self.compare and self.from_ is not None:
            raise UsageError("--compare trains from nothing, --from does not: their errors would not be comparable")
        if self.ensemble and self.seeds > 1:
            raise UsageError("--ensemble and --seeds do not go together: members are other seeds already")
        if self.ensemble == 1:
            raise UsageError("an ensemble has two members or more")
        if self.learning_curve:
            beside = {"--compare": self.compare, "--baseline": self.baseline, "--train-size": self.train_size}
            if asked := [name for name, is_asked in beside.items() if is_asked]:
                raise UsageError(f"--learning-curve and {asked[0]} do not go together")
        if not self.all_folds:
            return
        others = {"--fold": self.fold > 0, "--seeds": self.seeds > 1, "--ensemble": self.ensemble > 0}
        others["--learning-curve"] = bool(self.learning_curve)
        if asked := [name for name, is_asked in others.items() if is_asked]:
            raise UsageError(f"--all-folds and {asked[0]} do not go together")

    @property
    def is_one(self) -> bool:
        """Whether it is one training, not several."""
        return self.seeds == 1 and not self.ensemble and not self.all_folds and not self.learning_curve
