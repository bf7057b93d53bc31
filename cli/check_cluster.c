// SPDX-License-Identifier: Apache-2.0
/* The cluster before injection: what of it the ways to inject need. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "checks.h"

/* EndpointSlices are discovery.k8s.io/v1 since then; older ones still have Endpoints. */
#define SLICES_SINCE	    21u
#define IMAGE_VOLUMES_SINCE 36u /* GA; before it they have to be switched on, since 1.33 */
#define POLICIES_PATH	    "/apis/admissionregistration.k8s.io/v1"

void check_cluster(struct patient *patient, struct finding *ret_finding)
{
	struct api_answer answer;
	char version[64];

	if (!patient->has_config || ask_api(&patient->config, "/version", false, &answer) < 0) {
		finding_fail(ret_finding, PROBLEM_API, "no API server is known");
		finding_remedy(ret_finding, "set K8SLB_API, or use a kubeconfig");
		return;
	}
	snprintf(patient->api_date, sizeof(patient->api_date), "%s", answer.date);
	if (answer.status != 200) {
		finding_fail(ret_finding, PROBLEM_API, "%s: %s", patient->config.api_url, answer.message);
		finding_remedy(ret_finding, "see that it can be reached with these credentials (kubectl version)");
	} else if (!api_answer_text(&answer, "gitVersion", version, sizeof(version))) {
		finding_fail(ret_finding, PROBLEM_API, "%s is no Kubernetes API server",
			     patient->config.api_url);
		finding_remedy(ret_finding, "set K8SLB_API to one");
	} else {
		const char *dot = strchr(version, '.');

		patient->has_api = true;
		patient->cluster_minor = dot ? (unsigned)atoi(dot + 1) : 0;
		if (patient->cluster_minor >= SLICES_SINCE) {
			finding_ok(ret_finding, PROBLEM_VERSION, "Kubernetes %s", version);
		} else {
			finding_warn(ret_finding, PROBLEM_VERSION,
				     "Kubernetes %s has no EndpointSlices of version 1", version);
			finding_remedy(ret_finding, "grant list and watch of endpoints; they are read in "
						    "place of slices");
		}
	}
	api_answer_free(&answer);
}

void check_policies(struct patient *patient, struct finding *ret_finding)
{
	static const char wanted[] = "\"mutatingadmissionpolicies\"";
	struct api_answer answer;

	if (!patient->has_api ||
	    ask_api(&patient->config, POLICIES_PATH, false, &answer) < 0) {
		finding_skip(ret_finding, PROBLEM_POLICIES, "the API server was not asked");
		return;
	}
	if (answer.status != 200) {
		finding_skip(ret_finding, PROBLEM_POLICIES, "not known: %s", answer.message);
	} else if (answer.body.length &&
		   memmem(answer.body.data, answer.body.length, wanted, sizeof(wanted) - 1)) {
		finding_ok(ret_finding, PROBLEM_POLICIES, "MutatingAdmissionPolicy is served");
	} else {
		finding_warn(ret_finding, PROBLEM_POLICIES,
			     "MutatingAdmissionPolicy is not served: Pods cannot be injected by a label");
		finding_remedy(ret_finding, "use Kubernetes 1.36 or later, or set the variables and the "
					    "volume in the Pod's own template");
	}
	api_answer_free(&answer);
}

void check_image_volumes(struct patient *patient, struct finding *ret_finding)
{
	if (!patient->has_api) {
		finding_skip(ret_finding, PROBLEM_IMAGE_VOLUMES, "the version is not known");
	} else if (patient->cluster_minor >= IMAGE_VOLUMES_SINCE) {
		finding_ok(ret_finding, PROBLEM_IMAGE_VOLUMES, "a volume may be an image");
	} else {
		finding_warn(ret_finding, PROBLEM_IMAGE_VOLUMES,
			     "1.%u need not mount images as volumes (that is sure since 1.%u)",
			     patient->cluster_minor, IMAGE_VOLUMES_SINCE);
		finding_remedy(ret_finding, "bring the library by an init container and an emptyDir");
	}
}
