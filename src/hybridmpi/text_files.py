"""Text files that people make elsewhere: with another editor, on another system, by a spreadsheet.

They may begin with a byte order mark, end their lines as Windows does, or be UTF-16, as what
PowerShell's > writes.
"""

import codecs

from hybridmpi.errors import UserError

# UTF-32's mark begins with UTF-16's, so it comes first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_CONTEXT = 20


def decoded(content: bytes, what: str) -> str:
    r"""Return the text of a file, with "\n" as the end of each line.

    Args:
        content: The file's bytes.
        what: What the file is, for the message of an error.

    Raises:
        UserError: If the bytes are no text in UTF-8, or in another encoding that a mark names.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), _unmarked(content))
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {_complaint(content, error)}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unmarked(content: bytes) -> str:
    """Return the encoding of a file without a mark: every other byte of UTF-16 is mostly 0."""
    if content[:1] and content[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if content[:1] == b"\0" else "utf-8"


def _complaint(content: bytes, error: UnicodeDecodeError) -> str:
    before = content[: error.start]
    line = before.count(b"\n") + 1
    if error.encoding != "utf-8":
        return f"cannot be read as {error.encoding.upper()}, line {line}; save it as UTF-8"
    column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
    start = max(error.start - _CONTEXT, before.rfind(b"\n") + 1)
    meant = content[start : error.end + _CONTEXT].partition(b"\n")[0].decode("latin-1").strip()
    return (
        f"is not UTF-8 text: line {line}, column {column} holds the byte "
        f"0x{content[error.start]:02x} ('{meant}' if it is Latin-1); save it as UTF-8"
    )
