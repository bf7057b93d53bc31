// SPDX-License-Identifier: Apache-2.0
#include "patient.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/options.h"

void patient_clear(struct patient *patient)
{
	if (patient->has_world)
		world_free(&patient->world);
	if (patient->has_config)
		config_free(&patient->config);
	patient->has_world = patient->has_config = false;
}

static int take_library(struct patient *patient, const char *path)
{
	char *whole = realpath(path, NULL);
	int length;

	if (!whole)
		return -errno;
	length = snprintf(patient->library, sizeof(patient->library), "%s", whole);
	free(whole);
	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int patient_find_library(struct patient *patient)
{
	static const char *const places[] = {"libk8slb.so", "../lib/libk8slb.so",
					     "../lib64/libk8slb.so"};
	char own[PATH_MAX];
	char path[PATH_MAX + 32];
	ssize_t length;

	if (patient->library_name)
		return take_library(patient, patient->library_name);
	length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	if (length < 0)
		return -errno;
	own[length] = '\0';
	*strrchr(own, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", own, places[i]);
		if (take_library(patient, path) == 0)
			return 0;
	}
	return -ENOENT;
}

int patient_ask(struct patient *patient, char *error, size_t error_size)
{
	struct pipeline_options options = engine_pipeline_options(&patient->config);
	struct logger logger = {0}; /* what cannot be used is explain's to tell */
	int rc = options.api_file[0] ? world_read(options.api_file, &logger, &patient->world, error,
						  error_size)
				     : world_ask(&options, &logger, &patient->world, error,
						 error_size);

	patient->has_world = rc == 0;
	return rc;
}
