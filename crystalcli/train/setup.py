"""From a request to everything that a training loop needs: data, split, statistics, baselines, model."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.records import Statistics
from crystalcli.contracts.request import Request
from crystalcli.engine.data import frames, leaks
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.normalisers import (
    isolated_atoms,
    target_statistics,
    with_force_per_area,
    with_references,
    with_shortest,
)
from crystalcli.engine.data.splits import Split
from crystalcli.engine.evaluate.evaluation import BaselineValues
from crystalcli.engine.model.derivatives import DERIVED
from crystalcli.engine.model.model import CrystalModel, refuse_mixed_sizes
from crystalcli.engine.model.model_fields import fields_of, recipe_of_model
from crystalcli.engine.model.model_inputs import inputs_of, take_from_cache
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.model.taught import Taught
from crystalcli.engine.run.devices import choose_device
from crystalcli.train.baseline import BaselineFit, fitted
from crystalcli.train.choice import architecture, head, options_of, spec_of
from crystalcli.train.kept_structures import give_witnesses
from crystalcli.train.labels import check_values, choose_targets, labelled
from crystalcli.train.material import Material
from crystalcli.train.options import SplitOptions, TrainOptions
from crystalcli.train.recomputed import needs_no_epochs
from crystalcli.train.replay import Replay, replayed
from crystalcli.train.same_targets import conversions, converted, matched, renamings
from crystalcli.train.split import choose
from crystalcli.train.start import started
from crystalcli.train.transfer import refuse_other_graphs
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class Prepared:
    """What training starts from.

    Args:
        options: what was asked.
        said: what was said of the targets.
        fit: the baselines of the split; none of those of a model that is trained on.
        baseline_values: values of the baselines for all structures, by target; NaN where not needed.
        replay: what a model that is trained on is not to forget.
        before: what taught a model that is trained on.
    """

    options: TrainOptions
    data: GraphDataset
    ids: Sequence[str]
    targets: tuple[Quantity, ...]
    said: tuple[str, ...]
    split: Split
    leaks: tuple[leaks.Leak, ...]
    fit: BaselineFit
    baseline_values: BaselineValues
    model: CrystalModel
    device: torch.device
    replay: Replay | None = None
    before: Taught = field(default_factory=Taught)

    @property
    def taught(self) -> Taught:
        """What trains or validates the model, and what did before."""
        parts = np.concatenate([self.split.train, self.split.val])
        return self.before | Taught.by(self.data.structure_hashes()[parts])

    @property
    def names(self) -> list[str]:
        """Names of the targets."""
        return [q.name for q in self.targets]

    @property
    def n_parameters(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


def prepare(request: Request, reporter: Reporter, shared: Prepared | None = None, device: str = "") -> Prepared:
    """Open, split, fit the baselines and build the model.

    Args:
        request: what is asked.
        reporter: hears of it.
        shared: another training on the same caches and targets: they are not read again, nor are they split or
            their baselines fitted again where the split is the same.
        device: in place of that of the request.

    Raises:
        UsageError: labels, split or parts that cannot work; before anything is written.
    """
    o: TrainOptions = request.options
    where = shared.device if shared else choose_device(device or o.device)
    data = shared.data if shared else GraphDataset.open(o.paths)
    made_by = data.recipe.featurizer
    if o.from_ is not None:
        refuse_other_graphs(o.from_, data.recipe, o.paths[0])
    if o.featurizer and o.featurizer != made_by:
        cure = f"add --featurizer {made_by}, or build it with crystal build-graphs --featurizer {o.featurizer}"
        raise UsageError(f"was built with featurizer '{made_by}'; {cure}", path=o.paths[0])
    targets, said = _targets(request, data, shared)
    data = converted(data, targets)
    for line in said:
        reporter.say(line)
    usable = labelled(data, targets, reporter)
    ids = data.ids
    if shared is not None and _dealt_alike(shared.options, o):
        split, found = shared.split, shared.leaks
    else:
        split = choose(Material(data, usable, values_of(data, targets[0]), ids), o)
        found = tuple(look_for_leaks(data, ids, split))
    derived = DERIVED if "energy" in head(request).provides else ()
    _say_split(data, targets, split, found, reporter, derived)
    fit = BaselineFit()
    known: tuple[int, ...] = ()
    before = Taught()
    if o.from_ is not None:
        start = started(request, data, targets, split, reporter)
        model, baseline_values = start.model, start.baseline_values
        known, before = start.known, start.taught
    else:
        fit = fitted(request, data, targets, split, shared.fit if shared and split is shared.split else None)
        model, baseline_values = _model(request, data, targets, split, fit, reporter), fit.values
        if not o.epochs and not needs_no_epochs(model):
            raise UsageError("--epochs 0 trains nothing; it goes with --from MODEL")
    _give_inputs(data, model, reporter)
    give_witnesses(model, data, split.train)
    model = model.to(where)
    replay = replayed(o, data, model, known, reporter) if o.replay else None
    return Prepared(o, data, ids, targets, said, split, found, fit, baseline_values, model, where, replay, before)


def _say_split(
    data: GraphDataset,
    targets: Sequence[Quantity],
    split: Split,
    found: Sequence[leaks.Leak],
    reporter: Reporter,
    derived: Sequence[str],
) -> None:
    """Say what the parts are, and what is wrong with them.

    Raises:
        UsageError: nothing to learn in the training part.
    """
    sizes = ", ".join(f"{len(p)} {n}" for n, p in split.parts().items())
    reporter.say(f"split: {sizes}; {split.how}")
    _say_leaks(found, split, reporter)
    _warn_of_elements(data, split, reporter)
    for q in targets:
        check_values(data, q, split, data.ids, reporter, derived=q.name in derived)
    forces = [q.name for q in targets if q.level == "site" and q.shape == (3,) and q.meaning != "position"]
    for line in frames.poor_parts(data, split, forces):
        reporter.warn(line)


def _targets(
    request: Request, data: GraphDataset, shared: Prepared | None
) -> tuple[tuple[Quantity, ...], tuple[str, ...]]:
    """What is learned, and what is to be said of it; columns of ``data`` that are classes are numbers from here on.

    All weights of a model go on in its order of targets, whatever the order that is asked for.
    """
    o: TrainOptions = request.options
    if shared is not None:
        found, said = shared.targets, list(shared.said)
    else:
        said = []
        learner = head(request)
        wished = o.target or (() if learner.learns else _of_start(o, data))
        if wished and not o.target and len(data.columns) > 1:
            said.append(f"targets: {', '.join(wished)}, as the model's")
        found = choose_targets(data, wished, o.task, learner, o.paths[0], Reporter(said.append))
    if o.from_ is None or o.new_head or (shared is not None and shared.options.from_ is not None):
        return found, tuple(said)
    known = [Quantity.from_json(q) for q in spec_of(o.from_)["targets"]]
    asked, found = found, matched(known, found)
    return found, (*said, *renamings(known, found), *conversions(asked, found))


def _of_start(o: TrainOptions, data: GraphDataset) -> tuple[str, ...]:
    """The targets of the model that the training starts from, where it keeps its head and the caches have them all."""
    if o.from_ is None or o.new_head:
        return ()
    names = tuple(q["name"] for q in spec_of(o.from_)["targets"])
    return names if all(n in data.columns or n in data.tags for n in names) else ()


def _dealt_alike(one: TrainOptions, other: TrainOptions) -> bool:
    """Whether two trainings on the same caches have the same split."""
    names = [f.name for f in fields(SplitOptions) if f.name != "split_seed"]
    same = all(getattr(one, n) == getattr(other, n) for n in names)
    return same and one.seed_of_split == other.seed_of_split


def _model(
    request: Request,
    data: GraphDataset,
    targets: tuple[Quantity, ...],
    split: Split,
    fit: BaselineFit,
    reporter: Reporter,
) -> CrystalModel:
    """A model with fresh weights on its baselines."""
    for line in fit.said:
        reporter.say(line)
    o: TrainOptions = request.options
    names, chosen = [q.name for q in targets], head(request)
    terms = deepcopy(dict(fit.baselines))  # each model moves and saves its own
    statistics = target_statistics(data, names, split.train, fit.values)
    spec = ModelSpec(
        graph=PartChoice(data.recipe.featurizer, data.recipe.options),
        embedding=PartChoice(data.recipe.featurizer, options_of(request, "featurizer")),
        architecture=PartChoice(architecture(request).name, options_of(request, "arch")),
        head=PartChoice(chosen.name, options_of(request, "head")),
        targets=targets,
        statistics=_of_atoms(statistics, data, split, reporter) if "energy" in chosen.provides else statistics,
    ).with_baselines(terms)
    torch.manual_seed(o.seed)
    model = CrystalModel(spec, terms)
    refuse_mixed_sizes(model, data.atom_counts())
    return model


def _give_inputs(data: GraphDataset, model: CrystalModel, reporter: Reporter) -> None:
    """Let the batches hold what the model reads beside graphs.

    Raises:
        UsageError: no structure says it, or the cache was built without a per-site field.
    """
    if said := data.recipe.misses(recipe_of_model(model.spec)):
        wanted = ",".join(fields_of(model.spec))
        raise UsageError(
            f"was not built as the model needs it: {said}; build it with crystal build-graphs --fields {wanted}",
            path=data.caches[0].path,
        )
    for name, missing in take_from_cache(data, inputs_of(model.spec)).items():
        if missing == len(data):
            raise UsageError(
                f"no structure has a label '{name}', which head '{model.spec.head.name}' reads; the caches have "
                f"{', '.join(data.columns)}; labels are taken by crystal build-graphs --targets"
            )
        reporter.say(f"{missing} of {len(data)} structures do not say their '{name}'; it is taken as 0")


def _of_atoms(statistics: Statistics, data: GraphDataset, split: Split, reporter: Reporter) -> Statistics:
    """What a head with energies of atoms may know, too."""
    if "energy" in data.columns and (pinned := isolated_atoms(data, split.train)):
        symbols = ", ".join(chemical_symbols[z] for z in sorted(pinned))
        reporter.say(f"energies of {symbols} in the references: those of isolated atoms, which training has")
    for more in (with_references, with_force_per_area, with_shortest):
        statistics = more(statistics, data, split.train)
    return statistics


def _say_leaks(found: Sequence[leaks.Leak], split: Split, reporter: Reporter) -> None:
    common = leaks.shared_by_all(found, split)
    if common:
        words = " and ".join({"formula": "formulas", "run": "runs"}[k] for k in common)
        reporter.say(f"leak: all parts share their {words}; the test error tells nothing of others")
    for leak in found:
        if leak.kind not in common:
            (reporter.warn if leak.kind in ("structure", "copy") else reporter.say)(f"leak: {leak.line()}")


def look_for_leaks(data: GraphDataset, ids: Sequence[str], split: Split) -> list[leaks.Leak]:
    """Copies, formulas and runs that two parts share; runs only where frames of one file are few materials."""
    formulas = leaks.numbered(data.formulas())
    every = np.concatenate(list(split.parts().values()))
    exact = leaks.numbered(data.structure_hashes())
    keys = {"structure": exact, "copy": leaks.shapes(data, every), "formula": formulas}
    files, _ = data.runs()
    runs = leaks.numbered(files)
    if len(np.unique(formulas)) * 10 <= len(data) and len(np.unique(runs)) * 10 <= len(data):
        keys["run"] = runs
    found = leaks.find(split, ids, keys)
    exact_parts = {x.parts: x.n for x in found if x.kind == "structure"}
    return [x for x in found if x.kind != "copy" or x.n > exact_parts.get(x.parts, 0)]


def values_of(data: GraphDataset, quantity: Quantity) -> NDArray[np.float64]:
    """A number for every structure, (S,), where the label is one; else NaN."""
    if quantity.level != "structure" or quantity.shape:
        return np.full(len(data), np.nan)
    column = data.columns[quantity.name]
    return np.where(column.mask, column.values, np.nan)


def _warn_of_elements(data: GraphDataset, split: Split, reporter: Reporter) -> None:
    known = set(data.elements(split.train))
    for name in ("val", "test"):
        part = split.parts()[name]
        new = [chemical_symbols[z] for z in data.elements(part) if z not in known] if len(part) else []
        if new:
            reporter.warn(f"elements of the {name} part that training never sees: {', '.join(new)}")


def split_facts(prepared: Prepared) -> dict[str, Any]:
    """How the data were split, and into how many."""
    said = prepared.split.to_json(prepared.ids)
    sizes = {n: len(p) for n, p in prepared.split.parts().items()}
    return {"how": said["how"], "sha256": said["sha256"], "sizes": sizes}
