/*  Metrics in the text format of Prometheus: base units, `_total` where something only grows, one HELP and TYPE a family.
    What is stopped stays. Pure.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_TOOLS_PROM_H
#define RESIL_TOOLS_PROM_H

#include <jansson.h>

/*  To be freed; NULL: no memory. `metrics` is the array of a reply, `program` its name. */
char *tool_prom (const json_t *metrics, const char *program);

#endif
