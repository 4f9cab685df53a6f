"""crystal: build crystal graphs, train graph neural networks on them, predict, relax, screen, run dynamics.

A trained model in a Python program::

    from crystalcli import load_model

    model = load_model("runs/latest")  # a run folder or a model file
    found = model.predict(atoms)  # ase.Atoms or a pymatgen structure; a list of them gives a list
    print(found["energy_per_atom"].value, found["energy_per_atom"].unit)

A potential, trained or by name, as an ASE calculator::

    from crystalcli import load_potential

    atoms.calc = load_potential("runs/latest")

``predict(model, structures)`` is the same as a function. Importing this package loads neither torch nor ase.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_IN_MEMORY = dict.fromkeys(("LoadedModel", "Predicted", "load_model", "predict"), "crystalcli.prediction.in_memory")
_IN_MEMORY |= dict.fromkeys(("CrystalCalculator", "load_potential"), "crystalcli.engine.potential.ase_calculator")


def __getattr__(name: str) -> Any:
    """Load the Python interface when it is first asked for: ``crystal --help`` must not wait for torch."""
    if name in _IN_MEMORY:
        return getattr(importlib.import_module(_IN_MEMORY[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_IN_MEMORY])
