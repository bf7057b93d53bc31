// SPDX-License-Identifier: Apache-2.0
/* Is each of K8SLB_SERVICES there, with its port, and is anything behind it? */
#include <stdio.h>
#include <string.h>

#include "checks.h"

static const struct service_state *find(const struct patient *patient,
					const struct service_ref *ref)
{
	for (unsigned i = 0; i < patient->world.count; i++) {
		const struct service_state *state = &patient->world.services[i];

		if (state->service && service_ref_covers(ref, state->namespace, state->name))
			return state;
	}
	return NULL;
}

static bool has_port(const struct service *service, const struct service_ref *ref)
{
	for (unsigned i = 0; i < service->port_count; i++) {
		if (service_ref_covers_port(ref, service->ports[i].name, service->ports[i].port))
			return true;
	}
	return service->made_up || !service->port_count;
}

static bool has_endpoint(const struct service_state *state)
{
	static const struct select_location nowhere = {"", ""};
	struct selection selection;
	bool found = false;

	if (select_endpoints(state, &nowhere, &selection) < 0)
		return true;
	for (unsigned i = 0; i < selection.port_count; i++)
		found |= selection.ports[i].used_count > 0;
	selection_clear(&selection);
	return found;
}

static void tell_missing(const struct service_ref *ref, struct finding *ret_finding)
{
	if (strcmp(ref->name, "*") == 0)
		finding_fail(ret_finding, PROBLEM_SERVICE, "there is no Service in namespace %s",
			     ref->namespace);
	else
		finding_fail(ret_finding, PROBLEM_SERVICE, "there is no Service %s/%s",
			     ref->namespace, ref->name);
	finding_remedy(ret_finding,
		       "mend the name in K8SLB_SERVICES (kubectl get services -n %s lists what there "
		       "is), or the namespace in K8SLB_NAMESPACE",
		       ref->namespace);
}

/* Returns false after a finding that is no good one. */
static bool check_one(const struct patient *patient, const struct service_ref *ref,
		      struct finding *ret_finding)
{
	const struct service_state *state = find(patient, ref);

	if (!state) {
		tell_missing(ref, ret_finding);
		return false;
	}
	if ((ref->port || ref->port_name[0]) && !has_port(state->service, ref)) {
		finding_fail(ret_finding, PROBLEM_SERVICE, "Service %s/%s has no port %s%.0u",
			     state->namespace, state->name, ref->port_name, ref->port);
		if (ref->port)
			finding_fail(ret_finding, PROBLEM_SERVICE, "Service %s/%s has no port %u",
				     state->namespace, state->name, ref->port);
		finding_remedy(ret_finding, "leave the port out, or name one that k8slb explain %s/%s "
					    "shows",
			       state->namespace, state->name);
		return false;
	}
	if (strcmp(ref->name, "*") != 0 && !has_endpoint(state)) {
		finding_warn(ret_finding, PROBLEM_NO_ENDPOINTS,
			     "no endpoint of Service %s/%s is ready: its connections are kube-proxy's",
			     state->namespace, state->name);
		finding_remedy(ret_finding, "k8slb explain %s/%s tells why of each", state->namespace,
			       state->name);
		return false;
	}
	return true;
}

void check_service(struct patient *patient, struct finding *ret_finding)
{
	const struct config *config = &patient->config;
	char error[1024];

	if (!patient->has_api && !(patient->has_config && config->api_file[0])) {
		finding_skip(ret_finding, PROBLEM_SERVICE, "the API server was not asked");
		return;
	}
	if (patient_ask(patient, error, sizeof(error)) < 0) {
		finding_skip(ret_finding, PROBLEM_SERVICE, "%s", error);
		return;
	}
	for (unsigned i = 0; i < config->service_count; i++) {
		if (!check_one(patient, &config->services[i], ret_finding))
			return;
	}
	finding_ok(ret_finding, PROBLEM_SERVICE, "every Service of K8SLB_SERVICES is there");
}
