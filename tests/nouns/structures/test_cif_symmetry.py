"""Operations of a CIF: every space group is one, whatever is left out of it is none, and Hall symbols say the same."""

import gemmi
import numpy as np
import pytest
from gemmi import cif

from crystalcli.nouns.structures.cif_symmetry import operations
from crystalcli.vocabulary.errors import InputError

GROUPS = list(gemmi.spacegroup_table())


def listed(texts: list[str]) -> cif.Block:
    rows = "\n".join(f"'{t}'" for t in texts)
    return cif.read_string(f"data_x\nloop_\n_space_group_symop_operation_xyz\n{rows}\n").sole_block()


def triplets(group: gemmi.SpaceGroup) -> list[str]:
    return [op.triplet() for op in group.operations()]


def as_set(block: cif.Block) -> set[tuple[float, ...]]:
    ops, _ = operations(block)
    if ops is None:
        return {(*np.eye(3).ravel(), 0.0, 0.0, 0.0)}
    return {
        (*map(float, r.ravel()), *map(float, np.round(t - np.floor(t), 9))) for r, t in zip(ops[0], ops[1], strict=True)
    }


def test_every_group_is_one() -> None:
    assert len({g.number for g in GROUPS}) == 230
    for group in GROUPS:
        assert len(as_set(listed(triplets(group)))) == len(triplets(group)), group.xhm()


def test_a_group_without_one_operation_is_none() -> None:
    for group in GROUPS:
        texts = triplets(group)
        if len(texts) > 2:  # what is left of two is the identity, a group of its own
            with pytest.raises(InputError, match="make no group"):
                operations(listed([t for t in texts if t != texts[-1]]))


def test_hall_symbols_say_the_same() -> None:
    for group in GROUPS:
        block = cif.read_string(f"data_x\n_space_group_name_Hall '{group.hall}'\n").sole_block()
        assert as_set(block) == as_set(listed(triplets(group))), group.xhm()


def test_an_unknown_hall_symbol_leaves_the_name() -> None:
    block = cif.read_string("data_x\n_space_group_name_Hall 'Q 9'\n_space_group_name_H-M_alt 'P -1'\n").sole_block()
    assert as_set(block) == as_set(listed(["x,y,z", "-x,-y,-z"]))
