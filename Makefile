# `make` alone lists what can be made. Everything is installed into .venv, and only when
# setup.cfg or pyproject.toml has changed since.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check

# One process per core, one file at a time each, in the order of collection: browser tests last.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check golden gallery lessons bench bench-quick figures setup clean

help: ## this list
	@echo "microrecur: what can be made here"
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 21
	@echo "Another Python: make demo PYTHON=/path/to/python3.12"

demo: $(VENV)/.base ## draw RNN, LSTM and GRU on real data into out/, print their factors
	@$(BIN)/microrecur demo

test: $(VENV)/.test ## run all tests (some: make test ARGS="-k lstm")
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

check: $(VENV)/.test ## lint, format, types, and the examples in the docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --doctest-modules microrecur

golden: $(VENV)/.test ## write anew the DOT texts that pictures are compared with; look at them
	@PYTHONPATH=. $(BIN)/python tests/drawing/test_golden.py
	@git --no-pager diff --stat -- tests/drawing/golden

gallery: $(VENV)/.base ## draw docs/gallery.md and its pictures anew
	@$(BIN)/python docs/gallery.py

lessons: $(VENV)/.lessons ## open the course in JupyterLab, in a workspace (make lessons DIR=my-course)
	@$(BIN)/microrecur lab $(DIR)

bench: $(VENV)/.bench ## time microrecur beside its peers (minutes; some: make bench ARGS="--only W3")
	@$(BIN)/python benchmarks/peers.py $(ARGS)

bench-quick: $(VENV)/.bench ## the same in less than a minute, and coarser
	@$(BIN)/python benchmarks/peers.py --quick $(ARGS)

figures: $(VENV)/.test ## measure the figures of docs/what_the_bound_says.md, draw its pictures
	@$(BIN)/python docs/figures.py

setup: $(VENV)/.test ## only install what the tests need

clean: ## remove .venv, out/ and everything else that was made
	rm -rf $(VENV) out build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what is installed, one stamp each ---------------------------------------------------------

WANTED = setup.cfg pyproject.toml

$(VENV)/.base: $(VENV)/.python $(WANTED)
	@echo "Installing microrecur into $(VENV) (the first time: up to a minute)"
	@$(PIP) install --editable .
	@touch $@

# An extra brings the base with it.
$(VENV)/.test $(VENV)/.lessons $(VENV)/.bench: $(VENV)/.%: $(VENV)/.python $(WANTED)
	@echo "Installing microrecur[$*] into $(VENV) (the first time: a minute or two)"
	@$(PIP) install --editable '.[$*]'
	@touch $(VENV)/.base $@

FOUND  = import sys; print("microrecur needs Python 3.11 or newer; $(PYTHON) is", sys.version.split()[0])
OLD    = import sys; sys.exit(sys.version_info < (3, 11))
MENDED = Then run make again, or name another Python: make PYTHON=/path/to/python3.12

$(VENV)/.python:
	@$(PYTHON) -c '' 2>/dev/null || { \
	  echo "microrecur needs Python 3.11 or newer, and $(PYTHON) does not run here."; \
	  echo "Install it (Debian, Ubuntu: sudo apt install python3 python3-venv). $(MENDED)"; \
	  exit 1; } >&2
	@$(PYTHON) -c '$(OLD)' || { $(PYTHON) -c '$(FOUND)'; echo "$(MENDED)"; exit 1; } >&2
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "microrecur needs Python's venv module, and $(PYTHON) comes without it."; \
	  echo "Install it (Debian, Ubuntu: sudo apt install python3-venv). $(MENDED)"; \
	  exit 1; } >&2
	@$(PYTHON) -m venv $(VENV)
	@touch $@
