/* Tells all who wait for it that the holder of the writer's lock has ended, whatever ended it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_LIFELINE_H
#define K8SLB_ENGINE_LIFELINE_H

#include <stdbool.h>

#include "base/interrupt.h"

/*
 * A wait by F_SETLKW is ended by nothing but a handler, and the thread has to end when it is told
 * to (base/interrupt.h). So those who wait poll the reading end of a FIFO beside the lock's file.
 * Its writing end is open in the holder alone; when it is gone the kernel says POLLHUP, and nothing
 * before that.
 *
 * Whoever tries for the lock holds the line before, and lets go of it when the lock is another's:
 * so there is no moment at which the end of a holder is not told. POLLHUP is said of a line that
 * was held since its reading end was opened (fs/pipe.c, fifo_open()), which that does too.
 *
 * The lock alone decides. Where nobody holds the line and the lock is taken all the same (somebody
 * removed the FIFO, the holder could not open it because the program is another user by now, it is
 * just beginning or ending), who waits has to ask for the lock from time to time.
 */
struct lifeline {
	int folder; /* both have it to themselves; -1: none could be had */
	int reads;
	int writes; /* -1: not held */
};

#define LIFELINE_NONE                                   \
	{                                               \
		.folder = -1, .reads = -1, .writes = -1 \
	}

/* Longest name, with its NUL. */
#define LIFELINE_NAME_SIZE 24

/* Makes the FIFO @name in @folder, 0700 and ours, where it is missing, and opens its reading end.
 * Takes the descriptor. Without a FIFO the line is one that nobody ever holds. */
void lifeline_open(int folder, const char *name, struct lifeline *ret_line);

void lifeline_hold(struct lifeline *line, const char *name);
void lifeline_let_go(struct lifeline *line);

/* Nobody holds it. */
bool lifeline_is_cut(const struct lifeline *line);

/* Waits until it is cut, @interrupt is set, or @timeout_ms are over. */
void lifeline_wait(const struct lifeline *line, const struct interrupt *interrupt, int timeout_ms);

void lifeline_close(struct lifeline *line);

#endif
