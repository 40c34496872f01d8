"""Trackers hear of everything, and whatever they do the run is what it would have been."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.conftest import TINY_PLUGIN, Install, Main, Zoo
from tests.tracked import finish, follow, planned
from zoo.errors import ConfigError, PluginError
from zoo.files import read_csv
from zoo.plugins.discovery import discover
from zoo.report.comparison_progress import ComparisonProgress
from zoo.run import scheduler, trackers
from zoo.run.job import Job
from zoo.run.local_executor import LocalExecutor

DOCS = (Path(__file__).parents[2] / "docs/tracking.md").read_text(encoding="utf-8")
# Writes down all that it is told.
RECORDER = """
import json, os, zoo

def note(hook, **told):
    with open(os.environ["RECORD"], "a") as file:
        file.write(json.dumps([hook, told]) + "\\n")

@zoo.hookimpl
def zoo_run_started(run):
    note("run_started", run=run)

@zoo.hookimpl
def zoo_epoch_ended(epoch, job):
    note("epoch_ended", job=job, epoch=epoch)

@zoo.hookimpl
def zoo_job_ended(job, result):
    note("job_ended", job=job, result=result)

@zoo.hookimpl
def zoo_run_ended(run, result):
    note("run_ended", run=run, result=result)
"""
IN_EACH_HOOK = """
import os, sys, zoo

@zoo.hookimpl
def zoo_run_started():
    {0}

@zoo.hookimpl
def zoo_epoch_ended():
    {0}

@zoo.hookimpl
def zoo_job_ended():
    {0}

@zoo.hookimpl
def zoo_run_ended():
    {0}
"""
# What a tracker does in each of its hooks, and what is said of it, in whole.
FAULTS = {
    "lacks": ("import a_package_that_nobody_has", ["fails in zoo_run_started: ModuleNotFoundError: No module named"]),
    "raises": (
        "raise ValueError(f'none in\\n{sys._getframe().f_code.co_name}')",
        [
            f"fails in zoo_{hook}: ValueError: none in zoo_{hook};"
            for hook in ("run_started", "epoch_ended", "job_ended", "run_ended")
        ],
    ),
    "exits": ("sys.exit(chr(0xdcff))", ["fails in zoo_run_started: SystemExit: �;"]),
    "ends": ("os._exit(3)", ["ended with status 3, and is told nothing more;"]),
    "crashes": ("os.abort()", ["was killed by SIGABRT, and is told nothing more;"]),
    "hangs": ("import time; time.sleep(1000)", ["has not finished after 5 s, and is given up;"]),
    "closes": ("os.closerange(0, 100)", ["ended with status "]),
    "babbles": ("print('babble'); os.write(1, b'babble'); sys.stdin.read(); return {}, object()", []),
}


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    """What the recorder was told since the last call: (hook, arguments)."""
    file = tmp_path / "record"
    monkeypatch.setenv("RECORD", str(file))

    def read() -> list[Any]:
        told = [json.loads(line) for line in file.read_text().splitlines()]
        file.unlink()
        return told

    return read


def names(told: list[Any]) -> list[str]:
    return [hook for hook, _ in told]


def test_no_tracker_harms_a_run(
    zoo: Zoo, install: Install, folds: Path, tmp_path: Path, record: Callable[[], list[Any]]
) -> None:
    install(TINY_PLUGIN)
    install(RECORDER, "zoo-recorder", "recorder")
    for name, (code, _) in FAULTS.items():
        install(IN_EACH_HOOK.format(code), f"zoo-{name}", name)
    command = ["run", "tiny", "--data", folds, "--image-size", 32]
    without = zoo(*command, "--out", tmp_path / "without")
    asked = [word for name in (*FAULTS, "recorder") for word in ("--tracker", name)]
    done = zoo(*command, "--out", tmp_path / "run", *asked, ZOO_PLUGIN_TIMEOUT="5")
    assert (done.returncode, done.stderr) == (without.returncode, without.stderr) == (0, "")
    assert not (tmp_path / "without/trackers").exists()

    # Everything that was said of each, and no more.
    lines = [line.strip() for line in done.stdout.splitlines() if "tracker" in line]
    for name, (_, says) in FAULTS.items():
        said = [line for line in lines if f"tracker '{name}'" in line]
        assert len(said) == len(says), done.stdout
        for line, part in zip(said, says, strict=True):
            assert line.startswith(f"warning: tracker '{name}' (from zoo-{name} 1.0) {part}")
            assert line.endswith(f"see {tmp_path}/run/trackers/{name}.log")
    assert not [line for line in lines if "recorder" in line]
    assert "in zoo_job_ended" in (tmp_path / "run/trackers/raises.log").read_text()
    assert "babble" in (tmp_path / "run/trackers/babbles.log").read_text()
    assert "babble" not in done.stdout

    # The numbers are those of a run without.
    for file in ("results.csv", "splits.csv", "tiny/fold-0/predictions.csv", "tiny/fold-0/metrics.json"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "without" / file).read_bytes(), file

    # And the one that is sound has heard of all of it.
    told = record()
    history = read_csv(tmp_path / "run/tiny/fold-0/history.csv")
    assert names(told) == ["run_started", *["epoch_ended"] * len(history), "job_ended", "run_ended"]
    run = told[0][1]["run"]
    assert run == told[-1][1]["run"]
    assert (run["path"], run["name"], run["resumed"]) == (str(tmp_path / "run"), "run", False)
    assert (run["models"], run["folds"], run["repeats"]) == (["tiny"], [0], 1)
    written = json.loads((tmp_path / "run/run.json").read_text())
    assert {key: run[key] for key in ("started", "recipes", "data", "versions")} == {
        key: written[key] for key in ("started", "recipes", "data", "versions")
    }
    assert run["request"]["trackers"] == [*FAULTS, "recorder"]
    job = {
        "model": "tiny",
        "fold": 0,
        "repeat": 0,
        "title": "tiny, fold 0",
        "folder": f"{tmp_path}/run/tiny/fold-0",
        "seed": 0,
    }
    assert run["jobs"] == [job]
    epochs = [arguments["epoch"] for _, arguments in told[1:-2]]
    assert [{column: epoch[column] for column in history} for epoch in epochs] == history.to_dict("records")
    assert [epoch["number"] for epoch in epochs] == list(range(1, len(history) + 1))
    assert {epoch["epochs"] for epoch in epochs} == {3}
    best = [epoch["val_loss"] for epoch in epochs if epoch["best"]]
    assert best == sorted(set(history["val_loss"].cummin()), reverse=True)
    metrics = json.loads((tmp_path / "run/tiny/fold-0/metrics.json").read_text())
    assert told[-2][1] == {
        "job": job,
        "result": {"state": "done", "metrics": metrics, "weights": "random", "error": None},
    }
    result = told[-1][1]["result"]
    assert (result["state"], result["done"], result["failed"]) == ("done", ["tiny, fold 0"], [])
    assert result["results"] == read_csv(tmp_path / "run/results.csv").to_dict("records")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Install) -> Install:
    """`install`, for processes that this one starts as well; with the recorder and the tiny model in it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    install(TINY_PLUGIN)
    install(RECORDER, "zoo-recorder", "recorder")
    return install


def replace_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Workers, and no other processes, run this instead."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *zoo.run.worker*) {code};; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def test_jobs_that_fail_or_were_done_before(
    site: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[], list[Any]]
) -> None:
    replace_worker(monkeypatch, tmp_path, "exit 3")
    with planned(folds, tmp_path / "run") as first:
        metrics = finish(first.jobs[0])
    with planned(folds, tmp_path / "run", "recorder", "recorder") as second:
        heard: list[tuple[str, Any]] = []
        failed = scheduler.execute(second, lambda job, event: heard.append((job.title, event)), LocalExecutor())
    assert [job.title for job in failed] == ["tiny, fold 1"]
    assert [event["event"] for _, event in heard] == ["job_skipped", "job_launched", "job_failed"]
    told = record()
    assert names(told) == ["run_started", "job_ended", "job_ended", "run_ended"]
    assert told[0][1]["run"]["resumed"]
    skipped, ended = (arguments["result"] for _, arguments in told[1:3])
    assert skipped == {"state": "skipped", "metrics": metrics, "weights": "random", "error": None}
    assert ended == {
        "state": "failed",
        "metrics": None,
        "weights": None,
        "error": "the worker process ended with status 3; with backbone 'tiny' (from zoo-tiny 1.0), "
        "schedule 'two-stage' (from zoo-tiny 1.0)",
    }
    result = told[-1][1]["result"]
    assert (result["state"], result["done"], result["failed"]) == ("failed", ["tiny, fold 0"], ["tiny, fold 1"])
    assert [(row["fold"], row["loss_test"], row["auc_test"]) for row in result["results"]] == [(0, 0.25, None)]


def test_ctrl_c_is_told(
    site: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[], list[Any]]
) -> None:
    replace_worker(monkeypatch, tmp_path, """echo '{"event": "scoring"}'; exec sleep 1000""")
    site(IN_EACH_HOOK.format("import time; time.sleep(1000)"), "zoo-hangs", "hangs")
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "1")

    def listen(job: Job, event: dict[str, Any]) -> None:
        if event["event"] == "scoring":
            raise KeyboardInterrupt

    with planned(folds, tmp_path / "run", "hangs", "recorder") as interrupted, pytest.raises(KeyboardInterrupt):
        scheduler.execute(interrupted, listen, LocalExecutor())
    told = record()
    assert names(told) == ["run_started", "job_ended", "run_ended"]
    assert told[1][1]["job"]["title"] == "tiny, fold 0"
    assert (told[1][1]["result"]["state"], told[1][1]["result"]["metrics"]) == ("interrupted", None)
    result = told[2][1]["result"]
    assert (result["state"], result["done"], result["failed"]) == ("interrupted", [], [])
    assert trackers_of(tmp_path / "run") == []


def trackers_of(run: Path) -> list[str]:
    """Trackers that have a log of this run open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments, log = (process / "cmdline").read_text(), (process / "fd/2").readlink()
        except OSError:
            continue
        if "zoo.run.tracker_process" in arguments and log.is_relative_to(run):
            found.append(log.name)
    return found


def test_the_tracker_in_the_docs(site: Install, folds: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    site(code, "zoo-epochs", "epochs")
    with planned(folds, tmp_path / "run", "epochs") as going:
        assert follow(going, 2) == []
    lines = (tmp_path / "run/epochs.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"job": "tiny, fold 0", "loss": 2.0, "at": 1},
        {"job": "tiny, fold 0", "loss": 1.0, "at": 2},
    ]
    assert (tmp_path / "run/trackers/epochs.log").read_text() == "done []\n"


@pytest.mark.slow
def test_the_commands_in_the_docs(zoo: Zoo) -> None:
    """Those of zoo, in order; tests/shipped/test_tracking_servers.py starts the servers."""
    commands = re.findall(r"^zoo (.*)", DOCS, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        done = zoo(*shlex.split(command), ZOO_PLUGIN_TIMEOUT="120")
        assert (done.returncode, done.stderr) == (0, "")
        assert "warning: tracker" not in done.stdout


def test_a_slow_tracker_is_waited_for_as_long_as_it_gets_on(
    site: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[], list[Any]]
) -> None:
    """It takes longer than the limit in all, and each of its hooks less."""
    site(
        RECORDER.replace("def note(hook, **told):", "def note(hook, **told):\n    import time; time.sleep(0.5)"),
        "zoo-slow",
        "slow",
    )
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "2")
    with planned(folds, tmp_path / "run", "slow") as going:
        assert follow(going, 4) == []
    assert names(record()) == ["run_started", *["epoch_ended"] * 4, "job_ended", "run_ended"]


def test_a_tracker_that_would_fill_the_disk_is_given_up(
    site: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood = "import time\n    for _ in range(10_000): print('x' * 100_000, flush=True), time.sleep(0.01)"
    site(IN_EACH_HOOK.format(flood), "zoo-floods", "floods")
    monkeypatch.setattr(trackers, "LOG", 1_000_000)
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "60")
    with planned(folds, tmp_path / "run", "floods") as going:
        [told] = follow(going, 2)
    log = going.run.tracker_log("floods")
    assert told == f"tracker 'floods' (from zoo-floods 1.0) has printed more than 1 MB, and is given up; see {log}"
    assert 1_000_000 < log.stat().st_size < 100_000_000


def told_by_a_parent_that_dies(name: str) -> subprocess.CompletedProcess[str]:
    """A tracker whose standard input ends, in the midst of a line."""
    messages = [
        {"name": name, "distribution": f"zoo-{name}", "run": {"path": "there"}},
        {"hook": "zoo_run_started"},
        {"hook": "zoo_run_ended", "result": {}},
    ]
    return subprocess.run(
        [sys.executable, "-P", "-m", "zoo.run.tracker_process"],
        capture_output=True,
        text=True,
        timeout=60,
        input="".join(json.dumps(message) + "\n" for message in messages) + '{"hook": "zoo_run_',
    )


def test_it_ends_with_its_parent(
    site: Install, monkeypatch: pytest.MonkeyPatch, record: Callable[[], list[Any]]
) -> None:
    """What was told before is still heard; a hook that hangs is cut off then."""
    expected = [["run_started", {"run": {"path": "there"}}], ["run_ended", {"run": {"path": "there"}, "result": {}}]]
    done = told_by_a_parent_that_dies("recorder")
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"error": null}\n' * 2, "")
    assert record() == expected
    site(RECORDER + "    import time; time.sleep(1000)\n", "zoo-hangs", "hangs")
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "1")
    done = told_by_a_parent_that_dies("hangs")
    assert (done.returncode, done.stdout) == (1, '{"error": null}\n')
    assert "Timeout" in done.stderr
    assert "in zoo_run_ended" in done.stderr
    assert record() == expected


def test_only_the_tracker_itself_is_loaded(
    site: Install, folds: Path, tmp_path: Path, record: Callable[[], list[Any]]
) -> None:
    """Not the plug-in of another distribution whose entry point has the same name, nor any other."""
    loaded = "import os\nwith open(os.environ['RECORD'] + '.loaded', 'a') as file: file.write(__name__ + chr(10))\n"
    site(loaded, "zoo-another", "same")
    site(loaded + RECORDER, "zoo-same", "same")
    site(loaded, "zoo-zebra", "same")
    with planned(folds, tmp_path / "run", "same") as going:
        (tmp_path / "record.loaded").unlink()
        assert follow(going, 1) == []
    assert (tmp_path / "record.loaded").read_text() == "zoo_same_same\n"
    assert len(record()) == 4


def test_a_tracker_is_asked_for_by_a_name_that_one_plugin_has(site: Install, folds: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown tracker 'recordr'; did you mean 'recorder'"):
        planned(folds, tmp_path / "run", "recordr")
    site(RECORDER, "zoo-second", "recorder")
    with pytest.raises(PluginError, match=r"tracker 'recorder' is claimed .*zoo-recorder 1\.0.*zoo-second 1\.0"):
        planned(folds, tmp_path / "run", "recorder")
    assert not (tmp_path / "run").exists()


def test_trackers_are_listed_and_asked_for_on_the_command_line(
    main: Main, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "zoo.plugins.discovery._installed", lambda: ([install('"""Writes."""' + RECORDER, name="mine")], [])
    )
    _, out, _ = main("list", "trackers", "--json")
    assert json.loads(out) == [{"name": "mine", "about": "Writes.", "from": "mine (zoo-tiny 1.0)"}]
    _, out, _ = main("plugins", "list", "--json")
    assert [plugin["adds"] for plugin in json.loads(out)] == [{"tracker": ["mine"]}]


def test_trackers_are_asked_for_by_options_or_a_variable(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("zoo.run.plan.make_plan", lambda request, progress: asked.append(request.trackers) or 1 / 0)
    main("compare")
    main("compare", "--tracker", "mine", "--tracker", "other")
    monkeypatch.setenv("ZOO_TRACKERS", " mine, other")
    main("run", "tiny")
    main("run", "tiny", "--tracker", "third")
    assert asked == [(), ("mine", "other"), ("mine", "other"), ("third",)]


def test_what_a_tracker_gets_wrong_is_not_blamed_on_a_job() -> None:
    said = StringIO()
    progress = ComparisonProgress(Console(file=said), [], workers=1, metric="auc")
    job = SimpleNamespace(title="tiny, fold 0")
    progress.on_event(job, {"event": "warning", "text": "no luck"})
    progress.on_event(job, {"event": "warning", "text": "tracker 'mine' fails", "tracker": "mine"})
    assert said.getvalue() == "tiny, fold 0: warning: no luck\nwarning: tracker 'mine' fails\n"


HOOKS = {
    "all arguments": ("def zoo_epoch_ended(run, job, epoch): 0", None),
    "in any order": ("def zoo_epoch_ended(epoch, run): 0", None),
    "a default of its own": ("def zoo_epoch_ended(epoch, step=1, *, unit='s'): 0", None),
    "unknown argument": ("def zoo_epoch_ended(epoch, logs): 0", "ended(epoch, logs) Argument(s) {'logs'} are"),
    "of another hook": ("def zoo_run_started(job): 0", "zoo_run_started(job) Argument(s) {'job'} are"),
    "async": ("async def zoo_run_ended(): 0", "zoo_run_ended must be a plain function, without async or yield"),
    "generator": ("def zoo_run_ended(): yield", "zoo_run_ended must be a plain function, without async or yield"),
}


@pytest.mark.parametrize(("code", "says"), HOOKS.values(), ids=HOOKS.keys())
def test_a_hook_takes_what_it_wants_of_what_there_is(install: Install, code: str, says: str | None) -> None:
    found = discover([install(f"import zoo\n@zoo.hookimpl\n{code}", "mine", "my-tracker")])
    (plugin,) = found.found
    assert says in plugin.problem if says and plugin.problem else plugin.problem is says
    assert found.names("tracker") == ([] if says else ["my-tracker"])


def test_a_tracker_s_name_can_be_that_of_its_log(install: Install) -> None:
    (problem,) = discover([install(RECORDER, "mine", "my/tracker", module="mine")]).problems
    assert "its entry point is named 'my/tracker'; use at most 100 letters, digits" in problem
