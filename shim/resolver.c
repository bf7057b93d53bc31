// SPDX-License-Identifier: Apache-2.0
#include "resolver.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "base/libc_compat.h"
#include "base/read_file.h"
#include "libc.h"
#include "state.h"

#define RESOLV_CONF   "/etc/resolv.conf"
#define NSSWITCH_CONF "/etc/nsswitch.conf"
#define FILE_LIMIT    (64 * 1024)
/* A longer line is cut: more of a search list is not kept. */
#define LINE_SIZE (RESOLV_SEARCH_SIZE + 64)

/* ---- The environment: glibc's alone ---- */

/* Empty where a variable is not set. One that is longer counts as far as it fits, with conf.cut. */
static struct {
	char search[RESOLV_SEARCH_SIZE];
	char options[64];
	bool has_search;
	bool cut;
	bool aliases;
} given;

void resolver_init(const struct config_source *source)
{
	const char *search = source->getenv(source->ctx, "LOCALDOMAIN");
	const char *options = source->getenv(source->ctx, "RES_OPTIONS");
	const char *aliases = source->getenv(source->ctx, "HOSTALIASES");

	if (!libc_is_glibc())
		return;
	given.has_search = search != NULL;
	if (search)
		given.cut = snprintf(given.search, sizeof(given.search), "%s", search) >=
			    (int)sizeof(given.search);
	/* Where the options end unread, ndots may be anything: no list is known then. */
	if (options && snprintf(given.options, sizeof(given.options), "%s", options) >=
			       (int)sizeof(given.options))
		given.has_search = given.cut = true;
	given.aliases = aliases && *aliases;
}

bool resolver_has_alias(const char *host)
{
	return given.aliases && !strchr(host, '.');
}

/* ---- Files ---- */

static enum resolv_libc this_libc(void)
{
	return libc_is_glibc() ? RESOLV_GLIBC : RESOLV_MUSL;
}

/* Calls @take with each line; false from it ends the reading. */
static void read_lines(const char *path,
		       bool (*take)(struct resolver *, const char *line, bool cut),
		       struct resolver *resolver)
{
	int fd = file_open(path);
	char chunk[256];
	char line[LINE_SIZE];
	size_t length = 0;
	size_t total = 0;
	bool cut = false;
	bool goes_on = fd >= 0;
	ssize_t got = sizeof(chunk);

	while (goes_on && got == sizeof(chunk) && total < FILE_LIMIT) {
		got = file_fill(fd, chunk, sizeof(chunk));
		total += sizeof(chunk);
		for (ssize_t i = 0; i < got && goes_on; i++) {
			if (chunk[i] == '\n') {
				line[length] = '\0';
				goes_on = take(resolver, line, cut);
				length = 0;
				cut = false;
			} else if (length + 1 < sizeof(line) && chunk[i]) {
				line[length++] = chunk[i];
			} else {
				cut = true;
			}
		}
	}
	if (goes_on && length) {
		line[length] = '\0';
		take(resolver, line, cut);
	}
	if (fd >= 0)
		close(fd);
}

static bool take_resolv_line(struct resolver *resolver, const char *line, bool cut)
{
	resolv_conf_line(&resolver->conf, this_libc(), line, cut);
	return true;
}

/* Without the file, or its line, glibc asks files and DNS. */
static bool take_nsswitch_line(struct resolver *resolver, const char *line, bool cut)
{
	line += strspn(line, " \t");
	if (strncmp(line, "hosts:", strlen("hosts:")) != 0)
		return true;
	resolver->other_modules = cut || !nsswitch_asks_dns(line);
	return false;
}

/* gethostname(3)'s domain serves where nothing else gives a list (resolv.conf(5)). */
static void search_own_domain(struct resolv_conf *conf)
{
	struct utsname own;
	const char *dot = uname(&own) == 0 ? strchr(own.nodename, '.') : NULL;

	if (dot)
		resolv_conf_set_search(conf, dot + 1);
}

static void read_all(struct resolver *resolver)
{
	*resolver = (struct resolver){.other_modules = 0};
	resolv_conf_init(&resolver->conf);
	read_lines(RESOLV_CONF, take_resolv_line, resolver);
	if (!libc_is_glibc())
		return;
	read_lines(NSSWITCH_CONF, take_nsswitch_line, resolver);
	if (given.has_search) {
		resolv_conf_set_search(&resolver->conf, given.search);
		resolver->conf.cut |= given.cut;
	} else if (!resolver->conf.search[0] && !resolver->conf.cut) {
		search_own_domain(&resolver->conf);
	}
	resolv_conf_options(&resolver->conf, RESOLV_GLIBC, given.options);
}

/* ---- What was read last ---- */

/* resolv.conf, as glibc tells its versions apart (resolv/resolv_conf.c). All zero: there is none.
 */
struct version {
	uint64_t device, inode, size;
	uint64_t modified_s, modified_ns, changed_s, changed_ns;
};

struct kept {
	struct version version;
	struct resolver resolver;
};

_Static_assert(sizeof(struct kept) % 8 == 0, "copied word by word");

/* A seqlock: odd while it is written, 0 before the first time. Who finds it so reads the files by
 * himself: nobody waits, not for a thread that a fork() left behind either. */
static struct {
	uint64_t sequence;
	uint64_t words[sizeof(struct kept) / 8];
} cache;

static struct version version_now(void)
{
	struct stat status;

	if (k8slb_stat(RESOLV_CONF, &status) < 0)
		return (struct version){.size = 0};
	return (struct version){
		.device = status.st_dev,
		.inode = status.st_ino,
		.size = (uint64_t)status.st_size,
		.modified_s = (uint64_t)status.st_mtim.tv_sec,
		.modified_ns = (uint64_t)status.st_mtim.tv_nsec,
		.changed_s = (uint64_t)status.st_ctim.tv_sec,
		.changed_ns = (uint64_t)status.st_ctim.tv_nsec,
	};
}

static void read_now(struct kept *kept)
{
	struct version version = version_now();
	uint64_t sequence = observe_u64(&cache.sequence); /* pairs with the publish below */

	if (sequence && !(sequence & 1)) {
		peek_words(kept, cache.words, sizeof(*kept));
		fence_before_recheck();
		if (peek_u64(&cache.sequence) == sequence &&
		    memcmp(&kept->version, &version, sizeof(version)) == 0)
			return;
	}
	kept->version = version;
	read_all(&kept->resolver);
	if (sequence & 1 || !claim_u64(&cache.sequence, sequence, sequence + 1))
		return;
	fence_before_rewrite();
	poke_words(cache.words, kept, sizeof(*kept));
	publish_u64(&cache.sequence, sequence + 2); /* pairs with the observe above */
}

void resolver_now(struct resolver *ret_resolver, char ret_domain[RESOLV_NAME_SIZE])
{
	KEEP_ERRNO();
	struct kept kept;

	read_now(&kept);
	if (!resolv_conf_domain(&kept.resolver.conf, ret_domain))
		strcpy(ret_domain, "cluster.local");
	if (shim.config.names == NAMES_ALWAYS) {
		resolv_conf_of_pod(&kept.resolver.conf, shim.config.namespace, ret_domain);
		kept.resolver.other_modules = 0;
	}
	*ret_resolver = kept.resolver;
}
