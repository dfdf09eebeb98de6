from __future__ import annotations

import copy
from itertools import accumulate

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.errors import ConfigError, NonFiniteLatents
from clrun.memory import stored_latents
from clrun.memory.latent_memory import LatentMemory, bytes_needed
from clrun.memory.storage_policy import (
    ClassBalancedStoragePolicy,
    ReservoirStoragePolicy,
    StoragePolicy,
)

DTYPES = ["float32", "float16", "bfloat16", "uint8"]
SHAPE = (2, 3, 3)


def memory(
    rm_sz: int = 10,
    *,
    rm_bytes: int | None = None,
    dtype: str = "float32",
    seed: int = 0,
    policy: StoragePolicy | None = None,
):
    return LatentMemory(rm_sz, rm_bytes, dtype, seed, policy)


def learn(held: LatentMemory, experience: int, available: int, shape=SHAPE) -> list[int]:
    """Offer rows whose latents are their number and their class; the numbers that are stored."""
    y = 2 * experience + torch.arange(available) % 2
    computed: list[int] = []

    def latents_of(rows: torch.Tensor) -> torch.Tensor:
        computed.extend(rows.tolist())
        z = torch.zeros(len(rows), *shape)
        z[:, 0] = rows.view(-1, *[1] * (len(shape) - 1)).float()
        z[:, 1] = y[rows].view(-1, *[1] * (len(shape) - 1)).float()
        return z

    held.offer(y, experience, latents_of, shape)
    stored = held.rows["sample"][held.rows.experience == experience].sort().values.tolist()
    assert computed == stored * (2 if held.dtype == "uint8" else 1), "no others are computed"
    return stored


def consistent(held: LatentMemory) -> bool:
    """Every latent is still that of its row."""
    z, rows = held.latents(torch.arange(len(held))), held.rows
    return (
        z[:, 0, 0, 0].round().long().tolist() == rows["sample"].tolist()
        and z[:, 1, 0, 0].round().long().tolist() == rows.y.tolist()
        and rows.y.tolist() == (2 * rows.experience + rows["sample"] % 2).tolist()
    )


def test_the_share_of_the_newest_experience_shrinks_as_in_the_paper():
    held = memory(1500)
    taken = [len(learn(held, i, 2000, (2,))) for i in range(391)]

    assert taken[:10] == [1500, 750, 500, 375, 300, 250, 214, 187, 166, 150]
    assert (taken[78], taken[195], taken[390]) == (18, 7, 3)
    assert len(held) == 1500


def test_free_places_are_filled_before_anything_is_replaced():
    held = memory(1500)
    taken = [len(learn(held, i, 600, (2,))) for i in range(4)]

    assert taken == [600, 600, 500, 375]
    assert held.summary()["per_experience"][3] == 375
    assert len(held) == 1500


def test_experiences_have_about_equal_shares_in_the_end():
    held = memory(1000)

    for i in range(5):
        learn(held, i, 3000, (2,))

    counts = list(held.summary()["per_experience"].values())
    assert sum(counts) == 1000
    assert all(150 < count < 250 for count in counts)


@given(available=st.lists(st.integers(1, 30), min_size=1, max_size=8), capacity=st.integers(0, 25))
@settings(deadline=None, max_examples=40)
def test_it_is_as_full_as_the_rows_seen_allow_and_never_fuller(available, capacity):
    held = memory(capacity)

    sizes = []
    for i, rows in enumerate(available):
        learn(held, i, rows)
        sizes.append(len(held))

    assert sizes == [min(seen, capacity) for seen in accumulate(available)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_and_numbers_stay_with_their_latents(dtype):
    held = memory(20, dtype=dtype)

    for i in range(6):
        learn(held, i, 15)

    assert len(held) == 20
    assert consistent(held)


def test_no_row_is_stored_twice():
    held = memory(40)

    for i in range(6):
        learn(held, i, 30)

    pairs = set(zip(held.rows.experience.tolist(), held.rows["sample"].tolist(), strict=True))
    assert len(pairs) == 40


def test_rows_are_counted_by_class_and_by_experience():
    held = memory(20)
    learn(held, 0, 5)
    learn(held, 1, 3)

    assert held.summary()["per_class"] == {0: 3, 1: 2, 2: 2, 3: 1}
    assert held.summary()["per_experience"] == {0: 5, 1: 3}


def test_the_choice_is_a_function_of_the_seed_and_the_experience():
    chosen = learn(memory(), 0, 100)

    assert learn(memory(), 0, 100) == chosen
    assert learn(memory(seed=1), 0, 100) != chosen
    assert learn(memory(), 1, 100) != chosen


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_stored_is_of_the_type_asked_for_and_given_back_as_float32(dtype):
    held = memory(dtype=dtype)
    learn(held, 0, 10)

    assert held.codes.dtype == getattr(torch, dtype)
    assert held.latents(torch.tensor([3, 3, 0])).dtype == torch.float32
    assert held.latents(torch.tensor([3, 3, 0])).shape == (3, *SHAPE)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spare", [0, 1])
def test_a_limit_in_bytes_says_how_many_rows_fit(dtype, spare):
    row, fixed = bytes_needed(SHAPE, dtype)
    held = memory(1, rm_bytes=fixed + 5 * row + spare, dtype=dtype)

    for i in range(4):
        learn(held, i, 30)

    assert len(held) == 5
    assert held.nbytes == fixed + 5 * row


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_limit_below_one_row_is_refused_with_the_bytes_it_needs(dtype):
    needed = sum(bytes_needed(SHAPE, dtype))

    assert memory(rm_bytes=needed, dtype=dtype).capacity(SHAPE) == 1
    with pytest.raises(ConfigError, match=rf"^strategy.rm_bytes={needed - 1}: .*least {needed}"):
        learn(memory(rm_bytes=needed - 1, dtype=dtype), 0, 30)


def test_a_latent_of_ar1_takes_a_quarter_of_the_bytes_in_8_bits():
    (full, _), (coded, fixed) = (
        bytes_needed((512, 8, 8), "float32"),
        bytes_needed((512, 8, 8), "uint8"),
    )

    assert 1500 * full == pytest.approx(187.5 * 2**20, rel=1e-3)
    assert (1500 * coded + fixed) / (1500 * full) == pytest.approx(0.25, rel=2e-3)


def test_8_bit_rows_stored_before_a_range_grew_are_still_within_a_step():
    held = memory(20, dtype="uint8")
    small = torch.rand(10, *SHAPE, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(10)
    held.offer(ids, 0, small.__getitem__, SHAPE)

    held.offer(ids, 1, (40 * small).__getitem__, SHAPE)

    steps = held.state_dict()["latents"]["step"].view(1, -1, 1, 1)
    assert bool(((held.latents(ids) - small).abs() <= 1.001 * steps).all())
    assert bool(((held.latents(ids + 10) - small * 40).abs() <= 0.501 * steps).all())


def test_a_memory_of_no_rows_stays_empty():
    held = memory(0)

    learn(held, 0, 30)

    assert (len(held), held.nbytes, held.summary()["per_class"]) == (0, 0, {})
    assert len(held.rows.y) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_saved_memory_goes_on_as_if_nothing_had_happened(dtype):
    held, resumed = memory(12, dtype=dtype), memory(12, dtype=dtype)
    learn(held, 0, 20)
    resumed.load_state_dict(held.state_dict())

    learn(held, 1, 20)
    learn(resumed, 1, 20)

    for part in ("rows", "latents"):
        ours, theirs = held.state_dict()[part], resumed.state_dict()[part]
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_empty_memory_can_be_saved():
    held = memory()

    held.load_state_dict(memory().state_dict())

    assert len(held) == 0


def test_rows_survive_when_more_room_is_made(monkeypatch):
    monkeypatch.setattr(stored_latents, "RESERVED", 1)
    held = memory(1000)

    for experience in range(4):
        learn(held, experience, 6)

    assert len(held) == 24
    assert consistent(held)


def test_a_saved_state_takes_no_more_than_its_rows():
    held = memory(1000)
    learn(held, 0, 6)

    saved = held.state_dict()["latents"]["x"]

    assert saved.untyped_storage().nbytes() == saved.nbytes


def test_a_saved_state_stays_what_it_was_while_a_full_memory_goes_on():
    held = memory(20)
    learn(held, 0, 30)
    saved = held.state_dict()
    before = copy.deepcopy(saved)

    learn(held, 1, 30)

    assert not torch.equal(held.codes, before["latents"]["x"])
    assert torch.equal(saved["latents"]["x"], before["latents"]["x"])
    assert all(torch.equal(column, before["rows"][n]) for n, column in saved["rows"].items())


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_latents_that_are_not_finite_end_the_run(dtype, value):
    held, z = memory(20, dtype=dtype), torch.rand(10, *SHAPE)
    z[3].view(-1)[0] = value

    with pytest.raises(NonFiniteLatents, match="NaN or infinite") as raised:
        held.offer(torch.arange(10), 0, z.__getitem__, SHAPE)

    assert raised.value.exit_code == 6


def test_so_do_latents_too_large_for_their_type():
    held, z = memory(20, dtype="float16"), torch.full((10, *SHAPE), 1e5)

    with pytest.raises(NonFiniteLatents, match=r"as float16\. strategy.latent_dtype=float32"):
        held.offer(torch.arange(10), 0, z.__getitem__, SHAPE)


def test_a_full_memory_is_filled_in_place():
    held = memory(20)
    learn(held, 0, 30)
    before, rows = held.codes, held.rows

    learn(held, 1, 30)

    assert held.codes.data_ptr() == before.data_ptr()
    stayed = held.rows.experience == 0
    assert int(stayed.sum()) == 10
    assert torch.equal(held.rows["sample"][stayed], rows["sample"][stayed])


OTHER_POLICIES = [
    ReservoirStoragePolicy(ReservoirStoragePolicy.Config()),
    ClassBalancedStoragePolicy(
        ClassBalancedStoragePolicy.Config(adaptive_size=True, total_num_classes=None)
    ),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("policy", OTHER_POLICIES, ids=["reservoir", "class_balanced"])
def test_any_storage_policy_can_choose_among_latents(policy, dtype):
    held = memory(20, dtype=dtype, policy=policy)

    for experience, rows in enumerate([8, 30, 3, 15]):
        learn(held, experience, rows)

        assert len(held) == min(20, 8 + 30 * experience)
        assert consistent(held)


def test_latents_are_chosen_as_images_would_be():
    held = memory(20, policy=OTHER_POLICIES[1])

    for experience in range(3):
        learn(held, experience, 30)

    assert held.summary()["per_class"] == {0: 3, 1: 3, 2: 3, 3: 3, 4: 4, 5: 4}
