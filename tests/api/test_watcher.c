/*  A watcher by its public header, beside a monitor that does what the test wants.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <resil.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_monitor.h"

#define LONG_MS 30000

/*  In which it turns out why a program cannot be joined. */
#define SOON_MS 2000

typedef struct {
    fake_monitor_t monitor;
    resil_watcher_t *watcher;
    resil_program_t *program;
} scene_t;

static void begin (scene_t *scene)
{
    fake_open (&scene->monitor, "tcp://127.0.0.1:*", 1);
    scene->watcher = resil_watcher_new (NULL);
    assert_non_null (scene->watcher);
    scene->program = resil_watcher_add (scene->watcher, scene->monitor.endpoint);
    assert_non_null (scene->program);
}

static void end (scene_t *scene)
{
    resil_watcher_destroy (&scene->watcher);
    assert_null (scene->watcher);
    resil_watcher_destroy (&scene->watcher);
    fake_close (&scene->monitor);
}

/*  The next notice, while the monitor does its part. */
static const resil_notice_t *next (scene_t *scene, resil_notice_kind_t kind)
{
    const resil_notice_t *notice = NULL;
    int64_t until = zclock_mono () + LONG_MS;
    while (!notice && zclock_mono () < until) {
        fake_serve (&scene->monitor, 5);
        notice = resil_watcher_next (scene->watcher, 5);
    }
    assert_non_null (notice);
    assert_ptr_equal (notice->program, scene->program);
    assert_string_equal (resil_notice_kind_name (notice->kind), resil_notice_kind_name (kind));
    return notice;
}

static void it_joins_and_follows_and_knows_who_it_watches (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene);
    assert_int_equal (resil_program_size (scene.program), 0);
    assert_int_equal (resil_program_info (scene.program)->link, RESIL_LINK_SEEKING);
    scene.monitor.sequence = 3;
    next (&scene, RESIL_NOTICE_JOINED);
    fake_event (&scene.monitor, true);
    const resil_notice_t *notice = next (&scene, RESIL_NOTICE_EVENT);
    assert_int_equal (notice->event->sequence, 4);
    assert_string_equal (notice->event->path, "/app/web");
    assert_string_equal (notice->event->type, "state");
    assert_int_equal (notice->event->to, RESIL_UP);
    assert_non_null (strstr (notice->event->json, "\"seq\":4"));
    assert_int_equal (resil_program_size (scene.program), 2);
    assert_string_equal (resil_program_at (scene.program, 1)->name, "web");
    assert_null (resil_program_at (scene.program, 2));
    assert_int_equal (resil_program_find (scene.program, "/app/web")->incarnation, 4);
    assert_null (resil_program_find (scene.program, "/app/we"));
    const resil_program_info_t *info = resil_program_info (scene.program);
    assert_string_equal (info->endpoint, scene.monitor.endpoint);
    assert_string_equal (info->name, "fake");
    assert_string_equal (info->role, "admin");
    assert_string_equal (info->version, "9.8.7");
    assert_int_equal (info->pid, getpid ());
    assert_int_equal (info->sequence, 4);
    end (&scene);
}

static void what_was_lost_is_had_again_or_said (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene);
    next (&scene, RESIL_NOTICE_JOINED);
    fake_event (&scene.monitor, false);
    fake_event (&scene.monitor, false);
    fake_event (&scene.monitor, true);
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        assert_int_equal (next (&scene, RESIL_NOTICE_EVENT)->event->sequence, sequence);
    assert_int_equal (resil_program_info (scene.program)->filled, 3);
    fake_event (&scene.monitor, false);
    fake_event (&scene.monitor, false);
    scene.monitor.ring_from = 6;
    fake_event (&scene.monitor, true);
    assert_int_equal (next (&scene, RESIL_NOTICE_LOST)->count, 2);
    assert_int_equal (next (&scene, RESIL_NOTICE_EVENT)->event->sequence, 6);
    assert_int_equal (resil_program_info (scene.program)->lost, 2);
    assert_int_equal (resil_program_find (scene.program, "/app/web")->incarnation, 6);
    end (&scene);
}

static void a_program_that_comes_again_is_another_run (void **state)
{
    (void) state;
    scene_t scene;
    char endpoint[256];
    begin (&scene);
    next (&scene, RESIL_NOTICE_JOINED);
    strcpy (endpoint, scene.monitor.endpoint);
    fake_close (&scene.monitor);
    fake_open (&scene.monitor, endpoint, 2);
    scene.monitor.sequence = 40;
    next (&scene, RESIL_NOTICE_NEW_RUN);
    next (&scene, RESIL_NOTICE_JOINED);
    assert_int_equal (resil_program_info (scene.program)->runs, 2);
    assert_int_equal (resil_program_info (scene.program)->sequence, 40);
    end (&scene);
}

static void silence_is_said_and_its_end_too (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene);
    next (&scene, RESIL_NOTICE_JOINED);
    next (&scene, RESIL_NOTICE_SILENT); /*  the fake one beats only when it is told to         */
    assert_int_equal (resil_program_info (scene.program)->link, RESIL_LINK_SILENT);
    fake_beat (&scene.monitor);
    next (&scene, RESIL_NOTICE_BACK);
    end (&scene);
}

/*  ---- Requests ----------------------------------------------------------------------------- */

static atomic_bool served;

static void serve (zsock_t *pipe, void *args)
{
    zsock_signal (pipe, 0);
    while (!atomic_load (&served))
        fake_serve (args, 20);
}

static void a_call_waits_for_what_it_asked_for_and_keeps_the_rest (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene);
    atomic_store (&served, false);
    zactor_t *server = zactor_new (serve, &scene.monitor);
    ok (resil_program_join (scene.program, LONG_MS));
    const resil_reply_t *reply =
        resil_program_call (scene.program, "restart", "/app/web", NULL, LONG_MS);
    assert_non_null (reply);
    assert_true (reply->ok);
    assert_non_null (strstr (reply->result, "\"stage\":\"done\""));
    reply = resil_program_call (scene.program, "health", NULL, NULL, LONG_MS);
    assert_true (reply->ok);
    assert_string_equal (reply->result, "{\"echo\":\"health\"}");
    assert_int_equal (resil_watcher_next (scene.watcher, 0)->kind, RESIL_NOTICE_JOINED);
    atomic_store (&served, true);
    zactor_destroy (&server);
    scene.monitor.is_mute = true;
    reply = resil_program_call (scene.program, "health", NULL, NULL, 50);
    assert_false (reply->ok);
    assert_string_equal (reply->kind, "timeout");
    assert_non_null (strstr (reply->text, "50 ms"));
    end (&scene);
}

static void what_cannot_be_asked_is_refused_with_a_sentence (void **state)
{
    (void) state;
    scene_t scene;
    begin (&scene);
    assert_int_equal (resil_program_ask (scene.program, "health", NULL, NULL, 10, NULL), -1);
    assert_int_equal (errno, ENOTCONN);
    assert_int_equal (resil_program_ask (scene.program, "health", NULL, NULL, -1, NULL), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_program_ask (NULL, "health", NULL, NULL, 10, NULL), -1);
    assert_null (resil_watcher_next (scene.watcher, 0));
    assert_int_equal (errno, EAGAIN);
    assert_null (resil_watcher_next (NULL, 0));
    assert_int_equal (errno, EINVAL);
    assert_null (resil_program_info (NULL));
    assert_int_equal (resil_program_join (NULL, 0), -1);
    end (&scene);
}

/*  ---- Why it cannot be joined -------------------------------------------------------------- */

static void refused (const char *where, int error, const char *sentence)
{
    resil_watcher_t *watcher = resil_watcher_new (NULL);
    resil_program_t *program = resil_watcher_add (watcher, where);
    if (!program || resil_program_join (program, SOON_MS) == 0)
        assert_null (program);
    if (errno != error || !strstr (resil_errmsg (), sentence))
        fail_msg ("%s: %s (%s)", where, resil_errmsg (), strerror (errno));
    resil_watcher_destroy (&watcher);
}

static void each_reason_why_a_program_cannot_be_joined_has_a_sentence_of_its_own (void **state)
{
    (void) state;
    char endpoint[256];
    zsock_t *held = zsock_new (ZMQ_ROUTER);
    int port = zsock_bind (held, "tcp://127.0.0.1:*");
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    refused (endpoint, ETIMEDOUT, "no beat of a resil program");
    zsock_destroy (&held);

    int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal (bind (listener, (struct sockaddr *) &address, size), 0);
    assert_int_equal (getsockname (listener, (struct sockaddr *) &address, &size), 0);
    snprintf (endpoint, sizeof endpoint, "127.0.0.1:%d", ntohs (address.sin_port));
    refused (endpoint, ECONNREFUSED, "nobody listens there");
    assert_int_equal (listen (listener, 8), 0);
    refused (endpoint, ETIMEDOUT, "nothing is said");
    close (listener);

    fake_monitor_t newer;
    fake_open (&newer, "tcp://127.0.0.1:*", 1);
    newer.version = 2;
    resil_watcher_t *watcher = resil_watcher_new (NULL);
    resil_program_t *program = resil_watcher_add (watcher, newer.endpoint);
    const resil_notice_t *notice = NULL;
    for (int64_t until = zclock_mono () + LONG_MS; !notice && zclock_mono () < until;) {
        fake_serve (&newer, 5);
        notice = resil_watcher_next (watcher, 5);
    }
    assert_int_equal (notice->kind, RESIL_NOTICE_REFUSED);
    assert_int_equal (resil_program_join (program, SOON_MS), -1);
    assert_int_equal (errno, EPROTONOSUPPORT);
    assert_non_null (strstr (resil_errmsg (), "newer resil here"));
    resil_watcher_destroy (&watcher);
    fake_close (&newer);

    refused ("ipc:///nowhere/at/all", ENOENT, "nobody listens there");
    refused ("tcp://127.0.0.1", EINVAL, "has no port");
    refused ("udp://127.0.0.1:1", EINVAL, "is no endpoint");
}

/*  By ipc, of which the monitor has ZeroMQ look at who connects. */
static void a_program_of_another_user_is_not_taken_for_something_else (void **state)
{
    (void) state;
    enum { NOBODY = 65534 };
    if (geteuid () != 0)
        skip ();
    char folder[] = "/tmp/resil-watcher-XXXXXX", path[64], endpoint[80];
    assert_non_null (mkdtemp (folder));
    snprintf (path, sizeof path, "%s/there", folder);
    snprintf (endpoint, sizeof endpoint, "ipc://%s", path);
    zsock_t *held = zsock_new (ZMQ_ROUTER);
    uid_t owner = geteuid ();
    ok (zmq_setsockopt (zsock_resolve (held), ZMQ_IPC_FILTER_UID, &owner, sizeof owner));
    assert_int_not_equal (zsock_bind (held, "%s", endpoint), -1);
    ok (chmod (path, 0777));
    /*  Neither the socket nor, then, its folder. */
    for (int is_open = 1; is_open >= 0; is_open--) {
        ok (chmod (folder, is_open ? 0755 : 0700));
        ok (seteuid (NOBODY));
        refused (endpoint, EACCES, "another user's");
        ok (seteuid (owner));
    }
    zsock_destroy (&held);
    unlink (path);
    ok (rmdir (folder));
}

static void what_is_no_zeromq_is_the_wrong_port (void **state)
{
    (void) state;
    char endpoint[64];
    zsock_t *http = zsock_new (ZMQ_STREAM); /*  plain tcp, that sends no greeting                */
    int port = zsock_bind (http, "tcp://127.0.0.1:*");
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    resil_watcher_t *watcher = resil_watcher_new (NULL);
    resil_program_t *program = resil_watcher_add (watcher, endpoint);
    assert_int_equal (resil_program_join (program, 200), -1);
    assert_int_equal (errno, ETIMEDOUT);
    resil_watcher_destroy (&watcher);
    zsock_destroy (&http);
}

/*  ---- Keys --------------------------------------------------------------------------------- */

static const char *write_file (const char *text, int mode)
{
    static char path[64];
    strcpy (path, "/tmp/resil-keys-XXXXXX");
    int fd = mkstemp (path);
    assert_int_equal (write (fd, text, strlen (text)), strlen (text));
    fchmod (fd, (mode_t) mode);
    close (fd);
    return path;
}

static void keys_refused (const char *text, int mode, const char *server_key, int error)
{
    resil_watcher_options_t options = {RESIL_WATCHER_OPTIONS};
    options.key = text ? write_file (text, mode) : NULL;
    options.server_key = server_key;
    assert_null (resil_watcher_new (&options));
    assert_int_equal (errno, error);
    assert_true (strlen (resil_errmsg ()) > 20);
    if (options.key)
        unlink (options.key);
}

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define PAIR "public " KEY "\nsecret " KEY "\n"

static void wrong_keys_and_options_are_refused_before_anything_is_connected (void **state)
{
    (void) state;
    keys_refused (PAIR, 0600, NULL, EINVAL);
    keys_refused (NULL, 0, KEY, EINVAL);
    keys_refused (PAIR, 0644, KEY, EACCES);
    keys_refused (PAIR, 0600, "short", EINVAL);
    keys_refused ("public " KEY "\n", 0600, KEY, EINVAL);
    keys_refused ("", 0600, KEY, EINVAL);
    resil_watcher_options_t options = {RESIL_WATCHER_OPTIONS};
    options.size--;
    assert_null (resil_watcher_new (&options));
    assert_int_equal (errno, EINVAL);
    options =
        (resil_watcher_options_t){RESIL_WATCHER_OPTIONS, .key = "/nowhere", .server_key = KEY};
    assert_null (resil_watcher_new (&options));
    assert_int_equal (errno, ENOENT);
    options = (resil_watcher_options_t){RESIL_WATCHER_OPTIONS};
    options.request_ms = 0;
    assert_null (resil_watcher_new (&options));
}

static void a_program_without_keys_is_not_taken_for_one_with_keys (void **state)
{
    (void) state;
    fake_monitor_t monitor;
    fake_open (&monitor, "tcp://127.0.0.1:*", 1);
    resil_watcher_options_t options = {RESIL_WATCHER_OPTIONS};
    options.key = write_file (PAIR, 0600);
    options.server_key = KEY;
    resil_watcher_t *watcher = resil_watcher_new (&options);
    assert_non_null (watcher);
    unlink (options.key);
    resil_program_t *program = resil_watcher_add (watcher, monitor.endpoint);
    assert_int_equal (resil_program_join (program, LONG_MS), -1);
    assert_int_equal (errno, EACCES);
    resil_watcher_destroy (&watcher);
    fake_close (&monitor);
}

/*  ---- Finding programs here ---------------------------------------------------------------- */

static void make_program (const char *home, const char *name, bool lives, int *lock)
{
    char path[256];
    snprintf (path, sizeof path, "%s/resil/%s", home, name);
    assert_int_equal (mkdir (path, 0700), 0);
    strcat (path, "/lock");
    *lock = open (path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true (*lock >= 0);
    if (lives)
        assert_int_equal (flock (*lock, LOCK_EX), 0);
}

static void programs_are_found_by_name_and_process_id (void **state)
{
    (void) state;
    char home[] = "/tmp/resil-home-XXXXXX", name[64], path[256];
    int locks[3];
    assert_non_null (mkdtemp (home));
    setenv ("XDG_RUNTIME_DIR", home, 1);
    size_t count = 7;
    resil_local_program_t *programs = resil_local_programs (&count);
    assert_non_null (programs);
    assert_int_equal (count, 0);
    free (programs);
    resil_watcher_t *watcher = resil_watcher_new (NULL);
    assert_null (resil_watcher_add (watcher, NULL));
    assert_int_equal (errno, ENOENT);
    snprintf (path, sizeof path, "%s/resil", home);
    assert_int_equal (mkdir (path, 0700), 0);
    snprintf (name, sizeof name, "web-server-%d", (int) getpid ());
    make_program (home, name, true, &locks[0]);
    make_program (home, "dead-1234567", false, &locks[1]);
    programs = resil_local_programs (&count);
    assert_int_equal (count, 1);
    assert_string_equal (programs[0].name, "web-server");
    assert_int_equal (programs[0].pid, getpid ());
    free (programs);
    resil_program_t *program = resil_watcher_add (watcher, "");
    assert_non_null (program);
    assert_non_null (strstr (resil_program_info (program)->endpoint, name));
    resil_watcher_remove (watcher, &program);
    assert_null (program);
    assert_null (resil_watcher_add (watcher, "other"));
    assert_int_equal (errno, ENOENT);
    assert_non_null (strstr (resil_errmsg (), "web-server"));
    strcat (name, "-2");
    make_program (home, name, true, &locks[2]);
    assert_null (resil_watcher_add (watcher, "web-server"));
    assert_int_equal (errno, EEXIST);
    chmod (path, 0755);
    assert_null (resil_local_programs (&count));
    assert_int_equal (errno, EACCES);
    for (int i = 0; i < 3; i++)
        close (locks[i]);
    resil_watcher_destroy (&watcher);
    unsetenv ("XDG_RUNTIME_DIR");
    snprintf (path, sizeof path, "rm -r %s", home);
    assert_int_equal (system (path), 0);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (it_joins_and_follows_and_knows_who_it_watches),
        support_case (what_was_lost_is_had_again_or_said),
        support_case (a_program_that_comes_again_is_another_run),
        support_case (silence_is_said_and_its_end_too),
        support_case (a_call_waits_for_what_it_asked_for_and_keeps_the_rest),
        support_case (what_cannot_be_asked_is_refused_with_a_sentence),
        support_case (each_reason_why_a_program_cannot_be_joined_has_a_sentence_of_its_own),
        support_case (what_is_no_zeromq_is_the_wrong_port),
        support_case (a_program_of_another_user_is_not_taken_for_something_else),
        support_case (wrong_keys_and_options_are_refused_before_anything_is_connected),
        support_case (a_program_without_keys_is_not_taken_for_one_with_keys),
        support_case (programs_are_found_by_name_and_process_id),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
