/*  demo: a small program in this process, that fails and recovers, and is watched as any other.

    SPDX-License-Identifier: Apache-2.0 */
#include "tools/tool.h"

int tool_demo (const tool_arguments_t *arguments)
{
    (void) arguments;
    return tool_fail (TOOL_FAILED, "not yet");
}
