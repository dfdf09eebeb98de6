"""Latents in files that runs share: the bits that were computed, or none at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from clrun.strategies.shared_latents import SharedLatents, weights_digest


def never() -> Tensor:
    raise AssertionError("they were computed before")


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.latents"))


KINDS: dict[str, Callable[[], Tensor]] = {
    "rows": lambda: torch.randn(5, 7),
    "pictures": lambda: torch.randn(5, 3, 4, 4),
    "channels last": lambda: torch.randn(5, 3, 4, 4).to(memory_format=torch.channels_last),
    "bfloat16": lambda: torch.randn(1500, 8).bfloat16(),
    "of no row": lambda: torch.empty(0, 4),
}


@pytest.mark.parametrize("kind", KINDS)
def test_latents_come_back_as_they_were_computed(kind, tmp_path):
    x = KINDS[kind]()
    store = SharedLatents(tmp_path / "latents", "")

    first = store.latents("a", compute=lambda: x)
    again = SharedLatents(tmp_path / "latents", "").latents("a", compute=never)

    for found in (first, again):
        assert torch.equal(found, x)
        assert (found.dtype, found.stride()) == (x.dtype, x.stride())


def test_what_is_written_to_latents_changes_nobody_elses(tmp_path):
    store = SharedLatents(tmp_path, "")

    store.latents("a", compute=lambda: torch.ones(4)).zero_()

    assert store.latents("a", compute=never).tolist() == [1, 1, 1, 1]


def test_everything_that_is_named_tells_latents_from_others(tmp_path):
    names = [("", "a", b"x"), ("", "a", b"y"), ("", "b", b"x"), ("device", "a", b"x")]
    for number, (facts, *what) in enumerate(names):
        store = SharedLatents(tmp_path, facts)
        store.latents(*what, compute=lambda number=number: torch.tensor([float(number)]))

    for number, (facts, *what) in enumerate(names):
        assert SharedLatents(tmp_path, facts).latents(*what, compute=never).item() == number


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * 5000, b'{"dtype": "float32"}'])
def test_a_damaged_file_is_computed_again(content, tmp_path):
    store = SharedLatents(tmp_path, "")
    store.latents("a", compute=lambda: torch.ones(4))
    (file,) = files(tmp_path)

    file.write_bytes(content)
    again = store.latents("a", compute=lambda: torch.ones(4))

    assert again.tolist() == [1, 1, 1, 1]
    assert store.latents("a", compute=never).tolist() == [1, 1, 1, 1]


def test_a_file_that_was_cut_is_computed_again(tmp_path):
    store = SharedLatents(tmp_path, "")
    store.latents("a", compute=lambda: torch.ones(4))
    (file,) = files(tmp_path)

    file.write_bytes(file.read_bytes()[:-1])

    assert store.latents("a", compute=lambda: torch.zeros(4)).tolist() == [0, 0, 0, 0]


def test_a_folder_does_not_grow_without_bound(tmp_path):
    store = SharedLatents(tmp_path, "", largest=3 * (4096 + 4000))

    for name in "abcdef":
        store.latents(name, compute=lambda: torch.ones(1000))
        if name != "a":
            store.latents("a", compute=never)

    assert len(files(tmp_path)) <= 3
    store.latents("a", compute=never)


def test_latents_that_are_too_large_are_not_kept(tmp_path):
    store = SharedLatents(tmp_path, "", largest=100)

    assert store.latents("a", compute=lambda: torch.ones(1000)).sum() == 1000
    assert files(tmp_path) == []


def test_weights_and_buffers_and_layers_tell_modules_apart():
    def made() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))

    other, moved, padded = made(), made(), made()
    with torch.no_grad():
        other[0].weight[0, 0, 0, 0] += 1
        moved[1].running_mean += 1
    padded[0] = nn.Conv2d(1, 2, 3, padding=1)
    padded[0].load_state_dict(made()[0].state_dict())

    found = [weights_digest(module) for module in (made(), other, moved, padded)]
    assert len(set(found)) == 4
    assert weights_digest(made()) == found[0]


class Hidden(nn.Module):
    """A module with a tensor that no file of weights has, and a state that is no tensor."""

    def __init__(self, scale: float, state: str) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self._state = state

    def get_extra_state(self) -> str:
        return self._state

    def set_extra_state(self, state: str) -> None:
        self._state = state


def test_what_no_file_of_weights_has_tells_modules_apart_too():
    found = [weights_digest(Hidden(*made)) for made in ((1.0, "a"), (2.0, "a"), (1.0, "b"))]

    assert len(set(found)) == 3
    assert weights_digest(Hidden(1.0, "a")) == found[0]
