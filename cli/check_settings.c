// SPDX-License-Identifier: Apache-2.0
/* The K8SLB_* of the environment, as the library reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"

/* The first wrong one, and how many there are. */
struct wrong {
	unsigned count;
	char first[512];
};

static void take_message(void *ctx, const char *message)
{
	struct wrong *wrong = ctx;

	if (!wrong->count++)
		snprintf(wrong->first, sizeof(wrong->first), "%s", message);
}

void check_settings(struct patient *patient, struct finding *ret_finding)
{
	struct config_source source = config_source_process();
	struct wrong wrong = {0};
	int rc;

	if (patient->program_name) {
		const char *slash = strrchr(patient->program_name, '/');

		source.program_name = slash ? slash + 1 : patient->program_name;
	}
	rc = config_parse(&source, take_message, &wrong, &patient->config);
	if (rc < 0) {
		finding_fail(ret_finding, PROBLEM_SETTING, "the settings: %s", strerror(-rc));
		finding_remedy(ret_finding, "give this command more memory");
		return;
	}
	patient->has_config = true;
	if (!wrong.count) {
		finding_ok(ret_finding, PROBLEM_SETTING, "no setting is wrong");
		return;
	}
	finding_warn(ret_finding, PROBLEM_SETTING, "%s%s", wrong.first,
		     wrong.count > 1 ? "; and more" : "");
	finding_remedy(ret_finding, "mend it: its default counts until then (k8slb settings --check "
				    "lists all that are wrong)");
}

void check_services(struct patient *patient, struct finding *ret_finding)
{
	const struct config *config = &patient->config;

	if (config->program_excluded) {
		finding_fail(ret_finding, PROBLEM_EXCLUDED,
			     "K8SLB_ONLY or K8SLB_SKIP keeps the library out of %s",
			     patient->program_name ? patient->program_name : "k8slb");
		finding_remedy(ret_finding, "change them, or name the program that is meant behind --");
	} else if (!config->service_count) {
		finding_fail(ret_finding, PROBLEM_NO_SERVICE,
			     "no Service is configured: K8SLB_SERVICES is %s, so nothing is balanced",
			     getenv("K8SLB_SERVICES") ? "empty or wrong" : "not set");
		finding_remedy(ret_finding, "set K8SLB_SERVICES=NAME[,..], or * for all of the "
					    "namespace");
	} else {
		finding_ok(ret_finding, PROBLEM_NO_SERVICE, "%u in K8SLB_SERVICES, the first is %s/%s",
			   config->service_count, config->services[0].namespace,
			   config->services[0].name);
	}
}
