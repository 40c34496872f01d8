"""What `pip install .` gives: the package, every plug-in, and a registry that is found from anywhere."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=TOP, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    zipfile.ZipFile(file).extractall(folder / "site")
    return folder / "site"


def test_it_holds_every_module_once(wheel: Path) -> None:
    expected = {str(path.relative_to(TOP)) for path in (TOP / "zoo").rglob("*.py")}
    expected |= {str(path.relative_to(TOP / "plugins")) for path in (TOP / "plugins").rglob("*.py")}
    assert {str(path.relative_to(wheel)) for path in wheel.rglob("*.py")} == expected


def test_it_holds_the_templates(wheel: Path) -> None:
    files = [path for path in (TOP / "zoo").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    templates = [path.relative_to(TOP) for path in files]
    assert {".html", ".jinja"} <= {path.suffix for path in templates}
    assert all((wheel / path).read_bytes() == (TOP / path).read_bytes() for path in templates)


def test_registry_and_plugins_work_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    assert (wheel / "zoo/registry.toml").read_text() == (TOP / "registry.toml").read_text()
    # -I and one path: nothing of the checkout is seen. Third-party libraries come from where they are installed.
    code = (
        "import sys, site\n"
        f"sys.path.insert(0, {str(wheel)!r})\n"
        "import zoo\n"
        f"assert zoo.__file__.startswith({str(wheel)!r}), zoo.__file__\n"
        "from importlib.metadata import distribution\n"
        f"from zoo.cli import main; sys.argv = ['zoo', 'list']; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "efficientnet-staged" in done.stdout
    assert "registry.toml" in done.stdout
