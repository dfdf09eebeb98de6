import io
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clrun.strategies.cwr_star import CWRStar


def linear(features: int = 2, classes: int = 4, *, bias: bool = False) -> nn.Linear:
    head = nn.Linear(features, classes, bias=bias)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    return head


def train_to(head: nn.Linear, rows: dict[int, list[float]]) -> None:
    """As if an experience had led these rows there."""
    with torch.no_grad():
        for c, row in rows.items():
            head.weight[c] = torch.tensor(row)


def experience(cwr: CWRStar, counts: list[int], rows: dict[int, list[float]]) -> None:
    cwr.begin(torch.tensor(counts))
    train_to(cwr.head, rows)
    cwr.consolidate()


def rows(head: nn.Linear) -> list[list[float]]:
    return head.weight.tolist()


FIRST = dict(counts=[4, 6, 0, 0], rows={0: [1, 2], 1: [3, 4], 2: [0.5, 0.5], 3: [0.25, 0.25]})
SECOND = dict(counts=[0, 2, 8, 0], rows={0: [-1, -1], 1: [2, 0], 2: [4, 6], 3: [0, 0]})


def test_before_the_first_experience_the_head_is_zero():
    cwr = CWRStar(linear())

    cwr.begin(torch.tensor([4, 6, 0, 0]))

    assert not cwr.head.weight.any()


def test_the_worked_example_s_first_experience():
    cwr = CWRStar(linear())

    experience(cwr, **FIRST)

    assert rows(cwr.head) == [[-1.5, -0.5], [0.5, 1.5], [0.5, 0.5], [0.25, 0.25]]
    assert cwr.past.tolist() == [4, 6, 0, 0]


def test_the_worked_example_s_second_experience():
    cwr = CWRStar(linear())
    experience(cwr, **FIRST)

    cwr.begin(torch.tensor(SECOND["counts"]))
    at_start = rows(cwr.head)
    train_to(cwr.head, SECOND["rows"])
    cwr.consolidate()

    assert at_start == [[0, 0], [0.5, 1.5], [0, 0], [0, 0]]
    after = rows(cwr.head)
    assert after[0] == [-1.5, -0.5]
    assert after[1] == pytest.approx([-0.0490381, -0.1471143], abs=1e-7)
    assert after[2:] == [[1, 3], [0, 0]]
    assert cwr.past.tolist() == [4, 8, 8, 0]


def test_the_worked_example_s_third_experience():
    cwr = CWRStar(linear())
    experience(cwr, **FIRST)
    experience(cwr, **SECOND)

    experience(cwr, counts=[0, 3, 0, 0], rows={1: [5, 1]})

    assert rows(cwr.head)[1] == pytest.approx([0.7291781, -0.8508327], abs=1e-7)
    assert cwr.past.tolist() == [4, 11, 8, 0]


def test_classes_that_do_not_occur_are_zero_in_training_and_back_afterwards():
    cwr = CWRStar(linear())
    experience(cwr, **FIRST)
    before = rows(cwr.head)

    cwr.begin(torch.tensor([0, 0, 5, 0]))
    during = rows(cwr.head)
    cwr.consolidate()

    assert during == [[0, 0]] * 4
    assert rows(cwr.head)[:2] == before[:2]


def by_hand(cwr: dict, head: torch.Tensor, counts: list[int]) -> None:
    """The rule a class at a time, as it is written down."""
    current = [c for c, n in enumerate(counts) if n]
    mean = sum(head[c].sum().item() for c in current) / (len(current) * head.shape[1])
    for c in current:
        trained = head[c] - mean
        if c in cwr:
            saved, past = cwr[c]
            s = (past / counts[c]) ** 0.5
            trained = (saved * s + trained) / (s + 1)
            cwr[c] = (trained, past + counts[c])
        else:
            cwr[c] = (trained, counts[c])


@given(
    stream=st.lists(
        st.lists(st.integers(0, 20), min_size=5, max_size=5).filter(any), min_size=1, max_size=5
    ),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=50)
def test_any_stream_gives_the_rows_of_the_rule_applied_class_by_class(stream, seed):
    cwr, slow = CWRStar(linear(3, 5).double()), {}
    rng = torch.Generator().manual_seed(seed)

    for counts in stream:
        trained = torch.randn(5, 3, generator=rng, dtype=torch.float64)
        experience(cwr, counts, dict(enumerate(trained.tolist())))
        by_hand(slow, trained, counts)

    expected = trained.clone()  # of classes never seen
    for c, (saved, past) in slow.items():
        expected[c] = saved
        assert cwr.past[c] == past
    torch.testing.assert_close(cwr.head.weight.detach(), expected)


def test_a_bias_is_consolidated_like_the_weights_around_its_own_mean():
    cwr = CWRStar(linear(bias=True))
    cwr.begin(torch.tensor([4, 6, 0, 0]))
    at_start = cwr.head.bias.tolist()
    train_to(cwr.head, FIRST["rows"])
    with torch.no_grad():
        cwr.head.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))

    cwr.consolidate()

    assert at_start == [0] * 4
    assert rows(cwr.head) == [[-1.5, -0.5], [0.5, 1.5], [0.5, 0.5], [0.25, 0.25]]
    assert cwr.head.bias.tolist() == [-0.5, 0.5, 3, 4]
    cwr.begin(torch.tensor([1, 0, 0, 0]))
    assert cwr.head.bias.tolist() == [-0.5, 0, 0, 0]


def test_the_optimizer_goes_on_with_the_same_parameters():
    cwr = CWRStar(linear(bias=True))
    parameters = [id(parameter) for parameter in cwr.head.parameters()]

    experience(cwr, **FIRST)
    cwr.head(torch.ones(1, 2)).sum().backward()

    assert [id(parameter) for parameter in cwr.head.parameters()] == parameters
    assert all(p.requires_grad and p.grad is not None for p in cwr.head.parameters())


@pytest.mark.parametrize("bias", [False, True])
def test_continuing_in_mid_experience_from_a_saved_state_gives_the_same_bits(bias):
    whole = CWRStar(linear(bias=bias))
    experience(whole, **FIRST)
    whole.begin(torch.tensor(SECOND["counts"]))
    train_to(whole.head, SECOND["rows"])
    file = io.BytesIO()
    torch.save({"head": whole.head.state_dict(), "cwr": whole.state_dict()}, file)

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    continued = CWRStar(linear(bias=bias))
    continued.head.load_state_dict(saved["head"])
    continued.load_state_dict(saved["cwr"])
    whole.consolidate()
    continued.consolidate()

    state, head = continued.state_dict(), continued.head.state_dict()
    torch.testing.assert_close(state, whole.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(head, whole.head.state_dict(), rtol=0, atol=0)


def test_a_saved_state_does_not_change_with_what_comes_after():
    cwr = CWRStar(linear())
    experience(cwr, **FIRST)
    state = cwr.state_dict()
    before = deepcopy(state)

    experience(cwr, **SECOND)

    torch.testing.assert_close(state, before, rtol=0, atol=0)


def test_the_state_follows_a_head_that_is_moved():
    cwr = CWRStar(linear())
    experience(cwr, **FIRST)

    cwr.head.double()
    experience(cwr, **SECOND)

    assert cwr.saved.dtype == torch.float64
    assert rows(cwr.head)[1] == pytest.approx([-0.0490381, -0.1471143], abs=1e-7)


def test_consolidating_what_was_not_begun_is_refused():
    cwr = CWRStar(linear())
    experience(cwr, **FIRST)

    with pytest.raises(AssertionError, match="begin"):
        cwr.consolidate()
