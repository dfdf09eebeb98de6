import io
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from clrun.errors import StorageError
from clrun.images.archives import unpack
from clrun.images.files import DamagedFile

GOOD = {"lists/run0/a.txt": b"one", "lists/run0/b.txt": b"two", "notes.txt": b""}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, f"w:{path.suffix[1:]}") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


MAKERS = [
    pytest.param(zipped, "a.zip", id="zip"),
    pytest.param(tarred, "a.tar.gz", id="tar.gz"),
    pytest.param(tarred, "a.tar.xz", id="tar.xz"),
]


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_every_file_comes_out(tmp_path, make, name):
    reported = []

    unpack(make(tmp_path / name, GOOD), tmp_path / "out", lambda *seen: reported.append(seen))

    assert tree(tmp_path / "out") == GOOD
    assert reported[-1] == (f"{name} (unpacking)", 6, 6)


@pytest.mark.parametrize(("make", "name"), MAKERS)
@pytest.mark.parametrize(
    "evil",
    ["../evil", "lists/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:/evil", "a/../b"],
)
def test_a_name_that_leads_out_is_refused_and_nothing_is_written(tmp_path, make, name, evil):
    archive = make(tmp_path / name, {**GOOD, evil: b"evil"})

    with pytest.raises(DamagedFile, match=r"leads out of the folder") as caught:
        unpack(archive, tmp_path / "out")

    assert str(caught.value).startswith(name)
    assert tree(tmp_path / "out") == {}
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)

    with pytest.raises(DamagedFile, match=r"a\.tar holds a link or device \(link\)"):
        unpack(tmp_path / "a.tar", tmp_path / "out")

    assert tree(tmp_path / "out") == {}


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")

    with pytest.raises(DamagedFile, match="holds a link or device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_name_that_comes_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("same"))

    with pytest.raises(DamagedFile, match="holds 1 names twice"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize(("make", "name"), MAKERS)
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_an_archive_that_is_cut_short_leaves_nothing(tmp_path, make, name, kept):
    noise = bytes((k * k * 31 + (k >> 3)) % 251 for k in range(20_000))
    content = make(tmp_path / name, {**GOOD, "noise": noise}).read_bytes()
    (tmp_path / name).write_bytes(content[: int(kept * len(content))])

    with pytest.raises(DamagedFile, match="is no complete archive"):
        unpack(tmp_path / name, tmp_path / "out")

    assert tree(tmp_path / "out") == {}


def test_what_a_killed_process_left_is_cleared_and_complete_entries_stay(tmp_path):
    archive = zipped(tmp_path / "a.zip", GOOD)
    (tmp_path / "out" / ".unpacking-a.zip" / "lists").mkdir(parents=True)
    (tmp_path / "out" / ".unpacking-a.zip" / "lists" / "half").write_text("")
    (tmp_path / "out" / "notes.txt").write_text("mine")

    unpack(archive, tmp_path / "out")

    assert tree(tmp_path / "out") == {**GOOD, "notes.txt": b"mine"}


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(StorageError, match="taken/out: cannot be written"):
        unpack(zipped(tmp_path / "a.zip", GOOD), tmp_path / "taken" / "out")


def test_more_than_the_disk_has_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5))

    with pytest.raises(StorageError, match="out: 0 MB are to be unpacked, and 0 MB free"):
        unpack(zipped(tmp_path / "a.zip", GOOD), tmp_path / "out")

    assert not tree(tmp_path / "out").keys() - {".a.zip.lock"}


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_only_what_is_wanted_comes_out_under_the_name_it_is_given(tmp_path, make, name):
    evil = {"../escaped": b"bad", "lists/../../escaped": b"bad", "lists/other": b"bad"}
    archive = make(tmp_path / name, {**evil, **GOOD})

    unpack(archive, tmp_path / "out", only={"lists/run0/a.txt": "a"})

    assert tree(tmp_path / "out") == {"a": b"one"}
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_the_place_of_a_wanted_file_is_refused(tmp_path, kind):
    member = tarfile.TarInfo("folder/file")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.addfile(member)

    with pytest.raises(DamagedFile, match=r"a\.tar\.gz holds a link or device"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", only={"folder/file": "file"})

    assert tree(tmp_path / "out") == {}


def test_a_wanted_file_that_is_not_there_is_named(tmp_path):
    archive = zipped(tmp_path / "a.zip", GOOD)

    with pytest.raises(DamagedFile, match=r"a\.zip has no file lists/c\.txt"):
        unpack(archive, tmp_path / "out", only={"notes.txt": "n", "lists/c.txt": "c"})

    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)

    with pytest.raises(DamagedFile, match=r"^a\.tar\.gz is no complete archive"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
