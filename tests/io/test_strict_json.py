"""JSON by others is read within limits, and anything else is an error of one line."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosetta_core.io.file_index import sign, verify_signature
from rosetta_core.io.strict_json import MAX_DEPTH, parse_json

REFUSED = {
    "open lists": b"[" * 100_000,
    "closed lists": b"[" * 100_000 + b"]" * 100_000,
    "open mappings": b'{"a":' * 100_000,
    "one level too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "NaN": b'{"a": NaN}',
    "infinity": b"[-Infinity]",
    "large float": b"[1e999]",
    "large integer": b"[" + b"9" * 25 + b"]",
    "huge integer": b"[" + b"9" * 5000 + b"]",
    "duplicate key": b'{"a": 1, "a": 2}',
    "half of a pair": b'["\\ud800"]',
    "half of a pair in a key": b'{"\\udfff": 1}',
    "invalid UTF-8": b'["\xff"]',
    "overlong UTF-8": b'["\xc0\xaf"]',
    "UTF-16": '["a"]'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf[]",
    "nothing": b"",
    "white space": b" \n",
    "two values": b"1 2",
    "a comment": b"[] // x",
    "trailing comma": b"[1,]",
    "single quotes": b"['a']",
    "control character": b'["\x01"]',
    "NUL": b"\0",
    "Python": b"__import__('os')",
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        parse_json(content)
    assert len(str(caught.value)) < 300


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters), children, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_other_json_is_read_as_python_reads_it(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


@given(st.binary(max_size=60))
def test_bytes_are_values_or_a_value_error(content: bytes) -> None:
    try:
        parse_json(content)
    except ValueError:
        return


def test_every_flipped_bit_of_a_signed_text_is_noticed() -> None:
    content = {
        "model": "ünet\u2028",
        "layers": [{"name": "a.b", "height": 3}],
        "x": [1e-07, 1e22, True],
    }
    text = sign(content)
    assert verify_signature(text) == {**content, "checksum": json.loads(text)["checksum"]}
    sound = text.encode()
    for place in range(len(sound)):
        for bit in range(8):
            flipped = bytearray(sound)
            flipped[place] ^= 1 << bit
            with pytest.raises(ValueError):
                verify_signature(flipped.decode())


@pytest.mark.parametrize(
    "text", ["[]", "null", "1", '"checksum"', "{}", '{"checksum": "00000000"}']
)
def test_other_shapes_are_not_signed_texts(text: str) -> None:
    with pytest.raises(ValueError, match=r"object|checksum"):
        verify_signature(text)
