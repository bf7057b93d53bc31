// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/keep_errno.h"
#include "base/undisturbed.h"
#include "patience.h"
#include "pick/memory.h"
#include "state.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14; not in the headers of glibc before 2.27 */
#endif

/*
 * fork() is noticed through a page that the kernel empties in the child (MADV_WIPEONFORK). A
 * handler of pthread_atfork() would run in every fork of the program, needs a symbol that musl
 * lacks and is skipped by clone(2); a vfork() child shares the page and is rightly not seen as a
 * new process: anything it wrote would be written into its parent.
 */
static struct {
	struct process fallback; /* when the page cannot be made or cannot be wiped */
	bool wiped_on_fork;	 /* else each match compares getpid(), and a vfork() child
				    cannot be told from a forked one: its parent would start a
				    second engine. Linux before 4.14, some sandboxes. */
	/* Pages of these that no Service uses are never touched. */
	struct pick_memory private_memory; /* when the shared ones cannot be had */
	struct cursor_slot rounds[CURSOR_SLOTS];
} own;
/* Not in there: a value that is not zero would put all of it into the file. */
static struct process *own_page = &own.fallback;

/*
 * One thread of the process wins; the others go on at once with what they find: at worst a pick
 * with the seed 0, and no start of the engine before the winner is done.
 */
static void adopt(struct process *process, uint32_t old_pid, uint32_t pid)
{
	if (!claim_u32(&process->pid, old_pid, pid))
		return;
	poke_u64(&process->seed, random_u64());
	poke_u64(&own.private_memory.seed, peek_u64(&process->seed));
	engine_state_adopt(process);
}

void process_init(void)
{
	KEEP_ERRNO();
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED) {
		if (madvise(page, size, MADV_WIPEONFORK) == 0) {
			own_page = page;
			own.wiped_on_fork = true;
		} else {
			munmap(page, size);
		}
	}
	/* Not at the first match: a vfork() child that came first would adopt it for its parent. */
	adopt(own_page, 0, (uint32_t)getpid());
}

struct process *process_current(void)
{
	struct process *process = own_page;
	uint32_t pid = observe_u32(&process->pid);

	if (pid == 0 || !own.wiped_on_fork) {
		uint32_t actual = (uint32_t)getpid();
		struct undisturbed before;

		if (pid != actual) {
			undisturbed_begin(&before);
			adopt(process, pid, actual);
			undisturbed_end(&before);
		}
	}
	return process;
}

uint32_t process_adopter(void)
{
	return peek_u32(&own_page->pid);
}

bool process_has_engine(void)
{
	return engine_state_is_started(own_page);
}

/* Word by word, and not as one value: a processor cannot forward narrow stores to the wide loads of a
 * copy, and waits until they are done; 14 ns of each connection. */
void process_pick_state(const struct process *process, struct pick_state *ret_state)
{
	struct pick_memory *memory =
		observe_pointer(&shim.link.memory); /* engine_attach_memory() */

	ret_state->memory = memory ? memory : &own.private_memory;
	ret_state->client = peek_u64(&shim.link.client);
	ret_state->now_ms = 0;
	ret_state->rules = HEALTH_DEFAULTS;
	ret_state->rules.probe_ms = patience_longest_ms();
	ret_state->rounds = own.rounds;
	ret_state->prober = peek_u64(&shim.link.prober);
	ret_state->seed = peek_u64(&process->seed);
	ret_state->policy =
		shim.config.policy == POLICY_RANDOM ? PICK_RANDOM : PICK_ROUND_ROBIN;
}
