/*  completion: a script for a shell. Verbs and options are in it; paths are asked of the program.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

static void print_verbs (void)
{
    for (const tool_verb_t *verb = tool_verbs (); verb->name; verb++)
        printf ("%s%s", verb == tool_verbs () ? "" : " ", verb->name);
}

static void print_options (void)
{
    for (const tool_verb_t *verb = tool_verbs (); verb->name; verb++) {
        char *words = tool_option_words (verb);
        printf ("        %s) words='%s' ;;\n", verb->name, words ? words : "");
        free (words);
    }
}

int tool_completion (const tool_arguments_t *arguments)
{
    if (strcmp (arguments->words[0], "bash") != 0)
        return tool_fail (TOOL_USAGE, "there is completion for bash, not for \"%s\"",
                          arguments->words[0]);
    printf ("# Completion of resil for bash; `source <(resil completion bash)` turns it on.\n"
            "_resil ()\n{\n"
            "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
            "    local verb=${COMP_WORDS[1]} words=\n"
            "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
            "        words='");
    print_verbs ();
    printf (" --help --version'\n"
            "    elif [ \"$before\" = -o ] || [ \"$before\" = --output ]; then\n"
            "        words='table wide json jsonl prom text dot svg'\n"
            "    elif [ \"$before\" = -e ] || [ \"$before\" = --endpoint ]; then\n"
            "        words=$(resil ls 2>/dev/null | awk 'NR > 1 { print $1; print $2 }')\n"
            "    elif [ \"$before\" = --for ]; then\n"
            "        words='ready up down starting failing waiting stopping done removed'\n"
            "    elif [[ $current != -* && $verb =~ "
            "^(status|tree|describe|start|stop|restart|wait|call|metrics|graph)$ ]]; then\n"
            "        words=$(resil status --timeout 1s 2>/dev/null | awk '!NF { exit } NR > 1 { "
            "print $1 }')\n"
            "    else case $verb in\n");
    print_options ();
    printf ("        esac\n"
            "    fi\n"
            "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
            "}\n"
            "complete -o default -F _resil resil\n");
    return TOOL_OK;
}
