/*  What follows a program: joining, gaps, runs, silence, requests; by frames made here and a clock made here.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "watcher/follower.h"

#define RUN "00000000000000000000000000000001"
#define OTHER_RUN "00000000000000000000000000000002"
#define REQUEST_US 5000000
#define REFRESH_US 2000000

/*  What the follower did, as words; and its requests, of which the last ones are kept whole. */
typedef struct {
    resil__follower_t *follower;
    int64_t now_us;
    char did[4096];
    char id[16][RESIL_REQUEST_ID_MAX]; /*  of requests, by number                             */
    size_t requests;
} scene_t;

static void did (scene_t *scene, const char *format, ...) RESIL_PRINTF (2, 3);
static void did (scene_t *scene, const char *format, ...)
{
    size_t size = strlen (scene->did);
    va_list args;
    if (size + 64 > sizeof scene->did)
        return;
    va_start (args, format);
    if (size)
        scene->did[size++] = ' ';
    vsnprintf (scene->did + size, sizeof scene->did - size, format, args);
    va_end (args);
}

static void note_connect (void *owner, const char *control)
{
    did (owner, "connect:%s", control);
}

static void note_send (void *owner, const char *request)
{
    scene_t *scene = owner;
    json_t *object = resil__wire_read (request, strlen (request));
    assert_non_null (object);
    assert_int_equal (resil__wire_version (object), 1);
    assert_true (scene->requests < 16);
    snprintf (scene->id[scene->requests++], RESIL_REQUEST_ID_MAX, "%s",
              resil__wire_text (object, "id"));
    int64_t from = resil__wire_number (object, "from", -1);
    if (from >= 0)
        did (scene, "%s:%" PRId64, resil__wire_text (object, "do"), from);
    else
        did (scene, "%s%s", resil__wire_text (object, "do"), resil__wire_text (object, "path"));
    json_decref (object);
}

static void note_tell (void *owner, resil__notice_t *notice)
{
    scene_t *scene = owner;
    const resil_notice_t *is = &notice->is;
    if (is->event)
        did (scene, "!%" PRIu64, is->event->sequence);
    else if (is->reply)
        did (scene, "!reply:%s", is->reply->ok ? "ok" : is->reply->kind);
    else if (is->count)
        did (scene, "!%s:%" PRIu64, resil_notice_kind_name (is->kind), is->count);
    else
        did (scene, "!%s", resil_notice_kind_name (is->kind));
    resil__notice_free (notice);
}

static const resil__follower_ops_t ops = {note_connect, note_send, note_tell};

static void begin (scene_t *scene, int64_t refresh_us)
{
    *scene = (scene_t){.now_us = 1000000};
    scene->follower = resil__follower_new (&ops, scene, "me", REQUEST_US, refresh_us);
    assert_non_null (scene->follower);
}

static void publish (scene_t *scene, bool is_beat, const char *text)
{
    resil__follower_published (scene->follower, is_beat, text, strlen (text), scene->now_us);
}

static void beat (scene_t *scene, const char *run, uint64_t sequence)
{
    char text[512];
    snprintf (text, sizeof text,
              "{\"v\":1,\"run\":\"%s\",\"at_us\":50,\"wall_at_us\":60,\"seq\":%" PRIu64
              ",\"program\":\"prog\",\"pid\":7,\"host\":\"here\",\"root\":\"/app\",\"control\":"
              "\"ipc:///c\",\"period_us\":1000000}",
              run, sequence);
    publish (scene, true, text);
}

static const char *state_event (uint64_t sequence, const char *more)
{
    static char text[512];
    snprintf (text, sizeof text,
              "{\"v\":1,\"run\":\"" RUN "\",\"at_us\":%" PRIu64
              ",\"wall_at_us\":60,\"seq\":%" PRIu64 ",\"nseq\":1,\"type\":\"state\",\"path\":"
              "\"/app/web\",\"incarnation\":%" PRIu64 "%s}",
              100 * sequence, sequence, sequence, more);
    return text;
}

static void event (scene_t *scene, uint64_t sequence)
{
    publish (scene, false, state_event (sequence, ",\"from\":\"starting\",\"to\":\"up\""));
}

static void reply (scene_t *scene, size_t request, const char *result)
{
    char text[4096];
    assert_true (request < scene->requests);
    snprintf (text, sizeof text, "{\"v\":1,\"run\":\"" RUN "\",\"id\":\"%s\",%s}",
              scene->id[request], result);
    resil__follower_replied (scene->follower, text, strlen (text), scene->now_us);
}

static void snapshot (scene_t *scene, size_t request, uint64_t sequence)
{
    char result[1024];
    snprintf (result, sizeof result,
              "\"ok\":true,\"result\":{\"at_us\":5000,\"seq\":%" PRIu64
              ",\"nodes\":[{\"path\":\"/app\",\"level\":0,\"supervisor\":true,\"state\":\"up\","
              "\"incarnation\":1},{\"path\":\"/app/web\",\"level\":1,\"state\":\"up\","
              "\"incarnation\":1,\"up_us\":1000,\"restarts\":%" PRIu64 "}]}",
              sequence, sequence);
    reply (scene, request, result);
}

static void ring (scene_t *scene, size_t request, uint64_t from, uint64_t to)
{
    char result[4096] = "\"ok\":true,\"result\":{\"complete\":true,\"events\":[";
    for (uint64_t sequence = from; sequence <= to; sequence++) {
        strcat (result, sequence > from ? "," : "");
        strcat (result, state_event (sequence, ",\"from\":\"starting\",\"to\":\"up\""));
    }
    strcat (result, "]}");
    reply (scene, request, result);
}

/*  What was done since the last look is this. */
static void expect (scene_t *scene, const char *words)
{
    assert_string_equal (scene->did, words);
    *scene->did = 0;
}

static void end (scene_t *scene)
{
    expect (scene, "");
    resil__follower_destroy (&scene->follower);
    assert_null (scene->follower);
}

static const resil_program_info_t *info (scene_t *scene)
{
    return resil__follower_info (scene->follower, scene->now_us);
}

static void join (scene_t *scene, uint64_t sequence)
{
    begin (scene, -1);
    beat (scene, RUN, sequence);
    snapshot (scene, 0, sequence);
    *scene->did = 0;
}

/*  ---- Joining ------------------------------------------------------------------------------ */

static void the_first_beat_leads_to_a_snapshot_and_that_to_a_picture (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene, -1);
    assert_int_equal (info (&scene)->link, RESIL_LINK_SEEKING);
    event (&scene, 9); /*  before it is known whose it is                            */
    expect (&scene, "");
    beat (&scene, RUN, 10);
    expect (&scene, "connect:ipc:///c snapshot hello");
    assert_int_equal (info (&scene)->link, RESIL_LINK_JOINING);
    event (&scene, 11);
    event (&scene, 12);
    event (&scene, 13);
    reply (&scene, 1, "\"ok\":true,\"result\":{\"role\":\"viewer\",\"version\":\"0.1.0\"}");
    snapshot (&scene, 0, 12);
    expect (&scene, "!joined !13");
    assert_int_equal (info (&scene)->link, RESIL_LINK_FOLLOWING);
    assert_int_equal (info (&scene)->sequence, 13);
    assert_string_equal (info (&scene)->name, "prog");
    assert_string_equal (info (&scene)->role, "viewer");
    const resil_remote_node_t *web =
        resil__picture_find (resil__follower_picture (scene.follower), "/app/web");
    assert_int_equal (web->incarnation, 13);
    assert_int_equal (web->restarts, 12);
    assert_int_equal (web->up_at_us, 4000);
    event (&scene, 14);
    expect (&scene, "!14");
    end (&scene);
}

static void a_snapshot_that_does_not_come_is_asked_for_again (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene, -1);
    beat (&scene, RUN, 3);
    expect (&scene, "connect:ipc:///c snapshot hello");
    scene.now_us += REQUEST_US;
    assert_true (resil__follower_due_us (scene.follower) <= scene.now_us);
    beat (&scene, RUN, 3);
    resil__follower_time (scene.follower, scene.now_us);
    expect (&scene, "snapshot hello");
    snapshot (&scene, 0, 3); /*  too late: it is another one that counts                  */
    expect (&scene, "");
    snapshot (&scene, 2, 3);
    expect (&scene, "!joined");
    end (&scene);
}

static void who_may_not_have_a_snapshot_is_told_why (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene, -1);
    beat (&scene, RUN, 3);
    *scene.did = 0;
    reply (&scene, 0, "\"ok\":false,\"error\":{\"kind\":\"refused\",\"text\":\"not you\"}");
    expect (&scene, "!refused");
    assert_int_equal (info (&scene)->link, RESIL_LINK_REFUSED);
    assert_string_equal (info (&scene)->why, "not you");
    end (&scene);
}

static void another_version_is_refused_with_what_to_do (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene, -1);
    publish (&scene, true, "{\"v\":2,\"run\":\"x\",\"control\":\"ipc:///c\"}");
    expect (&scene, "!refused");
    assert_non_null (strstr (info (&scene)->why, "version 2"));
    assert_non_null (strstr (info (&scene)->why, "newer resil here"));
    end (&scene);
}

/*  ---- Gaps --------------------------------------------------------------------------------- */

static void a_gap_is_filled_from_the_ring_while_later_events_wait (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    event (&scene, 6);
    event (&scene, 9);
    event (&scene, 10);
    expect (&scene, "!6 events:7");
    ring (&scene, 2, 7, 8);
    expect (&scene, "!7 !8 !9 !10");
    assert_int_equal (info (&scene)->filled, 2);
    assert_int_equal (info (&scene)->lost, 0);
    end (&scene);
}

static void a_beat_shows_what_was_lost_at_the_end (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    beat (&scene, RUN, 5);
    expect (&scene, "");
    beat (&scene, RUN, 7);
    expect (&scene, "events:6");
    ring (&scene, 2, 6, 7);
    expect (&scene, "!6 !7");
    end (&scene);
}

static void a_long_gap_is_filled_piece_by_piece (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    beat (&scene, RUN, 9);
    ring (&scene, 2, 6, 7);
    expect (&scene, "events:6 !6 !7 events:8");
    ring (&scene, 3, 8, 9);
    expect (&scene, "!8 !9");
    end (&scene);
}

static void what_the_ring_has_no_more_is_counted_and_made_good_by_a_snapshot (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    event (&scene, 20);
    expect (&scene, "events:6");
    ring (&scene, 2, 15, 20); /*  6 to 14 are gone                                          */
    expect (&scene, "snapshot hello");
    snapshot (&scene, 3, 21);
    expect (&scene, "!lost:15 !20");
    assert_int_equal (info (&scene)->lost, 15);
    event (&scene, 21);
    event (&scene, 22);
    expect (&scene, "!22");
    end (&scene);
}

static void what_comes_twice_is_told_once (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    event (&scene, 6);
    event (&scene, 6);
    event (&scene, 3);
    event (&scene, 8);
    event (&scene, 8);
    expect (&scene, "!6 events:7");
    ring (&scene, 2, 5, 9);
    expect (&scene, "!7 !8 !9");
    end (&scene);
}

static void more_than_can_be_held_is_had_from_the_ring (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 1);
    for (uint64_t sequence = 3; sequence < RESIL__FOLLOWER_HELD_MAX + 10; sequence++)
        event (&scene, sequence);
    *scene.did = 0;
    ring (&scene, 2, 2, 2);
    assert_int_equal (info (&scene)->sequence, RESIL__FOLLOWER_HELD_MAX + 2);
    /*  What was told is more than is kept of it here; the last was another request to the ring. */
    assert_int_equal (scene.requests, 4);
    *scene.did = 0;
    end (&scene);
}

/*  ---- Runs and silence --------------------------------------------------------------------- */

static void another_run_is_noticed_by_its_beat_and_joined (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    char id[RESIL_REQUEST_ID_MAX];
    ok (resil__follower_ask (scene.follower, "restart", "/app/web", NULL, 1000000, scene.now_us,
                             id));
    expect (&scene, "restart/app/web");
    beat (&scene, OTHER_RUN, 2);
    expect (&scene, "connect:ipc:///c !reply:gone !new run snapshot hello");
    assert_int_equal (resil__follower_picture (scene.follower)->size, 0);
    event (&scene, 6); /*  of the old run                                            */
    expect (&scene, "");
    snapshot (&scene, 3, 2);
    expect (&scene, "!joined");
    assert_int_equal (info (&scene)->runs, 2);
    end (&scene);
}

static void three_beats_missing_are_silence_and_one_ends_it (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    scene.now_us += 3000000;
    resil__follower_time (scene.follower, scene.now_us);
    expect (&scene, "");
    scene.now_us += 500000;
    assert_int_equal (resil__follower_due_us (scene.follower), scene.now_us);
    resil__follower_time (scene.follower, scene.now_us);
    expect (&scene, "!silent");
    assert_int_equal (info (&scene)->link, RESIL_LINK_SILENT);
    assert_true (resil__follower_due_us (scene.follower) == RESIL__NEVER);
    beat (&scene, RUN, 6);
    expect (&scene, "!back events:6");
    assert_int_equal (info (&scene)->link, RESIL_LINK_FOLLOWING);
    end (&scene);
}

static void counters_are_had_anew_some_time_after_something_has_happened (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene, REFRESH_US);
    beat (&scene, RUN, 1);
    snapshot (&scene, 0, 1);
    event (&scene, 2);
    *scene.did = 0;
    scene.now_us += REFRESH_US;
    assert_true (resil__follower_due_us (scene.follower) <= scene.now_us);
    resil__follower_time (scene.follower, scene.now_us);
    expect (&scene, "snapshot");
    event (&scene, 3);
    snapshot (&scene, 2, 17);
    expect (&scene, "!3");
    const resil_remote_node_t *web =
        resil__picture_find (resil__follower_picture (scene.follower), "/app/web");
    assert_int_equal (web->restarts, 17);
    assert_int_equal (web->incarnation, 3);
    assert_int_equal (info (&scene)->sequence, 3);
    end (&scene);
}

static void counters_of_pipelines_are_had_again_and_again (void **state)
{
    (void) state;
    static const char nodes[] =
        "\"ok\":true,\"result\":{\"at_us\":5000,\"seq\":1,\"nodes\":[{\"path\":\"/app\","
        "\"pipeline\":{}}]}";
    scene_t scene;
    begin (&scene, REFRESH_US);
    beat (&scene, RUN, 1);
    reply (&scene, 0, nodes);
    *scene.did = 0;
    for (size_t i = 2; i < 5; i++) {
        beat (&scene, RUN, 1);
        resil__follower_time (scene.follower, scene.now_us += REFRESH_US - 1);
        expect (&scene, "");
        resil__follower_time (scene.follower, ++scene.now_us);
        expect (&scene, "snapshot");
        reply (&scene, i, nodes);
    }
    end (&scene);
    begin (&scene, -1); /*  but not if they never are                                 */
    beat (&scene, RUN, 1);
    reply (&scene, 0, nodes);
    *scene.did = 0;
    resil__follower_time (scene.follower, scene.now_us += REFRESH_US);
    end (&scene);
}

/*  ---- Requests ----------------------------------------------------------------------------- */

static void a_request_is_answered_by_its_reply_or_when_its_time_is_over (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    char id[RESIL_REQUEST_ID_MAX], other[RESIL_REQUEST_ID_MAX];
    ok (resil__follower_ask (scene.follower, "health", NULL, NULL, 1000000, scene.now_us, id));
    ok (resil__follower_ask (scene.follower, "list", NULL, "{\"a\":1}", 2000000, scene.now_us,
                             other));
    assert_string_not_equal (id, other);
    reply (&scene, 3, "\"ok\":true,\"result\":{}");
    reply (&scene, 3, "\"ok\":true,\"result\":{}"); /*  once is enough                          */
    expect (&scene, "health list !reply:ok");
    scene.now_us += 1000000;
    resil__follower_time (scene.follower, scene.now_us);
    expect (&scene, "!reply:timeout");
    end (&scene);
}

static void a_command_that_takes_time_is_answered_by_its_last_event (void **state)
{
    (void) state;
    static const char *const stages[] = {"accepted", "done"};
    scene_t scene;
    join (&scene, 5);
    char id[RESIL_REQUEST_ID_MAX], text[512];
    ok (resil__follower_ask (scene.follower, "restart", "/app/web", NULL, 1000000, scene.now_us,
                             id));
    reply (&scene, 2, "\"ok\":true,\"result\":{\"accepted\":true,\"seq\":6}");
    expect (&scene, "restart/app/web");
    for (int i = 0; i < 2; i++) {
        snprintf (text, sizeof text,
                  "{\"v\":1,\"run\":\"" RUN
                  "\",\"at_us\":1,\"wall_at_us\":1,\"seq\":%d,\"type\":\"command\",\"path\":\"/app/"
                  "web\",\"id\":\"%s\",\"do\":\"restart\",\"stage\":\"%s\"}",
                  6 + i, id, stages[i]);
        publish (&scene, false, text);
    }
    expect (&scene, "!6 !reply:ok !7");
    end (&scene);
}

static void the_last_event_of_a_command_may_come_before_its_reply (void **state)
{
    (void) state;
    static const char *const results[][2] = {
        {"\"ok\":true,\"result\":{\"accepted\":true}", "restart/app/web !6 !reply:ok"},
        {"\"ok\":true,\"result\":{\"text\":\"HI\"}", "restart/app/web !6 !reply:ok"},
        {"\"ok\":false,\"error\":{\"kind\":\"failed\"}", "restart/app/web !6 !reply:failed"},
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        scene_t scene;
        char id[RESIL_REQUEST_ID_MAX], text[512];
        join (&scene, 5);
        ok (resil__follower_ask (scene.follower, "restart", "/app/web", NULL, 1000000, scene.now_us,
                                 id));
        snprintf (text, sizeof text,
                  "{\"v\":1,\"run\":\"" RUN
                  "\",\"at_us\":1,\"wall_at_us\":1,\"seq\":6,\"type\":\"command\",\"path\":\"/app/"
                  "web\",\"id\":\"%s\",\"do\":\"restart\",\"stage\":\"done\"}",
                  id);
        publish (&scene, false, text);
        reply (&scene, 2, results[i][0]);
        expect (&scene, results[i][1]);
        end (&scene);
    }
}

static void what_cannot_be_asked_is_refused (void **state)
{
    (void) state;
    scene_t scene;
    char id[RESIL_REQUEST_ID_MAX];
    begin (&scene, -1);
    assert_int_equal (
        resil__follower_ask (scene.follower, "health", NULL, NULL, 1000, scene.now_us, id), -1);
    assert_int_equal (errno, ENOTCONN);
    resil__follower_destroy (&scene.follower);
    join (&scene, 1);
    assert_int_equal (
        resil__follower_ask (scene.follower, "call", "/app", "[1]", 1000, scene.now_us, id), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (
        resil__follower_ask (scene.follower, "call", "/app\xff", NULL, 1000, scene.now_us, id), -1);
    end (&scene);
}

/*  ---- What comes from outside -------------------------------------------------------------- */

static void what_is_not_as_agreed_changes_nothing (void **state)
{
    (void) state;
    static const char *const frames[] = {
        "",
        "{",
        "[]",
        "1",
        "{}",
        "{\"v\":1}",
        "{\"v\":\"1\",\"run\":\"" RUN "\"}",
        "{\"v\":1,\"run\":7,\"control\":[],\"seq\":\"x\"}",
        "{\"v\":1,\"run\":\"" RUN "\",\"seq\":-3,\"type\":\"state\",\"path\":\"/app/web\"}",
        "{\"v\":1,\"run\":\"" RUN "\",\"seq\":6,\"type\":\"state\",\"path\":\"web\"}",
        "{\"v\":1,\"run\":\"" RUN "\",\"seq\":6,\"type\":7,\"path\":\"/app/web\"}",
        "{\"v\":1,\"run\":\"" RUN "\",\"seq\":6.5,\"type\":\"state\",\"path\":\"/app/web\"}",
        "{\"v\":1,\"run\":\"" RUN "\",\"period_us\":0,\"control\":\"ipc:///c\",\"seq\":9}",
        "{\"v\":1,\"run\":\"" RUN "\",\"seq\":6,\"type\":\"st\xff\",\"path\":\"/app/web\"}",
        "{\"v\":1,\"run\":\"" RUN "\",\"seq\":6,\"type\":\"st\\u0000\",\"path\":\"/app/web\"}",
    };
    scene_t scene;
    join (&scene, 5);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        publish (&scene, false, frames[i]);
        publish (&scene, true, frames[i]);
        resil__follower_replied (scene.follower, frames[i], strlen (frames[i]), scene.now_us);
        expect (&scene, "");
    }
    assert_int_equal (info (&scene)->sequence, 5);
    char deep[100000];
    memset (deep, '[', sizeof deep);
    resil__follower_published (scene.follower, false, deep, sizeof deep, scene.now_us);
    end (&scene);
}

static void numbers_that_no_clock_comes_to_do_no_harm (void **state)
{
    (void) state;
    static const char *const numbers[] = {"9223372036854775807", "-9223372036854775808", "1e300",
                                          "-1"};
    char text[1024];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const char *n = numbers[i];
        scene_t scene;
        begin (&scene, -1);
        beat (&scene, RUN, 1);
        snprintf (text, sizeof text,
                  "\"ok\":true,\"result\":{\"at_us\":%s,\"seq\":1,\"nodes\":[{\"path\":\"/"
                  "a\",\"level\":%s,"
                  "\"up_us\":%s,\"pending_us\":%s,\"restarts\":%s,\"tid\":%s},{\"path\":\"/a\"}]}",
                  n, n, n, n, n, n);
        reply (&scene, 0, text);
        snprintf (
            text, sizeof text,
            "{\"v\":1,\"run\":\"" RUN
            "\",\"at_us\":%s,\"seq\":1,\"control\":\"x\",\"period_us\":1000000,\"uptime_us\":%s}",
            n, n);
        publish (&scene, true, text);
        snprintf (text, sizeof text,
                  "{\"v\":1,\"run\":\"" RUN "\",\"at_us\":%s,\"seq\":2,\"type\":\"state\",\"to\":"
                  "\"waiting\",\"path\":\"/a\",\"delay_us\":%s}",
                  n, n);
        publish (&scene, false, text);
        info (&scene);
        const resil_remote_node_t *node =
            resil__picture_find (resil__follower_picture (scene.follower), "/a");
        assert_int_equal (node->level, 0);
        assert_int_equal (node->state, RESIL_WAITING);
        assert_int_equal (resil__follower_picture (scene.follower)->size, 1);
        *scene.did = 0;
        end (&scene);
    }
}

static void events_of_later_versions_are_told_and_change_no_picture (void **state)
{
    (void) state;
    scene_t scene;
    join (&scene, 5);
    publish (&scene, false,
             "{\"v\":1,\"run\":\"" RUN "\",\"at_us\":1,\"wall_at_us\":1,\"seq\":6,\"type\":"
             "\"polished\",\"path\":\"/app/web\",\"shine\":{\"deep\":[1]}}");
    expect (&scene, "!6");
    end (&scene);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (the_first_beat_leads_to_a_snapshot_and_that_to_a_picture),
        support_case (a_snapshot_that_does_not_come_is_asked_for_again),
        support_case (who_may_not_have_a_snapshot_is_told_why),
        support_case (another_version_is_refused_with_what_to_do),
        support_case (a_gap_is_filled_from_the_ring_while_later_events_wait),
        support_case (a_beat_shows_what_was_lost_at_the_end),
        support_case (a_long_gap_is_filled_piece_by_piece),
        support_case (what_the_ring_has_no_more_is_counted_and_made_good_by_a_snapshot),
        support_case (what_comes_twice_is_told_once),
        support_case (more_than_can_be_held_is_had_from_the_ring),
        support_case (another_run_is_noticed_by_its_beat_and_joined),
        support_case (three_beats_missing_are_silence_and_one_ends_it),
        support_case (counters_are_had_anew_some_time_after_something_has_happened),
        support_case (counters_of_pipelines_are_had_again_and_again),
        support_case (a_request_is_answered_by_its_reply_or_when_its_time_is_over),
        support_case (a_command_that_takes_time_is_answered_by_its_last_event),
        support_case (the_last_event_of_a_command_may_come_before_its_reply),
        support_case (what_cannot_be_asked_is_refused),
        support_case (what_is_not_as_agreed_changes_nothing),
        support_case (numbers_that_no_clock_comes_to_do_no_harm),
        support_case (events_of_later_versions_are_told_and_change_no_picture),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
