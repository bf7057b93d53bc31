/* A whole file or standard input. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_INPUT_H
#define K8SLB_CLI_INPUT_H

#include "base/buffer.h"

/*
 * Appends all of @path, which may be a pipe as well; "-" is standard input. Returns 0 or -errno,
 * -E2BIG beyond @content's limit; what was read by then stays in @content.
 */
int input_read(const char *path, struct buffer *content);

#endif
