"""Networks of others, each by the calls that its package documents; weights that are no file are hashed as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crystal_ase_calculators.guest import APART, Guest, imported, loading, numbers, weights
from crystal_ase_calculators.options import (
    ChgnetOptions,
    FairchemOptions,
    MaceOptions,
    MatglOptions,
    MattersimOptions,
    OrbOptions,
)
from crystalcli.vocabulary.errors import CrystalError, UsageError, did_you_mean

DOWNLOADED = "its weights are downloaded once; run it with a network, or give --model a file"

FAR_APART = 120.0
"""Å, of what has dispersion: D3 sums to 50 Å."""


def chgnet(options: ChgnetOptions) -> Guest:
    """CHGNet 0.4; weights are in the package."""
    package = imported("chgnet.model", "chgnet", "chgnet")
    dynamics = imported("chgnet.model.dynamics", "chgnet", "chgnet")
    with loading("chgnet", options.file or options.model, "is it a file that chgnet wrote?"):
        if options.file:
            model = package.CHGNet.from_file(options.file)
        else:
            model = package.CHGNet.load(model_name=options.model, use_device=options.place, verbose=False)
        made = dynamics.CHGNetCalculator(model=model, use_device=options.place, on_isolated_atoms="ignore")
        known = model.atom_embedding.embedding.num_embeddings  # a row for every element from hydrogen on
    return Guest(made, ["chgnet", "torch"], frozenset(range(1, known + 1)), crystals=True, weights=weights(model))


def mace(options: MaceOptions) -> Guest:
    """MACE 0.3.16: ``mace_mp``, ``mace_off`` by name, ``MACECalculator`` of a file."""
    package = imported("mace.calculators", "mace-torch", "mace")
    more: dict[str, Any] = {"device": options.place, "default_dtype": options.precision}
    if options.head:
        more["head"] = options.head
    with loading("mace", options.model, DOWNLOADED):
        if Path(options.model).is_file():
            made = package.MACECalculator(model_paths=options.model, **more)
        elif options.kind == "off":
            made = package.mace_off(model=options.model, **more)
        else:
            made = package.mace_mp(model=options.model, dispersion=options.dispersion, **more)
        inner = next((c for c in getattr(made, "calcs", getattr(getattr(made, "mixer", None), "calcs", []))), made)
        models = inner.models
        known = frozenset(int(z) for z in models[0].atomic_numbers)
    apart = FAR_APART if options.dispersion else APART
    return Guest(made, ["mace-torch", "torch"], known, crystals=True, apart=apart, weights=weights(*models))


def matgl(options: MatglOptions) -> Guest:
    """Matgl 4: ``load_model`` and ``PESCalculator``, whose stress is in GPa unless it is told otherwise."""
    package = imported("matgl", "matgl", "matgl")
    calculators = imported("matgl.ext.ase", "matgl", "matgl")
    with loading("matgl", options.model, DOWNLOADED):
        potential = package.load_model(options.model)
        potential = potential.to(options.place)
        made = calculators.PESCalculator(potential=potential, stress_unit="eV/A3")
        known = numbers(potential.model.element_types)
    return Guest(made, ["matgl", "torch"], known, crystals=True, weights=weights(potential))


def orb(options: OrbOptions) -> Guest:
    """orb-models: a function for every name; it gives the network, from 0.6 on with what makes graphs of structures."""
    pretrained = imported("orb_models.forcefield.pretrained", "orb-models", "orb")
    known = getattr(pretrained, "ORB_PRETRAINED_MODELS", {})
    if options.model not in known:
        raise UsageError(f"calculator orb has no model '{options.model}'; {did_you_mean(options.model, sorted(known))}")
    try:
        calculators = imported("orb_models.forcefield.inference.calculator", "orb-models", "orb")
    except CrystalError:  # before 0.6
        calculators = imported("orb_models.forcefield.calculator", "orb-models", "orb")
    more = {"weights_path": options.file} if options.file else {}
    with loading("orb", options.model, DOWNLOADED.replace("--model", "--file")):
        loaded = known[options.model](device=options.place, precision=options.precision, **more)
        network, *adapter = loaded if isinstance(loaded, tuple) else (loaded,)
        made = calculators.ORBCalculator(network, *adapter, device=options.place)
    return Guest(made, ["orb-models", "torch"], crystals=True, weights=weights(network))


def mattersim(options: MattersimOptions) -> Guest:
    """MatterSim 1.2."""
    package = imported("mattersim.forcefield", "mattersim", "mattersim")
    more = {"dtype": options.precision} if options.precision != "float32" else {}
    with loading("mattersim", options.model, DOWNLOADED):
        made = package.MatterSimCalculator(load_path=options.model, device=options.place, **more)
    return Guest(made, ["mattersim", "torch"], crystals=True, weights=weights(made.potential.model))


def fairchem(options: FairchemOptions) -> Guest:
    """fairchem-core 2: ``get_predict_unit`` takes a name, ``load_predict_unit`` a file."""
    package = imported("fairchem.core", "fairchem-core", "fairchem")
    cure = f"{DOWNLOADED}; accept its licence at its hub and log in there first"
    with loading("fairchem", options.model, cure):
        units = package.pretrained_mlip
        get = units.load_predict_unit if Path(options.model).is_file() else units.get_predict_unit
        unit = get(options.model, inference_settings=options.settings, device=options.place)
        made = package.FAIRChemCalculator(unit, task_name=options.task)
    return Guest(made, ["fairchem-core", "torch"], weights=weights(unit.model))
