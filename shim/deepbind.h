/* Objects that bind past us: opened with RTLD_DEEPBIND. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_DEEPBIND_H
#define K8SLB_SHIM_DEEPBIND_H

#include "config/config.h"

/* Reads what the environment tells of the loader. Once, before the first hook acts. */
void deepbind_init(const struct config_source *source);

#endif
