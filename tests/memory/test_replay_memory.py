import pytest
import torch
from torch import Tensor

from clrun.errors import ClrunError, ConfigError
from clrun.images.patterns import Patterns
from clrun.memory.replay_memory import ReplayMemory
from clrun.memory.selection import (
    ClassExemplarsSelectionStrategy,
    HerdingSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from clrun.memory.storage_policy import ClassBalancedStoragePolicy, Order
from clrun.memory.table import Table
from clrun.seeds import generator

RANDOM = RandomExemplarsSelectionStrategy(RandomExemplarsSelectionStrategy.Config())
HERDING = HerdingSelectionStrategy(
    HerdingSelectionStrategy.Config(layer_name="fc", normalize=True, model="current")
)


def memory(
    mem_size: int = 10, selection: ClassExemplarsSelectionStrategy = RANDOM, seed: int = 0
) -> ReplayMemory:
    policy = ClassBalancedStoragePolicy(
        ClassBalancedStoragePolicy.Config(adaptive_size=True, total_num_classes=None)
    )
    return ReplayMemory(mem_size, policy, selection, seed)


def patterns(*classes: int, each: int = 20) -> Patterns:
    """Rows whose first pixel is their class and whose second is their number."""
    y = torch.tensor(classes).repeat_interleave(each)
    x = torch.stack([y, torch.arange(len(y))], dim=1).to(torch.uint8)
    return Patterns(x.reshape(-1, 1, 1, 2), y)


def pixels(x: Tensor, _layer: str | None) -> Tensor:
    return x.float()


def test_a_new_memory_is_empty():
    held = memory()

    assert len(held) == 0
    assert held.nbytes == 0
    assert held.summary()["per_class"] == {}
    assert held.summary()["per_experience"] == {}


def test_rows_are_counted_by_class_and_by_experience():
    held = memory()
    held.offer(patterns(3, 1), 0, pixels)
    held.offer(patterns(2), 5, pixels)

    assert len(held) == 10
    assert held.summary()["per_class"] == {1: 3, 2: 4, 3: 3}
    assert held.summary()["per_experience"] == {0: 6, 5: 4}
    assert held.nbytes == 10 * (2 + 8 + 8 + 8)


def test_every_row_keeps_its_label():
    held = memory()
    for experience in range(4):
        held.offer(patterns(experience, experience + 1), experience, pixels)

        assert held.exemplars.x[:, 0, 0, 0].tolist() == held.exemplars.y.tolist()


def test_keys_are_those_of_the_seed_and_the_experience():
    held = memory(mem_size=100, seed=7)
    held.offer(patterns(0), 3, pixels)

    drawn = torch.rand(20, generator=generator(7, "memory", 3), dtype=torch.float64)
    assert held.exemplars.key.tolist() == sorted(drawn.tolist(), reverse=True)


def test_offering_an_experience_in_pieces_keeps_the_same_rows():
    whole, pieces, new = memory(), memory(), patterns(0, 1)
    keys = torch.rand(len(new.y), generator=generator(0, "memory"), dtype=torch.float64)

    whole.offer(new, 0, pixels)
    for rows in torch.arange(len(new.y)).split(7):
        pieces.offer(Patterns(new.x[rows], new.y[rows]), 0, pixels, keys[rows])

    assert torch.equal(whole.exemplars.x, pieces.exemplars.x)
    assert torch.equal(whole.exemplars.key, pieces.exemplars.key)


def test_selection_sees_stored_pixels_and_the_configured_layer_once_a_class():
    asked = []

    def extract(x: Tensor, layer_name: str | None) -> Tensor:
        asked.append((x.dtype, x[0, 0, 0, 0].item(), len(x), layer_name))
        return x.float()

    held = memory(selection=HERDING)
    held.offer(patterns(0, 1), 0, extract)
    held.offer(patterns(2, 0), 1, extract)

    uint8 = torch.uint8
    assert asked == [
        (uint8, 0, 20, "fc"),
        (uint8, 1, 20, "fc"),
        (uint8, 0, 25, "fc"),
        (uint8, 2, 20, "fc"),
    ]


def test_the_bytes_of_a_full_memory_do_not_grow_with_the_stream():
    held = memory()
    sizes = set()
    for experience in range(30):
        held.offer(patterns(experience % 3), experience, pixels)
        sizes.add((held.nbytes, held.exemplars.x.untyped_storage().nbytes()))

    assert sizes == {(260, 20)}


def test_a_memory_goes_on_from_its_state_as_if_never_saved():
    there, here = memory(selection=HERDING), memory(selection=HERDING)
    there.offer(patterns(0, 1), 0, pixels)
    here.load_state_dict(there.state_dict())

    for held in (there, here):
        held.offer(patterns(1, 2), 1, pixels)

    ours, theirs = there.state_dict(), here.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_state_of_an_empty_memory_is_an_empty_memory():
    held = memory()
    held.load_state_dict(memory().state_dict())

    held.offer(patterns(0), 0, pixels)

    assert len(held) == 10


def test_saved_rows_do_not_change_when_the_memory_does():
    held = memory()
    held.offer(patterns(0), 0, pixels)
    saved = held.state_dict()
    before = saved["x"].clone()

    held.offer(patterns(1), 1, pixels)

    assert torch.equal(saved["x"], before)


def test_the_memory_leaves_the_global_generator_alone():
    before = torch.get_rng_state()

    memory().offer(patterns(0, 1), 0, pixels)

    assert torch.equal(torch.get_rng_state(), before)


class LargestLoss:
    """Keeps the rows that the column `loss` is largest for."""

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        return torch.cat([held["loss"], new["loss"]]).argsort(descending=True)[:mem_size]


def test_columns_that_are_offered_stay_with_their_rows_and_are_saved_and_counted():
    held, again = memory(), memory()
    for experience in range(3):
        new = patterns(experience, experience + 1)
        logits = torch.stack([new.y, -new.y], dim=1).float()
        held.offer(new, experience, pixels, columns={"logits": logits})
    again.load_state_dict(held.state_dict())

    assert again.exemplars["logits"][:, 0].tolist() == held.exemplars.y.tolist()
    assert again.exemplars["logits"][:, 1].tolist() == (-held.exemplars.y).tolist()
    assert held.nbytes == 10 * (2 + 8 + 8 + 8 + 2 * 4)


def test_a_policy_can_keep_rows_by_what_was_stored_of_them():
    held = ReplayMemory(3, LargestLoss(), RANDOM, seed=0)
    for experience, losses in enumerate([[5.0, 1.0, 4.0, 2.0], [3.0, 6.0, 0.0, 0.5]]):
        held.offer(patterns(1, each=4), experience, pixels, columns={"loss": torch.tensor(losses)})

    assert held.exemplars["loss"].tolist() == [6, 5, 4]
    assert held.exemplars.x[:, 0, 0, 1].tolist() == [1, 0, 2]


def test_a_policy_can_keep_rows_by_what_the_strategy_measures_at_that_moment():
    sign = 1.0
    measures = {"loss": lambda rows: sign * rows.x[:, 0, 0, 1].float()}
    held = ReplayMemory(3, LargestLoss(), RANDOM, seed=0, measures=measures)

    held.offer(patterns(1, each=6), 0, pixels)
    first = held.exemplars.x[:, 0, 0, 1].tolist()
    sign = -1.0
    held.offer(patterns(1, each=6), 1, pixels)

    assert first == [5, 4, 3]
    assert held.exemplars.x[:, 0, 0, 1].tolist() == [0, 1, 2]
    assert "loss" not in held.state_dict()


def test_a_policy_that_reads_what_the_strategy_does_not_give_is_refused():
    held = ReplayMemory(3, LargestLoss(), RANDOM, seed=0)

    with pytest.raises(ConfigError, match=r"'loss'"):
        held.offer(patterns(1), 0, pixels)


class Answering:
    """A user's policy or selection, which inherits nothing and always gives the same."""

    uses_selection = ranks_rows = True

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def keep(self, *_: object) -> object:
        return self._answer

    def make_sorted_indices(self, *_: object) -> object:
        return self._answer


WRONG = [
    ([0, 1], "gives a list; it must give row numbers"),
    (None, "gives a NoneType; it must"),
    (torch.tensor([0.0]), r"a tensor \[1\] float32; it must give row numbers \[n\] int64"),
    (torch.tensor([[0], [1]]), r"a tensor \[2, 1\] int64; it must"),
    (torch.tensor([True, False]), "a tensor .* bool; it must"),
    (torch.tensor([0, 20]), "the row number 20; there are 20 rows, counted from 0"),
    (torch.tensor([0, -1]), "the row number -1; there are 20 rows"),
    (torch.tensor([3, 1, 3]), "the row 3 twice; it must give each row once"),
]


@pytest.mark.parametrize(
    ("answer", "problem"), [*WRONG, (torch.arange(11), "11 rows; it must give at most 10")]
)
def test_a_user_s_policy_that_answers_wrong_rows_is_one_line(answer, problem):
    held = ReplayMemory(10, Answering(answer), RANDOM, 0)

    with pytest.raises(ClrunError, match=problem) as raised:
        held.offer(patterns(3), 0, pixels)

    assert ":Answering.keep(...) gives" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert len(held) == 0


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        *((a, p) for a, p in WRONG if "twice" not in p and "number" not in p),
        (torch.tensor([0, 1, 2]), "gives 3 rows; it must give 4"),
        (torch.tensor([3, 1, 3, 0]), "the row 3 twice"),
        (torch.tensor([3, 1, 20, 0]), "the row number 20"),
    ],
)
def test_a_user_s_selection_that_answers_wrong_rows_is_one_line(answer, problem):
    held = memory(mem_size=4, selection=Answering(answer))

    with pytest.raises(ClrunError, match=problem) as raised:
        held.offer(patterns(3), 0, pixels)

    assert ":Answering.make_sorted_indices(...) gives" in str(raised.value)


def test_a_user_s_policy_that_answers_right_is_followed():
    held = ReplayMemory(10, Answering(torch.tensor([7, 0, 19])), RANDOM, 0)

    held.offer(patterns(3), 0, pixels)

    assert held.exemplars.x[:, 0, 0, 1].tolist() == [7, 0, 19]
