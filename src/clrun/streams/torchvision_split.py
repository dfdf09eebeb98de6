"""torchvision's classification sets as a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from clrun.sources.source import Source
from clrun.sources.torchvision_sets import SETS, TorchvisionName
from clrun.sources.torchvision_source import TorchvisionImages
from clrun.streams.split import Split
from clrun.streams.split_keys import SplitKeys


class TorchvisionSplit(Split):
    """`dataset` in the scenarios of `Split`."""

    @dataclass(frozen=True, kw_only=True)
    class Config(SplitKeys):
        dataset: TorchvisionName

        def __post_init__(self) -> None:
            super().__post_init__()
            published = SETS[self.dataset]
            if published.side is None and self.image_size is None:
                raise ValueError(
                    f"image_size=null: the images of dataset={self.dataset} differ in size. "
                    f"Use e.g. image_size=64."
                )
            self.check_classes(published.num_classes)

    def _source(self) -> Source:
        config = cast(TorchvisionSplit.Config, self.config)
        return TorchvisionImages(config.dataset, config.image_size)
