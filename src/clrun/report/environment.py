"""The templates of pages. Jinja2 is imported when the first page is made, not before."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.console.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

HERE = Path(__file__).parent


@cache
def environment() -> Environment:
    """Templates in which everything that is not our own markup is escaped.

    Names of runs and classes are other people's text: what commands a terminal or turns the
    direction of writing is shown here too, as `visible` does.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from clrun.report import numbers

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "decimal": numbers.decimal,
        "signed": numbers.signed,
        "count": numbers.count,
        "seconds": numbers.seconds,
        "bytes": numbers.size,
        "short": numbers.short,
        "value": numbers.value,
    }
    return made


def fragment(template: str, **values: Any) -> Markup:
    """A part of a page, as markup."""
    from markupsafe import Markup

    return Markup(environment().get_template(template).render(**values).strip())


def own_markup(name: str) -> Markup:
    """A file of ours beside this one, as it stands: the style or the script."""
    from markupsafe import Markup

    return Markup((HERE / name).read_text(encoding="utf-8"))


def _shown(found: Any) -> Any:
    """Text as it may be shown; markup of ours stays."""
    if isinstance(found, str) and not hasattr(found, "__html__"):
        return visible(found)
    return "" if found is None else found
