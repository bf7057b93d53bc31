// SPDX-License-Identifier: Apache-2.0
#include "resolved.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libc.h"

void resolved_init(struct resolved *resolved)
{
	resolved->count = 0;
	resolved->room = RESOLVED_FEW;
	resolved->addresses = resolved->few;
	resolved->mapped = 0;
	resolved->host[0] = '\0';
}

bool resolved_reserve(struct resolved *resolved, unsigned count)
{
	size_t size = count * sizeof(resolved->addresses[0]);
	void *memory;

	if (count <= resolved->room)
		return true;
	if (count > RESOLVED_MOST)
		return false;
	/* Not malloc(): a program may look names up from inside of its own allocator's hooks. */
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	memcpy(memory, resolved->addresses, resolved->count * sizeof(resolved->addresses[0]));
	if (resolved->mapped)
		munmap(resolved->addresses, resolved->mapped);
	resolved->addresses = memory;
	resolved->mapped = size;
	resolved->room = count;
	return true;
}

void resolved_add_new(struct resolved *resolved, const struct ip_address *ip, uint16_t port)
{
	if (resolved->count < resolved->room)
		resolved->addresses[resolved->count++] = (struct resolved_address){*ip, port};
}

void resolved_add(struct resolved *resolved, const struct ip_address *ip, uint16_t port)
{
	for (unsigned i = 0; i < resolved->count; i++) {
		if (ip_equal(&resolved->addresses[i].ip, ip) && resolved->addresses[i].port == port)
			return;
	}
	resolved_add_new(resolved, ip, port);
}

void resolved_free(struct resolved *resolved)
{
	if (resolved->mapped)
		munmap(resolved->addresses, resolved->mapped);
	resolved_init(resolved);
}

/* ---- Families ---- */

static bool is_six(const struct resolved_address *address)
{
	return ip_family_of(&address->ip) == IP_FAMILY_6;
}

/* This host has a route to the address and an address of its own for it: connect(2) of a datagram
 * socket asks the kernel for both and sends nothing. */
static bool is_reachable(const struct ip_address *ip)
{
	struct sockaddr_storage addr;
	socklen_t size = sockaddr_make(&addr, ip, 9);
	int fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool reachable;

	if (fd < 0)
		return false;
	reachable = libc_connect(fd, (struct sockaddr *)&addr, size) == 0;
	close(fd);
	return reachable;
}

static void reverse(struct resolved_address *from, unsigned count)
{
	for (unsigned i = 0; i < count / 2; i++) {
		struct resolved_address swapped = from[i];

		from[i] = from[count - 1 - i];
		from[count - 1 - i] = swapped;
	}
}

/* The addresses of the one family, then those of the other: each is one run, as the table has them,
 * and the runs change places, for there may be thousands. Returns how many the first are. */
static unsigned put_first(struct resolved *resolved, bool six)
{
	struct resolved_address *all = resolved->addresses;
	unsigned count = resolved->count;
	unsigned run = 0;

	while (run < count && is_six(&all[run]) == is_six(&all[0]))
		run++;
	if (count == 0 || is_six(&all[0]) == six)
		return run;
	reverse(all, run);
	reverse(all + run, count - run);
	reverse(all, count);
	return count - run;
}

static void order_families(const struct resolve_query *query, struct resolved *resolved)
{
	bool reachable[2] = {false, false};
	bool asked[2] = {false, false};
	unsigned first;

	for (unsigned i = 0; i < resolved->count; i++) {
		bool six = is_six(&resolved->addresses[i]);

		if (!asked[six])
			reachable[six] = is_reachable(&resolved->addresses[i].ip);
		asked[six] = true;
	}
	if (!asked[0] || !asked[1])
		return;
	first = put_first(resolved, reachable[1] || !reachable[0]);
	if (query->addr_config && reachable[0] != reachable[1])
		resolved->count = first;
}

void resolved_keep_family(struct resolved *resolved, const struct resolve_query *query)
{
	bool six = query->family == AF_INET6;
	unsigned kept;

	if (query->family == AF_UNSPEC || (six && query->v4_mapped && query->all)) {
		order_families(query, resolved);
		return;
	}
	kept = put_first(resolved, six);
	/* Where none is IPv6 all are IPv4. */
	if (kept > 0 || !six || !query->v4_mapped)
		resolved->count = kept;
}
