// SPDX-License-Identifier: Apache-2.0
#include "resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "asked.h"
#include "base/keep_errno.h"
#include "hosts_file.h"
#include "named.h"
#include "provider.h"
#include "resolver.h"
#include "state.h"

/* A reader that a writer overtakes three times in a row has been stopped in between; more tries
 * than this mean a damaged table. */
#define READ_TRIES 8
/* The kubelet's list has at most 32 domains. */
#define WALK_MOST 32

/* Every form that inet_aton(3) takes, "127.1" and "2130706433" included, is an address to libc. */
static bool is_numeric(const char *host)
{
	struct in_addr address;

	return strchr(host, ':') || inet_aton(host, &address);
}

/* RFC 6761 6.3 for "localhost", whatever "*" in K8SLB_SERVICES covers; and a Pod that is called as
 * a Service finds itself by its name, which kubelet writes to /etc/hosts. */
static bool is_this_host(const char *host)
{
	struct utsname own;

	return strcasecmp(host, "localhost") == 0 ||
	       (uname(&own) == 0 && strcasecmp(host, own.nodename) == 0);
}

/* ---- The names that are asked for one ---- */

struct names {
	struct resolver resolver;
	struct resolv_walk walk;
	bool whole; /* the host is a name of the cluster's domain as it stands */
	unsigned count;
	char domain[RESOLV_NAME_SIZE];
	char now[RESOLV_NAME_SIZE]; /* the name at hand */
};

static void names_begin(struct names *names, const char *host)
{
	names->walk = (struct resolv_walk){.host = host};
	names->count = 0;
}

/* ASKED_OTHER: what the resolver asks for then is the world's, or not known. */
static enum asked_kind names_next(struct names *names, struct asked_name *ret_asked)
{
	if (names->count++ >= WALK_MOST)
		return ASKED_OTHER;
	if (names->whole) {
		if (names->count > 1 || !resolv_name_copy(names->walk.host, names->now))
			return ASKED_OTHER;
	} else if (!resolv_walk_next(&names->walk, &names->resolver.conf, names->now)) {
		return ASKED_OTHER;
	}
	return asked_kind_of(names->now, names->domain, ret_asked);
}

/* Reads the host's rules. False when none of the names can be ours, as of nearly all hosts. */
static bool names_init(struct names *names, const char *host)
{
	struct asked_name asked;
	enum asked_kind kind;

	if (!host || !*host || is_numeric(host) || is_this_host(host))
		return false;
	resolver_now(&names->resolver, names->domain);
	if (names->resolver.other_modules || resolver_has_alias(host))
		return false;
	names->whole = resolv_name_copy(host, names->now) &&
		       asked_kind_of(names->now, names->domain, &asked) != ASKED_OTHER;
	names_begin(names, host);
	while ((kind = names_next(names, &asked)) != ASKED_OTHER) {
		if (kind != ASKED_NOTHING && asked_covers(&shim.config, &asked))
			return true;
	}
	return false;
}

/* ---- The table ---- */

static enum resolve_result resolve_name(const struct table_view *view,
					const struct asked_name *asked,
					const struct resolve_query *query,
					struct resolved *resolved)
{
	for (int i = 0; i < READ_TRIES; i++) {
		struct table_read read;
		enum resolve_result result;
		int rc = table_read_begin(view, &read);

		if (rc == -EAGAIN)
			continue;
		if (rc < 0)
			return RESOLVE_LEAVE;
		result = named_look_up(&read, asked, query, resolved);
		if (table_read_valid(&read))
			return result;
	}
	return RESOLVE_LEAVE;
}

static enum resolve_result resolve_names(struct names *names, const struct resolve_query *query,
					 struct resolved *resolved)
{
	const struct table_view *view = provider_await_for_lookup();
	struct asked_name asked;
	enum asked_kind kind;

	names_begin(names, query->host);
	while (view && (kind = names_next(names, &asked)) != ASKED_OTHER) {
		enum resolve_result result = kind == ASKED_NOTHING
						     ? RESOLVE_NEXT
						     : resolve_name(view, &asked, query, resolved);

		if (result != RESOLVE_NEXT)
			return result;
	}
	return RESOLVE_LEAVE;
}

enum resolve_result resolve(const struct resolve_query *query, struct resolved *ret_resolved)
{
	KEEP_ERRNO();
	enum resolve_result result;
	struct names names;

	if (engine_is_own_thread() || !names_init(&names, query->host) ||
	    hosts_file_names(query->host))
		return RESOLVE_LEAVE;
	result = resolve_names(&names, query, ret_resolved);
	if (result != RESOLVE_FOUND)
		return RESOLVE_LEAVE;
	memcpy(ret_resolved->host, names.now, sizeof(ret_resolved->host));
	resolved_keep_family(ret_resolved, query);
	return ret_resolved->count > 0 ? RESOLVE_FOUND : RESOLVE_NO_DATA;
}
