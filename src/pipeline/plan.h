/*  A construction that has been checked: stages and links by number, with copies of what the user gave.

    Pure: nothing is started, and nothing but memory is taken. What is wrong is said before anything begins.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_PLAN_H
#define RESIL_PIPELINE_PLAN_H

#include <resil/pipeline.h>

#define RESIL__STAGES_MAX 1000
#define RESIL__WORKERS_MAX 256
#define RESIL__STAGE_NAME_MAX 200

typedef struct {
    resil_stage_spec_t spec; /*  its texts are the plan's                                 */
    const resil_stage_type_t *type;
    size_t inputs; /*  how many links lead to it                                        */
    size_t order;  /*  its place among all: who is before whom it leads to              */
    size_t leader; /*  the first stage of its thread: itself, if it is not fused        */
} resil__plan_stage_t;

typedef struct {
    resil_link_spec_t spec;
    size_t from;
    size_t port; /*  0 is the default one                                                */
    size_t to;
} resil__plan_link_t;

typedef struct {
    char *name;
    size_t batch_bytes;
    resil_dead_record_fn *on_dead;
    void *on_dead_arg;
    resil__plan_stage_t *stages;
    size_t stage_count;
    resil__plan_link_t *links;
    size_t link_count;
} resil__plan_t;

/*  Check it and keep it. NULL with errno and a sentence, as resil_pipeline_new. */
resil__plan_t *resil__plan_new (const resil_pipeline_spec_t *spec);

/*  Takes NULL. */
void resil__plan_destroy (resil__plan_t **self_p);

/*  Which stage has that name; -1 with ENOENT and a sentence that begins with `whose`. */
int resil__plan_find (const resil__plan_t *self, const char *whose, const char *name);

#endif
