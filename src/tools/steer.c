/*  start, stop, restart, wait, call: having something done.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"
#include "tools/tool.h"

static void print_outcome (const tool_session_t *session, const char *path)
{
    const resil_remote_node_t *node = resil_program_find (session->program, path);
    char *clean = tool_clean (path);
    printf ("%s: ", clean ? clean : "");
    if (node)
        printf ("%s, incarnation %" PRIu64 "\n", tool_state (node), node->incarnation);
    else
        printf ("removed\n");
    free (clean);
}

/*  ---- start, stop, restart ----------------------------------------------------------------- */

/*  Is it how far it has to be: accepted? */
static bool is_accepted (const resil_notice_t *notice, const char *id)
{
    return notice->event && strcmp (notice->event->id, id) == 0 &&
           strcmp (notice->event->type, "command") == 0;
}

static int ask_only (tool_session_t *session, const char *path, json_t *fields)
{
    char id[RESIL_REQUEST_ID_MAX], *text = json_dumps (fields, JSON_COMPACT);
    json_decref (fields);
    int rc = resil_program_ask (session->program, session->arguments->verb->name, path, text,
                                tool_time_left_ms (session->arguments), id);
    free (text);
    if (rc)
        return tool_fail_errno ();
    for (;;) {
        const resil_notice_t *notice = resil_watcher_next (session->watcher, RESIL_FOREVER);
        if (!notice && errno != EINTR)
            return tool_fail_errno ();
        if (notice && is_accepted (notice, id))
            return TOOL_OK;
        if (notice && notice->reply && strcmp (notice->reply->id, id) == 0)
            return notice->reply->ok ? TOOL_OK : tool_fail_reply (session, notice->reply);
    }
}

int tool_steer (const tool_arguments_t *arguments)
{
    tool_session_t session;
    const char *path = arguments->words[0];
    int status = tool_begin (&session, arguments);
    if (status)
        return status;
    json_t *fields = json_object (), *result = NULL;
    if (arguments->incarnation)
        json_object_set_new (fields, "incarnation", json_integer (arguments->incarnation));
    if (!arguments->waits)
        status = ask_only (&session, path, fields);
    else if ((result = tool_ask (&session, arguments->verb->name, path, fields, &status))) {
        if (arguments->output >= TOOL_JSON)
            tool_print_json (arguments, result);
        else
            print_outcome (&session, path);
    }
    json_decref (result);
    tool_end (&session);
    return status;
}

/*  ---- wait --------------------------------------------------------------------------------- */

static bool is_a_state (const char *word)
{
    static const char *const words[] = {"ready",    "done",    "removed", "up",      "down",
                                        "starting", "failing", "waiting", "stopping"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp (words[i], word) == 0)
            return true;
    return false;
}

static bool is_so (const resil_remote_node_t *node, const char *word)
{
    if (!node)
        return strcmp (word, "removed") == 0;
    if (strcmp (word, "ready") == 0)
        return node->state == RESIL_UP;
    if (strcmp (word, "done") == 0)
        return node->is_done;
    return strcmp (word, resil_state_name (node->state)) == 0;
}

/*  The time is over. */
static int give_up (const tool_session_t *session, const char *path,
                    const resil_remote_node_t *node, const char *word)
{
    const char *endpoint = resil_program_info (session->program)->endpoint;
    int64_t timeout_ms = session->arguments->timeout_ms;
    if (!node)
        return tool_fail (TOOL_UNKNOWN,
                          "%s: nothing has had the path \"%s\" within %" PRId64
                          " ms; `resil tree` has all that there is",
                          endpoint, path, timeout_ms);
    return tool_fail (TOOL_UNREACHABLE, "%s: %s is %s, not %s, after %" PRId64 " ms", endpoint,
                      path, tool_state (node), word, timeout_ms);
}

static int wait_for (tool_session_t *session, const char *path, const char *word)
{
    const resil_remote_node_t *node;
    while (!is_so (node = resil_program_find (session->program, path), word)) {
        int64_t left_ms = tool_time_left_ms (session->arguments);
        if (!left_ms)
            return give_up (session, path, node, word);
        if (!resil_watcher_next (session->watcher, left_ms) && errno != EAGAIN && errno != EINTR)
            return tool_fail_errno ();
    }
    print_outcome (session, path);
    return TOOL_OK;
}

int tool_wait (const tool_arguments_t *arguments)
{
    tool_session_t session;
    const char *word = arguments->until ? arguments->until : "ready";
    if (!is_a_state (word))
        return tool_fail (TOOL_USAGE,
                          "--for: \"%s\" is no state: ready, up, down, starting, failing, waiting, "
                          "stopping, done or removed",
                          word);
    int status = tool_begin_patiently (&session, arguments);
    if (status)
        return status;
    status = wait_for (&session, arguments->words[0], word);
    tool_end (&session);
    return status;
}

/*  ---- call --------------------------------------------------------------------------------- */

int tool_call (const tool_arguments_t *arguments)
{
    tool_session_t session;
    int status = tool_begin (&session, arguments);
    if (status)
        return status;
    json_t *fields = json_pack ("{s:s}", "text", arguments->words[1]);
    if (fields && arguments->tag)
        json_object_set_new (fields, "tag", json_integer (arguments->tag));
    json_t *result =
        fields ? tool_ask (&session, "call", arguments->words[0], fields, &status) : NULL;
    if (!fields)
        status = tool_fail (TOOL_USAGE, "the text is not UTF-8");
    else if (result && arguments->output >= TOOL_JSON)
        tool_print_json (arguments, result);
    else if (result)
        tool_print_text (tool_text_of (result, "text"));
    json_decref (result);
    tool_end (&session);
    return status;
}
