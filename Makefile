# The commands of the kit. `make help` lists them.

SHELL := /bin/sh
PORT ?=
PYTHON ?=
NAME ?=
SEED ?=
FOLDER ?= wheels
# All but the long ones: make faults, make attack.
SCENARIOS := $(filter-out attack faults,$(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml))))

# Programs of the virtualenv first; Molecule's state and Ansible's in this folder.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_HOME := $(CURDIR)/.ansible
export PORT PYTHON SEED
export MOLECULE_COMMAND_BORDERS := 0

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit molecule $(SCENARIOS:%=molecule-%) attack faults bench password wheels requirements
.PHONY: release clean

help: ## List the commands
	@sed -n 's/^\([a-z%-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

demo: .venv/made ## Everything from nothing: a practice server, a first upload and install (PORT=8443)
	@tools/engine
	@tools/images/build
	@tools/demo

# One after another, also with --jobs; `make release` reads what end-tests records.
test: .venv/made ## Everything that must hold: lint, unit, molecule
	@tools/release begin-tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory molecule
	@tools/release end-tests

lint: .venv/made ## Static checks: ruff, yamllint, ansible-lint, shellcheck; a minute
	ruff check .
	ruff format --check .
	yamllint --strict .
	ansible-lint -q
	@tools/shellcheck

unit: .venv/made ## Modules, templates and specs, without a machine; seconds
	python -m pytest

molecule: $(SCENARIOS:%=molecule-%) ## Real hosts, Debian 12 and 13: every scenario; minutes

$(SCENARIOS:%=molecule-%): molecule-%: .venv/made
	@tools/engine
	@tools/images/build clients
	molecule test --scenario-name $*

attack: .venv/made ## Attack it by role; a table of what it withstood; 25 minutes
	@tools/engine
	@tools/images/build clients
	@tools/attack

faults: .venv/made ## Break it on purpose, again and again; a table of what was lost; 40 minutes (SEED=1)
	@tools/engine
	@tools/images/build clients
	@INTERRUPT_EVERY=1 molecule test --scenario-name runs
	@tools/faults

bench: .venv/made ## Measure the kit beside other set-ups (QUICK=1: little of everything, 3 minutes)
	@tools/engine
	@tools/images/build
	@QUICK='$(QUICK)' RENDER='$(RENDER)' benchmarks/run

password: .venv/made ## Ask for a password and print its line for users.yml (NAME=alice)
	@tools/password '$(NAME)'

wheels: .venv/made ## Download what servers install, for those without a way out (FOLDER=wheels)
	@tools/wheels '$(FOLDER)'

requirements: .venv/made ## Take the newest versions into requirements.txt and its like
	@tools/requirements

release: ## Check what a release needs: clean tree, VERSION and CHANGELOG.md, tests of this commit
	@tools/release check

clean: ## Remove what the kit has started on this machine
	@tools/clean

.venv/made: requirements.txt tools/virtualenv
	@tools/virtualenv
	@touch $@
