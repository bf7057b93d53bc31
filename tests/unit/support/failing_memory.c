// SPDX-License-Identifier: Apache-2.0
#include "support/failing_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* More than any scenario has: one that never runs without a failure would not end. */
#define MOST_ALLOCATIONS 100000u

static struct {
	unsigned count; /* allocations of this run */
	unsigned first;
	unsigned fails_at; /* the number of the first that fails; 0: none does */
	bool fails_on;	   /* and all after it */
	bool has_failed;
	bool running;
	long blocks; /* that were not freed yet, of all runs */
} memory;

void *failing_malloc(size_t size);
void *failing_calloc(size_t count, size_t size);
void *failing_realloc(void *old, size_t size);
char *failing_strdup(const char *text);
void *failing_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);

static bool refused(void)
{
	memory.count++;
	if (!memory.fails_at || memory.count < memory.fails_at ||
	    (memory.count > memory.fails_at && !memory.fails_on))
		return false;
	memory.has_failed = true;
	errno = ENOMEM;
	return true;
}

static void *counted(void *block)
{
	memory.blocks += block != NULL;
	return block;
}

void *failing_malloc(size_t size)
{
	return refused() ? NULL : counted(malloc(size));
}

void *failing_calloc(size_t count, size_t size)
{
	return refused() ? NULL : counted(calloc(count, size));
}

void *failing_realloc(void *old, size_t size)
{
	if (!old)
		return failing_malloc(size);
	return refused() ? NULL : realloc(old, size);
}

char *failing_strdup(const char *text)
{
	return refused() ? NULL : counted(strdup(text));
}

void *failing_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return refused() ? MAP_FAILED : mmap(address, length, protection, flags, fd, offset);
}

void failing_free(void *block)
{
	memory.blocks -= block != NULL;
	free(block);
}

static void run(void (*scenario)(void), unsigned fails_at, bool fails_on)
{
	long before = memory.blocks;

	memory.count = 0;
	memory.first = fails_at;
	memory.fails_at = fails_at;
	memory.fails_on = fails_on;
	memory.has_failed = false;
	memory.running = true;
	scenario();
	memory.running = false;
	memory.fails_at = 0;
	if (memory.blocks != before)
		fail_msg("%ld blocks are left when allocation %u%s fails", memory.blocks - before,
			 fails_at, fails_on ? " and those after it" : "");
}

void failing_memory_try(const char *module, void (*scenario)(void))
{
	unsigned tried[2] = {0, 0};

	/* What is made once in a process. */
	memory.fails_at = 0;
	scenario();
	run(scenario, 0, false);
	for (unsigned fails_on = 0; fails_on < 2; fails_on++) {
		do {
			if (++tried[fails_on] > MOST_ALLOCATIONS)
				fail_msg("%s: no run without a failure", module);
			run(scenario, tried[fails_on], fails_on);
		} while (memory.has_failed);
	}
	print_message("%s: %u allocations tried, each failing alone and with all after it\n",
		      module, tried[0] - 1);
}

bool failing_memory_has_failed(void)
{
	return memory.has_failed;
}

void failing_memory_end(void)
{
	memory.fails_at = 0;
}

int failing_memory_teardown(void **state)
{
	(void)state;
	if (memory.running)
		print_message("that was with allocation %u%s failing\n", memory.first,
			      memory.fails_on ? " and those after it" : " alone");
	return 0;
}
