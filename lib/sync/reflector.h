/* List and watch of one collection, as a state machine without socket, clock or chance. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SYNC_REFLECTOR_H
#define K8SLB_SYNC_REFLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/object.h"
#include "kube/json.h"
#include "kube/json_stream.h"
#include "sync/backoff.h"

struct reflector;

/*
 * The world as a reflector sees it; tests give a fake one. One request at a time for each
 * reflector: start() begins it, and the world then calls reflector_on_status(), _on_data() and
 * _on_end(), never from within start().
 */
struct sync_io {
	uint64_t (*now_ms)(void *ctx);
	uint32_t (*random)(void *ctx); /* 32 random bits */
	/* GET @path within @total_timeout_ms. Returns 0 or -errno. */
	int (*start)(void *ctx, struct reflector *reflector, const char *path,
		     uint32_t total_timeout_ms);
	/* Ends the request that runs, without any further call. */
	void (*cancel)(void *ctx, struct reflector *reflector);
	/* The server refused the token (401): read it again before the next request. */
	void (*unauthorized)(void *ctx);
	/* Makes secrets in a text of the server's unreadable, before anybody is told it. */
	void (*conceal)(void *ctx, char *text);
	void *ctx;
};

/*
 * Where the objects go. Objects are handed over: the sink clears or keeps them. A list arrives
 * between replace_begin and replace_commit (now the collection is exactly this) or replace_abort
 * (nothing has happened).
 */
struct reflector_sink {
	int (*replace_begin)(void *ctx);
	int (*replace_item)(void *ctx, struct object *object);
	/* An item that names itself but cannot be decoded: its last good version stays. */
	int (*replace_keep)(void *ctx, const char *namespace, const char *name);
	void (*replace_commit)(void *ctx);
	void (*replace_abort)(void *ctx);
	int (*upsert)(void *ctx, struct object *object);
	void (*remove)(void *ctx, const char *namespace, const char *name);
	void *ctx;
};

struct reflector_options {
	enum object_kind kind;
	const char *collection_path; /* "/api/v1/namespaces/demo/services"; copied */
	const char *
		selector; /* "labelSelector=..." or "fieldSelector=...", encoded; "": all; copied */
	uint32_t retry_delay_ms;   /* see backoff.h */
	uint32_t sync_interval_ms; /* between lists where no watch is allowed */
	uint32_t start_delay_ms;   /* before the first list */
};

/* Lists differ in which version they ask for (client-go, reflector.go relistResourceVersion and
 * pager.go). */
enum reflector_request {
	REFLECTOR_LIST_ANY,	  /* resourceVersion=0: the API server's cache is good enough */
	REFLECTOR_LIST_NOT_OLDER, /* resourceVersion=<last>: at least as fresh as what we had */
	REFLECTOR_LIST_QUORUM,	  /* none: straight from etcd, in pages */
	REFLECTOR_LIST_WHOLE,	  /* none, in one page: a continue token had expired */
	/*
	 * One item, for the server's version only, before the next watch. The connection broke, so
	 * the server may have been restored from a backup with lower versions. It would leave a
	 * watch from a version of its future silent, without any error (seen on v1.37.2), until the
	 * versions have caught up.
	 */
	REFLECTOR_PROBE,
	REFLECTOR_WATCH,
};

enum reflector_state {
	REFLECTOR_WAITING, /* to make the request */
	REFLECTOR_RUNNING, /* it is made */
	REFLECTOR_STOPPED,
};

enum reflector_contact {
	REFLECTOR_NEW,	   /* no list has come to an end yet */
	REFLECTOR_HEARING, /* in a watch that the server accepted, or polled without error */
	REFLECTOR_LOST,	   /* the last request failed */
	REFLECTOR_DENIED,  /* the last list was refused: 403, or 404 of the collection */
};

/* What came of an answer's body. */
enum reflector_body {
	REFLECTOR_BODY_GOOD,
	REFLECTOR_BODY_BAD,	    /* not what was asked for, too large or no memory */
	REFLECTOR_BODY_ERROR_EVENT, /* the server itself ended the watch by it */
	REFLECTOR_BODY_FULL,	    /* a watch of LIMIT_WATCH_BYTES or LIMIT_WATCH_EVENTS */
};

/* 500 items a page (client-go tools/pager/pager.go:31). */
#define REFLECTOR_PAGE_SIZE 500
/* A watch asks the server to end it after 5 to 10 min (reflector.go:57-58, 588-597). */
#define REFLECTOR_WATCH_MIN_S	 300u
#define REFLECTOR_WATCH_SPREAD_S 300u
/* How much longer than that the request may take before it counts as stuck. */
#define REFLECTOR_WATCH_GRACE_MS (30u * 1000)
/* A whole page of a list. A server that drips one byte a second ends here. */
#define REFLECTOR_LIST_TOTAL_MS (60u * 1000)
/* No byte for so long ends a request. Bookmarks come about every 60 s (cacher.go:78), so two of
 * them are missing by then. */
#define REFLECTOR_LIST_IDLE_MS	(30u * 1000)
#define REFLECTOR_WATCH_IDLE_MS (150u * 1000)
/* A watch that ends sooner than this is a failure, and the next one waits (reflector.go:1091). */
#define REFLECTOR_WATCH_SHORT_MS 1000u
/* Longest Retry-After that is obeyed. */
#define REFLECTOR_RETRY_AFTER_MAX_S 300
/* Body of an error answer that is read for its message. */
#define REFLECTOR_ERROR_BODY_LIMIT (16 * 1024)

struct reflector {
	/* For the owner to read. */
	enum reflector_contact contact;
	bool synced;		/* a list was committed once; stays true */
	uint64_t last_heard_ms; /* last byte of a good answer */
	char problem[256];	/* why it is not hearing; "" when it is */

	/* The rest is its own. */
	enum object_kind kind;
	char *collection_path;
	char *selector;
	uint32_t sync_interval_ms;
	const struct sync_io *io;
	struct reflector_sink sink;
	struct logger logger;
	struct backoff backoff;
	enum reflector_state state;
	enum reflector_request request;
	uint64_t due_ms;	   /* WAITING: when to make it */
	uint64_t request_start_ms; /* RUNNING */
	uint64_t last_byte_ms;
	bool retried_at_once; /* the free second try of this error was used */
	char *continue_token; /* of a list's next page; NULL: the first one */
	uint32_t list_items;  /* of all its pages so far */
	uint64_t list_bytes;
	uint64_t watch_bytes;
	uint32_t watch_events;	/* that were applied */
	char *resource_version; /* all up to this one was taken in; NULL: nothing yet */
	int status;		/* of the answer; 0: none yet */
	long retry_after_s;
	struct json_stream stream;
	struct buffer error_body;
	enum reflector_body body;
	char body_problem[200];
	struct kube_status error_event;
	struct log_once told;
};

/* Lists on the first reflector_tick() after the delay. @io must outlive it. Returns 0 or -ENOMEM.
 */
int reflector_init(struct reflector *reflector, const struct reflector_options *options,
		   const struct sync_io *io, const struct reflector_sink *sink,
		   const struct logger *logger);

/* Does what is due. */
void reflector_tick(struct reflector *reflector);

/* When reflector_tick() is due next, monotonic ms; UINT64_MAX: only the network can say. */
uint64_t reflector_deadline_ms(const struct reflector *reflector);

/* From the transport. on_data returns non-zero to have the request ended; on_end then follows
 * with -ECANCELED. The meaning of @error is http.h's. */
void reflector_on_status(struct reflector *reflector, int status, long retry_after_s);
int reflector_on_data(struct reflector *reflector, const char *data, size_t size);
void reflector_on_end(struct reflector *reflector, int error, const char *message);

/* Cancels what runs and frees the memory; nothing is removed from the sink. */
void reflector_stop(struct reflector *reflector);

#endif
