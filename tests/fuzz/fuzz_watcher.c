/*  libFuzzer's way into what follows a program, and into what prints what comes from one: each line of the bytes is a beat, an
    event or a reply. By tests/system/test_soak_watcher.py.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tools/pipeline.h"
#include "tools/prom.h"
#include "tools/text.h"
#include "tools/tool.h"
#include "watcher/follower.h"

static const char beat[] = "{\"v\":1,\"run\":\"r\",\"seq\":3,\"control\":\"c\",\"at_us\":1}";

/*  The last event that was told; of the fuzzer's one thread. */
static uint64_t last;

static void require (bool holds)
{
    if (!holds)
        abort ();
}

static void note_connect (void *owner, const char *control)
{
    (void) owner;
    (void) control;
    last = 0;
}

static void note_send (void *owner, const char *request)
{
    (void) owner;
    require (strlen (request) < 65536);
}

static void note_tell (void *owner, resil__notice_t *notice)
{
    (void) owner;
    if (notice->is.event) {
        require (notice->is.event->sequence > last);
        last = notice->is.event->sequence;
    }
    resil__notice_free (notice);
}

static const resil__follower_ops_t ops = {note_connect, note_send, note_tell};

static void require_clean (char *text, bool has_lines)
{
    for (const char *at = text; at && *at; at++)
        require (((unsigned char) *at >= 0x20 && *at != 0x7f) || (has_lines && *at == '\n'));
    free (text);
}

/*  A picture of what may be no pipeline. To be freed. */
static char *drawn (const json_t *node, bool is_dot)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (!out)
        return NULL;
    if (is_dot)
        tool_pipeline_dot (out, "/a", json_object_get (node, "pipeline"), 0);
    else
        tool_pipeline_draw (out, "/a", json_object_get (node, "pipeline"), true);
    fclose (out);
    return text;
}

static void print (const char *line, size_t size)
{
    json_t *object = resil__wire_read (line, size);
    char *text = object ? tool_event_text (object) : NULL;
    if (text)
        require_clean (tool_clean (text), false);
    free (text);
    json_t *described = object ? json_pack ("{s:O}", "node", object) : NULL;
    if (object) {
        require_clean (tool_describe_text (described, described), true);
        require_clean (drawn (object, false), true);
        require_clean (drawn (object, true), true);
    }
    json_decref (described);
    free (object ? tool_prom (json_object_get (object, "metrics"), "p") : NULL);
    json_decref (object);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    char id[RESIL_REQUEST_ID_MAX];
    int64_t now_us = 0;
    resil__follower_t *follower = resil__follower_new (&ops, NULL, "me", 5000000, 1000000);
    last = 0;
    resil__follower_published (follower, true, beat, strlen (beat), now_us);
    resil__follower_ask (follower, "restart", "/a", NULL, 3000000, now_us, id);
    for (const char *line = (const char *) data, *end = line + size; line < end;) {
        const char *newline = memchr (line, '\n', (size_t) (end - line));
        size_t length = (size_t) ((newline ? newline : end) - line);
        /*  An event where it can be one, else a reply, else a beat: what it is not does nothing. */
        resil__follower_published (follower, false, line, length, now_us);
        resil__follower_replied (follower, line, length, now_us);
        resil__follower_published (follower, true, line, length, now_us);
        resil__follower_time (follower, now_us += 700000);
        resil__follower_info (follower, now_us);
        print (line, length);
        line += length + 1;
    }
    resil__follower_destroy (&follower);
    return 0;
}
