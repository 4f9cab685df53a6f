"""Packages that are not here, with the call signatures that theirs document, and nothing in them.

Signatures of mace-torch 0.3.16, matgl 4.1.2, orb-models 0.7.0 and 0.5, mattersim 1.2.5, fairchem-core 2.24.0. Each
gives a Morse potential, prints, warns and sets the default precision of torch, as some of the real ones do.
"""

# ruff: noqa: ARG001, ARG004, B006, C408

from __future__ import annotations

import types
import warnings
from typing import Any

import torch
from ase.calculators.morse import MorsePotential

CALLS: list[tuple[str, dict[str, Any]]] = []


class Network(torch.nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((3,), float(seed)))
        self.register_buffer("atomic_numbers", torch.tensor([29, 79]))
        self.element_types = ("Cu", "Au")


def morse(**more: Any) -> MorsePotential:
    made = MorsePotential(epsilon=0.3, r0=2.8, rho0=4.0, rcut1=1.4, rcut2=1.8)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def _loud() -> None:
    print("welcome")
    warnings.warn("welcome", stacklevel=1)
    torch.set_default_dtype(torch.float64)


def _module(name: str, **members: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(members)
    return made


def mace() -> dict[str, types.ModuleType]:
    def MACECalculator(  # noqa: N802
        model_paths=None,
        models=None,
        device="cpu",
        energy_units_to_eV=1.0,  # noqa: N803
        length_units_to_A=1.0,  # noqa: N803
        default_dtype="",
        **kwargs,
    ):
        _loud()
        CALLS.append(("MACECalculator", dict(model_paths=model_paths, device=device, dtype=default_dtype, **kwargs)))
        return morse(models=[Network()])

    def mace_mp(model=None, device="", default_dtype="float32", dispersion=False, damping="bj", **kwargs):
        _loud()
        CALLS.append(
            ("mace_mp", dict(model=model, device=device, dtype=default_dtype, dispersion=dispersion, **kwargs))
        )
        if model == "far":
            raise ConnectionError("<urlopen error [Errno -2] Name or service not known>\nmore")
        found = morse(models=[Network()])
        if not dispersion:
            return found
        both = morse()
        both.mixer = types.SimpleNamespace(calcs=[found, morse()])  # ase.calculators.mixing.SumCalculator
        return both

    def mace_off(model=None, device="", default_dtype="float64", **kwargs):
        CALLS.append(("mace_off", dict(model=model, device=device, dtype=default_dtype, **kwargs)))
        return morse(models=[Network()])

    found = _module("mace.calculators", MACECalculator=MACECalculator, mace_mp=mace_mp, mace_off=mace_off)
    return {"mace": _module("mace", calculators=found), "mace.calculators": found}


def matgl() -> dict[str, types.ModuleType]:
    class Potential(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = Network()

    def load_model(path, **kwargs):
        _loud()
        CALLS.append(("load_model", dict(path=path)))
        return Potential()

    def PESCalculator(  # noqa: N802
        potential, state_attr=None, stress_unit="GPa", stress_weight=1.0, use_voigt=False, **kwargs
    ):
        CALLS.append(("PESCalculator", dict(stress_unit=stress_unit)))
        return morse()

    ase = _module("matgl.ext.ase", PESCalculator=PESCalculator)
    return {"matgl": _module("matgl", load_model=load_model), "matgl.ext": _module("matgl.ext"), "matgl.ext.ase": ase}


def orb(*, new: bool = True) -> dict[str, types.ModuleType]:
    def orb_v3_conservative_inf_omat(weights_path="https://…", device=None, precision="float32-high", compile=None):
        _loud()
        CALLS.append(("orb_v3", dict(weights_path=weights_path, device=device, precision=precision)))
        return (Network(), "adapter") if new else Network()

    class New:
        def __new__(cls, model, atoms_adapter, *, edge_method=None, max_num_neighbors=None, device=None):
            CALLS.append(("ORBCalculator", dict(adapter=atoms_adapter, device=device)))
            return morse()

    class Old:
        def __new__(cls, model, *, device=None):
            CALLS.append(("ORBCalculator", dict(device=device)))
            return morse()

    names = {"orb-v3-conservative-inf-omat": orb_v3_conservative_inf_omat}
    inside = "orb_models.forcefield"
    found = {
        "orb_models": _module("orb_models"),
        inside: _module(inside),
        f"{inside}.pretrained": _module(f"{inside}.pretrained", ORB_PRETRAINED_MODELS=names),
    }
    where = f"{inside}.inference.calculator" if new else f"{inside}.calculator"
    if new:
        found[f"{inside}.inference"] = _module(f"{inside}.inference")
    vars(found[inside])["__path__"] = []  # a package: what it has not is not found
    return found | {where: _module(where, ORBCalculator=New if new else Old)}


def mattersim() -> dict[str, types.ModuleType]:
    def MatterSimCalculator(  # noqa: N802
        potential=None,
        args_dict={},
        compute_stress=True,
        stress_weight=0.006,
        device="cpu",
        dtype="float32",
        **kwargs,
    ):
        _loud()
        CALLS.append(("MatterSimCalculator", dict(device=device, dtype=dtype, stress_weight=stress_weight, **kwargs)))
        return morse(potential=types.SimpleNamespace(model=Network()))

    found = _module("mattersim.forcefield", MatterSimCalculator=MatterSimCalculator)
    return {"mattersim": _module("mattersim"), "mattersim.forcefield": found}


def fairchem() -> dict[str, types.ModuleType]:
    def get_predict_unit(model_name, inference_settings="default", overrides=None, device=None, cache_dir=""):
        _loud()
        CALLS.append(("get_predict_unit", dict(model=model_name, settings=inference_settings, device=device)))
        return types.SimpleNamespace(model=Network())

    def load_predict_unit(path, inference_settings="default", overrides=None, device=None, atom_refs=None):
        CALLS.append(("load_predict_unit", dict(path=path, device=device)))
        return types.SimpleNamespace(model=Network())

    def FAIRChemCalculator(predict_unit, task_name=None, seed=None):  # noqa: N802
        CALLS.append(("FAIRChemCalculator", dict(task=task_name)))
        return morse()

    mlip = types.SimpleNamespace(get_predict_unit=get_predict_unit, load_predict_unit=load_predict_unit)
    core = _module("fairchem.core", pretrained_mlip=mlip, FAIRChemCalculator=FAIRChemCalculator)
    return {"fairchem": _module("fairchem", core=core), "fairchem.core": core}
