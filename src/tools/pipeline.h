/*  How a pipeline stands, as text: from what the protocol of the monitor says of it, which may be anything. Pure.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_TOOLS_PIPELINE_H
#define RESIL_TOOLS_PIPELINE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/table.h"

/*  How it stood at two moments: what is between them makes rates. `before` may be NULL. */
typedef struct {
    const json_t *now;
    const json_t *before;
    int64_t elapsed_us;
} tool_pipeline_t;

/*  Its stages, and its links, a row for each. To be destroyed. */
tool_table_t *tool_pipeline_stages (const tool_pipeline_t *pipeline);
tool_table_t *tool_pipeline_links (const json_t *pipeline);

/*  In a line: "1.23M done, 4 dead, 12 in flight". To be freed. */
char *tool_pipeline_summary (const json_t *pipeline);

/*  Put a picture of it: as lines of text, from the sources on; and as a part of a graph in the language of graphviz, which
    has `number` in the names of what is in it. */
void tool_pipeline_draw (FILE *out, const char *path, const json_t *pipeline, bool has_utf8);
void tool_pipeline_dot (FILE *out, const char *path, const json_t *pipeline, size_t number);

#endif
