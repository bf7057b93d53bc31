// SPDX-License-Identifier: Apache-2.0
/* Which verb on which resource the API server refuses, and the Role that grants it. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "checks.h"

static const struct resource {
	const char *name;
	const char *group;
	const char *root;
} resources[] = {
	{"services", "", "/api/v1"},
	{"endpointslices", "discovery.k8s.io", "/apis/discovery.k8s.io/v1"},
	{"endpoints", "", "/api/v1"},
};
enum { SERVICES, SLICES, ENDPOINTS, RESOURCES };

/* Of one namespace. */
struct rights {
	const char *namespace; /* "*": all */
	bool list[RESOURCES];
	bool watch[RESOURCES];
	char user[256]; /* as the API server calls us; "" */
};

/* 'User "system:serviceaccount:default:web" cannot list ...' */
static void take_user(struct rights *rights, const char *message)
{
	const char *name = strstr(message, "User \"");
	size_t length;

	if (!name || rights->user[0])
		return;
	name += strlen("User \"");
	length = strcspn(name, "\"");
	snprintf(rights->user, sizeof(rights->user), "%.*s", (int)length, name);
}

static bool may(const struct config *config, struct rights *rights, unsigned resource, bool watch)
{
	struct api_answer answer;
	char query[64];
	char path[256];
	bool allowed;

	snprintf(query, sizeof(query), "%s?%s", resources[resource].name,
		 watch ? "watch=true&timeoutSeconds=1" : "limit=1");
	ask_path(path, sizeof(path), resources[resource].root, rights->namespace, query);
	if (ask_api(config, path, watch, &answer) < 0)
		return false;
	allowed = answer.status == 200;
	if (answer.status == 403)
		take_user(rights, answer.message);
	api_answer_free(&answer);
	return allowed;
}

static void ask_all(const struct config *config, struct rights *rights)
{
	for (unsigned i = 0; i < RESOURCES; i++) {
		/* Endpoints stand in for slices alone. */
		if (i == ENDPOINTS && rights->list[SLICES] && rights->watch[SLICES])
			continue;
		rights->list[i] = may(config, rights, i, false);
		rights->watch[i] = may(config, rights, i, true);
	}
}

/* "list services, list and watch endpointslices" */
static void list_missing(const struct rights *rights, char *text, size_t size)
{
	size_t length = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		const char *verbs = !rights->list[i] ? rights->watch[i] ? "list" : "list and watch"
				    : rights->watch[i] ? NULL
						       : "watch";

		if (verbs && length < size)
			length += (size_t)snprintf(text + length, size - length, "%s%s %s",
						   length ? ", " : "", verbs, resources[i].name);
	}
}

static void write_subject(const struct rights *rights, char *text, size_t size)
{
	static const char account[] = "system:serviceaccount:";
	const char *namespace = rights->user + sizeof(account) - 1;
	const char *colon;

	if (strncmp(rights->user, account, sizeof(account) - 1) == 0 &&
	    (colon = strchr(namespace, ':')))
		snprintf(text, size, "{kind: ServiceAccount, namespace: %.*s, name: %s}",
			 (int)(colon - namespace), namespace, colon + 1);
	else
		snprintf(text, size,
			 "{kind: User, apiGroup: rbac.authorization.k8s.io, name: \"%s\"}",
			 rights->user[0] ? rights->user : "NAME");
}

static void write_role(const struct rights *rights, struct finding *ret_finding)
{
	bool all = strcmp(rights->namespace, "*") == 0;
	const char *prefix = all ? "Cluster" : "";
	char subject[512];
	char where[128] = "";

	write_subject(rights, subject, sizeof(subject));
	if (!all)
		snprintf(where, sizeof(where), ", namespace: %s", rights->namespace);
	finding_remedy(ret_finding,
		       "have this applied (kubectl apply -f -):\n"
		       "apiVersion: rbac.authorization.k8s.io/v1\n"
		       "kind: %sRole\n"
		       "metadata: {name: k8slb%s}\n"
		       "rules:\n"
		       "- {apiGroups: [\"\"], resources: [services], verbs: [list, watch]}\n"
		       "- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}\n"
		       "---\n"
		       "apiVersion: rbac.authorization.k8s.io/v1\n"
		       "kind: %sRoleBinding\n"
		       "metadata: {name: k8slb%s}\n"
		       "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %sRole, name: k8slb}\n"
		       "subjects:\n"
		       "- %s",
		       prefix, where, prefix, where, prefix, subject);
}

/* Every entry that needs this namespace's Services says itself what their address is. */
static bool has_stand_ins(const struct config *config, const char *namespace)
{
	for (unsigned i = 0; i < config->service_count; i++) {
		if (strcmp(config->services[i].namespace, namespace) == 0 &&
		    !config->services[i].has_vip)
			return false;
	}
	return true;
}

static bool was_before(const struct config *config, unsigned index)
{
	for (unsigned i = 0; i < index; i++) {
		if (strcmp(config->services[i].namespace, config->services[index].namespace) == 0)
			return true;
	}
	return false;
}

/* Returns false after a finding that is no good one. */
static bool check_namespace(const struct config *config, const char *namespace,
			    struct finding *ret_finding)
{
	struct rights rights = {.namespace = namespace};
	bool stand_ins = has_stand_ins(config, namespace);
	bool services, endpoints, watches;
	char missing[128];

	ask_all(config, &rights);
	services = rights.list[SERVICES] || stand_ins;
	endpoints = rights.list[SLICES] || rights.list[ENDPOINTS];
	watches = (rights.watch[SERVICES] || stand_ins) &&
		  (rights.watch[SLICES] || (!rights.list[SLICES] && rights.watch[ENDPOINTS]));
	if (services && endpoints && watches)
		return true;
	list_missing(&rights, missing, sizeof(missing));
	if (!services || !endpoints)
		finding_fail(ret_finding, PROBLEM_RIGHTS,
			     "%s may not %s in %s%s: nothing of it is balanced",
			     rights.user[0] ? rights.user : "this user", missing,
			     strcmp(namespace, "*") ? "namespace " : "all namespaces",
			     strcmp(namespace, "*") ? namespace : "");
	else
		finding_warn(ret_finding, PROBLEM_RIGHTS,
			     "%s may not %s in %s%s: it is read every K8SLB_SYNC_INTERVAL",
			     rights.user[0] ? rights.user : "this user", missing,
			     strcmp(namespace, "*") ? "namespace " : "all namespaces",
			     strcmp(namespace, "*") ? namespace : "");
	write_role(&rights, ret_finding);
	return false;
}

void check_rights(struct patient *patient, struct finding *ret_finding)
{
	const struct config *config = &patient->config;

	if (!patient->has_api) {
		finding_skip(ret_finding, PROBLEM_RIGHTS, "the API server was not asked");
		return;
	}
	for (unsigned i = 0; i < config->service_count; i++) {
		if (!was_before(config, i) &&
		    !check_namespace(config, config->services[i].namespace, ret_finding))
			return;
	}
	finding_ok(ret_finding, PROBLEM_RIGHTS, "Services and endpoints may be listed and watched");
}
