import struct
from pathlib import Path

import pytest

from hybridmpi import read_run
from hybridmpi.errors import UserError
from hybridmpi.runlog.hdf5_blocks import check_sizes, lookup3

HUGE = 2**28


@pytest.mark.parametrize(
    ("signature", "place", "form", "length", "size"),
    [
        (b"BTHD", 6, "<I", 38, HUGE),
        (b"BTHD", 10, "<H", 38, 0),
        (b"FRHP", 110, "<H", 146, 0),
        (b"FRHP", 112, "<Q", 146, HUGE),
        (b"FRHP", 120, "<Q", 146, HUGE),
    ],
)
def test_file_whose_metadata_claim_sizes_that_cannot_be_is_refused(
    small_run: Path, signature: bytes, place: int, form: str, length: int, size: int
) -> None:
    content = bytearray(small_run.read_bytes())
    at = content.index(signature)
    header = content[at : at + length]
    assert header[-4:] == struct.pack("<I", lookup3(bytes(header[:-4])))  # as HDF5 computes it
    struct.pack_into(form, header, place, size)
    header[-4:] = struct.pack("<I", lookup3(bytes(header[:-4])))
    content[at : at + length] = header
    small_run.write_bytes(content)
    with pytest.raises(
        UserError, match=f"is damaged: a block of its metadata claims a size of {size}"
    ):
        read_run(small_run)


@pytest.mark.parametrize("before", [0, 400, 2**22 - 60])
def test_heap_with_filters_is_looked_at_wherever_it_is(tmp_path: Path, before: int) -> None:
    header = bytearray(b"FRHP".ljust(146 + 12 + 5, b"\0"))
    struct.pack_into("<H", header, 7, 5)
    struct.pack_into("<I", header, 10, HUGE)
    header[-4:] = struct.pack("<I", lookup3(bytes(header[:-4])))
    (tmp_path / "run.h5").write_bytes(bytes(before) + header)
    with pytest.raises(ValueError, match="claims"):
        check_sizes(tmp_path / "run.h5")


@pytest.mark.parametrize("content", [b"", b"BTHD", b"BTHD" + b"\xff" * 99])
def test_what_only_looks_like_a_block_is_let_be(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(content)
    check_sizes(path)


def test_checksum_is_that_of_its_author() -> None:
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551
