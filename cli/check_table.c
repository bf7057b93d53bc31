// SPDX-License-Identifier: Apache-2.0
/* The table: is one there, whose is it, does its writer live, and how old is what stands in it? */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"
#include "shared_tables.h"
#include "table/handover.h"
#include "table/trust.h"

#define RECEIVE_MS 2000u
#define LET_IT_RUN "let it run (SIGCONT, its cpu limit), or end it: another takes over"

static uid_t owner_of(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? status.st_uid : TRUST_NO_USER;
}

/* Of one that is mapped. */
static void judge(const struct table_view *view, const struct config *config, const char *whose,
		  struct finding *ret_finding)
{
	uint64_t silence_ms = table_silence_ms(view, clock_coarse_ms());
	uint64_t unheard_ms = table_unheard_ms(view);

	if (silence_ms == UINT64_MAX) {
		finding_fail(ret_finding, PROBLEM_WRITER, "the writer of %s has ended", whose);
		finding_remedy(ret_finding, "start it again; until then calls are left to kube-proxy");
	} else if (silence_ms >= TABLE_SILENT_MS) {
		finding_fail(ret_finding, PROBLEM_WRITER,
			     "the writer of %s has said nothing for %llu s: it is stopped, frozen or "
			     "starved",
			     whose, (unsigned long long)silence_ms / 1000);
		finding_remedy(ret_finding, LET_IT_RUN);
	} else if (config->max_age_s && unheard_ms > config->max_age_s * 1000ULL) {
		if (unheard_ms == UINT64_MAX)
			finding_fail(ret_finding, PROBLEM_OLD,
				     "the writer of %s has heard nothing of the API server yet", whose);
		else
			finding_fail(ret_finding, PROBLEM_OLD,
				     "%s is old: its writer has not heard the API server for %llu s, and "
				     "K8SLB_MAX_AGE is %u s",
				     whose, (unsigned long long)unheard_ms / 1000, config->max_age_s);
		finding_remedy(ret_finding,
			       "see why (its log, k8slb doctor where it runs); until then calls are left to "
			       "kube-proxy");
	} else {
		finding_ok(ret_finding, PROBLEM_NO_TABLE, "%s: written %llu s ago, %s", whose,
			   (unsigned long long)silence_ms / 1000,
			   table_is_live(view) ? "in sync" : "not in sync now");
	}
}

static void check_agents(const struct config *config, struct finding *ret_finding)
{
	const char *path = config->table_path;
	struct handover_table *table = NULL;
	uid_t named = config->table_uid == UINT32_MAX ? TRUST_NO_USER : config->table_uid;
	uid_t owner = owner_of(path);
	char whose[320];
	int rc = handover_receive(path, named, RECEIVE_MS, NULL, &table);

	if (rc == -EPERM) {
		finding_fail(ret_finding, PROBLEM_TABLE_USER,
			     "the table at %s is of user %u, whom user %u does not believe%s", path,
			     (unsigned)owner, (unsigned)geteuid(),
			     named == TRUST_NO_USER ? ", or others may write to a folder before it"
						    : " (K8SLB_TABLE_UID)");
		finding_remedy(ret_finding,
			       "set K8SLB_TABLE_UID to the agent's user, or run it as root or as the program's "
			       "user (docs/agent.md, Whom a reader believes)");
	} else if (rc == -ETIMEDOUT) {
		finding_fail(ret_finding, PROBLEM_WRITER,
			     "user %u's agent at %s does not answer within %u s: it is stopped, frozen or "
			     "starved",
			     (unsigned)owner, path, RECEIVE_MS / 1000);
		finding_remedy(ret_finding, LET_IT_RUN);
	} else if (rc < 0) {
		finding_fail(ret_finding, PROBLEM_NO_TABLE, "no agent hands over a table at %s: %s",
			     path,
			     rc == -EBADMSG ? "what comes is no table of this version" : strerror(-rc));
		finding_remedy(ret_finding,
			       "start k8slb agent --table %s where this path leads to, of this version",
			       path);
	} else {
		snprintf(whose, sizeof(whose), "the table of user %u's agent at %s", (unsigned)owner,
			 path);
		judge(&table->view, config, whose, ret_finding);
		handover_discard(table);
	}
}

static void tell_others(uid_t other, struct finding *ret_finding)
{
	finding_warn(ret_finding, PROBLEM_OTHER_USER,
		     "programs share tables here, and none is of user %u, who looks: of user %u, as one",
		     (unsigned)geteuid(), (unsigned)other);
	finding_remedy(ret_finding,
		       "look as the user of the program (id in its container, runAsUser): a table and the "
		       "rights to read it are a user's");
}

/* The one that was heard of last stands for all: others may be what programs left that have ended. */
static void check_shared(const struct config *config, struct finding *ret_finding)
{
	struct shared_table tables[SHARED_TABLES_MAX];
	int count = shared_tables_find(tables, SHARED_TABLES_MAX);
	int newest = shared_tables_newest(tables, count);
	uid_t other;

	if (newest >= 0)
		judge(&tables[newest].view, config, "the table that programs of this user share",
		      ret_finding);
	else if (shared_tables_of_others(&other))
		tell_others(other, ret_finding);
	else
		finding_ok(ret_finding, PROBLEM_NO_TABLE,
			   "no program shares one now; the first makes it");
	for (int i = 0; i < count; i++)
		shared_table_release(&tables[i]);
}

void check_table(struct patient *patient, struct finding *ret_finding)
{
	if (!patient->has_config)
		finding_skip(ret_finding, PROBLEM_NO_TABLE, "the settings are not known");
	else if (patient->config.table_path[0])
		check_agents(&patient->config, ret_finding);
	else
		check_shared(&patient->config, ret_finding);
}
