// SPDX-License-Identifier: Apache-2.0
#include "support/fake_io.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"
#include "support/assert_op.h"

/* More requests than this at one instant of the clock are a hot loop. A list of 10 pages, its
 * watch and some collections beside it stay far below. */
#define ROUNDS_AT_ONE_INSTANT 200

static uint64_t io_now_ms(void *ctx)
{
	const struct fake_io *fake = ctx;

	return fake->now_ms;
}

static uint32_t io_random(void *ctx)
{
	struct fake_io *fake = ctx;

	if (fake->random_is_fixed)
		return fake->fixed_random;
	return (uint32_t)hash_mix(++fake->random_state);
}

static int io_start(void *ctx, struct reflector *reflector, const char *path,
		    uint32_t total_timeout_ms)
{
	struct fake_io *fake = ctx;
	struct fake_request *request;

	if (fake->start_error)
		return fake->start_error;
	for (size_t i = 0; i < fake->count; i++) {
		if (fake->requests[i].reflector == reflector && fake->requests[i].open)
			fail_msg("%s is asked for while %s runs", path, fake->requests[i].path);
	}
	if (fake->count == fake->capacity) {
		fake->capacity = fake->capacity ? fake->capacity * 2 : 64;
		fake->requests =
			realloc(fake->requests, fake->capacity * sizeof(fake->requests[0]));
		assert_non_null(fake->requests);
	}
	request = &fake->requests[fake->count++];
	*request = (struct fake_request){
		.at_ms = fake->now_ms,
		.total_timeout_ms = total_timeout_ms,
		.reflector = reflector,
		.open = true,
		.is_watch = strstr(path, "watch=true") != NULL,
	};
	snprintf(request->path, sizeof(request->path), "%s", path);
	return 0;
}

static void io_cancel(void *ctx, struct reflector *reflector)
{
	struct fake_io *fake = ctx;

	for (size_t i = 0; i < fake->count; i++) {
		if (fake->requests[i].reflector == reflector && fake->requests[i].open) {
			fake->requests[i].open = false;
			fake->cancelled++;
			return;
		}
	}
	fail_msg("%s", "cancel without a request");
}

static void io_unauthorized(void *ctx)
{
	struct fake_io *fake = ctx;

	fake->unauthorized++;
}

static void io_conceal(void *ctx, char *text)
{
	(void)ctx;
	(void)text;
}

void fake_io_init(struct fake_io *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->now_ms = 3600 * 1000;
	fake->io = (struct sync_io){
		.now_ms = io_now_ms,
		.random = io_random,
		.start = io_start,
		.cancel = io_cancel,
		.unauthorized = io_unauthorized,
		.conceal = io_conceal,
		.ctx = fake,
	};
}

void fake_io_free(struct fake_io *fake)
{
	free(fake->requests);
	memset(fake, 0, sizeof(*fake));
}

const struct fake_request *fake_request_back(const struct fake_io *fake, size_t back)
{
	assert_op(fake->count, >, back);
	return &fake->requests[fake->count - 1 - back];
}

size_t fake_count(const struct fake_io *fake, const char *part)
{
	size_t count = 0;

	for (size_t i = 0; i < fake->count; i++)
		count += !part || strstr(fake->requests[i].path, part) != NULL;
	return count;
}

static struct fake_request *open_request(struct fake_io *fake)
{
	assert_op(fake->count, >, 0u);
	assert_true(fake->requests[fake->count - 1].open);
	return &fake->requests[fake->count - 1];
}

void fake_status(struct fake_io *fake, int status, long retry_after_s)
{
	reflector_on_status(open_request(fake)->reflector, status, retry_after_s);
}

int fake_data(struct fake_io *fake, const char *text)
{
	return reflector_on_data(open_request(fake)->reflector, text, strlen(text));
}

void fake_end(struct fake_io *fake, int error, const char *message)
{
	fake_serve_error(open_request(fake), error, message);
}

void fake_answer_retry_after(struct fake_io *fake, int status, long retry_after_s, const char *body)
{
	fake_serve_answer(open_request(fake), status, retry_after_s, body);
}

void fake_answer(struct fake_io *fake, int status, const char *body)
{
	fake_answer_retry_after(fake, status, -1, body);
}

/* @request may move in its array from here on: the reflector starts its next one in on_end. */
void fake_serve_error(struct fake_request *request, int error, const char *message)
{
	struct reflector *reflector = request->reflector;

	request->open = false;
	reflector_on_end(reflector, error, message);
}

void fake_serve_answer(struct fake_request *request, int status, long retry_after_s,
		       const char *body)
{
	int error = 0;

	reflector_on_status(request->reflector, status, retry_after_s);
	if (body[0] && reflector_on_data(request->reflector, body, strlen(body)) != 0)
		error = -ECANCELED;
	fake_serve_error(request, error, error ? "no more wanted" : "");
}

void fake_serve_open(struct fake_request *request, const char *body)
{
	reflector_on_status(request->reflector, 200, -1);
	if (body[0])
		assert_int_equal(reflector_on_data(request->reflector, body, strlen(body)), 0);
}

void fake_io_serve(struct fake_io *fake, fake_server *server, void *ctx)
{
	for (unsigned round = 0;; round++) {
		size_t i = 0;

		if (round > ROUNDS_AT_ONE_INSTANT)
			fail_msg("hot loop: %s", fake_path(fake));
		while (i < fake->count && (!fake->requests[i].open || fake->requests[i].seen))
			i++;
		if (i == fake->count)
			return;
		fake->requests[i].seen = true;
		server(fake, &fake->requests[i], ctx);
	}
}

static void tick_reflector(void *subject)
{
	reflector_tick(subject);
}

static uint64_t reflector_deadline(void *subject)
{
	return reflector_deadline_ms(subject);
}

struct fake_subject fake_subject_of_reflector(struct reflector *reflector)
{
	return (struct fake_subject){
		.tick = tick_reflector,
		.deadline_ms = reflector_deadline,
		.subject = reflector,
	};
}

void fake_io_run(struct fake_io *fake, const struct fake_subject *subject, fake_server *server,
		 void *ctx, uint64_t duration_ms)
{
	uint64_t end_ms = fake->now_ms + duration_ms;
	unsigned at_this_instant = 0;

	for (;;) {
		unsigned rounds = 0;
		uint64_t due_ms;
		size_t count;

		/* An answer may call for other requests at once, which only a tick makes. */
		do {
			if (++rounds > ROUNDS_AT_ONE_INSTANT)
				fail_msg("hot loop: %s", fake_path(fake));
			count = fake->count;
			subject->tick(subject->subject);
			fake_io_serve(fake, server, ctx);
			subject->tick(subject->subject);
		} while (fake->count != count);
		due_ms = subject->deadline_ms(subject->subject);
		if (due_ms > end_ms)
			break;
		at_this_instant = due_ms > fake->now_ms ? 0 : at_this_instant + 1;
		if (at_this_instant > ROUNDS_AT_ONE_INSTANT)
			fail_msg("time stands still at %s", fake_path(fake));
		if (due_ms > fake->now_ms)
			fake->now_ms = due_ms;
	}
	fake->now_ms = end_ms;
}
