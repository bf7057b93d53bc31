/* What the settings mean for a pipeline. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_OPTIONS_H
#define K8SLB_ENGINE_OPTIONS_H

#include <stdbool.h>

#include "config/config.h"
#include "pipeline/pipeline.h"

/* Borrows from @config, which must outlive the pipeline. @own_fd_table: see kube/http.h. */
struct pipeline_options engine_pipeline_options(const struct config *config, bool own_fd_table);

#endif
