"""Parts of a user: usual mistakes, and the one line that names what is wrong with each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import clrun
from clrun.cli.main import main
from clrun.errors import ConfigError
from clrun.runner.prepare import ready

USERS = """
from dataclasses import dataclass

import torch
from torch import nn

from clrun.streams.experience import Benchmark, Experience, Patterns, StreamShape
from clrun.streams.transforms import Transform


class Base(nn.Module):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        width: int

    def __init__(self, config, shape):
        super().__init__()
        inputs = shape.channels * shape.height * shape.width
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, config.width), nn.ReLU())
        self.spare = nn.Linear(3, 3)
        self.head = nn.Linear(config.width, shape.num_classes)

    def forward(self, x):
        return self.head(self.body(x))


class Pair(Base):
    def forward(self, x):
        return super().forward(x), self.body(x)


class Named(Base):
    def forward(self, x):
        return {"logits": super().forward(x)}


class Auxiliary(Base):
    def forward(self, x):
        return (super().forward(x), x) if self.training else super().forward(x)


class Few(Base):
    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.head = nn.Linear(config.width, 4)


class Many(Base):
    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.head = nn.Linear(config.width, 100)


class Mean(Base):
    def forward(self, x):
        return super().forward(x).mean(0, keepdim=True)


class Classes(Base):
    def forward(self, x):
        return super().forward(x).round().long()


class Detached(Base):
    def forward(self, x):
        return super().forward(x).detach()


class Larger(Base):
    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, config.width))


class Unequal(Base):
    def __init__(self, config, shape):
        self.head = nn.Linear(4, 4)


class Frozen(Base):
    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.requires_grad_(False)


class NoModule:
    Config = Base.Config

    def __init__(self, config, shape):
        pass


class Stream:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        slip: str

    def __init__(self, config):
        self.slip = config.slip

    def shape(self):
        if self.slip == "tuple_shape":
            return (1, 4, 4)
        size = 4.0 if self.slip == "float_size" else 4
        return StreamShape(channels=1, height=size, width=4, num_classes=6, num_experiences=3)

    def check(self):
        if self.slip == "failing_check":
            raise FileNotFoundError(2, "No such file", "images.bin")

    def load(self, seed, on_progress=None):
        slip = self.slip
        if slip == "failing_load":
            {}["images"]
        if slip == "nothing":
            return None
        rng = torch.Generator().manual_seed(0)
        steps = []
        for k in range(2 if slip == "too_few" else 3):
            classes = (2 * k, 2 * k + 1)
            y = torch.tensor(classes * 6)
            x = torch.randint(256, (len(y), 1, 4, 4), generator=rng).to(torch.uint8)
            if slip == "float_x":
                x = x / 255
            if slip == "int32_y":
                y = y.int()
            if slip == "column_y":
                y = y[:, None]
            if slip == "no_channel":
                x = x[:, 0]
            if slip == "other_size":
                x = x[:, :, :3]
            if slip == "big_labels":
                y = y + 10
            if slip == "negative_labels":
                y = y - 1
            if slip == "numpy":
                x, y = x.numpy(), y.numpy()
            if slip == "lists":
                y = y.tolist()
            if slip == "empty" and k == 1:
                x, y = x[:0], y[:0]
            if slip == "unequal":
                y = y[:-1]
            pair = (x, y) if slip == "plain_pairs" else Patterns(x, y)
            if slip == "classes":
                classes = (0,)
            index = k + 1 if slip == "index_from_one" else k
            steps.append(Experience(
                index=index, classes=classes, task_label=0, train=pair, test=pair
            ))
        if slip == "pairs_as_steps":
            steps = [(step.train, step.test) for step in steps]
        names = tuple("01234") if slip == "names" else tuple("012345")
        means = (0.3,) * (3 if slip == "three_means" else 1)
        return Benchmark(name="mine", shape=self.shape(), class_names=names, experiences=steps,
                         transform=Transform(means, means, "none"))


class NoLoad:
    Config = Stream.Config
    shape = Stream.shape

    def __init__(self, config):
        self.slip = "none"


class HalfSource:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        pass

    def __init__(self, config):
        self.name, self.channels, self.height, self.width = "half", 1, 4, 4


class Empty:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        pass

    def __init__(self, config):
        pass


class HalfPlugin(Empty):
    def penalty(self, update):
        return None


class WantsMore(Empty):
    def __init__(self, config, model):
        pass

    def keep(self, held, new, mem_size, order):
        return torch.arange(0)


class TakesLess(Empty):
    def keep(self, held, new):
        return torch.arange(0)


class Nearly(Empty):
    def __init__(self, config, parts):
        self.parts = parts

    def learn(self, experience, start):
        yield from ()


class Stingy(Nearly):
    def learn(self, experience):
        yield from ()

    def predict(self, x):
        return torch.zeros(len(x), self.parts.num_classes)


class Failing(Nearly):
    def __init__(self, config, parts):
        parts.model.requires_grad_(False)  # of a copy, or no other strategy could learn
        self.trunk = parts.model.trunk

    predict = Stingy.predict


class Blank(Failing):
    def __init__(self, config, parts):
        self.parts = parts
        assert all(parameter.requires_grad for parameter in parts.model.parameters())
        parts.model.requires_grad_(False)


class Picky:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        share: float

        def conflicts(self, known):
            lr = known.value("strategy.lr")
            if known.experiences and known.experiences > 4:
                yield f"plugin picky: {known.experiences} experiences. Use at most 4."
            elif lr and lr > 1:
                yield f"strategy.lr={lr}: too much for the plugin picky. Use at most 1."

    def __init__(self, config):
        self.config = config

    def before_experience(self, model, experience_index):
        pass

    def penalty(self, update):
        return None

    def before_update(self, update):
        pass

    def after_update(self, update):
        pass

    def after_experience(self, learnt):
        pass

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class PickyToo(Picky):
    def before_experience(self, model):
        pass
"""
MODELS = (
    *("Base", "Pair", "Named", "Auxiliary", "Few", "Many", "Mean", "Classes", "Detached"),
    *("Larger", "Unequal", "Frozen", "NoModule"),
)


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration folder with a user's parts, whose module can be imported."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "users_parts.py").write_text(USERS)
    options = {f"model/{name.lower()}": f"users_parts:{name}\nwidth: 8" for name in MODELS}
    options |= {
        "benchmark/mine": "users_parts:Stream\nslip: none",
        "benchmark/noload": "users_parts:NoLoad\nslip: none",
        "storage_policy/empty": "users_parts:Empty",
        "storage_policy/wants_more": "users_parts:WantsMore",
        "storage_policy/takes_less": "users_parts:TakesLess",
        "strategy/stingy": "users_parts:Stingy",
        "strategy/failing": "users_parts:Failing",
        "strategy/nearly": "users_parts:Nearly",
        "selection/empty": "users_parts:Empty",
        "strategy/blank": "users_parts:Blank",
        "plugin/half": "users_parts:HalfPlugin",
        "plugin/picky": "users_parts:Picky\nshare: 0.5",
        "plugin/picky_too": "users_parts:PickyToo\nshare: 0.5",
    }
    for place, target in options.items():
        path = folder / "conf" / f"{place}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# A user's.\ntarget: {target}\n")
    split = "defaults: [_split, _self_]\nsource: users_parts:HalfSource\nn_experiences: 1\n"
    (folder / "conf" / "benchmark" / "half.yaml").write_text(f"# A user's.\n{split}")
    sys.path.insert(0, str(folder))
    yield folder / "conf"
    sys.path.remove(str(folder))


@pytest.fixture
def refusal(conf: Path) -> Callable[[str], str]:
    """Words -> the one line that refuses them before a run has a folder."""

    def refuse(words: str) -> str:
        config = clrun.compose(["device=cpu", *words.split()], config_dirs=[conf], trust=True)
        with pytest.raises(ConfigError) as refused:
            ready(config)
        (line,) = str(refused.value).splitlines()
        return line

    return refuse


MISTAKES = {
    # models
    "model=pair": "model=pair: gives a tuple ([2, 10], [2, 8]) for two images. "
    "It must give logits [2, 10].",
    "model=named": "model=named: gives a dict (logits: [2, 10]) for two images. "
    "It must give logits [2, 10].",
    "model=auxiliary": "model=auxiliary: gives a tuple ([2, 10], [2, 1, 8, 8]) for two images in "
    "training mode. It must give logits [2, 10].",
    "model=few": "model=few: gives [2, 4] for two images. It must give logits [2, 10].",
    "model=many": "model=many: gives [2, 100] for two images. It must give logits [2, 10].",
    "model=mean": "model=mean: gives [1, 10] for two images. It must give logits [2, 10].",
    "model=classes": "model=classes: gives int64. It must give logits, float32.",
    "model=detached": "model=detached: its logits have no gradient, though it has parameters",
    "model=larger": "model=larger: fails on images [2, 1, 8, 8]: RuntimeError: ",
    "model=unequal": "model=unequal: users_parts:Unequal(...) fails: AttributeError: cannot assign "
    "module before Module.__init__() call (users_parts.py, line ",
    "model=frozen": "model=frozen: no parameter of it requires a gradient, and strategy=replay",
    "model=frozen strategy=naive": "model=frozen: no parameter of it requires a gradient, and "
    "strategy=naive learns by gradients.",
    "model=nomodule": "model=nomodule: is a NoModule. It must be a torch.nn.Module.",
    # benchmarks: sizes
    "benchmark=mine benchmark.slip=tuple_shape": "benchmark=mine: shape() gives a tuple. It must "
    "give a clrun.streams.experience.StreamShape.",
    "benchmark=mine benchmark.slip=float_size": "benchmark=mine: shape() has height=4.0. It must",
    "benchmark=mine benchmark.slip=failing_check": "benchmark=mine: users_parts:Stream.check() "
    "fails: FileNotFoundError: [Errno 2] No such file: 'images.bin' (users_parts.py, line ",
    "benchmark=noload": "benchmark=noload: users_parts:NoLoad has no check and no load. "
    "It must have check, load, shape: see clrun.streams.experience.BenchmarkSource.",
    "benchmark=half": "benchmark.source=users_parts:HalfSource: users_parts:HalfSource has no "
    "check and no class_names and no load and no mean and no std. It must have channels, check,",
    # benchmarks: what is loaded
    "benchmark=mine benchmark.slip=failing_load": "benchmark=mine: users_parts:Stream.load(...) "
    "fails: KeyError: 'images' (users_parts.py, line ",
    "benchmark=mine benchmark.slip=nothing": "benchmark=mine: load gives a NoneType. It must give "
    "a clrun.streams.experience.Benchmark.",
    "benchmark=mine benchmark.slip=float_x": "benchmark=mine: experiences[0].train.x is float32 "
    "[12, 1, 4, 4]. It must be a tensor, uint8 [N, 1, 4, 4].",
    "benchmark=mine benchmark.slip=int32_y": "benchmark=mine: experiences[0].train.y is int32 "
    "[12]. It must be a tensor on the CPU, int64 [N].",
    "benchmark=mine benchmark.slip=column_y": "benchmark=mine: experiences[0].train.y is int64 "
    "[12, 1]. It must be a tensor on the CPU, int64 [N].",
    "benchmark=mine benchmark.slip=no_channel": "benchmark=mine: experiences[0].train.x is uint8 "
    "[12, 4, 4]. It must be a tensor, uint8 [N, 1, 4, 4].",
    "benchmark=mine benchmark.slip=other_size": "benchmark=mine: experiences[0].train.x is uint8 "
    "[12, 1, 3, 4]. It must be a tensor, uint8 [N, 1, 4, 4].",
    "benchmark=mine benchmark.slip=big_labels": "benchmark=mine: experiences[0].train.y has labels "
    "10 to 11. They must be 0 to 5.",
    "benchmark=mine benchmark.slip=negative_labels": "benchmark=mine: experiences[0].train.y has "
    "labels -1 to 0. They must be 0 to 5.",
    "benchmark=mine benchmark.slip=numpy": "benchmark=mine: experiences[0].train.x is a "
    "numpy.ndarray. It must be a tensor, uint8 [N, 1, 4, 4].",
    "benchmark=mine benchmark.slip=lists": "benchmark=mine: experiences[0].train.y is a "
    "builtins.list. It must be a tensor on the CPU, int64 [N].",
    "benchmark=mine benchmark.slip=empty": "benchmark=mine: experiences[1].train has no rows.",
    "benchmark=mine benchmark.slip=unequal": "benchmark=mine: experiences[0].train.y has 11 labels "
    "for 12 images. Give one each.",
    "benchmark=mine benchmark.slip=plain_pairs": "benchmark=mine: experiences[0].train is a tuple.",
    "benchmark=mine benchmark.slip=pairs_as_steps": "benchmark=mine: experiences[0] is a tuple.",
    "benchmark=mine benchmark.slip=index_from_one": "benchmark=mine: experiences[0].index is 1.",
    "benchmark=mine benchmark.slip=classes": "benchmark=mine: experiences[0].classes is [0], and "
    "train.y has the classes [0, 1].",
    "benchmark=mine benchmark.slip=too_few": "benchmark=mine: experiences has 2 entries. It must "
    "have 3 (num_experiences).",
    "benchmark=mine benchmark.slip=names": "benchmark=mine: class_names has 5 names. It must have",
    "benchmark=mine benchmark.slip=three_means": "benchmark=mine: transform.mean has 3 entries.",
    # strategies
    "strategy=failing": "strategy=failing: users_parts:Failing(...) fails: AttributeError: 'MLP' "
    "object has no attribute 'trunk' (users_parts.py, line ",
    "strategy=stingy": "strategy.target=users_parts:Stingy: learn(self, experience) must take "
    "(self, experience, start): see clrun.strategies.strategy.Strategy.",
    "strategy=nearly": "strategy.target=users_parts:Nearly: the class has no predict",
    # what a memory and a learner are given
    "storage_policy=takes_less": "storage_policy.target=users_parts:TakesLess: keep(self, held, "
    "new) must take (self, held, new, mem_size, order): see clrun.memory.storage_policy.",
    "storage_policy=empty": "storage_policy.target=users_parts:Empty: the class has no keep",
    "storage_policy=wants_more": "storage_policy=wants_more: users_parts:WantsMore(...) fails: "
    "TypeError: ",
    "selection=empty storage_policy=class_balanced": "selection.target=users_parts:Empty: the "
    "class has no make_sorted_indices",
    "strategy.plugins=[{name:picky_too}] benchmark.n_experiences=2": "strategy.plugins: picky_too: "
    "before_experience(self, model) must take (self, model, experience_index): see clrun.",
    "strategy.plugins=[{name:half}]": "strategy.plugins: half: users_parts:HalfPlugin has no "
    "after_experience and no after_update and no before_experience and no before_update and no "
    "load_state_dict and no state_dict. It must have after_experience,",
}


@pytest.mark.parametrize(("words", "line"), MISTAKES.items(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_that_names_what_must_be(words: str, line: str, refusal) -> None:
    assert refusal(words).startswith(line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("strategy.lr=2", "benchmark.n_experiences=2"),
            "strategy.lr=2.0: too much for the plugin",
        ),
        (("benchmark.n_experiences=5",), "plugin picky: 5 experiences. Use at most 4."),
    ],
)
def test_a_plugin_says_what_it_cannot_be_combined_with(words, line: str, conf: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        clrun.compose(["strategy.plugins=[{name:picky}]", *words], config_dirs=[conf], trust=True)

    assert str(refused.value).startswith(line)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("class Mine(\n", "model.target={name}:Mine: SyntaxError: '(' was never closed ({name}.py"),
        ("class Mine:\n    class Config:\n      x = y\n", "model.target={name}:Mine: NameError: "),
    ],
)
def test_a_module_that_cannot_be_read_is_one_line(
    source: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"unreadable{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text(f"# Mine.\ntarget: {name}:Mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigError) as refused:
        clrun.compose(["model=mine"], config_dirs=[tmp_path / "conf"], trust=True)

    assert str(refused.value).startswith(line.format(name=name))


@pytest.mark.parametrize(
    "words",
    [
        "model=base strategy.train_epochs=1",
        "benchmark=mine strategy.train_epochs=1",
        "benchmark=mine model=base strategy=naive strategy.train_epochs=1",
        "strategy=blank",
        "strategy.train_epochs=1 strategy.plugins=[{name:picky}] benchmark.n_experiences=2",
    ],
)
def test_right_parts_of_a_user_run(words: str, conf: Path, tmp_path: Path) -> None:
    config = clrun.compose(["device=cpu", *words.split()], config_dirs=[conf], trust=True)

    results = clrun.run(config, tmp_path / "run")

    assert results.metrics["acc_final"] is not None
    assert results.folder == tmp_path / "run"


@pytest.mark.parametrize(
    "words",
    [
        ("model=pair",),
        ("benchmark=mine", "benchmark.slip=numpy"),
        ("strategy.plugins=[{name: half}]",),
        ("preview", "benchmark=mine", "benchmark.slip=numpy"),
    ],
)
def test_nothing_is_written_for_a_mistake(words, conf: Path, workplace: Path, capsys) -> None:
    code = main([*words, "--config-dir", str(conf), "--trust"])

    assert code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(workplace.iterdir()) == []
