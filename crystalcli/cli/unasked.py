"""What ``crystal.toml`` of the working folder may not do: nobody has asked for it, and anybody may have put it there.

It sets how things are computed. What is run, overwritten, or written elsewhere, has to be said: by a flag, a variable
``CRYSTAL_*``, or ``-c FILE``, which may well be ``-c crystal.toml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalcli.cli.settings import Setting
from crystalcli.contracts.options import OptionSpec
from crystalcli.vocabulary.texts import inert

WRITTEN = ("output", "latent", "resume")
"""Parameters that name what is written."""


def refuse_unasked(setting: Setting, name: str, specs: Sequence[OptionSpec] = ()) -> None:
    """Refuse a setting that has to be asked for.

    Args:
        setting: from a file that nobody asked for.
        name: of the parameter.
        specs: of the option, if it is one of a part.

    Raises:
        UnsafeInput: names file, line and the cure.
    """
    key = setting.keys[-1]
    flag = f"--{key.replace('_', '-')}"
    why = ""
    if any(s.runs for s in specs) and setting.value:
        why = "is run"
    elif name == "scheduler" and setting.value:
        why = "has others work, who send what is run"
    elif name == "overwrite" and setting.value:
        why = "removes what is there"
    elif name in WRITTEN and _leads_out(Path(str(setting.value))):
        why = "is not in this folder"
    if why:
        cure = f"say it yourself: {flag}, or -c {setting.layer.path}"
        raise setting.unsafe(f"{key} = {inert(repr(setting.value))[:120]} {why}, and nobody asked for it; {cure}")


def _leads_out(path: Path) -> bool:
    """Whether ``path`` lies outside of the working folder, links followed."""
    try:
        return not path.resolve().is_relative_to(Path.cwd().resolve())
    except (OSError, RuntimeError, ValueError):  # links in a loop, or no name of a file
        return True
