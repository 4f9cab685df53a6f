"""The core knows no method, not even as a string: names of built-in parts come from their records."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.registry.plugin_manager import registry

CORE = Path(__file__).parents[2] / "crystalcli"
OTHER_MEANINGS = {
    "ase": "the library of structures",
    "crystal": "the program",
    "csv": "a form of files",
    "ridge": "a regression",
    "energy": "a label and what a head provides",
    "site": "a level of labels",
    "symmetry": "what space groups are made of",
}
"""Names of parts that are words of the core, too; what else they are."""
ALLOWED = {
    ("cli/man_pages.py", "--lcgcn.n-conv 4"): "an example of a spelling in a page that lists these flags",
    ("relax/workflow.py", "emt"): "the potential of its example",
    ("nouns/structures/lammps_dump.py", "lj"): "a style of units of LAMMPS",
    ("testing/springs.py", "springs"): "a potential for tests, which is no part",
}
EXAMPLES = {"screen/workflow.py": {"emt"}}
"""Files that write a plan for their example, and the names in it."""


def words(text: str) -> set[str]:
    """The words of a text, dashes and underscores included, and what stands between dots."""
    cleaned = "".join(c if c.isalnum() or c in "-_" else " " for c in text)
    return set(cleaned.split())


def strings(source: str) -> Iterator[str]:
    """All strings of a source but its docstrings and bare strings (documentation of constants)."""
    tree = ast.parse(source)
    bare = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value


def named(text: str, names: set[str]) -> set[str]:
    return words(text) & names


def method_names() -> set[str]:
    builtin = {o.part.name for o in registry().offered() if o.origin.builtin and not isinstance(o.part, Workflow)}
    return builtin - OTHER_MEANINGS.keys()


def test_no_string_of_the_core_names_a_method() -> None:
    names, found = method_names(), []
    assert {"cgcnn", "pair-moments", "fire", "nvt", "matsui", "radius"} <= names
    for path in sorted(CORE.rglob("*.py")):
        where = path.relative_to(CORE).as_posix()
        for text in strings(path.read_text(encoding="utf-8")):
            hit = named(text, names) - EXAMPLES.get(where, set())
            if hit and (where, text) not in ALLOWED:
                found.append(f"{where}: {sorted(hit)} in {text!r}")
    assert not found, "\n".join(found)


def test_it_would_be_seen() -> None:
    names = method_names()
    assert [named(t, names) for t in strings('"""cgcnn"""\nx = "train with --arch lcgcn-ff"')] == [{"lcgcn-ff"}]
    assert [named(t, names) for t in strings('f = f"head {x}, not nvt"')] == [set(), {"nvt"}]
