"""The parts that a model is made of, and whether they fit together."""

from __future__ import annotations

from typing import cast

from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.records import Architecture, Featurizer, Head
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


def part_names(spec: ModelSpec) -> tuple[tuple[str, str], ...]:
    """Family and name of every part that ``spec`` needs."""
    return (("featurizer", spec.graph.name), ("architecture", spec.architecture.name), ("head", spec.head.name))


def parts(spec: ModelSpec) -> tuple[Featurizer, Architecture, Head]:
    """The records of the parts that ``spec`` names.

    Raises:
        UsageError: one is not installed.
    """
    reg = registry()
    return (
        cast(Featurizer, reg.get("featurizer", spec.graph.name)),
        cast(Architecture, reg.get("architecture", spec.architecture.name)),
        cast(Head, reg.get("head", spec.head.name)),
    )


def refuse_misfits(
    featurizer: Featurizer, architecture: Architecture, head: Head, targets: tuple[Quantity, ...]
) -> None:
    """Refuse parts that do not fit together, before anything runs.

    Raises:
        UsageError: a part requires what no part before it provides, or a target's level is not the head's.
    """
    provided: set[str] = set()
    for part in (featurizer, architecture, head):
        missing = sorted(part.requires - provided)
        if missing:
            before = f"{featurizer.family} '{featurizer.name}'"
            if part is head:
                before = f"{architecture.family} '{architecture.name}'"
            raise UsageError(
                f"{part.family} '{part.name}' requires {', '.join(missing)}, which {before} does not provide;"
                " choose another part (crystal plugins list)"
            )
        provided |= part.provides
    if not targets:
        raise UsageError("the model has no target; name one with --targets")
    for t in targets:
        if head.learns:
            _refuse_unknown_label(t, head)
        elif t.shape:
            raise UsageError(
                f"head '{head.name}' learns one number per {head.level}; '{t.name}' has {len(t.components)}"
            )
        elif t.level != head.level:
            cure = "'crystal plugins list --family head' says which learns those"
            raise UsageError(f"head '{head.name}' learns {head.level} labels; '{t.name}' is one per {t.level}; {cure}")


def refuse_shape(shape: EmbeddingShape, architecture: Architecture, head: Head) -> None:
    """Refuse a head that reads what the architecture, with its options, does not give.

    Raises:
        UsageError: no edges, or a kind of irreps that is not there.
    """
    cure = "choose another architecture, or its options (crystal plugins show)"
    if head.edges and not shape.edge_dim:
        raise UsageError(
            f"head '{head.name}' reads edges of the embedding; architecture '{architecture.name}' gives none: {cure}"
        )
    if missing := sorted(set(head.irreps) - shape.irreps.kinds):
        raise UsageError(
            f"head '{head.name}' reads {', '.join(missing)} of the sites; architecture '{architecture.name}' gives "
            f"{shape.irreps}: {cure}"
        )


def _refuse_unknown_label(target: Quantity, head: Head) -> None:
    known = {q.name: q for q in head.learns}
    if target.name not in known:
        raise UsageError(
            f"head '{head.name}' learns {', '.join(known)}, not '{target.name}'; name labels when building the graphs, "
            f"as in --targets {next(iter(known))}={target.name}"
        )
    wanted = known[target.name]
    if target.meaning != wanted.meaning:
        what = "places of atoms" if wanted.meaning else "numbers that are no places of atoms"
        cure = f"; --targets {target.name}=KEY:position says so when the graphs are built" if wanted.meaning else ""
        raise UsageError(f"head '{head.name}' learns '{target.name}' as {what}, which this label is not{cure}")
    if (target.level, target.shape, target.extensive) != (wanted.level, wanted.shape, wanted.extensive):
        kind = "a total" if wanted.extensive else f"one value of {len(wanted.components)} numbers"
        cure = f"; when the graphs are built, --targets {target.name}=KEY says so" if wanted.extensive else ""
        raise UsageError(
            f"head '{head.name}' learns '{target.name}' as {kind} per {wanted.level}, which this label is not{cure}"
        )
    if target.unit and wanted.unit and target.unit != wanted.unit:
        raise UsageError(
            f"head '{head.name}' learns '{target.name}' in {wanted.unit}, and the cache has it in {target.unit}; build "
            f"the graphs anew, --targets {target.name}:UNIT converts it"
        )
