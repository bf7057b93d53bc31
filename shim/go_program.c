// SPDX-License-Identifier: Apache-2.0
#include "go_program.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/go_note.h"
#include "base/keep_errno.h"
#include "base/raw_syscall.h"
#include "base/vdso.h"
#include "engine/log_file.h"
#include "go_stub.h"
#include "libc.h"
#include "process.h"
#include "provider.h"
#include "state.h"

static bool patched;

bool go_program_is_patched(void)
{
	return patched;
}

/* A sanitizer's code is in everything that it compiles, what runs on Go's threads too. */
#if defined(GO_PATTERN) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAN_PATCH 1
#else
#define CAN_PATCH 0
#endif

#if CAN_PATCH

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* Linux 4.17; before, a wish like any other */
#endif

/* How far below the program room for the stub is looked for: Go's text is large, a jump's reach
 * larger. Below, because above it the heap of brk(2) grows. */
#define STEP	   0x10000l
#define MOST_STEPS 1024

#define MOST_TEXT 0x400000u /* of a segment that is searched */

static const uint8_t pattern[] = {GO_PATTERN};
static uint8_t busy[GO_SLOTS];

/* The main program, as the kernel and the loader have it. */
struct program {
	uintptr_t bias;
	const ElfW(Phdr) *segments;
	unsigned count;
};

static bool find_program(struct program *ret_program)
{
	const ElfW(Phdr) *segments = (const void *)getauxval(AT_PHDR);
	unsigned count = (unsigned)getauxval(AT_PHNUM);

	if (!segments || getauxval(AT_PHENT) != sizeof(*segments))
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (segments[i].p_type == PT_PHDR) {
			*ret_program = (struct program){
				.bias = (uintptr_t)segments - segments[i].p_vaddr,
				.segments = segments,
				.count = count,
			};
			return true;
		}
	}
	return false;
}

/* @size bytes at @address lie in a part of the program that may be read. */
static bool is_readable(const struct program *program, uintptr_t address, size_t size)
{
	for (unsigned i = 0; i < program->count; i++) {
		const ElfW(Phdr) *segment = &program->segments[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_R) &&
		    address >= segment->p_vaddr && size <= segment->p_filesz &&
		    address - segment->p_vaddr <= segment->p_filesz - size)
			return true;
	}
	return false;
}

static bool is_go(const struct program *program)
{
	for (unsigned i = 0; i < program->count; i++) {
		const ElfW(Phdr) *segment = &program->segments[i];

		if (segment->p_type == PT_NOTE &&
		    is_readable(program, segment->p_vaddr, segment->p_filesz) &&
		    go_note_is_in((const void *)(program->bias + segment->p_vaddr),
				  segment->p_filesz))
			return true;
	}
	return false;
}

/* Private memory that is not there yet, to be written. */
static void *map(uintptr_t address, size_t size, int flags)
{
	void *memory = mmap((void *)address, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Go's C half is libc's: the program is built with cgo, and is not a PIE with CGO_ENABLED=0. */
static bool needs_libc(const struct program *program)
{
	const ElfW(Dyn) *dynamic = NULL;
	const char *names = NULL;

	for (unsigned i = 0; i < program->count; i++) {
		if (program->segments[i].p_type == PT_DYNAMIC)
			dynamic = (const void *)(program->bias + program->segments[i].p_vaddr);
	}
	/* The loader has made addresses of the file's offsets in it, by now (glibc). */
	for (const ElfW(Dyn) *entry = dynamic; entry && entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_STRTAB)
			names = (const void *)entry->d_un.d_ptr;
	}
	for (const ElfW(Dyn) *entry = dynamic; names && entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_NEEDED &&
		    strcmp(names + entry->d_un.d_val, "libc.so.6") == 0)
			return true;
	}
	return false;
}

/* What a debugger or an uprobe has put into it would be met where nobody expects it: SIGTRAP. */
static bool is_as_in_file(const struct program *program, const uint8_t *text, size_t size)
{
	uintptr_t address = (uintptr_t)text - program->bias;
	bool equal = false;
	uint8_t *read = map(0, size, 0);
	long fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);

	for (unsigned i = 0; read && fd >= 0 && i < program->count; i++) {
		const ElfW(Phdr) *segment = &program->segments[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) &&
		    address - segment->p_vaddr < segment->p_filesz)
			equal = raw_syscall(SYS_pread64, fd, read, size,
					    segment->p_offset + (address - segment->p_vaddr)) ==
					(long)size &&
				memcmp(read, text, size) == 0;
	}
	if (fd >= 0)
		raw_syscall(SYS_close, fd);
	if (read)
		munmap(read, size);
	return equal;
}

/*
 * The only place of the pattern, or why there is none. Go's runtime comes first in its text: in what was
 * looked at within 0.6 MiB. Of a large program no more than that is read, which it would not have
 * been otherwise; what stands twice beyond it is equal, and only not balanced.
 */
static const char *find_function(const struct program *program, uint8_t **ret_function)
{
	uint8_t *function = NULL;

	for (unsigned i = 0; i < program->count; i++) {
		const ElfW(Phdr) *segment = &program->segments[i];
		uint8_t *at = (void *)(program->bias + segment->p_vaddr);
		uint8_t *end = at + (segment->p_filesz < MOST_TEXT ? segment->p_filesz : MOST_TEXT);

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		if (!(segment->p_flags & PF_R))
			return "its text may not be read";
		while ((at = memmem(at, (size_t)(end - at), pattern, sizeof(pattern)))) {
			if (function)
				return "the function that makes its system calls is there twice";
			function = at++;
		}
	}
	if (!function || (uintptr_t)function % GO_TEXT_ALIGNED)
		return "the function that makes its system calls is not known";
	*ret_function = function;
	return NULL;
}

static bool make_executable(void *memory, size_t size)
{
	uint8_t *begin = memory;

	__builtin___clear_cache((char *)begin, (char *)begin + size);
	return raw_syscall(SYS_mprotect, memory, size, PROT_READ | PROT_EXEC) == 0;
}

/* A page that a jump of the function reaches, to be written. */
static uint8_t *map_beside(const struct program *program, const uint8_t *function, size_t page)
{
	uintptr_t lowest = UINTPTR_MAX;

	for (unsigned i = 0; i < program->count; i++) {
		uintptr_t begin = program->bias + program->segments[i].p_vaddr;

		if (program->segments[i].p_type == PT_LOAD && begin < lowest)
			lowest = begin;
	}
	lowest &= ~(uintptr_t)(STEP - 1);
	for (uintptr_t steps = 1; steps <= MOST_STEPS && lowest > (steps + 1) * STEP; steps++) {
		uintptr_t wanted = lowest - steps * STEP;
		uint8_t *got;

		if ((uintptr_t)function - wanted > GO_REACH)
			return NULL;
		got = map(wanted, page, MAP_FIXED_NOREPLACE);
		if (got && (uintptr_t)got == wanted)
			return got;
		if (got)
			munmap(got, page);
	}
	return NULL;
}

/* In place of an instruction: a jump to what is near by. */
static void put_jump(uint8_t *copy, const uint8_t *function, unsigned at, unsigned size,
		     const uint8_t *target)
{
	const uint8_t *from = function + at;
#if defined(__x86_64__)
	int32_t distance = (int32_t)(target - (from + 5));

	copy[at] = 0xe9;
	memcpy(copy + at + 1, &distance, sizeof(distance));
	memset(copy + at + 5, 0x90, size - 5);
#else
	uint32_t word = 0x14000000u | ((uint32_t)((target - from) / 4) & 0x03ffffffu);

	memcpy(copy + at, &word, size);
#endif
}

/* The stub beside the program, ready to be jumped to; NULL: it cannot be had. */
static uint8_t *make_stub(const struct program *program, uint8_t *function, struct go_slot *slots,
			  size_t page)
{
	size_t size = (size_t)(go_stub_end - go_stub_begin);
	struct go_links links = {
		.choose = go_choose,
		.failed = go_failed,
		.slots = slots,
		.busy = busy,
		.back_before = (uintptr_t)function + GO_BEFORE + GO_BEFORE_SIZE,
		.back_after = (uintptr_t)function + GO_AFTER + GO_AFTER_SIZE,
		.again = (uintptr_t)function + GO_AGAIN,
	};
	uint8_t *stub = size <= page ? map_beside(program, function, page) : NULL;

	if (!stub)
		return NULL;
	memcpy(stub, go_stub_begin, size);
	memcpy(stub + (go_stub_links - go_stub_begin), &links, sizeof(links));
	if (make_executable(stub, page))
		return stub;
	munmap(stub, page);
	return NULL;
}

/* Puts a copy of the function's pages with the jumps into their place, in one step of the kernel's. */
static bool replace_text(uint8_t *function, const uint8_t *stub, size_t page)
{
	uint8_t *text = function - (uintptr_t)function % page;
	size_t at = (size_t)(function - text);
	size_t size = (at + sizeof(pattern) + page - 1) / page * page;
	uint8_t *copy = map(0, size, 0);

	if (!copy)
		return false;
	memcpy(copy, text, size);
	put_jump(copy + at, function, GO_BEFORE, GO_BEFORE_SIZE,
		 stub + (go_stub_before - go_stub_begin));
	put_jump(copy + at, function, GO_AFTER, GO_AFTER_SIZE,
		 stub + (go_stub_after - go_stub_begin));
	/* Before the program's own is touched: what refuses this (SELinux's execmem, PaX, a seccomp
	 * filter, PR_SET_MDWE) would refuse it after a change of the text itself as well, and that
	 * would be a program that can neither be run nor be put back. */
	if (make_executable(copy, size) &&
	    raw_syscall(SYS_mremap, copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, text) >= 0) {
		__builtin___clear_cache((char *)text, (char *)text + size);
		return true;
	}
	munmap(copy, size);
	return false;
}

/* NULL, or why nothing was changed. */
static const char *patch(const struct program *program)
{
	static const char no_memory[] = "memory for it is not to be had";
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *function;
	uint8_t *stub;
	struct go_slot *slots;
	const char *why = find_function(program, &function);

#if defined(__aarch64__)
	/* There Go's handlers take the goroutine from a register, which C uses. */
	if (!needs_libc(program))
		why = "it was built without cgo";
#endif

	if (why)
		return why;
	if (!is_as_in_file(program, function - (uintptr_t)function % page, page))
		return "its text is not the file's";
	slots = map(0, (size_t)GO_SLOTS * GO_SLOT_SIZE, MAP_NORESERVE);
	if (!slots)
		return no_memory;
	stub = make_stub(program, function, slots, page);
	if (stub && replace_text(function, stub, page))
		return NULL;
	if (stub)
		munmap(stub, page);
	munmap(slots, (size_t)GO_SLOTS * GO_SLOT_SIZE);
	return stub ? "memory that may be executed is not to be had" : no_memory;
}

void go_program_init(void)
{
	KEEP_ERRNO();
	struct program program;
	char line[LOG_LINE_SIZE];
	uint64_t began_us;
	const char *why;

	if (shim.config.go != GO_AUTO || !libc_is_glibc() || !find_program(&program) ||
	    !is_go(&program))
		return;
	began_us = clock_monotonic_us();
	vdso_init();
	why = patch(&program);
	if (why) {
		snprintf(line, sizeof(line),
			 "this Go program's connections are not balanced: %s", why);
		log_file_write(&shim.config, LOG_LEVEL_ERROR, line);
		return;
	}
	patched = true;
	snprintf(line, sizeof(line), "this Go program's connections are balanced (%llu us)",
		 (unsigned long long)(clock_monotonic_us() - began_us));
	log_file_write(&shim.config, LOG_LEVEL_INFO, line);
	if (provider_is_agent())
		shim.link.look = agent_table;
	shim.link.unhooked = true;
	shim.link.compares_rights = !needs_libc(&program);
	engine_state_start(process_current());
}

#else

void go_program_init(void)
{
}

#endif
