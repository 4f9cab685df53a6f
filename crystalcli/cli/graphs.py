"""``crystal graphs``: look into graph caches, check them, join them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crystalcli.cli.command import CrystalCommand
from crystalcli.cli.console import Face
from crystalcli.cli.group import group
from crystalcli.cli.shared import Json, Output, Overwrite, Quiet
from crystalcli.vocabulary.errors import CrystalError, Exit

Caches = Annotated[list[Path], typer.Argument(help="graph caches, as build-graphs writes them")]
SHOWN = 100


def register(app: typer.Typer) -> None:
    """Add the group to ``app``."""
    help = "Look into graph caches, check them, join them."
    group(app, "graphs", help, {"info": info, "verify": verify, "merge": merge}, CrystalCommand)


def info(
    caches: Annotated[list[Path], typer.Argument(help="graph caches; graphs.h5 by default", show_default=False)] = [  # noqa: B006
        Path("graphs.h5")
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is in a cache: sizes, elements, labels, failures, recipe."""
    from crystalcli.graphs import caches as workflow

    face = Face(json=json, quiet=quiet)
    found = [workflow.info(path) for path in caches]
    for one in found:
        _show(face, one)
    face.result({"caches": found})


def verify(caches: Caches, json: Json = False, quiet: Quiet = False) -> None:
    """Check every structure: hashes, ranges, order, lengths. Exit code 3 if something is wrong."""
    from crystalcli.graphs import caches as workflow

    face = Face(json=json, quiet=quiet)
    results: list[dict[str, Any]] = []
    for path in caches:
        try:
            with face.progress(f"verify {path}", None) as advance:
                verdict = workflow.verify_file(path, advance)
        except CrystalError as problem:
            if len(caches) == 1:
                raise
            face.error(str(problem))
            results.append({"path": str(path), "structures": 0, "problems": [{"id": "", "problem": problem.reason}]})
            continue
        for finding in verdict.findings[:SHOWN]:
            face.error(f"{path}: {finding.id + ': ' if finding.id else ''}{finding.problem}")
        if (more := len(verdict.findings) - SHOWN) > 0:
            face.error(f"{path}: {more} more problems")
        state = f"{len(verdict.findings)} problems" if verdict.findings else "sound"
        lengths = f"edges {verdict.shortest:.4g} … {verdict.longest:.4g} Å, " if verdict.longest > 0 else "no edges, "
        face.say(
            f"{path}: {verdict.checked} structures, {lengths}"
            f"{verdict.symmetric} with every edge in both directions: {state}"
        )
        results.append(
            {
                "path": str(path),
                "structures": verdict.checked,
                "symmetric": verdict.symmetric,
                "shortest": verdict.shortest if verdict.longest > 0 else None,
                "longest": verdict.longest if verdict.longest > 0 else None,
                "problems": [{"id": f.id, "problem": f.problem} for f in verdict.findings],
            }
        )
    face.result({"caches": results})
    raise typer.Exit(Exit.SOME_FAILED if any(r["problems"] for r in results) else Exit.OK)


def merge(
    caches: Caches,
    output: Output = Path("merged.h5"),
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Join caches of one recipe into one; labels that only some have are missing in the others."""
    from crystalcli.graphs import caches as workflow

    face = Face(json=json, quiet=quiet)
    report = workflow.merge(caches, output, overwrite=overwrite)
    made, renamed = report.cache, report.renamed
    if renamed:
        face.say(f"{renamed} ids occur in several caches; they are now CACHE:ID")
    face.say(f"{output}: {len(made)} structures, labels: {', '.join(made.columns) or 'none'}")
    face.result({"output": str(output), "structures": len(made), "labels": list(made.columns), "renamed": renamed})


def _show(face: Face, one: dict[str, Any]) -> None:
    size = one["atoms_per_structure"]
    face.say(f"{one['path']}: {one['structures']} structures, {one['bytes'] / 1e6:.1f} MB")
    options = ", ".join(f"{k} {v}" for k, v in one["options"].items())
    face.say(f"  featurizer  {one['featurizer']}: {options}")
    if one["fields"]:
        face.say(f"  fields      {', '.join(one['fields'])}")
    face.say(f"  versions    {', '.join(f'{k} {v}' for k, v in one['versions'].items())}")
    face.say(f"  atoms       {one['atoms']}; {size['min']} … {size['max']} a structure, median {size['median']:g}")
    alone = f", {one['isolated_atoms']} atoms have none" if one["isolated_atoms"] else ""
    face.say(f"  edges       {one['edges']}; {one['edges_per_atom']:.2f} an atom{alone}")
    elements = sorted(one["elements"].items(), key=lambda kv: -kv[1])
    face.say(f"  elements    {len(elements)}: {' '.join(k for k, _ in elements)}")
    if one["duplicate_structures"]:
        face.say(f"  duplicates  {one['duplicate_structures']} structures are there more than once")
    for name, label in one["labels"].items():
        spread = "" if label["min"] is None else f", {label['min']:.6g} … {label['max']:.6g}, mean {label['mean']:.6g}"
        unit = label["unit"] or "unit unknown"
        face.say(
            f"  label       {name} [{unit}], one a {label['level']}: {label['present']} there, "
            f"{label['missing']} missing{spread}"
        )
    if not one["labels"]:
        face.say("  label       none")
    for name, values in one["tags"].items():
        face.say(f"  tag         {name}: " + ", ".join(f"{t or '(none)'} {n}" for t, n in list(values.items())[:8]))
    face.say(f"  failures    {len(one['failures'])}")
    for failure in one["failures"][:SHOWN]:
        face.say(f"              {failure['path']}: {failure['reason']}")
