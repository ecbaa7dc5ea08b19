/*  Links over ipc: both machines joined by it, in one process and in two; a peer that is killed and comes again; what is no
    frame, and what is nobody's.

    `test_transport_ipc sink <endpoint> <token> <incarnation>` is the other process.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link.h"
#include "link/receiver.h"
#include "link/sender.h"
#include "link/transport_ipc.h"

#define LINK 7
#define WINDOW 16
#define RECORD_BYTES 20000 /*  so that a batch stays in its message                           */
#define LEDGER_FD 9        /*  of the other process                                           */

/*  ---- Both ends ------------------------------------------------------------------------------------- */

typedef struct {
    resil__ipc_t ipc;
    resil__ipc_peer_t peer;
    resil__link_sender_t sender;
    resil__link_slot_t slots[WINDOW];
    uint32_t items;
    uint32_t given;
} source_t;

typedef struct {
    resil__ipc_t ipc;
    resil__link_receiver_t receiver;
    resil__link_landing_t landings[WINDOW];
    uint32_t got;
    int ledger; /*  gets the number of each batch before it is confirmed; -1: none          */
} sink_t;

/*  Record i of it begins with its number. */
static resil__record_batch_t *numbered_batch (uint32_t number, size_t size)
{
    resil__record_batch_t *batch = resil__record_batch_new (resil__record_room (size));
    assert_non_null (batch);
    unsigned char *at = resil__record_batch_append_room (batch, size);
    assert_non_null (at);
    memset (at, (int) (number % 251), size);
    memcpy (at, &number, sizeof number);
    return batch;
}

static void begin_source (source_t *self, uint32_t items)
{
    memset (self, 0, sizeof *self);
    ok (resil__ipc_listen (&self->ipc));
    ok (resil__ipc_expect (&self->ipc, &self->peer));
    resil__link_sender_init (&self->sender, LINK, 1, 1, self->slots, WINDOW, SIZE_MAX / 2,
                             &link_times);
    self->items = items;
}

static void end_source (source_t *self)
{
    resil__link_sender_release (&self->sender);
    resil__ipc_forget (&self->ipc, &self->peer);
    resil__ipc_close (&self->ipc);
}

static void begin_sink (sink_t *self, const char *endpoint, const char *token, uint64_t incarnation)
{
    memset (self, 0, sizeof *self);
    ok (resil__ipc_connect (&self->ipc, endpoint, token));
    resil__link_receiver_init (&self->receiver, LINK, incarnation, self->landings, WINDOW,
                               SIZE_MAX / 2, &link_times);
    self->ledger = -1;
}

/*  Each number up to `items`, and then the end. */
static void give (source_t *self)
{
    while (self->given < self->items && resil__link_sender_held (&self->sender) < WINDOW) {
        size_t size = self->given % 3 == 2 ? 100 : RECORD_BYTES;
        ok (resil__link_sender_put (&self->sender, numbered_batch (++self->given, size)));
    }
    if (self->given == self->items && !self->sender.end &&
        resil__link_sender_held (&self->sender) < WINDOW)
        ok (resil__link_sender_end (&self->sender));
}

static void pump_source (source_t *self)
{
    resil__link_frame_t frame;
    resil__ipc_peer_t *from;
    int rc;
    while ((rc = resil__ipc_receive (&self->ipc, &frame, &from)) != 0)
        if (rc > 0 && from == &self->peer)
            resil__link_sender_take (&self->sender, zclock_mono (), &frame);
    give (self);
    while (resil__ipc_has_room (&self->ipc, &self->peer) &&
           resil__link_sender_next (&self->sender, zclock_mono (), &frame))
        if (resil__ipc_send (&self->ipc, &self->peer, &frame) != 0)
            assert_int_equal (errno, EHOSTUNREACH);
}

static void work_on (sink_t *self, const resil__link_frame_t *frame,
                     const resil__link_delivery_t *delivery)
{
    uint32_t number;
    if (!delivery->is_end) {
        assert_non_null (frame->batch);
        assert_ptr_equal (frame->payload, frame->batch->payload);
        resil__records_t records = resil__records_of (frame->payload, frame->size);
        assert_true (resil__records_next (&records));
        memcpy (&number, records.record, sizeof number);
        assert_int_equal (number, delivery->sequence);
        const unsigned char *bytes = records.record;
        assert_int_equal (bytes[records.size - 1], number % 251);
        self->got++;
        if (self->ledger >= 0)
            assert_int_equal (write (self->ledger, &number, sizeof number), sizeof number);
    }
    assert_true (resil__link_receiver_done (&self->receiver, delivery));
}

static void pump_sink (sink_t *self)
{
    resil__link_frame_t frame;
    resil__link_delivery_t delivery;
    resil__ipc_peer_t *from;
    int rc;
    while ((rc = resil__ipc_receive (&self->ipc, &frame, &from)) != 0)
        if (rc > 0 && resil__link_receiver_take (&self->receiver, zclock_mono (), &frame,
                                                 &delivery) == RESIL__LINK_DELIVERED)
            work_on (self, &frame, &delivery);
    while (resil__ipc_has_room (&self->ipc, &self->ipc.listener) &&
           resil__link_receiver_next (&self->receiver, zclock_mono (), &frame))
        ok (resil__ipc_send (&self->ipc, &self->ipc.listener, &frame));
}

/*  Something may have come, or it is time to look. */
static void await (const resil__ipc_t *a, const resil__ipc_t *b)
{
    struct pollfd fds[] = {{.fd = a->fd, .events = POLLIN},
                           {.fd = b ? b->fd : -1, .events = POLLIN}};
    poll (fds, 2, 20);
}

static bool is_late (int64_t began_at_ms)
{
    return zclock_mono () - began_at_ms > SUPPORT_PATIENCE_MS;
}

static void run_to_the_end (source_t *source, sink_t *sink)
{
    int64_t began_at_ms = zclock_mono ();
    while (source->sender.state != RESIL__SENDER_ENDED ||
           sink->receiver.state != RESIL__RECEIVER_ENDED) {
        assert_false (is_late (began_at_ms));
        pump_source (source);
        pump_sink (sink);
        await (&source->ipc, &sink->ipc);
    }
}

/*  ---- One process ----------------------------------------------------------------------------------- */

static source_t source;
static sink_t sink;

static void all_comes_once_and_in_order (void **state)
{
    (void) state;
    begin_source (&source, 500);
    begin_sink (&sink, source.ipc.endpoint, source.peer.token, 1);
    run_to_the_end (&source, &sink);
    assert_int_equal (sink.got, 500);
    assert_int_equal (sink.receiver.duplicates + sink.receiver.gaps + source.sender.resent, 0);
    assert_int_equal (source.ipc.broken + source.ipc.strangers + sink.ipc.broken, 0);
    resil__ipc_close (&sink.ipc);
    end_source (&source);
}

static void a_peer_that_goes_and_comes_again_goes_on (void **state)
{
    (void) state;
    begin_source (&source, 300);
    begin_sink (&sink, source.ipc.endpoint, source.peer.token, 1);
    for (uint64_t life = 2; life < 6; life++) {
        int64_t began_at_ms = zclock_mono ();
        for (uint32_t enough = sink.got + 20; sink.got < enough;) {
            assert_false (is_late (began_at_ms));
            pump_source (&source);
            pump_sink (&sink);
            await (&source.ipc, &sink.ipc);
        }
        resil__ipc_close (&sink.ipc);
        ok (resil__ipc_connect (&sink.ipc, source.ipc.endpoint, source.peer.token));
        ok (resil__link_receiver_restart (&sink.receiver, life));
    }
    run_to_the_end (&source, &sink);
    assert_true (sink.got >= 300 && sink.got <= 300 + 4 * WINDOW);
    resil__ipc_close (&sink.ipc);
    end_source (&source);
}

/*  With the references that only the test and ZeroMQ have. */
typedef struct {
    resil__record_batch_t *batch;
    unsigned references;
} references_t;

static bool has_references (void *arg)
{
    const references_t *of = arg;
    return atomic_load (&of->batch->references) == of->references;
}

static resil__link_frame_t frame_of (resil__record_batch_t *batch)
{
    return (resil__link_frame_t){.type = RESIL__LINK_DATA,
                                 .link = LINK,
                                 .session = 1,
                                 .sender = 1,
                                 .receiver = 1,
                                 .sequence = 1,
                                 .count = batch->count,
                                 .payload = batch->payload,
                                 .size = batch->size,
                                 .batch = batch};
}

static void await_frame (resil__ipc_t *ipc, resil__link_frame_t *frame, resil__ipc_peer_t **from)
{
    int64_t began_at_ms = zclock_mono ();
    while (resil__ipc_receive (ipc, frame, from) != 1) {
        assert_false (is_late (began_at_ms));
        await (ipc, NULL);
    }
}

/*  What waited for room, or for a connection, has been sent. */
static void await_room (resil__ipc_t *ipc, resil__ipc_peer_t *peer)
{
    int64_t began_at_ms = zclock_mono ();
    for (; !resil__ipc_has_room (ipc, peer); await (ipc, NULL))
        assert_false (is_late (began_at_ms));
}

static void a_batch_is_sent_from_where_it_is_and_copied_when_it_is_sent_again (void **state)
{
    (void) state;
    resil__ipc_t connected;
    resil__link_frame_t came;
    resil__ipc_peer_t *from;
    resil__record_batch_t *batch = numbered_batch (1, RECORD_BYTES);
    resil__link_frame_t frame = frame_of (batch);
    begin_source (&source, 0);
    ok (resil__ipc_connect (&connected, source.ipc.endpoint, source.peer.token));
    for (int i = 0; i < 3; i++) {
        frame.sequence++;
        ok (resil__ipc_send (&connected, &connected.listener, &frame));
        await_room (&connected, &connected.listener);
        await_frame (&source.ipc, &came, &from);
        assert_ptr_equal (from, &source.peer);
        assert_int_equal (came.sequence, frame.sequence);
        assert_int_equal (came.size, batch->size);
        assert_memory_equal (came.payload, batch->payload, batch->size);
    }
    assert_true (
        support_wait_until (has_references, &(references_t){batch, 1}, SUPPORT_PATIENCE_MS));
    /*  What has come may be kept, beyond the next that comes, and sent on. */
    resil__record_batch_t *kept = came.batch;
    resil__record_batch_retain (kept);
    frame = frame_of (kept);
    ok (resil__ipc_send (&source.ipc, &source.peer, &frame));
    assert_int_equal (resil__ipc_receive (&source.ipc, &came, &from), 0);
    await_frame (&connected, &came, &from);
    assert_ptr_equal (from, &connected.listener);
    assert_memory_equal (came.payload, batch->payload, batch->size);
    resil__record_batch_release (kept);
    resil__record_batch_release (batch);
    resil__ipc_close (&connected);
    end_source (&source);
}

static void who_does_not_read_is_not_waited_for_and_gets_all_in_the_end (void **state)
{
    (void) state;
    resil__ipc_t connected;
    resil__link_frame_t came;
    resil__ipc_peer_t *from;
    resil__record_batch_t *batch = numbered_batch (1, 200000);
    resil__link_frame_t frame = frame_of (batch);
    begin_source (&source, 0);
    frame.sequence = 0;
    ok (resil__ipc_connect (&connected, source.ipc.endpoint, source.peer.token));
    do {
        frame.sequence++;
        ok (resil__ipc_send (&connected, &connected.listener, &frame));
        /*  The first one waits until it is connected. */
        if (frame.sequence == 1)
            await_room (&connected, &connected.listener);
    } while (resil__ipc_has_room (&connected, &connected.listener) && frame.sequence < 1000);
    assert_in_range (frame.sequence, 3, 999);
    assert_int_equal (resil__ipc_send (&connected, &connected.listener, &frame), -1);
    assert_int_equal (errno, EAGAIN);
    for (uint64_t got = 1; got <= frame.sequence; got++) {
        await_frame (&source.ipc, &came, &from);
        assert_int_equal (came.sequence, got);
        assert_int_equal (resil__ipc_receive (&connected, &came, &from), 0);
        resil__ipc_has_room (&connected, &connected.listener);
    }
    assert_true (resil__ipc_has_room (&connected, &connected.listener));
    resil__record_batch_release (batch);
    resil__ipc_close (&connected);
    end_source (&source);
}

static void to_a_peer_that_is_not_there_nothing_is_sent (void **state)
{
    (void) state;
    begin_source (&source, 0);
    resil__link_frame_t frame = {.type = RESIL__LINK_PING,
                                 .link = LINK,
                                 .session = 1,
                                 .sender = 1,
                                 .receiver = 1,
                                 .sequence = 1};
    assert_true (resil__ipc_has_room (&source.ipc, &source.peer));
    assert_int_equal (resil__ipc_send (&source.ipc, &source.peer, &frame), -1);
    assert_int_equal (errno, EHOSTUNREACH);
    frame.sequence = 0;
    assert_int_equal (resil__ipc_send (&source.ipc, &source.peer, &frame), -1);
    assert_int_equal (errno, EPROTO);
    end_source (&source);
}

static void messages_of_large_batches_get_no_mappings_of_their_own (void **state)
{
    (void) state;
    resil__ipc_t ipc;
    ok (resil__ipc_listen (&ipc));
    size_t mappings = mallinfo2 ().hblks;
    void *volatile message = malloc (1 << 20);
    assert_int_equal (mallinfo2 ().hblks, mappings);
    free (message);
    resil__ipc_close (&ipc);
}

static void where_nothing_can_be_no_connection_is_made (void **state)
{
    (void) state;
    resil__ipc_t ipc;
    char token[RESIL__TOKEN_DIGITS + 1], much[300];
    ok (resil__token_make (token));
    assert_int_equal (resil__ipc_connect (&ipc, "ipc:///tmp/x", "too-short"), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil__ipc_connect (&ipc, "nowhere", token), -1);
    assert_non_null (strstr (resil_errmsg (), "no connection to nowhere"));
    memset (much, 'x', sizeof much - 1);
    much[sizeof much - 1] = 0;
    assert_int_equal (resil__ipc_connect (&ipc, much, token), -1);
    assert_int_equal (errno, EINVAL);
    resil__ipc_close (&ipc);
}

/*  ---- What is no frame, and what is nobody's ---------------------------------------------------------- */

static void *raw_dealer (const char *endpoint, const char *token)
{
    static const int at_once = 0;
    void *socket = zmq_socket (zsys_init (), ZMQ_DEALER);
    assert_non_null (socket);
    zmq_setsockopt (socket, ZMQ_LINGER, &at_once, sizeof at_once);
    zmq_setsockopt (socket, ZMQ_ROUTING_ID, token, strlen (token));
    ok (zmq_connect (socket, endpoint));
    return socket;
}

static void await_refusal (resil__ipc_t *ipc, const resil__ipc_peer_t *whose, const char *sentence)
{
    resil__link_frame_t frame;
    resil__ipc_peer_t *from;
    int64_t began_at_ms = zclock_mono ();
    int rc;
    while ((rc = resil__ipc_receive (ipc, &frame, &from)) == 0) {
        assert_false (is_late (began_at_ms));
        await (ipc, NULL);
    }
    assert_int_equal (rc, -1);
    assert_ptr_equal (from, whose);
    assert_int_equal (errno, EPROTO);
    if (!strstr (resil_errmsg (), sentence))
        fail_msg ("%s", resil_errmsg ());
}

static void what_is_no_frame_is_told_and_the_link_goes_on (void **state)
{
    (void) state;
    unsigned char bytes[RESIL__LINK_HEADER + RESIL__RECORD_HEAD + 9];
    resil__record_batch_t *batch = numbered_batch (1, 9);
    resil__link_frame_t frame = frame_of (batch), came;
    resil__ipc_peer_t *from;
    size_t size = resil__link_frame_encode (&frame, bytes, sizeof bytes);
    assert_int_equal (size, sizeof bytes);
    begin_source (&source, 0);
    void *raw = raw_dealer (source.ipc.endpoint, source.peer.token);
    zmq_send (raw, "", 0, 0);
    await_refusal (&source.ipc, &source.peer, "shorter than its header");
    zmq_send (raw, bytes, size - 1, 0);
    await_refusal (&source.ipc, &source.peer, "its payload has");
    bytes[size - 1] ^= 1;
    zmq_send (raw, bytes, size, 0);
    await_refusal (&source.ipc, &source.peer, "its CRC is another");
    bytes[size - 1] ^= 1;
    zmq_send (raw, bytes, size, ZMQ_SNDMORE);
    zmq_send (raw, bytes, size, ZMQ_SNDMORE);
    zmq_send (raw, "", 0, 0);
    await_refusal (&source.ipc, &source.peer, "several parts");
    /*  A frame of which the records are not whole. */
    batch->payload[0]++;
    resil__link_frame_encode (&frame, bytes, sizeof bytes);
    zmq_send (raw, bytes, size, 0);
    await_refusal (&source.ipc, &source.peer, "ends within record");
    batch->payload[0]--;
    resil__link_frame_encode (&frame, bytes, sizeof bytes);
    zmq_send (raw, bytes, size, 0);
    await_frame (&source.ipc, &came, &from);
    assert_memory_equal (came.payload, batch->payload, batch->size);
    assert_int_equal (source.ipc.broken, 5);
    resil__record_batch_release (batch);
    zmq_close (raw);
    end_source (&source);
}

static void a_stranger_is_not_listened_to_nor_who_has_been_forgotten (void **state)
{
    (void) state;
    char guess[RESIL__TOKEN_DIGITS + 1];
    ok (resil__token_make (guess));
    begin_source (&source, 0);
    void *raw = raw_dealer (source.ipc.endpoint, guess);
    zmq_send (raw, "a", 1, ZMQ_SNDMORE);
    zmq_send (raw, "b", 1, 0);
    await_refusal (&source.ipc, NULL, "nobody");
    zmq_close (raw);
    raw = raw_dealer (source.ipc.endpoint, "short");
    zmq_send (raw, "a", 1, 0);
    await_refusal (&source.ipc, NULL, "nobody");
    zmq_close (raw);
    raw = raw_dealer (source.ipc.endpoint, source.peer.token);
    zmq_send (raw, "a", 1, 0);
    await_refusal (&source.ipc, &source.peer, "shorter than its header");
    resil__ipc_forget (&source.ipc, &source.peer);
    zmq_send (raw, "a", 1, 0);
    await_refusal (&source.ipc, NULL, "nobody");
    assert_int_equal (source.ipc.strangers, 3);
    zmq_close (raw);
    resil__ipc_close (&source.ipc);
}

/*  ---- Two processes ---------------------------------------------------------------------------------- */

static int be_sink (const char *endpoint, const char *token, uint64_t incarnation)
{
    int64_t began_at_ms = zclock_mono ();
    begin_sink (&sink, endpoint, token, incarnation);
    sink.ledger = LEDGER_FD;
    while (sink.receiver.state != RESIL__RECEIVER_ENDED && !is_late (began_at_ms)) {
        pump_sink (&sink);
        await (&sink.ipc, NULL);
    }
    bool has_ended = sink.receiver.state == RESIL__RECEIVER_ENDED;
    resil__ipc_close (&sink.ipc);
    return has_ended ? 0 : 1;
}

static pid_t spawn_sink (int ledger, uint64_t incarnation)
{
    pid_t pid;
    char number[24];
    snprintf (number, sizeof number, "%llu", (unsigned long long) incarnation);
    char program[] = "test_transport_ipc", what[] = "sink";
    char *arguments[] = {program, what, source.ipc.endpoint, source.peer.token, number, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init (&actions);
    posix_spawn_file_actions_adddup2 (&actions, ledger, LEDGER_FD);
    ok (posix_spawn (&pid, "/proc/self/exe", &actions, NULL, arguments, environ));
    posix_spawn_file_actions_destroy (&actions);
    return pid;
}

static uint32_t ledger_count (int ledger)
{
    struct stat of;
    ok (fstat (ledger, &of));
    return (uint32_t) ((size_t) of.st_size / sizeof (uint32_t));
}

/*  Until so many batches stand in the ledger, or the link is at its end. */
static void pump_until (int ledger, uint32_t count)
{
    int64_t began_at_ms = zclock_mono ();
    while (ledger_count (ledger) < count && source.sender.state != RESIL__SENDER_ENDED) {
        assert_false (is_late (began_at_ms));
        pump_source (&source);
        await (&source.ipc, NULL);
    }
}

/*  Each is there; in one life one after the other; few twice. */
static void check_ledger (int ledger, uint32_t items, unsigned kills)
{
    uint32_t count = ledger_count (ledger), highest = 0, number;
    unsigned back = 0;
    assert_in_range (count, items, items + kills * WINDOW);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal (pread (ledger, &number, sizeof number, (off_t) (i * sizeof number)),
                          sizeof number);
        assert_true (number <= highest + 1);
        if (number <= highest && i)
            back++;
        highest = number;
    }
    assert_int_equal (highest, items);
    assert_true (back <= kills);
}

static void a_process_that_is_killed_and_comes_again_loses_nothing (void **state)
{
    (void) state;
    enum { ITEMS = 600, KILLS = 3 };
    int status, ledger = memfd_create ("ledger", MFD_CLOEXEC);
    assert_true (ledger >= 0);
    ok (fcntl (ledger, F_SETFL, O_APPEND));
    begin_source (&source, ITEMS);
    for (uint32_t life = 1; life <= KILLS; life++) {
        pid_t pid = spawn_sink (ledger, life);
        pump_until (ledger, 100 * life);
        kill (pid, SIGKILL);
        assert_int_equal (waitpid (pid, &status, 0), pid);
    }
    assert_int_not_equal (source.sender.state, RESIL__SENDER_ENDED);
    pid_t pid = spawn_sink (ledger, KILLS + 1);
    pump_until (ledger, UINT32_MAX);
    /*  It asks until it has been told that all is confirmed. */
    int64_t began_at_ms = zclock_mono ();
    while (waitpid (pid, &status, WNOHANG) == 0) {
        assert_false (is_late (began_at_ms));
        pump_source (&source);
        await (&source.ipc, NULL);
    }
    assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
    check_ledger (ledger, ITEMS, KILLS);
    assert_int_equal (source.ipc.broken + source.ipc.strangers, 0);
    close (ledger);
    end_source (&source);
}

int main (int argc, char **argv)
{
    if (argc == 5 && strcmp (argv[1], "sink") == 0)
        return be_sink (argv[2], argv[3], strtoull (argv[4], NULL, 10));
    const struct CMUnitTest cases[] = {
        support_case (all_comes_once_and_in_order),
        support_case (a_peer_that_goes_and_comes_again_goes_on),
        support_case (a_batch_is_sent_from_where_it_is_and_copied_when_it_is_sent_again),
        support_case (who_does_not_read_is_not_waited_for_and_gets_all_in_the_end),
        support_case (to_a_peer_that_is_not_there_nothing_is_sent),
        support_case (messages_of_large_batches_get_no_mappings_of_their_own),
        support_case (where_nothing_can_be_no_connection_is_made),
        support_case (what_is_no_frame_is_told_and_the_link_goes_on),
        support_case (a_stranger_is_not_listened_to_nor_who_has_been_forgotten),
        support_case (a_process_that_is_killed_and_comes_again_loses_nothing),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
