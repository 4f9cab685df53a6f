"""What makes a part's record right: checked when a plugin is loaded, and by ``crystal plugins check``."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from crystalcli.contracts import options as opt
from crystalcli.contracts.families import FAMILIES
from crystalcli.contracts.records import (
    API_VERSION,
    Architecture,
    Calculator,
    Featurizer,
    Head,
    Logger,
    Part,
    Pretrained,
    Reader,
    ReadyModel,
    Recipe,
    Relaxer,
    Sampler,
    Source,
)
from crystalcli.contracts.workflow_record import POTENTIAL, Workflow
from crystalcli.vocabulary.errors import UsageError

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
RESERVED = frozenset({"help", "config", "debug", "no_plugins"})
"""Flags of every command; no part may declare them."""

_CALLS: dict[type[Part], dict[str, int]] = {
    Featurizer: {"build": 1, "embed": 3, "fields": 1},
    Architecture: {"build": 4, "fields": 1},
    Head: {"build": 4, "inputs": 1, "fields": 1},
    Reader: {"sniff": 1, "read": 1},
    Source: {"generate": 2},
    Calculator: {"build": 1},
    Pretrained: {"convert": 1},
    Relaxer: {"build": 1},
    Sampler: {"build": 1},
    Logger: {"build": 2},
    Workflow: {"prepare": 2, "show": 1, "headline": 1, "plan": 1, "more": 2},
}
"""Family → its callables and how many positional arguments the host gives them."""


def part_problems(part: Any) -> list[str]:
    """Return everything that is wrong with a record, empty if nothing is."""
    if not isinstance(part, Part):
        return [f"crystal_parts() gives a {type(part).__name__}, which is no record of crystalcli.contracts"]
    if part.api != API_VERSION:
        return [f"is written for plugin api {part.api!r}; this crystal has {API_VERSION}"]
    family = FAMILIES.get(getattr(part, "family", ""))
    if family is None or not isinstance(part, family):
        return [f"is of unknown family {getattr(part, 'family', None)!r}; known: {', '.join(FAMILIES)}"]
    problems = _texts(part)
    for label, model in (("options", part.options), ("embed_options", getattr(part, "embed_options", None))):
        if model is not None:
            of = part if isinstance(part, Workflow) else None
            problems += [f"{label}: {p}" for p in options_problems(model, of)]
    for name, count in _CALLS.get(family, {}).items():
        problems += call_problems(name, getattr(part, name), count)
    if (more := _MORE.get(family)) is not None:
        problems += more(part)
    if isinstance(part, Source) and not problems:
        specs = list(opt.specs(part.options))
        problems += ["options: seed is every source's"] if any(s.name == "seed" for s in specs) else []
        problems += [f"options: {s.name} is run; no input may run anything" for s in specs if s.runs]
    if isinstance(part, Reader) and not (
        isinstance(part.suffixes, tuple) and all(isinstance(s, str) and s.startswith(".") for s in part.suffixes)
    ):
        problems.append("suffixes must be a tuple of endings such as '.h5'")
    return problems


def _texts(part: Part) -> list[str]:
    problems = []
    if not isinstance(part.name, str) or not NAME.fullmatch(part.name):
        problems.append(f"name {part.name!r} must be lower-case letters, digits and single dashes")
    if not isinstance(part.summary, str) or not part.summary.strip() or "\n" in part.summary:
        problems.append("summary must be one line")
    if not isinstance(part.references, tuple) or not all(isinstance(r, str) for r in part.references):
        problems.append("references must be a tuple of texts")
    for word in ("requires", "provides"):
        value = getattr(part, word)
        if not isinstance(value, frozenset) or not all(isinstance(w, str) for w in value):
            problems.append(f"{word} must be a frozenset of words")
    return problems


def _architecture(part: Architecture) -> list[str]:
    problems = []
    if not isinstance(part.recipe, Recipe):
        problems.append("recipe must be a Recipe")
    for word in ("featurizer", "head"):
        if not isinstance(getattr(part, word), str):
            problems.append(f"{word} must be the name of a part")
    partners = part.partner_options
    if not isinstance(partners, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Mapping) for k, v in partners.items()
    ):
        problems.append("partner_options must map a part's name to its options")
    return problems


def _ready_model(part: ReadyModel) -> list[str]:
    absolute = isinstance(part.folder, Path) and part.folder.is_absolute()
    problems = [] if absolute else ["folder must be an absolute Path: Path(__file__).parent / NAME"]
    return problems + (
        [] if isinstance(part.install, str) and part.install else ["install must say what brings its files"]
    )


def _pretrained(part: Pretrained) -> list[str]:
    said = ("package", "file", "install", "licence", "level")
    values = {word: getattr(part, word) for word in (*said, "sha256")}
    problems = [
        f"{word} must be one line of text"
        for word in said
        if not isinstance(values[word], str) or not values[word].strip() or "\n" in values[word]
    ]
    if not isinstance(part.sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", part.sha256):
        problems.append("sha256 must be that of the file: 64 digits and letters a to f")
    return problems


def _workflow(part: Workflow) -> list[str]:
    known = {s.name for s in opt.specs(part.options)} if not options_problems(part.options, part) else None
    problems = []
    if part.home not in ("folder", "file"):
        problems.append(f"home must be 'folder' or 'file', not {part.home!r}")
    elif part.home == "folder" and not part.resumes:
        problems.append("what has a run folder goes on with its runs; resumes=False is for home='file'")
    elif part.home == "file" and known is not None and "output" not in known:
        problems.append("has no run folder, and no option output that names what it writes")
    called = {part.called} if part.called else set()
    for word, names in (("chooses", set(part.chooses)), ("free", set(part.free)), ("called", called)):
        if known is not None and (unknown := names - known):
            problems.append(f"{word} names {', '.join(sorted(unknown))}, which is no option of it")
    for word in ("choose", "end", "sections"):
        if (function := getattr(part, word)) is not None:
            problems += call_problems(word, function, 1)
    families = {*FAMILIES, POTENTIAL}
    problems += [f"chooses: there is no family '{f}'" for f in part.chooses.values() if f not in families]
    for word in ("writes", "keeps"):
        names_of = getattr(part, word)
        if not isinstance(names_of, tuple) or not all(isinstance(n, str) and n and "/" not in n for n in names_of):
            problems.append(f"{word} must be a tuple of names in the run's folder")
    return problems


def _head(part: Head) -> list[str]:
    kinds = part.irreps
    if not isinstance(kinds, tuple) or "0e" not in kinds or not all(re.fullmatch(r"\d[eo]", str(k)) for k in kinds):
        return ["irreps must be a tuple of kinds such as ('0e', '1o'), scalars among them"]
    known = {f.name for f in dataclasses.fields(Recipe)}
    if not isinstance(part.recipe, Mapping):
        return ["recipe must map settings of training to values"]
    return [f"recipe has no setting '{k}'; known: {', '.join(sorted(known))}" for k in part.recipe if k not in known]


_MORE: dict[type[Part], Callable[[Any], list[str]]] = {
    Architecture: _architecture,
    Head: _head,
    Pretrained: _pretrained,
    ReadyModel: _ready_model,
    Workflow: _workflow,
}
"""Family → what is wrong with its own fields."""


def call_problems(name: str, function: Callable[..., Any], count: int, *keywords: str) -> list[str]:
    """What is wrong with a callable that the host calls with ``count`` positional arguments, and ``keywords``."""
    if not callable(function):
        return [f"{name} is no function but {type(function).__name__}"]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return []
    try:
        signature.bind(*range(count), **dict.fromkeys(keywords))
    except TypeError:
        also = f" and {', '.join(keywords)}" if keywords else ""
        return [f"{name}{signature} cannot be called with {count} arguments{also}"]
    return []


def options_problems(model: Any, workflow: Workflow | None = None) -> list[str]:
    """What is wrong with an options model; that of a workflow may have more types and fewer names."""
    if not isinstance(model, type) or not dataclasses.is_dataclass(model):
        return ["must be a dataclass"]
    problems = []
    if not getattr(model, "__dataclass_params__").frozen:  # noqa: B009 - mypy knows no such attribute
        problems.append(f"{model.__name__} must be frozen: @dataclass(frozen=True)")
    try:
        specs = opt.specs(model)
    except Exception as problem:
        return [*problems, f"{model.__name__} has annotations that cannot be resolved: {problem}"]
    reserved = RESERVED.union(workflow.host_flags if workflow else ())
    of_workflow = workflow is not None
    return problems + [p for s in specs for p in _option_problems(s, model, reserved, workflow=of_workflow)]


def _option_problems(spec: opt.OptionSpec, model: type, reserved: frozenset[str], *, workflow: bool) -> list[str]:
    if workflow and (spec.many or spec.optional or spec.type is Path):
        good = spec.inner is Path or _supported(spec.inner)
        if not good:
            return [f"{spec.name}: {spec.type} is not of int, float, bool, str, Path or a Literal of texts"]
    elif not _supported(spec.type):
        return [f"{spec.name}: {spec.type} is not int, float, bool, str or a Literal of texts"]
    if spec.default is dataclasses.MISSING:
        return [f"{spec.name} has no default"]
    problems = [f"{spec.name} is a flag of every command"] if spec.name in reserved else []
    if not NAME.fullmatch(spec.flag):
        problems.append(f"{spec.name} makes no good flag; use lower_case_words")
    if not spec.help:
        problems.append(f"{spec.name} has no help; declare it with option(default, help)")
    try:
        opt.make(model, {spec.name: spec.default}, owner="default")
    except UsageError as problem:
        problems.append(problem.reason)
    except Exception as problem:
        problems.append(f"{spec.name}: its default raises {type(problem).__name__}: {problem}")
    return problems


def _supported(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return all(isinstance(c, str) for c in get_args(kind))
    return kind in (int, float, bool, str)
