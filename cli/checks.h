/* The checks, one function each. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_CHECKS_H
#define K8SLB_CLI_CHECKS_H

#include "finding.h"
#include "patient.h"

/* Looks, and always fills the finding. */
typedef void check_function(struct patient *patient, struct finding *ret_finding);

/* doctor.c: sets what leads to the API server. */
check_function check_kubeconfig;

/* check_cluster.c: before injection. */
check_function check_cluster, check_policies, check_image_volumes;

/* check_library.c */
check_function check_library, check_noexec;

/* check_program.c; they skip where no program is asked for. */
check_function check_program, check_setuid, check_capabilities, check_go, check_static,
	check_machine, check_dislikes;

/* check_settings.c */
check_function check_settings, check_services;

/* check_api.c; they skip what does not ask the API server. */
check_function check_credentials, check_api, check_clock;

/* check_rights.c, check_service.c; after check_api(). */
check_function check_rights, check_service;

/* check_table.c, check_names.c */
check_function check_table, check_names;

/* check_route.c; after check_service(). */
check_function check_route, check_mesh;

/* check_kernel.c, check_library.c */
check_function check_kernel, check_seccomp, check_preloads;

#endif
