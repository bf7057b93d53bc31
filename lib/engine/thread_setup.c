// SPDX-License-Identifier: Apache-2.0
#include "engine/thread_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* TLS handshakes and JSON of bounded depth need less than 64 KiB; the rest is for the libc of the
 * host (NSS modules, when the API server is given by name). Untouched pages cost nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE (2048 * 1024)
#else
#define STACK_SIZE (512 * 1024)
#endif

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define CLOSE_RANGE_UNSHARE_FLAG (1u << 1) /* linux/close_range.h, Linux 5.9 */

int guest_thread_start(void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int rc = pthread_attr_init(&attributes);

	if (rc)
		return -rc;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	rc = pthread_attr_setstacksize(&attributes, STACK_SIZE);
	/* The thread inherits the mask: a handler of the host must never run on it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc == 0)
		rc = pthread_create(&thread, &attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -rc;
}

bool guest_thread_own_fd_table(void)
{
#if defined(__SANITIZE_THREAD__)
	/* ThreadSanitizer takes equal numbers of two tables for one descriptor. */
	return false;
#endif
	/*
	 * With a shared table a host that closes all descriptors (daemons, ssh) would close ours
	 * and get their numbers again: TLS records in its files. Copies of the host's would keep
	 * pipes from reaching their end.
	 */
	if (syscall(SYS_close_range, 0u, UINT_MAX, CLOSE_RANGE_UNSHARE_FLAG) < 0)
		return false;
	/* Whatever code of the host's libc prints here (malloc's "corrupted ..."), it must not go
	 * to a socket that got number 2. */
	for (int fd = 0; fd <= 2; fd++) {
		if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
			break;
	}
	return true;
}

void guest_thread_name(const char *name)
{
	prctl(PR_SET_NAME, (unsigned long)name, 0, 0, 0);
}
