"""What every head must do, whether it predicts values of structures or of sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any, cast

import ase
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crystalcli.contracts import options as opt
from crystalcli.contracts.modules import Labels, Prediction
from crystalcli.nouns.graph import sum_per_structure
from crystalcli.nouns.systems import from_voigt, to_voigt
from crystalcli.testing import crystals
from crystalcli.testing.compare import check_elsewhere, check_gradient, check_save_load, same
from crystalcli.testing.elements import check_carried, check_tables
from crystalcli.testing.head_trial import HeadTrial
from crystalcli.testing.rotations import rotation
from crystalcli.vocabulary.errors import UsageError

LOSSES = ("l1", "mse", "huber")


class HeadContract(HeadTrial):
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest."""

    def test_predicts_every_target(self) -> None:
        """One prediction for each target: float64, in its shape, finite; ``energy`` has its parts, ``energies``."""
        graph, embedding = self.batch()
        predictions: Mapping[str, Prediction] = self.module()(graph, embedding)
        expected = {t.name for t in self.targets}
        if "energy" in self.part.provides:
            expected |= {"energy", "energies"}
            parts = sum_per_structure(graph, predictions["energies"].value)
            same(parts, predictions["energy"].value, "sum of the energies of the atoms")
        assert set(predictions) == expected, "predicts other quantities than the targets"
        for t in self.targets:
            value = predictions[t.name].value
            n = self.rows(t, graph)
            shape = (n, t.classes) if t.classes else (n, *t.shape)
            assert value.shape == shape, f"'{t.name}' is {tuple(value.shape)}, expected {shape}"
            assert value.dtype == torch.float64, f"'{t.name}' is {value.dtype}, not float64"
            assert torch.isfinite(value).all(), f"'{t.name}' is not finite"
            assert predictions[t.name].quantity == t, f"'{t.name}' has lost its unit or level"
            if t.classes:
                same(value.sum(1), torch.ones(n), f"probabilities of '{t.name}'")

    def test_permutation(self) -> None:
        """The atoms of a crystal have no order: values of structures stay, values of sites go with their sites."""
        moved, order = crystals.permuted(crystals.rattled())
        before, after = (self.of(a) for a in (crystals.rattled(), moved))
        same(after, before[torch.as_tensor(order)] if self.of_sites else before, "permutation")

    def test_batch(self) -> None:
        """In evaluation mode a batch of k is k batches of one."""
        alone = torch.cat([self.of(a) for a in crystals.all_crystals()])
        same(self.of(*crystals.all_crystals()), alone, "batch")

    def test_supercell(self) -> None:
        """A supercell has the same value, n times it where the head says ``extensive``, or copies of its sites."""
        atoms = crystals.rattled()
        one, many = self.of(atoms), self.of(atoms.repeat((3, 1, 1)))
        factor = 3.0 if getattr(self.module(), "extensive", False) else 1.0
        expected = one.repeat(3, 1) if self.of_sites else factor * one
        if any(t.meaning == "position" for t in self.targets):
            shift = np.repeat(np.arange(3.0)[:, None] * atoms.cell.array[0], len(atoms), axis=0)
            expected = expected + self.per_column(torch.as_tensor(shift))
        same(many, expected, "supercell")

    def test_translation(self) -> None:
        """Moving all atoms moves positions, and changes nothing else."""
        vector = (0.37, -1.21, 5.03)
        atoms = crystals.rattled()
        expected = self.of(atoms)
        if self.of_sites:
            expected = expected + self.per_column(torch.tensor(vector, dtype=torch.float64).repeat(len(atoms), 1))
        same(self.of(crystals.translated(atoms, vector)), expected, "translation")

    def test_rotation(self) -> None:
        """Vectors and positions turn with the crystal, tensors with both axes; numbers stay."""
        turn = torch.as_tensor(rotation())
        for atoms in (crystals.rattled(), crystals.slab()):
            before, after, start = self.of(atoms), self.of(crystals.rotated(atoms)), 0
            for t in self.targets:
                width = max(t.classes, prod(t.shape))
                was, now = (v[:, start : start + width] for v in (before, after))
                start += width
                if t.shape == (3,):
                    was = was @ turn.T
                elif t.shape == (6,):
                    was = to_voigt(turn @ from_voigt(was) @ turn.T)
                elif t.shape:
                    continue
                same(now, was, f"rotation of '{t.name}'")

    def test_gradient(self) -> None:
        """The loss can be differentiated with respect to the embedding."""
        graph, embedding = self.batch()
        module, labels = self.module(), self.labels(graph)

        def loss(nodes: Tensor) -> Tensor:
            changed = replace(embedding, nodes=nodes)
            return cast(Tensor, module.loss(module(graph, changed), labels, graph, "mse"))

        apart = torch.randn(embedding.nodes.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        nodes = embedding.nodes + 0.1 * apart  # where atoms are alike, a maximum has no gradient
        check_gradient(loss, nodes, f"loss of {self.part.name}")

    def test_gradient_of_edges(self) -> None:
        """Where the head says that it reads edges, the loss can be differentiated with respect to them."""
        if not self.part.edges:
            return
        graph, embedding = self.batch()
        module, labels = self.module(), self.labels(graph)

        def loss(edges: Tensor) -> Tensor:
            changed = replace(embedding, edges=edges)
            return cast(Tensor, module.loss(module(graph, changed), labels, graph, "mse"))

        assert embedding.edges is not None
        check_gradient(loss, embedding.edges, f"loss of {self.part.name} with respect to edges")

    def test_missing_labels_do_not_count(self) -> None:
        """The number under a mask, NaN or any other, changes neither loss nor gradient."""
        graph, embedding = self.batch()
        for kind in LOSSES:
            found = []
            for hidden in (None, 1e6, 0.0):
                module, nodes = self.module(), embedding.nodes.clone().requires_grad_(True)
                loss = module.loss(
                    module(graph, replace(embedding, nodes=nodes)), self.labels(graph, value=hidden), graph, kind
                )
                loss.backward()
                assert torch.isfinite(loss), f"loss {kind} is not finite with a missing label"
                assert nodes.grad is not None
                assert torch.isfinite(nodes.grad).all(), f"gradient of loss {kind} is not finite with a missing label"
                found.append((loss.detach(), nodes.grad))
            for loss, gradient in found[1:]:
                same(loss, found[0][0], f"loss {kind} with another number under the mask")
                same(gradient, found[0][1], f"gradient of loss {kind} with another number under the mask")

    def test_no_labels_at_all(self) -> None:
        """A batch without any label has loss zero and can be differentiated."""
        graph, embedding = self.batch()
        module = self.module()
        labels = {n: Labels(v.value, torch.zeros_like(v.mask)) for n, v in self.labels(graph).items()}
        nodes = embedding.nodes.clone().requires_grad_(True)
        loss = module.loss(module(graph, replace(embedding, nodes=nodes)), labels, graph, "l1")
        assert float(loss.detach()) == 0.0, "loss without labels is not zero"
        loss.backward()
        assert nodes.grad is None or torch.isfinite(nodes.grad).all()

    def test_loss_is_in_normalised_units(self) -> None:
        """Labels in meV instead of eV give the same loss, once the statistics are in meV too."""
        if any(t.classes or t.meaning == "position" for t in self.targets):
            return
        graph, embedding = self.batch()
        for kind in LOSSES:
            losses = []
            for factor in (1.0, 1000.0):
                module = self.module(factor)
                losses.append(module.loss(module(graph, embedding), self.labels(graph, factor), graph, kind).detach())
            same(losses[1], losses[0], f"loss {kind} in another unit")

    def test_loss_measures_the_error(self) -> None:
        """The loss of the predictions themselves is the smallest."""
        graph, embedding = self.batch()
        module = self.module()
        predictions = module(graph, embedding)
        for t in self.targets:
            if t.classes:
                return
        perfect = {
            t.name: Labels(predictions[t.name].value.detach(), torch.ones(self.rows(t, graph), dtype=torch.bool))
            for t in self.targets
        }
        for kind in LOSSES:
            none, some = (module.loss(predictions, x, graph, kind).detach() for x in (perfect, self.labels(graph)))
            assert float(none) < 1e-12, f"loss {kind} of no error is not 0"
            assert float(some) > 0.0, f"loss {kind} of wrong predictions is 0"

    def test_unknown_loss(self) -> None:
        """A loss that the head does not know is the user's mistake."""
        if all(t.classes for t in self.targets):
            return
        graph, embedding = self.batch()
        module = self.module()
        with pytest.raises(UsageError):
            module.loss(module(graph, embedding), self.labels(graph), graph, "no-such-loss")

    def test_save_load(self) -> None:
        """Weights and normalisers are in the state."""
        check_save_load(self.build, self.said(), f"head {self.part.name}")

    def test_some_of_its_targets(self) -> None:
        """A head that can be had for some of its targets says of them what it said."""
        module = self.module()
        if not hasattr(module, "only") or any(t.classes for t in self.targets):
            return
        graph, embedding = self.batch()
        options: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        with torch.no_grad():
            for p in module.parameters():  # no two outputs alike
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()), dtype=p.dtype) * 0.1)
        said = module(graph, embedding)
        for t in self.targets:
            fewer = cast(nn.Module, self.part.build(options, self.shape, (t,), self.statistics())).double().eval()
            fewer.load_state_dict(module.only((t,)))
            found = fewer(graph, embedding)
            assert found.keys() == {t.name}, f"only of '{t.name}' predicts {', '.join(found)}"
            same(found[t.name].value, said[t.name].value, f"only of '{t.name}'")
            if (sigma := said[t.name].sigma) is not None:
                same(cast(Tensor, found[t.name].sigma), sigma, f"sigma of only '{t.name}'")

    def test_same_elsewhere(self) -> None:
        """Saved here, it says the same with other threads and where decompositions come out otherwise."""
        check_elsewhere(self.build, self.said(), f"head {self.part.name}")

    def test_element_tables(self) -> None:
        """Every shape that hangs on the number of elements is declared."""
        check_tables(lambda elements: self.build(elements=elements), f"head {self.part.name}")

    def test_other_elements(self) -> None:
        """Trained on with other elements, crystals of those that stay have the same values."""

        def run(module: nn.Module, atoms: ase.Atoms) -> Tensor:
            graph = self.graph(atoms)
            found = module(graph, self.embedding(graph))
            return torch.cat([found[t.name].value.flatten() for t in self.targets])

        check_carried(lambda elements: self.build(elements=elements), run, f"head {self.part.name}")
