// SPDX-License-Identifier: Apache-2.0
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"

/* A union, because ISO C has no cast between object and function pointers. */
#define LIBC_CALL(result, name, ...)         \
	union {                              \
		void *object;                \
		result (*call)(__VA_ARGS__); \
	} name

static struct {
	LIBC_CALL(void, pthread_exit, void *);
	LIBC_CALL(int, connect, int, const struct sockaddr *, socklen_t);
	LIBC_CALL(int, getpeername, int, struct sockaddr *, socklen_t *);
	LIBC_CALL(int, getaddrinfo, const char *, const char *, const struct addrinfo *,
		  struct addrinfo **);
	LIBC_CALL(struct hostent *, gethostbyname, const char *);
	LIBC_CALL(struct hostent *, gethostbyname2, const char *, int);
	LIBC_CALL(int, gethostbyname_r, const char *, struct hostent *, char *, size_t,
		  struct hostent **, int *);
	LIBC_CALL(int, gethostbyname2_r, const char *, int, struct hostent *, char *, size_t,
		  struct hostent **, int *);
	LIBC_CALL(int, setuid, uid_t);
	LIBC_CALL(int, setgid, gid_t);
	LIBC_CALL(int, seteuid, uid_t);
	LIBC_CALL(int, setegid, gid_t);
	LIBC_CALL(int, setreuid, uid_t, uid_t);
	LIBC_CALL(int, setregid, gid_t, gid_t);
	LIBC_CALL(int, setresuid, uid_t, uid_t, uid_t);
	LIBC_CALL(int, setresgid, gid_t, gid_t, gid_t);
	LIBC_CALL(int, setgroups, size_t, const gid_t *);
	LIBC_CALL(int, initgroups, const char *, gid_t);
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
static bool bind_symbol(void **slot, const char *name)
{
	int saved_errno = errno;
	void *object = NULL;

	if (!binding) {
		binding = true;
		object = dlsym(RTLD_NEXT, name);
		binding = false;
		poke_pointer(slot, object);
	}
	errno = saved_errno;
	return object;
}

#define BOUND(name) (peek_pointer(&libc.name.object) || bind_symbol(&libc.name.object, #name))

void libc_bind_all(void)
{
	/* glibc and musl both have all of these; the result tells nothing that a call would not. */
	(void)BOUND(connect);
	(void)BOUND(pthread_exit);
	(void)BOUND(getpeername);
	(void)BOUND(getaddrinfo);
	(void)BOUND(gethostbyname);
	(void)BOUND(gethostbyname2);
	(void)BOUND(gethostbyname_r);
	(void)BOUND(gethostbyname2_r);
	(void)BOUND(setuid);
	(void)BOUND(setgid);
	(void)BOUND(seteuid);
	(void)BOUND(setegid);
	(void)BOUND(setreuid);
	(void)BOUND(setregid);
	(void)BOUND(setresuid);
	(void)BOUND(setresgid);
	(void)BOUND(setgroups);
	(void)BOUND(initgroups);
	libc.glibc = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
}

bool libc_is_glibc(void)
{
	return libc.glibc;
}

void libc_pthread_exit(void *result)
{
	if (BOUND(pthread_exit))
		libc.pthread_exit.call(result);
	for (;;)
		raw_syscall(SYS_exit, 0);
}

int libc_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return BOUND(connect) ? libc.connect.call(fd, addr, len) : k8slb_raw_connect(fd, addr, len);
}

int libc_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return BOUND(getpeername) ? libc.getpeername.call(fd, addr, len)
				  : k8slb_raw_getpeername(fd, addr, len);
}

int libc_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		     struct addrinfo **ret_list)
{
	if (BOUND(getaddrinfo))
		return libc.getaddrinfo.call(node, service, hints, ret_list);
	errno = ENOSYS;
	return EAI_SYSTEM;
}

struct hostent *libc_gethostbyname(const char *name)
{
	return BOUND(gethostbyname) ? libc.gethostbyname.call(name) : NULL;
}

struct hostent *libc_gethostbyname2(const char *name, int family)
{
	return BOUND(gethostbyname2) ? libc.gethostbyname2.call(name, family) : NULL;
}

int libc_gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t size,
			 struct hostent **ret_host, int *ret_h_errno)
{
	return BOUND(gethostbyname_r)
		       ? libc.gethostbyname_r.call(name, host, buffer, size, ret_host, ret_h_errno)
		       : ENOSYS;
}

int libc_gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer,
			  size_t size, struct hostent **ret_host, int *ret_h_errno)
{
	return BOUND(gethostbyname2_r) ? libc.gethostbyname2_r.call(name, family, host, buffer,
								    size, ret_host, ret_h_errno)
				       : ENOSYS;
}

int libc_setuid(uid_t uid)
{
	return BOUND(setuid) ? libc.setuid.call(uid) : -1;
}

int libc_setgid(gid_t gid)
{
	return BOUND(setgid) ? libc.setgid.call(gid) : -1;
}

int libc_seteuid(uid_t uid)
{
	return BOUND(seteuid) ? libc.seteuid.call(uid) : -1;
}

int libc_setegid(gid_t gid)
{
	return BOUND(setegid) ? libc.setegid.call(gid) : -1;
}

int libc_setreuid(uid_t real, uid_t effective)
{
	return BOUND(setreuid) ? libc.setreuid.call(real, effective) : -1;
}

int libc_setregid(gid_t real, gid_t effective)
{
	return BOUND(setregid) ? libc.setregid.call(real, effective) : -1;
}

int libc_setresuid(uid_t real, uid_t effective, uid_t saved)
{
	return BOUND(setresuid) ? libc.setresuid.call(real, effective, saved) : -1;
}

int libc_setresgid(gid_t real, gid_t effective, gid_t saved)
{
	return BOUND(setresgid) ? libc.setresgid.call(real, effective, saved) : -1;
}

int libc_setgroups(size_t count, const gid_t *groups)
{
	return BOUND(setgroups) ? libc.setgroups.call(count, groups) : -1;
}

int libc_initgroups(const char *user, gid_t group)
{
	return BOUND(initgroups) ? libc.initgroups.call(user, group) : -1;
}
