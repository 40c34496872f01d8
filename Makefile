# make run    set up .venv and train efficientnet-staged on the embedded demo
# make test   set up .venv with the test tools and run the whole suite
# make slow   the proofs that take too long for every change
# make bench  what is claimed about speed, measured on this machine (half an hour) into docs/performance.md
# make docs   docs/api.md, the reference made from docstrings
# make lint   ruff and mypy
PYTHON ?= python3

.PHONY: run test slow bench docs lint clean

run: .venv/.installed
	.venv/bin/zoo run efficientnet-staged

test: .venv/.installed-dev
	.venv/bin/python -m pytest

slow: .venv/.installed-dev
	.venv/bin/python -m pytest -m slow

bench: .venv/.installed
	.venv/bin/python benchmarks/study.py --write docs/performance.md

docs: .venv/.installed-dev
	.venv/bin/python docs/api.py --write

lint: .venv/.installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

clean:
	rm -rf .venv runs pictures

.venv/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit("zoo needs Python 3.11 or newer: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/pip
	.venv/bin/pip install --disable-pip-version-check -e .
	touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/pip
	.venv/bin/pip install --disable-pip-version-check -e ".[dev]"
	touch $@ .venv/.installed
