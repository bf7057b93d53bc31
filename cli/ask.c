// SPDX-License-Identifier: Apache-2.0
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "kube/http.h"
#include "kube/json.h"

struct asking {
	struct api_answer *answer;
	struct buffer body;
	bool status_is_enough;
	bool ended;
};

static void on_date(void *ctx, const char *date)
{
	struct asking *asking = ctx;

	snprintf(asking->answer->date, sizeof(asking->answer->date), "%s", date);
}

static void on_status(void *ctx, int status, long retry_after_s)
{
	struct asking *asking = ctx;

	(void)retry_after_s;
	asking->answer->status = status;
	/* What an error says is wanted too, and it has an end. */
	if (status == 200 && asking->status_is_enough)
		asking->ended = true;
}

static int on_data(void *ctx, const char *data, size_t size)
{
	struct asking *asking = ctx;

	return buffer_append(&asking->body, data, size);
}

static void on_end(void *ctx, int error, const char *message)
{
	struct asking *asking = ctx;
	struct api_answer *answer = asking->answer;

	asking->ended = true;
	if (answer->status)
		return;
	answer->error = error;
	snprintf(answer->message, sizeof(answer->message), "%s", message);
}

static void take_error(struct asking *asking)
{
	struct api_answer *answer = asking->answer;
	struct kube_status status;
	char error[256];

	if (asking->body.length && json_decode_status(asking->body.data, asking->body.length,
						      &status, error, sizeof(error)) == 0)
		snprintf(answer->message, sizeof(answer->message), "%s", status.message);
	else
		snprintf(answer->message, sizeof(answer->message), "status %d", answer->status);
}

static int ask(struct http_client *client, const char *path, struct asking *asking)
{
	const struct http_handler handler = {on_status, on_data, on_end, on_date, asking};
	uint64_t end_ms = clock_monotonic_ms() + 2 * ASK_MS;
	struct http_transfer *transfer;
	int rc = http_client_get(client, path, ASK_MS, &handler, &transfer);

	while (rc == 0 && !asking->ended && clock_monotonic_ms() < end_ms)
		rc = http_client_run(client, ASK_MS, NULL);
	return rc;
}

int ask_api(const struct config *config, const char *path, bool status_is_enough,
	    struct api_answer *ret_answer)
{
	const struct credentials_options files = {config->token_file, config->ca_file,
						  config->cert_file, config->key_file};
	struct http_options options = {config->api_url, "k8slb/" K8SLB_VERSION, NULL};
	struct http_client *client = NULL;
	struct asking asking = {
		.answer = ret_answer,
		.body = {.limit = ASK_BODY_LIMIT},
		.status_is_enough = status_is_enough,
	};
	char error[256] = "";
	int rc;

	*ret_answer = (struct api_answer){0};
	rc = credentials_new(&files, &options.credentials);
	if (rc == 0)
		rc = http_client_new(&options, &client, error, sizeof(error));
	if (rc == 0)
		rc = ask(client, path, &asking);
	if (rc == 0 && credentials_problem(options.credentials)[0] && !ret_answer->status)
		snprintf(ret_answer->message, sizeof(ret_answer->message), "%s",
			 credentials_problem(options.credentials));
	http_client_free(client);
	credentials_free(options.credentials);
	if (rc == 0 && !ret_answer->status && !ret_answer->error)
		ret_answer->error = -ETIMEDOUT;
	if (rc == 0 && ret_answer->status && ret_answer->status != 200)
		take_error(&asking);
	if (ret_answer->status == 200)
		ret_answer->body = asking.body;
	else
		buffer_free(&asking.body);
	return rc;
}

void ask_path(char *path, size_t size, const char *root, const char *namespace, const char *rest)
{
	bool all = strcmp(namespace, "*") == 0;

	snprintf(path, size, "%s/%s%s%s%s", root, all ? "" : "namespaces/", all ? "" : namespace,
		 all ? "" : "/", rest);
}

void api_answer_free(struct api_answer *answer)
{
	buffer_free(&answer->body);
}

bool api_answer_text(const struct api_answer *answer, const char *member, char *text, size_t size)
{
	char name[64];
	int length = snprintf(name, sizeof(name), "\"%s\":", member);
	const char *found = answer->body.length
				    ? memmem(answer->body.data, answer->body.length, name,
					     (size_t)length)
				    : NULL;
	const char *end = answer->body.data + answer->body.length;
	size_t at = 0;

	if (!found)
		return false;
	for (found += length; found < end && strchr(" \n\t", *found); found++)
		;
	if (found == end || *found != '"')
		return false;
	for (found++; found < end && *found != '"' && at + 1 < size; found++)
		text[at++] = *found;
	text[at] = '\0';
	return true;
}
