"""``crystal models list | show | path | import``: trained models under their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crystalcli.cli.command import CrystalCommand
from crystalcli.cli.console import Face
from crystalcli.cli.group import group
from crystalcli.cli.shared import Json, Overwrite, Quiet


def card_value(value: Any) -> str:
    """A plain value in one line."""
    if isinstance(value, Mapping):
        if set(value) == {"name", "options"}:
            return f"{value['name']} ({', '.join(f'{k} {v}' for k, v in value['options'].items())})"
        return ", ".join(f"{k} {card_value(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(card_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def card_lines(card: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Every key with its value; what is in a table of tables is a row each."""
    for key, value in card.items():
        name = key.replace("_", " ")
        if not isinstance(value, Mapping) or not value:
            yield f"{indent}{name}: {card_value(value)}"
        elif _rows(value):
            yield f"{indent}{name}:"
            yield from _table(value, f"{indent}  ")
        elif any(isinstance(v, Mapping) for v in value.values()):
            yield f"{indent}{name}:"
            yield from card_lines(value, f"{indent}  ")
        else:
            yield f"{indent}{name}: {card_value(value)}"


def _rows(value: Mapping[str, Any]) -> bool:
    """Whether all values are tables of the same plain values."""
    first = next(iter(value.values()))
    return isinstance(first, Mapping) and all(
        isinstance(v, Mapping)
        and v.keys() == first.keys()
        and not any(isinstance(x, Mapping | list) for x in v.values())
        for v in value.values()
    )


def _table(rows: Mapping[str, Mapping[str, Any]], indent: str) -> Iterator[str]:
    names = list(next(iter(rows.values())))
    table = [
        ["", *(n.replace("_", " ") for n in names)],
        *([k, *(card_value(row[n]) for n in names)] for k, row in rows.items()),
    ]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        yield (indent + "  ".join(cells)).rstrip()


def register(app: typer.Typer) -> None:
    """Add the group to ``app``."""
    help = "Trained models by name: list and show them, say where they are, import those of others."
    group(app, "models", help, {"list": list_, "show": show, "path": path, "import": import_}, CrystalCommand)


def _any_name(incomplete: str) -> list[str]:
    from crystalcli.engine.model import model_names

    return [n for n in model_names.names() if n.startswith(incomplete)]


def _of_others(incomplete: str) -> list[str]:
    from crystalcli.engine.model import pretrained

    return [n for n in pretrained.names() if n.startswith(incomplete)]


Name = Annotated[str, typer.Argument(help="name of a model, as list shows it", autocompletion=_any_name)]
OfOthers = Annotated[str, typer.Argument(help="name of a model of others", autocompletion=_of_others)]


def list_(json: Json = False, quiet: Quiet = False) -> None:
    """List the models that can be had by name, and which of them are here."""
    from crystalcli.engine.model import model_names

    face = Face(json=json, quiet=quiet)
    found = [_described(name) for name in model_names.names()]
    for one in sorted(found, key=lambda one: "package" in one):  # those that are here first
        said = one.get("problem") or f"{one['level']}; {one['licence']}; {_here(one)}"
        face.say(f"{one['name']}: {one['summary']}; {said}")
    face.result({"models": found})


def show(name: Name, json: Json = False, quiet: Quiet = False) -> None:
    """Say what a model is: level of theory, licence, elements, references, where its file is, and what was measured."""
    from crystalcli.engine.model import ready
    from crystalcli.vocabulary.errors import InputError

    face = Face(json=json, quiet=quiet)
    one = _described(name)
    if "problem" in one:
        raise InputError(one["problem"])
    if one["imported"]:
        one |= _head_of(Path(one["file"]))
    card = ready.card(ready.record(name)) if name in ready.names() else {}
    for key, value in one.items():
        face.say(f"{key}: {card_value(value)}")
    for line in card_lines({k: v for k, v in card.items() if k not in one}):
        face.say(line)
    face.result(one | ({"card": card} if card else {}))


def path(name: Name, json: Json = False, quiet: Quiet = False) -> None:
    """Say where the file of a model is, after a look whether it is the right one; of others it is imported."""
    from crystalcli.engine.model import model_names

    file = model_names.by_name(name)
    face = Face(json=json, quiet=quiet)
    face.say(str(file))
    face.result({"name": name, "file": str(file)})


def import_(
    name: OfOthers,
    file: Annotated[Path | None, typer.Option("--file", help="its file, where the package is not installed")] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a model file of ours from that of others; nothing in it is run, and another than the known one is refused.

    A model that is used by name, as in --potential NAME, is imported when it is first used.
    """
    from crystalcli.engine.model import pretrained, ready
    from crystalcli.vocabulary.errors import UsageError

    if name in ready.names():
        raise UsageError(f"{name} need not be imported: it is here (crystal models path {name})")
    face = Face(json=json, quiet=quiet)
    made = pretrained.file_for(name)
    there = made.is_file() and not overwrite and (file is None or file.is_file())
    there = there and pretrained.fault_of_file(made) is None  # a damaged one is made again
    if not there:  # or the named file is missing: imported() says which, and what brings it
        pretrained.imported(name, file)
    face.say(f"{name}: {made}" + (" was there already" if there else ""))
    face.result({"name": name, "file": str(made), "imported": not there})


def _described(name: str) -> dict[str, Any]:
    from crystalcli.engine.model import model_names, pretrained, ready
    from crystalcli.vocabulary.errors import CrystalError

    model_names.refuse_unknown(name)
    if name in ready.names():
        part = ready.record(name)
        one: dict[str, Any] = {"name": name, "summary": part.summary, "file": str(ready.place(part))}
        try:
            ready.checked(part)
            card = ready.card(part)
        except CrystalError as problem:
            return one | {"problem": str(problem), "imported": False}
        one |= {k: card[k] for k in ("level", "licence", "sha256")}
        return one | {"references": list(part.references), "imported": True}
    other, file = pretrained.record(name), pretrained.file_for(name)
    return {
        "name": name,
        "summary": other.summary,
        "level": other.level,
        "licence": other.licence,
        "references": list(other.references),
        "package": other.package,
        "sha256": other.sha256,
        "install": other.install,
        "imported": file.is_file(),
        "damaged": file.is_file() and pretrained.fault_of_file(file) is not None,
        "file": str(file),
    }


def _head_of(file: Path) -> dict[str, Any]:
    """What the file itself says: elements, cutoff, parts, targets."""
    from ase.data import chemical_symbols

    from crystalcli.engine.model.model_head import read_head

    head = read_head(file)
    spec = head["spec"]
    return {
        "elements": [chemical_symbols[z] for z in sorted(spec["statistics"]["elements"])],
        "cutoff": spec["graph"]["options"].get("cutoff"),
        "architecture": spec["architecture"],
        "members": len(head.get("members", [0])),
        "targets": [t["name"] for t in spec["targets"]],
    }


def _here(one: dict[str, Any]) -> str:
    if "package" not in one:
        return "here"
    state = "damaged" if one["damaged"] else "imported" if one["imported"] else "not imported"
    return state if state == "imported" else f"{state} (crystal models import {one['name']})"
