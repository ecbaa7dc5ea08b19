/*  The registry of the types of stages.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_STAGE_TYPE_H
#define RESIL_PIPELINE_STAGE_TYPE_H

#include <resil/pipeline.h>

/*  The registered type, valid for the life of the program, or NULL. */
const resil_stage_type_t *resil__stage_type_find (const char *name);

/*  Are the fields of a type sound? 0, or -1 with EINVAL and a sentence. */
int resil__stage_type_check (const resil_stage_type_t *type);

/*  How many ports it has, the default one counted; a sink has none. */
size_t resil__stage_type_ports (const resil_stage_type_t *type);

/*  Which of them that is; NULL is the default one, 0. -1: it has none of that name. */
int resil__stage_type_port (const resil_stage_type_t *type, const char *name);

#endif
