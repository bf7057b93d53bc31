// SPDX-License-Identifier: Apache-2.0
/* Can pods be reached from here? Of a Pod that is so, of most laptops it is not. */
#include <string.h>

#include "base/clock.h"
#include "checks.h"
#include "dial.h"
#include "engine/mesh.h"

#define LONGEST_MS 2000

/* One of each Service first: they may be on different nodes. */
static unsigned choose_targets(const struct patient *patient, struct dial_target *targets)
{
	static const struct select_location nowhere = {"", ""};
	unsigned count = 0;

	for (unsigned i = 0; i < patient->world.count && count < DIAL_TARGETS; i++) {
		struct selection selection;

		if (select_endpoints(&patient->world.services[i], &nowhere, &selection) < 0)
			break;
		for (unsigned p = 0; p < selection.port_count && count < DIAL_TARGETS; p++) {
			const struct selected_port *port = &selection.ports[p];

			for (unsigned e = 0; e < port->endpoint_count && count < DIAL_TARGETS; e++) {
				if (!port->endpoints[e].used || !port->endpoints[e].port ||
				    port->protocol != PROTOCOL_TCP)
					continue;
				targets[count].address = port->endpoints[e].address;
				targets[count++].port = port->endpoints[e].port;
			}
		}
		selection_clear(&selection);
	}
	return count;
}

void check_route(struct patient *patient, struct finding *ret_finding)
{
	struct dial_target targets[DIAL_TARGETS];
	unsigned count = patient->has_world ? choose_targets(patient, targets) : 0;
	char first[IP_TEXT_SIZE];
	int rc;

	if (!count) {
		finding_skip(ret_finding, PROBLEM_ROUTE, "no pod is known to try");
		return;
	}
	ip_port_format(&targets[0].address, targets[0].port, first, sizeof(first));
	rc = dial_any(targets, count, LONGEST_MS);
	if (rc == 0) {
		finding_ok(ret_finding, PROBLEM_ROUTE, "pods can be reached, as %s", first);
		return;
	}
	finding_fail(ret_finding, PROBLEM_ROUTE,
		     "pods cannot be reached from here: %s: %s", first, strerror(-rc));
	finding_remedy(ret_finding,
		       "run the program in the cluster or on one of its nodes, or bring the pod network here (a VPN, "
		       "telepresence connect); kubectl port-forward reaches one pod");
}

void check_mesh(struct patient *patient, struct finding *ret_finding)
{
	struct mesh_watch watch = {0};
	const char *mesh = mesh_look(&watch, MESH_AVOID, clock_monotonic_ms());

	if (!mesh) {
		finding_ok(ret_finding, PROBLEM_MESH, "no mesh's proxy is in this Pod");
	} else if (patient->has_config && patient->config.mesh == MESH_IGNORE) {
		finding_ok(ret_finding, PROBLEM_MESH, "%s's proxy is here, and K8SLB_MESH says ignore",
			   mesh);
	} else {
		finding_fail(ret_finding, PROBLEM_MESH,
			     "%s's proxy is in this Pod and balances: the library stays out of it", mesh);
		finding_remedy(ret_finding, "use one of both: leave the Pod out of the mesh, or set "
					    "K8SLB_MESH=ignore, which goes past the mesh's rules");
	}
}
