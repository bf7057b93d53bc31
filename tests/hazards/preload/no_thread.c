// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that the preload library starts cannot be had, which is told after 300 ms, as on a
 * machine that is short of everything. Preloaded before the shim; the program's own threads are
 * its own.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		   void *argument)
{
	/* A union, because ISO C has no cast between object and function pointers. */
	union {
		void *object;
		int (*call)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
		void *(*run)(void *);
	} next = {.run = run};
	Dl_info info;

	if (dladdr(next.object, &info) && strstr(info.dli_fname, "libk8slb.so")) {
		poll(NULL, 0, 300);
		return EAGAIN;
	}
	next.object = dlsym(RTLD_NEXT, "pthread_create");
	return next.call(thread, attributes, run, argument);
}
