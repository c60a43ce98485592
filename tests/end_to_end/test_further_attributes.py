"""An attribute that is added after a run: its table is made from the old cells, here and from an export."""

import pytest

SEX = '\n[also.sex]\ncolumn = "female"\nnames = ["male", "female"]\n'
WORDS = ("run", "--task", "tiny.toml", "--methods", "llft", "--jobs", "1")


@pytest.mark.slow
@pytest.mark.long
def test_adding_an_attribute_trains_nothing_and_rewrites_no_cell(place):
    place.bench(*WORDS)
    before = place.cells()
    task = place.folder / "tiny.toml"
    task.write_text(task.read_text() + SEX)
    place.bench("report", "--task", "tiny.toml", "--only", "attributes,attributes-forest")
    made = place.reported()
    assert "| LLFT |" in made["attributes.md"].decode()
    assert "- age x sex: on ood_neutral" in made["attributes.md"].decode().replace("\\", "")
    assert made["attributes-forest.png"].startswith(b"\x89PNG")
    again = place.bench(*WORDS)
    assert place.ended(again.stdout + again.stderr)["computed"] == 0
    assert place.cells() == before
    assert (place.folder / "results" / "attributes" / "tiny.parquet").is_file()
    place.bench("export", "--task", "tiny.toml", "--out", "tiny.tar.gz")
    place.bench("report", "--from", "tiny.tar.gz", "--reports", "elsewhere")
    for kind in ("md", "csv", "tex"):
        assert (place.folder / "elsewhere" / "tiny" / f"attributes.{kind}").read_bytes() == made[f"attributes.{kind}"]


@pytest.mark.slow
@pytest.mark.long
def test_decisions_per_patient_are_made_of_the_same_cells(place):
    place.bench(*WORDS)
    before = place.cells()
    said = place.bench("report", "--task", "tiny.toml:unit=patient,unit_logit=largest").stdout
    assert "Decisions per patient, largest logit of its images." in " ".join(said.split())
    made = place.reported()
    texts = [name for name in made if name.endswith((".md", ".tex"))]
    assert len(texts) > 4
    assert [name for name in texts if "Decisions per patient" not in made[name].decode()] == []
    assert place.cells() == before
