/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/ready.h"

#include <errno.h>
#include <string.h>

static int take (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    (void) record;
    return RESIL_OK;
}

const resil_stage_type_t resil__null_sink = {RESIL_STAGE_TYPE, .name = RESIL_NULL_SINK,
                                             .on_record = take, .is_sink = true};

const resil_stage_type_t *resil__ready_find (const char *name)
{
    static const resil_stage_type_t *const all[] = {&resil__lines_source, &resil__file_sink,
                                                    &resil__null_sink};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp (all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

int resil__ready_fail (resil_stage_t *stage, const char *what, const char *file)
{
    int error = errno;
    return resil_fail (resil_stage_self (stage), error, "%s %s: %s", what, file, strerror (error));
}
