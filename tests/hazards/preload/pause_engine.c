// SPDX-License-Identifier: Apache-2.0
/*
 * Stops the engine's thread at its first call of what PAUSE_ENGINE_AT names, so that a test meets
 * for certain the moment that a storm meets by chance. Preloaded before the shim. pthread_create is
 * the call that starts the thread: there it is the program's own that stops. pause_engine_reached
 * is a futex word, 1 from then on; a forked child has it too and is not stopped again. With 2 in
 * it, and a wake, the thread goes on.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t pause_engine_reached;

static const char *wanted;
static __thread int is_engine;

__attribute__((constructor)) static void read_setting(void)
{
	wanted = getenv("PAUSE_ENGINE_AT");
}

/* A union, because ISO C has no cast between object and function pointers. */
#define REAL(result, name, ...)              \
	static union {                       \
		void *object;                \
		result (*call)(__VA_ARGS__); \
	} real;                              \
	if (!real.object)                    \
	real.object = dlsym(RTLD_NEXT, #name)

static void stop_here(const char *name)
{
	if (!wanted || strcmp(wanted, name) != 0 ||
	    __atomic_load_n(&pause_engine_reached, __ATOMIC_ACQUIRE))
		return;
	__atomic_store_n(&pause_engine_reached, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &pause_engine_reached, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (__atomic_load_n(&pause_engine_reached, __ATOMIC_ACQUIRE) == 1)
		syscall(SYS_futex, &pause_engine_reached, FUTEX_WAIT, 1, NULL, NULL, 0);
}

static void pass(const char *name)
{
	if (is_engine)
		stop_here(name);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		   void *argument)
{
	REAL(int, pthread_create, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	/* The programs of the tests give their threads none. */
	if (attributes)
		stop_here("pthread_create");
	return real.call(thread, attributes, run, argument);
}

int prctl(int option, ...)
{
	unsigned long arguments[4];
	va_list list;

	REAL(int, prctl, int, unsigned long, unsigned long, unsigned long, unsigned long);
	va_start(list, option);
	for (int i = 0; i < 4; i++)
		arguments[i] = va_arg(list, unsigned long);
	va_end(list);
	if (option == PR_SET_NAME)
		is_engine = 1;
	pass("prctl");
	return real.call(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

long syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	REAL(long, syscall, long, long, long, long, long, long, long);
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_getrandom)
		pass("getrandom");
	return real.call(number, arguments[0], arguments[1], arguments[2], arguments[3],
			 arguments[4], arguments[5]);
}

int open(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	REAL(int, open, const char *, int, mode_t);
	va_start(list, flags);
	mode = va_arg(list, mode_t);
	va_end(list);
	pass("open");
	return real.call(path, flags, mode);
}

int eventfd(unsigned value, int flags)
{
	REAL(int, eventfd, unsigned, int);
	pass("eventfd");
	return real.call(value, flags);
}

int socket(int family, int type, int protocol)
{
	REAL(int, socket, int, int, int);
	pass("socket");
	return real.call(family, type, protocol);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	REAL(int, poll, struct pollfd *, nfds_t, int);
	pass("poll");
	return real.call(fds, count, timeout);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	REAL(ssize_t, send, int, const void *, size_t, int);
	pass("send");
	return real.call(fd, data, size, flags);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
	REAL(ssize_t, recv, int, void *, size_t, int);
	pass("recv");
	return real.call(fd, data, size, flags);
}
