// SPDX-License-Identifier: Apache-2.0
#include "run_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kubectl.h"

#define POD_TOKEN "/var/run/secrets/kubernetes.io/serviceaccount/token"
#define BY_HAND	  "--api URL with --token-file and --ca-file"

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

bool run_is_in_pod(void)
{
	return is_set("KUBERNETES_SERVICE_HOST") && access(POD_TOKEN, R_OK) == 0;
}

static void set_default(const char *name, const char *value)
{
	if (*value && !is_set(name))
		setenv(name, value, 1);
}

/* Somebody who names a credential names all of them, as in lib/config/api.c. */
static bool names_credentials(void)
{
	return is_set("K8SLB_TOKEN_FILE") || is_set("K8SLB_CA_FILE") || is_set("K8SLB_CERT_FILE") ||
	       is_set("K8SLB_KEY_FILE");
}

static void use_proxy(const struct kubeconfig *config, struct finding *ret_finding)
{
	char url[64];
	char error[800];
	uint16_t port;

	if (kubectl_proxy(config->context, &port, error, sizeof(error)) < 0) {
		finding_fail(ret_finding, PROBLEM_KUBECONFIG, "context %s %s, so kubectl is to stand between: %s",
			     config->context, config->why_kubectl, error);
		finding_remedy(ret_finding, "see that kubectl proxy works, or name the API server by " BY_HAND);
		return;
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	setenv("K8SLB_API", url, 1);
	finding_ok(ret_finding, PROBLEM_KUBECONFIG, "context %s %s: a kubectl proxy asks for us",
		   config->context, config->why_kubectl);
}

static void use_files(const struct kubeconfig *config)
{
	setenv("K8SLB_API", config->server, 1);
	set_default("K8SLB_CA_FILE", config->ca_file);
	set_default("K8SLB_TOKEN_FILE", config->token_file);
	set_default("K8SLB_CERT_FILE", config->cert_file);
	set_default("K8SLB_KEY_FILE", config->key_file);
}

static void use_kubeconfig(const char *context, struct finding *ret_finding)
{
	struct kubeconfig config;
	char error[512];
	int rc = kubectl_config(context, &config, error, sizeof(error));

	if (rc < 0) {
		finding_fail(ret_finding, PROBLEM_KUBECONFIG, "%s", error);
		finding_remedy(ret_finding, "%s, or name the API server by " BY_HAND,
			       rc == -ENOENT ? "install kubectl"
					     : "choose one of kubectl config get-contexts");
		return;
	}
	set_default("K8SLB_NAMESPACE", config.namespace);
	if (config.why_kubectl[0] && !names_credentials()) {
		use_proxy(&config, ret_finding);
	} else {
		use_files(&config);
		finding_ok(ret_finding, PROBLEM_KUBECONFIG, "context %s of the kubeconfig",
			   config.context);
	}
	kubeconfig_free(&config);
}

void run_find_api(const char *context, struct finding *ret_finding)
{
	bool has_table = is_set("K8SLB_TABLE");

	if ((has_table || is_set("K8SLB_API")) && context) {
		finding_fail(ret_finding, PROBLEM_KUBECONFIG,
			     "--context has no meaning beside %s, which is set",
			     has_table ? "K8SLB_TABLE" : "K8SLB_API");
		finding_remedy(ret_finding, "leave one of them out");
	} else if (has_table || is_set("K8SLB_API")) {
		finding_ok(ret_finding, PROBLEM_KUBECONFIG, "none: %s is set",
			   has_table ? "K8SLB_TABLE" : "K8SLB_API");
	} else if (run_is_in_pod() && !context && !is_set("KUBECONFIG")) {
		finding_ok(ret_finding, PROBLEM_KUBECONFIG, "none: a Pod has its own API server");
	} else {
		use_kubeconfig(context, ret_finding);
	}
	/* A name of the cluster is none of this host's resolver. */
	if (!run_is_in_pod())
		setenv("K8SLB_NAMES", "always", 0);
}
