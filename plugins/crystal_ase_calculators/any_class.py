"""Any calculator that Python can make."""

from __future__ import annotations

import json
import re
from typing import Any

from crystal_ase_calculators.guest import Guest, distribution, imported, loading, numbers
from crystal_ase_calculators.options import AseOptions
from crystalcli.vocabulary.errors import UsageError

NAMED = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)")


def ase(options: AseOptions) -> Guest:
    """``MODULE:CLASS`` called with named arguments.

    Raises:
        UsageError: nothing of that name, arguments that are no JSON object, or nothing that calculates.
        EnvironmentProblem: the module, or what it loads, is not there.
    """
    named = NAMED.fullmatch(options.calculator)
    if named is None:
        said = f"'{options.calculator}' is no MODULE:CLASS" if options.calculator else "is any; say which"
        raise UsageError(f"calculator ase: {said}: --calculator ase.calculators.morse:MorsePotential")
    module = imported(named["module"], distribution(named["module"]), "ase")
    make: Any = getattr(module, named["name"], None)
    if not callable(make):
        raise UsageError(f"calculator ase: module {named['module']} has nothing to call by the name {named['name']}")
    try:
        arguments = json.loads(options.arguments)
    except json.JSONDecodeError as problem:
        raise UsageError(f"calculator ase: --arguments is no JSON: {problem}") from problem
    if not isinstance(arguments, dict):
        raise UsageError('calculator ase: --arguments must be a JSON object: {"epsilon": 0.3}')
    with loading("ase", options.calculator, "see its --arguments"):
        made = make(**arguments)
    if not hasattr(made, "implemented_properties"):
        raise UsageError(f"calculator ase: {options.calculator} gives a {type(made).__name__}, which is no calculator")
    species = [s.strip() for s in options.species.split(",") if s.strip()]
    known = numbers(species)
    if len(known) != len(set(species)):
        raise UsageError(f"calculator ase: --species '{options.species}' must name elements: --species Cu,Au")
    return Guest(made, [distribution(named["module"])], known)
