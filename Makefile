# The book's two commands are `make book` and `make test`; `make help` lists them all.

# Chapters run as one of three sizes: smoke (seconds), book (the published one), paper (long).
TIER ?= book
# Where `make serve` listens, on this machine only.
PORT ?= 8000
# What `make sweep` runs: settings, values to combine, and seeds.
GRID ?= workflow/sweeps/linear-vae.yaml

.DEFAULT_GOAL := help
.PHONY: help setup book test test-slurm sweep bench mutants serve reference lint clean

# Jupyter then takes the kernel of this environment, not one from the reader's home folder.
export JUPYTER_PREFER_ENV_PATH := 1
export PYTHONNOUSERSITE := 1

# An active conda environment (other than base) is used as it is; else .venv is made from the lock.
CONDA := $(if $(CONDA_PREFIX),$(filter-out base,$(CONDA_DEFAULT_ENV)))
ifdef CONDA
PYTHON := $(CONDA_PREFIX)/bin/python
RUN := $(CONDA_PREFIX)/bin/python
else
RUN := .venv/bin/python
# `make PYTHON=python3.12 book` chooses; otherwise the first that is new enough.
ifdef PYTHON
SETUP_OPTIONS := --this-python
else
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
endif
endif

help: ## print this list
	@echo "usage: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done
	@echo "options: TIER=smoke|book|paper (book), GRID=file.yaml (sweep), PORT=$(PORT) (serve), PYTHON=python3.12 (first set-up)"

setup: ## make .venv from the lock (book and test do this by themselves)
	@missing=; \
	command -v git >/dev/null 2>&1 || missing="git"; \
	if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		missing="$${missing:+$$missing and }Python 3.11 or newer"; \
	elif ! "$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null; then \
		missing="$${missing:+$$missing and }the venv module of $(PYTHON)"; \
	fi; \
	if [ -n "$$missing" ]; then \
		echo "The book needs $$missing: install it (Debian and Ubuntu: 'sudo apt-get install git python3 python3-venv'; macOS: 'brew install git python'), or name another Python with 'make PYTHON=/path/to/python3 ...'." >&2; \
		exit 1; \
	fi
	@"$(PYTHON)" -I workflow/environment.py $(SETUP_OPTIONS)

book: setup ## execute every chapter, check every claim, build the site
	@"$(RUN)" -m workflow.book --tier "$(TIER)"

test: setup lint ## check style and types, then run every test and doctest
	@OMP_NUM_THREADS=1 "$(RUN)" -m pytest --numprocesses auto --dist worksteal

test-slurm: setup ## run sweeps and a chapter through a real Slurm on loopback (Debian, as root)
	@OMP_NUM_THREADS=1 "$(RUN)" -m pytest -m slurm tests/cluster

serve: ## open the built book on this machine only
	@[ -e _build/site/index.html ] || { echo "The book is not built yet: run 'make book' first." >&2; exit 1; }
	@"$(PYTHON)" -c 'import socket; socket.create_server(("127.0.0.1", $(PORT))).close()' 2>/dev/null || \
		{ echo "Port $(PORT) is not free on this machine: choose another with 'make serve PORT=8001'." >&2; exit 1; }
	@echo "The book is at http://127.0.0.1:$(PORT)/ (Ctrl-C ends it)."
	@"$(PYTHON)" -m http.server --bind 127.0.0.1 --directory _build/site "$(PORT)"

reference: setup ## rewrite reference/claims.json from a new execution, for review
	@"$(RUN)" -m workflow.book --tier "$(TIER)" --reference

sweep: setup ## train over the settings and seeds of a grid (GRID=file.yaml); resumes
	@"$(RUN)" -m workflow.sweep "$(GRID)"

bench: setup ## measure side by side with other packages (ROWS=word, OFFICIAL=path, QUICK=1)
	@"$(RUN)" -m benchmarks --rows "$(ROWS)" --official "$(OFFICIAL)" $(if $(QUICK),--quick)

mutants: setup ## plant mistakes in the package and see that tests notice each (some minutes)
	@"$(RUN)" -m tests.mutation.run

lint: setup ## check style and types only
	@"$(RUN)" -m ruff check .
	@"$(RUN)" -m ruff format --check .
	@"$(RUN)" -m mypy

clean: ## remove what was generated: _build and caches (.venv stays)
	@rm -rf _build .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name .venv -prune -o -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
