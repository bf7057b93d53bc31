// SPDX-License-Identifier: Apache-2.0
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"

/* A union, because ISO C has no cast between object and function pointers. */
#define SLOT(result, name, parameters, arguments, otherwise) \
	union {                                              \
		void *object;                                \
		result(*call) parameters;                    \
	} name;

static struct {
	LIBC_CALLS(SLOT)
	LIBC_CLOSE_CALLS(SLOT)
	SLOT(void, pthread_exit, (void *result), (result), )
	SLOT(void, _pthread_cleanup_push,
	     (struct libc_cleanup * cleanup, void (*routine)(void *), void *argument), (), )
	SLOT(void, _pthread_cleanup_pop, (struct libc_cleanup * cleanup, int execute), (), )
	bool glibc;
} libc;

/* This thread is in dlsym(), which in glibc before 2.34 may call malloc(), and that of the program
 * one of our hooks. */
static __thread bool binding;

/*
 * Threads may do this at once: they find the same address, and the slot changes only from NULL to
 * it. pthread_once would deadlock when dlsym() calls malloc() and that of the program one of our
 * hooks. RTLD_NEXT and not libc by name: other preloaded libraries after us keep their hooks.
 */
__attribute__((noinline, cold)) static bool bind_symbol(void **slot, const char *name)
{
	KEEP_ERRNO();
	void *object = NULL;

	if (!binding) {
		binding = true;
		object = dlsym(RTLD_NEXT, name);
		binding = false;
		poke_pointer(slot, object);
	}
	return object;
}

#define BOUND(name) (peek_pointer(&libc.name.object) || bind_symbol(&libc.name.object, #name))

#define BIND(result, name, parameters, arguments, otherwise) (void)BOUND(name);

void libc_bind_all(void)
{
	/* glibc and musl both have all of these; the result tells nothing that a call would not. */
	LIBC_CALLS(BIND)
	LIBC_CLOSE_CALLS(BIND)
	(void)BOUND(pthread_exit);
	(void)(BOUND(_pthread_cleanup_push) && BOUND(_pthread_cleanup_pop));
	libc.glibc = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
	/* What is not there is no error that the program is to find. */
	(void)dlerror();
}

/* --- whose they are -------------------------------------------------------------------------- */

#define OF_WAIT(result, name, parameters, arguments, otherwise) &libc.name.object,

static void *const *const waits[] = {LIBC_WAIT_CALLS(OF_WAIT) & libc.connect.object,
				     &libc.getsockopt.object, &libc.setsockopt.object};
#define WAITS (sizeof(waits) / sizeof(waits[0]))

static uint32_t waits_are_libcs;

struct search {
	uintptr_t libc; /* an address in it */
	unsigned found; /* of waits */
};

static bool is_in(const struct dl_phdr_info *object, uintptr_t address)
{
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_LOAD &&
		    address - object->dlpi_addr - part->p_vaddr < part->p_memsz)
			return true;
	}
	return false;
}

static int count_own(struct dl_phdr_info *object, size_t size, void *ctx)
{
	struct search *search = ctx;

	(void)size;
	/* glibc before 2.34 has connect() in libpthread as well. */
	if (!is_in(object, search->libc) &&
	    !(object->dlpi_name && (strstr(object->dlpi_name, "san.so") ||
				    strstr(object->dlpi_name, "/libpthread"))))
		return 0;
	for (unsigned i = 0; i < WAITS; i++) {
		if (*waits[i] && is_in(object, (uintptr_t)*waits[i]))
			search->found++;
	}
	return 0;
}

void libc_find_own(void)
{
	struct search search = {.libc = (uintptr_t)dlsym(RTLD_DEFAULT, "__libc_start_main")};
	unsigned all = 0;

	for (unsigned i = 0; i < WAITS; i++)
		all += *waits[i] != NULL;
	dl_iterate_phdr(count_own, &search);
	poke_u32(&waits_are_libcs, all > 0 && search.found == all);
}

bool libc_waits_are_libcs(void)
{
	return peek_u32(&waits_are_libcs);
}

void libc_waits_are_refused(void)
{
	poke_u32(&waits_are_libcs, 0);
}

bool libc_is_glibc(void)
{
	return libc.glibc;
}

static int no_such_call(int result)
{
	errno = ENOSYS;
	return result;
}

static struct hostent *no_such_lookup(void)
{
	h_errno = NETDB_INTERNAL;
	errno = ENOSYS;
	return NULL;
}

static int no_such_lookup_r(struct hostent **ret_host, int *ret_h_errno)
{
	*ret_host = NULL;
	*ret_h_errno = NETDB_INTERNAL;
	errno = ENOSYS;
	return ENOSYS;
}

#define DEFINE(result, name, parameters, arguments, otherwise)               \
	result libc_##name parameters                                        \
	{                                                                    \
		return BOUND(name) ? libc.name.call arguments : (otherwise); \
	}

LIBC_CALLS(DEFINE)

#define DEFINE_BOUND(result, name, parameters, arguments, otherwise)                            \
	result libc_##name parameters                                                          \
	{                                                                                      \
		return peek_pointer(&libc.name.object) ? libc.name.call arguments : (otherwise); \
	}

LIBC_CLOSE_CALLS(DEFINE_BOUND)

void libc_pthread_exit(void *result)
{
	if (BOUND(pthread_exit))
		libc.pthread_exit.call(result);
	for (;;)
		raw_syscall(SYS_exit, 0);
}

/* Looked up by the constructor: nothing is, where this may be called. */
void libc_cleanup_push(struct libc_cleanup *cleanup, void (*routine)(void *argument),
		       void *argument)
{
	cleanup->is_pushed = peek_pointer(&libc._pthread_cleanup_push.object) &&
			     peek_pointer(&libc._pthread_cleanup_pop.object);
	if (cleanup->is_pushed)
		libc._pthread_cleanup_push.call(cleanup, routine, argument);
}

void libc_cleanup_pop(struct libc_cleanup *cleanup)
{
	if (cleanup->is_pushed)
		libc._pthread_cleanup_pop.call(cleanup, 0);
}
