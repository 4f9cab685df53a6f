"""Any calculator that Python can make."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from crystal_ase_calculators.guest import Guest, distribution, imported, loading, numbers
from crystal_ase_calculators.options import AseOptions
from crystalcli.vocabulary.errors import UsageError, did_you_mean

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
    _refuse_unbound(make, arguments, options.calculator)
    _refuse_unknown(make, arguments, options.calculator)
    with loading("ase", options.calculator, "see its --arguments"):
        made = make(**arguments)
    if not hasattr(made, "implemented_properties"):
        raise UsageError(f"calculator ase: {options.calculator} gives a {type(made).__name__}, which is no calculator")
    species = [s.strip() for s in options.species.split(",") if s.strip()]
    known = numbers(species)
    if len(known) != len(set(species)):
        raise UsageError(f"calculator ase: --species '{options.species}' must name elements: --species Cu,Au")
    return Guest(made, [distribution(named["module"])], known)


def _refuse_unbound(make: Any, arguments: Mapping[str, Any], said: str) -> None:
    """What cannot be called so was typed wrongly; the computer has all that it needs.

    Raises:
        UsageError: an argument too many, or one that is missing.
    """
    try:
        listed = inspect.signature(make)
    except ValueError:  # of compiled code
        return
    try:
        listed.bind(**arguments)
    except TypeError as problem:
        raise UsageError(f"calculator ase: {said} {problem}; it is called as {said}{listed}") from problem


def _refuse_unknown(make: Any, arguments: Mapping[str, Any], said: str) -> None:
    """ASE's own class takes arguments of any name, and forgets those that it does not know.

    Raises:
        UsageError: one that the class does not list; programs that are run with a file take names that none lists.
    """
    from ase.calculators.calculator import FileIOCalculator

    listed = getattr(make, "default_parameters", None)
    if not listed or not isinstance(make, type) or issubclass(make, FileIOCalculator):
        return
    known = [*listed, *inspect.signature(make).parameters]
    for name in arguments:
        if name not in known:
            raise UsageError(f"calculator ase: {said} has no argument '{name}'; {did_you_mean(name, sorted(listed))}")
