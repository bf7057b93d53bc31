# SPDX-License-Identifier: Apache-2.0
# Plain GNU make. `make help` lists the targets, CONTRIBUTING.md explains the layout.

VERSION := 0.2.0
SOVERSION := 0

# --- what a caller may set -------------------------------------------------------------------

# CC=clang works. CFLAGS, CPPFLAGS and LDFLAGS are the caller's and come after ours.
CFLAGS ?= -O2 -g
# CROSS=aarch64-linux-gnu: the preload library and the command for that machine, in a folder of their own.
CROSS ?=
TOOL_PREFIX := $(CROSS:%=%-)
ifneq ($(CROSS),)
CC := $(TOOL_PREFIX)gcc
AR := $(TOOL_PREFIX)ar
endif
NM ?= $(TOOL_PREFIX)nm
OBJCOPY ?= $(TOOL_PREFIX)objcopy
OBJDUMP ?= $(TOOL_PREFIX)objdump
STRIP ?= $(TOOL_PREFIX)strip
PKG_CONFIG ?= pkg-config

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man

# SANITIZE=address,undefined or SANITIZE=thread: a build of its own beside the plain one.
SANITIZE ?=
BUILD ?= build$(CROSS:%=-%)$(if $(findstring address,$(SANITIZE)),-asan)$(if $(findstring thread,$(SANITIZE)),-tsan)

# What is expensive and not ours (static parts, Python environment, control plane) is kept here.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/k8slb
# A folder made by third_party/fetch; set: the static parts are built without a network.
THIRD_PARTY_SRC ?=

PYTEST_ARGS ?=
# How many Python tests run side by side: most of them wait. 0: one after the other in one process, as -s and --pdb need it.
WORKERS ?= $(if $(filter -s --pdb,$(PYTEST_ARGS)),0,5)
FUZZ_SECONDS ?= 20
# quick or full: how often the tests repeat what can only be shown by repetition.
K8SLB_TEST_COUNTS ?= quick

# --- flags -----------------------------------------------------------------------------------

# Without the name it was called by: cc and gcc are one compiler.
version_of = $(shell $(1) --version 2>/dev/null | sed 's/^g*cc //;q')
CC_VERSION := $(call version_of,$(CC))
CC_IS_CLANG := $(findstring clang,$(CC_VERSION))
ifneq ($(CROSS),)
$(if $(CC_VERSION),,$(error $(CC) is not here: `scripts/setup libcs` installs it))
endif

# -Wno-maybe-uninitialized: gcc cannot know that a result is 0 or negative, so "outputs are untouched on
# failure" looks like a use of an unset output. clang's analysis and valgrind watch over the real ones.
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef \
	-Wwrite-strings -Wpointer-arith -Wvla -Wformat=2 -Wcast-qual -Wold-style-definition \
	-Wdate-time \
	$(if $(CC_IS_CLANG),,-Wlogical-op -Wduplicated-cond -Wno-maybe-uninitialized)

SANITIZE_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
ifneq ($(findstring undefined,$(SANITIZE)),)
SANITIZE_FLAGS += -fno-sanitize-recover=undefined
endif
# gcc warns that TSan does not model fences; the readers' one is followed by a check that TSan sees.
ifneq ($(findstring thread,$(SANITIZE)),)
SANITIZE_FLAGS += $(if $(CC_IS_CLANG),,-Wno-tsan)
endif

OUR_CPPFLAGS := -D_GNU_SOURCE -DK8SLB_VERSION='"$(VERSION)"' -Ilib
OUR_CFLAGS := -std=gnu11 -pthread $(WARNINGS) $(SANITIZE_FLAGS)
LIBRARY_CFLAGS := -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections
# The shim runs with the libc of any image: no __tls_get_addr, no fortified calls, no stack
# protector, whose symbols differ between libcs; atomics without libgcc, which asks libc how.
# Functions begin with a cache line: else a change anywhere moves hooks by up to 1.5 of 15 ns.
SHIM_CFLAGS := -ftls-model=initial-exec -fno-stack-protector -U_FORTIFY_SOURCE -falign-functions=64 \
	$(if $(findstring aarch64,$(shell $(CC) -dumpmachine 2>/dev/null)),-mno-outline-atomics)
# Of a hook's frames, on whatever stack the program has there; at -O0 and under a sanitizer they are larger.
FRAME_CFLAGS := $(if $(SANITIZE),,$(if $(filter-out -O0,$(filter -O%,$(CFLAGS))),-Wframe-larger-than=2048))
# The command has its libc with it, so it has what the shim cannot: stack protector, fortified calls (which want
# an optimizing compiler), and marks for where a call or a jump may lead (CET, BTI).
CC_MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
COMMAND_CFLAGS := -fPIE -fstack-protector-strong \
	$(if $(SANITIZE),,$(if $(filter-out -O0,$(filter -O%,$(CFLAGS))),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)) \
	$(if $(findstring x86_64,$(CC_MACHINE)),-fcf-protection=full) \
	$(if $(findstring aarch64,$(CC_MACHINE)),-mbranch-protection=standard)
LIBRARY_LDFLAGS := -shared -pthread -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack \
	-Wl,--gc-sections -Wl,-z,start-stop-gc -Wl,--as-needed -Wl,--exclude-libs,ALL -Wl,--hash-style=gnu \
	$(if $(and $(SANITIZE),$(CC_IS_CLANG)),-shared-libsan,-Wl,-z,defs)

COMPILE = $(CC) $(OUR_CPPFLAGS) $(CPPFLAGS) $(OUR_CFLAGS) $(1) $(CFLAGS) -MMD -MP -c $< -o $@
LINK = $(CC) $(OUR_CFLAGS) $(CFLAGS) $(1) $(LDFLAGS)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@)
MAKEFLAGS += --no-print-directory
endif

# --- third parties ---------------------------------------------------------------------------

# The archives are named by everything that shapes them: the recipe and the compiler.
THIRD_PARTY_RECIPE := $(addprefix third_party/,Cargo.lock parts build fetch curl.cmake \
	guest.h guest.c verify.c bundle.c host.c redefine.syms)
third_party_of = $(CACHE)/third_party-$(shell { cat $(THIRD_PARTY_RECIPE); echo '$(call version_of,$(1))'; \
	$(1) -dumpmachine; } 2>/dev/null | sha256sum | cut -c1-12)
THIRD_PARTY := $(call third_party_of,$(CC))
THIRD_PARTY_CPPFLAGS := -isystem $(THIRD_PARTY)/include
THIRD_PARTY_LIBS := $(addprefix $(THIRD_PARTY)/lib/,verify.o bundle.o host.o guest.o libcurl.a libcares.a \
	libssl.a libcrypto.a libcjson.a)

# The system's libraries, asked for on first use only.
SYSTEM_CPPFLAGS = $(eval SYSTEM_CPPFLAGS := $$(patsubst -I%,-isystem %,$$(shell $(PKG_CONFIG) \
	--cflags libcurl libcjson)))$(SYSTEM_CPPFLAGS)
SYSTEM_LIBS = $(eval SYSTEM_LIBS := $$(shell $(PKG_CONFIG) --libs libcurl libcjson))$(SYSTEM_LIBS)

# --- what is missing -------------------------------------------------------------------------

# A build installs what it lacks, once: not in the makes below it, and not in one that only prints (-n).
# make remakes what it includes before all else, and reads everything anew when that is newer: so what is
# said above of a compiler that was not there yet becomes true.
ifneq ($(filter all lib examples programs image,$(or $(MAKECMDGOALS),all)),)
ifeq ($(MAKELEVEL)$(findstring n,$(filter-out -%,$(firstword $(MAKEFLAGS)))),0)
include $(BUILD)/setup.mk
$(BUILD)/setup.mk: FORCE
	@THIRD_PARTY='$(THIRD_PARTY)' THIRD_PARTY_SRC='$(THIRD_PARTY_SRC)' scripts/setup build
	@mkdir -p $(@D)
	@$(if $(CC_VERSION)$(MAKE_RESTARTS),[ -e $@ ] ||) touch $@
endif
endif

# --- sources ---------------------------------------------------------------------------------

# Every .c file of these folders is built: a new file needs no change here.
SHARED_STAGES := base kube sync select table publish pipeline
SHIM_STAGES := $(SHARED_STAGES) pick config engine
ENDPOINTS_STAGES := $(SHARED_STAGES) endpoints

stage_sources = $(sort $(foreach stage,$(1),$(wildcard lib/$(stage)/*.c)))
programs = $(patsubst $(1)/%.c,$(BUILD)/$(2)/%,$(sort $(wildcard $(1)/$(3)*.c)))

CLI_SOURCES := $(sort $(wildcard cli/*.c)) shim/resolv_conf.c \
	$(call stage_sources,$(SHIM_STAGES))
SHIM_SOURCES := $(sort $(wildcard shim/*.c)) $(call stage_sources,$(SHIM_STAGES))
# Of the shim what stands by itself.
UNIT_LIB_SOURCES := $(call stage_sources,$(SHIM_STAGES) endpoints) $(addprefix shim/,asked.c fresh.c libc.c made_up.c patience.c peer_cache.c resolv_conf.c)
ENDPOINTS_SOURCES := $(call stage_sources,$(ENDPOINTS_STAGES))

# Three sets of objects from the same sources: obj/static sees the headers of the static parts, as does
# obj/command, which is hardened; obj/system the system's.
SHIM_OBJECTS := $(SHIM_SOURCES:%.c=$(BUILD)/obj/static/%.o)
CLI_OBJECTS := $(CLI_SOURCES:%.c=$(BUILD)/obj/command/%.o)
UNIT_LIB_OBJECTS := $(UNIT_LIB_SOURCES:%.c=$(BUILD)/obj/static/%.o)
ENDPOINTS_OBJECTS := $(ENDPOINTS_SOURCES:%.c=$(BUILD)/obj/system/%.o)
SUPPORT_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/unit/support/*.c)))

SHIM := $(BUILD)/libk8slb.so
CLI := $(BUILD)/k8slb
SBOM := $(BUILD)/k8slb.spdx.json
ENDPOINTS_SONAME := libk8slb-endpoints.so.$(SOVERSION)
ENDPOINTS_FILE := libk8slb-endpoints.so.$(VERSION)
ENDPOINTS := $(BUILD)/$(ENDPOINTS_FILE)
ENDPOINTS_ARCHIVE := $(BUILD)/libk8slb-endpoints.a
UNIT_LIB := $(BUILD)/libk8slb-unit.a
# A group: curl calls back into our archive (third_party/redefine.syms). Without what nobody calls, as in the library: it
# would want the host's resolver.
group = -Wl,--gc-sections -Wl,--start-group $(1) -Wl,--end-group
UNIT_LIB_GROUP := $(call group,$(UNIT_LIB) $(THIRD_PARTY_LIBS))
# The same with memory that the tests can let fail (tests/unit/support/failing_memory.h).
FAILING_LIBS := $(patsubst %,$(BUILD)/failing/lib%.a,k8slb-unit curl cjson)
FAILING_GROUP := $(call group,$(FAILING_LIBS) $(filter-out %/libcurl.a %/libcjson.a,$(THIRD_PARTY_LIBS)))

# What the shim is linked against instead of the build machine's libc: the symbols of glibc 2.17 that it may
# use, and nothing else. Any other one is an error of the linker. A sanitizer's runtime brings imports of its
# own and runs on this machine only, so those builds are linked as usual.
STUBS := $(addprefix $(BUILD)/imports/,libc.so.6 libpthread.so.0 libdl.so.2)
ifeq ($(SANITIZE),)
SHIM_LDFLAGS := $(LIBRARY_LDFLAGS) -nostdlib -Wl,-z,defs \
	$(if $(CC_IS_CLANG),-Wno-unused-command-line-argument)
SHIM_LIBC := $(STUBS) -lgcc
# Static: no libc of the build machine to be found in the image.
CLI_LDFLAGS := -static-pie
else
SHIM_LDFLAGS := $(LIBRARY_LDFLAGS) -static-libgcc
SHIM_LIBC :=
CLI_LDFLAGS := -static-libgcc -Wl,--as-needed
endif

# The C programs that tests/libcs runs on another libc: by the cross compiler, or on musl by its own.
LIBCS_PROGRAM_NAMES := connect_loop lookup lookups guest
LIBCS_PROGRAMS := $(addprefix $(BUILD)/tests/$(if $(CROSS),libcs,musl)/,$(LIBCS_PROGRAM_NAMES))
ARM64 := aarch64-linux-gnu
OTHER_MACHINE := $(if $(findstring aarch64,$(CC_MACHINE)),x86_64-linux-gnu,$(ARM64))

EXAMPLES := $(call programs,examples,examples)
UNIT_TESTS := $(call programs,tests/unit,tests/unit,test_)
VICTIMS := $(foreach folder,preload hazards failover,$(call programs,tests/$(folder)/programs,tests/programs)) \
	$(patsubst tests/hazards/preload/%.c,$(BUILD)/tests/preload/%.so,$(sort $(wildcard tests/hazards/preload/*.c)))
BENCHES := $(call programs,tests/bench,bench) \
	$(patsubst tests/bench/preload/%.c,$(BUILD)/bench/%.so,$(wildcard tests/bench/preload/*.c))
FUZZERS := $(call programs,tests/fuzz,fuzz,fuzz_)
# What they run that is in no stage.
FUZZED_OBJECTS := $(addprefix $(BUILD)/obj/static/,cli/agent_http.o cli/agent_metrics.o cli/cli.o \
	shim/hosts_file.o shim/resolv_conf.o)
MAN_PAGES := $(wildcard docs/man/*.[1357])
INSTALLED := $(SHIM) $(CLI) $(ENDPOINTS) $(ENDPOINTS_ARCHIVE)

# --- targets ---------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

# Another machine's libcurl and cJSON are not here to link the endpoints library against.
all: $(SHIM) $(CLI) $(SBOM) $(if $(CROSS),,lib) ## build the preload library, the k8slb command and the endpoints library (default)

lib: $(ENDPOINTS) $(ENDPOINTS_ARCHIVE) ## build the endpoints library for C programs

examples: $(EXAMPLES) ## build examples/ against the endpoints library

programs: $(VICTIMS) ## build the small programs that the tests run under the preload library

check: all programs unit structure documents commits ## unit tests, structure rules and documents: no root, no network

unit: $(UNIT_TESTS) ## run the unit tests
	@$(run_unit)

structure: $(SHIM) $(CLI) ## check include rules, exports, needed libraries and sizes
	@scripts/check-structure $(BUILD)

documents: $(CLI) ## check what the documents say of settings and options
	@scripts/check-settings $(BUILD)

commits: ## check the subjects of the commits that are not on the main branch yet
	@scripts/check-commits

test: ## everything: unit tests plain, sanitized and under valgrind, then real programs on a real API server
	@THIRD_PARTY='$(THIRD_PARTY) $(call third_party_of,clang)' scripts/setup test
	@$(MAKE) check
	@$(MAKE) all programs examples
	@$(MAKE) -j2 -Otarget sanitized-builds
	@$(MAKE) -j3 -Otarget tests-of-programs tests-sanitized tests-that-compute

# Lanes side by side. That of programs mostly waits; the others get what is left of the processors, so that
# none of them is idle at the end.
tests-of-programs:
	@$(MAKE) pytest-all
	@$(if $(filter full,$(K8SLB_TEST_COUNTS)),$(MAKE) pytest-refused)

# First what mostly waits, for machines that are emulated: it would leave the processors idle at the end.
tests-sanitized:
	@nice -n 3 $(MAKE) test-libcs WORKERS=3
	@nice -n 3 $(MAKE) pytest-asan WORKERS=3
	@nice -n 3 $(MAKE) pytest-tsan WORKERS=3

tests-that-compute:
	@nice -n 6 $(MAKE) test-asan
	@nice -n 6 $(MAKE) test-tsan
	@nice -n 6 $(MAKE) test-valgrind
	@nice -n 6 $(MAKE) test-clang
	@nice -n 6 $(MAKE) $(if $(filter full,$(K8SLB_TEST_COUNTS)),hazards,hazards-touched)

# Two lanes use them, so neither may be the one that makes them.
sanitized-builds:
	@$(MAKE) SANITIZE=address,undefined sanitized-build
	@$(MAKE) SANITIZE=thread sanitized-build

sanitized-build: $(SHIM) $(CLI) programs $(UNIT_TESTS)

soak: ## the same tests with every count raised, and static analysis
	@$(MAKE) test K8SLB_TEST_COUNTS=full
	@$(MAKE) analysis

analysis: $(BUILD)/programs.inc | $(THIRD_PARTY) ## gcc's and clang's static analysis; scripts/analysis-accepted names what may be found
	@THIRD_PARTY='$(THIRD_PARTY)' scripts/setup analysis
	@scripts/analyse -std=gnu11 $(OUR_CPPFLAGS) -I$(BUILD) $(THIRD_PARTY_CPPFLAGS)

demo: ## watch an unmodified curl follow pods that come and go
	@THIRD_PARTY='$(THIRD_PARTY)' scripts/setup demo
	@$(MAKE) all
	@scripts/demo

bench: ## measure, results as a table and as JSON
	@THIRD_PARTY='$(THIRD_PARTY)' scripts/setup bench
	@$(MAKE) all programs $(BENCHES)
	@scripts/bench

test-asan: ## unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) SANITIZE=address,undefined unit

test-tsan: ## unit tests under ThreadSanitizer
	@$(MAKE) SANITIZE=thread unit

# It knows no pidfd_open(), and begins handlers too slowly for a signal every 70 us: the watchdog's has no end there.
# It sees a wrong access the first time, and is twenty times slower: fewer counts say as much.
test-valgrind: ## unit tests under valgrind
	@$(MAKE) unit K8SLB_TEST_COUNTS=$(if $(filter full,$(K8SLB_TEST_COUNTS)),quick,brief) \
		UNIT_TESTS='$(filter-out %/test_watchdog,$(UNIT_TESTS))' \
		UNIT_RUNNER='valgrind -q --error-exitcode=99 --leak-check=full --child-silent-after-fork=yes'

test-clang: ## build with clang, and run every fuzzer for a moment
	@$(MAKE) CC=clang BUILD=$(BUILD)-clang all structure
	@$(MAKE) fuzz FUZZ_SECONDS=$(if $(filter full,$(K8SLB_TEST_COUNTS)),60,3)

test-libcs: ## the preload library on older and newer glibc, on musl and on arm64
	@THIRD_PARTY='$(THIRD_PARTY) $(call third_party_of,$(ARM64)-gcc)' scripts/setup libcs
	@$(MAKE) all $(LIBCS_PROGRAMS)
	@$(MAKE) CROSS=$(ARM64) BUILD=$(BUILD)-$(ARM64) all libcs-programs structure
	@$(MAKE) image-of-both
	@$(call run_pytest,tests/libcs)

# The image has both machines: this one and, by the cross compiler, the other.
image: all ## the OCI image with library and command, for amd64 and arm64, in build/image; needs no daemon
	@THIRD_PARTY='$(THIRD_PARTY) $(call third_party_of,$(OTHER_MACHINE)-gcc)' scripts/setup image
	@$(MAKE) CROSS=$(OTHER_MACHINE) BUILD=$(BUILD)-$(OTHER_MACHINE) all
	@$(MAKE) image-of-both

image-of-both:
	$(call say,OCI)
	$(Q)scripts/make-image $(VERSION) $(BUILD)/image $(BUILD) $(BUILD)-$(OTHER_MACHINE)
	$(Q)skopeo inspect --raw oci:$(BUILD)/image:$(VERSION) > /dev/null

hazards: all programs ## take out one defence at a time: its test must fail
	@THIRD_PARTY='$(THIRD_PARTY)' scripts/setup test
	@scripts/check-hazards --build $(BUILD)

hazards-touched: all programs ## the same for the folders that a change touches
	@scripts/check-hazards --build $(BUILD) --touched

libcs-programs: $(LIBCS_PROGRAMS)

# Each worker goes through scripts/in-netns by itself (tests/conftest.py).
run_pytest = PATH="$(VENV)/bin:$$PATH" $(2) $(if $(filter 0,$(WORKERS)),scripts/in-netns) $(VENV)/bin/python -m pytest \
	-n$(WORKERS) $(1) --build-dir=$(abspath $(BUILD)) $(PYTEST_ARGS)

# Of any build: make pytest SANITIZE=thread PYTEST_ARGS='-k connect'. A path in them is all that is run, without one it
# is what pytest.ini says.
pytest: all programs examples $(UNIT_TESTS) ## run the Python tests (PYTEST_ARGS='-k name' chooses)
	@THIRD_PARTY='$(THIRD_PARTY)' scripts/setup test
	@$(MAKE) pytest-all

pytest-all:
	@$(call run_pytest,--ignore=tests/libcs)

# As in most containers: no watchdog with a descriptor table of its own, but one that shares the program's, or none.
pytest-refused:
	@$(call run_pytest,tests/hazards tests/preload tests/failover --cluster=double -m 'not own_table',$(VENV)/bin/python -m tests.failover.in_container only:pidfd_getfd)

# Hooks, the agent and writers that end, watched. Tests that have no meaning then are marked so.
pytest-asan:
	@$(MAKE) SANITIZE=address,undefined pytest-sanitized

# Without these ThreadSanitizer ends children of fork() that start a thread, as ours do, and holds every
# program for a second at its end.
pytest-tsan: export TSAN_OPTIONS := die_after_fork=0:atexit_sleep_ms=0
pytest-tsan:
	@$(MAKE) SANITIZE=thread pytest-sanitized

SANITIZED_TESTS := tests/preload tests/failover tests/agent \
	$(addprefix tests/shared_table/test_,hostile_segments.py kill_storm.py writer_ends.py)

pytest-sanitized: $(SHIM) $(CLI) programs
	@$(call run_pytest,$(SANITIZED_TESTS) --cluster=double -m 'not unsanitized')

audit: ## the static parts and what has been published since (exit code: whether there is something)
	@scripts/audit

fuzz: ## run every fuzzer for FUZZ_SECONDS (needs clang)
	@command -v clang > /dev/null || { echo "fuzz: clang is needed (scripts/setup test)" >&2; exit 1; }
	@$(MAKE) CC=clang BUILD=$(BUILD)-fuzz SANITIZE=fuzzer-no-link,address,undefined run-fuzzers

run-fuzzers: $(FUZZERS)
	@set -e; for fuzzer in $^; do \
		corpus=tests/fuzz/corpus/$$(basename $$fuzzer); found=$(BUILD)/corpus/$$(basename $$fuzzer); \
		mkdir -p $$found; [ -d $$corpus ] || corpus=; \
		dict=tests/fuzz/$$(basename $$fuzzer).dict; [ -e $$dict ] && dict=-dict=$$dict || dict=; \
		printf '  %-8s %s\n' FUZZ $$(basename $$fuzzer); \
		$$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
			-print_final_stats=1 -artifact_prefix=$(BUILD)/ $$dict $$found $$corpus 2> $$found.log || \
			{ cat $$found.log >&2; exit 1; }; \
	done

# Builds nothing: root has another cache, another environment, and no business in the build folder.
install: ## install below PREFIX what make has built (DESTDIR is honoured)
	@for file in $(INSTALLED); do \
		[ -e $$file ] || { echo "install: $$file is missing: run make first" >&2; exit 1; }; \
	done
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)
	install -m 755 $(CLI) $(DESTDIR)$(BINDIR)
	install -m 755 $(SHIM) $(ENDPOINTS) $(DESTDIR)$(LIBDIR)
	ln -sf $(ENDPOINTS_FILE) $(DESTDIR)$(LIBDIR)/$(ENDPOINTS_SONAME)
	ln -sf $(ENDPOINTS_SONAME) $(DESTDIR)$(LIBDIR)/libk8slb-endpoints.so
	install -m 644 $(ENDPOINTS_ARCHIVE) $(DESTDIR)$(LIBDIR)
	install -m 644 lib/endpoints/k8slb.pc.in $(DESTDIR)$(LIBDIR)/pkgconfig/k8slb.pc
	sed -i -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' $(DESTDIR)$(LIBDIR)/pkgconfig/k8slb.pc
	install -m 644 lib/k8slb.h $(DESTDIR)$(INCLUDEDIR)
	$(foreach page,$(MAN_PAGES),install -D -m 644 $(page) \
		$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page));)

uninstall: ## remove what install put there
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libk8slb.so $(ENDPOINTS_FILE) $(ENDPOINTS_SONAME) \
		libk8slb-endpoints.so libk8slb-endpoints.a pkgconfig/k8slb.pc) \
		$(DESTDIR)$(INCLUDEDIR)/k8slb.h $(DESTDIR)$(BINDIR)/k8slb
	$(foreach page,$(MAN_PAGES),\
		rm -f $(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page));)

clean: ## remove the build folders (the cache stays)
	rm -rf $(BUILD) $(addprefix $(BUILD)-,asan tsan clang fuzz $(ARM64))

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.PHONY: all lib examples programs audit check unit structure documents commits test tests-of-programs tests-sanitized \
	tests-that-compute sanitized-builds sanitized-build soak demo bench test-asan test-tsan test-valgrind test-clang test-libcs \
	image image-of-both libcs-programs hazards hazards-touched pytest pytest-all pytest-refused pytest-asan pytest-tsan \
	pytest-sanitized fuzz run-fuzzers install uninstall clean help FORCE

# --- running the unit tests ------------------------------------------------------------------

UNIT_RUNNER ?=
UNIT_JOBS ?= 2
UNIT_TIMEOUT ?= $(if $(filter full,$(K8SLB_TEST_COUNTS)),3600,600)

# One line per program; the output of a failed one follows it.
define run_unit
printf '%s\0' $(UNIT_TESTS) | xargs -0 -n 1 -P $(UNIT_JOBS) sh -c ' \
	if timeout $(UNIT_TIMEOUT) $(UNIT_RUNNER) "$$0" > "$$0.log" 2>&1; then \
		printf "  %-8s %s\n" PASS "$$(basename "$$0")"; \
	else \
		printf "  %-8s %s (exit code %s)\n" FAIL "$$(basename "$$0")" $$?; cat "$$0.log"; exit 1; \
	fi'
endef

export K8SLB_TEST_COUNTS
export CACHE
VENV = $(eval VENV := $$(shell scripts/setup venv-path))$(VENV)

# --- rules -----------------------------------------------------------------------------------

$(THIRD_PARTY):
	$(Q)CC='$(CC)' AR='$(AR)' NM='$(NM)' OBJCOPY='$(OBJCOPY)' OBJDUMP='$(OBJDUMP)' \
		THIRD_PARTY_SRC='$(THIRD_PARTY_SRC)' third_party/build $@

$(SBOM): scripts/audit third_party/parts third_party/Cargo.lock $(BUILD)/flags
	$(call say,SPDX)
	$(Q)scripts/audit --spdx $(VERSION) $@

# Objects depend on how they are made: another compiler or other flags rebuild them.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(foreach word,$(CC) $(CC_VERSION) $(OUR_CPPFLAGS) $(CPPFLAGS) $(OUR_CFLAGS) \
		$(LIBRARY_CFLAGS) $(SHIM_CFLAGS) $(FRAME_CFLAGS) $(GO_ROOM) $(COMMAND_CFLAGS) $(CFLAGS) $(THIRD_PARTY),'$(subst ','\'',$(word))') > $@.$$$$; \
		cmp -s $@.$$$$ $@ && rm $@.$$$$ || mv $@.$$$$ $@

$(BUILD)/obj/static/%.o: %.c $(BUILD)/flags | $(THIRD_PARTY)
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(call COMPILE,$(LIBRARY_CFLAGS) $(SHIM_CFLAGS) $(THIRD_PARTY_CPPFLAGS))

# private: else the flags, a prerequisite, would be noted with them or without, as the goal wants, and all is made again.
$(addprefix $(BUILD)/obj/static/,$(addsuffix /%.o,shim lib/table lib/pick lib/config)): private SHIM_CFLAGS += $(FRAME_CFLAGS)

# What can be reached from a patched Go program (shim/go_choose.h) leaves Go's own in the other registers alone.
GO_ROOM := $(addprefix shim/,go_choose asked denied failover process patience) \
	$(addprefix lib/,base/address base/service_ref base/vdso table/reader) \
	$(addprefix lib/pick/,affinity avoid choose health pick)
$(GO_ROOM:%=$(BUILD)/obj/static/%.o): private SHIM_CFLAGS += $(if $(SANITIZE),,-mgeneral-regs-only)

# One list for injection and for the command.
$(BUILD)/programs.inc: cli/programs.awk deploy/chart/files/programs.yaml
	@mkdir -p $(@D)
	$(Q)awk -f $^ > $@

$(BUILD)/obj/command/cli/check_dislikes.o: private OUR_CPPFLAGS += -I$(BUILD)
$(BUILD)/obj/command/cli/check_dislikes.o: $(BUILD)/programs.inc

$(BUILD)/obj/command/%.o: %.c $(BUILD)/flags | $(THIRD_PARTY)
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(call COMPILE,$(LIBRARY_CFLAGS) $(COMMAND_CFLAGS) $(THIRD_PARTY_CPPFLAGS))

$(BUILD)/obj/system/%.o: %.c $(BUILD)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(call COMPILE,$(LIBRARY_CFLAGS) $(SYSTEM_CPPFLAGS))

$(BUILD)/obj/tests/%.o: tests/%.c $(BUILD)/flags | $(THIRD_PARTY)
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(call COMPILE,-Itests/unit -Ishim $(THIRD_PARTY_CPPFLAGS))

$(BUILD)/obj/examples/%.o: examples/%.c $(BUILD)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(call COMPILE,$(SYSTEM_CPPFLAGS))

# The shipped files are stripped; a debugger finds the symbols beside them.
define strip_to_debug
$(Q)$(STRIP) --strip-unneeded -o $@.new $@.debug
$(Q)$(OBJCOPY) --only-keep-debug $@.debug
$(Q)$(OBJCOPY) --add-gnu-debuglink=$@.debug $@.new
$(Q)mv $@.new $@
endef

$(STUBS) &: shim/imports/make-stubs shim/imports/symbols $(BUILD)/flags
	$(Q)CC='$(CC)' $< $(BUILD)/imports

# -z nodelete: our thread runs this code, so a dlclose() must not unmap it.
$(SHIM): $(SHIM_OBJECTS) shim/shim.map $(STUBS) | $(THIRD_PARTY)
	$(call say,LD)
	$(Q)$(call LINK,$(SHIM_LDFLAGS)) -Wl,-z,nodelete -Wl,-soname,libk8slb.so \
		-Wl,--version-script=shim/shim.map -o $@.debug $(SHIM_OBJECTS) $(THIRD_PARTY_LIBS) $(SHIM_LIBC)
	$(strip_to_debug)

$(CLI): $(CLI_OBJECTS) | $(THIRD_PARTY)
	$(call say,LD)
	$(Q)$(call LINK,$(CLI_LDFLAGS)) -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack \
		-Wl,--gc-sections -Wl,-z,start-stop-gc -o $@.debug $(CLI_OBJECTS) $(THIRD_PARTY_LIBS)
	$(strip_to_debug)

$(ENDPOINTS): $(ENDPOINTS_OBJECTS) lib/endpoints/k8slb-endpoints.map
	$(call say,LD)
	$(Q)$(call LINK,$(LIBRARY_LDFLAGS)) -static-libgcc -Wl,-soname,$(ENDPOINTS_SONAME) \
		-Wl,--version-script=lib/endpoints/k8slb-endpoints.map -o $@ $(ENDPOINTS_OBJECTS) $(SYSTEM_LIBS)
	$(Q)ln -sf $(ENDPOINTS_FILE) $(BUILD)/$(ENDPOINTS_SONAME)
	$(Q)ln -sf $(ENDPOINTS_SONAME) $(BUILD)/libk8slb-endpoints.so

$(ENDPOINTS_ARCHIVE): $(ENDPOINTS_OBJECTS)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(UNIT_LIB): $(UNIT_LIB_OBJECTS)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(ENDPOINTS)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(call LINK) -o $@ $< -L$(BUILD) -lk8slb-endpoints -Wl,-rpath,'$$ORIGIN/..' \
		-Wl,--as-needed $(SYSTEM_LIBS)

$(BUILD)/failing/libk8slb-unit.a: $(UNIT_LIB) tests/unit/support/failing_memory.syms
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --redefine-syms=tests/unit/support/failing_memory.syms $< $@

$(BUILD)/failing/lib%.a: $(THIRD_PARTY)/lib/lib%.a tests/unit/support/failing_memory.syms $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --redefine-syms=tests/unit/support/failing_memory.syms $< $@

$(THIRD_PARTY)/lib/%.a: | $(THIRD_PARTY) ;

$(BUILD)/tests/unit/test_no_memory_%: $(BUILD)/obj/tests/unit/test_no_memory_%.o $(SUPPORT_OBJECTS) $(FAILING_LIBS)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(call LINK) -o $@ $< $(SUPPORT_OBJECTS) $(FAILING_GROUP) -lcmocka

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(SUPPORT_OBJECTS) $(UNIT_LIB)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(call LINK) -o $@ $< $(SUPPORT_OBJECTS) $(UNIT_LIB_GROUP) -lcmocka

$(BUILD)/tests/programs/%: $(BUILD)/obj/tests/failover/programs/%.o
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(call LINK) -o $@ $< -pthread

$(BUILD)/tests/programs/%: $(BUILD)/obj/tests/preload/programs/%.o
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(call LINK) -o $@ $< -ldl

# Of the tests, as another libc runs them.
define link_guest
$(call say,LD)
@mkdir -p $(@D)
$(Q)$(1) $(OUR_CPPFLAGS) $(CPPFLAGS) -std=gnu11 -pthread $(WARNINGS) $(CFLAGS) -o $@ $<
endef

$(BUILD)/tests/libcs/%: tests/preload/programs/%.c $(BUILD)/flags
	$(call link_guest,$(CC))

$(BUILD)/tests/libcs/%: tests/libcs/programs/%.c $(BUILD)/flags
	$(call link_guest,$(CC))

$(BUILD)/tests/musl/%: tests/preload/programs/%.c $(BUILD)/flags
	$(call link_guest,musl-gcc)

$(BUILD)/tests/musl/%: tests/libcs/programs/%.c $(BUILD)/flags
	$(call link_guest,musl-gcc)

# -rdynamic: what a program of the tests defines can stand in for a library's, as a program's own OpenSSL does.
$(BUILD)/tests/programs/%: $(BUILD)/obj/tests/hazards/programs/%.o
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(call LINK) -rdynamic -o $@ $< -ldl -pthread

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(UNIT_LIB)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(call LINK) -o $@ $< $(UNIT_LIB_GROUP) -ldl

# Preloaded beside the shim. No flags of a sanitizer: they go into programs without one.
PRELOAD_BESIDE = $(CC) $(OUR_CPPFLAGS) $(CPPFLAGS) -std=gnu11 $(WARNINGS) $(CFLAGS) -fPIC -shared -o $@ $< -ldl

$(BUILD)/bench/%.so: tests/bench/preload/%.c $(wildcard tests/bench/preload/*.h) $(BUILD)/flags
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(PRELOAD_BESIDE)

$(BUILD)/tests/preload/%.so: tests/hazards/preload/%.c $(BUILD)/flags
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(PRELOAD_BESIDE)

$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(FUZZED_OBJECTS) $(UNIT_LIB)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(call LINK,-fsanitize=fuzzer) -o $@ $< $(FUZZED_OBJECTS) $(UNIT_LIB_GROUP)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
