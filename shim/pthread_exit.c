// SPDX-License-Identifier: Apache-2.0
/*
 * pthread_exit(3) of the first thread: the engine ends before it.
 *
 * libc ends the process with its last thread, by exit(0) on that thread. An engine that lives on
 * would keep the process for ever; as the last thread it would run the exit handlers of the program
 * and write its buffers into descriptors of its own. Nobody tells when the last of the other
 * threads is about to return, so this is the last moment that is certain. After it calls are
 * libc's and kube-proxy serves the VIP.
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/raw_syscall.h"
#include "libc.h"
#include "process.h"
#include "state.h"

#define LONGEST_WAIT_MS 50u

static bool is_first_thread(void)
{
	return raw_syscall(SYS_gettid) == getpid();
}

static void leave_engine(void)
{
	struct process *process = process_current();
	struct timespec pause = {.tv_nsec = 1000000};

	if (peek_u32(&process->pid) != (uint32_t)getpid())
		return; /* a vfork() child: the engine is its parent's */
	for (unsigned waited_ms = 0; waited_ms < LONGEST_WAIT_MS; waited_ms++) {
		if (claim_u32(&process->engine, PROCESS_ENGINE_NONE, PROCESS_ENGINE_LEFT))
			return;
		if (claim_u32(&process->engine, PROCESS_ENGINE_STARTED, PROCESS_ENGINE_LEFT)) {
			k8slb_engine.stop(LONGEST_WAIT_MS);
			return;
		}
		nanosleep(&pause, NULL); /* another thread is just starting it */
	}
}

__attribute__((visibility("default"), noreturn)) void pthread_exit(void *result)
{
	if (shim_active() && is_first_thread())
		leave_engine();
	libc_pthread_exit(result);
}
