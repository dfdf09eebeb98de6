from pathlib import Path

import pytest
import torch

from clrun.images.archives import unpack
from clrun.images.files import DamagedFile
from clrun.sources.core50_files import LISTS
from clrun.sources.core50_lists import list_names, read_lists
from clrun.streams.core50 import NUM_EXPERIENCES, first_seen

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "core50"
TRAIN_SESSIONS = {1, 2, 4, 5, 6, 8, 9, 11}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Run 0's published NICv2 lists."""
    archive = PUBLISHED / "batches_filelists_NICv2_run0.tar.xz"
    if not archive.is_file():
        pytest.skip("CORe50's NICv2 lists are not beside this checkout")
    folder = tmp_path_factory.mktemp("published")
    unpack(archive, folder)
    return folder


@pytest.mark.parametrize(
    ("scenario", "fewest", "most", "most_classes", "last_new"),
    [
        ("nicv2_79", 1490, 1500, 5, range(66, 69)),
        ("nicv2_196", 593, 600, 2, range(151, 166)),
        ("nicv2_391", 293, 300, 1, range(321, 341)),
    ],
)
def test_the_published_lists_are_what_their_authors_say(
    published, scenario, fewest, most, most_classes, last_new
):
    lists = read_lists(published / LISTS[scenario] / "run0", NUM_EXPERIENCES[scenario])

    assert len(lists.train) == NUM_EXPERIENCES[scenario]
    first, *later = lists.train
    assert len(first) == 2999
    assert lists.labels[first].unique().tolist() == list(range(0, 50, 5))
    assert all(fewest <= len(rows) <= most for rows in later)
    assert max(len(lists.labels[rows].unique()) for rows in later) == most_classes
    new = first_seen(lists.labels, lists.train, 50).unique()
    assert len(new) == 41
    assert int(new.max()) in last_new
    assert len(torch.cat(lists.train).unique()) == 119_894
    assert (len(lists.test), len(lists.test[::20])) == (44_972, 2_249)
    assert torch.equal(lists.labels, lists.objects)
    assert {int(name[1 : name.index("/")]) for name in lists.names} == {*range(1, 12)}
    trained = {lists.names[row].partition("/")[0] for row in torch.cat(lists.train).tolist()}
    assert trained == {f"s{session}" for session in TRAIN_SESSIONS}


def test_list_files_have_at_least_two_digits():
    names = list_names(391)

    assert names[0] == "train_batch_00_filelist.txt"
    assert names[99:101] == ["train_batch_99_filelist.txt", "train_batch_100_filelist.txt"]
    assert names[-2:] == ["train_batch_390_filelist.txt", "test_filelist.txt"]


LINES = ("s1/o1/C_01_01_000.png 0\n", "s2/o6/C_02_06_000.png 5\n", "s3/o1/C_03_01_000.png 0\n")


def written(folder: Path, *lists: str) -> Path:
    for name, text in zip(list_names(len(lists) - 1), lists, strict=True):
        (folder / name).write_text(text)
    return folder


def test_rows_come_in_the_lists_order(tmp_path):
    lists = read_lists(written(tmp_path, LINES[1] + LINES[0], LINES[2]), 1)

    assert [lists.names[row] for row in lists.train[0]] == [
        line.split()[0] for line in LINES[1::-1]
    ]
    assert lists.labels[lists.train[0]].tolist() == [5, 0]
    assert lists.objects[lists.test].tolist() == [0]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        pytest.param(["", LINES[2]], r"train_batch_00_filelist\.txt is empty", id="empty"),
        pytest.param(["a b c\n", LINES[2]], "not a list of images and labels", id="no list"),
        pytest.param(["s1/o1/C_01_01_000.png x\n", LINES[2]], "not a list", id="no label"),
        pytest.param(["../etc/passwd 0\n", LINES[2]], "no image of CORe50", id="leads out"),
        pytest.param(["s1/o51/C_01_51_000.png 50\n", LINES[2]], "no image of", id="object 51"),
        pytest.param([LINES[0] * 2, LINES[2]], "twice in one", id="an image twice"),
        pytest.param([LINES[0], LINES[0]], "in two lists", id="trained and tested"),
        pytest.param([LINES[0].replace(" 0", " 3"), LINES[2]], "two labels", id="two labels"),
        pytest.param([LINES[1].replace(" 5", " 0"), LINES[2]], "two objects", id="two objects"),
        pytest.param([LINES[1], LINES[2]], "no experience trains on", id="untrained class"),
    ],
)
def test_a_damaged_list_is_told_in_one_line(tmp_path, lists, message):
    with pytest.raises(DamagedFile, match=message) as caught:
        read_lists(written(tmp_path, *lists), 1)

    assert "\n" not in str(caught.value)


def test_a_list_that_is_missing_is_named(tmp_path):
    with pytest.raises(DamagedFile, match=r"train_batch_01_filelist\.txt"):
        read_lists(written(tmp_path, LINES[0], LINES[2]), 2)
