# The project's tasks. `make demo` and `make test` need Python, its headers and a C compiler, and set up the rest.
#
#   PYTHON=python3.12    another interpreter
#   ARGS="-k close"      more arguments for the program that is run

PYTHON ?= python3
SOURCES := $(shell find src -name '*.py' -o -name '*.pxd' -o -name '*.h') setup.py pyproject.toml

.NOTPARALLEL:
.PHONY: help demo test test-compiled test-pure stress lint bench clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /  make \1\t/p' Makefile | expand -t 24

demo: .venv/installed  ## the main job: a thousand connections, every byte checked
	.venv/bin/python examples/thousand.py $(ARGS)

test: test-compiled test-pure  ## the tests, on both builds

test-compiled: .venv/installed  ## the tests, compiled
	GRT_EXPECT_BUILD=compiled .venv/bin/python -m pytest $(ARGS)

test-pure: .venv-pure/installed  ## the tests, in plain Python
	GRT_EXPECT_BUILD=pure .venv-pure/bin/python -m pytest $(ARGS)

stress: .venv/installed  ## goroutines of several threads, hard at work (ARGS="--seconds 600 --procs 4")
	.venv/bin/python -m tests.stress $(ARGS)

lint: .venv-lint/installed  ## format, lint, types, and a line in the CHANGELOG for a change under src/
	.venv-lint/bin/ruff check .
	.venv-lint/bin/ruff format --check .
	.venv-lint/bin/mypy
	@changed=$$(git diff --name-only $$(git merge-base HEAD @{upstream} 2>/dev/null || echo HEAD)) && \
	case "$$changed" in \
	*CHANGELOG.md*) ;; \
	*src/*) echo "src/ has changed: say in CHANGELOG.md what that means to a user"; exit 1 ;; \
	esac

bench:  ## grt beside its peers (--quick for a glance); results go to docs/
	$(PYTHON) -m bench $(ARGS)

clean:  ## forget all that the above have made
	rm -rf .venv .venv-pure .venv-lint build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache

# A real install, not an editable one, in which a stale extension would win over an edited .py; and from a clean
# build/lib, from which setuptools would pack modules that are gone.
.venv-pure/installed .venv-lint/installed: export GRT_PURE = 1
.venv-lint/installed: EXTRAS = ,lint
.venv/installed .venv-pure/installed .venv-lint/installed: $(SOURCES)
	@test -x $(@D)/bin/pip || $(PYTHON) -m venv --clear $(@D) || { \
	echo "This Python cannot make a virtual environment. On Debian: apt install python3-venv"; exit 1; }
	rm -rf build/lib* build/bdist*
	$(@D)/bin/pip install --quiet --disable-pip-version-check '.[test$(EXTRAS)]'
	@touch $@
