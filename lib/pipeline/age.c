// SPDX-License-Identifier: Apache-2.0
#include "pipeline/age.h"

enum table_state age_of_table(bool live, uint64_t now_s, uint64_t heard_s, uint32_t max_age_s)
{
	if (live)
		return TABLE_LIVE;
	if (max_age_s && (heard_s > now_s || now_s - heard_s > max_age_s))
		return TABLE_EXPIRED;
	return TABLE_UNHEARD;
}
