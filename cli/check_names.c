// SPDX-License-Identifier: Apache-2.0
/* What the host's resolver asks the cluster for, and so which names are Services. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shim/resolv_conf.h"
#include "checks.h"

static void read_conf(struct resolv_conf *conf)
{
	FILE *file = fopen("/etc/resolv.conf", "re");
	char line[1024];

	resolv_conf_init(conf);
	while (file && fgets(line, sizeof(line), file)) {
		bool cut = !strchr(line, '\n') && !feof(file);

		line[strcspn(line, "\n")] = '\0';
		resolv_conf_line(conf, RESOLV_GLIBC, line, cut);
	}
	if (file)
		fclose(file);
	if (getenv("LOCALDOMAIN"))
		resolv_conf_set_search(conf, getenv("LOCALDOMAIN"));
}

#define HOST_SIZE (2 * RESOLV_NAME_SIZE)

/* The shortest form of the Service's name for which the resolver asks the cluster's DNS. */
static void shortest(const struct resolv_conf *conf, const struct service_ref *ref,
		     const char *domain, char host[HOST_SIZE])
{
	const char *const ends[] = {"", ref->namespace, "svc"};
	char whole[HOST_SIZE];
	char name[RESOLV_NAME_SIZE];

	snprintf(whole, sizeof(whole), "%s.%s.svc.%s", ref->name, ref->namespace, domain);
	snprintf(host, HOST_SIZE, "%s", ref->name);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct resolv_walk walk = {.host = host};
		size_t length = strlen(host);

		if (i)
			snprintf(host + length, HOST_SIZE - length, ".%s", ends[i]);
		while (resolv_walk_next(&walk, conf, name)) {
			if (strcmp(name, whole) == 0)
				return;
		}
	}
	snprintf(host, HOST_SIZE, "%s", whole);
}

/* "default/web is web here, shop/cart is cart.shop" */
static void tell_each(const struct resolv_conf *conf, const struct config *config, const char *domain,
		      char *text, size_t size)
{
	size_t length = 0;

	for (unsigned i = 0; i < config->service_count && length < size; i++) {
		const struct service_ref *ref = &config->services[i];
		char host[HOST_SIZE];

		if (strcmp(ref->name, "*") == 0 || strcmp(ref->namespace, "*") == 0)
			continue;
		shortest(conf, ref, domain, host);
		length += (size_t)snprintf(text + length, size - length, "%s%s/%s is %s%s",
					   length ? ", " : "; ", ref->namespace, ref->name, host,
					   length ? "" : " here");
	}
}

void check_names(struct patient *patient, struct finding *ret_finding)
{
	const struct config *config = &patient->config;
	struct resolv_conf conf;
	char domain[RESOLV_NAME_SIZE];
	char each[512] = "";

	if (!patient->has_config || !config->service_count) {
		finding_skip(ret_finding, PROBLEM_NAMES, "no Service is configured");
		return;
	}
	if (config->names == NAMES_ALWAYS) {
		finding_ok(ret_finding, PROBLEM_NAMES, "K8SLB_NAMES=always: all forms of each name");
		return;
	}
	read_conf(&conf);
	if (resolv_conf_domain(&conf, domain)) {
		tell_each(&conf, config, domain, each, sizeof(each));
		finding_ok(ret_finding, PROBLEM_NAMES,
			   "the resolver asks for names of %s%s", domain, each);
		return;
	}
	finding_warn(ret_finding, PROBLEM_NAMES,
		     "/etc/resolv.conf names no cluster: lookups of Services are the host's, and only "
		     "connections to their addresses are balanced");
	finding_remedy(ret_finding, "set K8SLB_NAMES=always, or dnsPolicy: ClusterFirst in the Pod");
}
