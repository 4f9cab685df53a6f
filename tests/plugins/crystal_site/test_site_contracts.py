"""The parts of the package keep the contracts."""

from crystal_site import NEIGHBORHOOD, SITE

from crystalcli.testing import ArchitectureContract, HeadContract
from crystalcli.vocabulary.quantities import Quantity


class TestSite(HeadContract):
    part = SITE


class TestOneTargetManyLayers(HeadContract):
    part = SITE
    options = {"n_hidden": 3, "hidden": 7}
    targets = (Quantity("magmom", "µB", "site"),)
    means = (1.5,)
    scales = (2.0,)


class TestPositive(HeadContract):
    part = SITE
    options = {"positive": True}
    means = (3.0, 0.5)


class TestConserved(HeadContract):
    part = SITE
    options = {"conserve": "gap"}


class TestEveryCrystalTheSame(HeadContract):
    part = SITE
    options = {"weigh": "crystals", "target_weights": "gap=0.5"}


class TestNeighborhood(ArchitectureContract):
    part = NEIGHBORHOOD
    options = {"width": 16}


class TestFewNeighbors(ArchitectureContract):
    part = NEIGHBORHOOD
    options = {"width": 8, "neighbors": 3, "n_layers": 1}
