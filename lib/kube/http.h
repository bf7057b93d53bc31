/* HTTP requests to the API server, many at once, in one thread (libcurl multi interface). */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_HTTP_H
#define K8SLB_KUBE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/interrupt.h"
#include "kube/credentials.h"

/*
 * All calls of one client are made by one thread, but for http_client_wakeup().
 * A host name is resolved by curl: in the preload library and the command by c-ares, in the wait of
 * http_client_run(); anew for each connection, of which at most 64 addresses are dialled.
 * TLS is always verified, with the CA of the credentials only; no proxy, netrc, cookie, redirect
 * or environment variable of the process is honoured; HTTP/1.1; no compression is asked for (a
 * gzipped watch is one gzip member a flush, which libcurl refuses: facts of kube-apiserver 1.37).
 */
struct http_client;

struct http_options {
	const char *base_url;	/* "https://10.96.0.1:443" or "http://127.0.0.1:8001"; a path
				   prefix is kept; no user, query or fragment; copied */
	const char *user_agent; /* copied; must not begin with curl, Wget or Mozilla/5.0, for
				   which the API server pretty-prints its lists */
	struct credentials *credentials; /* borrowed, outlives the client; may be NULL */
};

/*
 * What becomes of one request. Called from http_client_run() only, in this order: on_status once
 * when the header is complete (not when no answer came), on_data any number of times, on_end
 * exactly once, after which the transfer is gone.
 */
struct http_handler {
	/* @retry_after_s: the integer form of Retry-After, else -1; an absurd value (negative or
	 * over a day) counts as absent. */
	void (*on_status)(void *ctx, int status, long retry_after_s);
	/* Returns 0 to go on; anything else ends the transfer with error -ECANCELED. */
	int (*on_data)(void *ctx, const char *data, size_t size);
	/* @error: 0 when the answer came to its end, else one of
	 *   -ECONNREFUSED   nobody listens, or no route
	 *   -ETIMEDOUT      connecting or the whole request took too long
	 *   -EACCES         TLS: the server's certificate is not trusted, or there is no CA to
	 *                   trust it by (the system's own are never used)
	 *   -E2BIG          header larger than HTTP_HEADER_LIMIT
	 *   -ECANCELED      on_data wanted no more
	 *   -EIO            anything else, also an answer with a Content-Encoding
	 * @message says what, "" with 0; never NULL, valid during the call. New requests may be
	 * started here, and other transfers cancelled. */
	void (*on_end)(void *ctx, int error, const char *message);
	/* Before on_status, and NULL where it is of no use: the answer's Date as it stands there. */
	void (*on_date)(void *ctx, const char *date);
	void *ctx;
};

/* All header bytes of one answer. kube-apiserver sends about 1 KiB. */
#define HTTP_HEADER_LIMIT (64 * 1024)

struct http_transfer;

/* Opens no connection yet. Returns 0, -EINVAL for a bad URL, -ENOMEM or -EIO, with the reason in
 * @error. */
int http_client_new(const struct http_options *options, struct http_client **ret_client,
		    char *error, size_t error_size);

/*
 * Starts GET @path (with its query, beginning with '/'; copied). @total_timeout_ms ends the whole
 * request. The Authorization header is made from the credentials at this moment. Over plain http it
 * is sent to loopback only (127.0.0.0/8, ::1, localhost): a token never crosses a network in clear.
 * May be called anywhere but from another thread; nothing happens before http_client_run().
 * A transfer is valid until its on_end was called or it was cancelled. Redirects are not followed:
 * their status is reported like any other.
 * Returns 0, -EINVAL for a path without '/' or a timeout <= 0, or -ENOMEM.
 */
int http_client_get(struct http_client *client, const char *path, long total_timeout_ms,
		    const struct http_handler *handler, struct http_transfer **ret_transfer);

/* Ends a transfer at once, without on_end. Must not be called from on_status, on_data or on_end of
 * the same transfer (return non-zero from on_data there). */
void http_client_cancel(struct http_client *client, struct http_transfer *transfer);

/* Waits at most @timeout_ms for traffic, or until @interrupt (NULL: none) is set, then calls the
 * handlers that are due. Returns 0, or -ENOMEM or -EIO when libcurl itself fails; then it may not
 * have waited. Not to be called by a handler. */
int http_client_run(struct http_client *client, int timeout_ms, const struct interrupt *interrupt);

/* Ends the wait of http_client_run() early. Any thread, async-signal-safe is not promised. */
void http_client_wakeup(struct http_client *client);

/* Ends all transfers without on_end and frees all. Takes NULL. */
void http_client_free(struct http_client *client);

#endif
