/*  The sockets that processes speak to: who speaks by the rules, who does not, who has no business there; and what is
    left on disk. The processes are this program, as a client of the protocol that is written out by hand.

    ctest timeout: 180

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <resil.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/*  ---- A client, by hand ---- */

enum { HELLO = 1, READY = 2, ERROR = 4, ENDS = 5, START = 64, ACK = 65, CANCEL = 66 };

typedef struct {
    unsigned char bytes[512];
    size_t size;
} frame_t;

static void put (frame_t *frame, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        frame->bytes[frame->size++] = (unsigned char) (number >> 8 * i);
}

static frame_t header (int kind, uint64_t incarnation)
{
    frame_t frame = {{'r', 1, (unsigned char) kind}, 8};
    put (&frame, incarnation, 8);
    return frame;
}

static void put_text (frame_t *frame, const char *text)
{
    put (frame, strlen (text), 2);
    memcpy (frame->bytes + frame->size, text, strlen (text));
    frame->size += strlen (text);
}

static void say (zsock_t *socket, const frame_t *frame)
{
    zmq_send (zsock_resolve (socket), frame->bytes, frame->size, 0);
}

/*  The kind of the next frame. */
static int hear (zsock_t *socket)
{
    unsigned char bytes[1024];
    int size = zmq_recv (zsock_resolve (socket), bytes, sizeof bytes, 0);
    return size < 3 ? -1 : bytes[2];
}

static void put_error (frame_t *frame, int code, const char *text)
{
    put (frame, (uint64_t) code, 4);
    put (frame, 0, 4);
    put_text (frame, "");
    put_text (frame, text);
    put_text (frame, "");
}

static int be_client (const char *what)
{
    if (strcmp (what, "never greets") == 0)
        return 0;
    zsock_t *errors = zsock_new_dealer (getenv ("RESIL_ERRORS"));
    zsock_t *control = zsock_new_dealer (getenv ("RESIL_CONTROL"));
    uint64_t incarnation = strtoull (getenv ("RESIL_INCARNATION"), NULL, 10);
    zsock_set_linger (errors, 2000);
    frame_t hello = header (HELLO, incarnation);
    put_text (&hello, getenv ("RESIL_TOKEN"));
    put (&hello, (uint64_t) getpid (), 4);
    say (errors, &hello);
    if (strcmp (what, "greets once") == 0) {
        poll (NULL, 0, 100);
        _exit (0);
    }
    say (control, &hello);
    if (hear (control) != START)
        return 9;
    frame_t ready = header (READY, incarnation);
    say (errors, &ready);
    if (strcmp (what, "breaks") == 0) {
        frame_t broken = header (ERROR, incarnation);
        put (&broken, 1, 3);
        say (errors, &broken);
        poll (NULL, 0, 60000);
    }
    if (strcmp (what, "is strange") == 0) {
        frame_t other = header (ERROR, incarnation + 7), unknown = header (200, incarnation);
        put_error (&other, 1, "of another incarnation");
        say (errors, &other);
        say (errors, &unknown);
        say (errors, &hello);
        zmq_send (zsock_resolve (errors), "r", 1, ZMQ_SNDMORE);
        say (errors, &ready);
    }
    if (strcmp (what, "fails") == 0) {
        frame_t error = header (ERROR, incarnation);
        put_error (&error, 42, "by hand");
        say (errors, &error);
        if (hear (control) != ACK)
            return 9;
    }
    if (strcmp (what, "waits") == 0 && hear (control) != CANCEL)
        return 9;
    if (strcmp (what, "is deaf") == 0)
        poll (NULL, 0, 60000);
    zsock_destroy (&errors);
    zsock_destroy (&control);
    return strcmp (what, "exits with 6") == 0 ? 6 : 0;
}

/*  ---- How it is run ---- */

static resil_supervisor_t *supervise (const char *what, int64_t shutdown_ms)
{
    static char own[PATH_MAX];
    static const char *command[] = {own, "client", NULL, NULL};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command, .speaks = true};
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .placement = RESIL_PROCESS};
    assert_non_null (realpath ("/proc/self/exe", own));
    command[2] = what;
    options.name = "app";
    options.max_restarts = 0;
    spec.process = &process;
    spec.ready_required = true;
    spec.shutdown_ms = shutdown_ms;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    ok (resil_supervisor_add (supervisor, &spec));
    return supervisor;
}

static void fails (const char *what, resil_error_kind_t kind, int code, const char *part)
{
    resil_supervisor_t *supervisor = supervise (what, 5000);
    if (resil_supervisor_spawn (supervisor) == 0)
        assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                          RESIL_ENDED_ESCALATED);
    const resil_error_t *error = resil_supervisor_error (supervisor);
    assert_non_null (error);
    if (!strstr (resil_error_text (error), part))
        fail_msg ("\"%s\" is not in: %s", part, resil_error_text (error));
    assert_int_equal (resil_error_kind (error), kind);
    assert_int_equal (resil_error_code (error), code);
    resil_supervisor_destroy (&supervisor);
}

static void completes (const char *what)
{
    resil_supervisor_t *supervisor = supervise (what, 5000);
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
}

/*  ---- Clients ---- */

static void who_speaks_by_the_rules_is_heard (void **state)
{
    (void) state;
    completes ("goes");
    fails ("fails", RESIL_ERROR_REPORTED, 42, "by hand");
    fails ("exits with 6", RESIL_ERROR_CRASHED, 6, "exited with status 6");
    resil_supervisor_t *supervisor = supervise ("waits", 60000);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
    resil_supervisor_destroy (&supervisor);
    assert_non_null (support_log_wait ("it#1 was stopped", SUPPORT_PATIENCE_MS));
}

static void who_does_not_greet_has_failed (void **state)
{
    (void) state;
    fails ("never greets", RESIL_ERROR_CRASHED, 0, "before it had greeted its supervisor");
    fails ("greets once", RESIL_ERROR_CRASHED, 0, "before it had greeted its supervisor");
}

static void who_breaks_the_rules_is_ended (void **state)
{
    (void) state;
    fails ("breaks", RESIL_ERROR_CRASHED, EPROTO, "ERROR");
}

static void what_makes_no_sense_is_ignored_and_told_once (void **state)
{
    (void) state;
    completes ("is strange");
    assert_non_null (support_log_wait ("says what makes no sense now", SUPPORT_PATIENCE_MS));
    assert_int_equal (support_log_count ("says what makes no sense now"), 1);
}

static void who_is_deaf_gets_a_signal (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise ("is deaf", 4000);
    int64_t began_us = system_now_us ();
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
    assert_true (system_now_us () - began_us >= 2000000);
    resil_supervisor_destroy (&supervisor);
    assert_null (support_log_find ("is killed")); /*  the signal came at half of its time      */
}

/*  ---- Strangers ---- */

/*  The directory of this program's sockets; "" if there is none. */
static void find_directory (char path[PATH_MAX])
{
    char pattern[64];
    glob_t found;
    snprintf (pattern, sizeof pattern, "/tmp/resil-%d-*", (int) getpid ());
    *path = 0;
    if (glob (pattern, 0, NULL, &found) == 0) {
        assert_int_equal (found.gl_pathc, 1);
        snprintf (path, PATH_MAX, "%s", found.gl_pathv[0]);
    }
    globfree (&found);
}

static void strangers_can_do_nothing (void **state)
{
    (void) state;
    char path[PATH_MAX], endpoint[PATH_MAX + 32];
    struct stat stat_of;
    resil_supervisor_t *supervisor = supervise ("waits", 60000);
    ok (resil_supervisor_spawn (supervisor));
    find_directory (path);
    assert_int_equal (stat (path, &stat_of), 0);
    assert_int_equal (stat_of.st_mode & 07777, 0700);
    for (int line = 0; line < 2; line++) {
        snprintf (endpoint, sizeof endpoint, "ipc://%s/%s", path, line ? "control" : "errors");
        zsock_t *stranger = zsock_new_dealer (endpoint);
        assert_non_null (stranger);
        zsock_set_linger (stranger, 2000);
        frame_t hello = header (HELLO, 1), error = header (ERROR, 1);
        put_text (&hello, "0123456789abcdef0123456789abcdef");
        put (&hello, 1, 4);
        put_error (&error, 1, "of a stranger");
        for (int i = 0; i < 100; i++) {
            say (stranger, &hello);
            say (stranger, &error);
            zsock_send (stranger, "ss", "two", "frames");
            zsock_send (stranger, "s", "");
        }
        zsock_destroy (&stranger);
    }
    assert_non_null (support_log_wait ("somebody without a token", SUPPORT_PATIENCE_MS));
    assert_int_equal (support_log_count ("somebody without a token"), 1);
    ok (resil_supervisor_stop (supervisor));
    assert_non_null (support_log_wait ("it#1 was stopped", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

/*  ---- On disk ---- */

static void make_leftover (char *path, bool is_old)
{
    struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char file[PATH_MAX];
    assert_non_null (mkdtemp (path));
    snprintf (file, sizeof file, "%s/errors", path);
    ok (mknod (file, S_IFSOCK | 0600, 0));
    if (is_old)
        assert_int_equal (utimensat (AT_FDCWD, path, long_ago, 0), 0);
}

static bool is_there (const char *path)
{
    struct stat stat_of;
    return lstat (path, &stat_of) == 0;
}

static void remove_leftover (const char *path)
{
    char file[PATH_MAX];
    snprintf (file, sizeof file, "%s/errors", path);
    unlink (file);
    rmdir (path);
}

static void what_dead_programs_left_is_removed_and_nothing_else (void **state)
{
    (void) state;
    char left[] = "/tmp/resil-0-XXXXXX", young[] = "/tmp/resil-0-XXXXXX",
         locked[] = "/tmp/resil-0-XXXXXX", elsewhere[] = "/tmp/test-resil-XXXXXX";
    char link_path[64], own[PATH_MAX];
    make_leftover (left, true);
    make_leftover (young, false);
    make_leftover (locked, true);
    make_leftover (elsewhere, true);
    int lock_fd = open (locked, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal (flock (lock_fd, LOCK_EX), 0);
    snprintf (link_path, sizeof link_path, "/tmp/resil-0-link%d", (int) getpid ());
    assert_int_equal (symlink (elsewhere, link_path), 0);
    resil_supervisor_t *supervisor = supervise ("waits", 60000);
    ok (resil_supervisor_spawn (supervisor));
    assert_false (is_there (left));
    assert_true (is_there (young));
    assert_true (is_there (locked));
    assert_true (is_there (link_path));
    assert_true (is_there (elsewhere));
    find_directory (own);
    assert_true (*own);
    resil_supervisor_destroy (&supervisor);
    assert_false (is_there (own));
    close (lock_fd);
    unlink (link_path);
    remove_leftover (young);
    remove_leftover (locked);
    remove_leftover (elsewhere);
}

/*  ---- Another language ---- */

static void the_example_in_python_is_supervised (void **state)
{
    (void) state;
    if (system ("/usr/bin/python3 -c 'import zmq' 2>/dev/null"))
        skip ();
    char script[PATH_MAX], path[] = "/tmp/test-resil-lines-XXXXXX";
    snprintf (script, sizeof script, "%s/examples/component.py", getenv ("RESIL_SOURCE"));
    int fd = mkstemp (path);
    assert_int_equal (write (fd, "a\nb\n", 4), 4);
    close (fd);
    const char *command[] = {"/usr/bin/python3", script, path, NULL};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command, .speaks = true};
    resil_spec_t spec = {RESIL_SPEC, .name = "counter", .placement = RESIL_PROCESS};
    spec.process = &process;
    spec.ready_required = true;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    assert_non_null (supervisor);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    assert_non_null (support_log_wait (": 2 lines", SUPPORT_PATIENCE_MS));
    unlink (path);
    assert_non_null (support_log_wait ("counter#1 failed: [Errno 2]", SUPPORT_PATIENCE_MS));
    assert_non_null (support_log_wait ("counter#2 is up", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

int main (int argc, char **argv)
{
    if (argc == 3 && strcmp (argv[1], "client") == 0)
        return be_client (argv[2]);
    unsetenv ("XDG_RUNTIME_DIR");
    const struct CMUnitTest cases[] = {
        support_case (who_speaks_by_the_rules_is_heard),
        support_case (who_does_not_greet_has_failed),
        support_case (who_breaks_the_rules_is_ended),
        support_case (what_makes_no_sense_is_ignored_and_told_once),
        support_case (who_is_deaf_gets_a_signal),
        support_case (strangers_can_do_nothing),
        support_case (what_dead_programs_left_is_removed_and_nothing_else),
        support_case (the_example_in_python_is_supervised),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
