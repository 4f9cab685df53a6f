"""A campaign's plan read from a TOML file; every key is checked before anything is done."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from crystalcli.contracts import options as opt
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import config
from crystalcli.engine.run.stopping import seconds
from crystalcli.screen.options import (
    FEWEST,
    FLAGS,
    GIVEN,
    KINDS,
    Commanded,
    Energies,
    ScreenOptions,
    Settings,
    TrainingTable,
)
from crystalcli.screen.plan import CampaignPlan, References, StagePlan
from crystalcli.screen.recipe import dealt
from crystalcli.screen.stage_energies import energy_request
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.thresholds import Threshold

TABLES = ("references", "training")


def read(path: Path, candidates: Sequence[str], call: ScreenOptions) -> CampaignPlan:
    """Read and check a plan.

    Args:
        path: the TOML file.
        candidates: of the command line; they take the place of the plan's.
        call: how it is run.

    Raises:
        UsageError: unknown keys, values that make no sense, no candidates or no stages; names the file.
    """
    plan = _read(path, candidates, call)
    if not plan.candidates:
        raise UsageError('no candidates; name them on the command line or as candidates = ["FILES"]', path=path)
    return plan


def commands(path: Path) -> list[tuple[str, str]]:
    """All that the plan in a file has run, as (stage, or training; what).

    Raises:
        UsageError: as :func:`read`, but that candidates may be named elsewhere.
    """
    return _read(path, (), ScreenOptions()).commands


def _read(path: Path, candidates: Sequence[str], call: ScreenOptions) -> CampaignPlan:
    layer = config.read(path)
    try:
        return _plan(dict(layer.data), candidates, call)
    except UsageError as problem:
        if problem.path is None:
            raise UsageError(problem.reason, path=path) from problem
        raise


def _plan(data: dict[str, Any], candidates: Sequence[str], call: ScreenOptions) -> CampaignPlan:
    inputs = list(candidates) or _texts(data, "candidates")
    data.pop("candidates", None)
    kappas = data.pop("kappas", [])
    if not isinstance(kappas, list) or not all(_is_number(k) and k >= 0 for k in kappas):
        raise UsageError("kappas must be a list of numbers ≥ 0")
    stages = data.pop("stages", [])
    if not isinstance(stages, list) or len(stages) < 2 or not all(isinstance(s, dict) for s in stages):
        raise UsageError("a campaign has two [[stages]] or more")
    tables = {name: data.pop(name, {}) for name in TABLES}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"'{name}' must be a table, [{name}]")
    training, parts = _training(tables["training"])
    plan = CampaignPlan(
        candidates=tuple(inputs),
        settings=opt.make(Settings, data, owner="the plan"),
        training=training,
        stages=tuple(_stage(dict(s), number) for number, s in enumerate(stages, 1)),
        references=_references(tables["references"]),
        part_options=dealt(parts, training.arch),
        kappas=tuple(float(k) for k in kappas),
        call=call,
    )
    _check(plan)
    return plan


def _check(plan: CampaignPlan) -> None:
    twice = [n for n, k in Counter(s.name for s in plan.stages).items() if k > 1]
    if twice:
        raise UsageError(f"two stages are called '{twice[0]}'")
    if not any(plan.costs):
        raise UsageError("a stage needs a cost above 0")
    last = plan.stages[-1]
    if last.kind == GIVEN:
        raise UsageError(f"the last stage ('{last.name}') gives the final energies; it cannot be given = true")
    s = plan.settings
    if (first := s.sizes[0]) < FEWEST:
        raise UsageError(
            f"train = {s.train} in {s.rounds} rounds: an ensemble cannot be trained on the {first} of the first; "
            f"say train = {FEWEST * s.rounds} or more, or fewer rounds"
        )
    if plan.kappas and Threshold.parse(plan.settings.threshold).kind != "sigma":
        raise UsageError("kappas needs a threshold in sigma")
    replayed = all(s.kind in ("file", GIVEN) for s in plan.stages)
    if plan.kappas and not replayed:
        raise UsageError("kappas needs data that hold all stages: every stage with file or given")
    _check_learning(plan)
    references = plan.references
    if plan.counted_from_elements and not references.energies and not references.elements:
        name = plan.stages[plan.counted_from_elements[-1]].name
        raise UsageError(
            f"stage '{name}' gives total energies: [references] must say what the elements have, as a table "
            '(Cu = -3.72, eV/atom) or as structures (elements = ["FILES"]); or say formation = true'
        )
    plan.rule()


def _check_learning(plan: CampaignPlan) -> None:
    last = plan.stages[-1]
    for key, value in (("from", last.start), ("learn", last.learn)):
        if value:
            raise UsageError(f"stage '{last.name}' is the last: no ensemble is trained for it; leave out {key}")
    for k, stage in enumerate(plan.stages[:-1]):
        if stage.kind == GIVEN and plan.learns_difference(k):
            raise UsageError(
                f"stage '{stage.name}' gives no energies to learn the difference from; say learn = \"energy\" there"
            )
        if plan.learns_difference(k) and plan.has_final_energies(k):
            raise UsageError(
                f"stage '{stage.name}' has the final energies already, those of '{last.name}': there is no difference "
                'to learn; leave one of them out, or say learn = "energy" there'
            )


def _training(table: dict[str, Any]) -> tuple[TrainingTable, dict[str, Any]]:
    parts = {k: v for k, v in table.items() if isinstance(v, dict)}
    flat = {k: v for k, v in table.items() if k not in parts and k != "from"}
    if "start" in flat:
        raise UsageError("[training] has no key 'start'; the model that training starts from is called from")
    if "from" in table:
        flat["start"] = _path(table["from"])
    flat["arch"] = flat.get("arch") or registry().default("architecture")
    return opt.make(TrainingTable, flat, owner="[training]"), parts


def _references(table: dict[str, Any]) -> References:
    energies = {k: v for k, v in table.items() if k in chemical_symbols}
    rest = {k: v for k, v in table.items() if k not in energies}
    known = ("elements", "phases", "label", "cif_column")
    for key in rest:
        if key not in known:
            raise UsageError(f"[references] has no key '{key}', which is no element either; {did_you_mean(key, known)}")
    wrong = [k for k, v in energies.items() if not _is_number(v)]
    if wrong:
        raise UsageError(f"[references] {wrong[0]} must be a number, eV/atom")
    label, column = rest.get("label", References.label), rest.get("cif_column", "")
    for key, value in (("label", label), ("cif_column", column)):
        if not isinstance(value, str):
            raise UsageError(f"[references] {key} must be a text")
    numbers = {k: float(v) for k, v in energies.items()}
    return References(numbers, tuple(_texts(rest, "elements")), tuple(_texts(rest, "phases")), label, column)


def _stage(table: dict[str, Any], number: int) -> StagePlan:
    name = table.pop("name", f"stage{number}")
    if not isinstance(name, str) or not name or not all(c.isalnum() or c in "_-" for c in name):
        raise UsageError(f"stage {number}: its name must be of letters, digits, - and _")
    owner = f"stage '{name}'"
    cost = table.pop("cost", None)
    if not _is_number(cost) or cost < 0:
        raise UsageError(f"{owner} needs a cost: what one structure costs, a number ≥ 0")
    kinds = [k for k in KINDS if k in table]
    if len(kinds) != 1:
        raise UsageError(f"{owner} needs one of {', '.join(KINDS)}" + (f", not {' and '.join(kinds)}" if kinds else ""))
    kind = kinds[0]
    if kind in FLAGS:
        if table.pop(kind) is not True:
            raise UsageError(f"{owner}: {kind} can be true only")
        source: tuple[str, ...] = ()
    elif kind == "file":
        source = tuple(_texts(table, "file"))
        table.pop("file")
    else:
        source = (table.pop(kind),)
        if not isinstance(source[0], str) or not source[0].strip():
            raise UsageError(f"{owner}: {kind} must be a text")
        source = (_path(source[0]),) if kind == "potential" else source
    start, learn = _path(table.pop("from", "")), table.pop("learn", "")
    if learn:
        opt.make(TrainingTable, {"learn": learn}, owner=owner)
    parts = {k: table.pop(k) for k in list(table) if isinstance(table[k], dict)}
    if parts and kind != "potential":
        raise UsageError(f"{owner}: table '{next(iter(parts))}' belongs to no part of it")
    if kind == "potential":
        table["relaxer"] = table.get("relaxer") or registry().default("relaxer")
    options: Any = opt.make(KINDS[kind], table, owner=owner)
    _check_stage(options, owner, source)
    return StagePlan(name, float(cost), kind, source, options, parts, start, learn)


def _check_stage(options: Any, owner: str, source: tuple[str, ...]) -> None:
    if isinstance(options, Energies):
        try:
            energy_request(options)
        except UsageError as problem:
            raise UsageError(f"{owner}: {problem.reason}") from problem
    if not isinstance(options, Commanded):
        return
    seconds(options.timeout)
    missing = [w for w in ("{input}", "{output}") if w not in source[0]]
    if missing:
        raise UsageError(f"{owner}: the command lacks {missing[0]}: it is given {{input}} and {{output}}, extxyz files")


def _is_number(value: Any) -> bool:
    """TOML has nan and inf, too."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _texts(table: Mapping[str, Any], key: str) -> list[str]:
    """One text or a list of texts, as names of files."""
    value = table.get(key, [])
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(t, str) and t for t in given):
        raise UsageError(f"{key} must be names of files")
    return [_path(t) for t in given]


def _path(text: Any) -> str:
    """A name of a file with ``$VARIABLES`` filled in."""
    if not isinstance(text, str):
        raise UsageError(f"{text!r} is no name of a file")
    return os.path.expandvars(text)
