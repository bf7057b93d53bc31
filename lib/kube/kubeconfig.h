/* What a kubeconfig says of the API server and of who we are, as `kubectl config view` writes it. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_KUBECONFIG_H
#define K8SLB_KUBE_KUBECONFIG_H

#include <stddef.h>

/* Texts are never NULL; "": it does not say. The caller's: kubeconfig_free(). */
struct kubeconfig {
	char *context;
	char *server;
	char *namespace;
	/* Files: never what they hold. Absolute. */
	char *ca_file;
	char *token_file;
	char *cert_file;
	char *key_file;
	/* Why these files are not enough to ask the API server, in words that go on from "it": "logs
	 * in by the plugin aws", "holds a token itself"; "" when they are. No secret is in it. */
	char why_kubectl[192];
};

/*
 * Reads the output of `kubectl config view --raw --minify -o json`: one context with its cluster
 * and user (k8s.io/client-go/tools/clientcmd/api/v1). Returns 0, -EBADMSG with the reason in
 * @error, or -ENOMEM; *@ret_config is untouched then.
 */
int kubeconfig_decode(const char *text, size_t size, struct kubeconfig *ret_config, char *error,
		      size_t error_size);

/* Takes a zeroed struct. */
void kubeconfig_free(struct kubeconfig *config);

#endif
