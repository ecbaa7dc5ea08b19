/*  Frames that are nearly right, by the ten thousand: what follows a program, and what prints what comes from it, take them
    all, and what is printed is fit for a terminal. SEED in the environment repeats a run.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/random.h"
#include "tools/pipeline.h"
#include "tools/prom.h"
#include "tools/text.h"
#include "tools/tool.h"
#include "watcher/follower.h"

#define FRAMES 20000
#define FRAME_MAX 4096
#define RUN "\"v\":1,\"run\":\"0123456789abcdef0123456789abcdef\",\"at_us\":7,\"wall_at_us\":8"

/*  A pipeline of two stages. */
#define PIPELINE                                                                                   \
    "{\"stages\":[{\"name\":\"s\",\"source\":true,\"components\":[\"s\"],\"in\":7,\"done\":5,"     \
    "\"latency_us\":{\"count\":3,\"sum\":9}},{\"name\":\"t\\u001b\",\"components\":[\"a\",\"b\"]," \
    "\"dead\":1,\"in\":5}],\"links\":[{\"from\":\"s\",\"port\":\"p\",\"to\":\"t\\u001b\","         \
    "\"share\":\"by key\",\"stalls\":2,\"in_flight\":3}]}"

static const char *const seeds[] = {
    "{" RUN ",\"seq\":3,\"program\":\"p\",\"pid\":7,\"host\":\"h\",\"root\":\"/"
    "a\",\"control\":\"ipc:///c\","
    "\"period_us\":1000000,\"uptime_us\":5,\"ring_from\":1,\"state\":\"up\"}",
    "{" RUN ",\"seq\":4,\"nseq\":1,\"type\":\"state\",\"path\":\"/a/"
    "b\",\"incarnation\":2,\"from\":\"up\",\"to\":"
    "\"failing\",\"cause\":{\"kind\":\"reported\",\"code\":4,\"text\":\"t\\u001b[1m\","
    "\"incarnation\":2,"
    "\"at_us\":9,\"file\":\"f.c\",\"line\":3,\"trace\":\"x\"}}",
    "{" RUN ",\"seq\":5,\"type\":\"added\",\"path\":\"/a/c\",\"supervisor\":true}",
    "{" RUN ",\"seq\":6,\"type\":\"removed\",\"path\":\"/a/c\"}",
    "{" RUN ",\"seq\":7,\"type\":\"quarantined\",\"path\":\"/a/b\"}",
    "{" RUN ",\"seq\":8,\"type\":\"command\",\"path\":\"/a/"
    "b\",\"id\":\"me-4\",\"do\":\"restart\",\"stage\":\"failed\","
    "\"by\":\"key x@y\",\"error\":{\"kind\":\"failed\",\"text\":\"no\"}}",
    "{" RUN ",\"id\":\"me-1\",\"ok\":true,\"result\":{\"at_us\":5,\"seq\":3,\"nodes\":[{\"path\":"
    "\"/a\",\"level\":0,"
    "\"supervisor\":true,\"state\":\"up\"},{\"path\":\"/a/"
    "b\",\"level\":1,\"state\":\"up\",\"up_us\":3,"
    "\"restarts\":2,\"failures\":1,\"story\":[{\"cause\":{\"kind\":\"hung\"},\"then\":\"restart\","
    "\"delay_us\":4,\"why\":\"w\",\"by\":\"b\"}]}]}}",
    "{" RUN ",\"id\":\"me-4\",\"ok\":true,\"result\":{\"events\":[{" RUN
    ",\"seq\":4,\"type\":\"state\",\"path\":\"/a/b\",\"to\":\"up\"}],\"complete\":true}}",
    "{" RUN ",\"id\":\"me-2\",\"ok\":false,\"error\":{\"kind\":\"busy\",\"text\":\"later\"}}",
    ("{\"metrics\":[{\"path\":\"/a\",\"state\":\"up\",\"restarts_total\":3,\"state_us\":{\"up\":4},"
     "\"restart_latency_us\":{\"count\":1,\"sum\":2,\"buckets\":[[1,1]]},\"mail\":{\"sent\":1}}]}"),
    ("{" RUN
     ",\"id\":\"me-1\",\"ok\":true,\"result\":{\"at_us\":5,\"seq\":3,\"nodes\":[{\"path\":\"/a\","
     "\"supervisor\":true,\"state\":\"up\",\"pipeline\":" PIPELINE "}]}}"),
    "{\"metrics\":[{\"path\":\"/a\",\"state\":\"up\",\"pipeline\":" PIPELINE "}]}",
};
#define SEEDS (sizeof seeds / sizeof *seeds)

/*  What takes the place of a piece of a frame. */
static const char *const pieces[] = {
    "null",  "true",    "[]",      "{}",      "\"\"", "-1",   "9223372036854775807",
    "1e999", "\\u0000", "\xff",    "\\ud8",   "\"",   "[[[",  "\\u",
    "/",     "0",       "\033[2J", "\\u202e", "/a/b", "me-1",
};
#define PIECES (sizeof pieces / sizeof *pieces)

static resil__random_t dice;

static size_t below (size_t count)
{
    return count ? (size_t) (resil__random_next (&dice) % count) : 0;
}

/*  Put so many bytes in the place of others. */
static size_t replace (char *frame, size_t size, size_t at, size_t old, const char *with,
                       size_t fresh)
{
    if (at + old > size || size - old + fresh > FRAME_MAX)
        return size;
    memmove (frame + at + fresh, frame + at + old, size - at - old);
    memcpy (frame + at, with, fresh);
    return size - old + fresh;
}

static size_t mutate (char *frame, size_t size)
{
    const char *piece = pieces[below (PIECES)], *other = seeds[below (SEEDS)];
    size_t at = below (size), from;
    switch (below (6)) {
    case 0: /*  a bit                                                    */
        if (size)
            frame[at] = (char) (frame[at] ^ 1 << below (8));
        return size;
    case 1: /*  its end                                                  */
        return at;
    case 2:
        return replace (frame, size, at, below (8), piece, strlen (piece));
    case 3:
        from = below (strlen (other));
        return replace (frame, size, at, below (40), other + from, below (strlen (other) - from));
    case 4: /*  a number                                                 */
        while (at < size && (frame[at] < '0' || frame[at] > '9'))
            at++;
        return at < size ? replace (frame, size, at, 1, piece, strlen (piece)) : size;
    default:
        return size;
    }
}

/*  ---- What takes them ---------------------------------------------------------------------- */

typedef struct {
    uint64_t last; /*  event that was told                                      */
    uint64_t events;
    bool is_broken;
} heard_t;

static void note_connect (void *owner, const char *control)
{
    heard_t *heard = owner;
    heard->last = 0; /*  another run                                              */
    (void) control;
}

static void note_send (void *owner, const char *request)
{
    (void) owner;
    (void) request;
}

static void is_printable (char *text)
{
    char *clean = text ? tool_clean (text) : NULL;
    for (const char *at = clean; at && *at; at++)
        assert_true ((unsigned char) *at >= 0x20 && *at != 0x7f);
    free (clean);
    free (text);
}

static void note_tell (void *owner, resil__notice_t *notice)
{
    heard_t *heard = owner;
    if (notice->is.event) {
        heard->is_broken |= notice->is.event->sequence <= heard->last;
        heard->last = notice->is.event->sequence;
        heard->events++;
        assert_non_null (notice->is.event->json);
    }
    resil__notice_free (notice);
}

static const resil__follower_ops_t ops = {note_connect, note_send, note_tell};

static void is_lines (char *text)
{
    for (const char *at = text; at && *at; at++)
        assert_true ((unsigned char) *at >= 0x20 || *at == '\n');
    free (text);
}

static char *picture_of (const json_t *node, bool is_dot)
{
    const json_t *pipeline = json_object_get (node, "pipeline");
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (is_dot)
        tool_pipeline_dot (out, tool_text_of (node, "path"), pipeline, 1);
    else
        tool_pipeline_draw (out, tool_text_of (node, "path"), pipeline, true);
    fclose (out);
    return text;
}

static void print_all (const char *frame, size_t size)
{
    json_t *object = resil__wire_read (frame, size);
    if (!object)
        return;
    is_printable (tool_event_text (object));
    is_printable (tool_prom (json_object_get (object, "metrics"), "p"));
    const json_t *nodes = json_object_get (json_object_get (object, "result"), "nodes");
    for (size_t i = 0; i < json_array_size (nodes); i++) {
        json_t *described = json_pack ("{s:O}", "node", json_array_get (nodes, i));
        is_lines (tool_describe_text (described, described));
        is_lines (picture_of (json_array_get (nodes, i), false));
        is_lines (picture_of (json_array_get (nodes, i), true));
        json_decref (described);
    }
    json_decref (object);
}

static void frames_that_are_nearly_right_do_no_harm (void **state)
{
    (void) state;
    const char *given = getenv ("SEED");
    dice.state = given ? strtoull (given, NULL, 10) : (uint64_t) resil__now_us ();
    printf ("SEED=%llu\n", (unsigned long long) dice.state);
    heard_t heard = {0};
    resil__follower_t *follower = NULL;
    int64_t now_us = 0;
    for (int i = 0; i < FRAMES; i++) {
        char frame[FRAME_MAX], id[RESIL_REQUEST_ID_MAX];
        const char *seed = seeds[below (SEEDS)];
        size_t size = strlen (seed);
        if (i % 50 == 0) {
            heard.last = 0;
            if (follower)
                resil__follower_destroy (&follower);
            follower = resil__follower_new (&ops, &heard, "me", 5000000, 1000000);
            resil__follower_published (follower, true, seeds[0], strlen (seeds[0]), now_us);
            if (below (4))
                resil__follower_replied (follower, seeds[6], strlen (seeds[6]), now_us);
            resil__follower_ask (follower, "restart", "/a/b", NULL, 1000000, now_us, id);
        }
        memcpy (frame, seed, size);
        for (size_t changes = below (3); changes > 0; changes--)
            size = mutate (frame, size);
        switch (below (3)) {
        case 0:
            resil__follower_published (follower, true, frame, size, now_us);
            break;
        case 1:
            resil__follower_published (follower, false, frame, size, now_us);
            break;
        default:
            resil__follower_replied (follower, frame, size, now_us);
        }
        now_us += (int64_t) below (500000);
        resil__follower_time (follower, now_us);
        resil__follower_info (follower, now_us);
        print_all (frame, size);
        assert_false (heard.is_broken);
    }
    assert_true (heard.events > FRAMES / 400);
    resil__follower_destroy (&follower);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (frames_that_are_nearly_right_do_no_harm),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
