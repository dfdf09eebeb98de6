"""Whether the device computes what the CPU computes, twice the same, and well enough in 16 bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proving_cuda.row import Row, Rows, Where, judged
from proving_cuda.runs import Run, first_run, names, run

FIRST_LOSS = 1e-4
"""Relative difference of the first loss: one forward pass in float32, summed in another order."""
FIRST_EPOCH = 0.02
"""Largest relative difference of a loss in the first epoch, where rounding adds up."""
ACCURACY = 0.03
IN_16_BITS = 0.05


def agreement(where: Where) -> Rows:
    """Losses and accuracies beside the CPU's."""
    for name in names(where):
        yield from _tried("agreement", name, lambda name=name: _beside_the_cpu(where, name))
    if where.data_root is not None:
        photos = ("benchmark=split_fashion_mnist", "benchmark.limit_per_class=500")
        words = (*photos, f"benchmark.data_root={where.data_root.absolute()}")
        for name in ("naive cnn", "replay resident"):
            yield from _tried(
                "agreement",
                f"{name}, Fashion-MNIST",
                lambda name=name: _beside_the_cpu(where, name, *words),
            )


def repeats(where: Where) -> Rows:
    """The same command twice."""
    for name in names(where):
        yield from _tried("repeats", name, lambda name=name: _twice(where, name))


def precisions(where: Where) -> Rows:
    """bf16, fp16 and the compiled form beside fp32."""
    for name in ("naive cnn", "ar1 brn") if where.is_cuda else ("ar1 si",):
        plain = first_run(name, where)
        for words in _ways(where):
            label = f"{name}, {' '.join(words)}"
            yield from _tried(
                "precisions", label, lambda name=name, w=words, p=plain: _as_well(where, name, w, p)
            )


def _ways(where: Where) -> Sequence[tuple[str, ...]]:
    """A CPU refuses convolutions in fp16, and compiles for minutes."""
    ways = [("device.precision=bf16",), ("device.channels_last=true",)]
    more = [("device.precision=fp16",), ("device.compile=true",)]
    return [*ways, *more] if where.is_cuda else ways


def _beside_the_cpu(where: Where, name: str, *words: str) -> tuple[str, bool]:
    there = run(name, where, *words) if words else first_run(name, where)
    here = run(name, where, *words, "device=cpu", "device.tricks=off")
    first, epoch = _apart(there.losses[:1], here.losses[:1]), _apart(*_epochs(there, here))
    accuracy = there.accuracy - here.accuracy
    found = f"first loss {first:.1e}, first epoch {epoch:.1e}, accuracy {accuracy:+.4f}"
    return found, first < FIRST_LOSS and epoch < FIRST_EPOCH and abs(accuracy) < ACCURACY


def _epochs(one: Run, other: Run) -> tuple[list[float], list[float]]:
    return one.first_epoch, other.first_epoch


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest relative difference."""
    assert len(one) == len(other) > 0, f"{len(one)} and {len(other)} losses"
    return max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(one, other, strict=True))


def _twice(where: Where, name: str) -> tuple[str, bool]:
    one, again = first_run(name, where), run(name, where)
    same = one.losses == again.losses and one.weights == again.weights
    places = [n for n, (a, b) in enumerate(zip(one.losses, again.losses, strict=True)) if a != b]
    found = "the same bits" if same else f"losses differ from update {places[:1]} on"
    return f"{found} ({len(one.losses)} losses, all weights)", same


def _as_well(where: Where, name: str, words: Sequence[str], plain: Run) -> tuple[str, bool]:
    other = run(name, where, *words)
    return (
        f"accuracy {other.accuracy:.4f}, fp32 {plain.accuracy:.4f}",
        abs(other.accuracy - plain.accuracy) < IN_16_BITS,
    )


def _tried(part: str, what: str, found: Callable[[], tuple[str, bool]]) -> Rows:
    """The row of what was found; one that says why where it could not be."""
    try:
        said, holds = found()
    except Exception as error:  # the next one may still tell something
        yield Row(part, what, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", "no")
    else:
        yield Row(part, what, said, judged(holds))
