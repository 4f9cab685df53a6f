"""What ``crystal md`` asks, resolved: lengths in steps, and a program that a longer run can go on with."""

import json
from pathlib import Path

import pytest

from crystalcli.contracts import options as opt
from crystalcli.md.options import MdOptions
from crystalcli.vocabulary.errors import UsageError


@pytest.mark.parametrize(
    ("asked", "steps", "temperature"),
    [
        ({}, 1000, "300"),
        ({"steps": 7}, 7, "300"),
        ({"time": 0.05, "dt": 2.0}, 25, "300"),
        ({"temperature": "10@20fs,10:30@10fs", "dt": 2.0}, 15, "10@10,10:30@5"),
        ({"temperature": "10@20,40"}, 1020, "10@20,40"),
        ({"temperature": "20:50", "steps": 0}, 0, "20"),
        ({"temperature": "298.1523:600", "steps": 40}, 40, "298.1523:600@40"),
    ],
)
def test_lengths_are_numbers_of_steps(asked, steps, temperature) -> None:
    options = MdOptions(**asked)
    assert (options.length, options.steps, options.time, options.temperature) == (steps, steps, None, temperature)
    assert opt.make(MdOptions, json.loads(json.dumps(opt.to_dict(options))), owner="md") == options


def test_steps_and_time_are_one() -> None:
    with pytest.raises(UsageError, match="--steps and --time say the same; give one of them"):
        MdOptions(steps=3, time=1.0)
    options = MdOptions(time=0.02, dt=2.0)
    assert [opt.changed(options, c).steps for c in ({"steps": 30}, {"time": 0.03}, {"threads": 2})] == [30, 15, 10]
    with pytest.raises(UsageError, match="say the same"):
        opt.changed(options, {"steps": 3, "time": 1.0})


@pytest.mark.parametrize("text", ["300", "300:500", "300@30,500@30", "300:500@30,500@30", "9@3,9@4,7:9@3,9"])
def test_a_longer_run_begins_as_the_short_one(text: str) -> None:
    short = MdOptions(temperature=text, steps=60)
    long = opt.changed(short, {"steps": 95})
    was, now = short.program(), long.program()
    assert (was.steps, now.steps) == (60, 95)
    assert [now.at(n) for n in range(60)] == [was.at(n) for n in range(60)]
    assert {now.at(n) for n in range(60, 96)} == {was.stages[-1].end}
    assert long.temperature == short.temperature


def test_other_programs_are_others() -> None:
    texts = ["300", "300:500", "300@30,500", "300@31,500", "300:500@30", "300:500@31", "300:400@30,500"]
    assert len({MdOptions(temperature=t, steps=60).temperature for t in texts}) == len(texts)
    assert MdOptions(temperature="300:500", steps=60).temperature != MdOptions(temperature="300:500").temperature


def test_a_program_in_a_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "ramp.toml").write_text('[[stage]]\nto = 300\nduration = "30fs"\n[[stage]]\nkind = "ramp"\nto = 600\n')
    assert MdOptions(temperature=str(tmp_path / "ramp.toml"), steps=50).temperature == "300@30,300:600@20"
    with pytest.raises(UsageError, match=r"none\.toml: cannot read this temperature program"):
        MdOptions(temperature=str(tmp_path / "none.toml"))


def test_the_window_of_the_drift_is_in_steps() -> None:
    cases = {(1.0, 1.0): 1000, (1.0, 2.0): 500, (0.0, 1.0): 1, (0.05, 0.3): 167}
    assert {k: MdOptions(drift_every=k[0], dt=k[1]).drift_steps for k in cases} == cases
