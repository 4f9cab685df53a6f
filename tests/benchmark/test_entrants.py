"""What is compared, as it is typed: whose an option is, and what is no option of anybody."""

from __future__ import annotations

import pytest

from crystalcli.benchmark.entrants import entrants
from crystalcli.benchmark.options import BenchmarkOptions
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError


def asked(*arch: str, **options: object) -> BenchmarkOptions:
    return BenchmarkOptions(files=("a.h5",), folds=3, arch=arch, **options)  # type: ignore[arg-type]


def test_every_option_goes_to_its_part() -> None:
    label = "cgcnn:n_conv=1,pool=max,gaussian-step=0.4,cutoff=6,lr=0.003,batch_size=16,ensemble=3"
    (one,) = entrants(asked(label, epochs=7, seed=5, device="cpu"))
    o = one.training.options
    assert one.training.parts["arch"].options["n_conv"] == 1
    assert one.training.parts["head"].options["pool"] == "max"
    assert one.training.parts["featurizer"].options["gaussian_step"] == 0.4
    assert one.graphs.options["cutoff"] == 6.0
    assert one.given
    assert (o.lr, o.batch_size, o.ensemble, o.epochs, o.seed, o.device) == (0.003, 16, 3, 7, 5, "cpu")
    assert (o.arch, o.head, o.featurizer, o.no_compare) == ("cgcnn", "crystal", "cgcnn", True)


def test_what_is_not_said_suits_the_architecture() -> None:
    (one,) = entrants(asked("cgcnn"))
    recipe = registry().get("architecture", "cgcnn").recipe  # type: ignore[attr-defined]
    for name in ("epochs", "lr", "loss", "schedule", "ema", "residual_of"):
        assert getattr(one.training.options, name) == getattr(recipe, name)
    assert one.training.options.batch_size is None  # fewer where structures are few
    assert not one.given
    (default,) = entrants(asked())
    assert default.label == registry().default("architecture")
    (mine,) = entrants(asked("cgcnn:epochs=4", epochs=9))
    assert mine.training.options.epochs == 4


def test_an_option_of_a_part_by_its_name() -> None:
    (one,) = entrants(asked("cgcnn:crystal.hidden=5,train.lr=0.5,cgcnn.n_conv=2"))
    assert one.training.parts["head"].options["hidden"] == 5
    assert one.training.options.lr == 0.5
    assert one.training.parts["arch"].options["n_conv"] == 2


def test_each_has_a_folder_of_its_own() -> None:
    found = entrants(asked("cgcnn", "cgcnn:lr=0.01", "cgcnn", "cgcnn:lr=0.1"))
    assert [one.word for one in found] == ["cgcnn", "cgcnn-lr-0.01", "cgcnn-lr-0.1"]
    with pytest.raises(UsageError, match="would have one folder"):
        entrants(asked("cgcnn:lr=0.1", "cgcnn:lr= 0.1"))


def test_only_the_first_fits_further_baselines() -> None:
    found = entrants(asked("cgcnn", "cgcnn:lr=0.01", baseline=("krr",)))
    assert [one.training.options.baseline for one in found] == [("krr",), ()]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("cgcn", "no architecture 'cgcn'"),
        ("cgcnn:n_con=3", "there is no option 'n_con'; did you mean 'n_conv'"),
        ("cgcnn:n_conv=many", "option n-conv of --arch .* must be a whole number, not 'many'"),
        ("cgcnn:n_conv=0", "outside"),
        ("cgcnn:lr=-1", "outside"),
        ("cgcnn:pool=sun", "cannot be 'sun'; did you mean 'sum'"),
        ("cgcnn:head=siet", "siet"),
        ("cgcnn:n_conv=1,n-conv=2", "option n-conv is given twice"),
        ("cgcnn:ensemble=1", "an ensemble has two members or more"),
        ("cgcnn:cutoff=1000", "outside"),
        ("cgcnn:residual_of=nothing", "cannot be 'nothing'"),
        ("cgcnn:from=model", "there is no option 'from'"),
        ("=", "is not NAME"),
        ("", "is not NAME"),
    ],
)
def test_what_is_refused(label: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        entrants(asked(label))
