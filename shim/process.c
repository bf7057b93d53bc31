// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/hash.h"
#include "pick/hints.h"
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
	struct process *page;
	struct process fallback; /* when the page cannot be made or cannot be wiped */
	bool wiped_on_fork;	 /* else each match compares getpid(), and a vfork() child
				    cannot be told from a forked one: its parent would start a
				    second engine. Linux before 4.14, some sandboxes. */
	const struct table_view *inherited_view;
	uint32_t cursors[PICK_CURSORS]; /* pages that no Service uses are never touched */
} own = {.page = &own.fallback};

/*
 * One thread of the process wins; the others go on at once with what they find: at worst a pick
 * with the seed 0, and no start of the engine before the winner is done.
 */
static void adopt(struct process *process, uint32_t old_pid, uint32_t pid)
{
	if (!claim_u32(&process->pid, old_pid, pid))
		return;
	own.inherited_view = observe_pointer(&shim.link.view);
	/* The first sync of the parent says nothing about the engine of this process. */
	publish_u32(&shim.link.first_sync, ENGINE_SYNC_PENDING);
	poke_u64(&process->started_ms, 0);
	poke_u64(&process->retry_at_ms, 0);
	poke_u64(&process->seed, random_u64());
	publish_u32(&process->engine, PROCESS_ENGINE_NONE); /* observed by start_engine() */
}

void process_init(void)
{
	int saved_errno = errno;
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED) {
		if (madvise(page, size, MADV_WIPEONFORK) == 0) {
			own.page = page;
			own.wiped_on_fork = true;
		} else {
			munmap(page, size);
		}
	}
	/* Not at the first match: a vfork() child that came first would adopt it for its parent. */
	adopt(own.page, 0, (uint32_t)getpid());
	errno = saved_errno;
}

struct process *process_current(void)
{
	struct process *process = own.page;
	uint32_t pid = observe_u32(&process->pid);

	if (pid == 0 || !own.wiped_on_fork) {
		uint32_t actual = (uint32_t)getpid();

		if (pid != actual)
			adopt(process, pid, actual);
	}
	return process;
}

bool process_has_engine(void)
{
	return peek_u32(&own.page->engine) == PROCESS_ENGINE_STARTED;
}

/*
 * All processes of the Pod are one client, and a Pod's name is unique in its namespace; on the
 * host network it is the node's, which is right there too: those Pods share an address.
 */
static uint64_t client_number(void)
{
	struct utsname host;

	return uname(&host) == 0 ? hash_text(0, host.nodename) : 0;
}

/* Maps the shared slots at the first Service with affinity, so that nobody else has the file; where
 * that fails the process's own do. */
static struct affinity_slot *affinity_slots(uint64_t *ret_client)
{
	static struct affinity_slot private_slots[AFFINITY_SLOTS];
	static struct affinity_slot *slots;
	static uint64_t client;
	static uint32_t state; /* 0: new, 1: one thread maps, 2: slots and client are set */

	if (claim_u32(&state, 0, 1)) {
		int saved_errno = errno;
		struct hints *hints;

		slots = hints_map(&hints) == 0 ? hints->affinity : private_slots;
		client = client_number();
		publish_u32(&state, 2); /* observed below */
		errno = saved_errno;
	}
	if (observe_u32(&state) != 2) {
		/* The thread that maps is another one, or was when this process was forked. */
		*ret_client = client_number();
		return private_slots;
	}
	*ret_client = client;
	return slots;
}

struct pick_state process_pick_state(const struct process *process)
{
	return (struct pick_state){
		.cursors = own.cursors,
		.seed = peek_u64(&process->seed),
		.policy = shim.config.policy == POLICY_RANDOM ? PICK_RANDOM : PICK_ROUND_ROBIN,
		.affinity = affinity_slots,
	};
}

bool process_inherited(const struct table_view *view)
{
	return view == own.inherited_view;
}
