/* Running another program to its end, for what it says. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_SUBPROCESS_H
#define K8SLB_CLI_SUBPROCESS_H

#include "base/buffer.h"

/*
 * Runs argv[0], found by PATH, with nothing on its standard input, and appends what it writes to
 * @output and @errors; what is beyond their limits is lost. Returns 0 with wait(2)'s status in
 * @ret_status, or -errno: -ENOENT where there is no such program.
 */
int subprocess_read(const char *const *argv, struct buffer *output, struct buffer *errors,
		    int *ret_status);

/* Makes what a program wrote to standard error one line: the last that is not empty. */
void subprocess_last_line(const struct buffer *errors, char *line, size_t size);

#endif
