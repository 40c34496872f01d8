"""Say so when a job has been silent for long: a part may hang, and only people can tell that from slowness."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from zoo.run.job import Job
from zoo.run.plan import Plan

LIMIT = 600.0  # seconds without news of a job
# Which parts are at work after an event; after any other it is the network as a whole.
AT_WORK = {"job_launched": ("backbone", "head"), "stage_started": ("augmenter",), "step_ended": ("augmenter",)}


class StallWatch:
    """When each running job was last heard of, and with what."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._last: dict[str, tuple[Job, dict[str, Any], float]] = {}
        self._said: dict[str, float] = {}

    def on_event(self, job: Job, event: dict[str, Any]) -> None:
        """Take note of news."""
        self._said.pop(job.title, None)
        if event["event"] in ("process_ended", "job_skipped"):
            self._last.pop(job.title, None)
        else:
            self._last[job.title] = (job, event, time.monotonic())

    def overdue(self) -> Iterator[tuple[Job, str]]:
        """Each job that has been silent for so long, or for as long again, and what to say of it."""
        now = time.monotonic()
        for title, (job, event, heard) in self._last.items():
            if now - max(heard, self._said.get(title, 0.0)) > LIMIT:
                self._said[title] = now
                yield job, self._sentence(job, event, now - heard)

    def _sentence(self, job: Job, event: dict[str, Any], seconds: float) -> str:
        where = ", ".join(f"{key} {event[key]}" for key in ("stage", "epoch", "step") if key in event)
        last = event["event"].replace("_", " ") + (f" ({where})" if where else "")
        parts = " and ".join(
            f"{kind} {job.recipe[kind]['name']!r} (from {job.origins[kind]})"
            for kind in AT_WORK.get(event["event"], ())
        )
        hangs = f"{parts} may hang" if parts else "it may hang"
        return (
            f"no news for {seconds / 60:.0f} minutes; last: {last}; {hangs}, or be slow. Ctrl-C ends the run and "
            "keeps what is finished"
        )
