/* `k8slb explain` of a table that runs: what programs go by now, and what they avoid. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_EXPLAIN_TABLE_H
#define K8SLB_CLI_EXPLAIN_TABLE_H

#include "explain_options.h"

/* With options->running, pid or table. @asked: NULL for all. Returns an exit status, of a watch only
 * when the table is gone. */
int explain_table(const struct explain_options *options, const struct service_ref *asked);

#endif
