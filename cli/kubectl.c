// SPDX-License-Identifier: Apache-2.0
#include "kubectl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "subprocess.h"

#define OUTPUT_LIMIT (1024u * 1024)

int kubectl_config(const char *context, struct kubeconfig *ret_config, char *error,
		   size_t error_size)
{
	/* --minify leaves the current context alone, so nothing is read of other clusters. */
	const char *argv[] = {"kubectl", "config", "view", "--raw", "--minify", "-o", "json",
			      context ? "--context" : NULL, context, NULL};
	struct buffer output = {.limit = OUTPUT_LIMIT};
	struct buffer errors = {.limit = OUTPUT_LIMIT};
	char reason[256];
	int status = 0;
	int rc = subprocess_read(argv, &output, &errors, &status);

	if (rc < 0) {
		snprintf(error, error_size, "kubectl: %s", strerror(-rc));
	} else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		subprocess_last_line(&errors, reason, sizeof(reason));
		snprintf(error, error_size, "kubectl config view: %s",
			 reason[0] ? reason : "it failed");
		rc = -EIO;
	} else {
		rc = kubeconfig_decode(output.data ? output.data : "", output.length, ret_config,
				       reason, sizeof(reason));
		if (rc < 0)
			snprintf(error, error_size, "kubectl config view: %s", reason);
	}
	buffer_free(&output);
	buffer_free(&errors);
	return rc;
}
