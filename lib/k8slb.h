/* k8slb: the ready endpoints of a Kubernetes Service, in round robin, for C programs. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_H
#define K8SLB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define K8SLB_API __attribute__((visibility("default")))

/*
 *	struct k8slb_config config = {.service = "web"};
 *	struct k8slb *lb;
 *	struct k8slb_endpoint endpoint;
 *	char error[K8SLB_ERROR_SIZE];
 *
 *	if (k8slb_new(&config, &lb, error, sizeof(error)) < 0 ||
 *	    k8slb_sync_endpoints(lb, error, sizeof(error)) < 0 ||
 *	    k8slb_start_background_sync(lb) < 0)
 *		...
 *	if (k8slb_next(lb, &endpoint) == 0)
 *		connect to endpoint.host, endpoint.port
 *	k8slb_free(lb);
 *
 * All functions may be called by any thread at any time, but for k8slb_free(), which must be the
 * last. All return 0 or a negative errno value; outputs are untouched on failure.
 *
 * After fork() an object is the parent's: the child makes one of its own and neither uses nor
 * frees this one.
 */
struct k8slb;

/* Room for any error text. */
#define K8SLB_ERROR_SIZE 256

/* Value of k8slb_config.api_addr for a program in a Pod: the API server of KUBERNETES_SERVICE_HOST
 * and KUBERNETES_SERVICE_PORT, with the Pod's service account. */
#define K8SLB_IN_CLUSTER "in-cluster"

enum k8slb_discovery {
	K8SLB_DISCOVERY_AUTO = 0,	 /* EndpointSlices; Endpoints where slices are forbidden or
					    absent */
	K8SLB_DISCOVERY_ENDPOINT_SLICES, /* list and watch of discovery.k8s.io/v1 */
	K8SLB_DISCOVERY_ENDPOINTS, /* GET /api/v1/namespaces/NS/endpoints/NAME and its watch */
};

/*
 * All zero but @service is a valid configuration. Everything is copied, but for @error_ctx.
 */
struct k8slb_config {
	/* "HOST:PORT" (plain HTTP, as of `kubectl proxy`), "http://...", "https://..." or
	 * K8SLB_IN_CLUSTER. NULL: "127.0.0.1:8001". */
	const char *api_addr;
	const char *service;	   /* name of the Service; required */
	const char *k8s_namespace; /* NULL: "default" */
	const char *port_name;	   /* NULL: the Service's only or first port */
	unsigned retry_delay_ms;   /* pause after an error, 0: 5 000. Jittered; a sixth of it at
				      first, doubling up to six times it. */
	unsigned sync_interval_ms; /* 0: 30 000. How often to ask where no watch is allowed; with a
				      watch, changes come by themselves. */
	enum k8slb_discovery discovery;
	/* For https; NULL: none, or the service account's with K8SLB_IN_CLUSTER. Read again as they
	 * rotate. */
	const char *token_file;
	const char *ca_file;
	const char *cert_file;
	const char *key_file;
	/* Gets one line for each new problem and for the end of one, from the thread that syncs. It
	 * must not call back into this library. NULL: silence. */
	void (*error_callback)(void *ctx, const char *message);
	void *error_ctx;
};

/* Where one pod answers. */
struct k8slb_endpoint {
	char host[46];	  /* numeric: "10.244.0.7" or "fd00::7" (INET6_ADDRSTRLEN) */
	uint16_t port;	  /* host byte order */
	char address[56]; /* "10.244.0.7:8080" or "[fd00::7]:8080" */
};

/*
 * Makes an object; no request is made yet.
 * Errors: -EINVAL (what is wrong with @config is in @error), -ENOMEM. @error may be NULL.
 */
K8SLB_API int k8slb_new(const struct k8slb_config *config, struct k8slb **ret_lb, char *error,
			size_t error_size);

/*
 * Reads the endpoints once and returns when that is done, at most about a minute later. While the
 * background sync runs it only waits for its first result. The last good endpoints stay when it
 * fails.
 * Errors: -EIO (the reason is in @error), -ENOMEM, -ESHUTDOWN. @error may be NULL.
 */
K8SLB_API int k8slb_sync_endpoints(struct k8slb *lb, char *error, size_t error_size);

/*
 * Starts a thread that keeps the endpoints in sync until k8slb_shutdown(). It has all signals
 * blocked. Returns at once; problems go to the error callback.
 * Errors: -EALREADY (it runs), -EAGAIN (no more threads), -ESHUTDOWN, -ENOMEM.
 */
K8SLB_API int k8slb_start_background_sync(struct k8slb *lb);

/*
 * Gives the next ready endpoint in round robin, beginning anywhere. Never waits for the network.
 * Errors: -ENOENT (the Service has no ready endpoint now), -EAGAIN (nothing was synced yet).
 */
K8SLB_API int k8slb_next(struct k8slb *lb, struct k8slb_endpoint *ret_endpoint);

/*
 * Gives all ready endpoints as of now, sorted by address, in an array that the caller frees by
 * free(3); NULL when there are none, which is no error. Takes no turn of the round.
 * Errors: -EAGAIN (nothing was synced yet), -ENOMEM.
 */
K8SLB_API int k8slb_endpoints(struct k8slb *lb, struct k8slb_endpoint **ret_endpoints,
			      size_t *ret_count);

/*
 * Stops the background sync and waits for its thread. The endpoints that are known stay available
 * to k8slb_next(). More calls do nothing. A name in api_addr that is being resolved is waited for.
 */
K8SLB_API void k8slb_shutdown(struct k8slb *lb);

/* Shuts down and frees. Takes NULL. */
K8SLB_API void k8slb_free(struct k8slb *lb);

/* The library's version at run time, as "0.2.0". */
K8SLB_API const char *k8slb_version(void);

#ifdef __cplusplus
}
#endif

#endif
