// SPDX-License-Identifier: Apache-2.0
/* Programs that are known to dislike a preload: deploy/chart/files/programs.yaml, which injection goes by. */
#include <string.h>

#include "checks.h"

static const struct {
	const char *name;
	const char *reason;
} programs[] = {
#include "programs.inc"
};

void check_dislikes(struct patient *patient, struct finding *ret_finding)
{
	const char *name = patient->program_name;

	if (!name) {
		finding_skip(ret_finding, PROBLEM_DISLIKES, "no program was named");
		return;
	}
	name = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(programs[i].name, name) != 0)
			continue;
		finding_fail(ret_finding, PROBLEM_DISLIKES, "%s %s", name, programs[i].reason);
		finding_remedy(ret_finding, "leave it out of LD_PRELOAD, and of injection (docs/inject.md, "
					    "Programs that dislike a preload)");
		return;
	}
	finding_ok(ret_finding, PROBLEM_DISLIKES, "is not known to dislike a preload");
}
