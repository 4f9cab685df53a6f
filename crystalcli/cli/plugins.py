"""``crystal plugins list | show | check | new``: which parts there are, what is wrong with the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from crystalcli.cli.command import CrystalCommand
from crystalcli.cli.console import Face
from crystalcli.cli.group import group
from crystalcli.cli.plugin_flags import models
from crystalcli.cli.plugin_new import new
from crystalcli.cli.shared import Json, Quiet
from crystalcli.contracts import options as opt
from crystalcli.contracts.families import FAMILIES
from crystalcli.contracts.records import Part
from crystalcli.engine.registry.plugin_loading import Loaded
from crystalcli.engine.registry.plugin_manager import OfferedPart, Registry, assemble, load_file, registry
from crystalcli.vocabulary.errors import Exit, UsageError, did_you_mean


class _PluginsCommand(CrystalCommand):
    def warn_of_broken(self) -> None:
        """Say nothing: these commands show what is broken themselves."""


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    help = "Parts that are installed, and what is wrong with them."
    group(app, "plugins", help, {"list": list_, "show": show, "check": check, "new": new}, _PluginsCommand)


def _any_name(incomplete: str) -> list[str]:
    return sorted({o.part.name for o in registry().offered() if o.part.name.startswith(incomplete)})


Name = Annotated[str, typer.Argument(help="name of a part or plugin", autocompletion=_any_name)]
Family = Annotated[str | None, typer.Option("--family", help="only this family: " + ", ".join(FAMILIES))]


def list_(family: Family = None, json: Json = False, quiet: Quiet = False) -> None:
    """List all parts, and plugins that are broken."""
    face, found = Face(json, quiet), registry()
    offered = [o for o in found.offered() if _wanted(family, o.part)]
    rows = [[o.part.family, o.part.name, str(o.origin), o.part.summary] for o in offered]
    _table(face, ["FAMILY", "NAME", "FROM", "SUMMARY"], rows)
    for what, why in [*found.broken.items(), *_refused(found).items()]:
        face.say(f"broken: {what}: {why}")
    for line in found.clashes:
        face.say(f"note: {line}")
    for plugin in found.plugins:
        for note in plugin.notes:
            face.say(f"note: {plugin.origin}: {note}")
    face.result(
        {
            "parts": [_short(o) for o in offered],
            "plugins": [_plugin(p) for p in found.plugins],
            "refused": [{"family": f, "name": n, "reason": r} for (f, n), r in sorted(found.refused.items())],
            "clashes": found.clashes,
        }
    )


def _wanted(family: str | None, part: Part) -> bool:
    if family is not None and family not in FAMILIES:
        raise UsageError(f"no family '{family}'; {did_you_mean(family, list(FAMILIES))}")
    return family in (None, part.family)


def _refused(found: Registry) -> dict[str, str]:
    """Parts with two owners; wrong records stand under their plugin already."""
    bad = {(f, n) for p in found.plugins for f, n, _ in p.bad_parts}
    return {f"{f} {n}": r for (f, n), r in sorted(found.refused.items()) if (f, n) not in bad}


def show(name: Name, family: Family = None, json: Json = False, quiet: Quiet = False) -> None:
    """Show one part: its options, what it needs and gives, its partners and training recipe."""
    face, found = Face(json, quiet), registry()
    offered = _named(found, name, family)
    for o in offered:
        _show(face, o)
    face.result({"parts": [_long(o) for o in offered]})


def _named(found: Registry, name: str, family: str | None) -> list[OfferedPart]:
    """The parts called ``name``, or all parts of the plugin or distribution called so."""
    for (refused_family, refused_name), reason in found.refused.items():
        if name == refused_name and family in (None, refused_family):
            raise UsageError(f"{refused_family} '{name}': {reason}")
    for plugin in found.plugins:
        if plugin.problem and name in (plugin.origin.name, plugin.origin.distribution):
            raise UsageError(f"plugin {plugin.origin} is broken: {plugin.problem}")
    parts = [o for o in found.offered() if _wanted(family, o.part)]
    named = [o for o in parts if o.part.name == name]
    named = named or [o for o in parts if name in (o.origin.name, o.origin.distribution)]
    if not named:
        raise UsageError(f"no part or plugin '{name}'; {did_you_mean(name, sorted({o.part.name for o in parts}))}")
    return named


def check(ctx: typer.Context, name: Name, family: Family = None, json: Json = False, quiet: Quiet = False) -> None:
    """Check a part, all parts of a plugin, or a one-file plugin: record, flags, partners, contract tests.

    The exit code is 2 where a check failed, 3 where one could not be run.
    """
    from crystalcli.engine.registry import plugin_check

    face = Face(json, quiet)
    found = _with_file(Path(name)) if name.endswith(".py") else registry()
    offered = _named(found, str(Path(name).absolute()) if name.endswith(".py") else name, family)
    findings = []
    for o in offered:
        for finding in plugin_check.check(o.part, found, command_flags(ctx.find_root().command)):
            face.say(f"{finding.status:<8} {finding.part:<26} {finding.check:<9} {finding.text}".rstrip())
            findings.append(finding)
    failed, missing = (sum(f.status == word for f in findings) for word in ("failed", "not run"))
    passed = len(findings) - failed - missing
    face.say(f"{passed} of {len(findings)} checks passed, {failed} failed, {missing} not run")
    face.result({"findings": [dataclasses.asdict(f) for f in findings], "failed": failed, "not_run": missing})
    raise typer.Exit(Exit.USAGE if failed else Exit.SOME_FAILED if missing else Exit.OK)


def _with_file(path: Path) -> Registry:
    """The registry with one more one-file plugin."""
    if not path.is_file():
        raise UsageError("no such plugin file", path=path)
    others = [p for p in registry().plugins if p.origin.target != str(path.absolute())]
    loaded = load_file(path)
    if loaded.bad_parts:
        raise UsageError("; ".join(f"{f} '{n}' {why}" for f, n, why in loaded.bad_parts), path=path)
    return assemble([*others, loaded])


def command_flags(program: Any) -> dict[str, str]:
    """Flags of the commands of ``program`` that take parts → the command."""
    found: dict[str, str] = {}
    for command in program.commands.values():
        if getattr(type(command), "chooser", None) is not None:
            for param in command.params:
                for flag in (*param.opts, *param.secondary_opts):
                    if flag.startswith("--"):
                        found.setdefault(flag, command.name)
    return found


def _show(face: Face, offered: OfferedPart) -> None:
    part = offered.part
    face.say(f"{part.family} {part.name} — {part.summary}")
    face.say(f"  from      {offered.origin} ({offered.origin.target}), api {part.api}")
    for label in ("requires", "provides"):
        if getattr(part, label):
            face.say(f"  {label}  {', '.join(sorted(getattr(part, label)))}")
    for label, text in _partners(part).items():
        face.say(f"  {label:<9} {text}")
    for title, model in zip(("options", "embedding options"), models(part), strict=False):
        rows = [[f"--{s['flag']}", s["type"], str(s["default"]), s["bounds"], s["help"]] for s in _options(model)]
        if rows:
            face.say(f"  {title}")
            _table(face, ["FLAG", "TYPE", "DEFAULT", "BOUNDS", "HELP"], rows, indent=4)
    for reference in part.references:
        face.say(f"  reference {reference}")


def _partners(part: Part) -> dict[str, str]:
    """What an architecture wants: partners, their options, its recipe; the level of a head; endings of a reader."""
    found = {}
    for label in ("featurizer", "head", "level"):
        if hasattr(part, label):
            found[label] = str(getattr(part, label))
    if wanted := getattr(part, "partner_options", None):
        found["with"] = " ".join(
            f"--{p}.{o.replace('_', '-')} {v}" for p, os_ in wanted.items() for o, v in os_.items()
        )
    if recipe := getattr(part, "recipe", None):
        found["recipe"] = ", ".join(f"{k} {v}" for k, v in dataclasses.asdict(recipe).items())
    if suffixes := getattr(part, "suffixes", None):
        found["endings"] = ", ".join(suffixes)
    return found


def _options(model: type) -> list[dict[str, Any]]:
    """Options of a model as plain rows."""
    rows = []
    for s in opt.specs(model):
        low = "" if s.min is None else f"{s.min:g}"
        high = "" if s.max is None else f"{s.max:g}"
        rows.append(
            {
                "flag": s.flag,
                "type": ("|".join(s.choices) or s.inner.__name__) + (" …" if s.many else ""),
                "default": s.default,
                "unit": s.unit,
                "bounds": f"{low}…{high}" if low or high else "",
                "help": s.help + (f" ({s.unit})" if s.unit else ""),
            }
        )
    return rows


def _short(offered: OfferedPart) -> dict[str, Any]:
    part = offered.part
    return {
        "family": part.family,
        "name": part.name,
        "summary": part.summary,
        "distribution": offered.distribution,
        "version": offered.version,
    }


def _long(offered: OfferedPart) -> dict[str, Any]:
    part = offered.part
    found = _short(offered) | {
        "api": part.api,
        "target": offered.origin.target,
        "requires": sorted(part.requires),
        "provides": sorted(part.provides),
        "references": list(part.references),
        "options": _options(part.options),
    }
    for label in ("featurizer", "head", "level"):
        if hasattr(part, label):
            found[label] = getattr(part, label)
    if hasattr(part, "embed_options"):
        found["embed_options"] = _options(part.embed_options)
    if hasattr(part, "recipe"):
        found["recipe"] = dataclasses.asdict(part.recipe)
        found["partner_options"] = {k: dict(v) for k, v in part.partner_options.items()}  # type: ignore[attr-defined]
    if hasattr(part, "suffixes"):
        found["suffixes"] = list(part.suffixes)
    return found


def _plugin(plugin: Loaded) -> dict[str, Any]:
    return {
        "name": plugin.origin.name,
        "target": plugin.origin.target,
        "distribution": plugin.origin.distribution,
        "version": plugin.origin.version,
        "status": "broken" if plugin.problem or plugin.bad_parts else "ok",
        "problem": plugin.problem,
        "bad_parts": [{"family": f, "name": n, "reason": r} for f, n, r in plugin.bad_parts],
        "notes": list(plugin.notes),
        "parts": [{"family": p.family, "name": p.name} for p in plugin.parts],
    }


def _table(face: Face, head: Sequence[str], rows: Sequence[Sequence[str]], indent: int = 0) -> None:
    """Aligned columns, the last one free; no borders, so that it can be searched and cut."""
    widths = [max(len(r[k]) for r in [head, *rows]) for k in range(len(head) - 1)]
    for row in [head, *rows]:
        cells = [c.ljust(w) for c, w in zip(row, widths, strict=False)]
        face.say(" " * indent + "  ".join([*cells, row[-1]]).rstrip())
