r"""Labels by name: which numbers of the files become targets, with what unit and level, and whether they make sense.

What users type after ``--targets`` (comma-separated, see :meth:`LabelRequest.parse`)::

    energy                       the number that the files call energy
    energy/atom                  divided by the number of atoms; called energy_per_atom
    formation_energy*atoms       times the number of atoms
    gap:eV                       with the unit said (a file seldom says it)
    end=new_pos:position         places of the atoms, Å: compared by the nearest image
    stress:vasp                  how a stress is written: ase, GPa, kbar, vasp, -GPa (compression positive), …
    e=energy/atom:eV             under another name; the unit is that of the number in the file
    a\,b                         a comma that belongs to the name
    none                         no labels at all
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from crystalcli.nouns.structures.id_prop import TARGET
from crystalcli.vocabulary.errors import UsageError, did_you_mean

NONE = "none"
POSITION = "position"
"""In place of a unit: the label is places of atoms in Å."""
UNASKED = {
    "U_iso_or_equiv", "B_iso_or_equiv", "oxidation_number", "oxidation_state", "initial_magmoms", "initial_charges",
}  # fmt: skip
"""Labels that files have as a matter of course: taken if asked for, never by default."""
Scaling = Literal["", "/atom", "*atoms"]
PER_ATOM, TOTAL = "_per_atom", "_total"
"""Behind the name of a number: the number divided by, or times, the atoms."""
ESCAPED = "\\,"
_COMMA = re.compile(r"(?<!\\),")
"""Between two targets."""
_SYNTAX = re.compile(r"(?:(?P<name>[A-Za-z_][\w-]*)=)?(?P<key>.+?)(?P<scaling>/atom|\*atoms)?(?::(?P<unit>[^:]+))?")


@dataclass(frozen=True)
class LabelRequest:
    """One target as asked for.

    Args:
        text: as typed.
        key: what the files call it.
        name: what it is called from now on.
        scaling: ``"/atom"`` divides by the number of atoms, ``"*atoms"`` multiplies.
        unit: unit of the number in the file, ``""`` if not said.
    """

    text: str
    key: str
    name: str
    scaling: Scaling = ""
    unit: str = ""

    @classmethod
    def parse(cls, text: str) -> LabelRequest:
        """Read ``[NAME=]KEY[/atom|*atoms][:UNIT]``.

        Raises:
            UsageError: nothing there.
        """
        match = _SYNTAX.fullmatch(text.strip())
        if not match:
            raise UsageError(f"target '{text}' is not [NAME=]KEY[/atom|*atoms][:UNIT]", code="label")
        key, scaling = match["key"].strip(), cast(Scaling, match["scaling"] or "")
        default = key.replace("/", "_") + {"": "", "/atom": PER_ATOM, "*atoms": TOTAL}[scaling]
        return cls(text.strip(), key, match["name"] or default, scaling, (match["unit"] or "").strip())


def parse(targets: Sequence[str]) -> tuple[LabelRequest, ...] | None:
    """Read ``--targets`` texts; ``()`` if none were given, ``None`` for the word ``none``.

    Raises:
        UsageError: a bad request, or two targets of one name.
    """
    parts = [t for text in targets for t in _COMMA.split(text) if t.strip()]
    texts = [t.replace(ESCAPED, ",") for t in parts]
    if [t.strip() for t in texts] == [NONE]:
        return None
    requests = tuple(LabelRequest.parse(t) for t in texts)
    twice = [n for n, k in Counter(r.name for r in requests).items() if k > 1]
    if twice:
        raise UsageError(f"target '{twice[0]}' is asked for twice; name one of them NAME=KEY", code="label")
    return requests


def choose(
    candidates: Mapping[str, int], requests: Sequence[LabelRequest] | None, default: str = ""
) -> tuple[LabelRequest, ...]:
    """Decide which labels to take, given how many structures offer each key.

    None named: the target of an ``id_prop.csv``, the only candidate there is, or else ``default``; what files have
    as a matter of course (:data:`UNASKED`) is none.

    Raises:
        UsageError: several candidates and none named, or a named one that no structure has; lists what there is.
    """
    if requests is None or (not requests and not candidates):
        return ()
    if requests:
        return tuple(_found(r, candidates, [r.text for r in requests]) for r in requests)
    if TARGET in candidates and f"{TARGET}2" not in candidates:
        return (LabelRequest.parse(TARGET),)
    ours = [key for key in candidates if key not in UNASKED]
    if not ours:
        return ()
    if len(ours) == 1 or default in candidates:
        key = default or ours[0]
        return (LabelRequest(key, key, key.replace("/", "_")),)
    raise UsageError(
        f"the files offer several labels: {_listed(candidates)}; choose with --targets KEY, or --targets none",
        code="label",
    )


def _found(request: LabelRequest, candidates: Mapping[str, int], asked: Sequence[str]) -> LabelRequest:
    if request.text in candidates:
        return LabelRequest(request.text, request.text, request.text.replace("/", "_"))
    if request.key in candidates:
        return request
    offered = f"they have: {_listed(candidates)}" if candidates else "they have none at all"
    if (whole := _with_comma(request, candidates, asked)) is not None:
        raise UsageError(
            f"the comma of '{whole}' parts two targets; write it '{whole.replace(',', ESCAPED)}'", code="label"
        )
    other = _per_atom_or_total(request.key, candidates)
    hint = f" ({other or did_you_mean(request.key, list(candidates))})" if candidates else ""
    raise UsageError(f"no structure has a label '{request.key}'{hint}; {offered}", code="label")


def _per_atom_or_total(key: str, candidates: Mapping[str, int]) -> str:
    """How the label that is asked for comes from one that there is; empty where it does not."""
    whole, each = key.removesuffix(PER_ATOM), f"{key}{PER_ATOM}"
    if whole != key and whole in candidates:
        return f"'{whole}/atom' is '{whole}' per atom"
    return f"'{key}={each}*atoms' is the total of '{each}'" if each in candidates else ""


def _with_comma(request: LabelRequest, candidates: Mapping[str, int], asked: Sequence[str]) -> str | None:
    """The label that was meant, if the request is a part of its name and the others are the rest."""
    parts = {name: [part.strip() for part in name.split(",")] for name in candidates if "," in name}
    texts = {*asked, request.key}
    return next((name for name, some in parts.items() if request.key in some and texts >= set(some)), None)


def _listed(candidates: Mapping[str, int]) -> str:
    return ", ".join(f"{k} ({n})" for k, n in sorted(candidates.items(), key=lambda kn: (-kn[1], kn[0])))
