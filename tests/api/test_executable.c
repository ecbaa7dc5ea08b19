/*  Executables as stages: line for line and by frames; what becomes of a record with which one dies, hangs, or says too much.

    ctest timeout: 180

    SPDX-License-Identifier: Apache-2.0 */
#include "document.h"
#include "kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <resil.h>

/*  ---- What comes out, and what does not ------------------------------------------------------------------ */

/*  Under the lock of what is kept. */
static int dead_count;
static bool was_rejected;
static char dead_text[256], story[4096];

static int keep (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    kept_add (record);
    return RESIL_OK;
}

static int bury (void *arg, const resil_dead_record_t *dead)
{
    (void) arg;
    pthread_mutex_lock (&kept_lock);
    dead_count++;
    was_rejected = dead->is_rejected;
    snprintf (dead_text, sizeof dead_text, "%.*s", (int) dead->record->size,
              (const char *) dead->record->bytes);
    snprintf (story, sizeof story, "%s", dead->story);
    pthread_mutex_unlock (&kept_lock);
    return 0;
}

/*  ---- What goes in ---------------------------------------------------------------------------------------- */

typedef struct {
    const char *const *records;
    uint64_t count;
    uint64_t next;
} list_t;

static int go_on (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    ((list_t *) args)->next = position;
    return 0;
}

/*  Those in the list, or numbers. */
static int produce (resil_stage_t *stage, void *args)
{
    list_t *self = args;
    char number[32];
    if (self->next == self->count)
        return RESIL_DONE;
    const char *text = number;
    if (self->records)
        text = self->records[self->next];
    else
        snprintf (number, sizeof number, "n%llu", (unsigned long long) self->next);
    self->next++;
    return resil_emit_at (stage, self->next, text, strlen (text));
}

static resil_executable_t executable (const char *const *command)
{
    return (resil_executable_t){RESIL_EXECUTABLE_OPTIONS, .command = command};
}

/*  What stands here runs until it has read all: a line for a line, but for what some of them have it do. */
static const char *const moody[] = {"sh", "-c",
                                    "while read -r line; do case $line in "
                                    "die) echo last words >&2; kill -SEGV $$;; "
                                    "end) exit 3;; "
                                    "hang) sleep 1000;; "
                                    "much) printf 'one\\ntwo\\n';; "
                                    "long) printf '%0100d' 0; sleep 1000;; "
                                    "close) exec 0<&- 1>&-; sleep 1000;; "
                                    "empty) echo;; "
                                    "*) echo \"<$line>\";; esac; done",
                                    NULL};

static resil_pipeline_t *make (resil_executable_t *options, list_t *list, unsigned workers,
                               int64_t hang_ms)
{
    kept_begin ();
    dead_count = 0;
    was_rejected = false;
    dead_text[0] = story[0] = 0;
    ok (resil_stage_type_register (&(resil_stage_type_t){RESIL_STAGE_TYPE, .name = "list",
                                                         .produce = produce, .open = go_on}));
    ok (resil_stage_type_register (&(resil_stage_type_t){RESIL_STAGE_TYPE, .name = "keep",
                                                         .on_record = keep, .is_sink = true}));
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "list", .args = list},
        {RESIL_STAGE, .name = "other", .type = RESIL_EXECUTABLE, .args = options},
        {RESIL_STAGE, .name = "keep"}};
    stages[1].workers = workers;
    stages[1].hang_ms = hang_ms;
    stages[1].tick_ms = 10;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "executables", .stages = stages,
                                  .stage_count = 3, .on_dead = bury};
    return resil_pipeline_new (NULL, &spec);
}

static void run (resil_executable_t *options, list_t *list, unsigned workers, int64_t hang_ms)
{
    resil_pipeline_t *pipeline = make (options, list, workers, hang_ms);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    ok (resil_pipeline_start (pipeline));
    ok (resil_pipeline_wait (pipeline, 3 * SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
}

static void run_moody (const char *const *records, uint64_t count, int64_t hang_ms)
{
    resil_executable_t options = executable (moody);
    list_t list = {.records = records, .count = count};
    options.answer_max = 64;
    run (&options, &list, 1, hang_ms);
}

/*  ---- Lines ------------------------------------------------------------------------------------------------- */

static void each_record_is_answered_by_a_line (void **state)
{
    (void) state;
    static const char *const command[] = {"stdbuf", "-oL", "tr", "a-z", "A-Z", NULL};
    resil_executable_t options = executable (command);
    list_t list = {.count = 3000};
    run (&options, &list, 1, RESIL_FOREVER);
    assert_string_equal (kept_behind ("N", 0, 2999), "");
}

static void several_workers_have_one_each (void **state)
{
    (void) state;
    static const char *const command[] = {"sed", "-u", "s/^n.*/$/;s/[$]/x/", NULL};
    resil_executable_t options = executable (command);
    list_t list = {.count = 1000};
    run (&options, &list, 3, RESIL_FOREVER);
    assert_int_equal (kept_size, 2000);
}

static void an_answer_may_be_empty_and_so_may_a_record (void **state)
{
    (void) state;
    static const char *const records[] = {"a", "empty", "", "b"};
    run_moody (records, 4, RESIL_FOREVER);
    assert_string_equal (kept, "<a>\n\n<>\n<b>\n");
}

static void assert_is_buried (const char *record, const char *why)
{
    assert_int_equal (dead_count, 1);
    assert_string_equal (dead_text, record);
    if (!strstr (story, why))
        fail_msg ("%s", story);
}

static void a_record_that_it_dies_of_three_times_is_dead_and_its_neighbours_are_not (void **state)
{
    (void) state;
    static const char *const records[] = {"a", "b", "die", "c"};
    run_moody (records, 4, RESIL_FOREVER);
    assert_string_equal (kept, "<a>\n<b>\n<c>\n");
    assert_is_buried ("die", "attempt 3: reported: \"sh\" killed by SIGSEGV");
    assert_non_null (strstr (story, "last on stderr: last words"));
    assert_false (was_rejected);
    assert_non_null (support_log_wait ("stderr: last words", SUPPORT_PATIENCE_MS));
}

static void one_that_exits_with_a_record_has_failed_of_it (void **state)
{
    (void) state;
    static const char *const records[] = {"a", "end", "b"};
    run_moody (records, 3, RESIL_FOREVER);
    assert_string_equal (kept, "<a>\n<b>\n");
    assert_is_buried ("end", "attempt 3: reported: \"sh\" exited with status 3");
}

static void one_that_does_not_answer_is_killed_with_all_that_it_has_started (void **state)
{
    (void) state;
    static const char *const records[] = {"a", "hang", "b"};
    run_moody (records, 3, 2000);
    assert_string_equal (kept, "<a>\n<b>\n");
    assert_is_buried ("hang", "attempt 3: reported: \"sh\" has not answered in 2000 ms");
}

static void one_that_says_too_much_has_failed_of_that_record (void **state)
{
    (void) state;
    static const char *const records[] = {"a", "much", "b"};
    run_moody (records, 3, RESIL_FOREVER);
    assert_int_equal (dead_count, 1);
    assert_non_null (strstr (story, "has said more than it was asked for"));
}

static void a_line_longer_than_allowed_is_a_failure (void **state)
{
    (void) state;
    static const char *const records[] = {"a", "long", "b"};
    run_moody (records, 3, RESIL_FOREVER);
    assert_string_equal (kept, "<a>\n<b>\n");
    assert_is_buried ("long", "has said a line longer than answer_max");
}

static void one_that_closes_its_output_and_goes_on_has_failed (void **state)
{
    (void) state;
    static const char *const records[] = {"a", "close", "b"};
    run_moody (records, 3, RESIL_FOREVER);
    assert_string_equal (kept, "<a>\n<b>\n");
    assert_is_buried ("close", "has closed its standard input or output, and goes on");
}

static void a_record_of_two_lines_is_rejected (void **state)
{
    (void) state;
    static const char *const records[] = {"a", "b\nc", "d"};
    run_moody (records, 3, RESIL_FOREVER);
    assert_string_equal (kept, "<a>\n<d>\n");
    assert_is_buried ("b\nc", "there is a newline in it");
    assert_true (was_rejected);
}

static void one_that_ends_after_each_answer_is_started_again (void **state)
{
    (void) state;
    static const char *const command[] = {"sh", "-c", "read -r line; echo \"$line\"", NULL};
    resil_executable_t options = executable (command);
    list_t list = {.count = 20};
    run (&options, &list, 1, RESIL_FOREVER);
    assert_int_equal (dead_count, 0);
    assert_memory_equal (kept, "n0\nn1\nn2\n", 9);
    assert_int_equal (kept_size, 10 * 3 + 10 * 4);
}

/*  More than pipes hold, and it answers before it has read all. */
static void a_large_record_is_written_while_its_answer_is_read (void **state)
{
    (void) state;
    static char large[8 << 20];
    static const char *const command[] = {"cat", "-u", NULL};
    memset (large, 'x', sizeof large - 1);
    const char *const records[] = {large, "small", large};
    resil_executable_t options = executable (command);
    list_t list = {.records = records, .count = 3};
    options.answer_max = sizeof large;
    run (&options, &list, 1, RESIL_FOREVER);
    assert_int_equal (dead_count, 0);
    assert_int_equal (kept_size, 2 * sizeof large + 6);
}

/*  ---- Frames ------------------------------------------------------------------------------------------------ */

#define FRAMED                                                                                     \
    "import struct, sys\n"                                                                         \
    "def say (kind, data=b''):\n"                                                                  \
    "    sys.stdout.buffer.write (struct.pack ('<IB', len (data) + 1, kind) + data)\n"             \
    "while head := sys.stdin.buffer.read (25):\n"                                                  \
    "    length, kind, origin, branch, attempt = struct.unpack ('<IBQQI', head)\n"                 \
    "    data = sys.stdin.buffer.read (length - 21)\n"

static void run_framed (const char *program, list_t *list)
{
    const char *const command[] = {"python3", "-c", program, NULL};
    resil_executable_t options = executable (command);
    options.framing = RESIL_FRAMED_BY_LENGTH;
    run (&options, list, 1, RESIL_FOREVER);
}

static void by_frames_a_record_becomes_none_or_several (void **state)
{
    (void) state;
    static const char *const records[] = {"two\nlines", "none", "again", "no good", "", "undone"};
    list_t list = {.records = records, .count = 6};
    run_framed (FRAMED
                "    assert kind == 1 and branch == 0\n"
                "    if data == b'none': say (2)\n"
                "    elif data == b'again' and attempt == 1: say (4, struct.pack ('<I', 1))\n"
                "    elif data == b'no good': say (1, b'lost'); say (5, b'it is no good')\n"
                "    elif data == b'undone': say (1, b'lost'); say (3)\n"
                "    else:\n"
                "        for line in data.split (b'\\n'): say (1, b'%d:' % origin + line)\n"
                "        say (2)\n"
                "    sys.stdout.flush ()\n",
                &list);
    assert_string_equal (kept, "1:two\n1:lines\n3:again\n5:\n");
    assert_is_buried ("no good", "it is no good");
    assert_true (was_rejected);
}

static char shown[3][128];
static int shown_count;

/*  The frames of the document's example, in hexadecimal. */
static int note_frames (const unsigned char *bytes, size_t size)
{
    for (size_t at = 0; at < size; shown_count++) {
        size_t end = at + 4 + bytes[at];
        assert_true (shown_count < 3 && end <= size);
        for (size_t i = 0; at < end; i++, at++)
            snprintf (shown[shown_count] + 2 * i, 3, "%02x", bytes[at]);
    }
    return shown_count;
}

static void frames_are_as_the_document_has_them (void **state)
{
    (void) state;
    static const char *const records[] = {"", "", "", "", "", "", "ab"};
    list_t list = {.records = records, .count = 7};
    shown_count = 0;
    assert_int_equal (document_check ("docs/protocols/executable.md", note_frames), 3);
    run_framed (FRAMED "    if data == b'ab': say (1, (head + data).hex ().encode ())\n"
                       "    say (2); sys.stdout.flush ()\n",
                &list);
    kept[kept_size - 1] = 0;
    assert_string_equal (kept, shown[0]);
    assert_string_equal (shown[1], "03000000014142");
    assert_string_equal (shown[2], "0100000002");
}

static void a_frame_that_there_is_not_is_a_failure (void **state)
{
    (void) state;
    list_t list = {.count = 1};
    run_framed (FRAMED "    say (77); sys.stdout.flush ()\n", &list);
    assert_is_buried ("n0", "has sent a frame of kind 77, which there is not");
    list = (list_t){.count = 1};
    run_framed ("import sys\nsys.stdin.buffer.read (27)\n"
                "sys.stdout.buffer.write (bytes (4)); sys.stdout.flush ()\n"
                "sys.stdin.read ()\n",
                &list);
    assert_is_buried ("n0", "has sent a frame of no length, or longer than answer_max");
}

static void a_verdict_of_the_wrong_length_is_a_failure (void **state)
{
    (void) state;
    static const struct {
        const char *say, *sentence;
    } rows[] = {{"say (4)", "a frame RETRY of 0 bytes; it has 4"},
                {"say (4, b'abc')", "a frame RETRY of 3 bytes; it has 4"},
                {"say (4, bytes (8))", "a frame RETRY of 8 bytes; it has 4"},
                {"say (2, b'a')", "a frame OK of 1 bytes; it has 0"},
                {"say (3, b'a')", "a frame DROP of 1 bytes; it has 0"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char program[sizeof FRAMED + 100];
        list_t list = {.count = 1};
        snprintf (program, sizeof program, FRAMED "    %s; sys.stdout.flush ()\n", rows[i].say);
        run_framed (program, &list);
        assert_is_buried ("n0", rows[i].sentence);
    }
}

/*  ---- What cannot be ---------------------------------------------------------------------------------------- */

static void refused (resil_executable_t options, int error, const char *sentence)
{
    list_t list = {.count = 1};
    assert_null (make (&options, &list, 1, RESIL_FOREVER));
    assert_int_equal (errno, error);
    if (!strstr (resil_errmsg (), sentence))
        fail_msg ("%s", resil_errmsg ());
}

static void what_is_not_there_is_told_before_anything_starts (void **state)
{
    (void) state;
    static const char *const missing[] = {"no-such-program", NULL};
    static const char *const folder[] = {"/tmp", NULL};
    static const char *const nothing[] = {NULL};
    refused (executable (missing), ENOENT,
             "stage \"other\": there is no executable \"no-such-program\"");
    refused (executable (folder), ENOENT, "there is no executable \"/tmp\"");
    refused (executable (nothing), EINVAL, "an executable has no command");
    refused (executable (NULL), EINVAL, "an executable has no command");
    resil_executable_t options = executable (moody);
    options.answer_max = 0;
    refused (options, EINVAL, "answer_max is 0");
    options.answer_max = 1;
    options.framing = (resil_framing_t) 2;
    refused (options, EINVAL, "framing is 2");
}

static void what_cannot_be_run_is_told_at_the_start (void **state)
{
    (void) state;
    char path[] = "/tmp/executable-XXXXXX";
    static const char script[] = "#!/no/such/interpreter\n";
    int fd = mkstemp (path);
    assert_int_equal (write (fd, script, sizeof script - 1), sizeof script - 1);
    ok (fchmod (fd, 0700));
    close (fd);
    const char *const command[] = {path, NULL};
    resil_executable_t options = executable (command);
    list_t list = {.count = 1};
    resil_pipeline_t *pipeline = make (&options, &list, 1, RESIL_FOREVER);
    assert_non_null (pipeline);
    assert_int_equal (resil_pipeline_start (pipeline), -1);
    assert_non_null (strstr (resil_errmsg (), path));
    resil_pipeline_destroy (&pipeline);
    unlink (path);
}

static void an_abort_waits_for_no_answer (void **state)
{
    (void) state;
    static const char *const records[] = {"hang"};
    resil_executable_t options = executable (moody);
    list_t list = {.records = records, .count = 1};
    resil_pipeline_t *pipeline = make (&options, &list, 1, RESIL_FOREVER);
    ok (resil_pipeline_start (pipeline));
    ok (resil_pipeline_abort (pipeline));
    resil_pipeline_destroy (&pipeline);
    assert_int_equal (dead_count, 0);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (each_record_is_answered_by_a_line),
        support_case (several_workers_have_one_each),
        support_case (an_answer_may_be_empty_and_so_may_a_record),
        support_case (a_record_that_it_dies_of_three_times_is_dead_and_its_neighbours_are_not),
        support_case (one_that_exits_with_a_record_has_failed_of_it),
        support_case (one_that_does_not_answer_is_killed_with_all_that_it_has_started),
        support_case (one_that_says_too_much_has_failed_of_that_record),
        support_case (a_line_longer_than_allowed_is_a_failure),
        support_case (one_that_closes_its_output_and_goes_on_has_failed),
        support_case (a_record_of_two_lines_is_rejected),
        support_case (one_that_ends_after_each_answer_is_started_again),
        support_case (a_large_record_is_written_while_its_answer_is_read),
        support_case (by_frames_a_record_becomes_none_or_several),
        support_case (frames_are_as_the_document_has_them),
        support_case (a_frame_that_there_is_not_is_a_failure),
        support_case (a_verdict_of_the_wrong_length_is_a_failure),
        support_case (what_is_not_there_is_told_before_anything_starts),
        support_case (what_cannot_be_run_is_told_at_the_start),
        support_case (an_abort_waits_for_no_answer),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
