"""A plan with everything looked up before a file is read: files, featurizer, labels, and what is there already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from crystalcli.contracts import options as opt
from crystalcli.engine.cache.cache import GraphCache, GraphRecipe
from crystalcli.engine.labels import label_requests
from crystalcli.engine.read.input_digest import digest as content
from crystalcli.engine.read.inputs import expand
from crystalcli.engine.read.readers import found_in_folder
from crystalcli.engine.read.reading import plan as reading_plan
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files
from crystalcli.graphs.packing import GraphWork
from crystalcli.graphs.plan import BuildPlan, Resolved, failures_file
from crystalcli.nouns.structures.id_prop import TABLE
from crystalcli.nouns.structures.site_fields import canonical
from crystalcli.vocabulary.errors import InputError, UsageError


def resolve(plan: BuildPlan) -> Resolved:
    """Look up files, featurizer and labels, and check that ``output`` may be written.

    Raises:
        UsageError: a wrong option or label, or an output that is something else.
        InputError: no input at all.
    """
    part = registry().get("featurizer", plan.featurizer)
    options = opt.to_dict(opt.make(part.options, plan.options, owner=f"featurizer {part.name}"))
    requests = label_requests.parse(plan.targets)
    if plan.require_labels and not requests:
        raise UsageError("--require-labels needs to know which: name them with --targets")
    required = tuple((r.key, r.text) for r in requests or ()) if plan.require_labels else ()
    choices = plan.reading if requests is not None else replace(plan.reading, labels="unused")
    fields = canonical(plan.fields)
    work = GraphWork(part.name, options, choices, required, tuple(r.key for r in requests or ()), fields)
    own = [f for f in (plan.output, failures_file(plan.output)) if f.exists()]
    paths = tuple(p for p in sorted(expand(plan.inputs), key=str) if not any(_same(p, f) for f in own))
    if not paths:
        raise InputError("no input files", path=" ".join(plan.inputs))
    digest = _digest(work, plan, paths, labelled=requests is not None)
    current = _look_at_output(plan, work.recipe, digest)
    return Resolved(plan, work, paths, reading_plan(paths, choices), requests, digest, current)


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:  # not there, or links in a loop; reading says so
        return False


def _look_at_output(plan: BuildPlan, recipe: GraphRecipe, digest: str) -> GraphCache | None:
    """The cache at ``output`` if it is what the plan would make; refuse anything else that is there."""
    output = plan.output
    if output.is_dir():
        raise UsageError("is a folder; choose a file with -o", path=output)
    files.refuse_link(output)
    if not output.exists():
        return None
    if output.name == TABLE or found_in_folder(output):
        raise UsageError("holds structures or labels; choose another output with -o", path=output)
    if plan.overwrite:
        return None
    cure = "--overwrite replaces it, -o FILE writes elsewhere"
    try:
        there = GraphCache(output)
        if there.inputs_digest == digest:
            there.check()
            return there
    except InputError as problem:
        raise UsageError(f"exists: {problem.reason}; {cure}", path=output) from problem
    different = there.recipe.difference(recipe)
    said = f"was built with {different}" if different else "exists and was built from other inputs, labels or versions"
    raise UsageError(f"{said}; {cure}", path=output)


def _digest(work: GraphWork, plan: BuildPlan, paths: Iterable[Path], *, labelled: bool) -> str:
    """sha256 of recipe, versions, wishes, and names and contents of all files that are read."""
    part = registry().origin("featurizer", work.featurizer)
    head: list[Any] = [
        work.recipe.fingerprint,
        part.distribution,
        part.version,
        list(plan.targets),
        asdict(plan.reading),
    ]
    head += [plan.require_labels] if plan.require_labels else []
    head += [{"limit": plan.limit}] if plan.limit else []
    whole = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    paths = list(paths)
    tables = dict.fromkeys(p.parent / TABLE for p in paths) if labelled else ()
    for path in (*paths, *tables):
        whole.update(f"{path}\0{content(path)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()
