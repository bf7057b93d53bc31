/* What a table says of itself when the API server is not heard: good to connect to, or too old. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_PIPELINE_AGE_H
#define K8SLB_PIPELINE_AGE_H

#include <stdbool.h>
#include <stdint.h>

#include "table/layout.h"

/*
 * TABLE_LIVE: the watches are up. TABLE_UNHEARD: they are not, for @max_age_s at most; endpoints go
 * on to serve. TABLE_EXPIRED: longer, or it cannot be told (@heard_s 0 or in the future, as after a
 * jump of the clock): the addresses may be other pods' by now, so everything is left to kube-proxy,
 * until the server is heard again. @max_age_s 0: never. All in seconds of CLOCK_REALTIME, because
 * another boot's table may be asked about.
 */
enum table_state age_of_table(bool live, uint64_t now_s, uint64_t heard_s, uint32_t max_age_s);

#endif
