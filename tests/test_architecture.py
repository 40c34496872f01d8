"""The house rules that a reader relies on."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
# Rooms in import order: a module imports only from rooms before its own, or from its own.
ROOMS = [
    "errors",
    "encoding",
    "limits",
    "files",
    "interfaces",
    "hookspecs",
    "__init__",
    "data",
    "evaluation",
    "plugins",
    "training",
    "run",
    "inference",
    "auditing",
    "api",
    "testing",
    "report",
    "serving",
    "commands",
    "cli",
]
# Loaded only when zoo.compare and the like are asked for.
LAZY = ("zoo.api", "zoo.auditing.run", "zoo.inference.predictor", "zoo.run.results", "zoo.training.model_file")
MODULES = sorted((TOP / "zoo").rglob("*.py"))
PLUGINS = sorted((TOP / "plugins").iterdir())


def room(dotted: str) -> str:
    """ "zoo.data.images" is in room data, "zoo" itself in room __init__."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(file: Path) -> set[str]:
    """Every module that a file imports, at its top or within functions, names of submodules resolved."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                path = TOP.joinpath(*node.module.split("."), alias.name)
                is_module = path.with_suffix(".py").exists() or path.is_dir()
                found.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(TOP)))
def test_imports_go_one_way(file: Path) -> None:
    own = file.relative_to(TOP / "zoo").parts[0].removesuffix(".py")
    for name in imports(file):
        if own == "__init__" and name in LAZY:
            continue
        if (file.name, name) == ("results.py", "zoo.report.run_page"):
            continue  # for `done.report(file)`, which is for people: nothing in zoo calls it
        if name.split(".")[0] == "zoo" and room(name) != own:
            # The package itself (its version, the names for plug-ins) is light and may be read by any room after it.
            assert ROOMS.index(room(name)) < ROOMS.index(own), f"{file.name} imports {name}"


@pytest.mark.parametrize("file", [*MODULES, *(TOP / "plugins").rglob("*.py")], ids=lambda file: file.name)
def test_keras_3_only(file: Path) -> None:
    assert not {name for name in imports(file) if name.split(".")[0] in ("tensorflow", "jax", "torch", "tf_keras")}


@pytest.mark.parametrize("file", sorted((TOP / "plugins").rglob("*.py")), ids=lambda file: file.name)
def test_plugins_import_only_the_package(file: Path) -> None:
    assert {name for name in imports(file) if name.split(".")[0] == "zoo"} == {"zoo"}


def test_plugins_on_disk_are_those_declared() -> None:
    declared = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["entry-points"]["zoo"]
    on_disk = {path.stem for path in PLUGINS if not path.name.startswith(("_", "."))}
    assert set(declared.values()) == on_disk


def test_the_core_knows_no_model_by_name() -> None:
    for file in MODULES:
        if file.name != "registry.py":  # defaults of a registry without [defaults]
            assert "efficientnet" not in file.read_text().lower(), file


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["list", "--json"], ["plugins", "list"], ["plugins", "doctor"], ["run", "--help"]],
    ids=" ".join,
)
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, json; from zoo.cli import main; sys.argv[1:] = json.loads(sys.argv[1])\n"
        "status = main()\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'pandas', 'matplotlib', 'sklearn', 'cv2'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr); sys.exit(bool(heavy) or status)"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_core_without_plugins_says_so(tmp_path: Path) -> None:
    """The package alone, copied where no distribution declares any plug-in for it."""
    import shutil

    shutil.copytree(TOP / "zoo", tmp_path / "zoo")
    (tmp_path / "registry.toml").write_text("")
    code = (
        "import sys, importlib.metadata as m; m.distributions = lambda **kw: []\n"
        "from zoo.cli import main; sys.argv[1:] = ['list', 'backbones']; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no backbones" in done.stdout
