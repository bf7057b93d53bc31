// SPDX-License-Identifier: Apache-2.0
/*
 * forget SEGMENT: takes out of a pick memory, some thousand times a second, what was noted of failed
 * pods. Every connection of the programs beside it meets a dead pod in its turn, as the first one
 * after a pod's death does. Ends with its parent. The memory is one where everybody may write
 * anything (pick/memory.h).
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <time.h>

#include "pick/memory.h"

int main(int argc, char **argv)
{
	struct pick_memory *memory;

	if (argc != 2)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1UL);
	memory = shmat(atoi(argv[1]), NULL, 0);
	if ((intptr_t)memory == -1 || memory->magic != PICK_MEMORY_MAGIC)
		return 1;
	for (;;) {
		if (!health_is_quiet(&memory->health))
			memset(&memory->health, 0, sizeof(memory->health));
		nanosleep(&(struct timespec){.tv_nsec = 100 * 1000}, NULL);
	}
}
