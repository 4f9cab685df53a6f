"""Temperature programmes: what is typed, what is in a file, and T at every step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.md.options import MdOptions
from crystalcli.md.temperature_program import TemperatureProgram, TemperatureStage, duration, parse
from crystalcli.vocabulary.errors import UsageError


def test_one_temperature_holds() -> None:
    program = parse("300", dt=1.0, steps=50)
    assert program.stages == (TemperatureStage(300.0, 300.0, 50),)
    assert [program.at(n) for n in (0, 25, 50, 60)] == [300.0] * 4


def test_a_ramp_is_linear_in_the_step() -> None:
    program = parse("300:500", dt=2.0, steps=100)
    assert [program.at(n) for n in (0, 25, 50, 100, 101)] == [300.0, 350.0, 400.0, 500.0, 500.0]


def test_stages_follow_each_other() -> None:
    program = parse("300@1ps, 300:600@2ps, 600", dt=2.0, steps=2000)
    assert [s.steps for s in program.stages] == [500, 1000, 500]
    assert [program.at(n) for n in (0, 500, 1000, 1500, 2000)] == [300.0, 300.0, 450.0, 600.0, 600.0]


def test_the_first_and_the_last_step_of_every_stage() -> None:
    """A stage of n steps has n targets, the first its start; its end is the start of what follows, or never reached."""
    program = parse("300@3,600:900@3,100@2,400:500@1", dt=1.0, steps=None)
    assert [program.at(n) for n in range(9)] == [300.0, 300.0, 300.0, 600.0, 700.0, 800.0, 100.0, 100.0, 400.0]
    assert [program.at(n) for n in (9, 10, 99)] == [500.0, 500.0, 500.0]


def test_length_of_the_run_from_its_stages() -> None:
    assert parse("300@100fs,300:400@0.1ps", dt=1.0, steps=None).steps == 200


def test_the_last_temperature_holds_on() -> None:
    assert parse("100:200@10", dt=1.0, steps=30).stages == (
        TemperatureStage(100.0, 200.0, 10),
        TemperatureStage(200.0, 200.0, 20),
    )


def test_a_run_of_no_steps_is_at_the_start_of_its_program() -> None:
    program = parse("300:600", dt=1.0, steps=0)
    assert program.at(0) == 300.0
    assert MdOptions(steps=0, temperature="300:600").program().at(0) == 300.0  # what is kept of it says the same
    assert parse(program.shortest(), dt=1.0, steps=50).at(0) == 300.0


@pytest.mark.parametrize(
    ("text", "steps", "said"),
    [
        ("-5", 10, "negative"),
        ("warm", 10, "no number of kelvins"),
        ("300", None, "how long"),
        ("300,400", 10, "only one stage"),
        ("300@20,400@20", 30, "last 40 steps, the run only 30"),
        ("300@2weeks", 30, "not like 2ps"),
        ("300@0.1fs", 30, "whole number of steps"),
        ("300:400:500", 30, "not like 300"),
        ("nan", 3, "no number"),
        ("none.toml", 3, "cannot read"),
    ],
)
def test_nonsense_is_refused(text, steps, said) -> None:
    with pytest.raises(UsageError, match=said):
        parse(text, dt=1.0, steps=steps)


def test_a_file_holds_stages(tmp_path) -> None:
    path = tmp_path / "ramp.toml"
    path.write_text(
        '[[stage]]\nkind = "hold"\nto = 300\nduration = "1ps"\n'
        '[[stage]]\nkind = "ramp"\nto = 600\nduration = "500fs"\n[[stage]]\nkind = "hold"\n'
    )
    program = parse(str(path), dt=1.0, steps=2000)
    assert program.stages == (
        TemperatureStage(300.0, 300.0, 1000),
        TemperatureStage(300.0, 600.0, 500),
        TemperatureStage(600.0, 600.0, 500),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[stage]]\nkind = 'jump'\nto = 3", "kind is ramp or hold"),
        ("[[stage]]\nkind = 'ramp'\nto = 3", "needs from and to"),
        ("[[stage]]\nkin = 'ramp'", "did you mean 'kind'"),
        ("[[stage]]\nto = -3", "negative"),
        ("[stage]\nto = 3", "under .*stage"),
        ("to = 3", "under .*stage"),
        ("to = = 3", "no TOML"),
    ],
)
def test_bad_files_are_named(tmp_path, text, said) -> None:
    path = tmp_path / "ramp.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        parse(str(path), dt=1.0, steps=10)
    assert caught.value.path == str(path)


def test_lengths() -> None:
    assert [duration(t, 2.0) for t in ("1ps", "1 ns", "100fs", "70", "1e3fs")] == [500, 500000, 50, 70, 500]


stages = st.builds(
    TemperatureStage, st.integers(0, 5000).map(float), st.integers(0, 5000).map(float), st.integers(1, 1000)
)


@given(st.lists(stages, min_size=1, max_size=5))
def test_text_and_back(made) -> None:
    program = TemperatureProgram(tuple(made))
    assert parse(program.text(), dt=1.0, steps=program.steps) == program


@given(st.lists(stages, min_size=1, max_size=5), st.integers(0, 5000))
def test_targets_lie_within_their_stage(made, step) -> None:
    program = TemperatureProgram(tuple(made))
    ends = [x for s in made for x in (s.start, s.end)]
    assert min(ends) <= program.at(step) <= max(ends)
