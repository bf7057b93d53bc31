// SPDX-License-Identifier: Apache-2.0
#include "engine/mesh.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"
#include "table/trust.h"

#define LOOK_MS	    (60 * 1000)
#define ANSWER_SIZE 16384 /* a multiple of what the kernel packs into one message */

static const struct {
	const char *name;
	uint16_t outbound_port;
	uint16_t inbound_port;
} meshes[] = {
	{"Istio", 15001, 15006},
	{"Linkerd", 4140, 4143},
	{"Consul", 15001, 20000},
};

const char *mesh_by_ports(bool (*listens)(const void *ctx, uint16_t port), const void *ctx)
{
	for (size_t i = 0; i < sizeof(meshes) / sizeof(meshes[0]); i++) {
		if (listens(ctx, meshes[i].outbound_port) && listens(ctx, meshes[i].inbound_port))
			return meshes[i].name;
	}
	return NULL;
}

/* Those that a mesh's proxy runs as (mesh.h). */
static bool may_be_a_proxys(uid_t uid)
{
	static const uid_t proxies[] = {0, 1337, 2102, 5678, 5995};
	uid_t own = geteuid();

	for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
		if (uid == proxies[i])
			return true;
	}
	return uid == own || uid == own + 1 ||
	       (uid == TRUST_OVERFLOW_USER && !trust_knows_all_users());
}

/* One bit for each TCP port that has a listener. */
struct listeners {
	uint8_t bits[65536 / 8];
};

/* Not on the stack, which may be one of the program's small ones. */
struct scratch {
	struct listeners listeners;
	unsigned char answer[ANSWER_SIZE];
};

static bool listens_at(const void *ctx, uint16_t port)
{
	const struct listeners *listeners = ctx;

	return listeners->bits[port / 8] >> port % 8 & 1;
}

/* Returns false at the end of the dump. */
static bool take_answer(const unsigned char *answer, size_t size, struct listeners *listeners)
{
	struct nlmsghdr header;
	struct inet_diag_msg found;

	for (; size >= sizeof(header);
	     answer += NLMSG_ALIGN(header.nlmsg_len), size -= NLMSG_ALIGN(header.nlmsg_len)) {
		memcpy(&header, answer, sizeof(header));
		if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    header.nlmsg_len < NLMSG_LENGTH(sizeof(found)) ||
		    NLMSG_ALIGN(header.nlmsg_len) > size)
			return false;
		memcpy(&found, answer + NLMSG_HDRLEN, sizeof(found));
		if (!may_be_a_proxys(found.idiag_uid))
			continue;
		listeners->bits[ntohs(found.id.idiag_sport) / 8] |=
			(uint8_t)(1u << ntohs(found.id.idiag_sport) % 8);
	}
	return true;
}

/*
 * sock_diag(7). Not /proc/net/tcp, which holds the listeners too: reading it walks through all of
 * the kernel's table of connections, 5 ms during which the thread, and so the process, cannot end.
 */
static void find_listeners(int fd, uint8_t family, struct scratch *scratch)
{
	const struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} dump = {
		.header =
			{
				.nlmsg_len = sizeof(dump),
				.nlmsg_type = SOCK_DIAG_BY_FAMILY,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			},
		.request =
			{
				.sdiag_family = family,
				.sdiag_protocol = IPPROTO_TCP,
				.idiag_states = 1u << TCP_LISTEN,
			},
	};
	long size;

	if (raw_syscall(SYS_sendto, fd, &dump, sizeof(dump), 0, NULL, 0) != (long)sizeof(dump))
		return;
	do {
		size = raw_syscall(SYS_recvfrom, fd, scratch->answer, sizeof(scratch->answer), 0,
				   NULL, NULL);
	} while (size > 0 && take_answer(scratch->answer, (size_t)size, &scratch->listeners));
}

/* No cancellation point: hooks ask too, where an agent keeps the table. */
static const char *detect(void)
{
	struct scratch *scratch = mmap(NULL, sizeof(*scratch), PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const char *mesh = NULL;
	int fd;

	if (scratch == MAP_FAILED)
		return NULL;
	fd = k8slb_raw_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd >= 0) {
		find_listeners(fd, AF_INET, scratch);
		find_listeners(fd, AF_INET6, scratch);
		raw_syscall(SYS_close, fd);
		mesh = mesh_by_ports(listens_at, &scratch->listeners);
	}
	munmap(scratch, sizeof(*scratch));
	return mesh;
}

bool mesh_is_due(const struct mesh_watch *watch, enum mesh_mode mode, uint64_t now_ms)
{
	uint64_t looked_ms = peek_u64(&watch->looked_ms);

	return mode == MESH_AVOID && !peek_u32(&watch->found) &&
	       (!looked_ms || now_ms - looked_ms >= LOOK_MS);
}

const char *mesh_look(struct mesh_watch *watch, enum mesh_mode mode, uint64_t now_ms)
{
	KEEP_ERRNO();
	const char *mesh;

	if (!mesh_is_due(watch, mode, now_ms))
		return NULL;
	poke_u64(&watch->looked_ms, now_ms);
	mesh = detect();
	if (mesh)
		poke_u32(&watch->found, 1);
	return mesh;
}
