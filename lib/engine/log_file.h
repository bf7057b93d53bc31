/* The log of K8SLB_LOG: whole lines, appended by path, bounded in rate. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_LOG_FILE_H
#define K8SLB_ENGINE_LOG_FILE_H

#include "base/log.h"
#include "config/config.h"

/* Remembers what standard error is, for a log without a path. Before the first line, when the
 * program has not touched its descriptors yet. Keeps errno. */
void log_file_init(const struct config *config);

/*
 * Appends "TIME k8slb[PID] LEVEL: LINE" by one open, one write and one close, so that lines of
 * many processes do not mix, no descriptor of ours stays in the host, and a rotated file is left
 * behind at once. Without a path: standard error, opened by its path in /proc, because the
 * engine's thread has no descriptors of the host, and only while that is what it was at the start.
 * At a path that others could have prepared (table/trust.h) it is silent: another user's link, file
 * or folder. No malloc, no stdio stream, no lock; keeps errno. A log that cannot be written is
 * silent.
 */
void log_file_write(const struct config *config, enum log_level level, const char *line);

/* The same as a logger for the engine's thread, at most LOG_FILE_RATE lines a second over
 * LOG_FILE_BURST at once; what is left out is counted in the next line. @config outlives it. */
struct logger log_file_logger(const struct config *config);

#define LOG_FILE_RATE  50u
#define LOG_FILE_BURST 200u

#endif
