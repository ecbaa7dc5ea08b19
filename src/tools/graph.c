/*  graph: a picture of the pipelines of a program.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/pipeline.h"
#include "tools/tool.h"

extern char **environ;

/*  Those nodes that are pipelines: path and pipeline. */
static json_t *pipelines_of (const json_t *nodes)
{
    json_t *found = json_array ();
    for (size_t i = 0; i < json_array_size (nodes); i++) {
        const json_t *node = json_array_get (nodes, i);
        json_t *pipeline = json_object_get (node, "pipeline");
        if (pipeline)
            json_array_append_new (found,
                                   json_pack ("{s:O, s:O}", "path", json_object_get (node, "path"),
                                              "pipeline", pipeline));
    }
    return found;
}

/*  As text, or for graphviz. To be freed; NULL: no memory. */
static char *draw (const json_t *pipelines, bool is_dot)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (!out)
        return NULL;
    if (is_dot)
        fprintf (out, "digraph pipelines {\n  rankdir=LR;\n");
    for (size_t i = 0; i < json_array_size (pipelines); i++) {
        const json_t *of = json_array_get (pipelines, i);
        const json_t *pipeline = json_object_get (of, "pipeline");
        if (is_dot)
            tool_pipeline_dot (out, tool_text_of (of, "path"), pipeline, i);
        else {
            fputs (i ? "\n" : "", out);
            tool_pipeline_draw (out, tool_text_of (of, "path"), pipeline, tool_has_utf8 ());
        }
    }
    if (is_dot)
        fprintf (out, "}\n");
    fclose (out);
    return text;
}

/*  ---- By graphviz ----------------------------------------------------------------------------------- */

/*  A file without a name that has that text, to be read from its beginning. -1: there is none. */
static int as_file (const char *text)
{
    size_t size = strlen (text);
    int fd = memfd_create ("graph", MFD_CLOEXEC);
    if (fd >= 0 && (write (fd, text, size) != (ssize_t) size || lseek (fd, 0, SEEK_SET) != 0)) {
        close (fd);
        fd = -1;
    }
    return fd;
}

/*  0, or an errno. */
static int start_dot (int input, pid_t *dot)
{
    char *const words[] = {(char[]){"dot"}, (char[]){"-Tsvg"}, NULL};
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init (&actions);
    if (error)
        return error;
    error = posix_spawn_file_actions_adddup2 (&actions, input, STDIN_FILENO);
    if (!error)
        error = posix_spawnp (dot, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy (&actions);
    return error;
}

static int await_dot (const tool_arguments_t *arguments, pid_t dot)
{
    struct pollfd end = {.fd = pidfd_open (dot, 0), .events = POLLIN};
    int status = 0;
    bool is_late = end.fd < 0 || poll (&end, 1, (int) tool_time_left_ms (arguments)) != 1;
    if (is_late)
        kill (dot, SIGKILL);
    while (waitpid (dot, &status, 0) < 0 && errno == EINTR)
        ;
    if (end.fd >= 0)
        close (end.fd);
    if (is_late)
        return tool_fail (TOOL_FAILED,
                          "`dot` has not drawn it in time; say --timeout, or take -o dot");
    if (!WIFEXITED (status) || WEXITSTATUS (status))
        return tool_fail (TOOL_FAILED, "`dot`, which draws it, has failed");
    return TOOL_OK;
}

static int print_svg (const tool_arguments_t *arguments, const char *text)
{
    pid_t dot;
    int input = as_file (text);
    if (input < 0)
        return tool_fail (TOOL_FAILED, "no memory for the picture");
    fflush (stdout);
    int error = start_dot (input, &dot);
    close (input);
    if (error == ENOENT)
        return tool_fail (TOOL_FAILED,
                          "the program `dot`, which draws it, is not there: install graphviz, or "
                          "take -o dot or -o text");
    if (error)
        return tool_fail (TOOL_FAILED, "`dot`, which draws it, cannot be started: %s",
                          strerror (error));
    return await_dot (arguments, dot);
}

/*  ---- The verb -------------------------------------------------------------------------------------- */

static int print_graph (const tool_arguments_t *arguments, const json_t *pipelines)
{
    bool is_dot = arguments->output == TOOL_DOT || arguments->output == TOOL_SVG;
    char *text = draw (pipelines, is_dot);
    int status = TOOL_OK;
    if (!text)
        return tool_fail (TOOL_FAILED, "no memory for the picture");
    if (arguments->output == TOOL_SVG)
        status = print_svg (arguments, text);
    else
        fputs (text, stdout);
    free (text);
    return status;
}

int tool_graph (const tool_arguments_t *arguments)
{
    tool_session_t session;
    const char *path = arguments->words[0];
    int status = tool_begin (&session, arguments);
    if (status)
        return status;
    json_t *result = tool_ask (&session, "snapshot", path, NULL, &status);
    json_t *pipelines = pipelines_of (json_object_get (result, "nodes"));
    if (result && !json_array_size (pipelines))
        status = tool_fail (TOOL_UNKNOWN, "there is no pipeline %s%s",
                            path ? "at or below " : "here", path ? path : "");
    else if (result && (arguments->output == TOOL_JSON || arguments->output == TOOL_JSONL))
        tool_print_json (arguments, pipelines);
    else if (result)
        status = print_graph (arguments, pipelines);
    json_decref (pipelines);
    json_decref (result);
    tool_end (&session);
    return status;
}
