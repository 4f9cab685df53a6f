"""A plugin whose featurizer is slow, fails or dies on certain metals."""

PLUGIN = """
import os, time
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Featurizer
from crystalcli.nouns.neighbors import build_graph

def make(options):
    def one(atoms):
        symbol = atoms.get_chemical_symbols()[0]
        if symbol == "Ag":
            os._exit(11)
        if symbol == "Au":
            raise ZeroDivisionError("gold")
        if symbol == "Pt":
            time.sleep(SLOW)
        return build_graph(atoms, cutoff=4.0)
    return one

@hookimpl
def crystal_parts():
    return [Featurizer(name="moody", summary="fails on gold, dies on silver", build=make, embed=lambda *a: None)]
"""


def moody_plugin(slow: float) -> str:
    """Source of the plugin; it takes ``slow`` seconds for platinum."""
    return PLUGIN.replace("SLOW", repr(slow))
