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
#include <unistd.h>

#include "base/raw_syscall.h"
#include "engine_state.h"
#include "libc.h"
#include "process.h"
#include "state.h"

static bool is_first_thread(void)
{
	return raw_syscall(SYS_gettid) == getpid();
}

__attribute__((visibility("default"), noreturn)) void pthread_exit(void *result)
{
	if (shim_active() && is_first_thread())
		engine_state_leave(process_current());
	libc_pthread_exit(result);
}
