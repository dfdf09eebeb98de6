"""What the key `pretrained` may say. Free of torch: configurations are checked without it."""

from __future__ import annotations


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
