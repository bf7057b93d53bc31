/* What the checks of `k8slb doctor` and `k8slb run` look at, and what one leaves for the next. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_PATIENT_H
#define K8SLB_CLI_PATIENT_H

#include "config/config.h"
#include "program.h"
#include "world.h"

/* All zero at first, but for what the command line says. */
struct patient {
	const char *program_name; /* NULL: none is asked for */
	const char *library_name; /* NULL: it is beside this command */
	const char *context;	  /* of the kubeconfig; NULL: the current one */

	char library[PATH_MAX]; /* absolute; "": not found */
	struct program program;
	bool has_program; /* it was found and read */
	struct config config;
	bool has_config; /* every setting is right */
	struct world world;
	bool has_world; /* what config.services ask for is in it */
	bool has_api;	/* it answers, and knows who we are */
	char api_date[64];
	unsigned cluster_minor; /* of its version 1.N */
};

/* The settings say to ask an API server. */
bool patient_asks_api(const struct patient *patient);

/* Frees what the checks made. */
void patient_clear(struct patient *patient);

/* The library: @library_name, or libk8slb.so beside this command or in ../lib. Returns 0 or -errno. */
int patient_find_library(struct patient *patient);

/* Asks for what config.services name: the API server, or the file in its place. Returns 0, or -errno
 * with the reason in @error. */
int patient_ask(struct patient *patient, char *error, size_t error_size);

#endif
