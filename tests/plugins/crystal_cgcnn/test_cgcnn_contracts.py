"""The parts of the package keep the contracts."""

from crystal_cgcnn import CGCNN, CRYSTAL, LCGCN, NEAREST, RADIUS, SYMMETRY

from crystalcli.testing import ArchitectureContract, FeaturizerContract, HeadContract
from crystalcli.vocabulary.quantities import Quantity


class TestNearest(FeaturizerContract):
    part = NEAREST


class TestNearestKeepingTies(FeaturizerContract):
    part = NEAREST
    options = {"ties": "keep", "cutoff": 5.0}
    embed_options = {"atom_features": "learned", "gaussian_step": 0.4}


class TestSymmetry(FeaturizerContract):
    part = SYMMETRY


class TestRadius(FeaturizerContract):
    part = RADIUS


class TestRadiusCosine(FeaturizerContract):
    part = RADIUS
    options = {"cutoff": 4.0}
    embed_options = {"envelope": "cosine", "atom_features": "onehot92"}


class TestCgcnn(ArchitectureContract):
    part = CGCNN


class TestLcgcn(ArchitectureContract):
    part = LCGCN


class TestLayerNorm(ArchitectureContract):
    part = CGCNN
    options = {"norm": "layer", "activation": "silu", "message_scale": "neighbors", "n_conv": 1}


class TestAverage(HeadContract):
    part = CRYSTAL


class TestMax(HeadContract):
    part = CRYSTAL
    options = {"pool": "max", "n_hidden": 2}


class TestFcMax(HeadContract):
    part = CRYSTAL
    options = {"pool": "fcmax"}


class TestSum(HeadContract):
    part = CRYSTAL
    options = {"pool": "sum"}
    targets = (Quantity("energy", "eV", extensive=True), Quantity("magnetization", "µB", extensive=True))


class TestClasses(HeadContract):
    part = CRYSTAL
    targets = (Quantity("metal", classes=2), Quantity("kind", classes=4))


class TestClassAndNumber(HeadContract):
    part = CRYSTAL
    targets = (Quantity("metal", classes=3), Quantity("gap", "eV"))
