/*  Endpoints by their words, and the door without a doorkeeper: where nobody answers for keys, nobody is let in.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <czmq.h>

#include "monitor/port.h"
#include "support.h"

static void only_this_machine_is_loopback (void **state)
{
    (void) state;
    static const char *const yes[] = {"tcp://127.0.0.1:*", "tcp://127.8.9.1:7",
                                      "tcp://localhost:80", "tcp://[::1]:1"};
    static const char *const no[] = {"tcp://*:1",
                                     "tcp://0.0.0.0:1",
                                     "tcp://[::]:1",
                                     "tcp://128.0.0.1:1",
                                     "tcp://127.0.0.1.example.org:1",
                                     "tcp://localhost.example.org:1",
                                     "tcp://127.0.0:1",
                                     "tcp://eth0:1",
                                     "tcp://lo:1",
                                     "ipc:///x",
                                     ""};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true (resil__endpoint_is_loopback (yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false (resil__endpoint_is_loopback (no[i]));
}

static void requests_are_taken_beside (void **state)
{
    (void) state;
    char control[RESIL__ENDPOINT_ROOM], large[RESIL__ENDPOINT_ROOM] = "ipc:///";
    ok (resil__endpoint_beside ("tcp://127.0.0.1:7350", control));
    assert_string_equal (control, "tcp://127.0.0.1:*");
    ok (resil__endpoint_beside ("tcp://[::1]:*", control));
    assert_string_equal (control, "tcp://[::1]:*");
    ok (resil__endpoint_beside ("ipc:///a/b", control));
    assert_string_equal (control, "ipc:///a/b.control");
    static const char *const wrong[] = {"",           "tcp://",     "tcp://:1",      "tcp://x",
                                        "tcp://x:",   "tcp://x:1a", "tcp://x:65536", "tcp://x:-1",
                                        "inproc://x", "udp://x:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        assert_int_equal (resil__endpoint_beside (wrong[i], control), -1);
        assert_int_equal (errno, EINVAL);
    }
    memset (large + 7, 'x', sizeof large - 8);
    assert_int_equal (resil__endpoint_beside (large, control), -1);
    assert_int_equal (errno, ENAMETOOLONG);
}

/*  The first event of a handshake that comes. */
static uint16_t next_event (zsock_t *connection)
{
    uint16_t event = 0;
    zmsg_t *message = zmsg_recv (connection);
    if (message)
        memcpy (&event, zframe_data (zmsg_first (message)), sizeof event);
    zmsg_destroy (&message);
    return event;
}

static const char *why;

static bool has_turned_away (void *port)
{
    why = resil__door_turned_away (&((resil__port_t *) port)->door);
    return why;
}

static void without_a_doorkeeper_nobody_is_let_in (void **state)
{
    (void) state;
    resil__port_t port = {.handle = NULL};
    void *context = zmq_ctx_new ();
    resil__key_pair_t server, client;
    assert_int_equal (zmq_curve_keypair (server.public_key, server.secret_key), 0);
    assert_int_equal (zmq_curve_keypair (client.public_key, client.secret_key), 0);
    ok (resil__port_open (&port, context, ZMQ_XPUB, "tcp://127.0.0.1:*", &server, 8));
    zsock_t *sub = zsock_new (ZMQ_SUB), *connection = zsock_new (ZMQ_PAIR);
    assert_int_equal (zmq_socket_monitor (zsock_resolve (sub), "inproc://door",
                                          ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                                              ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                              ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                              ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL),
                      0);
    assert_int_equal (zsock_connect (connection, "inproc://door"), 0);
    zsock_set_rcvtimeo (connection, SUPPORT_PATIENCE_MS);
    zsock_set_curve_serverkey (sub, server.public_key);
    zsock_set_curve_publickey (sub, client.public_key);
    zsock_set_curve_secretkey (sub, client.secret_key);
    zsock_set_subscribe (sub, "");
    assert_int_equal (zsock_connect (sub, "%s", port.endpoint), 0);
    assert_true (support_wait_until (has_turned_away, &port, SUPPORT_PATIENCE_MS));
    assert_string_equal (why, "nobody in this program answers for keys");
    assert_int_equal (zmq_recv (port.handle, &(char){0}, 1, ZMQ_DONTWAIT), -1);
    /*  As it would not be before the time for handshakes is over. */
    resil__port_close (&port);
    uint16_t event = next_event (connection);
    assert_int_not_equal (event, 0);
    assert_int_not_equal (event, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    zmq_socket_monitor (zsock_resolve (sub), NULL, 0);
    zsock_destroy (&connection);
    zsock_destroy (&sub);
    zmq_ctx_term (context);
}

static void a_path_where_somebody_listens_is_left_to_them (void **state)
{
    (void) state;
    static const resil__key_pair_t none;
    char folder[] = "/tmp/resil-test-XXXXXX", endpoint[64], file[64];
    assert_non_null (mkdtemp (folder));
    snprintf (endpoint, sizeof endpoint, "ipc://%s/s", folder);
    snprintf (file, sizeof file, "%s/s", folder);
    resil__port_t one = {.handle = NULL}, other = {.handle = NULL};
    void *context = zmq_ctx_new ();
    ok (resil__port_open (&one, context, ZMQ_XPUB, endpoint, &none, 8));
    assert_int_equal (resil__port_open (&other, context, ZMQ_XPUB, endpoint, &none, 8), -1);
    assert_int_equal (errno, EADDRINUSE);
    resil__port_close (&other);
    resil__port_close (&one);
    unlink (file);
    fclose (fopen (file, "w"));
    assert_int_equal (resil__port_open (&other, context, ZMQ_XPUB, endpoint, &none, 8), -1);
    assert_int_equal (errno, EEXIST);
    resil__port_close (&other);
    zmq_ctx_term (context);
    unlink (file);
    rmdir (folder);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (only_this_machine_is_loopback),
        support_case (requests_are_taken_beside),
        support_case (without_a_doorkeeper_nobody_is_let_in),
        support_case (a_path_where_somebody_listens_is_left_to_them),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
