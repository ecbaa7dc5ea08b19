/*  Sources that are no files: intervals, lines by tcp, a mailbox; with what can go wrong with them.

    ctest timeout: 120
    ctest also in shared threads

    SPDX-License-Identifier: Apache-2.0 */
#include "kept.h"
#include "placed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <resil.h>

/*  ---- A sink that keeps what comes, and a stage before it that fails when told to --------------------------- */

static atomic_int kept_count;
static atomic_int failures;
static atomic_bool is_slow; /*  the sink takes nothing                                        */

static int keep (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    if (atomic_load (&is_slow))
        return resil_stage_retry_after (stage, 1);
    kept_add (record);
    atomic_fetch_add (&kept_count, 1);
    return RESIL_OK;
}

static int pass_on (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    if (atomic_load (&failures) > 0 && record->attempt == 1) {
        atomic_fetch_sub (&failures, 1);
        resil_panic (resil_stage_self (stage), 0, "told to fail");
    }
    return resil_emit (stage, record->bytes, record->size) ? -1 : RESIL_OK;
}

static resil_pipeline_t *make (const char *type, void *options)
{
    kept_begin ();
    atomic_store (&kept_count, 0);
    ok (resil_stage_type_register (
        &(resil_stage_type_t){RESIL_STAGE_TYPE, .name = "pass", .on_record = pass_on}));
    ok (resil_stage_type_register (&(resil_stage_type_t){RESIL_STAGE_TYPE, .name = "keep",
                                                         .on_record = keep, .is_sink = true}));
    resil_stage_spec_t stages[] = {{RESIL_STAGE, .name = "from", .type = type, .args = options},
                                   {RESIL_STAGE, .name = "pass"},
                                   {RESIL_STAGE, .name = "keep"}};
    for (int i = 0; i < 3; i++)
        stages[i].placement = placed ();
    /*  It waits for whom it connects to. */
    if (strcmp (type, RESIL_TCP_SOURCE) == 0 && options && ((resil_tcp_t *) options)->connects)
        stages[0].placement = RESIL_OWN_THREAD;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "sources", .stages = stages,
                                  .stage_count = 3};
    return resil_pipeline_new (NULL, &spec);
}

static resil_pipeline_t *started (const char *type, void *options)
{
    resil_pipeline_t *pipeline = make (type, options);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    ok (resil_pipeline_start (pipeline));
    return pipeline;
}

static void refused (const char *type, void *options, const char *sentence)
{
    assert_null (make (type, options));
    assert_int_equal (errno, EINVAL);
    if (!strstr (resil_errmsg (), sentence))
        fail_msg ("%s", resil_errmsg ());
}

static void refused_at_start (const char *type, void *options, const char *sentence)
{
    resil_pipeline_t *pipeline = make (type, options);
    assert_non_null (pipeline);
    assert_int_equal (resil_pipeline_start (pipeline), -1);
    if (!strstr (resil_errmsg (), sentence))
        fail_msg ("%s", resil_errmsg ());
    resil_pipeline_destroy (&pipeline);
}

static void await_kept (int count)
{
    support_await_count ("records", &kept_count, count, SUPPORT_PATIENCE_MS);
}

static void end (resil_pipeline_t *pipeline)
{
    assert_int_equal (resil_pipeline_drain (pipeline, SUPPORT_PATIENCE_MS), 0);
    resil_pipeline_destroy (&pipeline);
}

/*  ---- Intervals --------------------------------------------------------------------------------------- */

static void a_count_comes_to_its_end_in_order_whatever_fails (void **state)
{
    (void) state;
    resil_interval_t count = {RESIL_INTERVAL, .text = "n=", .count = 5000};
    atomic_store (&failures, 5);
    resil_pipeline_t *pipeline = started (RESIL_INTERVAL_SOURCE, &count);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
    assert_int_equal (failures, 0);
    assert_string_equal (kept_behind ("n=", 1, 5000), "");
}

static void an_interval_goes_on_until_it_is_drained (void **state)
{
    (void) state;
    resil_interval_t beat = {RESIL_INTERVAL, .every_ms = 1};
    resil_pipeline_t *pipeline = started (RESIL_INTERVAL_SOURCE, &beat);
    await_kept (5);
    end (pipeline);
    assert_memory_equal (kept, "1\n2\n3\n4\n5\n", 10);
}

static void an_interval_is_not_shorter_than_told (void **state)
{
    (void) state;
    resil_interval_t beat = {RESIL_INTERVAL, .count = 3, .every_ms = 3600000};
    resil_pipeline_t *pipeline = started (RESIL_INTERVAL_SOURCE, &beat);
    await_kept (1);
    assert_int_equal (resil_pipeline_wait (pipeline, 20), -1);
    assert_int_equal (errno, ETIMEDOUT);
    end (pipeline);
    assert_string_equal (kept, "1\n");
}

static void what_is_wrong_with_an_interval_is_told (void **state)
{
    (void) state;
    resil_interval_t beat = {RESIL_INTERVAL};
    refused (RESIL_INTERVAL_SOURCE, NULL, "stage \"from\": an interval has no options");
    beat.every_ms = -5;
    refused (RESIL_INTERVAL_SOURCE, &beat, "every_ms is -5; it must be from 0");
}

/*  ---- Tcp ----------------------------------------------------------------------------------------------- */

static struct sockaddr_in address_of (unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons ((uint16_t) port),
                                .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
}

static int connected (unsigned port)
{
    struct sockaddr_in address = address_of (port);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true (fd >= 0);
    assert_int_equal (connect (fd, (struct sockaddr *) &address, sizeof address), 0);
    return fd;
}

static void put (int fd, const char *text)
{
    for (size_t size = strlen (text); size;) {
        ssize_t sent = send (fd, text, size, MSG_NOSIGNAL);
        assert_true (sent > 0);
        text += sent;
        size -= (size_t) sent;
    }
}

static void lines_of_a_client_come_in_order_and_the_last_needs_no_newline (void **state)
{
    (void) state;
    unsigned port = 0;
    resil_tcp_t tcp = {RESIL_TCP, .port = "0", .port_taken = &port};
    atomic_store (&failures, 2);
    resil_pipeline_t *pipeline = started (RESIL_TCP_SOURCE, &tcp);
    assert_int_not_equal (port, 0);
    int client = connected (port);
    put (client, "one\n\nth");
    await_kept (2);
    put (client, "ree\r\nlast");
    close (client);
    await_kept (4);
    assert_string_equal (kept, "one\n\nthree\r\nlast\n");
    end (pipeline);
}

static void lines_that_are_too_long_come_in_pieces (void **state)
{
    (void) state;
    unsigned port = 0;
    resil_tcp_t tcp = {RESIL_TCP, .port = "0", .port_taken = &port};
    tcp.line_max = 4;
    resil_pipeline_t *pipeline = started (RESIL_TCP_SOURCE, &tcp);
    int client = connected (port);
    put (client, "1234\n12345\n123456789\nx\n");
    await_kept (7);
    assert_string_equal (kept, "1234\n1234\n5\n1234\n5678\n9\nx\n");
    close (client);
    end (pipeline);
}

#define CLIENTS 8
#define LINES_EACH 2000

static void assert_in_order (int client)
{
    char wanted[32];
    int next = 0;
    snprintf (wanted, sizeof wanted, "c%d-0\n", client);
    for (const char *line = kept; *line; line = strchr (line, '\n') + 1)
        if (strncmp (line, wanted, strlen (wanted)) == 0)
            snprintf (wanted, sizeof wanted, "c%d-%d\n", client, ++next);
    assert_int_equal (next, LINES_EACH);
}

static void many_clients_send_at_once_and_no_line_is_lost_or_out_of_order (void **state)
{
    (void) state;
    unsigned port = 0;
    int clients[CLIENTS];
    char line[32];
    resil_tcp_t tcp = {RESIL_TCP, .port = "0", .port_taken = &port};
    atomic_store (&failures, 10);
    resil_pipeline_t *pipeline = started (RESIL_TCP_SOURCE, &tcp);
    for (int c = 0; c < CLIENTS; c++)
        clients[c] = connected (port);
    for (int i = 0; i < LINES_EACH; i++)
        for (int c = 0; c < CLIENTS; c++) {
            snprintf (line, sizeof line, "c%d-%d\n", c, i);
            put (clients[c], line);
        }
    for (int c = 0; c < CLIENTS; c++)
        close (clients[c]);
    await_kept (CLIENTS * LINES_EACH);
    end (pipeline);
    assert_int_equal (kept_count, CLIENTS * LINES_EACH);
    for (int c = 0; c < CLIENTS; c++)
        assert_in_order (c);
}

static void one_client_too_many_waits_until_another_has_gone (void **state)
{
    (void) state;
    unsigned port = 0;
    resil_tcp_t tcp = {RESIL_TCP, .port = "0", .port_taken = &port};
    tcp.clients_max = 1;
    resil_pipeline_t *pipeline = started (RESIL_TCP_SOURCE, &tcp);
    int first = connected (port), second = connected (port);
    put (second, "second\n");
    put (first, "first\n");
    await_kept (1);
    assert_string_equal (kept, "first\n");
    close (first);
    await_kept (2);
    assert_string_equal (kept, "first\nsecond\n");
    close (second);
    end (pipeline);
}

/*  So much that neither the links nor the buffers of the kernel hold it. */
static void who_sends_waits_when_nothing_is_taken (void **state)
{
    (void) state;
    unsigned port = 0;
    static char block[1 << 16];
    memset (block, 'x', sizeof block);
    for (size_t i = 1023; i < sizeof block; i += 1024)
        block[i] = '\n';
    resil_tcp_t tcp = {RESIL_TCP, .port = "0", .port_taken = &port};
    atomic_store (&is_slow, true);
    resil_pipeline_t *pipeline = started (RESIL_TCP_SOURCE, &tcp);
    int client = connected (port);
    size_t sent = 0;
    struct pollfd can_send = {.fd = client, .events = POLLOUT};
    while (sent < (64u << 20) && poll (&can_send, 1, 500) == 1) {
        ssize_t size = send (client, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += size > 0 ? (size_t) size : 0;
    }
    assert_true (sent < (64u << 20));
    atomic_store (&is_slow, false);
    close (client);
    await_kept ((int) (sent / 1024));
    end (pipeline);
}

static void a_port_that_is_in_use_or_no_address_is_told_at_the_start (void **state)
{
    (void) state;
    unsigned port = 0;
    char text[16];
    resil_tcp_t tcp = {RESIL_TCP, .port = "0", .port_taken = &port};
    resil_pipeline_t *pipeline = started (RESIL_TCP_SOURCE, &tcp);
    snprintf (text, sizeof text, "%u", port);
    resil_tcp_t other = {RESIL_TCP, .port = text};
    char sentence[64];
    snprintf (sentence, sizeof sentence, "cannot listen on 127.0.0.1:%u: Address already in use",
              port);
    refused_at_start (RESIL_TCP_SOURCE, &other, sentence);
    end (pipeline);
    other.host = "no-such-host.invalid";
    refused_at_start (RESIL_TCP_SOURCE, &other, "there is no address no-such-host.invalid:");
    other.host = "127.0.0.1";
    other.port = "no-such-service";
    refused_at_start (RESIL_TCP_SOURCE, &other, "there is no address 127.0.0.1:no-such-service");
}

static void what_is_wrong_with_options_of_tcp_is_told (void **state)
{
    (void) state;
    resil_tcp_t tcp = {RESIL_TCP};
    refused (RESIL_TCP_SOURCE, NULL, "a source by tcp has no options");
    refused (RESIL_TCP_SOURCE, &tcp, "a source by tcp has no port");
    tcp.port = "0";
    tcp.clients_max = 0;
    refused (RESIL_TCP_SOURCE, &tcp, "clients_max is 0");
    tcp.clients_max = 1;
    tcp.line_max = 0;
    refused (RESIL_TCP_SOURCE, &tcp, "line_max is 0");
}

static int listening (unsigned *port)
{
    struct sockaddr_in address = address_of (*port);
    socklen_t size = sizeof address;
    int on = 1;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true (fd >= 0);
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal (bind (fd, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal (listen (fd, 5), 0);
    assert_int_equal (getsockname (fd, (struct sockaddr *) &address, &size), 0);
    *port = ntohs (address.sin_port);
    return fd;
}

static int accepted (int listener)
{
    assert_int_equal (
        poll (&(struct pollfd){.fd = listener, .events = POLLIN}, 1, SUPPORT_PATIENCE_MS), 1);
    int fd = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true (fd >= 0);
    return fd;
}

static void a_connection_that_ends_is_made_again (void **state)
{
    (void) state;
    unsigned port = 0;
    char text[16];
    int listener = listening (&port);
    snprintf (text, sizeof text, "%u", port);
    resil_tcp_t tcp = {RESIL_TCP, .host = "localhost", .port = text, .connects = true};
    resil_pipeline_t *pipeline = started (RESIL_TCP_SOURCE, &tcp);
    int server = accepted (listener);
    put (server, "one\ntwo");
    close (server);
    server = accepted (listener);
    put (server, "three\n");
    await_kept (3);
    assert_string_equal (kept, "one\ntwo\nthree\n");
    assert_non_null (support_log_wait ("lost the connection to localhost:", SUPPORT_PATIENCE_MS));
    /*  What a broken one leaves of a line is none. */
    put (server, "four\nfi");
    await_kept (4);
    setsockopt (server, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof (struct linger));
    close (server);
    close (listener);
    assert_non_null (support_log_wait ("cannot connect to localhost:", SUPPORT_PATIENCE_MS));
    listener = listening (&port);
    server = accepted (listener);
    put (server, "six\n");
    await_kept (5);
    assert_string_equal (kept, "one\ntwo\nthree\nfour\nsix\n");
    close (server);
    close (listener);
    end (pipeline);
}

/*  ---- The mailbox --------------------------------------------------------------------------------------- */

static void what_is_sent_to_a_stage_comes_as_records (void **state)
{
    (void) state;
    resil_address_t address;
    char text[16];
    atomic_store (&failures, 3);
    resil_pipeline_t *pipeline = started (RESIL_MAILBOX_SOURCE, NULL);
    ok (resil_supervisor_find (resil_pipeline_supervisor (pipeline), "from", &address));
    for (int i = 0; i < 500; i++) {
        int size = snprintf (text, sizeof text, "m%d", i);
        ok (resil_cast (address, 7, text, (size_t) size));
    }
    resil_message_t *reply = resil_call (address, 9, "called", 6, SUPPORT_PATIENCE_MS);
    assert_non_null (reply);
    assert_int_equal (resil_message_tag (reply), 9);
    assert_int_equal (resil_message_size (reply), 0);
    resil_message_destroy (&reply);
    await_kept (501);
    end (pipeline);
    assert_string_equal (kept_behind ("m", 0, 499), "called\n");
}

static void a_mailbox_fills_when_nothing_is_taken (void **state)
{
    (void) state;
    static char large[1 << 16];
    resil_address_t address;
    atomic_store (&is_slow, true);
    resil_pipeline_t *pipeline = started (RESIL_MAILBOX_SOURCE, NULL);
    ok (resil_supervisor_find (resil_pipeline_supervisor (pipeline), "from", &address));
    int sent = 0;
    while (sent < 100000 && resil_cast (address, 0, large, sizeof large) == 0)
        sent++;
    assert_int_equal (errno, EAGAIN);
    atomic_store (&is_slow, false);
    await_kept (sent);
    end (pipeline);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_count_comes_to_its_end_in_order_whatever_fails),
        support_case (an_interval_goes_on_until_it_is_drained),
        support_case (an_interval_is_not_shorter_than_told),
        support_case (what_is_wrong_with_an_interval_is_told),
        support_case (lines_of_a_client_come_in_order_and_the_last_needs_no_newline),
        support_case (lines_that_are_too_long_come_in_pieces),
        support_case (many_clients_send_at_once_and_no_line_is_lost_or_out_of_order),
        support_case (one_client_too_many_waits_until_another_has_gone),
        support_case (who_sends_waits_when_nothing_is_taken),
        support_case (a_port_that_is_in_use_or_no_address_is_told_at_the_start),
        support_case (what_is_wrong_with_options_of_tcp_is_told),
        support_case (a_connection_that_ends_is_made_again),
        support_case (what_is_sent_to_a_stage_comes_as_records),
        support_case (a_mailbox_fills_when_nothing_is_taken),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
