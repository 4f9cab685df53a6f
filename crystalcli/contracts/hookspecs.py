"""The hook through which plugins, built-in or not, offer their parts.

A plugin is a module or object named in the entry-point group ``crystal`` with this hook implemented::

    from crystalcli.contracts.hookspecs import hookimpl
    from crystalcli.contracts.records import Head

    @hookimpl
    def crystal_parts():
        return [Head(name="my-head", summary="...", build=build)]
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from crystalcli.contracts.records import Part

GROUP = "crystal"
"""Name of the entry-point group and of the pluggy project."""
WORKFLOWS = "crystal.workflows"
"""Group in which a distribution names the commands that it brings, for ``crystal --help``: found without loading it."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def crystal_parts() -> Sequence[Part]:
    """Return the records of all parts that this plugin offers. Must not import torch."""
    raise NotImplementedError
