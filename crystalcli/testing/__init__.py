"""Contract tests that every plugin, built-in or not, inherits.

    from crystalcli.testing import ArchitectureContract

    class TestMyNet(ArchitectureContract):
        part = MY_NET

Needs pytest. Crystals, tolerances and assertions for further tests of one's own are in the submodules.
"""

from crystalcli.testing.architecture import ArchitectureContract
from crystalcli.testing.calculator import CalculatorContract
from crystalcli.testing.featurizer import FeaturizerContract
from crystalcli.testing.head import HeadContract
from crystalcli.testing.logger import LoggerContract
from crystalcli.testing.reader import ReaderContract
from crystalcli.testing.ready_model import ReadyModelContract
from crystalcli.testing.relaxer import RelaxerContract
from crystalcli.testing.sampler import SamplerContract
from crystalcli.testing.source import SourceContract
from crystalcli.testing.workflow import WorkflowContract

__all__ = [
    "ArchitectureContract",
    "CalculatorContract",
    "FeaturizerContract",
    "HeadContract",
    "LoggerContract",
    "ReaderContract",
    "ReadyModelContract",
    "RelaxerContract",
    "SamplerContract",
    "SourceContract",
    "WorkflowContract",
]
