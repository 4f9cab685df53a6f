"""``crystal plugins new NAME``: the beginning of a plugin as a package of its own, which works as it is."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from crystalcli.cli.console import Face
from crystalcli.cli.shared import Json, Quiet
from crystalcli.engine.registry.plugin_loading import CORE
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError

TEMPLATE = Path(__file__).parent / "plugin_template"
PLACES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "__init__.py.txt": "src/{package}/__init__.py",
    "network.py.txt": "src/{package}/network.py",
    "test_contract.py.txt": "tests/test_contract.py",
}
"""Texts of the template → where they go."""


def new(
    name: Annotated[str, typer.Argument(help="of the part, and crystal-NAME of the package")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="new folder; default crystal-NAME", show_default=False)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the package of a plugin with a small architecture, its test and its README: a place to begin.

    It can be installed, checked and trained with at once. Other families of parts are in docs/writing-plugins.md.
    """
    from crystalcli.contracts.validation import NAME
    from crystalcli.engine.run import files

    if not NAME.fullmatch(name):
        raise UsageError(f"name '{name}' must be lower-case letters, digits and single dashes")
    if ("architecture", name) in registry().parts:
        raise UsageError(f"there is an architecture '{name}' already; choose another name")
    folder = output or Path(f"crystal-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("is there already; choose another folder with -o", path=folder)
    usual: Any = registry().get("architecture", registry().default("architecture"))
    words = {
        "name": name,
        "package": f"crystal_{name.replace('-', '_')}",
        "version": version(CORE),
        "featurizer": usual.featurizer,
        "head": usual.head,
    }
    face = Face(json, quiet)
    written = []
    for text, place in PLACES.items():
        path = folder / place.format(**words)
        files.write_text(path, (TEMPLATE / text).read_text(encoding="utf-8").format(**words))
        written.append(str(path))
        face.say(str(path))
    face.say(f"next: pip install -e {folder}; crystal plugins check {name}")
    face.result({"folder": str(folder), "files": written})
