# The book's two commands are `make book` and `make test`; `make help` lists them all.

# Chapters run as one of three sizes: smoke (seconds), book (the published one), paper (long).
TIER ?= book
# Where `make serve` listens, on this machine only.
PORT ?= 8000
# What `make sweep` runs: settings, values to combine, and seeds.
GRID ?= workflow/sweeps/linear-vae.yaml
# Chapters to make alone, by numbers or starts of their names: 5, "probabilistic theorem-1".
CHAPTERS ?=
# The chapter that `make chapter` writes.
NAME ?=
# What `make course` and `make grade` work on, beside CHAPTER: another seed, a folder of private tests
# (one file LABEL.py for each), and a folder of submissions.
CHAPTER ?=
SEED ?=
HIDDEN ?=
SUBMISSIONS ?= submissions
# How often `make reference` executes the book, under other threads and instructions each time.
RUNS ?= 1

# What is given reaches recipes as variables of the shell, word for word: neither make nor it reads them.
GIVEN := TIER PORT GRID ROWS OFFICIAL ORDER RUNS CHAPTERS CHAPTER SEED HIDDEN SUBMISSIONS NAME
SOME = $(if $(CHAPTERS),--chapters $$CHAPTERS)
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)

.DEFAULT_GOAL := help
.PHONY: help setup setup-test setup-pdf setup-bench setup-jax setup-cluster setup-lock setup-grading book pdf epub chapter course grade \
	test test-setup test-slurm sweep bench \
	mutants faults serve reference lint lock clean

# Jupyter then takes the kernel of this environment, not one from the reader's home folder.
export JUPYTER_PREFER_ENV_PATH := 1
export PYTHONNOUSERSITE := 1
# Snakemake, Jupyter and Matplotlib write below HOME; some containers have none that can be written.
ifneq ($(shell [ -w "$$HOME" ] && echo yes),yes)
export HOME := $(CURDIR)/_build/home
endif

# Older ones lack tomllib; for newer ones, immutables (which Snakemake needs) has no wheels yet.
PYTHON_FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
# An active conda environment (other than base) is used as it is; else .venv is made from locks.
CONDA := $(if $(CONDA_PREFIX),$(filter-out base,$(CONDA_DEFAULT_ENV)))
ifdef CONDA
PYTHON := $(CONDA_PREFIX)/bin/python
RUN := $(CONDA_PREFIX)/bin/python
else
RUN := .venv/bin/python
# `make PYTHON=python3.12 book` chooses; otherwise the first that fits.
ifdef PYTHON
SETUP_OPTIONS := --this-python
else
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(PYTHON_FITS)' 2>/dev/null && echo "$$p" && break; done)
endif
endif

help: ## print this list
	@echo "usage: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done
	@echo "options: TIER=smoke|book|paper (book), GRID=file.yaml (sweep), PORT=$$PORT (serve), PYTHON=python3.12 (first set-up)"

setup: ## make .venv for the book; setup-test, setup-pdf, setup-bench, setup-jax, setup-cluster, setup-lock, setup-grading add to it
	@missing=; \
	command -v git >/dev/null 2>&1 || missing="git"; \
	if ! "$(PYTHON)" -c '$(PYTHON_FITS)' 2>/dev/null; then \
		found=$$("$(or $(PYTHON),python3)" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null); \
		missing="$${missing:+$$missing and }Python 3.11, 3.12 or 3.13$${found:+ (found $$found)}"; \
	elif ! "$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null; then \
		missing="$${missing:+$$missing and }the venv module of $(PYTHON)"; \
	fi; \
	if [ -n "$$missing" ]; then \
		echo "The book needs $$missing: install it (Debian and Ubuntu: 'sudo apt-get install git python3 python3-venv'; macOS: 'brew install git python@3.13'), or name another Python with 'make PYTHON=/path/to/python3 ...'." >&2; \
		exit 1; \
	fi
	@"$(PYTHON)" -I workflow/environment.py $(SETUP_OPTIONS) book

setup-test setup-pdf setup-bench setup-jax setup-cluster setup-lock: setup
	@"$(PYTHON)" -I workflow/environment.py $(SETUP_OPTIONS) $(@:setup-%=%)

book: setup ## execute every chapter, check every claim, build the site (CHAPTERS=name: that page alone)
	@set -f; "$(RUN)" -m workflow.book --tier "$$TIER" $(SOME)

pdf: setup-pdf ## print the built book as one PDF, check its pages, link it from the site (Chromium)
	@"$(RUN)" -m workflow.pdf

epub: setup-pdf ## write the built book for e-readers, formulas as MathML, and link it from the site (Chromium)
	@"$(RUN)" -m workflow.epub

test: setup-test lint ## check style and types, then run every test and doctest (ORDER=seed: shuffled; SHORT=1: the quick ones)
	@OMP_NUM_THREADS=1 "$(RUN)" -m pytest --numprocesses auto --dist worksteal \
		$(if $(ORDER),--order "$$ORDER") $(if $(SHORT),-m 'not slow and not web')

test-setup: setup-test ## set up anew from the index, with the system's own Python (some minutes)
	@OMP_NUM_THREADS=1 "$(RUN)" -m pytest -m setup tests/workflow/test_setup.py

test-slurm: setup-test setup-cluster ## run sweeps and a chapter through a real Slurm on loopback (Debian, as root)
	@OMP_NUM_THREADS=1 "$(RUN)" -m pytest -m slurm tests/workflow/cluster

serve: ## open the built book on this machine only
	@[ -e _build/site/index.html ] || { echo "The book is not built yet: run 'make book' first." >&2; exit 1; }
	@for python in "$(PYTHON)" "$(RUN)" python3; do "$$python" -c 'import http.server' 2>/dev/null && break; python=; done; \
	if [ -z "$$python" ]; then \
		echo "Serving the book needs Python 3: install it, or open _build/site/index.html in a browser." >&2; exit 1; \
	fi; \
	"$$python" -c 'import os, socket; socket.create_server(("127.0.0.1", int(os.environ["PORT"]))).close()' 2>/dev/null || { \
		printf '%s\n' "Port $$PORT is not free on this machine: choose another with 'make serve PORT=8001'." >&2; exit 1; }; \
	echo "The book is at http://127.0.0.1:$$PORT/ (Ctrl-C ends it)."; \
	exec "$$python" -m http.server --bind 127.0.0.1 --directory _build/site "$$PORT"

reference: setup ## measure the claims anew and rewrite reference/claims.json, for review (RUNS=1 to 5)
	@set -f; "$(RUN)" -m workflow.book --tier "$$TIER" --reference --runs "$$RUNS" $(SOME)

# otter-grader's pins do not agree with the book's: it runs in an environment of its own, .venv-grading.
setup-grading: setup
	@"$(RUN)" -m workflow.grading_setup

chapter: setup ## write a chapter that runs, to be made your own (NAME=my-topic)
	@"$(RUN)" -m workflow.new_chapter "$$NAME"

course: setup-grading ## make an assignment of CHAPTER (all: leave it out), graded as proof (SEED=7, HIDDEN=folder)
	@"$(RUN)" -m workflow.course make $(if $(CHAPTER),"$$CHAPTER") --otter .venv-grading/bin/python \
		$(if $(SEED),--seed "$$SEED") $(if $(HIDDEN),--hidden "$$HIDDEN")

grade: setup ## score the notebooks in SUBMISSIONS for the assignment of CHAPTER (and SEED, where it was made with one)
	@"$(RUN)" -m workflow.course grade "$$CHAPTER" "$$SUBMISSIONS" $(if $(SEED),--seed "$$SEED")

sweep: setup ## train over the settings and seeds of a grid (GRID=file.yaml); resumes
	@"$(RUN)" -m workflow.sweep "$$GRID"

bench: setup-bench ## measure side by side with other packages (ROWS=word, OFFICIAL=path, QUICK=1; UNMEASURED=1, MINUTES=30)
	@"$(RUN)" -m benchmarks --rows "$$ROWS" --official "$$OFFICIAL" $(if $(QUICK),--quick) \
		$(if $(UNMEASURED),--unmeasured) $(if $(MINUTES),--minutes "$$MINUTES")

mutants: setup-test ## plant mistakes in the package and see that tests notice each (BOOK=1: claims of chapters)
	@"$(RUN)" -m tests.mutation.$(if $(BOOK),chapters,run)

faults: setup-test ## kill, cut and fill what a small book is made of, and see that each is survived (SHORT=1)
	@"$(RUN)" -m tests.faults.run $(if $(SHORT),--short,--record)

lint: setup-test ## check style and types only
	@"$(RUN)" -m ruff check .
	@"$(RUN)" -m ruff format --check .
	@"$(RUN)" -m mypy

lock: setup-lock ## renew requirements/*.lock from pyproject.toml (UPGRADE=1: the newest versions)
	@"$(RUN)" -m workflow.lock $(if $(UPGRADE),--upgrade)

clean: ## remove what was generated: _build and caches (environments stay)
	@rm -rf _build .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name '.venv*' -prune -o -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
