"""A featurizer that gives no graph is named with its plugin, wherever it is asked."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ase.build
import pytest

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.model.proof import made_up
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.graphs.packing import GraphWork, graph_maker, graph_of
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity

CU = Entry("cu", ase.build.bulk("Cu"), "cu.cif")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """Makes ``build`` of the featurizer radius give something else; returns how it is called."""

    def become(made: Any) -> str:
        known = registry()
        offered = known.parts["featurizer", "radius"]
        other = replace(offered, part=replace(offered.part, build=lambda _: made))  # type: ignore[call-arg]
        monkeypatch.setitem(known.parts, ("featurizer", "radius"), other)
        return f"featurizer 'radius' of plugin {known.origin('featurizer', 'radius')}"

    return become


@pytest.mark.parametrize(("given", "said"), [(None, "a NoneType"), ((1, 2), "a tuple")])
def test_what_is_no_graph_costs_its_structure(built: Callable[[Any], str], given: Any, said: str) -> None:
    called = built(lambda _: given)
    work = GraphWork("radius")
    failure = graph_of(work, graph_maker(work), CU)
    assert isinstance(failure, Failure)
    assert (failure.id, failure.code) == ("cu", "featurizer-error")
    assert failure.reason == f"{called} gives {said}, not GraphArrays"


def test_what_a_model_asks_is_named_too(built: Callable[[Any], str]) -> None:
    called = built(lambda _: None)
    choices = PartChoice("radius", {"cutoff": 4.0}), PartChoice("radius"), PartChoice("cgcnn"), PartChoice("crystal")
    with pytest.raises(InputError, match=re.escape(f"{called} gives a NoneType, not GraphArrays")):
        made_up(ModelSpec(*choices, (Quantity("e"),), Statistics(elements=(29,))))


def test_no_function_is_refused(built: Callable[[Any], str]) -> None:
    called = built(None)
    with pytest.raises(UsageError) as raised:
        graph_maker(GraphWork("radius"))
    assert str(raised.value) == f"{called} builds a NoneType, not a function of ase.Atoms"
