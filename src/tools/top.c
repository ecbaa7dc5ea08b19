/*  SPDX-License-Identifier: Apache-2.0 */
#include "tools/tool.h"

int tool_top (const tool_arguments_t *arguments)
{
    (void) arguments;
    return tool_fail (TOOL_FAILED, "not yet");
}
