"""Which bytes are UTF-8, and what is said of those that are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Refusal
from service.files.encodings import Utf8Check


def refusal(*pieces: bytes) -> str | None:
    """What is said of a file that comes in these pieces; None where it is UTF-8."""
    check = Utf8Check()
    try:
        for piece in pieces:
            check.feed(piece)
        check.finish()
    except Refusal as said:
        return f"{said.code}: {said.message}"
    return None


@pytest.mark.parametrize(
    "data",
    [b"", b"ascii", "Zürich € 🧪".encode(), b"\xef\xbb\xbfname", "ends in ü".encode()],
    ids=repr,
)
def test_utf8_passes_in_any_pieces(data: bytes) -> None:
    assert refusal(data) is None
    assert refusal(*(data[i : i + 1] for i in range(len(data)))) is None


@pytest.mark.parametrize(
    ("data", "byte", "offset"),
    [
        (b"abc\xfcdef", 0xFC, 3),
        ("ü€".encode() + b"\xff", 0xFF, 5),
        (b"abc\xe2\x82", 0xE2, 3),  # the euro sign without its last byte
        (b"ab\xe2\x82(", 0xE2, 2),
        (b"\x80", 0x80, 0),
        (b"a\xed\xa0\x80", 0xED, 1),  # a lone surrogate
        (b"a\xc0\xaf", 0xC0, 1),  # an overlong slash
    ],
)
def test_the_offset_is_that_of_the_first_bad_byte_in_any_pieces(
    data: bytes, byte: int, offset: int
) -> None:
    expected = f"byte 0x{byte:02X} at offset {offset}."
    for cut in range(len(data) + 1):
        assert expected in (refusal(data[:cut], data[cut:]) or "")


@given(
    st.lists(
        st.binary(max_size=6)
        | st.sampled_from(["ü".encode(), "€".encode(), b"abc", b"\xef\xbb\xbf"])
    )
)
def test_any_bytes_in_any_pieces_are_judged_as_python_judges_them_whole(
    pieces: list[bytes],
) -> None:
    offset = None
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError as error:
        offset = error.start
    said = refusal(*pieces)
    assert said is None if offset is None else f"at offset {offset}." in (said or "")


def test_a_file_in_windows_1252_is_told_so() -> None:
    assert "It looks like Windows-1252." in (refusal("Gerät;Zürich".encode("cp1252")) or "")
    assert "It looks like Windows-1252." in (
        refusal(b"plain,", b"text,", "é".encode("cp1252")) or ""
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_utf16_byte_order_mark_is_recognised(encoding: str) -> None:
    data = "\ufeffname".encode("utf-16-be") if encoding == "utf-16-be" else "name".encode(encoding)
    assert "It is UTF-16." in (refusal(data) or "")


def test_a_file_that_was_utf8_up_to_the_bad_byte_is_not_taken_for_windows_1252() -> None:
    assert "It is UTF-8 up to there" in (refusal("Zürich,".encode(), b"Z\xfcrich") or "")
    assert "It is UTF-8 up to there" in (refusal("Zürich,".encode() + b"Z\xfcrich") or "")


def test_bytes_that_windows_1252_lacks_leave_the_encoding_unknown() -> None:
    assert "Its encoding is unknown." in (refusal(b"tr\x8fs") or "")


def test_the_refusal_says_how_to_mend_it() -> None:
    said = refusal(b"\xff") or ""
    assert said.startswith("not_utf8: The file is not UTF-8")
    assert "Export it as CSV in UTF-8" in said
