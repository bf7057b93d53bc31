// SPDX-License-Identifier: Apache-2.0
#include "state.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/keep_errno.h"
#include "engine/log_file.h"
#include "libc.h"
#include "new_filters.h"
#include "process.h"
#include "resolver.h"

struct shim shim;

/* What config_parse() reports, kept until the setting of the log is known. */
struct messages {
	char text[8 * LOG_LINE_SIZE]; /* one after the other, each with its NUL */
	size_t length;
	unsigned lost;
};

static void keep_message(void *ctx, const char *message)
{
	struct messages *messages = ctx;
	size_t size = strlen(message) + 1;

	if (size > sizeof(messages->text) - messages->length) {
		messages->lost++;
		return;
	}
	memcpy(messages->text + messages->length, message, size);
	messages->length += size;
}

static void log_messages(const struct config *config, const struct messages *messages)
{
	size_t at = 0;

	while (at < messages->length) {
		log_file_write(config, LOG_LEVEL_ERROR, messages->text + at);
		at += strlen(messages->text + at) + 1;
	}
	if (messages->lost) {
		char line[64];

		snprintf(line, sizeof(line), "%u more messages about settings", messages->lost);
		log_file_write(config, LOG_LEVEL_ERROR, line);
	}
}

bool shim_start(void)
{
	KEEP_ERRNO();
	struct config_source source;
	/* One thread comes that far, once; too much for a small stack of main()'s. */
	static struct messages messages;
	bool active = false;

	/* A call out of .preinit_array: libc has no environment yet, and "no settings" would be the
	 * answer for good. */
	if (!environ)
		return false;
	/* Whoever comes while this runs, a signal handler on this very thread included, finds
	 * SHIM_RUNNING and passes: waiting here could deadlock. */
	if (!claim_u32(&shim.phase, SHIM_NEW, SHIM_RUNNING))
		return observe_u32(&shim.phase) == SHIM_ACTIVE;
	source = config_source_process();
	if (config_parse(&source, keep_message, &messages, &shim.config) == 0) {
		log_file_init(&shim.config);
		active = shim.config.service_count > 0 && !shim.config.program_excluded;
		log_messages(&shim.config, &messages);
	}
	if (active) {
		libc_find_own();
		resolver_init(&source);
		process_init();
		new_filters_init();
	}
	publish_u32(&shim.phase, active ? SHIM_ACTIVE : SHIM_INERT);
	return active;
}

/*
 * No thread, no socket and no lookup here: this runs in every program of the container, each shell
 * and each exec probe included. The environment is read here and never again, because programs
 * (nginx) wipe it and others call setenv() while a thread would read it.
 */
__attribute__((constructor)) static void shim_constructor(void)
{
	libc_bind_all();
	shim_start();
}
