"""What is measured, and the bars it is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

AR1 = {
    "kind": "ar1",
    "model": "mobilenet_v1",
    "lr": 0.001,
    "inc_lr": 5e-5,
    "momentum": 0.9,
    "l2": 0.0005,
    "mb": 128,
    "epochs": 4,
    "init_update_rate": 0.01,
    "inc_update_rate": 5e-5,
    "max_r_max": 1.25,
    "max_d_max": 0.5,
    "inc_step": 4.1e-5,
    "rm_sz": 300,
    "ewc_lambda": 0.0,
}
"""The reference's defaults."""
TRAINED_FROM_SCRATCH = {
    "mb": 64,
    "lr": 0.01,
    "inc_lr": 0.01,
    "init_update_rate": 0.3,
    "inc_update_rate": 0.05,
}
"""So that a network without ImageNet's weights learns something in 16 updates an experience: at the
defaults its running statistics stay those of a new network, and it names one class for all."""
REPLAY = {
    "kind": "replay",
    "model": "mlp",
    "lr": 0.01,
    "momentum": 0.9,
    "l2": 0.0,
    "mb": 128,
    "epochs": 1,
    "mem_size": 200,
    "storage_policy": "experience_balanced",
    "selection": "random",
}
"""128 rows, and 128 from the memory."""
MLP_SIDES = ("clrun", "raw", "products", "avalanche")
"""`products`: the matrix products alone."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What clrun has to reach: a value of its own, or in proportion to (`against`) another side.

    `difference` compares mean values instead of dividing in each repeat.
    """

    value: str
    limit: float
    against: str | None = None
    sense: Literal["at most", "at least"] = "at most"
    difference: bool = False


@dataclass(frozen=True, kw_only=True)
class Data:
    """The stream of a case. Images have `side` pixels a side."""

    experiences: int = 5
    train: int
    test: int
    side: int = 28
    channels: int = 1
    classes: int = 10
    classes_per_experience: int = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison. Every side is a fresh process."""

    name: str
    about: str
    settings: dict[str, Any]
    data: Data | None = None
    sides: tuple[str, ...] = ("clrun", "raw", "avalanche")
    bars: tuple[Bar, ...] = ()
    seeds: int = 1
    """repeat r has seed r % seeds"""
    tags: tuple[str, ...] = field(default=())
    """`long` ones take many minutes a repeat"""

    def as_json(self) -> dict[str, Any]:
        """What a side reads, but for seed, threads and files."""
        told = {"name": self.name, "mean": 0.286, "std": 0.353, **self.settings}
        return {**told, "data": asdict(self.data) if self.data else None}


def most(value: str, against: str | None, limit: float) -> Bar:
    return Bar(value=value, against=against, limit=limit)


def cases() -> list[Case]:
    """All of them."""
    return [*_ar1(), *_replay(), *_herding(), *_start_up(), *_long_streams(), *_parity()]


def _ar1() -> Iterator[Case]:
    shape = {"side": 128, "channels": 3}
    loop = most("train_cpu", "raw", 1.05)
    memory = most("peak_mb", "avalanche", 0.45)
    yield Case(
        name="ar1_3x120",
        about="AR1, MobileNetV1 at 128 px, 3 experiences of 120 images, rm_sz 300",
        settings=AR1,
        data=Data(experiences=3, train=120, test=40, **shape),
        bars=(most("total_cpu", "avalanche", 0.36), loop, memory),
    )
    yield Case(
        name="ar1_3x240",
        about="the same with 240 images, rm_sz 600",
        settings=AR1 | {"rm_sz": 600},
        data=Data(experiences=3, train=240, test=80, **shape),
        bars=(most("total_cpu", "avalanche", 0.31), loop, memory),
    )
    yield Case(
        name="ar1_5x240",
        about="5 experiences of 240 images, rm_sz 120, minibatches of 64",
        settings=AR1 | TRAINED_FROM_SCRATCH | {"rm_sz": 120},
        data=Data(train=240, test=60, **shape),
        sides=("clrun", "avalanche"),
        bars=(
            most("total_cpu", "avalanche", 0.36),
            memory,
            Bar(
                value="accuracy", against="avalanche", limit=0.05, sense="at least", difference=True
            ),
        ),
        seeds=3,
    )
    yield Case(
        name="ar1_5x240_rm600",
        about="as ar1_5x240 with a memory larger than an experience, filled before rows are "
        "replaced; raw_overwriting replaces rows from the second experience on, as Avalanche does",
        settings=AR1 | TRAINED_FROM_SCRATCH | {"rm_sz": 600},
        data=Data(train=240, test=60, **shape),
        sides=("clrun", "raw_overwriting", "avalanche"),
        bars=(
            most("total_cpu", "avalanche", 0.36),
            Bar(
                value="accuracy",
                against="raw_overwriting",
                limit=0.05,
                sense="at least",
                difference=True,
            ),
        ),
        seeds=3,
    )
    yield Case(
        name="ar1_si",
        about="as ar1_3x120 with ewc_lambda 0.8",
        settings=AR1 | {"ewc_lambda": 0.8},
        data=Data(experiences=3, train=120, test=40, **shape),
        bars=(most("total_cpu", "avalanche", 0.36), loop),
    )


def _replay() -> Iterator[Case]:
    near = Bar(
        value="accuracy", against="avalanche", limit=-0.015, sense="at least", difference=True
    )
    bars = (most("total_cpu", "avalanche", 0.14), most("train_cpu", "raw", 1.15), near)
    for policy in ("experience_balanced", "class_balanced", "reservoir"):
        yield Case(
            name=f"mlp_{policy}",
            about=f"replay, mlp, 5 experiences of 12,000 images, memory of 200, {policy}",
            settings=REPLAY | {"storage_policy": policy},
            data=Data(train=12_000, test=2000),
            sides=MLP_SIDES,
            bars=bars,
            seeds=3,
        )
    for selection, limit in (("random", 0.14), ("herding", 0.07), ("closest_to_center", 0.14)):
        yield Case(
            name=f"mlp_2000_{selection}",
            about=f"replay, mlp, 2,000 images an experience, class_balanced, {selection}",
            settings=REPLAY | {"storage_policy": "class_balanced", "selection": selection},
            data=Data(train=2000, test=2000),
            sides=MLP_SIDES,
            bars=(most("total_cpu", "avalanche", limit), most("train_cpu", "raw", 1.15), near),
            seeds=3,
        )
    yield Case(
        name="cnn",
        about="replay, cnn, 1,200 images an experience",
        settings=REPLAY | {"model": "cnn"},
        data=Data(train=1200, test=1200),
        bars=(most("total_cpu", "avalanche", 0.66), most("train_cpu", "raw", 1.15)),
    )
    yield from _replay_slim_resnet18()
    yield Case(
        name="evaluation_mlp",
        about="evaluation of 10,000 images after each of 5 experiences, mlp",
        settings=REPLAY,
        data=Data(train=256, test=2000),
        sides=("clrun", "raw"),
        bars=(most("eval_cpu", "raw", 1.15),),
    )


def _replay_slim_resnet18() -> Iterator[Case]:
    """With each policy, and each selection."""
    for name, policy, selection in (
        ("slim_resnet18", "experience_balanced", "random"),
        ("slim_resnet18_reservoir", "reservoir", "random"),
        ("slim_resnet18_class_balanced", "class_balanced", "random"),
        ("slim_resnet18_herding", "class_balanced", "herding"),
        ("slim_resnet18_closest_to_center", "class_balanced", "closest_to_center"),
    ):
        yield Case(
            name=name,
            about=f"replay, slim_resnet18, 300 images an experience, {policy}, {selection}",
            settings=REPLAY
            | {"model": "slim_resnet18", "storage_policy": policy, "selection": selection},
            data=Data(train=300, test=300),
            bars=(most("total_cpu", "avalanche", 0.77), most("train_cpu", "raw", 1.15)),
        )


def _herding() -> Iterator[Case]:
    for rows, least, picks in ((5000, 300, None), (20_000, 1000, 200)):
        how = "its whole sort" if picks is None else f"EXTRAPOLATED from its first {picks} picks"
        yield Case(
            name=f"herding_{rows}",
            about=f"herding, first 200 of {rows:,} x 512 features; Avalanche: {how}",
            settings={"kind": "herding", "rows": rows, "kept": 200, "picks": picks},
            sides=("clrun", "avalanche"),
            bars=(most("total_cpu", "avalanche", 1 / least),),
            tags=("long",) if picks is None else (),
        )


def _start_up() -> Iterator[Case]:
    yield Case(
        name="help",
        about="clrun --help against a bare Hydra app's; processes, bytecode compiled",
        settings={"kind": "help"},
        sides=("clrun_help", "hydra_help"),
        bars=(most("process_cpu", "hydra_help", 1.3),),
    )
    yield Case(
        name="first_step",
        about="CPU seconds of a process until the first update of the mlp, and of them after torch",
        settings={"kind": "first_step"},
        sides=("first_step",),
        bars=(most("first_step_cpu", None, 3.2), most("after_torch_cpu", None, 3.2)),
    )


def _long_streams() -> Iterator[Case]:
    tiny = {"experiences": 101, "side": 8, "test": 10, "classes_per_experience": 10}
    flat = (most("late_over_early", None, 1.05), most("resident_growth", None, 1.02))
    for policy in ("experience_balanced", "class_balanced", "reservoir"):
        yield Case(
            name=f"late_{policy}",
            about=f"update in experience 100 over experience 2, replay, mlp, {policy}",
            settings=REPLAY | {"storage_policy": policy, "watch_steps": True},
            data=Data(train=2560, **tiny),
            sides=("clrun",),
            bars=flat,
        )
    yield Case(
        name="late_ar1",
        about="the same of AR1, MobileNetV1 at 32 px, with a memory that is full",
        settings=AR1
        | {"rm_sz": 60, "mb": 20, "epochs": 1, "watch_steps": True}
        | {"words": ["strategy.eval_every=-1"]},
        data=Data(train=60, **{**tiny, "side": 32}, channels=3),
        sides=("clrun",),
        bars=flat,
    )
    for images in (600, 1500, 3000, 6000):
        yield Case(
            name=f"latent_memory_{images}",
            about=f"peak MB of a full memory of 1,500 latents of 512x8x8, {images:,} images each",
            settings={"kind": "latent_memory", "rows": images},
            sides=("latent_memory",),
            bars=(most("above_buffer_mb", None, 100),),
        )


def _parity() -> Iterator[Case]:
    yield Case(
        name="parity_ar1",
        about="AR1 and Avalanche's on the same rows in the same order, its labels put right",
        settings=AR1 | {"rm_sz": 240, "mb": 64, "seed": 0},
        data=Data(experiences=2, train=192, test=40, side=128, channels=3),
        sides=("parity",),
        bars=(most("logits_difference", None, 1e-5), most("losses_difference", None, 1e-3)),
    )
