"""What the site has beyond the files in docs/: README as its first page, the generated reference, links to the source.

Read by mkdocs (``hooks`` in mkdocs.yml). Nothing here is needed to read the pages in the repository itself.
"""

from __future__ import annotations

import importlib
import pkgutil
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

import crystalcli
from crystalcli.cli import markdown_pages

ROOT = Path(__file__).parents[2]
FROM_ROOT = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages of the site that are files beside docs/."""
PACKAGES = {
    "contracts": "What parts and program promise each other: records, options, tensors, runs.",
    "contracts.nn": "What several networks share: bases, envelopes, convolutions, losses.",
    "nouns": "Structures, graphs, systems, neighbors.",
    "vocabulary": "Units, quantities, errors, texts.",
    "testing": "Contract classes: what every part must do. Inherit them in the tests of a plugin.",
}
"""Packages whose modules are public, see docs/writing-plugins.md."""
ENTRIES = ("nouns.structures.entry", "nouns.structures.offered")
"""Modules below ``nouns.structures`` that a reader imports."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)(\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(?<!<pre>)<code>([^<]*)</code>")
FLAG = re.compile(r"(?<![^\s\[(])--?[\w.-]+")


def python_pages() -> dict[str, str]:
    """Pages that mkdocstrings fills: path in the site → Markdown."""
    places = crystalcli._IN_MEMORY
    lines = [
        "# Python",
        "",
        "What `from crystalcli import …` has. Importing `crystalcli` loads neither torch nor ase.",
        "",
    ]
    for name in sorted(places, key=lambda n: (not n.startswith("load"), n)):
        lines += [f"::: {places[name]}.{name}", "    options:", "      show_root_full_path: false", ""]
    pages = {"reference/python/index.md": "\n".join(lines)}
    for package, what in PACKAGES.items():
        module = importlib.import_module(f"crystalcli.{package}")
        found = [f"crystalcli.{package}.{m.name}" for m in pkgutil.iter_modules(module.__path__) if not m.ispkg]
        found += [f"crystalcli.{e}" for e in ENTRIES if package == "nouns"]
        lines = [f"# crystalcli.{package}", "", what, ""]
        for name in found:
            lines += [f"::: {name}", ""]
        pages[f"reference/python/{package.replace('.', '-')}.md"] = "\n".join(lines)
    return pages


def on_config(config: Any) -> Any:
    """Fill the places of the navigation that are lists of what there is."""
    commands = [p for p in markdown_pages.generated() if p.startswith("reference/")]
    fill = {
        "Commands": ["reference/commands.md"] + [p for p in commands if "/commands/" in p],
        "Parts": [p for p in commands if "/parts/" in p],
        "Python": list(python_pages()),
        "Decisions": sorted(p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs/decisions").glob("*.md")),
    }
    for section in config.nav:
        for items in section.values():
            for item in items:
                if isinstance(item, dict):
                    ((name, value),) = item.items()
                    item[name] = value or fill[name]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are no files in docs/."""
    pages = {name: (ROOT / source).read_text(encoding="utf-8") for name, source in FROM_ROOT.items()}
    for name, text in (pages | markdown_pages.generated() | python_pages()).items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links as they are right in the repository into links as they are right in the site."""
    name = page.file.src_uri
    folder = "" if name in FROM_ROOT else posixpath.join("docs", posixpath.dirname(name))
    moved = {source: target for target, source in FROM_ROOT.items()}

    def link(match: re.Match[str]) -> str:
        picture, text, target, title = match.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match.group()
        if picture:
            return f"![{text}]({target})"  # the title says which file of the run it is, for the program that makes it
        there = posixpath.normpath(posixpath.join(folder, path))
        if there in moved:
            inside = moved[there]
        elif there == "docs/decisions":
            inside = "decisions/0001-topology-in-the-cache.md"
        elif there.startswith("docs/"):
            inside = there.removeprefix("docs/")
        else:  # a file of the source, which the site does not have
            return text if f"`{there}`" == text else f"{text} (`{there}`)"
        back = posixpath.relpath(inside, posixpath.dirname(name) or ".")
        return f"[{text}]({back}{'#' + anchor if anchor else ''}{title or ''})"

    pieces, last = [], 0
    for fence in FENCE.finditer(markdown):
        pieces += [LINK.sub(link, markdown[last : fence.start()]), fence.group()]
        last = fence.end()
    return "".join([*pieces, LINK.sub(link, markdown[last:])])


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Keep flags in running text and tables in one piece: browsers break lines behind hyphens."""

    def whole(match: re.Match[str]) -> str:
        return "<code>" + FLAG.sub(r'<span class="flag">\g<0></span>', match.group(1)) + "</code>"

    return CODE.sub(whole, html)
