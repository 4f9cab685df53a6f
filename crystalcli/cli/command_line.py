"""What a command line says before it is parsed: its flags are known only when the parts that it names are."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def word_in(args: Sequence[str], flags: Sequence[str]) -> str | None:
    """What one of ``flags`` says in ``args``; the last one wins."""
    seen = args[: args.index("--")] if "--" in args else args
    found = None
    for k, arg in enumerate(seen):
        name, equals, value = arg.partition("=")
        if arg in flags and k + 1 < len(seen):
            found = seen[k + 1]
        elif equals and name in flags:
            found = value
    return found


def config_files(args: Sequence[str], switches: Collection[str]) -> list[str]:
    """Every file that ``-c`` or ``--config`` names in ``args``, in all spellings: -c FILE, -cFILE, -qc FILE.

    Args:
        args: the command line.
        switches: flags of one letter that no value follows, among others.
    """
    seen, found = iter(args[: args.index("--")] if "--" in args else args), list[str | None]()
    for arg in seen:
        name, equals, value = arg.partition("=")
        if name == "--config":
            found.append(value if equals else next(seen, None))
        elif arg.startswith("-") and not arg.startswith("--"):
            letters = arg[1:].lstrip("".join(s[1:] for s in switches if len(s) == 2))
            value = letters[1:].removeprefix("=")
            if letters[:1] == "c":
                found.append(value or next(seen, None))
            elif letters and not value:
                next(seen, None)  # the value of another flag
    return [file for file in found if file]


def first_argument(args: Sequence[str], switches: Collection[str], others: Collection[str] = ()) -> str | None:
    """The first of ``args`` that is neither a flag nor the value of one.

    Args:
        args: the command line.
        switches: flags that no value follows; words without dashes are the last words of parts' flags.
        others: flags that one follows, though a part may have a switch with the same last word.
    """
    value = False
    for k, arg in enumerate(args):
        if value:
            value = False
        elif arg == "--":
            return args[k + 1] if k + 1 < len(args) else None
        elif not arg.startswith("-") or arg == "-":
            return arg
        elif arg.startswith("--"):
            switch = arg in switches or arg[2:].rpartition(".")[2] in switches
            value = "=" not in arg and (arg in others or not switch)
        else:  # -o FILE, -oFILE, -qo FILE
            letters = [f"-{letter}" in switches for letter in arg[1:]]
            value = False in letters and letters.index(False) == len(letters) - 1
    return None
