// SPDX-License-Identifier: Apache-2.0
#include "k8slb.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "endpoints/settings.h"

/* Longest time that k8slb_sync_endpoints() waits: a list may take 60 s. */
#define SYNC_DEADLINE_MS (65 * 1000)
#define LONGEST_WAIT_MS	 (60 * 1000)
/* A snapshot is read again when the writer was faster; that often in a row it never is. */
#define READ_TRIES 64

/*
 * @lock guards everything that is not constant; nothing is called under it that waits or calls
 * back. @sync_lock is held by whoever runs a pipeline in the foreground; it is taken before @lock.
 */
struct k8slb {
	struct settings settings; /* constant after k8slb_new() */
	pthread_mutex_t sync_lock;
	pthread_mutex_t lock;
	pthread_cond_t changed;	     /* a first result, a failed try, or the end of the thread */
	struct pipeline *background; /* the thread's own; only pipeline_wakeup() from outside */
	struct pipeline *foreground; /* of the last k8slb_sync_endpoints(): keeps its table */
	const struct table_view *view;
	bool thread_started;
	bool stopping;
	bool attempted; /* the thread's first try came to an end */
	char problem[K8SLB_ERROR_SIZE];
	pthread_t thread;
	uint64_t turn;
};

static void give_error(char *error, size_t error_size, const char *text)
{
	if (error && error_size)
		snprintf(error, error_size, "%s", text);
}

int k8slb_new(const struct k8slb_config *config, struct k8slb **ret_lb, char *error,
	      size_t error_size)
{
	struct k8slb *lb = calloc(1, sizeof(*lb));
	struct pipeline *trial;
	char reason[K8SLB_ERROR_SIZE] = "out of memory";
	pthread_condattr_t clock;
	int rc = -ENOMEM;

	if (lb)
		rc = settings_init(&lb->settings, config, reason, sizeof(reason));
	if (rc == 0)
		/* Checks the address of the API server; opens no connection. */
		rc = settings_new_pipeline(&lb->settings, &trial, reason, sizeof(reason));
	if (rc < 0) {
		give_error(error, error_size, reason);
		if (lb)
			settings_clear(&lb->settings);
		free(lb);
		return rc == -ENOMEM ? -ENOMEM : -EINVAL;
	}
	pipeline_free(trial);
	/* Else the first connection of every process goes to the same pod. */
	lb->turn = random_u64() >> 32;
	pthread_mutex_init(&lb->sync_lock, NULL);
	pthread_mutex_init(&lb->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&lb->changed, &clock);
	pthread_condattr_destroy(&clock);
	*ret_lb = lb;
	return 0;
}

/* ---- background ---- */

/* Takes over what the last round brought; returns false when the thread is to end. */
static bool report_round(struct k8slb *lb)
{
	const struct table_view *view = pipeline_view(lb->background);
	bool go_on;

	pthread_mutex_lock(&lb->lock);
	if (view)
		lb->view = view;
	if (pipeline_attempted(lb->background) && !lb->attempted) {
		lb->attempted = true;
		snprintf(lb->problem, sizeof(lb->problem), "%s", pipeline_problem(lb->background));
		pthread_cond_broadcast(&lb->changed);
	} else if (view) {
		pthread_cond_broadcast(&lb->changed);
	}
	go_on = !lb->stopping;
	pthread_mutex_unlock(&lb->lock);
	return go_on;
}

static void *run_background(void *argument)
{
	struct k8slb *lb = argument;

	do {
		pipeline_run(lb->background, LONGEST_WAIT_MS);
	} while (report_round(lb));
	return NULL;
}

static int start_thread(struct k8slb *lb)
{
	sigset_t all;
	sigset_t before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&lb->thread, NULL, run_background, lb);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int k8slb_start_background_sync(struct k8slb *lb)
{
	char ignored[K8SLB_ERROR_SIZE];
	int rc = 0;

	pthread_mutex_lock(&lb->lock);
	if (lb->stopping)
		rc = -ESHUTDOWN;
	else if (lb->thread_started)
		rc = -EALREADY;
	if (rc == 0)
		rc = settings_new_pipeline(&lb->settings, &lb->background, ignored,
					   sizeof(ignored));
	if (rc == 0) {
		rc = start_thread(lb);
		if (rc < 0) {
			pipeline_free(lb->background);
			lb->background = NULL;
		}
	}
	if (rc == 0)
		lb->thread_started = true;
	pthread_mutex_unlock(&lb->lock);
	return rc;
}

/* ---- foreground ---- */

/* Waits for the thread's first result. */
static int wait_for_background(struct k8slb *lb, char *error, size_t error_size)
{
	struct timespec deadline;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += SYNC_DEADLINE_MS / 1000;
	pthread_mutex_lock(&lb->lock);
	while (!lb->view && !lb->attempted && !lb->stopping && rc == 0)
		rc = pthread_cond_timedwait(&lb->changed, &lb->lock, &deadline);
	if (lb->view)
		rc = 0;
	else
		rc = lb->stopping ? -ESHUTDOWN : -EIO;
	if (rc < 0)
		give_error(error, error_size,
			   lb->stopping	    ? "shut down"
			   : lb->problem[0] ? lb->problem
					    : "timed out");
	pthread_mutex_unlock(&lb->lock);
	return rc;
}

static bool is_stopping(struct k8slb *lb)
{
	bool stopping;

	pthread_mutex_lock(&lb->lock);
	stopping = lb->stopping;
	pthread_mutex_unlock(&lb->lock);
	return stopping;
}

/* One list by a pipeline of its own; its table replaces the last one only when it is good. */
static int sync_once(struct k8slb *lb, char *error, size_t error_size)
{
	uint64_t deadline_ms = clock_monotonic_ms() + SYNC_DEADLINE_MS;
	struct pipeline *pipeline;
	struct pipeline *old = NULL;
	char reason[K8SLB_ERROR_SIZE];
	bool background;
	int rc = settings_new_pipeline(&lb->settings, &pipeline, reason, sizeof(reason));

	if (rc < 0) {
		give_error(error, error_size, reason);
		return rc;
	}
	while (!pipeline_view(pipeline) && !pipeline_attempted(pipeline) && !is_stopping(lb) &&
	       clock_monotonic_ms() < deadline_ms)
		pipeline_run(pipeline, 100);
	rc = pipeline_view(pipeline) ? 0 : -EIO;
	if (rc < 0) {
		const char *problem = pipeline_problem(pipeline);

		give_error(error, error_size, problem[0] ? problem : "timed out");
	}

	pthread_mutex_lock(&lb->lock);
	background = lb->thread_started;
	if (rc == 0 && !background) {
		lb->view = pipeline_view(pipeline);
		old = lb->foreground;
		lb->foreground = pipeline;
	} else {
		old = pipeline;
	}
	pthread_mutex_unlock(&lb->lock);
	pipeline_free(old);
	/* The thread was started meanwhile: its table is the one that lives on. */
	return background ? wait_for_background(lb, error, error_size) : rc;
}

int k8slb_sync_endpoints(struct k8slb *lb, char *error, size_t error_size)
{
	bool background;
	int rc;

	pthread_mutex_lock(&lb->lock);
	background = lb->thread_started;
	rc = lb->stopping ? -ESHUTDOWN : 0;
	pthread_mutex_unlock(&lb->lock);
	if (rc < 0) {
		give_error(error, error_size, "shut down");
		return rc;
	}
	if (background)
		return wait_for_background(lb, error, error_size);
	pthread_mutex_lock(&lb->sync_lock);
	rc = sync_once(lb, error, error_size);
	pthread_mutex_unlock(&lb->sync_lock);
	return rc;
}

/* ---- answers ---- */

static void describe(const struct table_endpoint *from, struct k8slb_endpoint *endpoint)
{
	memset(endpoint, 0, sizeof(*endpoint));
	ip_format(&from->address, endpoint->host, sizeof(endpoint->host));
	ip_port_format(&from->address, from->port, endpoint->address, sizeof(endpoint->address));
	endpoint->port = from->port;
}

/* The port to answer for: the first with an endpoint, IPv4 before IPv6. */
static int find_port(const struct k8slb *lb, const struct table_read *read,
		     struct table_port *ret_port)
{
	const struct service_ref *ref = &lb->settings.ref;
	struct table_service service;
	struct table_port port;

	if (table_find_service(read, ref->namespace, ref->name, &service) < 0)
		return -ENOENT;
	for (unsigned i = 0; table_service_port(read, &service, i, &port) == 0; i++) {
		if (port.endpoint_count == 0 || port.protocol != PROTOCOL_TCP)
			continue;
		*ret_port = port;
		return 0;
	}
	return -ENOENT;
}

/*
 * Calls @take with a snapshot's port until the snapshot was stable. Under the lock, because the
 * table of a foreground sync is unmapped when the next one replaces it.
 */
static int with_port(struct k8slb *lb,
		     int (*take)(struct k8slb *lb, const struct table_read *read,
				 const struct table_port *port, void *result),
		     void *result)
{
	int rc = -EAGAIN;

	pthread_mutex_lock(&lb->lock);
	for (int tries = 0; lb->view && tries < READ_TRIES; tries++) {
		struct table_read read;
		struct table_port port;

		rc = table_read_begin(lb->view, &read);
		if (rc == -EAGAIN)
			continue;
		if (rc < 0)
			break;
		rc = find_port(lb, &read, &port);
		if (rc == 0)
			rc = take(lb, &read, &port, result);
		if (rc == -ENOMEM || table_read_valid(&read))
			break;
		rc = -EAGAIN;
	}
	pthread_mutex_unlock(&lb->lock);
	return rc;
}

static int take_next(struct k8slb *lb, const struct table_read *read, const struct table_port *port,
		     void *result)
{
	return table_port_endpoint(read, port, (unsigned)(lb->turn++ % port->endpoint_count),
				   result);
}

int k8slb_next(struct k8slb *lb, struct k8slb_endpoint *ret_endpoint)
{
	struct table_endpoint endpoint;
	int rc = with_port(lb, take_next, &endpoint);

	if (rc == 0)
		describe(&endpoint, ret_endpoint);
	return rc;
}

struct endpoint_list {
	struct k8slb_endpoint *endpoints;
	size_t count;
};

static int take_all(struct k8slb *lb, const struct table_read *read, const struct table_port *port,
		    void *result)
{
	struct endpoint_list *list = result;
	struct table_endpoint endpoint;
	void *grown;

	(void)lb;
	grown = realloc(list->endpoints, port->endpoint_count * sizeof(list->endpoints[0]));
	if (!grown)
		return -ENOMEM;
	list->endpoints = grown;
	list->count = 0;
	while (list->count < port->endpoint_count &&
	       table_port_endpoint(read, port, (unsigned)list->count, &endpoint) == 0)
		describe(&endpoint, &list->endpoints[list->count++]);
	return 0;
}

int k8slb_endpoints(struct k8slb *lb, struct k8slb_endpoint **ret_endpoints, size_t *ret_count)
{
	struct endpoint_list list = {NULL, 0};
	int rc = with_port(lb, take_all, &list);

	if (rc < 0) {
		free(list.endpoints);
		if (rc != -ENOENT)
			return rc;
		list = (struct endpoint_list){NULL, 0};
	}
	*ret_endpoints = list.endpoints;
	*ret_count = list.count;
	return 0;
}

/* ---- end ---- */

void k8slb_shutdown(struct k8slb *lb)
{
	bool join;

	pthread_mutex_lock(&lb->lock);
	join = lb->thread_started && !lb->stopping;
	lb->stopping = true;
	if (join)
		pipeline_wakeup(lb->background);
	pthread_cond_broadcast(&lb->changed);
	pthread_mutex_unlock(&lb->lock);
	if (join)
		pthread_join(lb->thread, NULL);
}

void k8slb_free(struct k8slb *lb)
{
	if (!lb)
		return;
	k8slb_shutdown(lb);
	pipeline_free(lb->background);
	pipeline_free(lb->foreground);
	settings_clear(&lb->settings);
	pthread_cond_destroy(&lb->changed);
	pthread_mutex_destroy(&lb->lock);
	pthread_mutex_destroy(&lb->sync_lock);
	free(lb);
}

const char *k8slb_version(void)
{
	return K8SLB_VERSION;
}
