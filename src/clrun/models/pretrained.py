"""What the key `pretrained` may say. Free of torch: configurations are checked without it."""

from __future__ import annotations


def shown_in_grey(
    statistics: tuple[tuple[float, ...], tuple[float, ...]], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation for images of so many channels, of those for three.

    Grey images, which networks for colours see three times, get the mean of each.
    """
    if channels == 3:
        return statistics
    mean, std = ((sum(values) / len(values),) * channels for values in statistics)
    return mean, std


def require_file(pretrained: bool | str, *, model: str) -> None:
    """Refuse `pretrained: true` for a model that nobody has published weights of.

    Raises:
        ValueError: `pretrained` is true.
    """
    if pretrained is True:
        raise ValueError(
            f"pretrained=true: there are no published weights for {model}. "
            "Give a file of weights, or false."
        )
