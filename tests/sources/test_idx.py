import gzip
import struct

import pytest
import torch

from clrun.images.files import DamagedFile
from clrun.sources.idx import idx_shape, read_idx

VALUES = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
CONTENT = struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24))


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def gzipped(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(CONTENT))
    return path


def test_a_plain_and_a_gzipped_file_hold_the_same(plain, gzipped):
    assert torch.equal(read_idx(plain, 3), VALUES)
    assert torch.equal(read_idx(gzipped, 3), VALUES)
    assert idx_shape(plain, 3) == idx_shape(gzipped, 3) == (2, 3, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "images is empty", id="empty"),
        pytest.param(b"<html>", "images starts with 3c68746d instead of 00000803", id="no IDX"),
        pytest.param(CONTENT[:2] + b"\x0d" + CONTENT[3:], "00000d03 instead", id="floats"),
        pytest.param(CONTENT[:3] + b"\x01" + CONTENT[4:], "00000801 instead", id="labels"),
        pytest.param(CONTENT[:10], "images ends within its header", id="half a header"),
        pytest.param(CONTENT[:-1], "23 bytes of data where its header says 24", id="cut short"),
        pytest.param(CONTENT + b"x", "25 bytes of data where its header says 24", id="too long"),
        pytest.param(
            struct.pack(">4B3I", 0, 0, 8, 3, 0, 3, 4),
            r"holds nothing \(shape \(0, 3, 4\)\)",
            id="no rows",
        ),
        pytest.param(
            struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3) + b"x", "1 bytes of data", id="huge"
        ),
    ],
)
@pytest.mark.parametrize("read", [idx_shape, read_idx])
def test_a_malformed_file_is_named_with_what_is_wrong(tmp_path, read, content, message):
    (tmp_path / "images").write_bytes(content)

    with pytest.raises(DamagedFile, match=message):
        read(tmp_path / "images", 3)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda whole: whole[:-9], id="cut short"),
        pytest.param(lambda whole: whole[:-8] + b"\0\0\0\0" + whole[-4:], id="wrong checksum"),
        pytest.param(lambda whole: b"no gzip at all", id="not gzip"),
        pytest.param(lambda whole: whole[:10] + b"\xff" * 20, id="broken stream"),
    ],
)
def test_a_damaged_gzip_file_is_refused(gzipped, spoil):
    gzipped.write_bytes(spoil(gzipped.read_bytes()))

    with pytest.raises(DamagedFile, match=r"^images\.gz is no complete gzip file"):
        read_idx(gzipped, 3)
