"""Every block of README.md and of the pages for users is saved or run as the page says, in its order."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import TINY, server

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHORT = "pretrain_epochs=1,epochs=1"
INSTEAD = {
    "DIR": ".",
    "my-films.toml": f"my-films.toml:image_size=32,folds=2,{SHORT}",
    "phantom-cxr-age": "tiny.toml",
}
"""A word of a command -> what is run here: the folder of the data, and tasks with few images and epochs."""
WITHOUT = {
    "--on slurm": "--dry-run",
    "run --paper": "--twins --dry-run",
    "report --paper": "--list",
}
"""What needs a cluster or the paper's data -> the option with which it needs neither."""


def blocks(page):
    """The blocks of a page: their language, and their text."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def commands(page):
    """The commands of a page, without comments."""
    lines = (line for kind, text in blocks(page) if not kind for line in text.splitlines())
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("bench ")]


def run(folder, command, code=0):
    program, *words = shlex.split(command)
    if program == "python":
        done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=900)
    else:
        done = server().run(words, folder)
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    if "new task" in command:  # its guesses are right, and to be confirmed
        (task,) = folder.glob(f"{words[2]}.toml")
        task.write_text(re.sub(" *# confirm:.*", "", task.read_text(encoding="utf-8")), encoding="utf-8")


def here(command):
    """A command of a page as it is run here."""
    words = [word if words == ["bench", "doctor"] else INSTEAD.get(word, word) for word, words in before(command)]
    more = [word for part, options in WITHOUT.items() if part in command for word in options.split()]
    words = ["phantom-cxr-age" if word == "cxr-age" else word for word in words]
    return shlex.join([*words, *more])


def before(command):
    """Each word of a command, and the words before it."""
    words = shlex.split(command)
    return [(word, words[:place]) for place, word in enumerate(words)]


@pytest.fixture
def films(tmp_path):
    """The folder of the films that docs/your-data.md makes."""
    (script,) = (text for kind, text in blocks("docs/your-data.md") if kind == "python" and "make_films" in text)
    (tmp_path / "make_films.py").write_text(script, encoding="utf-8")
    run(tmp_path, "python make_films.py")
    (tmp_path / "tiny.toml").write_text(TINY)
    new = "".join(f"images/film-{number:03}.png\n" for number in range(5))
    (tmp_path / "new-films.csv").write_text(f"path\n{new}")
    return tmp_path


@pytest.mark.slow
def test_every_command_of_your_data(tmp_path):
    pytest.importorskip("pydicom")
    ran = []
    for kind, text in blocks("docs/your-data.md"):
        if kind:
            name = text.partition("\n")[0].removeprefix("# ")
            (tmp_path / name).write_text(text, encoding="utf-8")
            found = [f"python {name}"] if kind == "python" else []
        else:
            found = [line.partition("  #")[0].strip() for line in text.splitlines()]
            found = [line for line in found if "my-films" not in line and "vectors" not in line]  # tasks of other pages
        for command in found:
            run(tmp_path, command)
            ran.append(command)
    assert len(ran) == 11


@pytest.mark.slow
@pytest.mark.parametrize(("page", "least"), [("README.md", 12), ("docs/your-model.md", 4), ("docs/plugins.md", 4)])
def test_every_command_of_a_page(films, page, least):
    """What the README has too is run there only."""
    assert len(commands(page)) >= least
    found = [command for command in commands(page) if page == "README.md" or command not in commands("README.md")]
    if not found:
        return
    run(films, "bench new task my-films --csv films.csv")
    run(films, here("bench run --task my-films.toml --data DIR --methods baseline --folds 0"))
    (model,) = (films / ".cache/baselines").glob("*.pt")
    shutil.copy(model, films / "model.pt")
    if page == "README.md":
        (films / "my-films.toml").unlink()  # one of its commands writes it
    for command in found:
        run(films, here(command))
