"""The types of configuration fields that say more than a number or a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from clrun.config.bounds import Bytes, FilePath, OutputPath


def read(hint: Any, value: Any) -> Any:
    return TypeAdapter(hint).validate_python(value, strict=True)


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        (7, 7),
        ("7", 7),
        ("1MB", 1_000_000),
        ("1.5 GB", 1_500_000_000),
        ("64MiB", 64 * 1024**2),
        ("2gib", 2 * 1024**3),
        ("500k", 500_000),
        ("8B", 8),
        ("1TB", 10**12),
    ],
)
def test_bytes_may_be_words(typed, number):
    assert read(Bytes, typed) == number


@pytest.mark.parametrize("typed", ["MB", "1XB", "-1MB", "0MB", "1,5GB", 0, 1.5, ""])
def test_what_is_no_size_is_refused(typed):
    with pytest.raises(ValidationError):
        read(Bytes, typed)


def test_a_file_is_absolute_and_an_output_is_not(workplace, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")

    for typed, path in (("a/b", workplace / "a" / "b"), ("~/b", "/home/ada/b"), ("/c", "/c")):
        assert read(FilePath, typed) == str(path)
    assert read(OutputPath, "a/b") == "a/b"
    assert read(OutputPath, "~/out") == "/home/ada/out"
    assert read(OutputPath, "a~/b") == "a~/b"


@pytest.mark.parametrize("hint", [FilePath, OutputPath])
@pytest.mark.parametrize("typed", ["", "  ", "~nobody-of-that-name/x"])
def test_a_path_that_names_nothing_is_refused(hint, typed):
    with pytest.raises(ValidationError, match=r"names no|there is no user"):
        read(hint, typed)


def test_none_of_them_takes_another_type():
    for hint in (FilePath, OutputPath):
        with pytest.raises(ValidationError):
            read(hint, Path("a"))
