"""`clrun doctor`: what went wrong in a run, which needs no torch; or whether clrun is well."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.cli.parser import OneLineParser
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from clrun.doctor.checks import Checked
    from clrun.doctor.evidence import Evidence
    from clrun.doctor.installation import Fact


def main(argv: Sequence[str]) -> int:
    """Look at a run, or at the installation, and say what is not as it should be."""
    parser = OneLineParser(
        prog="clrun doctor",
        usage="clrun doctor [RUN] [--json]",
        description="With the folder of a run: what went wrong in it, and what to do. Without: "
        "versions, devices, caches and folders. What is found changes no exit code.",
        allow_abbrev=False,
    )
    parser.add_argument("run", nargs="?", help="the folder of a run, e.g. outputs/latest")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    if arguments.run is None:
        return _installation(as_json=arguments.json)
    if not arguments.run:
        raise ConfigError("doctor: the run's folder has no name. Leave it out, or name one.")
    return _run(Path(arguments.run), as_json=arguments.json)


def _run(folder: Path, *, as_json: bool) -> int:
    from clrun.doctor.checks import checked
    from clrun.doctor.evidence import evidence

    run = evidence(folder)
    found = checked(run)
    if as_json:
        _print_json(
            {
                "folder": str(folder),
                "status": run.status,
                "findings": [
                    {"check": check.check, **asdict(finding)}
                    for check in found
                    for finding in check.findings
                ],
                "checks": [check.check for check in found],
            }
        )
    else:
        _show_run(run, found)
    return 0


def _show_run(run: Evidence, found: Sequence[Checked]) -> None:
    from clrun.console.diagnosis import print_findings, print_quiet
    from clrun.console.display import make_console

    console = make_console()
    print_quiet(console, f"{run.record.get('label', run.folder.name)}: {run.status}", "bold")
    bad = [(check.check, finding) for check in found for finding in check.findings]
    print_findings(console, [(name, finding.seen, finding.advice) for name, finding in bad])
    fine = [check.check for check in found if not check.findings]
    if not bad:
        print_quiet(console, f"Nothing was found. What was looked at: {', '.join(fine)}.")
        return
    said = f"{len(found) - len(fine)} of {len(found)} checks found something."
    print_quiet(console, f"{said} The others found nothing: {', '.join(fine)}." if fine else said)


def _installation(*, as_json: bool) -> int:
    from clrun.doctor.installation import facts

    start, found = time.monotonic(), []
    for fact in facts():
        found.append(fact)
    seconds = time.monotonic() - start
    if as_json:
        _print_json({"facts": [asdict(fact) for fact in found], "seconds": round(seconds, 3)})
    else:
        _show_installation(found, seconds)
    return 0


def _show_installation(found: Sequence[Fact], seconds: float) -> None:
    from clrun.console.diagnosis import print_facts, print_findings, print_quiet
    from clrun.console.display import make_console

    console = make_console()
    print_facts(console, [(fact.name, fact.value) for fact in found])
    bad = [(fact.name, fact.finding) for fact in found if fact.finding is not None]
    print_findings(console, [(name, finding.seen, finding.advice) for name, finding in bad])
    said = "Nothing is wrong." if not bad else f"{len(bad)} of {len(found)} things are wrong."
    print_quiet(console, f"{said} Looked at in {seconds:.1f} s.")


def _print_json(content: object) -> None:
    print(json.dumps(content, indent=2, allow_nan=False))
