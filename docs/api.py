"""docs/api.md: the reference of what plug-ins and notebooks may use, made from docstrings by griffe2md.

    python docs/api.py --write      # or make docs

Nothing is imported: the code is read as text, so that no library is loaded. Without --write it prints the page.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import griffe
from griffe2md import render_object_docs

TOP = Path(__file__).parents[1]
PAGE = Path(__file__).with_suffix(".md")
# What stands under each heading: the module whose docstring begins it, the module that offers the names, and which
# (None: all).
SECTIONS: dict[str, tuple[str | None, str, list[str] | None]] = {
    "Parts of a model": (
        "zoo.interfaces",
        "zoo",
        ["Backbone", "WeightsFile", "Head", "Schedule", "Stage", "Decay", "Cosine", "Augmenter"],
    ),
    "Hooks": ("zoo.hookspecs", "zoo.hookspecs", None),
    "Testing a part": ("zoo.testing", "zoo.testing", ["conformance", "checks"]),
    "Training and data from Python": (
        "zoo.api",
        "zoo",
        ["compare", "merge", "Comparison", "load_model", "read_data", "make_splits", "audit", "Audit"],
    ),
    "A trained model in use": ("zoo.inference", "zoo", ["load", "Predictor"]),
    "Errors": (
        "zoo.errors",
        "zoo",
        ["ZooError", "ConfigError", "DataError", "LeakError", "PluginError", "TrainingError", "WeightsError"],
    ),
    "Version": (None, "zoo", ["__version__"]),
}
HEAD = """# What zoo offers to plug-ins and notebooks

Generated from docstrings by `make docs`; edit those instead. [plugins.md](plugins.md) says what is promised of it.
"""
CONFIG: Any = {
    "heading_level": 3,
    "show_root_heading": False,
    "show_submodules": False,
    "show_if_no_docstring": False,  # fields of dataclasses stand in the signature
    "show_signature_annotations": True,
    "signature_crossrefs": False,
    "separate_signature": True,
    "show_bases": False,
    "summary": False,
    "members_order": "source",
    "line_length": 100,
}


def page() -> str:
    """The whole page."""
    loader = griffe.GriffeLoader(search_paths=[TOP])
    loader.load("zoo")
    loader.resolve_aliases()
    parts = [HEAD]
    modules = loader.modules_collection
    for heading, (about, module, members) in SECTIONS.items():
        full = module != "zoo.hookspecs"  # a hook goes by its bare name
        paths = {"show_root_members_full_path": full, "show_object_full_path": full}
        own = modules[module].docstring.value
        told = render_object_docs(modules[module], {**CONFIG, **paths, "members": members}).strip().removeprefix(own)
        parts += [f"## {heading}\n", modules[about].docstring.value + "\n" if about else "", told]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/api.md")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
