/*  A monitor under load and among strangers: joiners during a flood of events, subscribers that stop reading, connections that
    say nothing or nonsense, many requests at once. Through all of it the tree goes on and the next client is served.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <poll.h>

#include "lever.h"
#include "monitor_client.h"
#include "system.h"
#include "zmtp.h"

static resil_supervisor_t *root;
static resil_monitor_t *monitor;

/*  ---- A program with a flood of events -------------------------------------------------------------- */

#define CHURNERS 20

static atomic_int failures_left;
static atomic_int pause_ms; /*  before each                                              */

/*  Fails, so often as all together are to. It reads no messages. */
static int churn (resil_self_t *self, void *args)
{
    (void) args;
    int pause = atomic_load (&pause_ms);
    if (pause && resil_wait (self, NULL, pause) < 0)
        return 0;
    if (atomic_fetch_sub (&failures_left, 1) > 0)
        return resil_fail (self, 5, "as ever");
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static int answer (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self;
    (void) args;
    return resil_message_kind (message) == RESIL_MESSAGE_CALL ? resil_reply (message, 0, "pong", 4)
                                                              : 0;
}

static void begin (int failures, size_t ring_bytes)
{
    static const resil_type_t answering = {RESIL_TYPE, .name = "answering", .on_message = answer};
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS, .endpoint = "tcp://127.0.0.1:*"};
    options.ring_bytes = ring_bytes;
    atomic_store (&failures_left, failures);
    ok (resil_type_register (&answering));
    root = supervisor_new (RESIL_UNLIMITED);
    monitor = resil_monitor_new (root, &options);
    if (!monitor)
        fail_msg ("%s", resil_errmsg ());
    for (int i = 0; i < CHURNERS; i++) {
        char name[16];
        snprintf (name, sizeof name, "c%d", i);
        ok (resil_supervisor_add_simple (root, name, churn, NULL, NULL));
    }
    resil_spec_t spec = {RESIL_SPEC, .name = "answering", .type = "answering"};
    ok (resil_supervisor_add (root, &spec));
}

static bool has_calmed_down (void *unused)
{
    (void) unused;
    return atomic_load (&failures_left) <= -CHURNERS;
}

static void calm_down (void)
{
    assert_true (support_wait_until (has_calmed_down, NULL, 4 * SUPPORT_PATIENCE_MS));
}

static void end (void)
{
    resil_monitor_destroy (&monitor);
    resil_supervisor_destroy (&root);
}

/*  ---- Joiners ---------------------------------------------------------------------------------------------- */

/*  What it knows of each component: by its name's number. */
typedef struct {
    client_t client;
    uint64_t sequence; /*  what is true of all below                                */
    int64_t incarnation[CHURNERS];
    int64_t nseq[CHURNERS];
    char state[CHURNERS][16];
    int gaps;
    int fills;
    int snapshots;
} joiner_t;

static int number_of (const char *path)
{
    int number;
    return sscanf (path, "/resil/c%d", &number) == 1 ? number : -1;
}

static void apply_node (joiner_t *self, const json_t *node, const char *state)
{
    int number = number_of (json_string_value (json_object_get (node, "path")));
    if (number < 0)
        return;
    self->incarnation[number] = json_integer_value (json_object_get (node, "incarnation"));
    self->nseq[number] = json_integer_value (json_object_get (node, "nseq"));
    snprintf (self->state[number], sizeof self->state[number], "%s",
              json_string_value (json_object_get (node, state)));
}

static void take_snapshot (joiner_t *self)
{
    size_t i;
    json_t *node;
    client_must (&self->client, "snapshot", "");
    json_array_foreach ((json_t *) (uintptr_t) client_field (&self->client, "result.nodes"), i,
                        node) apply_node (self, node, "state");
    self->sequence = (uint64_t) client_number (&self->client, "result.seq");
    self->snapshots++;
}

static void apply_event (joiner_t *self, const json_t *event)
{
    uint64_t sequence = (uint64_t) json_integer_value (json_object_get (event, "seq"));
    const char *type = json_string_value (json_object_get (event, "type"));
    if (sequence <= self->sequence)
        return;
    assert_int_equal (sequence, self->sequence + 1);
    self->sequence = sequence;
    if (strcmp (type, "state") == 0)
        apply_node (self, event, "to");
}

/*  From the ring; where that has forgotten, by another snapshot. */
static void fill_to (joiner_t *self, uint64_t sequence)
{
    while (self->sequence < sequence) {
        char fields[64];
        size_t i;
        json_t *event;
        snprintf (fields, sizeof fields, "\"from\":%" PRIu64, self->sequence + 1);
        client_must (&self->client, "events", fields);
        if (!json_is_true (client_field (&self->client, "result.complete"))) {
            take_snapshot (self);
            continue;
        }
        self->fills++;
        json_array_foreach ((json_t *) (uintptr_t) client_field (&self->client, "result.events"), i,
                            event) apply_event (self, event);
    }
}

/*  Subscribe, wait for the beat, take a snapshot, follow. */
static void join (joiner_t *self)
{
    *self = (joiner_t){.gaps = 0};
    client_open (&self->client, resil_monitor_endpoint (monitor), "resil1/event/");
    take_snapshot (self);
}

/*  Until the number that the program is at. */
static void follow_to (joiner_t *self, uint64_t end)
{
    while (self->sequence < end) {
        json_t *message = client_receive (&self->client, self->client.sub, SUPPORT_PATIENCE_MS);
        assert_non_null (message);
        uint64_t sequence = (uint64_t) client_number (&self->client, "seq");
        uint64_t before = client_is_beat (&self->client) ? sequence : sequence - 1;
        json_t *held = json_incref (message);
        if (before > self->sequence) {
            self->gaps++;
            fill_to (self, before);
        }
        if (json_object_get (held, "type"))
            apply_event (self, held);
        json_decref (held);
    }
}

static void is_as_the_program (const joiner_t *self, const resil_snapshot_t *snapshot)
{
    for (size_t i = 0; i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        int number = number_of (is->path);
        if (number < 0)
            continue;
        assert_string_equal (self->state[number], resil_state_name (is->state));
        assert_int_equal (self->incarnation[number], is->incarnation);
        assert_int_equal (self->nseq[number], is->events);
    }
}

#define JOINERS 6

static void joiners_see_what_is (int failures, int pause, size_t ring_bytes)
{
    atomic_store (&pause_ms, pause);
    static joiner_t joiners[JOINERS];
    begin (failures, ring_bytes);
    join (&joiners[0]);
    ok (resil_supervisor_spawn (root));
    for (int i = 1; i < JOINERS; i++) {
        int left = failures - i * failures / JOINERS;
        while (atomic_load (&failures_left) > left)
            poll (NULL, 0, 1);
        join (&joiners[i]);
    }
    calm_down ();
    resil_snapshot_t *snapshot;
    /*  What they are at has settled when two snapshots in a row are of the same number. */
    uint64_t sequence = 0;
    for (;;) {
        snapshot = resil_supervisor_snapshot (root);
        assert_non_null (snapshot);
        bool is_same = resil_snapshot_sequence (snapshot) == sequence;
        sequence = resil_snapshot_sequence (snapshot);
        if (is_same)
            break;
        resil_snapshot_destroy (&snapshot);
        poll (NULL, 0, 50);
    }
    for (int i = 0; i < JOINERS; i++) {
        follow_to (&joiners[i], sequence);
        is_as_the_program (&joiners[i], snapshot);
        print_message ("joiner %d: of %d events %d gaps, %d fills, %d snapshots\n", i,
                       (int) sequence, joiners[i].gaps, joiners[i].fills, joiners[i].snapshots);
        client_close (&joiners[i].client);
    }
    resil_snapshot_destroy (&snapshot);
    end ();
}

static void joiners_at_any_moment_end_with_the_same_picture (void **state)
{
    (void) state;
    joiners_see_what_is (40000, 1, (size_t) 4 << 20);
}

static void where_the_ring_forgets_too_soon_it_says_so (void **state)
{
    (void) state;
    joiners_see_what_is (40000, 0, (size_t) 64 << 10);
}

/*  ---- Strangers --------------------------------------------------------------------------------------------- */

static atomic_bool have_spoken;

/*  The other side has closed it. */
static void is_hung_up_on (int fd)
{
    char bytes[4096];
    struct pollfd item = {.fd = fd, .events = POLLIN};
    do
        assert_int_equal (poll (&item, 1, SUPPORT_PATIENCE_MS), 1);
    while (recv (fd, bytes, sizeof bytes, 0) > 0);
    close (fd);
}

static void still_serves (void)
{
    client_t client;
    client_open (&client, resil_monitor_endpoint (monitor), "resil1/event/");
    client_must (&client, "snapshot", "");
    client_close (&client);
}

static void nonsense_is_hung_up_on (void **state)
{
    (void) state;
    begin (0, (size_t) 4 << 20);
    ok (resil_supervisor_spawn (root));
    const char *endpoints[] = {resil_monitor_endpoint (monitor), resil_monitor_control (monitor)};
    const char *types[] = {"SUB", "DEALER"};
    static const char web[] =
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n and more than a greeting has, to be sure of it";
    static const unsigned char huge[] = {2, 0, 0, 0, 2, 0, 0, 0, 0};
    for (int i = 0; i < 2; i++) {
        int fd = raw_connect (endpoints[i]);
        say (fd, web, sizeof web - 1);
        is_hung_up_on (fd);
        fd = raw_connect (endpoints[i]);
        shake_hands (fd, types[i]);
        say (fd, huge, sizeof huge); /*  a frame of 8 GiB comes                             */
        is_hung_up_on (fd);
        still_serves ();
    }
    end ();
}

/*  The head of a frame that long, and nothing of it: whether that is too long is known by then. */
static void announce (int fd, const char *type, size_t size)
{
    unsigned char head[] = {2,
                            0,
                            0,
                            0,
                            0,
                            0,
                            (unsigned char) (size >> 16),
                            (unsigned char) (size >> 8),
                            (unsigned char) size};
    shake_hands (fd, type);
    say (fd, head, sizeof head);
}

static void what_is_too_long_is_hung_up_on (void **state)
{
    (void) state;
    begin (0, (size_t) 4 << 20);
    ok (resil_supervisor_spawn (root));
    int fds[] = {raw_connect (resil_monitor_endpoint (monitor)),
                 raw_connect (resil_monitor_control (monitor))};
    announce (fds[0], "SUB", 1024 + 1);
    is_hung_up_on (fds[0]);
    announce (fds[1], "DEALER", 2 * 64 * 1024 + 1);
    is_hung_up_on (fds[1]);
    /*  Up to that it is read, and there is an answer. */
    client_t client;
    static char text[64 * 1024 + 2];
    memset (text, ' ', sizeof text - 1);
    client_open (&client, resil_monitor_endpoint (monitor), "none/");
    ok (zstr_send (client.dealer, text));
    assert_non_null (client_receive (&client, client.dealer, SUPPORT_PATIENCE_MS));
    assert_non_null (strstr (client_text (&client, "error.text"), "at most 65536 bytes"));
    client_close (&client);
    end ();
}

/*  Speaks as ZMTP did before it had handshakes: who one is, in an empty frame and then another one, in two pieces. */
static void *speak_as_of_old (void *endpoint)
{
    static const char first[] = "\1", second[] = "\0\2\0x";
    while (!atomic_load (&have_spoken)) {
        int fd = raw_knock (endpoint);
        if (raw_is_in (fd, SUPPORT_PATIENCE_MS)) {
            say (fd, first, 1);
            say (fd, second, sizeof second - 1);
        }
        close (fd);
    }
    return NULL;
}

/*  libzmq 4.3.4 aborts where the first message of such a one comes as the socket is closed. */
static void who_speaks_as_of_old_is_hung_up_on_and_harms_no_end (void **state)
{
    (void) state;
    for (int i = 0; i < 20; i++) {
        char endpoints[2][256];
        pthread_t speakers[2];
        begin (0, (size_t) 4 << 20);
        ok (resil_supervisor_spawn (root));
        snprintf (endpoints[0], sizeof endpoints[0], "%s", resil_monitor_endpoint (monitor));
        snprintf (endpoints[1], sizeof endpoints[1], "%s", resil_monitor_control (monitor));
        atomic_store (&have_spoken, false);
        for (int at = 0; at < 2; at++) {
            int fd = raw_connect (endpoints[at]);
            say (fd, "\1", 2);
            is_hung_up_on (fd);
            ok (pthread_create (&speakers[at], NULL, speak_as_of_old, endpoints[at]));
        }
        still_serves ();
        end ();
        atomic_store (&have_spoken, true);
        for (int at = 0; at < 2; at++)
            ok (pthread_join (speakers[at], NULL));
    }
}

/*  A request that breaks off, then bytes of any kind. */
static void garble (const char *endpoint, const char *type)
{
    static const char half[] = "\0\144{\"v\":1,\"id\"";
    uint32_t random = 1;
    for (int i = 0; i < 100; i++) {
        unsigned char bytes[256];
        int fd = raw_connect (endpoint);
        shake_hands (fd, type);
        if (i % 2)
            say (fd, half, sizeof half - 1);
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (unsigned char) ((random = random * 1664525 + 1013904223) >> 24);
        say (fd, bytes, i % 4 == 1 ? 0 : sizeof bytes);
        close (fd);
    }
}

static void what_makes_no_sense_after_a_handshake_harms_nobody (void **state)
{
    (void) state;
    begin (0, (size_t) 4 << 20);
    ok (resil_supervisor_spawn (root));
    garble (resil_monitor_endpoint (monitor), "SUB");
    garble (resil_monitor_control (monitor), "DEALER");
    still_serves ();
    end ();
}

/*  What comes to such a one over its connection, up to the text that is looked for. */
static void is_told (int fd, const char *text)
{
    static char said[4096];
    size_t size = 0;
    struct pollfd item = {.fd = fd, .events = POLLIN};
    do {
        assert_int_equal (poll (&item, 1, SUPPORT_PATIENCE_MS), 1);
        ssize_t got = recv (fd, said + size, sizeof said - size, 0);
        assert_true (got > 0);
        size += (size_t) got;
    } while (!memmem (said, size, text, strlen (text)));
}

static void ask_hello (int fd)
{
    static const char hello[] = "\0\42{\"v\":1,\"id\":\"of-raw\",\"do\":\"hello\"}";
    _Static_assert(sizeof hello - 3 == 042, "its length stands before it");
    say (fd, hello, sizeof hello - 1);
}

/*  As long as ZeroMQ's own sockets let it be, and longer. */
static void who_has_a_name_that_is_too_long_is_not_answered (void **state)
{
    (void) state;
    enum { LONGEST = 255 };
    char name[LONGEST + 1];
    memset (name, 'n', sizeof name);
    begin (0, (size_t) 4 << 20);
    ok (resil_supervisor_spawn (root));
    for (size_t size = LONGEST + 1; size >= LONGEST; size--) {
        int fd = raw_connect (resil_monitor_control (monitor));
        shake_hands_as (fd, "DEALER", name, size);
        ask_hello (fd);
        if (size == LONGEST)
            is_told (fd, "\"of-raw\"");
        still_serves ();
        if (size > LONGEST) {
            shutdown (fd, SHUT_WR);
            char said[4096];
            ssize_t got, all = 0;
            while ((got = recv (fd, said + all, sizeof said - (size_t) all, 0)) > 0)
                all += got;
            assert_null (memmem (said, (size_t) all, "of-raw", 6));
        }
        close (fd);
    }
    end ();
}

#define SILENT 500

static void who_says_nothing_keeps_nobody_out (void **state)
{
    (void) state;
    int fds[SILENT];
    begin (0, (size_t) 4 << 20);
    ok (resil_supervisor_spawn (root));
    for (int i = 0; i < SILENT; i++)
        fds[i] = raw_connect (i & 1 ? resil_monitor_endpoint (monitor)
                                    : resil_monitor_control (monitor));
    still_serves ();
    for (int i = 0; i < SILENT; i++)
        is_hung_up_on (fds[i]);
    end ();
}

#define KNOCKING (4 * 256)

/*  Twice as many as may be, to each endpoint, none of whom says anything. How many come in at most. */
static int knock (void)
{
    static int fds[KNOCKING];
    client_t client;
    begin (0, (size_t) 4 << 20);
    ok (resil_supervisor_spawn (root));
    client_open (&client, resil_monitor_endpoint (monitor), "resil1/event/");
    int before = support_descriptors (), most = 0;
    for (int i = 0; i < KNOCKING; i++) {
        fds[i] =
            raw_knock (i & 1 ? resil_monitor_endpoint (monitor) : resil_monitor_control (monitor));
        int held = i % 16 ? 0 : support_descriptors () - before - (i + 1);
        most = held > most ? held : most;
    }
    client_await (&client, "type", "refused");
    assert_non_null (strstr (client_text (&client, "error.text"), "connections are taken"));
    client_must (&client, "list", "");
    for (int i = 0; i < KNOCKING; i++)
        close (fds[i]);
    client_close (&client);
    still_serves ();
    end ();
    return most;
}

/*  What is on its way when the door is shut comes in; that may be all of them where who shuts it had to wait for its turn. */
static void strangers_beyond_the_limit_wait_at_the_door (void **state)
{
    (void) state;
    int most = KNOCKING;
    for (int i = 0; i < 5 && most >= KNOCKING * 3 / 4; i++)
        most = knock ();
    assert_true (most < KNOCKING * 3 / 4);
}

/*  ---- Slow and hasty ones --------------------------------------------------------------------------------- */

static void who_stops_reading_delays_nobody (void **state)
{
    (void) state;
    joiner_t reader;
    atomic_store (&pause_ms, 0);
    begin (20000, (size_t) 4 << 20);
    int fd = raw_connect (resil_monitor_endpoint (monitor));
    shake_hands (fd, "SUB");
    static const unsigned char to_all[] = {0, 1, 1};
    say (fd, to_all, sizeof to_all);
    join (&reader);
    ok (resil_supervisor_spawn (root));
    calm_down ();
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    follow_to (&reader, resil_snapshot_sequence (snapshot));
    resil_snapshot_destroy (&snapshot);
    client_close (&reader.client);
    close (fd);
    still_serves ();
    end ();
}

/*  In this process there are both ends of it, until the monitor closes its own. */
static bool has_lost_one (void *descriptors)
{
    return support_descriptors () < *(int *) descriptors;
}

#define UNSENT_MS 15000

static bool has_no_more (void *arg)
{
    return support_descriptors () <= *(const int *) arg;
}

static void who_takes_nothing_for_fifteen_seconds_is_cut_off (void **state)
{
    (void) state;
    static const unsigned char to_all[] = {0, 1, 1};
    static const int small = 4096;
    atomic_store (&pause_ms, 0);
    begin (20000, (size_t) 4 << 20);
    int fd = raw_connect (resil_monitor_endpoint (monitor));
    assert_int_equal (setsockopt (fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    shake_hands (fd, "SUB");
    say (fd, to_all, sizeof to_all);
    int descriptors = support_descriptors ();
    still_serves ();
    /*  What that took goes in its time. */
    assert_true (support_wait_until (has_no_more, &descriptors, SUPPORT_PATIENCE_MS));
    int64_t from_ms = zclock_mono ();
    ok (resil_supervisor_spawn (root));
    calm_down ();
    descriptors = support_descriptors ();
    assert_true (support_wait_until (has_lost_one, &descriptors, UNSENT_MS + SUPPORT_PATIENCE_MS));
    assert_true (zclock_mono () - from_ms >= UNSENT_MS);
    close (fd);
    still_serves ();
    end ();
}

static void a_thousand_requests_at_once_are_all_answered (void **state)
{
    (void) state;
    client_t client;
    begin (0, (size_t) 4 << 20);
    ok (resil_supervisor_spawn (root));
    client_open (&client, resil_monitor_endpoint (monitor), "none/");
    for (int i = 0; i < 1000; i++) {
        char text[128];
        snprintf (text, sizeof text,
                  "{\"v\":1,\"id\":\"%d\",\"do\":\"%s\",\"path\":\"/resil/c%d\"}", i,
                  i % 3 == 0   ? "describe"
                  : i % 3 == 1 ? "list"
                               : "restart",
                  i % CHURNERS);
        assert_int_equal (zstr_send (client.dealer, text), 0);
    }
    bool is_answered[1000] = {false};
    for (int i = 0; i < 1000; i++) {
        assert_non_null (client_receive (&client, client.dealer, SUPPORT_PATIENCE_MS));
        int id = atoi (client_text (&client, "id"));
        assert_false (is_answered[id]);
        is_answered[id] = true;
        if (id % 3 == 2)
            assert_string_equal (client_text (&client, "error.kind"), "refused");
    }
    client_close (&client);
    end ();
}

/*  What is due before the last of them is only due after that time. */
#define ASKED_ON 3000
#define PACED_US ((ASKED_ON - 2000) * (int64_t) 1000)

static void who_asks_without_end_is_answered_at_a_bounded_rate (void **state)
{
    (void) state;
    client_t client;
    begin (0, (size_t) 4 << 20);
    ok (resil_supervisor_spawn (root));
    client_open (&client, resil_monitor_endpoint (monitor), "none/");
    int64_t from_us = zclock_usecs ();
    for (int asked = 0, answered = 0; answered < ASKED_ON; answered++) {
        for (; asked < ASKED_ON && asked < answered + 500; asked++)
            assert_int_equal (zstr_send (client.dealer, "{\"v\":1,\"id\":\"a\",\"do\":\"hello\"}"),
                              0);
        assert_non_null (client_receive (&client, client.dealer, SUPPORT_PATIENCE_MS));
    }
    assert_true (zclock_usecs () - from_us >= PACED_US);
    still_serves ();
    client_close (&client);
    end ();
}

/*  ---- Memory --------------------------------------------------------------------------------------------- */

/*  What the protocol's description states, and what the allocator keeps beside. */
#define ASKERS 8
#define ASKED (SYSTEM_IS_SANITIZED ? 100 : 500) /*  which take their time to be read there        */
#define IDLE_SUBSCRIBERS 4
#define MIB ((int64_t) 1 << 20)
#define STATED_BYTES ((96 + ASKERS * 4 + IDLE_SUBSCRIBERS * 10) * MIB)

/*  The most that the process has had in memory at a time, from the last `forget` on. */
static int64_t most_bytes (void)
{
    char line[128];
    long long kib = 0;
    FILE *file = fopen ("/proc/self/status", "re");
    while (fgets (line, sizeof line, file))
        sscanf (line, "VmHWM: %lld", &kib);
    fclose (file);
    return kib * 1024;
}

static void forget_most_bytes (void)
{
    FILE *file = fopen ("/proc/self/clear_refs", "we");
    assert_non_null (file);
    fputs ("5", file);
    fclose (file);
}

/*  A client that asks for much, and reads nothing. */
static int ask_and_not_read (void)
{
    char request[256] = "{\"v\":1,\"id\":\"x\",\"do\":\"events\",\"from\":1,\"limit\":1000}";
    unsigned char frame[256] = {0, (unsigned char) strlen (request)};
    memcpy (frame + 2, request, strlen (request));
    int fd = raw_connect (resil_monitor_control (monitor));
    shake_hands (fd, "DEALER");
    for (int i = 0; i < ASKED; i++)
        say (fd, frame, 2 + strlen (request));
    return fd;
}

/*  Sends what is as large as can be, and larger when it is read: two for each byte. Returns who has sent it: until that is
    destroyed it goes on with what has not gone yet, and then it is not to linger, as the monitor may be gone by then. */
static zsock_t *send_what_is_large (void)
{
    static char request[64 << 10];
    size_t size = (size_t) snprintf (request, sizeof request,
                                     "{\"v\":1,\"id\":\"x\",\"do\":\"health\",\"y\":[");
    while (size < sizeof request - 8)
        size += (size_t) snprintf (request + size, sizeof request - size, "{},");
    snprintf (request + size, sizeof request - size, "0]}");
    zsock_t *socket = zsock_new (ZMQ_DEALER);
    zsock_set_linger (socket, 0);
    zsock_set_sndhwm (socket, 4);
    zsock_set_rcvhwm (socket, 1);
    assert_int_equal (zsock_connect (socket, "%s", resil_monitor_control (monitor)), 0);
    for (int i = 0; i < ASKED; i++)
        assert_int_equal (zstr_send (socket, request), 0);
    return socket;
}

static bool is_served_at_last (void *endpoint)
{
    client_t client;
    client_open (&client, endpoint, "none/");
    client_ask (&client, "hello", "");
    bool is_ok = json_is_true (client_field (&client, "ok"));
    client_close (&client);
    return is_ok;
}

static void memory_has_the_bound_that_is_stated (void **state)
{
    (void) state;
    int fds[ASKERS + IDLE_SUBSCRIBERS];
    static const unsigned char to_all[] = {0, 1, 1};
    atomic_store (&pause_ms, 0);
    begin (20000, (size_t) 4 << 20);
    for (int i = 0; i < IDLE_SUBSCRIBERS; i++) {
        fds[ASKERS + i] = raw_connect (resil_monitor_endpoint (monitor));
        shake_hands (fds[ASKERS + i], "SUB");
        say (fds[ASKERS + i], to_all, sizeof to_all);
    }
    still_serves ();
    malloc_trim (0);
    forget_most_bytes ();
    int64_t before = most_bytes ();
    ok (resil_supervisor_spawn (root));
    calm_down ();
    for (int i = 0; i < ASKERS; i++)
        fds[i] = ask_and_not_read ();
    zsock_t *sender = send_what_is_large ();
    char *endpoint = (char *) (uintptr_t) resil_monitor_endpoint (monitor);
    assert_true (support_wait_until (is_served_at_last, endpoint, 4 * SUPPORT_PATIENCE_MS));
    int64_t took = most_bytes () - before;
    print_message ("%d MiB taken, %d MiB stated\n", (int) (took / MIB), (int) (STATED_BYTES / MIB));
    if (!SYSTEM_IS_SANITIZED)
        assert_true (took <= STATED_BYTES);
    for (int i = 0; i < ASKERS + IDLE_SUBSCRIBERS; i++)
        close (fds[i]);
    zsock_destroy (&sender);
    end ();
}

/*  ---- What is asked of the tree ---------------------------------------------------------------------------- */

#define SHOWN (SYSTEM_IS_SANITIZED ? 500 : 4000)
#define LOOKS 20
#define MOST_REST_US 100000

/*  With a tree that takes its time to say how it stands. */
static void begin_large (int64_t beat_ms)
{
    begin (0, (size_t) 4 << 20);
    resil_monitor_destroy (&monitor);
    for (int i = 0; i < SHOWN; i++) {
        char name[32];
        snprintf (name, sizeof name, "light%d", i);
        resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "answering"};
        spec.placement = RESIL_SHARED;
        ok (resil_supervisor_add (root, &spec));
    }
    ok (resil_supervisor_spawn (root));
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS, .endpoint = "tcp://127.0.0.1:*"};
    options.beat_ms = beat_ms;
    monitor = resil_monitor_new (root, &options);
    assert_non_null (monitor);
}

/*  The least that it takes the tree. */
static int64_t used_us (void)
{
    struct timespec used;
    clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t) used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/*  Of the processor, whatever else the machine does meanwhile. */
static int64_t least_us (void)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < LOOKS; i++) {
        int64_t from_us = used_us ();
        resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
        assert_non_null (snapshot);
        int64_t took_us = used_us () - from_us;
        least = took_us < least ? took_us : least;
        resil_snapshot_destroy (&snapshot);
    }
    return least;
}

/*  Between two moments in which it was asked there are twenty times as long as the first took, or a tenth of a second; which may have
    been quicker than here, but not four times as quick. */
static void are_seldom (int64_t *asked_us, size_t count, int64_t least)
{
    int64_t rest_us = 5 * least < MOST_REST_US ? 5 * least : MOST_REST_US;
    for (size_t i = 1; i < count; i++)
        if (asked_us[i] != asked_us[i - 1])
            assert_in_range (asked_us[i] - asked_us[i - 1], rest_us, INT64_MAX);
}

static void who_asks_all_the_time_takes_the_tree_a_part_of_it (void **state)
{
    (void) state;
    client_t client;
    int64_t asked_us[LOOKS];
    begin_large (1000);
    int64_t least = least_us ();
    client_open (&client, resil_monitor_endpoint (monitor), "none/");
    for (int i = 0; i < LOOKS; i++) {
        client_must (&client, "describe", "\"path\":\"/resil/answering\"");
        asked_us[i] = client_number (&client, "result.at_us");
    }
    are_seldom (asked_us, LOOKS, least);
    client_close (&client);
    end ();
}

static int by_time (const void *one, const void *other)
{
    int64_t a = *(const int64_t *) one, b = *(const int64_t *) other;
    return a < b ? -1 : a > b;
}

/*  A beat each 10 ms has no more asked of it, beside who asks for the same. */
static void samples_keep_that_pace_too (void **state)
{
    (void) state;
    client_t client;
    int64_t asked_us[2 * LOOKS];
    begin_large (10);
    int64_t least = least_us ();
    client_open (&client, resil_monitor_endpoint (monitor), "resil1/sample/resil/answering/");
    for (int i = 0; i < LOOKS; i++) {
        client_must (&client, "metrics", "\"path\":\"/resil/answering\"");
        asked_us[2 * i] = client_number (&client, "result.at_us");
        do
            assert_non_null (client_receive (&client, client.sub, SUPPORT_PATIENCE_MS));
        while (client_is_beat (&client));
        asked_us[2 * i + 1] = client_number (&client, "at_us");
    }
    qsort (asked_us, 2 * LOOKS, sizeof *asked_us, by_time);
    are_seldom (asked_us, 2 * LOOKS, least);
    client_close (&client);
    end ();
}

static size_t bytes_in_use (void)
{
    struct mallinfo2 is = mallinfo2 ();
    return is.uordblks + is.hblkhd;
}

static bool has_let_go (void *bytes)
{
    return bytes_in_use () <= *(size_t *) bytes;
}

/*  As the sanitizers have memory of their own, of which mallinfo knows nothing, this shows nothing with them. */
static void what_the_tree_has_said_is_not_kept (void **state)
{
    (void) state;
    client_t client;
    begin_large (1000);
    client_open (&client, resil_monitor_endpoint (monitor), "none/");
    client_must (&client, "hello", "");
    size_t before = bytes_in_use ();
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    size_t most = before + (bytes_in_use () - before) / 4;
    resil_snapshot_destroy (&snapshot);
    client_must (&client, "describe", "\"path\":\"/resil/answering\"");
    client_must (&client, "metrics", "\"path\":\"/resil/answering\"");
    assert_true (support_wait_until (has_let_go, &most, SUPPORT_PATIENCE_MS));
    client_close (&client);
    end ();
}

/*  ---- One who may call --------------------------------------------------------------------------------- */

static char home[64];

/*  With a monitor that lets its clients do everything. */
static void begin_with_ipc (void)
{
    char endpoint[96];
    strcpy (home, "/tmp/resil-test-XXXXXX");
    assert_non_null (mkdtemp (home));
    snprintf (endpoint, sizeof endpoint, "ipc://%s/m", home);
    begin (0, (size_t) 4 << 20);
    resil_monitor_destroy (&monitor);
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS, .endpoint = endpoint};
    monitor = resil_monitor_new (root, &options);
    assert_non_null (monitor);
    ok (resil_supervisor_spawn (root));
}

static void end_with_ipc (void)
{
    static const char *const files[] = {"m", "m.control"};
    end ();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char file[128];
        snprintf (file, sizeof file, "%s/%s", home, files[i]);
        unlink (file);
    }
    rmdir (home);
}

/*  Who is gone before its call is answered keeps nobody's place. */
static void who_dies_with_a_request_under_way_is_forgotten (void **state)
{
    (void) state;
    begin_with_ipc ();
    for (int i = 0; i < 20; i++) {
        client_t client;
        client_open (&client, resil_monitor_endpoint (monitor), "none/");
        zstr_sendf (client.dealer,
                    "{\"v\":1,\"id\":\"%d\",\"do\":\"call\",\"path\":\"/resil/c0\",\"text\":\"\","
                    "\"timeout_us\":200000}",
                    i);
        client_must (&client, "call", "\"path\":\"/resil/answering\",\"text\":\"ping\"");
        assert_string_equal (client_text (&client, "result.text"), "pong");
        client_close (&client);
    }
    end_with_ipc ();
}

/*  It takes no other monitor until that has ended, which it has with the tree at the latest. */
static void a_call_that_may_be_long_does_not_keep_it_for_ever (void **state)
{
    (void) state;
    client_t client;
    begin_with_ipc ();
    client_open (&client, resil_monitor_endpoint (monitor), "resil1/event/");
    zstr_send (client.dealer,
               "{\"v\":1,\"id\":\"long\",\"do\":\"call\",\"path\":\"/resil/c0\",\"text\":\"\","
               "\"timeout_us\":3600000000}");
    client_must (&client, "call", "\"path\":\"/resil/answering\",\"text\":\"ping\"");
    client_close (&client);
    resil_monitor_destroy (&monitor);
    assert_null (monitor);
    assert_null (resil_monitor_new (root, NULL));
    assert_int_equal (errno, EALREADY);
    end_with_ipc ();
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        trace_case (joiners_at_any_moment_end_with_the_same_picture),
        trace_case (where_the_ring_forgets_too_soon_it_says_so),
        trace_case (nonsense_is_hung_up_on),
        trace_case (what_is_too_long_is_hung_up_on),
        trace_case (who_speaks_as_of_old_is_hung_up_on_and_harms_no_end),
        trace_case (what_makes_no_sense_after_a_handshake_harms_nobody),
        trace_case (who_has_a_name_that_is_too_long_is_not_answered),
        trace_case (who_says_nothing_keeps_nobody_out),
        trace_case (strangers_beyond_the_limit_wait_at_the_door),
        trace_case (who_stops_reading_delays_nobody),
        trace_case (who_takes_nothing_for_fifteen_seconds_is_cut_off),
        trace_case (a_thousand_requests_at_once_are_all_answered),
        trace_case (who_asks_without_end_is_answered_at_a_bounded_rate),
        trace_case (memory_has_the_bound_that_is_stated),
        trace_case (who_asks_all_the_time_takes_the_tree_a_part_of_it),
        trace_case (samples_keep_that_pace_too),
        trace_case (what_the_tree_has_said_is_not_kept),
        trace_case (who_dies_with_a_request_under_way_is_forgotten),
        trace_case (a_call_that_may_be_long_does_not_keep_it_for_ever),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
