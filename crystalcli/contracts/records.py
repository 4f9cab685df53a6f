"""The typed records by which a plugin offers its parts. Importing this loads no torch.

A record says what a part is called, which options it has, what it needs and gives, and how to build it;
``build`` functions import torch when they are called, never when the record is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from crystalcli.contracts.options import NoOptions
from crystalcli.vocabulary.quantities import Quantity

if TYPE_CHECKING:
    import ase
    from ase.calculators.calculator import BaseCalculator

    from crystalcli.contracts.dynamics import NeighborPotential, RelaxerModule, SamplerModule
    from crystalcli.contracts.irreps import EmbeddingShape
    from crystalcli.contracts.modules import ArchitectureModule, FeaturesModule, HeadModule, StackedMembers
    from crystalcli.contracts.pretrained import Converted
    from crystalcli.contracts.workflow import Log
    from crystalcli.nouns.arrays import GraphArrays

API_VERSION = 1
"""Version of the contract between core and plugins; a record made for another is refused."""


@dataclass(frozen=True)
class Statistics:
    """What a part may know of the training split when it is built; saved in the model.

    Args:
        mean_neighbors: mean number of edges per atom.
        elements: atomic numbers that occur.
        target_mean: mean of each target over the training split, in the target's unit; of a total per atom.
        target_scale: standard deviation of each target, never zero; of a total per atom.
        residual: targets learned as the residual of a baseline; mean and scale are those of the residual.
        references: energy of an atom of each of ``elements``, eV, fitted to the training split; empty without a head
            that sums energies of atoms. The scale of ``energy`` is then that of what is left, per atom.
        shortest: (Z, Z', Å) shortest edge between atoms of two elements, Z ≤ Z', in the training split; of such a head.
        atoms: of every crystal of the training split; 0 where they differ, or nobody said.
        cutoff: Å, no edge is longer; of such a head. 0: nobody said, as of models made before it was kept.
    """

    mean_neighbors: float = 12.0
    elements: tuple[int, ...] = ()
    target_mean: Mapping[str, float] = field(default_factory=dict)
    target_scale: Mapping[str, float] = field(default_factory=dict)
    residual: tuple[str, ...] = ()
    references: tuple[float, ...] = ()
    shortest: tuple[tuple[int, int, float], ...] = ()
    atoms: int = 0
    cutoff: float = 0.0

    def normaliser(self, target: Quantity, *, extensive: bool) -> tuple[float, float]:
        """Mean and scale of what a head makes ``target`` of: atoms that it sums (``extensive``), else whole crystals.

        The other kind of target is learned only where all crystals have as many atoms.
        """
        times = 1.0
        if self.atoms and target.level == "structure" and target.extensive != extensive:
            times = float(self.atoms) if target.extensive else 1.0 / self.atoms
        return times * self.target_mean.get(target.name, 0.0), times * self.target_scale.get(target.name, 1.0)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What all parts have in common.

    Args:
        name: the word users type; lower case, digits and dashes.
        summary: one line for help and listings.
        options: frozen dataclass made with :func:`crystalcli.contracts.options.option`.
        references: papers or DOIs.
        requires, provides: words such as ``"edges"``, ``"edge-features"``; a model is refused when one of its
            parts requires what no part before it provides.
        default: taken where nobody names a part of its family; of several such parts the built-in one.
        api: version of the contract the part was written for.
    """

    family: ClassVar[str]
    name: str
    summary: str
    options: type = NoOptions
    references: tuple[str, ...] = ()
    requires: frozenset[str] = frozenset()
    provides: frozenset[str] = frozenset()
    default: bool = False
    api: int = API_VERSION


@dataclass(frozen=True, kw_only=True)
class Featurizer(Part):
    """structure → graph arrays (once, offline, numpy) and graph → features (torch, part of the model).

    Args:
        options: what fixes the edges; part of the cache's fingerprint.
        embed_options: what turns a cached graph into features; free to change without rebuilding the cache.
        build: ``build(options) -> (atoms -> GraphArrays)``.
        embed: ``embed(embed_options, options, statistics) -> module(graph) -> Features``.
        fields: which per-site fields ``embed`` with these options reads from ``graph.fields``, by name:
            ``fixed`` (1 for atoms that constraints hold, else 0), ``tags`` (ASE's), or any array of the files; (N,), or
            (N, k) for ``NAME:k``. The program finds them in structures, and refuses caches that were built without.
    """

    family: ClassVar[str] = "featurizer"
    build: Callable[[Any], Callable[[ase.Atoms], GraphArrays]]
    embed: Callable[[Any, Any, Statistics], FeaturesModule]
    embed_options: type = NoOptions
    fields: Callable[[Any], tuple[str, ...]] = lambda _embed_options: ()


GENTLER = 0.2
"""Share of the usual learning rate with which a trained model is trained on."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Training settings that suit an architecture; every one can be overridden by a flag."""

    loss: str = "l1"
    optimizer: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.0
    batch_size: int = 64
    epochs: int = 100
    schedule: str = "one-cycle"
    clip: float = 10.0
    ema: float = 0.0
    patience: int = 0
    residual_of: str = "none"


@dataclass(frozen=True, kw_only=True)
class Architecture(Part):
    """graph + features → embedding.

    Args:
        build: ``build(options, node_dim, edge_dim, statistics) -> module(graph, features) -> Embedding``.
        featurizer, head: default partners, by name.
        partner_options: defaults that the architecture wants of its partners, e.g. ``{"head-x": {"pool": "max"}}``.
        recipe: training settings that suit it.
        gentler: share of their learning rate with which a trained model is trained on.
        stack: ``stack(modules) -> StackedMembers`` (see :mod:`crystalcli.contracts.modules`) or none: evaluates the
            members of an ensemble, modules of this architecture with the same options, together.
        fields: which per-site fields one with these options reads from ``graph.fields``, by name:
            ``fixed`` (1 for atoms that constraints hold, else 0), ``tags`` (ASE's), or any array of the files; (N,), or
            (N, k) for ``NAME:k``. The program finds them in structures, and refuses caches that were built without.
    """

    family: ClassVar[str] = "architecture"
    build: Callable[[Any, int, int, Statistics], ArchitectureModule]
    featurizer: str
    head: str
    partner_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recipe: Recipe = Recipe()
    gentler: float = GENTLER
    stack: Callable[[Sequence[Any]], StackedMembers | None] | None = None
    fields: Callable[[Any], tuple[str, ...]] = lambda _options: ()


@dataclass(frozen=True, kw_only=True)
class Head(Part):
    """embedding → quantities, their loss, and how their errors are counted.

    Args:
        build: ``build(options, shape, targets, statistics) -> HeadModule``; ``shape`` is the
            :class:`~crystalcli.contracts.irreps.EmbeddingShape` of the embeddings it will get.
        level: level of the labels it learns.
        learns: the only labels it learns, where their names have a meaning; ``level`` counts for none of them.
        recipe: settings of training that suit it better than the architecture's, by name: ``{"batch_size": 8}``.
        irreps: kinds of numbers of a site that it takes: scalars alone, or vectors (``"1o"``) and others, too. All
            other kinds are cut off before it sees them; an architecture that lacks one of these is refused.
        edges: it reads the embedding's edges; an architecture that gives none is refused.
        inputs: which numbers per structure a head with these options reads, by name: graphs have them as fields, the
            same at all sites of a structure; they are labels of the caches, or what the files say.
        fields: which per-site fields it reads, as of an :class:`Architecture`.
        yardsticks: architectures trained beside every model with this head, for its report; by name.
        again: it moves atoms and asks how they are embedded there: ``embedding.again`` is a function.

    A head that provides ``"energy"`` predicts ``energy`` (S,) and ``energies`` (N,), both in eV, whatever its targets
    are; forces and stress are derived from that energy by the program and come to its loss with the rest.

    A head that provides ``"surface"`` predicts a minimum through an energy that it can give away: relaxers minimise it
    (``crystal relax --potential MODEL``), see :class:`~crystalcli.contracts.modules.HeadModule`.
    """

    family: ClassVar[str] = "head"
    build: Callable[[Any, EmbeddingShape, tuple[Quantity, ...], Statistics], HeadModule]
    irreps: tuple[str, ...] = ("0e",)
    edges: bool = False
    level: str = "structure"
    learns: tuple[Quantity, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    inputs: Callable[[Any], tuple[str, ...]] = lambda _options: ()
    fields: Callable[[Any], tuple[str, ...]] = lambda _options: ()
    yardsticks: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Reader(Part):
    """A file format: path → structures with whatever labels the file holds.

    Args:
        suffixes: file name endings it claims, e.g. ``(".h5",)``.
        sniff: ``sniff(path) -> bool``, asked only for files with a claimed ending; one that raises is left out.
        read: ``read(path) -> iterator of`` :class:`crystalcli.nouns.structures.entry.Entry`; raises InputError for a
            bad file, and may yield one for a bad structure among good ones.
        example: ``example(path)`` writes a small file of the format, for ``crystal plugins check``.
    """

    family: ClassVar[str] = "reader"
    suffixes: tuple[str, ...]
    sniff: Callable[[Path], bool]
    read: Callable[[Path], Iterator[Any]]
    example: Callable[[Path], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Source(Part):
    """Structures from nothing: wherever files are read, the input ``source:NAME:option=value,…,seed=N``.

    Args:
        options: what is generated; none may be called ``seed`` or run anything (``runs=True``).
        generate: ``generate(options, seed) -> iterator of`` :class:`crystalcli.nouns.structures.entry.Entry`, the same
            bits for equal options and seed; may yield an InputError for one structure that cannot be made. Ids are
            unique; one that begins with ``:`` goes behind the source's name. ``Entry.source`` is filled in.
    """

    family: ClassVar[str] = "source"
    generate: Callable[[Any, int], Iterator[Any]]


@dataclass(frozen=True, kw_only=True)
class Calculator(Part):
    """A potential by name (``--potential NAME``): any ASE calculator, or one that takes whole batches.

    Args:
        build: ``build(options) -> calculator``; a new one for every call. Of ASE, or a
            :class:`crystalcli.contracts.dynamics.NeighborPotential`, which is asked for many structures at once. It
            may have ``known_elements``, atomic numbers, where they hang on the options, and ``made_of``, plain
            values that say what it computes with (versions, hashes of weights and files): they stand in run.json.
        elements: atomic numbers it knows; empty: it says so itself, when it is built or by an error.
        example: ``example() -> ase.Atoms``, a small crystal that it can evaluate, for ``crystal plugins check``.
    """

    family: ClassVar[str] = "calculator"
    build: Callable[[Any], BaseCalculator | NeighborPotential]
    elements: frozenset[int] = frozenset()
    example: Callable[[], ase.Atoms] | None = None


@dataclass(frozen=True, kw_only=True)
class Pretrained(Part):
    """A trained model of others under a name: ``crystal models import NAME``, then wherever models are read.

    Its file lies in a package that somebody else publishes, or is given by the user; what is in it becomes a model file
    of ours, in the user's folder for data.

    Args:
        package: import name of the package that has the file. file: where, from the package's folder.
        install: what to type to have it, ``pip install …``.
        sha256: of the file; another is refused.
        convert: ``convert(path) -> ``:class:`crystalcli.contracts.pretrained.Converted`; runs nothing of the file.
        licence: of the weights. level: of theory of their training data, as one line.
    """

    family: ClassVar[str] = "pretrained"
    package: str
    file: str
    install: str
    sha256: str
    convert: Callable[[Path], Converted]
    licence: str
    level: str


@dataclass(frozen=True, kw_only=True)
class ReadyModel(Part):
    """A trained model that a plugin brings in a folder of its package: its name stands wherever a model file does.

    Args:
        folder: with a file ``model.safetensors``, as ``crystal train`` and ``crystal calibrate`` write it, or a
            ``model.json`` that shows some targets of another (:mod:`crystalcli.engine.model.model_head`), and with
            ``card.json``, which says at least its ``sha256``, ``licence`` and ``level`` of theory.
        install: what to type to have the files anew, ``pip install --force-reinstall …``.
    """

    family: ClassVar[str] = "model"
    folder: Path
    install: str


@dataclass(frozen=True, kw_only=True)
class Relaxer(Part):
    """Batched minimiser.

    Args:
        build: ``build(options) -> RelaxerModule``.
    """

    family: ClassVar[str] = "relaxer"
    build: Callable[[Any], RelaxerModule]


@dataclass(frozen=True, kw_only=True)
class Sampler(Part):
    """Batched dynamics.

    One that holds a temperature provides ``"temperature"``; structures in which nothing can move are refused then.

    Args:
        build: ``build(options) -> SamplerModule``.
    """

    family: ClassVar[str] = "sampler"
    build: Callable[[Any], SamplerModule]


@dataclass(frozen=True, kw_only=True)
class Logger(Part):
    """A place where the numbers of a run go while it works, beside metrics.jsonl: ``crystal train --log NAME``.

    What else it needs to know (a server, a project) it takes from the variables of its service: it has no flags.

    Args:
        build: ``build(options, folder) -> ``:class:`crystalcli.contracts.workflow.Log`; files go into ``folder``, the
            run's. What it raises, then or later, is warned of and costs the run nothing.
        writes: names, with ``*``, of these files; ``--overwrite`` removes them.
        package: import name of a package that it needs; the run is refused where it is missing.
        install: what to type to have it.
    """

    family: ClassVar[str] = "logger"
    build: Callable[[Any, Path], Log]
    writes: tuple[str, ...] = ()
    package: str = ""
    install: str = ""
