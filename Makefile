#  The few things that one does with this project; CMake does them (see CMakePresets.json).
#  SPDX-License-Identifier: Apache-2.0
#
#      make demo       build it and watch it work: words counted by a pipeline whose workers die
#      make demo-feed  a feed of lines, whose server is killed under it
#      make test       everything that must hold
#      make install    PREFIX=/usr/local DESTDIR=
#      make bench      PEERS="go tokio" PEERS_DIR=folder ROUNDS=5: other systems in the same rounds
#      make soak       MINUTES=10 SEED=n: the long tests, with faults at random
#      make coverage   which lines of src/ no test reaches
#      make memcheck   the tests under valgrind
#      make docs       write docs/reference/ anew from the headers
#      make format     the sources as .clang-format has them
#      make clean
#
#  Debian packages that are missing are installed when that is allowed (as root, or by sudo).

PREFIX ?= /usr/local
MINUTES ?= 10
ROUNDS ?= 5

LIBRARY_PACKAGES = gcc libc6-dev cmake libczmq-dev libzmq3-dev libjansson-dev libncurses-dev
CASE_PACKAGES = $(LIBRARY_PACKAGES) libcmocka-dev python3 python3-zmq
TEST_PACKAGES = $(CASE_PACKAGES) python3-jsonschema clang clang-format doxygen pkg-config tmux

jobs := $(shell nproc)
sources = $(shell find include src examples tests -name '*.[ch]')

MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.PHONY: demo demo-feed test test-dev test-clang test-asan test-tsan install bench soak coverage memcheck \
	docs format clean

#  WordNet is the text whose words are counted; there is another one where it cannot be had.
demo:
	@$(call need, $(LIBRARY_PACKAGES))
	@($(call need, wordnet-base)) || true
	@$(call build, release)
	examples/demo.sh build/release

demo-feed:
	@$(call need, $(LIBRARY_PACKAGES))
	@$(call build, release)
	examples/feed_demo.sh build/release

#  By `make -k test` all of them run, whichever fails.
test: test-dev test-clang test-asan test-tsan

test-dev test-clang test-asan: test-%:
	@$(call need, $(TEST_PACKAGES))
	@$(call build, $*)
	ctest --preset $*

#  ThreadSanitizer does not know all ways in which newer kernels place memory at random.
test-tsan:
	@$(call need, $(TEST_PACKAGES))
	@$(call build, tsan)
	$(shell setarch -R true 2>/dev/null && echo setarch -R) ctest --preset tsan

install:
	@$(call need, $(LIBRARY_PACKAGES))
	@$(call build, release)
	DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

bench:
	@$(call need, $(LIBRARY_PACKAGES))
	@$(call build, release)
	ROUNDS="$(ROUNDS)" PEERS="$(PEERS)" PEERS_DIR="$(PEERS_DIR)" tests/bench/run build/release

soak: SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
soak:
	@$(call need, $(CASE_PACKAGES))
	@$(call build, soak)
	@$(call build, asan)
	@echo "soak: SEED=$(SEED) MINUTES=$(MINUTES)"
	SEED=$(SEED) MINUTES=$(MINUTES) ctest --preset soak --verbose
	SEED=$(SEED) MINUTES=$(MINUTES) ctest --preset soak-asan --verbose

coverage:
	@$(call need, $(CASE_PACKAGES) gcovr)
	@$(call build, coverage)
	find build/coverage -name '*.gcda' -delete
	-ctest --preset coverage
	gcovr --root . --filter src/ --object-directory build/coverage build/coverage/src

memcheck:
	@$(call need, $(CASE_PACKAGES) valgrind libc6-dbg)
	@$(call build, memcheck)
	ctest --preset memcheck

docs:
	@$(call need, python3 doxygen)
	docs/reference/generate.py

format:
	@$(call need, clang-format)
	clang-format -i $(sources)

clean:
	rm -rf build

#  Configure and build a preset.
build = set -e; cmake --preset $(1) >/dev/null; cmake --build --preset $(1) --parallel $(jobs)

#  See to it that Debian packages are there. On another system, what is missing will say so.
define need
	command -v dpkg-query >/dev/null || exit 0; \
	missing=$$(for package in $(1); do \
	    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || \
	    echo $$package; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then as_root=; \
	elif sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v 2>/dev/null; }; then as_root=sudo; \
	else echo "Packages are missing. Please run, as root:" >&2; \
	    echo "    apt-get update && apt-get install --no-install-recommends" $$missing >&2; \
	    exit 1; \
	fi; \
	echo "Installing" $$missing; \
	$$as_root apt-get -q update && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
	    install --no-install-recommends $$missing
endef
