"""A network whose features are no vectors is refused before anything is computed."""

from bench import cli
from tests.task_texts import AGE, CHEST

MAPS = '''"""A network that is not pooled."""
from dataclasses import dataclass
from torch import nn
from bench.api import Backbone, Input

@dataclass(frozen=True, kw_only=True)
class Maps(Backbone):
    lacks = {}

    @property
    def input(self):
        return Input(size=32)

    def build(self, size, weights):
        return nn.Conv2d(3, 8, 3), 8
'''


def test_a_network_that_is_not_pooled_is_refused_before_an_image_is_decoded(tmp_path, monkeypatch, capsys):
    """It was a failed cell, with torch's error about a matrix."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps.py").write_text(MAPS)
    (tmp_path / "tiny.toml").write_text('backbones = ["maps"]\n' + CHEST.format(name="tiny", images=60, attribute=AGE))
    assert cli.main(["run", "--task", "tiny.toml", "--plugin", "maps.py", "--methods", "baseline"]) == 2
    said = capsys.readouterr().err
    assert "maps: features of shape (2, 8) expected for two images, found shape (2, 8, 30, 30): pool them" in said
    assert not (tmp_path / "results/cells").exists()
    assert not (tmp_path / ".cache/images").exists()
