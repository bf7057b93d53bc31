// SPDX-License-Identifier: Apache-2.0
/* The API server: which it is, whether it answers, believes us, and tells the time that we have. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "base/read_file.h"
#include "checks.h"

/* More is told. A token's times are whole seconds, and client-go lets ten pass. */
#define CLOCK_SLACK_S 30

bool patient_asks_api(const struct patient *patient)
{
	return patient->has_config && patient->config.service_count &&
	       !patient->config.table_path[0] && !patient->config.api_file[0];
}

static bool skips(const struct patient *patient, enum problem problem, struct finding *ret_finding)
{
	if (patient->config.table_path[0])
		finding_skip(ret_finding, problem, "an agent asks the API server");
	else if (patient->config.api_file[0])
		finding_skip(ret_finding, problem, "a file stands for the API server");
	else if (!patient_asks_api(patient))
		finding_skip(ret_finding, problem, "without a Service nothing is asked");
	else
		return false;
	return true;
}

void check_credentials(struct patient *patient, struct finding *ret_finding)
{
	const struct config *config = &patient->config;
	const struct {
		const char *name;
		const char *path;
	} files[] = {
		{"K8SLB_TOKEN_FILE", config->token_file},
		{"K8SLB_CA_FILE", config->ca_file},
		{"K8SLB_CERT_FILE", config->cert_file},
		{"K8SLB_KEY_FILE", config->key_file},
	};
	bool https = strncmp(config->api_url, "https:", 6) == 0;

	if (skips(patient, PROBLEM_CREDENTIALS, ret_finding))
		return;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!files[i].path[0] || access(files[i].path, R_OK) == 0)
			continue;
		finding_fail(ret_finding, PROBLEM_CREDENTIALS, "%s: %s: %s", files[i].name,
			     files[i].path, strerror(errno));
		finding_remedy(ret_finding, "let user %u read it, or name another file",
			       (unsigned)geteuid());
		return;
	}
	if (https && !config->token_file[0] && !config->cert_file[0]) {
		finding_fail(ret_finding, PROBLEM_CREDENTIALS,
			     "there is no token and no client certificate for %s", config->api_url);
		finding_remedy(ret_finding,
			       "let the Pod mount its service account (automountServiceAccountToken), or "
			       "set K8SLB_TOKEN_FILE");
		return;
	}
	finding_ok(ret_finding, PROBLEM_CREDENTIALS, "%s",
		   !https		   ? "plain http wants none"
		   : config->token_file[0] ? config->token_file
					   : config->cert_file);
}

/* ---- whether it answers ---- */

static void tell_no_answer(const struct config *config, const struct api_answer *answer,
			   struct finding *ret_finding)
{
	if (answer->error == -EACCES) {
		finding_fail(ret_finding, PROBLEM_CA, "%s: its certificate is not trusted: %s",
			     config->api_url, answer->message);
		finding_remedy(ret_finding,
			       "K8SLB_CA_FILE (now %s) is to hold the authority that signed it; in a Pod "
			       "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt does",
			       config->ca_file[0] ? config->ca_file : "not set");
		return;
	}
	finding_fail(ret_finding, PROBLEM_API, "%s does not answer: %s", config->api_url,
		     answer->message);
	finding_remedy(ret_finding,
		       "see that it runs and that a NetworkPolicy lets this Pod reach it, or set K8SLB_API; "
		       "until then kube-proxy serves");
}

/* base64url, without padding (RFC 7515 2). Returns the length. */
static size_t decode_base64url(const char *text, size_t length, char *result, size_t size)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, count = 0;
	size_t at = 0;

	for (size_t i = 0; i < length && at + 1 < size; i++) {
		const char *letter = text[i] ? strchr(letters, text[i]) : NULL;

		if (!letter)
			break;
		bits = bits << 6 | (unsigned)(letter - letters);
		count += 6;
		if (count >= 8)
			result[at++] = (char)(bits >> (count -= 8) & 0xff);
	}
	result[at] = '\0';
	return at;
}

/* Seconds since the service account token has expired; 0: it has not, or it does not say. */
static long expired_since(const char *token_file)
{
	char token[8192];
	char claims[8192];
	const char *begin, *end, *expires;
	int fd = token_file[0] ? file_open(token_file) : -1;
	ssize_t length;
	long seconds = 0;

	if (fd < 0)
		return 0;
	length = file_fill(fd, token, sizeof(token) - 1);
	close(fd);
	token[length > 0 ? length : 0] = '\0';
	begin = strchr(token, '.');
	end = begin ? strchr(begin + 1, '.') : NULL;
	if (end) {
		decode_base64url(begin + 1, (size_t)(end - begin - 1), claims, sizeof(claims));
		expires = strstr(claims, "\"exp\":");
		if (expires)
			seconds = (long)time(NULL) - atol(expires + strlen("\"exp\":"));
	}
	explicit_bzero(token, sizeof(token));
	explicit_bzero(claims, sizeof(claims));
	return seconds > 0 ? seconds : 0;
}

static void tell_unauthorized(const struct config *config, struct finding *ret_finding)
{
	long since = expired_since(config->token_file);

	if (since)
		finding_fail(ret_finding, PROBLEM_TOKEN, "the token in %s has expired %ld s ago (401)",
			     config->token_file, since);
	else
		finding_fail(ret_finding, PROBLEM_TOKEN, "%s does not know %s (401)", config->api_url,
			     config->token_file[0] ? config->token_file : config->cert_file);
	finding_remedy(ret_finding,
		       "in a Pod the kubelet renews it where it is mounted: name that file, no copy; elsewhere "
		       "make a new one (kubectl create token ACCOUNT)");
}

void check_api(struct patient *patient, struct finding *ret_finding)
{
	const struct config *config = &patient->config;
	struct api_answer answer;
	char path[160];
	int rc;

	if (skips(patient, PROBLEM_API, ret_finding))
		return;
	/* What everybody needs first, and no more of it than one. */
	ask_path(path, sizeof(path), "/api/v1", config->services[0].namespace, "services?limit=1");
	rc = ask_api(config, path, false, &answer);
	if (rc < 0) {
		finding_fail(ret_finding, PROBLEM_API, "%s cannot be asked: %s", config->api_url,
			     strerror(-rc));
		finding_remedy(ret_finding, "set K8SLB_API to http(s)://HOST:PORT");
		return;
	}
	snprintf(patient->api_date, sizeof(patient->api_date), "%s", answer.date);
	if (!answer.status) {
		tell_no_answer(config, &answer, ret_finding);
	} else if (answer.status == 401) {
		tell_unauthorized(config, ret_finding);
	} else {
		patient->has_api = true;
		finding_ok(ret_finding, PROBLEM_API, "%s answers", config->api_url);
	}
	api_answer_free(&answer);
}

void check_clock(struct patient *patient, struct finding *ret_finding)
{
	struct tm there = {0};
	long off;

	if (!patient->api_date[0] ||
	    !strptime(patient->api_date, "%a, %d %b %Y %H:%M:%S GMT", &there)) {
		finding_skip(ret_finding, PROBLEM_CLOCK, "its time is not known");
		return;
	}
	off = (long)(time(NULL) - timegm(&there));
	if (labs(off) <= CLOCK_SLACK_S) {
		finding_ok(ret_finding, PROBLEM_CLOCK, "the API server's clock and ours are %ld s apart",
			   labs(off));
		return;
	}
	finding_warn(ret_finding, PROBLEM_CLOCK,
		     "the clock here is %ld s %s the API server's: certificates and tokens are taken "
		     "for expired or not yet valid",
		     labs(off), off > 0 ? "before" : "behind");
	finding_remedy(ret_finding, "set both by NTP");
}
