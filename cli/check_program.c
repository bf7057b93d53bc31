// SPDX-License-Identifier: Apache-2.0
/* The program that is to be balanced: can a library be preloaded into it, and is it of use there? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"

#define LEFT_ALONE "it runs as it always did, and kube-proxy serves it"

/* False after a finding that says why there is nothing to look at. */
static bool is_there(const struct patient *patient, enum problem problem,
		     struct finding *ret_finding)
{
	if (!patient->program_name)
		finding_skip(ret_finding, problem, "no program was named");
	else if (!patient->has_program)
		finding_skip(ret_finding, problem, "the program was not found");
	return patient->has_program;
}

void check_program(struct patient *patient, struct finding *ret_finding)
{
	struct program *program = &patient->program;
	int rc;

	if (!patient->program_name) {
		finding_skip(ret_finding, PROBLEM_PROGRAM, "no program was named (-- PROGRAM)");
		return;
	}
	rc = program_look(patient->program_name, program);
	patient->has_program = rc == 0;
	if (rc < 0) {
		bool of_script = strcmp(program->path, program->binary) != 0;

		finding_fail(ret_finding, PROBLEM_PROGRAM, "%s%s%s: %s", program->path,
			     of_script ? ": its interpreter " : "",
			     of_script ? program->binary : "", strerror(-rc));
		finding_remedy(ret_finding, rc == -EACCES ? "make it executable for this user"
					    : rc == -ENOENT
						    ? "give its path, or put its folder into PATH"
						    : "give a program that the kernel can start");
	} else if (strcmp(program->path, program->binary) == 0) {
		finding_ok(ret_finding, PROBLEM_PROGRAM, "%s", program->path);
	} else {
		finding_ok(ret_finding, PROBLEM_PROGRAM, "%s, a script of %s", program->path,
			   program->binary);
	}
}

void check_setuid(struct patient *patient, struct finding *ret_finding)
{
	if (!is_there(patient, PROBLEM_SETUID, ret_finding))
		return;
	if (!patient->program.changes_user) {
		finding_ok(ret_finding, PROBLEM_SETUID, "runs as the user who starts it");
		return;
	}
	finding_fail(ret_finding, PROBLEM_SETUID,
		     "%s is setuid or setgid: the loader ignores LD_PRELOAD there",
		     patient->program.binary);
	finding_remedy(ret_finding, "start it as the user that it changes to, or a copy without the "
				    "bit; else " LEFT_ALONE);
}

void check_capabilities(struct patient *patient, struct finding *ret_finding)
{
	if (!is_there(patient, PROBLEM_CAPABILITIES, ret_finding))
		return;
	if (!patient->program.has_capabilities) {
		finding_ok(ret_finding, PROBLEM_CAPABILITIES, "its file gives no capabilities");
		return;
	}
	finding_fail(ret_finding, PROBLEM_CAPABILITIES,
		     "%s has file capabilities (getcap): the loader ignores LD_PRELOAD there",
		     patient->program.binary);
	finding_remedy(ret_finding,
		       "give the container the capability, or net.ipv4.ip_unprivileged_port_start "
		       "for low ports, and run a copy without (cp keeps none); else " LEFT_ALONE);
}

/* The settings are looked at later. */
static bool leaves_go_alone(void)
{
	const char *value = getenv("K8SLB_GO");

	return value && strcmp(value, "off") == 0;
}

void check_go(struct patient *patient, struct finding *ret_finding)
{
	if (!is_there(patient, PROBLEM_GO, ret_finding))
		return;
	if (!patient->program.is_go) {
		finding_ok(ret_finding, PROBLEM_GO, "is no Go program");
		return;
	}
	/* shim/go_program.h; whether its runtime is a known one shows when it starts. */
	if (strcmp(program_libc(&patient->program), "glibc") == 0 && !leaves_go_alone()) {
		finding_ok(ret_finding, PROBLEM_GO,
			   "is a Go program that the loader loads: balanced where its runtime is "
			   "a known one, which the log says (K8SLB_LOG=info)");
		return;
	}
	finding_fail(ret_finding, PROBLEM_GO,
		     "%s is a Go program: it calls the kernel itself, past every library",
		     patient->program.binary);
	finding_remedy(ret_finding, "balance inside of it, as gRPC's round_robin over a headless "
				    "Service; else " LEFT_ALONE);
}

void check_static(struct patient *patient, struct finding *ret_finding)
{
	const struct program *program = &patient->program;

	if (!is_there(patient, PROBLEM_STATIC, ret_finding))
		return;
	if (program->is_go) {
		finding_skip(ret_finding, PROBLEM_STATIC, "of a Go program it is no matter");
		return;
	}
	if (!program->is_elf || program->loader[0]) {
		finding_ok(ret_finding, PROBLEM_STATIC,
			   program->is_elf ? "dynamically linked, %s" : "cannot be read: %s",
			   program->is_elf ? program_libc(program) : "taken for a dynamic one");
		return;
	}
	finding_fail(ret_finding, PROBLEM_STATIC,
		     "%s is statically linked: no loader runs that could load the library",
		     program->binary);
	finding_remedy(ret_finding, "use a dynamically linked build of it; else " LEFT_ALONE);
}

void check_machine(struct patient *patient, struct finding *ret_finding)
{
	const struct program *program = &patient->program;
	uint16_t machine;
	uint8_t bits;

	if (!is_there(patient, PROBLEM_MACHINE, ret_finding))
		return;
	if (!program->is_elf || !patient->library[0] ||
	    program_machine_of(patient->library, &machine, &bits) < 0) {
		finding_skip(ret_finding, PROBLEM_MACHINE, "not known");
		return;
	}
	if (program->machine == machine && program->bits == bits) {
		finding_ok(ret_finding, PROBLEM_MACHINE, "program and library are for %s",
			   program_machine_name(machine));
		return;
	}
	finding_fail(ret_finding, PROBLEM_MACHINE,
		     "%s is for %s (%u bits), the library for %s (%u bits): the loader passes it "
		     "over",
		     program->binary, program_machine_name(program->machine), program->bits,
		     program_machine_name(machine), bits);
	finding_remedy(ret_finding, "name a library for that machine by --library FILE, or use a "
				    "build of the program for this one");
}
