// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "base/atomic.h"
#include "base/clock.h"

bool agent_hangs(const struct agent_status *status)
{
	/* Before the clock: a round that ends in between is no hang of 2^64 ms. */
	uint64_t round_ms = peek_u64(&status->round_ms);

	return clock_monotonic_ms() - round_ms > AGENT_STUCK_MS;
}

const char *agent_sick(const struct agent_status *status, char *text, size_t size)
{
	uint64_t unheard_ms = peek_u64(&status->unheard_ms);

	if (agent_hangs(status))
		snprintf(text, size, "the sync hangs");
	else if (peek_u64(&status->publish_failure))
		snprintf(text, size, "the table cannot be published: %s",
			 strerror((int)peek_u64(&status->publish_failure)));
	else if (!peek_u64(&status->publishes))
		snprintf(text, size, "no table yet");
	else if (status->max_age_s && unheard_ms > 1000 * status->max_age_s)
		snprintf(text, size, "the API server was not heard for %llu s",
			 (unsigned long long)unheard_ms / 1000);
	else
		return NULL;
	return text;
}

void agent_well(const struct agent_status *status, char *text, size_t size)
{
	uint64_t left_out = peek_u64(&status->left_out);

	if (left_out)
		snprintf(text, size, "ok, but %llu Services are left out: the table is full",
			 (unsigned long long)left_out);
	else
		snprintf(text, size, "ok");
}

struct output {
	char *text;
	size_t size;
	size_t length;
};

static void print(struct output *output, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void print(struct output *output, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(output->text + output->length, output->size - output->length, format,
			   args);
	va_end(args);
	if (length > 0)
		output->length += (size_t)length;
	if (output->length >= output->size)
		output->length = output->size - 1;
}

static void metric(struct output *output, const char *name, const char *type, const char *help,
		   uint64_t value)
{
	print(output, "# HELP k8slb_%s %s\n# TYPE k8slb_%s %s\nk8slb_%s %llu\n", name, help, name,
	      type, name, (unsigned long long)value);
}

size_t agent_metrics(const struct agent_status *status, char *text, size_t size)
{
	struct output output = {.text = text, .size = size};
	char reason[128];

	print(&output,
	      "# HELP k8slb_build_info Version of the agent.\n"
	      "# TYPE k8slb_build_info gauge\n"
	      "k8slb_build_info{version=\"%s\"} 1\n",
	      K8SLB_VERSION);
	metric(&output, "healthy", "gauge", "Whether /healthz says so: 1 or 0.",
	       !agent_sick(status, reason, sizeof(reason)));
	metric(&output, "table_live", "gauge",
	       "Whether all watches at the API server are up: 1 or 0.", peek_u64(&status->live));
	metric(&output, "table_generation", "gauge", "Number of the published snapshot.",
	       peek_u64(&status->generation));
	metric(&output, "table_services", "gauge", "Services in the table.",
	       peek_u64(&status->services));
	metric(&output, "table_ports", "gauge", "Service ports in the table, by address family.",
	       peek_u64(&status->ports));
	metric(&output, "table_endpoints", "gauge", "Usable endpoints in the table.",
	       peek_u64(&status->endpoints));
	metric(&output, "table_bytes", "gauge", "Bytes of the published snapshot.",
	       peek_u64(&status->bytes));
	metric(&output, "services_left_out", "gauge",
	       "Services for which the table has no room, and which are kube-proxy's.",
	       peek_u64(&status->left_out));
	metric(&output, "publish_failures_total", "counter",
	       "Snapshots that could not be published.", peek_u64(&status->publish_failures));
	metric(&output, "publishes_total", "counter", "Snapshots published by this process.",
	       peek_u64(&status->publishes));
	if (peek_u64(&status->publishes))
		metric(&output, "last_heard_age_seconds", "gauge",
		       "Time since the API server was last heard of the oldest part of the table.",
		       peek_u64(&status->unheard_ms) / 1000);
	metric(&output, "api_requests_total", "counter", "Requests to the API server.",
	       peek_u64(&status->requests));
	metric(&output, "api_errors_total", "counter",
	       "Requests without an answer or with a status of 400 and more.",
	       peek_u64(&status->errors));
	metric(&output, "readers_served_total", "counter", "Tables handed out to programs.",
	       peek_u64(&status->readers));
	metric(&output, "reader_errors_total", "counter", "Tables that could not be handed out.",
	       peek_u64(&status->reader_errors));
	return output.length;
}
