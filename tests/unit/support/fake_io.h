/* The world of lib/sync for tests: a clock that is set by hand and a transport that is a script. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_FAKE_IO_H
#define K8SLB_TESTS_FAKE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/reflector.h"

struct fake_request {
	char path[4096];
	uint64_t at_ms; /* when it was started */
	uint32_t total_timeout_ms;
	struct reflector *reflector;
	bool open;
	bool seen; /* fake_io_serve() has handed it to the server */
	bool is_watch;
};

struct fake_io {
	struct sync_io io; /* to be given to the code under test */
	uint64_t now_ms;
	uint64_t random_state;
	uint32_t fixed_random; /* given instead of random bits when @random_is_fixed */
	bool random_is_fixed;
	int start_error; /* what start() returns instead of starting; 0: none */
	unsigned unauthorized;
	unsigned cancelled;
	struct fake_request *requests; /* all of them, in their order */
	size_t count;
	size_t capacity;
};

/* The clock begins at one hour, so that no time is 0 by accident. */
void fake_io_init(struct fake_io *fake);
void fake_io_free(struct fake_io *fake);

/* The newest request, or the one @back before it; fails the test when there is none. */
const struct fake_request *fake_request_back(const struct fake_io *fake, size_t back);
#define fake_last(fake) fake_request_back((fake), 0)
#define fake_path(fake) (fake_last(fake)->path)

/* How many requests contain @part in their path; NULL: all. */
size_t fake_count(const struct fake_io *fake, const char *part);

/* Each of these goes to the newest request, which must be open. */
void fake_status(struct fake_io *fake, int status, long retry_after_s);
int fake_data(struct fake_io *fake, const char *text);
void fake_end(struct fake_io *fake, int error, const char *message);

/* Status, body and end in one. */
void fake_answer(struct fake_io *fake, int status, const char *body);
void fake_answer_retry_after(struct fake_io *fake, int status, long retry_after_s,
			     const char *body);

/*
 * A server for long runs: fake_io_serve() hands it each open request once, and the server answers
 * it by fake_serve_*(), or leaves it open as a silent one.
 */
typedef void fake_server(struct fake_io *fake, struct fake_request *request, void *ctx);

void fake_serve_answer(struct fake_request *request, int status, long retry_after_s,
		       const char *body);
void fake_serve_open(struct fake_request *request, const char *body);
void fake_serve_error(struct fake_request *request, int error, const char *message);

/* Hands out the requests until all that are open were seen. */
void fake_io_serve(struct fake_io *fake, fake_server *server, void *ctx);

/* What ticks: one reflector, or a syncer. */
struct fake_subject {
	void (*tick)(void *subject);
	uint64_t (*deadline_ms)(void *subject);
	void *subject;
};

struct fake_subject fake_subject_of_reflector(struct reflector *reflector);

/* Moves the clock from deadline to deadline for @duration_ms. Fails the test when time stands
 * still: a loop that a real clock would run hot. */
void fake_io_run(struct fake_io *fake, const struct fake_subject *subject, fake_server *server,
		 void *ctx, uint64_t duration_ms);

#endif
