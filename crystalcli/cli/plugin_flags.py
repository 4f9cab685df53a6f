"""Flags contributed by the parts chosen on the same command line, in the environment or in a configuration file.

A command says which parts are chosen (:data:`Chooser`); the options of those parts become real flags in a help
panel of their own. ``--n-conv`` may also be spelled ``--lcgcn.n-conv``; where two owners declare the same flag only
the long spelling is accepted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Calculator, Part
from crystalcli.contracts.workflow_record import POTENTIAL, Choice, PartFlags, Word, Workflow
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import CrystalError, UsageError


@dataclass(frozen=True)
class Given:
    """Values of one part's options; ``explicit`` are those not left at their defaults, ``typed`` of them are flags."""

    values: dict[str, Any] = field(default_factory=dict)
    explicit: dict[str, Any] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)


NEAR, SECOND = 0.85, 0.75
"""How like the word an option is that counts more than one of a part for other commands; one that is said, too."""
Chooser = Callable[[Word], Choice]
"""``chooser(word)``: the chosen parts; ``word(flag, default)`` tells what a flag, the environment or a file says."""


@dataclass(frozen=True)
class Flag:
    """One option of a chosen part as a flag of the command."""

    source: PartFlags
    spec: opt.OptionSpec
    key: str
    shared: bool

    @property
    def dest(self) -> str:
        """Name of the parameter, unique in the command."""
        return f"{self.source.part.family}__{self.spec.name}"

    @property
    def full_key(self) -> str:
        """Name of the part's table in a configuration file that cannot be another part's."""
        return f"{self.source.part.family}-{self.source.part.name}"

    @property
    def owner(self) -> str:
        """The part as people say it."""
        return f"{self.source.part.family} {self.source.part.name}"

    @property
    def short(self) -> str:
        """``--n-conv``."""
        return f"--{self.spec.flag}"

    @property
    def long(self) -> str:
        """``--lcgcn.n-conv``, which always works."""
        return f"--{self.key}.{self.spec.flag}"

    def spellings(self, flag: str) -> tuple[str, ...]:
        """The flag and, for a switch, its negative."""
        return (flag, f"--no-{flag[2:]}") if self.spec.type is bool else (flag,)

    def aliases(self) -> dict[str, str]:
        """Other spellings → the declared one."""
        declared = self.spellings(self.long if self.shared else self.short)
        found = dict(zip(self.spellings(self.long), declared, strict=True))
        if self.spec.type is bool:
            found[f"--{self.key}.no-{self.spec.flag}"] = declared[1]
        return {a: b for a, b in found.items() if a != b}


def collect(sources: Sequence[PartFlags], own: Iterable[str]) -> list[Flag]:
    """All flags of the chosen parts; ``own`` are the flags that the command itself declares."""
    pairs = [(s, spec) for s in sources for spec in opt.specs(s.model)]
    taken = set(own)
    flags = []
    for source, spec in pairs:
        same = [(s, x) for s, x in pairs if x.flag == spec.flag]
        name = source.part.name
        key = f"{source.part.family}-{name}" if sum(s.part.name == name for s, _ in same) > 1 else name
        shared = len(same) > 1 or not taken.isdisjoint({f"--{spec.flag}", f"--no-{spec.flag}"})
        flags.append(Flag(source, spec, key, shared))
    return flags


def parameters(flags: Sequence[Flag], command: str) -> list[Any]:
    """Let Typer turn a made-up signature into its own parameters."""

    def stub(**_: Any) -> None: ...

    made = [
        inspect.Parameter(
            flag.dest,
            inspect.Parameter.KEYWORD_ONLY,
            default=flag.source.defaults.get(flag.spec.name, flag.spec.default),
            annotation=Annotated[flag.spec.type, _option(flag, command)],
        )
        for flag in flags
    ]
    stub.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
    stub.__annotations__ = {p.name: p.annotation for p in made}
    app = typer.Typer(add_completion=False)
    app.command()(stub)
    return list(typer.main.get_command(app).params)


def _option(flag: Flag, command: str) -> Any:
    spec = flag.spec
    unit = f" ({spec.unit})" if spec.unit else ""
    upper = flag.key.upper().replace("-", "_")
    names = [f"{upper}_{spec.name.upper()}"] + ([] if flag.shared else [spec.name.upper()])
    return typer.Option(
        "/".join(flag.spellings(flag.long if flag.shared else flag.short)),
        help=spec.help.replace("[", r"\[") + unit,
        min=spec.min,
        max=spec.max,
        envvar=[f"CRYSTAL_{middle}{n}" for n in names for middle in (command, "")],
        show_envvar=False,
        rich_help_panel=f"{flag.source.part.family.capitalize()} {flag.source.part.name}",
    )


def respell(args: Sequence[str], flags: Sequence[Flag], own: Mapping[str, str], command: str) -> list[str]:
    """Write every long spelling in ``args`` as the flag the parser knows.

    A flag of the command that only parts declare besides that nobody named, as defaults, is the command's.

    Args:
        args: the command line.
        flags: of the chosen parts.
        own: flags that the command itself declares → its name of the option.
        command: the command's name.

    Raises:
        UsageError: another flag that two owners declare; names both and their long spellings.
    """
    aliases = {a: b for f in flags for a, b in f.aliases().items()}
    aliases |= {f"--{command}.{o[2:]}": o for o in own if o.startswith("--")}
    end = args.index("--") if "--" in args else len(args)
    said_here = {arg.partition("=")[2] or arg for arg in args[:end]}
    out = []
    for arg in args[:end]:
        word, equals, value = arg.partition("=")
        owners = [f for f in flags if f.shared and word in f.spellings(f.short)]
        if owners and not (word in own and said_here.isdisjoint(f.source.part.name for f in owners)):
            said = [f"{f.owner} ({f.long})" for f in owners]
            said += [f"the command ({f'--{command}.{word[2:]}'})"] if word in own else []
            raise UsageError(f"{word} is declared by {' and '.join(said)}; write the long spelling")
        out.append(aliases.get(word, word) + equals + value)
    return out + list(args[end:])


def explain_unknown(
    word: str, chosen: Sequence[Flag], known: Sequence[str], can_take: Collection[tuple[tuple[str, str], type]] = ()
) -> str:
    """Why ``word`` is no flag here: it belongs to a part that is not chosen, or what it may have meant.

    Args:
        word: as it was typed.
        chosen: flags of the chosen parts.
        known: all flags that there are here.
        can_take: parts that the command can take, see :func:`takeable`; options of others are nothing to choose here.
    """
    import difflib

    wanted = word.partition("=")[0].lstrip("-").removeprefix("no-")
    part_name, _, option = wanted.rpartition(".")
    here = {f.owner for f in chosen}
    owners, could = [], []
    for offered in registry().offered():
        part = offered.part
        having = [m for m in models(part) if option.removeprefix("no-") in {s.flag for s in opt.specs(m)}]
        if having and part_name in ("", part.name):
            owners.append(f"{part.family} {part.name}")
            could += [owners[-1]] if any(((part.family, part.name), m) in can_take for m in having) else []
    chosen_here = [o for o in owners if o in here]
    if chosen_here:
        return f"{word} belongs to {' and '.join(chosen_here)}, but is no option of this command"
    if could:
        return f"{word} belongs to {' and '.join(could)}, which {'is' if len(could) == 1 else 'are'} not chosen here"
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=NEAR if owners else 0.6)
    if near:
        near += [o for o in difflib.get_close_matches(word, list(known), n=2, cutoff=SECOND) if o not in near]
    elif owners:
        return f"{word} belongs to {' and '.join(owners)}, and is no option of this command"
    said = " or ".join(f"'{o}'" for o in near)
    return f"no such option: {word}; " + (f"did you mean {said}?" if near else "see --help")


def takeable(chooser: Chooser | None) -> set[tuple[tuple[str, str], type]]:
    """Parts that the command can take: whatever its chooser returns for any name under any flag it asks for."""
    if chooser is None:
        return set()
    asked: set[str] = set()

    def collect(overrides: dict[str, str]) -> set[tuple[tuple[str, str], type]]:
        def word(flag: str, default: str | None) -> str | None:
            asked.add(flag)
            return overrides.get(flag, default)

        try:
            sources = chooser(word).sources
        except CrystalError:
            return set()
        return {((s.part.family, s.part.name), s.model) for s in sources}

    found = collect({})
    for flag in sorted(asked):
        for offered in registry().offered():
            found |= collect({flag: offered.part.name})
    return found


def models(part: Part) -> list[type]:
    """All options models of a part; a workflow's options are those of a command."""
    if isinstance(part, Workflow):
        return []
    embed = getattr(part, "embed_options", None)
    return [part.options] + ([embed] if embed is not None else [])


@dataclass(frozen=True)
class DefaultPart:
    """Default of an option that chooses a part: the one whose record says that it is the default, asked for late."""

    family: str

    def __call__(self) -> str:
        """Its name."""
        return registry().default(self.family)


def names(family: str, more: Callable[[], Sequence[str]] = lambda: ()) -> Callable[[str], list[str]]:
    """Completion of part names, and of ``more`` words that may stand there."""
    return lambda incomplete: [n for n in (*registry().names(family), *more()) if n.startswith(incomplete)]


def words(of: Sequence[str], *, between_commas: bool) -> Callable[[str], list[str]]:
    """Completion of words: of a value that is one, or of the last of several with commas between."""

    def complete(incomplete: str) -> list[str]:
        head, comma, _ = incomplete.rpartition(",") if between_commas else ("", "", incomplete)
        said = head.split(",")
        return [head + comma + w for w in of if w not in said and (head + comma + w).startswith(incomplete)]

    return complete


def chosen(family: str, name: str) -> Part | None:
    """The part that an option's value names; none where it is empty, or a model.

    Raises:
        UsageError: no such part.
    """
    if not name:
        return None
    if family != POTENTIAL:
        return registry().get(family, name)
    from crystalcli.engine.potential import potential_names

    found: Calculator | None = potential_names.calculator(name)
    return found
