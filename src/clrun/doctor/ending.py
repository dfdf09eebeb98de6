"""How a run ended, and what was left out on the way."""

from __future__ import annotations

from collections.abc import Iterator

from clrun.doctor.evidence import Evidence
from clrun.doctor.finding import Finding

WAYS_OUT = {
    "NonFiniteLoss": "Use a smaller strategy.lr. strategy.on_nan=skip leaves single updates out.",
    "NonFiniteLatents": "Use a smaller strategy.lr, or strategy.latent_dtype=float32.",
    "StorageError": "Free space or give the folder back, then: clrun resume {folder}",
    "OutOfMemoryError": "Lower strategy.train_mb_size, strategy.eval_mb_size or "
    "benchmark.image_size.",
    "DownloadError": "Try again: what was fetched is kept. benchmark.data_root names own files.",
}
"""kind of error in run.json -> what to do"""


def ended(run: Evidence) -> Iterator[Finding]:
    """The run did not come to its end."""
    count = len(run.learnt)
    done = "1 experience was learnt." if count == 1 else f"{count} experiences were learnt."
    if run.status == "died":
        yield Finding(
            f"The run's process died without a word (killed, or out of memory?); {done}",
            f"clrun resume {run.folder}",
        )
    elif run.status == "interrupted":
        yield Finding(f"{_sentence(run.record.get('error'))}", f"clrun resume {run.folder}")
    elif run.status == "failed":
        error = _sentence(run.record.get("error"))
        kind = error.partition(":")[0]
        way_out = WAYS_OUT.get(kind, f"The traceback is in {run.folder / 'clrun.log'}.")
        if kind == "NonFiniteLoss" and run.key("strategy.on_nan") == "skip":
            way_out = "Use a smaller strategy.lr, and look for images that are damaged."
        yield Finding(f"The run failed; {done} {error}", way_out.format(folder=run.folder))
    elif run.status not in ("completed", "running"):
        yield Finding("run.json is damaged: what became of the run is not known.", "Run it again.")


def skipped(run: Evidence) -> Iterator[Finding]:
    """Updates were left out because their loss was not finite (strategy.on_nan=skip)."""
    count = max((line.get("skipped_updates", 0) for line in run.of_kind("epoch")), default=0)
    if count:
        total = max(line["iteration"] for line in run.of_kind("epoch"))
        yield Finding(
            f"{count:,} of {total:,} updates were left out: their loss was NaN or infinite.",
            "Look for damaged images; else use a smaller strategy.lr.",
        )


def _sentence(error: object) -> str:
    return " ".join(str(error or "no reason is recorded.").split())
