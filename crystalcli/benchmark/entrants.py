"""What is compared: ``NAME[:OPTION=VALUE,…]`` is an architecture with its partners and how it is trained.

An option is the architecture's, its head's, its featurizer's (in the network, or of the graphs), or the training's, the
first of them that has one of the name; ``head.pool=max`` says whose it is by the part's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, cast

from crystalcli.benchmark.options import BenchmarkOptions
from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Architecture, Featurizer, Head
from crystalcli.contracts.request import Chosen, Request
from crystalcli.engine.baselines import extra_baselines
from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.model.model_fields import fields_read
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.train.choice import recipe_of
from crystalcli.train.options import RecipeOptions, TrainOptions
from crystalcli.vocabulary.errors import UsageError, did_you_mean

_WORDS = re.compile(r"(?P<name>[^=]+?)(?::(?P<options>[\w.-]+=.*))?")
PARTNERS = ("head", "featurizer")
"""Options that name another part than the architecture's own partner."""
OF_TRAINING = ("ensemble", *(f.name for f in fields(RecipeOptions) if f.name != "baseline"))


@dataclass(frozen=True)
class Entrant:
    """One line of the table.

    Args:
        label: as typed.
        word: of its folders, one a fold.
        training: how it is trained; without caches, split and folder.
        graphs: how its graphs are made, where they are not in a cache yet.
        given: whether options of the graphs were said.
    """

    label: str
    word: str
    training: Request
    graphs: GraphRecipe
    given: bool

    @property
    def parts(self) -> tuple[Featurizer, Architecture, Head]:
        """The records of its parts."""
        o, reg = self.training.options, registry()
        return (
            cast(Featurizer, reg.get("featurizer", o.featurizer)),
            cast(Architecture, reg.get("architecture", o.arch)),
            cast(Head, reg.get("head", o.head)),
        )


def entrants(o: BenchmarkOptions) -> list[Entrant]:
    """All that are compared, in order; the default architecture where none is named.

    Raises:
        UsageError: no such part or option, or two of one name.
    """
    extra_baselines.parse_all(o.baseline)
    labels = list(dict.fromkeys(o.arch)) or [registry().default("architecture")]
    found = [_entrant(label, o, first=k == 0) for k, label in enumerate(labels)]
    by_word: dict[str, str] = {}
    for one in found:
        if (other := by_word.setdefault(one.word, one.label)) != one.label:
            raise UsageError(f"--arch {other} and --arch {one.label} would have one folder; say one of them otherwise")
    return found


class _Owner(NamedTuple):
    """Whose option it is: the name of the part, its family or ``graphs`` or ``training``, the options it has."""

    name: str
    place: str
    specs: Mapping[str, opt.OptionSpec]


def _entrant(label: str, o: BenchmarkOptions, *, first: bool) -> Entrant:
    match = _WORDS.fullmatch(label)
    if not match:
        raise UsageError(f"--arch {label} is not NAME[:OPTION=VALUE,OPTION=VALUE]")
    said = re.split(r",(?=[\w.-]+=)", match["options"]) if match["options"] else []
    values: dict[str, str] = {}
    for text in said:
        name, _, value = text.partition("=")
        if (key := name.replace("-", "_") if "." not in name else name) in values:
            raise UsageError(f"--arch {label}: option {name} is given twice")
        values[key] = value
    reg = registry()
    arch = cast(Architecture, reg.get("architecture", match["name"]))
    named = {k: values.pop(k, getattr(arch, k)) for k in PARTNERS}
    head, featurizer = (
        cast(Head, reg.get("head", named["head"])),
        cast(Featurizer, reg.get("featurizer", named["featurizer"])),
    )
    owners = [
        _Owner(arch.name, "arch", _specs(arch.options)),
        _Owner(head.name, "head", _specs(head.options)),
        _Owner(featurizer.name, "featurizer", _specs(featurizer.embed_options)),
        _Owner(featurizer.name, "graphs", _specs(featurizer.options)),
        _Owner("train", "training", {k: s for k, s in _specs(TrainOptions).items() if k in OF_TRAINING}),
    ]
    given = _dealt(label, values, owners)
    wanted = arch.partner_options
    parts = {
        "arch": Chosen(arch.name, given["arch"]),
        "head": Chosen(head.name, {**wanted.get(head.name, {}), **given["head"]}),
        "featurizer": Chosen(featurizer.name, {**wanted.get(featurizer.name, {}), **given["featurizer"]}),
    }
    recipe = {k: v for k, v in recipe_of(arch, head).items() if k != "batch_size"}
    recipe |= {} if o.epochs is None else {"epochs": o.epochs}
    options = opt.make(
        TrainOptions,
        {
            "arch": arch.name,
            "head": head.name,
            "featurizer": featurizer.name,
            "ensemble": o.ensemble,
            **recipe,
            **given["training"],
            "baseline": list(o.baseline) if first else [],
            "task": o.task,
            "no_compare": True,
            "seed": o.seed,
            "device": o.device,
            "threads": o.threads,
            "pictures": o.pictures,
        },
        owner=f"--arch {label}",
    )
    options.check()
    made = opt.to_dict(opt.make(featurizer.options, given["graphs"], owner=f"--arch {label}"))
    read = fields_read((f, parts[p].name, parts[p].options) for p, f in _FAMILIES.items())
    word = re.sub(r"[^\w.+-]+", "-", label)
    return Entrant(
        label, word, Request(options, parts), GraphRecipe(featurizer.name, made, read), bool(given["graphs"])
    )


_FAMILIES = {"arch": "architecture", "head": "head", "featurizer": "featurizer"}


def _specs(model: type) -> dict[str, opt.OptionSpec]:
    return {s.name: s for s in opt.specs(model)}


def _dealt(label: str, values: Mapping[str, str], owners: Sequence[_Owner]) -> dict[str, dict[str, Any]]:
    """Values by whose they are.

    Raises:
        UsageError: nobody has the option, or its value is none.
    """
    found: dict[str, dict[str, Any]] = {owner.place: {} for owner in owners}
    for name, text in values.items():
        whose, _, key = name.rpartition(".")
        key = key.replace("-", "_")
        mine = [w for w in owners if key in w.specs and whose in ("", w.name, w.place)]
        if not mine:
            known = [k for w in owners for k in w.specs if whose in ("", w.name, w.place)]
            raise UsageError(f"--arch {label}: there is no option '{name}'; {did_you_mean(key, [*known, *PARTNERS])}")
        found[mine[0].place][key] = opt.from_text(mine[0].specs[key], text, owner=f"--arch {label}")
    return found
