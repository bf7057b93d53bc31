/* What the settings mean for a pipeline. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_OPTIONS_H
#define K8SLB_ENGINE_OPTIONS_H

#include "config/config.h"
#include "pipeline/pipeline.h"

/* Borrows from @config, which must outlive the pipeline. */
struct pipeline_options engine_pipeline_options(const struct config *config);

#endif
