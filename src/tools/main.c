/*  resil: watch and steer programs that are made with resil.

    SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <stdlib.h>

#include "tools/tool.h"

static int print_help (const tool_verb_t *verb)
{
    char *text = tool_help (verb);
    if (text)
        fputs (text, stdout);
    free (text);
    return text ? TOOL_OK : TOOL_FAILED;
}

int main (int argc, char **argv)
{
    tool_arguments_t arguments;
    int status;
    setlocale (LC_ALL, "");
    setenv ("RESIL_LOG", "silent", 0);
    if (tool_arguments_parse (argc, argv, &arguments))
        status = tool_fail (TOOL_USAGE, "%s", arguments.problem);
    else if (arguments.is_help)
        status = print_help (arguments.verb);
    else if (arguments.is_version)
        status = printf ("resil %d.%d.%d\n", RESIL_VERSION_MAJOR, RESIL_VERSION_MINOR,
                         RESIL_VERSION_PATCH) < 0;
    else {
        arguments.started_ms = tool_now_ms ();
        status = arguments.verb->run (&arguments);
    }
    if ((fflush (stdout) || ferror (stdout)) && status == TOOL_OK)
        status = tool_fail (TOOL_FAILED, "what there was to say could not be written");
    return status;
}
