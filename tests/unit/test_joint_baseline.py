"""The baseline of several findings: trained once on the labels of all, and taken output by output."""

import math

import pandas as pd
import pytest
import torch

from bench.errors import DataError
from bench.learn.joint_loss import joint_loss
from bench.learn.load_checkpoint import user_checkpoint_state
from bench.learn.losses import prediction_loss
from bench.learn.network import build_net
from bench.running.plan import plan
from bench.running.plan_file import expand
from bench.running.run_task import plan_runs
from bench.settings import Settings
from tests.unit.several_labels import HEAD, TABLES, hospital, own, read, several


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return hospital(tmp_path_factory.mktemp("hospital"))


def test_findings_share_a_baseline_whose_images_and_labels_are_part_of_its_identity(folder, tmp_path):
    place = Settings(own(folder), tmp_path / "results", tmp_path / "cache", folder, methods="swift", folds=(0,))

    def origins(**changes):
        return [cell.origin for run in plan_runs(expand(Settings(**{**vars(place), **changes}))) for cell in run.cells]

    first = origins()
    assert len(first) == 4
    assert len(set(first)) == 1
    assert set(origins(folds=(1,))).isdisjoint(first)
    (folder / "three.toml").write_text(HEAD + several("Effusion", "Edema", "rare2") + TABLES)
    table = pd.read_csv(folder / "films.csv", dtype=str).assign(rare2=lambda t: t["old"].where(t["Edema"] == "1", "0"))
    table.to_csv(folder / "films.csv", index=False)
    assert set(origins()) == set(first)
    assert set(origins(task=str(folder / "three.toml"))).isdisjoint(first)


def test_the_findings_of_a_command_read_their_tables_once(folder, tmp_path):
    runs = expand(Settings(own(folder), tmp_path / "results", tmp_path / "cache", folder, methods="swift"))
    planned = list(plan_runs(runs))
    assert [run.fresh for run in planned] == [True, False]
    for run in planned:
        alone = read(run.settings.task, folder)
        pd.testing.assert_frame_equal(run.data.tables["source"], alone.tables["source"])
        whole = plan(next(iter(plan_runs([run.settings]))).data, run.settings)
        assert [cell.hash for cell in run.cells] == [cell.hash for cell in whole]


@pytest.mark.parametrize("polarity", ["paper", "clinical"])
def test_a_joint_table_has_the_labels_of_all_findings(folder, polarity):
    data = {name: read(f"{own(folder)}:label={name},polarity={polarity}", folder) for name in ("Effusion", "Edema")}
    joint = data["Edema"].joint
    train = joint.split("train", 0)
    labels = pd.DataFrame(joint.combinations[train["y"]], index=train["uid"], columns=["Effusion", "Edema"])
    assert len(train) == len(data["Effusion"].split("train", 0))
    for name, one in data.items():
        known = labels[name].dropna()
        expected = one.split("train", 0).set_index("uid")["y"]
        assert known.astype("int8").sort_index().equals(expected.sort_index().rename(name))
    assert data["Effusion"].joint.fingerprint("train", 0, groups=False) == joint.fingerprint("train", 0, groups=False)


def test_the_joint_loss_is_the_mean_of_the_losses_of_findings_over_their_known_labels():
    nan = math.nan
    combinations = torch.tensor([[1.0, 0.0, nan], [0.0, nan, nan], [1.0, 1.0, nan], [0.0, 1.0, nan]])
    y = torch.tensor([0.0, 1.0, 2.0, 3.0, 0.0])
    z = torch.tensor([[0.3, -1.0, 5.0], [2.0, 7.0, 1.0], [-0.5, 0.1, 0.0], [0.0, 2.0, 1.0], [1.5, 0.4, -3.0]])
    z = z.requires_grad_(True)
    a = torch.zeros(5)
    known = [slice(None), [0, 2, 3, 4]]
    labels = combinations[y.long()]
    alone = [prediction_loss(z[rows, k], labels[rows, k]) for k, rows in enumerate(known)]
    found = joint_loss(z, y, a, combinations=combinations)
    assert found.item() == pytest.approx(sum(alone).item() / 3, rel=1e-6)
    (gradient,) = torch.autograd.grad(found, z)
    assert gradient[1, 1] == 0
    assert (gradient[:, 2] == 0).all()
    assert gradient[:, 0].abs().min() > 0
    share = torch.tensor([0.2, 0.5])
    two = joint_loss(z[:, :2], y, a, combinations=combinations[:, :2], positive=share, reduction="sum")
    sums = [prediction_loss(z[rows, k], labels[rows, k], share[k], "sum") for k, rows in enumerate(known)]
    assert two.item() == pytest.approx(sum(sums).item() / 2, rel=1e-6)


def test_the_baseline_of_a_finding_is_its_row_of_the_head():
    torch.manual_seed(0)
    net, x = build_net("small", size=16, outputs=3), torch.rand(4, 3, 16, 16)
    z = net(x)
    assert z.shape == (4, 3)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    for number in range(3):
        again = build_net("small", size=16, outputs=3)
        again.load_state_dict(state)
        one = again.of_output(number)
        assert torch.allclose(one(x), z[:, number])
        assert one.linear.weight.shape == (1, one.linear.in_features)


def test_a_checkpoint_has_an_output_for_each_finding(tmp_path):
    net = build_net("small", size=16, outputs=2)
    torch.save(net.state_dict(), tmp_path / "two.pt")
    found = user_checkpoint_state(tmp_path / "two.pt", "small", size=16, outputs=2).state
    assert all(torch.equal(found[name], value) for name, value in net.state_dict().items())
    with pytest.raises(DataError, match="3 outputs, one per finding in the order of the task"):
        user_checkpoint_state(tmp_path / "two.pt", "small", size=16, outputs=3)
