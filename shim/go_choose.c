// SPDX-License-Identifier: Apache-2.0
#include "go_choose.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "asked.h"
#include "base/address.h"
#include "base/vdso.h"
#include "denied.h"
#include "failover.h"
#include "pointer.h"
#include "process.h"
#include "provider.h"
#include "state.h"

#define TRIES 64 /* as lib/pick has it */

/* One look at the table. -EAGAIN: it changed meanwhile. */
static int look(const struct table_view *view, const struct pick_state *state,
		const struct ip_address *ip, uint16_t port, struct picked *ret_picked)
{
	struct found_port found;

	if (pick_find_at(view, state->now_ms, ip, port, IPPROTO_TCP, &found) != PICK_ENDPOINT)
		return -ENOENT;
	/* Whether the socket is one for datagrams could be asked of the kernel alone. */
	if (pick_finds_other(&found, ip, port, IPPROTO_UDP))
		return table_read_valid(&found.read) ? -ENOENT : -EAGAIN;
	if (provider_is_agent() &&
	    !asked_covers_found(&shim.config, &found.read, &found.port))
		return table_read_valid(&found.read) ? -ENOENT : -EAGAIN;
	return pick_take(&found, state, ip, port, ret_picked);
}

static int pick(const struct table_view *view, const struct pick_state *state,
		const struct ip_address *ip, uint16_t port, struct picked *ret_picked)
{
	int rc = -EAGAIN;

	for (int tries = 0; rc == -EAGAIN && tries < TRIES; tries++)
		rc = look(view, state, ip, port, ret_picked);
	return rc;
}

static void copy_address(struct sockaddr_storage *copy, const struct sockaddr *address)
{
	sa_family_t family;

	memcpy(&family, address, sizeof(family));
	if (family == AF_INET)
		memcpy(copy, address, sizeof(struct sockaddr_in));
	else
		memcpy(copy, address, sizeof(struct sockaddr_in6));
}

const struct sockaddr *go_choose(struct go_slot *slot, const struct sockaddr *address,
				 uint64_t length)
{
	/* Pairs with the publish of whoever writes engine_link.view. */
	const struct table_view *view = observe_pointer(&shim.link.view);
	struct pick_state state;
	struct ip_address ip;
	uint16_t port;

	/* To follow a table that moved takes system calls: the engine's thread does (engine.h). */
	if (!view || table_has_moved(view))
		return NULL;
	if (is_impossible_pointer(address) || length > sizeof(slot->address) ||
	    sockaddr_read(address, (socklen_t)length, &ip, &port) < 0)
		return NULL;
	process_pick_state(process_seen(), &state);
	state.now_ms = vdso_coarse_ms();
	if (state.now_ms == UINT64_MAX || pick(view, &state, &ip, port, &slot->picked) < 0 ||
	    denied_has_at(&slot->picked.endpoint, state.now_ms))
		return NULL;
	copy_address(&slot->address, address);
	if (sockaddr_rewrite(&slot->address, &slot->picked.endpoint.address,
			     slot->picked.endpoint.port) < 0)
		return NULL;
	slot->own = address;
	return (const struct sockaddr *)&slot->address;
}

const struct sockaddr *go_failed(const struct go_slot *slot, uint64_t error)
{
	struct pick_state state;

	if (error > INT32_MAX || !failover_leads_to_vip((int)error))
		return NULL;
	process_pick_state(process_seen(), &state);
	state.now_ms = vdso_coarse_ms();
	if (state.now_ms == UINT64_MAX || !pick_may_leave(&state, &slot->picked))
		return NULL;
	if (error == EACCES || error == EPERM)
		denied_add_at(&slot->picked.endpoint, state.now_ms);
	pick_left(&state, &slot->picked);
	return slot->own;
}
