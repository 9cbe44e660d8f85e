import pytest

from hybridmpi.errors import UserError
from hybridmpi.text_files import decoded

TEXT = 'name = "Zürich"\nnumber = 1\n'


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_the_same_wherever_it_was_written(encoding: str, end: str) -> None:
    assert decoded(TEXT.replace("\n", end).encode(encoding), "it") == TEXT


def test_empty_file_is_empty_text() -> None:
    assert decoded(b"", "it") == ""
    assert decoded(b"\xef\xbb\xbf", "it") == ""


def test_byte_of_another_encoding_is_told_with_its_place() -> None:
    with pytest.raises(UserError) as caught:
        decoded(TEXT.encode("latin-1"), "the job file a.toml")
    assert str(caught.value) == (
        "the job file a.toml is not UTF-8 text: line 1, column 10 holds the byte 0xfc "
        "('name = \"Zürich\"' if it is Latin-1); save it as UTF-8"
    )


def test_utf_16_that_is_cut_off_is_told() -> None:
    with pytest.raises(UserError, match=r"it cannot be read as UTF-16.*save it as UTF-8"):
        decoded("a = 1\n".encode("utf-16")[:-1], "it")
