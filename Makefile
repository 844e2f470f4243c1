# Commands of the kit. `make help` lists them.

SHELL := /bin/sh
PORT ?=
PYTHON ?=
NAME ?=
SEED ?=
FOLDER ?= wheels
# How many checks or scenarios run at once. With 1, their output is shown while they run.
JOBS ?= 2
# All scenarios except the long ones: make faults, make attack.
SCENARIOS := $(filter-out attack faults,$(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml))))

# Programs of the virtualenv first; Molecule's state and Ansible's in this folder.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_HOME := $(CURDIR)/.ansible
export PORT PYTHON SEED
export MOLECULE_COMMAND_BORDERS := 0

AT_ONCE = $(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=target

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit molecule hosts $(SCENARIOS:%=molecule-%) attack faults drill bench password wheels requirements
.PHONY: release clean

help: ## List the commands
	@sed -n 's/^\([a-z%-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

demo: .venv/made ## Deploy an index to a container, upload and install a package (PORT=8443)
	@tools/ensure-docker
	@tools/images/build
	@tools/demo

# `make release` reads what end-tests records.
test: .venv/made ## Run all checks and tests: lint, unit, molecule
	@tools/release begin-tests
	@$(AT_ONCE) lint unit $(SCENARIOS:%=molecule-%)
	@tools/release end-tests

lint: .venv/made ## Static checks: ruff, mypy, yamllint, ansible-lint, shellcheck; a minute
	ruff check .
	ruff format --check .
	mypy
	yamllint --strict .
	ansible-lint -q
	@tools/shellcheck

unit: .venv/made ## Unit tests of modules, templates and settings; 2 minutes
	python -m pytest

molecule: .venv/made hosts ## Tests on real Debian 12 and 13 hosts, all scenarios (JOBS=2)
	@$(AT_ONCE) $(SCENARIOS:%=molecule-%)

hosts:
	@tools/ensure-docker
	@tools/images/build clients

$(SCENARIOS:%=molecule-%): molecule-%: .venv/made hosts
	molecule test --scenario-name $*

attack: .venv/made ## Attacks by role, with a table of results; 25 minutes
	@tools/ensure-docker
	@tools/images/build clients
	@tools/scenario attack

faults: .venv/made ## Interrupted runs, fault injection and changes under load, with tables of results; hours (SEED=1)
	@tools/ensure-docker
	@tools/images/build clients
	@INTERRUPT_EVERY=1 EACH_CHANGE=1 molecule test --scenario-name runs
	@tools/scenario faults

drill: .venv/made ## Loss of servers with 3,000 files under load, and their restore; with a table
	@tools/ensure-docker
	@tools/images/build clients
	@DRILL_FILES=3000 tools/scenario backup

bench: .venv/made ## Measure the kit and other set-ups (QUICK=1: 3 minutes instead of 20)
	@tools/ensure-docker
	@tools/images/build
	@QUICK='$(QUICK)' RENDER='$(RENDER)' benchmarks/run

password: .venv/made ## Ask for a password and print its line for users.yml (NAME=alice)
	@tools/password '$(NAME)'

wheels: .venv/made ## Download wheels for servers without internet access (FOLDER=wheels)
	@tools/wheels '$(FOLDER)'

requirements: .venv/made ## Update versions and hashes in all requirements.txt
	@tools/requirements

release: ## Check the requirements of a release: clean tree, VERSION, CHANGELOG.md, tests
	@tools/release check

clean: ## Remove containers, networks and images of the kit from this machine
	@tools/clean

.venv/made: requirements.txt tools/virtualenv
	@tools/virtualenv
	@touch $@
