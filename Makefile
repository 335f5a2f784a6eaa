# Two commands bring a fresh machine up: `make demo` and `make test`. `make help` lists the rest.
# Everything is installed into .venv; stamps in it make a repeated command quick.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test fast stack lint types imports docs bench check acceptance gpu horovod pins wheels python clean

# Environments of several Pythons side by side: make test PYTHON=python3.13 VENV=.venv-3.13
VENV ?= .venv
PY := $(VENV)/bin/python
# An interpreter of your own choice: make demo PYTHON=python3.13. Python 3.10 and 3.11 get TensorFlow 2.15 with Addons,
# 3.12 and 3.13 today's TensorFlow with tf_keras.
PYTHON ?=
# More of the project's extras: make demo EXTRAS=gpu
EXTRAS ?=
# Two test processes at most: each that trains holds about 1 GB.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 1); echo $$(( n > 2 ? 2 : n )))
TESTS ?=

# A folder of packages that `make wheels` filled, for a machine without a network: make demo WHEELS=wheels
WHEELS ?=

PIP := $(PY) -m pip --disable-pip-version-check install --no-compile --progress-bar off -c constraints.txt
comma := ,
BASE := $(VENV)/.installed$(if $(EXTRAS),-$(subst $(comma),-,$(EXTRAS)))
TEST := $(VENV)/.installed-test
PYTEST := $(PY) -m pytest

ifneq ($(WHEELS),)
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := $(WHEELS)
endif
export MPLBACKEND ?= Agg
export PYTHONUNBUFFERED ?= 1

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(BASE) ## install the workbench into .venv and train the quickstart (a few minutes)
	@$(PY) -m workbench run experiments/quickstart.py
	@echo; echo "The program is in $(VENV)/bin: . $(VENV)/bin/activate brings it into this shell."

test: $(TEST) ## install what tests need and run all tests, the quick ones first
	@status=0; \
	$(PYTEST) -q -m "not tensorflow" -n $(JOBS) $(TESTS) || status=$$?; \
	$(PYTEST) -q -m tensorflow -n $(JOBS) --dist loadfile $(TESTS) || status=$$?; \
	exit $$status

fast: $(TEST) ## run the quick tests only: about three minutes
	@$(PYTEST) -q -m "not tensorflow" -n $(JOBS) $(TESTS)

# Tests in which one TensorFlow could differ from the next: which Keras, losses, optimizers, checkpoint and resume, sweep,
# export; and with OTHER, the interpreter of the other stack, that records and models go from one to the other.
CHOSEN := tests/workbench/test_lazy.py tests/workbench/augment/test_augmentations.py tests/workbench/losses/test_values.py tests/workbench/optimizers/test_updates.py \
	tests/workbench/train/test_run.py tests/workbench/train/test_checkpoint.py tests/workbench/sweep/test_hypermodel.py \
	tests/workbench/export
OTHER ?=
stack: $(TEST) ## the demo, the quick tests and those in which two TensorFlows could differ: make stack PYTHON=python3.13
	@$(PY) -m workbench run experiments/quickstart.py
	@$(MAKE) --no-print-directory fast
	@WORKBENCH_OTHER_PYTHON="$(if $(OTHER),$(abspath $(OTHER)))" $(PYTEST) -q -m tensorflow -n $(JOBS) --dist loadfile \
	  $(CHOSEN) $(if $(OTHER),tests/acceptance/test_stacks.py)

lint: $(TEST) ## style and forbidden calls (ruff)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(TEST) ## types of the engine (mypy)
	@$(PY) -m mypy

imports: $(TEST) ## one-way imports (import-linter)
	@$(VENV)/bin/lint-imports --no-cache

docs: $(TEST) ## write the lists in README.md and docs/ anew from the code
	@$(PY) tests/tools/lists.py $(if $(CHECK),--check)

site: $(TEST) ## build the chapters into a searchable site, build/site/index.html
	@$(PY) tests/tools/make_site.py

bench: $(TEST) ## print the table of measured ratios; BENCH="topic ..." chooses, OTHER=... compares two stacks
	@WORKBENCH_OTHER_PYTHON="$(if $(OTHER),$(abspath $(OTHER)))" $(PY) tests/benchmarks $(BENCH)

check: lint types imports ## lint, types, imports, docs and the quick tests: before every commit
	@$(MAKE) --no-print-directory docs CHECK=1
	@$(MAKE) --no-print-directory fast

acceptance: $(TEST) ## the long proofs: kills, servers, real trainings (an hour or more)
	@$(PYTEST) -v -o timeout=3600 tests/acceptance $(TESTS)

gpu: $(VENV)/.installed-gpu-test ## prove every GPU of this machine, with a table (20 minutes at most)
	@$(PYTEST) -v -s -o timeout=1800 tests/acceptance/test_gpu.py

# Horovod has no wheel for this TensorFlow: it is compiled against the one in .venv, with Gloo and without MPI, in an
# environment of its own (an older setuptools, a CMake before 4), which sees the packages of .venv. It needs a C++ compiler.
HOROVOD := build/horovod
purelib = $$($(1) -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
horovod: $(BASE) ## build Horovod against the TensorFlow in .venv and install it (about eight minutes)
	@$(PY) -c 'import sys; sys.exit(sys.version_info >= (3, 12))' || { \
		echo "error: the last release of Horovod is older than the TensorFlow of Python 3.12 and 3.13 and not built for it; take Python 3.10 or 3.11" >&2; exit 2; }
	@$(PY) -m venv --clear $(HOROVOD)
	@echo "$(call purelib,$(PY))" > "$(call purelib,$(HOROVOD)/bin/python)/zz_tensorflow.pth"
	@$(HOROVOD)/bin/python -m pip --disable-pip-version-check -q install setuptools==69.5.1 wheel "cmake<4" packaging cloudpickle psutil pyyaml
	@PATH="$$PWD/$(HOROVOD)/bin:$$PATH" HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
	  HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_GLOO=1 MAKEFLAGS=-j$(JOBS) \
	  $(HOROVOD)/bin/python -m pip --disable-pip-version-check wheel --no-build-isolation --no-deps horovod==0.28.1 -w build/wheels
	@$(PIP) cloudpickle psutil pyyaml
	@$(PIP) --no-deps build/wheels/horovod-0.28.1-*.whl

pins: $(TEST) ## resolve pyproject.toml anew for Python 3.10 to 3.13 into constraints.txt
	@$(PY) -m pip --disable-pip-version-check install -q uv
	@$(PY) tests/tools/pins.py

# For the Python of .venv: what is built from source is built here, so that the other machine needs no compiler.
wheels: $(VENV)/.made ## download all packages, those of EXTRAS and tests too, into wheels/ for machines without a network
	@$(PY) -m pip --disable-pip-version-check wheel -q -w wheels -c constraints.txt pip setuptools wheel
	@$(PY) -m pip --disable-pip-version-check wheel -q -w wheels -c constraints.txt --no-build-isolation ".[test$(if $(EXTRAS),$(comma)$(EXTRAS))]"
	@rm -f wheels/workbench-*.whl
	@echo "wheels/ holds $$(ls wheels | wc -l) packages ($$(du -sh wheels | cut -f1)); on the other machine: make demo WHEELS=wheels"

clean: ## remove .venv and caches; records and data stay
	@rm -rf $(VENV) build wheels *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The first interpreter that really runs, is 3.10 to 3.13 and can make environments. A shim of pyenv is on the path for
# Pythons that it will not start, so their own places are tried after the names.
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
places = "$(1)" "/usr/bin/$(1)" $(PYENV)/$(patsubst python%,%,$(1))*/bin/"$(1)"
define find_python
suits='import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13) or sys.maxsize < 2**32)'; \
found=; \
for name in $(if $(PYTHON),$(call places,$(PYTHON)),$(foreach v,11 10 12 13,$(call places,python3.$(v))) python3 python); do \
	if "$$name" -c "$$suits" >/dev/null 2>&1; then found=$$name; break; fi; \
done; \
if [ -z "$$found" ]; then \
	echo "error: $(if $(PYTHON),$(PYTHON) is not,no command is) a working 64-bit Python 3.10, 3.11, 3.12 or 3.13 with its venv module;" \
		"install one (Debian, Ubuntu: apt install python3-venv) or name it: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.11" >&2; \
	exit 2; \
fi
endef

python: ## say which interpreter would be taken
	@$(find_python); echo "$$found"; "$$found" --version

$(VENV)/.made:
	@$(find_python); \
	echo "making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv --clear $(VENV); \
	$(PY) -m pip --disable-pip-version-check -q install -c constraints.txt pip setuptools; \
	touch $@

# pip does not compile (one core, slowly); both cores do it once afterwards: TensorFlow's first import
# takes 14 s without bytecode and 3 s with it.
# Of pip's many lines only the big downloads and the errors are shown.
define install
echo "installing the pinned set$(if $(1), with $(1)) into $(VENV): a few minutes"; \
$(PIP) --no-build-isolation -e '.$(1)' 2> >(grep -v '^WARNING' >&2) \
	| awk '/Downloading .*\([0-9][0-9.]+ [MG]B\)/ {sub(/^ +/, ""); print "  " $$0; fflush()}'; \
$(PY) -m compileall -q -j 2 $(VENV)/lib > /dev/null || true; \
touch $@
endef

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@$(call install,)

$(VENV)/.installed-%: $(VENV)/.made pyproject.toml constraints.txt
	@$(call install,[$(subst -,$(comma),$*)])
