"""A command of the server does what the same command does in a Python of its own."""

import subprocess

import pytest

from tests.end_to_end.conftest import server


@pytest.mark.parametrize(
    ("words", "code"),
    [(("ls", "methods"), 0), (("run", "--task", "tiny.tml"), 2), (("report", "--tsak"), 2), (("status",), 0)],
)
def test_output_and_exit_code_are_those_of_a_process_that_starts_anew(place, words, code):
    forked = place.bench(*words, code=code)
    alone = place.bench(*words, code=code, BENCH_JUST_ANOTHER_ENVIRONMENT="1")
    assert (forked.stdout, forked.stderr) == (alone.stdout, alone.stderr)


def test_a_command_that_takes_too_long_is_ended_and_the_next_one_runs(place):
    with pytest.raises(subprocess.TimeoutExpired):
        place.bench("run", "--task", "tiny.toml", "--methods", "llft", "--jobs", "1", timeout=0.5)
    assert place.bench("ls", "methods").stdout


def test_the_code_is_that_of_a_checkout_if_one_is_given(tmp_path):
    (package := tmp_path / "checkout/bench").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text("print(__file__)")
    done = server().run((), tmp_path, checkout=package.parent)
    assert done.stdout == f"{package / 'cli.py'}\n"
