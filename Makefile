# make run    set up .venv and train efficientnet-staged on the embedded demo
# make test   set up .venv with the test tools and run the whole suite
# make slow   the proofs that take too long for every change
# make bench  what is claimed about speed, measured on this machine (half an hour) into docs/performance.md
# make docs   docs/api.md, the reference made from docstrings
# make lint   ruff and mypy
PYTHON ?= python3

.PHONY: run test slow bench docs lint clean

run: .venv/.installed
	@echo "2 of 2: training on the demo; on 2 cores about 2 minutes"
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

# $(call install,WHAT,SECONDS): pip says nothing for most of the time, so the seconds that are left are told; they are
# those of 2 idle cores and a near package index, and more with a slow one.
define install
	@.venv/bin/pip install --disable-pip-version-check -e $(1) & pip=$$!; gone=0; \
	while sleep 1; kill -0 $$pip 2>/dev/null; do \
		gone=$$((gone + 1)); left=$$(($(2) - gone)); \
		if [ $$((gone % 10)) = 0 ] && [ $$left -gt 0 ]; then echo "installing: about $$left seconds left"; \
		elif [ $$((gone % 30)) = 0 ]; then echo "installing: $$gone seconds, a slow network or a busy machine"; fi; \
	done; wait $$pip
endef

.venv/.installed: pyproject.toml | .venv/bin/pip
	@echo "1 of 2: installing TensorFlow and what else zoo needs into .venv; with a near package index about 50 seconds"
	$(call install,.,50)
	touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/pip
	$(call install,".[dev]",120)
	touch $@ .venv/.installed
