/*  A program as a service: what it tells who listens at $NOTIFY_SOCKET, with and without a guardian between, and
    the sockets that it finds open.

    ctest timeout: 240

    SPDX-License-Identifier: Apache-2.0 */
#include "guarded.h"

#include <netinet/in.h>

/*  ---- One who listens, as systemd does ---- */

typedef struct {
    int fd;
    char variable[64]; /*  NOTIFY_SOCKET=...                                        */
    char text[5000];   /*  of the last message ...                                  */
    pid_t from;        /*  ... and who sent it                                      */
    int passed;        /*  a descriptor that came with it, or -1                    */
} manager_t;

static void manager_open (manager_t *self)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof address.sun_family;
    int yes = 1;
    *self = (manager_t){.passed = -1};
    self->fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal (bind (self->fd, (struct sockaddr *) &address, size), 0);
    assert_int_equal (setsockopt (self->fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), 0);
    size = sizeof address;
    assert_int_equal (getsockname (self->fd, (struct sockaddr *) &address, &size), 0);
    snprintf (self->variable, sizeof self->variable, "NOTIFY_SOCKET=@%.5s", address.sun_path + 1);
}

static void manager_close (manager_t *self)
{
    close (self->fd);
    if (self->passed >= 0)
        close (self->passed);
}

/*  The next message; NULL: none comes in that time. */
static const char *manager_try (manager_t *self, int within_ms)
{
    union {
        char bytes[CMSG_SPACE (sizeof (struct ucred)) + CMSG_SPACE (sizeof (int))];
        struct cmsghdr aligned;
    } control;
    struct iovec bytes = {self->text, sizeof self->text - 1};
    struct msghdr header = {.msg_iov = &bytes,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    struct pollfd ready = {.fd = self->fd, .events = POLLIN};
    if (poll (&ready, 1, within_ms) < 1)
        return NULL;
    ssize_t got = recvmsg (self->fd, &header, MSG_CMSG_CLOEXEC);
    assert_true (got >= 0);
    self->text[got] = 0;
    for (struct cmsghdr *each = CMSG_FIRSTHDR (&header); each; each = CMSG_NXTHDR (&header, each)) {
        if (each->cmsg_type == SCM_CREDENTIALS)
            self->from = ((struct ucred *) (void *) CMSG_DATA (each))->pid;
        if (each->cmsg_type == SCM_RIGHTS)
            self->passed = *(int *) (void *) CMSG_DATA (each);
    }
    return self->text;
}

/*  The next message that has this in it; none before it may have `never`. */
static const char *manager_await (manager_t *self, const char *part, const char *never)
{
    for (;;) {
        const char *text = manager_try (self, SUPPORT_PATIENCE_MS);
        if (!text)
            fail_msg ("nothing with \"%s\" has come", part);
        if (never && strstr (text, never))
            fail_msg ("\"%s\" came before \"%s\"", text, part);
        if (strstr (text, part))
            return text;
    }
}

/*  ---- Without a guardian ---- */

static void a_tree_that_is_followed_tells_that_it_is_up_and_stops (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    manager_open (&manager);
    program_start_with (&program, HOW (.variables = {manager.variable, "RESIL_GUARDIAN=0"}), "obey",
                        "follow=1");
    assert_string_equal (manager_await (&manager, "READY=1", "STOPPING"),
                         "READY=1\nSTATUS=1 component, 1 up");
    assert_int_equal (manager.from, program.pid);
    program_await_run (&program);
    /*  The listener has come since. */
    assert_string_equal (manager_await (&manager, "STATUS=", NULL), "STATUS=2 components, 2 up");
    kill (program.pid, SIGTERM);
    assert_string_equal (manager_await (&manager, "STOPPING=1", NULL), "STOPPING=1");
    expect_exit (&program, 0);
    while (manager_try (&manager, 0))
        assert_null (strstr (manager.text, "READY"));
    program_close (&program);
    manager_close (&manager);
}

static void other_things_are_told_by_a_call (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    manager_open (&manager);
    program_start_with (&program, HOW (.variables = {manager.variable, "RESIL_GUARDIAN=0"}),
                        "obey");
    program_await_up (&program);
    program_say (&program, "notify STATUS=what one likes");
    assert_string_equal (manager_await (&manager, "STATUS", "READY"), "STATUS=what one likes");
    program_await (&program, "notified 1");
    program_close (&program);
    manager_close (&manager);

    program_start_with (&program, HOW (.variables = {"RESIL_GUARDIAN=0"}), "obey", "follow=1");
    program_await_up (&program);
    program_say (&program, "notify STATUS=to nobody");
    program_await (&program, "notified 0");
    program_close (&program);

    program_start_with (&program,
                        HOW (.variables = {"RESIL_GUARDIAN=0", "NOTIFY_SOCKET=/no/such/socket"}),
                        "obey", "follow=1");
    assert_non_null (strstr (program_await (&program, "refused"), "/no/such/socket"));
    expect_exit (&program, 3);
    program_close (&program);
}

static void signs_of_life_come_while_the_supervisor_answers (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    manager_open (&manager);
    program_start_with (&program,
                        HOW (.variables = {manager.variable, "RESIL_GUARDIAN=0",
                                           "WATCHDOG_USEC=200000", "WATCHDOG_PID"}),
                        "obey", "follow=1");
    for (int i = 0; i < 5; i++) {
        manager_await (&manager, "WATCHDOG=1", NULL);
        assert_int_equal (manager.from, program.pid);
    }
    program_close (&program);

    /*  For another process: none. */
    program_start_with (&program,
                        HOW (.variables = {manager.variable, "RESIL_GUARDIAN=0",
                                           "WATCHDOG_USEC=1000", "WATCHDOG_PID=1"}),
                        "obey", "follow=1");
    program_await_run (&program);
    while (manager_try (&manager, 0)) /*  of the one before                                   */
        ;
    assert_true (!manager_try (&manager, 100) || !strstr (manager.text, "WATCHDOG"));
    program_close (&program);
    manager_close (&manager);
}

/*  ---- With one ---- */

static void to_systemd_the_guardian_is_the_service (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    manager_open (&manager);
    program_start_with (&program, HOW (.variables = {manager.variable}), "obey", "follow=1");
    manager_await (&manager, "READY=1", "STOPPING");
    assert_int_equal (manager.from, program.pid);
    up_t up = program_await_run (&program);
    assert_true (up.guarded);
    for (int i = 0; i < 3; i++) {
        program_say (&program, i == 1 ? "exit 7" : "crash");
        manager_await (&manager, i == 1 ? ": exited with status 7" : ": killed by SIGSEGV",
                       "STOPPING");
        manager_await (&manager, "READY=1", "STOPPING");
        assert_int_equal (manager.from, program.pid);
        program_await_run (&program);
    }
    program_say (&program, "notify MAINPID=1\nSTATUS=mine");
    manager_await (&manager, "STATUS=", "MAINPID");
    program_say (&program, "notify STOPPING=1");
    program_say (&program, "notify STATUS=still here");
    manager_await (&manager, "STATUS=still here", "STOPPING");
    kill (program.pid, SIGTERM);
    manager_await (&manager, "STOPPING=1", NULL);
    assert_int_equal (manager.from, program.pid);
    expect_exit (&program, 0);
    program_close (&program);
    manager_close (&manager);
}

static void an_end_for_good_is_told_as_a_stop (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    manager_open (&manager);
    program_start_with (&program, HOW (.variables = {manager.variable}), "obey", "follow=1",
                        "max_restarts=1", "window_ms=600000");
    for (int i = 0; i < 2; i++) {
        manager_await (&manager, "READY=1", "STOPPING");
        program_await_up (&program);
        program_say (&program, "crash");
    }
    manager_await (&manager, "STOPPING=1\nSTATUS=killed by SIGSEGV", NULL);
    expect_death (&program, SIGSEGV);
    program_close (&program);
    manager_close (&manager);
}

static void who_is_not_the_child_is_not_heard (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    manager_open (&manager);
    program_start_with (&program, HOW (.variables = {manager.variable}), "obey");
    program_await_up (&program);
    program_say (&program, "getenv NOTIFY_SOCKET");
    const char *line = program_await (&program, "NOTIFY_SOCKET=@");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen (line) - strlen ("NOTIFY_SOCKET=@");
    memcpy (address.sun_path + 1, strchr (line, '@') + 1, size);
    int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 100; i++)
        sendto (fd, "STATUS=planted", 14, MSG_DONTWAIT, (struct sockaddr *) &address,
                (socklen_t) (offsetof (struct sockaddr_un, sun_path) + 1 + size));
    close (fd);
    int sent;
    do { /*  while the guardian has all that to throw away, there may be no room              */
        program_say (&program, "notify STATUS=its own");
        sent = atoi (program_await (&program, "notified") + strlen ("notified"));
    } while (sent != 1);
    manager_await (&manager, "STATUS=its own", "planted");
    program_close (&program);
    manager_close (&manager);
}

static void while_systemd_is_slow_nothing_is_lost_and_nobody_waits (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    int told = 0;
    manager_open (&manager);
    program_start_with (&program, HOW (.variables = {manager.variable}), "obey");
    program_await_up (&program);
    for (int refused = 0; refused < 3;) {
        char line[64];
        snprintf (line, sizeof line, "notify X_NUMBER=%d", told);
        program_say (&program, line);
        int rc = atoi (program_await (&program, "notified") + strlen ("notified"));
        told += rc == 1;
        refused += rc != 1;
        if (rc != 1)
            poll (NULL, 0, 10);
    }
    for (int i = 0; i < told; i++) {
        char expected[64];
        snprintf (expected, sizeof expected, "X_NUMBER=%d", i);
        assert_non_null (manager_try (&manager, SUPPORT_PATIENCE_MS));
        assert_string_equal (manager.text, expected);
    }
    kill (program.pid, SIGKILL);
    program_close (&program);
    manager_close (&manager);
}

static void a_frozen_child_is_ended_and_the_service_lives (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    manager_open (&manager);
    program_start_with (
        &program, HOW (.variables = {manager.variable, "WATCHDOG_USEC=3000000", "WATCHDOG_PID"}),
        "obey", "follow=1");
    program_await_run (&program);
    program_say (&program, "getenv WATCHDOG_PID");
    assert_int_not_equal (atoi (program_await (&program, "WATCHDOG_PID=") + 13), program.pid);
    program_say (&program, "freeze");
    up_t up = program_await_run (&program);
    assert_int_equal (up.signal, SIGABRT);
    assert_non_null (strstr (up.cause, "gave no sign of life"));
    /*  The guardian gave its own all the time. */
    int64_t last_ms = child_now_ms ();
    for (int i = 0; i < 2; i++) {
        manager_await (&manager, "WATCHDOG=1", "STOPPING");
        assert_int_equal (manager.from, program.pid);
        assert_true (child_now_ms () - last_ms < SUPPORT_PATIENCE_MS);
    }
    program_close (&program);
    manager_close (&manager);
}

static void who_says_that_it_hangs_is_ended (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    manager_open (&manager);
    program_start_with (&program, HOW (.variables = {manager.variable}), "obey");
    program_await_up (&program);
    program_say (&program, "notify WATCHDOG=trigger");
    up_t up = program_await_up (&program);
    assert_int_equal (up.signal, SIGABRT);
    program_close (&program);
    manager_close (&manager);
}

static void descriptors_go_along (void **state)
{
    (void) state;
    manager_t manager;
    program_t program;
    char text[16] = "";
    manager_open (&manager);
    program_start_with (&program, HOW (.variables = {manager.variable}), "obey");
    program_await_up (&program);
    program_say (&program, "keep a text");
    manager_await (&manager, "FDSTORE=1\nFDNAME=file", NULL);
    assert_int_equal (manager.from, program.pid);
    assert_true (manager.passed >= 0);
    assert_int_equal (pread (manager.passed, text, sizeof text, 0), strlen ("a text"));
    assert_string_equal (text, "a text");
    program_close (&program);
    manager_close (&manager);
}

static void a_guardian_that_nobody_hears_goes_on (void **state)
{
    (void) state;
    program_t program;
    program_start_with (&program, HOW (.variables = {"NOTIFY_SOCKET=/no/such/socket"}), "obey");
    assert_true (program_await_up (&program).guarded);
    assert_non_null (strstr (program_errors (&program), "/no/such/socket"));
    program_close (&program);
}

/*  ---- Sockets ---- */

static int listen_somewhere (in_port_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true (fd >= 0 && bind (fd, (struct sockaddr *) &address, size) == 0 &&
                 listen (fd, 16) == 0 &&
                 getsockname (fd, (struct sockaddr *) &address, &size) == 0);
    *port = address.sin_port;
    return fd;
}

static bool can_connect (in_port_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connects = connect (fd, (struct sockaddr *) &address, sizeof address) == 0;
    close (fd);
    return connects;
}

static void each_child_finds_the_sockets_as_its_own (void **state)
{
    (void) state;
    in_port_t port;
    int listener = listen_somewhere (&port);
    program_t program;
    char expected[64];
    program_start_with (
        &program,
        HOW (.socket = listener, .variables = {"LISTEN_PID", "LISTEN_FDS=1", "LISTEN_FDNAMES=web",
                                               "LISTEN_PIDFDID=17"}),
        "obey", "delay_ms=1");
    close (listener);
    for (int i = 0; i < 3; i++) {
        up_t up = program_await_up (&program);
        snprintf (expected, sizeof expected, "sockets 1 first 3 pid %d", up.pid);
        program_say (&program, "sockets web");
        assert_string_equal (program_await (&program, "sockets"), expected);
        program_say (&program, "sockets");
        assert_string_equal (program_await (&program, "sockets"), expected);
        program_say (&program, "sockets other");
        assert_non_null (strstr (program_await (&program, "sockets"), "sockets 0"));
        program_say (&program, "getenv LISTEN_PIDFDID");
        program_await (&program, "LISTEN_PIDFDID=(none)");
        program_say (&program, "crash");
        for (int c = 0; c < 3; c++) /*  whoever connects meanwhile is not refused           */
            assert_true (can_connect (port));
    }
    program_close (&program);
}

static void sockets_of_another_process_are_none (void **state)
{
    (void) state;
    program_t program;
    program_start_with (&program, HOW (.variables = {"LISTEN_PID=1", "LISTEN_FDS=1"}), "obey");
    program_await_up (&program);
    program_say (&program, "sockets");
    assert_string_equal (program_await (&program, "sockets"), "sockets 0 first 0 pid 1");
    program_close (&program);
}

int main (int argc, char **argv)
{
    int status = guarded_main (argc, argv);
    if (status >= 0)
        return status;
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_tree_that_is_followed_tells_that_it_is_up_and_stops),
        cmocka_unit_test (other_things_are_told_by_a_call),
        cmocka_unit_test (signs_of_life_come_while_the_supervisor_answers),
        cmocka_unit_test (to_systemd_the_guardian_is_the_service),
        cmocka_unit_test (an_end_for_good_is_told_as_a_stop),
        cmocka_unit_test (who_is_not_the_child_is_not_heard),
        cmocka_unit_test (while_systemd_is_slow_nothing_is_lost_and_nobody_waits),
        cmocka_unit_test (a_frozen_child_is_ended_and_the_service_lives),
        cmocka_unit_test (who_says_that_it_hangs_is_ended),
        cmocka_unit_test (descriptors_go_along),
        cmocka_unit_test (a_guardian_that_nobody_hears_goes_on),
        cmocka_unit_test (each_child_finds_the_sockets_as_its_own),
        cmocka_unit_test (sockets_of_another_process_are_none),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
