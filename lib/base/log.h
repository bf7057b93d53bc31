/* Where messages go: a level and a function, handed down to every stage. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_LOG_H
#define K8SLB_BASE_LOG_H

#include <stdint.h>

enum log_level {
	LOG_LEVEL_OFF,
	LOG_LEVEL_ERROR, /* the user has something to mend */
	LOG_LEVEL_INFO,	 /* state changes: synced, lost, back */
	LOG_LEVEL_DEBUG, /* every request and every change of an endpoint */
};

/* Longest message, bytes with the NUL; longer ones are cut. */
#define LOG_LINE_SIZE 512

/*
 * @write gets a line without newline; it must not keep the pointer. It may be NULL: no log.
 * A logger is copied by value and must outlive nothing but @ctx's owner.
 */
struct logger {
	enum log_level level;
	void (*write)(void *ctx, enum log_level level, const char *line);
	void *ctx;
};

/* Formats and writes when @level is wanted. Keeps errno. Never pass a credential. */
void log_line(const struct logger *logger, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Lines that were told. More than it holds push the oldest out. All zero: none. */
#define LOG_ONCE_LINES 128
struct log_once {
	uint64_t hashes[LOG_ONCE_LINES];
	unsigned next;
};

/* The same for what would be said again at every list, event or round: a line that @once holds is
 * not written again. */
void log_once(struct log_once *once, const struct logger *logger, enum log_level level,
	      const char *format, ...) __attribute__((format(printf, 4, 5)));

#define log_error(logger, ...) log_line((logger), LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_info(logger, ...)  log_line((logger), LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(logger, ...) log_line((logger), LOG_LEVEL_DEBUG, __VA_ARGS__)

/* "error", "info" or "debug". */
const char *log_level_name(enum log_level level);

#endif
