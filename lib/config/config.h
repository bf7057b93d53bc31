/* The settings of the environment (docs/settings.md), read once and checked one by one. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CONFIG_CONFIG_H
#define K8SLB_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/service_ref.h"

enum balance_policy {
	POLICY_ROUND_ROBIN,
	POLICY_RANDOM,
};

enum resolve_mode {
	RESOLVE_VIP,
	RESOLVE_ENDPOINT,
};

enum names_mode {
	NAMES_RESOLVER, /* a name is ours where the host's resolver would have asked the cluster */
	NAMES_ALWAYS,	/* as in a Pod, wherever this is */
};

enum discovery_mode {
	DISCOVERY_AUTO, /* EndpointSlices; Endpoints where slices are forbidden or absent */
	DISCOVERY_ENDPOINT_SLICES,
	DISCOVERY_ENDPOINTS,
};

enum mesh_mode {
	MESH_AVOID, /* stay out where a mesh's proxy is found */
	MESH_IGNORE,
};

enum fallback_mode {
	FALLBACK_VIP,  /* what no endpoint takes goes to the Service's own address */
	FALLBACK_NONE, /* nothing serves that here */
};

enum events_mode {
	EVENTS_ON, /* a failed non-blocking connection goes on before the program sees it */
	EVENTS_OFF,
};

/*
 * Strings are never NULL; "" means not set and no default. They live as long as the config. All
 * times in milliseconds. All paths are absolute: they are opened later, when the program may have
 * changed its directory.
 */
struct config {
	struct service_ref *services; /* @service_count; none: the shim is inert */
	unsigned service_count;
	const char *api_url;  /* "https://10.96.0.1:443", "http://127.0.0.1:8001", ...; without
				 a slash at its end */
	const char *api_file; /* K8SLB_API=file:PATH: the path; then api_url is "" */
	const char *token_file;
	const char *ca_file;
	const char *cert_file;
	const char *key_file;
	char namespace[DNS_LABEL_SIZE]; /* of bare names */
	enum balance_policy policy;
	enum resolve_mode resolve;
	enum names_mode names;
	enum discovery_mode discovery;
	enum mesh_mode mesh;
	enum fallback_mode fallback;
	enum events_mode events;
	uint32_t sync_timeout_ms; /* longest wait for the first table; 0: never wait */
	uint32_t connect_timeout_ms;
	uint32_t attempts;
	uint32_t sync_interval_ms;
	uint32_t retry_delay_ms;
	uint32_t max_age_s; /* of what nothing is heard of; 0: no limit */
	const char *node;
	const char *zone;
	const char *table_path;
	uint32_t table_uid; /* who serves it; UINT32_MAX: root or the program's own user */
	enum log_level log_level;
	const char *log_path;  /* "": standard error, by path */
	bool program_excluded; /* by K8SLB_ONLY or K8SLB_SKIP: the shim is inert, and nothing else
				  was read: all other fields are defaults */
	void *memory;	       /* the mapping that holds services and strings, or NULL */
	size_t memory_size;
};

/* A non-blocking connect waits at most this long for the first table. */
#define CONFIG_NONBLOCKING_WAIT_MS 300

/* How the environment and the files of the Pod are reached; tests give their own. */
struct config_source {
	/* The value or NULL; the string need live only during config_parse(). */
	const char *(*getenv)(void *ctx, const char *name);
	/* Reads a small file into @text (NUL-terminated, cut at @size - 1, trailing white space
	 * removed); returns 0 or -errno. Asked for the Pod's namespace, and for the presence of
	 * its token; only when a setting depends on them. */
	int (*read_file)(void *ctx, const char *path, char *text, size_t size);
	/* argv[0]'s last part or comm, for K8SLB_ONLY and K8SLB_SKIP. Never NULL. */
	const char *program_name;
	void *ctx;
};

/*
 * The process's own: getenv(3), which tells nothing in a setuid or file-capability program
 * (getauxval(AT_SECURE); secure_getenv(3) is missing from older musl), open and read,
 * program_invocation_short_name, or comm when the program was started without argv[0].
 */
struct config_source config_source_process(void);

/*
 * Reads and checks all settings. A wrong value costs only itself: one message
 * ("K8SLB_POLICY=\"rr\": expected round_robin or random", at most LOG_LINE_SIZE bytes) to @report
 * and the default is used; a wrong entry of K8SLB_SERVICES is skipped and the others are kept. An
 * empty value counts as unset.
 *
 * Without K8SLB_API: the API server of KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, when
 * the Pod's token (or K8SLB_TOKEN_FILE) is there, else kubectl proxy at http://127.0.0.1:8001.
 * The Pod's own token and CA serve that API server, and an https K8SLB_API for which no credential
 * is set at all. Without K8SLB_NAMESPACE: POD_NAMESPACE, the namespace of the service account,
 * "default" (the order of client-go's clientcmd).
 *
 * All memory is one anonymous mapping, no malloc: this runs in a constructor, before main, where
 * the allocator of the program may not be ready. An unset or empty K8SLB_SERVICES makes no mapping
 * and reads nothing else.
 * @report: gets each message; may be NULL. Called before the log is open, so the caller keeps or
 * writes the text at once.
 * Returns 0 or -ENOMEM.
 */
int config_parse(const struct config_source *source, void (*report)(void *ctx, const char *message),
		 void *report_ctx, struct config *ret_config);

/*
 * A hash of all settings that decide what a table says: processes with the same one share a table.
 * Never 0.
 */
uint64_t config_table_identity(const struct config *config);

/* Unmaps. Takes a zeroed struct. */
void config_free(struct config *config);

#endif
