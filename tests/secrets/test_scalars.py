from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from handful.secrets.scalars import Value, resolve, written


@pytest.mark.parametrize(("text", "kind", "data"), [
    ("8080", "int", "8080"), ("0x1F", "int", "31"), ("0o17", "int", "15"), ("017", "int", "15"), ("0b101", "int", "5"),
    ("-12", "int", "-12"), ("+12", "int", "12"), ("1_000", "int", "1000"), ("0", "int", "0"), ("08", "float", "8"),
    ("1.50", "float", "1.5"), ("1e3", "float", "1000"), ("1.0", "float", "1"), (".5", "float", "0.5"), ("1e-7", "float", "0.0000001"),
    ("-.inf", "float", "-Inf"), (".NaN", "float", "NaN"), ("true", "bool", "True"), ("FALSE", "bool", "False"),
    ("yes", "str", "yes"), ("tRue", "str", "tRue"), ("1.2.3", "str", "1.2.3"), ("0x", "str", "0x"), ("12:30:45", "str", "12:30:45"),
    ("-", "str", "-"), ("+", "str", "+"), ("e5", "str", "e5"),
    ("2001-12-14", "time", "2001-12-14T00:00:00Z"), ("2001-12-14T21:59:43.10-05:00", "time", "2001-12-14T21:59:43.1-05:00"),
    ("2001-12-14 21:59:43", "time", "2001-12-14T21:59:43Z"), ("2001-13-14", "str", "2001-13-14"),
])  # fmt: skip
def test_what_go_s_yaml_takes_a_scalar_for(text: str, kind: str, data: str) -> None:
    """The MAC is made of these forms."""
    assert resolve(text, None, quoted=False) == Value(kind, data.encode())  # type: ignore[arg-type]
    assert resolve(text, None, quoted=True) == Value("str", text.encode())


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nothing(text: str) -> None:
    """Null is neither encrypted nor in the MAC; in quotes it is text."""
    assert resolve(text, None, quoted=False) is None
    assert resolve(text, None, quoted=True) == Value("str", text.encode())


def test_a_number_that_sops_refuses() -> None:
    """More than 64 bits."""
    with pytest.raises(ValueError, match="too large"):
        resolve("9223372036854775808", None, quoted=False)


@given(st.text(), st.sampled_from([None, 4]))
def test_text_is_written_so_that_it_means_itself(text: str, indent: int | None) -> None:
    """To PyYAML and, by the rules above, to sops; on one line, or below its key."""
    try:
        value = Value("str", text.encode())
    except UnicodeEncodeError:
        return
    made = written(value, indent)
    source = f"key: {made}\n" if indent else f"[{made}]\n"
    node = yaml.compose(source, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.CollectionNode)
    scalar = node.value[0][1] if indent else node.value[0]
    tag = scalar.tag if made.startswith("!") else None
    assert resolve(scalar.value, tag, quoted=bool(scalar.style)) == value


@given(st.one_of(st.integers(-(2**63), 2**63 - 1).map(str), st.booleans().map(str), st.floats(allow_nan=False).map(repr)))
def test_other_values_keep_their_kind(text: str) -> None:
    """Written and read again they are the same."""
    value = resolve(text, None, quoted=False)
    assert value is not None
    if value.kind != "str":
        assert resolve(written(value, 4), None, quoted=False) == value
