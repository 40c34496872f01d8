"""What TensorFlow, absl, XLA and CUDA say of a machine without a GPU is for nobody who looks at a terminal.

That `zoo show` prints none of it is part of tests/report/test_recipe.py, which runs it anyway.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.run import worker_process
from zoo.training import logs


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in logs.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(logs, "_own", set())


LINES = b"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795645350.244836    5153 port.cc:153] oneDNN custom operations are on.
a warning of somebody else
E0000 00:00:1795645357.884175    5153 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error
"""


def test_only_lines_of_its_log_are_lost_and_none_where_loading_fails(capfd: pytest.CaptureFixture[str]) -> None:
    logs.quieten()
    with logs.loading():
        os.write(2, LINES)
    assert capfd.readouterr().err == "a warning of somebody else\n"
    with pytest.raises(ImportError), logs.loading():
        os.write(2, LINES)
        raise ImportError
    assert capfd.readouterr().err == LINES.decode()


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that a worker gets."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'\n")
    python.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(python))
        return dict(json.loads(worker_process.start(worker_process.Share(), subprocess.DEVNULL).communicate()[0]))


def test_errors_reach_the_log_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.quieten()
    assert {told(tmp_path, monkeypatch)[name] for name in logs.VARIABLES} == {logs.ERRORS}


def test_what_the_user_has_set_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in logs.VARIABLES:
        monkeypatch.setenv(name, "0")
    logs.quieten()
    assert {told(tmp_path, monkeypatch)[name] for name in logs.VARIABLES} == {"0"}
    assert {logs.environment(logs.FATAL)[name] for name in logs.VARIABLES} == {"0"}
