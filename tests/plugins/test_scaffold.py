"""zoo plugins new: for every kind a package that is complete, installs, and passes its own tests as it is."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.conftest import TINY_PLUGIN, Install, Main, Zoo
from tests.venvs import Venv, build
from zoo.plugins.discovery import discover
from zoo.plugins.scaffold import KINDS, LICENSES

TOP = Path(__file__).parents[2]
PARTS = KINDS[:-1]
RULES = ",".join(tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["select"])
FILES = {
    "pyproject.toml",
    "README.md",
    "LICENSE",
    ".gitignore",
    ".github/workflows/test.yml",
    "zoo_retina_net.py",
    "tests/test_retina_net.py",
}


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def make(main: Main, *arguments: object) -> str:
    """What the command says."""
    status, out, err = main("plugins", "new", *arguments)
    assert (status, err) == (0, "")
    return out


@pytest.mark.parametrize("name", ["retina-net", "zoo-retina-net"])
def test_it_writes_a_package_and_says_what_to_do_next(main: Main, tmp_path: Path, name: str) -> None:
    said = make(main, name)
    assert set(files(tmp_path / "zoo-retina-net")) == FILES
    for step in ("cd zoo-retina-net\n", 'pip install -e ".[test]"', "pytest", "zoo list models", "zoo run retina-net"):
        assert f"  {step}" in said
    project = tomllib.loads((tmp_path / "zoo-retina-net/pyproject.toml").read_text())["project"]
    assert project["name"] == "zoo-retina-net"
    assert project["entry-points"]["zoo"] == {"retina-net": "zoo_retina_net"}
    assert project["license"] == "MIT"
    assert "authors" not in project


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["q", "abcdefghij-klmnopqrs-tuvwxyzab"], ids=["short", "long"])
def test_what_it_writes_is_tidy(main: Main, tmp_path: Path, kind: str, name: str) -> None:
    make(main, name, "--kind", kind, "--out", "made")
    made = tmp_path / "made"
    for path, text in files(made).items():
        assert "\n\n\n" not in text or path.endswith(".py"), path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert not [line for line in text.splitlines() if line != line.rstrip()], path
        assert "{{" not in text.replace("${{ matrix.python }}", ""), path
    for command in (["check", "--select", RULES], ["format", "--diff"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=made, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_a_new_backbone_is_less_than_50_lines(main: Main, tmp_path: Path) -> None:
    make(main, "retina-net")
    assert len((tmp_path / "zoo-retina-net/zoo_retina_net.py").read_text().splitlines()) < 50


@pytest.mark.parametrize("kind", PARTS)
def test_zoo_finds_what_it_offers(main: Main, install: Install, tmp_path: Path, kind: str) -> None:
    make(main, "retina-net", "--kind", kind)
    code = (tmp_path / "zoo-retina-net/zoo_retina_net.py").read_text()
    found = discover([install(code, "zoo-retina-net", "retina-net", module="zoo_retina_net")])
    assert found.problems == []
    assert found.found[0].adds == {kind: ["retina-net"], "model": ["retina-net"]}
    assert found.found[0].traces == []
    assert found.found[0].heavy == []


def test_a_wheel_holds_weights_but_no_path_file(main: Main, tmp_path: Path) -> None:
    """A .pth file at the top of site-packages is read by every start of Python, which ends at one that is no text."""
    make(main, "retina-net")
    for ending in ("pt", "pth", "weights.h5"):
        (tmp_path / f"zoo-retina-net/zoo_retina_net.{ending}").write_bytes(b"\x80 weights")
    packed = zipfile.ZipFile(build(tmp_path / "zoo-retina-net", tmp_path / "wheel")).namelist()
    names = {name for name in packed if "dist-info" not in name}
    assert names == {"zoo_retina_net.py", "zoo_retina_net.pt", "zoo_retina_net.weights.h5"}


def test_its_models_are_listed_with_no_edit_of_the_registry(main: Main, install: Install, zoo: Zoo) -> None:
    for kind in PARTS:
        make(main, f"my-{kind}", "--kind", kind, "--out", kind)
        install(Path(kind, f"zoo_my_{kind}.py").read_text(), f"zoo-my-{kind}", f"my-{kind}", module=f"zoo_my_{kind}")
    done = zoo("list", "--json")
    assert done.stderr == ""
    models = {model["name"]: model for model in json.loads(done.stdout)}
    for kind in PARTS:
        assert models[f"my-{kind}"][kind] == f"my-{kind}"
        assert models[f"my-{kind}"]["from"] == f"zoo-my-{kind}"


@pytest.mark.parametrize("spdx", LICENSES)
def test_licence_and_author_are_written_down(main: Main, tmp_path: Path, spdx: str) -> None:
    make(main, "retina-net", "--license", spdx, "--author", 'Zoë "Z" O’Hara <zoe@example.org>', "--out", "made")
    made = files(tmp_path / "made")
    project = tomllib.loads(made["pyproject.toml"])["project"]
    assert project["authors"] == [{"name": 'Zoë "Z" O’Hara', "email": "zoe@example.org"}]
    if spdx == "none":
        assert "LICENSE" not in made
        assert "license" not in project
        assert "None is granted yet" in made["README.md"]
    else:
        assert project["license"] == spdx
        assert spdx in made["README.md"]
        assert spdx == "Apache-2.0" or 'Zoë "Z" O’Hara <zoe@example.org>' in made["LICENSE"]


LICENCE_TEXTS = {  # their first words, and some of their last
    "MIT": ("MIT License", "OTHER DEALINGS IN THE\nSOFTWARE.\n"),
    "BSD-3-Clause": ("BSD 3-Clause License", "EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.\n"),
    "Apache-2.0": ("Apache License\n                           Version 2.0, January 2004", "under the License.\n"),
}


@pytest.mark.parametrize(("spdx", "words"), LICENCE_TEXTS.items(), ids=LICENCE_TEXTS)
def test_licences_are_whole(main: Main, tmp_path: Path, spdx: str, words: tuple[str, str]) -> None:
    make(main, "retina-net", "--license", spdx)
    text = (tmp_path / "zoo-retina-net/LICENSE").read_text()
    assert text.lstrip().startswith(words[0])
    assert text.endswith(words[1])


REFUSED = {
    "capitals": (["RetinaNet"], "must be lower-case letters, digits and single dashes"),
    "underscore": (
        ["My_Net"],
        "'My_Net' must be lower-case letters, digits and single dashes, begin with a letter and ",
    ),
    "a name like it": (["My_Net"], "such as 'my-net'\n"),
    "path": (["../retina"], "must be lower-case letters, digits and single dashes"),
    "digit first": (["2-net"], "begin with a letter"),
    "too long": (["n" * 31], "at most 30 characters"),
    "nothing left": (["zoo-"], "must be lower-case"),
    "a folder of runs": (["pictures"], "plug-in name 'pictures': a run folder has an entry of that name"),
    "keyword": (["none"], "would make a class named None"),
    "shipped backbone": (["vgg16"], "the backbone 'vgg16' is offered by plug-in keras-applications (zoo "),
    "shipped tracker": (["mlflow"], "the tracker 'mlflow' is offered by plug-in mlflow (zoo "),
    "shipped model": (["efficientnet-staged"], "the model 'efficientnet-staged' stands in "),
    "shipped plug-in": (["heads"], "the plug-in heads (zoo "),
    "installed part": (["two-stage"], "the schedule 'two-stage' is offered by plug-in tiny (zoo-tiny 1.0): choose"),
    "installed model": (["tiny-nan"], "the model 'tiny-nan' is offered by plug-in tiny (zoo-tiny 1.0)"),
    "installed package": (["zoo-tiny"], "the backbone 'tiny' is offered by plug-in tiny (zoo-tiny 1.0)"),
    "author": (["retina-net", "--author", "Your\nName"], "must be one line"),
    "folder in use": (["retina-net", "--out", "used"], "used exists and isn't empty: name another folder with --out"),
    "file": (["retina-net", "--out", "used/file"], "used/file exists and isn't empty"),
    "below a file": (["retina-net", "--out", "used/file/made"], "used/file/made cannot be written: Not a directory"),
    "odd kind": (["retina-net", "--kind", "neck"], "'neck' is not one of"),
    "odd licence": (["retina-net", "--license", "WTFPL"], "'WTFPL' is not one of"),
}


@pytest.mark.parametrize(("arguments", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused(
    main: Main, install: Install, tmp_path: Path, arguments: list[str], says: str
) -> None:
    install(TINY_PLUGIN)
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").write_text("mine")
    status, out, err = main("plugins", "new", *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.startswith("Usage:") or err.count("\n") == 1
    assert files(tmp_path / "used") == {"file": "mine"}
    assert not (tmp_path / "zoo-retina-net").exists()


def test_an_empty_folder_is_filled(main: Main, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    make(main, "retina-net", "--out", "made")
    assert set(files(tmp_path / "made")) == FILES


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_installs_and_passes_its_tests_as_it_is(venv: Venv, tmp_path: Path, kind: str) -> None:
    """As its author would, in a fresh virtual environment."""
    done = venv.shell(f"zoo plugins new retina-net --kind {kind}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "zoo-retina-net"
    for command in ('pip install -e ".[test]"', "pytest", "zoo plugins doctor"):
        done = venv.shell(command, cwd=made)
        assert done.returncode == 0, done.stdout + done.stderr
    found = {plugin["name"]: plugin for plugin in json.loads(venv.shell("zoo plugins list --json", cwd=made).stdout)}
    assert found["retina-net"]["distribution"] == "zoo-retina-net"
    assert found["retina-net"]["path"] == str(made / "zoo_retina_net.py")
    tracker = kind == "tracker"
    listed = venv.shell(f"zoo list {'trackers' if tracker else 'models'}", cwd=made)
    assert "retina-net" in listed.stdout
    if kind in ("backbone", "tracker"):
        what = "scratch-cnn --tracker retina-net" if tracker else "retina-net"
        done = venv.shell(f"zoo run {what} --max-epochs 1 --out run", cwd=made)
        assert done.returncode == 0, done.stdout + done.stderr
        assert list((made / "run").glob("*/fold-0/best.keras"))
    if tracker:
        assert (made / "run/retina-net.csv").read_text().splitlines()[1].startswith("scratch-cnn,0,0,")
