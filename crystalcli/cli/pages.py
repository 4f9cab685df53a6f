"""Writes man pages and completion scripts: ``python -m crystalcli.cli.pages [FOLDER]``.

They hold the built-in parts only, are committed in ``man/`` and ``completions/`` and shipped with the wheel; a test
compares them with what this makes.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from crystalcli.cli import completions
from crystalcli.cli.man_pages import man_name, man_page
from crystalcli.cli.tree import pages
from crystalcli.engine.registry.plugin_manager import use_only_builtins


def generated() -> dict[str, str]:
    """Every generated file: path in the repository → text."""
    use_only_builtins()
    tree = pages()
    number = version("crystal-graphs")
    return {f"man/{man_name(p)}.1": man_page(p, tree, number) for p in tree} | {
        "completions/crystal.bash": completions.bash(tree),
        "completions/_crystal": completions.zsh(tree),
        "completions/crystal.fish": completions.fish(tree),
    }


def write(folder: Path) -> list[str]:
    """Write all files below ``folder``, remove man pages of commands that are gone; return what changed."""
    wanted = generated()
    changed = []
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    for path in (folder / "man").glob("*.1"):
        if f"man/{path.name}" not in wanted:
            path.unlink()
            changed.append(f"man/{path.name} (removed)")
    return changed


if __name__ == "__main__":
    print("\n".join(write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))) or "nothing changed")
