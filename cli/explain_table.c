// SPDX-License-Identifier: Apache-2.0
#include "explain_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/object.h"
#include "base/service_ref.h"
#include "cli.h"
#include "columns.h"
#include "json_text.h"
#include "running_table.h"
#include "table/trust.h"
#include "table_copy.h"

#define COMMAND	 "explain"
#define WATCH_MS 1000

/* What is told of one table at one time. */
struct telling {
	const struct running_table *table;
	struct table_read read; /* of the copy */
	const struct service_ref *asked;
	uint64_t now_ms;
	bool json;
	bool tells; /* else it is only looked whether it would be something new */
	unsigned told;	/* ports */
	uint64_t hash;	/* of all that changes but times */
	struct columns columns;
};

static void note(struct telling *t, uint64_t value)
{
	t->hash = hash_mix(t->hash ^ value);
}

/* ---- one endpoint ---- */

/* From the one time to the other, where the first is known and the other later. */
static uint64_t between(uint64_t from_ms, uint64_t to_ms)
{
	return from_ms && to_ms > from_ms ? to_ms - from_ms : 0;
}

static void describe_time(uint64_t ms, char text[32])
{
	text[0] = '\0';
	if (ms)
		snprintf(text, 32, "%.1f s", (double)ms / 1000);
}

static void put_time(const char *name, uint64_t ms)
{
	if (ms)
		printf(",\"%s\":%llu", name, (unsigned long long)ms);
	else
		printf(",\"%s\":null", name);
}

static int tell_endpoint(struct telling *t, const struct table_endpoint *endpoint, bool first)
{
	struct health_told health = {0};
	char address[IP_TEXT_SIZE], since[32], until[32], row[16] = "";
	uint64_t since_ms, until_ms;
	const char *word;

	if (t->table->health)
		health = health_tell(t->table->health, health_key(endpoint), t->now_ms);
	word = health_word(health.state);
	note(t, health_key(endpoint) ^ health.state ^ (uint64_t)health.in_a_row << 8);
	if (!t->tells)
		return 0;
	since_ms = between(health.since_ms, t->now_ms);
	until_ms = between(t->now_ms, health.until_ms);
	if (t->json) {
		ip_format(&endpoint->address, address, sizeof(address));
		printf("%s\n  {\"address\":\"%s\",\"port\":%u,\"health\":\"%s\",\"inARow\":%u",
		       first ? "" : ",", address, endpoint->port, word, health.in_a_row);
		put_time("sinceMs", since_ms);
		put_time("untilMs", until_ms);
		printf("}");
		return 0;
	}
	describe_time(since_ms, since);
	describe_time(until_ms, until);
	ip_port_format(&endpoint->address, endpoint->port, address, sizeof(address));
	if (health.in_a_row)
		snprintf(row, sizeof(row), "%u", health.in_a_row);
	return columns_add(&t->columns, (const char *[]){address, word, since, until, row}, 5);
}

/* ---- one port ---- */

struct named_service {
	struct table_service service;
	char namespace[DNS_LABEL_SIZE];
	char name[DNS_LABEL_SIZE];
};

static void begin_port(const struct telling *t, const struct named_service *named,
		       const struct table_port *port, const char *name)
{
	char vip[IP_TEXT_SIZE] = "";

	for (int i = 0; i < 2; i++) {
		if (!ip_is_unset(&named->service.vips[i]) &&
		    ip_family_of(&named->service.vips[i]) == port->family)
			ip_format(&named->service.vips[i], vip, sizeof(vip));
	}
	if (t->json) {
		printf("%s\n {\"namespace\":\"%s\",\"service\":\"%s\",\"port\":{\"name\":", t->told ? "," : "",
		       named->namespace, named->name);
		json_put_string(name);
		printf(",\"number\":%u},\"family\":\"IPv%u\",\"vip\":", port->port, port->family);
		if (vip[0])
			printf("\"%s\"", vip);
		else
			printf("null");
		printf(",\"endpoints\":[");
		return;
	}
	printf("\n%s/%s%s%s  %u/%s  %s%s, %u endpoint%s\n", named->namespace, named->name,
	       name[0] ? ":" : "", name, port->port, protocol_name(port->protocol),
	       vip[0] ? "VIP " : "no VIP", vip, port->endpoint_count,
	       port->endpoint_count == 1 ? "" : "s");
}

static int tell_port(struct telling *t, const struct named_service *named,
		     const struct table_port *port)
{
	struct table_endpoint endpoint;
	char name[DNS_LABEL_SIZE] = "";
	int rc = 0;

	table_text(&t->read, port->name_at, name, sizeof(name));
	if (t->asked && !service_ref_covers_port(t->asked, name, port->port))
		return 0;
	if (t->tells)
		begin_port(t, named, port, name);
	if (t->tells && !t->json && port->endpoint_count)
		rc = columns_add(&t->columns, (const char *[]){"ADDRESS", "HEALTH", "SINCE", "FOR", "IN A ROW"}, 5);
	for (unsigned i = 0; rc == 0 && table_port_endpoint(&t->read, port, i, &endpoint) == 0; i++)
		rc = tell_endpoint(t, &endpoint, i == 0);
	if (t->tells && t->json)
		printf("]}");
	else if (t->tells)
		columns_print(&t->columns, "  ");
	t->told++;
	return rc;
}

/* ---- the whole ---- */

static void begin(const struct telling *t)
{
	const struct table_view *view = &t->table->view;
	uint64_t silence_ms = table_silence_ms(view, t->now_ms);
	uint64_t unheard_ms = table_unheard_ms(view);
	char writer[64] = "has ended";
	char heard[64] = "never";

	if (silence_ms != UINT64_MAX)
		snprintf(writer, sizeof(writer), "last seen %llu s ago",
			 (unsigned long long)silence_ms / 1000);
	if (unheard_ms != UINT64_MAX)
		snprintf(heard, sizeof(heard), "%llu s ago", (unsigned long long)unheard_ms / 1000);
	if (t->json)
		printf("[");
	else
		printf("Table: %s; generation %llu, %s; its writer %s, and heard the API server %s\n",
		       t->table->whose, (unsigned long long)t->read.generation,
		       table_is_live(view) ? "in sync" : "not in sync", writer, heard);
}

static int tell_all(struct telling *t)
{
	struct named_service named;
	struct table_port port;
	int rc = 0;

	if (t->tells)
		begin(t);
	for (unsigned s = 0; rc == 0 && table_service_at(&t->read, s, &named.service) == 0; s++) {
		if (table_text(&t->read, named.service.namespace_at, named.namespace,
			       sizeof(named.namespace)) < 0 ||
		    table_text(&t->read, named.service.name_at, named.name, sizeof(named.name)) < 0)
			continue;
		if (t->asked && !service_ref_covers(t->asked, named.namespace, named.name))
			continue;
		for (unsigned p = 0;
		     rc == 0 && table_service_port(&t->read, &named.service, p, &port) == 0; p++)
			rc = tell_port(t, &named, &port);
	}
	if (t->tells && t->json)
		printf("]\n");
	return rc;
}

/* Returns 0 or -errno after a message; @hash: of what was told last, and then of this. */
static int tell_once(const struct running_table *table, const struct explain_options *options,
		     const struct service_ref *asked, uint64_t *hash)
{
	struct telling t = {
		.table = table,
		.asked = asked,
		.now_ms = clock_coarse_ms(),
		.json = options->json,
	};
	struct table_copy copy;
	bool screen = options->watch && isatty(STDOUT_FILENO);
	int rc = table_copy_take(&table->view, &copy);

	if (rc < 0) {
		cli_error(COMMAND, "k8slb doctor tells more of it", "the table cannot be read: %s",
			  strerror(-rc));
		return rc;
	}
	table_read_begin(&copy.view, &t.read);
	tell_all(&t);
	if (!t.told && asked) {
		cli_error(COMMAND, "leave the name out to see what is in it; K8SLB_SERVICES says what is to be",
			  "%s/%s is not in this table", asked->namespace, asked->name);
		rc = -ENOENT;
	} else if (t.hash != *hash || screen) {
		*hash = t.hash;
		t.tells = true;
		t.told = 0;
		if (screen)
			printf("\033[H\033[J");
		rc = tell_all(&t);
		if (rc < 0)
			cli_failed(COMMAND, "the answer", rc);
	}
	columns_free(&t.columns);
	table_copy_free(&copy);
	return rc;
}

static int watch(struct running_table *table, const struct explain_options *options,
		 const struct service_ref *asked)
{
	const struct timespec pause = {.tv_sec = WATCH_MS / 1000};
	uint64_t hash = 0;
	int rc = tell_once(table, options, asked, &hash);

	while (rc == 0 && options->watch && cli_finish_output(COMMAND) == CLI_DONE) {
		nanosleep(&pause, NULL);
		rc = tell_once(table, options, asked, &hash);
	}
	return rc;
}

/* K8SLB_TABLE_UID, as for a program. */
static uid_t agents_user(void)
{
	const char *value = getenv("K8SLB_TABLE_UID");

	return value && *value ? (uid_t)strtoul(value, NULL, 10) : TRUST_NO_USER;
}

int explain_table(const struct explain_options *options, const struct service_ref *asked)
{
	struct running_table table;
	char error[512];
	const char *remedy = "";
	int rc = running_table_find(options->pid, options->table, agents_user(), &table, error,
				    sizeof(error), &remedy);

	if (rc < 0) {
		cli_error(COMMAND, remedy, "%s", error);
		return CLI_FAILED;
	}
	rc = watch(&table, options, asked);
	running_table_release(&table);
	return rc < 0 ? CLI_FAILED : cli_finish_output(COMMAND);
}
