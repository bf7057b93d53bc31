// SPDX-License-Identifier: Apache-2.0
/*
 * churn VIP PORT: two threads take, move and give back memory all the time, while main() connects
 * three times and prints "main POD" for each.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dial.h"

static bool ended;

static void *churn(void *unused)
{
	void *kept[64] = {NULL};

	for (unsigned step = 0; !__atomic_load_n(&ended, __ATOMIC_RELAXED) || step < 1000; step++) {
		void **slot = &kept[step % 64];

		*slot = step % 3 ? realloc(*slot, (size_t)1 << (step % 15)) : *slot;
		if (step % 5 == 0) {
			free(*slot);
			*slot = calloc(3, step % 400);
		}
	}
	for (unsigned i = 0; i < 64; i++)
		free(kept[i]);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t threads[2];
	struct sockaddr_in vip;

	if (argc < 3)
		return 2;
	vip = dial_address(argv[1], argv[2]);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (unsigned i = 0; i < 3; i++)
		dial_and_tell("main", &vip);
	__atomic_store_n(&ended, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
