// SPDX-License-Identifier: Apache-2.0
/*
 * kube: without memory nothing is decoded wrongly, what credentials were read last go on to serve,
 * no request goes out without the token that it should have, and the same client serves again
 * later.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kube/file.h"
#include "kube/http.h"
#include "kube/json.h"
#include "kube/json_stream.h"
#include "support/failing_memory.h"
#include "support/http_server.h"
#include "support/objects.h"

/* No run takes longer, even under valgrind. */
#define DEADLINE_MS 20000

static void expect_no_memory(int rc)
{
	assert_int_equal(rc, -ENOMEM);
	assert_int_equal(failing_memory_has_failed(), true);
}

/* ---- JSON ---- */

static const char service[] =
	"{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\",\"resourceVersion\":\"7\"},"
	"\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.96.0.1\",\"clusterIPs\":"
	"[\"10.96.0.1\"],\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80}]}}";
/* With an escaped NUL, for which the text is copied. */
static const char slice[] =
	"{\"metadata\":{\"name\":\"web-a\",\"namespace\":\"demo\",\"resourceVersion\":\"8\","
	"\"labels\":{\"kubernetes.io/service-name\":\"web\",\"x\":\"a\\u0000b\"}},"
	"\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.1.0.1\"],\"hostname\":\"a\","
	"\"nodeName\":\"n1\",\"hints\":{\"forZones\":[{\"name\":\"z1\"}]}}],"
	"\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":8080}]}";
static const char endpoints[] =
	"{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\",\"resourceVersion\":\"9\"},"
	"\"subsets\":[{\"addresses\":[{\"ip\":\"10.1.0.1\"},{\"ip\":\"fd00::1\"}],"
	"\"ports\":[{\"port\":8080,\"protocol\":\"TCP\"}]}]}";

static void decode_object(enum object_kind kind, const char *text)
{
	struct object object = {.slice_count = 77};
	char error[160];
	struct json_gaps gaps;
	int rc = json_decode_object(kind, text, strlen(text), &object, &gaps, error, sizeof(error));

	if (rc < 0) {
		expect_no_memory(rc);
		assert_int_equal(object.slice_count, 77);
		return;
	}
	assert_int_equal(object.namespace[0], 'd');
	assert_int_equal(object.slice_count, kind == OBJECT_SERVICE	? 0
					     : kind == OBJECT_ENDPOINTS ? 2
									: 1);
	object_clear(&object);
}

static void decode_the_rest(void)
{
	static const char status[] = "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}";
	struct list_envelope envelope;
	struct watch_event event;
	struct kube_status said;
	struct object object;
	enum object_kind kind;
	char text[1024], error[160];
	char namespace[DNS_LABEL_SIZE], name[OBJECT_NAME_SIZE];
	int rc;

	snprintf(text, sizeof(text), "{\"type\":\"MODIFIED\",\"object\":%s}", slice);
	rc = json_decode_watch_event(OBJECT_ENDPOINT_SLICE, text, strlen(text), &event, NULL, error,
				     sizeof(error));
	if (rc == 0) {
		object_clear(&event.object);
		failing_free(event.resource_version);
	} else {
		expect_no_memory(rc);
	}

	snprintf(text, sizeof(text), "{\"kind\":\"Service\",%s", service + 1);
	rc = json_decode_item(text, strlen(text), &kind, &object, NULL, error, sizeof(error));
	if (rc == 0)
		object_clear(&object);
	else
		expect_no_memory(rc);

	snprintf(text, sizeof(text),
		 "{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"5\",\"continue\":"
		 "\"next\"},\"items\":[]}");
	rc = json_decode_list_envelope(OBJECT_SERVICE, text, strlen(text), &envelope, error,
				       sizeof(error));
	if (rc == 0) {
		assert_string_equal(envelope.continue_token, "next");
		list_envelope_free(&envelope);
	} else {
		expect_no_memory(rc);
	}

	rc = json_decode_status(status, strlen(status), &said, error, sizeof(error));
	if (rc < 0)
		expect_no_memory(rc);
	rc = json_decode_identity(slice, strlen(slice), namespace, name);
	if (rc < 0)
		expect_no_memory(rc);
}

static int count_object(void *ctx, const char *text, size_t size)
{
	unsigned *count = ctx;

	assert_int_equal(text[size], '\0');
	(*count)++;
	return 0;
}

static void scan_list(void)
{
	static const char list[] = "{\"kind\":\"ServiceList\",\"items\":[{\"a\":1},{\"b\":[2]}]}";
	struct json_stream stream;
	const char *envelope;
	unsigned count = 0;
	char error[160];
	size_t size;
	int rc;

	json_stream_init(&stream, JSON_STREAM_LIST, count_object, &count);
	rc = json_stream_feed(&stream, list, strlen(list), error, sizeof(error));
	if (rc == 0)
		rc = json_stream_finish(&stream, &envelope, &size, error, sizeof(error));
	if (rc < 0)
		expect_no_memory(rc);
	else
		assert_int_equal(count, 2);
	json_stream_free(&stream);
}

static void json_scenario(void)
{
	decode_object(OBJECT_SERVICE, service);
	decode_object(OBJECT_ENDPOINT_SLICE, slice);
	decode_object(OBJECT_ENDPOINTS, endpoints);
	decode_the_rest();
	scan_list();
}

/* ---- files ---- */

static char directory[] = "/tmp/k8slb-no-memory-XXXXXX";
static char token_path[64], ca_path[64];

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, false);
	assert_int_equal(fclose(file), 0);
}

static int make_files(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(token_path, sizeof(token_path), "%s/token", directory);
	snprintf(ca_path, sizeof(ca_path), "%s/ca.crt", directory);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	unlink(token_path);
	unlink(ca_path);
	return rmdir(directory);
}

/* Longer than what is read at first, so that it grows. */
static void write_ca(char mark)
{
	static char text[40000];

	memset(text, mark, sizeof(text) - 1);
	memcpy(text, "-----BEGIN ", 11);
	memcpy(text + sizeof(text) - 11, "-----END ", 9);
	write_file(ca_path, text);
}

static void files_scenario(void)
{
	struct credentials_options options = {.token_file = token_path, .ca_file = ca_path};
	struct credentials *credentials = NULL;
	struct file_watch *watch = NULL;
	struct buffer content = {0};
	const char *token, *ca;
	bool had_token, had_ca;
	size_t size;
	int rc;

	write_file(token_path, "first");
	write_ca('a');
	rc = credentials_new(&options, &credentials);
	if (rc < 0) {
		expect_no_memory(rc);
		return;
	}
	had_token = credentials_token(credentials, 1) != NULL;
	ca = credentials_ca(credentials, 1, &size);
	had_ca = ca != NULL;
	assert_int_equal(!had_token || !had_ca, *credentials_problem(credentials) != '\0');
	write_file(token_path, "second");
	write_ca('b');
	token = credentials_token(credentials, 1 + CREDENTIALS_TOKEN_MAX_AGE_MS);
	ca = credentials_ca(credentials, 1 + CREDENTIALS_CA_MAX_AGE_MS, &size);
	if (had_token)
		assert_non_null(token);
	if (had_ca)
		assert_non_null(ca);
	failing_memory_end();
	token = credentials_token(credentials, 2 + 2 * CREDENTIALS_TOKEN_MAX_AGE_MS);
	assert_string_equal(token, "second");
	ca = credentials_ca(credentials, 2 + 2 * CREDENTIALS_CA_MAX_AGE_MS, &size);
	assert_non_null(ca);
	assert_int_equal(ca[100], 'b');
	credentials_free(credentials);

	rc = file_read(ca_path, &content);
	if (rc < 0)
		expect_no_memory(rc);
	buffer_free(&content);
	rc = file_watch_new(ca_path, &watch);
	if (rc < 0)
		expect_no_memory(rc);
	file_watch_free(watch);
}

/* ---- requests ---- */

struct result {
	unsigned ends;
	int status;
	int error;
	char message[256];
};

static unsigned without_token;

static void answer(int fd, const char *request)
{
	if (!strstr(request, "\r\nAuthorization: Bearer second\r\n"))
		without_token++;
	send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
}

static void take_status(void *ctx, int status, long retry_after_s)
{
	struct result *result = ctx;

	(void)retry_after_s;
	result->status = status;
}

static int take_data(void *ctx, const char *data, size_t size)
{
	(void)ctx;
	(void)data;
	(void)size;
	return 0;
}

static void take_end(void *ctx, int error, const char *message)
{
	struct result *result = ctx;

	result->ends++;
	result->error = error;
	snprintf(result->message, sizeof(result->message), "%s", message);
}

static int get(struct http_client *client, struct result *result)
{
	const struct http_handler handler = {take_status, take_data, take_end, NULL, result};
	uint64_t start_ms = clock_monotonic_ms();
	struct http_transfer *transfer;
	int rc = http_client_get(client, "/a", DEADLINE_MS, &handler, &transfer);

	while (rc == 0 && !result->ends) {
		int ran = http_client_run(client, 1000, NULL);

		if (ran < 0)
			assert_int_equal(failing_memory_has_failed(), true);
		/* As the sync's rounds: memory comes back some time. */
		if (ran < 0 || clock_monotonic_ms() - start_ms > DEADLINE_MS / 4)
			failing_memory_end();
		assert_in_range(clock_monotonic_ms() - start_ms, 0, DEADLINE_MS);
	}
	return rc;
}

static struct server server;

static void http_scenario(void)
{
	struct credentials_options files = {.token_file = token_path};
	struct http_options options = {.user_agent = "k8slb/test"};
	struct http_client *client = NULL;
	struct result first = {0}, second = {0};
	char url[64], error[128];
	int rc = credentials_new(&files, &options.credentials);

	write_file(token_path, "second");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", server.port);
	options.base_url = url;
	if (rc == 0)
		rc = http_client_new(&options, &client, error, sizeof(error));
	if (rc < 0) {
		expect_no_memory(rc);
		credentials_free(options.credentials);
		return;
	}
	rc = get(client, &first);
	if (rc < 0)
		expect_no_memory(rc);
	else if (first.error)
		assert_int_equal(failing_memory_has_failed(), true);
	else
		assert_int_equal(first.status, 200);
	failing_memory_end();
	assert_int_equal(get(client, &second), 0);
	assert_string_equal(second.message, "");
	assert_int_equal(second.status, 200);
	http_client_free(client);
	credentials_free(options.credentials);
}

static void nothing_is_decoded_wrongly(void **state)
{
	(void)state;
	failing_memory_try("kube, JSON", json_scenario);
}

static void what_was_read_serves(void **state)
{
	(void)state;
	failing_memory_try("kube, files", files_scenario);
}

static void a_client_serves_again(void **state)
{
	(void)state;
	server_start(&server, answer);
	failing_memory_try("kube, HTTP", http_scenario);
	server_stop(&server);
	assert_int_equal(without_token, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(nothing_is_decoded_wrongly, failing_memory_teardown),
		cmocka_unit_test_teardown(what_was_read_serves, failing_memory_teardown),
		cmocka_unit_test_teardown(a_client_serves_again, failing_memory_teardown),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
