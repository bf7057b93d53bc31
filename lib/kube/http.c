// SPDX-License-Identifier: Apache-2.0
/* Order: making a client, what curl calls, making a request, running. Compiles against curl 7.88
 * and newer. */
#include "kube/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/raw_calls.h"
#include "kube/http_options.h"
#include "kube/http_url.h"

#define CONNECT_TIMEOUT_MS 10000
/* Idle connections kept for the next list or watch. */
#define IDLE_CONNECTIONS  4
#define RETRY_AFTER_MAX_S 86400
/* Of one name, that are dialled for one request: what DNS says has thousands at most. */
#define ADDRESSES_MOST 64
#define MESSAGE_SIZE   (CURL_ERROR_SIZE + 128)

/* curl 8.6 and newer, as a number: the library at run time may be newer than its header. */
#define RESULT_TOO_LARGE 100

struct http_transfer {
	struct http_client *client;
	struct http_transfer *next;
	struct http_handler handler;
	CURL *easy;
	struct curl_slist *headers;
	char *url;
	bool added;	/* to the multi handle */
	bool lost;	/* failed before that: on_end is due */
	bool cancelled; /* while curl was calling us: freed at the end of http_client_run() */
	bool encoded;	/* the answer has a Content-Encoding */
	int status;	/* of the answer, 0 before the header is complete */
	long retry_after_s;
	size_t header_bytes;
	unsigned dialled; /* addresses */
	int socket_errno; /* why a socket could not be made, 0 */
	int failure;	  /* our own reason to end it, -errno with @message; 0: ask curl */
	char message[MESSAGE_SIZE];
	char curl_message[CURL_ERROR_SIZE];
};

struct http_client {
	CURLM *multi;
	struct http_transfer *transfers;
	struct credentials *credentials;
	struct http_url base;
	char *user_agent;
	bool in_curl; /* curl is calling our functions and refuses changes of its handles */
};

/* ---- Making a client ---- */

int http_client_new(const struct http_options *options, struct http_client **ret_client,
		    char *error, size_t error_size)
{
	struct http_client *client;
	CURLcode global;
	int rc = -ENOMEM;

	snprintf(error, error_size, "out of memory");
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	/* curl counts these calls, and locks around them. */
	global = curl_global_init(CURL_GLOBAL_DEFAULT);
	if (global != CURLE_OK) {
		snprintf(error, error_size, "libcurl: %s", curl_easy_strerror(global));
		free(client);
		return -EIO;
	}
	client->credentials = options->credentials;
	client->user_agent = strdup(options->user_agent);
	client->multi = curl_multi_init();
	if (client->user_agent && client->multi) {
		curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
		rc = http_url_read(options->base_url, &client->base, error, error_size);
	}
	if (rc < 0) {
		http_client_free(client);
		return rc;
	}
	error[0] = '\0';
	*ret_client = client;
	return 0;
}

/* ---- What curl calls ---- */

static void fail(struct http_transfer *transfer, int failure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct http_transfer *transfer, int failure, const char *format, ...)
{
	va_list args;

	transfer->failure = failure;
	va_start(args, format);
	vsnprintf(transfer->message, sizeof(transfer->message), format, args);
	va_end(args);
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct http_transfer *transfer = ctx;
	int fd;

	(void)purpose;
	if (transfer->dialled++ >= ADDRESSES_MOST)
		return CURL_SOCKET_BAD;
	fd = k8slb_raw_socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
	if (fd < 0) {
		transfer->socket_errno = errno;
		return CURL_SOCKET_BAD;
	}
	http_notice_dead_flow(fd);
	return fd;
}

/* The value of header @name in @line (no NUL at its end), trimmed; NULL when it is another one. */
static const char *header_value(const char *line, size_t size, const char *name, size_t *ret_size)
{
	size_t length = strlen(name);

	if (size <= length || line[length] != ':' || strncasecmp(line, name, length) != 0)
		return NULL;
	line += length + 1;
	size -= length + 1;
	while (size && (*line == ' ' || *line == '\t')) {
		line++;
		size--;
	}
	while (size && strchr(" \t\r\n", line[size - 1]))
		size--;
	*ret_size = size;
	return line;
}

static long retry_after(const char *value, size_t size)
{
	long seconds = 0;

	if (size == 0 || size > 5) /* RETRY_AFTER_MAX_S has five digits */
		return -1;
	for (size_t i = 0; i < size; i++) {
		if (value[i] < '0' || value[i] > '9')
			return -1;
		seconds = seconds * 10 + (value[i] - '0');
	}
	return seconds <= RETRY_AFTER_MAX_S ? seconds : -1;
}

/* The blank line: the header is complete, unless it was one of the 1xx answers. */
static bool header_complete(struct http_transfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return true;
	if (transfer->encoded) {
		fail(transfer, -EIO, "the answer is compressed, which was not asked for");
		return false;
	}
	transfer->status = (int)status;
	transfer->handler.on_status(transfer->handler.ctx, transfer->status,
				    transfer->retry_after_s);
	return true;
}

static void tell_date(struct http_transfer *transfer, const char *value, size_t size)
{
	char text[64];

	if (size >= sizeof(text))
		return;
	memcpy(text, value, size);
	text[size] = '\0';
	transfer->handler.on_date(transfer->handler.ctx, text);
}

/* One line of the header, of a 1xx answer before it, or of the trailer. */
static size_t on_header(char *line, size_t unit, size_t count, void *ctx)
{
	struct http_transfer *transfer = ctx;
	size_t size = unit * count;
	size_t value_size;
	const char *value;

	if (transfer->cancelled)
		return 0;
	transfer->header_bytes += size;
	if (transfer->header_bytes > HTTP_HEADER_LIMIT) {
		fail(transfer, -E2BIG, "the header of the answer is larger than %d bytes",
		     HTTP_HEADER_LIMIT);
		return 0;
	}
	if (transfer->status)
		return size;
	if (size <= 2 && (line[0] == '\r' || line[0] == '\n'))
		return header_complete(transfer) ? size : 0;
	if (size > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		transfer->retry_after_s = -1;
		transfer->encoded = false;
	}
	value = header_value(line, size, "Retry-After", &value_size);
	if (value)
		transfer->retry_after_s = retry_after(value, value_size);
	value = header_value(line, size, "Date", &value_size);
	if (value && transfer->handler.on_date)
		tell_date(transfer, value, value_size);
	value = header_value(line, size, "Content-Encoding", &value_size);
	if (value && value_size && (value_size != 8 || strncasecmp(value, "identity", 8) != 0))
		transfer->encoded = true;
	return size;
}

static size_t on_body(char *data, size_t unit, size_t count, void *ctx)
{
	struct http_transfer *transfer = ctx;
	size_t size = unit * count;

	if (transfer->cancelled)
		return 0;
	if (size && transfer->handler.on_data(transfer->handler.ctx, data, size) != 0) {
		fail(transfer, -ECANCELED, "no more data was wanted");
		return 0;
	}
	return size;
}

/* ---- Making a request ---- */

/* Returns 0, -ENOMEM or an error of the buffer. */
static int add_header(struct http_transfer *transfer, const char *name, const char *value)
{
	struct buffer line = {0};
	struct curl_slist *longer;
	int rc = buffer_append_text(&line, name);

	if (rc == 0)
		rc = buffer_append_text(&line, value);
	longer = rc == 0 ? curl_slist_append(transfer->headers, line.data) : NULL;
	buffer_free(&line);
	if (!longer)
		return -ENOMEM;
	transfer->headers = longer;
	return 0;
}

static int set_headers(struct http_transfer *transfer, uint64_t now_ms)
{
	const struct http_client *client = transfer->client;
	const char *token = NULL;
	int rc = add_header(transfer, "Accept: ", "application/json");

	if (client->credentials && (client->base.https || client->base.loopback))
		token = credentials_token(client->credentials, now_ms);
	if (rc == 0 && token)
		rc = add_header(transfer, "Authorization: Bearer ", token);
	return rc;
}

static CURLcode set_options(struct http_transfer *transfer, long total_timeout_ms)
{
	struct http_client *client = transfer->client;
	CURL *easy = transfer->easy;
	CURLcode result = http_isolate(easy, client->base.https);

	SET(result, easy, CURLOPT_URL, transfer->url);
	SET(result, easy, CURLOPT_USERAGENT, client->user_agent);
	SET(result, easy, CURLOPT_HTTPHEADER, transfer->headers);
	SET(result, easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	SET(result, easy, CURLOPT_TIMEOUT_MS, total_timeout_ms);
	SET(result, easy, CURLOPT_ERRORBUFFER, transfer->curl_message);
	SET(result, easy, CURLOPT_PRIVATE, transfer);
	SET(result, easy, CURLOPT_HEADERFUNCTION, on_header);
	SET(result, easy, CURLOPT_HEADERDATA, transfer);
	SET(result, easy, CURLOPT_WRITEFUNCTION, on_body);
	SET(result, easy, CURLOPT_WRITEDATA, transfer);
	SET(result, easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(result, easy, CURLOPT_OPENSOCKETDATA, transfer);
	return result;
}

static CURLcode set_tls(struct http_transfer *transfer, uint64_t now_ms)
{
	const char *problem = NULL;
	CURLcode result =
		http_set_tls(transfer->easy, transfer->client->credentials, now_ms, &problem);

	if (problem)
		fail(transfer, -EACCES, "no CA to verify the API server with%s%s",
		     *problem ? ": " : "", problem);
	return result;
}

static char *join(const char *base, const char *path)
{
	struct buffer url = {0};

	if (buffer_append_text(&url, base) < 0 || buffer_append_text(&url, path) < 0) {
		buffer_free(&url);
		return NULL;
	}
	return url.data;
}

static void transfer_free(struct http_transfer *transfer)
{
	if (transfer->added)
		curl_multi_remove_handle(transfer->client->multi, transfer->easy);
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	free(transfer->url);
	free(transfer);
}

static void transfer_unlink(struct http_transfer *transfer)
{
	struct http_transfer **link = &transfer->client->transfers;

	while (*link != transfer)
		link = &(*link)->next;
	*link = transfer->next;
}

int http_client_get(struct http_client *client, const char *path, long total_timeout_ms,
		    const struct http_handler *handler, struct http_transfer **ret_transfer)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct http_transfer **tail = &client->transfers;
	struct http_transfer *transfer;
	CURLcode result = CURLE_OUT_OF_MEMORY;

	if (path[0] != '/' || total_timeout_ms <= 0)
		return -EINVAL;
	transfer = calloc(1, sizeof(*transfer));
	if (!transfer)
		return -ENOMEM;
	transfer->client = client;
	transfer->handler = *handler;
	transfer->retry_after_s = -1;
	transfer->easy = curl_easy_init();
	transfer->url = join(client->base.text, path);
	if (transfer->easy && transfer->url && set_headers(transfer, now_ms) == 0)
		result = set_options(transfer, total_timeout_ms);
	if (result == CURLE_OK && client->base.https)
		result = set_tls(transfer, now_ms);
	if (client->credentials && credentials_lack_memory(client->credentials))
		result = CURLE_OUT_OF_MEMORY;
	if (result == CURLE_OUT_OF_MEMORY) {
		transfer_free(transfer);
		return -ENOMEM;
	}
	if (result != CURLE_OK)
		fail(transfer, -EIO, "libcurl refuses an option: %s", curl_easy_strerror(result));
	while (*tail) /* a handful; they go out in the order of the calls */
		tail = &(*tail)->next;
	*tail = transfer;
	*ret_transfer = transfer;
	return 0;
}

void http_client_cancel(struct http_client *client, struct http_transfer *transfer)
{
	transfer->cancelled = true;
	if (client->in_curl)
		return;
	transfer_unlink(transfer);
	transfer_free(transfer);
}

/* ---- Running ---- */

/* What http.h promises for curl's result; @failure of our own goes first. */
static int error_of(const struct http_transfer *transfer, CURLcode result)
{
	long os_errno = 0;

	switch ((int)result) {
	case CURLE_OK:
		return transfer->status ? 0 : -EIO;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_errno);
		if (transfer->socket_errno)
			return -EIO;
		return os_errno == ETIMEDOUT ? -ETIMEDOUT : -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return -EACCES;
	case RESULT_TOO_LARGE:
		return -E2BIG;
	case CURLE_OUT_OF_MEMORY:
		/* What curl before 8.6 says of a header line of more than 100 KiB. */
		return transfer->header_bytes && !transfer->status ? -E2BIG : -EIO;
	default:
		return -EIO;
	}
}

/* Some TLS messages end with line breaks. */
static void trim_message(char *message)
{
	size_t length = strlen(message);

	while (length && (message[length - 1] == '\n' || message[length - 1] == ' '))
		message[--length] = '\0';
}

/* Ends a transfer whose result is known. The handler may start and cancel others. */
static void finish(struct http_transfer *transfer, CURLcode result)
{
	int error = transfer->failure;

	if (!error) {
		error = error_of(transfer, result);
		if (error && transfer->socket_errno)
			fail(transfer, error, "socket: %s", strerror(transfer->socket_errno));
		else if (error)
			fail(transfer, error, "%s%s",
			     error == -E2BIG ? "the header of the answer: " : "",
			     *transfer->curl_message ? transfer->curl_message
						     : curl_easy_strerror(result));
		trim_message(transfer->message);
	}
	transfer_unlink(transfer);
	if (!transfer->cancelled)
		transfer->handler.on_end(transfer->handler.ctx, error, transfer->message);
	transfer_free(transfer);
}

/* Gives new transfers to curl. Returns whether one failed before. */
static bool add_new(struct http_client *client)
{
	bool any_lost = false;

	for (struct http_transfer *t = client->transfers; t; t = t->next) {
		if (t->added)
			continue;
		if (!t->failure && curl_multi_add_handle(client->multi, t->easy) != CURLM_OK)
			fail(t, -EIO, "libcurl takes no more requests");
		t->lost = t->failure != 0;
		t->added = !t->lost;
		any_lost = any_lost || t->lost;
	}
	return any_lost;
}

/*
 * One that was cancelled from within curl, or that failed before curl got it; else NULL. What
 * on_end starts now is not among them before the next run: a handler that tries again at once
 * does not keep the thread in here.
 */
static struct http_transfer *next_lost(struct http_client *client)
{
	struct http_transfer *t = client->transfers;

	while (t && !t->cancelled && !t->lost)
		t = t->next;
	return t;
}

int http_client_run(struct http_client *client, int timeout_ms, const struct interrupt *interrupt)
{
	struct curl_waitfd also[INTERRUPT_FDS];
	unsigned also_count = 0;
	struct pollfd fds[INTERRUPT_FDS];
	struct http_transfer *lost;
	CURLMcode result;
	CURLMsg *message;
	int count;

	if (add_new(client))
		timeout_ms = 0;
	interrupt_fds(interrupt, fds, &timeout_ms);
	for (unsigned i = 0; i < INTERRUPT_FDS; i++) {
		if (fds[i].fd >= 0) /* curl takes no others */
			also[also_count++] = (struct curl_waitfd){.fd = fds[i].fd,
								  .events = CURL_WAIT_POLLIN};
	}
	result = curl_multi_poll(client->multi, also, also_count, timeout_ms, NULL);
	if (result == CURLM_OK) {
		client->in_curl = true;
		result = curl_multi_perform(client->multi, &count);
		client->in_curl = false;
	}
	/* Each finish() may change the list; so look from its start again. */
	while ((lost = next_lost(client)))
		finish(lost, CURLE_OK);
	while ((message = curl_multi_info_read(client->multi, &count))) {
		CURLcode code = message->data.result;
		char *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		finish((struct http_transfer *)(void *)transfer, code);
	}
	if (result == CURLM_OUT_OF_MEMORY)
		return -ENOMEM;
	return result == CURLM_OK ? 0 : -EIO;
}

void http_client_wakeup(struct http_client *client)
{
	curl_multi_wakeup(client->multi);
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	while (client->transfers) {
		struct http_transfer *transfer = client->transfers;

		client->transfers = transfer->next;
		transfer_free(transfer);
	}
	if (client->multi)
		curl_multi_cleanup(client->multi);
	free(client->base.text);
	free(client->user_agent);
	free(client);
	curl_global_cleanup();
}
