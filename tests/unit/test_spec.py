"""Specs: cut and put together in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UnknownName, UsageError
from bench.spec import Spec, canonical, is_tuned, label, name_of, parse, split_specs, tuned, untuned

NAMES = st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9._/-]+", fullmatch=True)


@given(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), st.booleans())
def test_a_spec_reads_back(name, options, chosen):
    spec = Spec(name, options, chosen)
    assert parse(str(spec)) == spec
    assert name_of(str(spec)) == name
    assert is_tuned(str(spec)) is chosen


@given(st.lists(st.tuples(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), st.booleans()), max_size=4))
def test_a_list_of_specs_is_split_where_it_was_joined(parts):
    specs = [str(Spec(*part)) for part in parts]
    assert split_specs(",".join(specs)) == specs


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("swift", "swift", {}),
        ("swift:mask=hard, rate=0.1", "swift", {"mask": "hard", "rate": "0.1"}),
        ("swift:mask-data=a=b", "swift", {"mask_data": "a=b"}),
        ("/a:b/my.toml", "/a:b/my.toml", {}),
        ("/a:b/my.toml:epochs=3", "/a:b/my.toml", {"epochs": "3"}),
        ("/n=1:2/my.toml", "/n=1:2/my.toml", {}),
        ("manifest:csv=/x/a:b.toml", "manifest", {"csv": "/x/a:b.toml"}),
    ],
)
def test_where_a_spec_is_cut(text, name, options):
    assert (parse(text).name, dict(parse(text).options)) == (name, options)


def test_what_no_spec_is():
    with pytest.raises(UsageError, match=r"'hard' in 'swift:hard': write parameter=value"):
        parse("swift:hard").allowed(["mask"])
    with pytest.raises(UsageError, match=r"'epochs' in 'a.toml:epochs': write field=value"):
        parse("a.toml:epochs", "field").allowed(["epochs"], "field")
    with pytest.raises(UsageError, match="gives mask_data twice"):
        parse("swift:mask_data=a,mask-data=b")
    with pytest.raises(UnknownName, match="unknown parameter 'mosk' of swift: did you mean mask"):
        parse("swift:mosk=hard").allowed(["mask"])
    with pytest.raises(UsageError, match=r"'swift@tuned': @tuned is allowed only for methods of a run"):
        parse("swift@tuned").allowed([])


def test_labels_and_names():
    assert label("SWiFT", "swift") == "SWiFT"
    assert label("SWiFT", "swift:mask=hard,last_layer=True@tuned") == "SWiFT (mask hard, last layer yes, tuned)"
    assert canonical(" My-Method") == "my_method"
    assert untuned(tuned("swift:mask=hard")) == untuned("swift:mask=hard") == "swift:mask=hard"
