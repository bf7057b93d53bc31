/* Whether the program has threads of its own, beside ours. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_PROGRAM_THREADS_H
#define K8SLB_ENGINE_PROGRAM_THREADS_H

#include <stdbool.h>

enum program_threads {
	PROGRAM_HAS_ONE,     /* the calling one: nobody else runs before it does */
	PROGRAM_HAS_MORE,    /* or one that is just leaving, or /proc cannot be read */
	PROGRAM_IN_A_CHANGE, /* ours come or go right now, or this is a child of vfork() */
};

/*
 * Asks the kernel. @has_engine: the process's engine was started (engine_state.h); its thread and the
 * watchdog's are ours, if they are there before the question and after it. Each doubt is no
 * PROGRAM_HAS_ONE. For a thread of the program. One system call; async-signal-safe, keeps errno.
 */
enum program_threads program_threads(bool has_engine);

/* All threads of the process, ours among them; 0: not known. The same. */
unsigned process_threads(void);

#endif
