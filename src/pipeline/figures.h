/*  How stages and links stand, read from the books.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_FIGURES_H
#define RESIL_PIPELINE_FIGURES_H

#include "pipeline/crew.h"

/*  All workers of a stage, or all lines of a link, at one instant. They take the lock. */
void resil__audit_stage (resil__flow_t *flow, size_t stage, resil_audit_t *audit);
void resil__audit_link (resil__flow_t *flow, size_t link, resil_link_audit_t *audit);

/*  All stages and links as a JSON object: "pipeline" of the protocol of the monitor. To be freed; NULL: no memory. */
char *resil__pipeline_json (resil__core_t *core);

/*  In words: "1000 of 1000 records done, 100 dropped, 3 dead". Of done counts what the sources know, of the others all stages. */
void resil__pipeline_sum_up (resil__core_t *core, char *text, size_t room);

#endif
