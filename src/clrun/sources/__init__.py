"""Where the images come from: each source a class, named as `package.module:Class`.

Importing this imports neither torch nor any source.
"""

SOURCES = {
    "digits": "clrun.sources.digits:Digits",
    "mnist": "clrun.sources.mnist:Mnist",
    "fashion_mnist": "clrun.sources.mnist:FashionMnist",
    "cifar10": "clrun.sources.cifar:Cifar10",
    "cifar100": "clrun.sources.cifar:Cifar100",
    "cifar100_coarse": "clrun.sources.cifar:Cifar100Coarse",
    "tiny_imagenet": "clrun.sources.tiny_imagenet:TinyImagenet",
    "torchvision": "clrun.sources.torchvision_source:TorchvisionImages",
}
"""The short names of those that `benchmark.source` may call by one."""

OWN_SOURCES = {
    "folder": "clrun.sources.folder:Folder",
    "csv": "clrun.sources.csv_table:Csv",
    "npz": "clrun.sources.npz:NpzArrays",
}
"""The short names of those that read a user's own data, which may say their experiences too."""
