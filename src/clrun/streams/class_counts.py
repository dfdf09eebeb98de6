"""How many classes each experience brings: checked while the configuration is read, so no torch."""

from __future__ import annotations

from collections.abc import Sequence

from clrun.errors import did_you_mean

DRAWN = ("nic", "online", "blurry", "long_tailed", "repetition", "permuted")
"""The scenarios that follow the seed of the class order, even where that order is given."""


def class_counts(
    num_classes: int,
    n_experiences: int,
    first_experience_classes: int | None,
    classes_per_experience: Sequence[int] | None,
) -> tuple[int, ...]:
    """The number of new classes of each experience; they sum to `num_classes`.

    Raises:
        ValueError: the keys ask for something else than a partition of the classes.
    """
    if classes_per_experience is not None:
        _check_listed(num_classes, n_experiences, first_experience_classes, classes_per_experience)
        return tuple(classes_per_experience)
    if n_experiences > num_classes:
        raise ValueError(
            f"n_experiences={n_experiences}: more than the {num_classes} classes there are. "
            f"Use at most {num_classes}, or scenario=ni."
        )
    if first_experience_classes is not None:
        return _after_the_first(num_classes, n_experiences, first_experience_classes)
    if num_classes % n_experiences:
        raise ValueError(
            f"n_experiences={n_experiences}: does not divide {num_classes} classes. Use one of "
            f"{_listed(n for n in range(1, num_classes + 1) if num_classes % n == 0)}, or say "
            f"first_experience_classes or classes_per_experience."
        )
    return (num_classes // n_experiences,) * n_experiences


def num_sessions(
    num_classes: int,
    n_experiences: int,
    first_experience_classes: int | None,
    classes_per_experience: Sequence[int] | None,
) -> int:
    """Into how many sessions each class is cut (nic).

    The first experience has one session of each of `first_experience_classes` (None: 1) classes,
    every later one has one session of one class.

    Raises:
        ValueError: the keys ask for something else than equally many sessions of each class.
    """
    if classes_per_experience is not None:
        raise ValueError(
            f"classes_per_experience={typed(classes_per_experience)}: with scenario=nic every "
            f"experience after the first has one class. "
            f"Use classes_per_experience=null or scenario=nc."
        )
    first = first_experience_classes or 1
    if first > num_classes:
        raise ValueError(
            f"first_experience_classes={first}: more than the {num_classes} classes there are. "
            f"Use at most {num_classes}."
        )
    sessions, odd = divmod(n_experiences - 1 + first, num_classes)
    if odd:
        near = [num_classes * s + 1 - first for s in (sessions, sessions + 1) if s > 0]
        raise ValueError(
            f"n_experiences={n_experiences}: with scenario=nic and "
            f"first_experience_classes={first} the {num_classes} classes do not have equally many "
            f"sessions. "
            f"Use {' or '.join(str(n) for n in near)}, "
            f"or first_experience_classes={num_classes - (n_experiences - 1) % num_classes}."
        )
    return sessions


def numbered_order(
    class_order: str | Sequence[int | str], class_names: Sequence[str]
) -> str | list[int]:
    """An order whose classes may be given by name, by number.

    Whole numbers that are no numbers of classes are names, where classes have such.

    Raises:
        ValueError: a name is that of no class, or not each class is named once.
    """
    if isinstance(class_order, str):
        return class_order
    number = {name: k for k, name in enumerate(class_names)}
    names = [str(given) for given in class_order]
    numbers = [given for given in class_order if isinstance(given, int)]
    if len(numbers) == len(names) and (
        number.keys().isdisjoint(names) or set(numbers) <= set(number.values())
    ):
        return numbers
    for name in names:
        if name not in number:
            guess = did_you_mean(name, class_names)
            raise ValueError(
                f"class_order={typed(class_order)}: there is no class {name}.{guess} "
                f"The classes: {_some(class_names)}."
            )
    if sorted(names) != sorted(class_names):
        raise ValueError(_not_each_once(class_order, len(class_names)))
    return [number[name] for name in names]


def check_class_order(
    class_order: str | Sequence[int | str],
    class_order_seed: int | None,
    num_classes: int,
    scenario: str,
) -> None:
    """Raise ValueError if the order is not a permutation, or a seed is given that nothing reads."""
    if not isinstance(class_order, str):
        _check_listed_order(class_order, num_classes)
    if class_order_seed is not None and class_order != "shuffled" and scenario not in DRAWN:
        raise ValueError(
            f"class_order_seed={class_order_seed}: class_order=shuffled reads it, and so do the "
            f"scenarios {', '.join(DRAWN)}. Use one of them, or class_order_seed=null."
        )


def _check_listed_order(class_order: Sequence[int | str], num_classes: int) -> None:
    numbers = sorted(given for given in class_order if isinstance(given, int))
    if len(numbers) < len(class_order):  # by name: which there are is known later
        if len(set(class_order)) < len(class_order) or len(class_order) != num_classes:
            raise ValueError(_not_each_once(class_order, num_classes))
    elif numbers != list(range(num_classes)):
        raise ValueError(
            f"class_order={typed(class_order)}: must name each class from 0 to "
            f"{num_classes - 1} exactly once."
        )


def _not_each_once(class_order: Sequence[int | str], num_classes: int) -> str:
    return (
        f"class_order={typed(class_order)}: must name each of the {num_classes} classes exactly "
        "once."
    )


def check_every_class_everywhere(
    class_order: str | Sequence[int | str],
    first_experience_classes: int | None,
    classes_per_experience: Sequence[int] | None,
    scenario: str,
) -> None:
    """Raise ValueError for what means nothing where every experience has all classes."""
    reason = f"with scenario={scenario} every experience has all classes"
    if class_order != "fixed":
        order = class_order if isinstance(class_order, str) else typed(class_order)
        raise ValueError(f"class_order={order}: {reason}. Use class_order=fixed or scenario=nc.")
    if first_experience_classes is not None:
        raise ValueError(
            f"first_experience_classes={first_experience_classes}: {reason}. "
            f"Use first_experience_classes=null or scenario=nc."
        )
    if classes_per_experience is not None:
        raise ValueError(
            f"classes_per_experience={typed(classes_per_experience)}: {reason}. "
            f"Use classes_per_experience=null or scenario=nc."
        )


def _check_listed(
    num_classes: int, n_experiences: int, first: int | None, counts: Sequence[int]
) -> None:
    given = f"classes_per_experience={typed(counts)}"
    if first is not None:
        raise ValueError(
            f"{given}: first_experience_classes={first} is given too. Use one of the two."
        )
    if len(counts) != n_experiences:
        raise ValueError(
            f"{given}: has {len(counts)} entries for n_experiences={n_experiences}. "
            f"Give one count for each experience."
        )
    if sum(counts) != num_classes:
        raise ValueError(f"{given}: sums to {sum(counts)}, and must to the {num_classes} classes.")


def _after_the_first(num_classes: int, n_experiences: int, first: int) -> tuple[int, ...]:
    """`first` classes, and the others in equal parts."""
    others = n_experiences - 1
    fits = [num_classes] if others == 0 else list(range(num_classes - others, 0, -others))
    if first not in fits:
        raise ValueError(
            f"first_experience_classes={first}: does not leave the other {others} experiences an "
            f"equal number of the {num_classes} classes each. "
            f"Use one of {_listed(reversed(fits))}, or classes_per_experience."
        )
    return (first, *[(num_classes - first) // others for _ in range(others)])


def typed(values: Sequence[float | str]) -> str:
    """A list as it is typed on the command line."""
    words = (value if isinstance(value, str) else f"{value:g}" for value in values)
    return f"[{','.join(words)}]"


def _some(names: Sequence[str]) -> str:
    """Twenty of them, and how many more there are."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more


def _listed(values: object) -> str:
    return ", ".join(str(value) for value in values)  # type: ignore[attr-defined]
