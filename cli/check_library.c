// SPDX-License-Identifier: Apache-2.0
/* The library's own file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "checks.h"

void check_library(struct patient *patient, struct finding *ret_finding)
{
	uint16_t machine;
	uint8_t bits;
	int rc = patient_find_library(patient);

	if (rc == 0)
		rc = program_machine_of(patient->library, &machine, &bits);
	if (rc < 0) {
		finding_fail(ret_finding, PROBLEM_LIBRARY, "%s: %s",
			     patient->library[0]     ? patient->library
			     : patient->library_name ? patient->library_name
						     : "libk8slb.so beside k8slb or in ../lib",
			     rc == -ENOEXEC ? "is no library" : strerror(-rc));
		finding_remedy(ret_finding, "install k8slb and libk8slb.so together, or name the "
					    "library by --library FILE");
		patient->library[0] = '\0';
	} else if (strpbrk(patient->library, " :")) {
		finding_fail(ret_finding, PROBLEM_LIBRARY,
			     "%s: LD_PRELOAD cannot hold a path with a space or a colon",
			     patient->library);
		finding_remedy(ret_finding, "move it to a path without them, or make a link there "
					    "and name that by --library");
	} else {
		finding_ok(ret_finding, PROBLEM_LIBRARY, "%s for %s", patient->library,
			   program_machine_name(machine));
	}
}

void check_noexec(struct patient *patient, struct finding *ret_finding)
{
	struct statvfs mount;

	if (!patient->library[0]) {
		finding_skip(ret_finding, PROBLEM_NOEXEC, "no library");
	} else if (statvfs(patient->library, &mount) < 0 || !(mount.f_flag & ST_NOEXEC)) {
		finding_ok(ret_finding, PROBLEM_NOEXEC, "its mount lets code run");
	} else {
		finding_fail(ret_finding, PROBLEM_NOEXEC,
			     "%s is on a mount with noexec: the loader cannot map it",
			     patient->library);
		finding_remedy(ret_finding, "copy it to a mount without noexec (mount | grep "
					    "noexec), and name it by --library FILE");
	}
}

/* ---- what else is loaded before everything ---- */

static void add_words(char *text, size_t size, const char *words, const char *own)
{
	for (size_t length; *words; words += length) {
		words += strspn(words, " :\t\n");
		length = strcspn(words, " :\t\n");
		if (!length || (strlen(own) == length && strncmp(words, own, length) == 0) ||
		    memmem(words, length, "libk8slb.so", strlen("libk8slb.so")))
			continue;
		snprintf(text + strlen(text), size - strlen(text), "%s%.*s", *text ? ", " : "",
			 (int)length, words);
	}
}

void check_preloads(struct patient *patient, struct finding *ret_finding)
{
	const char *words = getenv("LD_PRELOAD");
	FILE *file = fopen("/etc/ld.so.preload", "re");
	char line[1024];
	char others[512] = "";

	add_words(others, sizeof(others), words ? words : "", patient->library);
	while (file && fgets(line, sizeof(line), file))
		add_words(others, sizeof(others), line, patient->library);
	if (file)
		fclose(file);
	if (others[0])
		finding_ok(ret_finding, PROBLEM_PRELOADS, "beside ours: %s", others);
	else
		finding_ok(ret_finding, PROBLEM_PRELOADS, "nothing else is preloaded");
}
