"""Graphs of structures in the middle of a campaign: labels of sites are fields, and a bug of a plugin costs one."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from common import small_cache, some_campaign

from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.cache.cache_packing import PackedGraph
from crystalcli.engine.cache.cache_writer import write_cache
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.neighbors import build_graph
from crystalcli.screen import ensembles, training_set
from crystalcli.screen.candidates import FromCaches
from crystalcli.screen.options import Settings
from crystalcli.screen.stage_results import Structure
from crystalcli.screen.training_set import TrainingSet

STRUCTURES = [Structure(a.info["id"], a, {"spin": np.full(len(a), 0.5)}) for a in some_campaign.alloys(12)]


def moody(_work: object) -> Callable[[Any], Any]:
    """A featurizer that cannot divide where there are two atoms more than in the smallest cell."""

    def one(atoms: Any) -> Any:
        if len(atoms) == 4:
            raise ZeroDivisionError("four")
        return build_graph(atoms, cutoff=4.0)

    return one


def four() -> set[str]:
    return {s.id for s in STRUCTURES if len(s.atoms) == 4}


def test_labels_of_sites_are_fields_of_what_is_trained_on() -> None:
    recipe = GraphRecipe("cgcnn", small_cache.OPTIONS, ("spin", "tags"))
    for one, graph in ensembles._graphs(STRUCTURES, recipe):
        assert isinstance(graph, PackedGraph)
        np.testing.assert_array_equal(graph.fields["spin"], np.full(len(one.atoms), 0.5))


def test_a_bug_of_a_featurizer_costs_its_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensembles, "graph_maker", moody)
    made = {one.id: graph for one, graph in ensembles._graphs(STRUCTURES, GraphRecipe("cgcnn", {}))}
    failures = {i: graph for i, graph in made.items() if isinstance(graph, Failure)}
    assert set(failures) == four() != set()
    (reason,) = {f.reason for f in failures.values()}
    assert reason.startswith("featurizer 'cgcnn' of plugin")
    assert reason.endswith("ZeroDivisionError: four")


def test_what_has_no_graph_is_not_chosen_for_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "graph_maker", moody)
    chosen: list[str] = []
    warned: list[str] = []
    by_id = {s.id: s for s in STRUCTURES}
    plan = SimpleNamespace(
        settings=Settings(train=10, selection="diversity"), trains_on="chosen", training=SimpleNamespace(arch="cgcnn")
    )
    state = SimpleNamespace(
        plan=plan,
        has_structure=lambda _stage, _id: True,
        structure=lambda _stage, id: by_id[id],
        amounts={s.id: s.amounts for s in STRUCTURES},
        run=SimpleNamespace(reporter=SimpleNamespace(warn=warned.append)),
    )
    training = TrainingSet(state, None, ())  # type: ignore[arg-type]
    monkeypatch.setattr(training, "_take", lambda ids, _number: chosen.extend(ids))
    training.fill(list(by_id))
    assert sorted(chosen) == sorted(by_id.keys() - four())
    assert len(warned) == len(four())
    assert all(
        "is not chosen from: featurizer 'cgcnn' of plugin" in line and "ZeroDivisionError: four" in line
        for line in warned
    )


def test_fields_of_a_cache_are_there_where_its_graphs_are_made_anew(tmp_path: Path) -> None:
    atoms = some_campaign.alloys(1)[0]
    graph = build_graph(atoms, cutoff=4.0)
    spin = np.arange(float(len(atoms)))
    write_cache(
        tmp_path / "spins.h5",
        GraphRecipe("cgcnn", small_cache.OPTIONS, ("spin",)),
        ["x"],
        ["x"],
        [type(graph)(**{**vars(graph), "fields": {"spin": spin}})],
        [],
    )
    one = FromCaches(GraphDataset.open([tmp_path / "spins.h5"]), None).structure("x")
    np.testing.assert_array_equal(one.labels["spin"], spin)
