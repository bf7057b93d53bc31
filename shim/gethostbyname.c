// SPDX-License-Identifier: Apache-2.0
/*
 * gethostbyname(3) and its kin: IPv4 alone, or of one family, into static memory or the caller's.
 */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "libc.h"
#include "resolve.h"
#include "state.h"

/* A number that lacks the last 12 bytes of the v4-mapped form is the IPv4 address. */
#define V4_OFFSET 12
/* Of the forms without _r, whose memory is static. */
#define MOST_ADDRESSES 1024u

/* What a struct hostent points to, in the caller's buffer. */
struct hostent_memory {
	char *aliases[1];
	char *addresses[MOST_ADDRESSES + 1];
};

static struct {
	struct hostent host;
	_Alignas(struct hostent_memory) char buffer[sizeof(struct hostent_memory) +
						    MOST_ADDRESSES * 16 + RESOLV_NAME_SIZE];
} answer; /* of the forms without _r */

/*
 * Lays out: pointers, addresses, name. Returns 0 or -ERANGE; only as many pointers as the answer
 * has are counted.
 */
static int fill(const struct resolved *resolved, int family, struct hostent *host, char *buffer,
		size_t size)
{
	size_t address_size = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	size_t skip = -(uintptr_t)buffer % _Alignof(struct hostent_memory);
	size_t pointers = sizeof(char *) * (resolved->count + 2);
	size_t name_size = strlen(resolved->host) + 1;
	struct hostent_memory *memory = (struct hostent_memory *)(void *)(buffer + skip);
	char *space;

	if (size < skip + pointers + resolved->count * address_size + name_size)
		return -ERANGE;
	space = buffer + skip + pointers;
	memory->aliases[0] = NULL;
	for (unsigned i = 0; i < resolved->count; i++) {
		const uint8_t *bytes = resolved->addresses[i].ip.bytes;

		memcpy(space, family == AF_INET ? bytes + V4_OFFSET : bytes, address_size);
		memory->addresses[i] = space;
		space += address_size;
	}
	memory->addresses[resolved->count] = NULL;
	memcpy(space, resolved->host, name_size);
	*host = (struct hostent){
		.h_name = space,
		.h_aliases = memory->aliases,
		.h_addrtype = family,
		.h_length = (int)address_size,
		.h_addr_list = memory->addresses,
	};
	return 0;
}

static enum resolve_result query(const char *name, int family, struct resolved *ret_resolved)
{
	struct resolve_query by_name = {.host = name, .family = family};

	resolved_init(ret_resolved);
	if (family != AF_INET && family != AF_INET6)
		return RESOLVE_LEAVE;
	return resolve(&by_name, ret_resolved);
}

/*
 * For the forms without _r: false when libc is to answer, as for any other family than AF_INET and
 * AF_INET6. Else *@ret_host points into memory that the next such call overwrites, as POSIX allows,
 * or is NULL with h_errno set.
 */
__attribute__((noinline)) static bool look_up(const char *name, int family,
					      struct hostent **ret_host)
{
	struct resolved resolved;
	enum resolve_result result;
	bool filled;

	result = query(name, family, &resolved);
	filled = result == RESOLVE_FOUND &&
		 fill(&resolved, family, &answer.host, answer.buffer, sizeof(answer.buffer)) == 0;
	resolved_free(&resolved);
	*ret_host = filled ? &answer.host : NULL;
	if (result == RESOLVE_NO_DATA)
		h_errno = NO_DATA;
	return filled || result == RESOLVE_NO_DATA;
}

/* For the _r forms; *@ret_rc is what they return: 0, or ERANGE when @buffer is too small. */
__attribute__((noinline)) static bool look_up_r(const char *name, int family, struct hostent *host,
						char *buffer, size_t size,
						struct hostent **ret_host, int *ret_h_errno,
						int *ret_rc)
{
	struct resolved resolved;
	enum resolve_result result;
	bool filled;

	result = query(name, family, &resolved);
	filled = result == RESOLVE_FOUND && fill(&resolved, family, host, buffer, size) == 0;
	resolved_free(&resolved);
	if (result == RESOLVE_LEAVE)
		return false;
	/* glibc returns 0 for "no such host"; *ret_host tells. Where the buffer is too small it
	 * sets all three; callers double it on any of them. */
	*ret_host = filled ? host : NULL;
	*ret_h_errno = filled			   ? NETDB_SUCCESS
		       : result == RESOLVE_NO_DATA ? NO_DATA
						   : NETDB_INTERNAL;
	*ret_rc = filled || result == RESOLVE_NO_DATA ? 0 : ERANGE;
	if (*ret_rc)
		errno = ERANGE;
	return true;
}

#define HOOK __attribute__((visibility("default")))

HOOK struct hostent *gethostbyname(const char *name)
{
	struct hostent *host;

	return shim_active() && look_up(name, AF_INET, &host) ? host : libc_gethostbyname(name);
}

HOOK struct hostent *gethostbyname2(const char *name, int family)
{
	struct hostent *host;

	return shim_active() && look_up(name, family, &host) ? host
							     : libc_gethostbyname2(name, family);
}

HOOK int gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t size,
			 struct hostent **ret_host, int *ret_h_errno)
{
	int rc;

	if (shim_active() &&
	    look_up_r(name, AF_INET, host, buffer, size, ret_host, ret_h_errno, &rc))
		return rc;
	return libc_gethostbyname_r(name, host, buffer, size, ret_host, ret_h_errno);
}

HOOK int gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer,
			  size_t size, struct hostent **ret_host, int *ret_h_errno)
{
	int rc;

	if (shim_active() &&
	    look_up_r(name, family, host, buffer, size, ret_host, ret_h_errno, &rc))
		return rc;
	return libc_gethostbyname2_r(name, family, host, buffer, size, ret_host, ret_h_errno);
}
