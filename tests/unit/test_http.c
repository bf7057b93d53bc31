/* http: what a server on loopback does to a request, and what the handler and the server see.
 * One test a behaviour makes it long. */
// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "kube/http.h"
#include "support/http_server.h"
#include "support/assert_op.h"

/* No test takes longer, even under valgrind. */
#define DEADLINE_MS 20000u

/* ---- The client's side ---- */

struct result {
	struct http_client *client;
	int status;
	unsigned statuses;
	long retry_after_s;
	char body[256];
	size_t body_size;
	unsigned ends;
	int error;
	char message[256];
	int on_data_result;
	struct http_transfer *cancel_in_on_data; /* another transfer */
	struct http_transfer *cancel_in_on_end;
	const char *next_path; /* to get in on_end */
	struct result *next;
};

static void get(struct http_client *client, const char *path, long timeout_ms,
		struct result *result, struct http_transfer **ret_transfer);

static void take_status(void *ctx, int status, long retry_after_s)
{
	struct result *result = ctx;

	assert_int_equal(result->body_size, 0);
	result->status = status;
	result->retry_after_s = retry_after_s;
	result->statuses++;
}

static int take_data(void *ctx, const char *data, size_t size)
{
	struct result *result = ctx;

	assert_int_equal(result->statuses, 1);
	for (size_t i = 0; i < size && result->body_size + 1 < sizeof(result->body); i++)
		result->body[result->body_size++] = data[i];
	if (result->cancel_in_on_data) {
		http_client_cancel(result->client, result->cancel_in_on_data);
		result->cancel_in_on_data = NULL;
	}
	return result->on_data_result;
}

static void take_end(void *ctx, int error, const char *message)
{
	struct result *result = ctx;
	struct http_transfer *transfer;

	result->error = error;
	result->ends++;
	snprintf(result->message, sizeof(result->message), "%s", message);
	if (result->next_path)
		get(result->client, result->next_path, DEADLINE_MS, result->next, &transfer);
	if (result->cancel_in_on_end)
		http_client_cancel(result->client, result->cancel_in_on_end);
}

static void get(struct http_client *client, const char *path, long timeout_ms,
		struct result *result, struct http_transfer **ret_transfer)
{
	const struct http_handler handler = {take_status, take_data, take_end, NULL, result};

	result->client = client;
	assert_int_equal(http_client_get(client, path, timeout_ms, &handler, ret_transfer), 0);
}

static void run_until_end(struct http_client *client, const struct result *result)
{
	uint64_t start_ms = clock_monotonic_ms();

	while (!result->ends) {
		assert_op(clock_monotonic_ms() - start_ms, <, DEADLINE_MS);
		assert_int_equal(http_client_run(client, 1000, NULL), 0);
	}
}

static struct http_client *client_make(const char *base_url, struct credentials *credentials)
{
	const struct http_options options = {
		.base_url = base_url,
		.user_agent = "k8slb/test",
		.credentials = credentials,
	};
	struct http_client *client;
	char error[128];

	if (http_client_new(&options, &client, error, sizeof(error)) < 0)
		fail_msg("%s: %s", base_url, error);
	return client;
}

static struct http_client *client_of(const struct server *server, struct credentials *credentials)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", server->port);
	return client_make(url, credentials);
}

/* One request to a server that answers by @answer. Returns the server, stopped. */
static struct server exchange(void (*answer)(int, const char *), long timeout_ms,
			      struct result *result)
{
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;

	server_start(&server, answer);
	client = client_of(&server, NULL);
	get(client, "/a?b=c", timeout_ms, result, &transfer);
	run_until_end(client, result);
	http_client_free(client);
	server_stop(&server);
	assert_int_equal(result->ends, 1);
	return server;
}

/* ---- Plain answers ---- */

static void answer_hello(int fd, const char *request)
{
	(void)request;
	send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRetry-After: 7\r\n\r\nhello");
}

static void test_status_then_data_then_end(void **state)
{
	struct result result = {0};

	(void)state;
	exchange(answer_hello, DEADLINE_MS, &result);
	assert_int_equal(result.error, 0);
	assert_string_equal(result.message, "");
	assert_int_equal(result.status, 200);
	assert_int_equal(result.retry_after_s, 7);
	assert_string_equal(result.body, "hello");
}

static void test_the_request_has_only_the_headers_it_should(void **state)
{
	struct result result = {0};
	struct server server;
	char expected[256];

	(void)state;
	server = exchange(answer_hello, DEADLINE_MS, &result);
	snprintf(expected, sizeof(expected),
		 "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: k8slb/test\r\n"
		 "Accept: application/json\r\n\r\n",
		 server.port);
	assert_string_equal(server.request, expected);
}

static const char *retry_after_text;

static void answer_retry_after(int fd, const char *request)
{
	(void)request;
	send_text(fd, "HTTP/1.1 429 Too Many Requests\r\nretry-AFTER: ");
	send_text(fd, retry_after_text);
	send_text(fd, "\r\nContent-Length: 0\r\n\r\n");
}

static void test_only_a_sane_integer_retry_after_counts(void **state)
{
	static const struct {
		const char *text;
		long seconds;
	} cases[] = {
		{"0", 0},
		{"5  ", 5},
		{"86400", 86400},
		{"86401", -1},
		{"-1", -1},
		{"", -1},
		{"1.5", -1},
		{"99999999999999999999", -1},
		{"5 s", -1},
		{"0x5", -1},
		{"Fri, 31 Dec 1999 23:59:59 GMT", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct result result = {0};

		retry_after_text = cases[i].text;
		exchange(answer_retry_after, DEADLINE_MS, &result);
		assert_int_equal(result.status, 429);
		assert_int_equal(result.retry_after_s, cases[i].seconds);
		assert_int_equal(result.error, 0);
	}
}

static void answer_continue_first(int fd, const char *request)
{
	(void)request;
	send_text(fd, "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
		      "HTTP/1.1 204 No Content\r\n\r\n");
}

static void test_an_informational_answer_is_not_the_answer(void **state)
{
	struct result result = {0};

	(void)state;
	exchange(answer_continue_first, DEADLINE_MS, &result);
	assert_int_equal(result.status, 204);
	assert_int_equal(result.statuses, 1);
	assert_int_equal(result.retry_after_s, -1);
}

static void answer_byte_by_byte(int fd, const char *request)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\nRetry-After: 3\r\n\r\n";
	int one = 1;

	(void)request;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		send_all(fd, text + i, 1);
}

static void test_one_byte_at_a_time_makes_the_same_answer(void **state)
{
	struct result result = {0};

	(void)state;
	exchange(answer_byte_by_byte, DEADLINE_MS, &result);
	assert_int_equal(result.error, 0);
	assert_string_equal(result.body, "abc");
	assert_int_equal(result.statuses, 1);
	assert_int_equal(result.retry_after_s, -1);
}

static void answer_redirect(int fd, const char *request)
{
	(void)request;
	send_text(fd, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\nno");
}

static void test_a_redirect_is_reported_and_not_followed(void **state)
{
	struct result result = {0};
	struct server server;

	(void)state;
	server = exchange(answer_redirect, DEADLINE_MS, &result);
	assert_int_equal(result.status, 302);
	assert_int_equal(result.error, 0);
	assert_int_equal(server.requests, 1);
}

/* ---- Failures ---- */

static void answer_gzip(int fd, const char *request)
{
	(void)request;
	send_text(fd,
		  "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b");
}

static void test_a_compressed_answer_is_an_error(void **state)
{
	struct result result = {0};

	(void)state;
	exchange(answer_gzip, DEADLINE_MS, &result);
	assert_int_equal(result.error, -EIO);
	assert_int_equal(result.statuses, 0);
	assert_non_null(strstr(result.message, "compressed"));
}

static void answer_many_headers(int fd, const char *request)
{
	(void)request;
	send_text(fd, "HTTP/1.1 200 OK\r\n");
	for (unsigned i = 0; i < 2000; i++)
		send_text(fd, "X-Flood: 0123456789012345678901234567890123456789\r\n");
	send_text(fd, "\r\n");
}

static void answer_long_header(int fd, const char *request)
{
	static const char filler[1025] = {[0 ... 1023] = 'x'};

	(void)request;
	send_text(fd, "HTTP/1.1 200 OK\r\nX-Flood: ");
	for (unsigned i = 0; i < 200; i++)
		send_text(fd, filler);
	wait_for_close(fd);
}

static void test_a_flood_of_headers_is_cut_off(void **state)
{
	struct result many = {0}, line = {0};

	(void)state;
	exchange(answer_many_headers, DEADLINE_MS, &many);
	assert_int_equal(many.error, -E2BIG);
	exchange(answer_long_header, DEADLINE_MS, &line);
	assert_int_equal(line.error, -E2BIG);
	assert_int_equal(many.statuses + line.statuses, 0);
}

static void answer_reset(int fd, const char *request)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	(void)request;
	send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void answer_short(int fd, const char *request)
{
	(void)request;
	send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc");
}

static void answer_garbage(int fd, const char *request)
{
	(void)request;
	send_text(fd, "220 smtp.example.org ready\r\n");
}

static void answer_nothing(int fd, const char *request)
{
	(void)fd;
	(void)request;
}

static void test_an_answer_that_breaks_off_is_an_error(void **state)
{
	void (*const answers[])(int, const char *) = {answer_reset, answer_short, answer_garbage,
						      answer_nothing};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct result result = {0};

		exchange(answers[i], DEADLINE_MS, &result);
		assert_int_equal(result.error, -EIO);
		assert_true(result.message[0]);
	}
}

static void test_nobody_listening_is_connection_refused(void **state)
{
	struct result result = {0};
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;

	(void)state;
	server_start(&server, answer_hello);
	server_stop(&server);
	client = client_of(&server, NULL);
	get(client, "/", DEADLINE_MS, &result, &transfer);
	run_until_end(client, &result);
	assert_int_equal(result.error, -ECONNREFUSED);
	http_client_free(client);
}

static void answer_stall(int fd, const char *request)
{
	(void)request;
	send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	wait_for_close(fd);
}

static void test_the_whole_request_is_bounded_in_time(void **state)
{
	struct result result = {0};

	(void)state;
	exchange(answer_stall, 200, &result);
	assert_int_equal(result.error, -ETIMEDOUT);
	assert_string_equal(result.body, "abc");
}

/* ---- Handlers that act ---- */

static void test_on_data_ends_its_transfer_by_its_result(void **state)
{
	struct result result = {.on_data_result = 1};

	(void)state;
	exchange(answer_stall, DEADLINE_MS, &result);
	assert_int_equal(result.error, -ECANCELED);
}

static void test_a_cancelled_transfer_has_no_end(void **state)
{
	struct result result = {0};
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;

	(void)state;
	server_start(&server, answer_stall);
	client = client_of(&server, NULL);
	get(client, "/", DEADLINE_MS, &result, &transfer);
	while (!result.body_size)
		assert_int_equal(http_client_run(client, 1000, NULL), 0);
	http_client_cancel(client, transfer);
	assert_int_equal(http_client_run(client, 0, NULL), 0);
	http_client_free(client);
	server_stop(&server);
	assert_int_equal(result.ends, 0);
}

static void answer_first_only(int fd, const char *request)
{
	if (strstr(request, "GET /first "))
		answer_hello(fd, request);
	else
		wait_for_close(fd);
}

static void test_other_transfers_can_be_cancelled_from_handlers(void **state)
{
	struct result first = {0}, in_data = {0}, in_end = {0};
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;

	(void)state;
	server_start(&server, answer_first_only);
	client = client_of(&server, NULL);
	get(client, "/first", DEADLINE_MS, &first, &transfer);
	get(client, "/second", DEADLINE_MS, &in_data, &first.cancel_in_on_data);
	get(client, "/third", DEADLINE_MS, &in_end, &first.cancel_in_on_end);
	run_until_end(client, &first);
	assert_int_equal(http_client_run(client, 0, NULL), 0);
	http_client_free(client);
	server_stop(&server);
	assert_int_equal(first.error, 0);
	assert_int_equal(in_data.ends + in_end.ends, 0);
}

static void test_on_end_can_start_the_next_request(void **state)
{
	struct result second = {0};
	struct result first = {.next_path = "/second", .next = &second};
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;

	(void)state;
	server_start(&server, answer_hello);
	client = client_of(&server, NULL);
	get(client, "/first", DEADLINE_MS, &first, &transfer);
	run_until_end(client, &second);
	http_client_free(client);
	server_stop(&server);
	assert_string_equal(second.body, "hello");
	assert_int_equal(server.requests, 2);
}

static void *wake(void *client)
{
	http_client_wakeup(client);
	return NULL;
}

static void test_wakeup_ends_the_wait(void **state)
{
	struct http_client *client = client_make("http://127.0.0.1:1", NULL);
	uint64_t start_ms = clock_monotonic_ms();
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, wake, client), 0);
	assert_int_equal(http_client_run(client, DEADLINE_MS, NULL), 0);
	assert_op(clock_monotonic_ms() - start_ms, <, DEADLINE_MS);
	assert_int_equal(pthread_join(thread, NULL), 0);
	http_client_free(client);
}

/* ---- Credentials, descriptors, URLs ---- */

static struct credentials *token_credentials(char *path)
{
	struct credentials_options options = {.token_file = path};
	struct credentials *credentials;
	int fd = mkstemp(path);

	assert_op(fd, >=, 0);
	assert_int_equal(write(fd, "s3cret\n", 7), 7);
	close(fd);
	assert_int_equal(credentials_new(&options, &credentials), 0);
	return credentials;
}

static void test_a_token_goes_to_loopback_in_clear(void **state)
{
	char path[] = "/tmp/k8slb-token-XXXXXX";
	struct credentials *credentials = token_credentials(path);
	struct result result = {0};
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;

	(void)state;
	server_start(&server, answer_hello);
	client = client_of(&server, credentials);
	get(client, "/", DEADLINE_MS, &result, &transfer);
	run_until_end(client, &result);
	http_client_free(client);
	server_stop(&server);
	assert_non_null(strstr(server.request, "\r\nAuthorization: Bearer s3cret\r\n"));
	credentials_free(credentials);
	unlink(path);
}

static void test_a_token_never_goes_elsewhere_in_clear(void **state)
{
	char path[] = "/tmp/k8slb-token-XXXXXX";
	struct credentials *credentials = token_credentials(path);
	struct result result = {0};
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;
	char url[64];

	(void)state;
	server_start(&server, answer_hello);
	/* The kernel takes 0.0.0.0 for this machine; the client cannot know that. */
	snprintf(url, sizeof(url), "http://0.0.0.0:%u", server.port);
	client = client_make(url, credentials);
	get(client, "/", DEADLINE_MS, &result, &transfer);
	run_until_end(client, &result);
	http_client_free(client);
	server_stop(&server);
	assert_int_equal(result.status, 200);
	assert_null(strstr(server.request, "Authorization"));
	credentials_free(credentials);
	unlink(path);
}

static void test_https_without_a_ca_fails_and_says_why(void **state)
{
	struct credentials_options options = {.ca_file = "/nonexistent/ca.crt"};
	struct credentials *credentials;
	struct result result = {0};
	struct http_transfer *transfer;
	struct http_client *client;

	(void)state;
	assert_int_equal(credentials_new(&options, &credentials), 0);
	client = client_make("https://127.0.0.1:1", credentials);
	get(client, "/", DEADLINE_MS, &result, &transfer);
	run_until_end(client, &result);
	assert_int_equal(result.error, -EACCES);
	assert_non_null(strstr(result.message, "CA file /nonexistent/ca.crt: No such file"));
	http_client_free(client);
	credentials_free(credentials);
}

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static void test_sockets_are_set_up(void **state)
{
	struct result result = {0};
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;
	unsigned found = 0;

	(void)state;
	server_start(&server, answer_stall);
	client = client_of(&server, NULL);
	get(client, "/", DEADLINE_MS, &result, &transfer);
	while (!result.body_size)
		assert_int_equal(http_client_run(client, 1000, NULL), 0);
	for (int fd = 0; fd < 100; fd++) {
		struct sockaddr_in peer;
		socklen_t size = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0 ||
		    ntohs(peer.sin_port) != server.port)
			continue;
		found++;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		/* A dead flow is noticed within 45 s. */
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
		assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
		assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
		assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
		assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 40000);
	}
	assert_int_equal(found, 1);
	http_client_free(client);
	server_stop(&server);
}

static void test_a_path_prefix_is_kept(void **state)
{
	struct result result = {0};
	struct http_transfer *transfer;
	struct http_client *client;
	struct server server;
	char url[64];

	(void)state;
	server_start(&server, answer_hello);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/k8s/clusters/c1//", server.port);
	client = client_make(url, NULL);
	get(client, "/api/v1/services", DEADLINE_MS, &result, &transfer);
	run_until_end(client, &result);
	http_client_free(client);
	server_stop(&server);
	assert_memory_equal(server.request, "GET /k8s/clusters/c1/api/v1/services HTTP", 41);
}

static void test_a_bad_path_or_time_is_refused(void **state)
{
	const struct http_handler handler = {take_status, take_data, take_end, NULL, NULL};
	struct http_client *client = client_make("http://127.0.0.1:1", NULL);
	struct http_transfer *transfer;

	(void)state;
	assert_int_equal(http_client_get(client, "api", 1, &handler, &transfer), -EINVAL);
	assert_int_equal(http_client_get(client, "/api", 0, &handler, &transfer), -EINVAL);
	http_client_free(client);
	http_client_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_then_data_then_end),
		cmocka_unit_test(test_the_request_has_only_the_headers_it_should),
		cmocka_unit_test(test_only_a_sane_integer_retry_after_counts),
		cmocka_unit_test(test_an_informational_answer_is_not_the_answer),
		cmocka_unit_test(test_one_byte_at_a_time_makes_the_same_answer),
		cmocka_unit_test(test_a_redirect_is_reported_and_not_followed),
		cmocka_unit_test(test_a_compressed_answer_is_an_error),
		cmocka_unit_test(test_a_flood_of_headers_is_cut_off),
		cmocka_unit_test(test_an_answer_that_breaks_off_is_an_error),
		cmocka_unit_test(test_nobody_listening_is_connection_refused),
		cmocka_unit_test(test_the_whole_request_is_bounded_in_time),
		cmocka_unit_test(test_on_data_ends_its_transfer_by_its_result),
		cmocka_unit_test(test_a_cancelled_transfer_has_no_end),
		cmocka_unit_test(test_other_transfers_can_be_cancelled_from_handlers),
		cmocka_unit_test(test_on_end_can_start_the_next_request),
		cmocka_unit_test(test_wakeup_ends_the_wait),
		cmocka_unit_test(test_a_token_goes_to_loopback_in_clear),
		cmocka_unit_test(test_a_token_never_goes_elsewhere_in_clear),
		cmocka_unit_test(test_https_without_a_ca_fails_and_says_why),
		cmocka_unit_test(test_sockets_are_set_up),
		cmocka_unit_test(test_a_path_prefix_is_kept),
		cmocka_unit_test(test_a_bad_path_or_time_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
