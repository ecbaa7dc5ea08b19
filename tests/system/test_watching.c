/*  Who joins while very much happens sees what is, and so does who has not looked for long: at the end each picture equals the
    program's, and every event has been told or declared lost.

    ctest timeout: 480

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <arpa/inet.h>
#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <resil.h>
#include <string.h>
#include <sys/socket.h>

#define COMPONENTS 50
#define FAILURES 12000 /*  of which each makes three events, for each of the joiners   */
#define JOINERS 12
#define BURST (FAILURES / JOINERS)
#define LONG_MS 240000

static atomic_int failures, allowed, most;

/*  Fails at once, as long as there are failures left: at full rate, but for a wait before the next one joins. */
static int restless (resil_self_t *self, void *args)
{
    (void) args;
    resil_ready (self);
    int number = atomic_fetch_add (&failures, 1);
    while (number < atomic_load (&most) && number >= atomic_load (&allowed))
        if (resil_wait (self, NULL, 1) < 0)
            return 0;
    if (number < atomic_load (&most))
        return resil_fail (self, number, "again");
    while (resil_wait (self, NULL, RESIL_FOREVER) >= 0)
        ;
    return 0;
}

typedef struct {
    resil_watcher_t *watcher;
    resil_program_t *program;
    int joins_at; /*  when there have been so many failures                    */
    bool has_joined;
    uint64_t first; /*  the sequence at which it joined                          */
    uint64_t last;
    uint64_t told;
    uint64_t lost;
} joiner_t;

static void join (joiner_t *joiner, const char *endpoint)
{
    joiner->watcher = resil_watcher_new (NULL);
    joiner->program = joiner->watcher ? resil_watcher_add (joiner->watcher, endpoint) : NULL;
    if (!joiner->program)
        fail_msg ("%s", resil_errmsg ());
}

static void take (joiner_t *joiner, const resil_notice_t *notice)
{
    assert_int_equal (notice->missed, 0);
    if (notice->kind == RESIL_NOTICE_JOINED && !joiner->has_joined) {
        joiner->has_joined = true;
        joiner->first = joiner->last = 0;
    }
    if (notice->kind == RESIL_NOTICE_LOST)
        joiner->lost += notice->count;
    if (!notice->event)
        return;
    if (!joiner->first)
        joiner->first = notice->event->sequence;
    assert_true (notice->event->sequence > joiner->last);
    joiner->last = notice->event->sequence;
    joiner->told++;
}

/*  Take what it has to tell, but not for long. */
static void follow (joiner_t *joiner)
{
    const resil_notice_t *notice;
    for (int i = 0; i < 500 && (notice = resil_watcher_next (joiner->watcher, 0)); i++)
        take (joiner, notice);
}

/*  The picture is right: what is in it is what the snapshot has, in the same order. */
static void equals (joiner_t *joiner, const resil_snapshot_t *snapshot)
{
    assert_int_equal (resil_program_size (joiner->program), resil_snapshot_size (snapshot));
    for (size_t i = 0; i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        const resil_remote_node_t *seen = resil_program_at (joiner->program, i);
        assert_string_equal (seen->path, is->path);
        assert_int_equal (seen->state, is->state);
        assert_int_equal (seen->incarnation, is->incarnation);
        assert_int_equal (seen->is_done, is->is_done);
        assert_int_equal (seen->level, is->level);
        assert_int_equal (seen->is_supervisor, is->is_supervisor);
        assert_int_equal (seen->quarantined, is->quarantined);
        assert_ptr_equal (resil_program_find (joiner->program, is->path), seen);
        if (is->error)
            assert_int_equal (seen->error->code, resil_error_code (is->error));
    }
}

/*  Its picture is right, and all events since its first have been told or declared lost. */
static void is_whole (joiner_t *joiner, const resil_snapshot_t *snapshot)
{
    equals (joiner, snapshot);
    for (const resil_notice_t *notice; (notice = resil_watcher_next (joiner->watcher, 0));)
        take (joiner, notice);
    const resil_program_info_t *info = resil_program_info (joiner->program);
    printf ("joined at %llu: %llu told, %llu had again, %llu lost\n",
            (unsigned long long) joiner->first, (unsigned long long) joiner->told,
            (unsigned long long) info->filled, (unsigned long long) info->lost);
    assert_int_equal (info->lost, joiner->lost);
    if (joiner->told)
        assert_int_equal (joiner->told + joiner->lost,
                          resil_snapshot_sequence (snapshot) - joiner->first + 1);
}

static bool has_settled (const joiner_t *joiners, int count, const resil_snapshot_t *snapshot)
{
    for (int i = 0; i < count; i++) {
        const resil_program_info_t *info =
            joiners[i].program ? resil_program_info (joiners[i].program) : NULL;
        if (!info || info->link != RESIL_LINK_FOLLOWING ||
            info->sequence != resil_snapshot_sequence (snapshot))
            return false;
    }
    return true;
}

static resil_supervisor_t *build (void)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *root = resil_supervisor_new (&options);
    resil_type_t type = {RESIL_TYPE, .name = "restless", .start = restless};
    resil_type_register (&type);
    for (int i = 0; i < COMPONENTS; i++) {
        char name[32];
        snprintf (name, sizeof name, "one%d", i);
        resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "restless"};
        ok (resil_supervisor_add (root, &spec));
    }
    return root;
}

/*  ---- Cases ------------------------------------------------------------------------------ */

static void everybody_who_joins_in_between_sees_the_same_in_the_end (void **state)
{
    (void) state;
    joiner_t joiners[JOINERS] = {0};
    atomic_store (&failures, 0);
    atomic_store (&most, FAILURES);
    resil_supervisor_t *root = build ();
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS, .endpoint = "tcp://127.0.0.1:*"};
    resil_monitor_t *monitor = resil_monitor_new (root, &options);
    if (!monitor)
        fail_msg ("%s", resil_errmsg ());
    join (&joiners[0], resil_monitor_endpoint (monitor));
    ok (resil_supervisor_spawn (root));
    resil_snapshot_t *snapshot = NULL;
    bool is_settled = false;
    int joined = 1;
    atomic_store (&allowed, BURST);
    for (int64_t until = zclock_mono () + LONG_MS; !is_settled && zclock_mono () < until;) {
        for (int i = 0; i < joined; i++)
            follow (&joiners[i]);
        if (joined < JOINERS && atomic_load (&failures) >= joined * BURST) {
            join (&joiners[joined++], resil_monitor_endpoint (monitor));
            atomic_store (&allowed, joined * BURST);
        }
        if (atomic_load (&failures) < FAILURES + COMPONENTS)
            continue;
        resil_snapshot_destroy (&snapshot);
        snapshot = resil_supervisor_snapshot (root);
        is_settled = has_settled (joiners, JOINERS, snapshot);
    }
    assert_true (is_settled);
    assert_true (resil_snapshot_sequence (snapshot) > 3 * FAILURES - 1000);
    for (int i = 0; i < JOINERS; i++)
        is_whole (&joiners[i], snapshot);
    resil_snapshot_destroy (&snapshot);
    for (int i = 0; i < JOINERS; i++)
        resil_watcher_destroy (&joiners[i].watcher);
    resil_monitor_destroy (&monitor);
    resil_supervisor_destroy (&root);
}

/*  ---- A way that can be closed ----------------------------------------------------------- */

/*  Between a watcher and its program: carries what both say on its first connections, and takes later ones without a word, as
    a program does that is stopped. */
#define CARRIED 2 /*  the first is the look at who is there, which a watcher takes   */
#define CONNECTIONS 64

typedef struct {
    int program_port;
    int listener;
    int ends[CONNECTIONS][2]; /*  of the watcher, and of the program                       */
    int count;                /*  of connections; the thread's until it has ended          */
    pthread_t thread;
    pthread_t carriers[CARRIED][2];
} way_t;

typedef struct {
    int from;
    int to;
} direction_t;

static int loopback (int port, struct sockaddr_in *address)
{
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons ((uint16_t) port)};
    address->sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    return socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void *carry_on (void *arg)
{
    direction_t direction = *(direction_t *) arg;
    char bytes[65536];
    free (arg);
    for (ssize_t size; (size = recv (direction.from, bytes, sizeof bytes, 0)) > 0;)
        for (ssize_t sent = 0, n; sent < size; sent += n)
            if ((n = send (direction.to, bytes + sent, (size_t) (size - sent), MSG_NOSIGNAL)) <= 0)
                return NULL;
    shutdown (direction.to, SHUT_WR);
    return NULL;
}

static void carry (way_t *self, int number)
{
    struct sockaddr_in address;
    int *ends = self->ends[number];
    ends[1] = loopback (self->program_port, &address);
    assert_int_equal (connect (ends[1], (struct sockaddr *) &address, sizeof address), 0);
    for (int i = 0; i < 2; i++) {
        direction_t *direction = malloc (sizeof *direction);
        *direction = (direction_t){ends[i], ends[!i]};
        ok (pthread_create (&self->carriers[number][i], NULL, carry_on, direction));
    }
}

/*  Until the listener is shut. */
static void *let_through (void *arg)
{
    way_t *self = arg;
    while (self->count < CONNECTIONS &&
           (self->ends[self->count][0] = accept (self->listener, NULL, NULL)) >= 0) {
        self->ends[self->count][1] = -1;
        if (self->count < CARRIED)
            carry (self, self->count);
        self->count++;
    }
    return NULL;
}

static void way_open (way_t *self, const char *endpoint, char way[64])
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    *self = (way_t){.program_port = atoi (strrchr (endpoint, ':') + 1)};
    self->listener = loopback (0, &address);
    assert_int_equal (bind (self->listener, (struct sockaddr *) &address, size), 0);
    assert_int_equal (listen (self->listener, CONNECTIONS), 0);
    assert_int_equal (getsockname (self->listener, (struct sockaddr *) &address, &size), 0);
    snprintf (way, 64, "tcp://127.0.0.1:%d", ntohs (address.sin_port));
    ok (pthread_create (&self->thread, NULL, let_through, self));
}

/*  Returns how many connections there were. */
static int way_close (way_t *self)
{
    shutdown (self->listener, SHUT_RDWR);
    pthread_join (self->thread, NULL);
    close (self->listener);
    for (int i = 0; i < self->count; i++)
        for (int end = 0; end < 2; end++)
            shutdown (self->ends[i][end], SHUT_RDWR);
    for (int i = 0; i < self->count; i++)
        for (int end = 0; end < 2 && i < CARRIED; end++)
            pthread_join (self->carriers[i][end], NULL);
    for (int i = 0; i < self->count; i++)
        for (int end = 0; end < 2; end++)
            if (self->ends[i][end] >= 0)
                close (self->ends[i][end]);
    return self->count;
}

/*  ---- One that does not read -------------------------------------------------------------- */

/*  More than all that may wait on its way: 16,384 in each of the two sockets, and what the kernel holds. And longer than
    a connection is given that is asked for a sign of life every two seconds. */
#define UNREAD 36000
#define SILENT_MS 6000

static bool have_all_failed (void *unused)
{
    (void) unused;
    return atomic_load (&failures) >= UNREAD + COMPONENTS;
}

/*  Its connection is left alone: if it were given up for being silent, libzmq 4.3.4 would abort as soon as it is read on
    while the next connection has not brought anything yet, which the way sees to. */
static void who_has_not_read_for_long_sees_what_is_and_what_it_lost (void **state)
{
    (void) state;
    way_t way;
    char endpoint[64];
    joiner_t joiner = {.lost = 0};
    atomic_store (&failures, 0);
    atomic_store (&most, UNREAD);
    atomic_store (&allowed, UNREAD);
    resil_supervisor_t *root = build ();
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS, .endpoint = "tcp://127.0.0.1:*"};
    resil_monitor_t *monitor = resil_monitor_new (root, &options);
    assert_non_null (monitor);
    way_open (&way, resil_monitor_endpoint (monitor), endpoint);
    join (&joiner, endpoint);
    ok (resil_program_join (joiner.program, LONG_MS));
    int64_t silent_until = zclock_mono () + SILENT_MS;
    ok (resil_supervisor_spawn (root));
    assert_true (support_wait_until (have_all_failed, NULL, LONG_MS));
    for (int64_t left; (left = silent_until - zclock_mono ()) > 0;)
        zclock_sleep ((int) left); /*  that it does not read meanwhile is the case               */
    resil_snapshot_t *snapshot = NULL;
    bool is_settled = false;
    for (int64_t until = zclock_mono () + LONG_MS; !is_settled && zclock_mono () < until;) {
        follow (&joiner);
        resil_snapshot_destroy (&snapshot);
        snapshot = resil_supervisor_snapshot (root);
        is_settled = has_settled (&joiner, 1, snapshot);
    }
    assert_true (is_settled);
    is_whole (&joiner, snapshot);
    assert_true (joiner.lost > 0);
    resil_snapshot_destroy (&snapshot);
    resil_watcher_destroy (&joiner.watcher);
    assert_int_equal (way_close (&way), CARRIED);
    resil_monitor_destroy (&monitor);
    resil_supervisor_destroy (&root);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (everybody_who_joins_in_between_sees_the_same_in_the_end),
        support_case (who_has_not_read_for_long_sees_what_is_and_what_it_lost),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
