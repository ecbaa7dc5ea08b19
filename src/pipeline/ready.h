/*  The types of stages that are there without being registered.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_READY_H
#define RESIL_PIPELINE_READY_H

#include <resil/files.h>

extern const resil_stage_type_t resil__lines_source;
extern const resil_stage_type_t resil__file_sink;
extern const resil_stage_type_t resil__null_sink;

/*  NULL: there is none of that name. */
const resil_stage_type_t *resil__ready_find (const char *name);

/*  Report errno as what has failed with that file; what a callback returns then. */
int resil__ready_fail (resil_stage_t *stage, const char *what, const char *file);

#endif
