/*  Who may connect to a monitor with keys, and do what: roles, strangers, what is not CURVE, a key that is taken back.

    ctest timeout: 180

    SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lever.h"
#include "monitor_client.h"

typedef struct {
    char public_key[41];
    char secret_key[41];
} pair_t;

static lever_t a;
static resil_supervisor_t *root;
static resil_monitor_t *monitor;
static pair_t server, admin, operator, viewer, stranger;
static char folder[64], keys_file[96], access_file[96];

/*  ---- Keys and files -------------------------------------------------------------------------------- */

static void make (pair_t *pair)
{
    assert_int_equal (zmq_curve_keypair (pair->public_key, pair->secret_key), 0);
}

static void write_file (const char *name, mode_t mode, const char *text)
{
    char fresh[128];
    snprintf (fresh, sizeof fresh, "%s.new", name);
    FILE *file = fopen (fresh, "w");
    assert_non_null (file);
    fputs (text, file);
    fclose (file);
    ok (chmod (fresh, mode));
    ok (rename (fresh, name));
}

static void write_access (bool with_viewer)
{
    char text[512];
    int size =
        snprintf (text, sizeof text, "# who may\n\n%s admin boss   # and more\n%s\toperator ops\n",
                  admin.public_key, operator.public_key);
    if (with_viewer)
        snprintf (text + size, sizeof text - (size_t) size, "%s viewer eve\n", viewer.public_key);
    write_file (access_file, 0600, text);
}

static resil_monitor_t *try_monitor (resil_supervisor_t *supervisor)
{
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS};
    options.endpoint = "tcp://127.0.0.1:*";
    options.keys = keys_file;
    options.access = access_file;
    return resil_monitor_new (supervisor, &options);
}

static void begin (void)
{
    char text[128];
    strcpy (folder, "/tmp/resil-test-XXXXXX");
    assert_non_null (mkdtemp (folder));
    snprintf (keys_file, sizeof keys_file, "%s/keys", folder);
    snprintf (access_file, sizeof access_file, "%s/access", folder);
    make (&server);
    make (&admin);
    make (&operator);
    make (&viewer);
    make (&stranger);
    snprintf (text, sizeof text, "public %s\nsecret %s\n", server.public_key, server.secret_key);
    write_file (keys_file, 0600, text);
    write_access (true);
    lever_open (&a, "a");
    root = supervisor_new (RESIL_UNLIMITED);
    lever_add (root, &a);
    ok (resil_supervisor_spawn (root));
}

static void watch (void)
{
    monitor = try_monitor (root);
    if (!monitor)
        fail_msg ("%s", resil_errmsg ());
}

static void end (void)
{
    resil_monitor_destroy (&monitor);
    resil_supervisor_destroy (&root);
    lever_close (&a);
    unlink (keys_file);
    unlink (access_file);
    rmdir (folder);
}

/*  ---- Clients ----------------------------------------------------------------------------------------- */

static void set_keys (zsock_t *socket, const pair_t *pair, const char *server_key)
{
    zsock_set_curve_serverkey (socket, server_key);
    zsock_set_curve_publickey (socket, pair->public_key);
    zsock_set_curve_secretkey (socket, pair->secret_key);
}

static void open_with (client_t *self, const pair_t *pair)
{
    *self = (client_t){.sub = NULL};
    self->sub = zsock_new (ZMQ_SUB);
    set_keys (self->sub, pair, server.public_key);
    assert_int_equal (zsock_connect (self->sub, "%s", resil_monitor_endpoint (monitor)), 0);
    client_subscribe (self, "resil1/event/");
    self->dealer = zsock_new (ZMQ_DEALER);
    zsock_set_linger (self->dealer, 0);
    set_keys (self->dealer, pair, server.public_key);
    assert_int_equal (zsock_connect (self->dealer, "%s", self->control), 0);
}

/*  What becomes of a connection, as ZeroMQ tells: of a socket that is not connected yet. */
static void *watch_connection (zsock_t *socket)
{
    static int count;
    char endpoint[64];
    snprintf (endpoint, sizeof endpoint, "inproc://connection-%d", ++count);
    assert_int_equal (zmq_socket_monitor (zsock_resolve (socket), endpoint, ZMQ_EVENT_ALL), 0);
    zsock_t *pair = zsock_new (ZMQ_PAIR);
    assert_int_equal (zsock_connect (pair, "%s", endpoint), 0);
    zsock_set_rcvtimeo (pair, SUPPORT_PATIENCE_MS);
    return pair;
}

/*  The first of those events that comes, 0: none does. */
static int next_event (zsock_t *connection, int events)
{
    for (;;) {
        zmsg_t *message = zmsg_recv (connection);
        if (!message)
            return 0;
        uint16_t event;
        memcpy (&event, zframe_data (zmsg_first (message)), sizeof event);
        zmsg_destroy (&message);
        if (event & events)
            return event;
    }
}

#define FAILED                                                                                     \
    (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |                  \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED)
#define SUCCEEDED ZMQ_EVENT_HANDSHAKE_SUCCEEDED

/*  Who connects with this socket is not let in, by neither endpoint, and told nothing. Takes it. */
static void is_not_let_in (zsock_t *socket, const char *endpoint)
{
    zsock_t *connection = watch_connection (socket);
    assert_int_equal (zsock_connect (socket, "%s", endpoint), 0);
    for (int i = 0; i < 2; i++)
        assert_true (next_event (connection, FAILED | SUCCEEDED) & FAILED);
    zsock_set_rcvtimeo (socket, 0);
    assert_null (zmsg_recv (socket));
    zmq_socket_monitor (zsock_resolve (socket), NULL, 0);
    zsock_destroy (&connection);
    zsock_destroy (&socket);
}

static zsock_t *new_sub (void)
{
    zsock_t *socket = zsock_new (ZMQ_SUB);
    zsock_set_subscribe (socket, "");
    return socket;
}

/*  The next refusal says so, and of whom. */
static void refusal_is_told (client_t *boss, const char *by, const char *text)
{
    client_await (boss, "type", "refused");
    assert_string_equal (client_text (boss, "do"), "connect");
    assert_string_equal (client_text (boss, "by"), by);
    assert_non_null (strstr (client_text (boss, "error.text"), text));
}

/*  ---- Cases -------------------------------------------------------------------------------------------- */

static void each_key_may_do_what_its_role_says (void **state)
{
    (void) state;
    client_t client;
    begin ();
    watch ();
    open_with (&client, &viewer);
    client_must (&client, "hello", "");
    assert_string_equal (client_text (&client, "result.role"), "viewer");
    assert_string_equal (client_text (&client, "result.by"), "key eve@127.0.0.1");
    client_must (&client, "snapshot", "");
    client_must_not (&client, "restart", "\"path\":\"/resil/a\"", "refused");
    client_await (&client, "type", "refused");
    assert_string_equal (client_text (&client, "by"), "key eve@127.0.0.1");
    client_close (&client);
    open_with (&client, &operator);
    client_must (&client, "restart", "\"path\":\"/resil/a\"");
    client_await (&client, "stage", "done");
    assert_string_equal (client_text (&client, "by"), "key ops@127.0.0.1");
    client_must_not (&client, "set", "\"path\":\"/resil\",\"max_restarts\":1", "refused");
    client_close (&client);
    open_with (&client, &admin);
    client_must (&client, "set", "\"path\":\"/resil\",\"max_restarts\":1");
    client_close (&client);
    end ();
}

static void strangers_are_turned_away_and_that_is_an_event (void **state)
{
    (void) state;
    client_t client;
    begin ();
    watch ();
    open_with (&client, &admin);
    zsock_t *socket = new_sub ();
    set_keys (socket, &stranger, server.public_key);
    is_not_let_in (socket, resil_monitor_endpoint (monitor));
    char by[64];
    snprintf (by, sizeof by, "key %.8s...@127.0.0.1", stranger.public_key);
    refusal_is_told (&client, by, "not in the access list");
    socket = zsock_new (ZMQ_DEALER);
    set_keys (socket, &stranger, server.public_key);
    is_not_let_in (socket, resil_monitor_control (monitor));
    client_close (&client);
    end ();
}

/*  Somebody, of whom it has not been told yet. */
static bool has_refused (client_t *boss)
{
    while (client_event (boss, 500))
        if (strcmp (client_text (boss, "type"), "refused") == 0)
            return true;
    return false;
}

static zsock_t *new_keyless (int type, bool is_plain)
{
    zsock_t *socket = zsock_new (type);
    if (is_plain) {
        zsock_set_plain_username (socket, "root");
        zsock_set_plain_password (socket, "root");
    }
    return socket;
}

static void what_is_not_curve_is_not_let_in (void **state)
{
    (void) state;
    client_t boss;
    begin ();
    watch ();
    open_with (&boss, &admin);
    for (int is_plain = 0; is_plain < 2; is_plain++) {
        /*  Where the peer sees first that they do not fit, nobody is turned away: it has gone. */
        do {
            is_not_let_in (new_keyless (ZMQ_DEALER, is_plain), resil_monitor_control (monitor));
            is_not_let_in (new_keyless (ZMQ_SUB, is_plain), resil_monitor_endpoint (monitor));
        } while (!has_refused (&boss));
        assert_string_equal (client_text (&boss, "by"), "unknown@tcp");
        assert_non_null (strstr (client_text (&boss, "error.text"), "does not speak CURVE"));
        while (has_refused (&boss))
            continue;
    }
    client_close (&boss);
    end ();
}

/*  It does not get on with a server whose key it does not expect. */
static void who_expects_another_server_is_not_served (void **state)
{
    (void) state;
    client_t boss;
    begin ();
    watch ();
    open_with (&boss, &admin);
    zsock_t *socket = new_sub (), *connection = watch_connection (socket);
    set_keys (socket, &admin, stranger.public_key);
    assert_int_equal (zsock_connect (socket, "%s", resil_monitor_endpoint (monitor)), 0);
    zsock_set_rcvtimeo (connection, 3000);
    assert_false (next_event (connection, FAILED | SUCCEEDED) & SUCCEEDED);
    refusal_is_told (&boss, "unknown@tcp", "expects another server key");
    client_close (&boss);
    zmq_socket_monitor (zsock_resolve (socket), NULL, 0);
    zsock_destroy (&connection);
    zsock_destroy (&socket);
    end ();
}

/*  ---- What a stranger can learn ----------------------------------------------------------------------- */

/*  All that is said to who says this, until the connection is ended, which it is in the time for handshakes. */
static size_t learn (const char *endpoint, const void *bytes, size_t size, char *learnt,
                     size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons ((uint16_t) atoi (strrchr (endpoint, ':') + 1));
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal (connect (fd, (struct sockaddr *) &address, sizeof address), 0);
    assert_true (send (fd, bytes, size, MSG_NOSIGNAL) >= 0);
    struct pollfd item = {.fd = fd, .events = POLLIN};
    size_t count = 0;
    for (ssize_t got = 1; got > 0; count += got > 0 ? (size_t) got : 0) {
        assert_int_equal (poll (&item, 1, SUPPORT_PATIENCE_MS), 1);
        assert_true (count < room);
        got = recv (fd, learnt + count, room - count, 0);
    }
    close (fd);
    return count;
}

/*  ZMTP's greeting with that mechanism, then a command. */
static size_t greet (unsigned char bytes[256], const char *mechanism, const char *command,
                     size_t size)
{
    memset (bytes, 0, 256);
    bytes[0] = 0xff;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    memcpy (bytes + 12, mechanism, strlen (mechanism));
    bytes[64] = 4;
    bytes[65] = (unsigned char) size;
    memcpy (bytes + 66, command, size);
    return 66 + size;
}

/*  That ZeroMQ is there and wants CURVE: its greeting, the same at both ports. No name, no path, no key, nothing of resil. */
static void a_stranger_learns_that_something_listens_and_no_more (void **state)
{
    (void) state;
    static const unsigned char greeting[64] = {0xff, [8] = 1, [9] = 0x7f, 3,   1,       'C',
                                               'U',  'R',     'V',        'E', [32] = 1};
    static const struct {
        const char *mechanism;
        const char *command;
        size_t size;
    } tries[] = {{"NULL", "\5READY\13Socket-Type\0\0\0\3SUB", 24},
                 {"PLAIN", "\5HELLO\4root\4root", 16},
                 {"CURVE", "\5HELLO\1\0 and what is none", 24}};
    begin ();
    watch ();
    const char *const endpoints[] = {resil_monitor_endpoint (monitor),
                                     resil_monitor_control (monitor)};
    for (size_t i = 0; i < 2; i++) {
        char learnt[1024];
        unsigned char bytes[256];
        assert_in_range (learn (endpoints[i], "", 0, learnt, sizeof learnt), 0, 64);
        assert_in_range (learn (endpoints[i], "GET / HTTP/1.1\r\n\r\n", 18, learnt, sizeof learnt),
                         0, 64);
        for (size_t at = 0; at < sizeof tries / sizeof *tries; at++) {
            size_t size = greet (bytes, tries[at].mechanism, tries[at].command, tries[at].size);
            size = learn (endpoints[i], bytes, size, learnt, sizeof learnt);
            assert_in_range (size, 0, sizeof greeting);
            assert_memory_equal (learnt, greeting, size);
        }
    }
    end ();
}

/*  A subscriber with that key, and what becomes of its connection. */
static zsock_t *open_watched (client_t *self, const pair_t *pair)
{
    *self = (client_t){.sub = zsock_new (ZMQ_SUB)};
    set_keys (self->sub, pair, server.public_key);
    zsock_t *connection = watch_connection (self->sub);
    assert_int_equal (zsock_connect (self->sub, "%s", resil_monitor_endpoint (monitor)), 0);
    client_subscribe (self, "resil1/event/");
    assert_int_equal (next_event (connection, SUCCEEDED), SUCCEEDED);
    return connection;
}

static void close_watched (client_t *self, zsock_t *connection)
{
    zmq_socket_monitor (zsock_resolve (self->sub), NULL, 0);
    zsock_destroy (&connection);
    client_close (self);
}

/*  A beat that was sent after this instant. */
static void await_new_beat (client_t *self)
{
    int64_t from_us = zclock_usecs ();
    do
        assert_non_null (client_receive (self, self->sub, SUPPORT_PATIENCE_MS));
    while (!client_is_beat (self) || client_number (self, "at_us") <= from_us);
}

static void a_key_that_is_taken_back_loses_the_stream (void **state)
{
    (void) state;
    client_t client, other, boss;
    begin ();
    watch ();
    open_with (&boss, &admin);
    zsock_t *others = open_watched (&other, &operator);
    zsock_t *connection = open_watched (&client, &viewer);
    write_access (false);
    assert_int_equal (next_event (connection, ZMQ_EVENT_DISCONNECTED), ZMQ_EVENT_DISCONNECTED);
    assert_true (next_event (connection, FAILED | SUCCEEDED) & FAILED);
    /*  The others come back by themselves. */
    assert_int_equal (next_event (others, SUCCEEDED), SUCCEEDED);
    await_new_beat (&other);
    client_must (&boss, "restart", "\"path\":\"/resil/a\"");
    client_await (&other, "stage", "done");
    close_watched (&client, connection);
    close_watched (&other, others);
    client_close (&boss);
    /*  It is given back. */
    write_access (true);
    for (int i = 0; i < 100 && !client.sub; i++) {
        zsock_t *socket = new_sub ();
        set_keys (socket, &viewer, server.public_key);
        zsock_set_rcvtimeo (socket, 500);
        assert_int_equal (zsock_connect (socket, "%s", resil_monitor_endpoint (monitor)), 0);
        zmsg_t *message = zmsg_recv (socket);
        if (message)
            client.sub = socket;
        else
            zsock_destroy (&socket);
        zmsg_destroy (&message);
    }
    assert_non_null (client.sub);
    zsock_destroy (&client.sub);
    end ();
}

/*  Within a second, where the machine lets it: in one of some tries. */
static void it_loses_the_stream_within_a_second (void **state)
{
    (void) state;
    int64_t took_ms = INT64_MAX;
    for (int i = 0; i < 10 && took_ms > 1000; i++) {
        client_t client;
        begin ();
        watch ();
        zsock_t *connection = open_watched (&client, &viewer);
        int64_t from_ms = zclock_mono ();
        write_access (false);
        assert_int_equal (next_event (connection, ZMQ_EVENT_DISCONNECTED), ZMQ_EVENT_DISCONNECTED);
        took_ms = zclock_mono () - from_ms;
        close_watched (&client, connection);
        end ();
    }
    assert_in_range (took_ms, 0, 1000);
}

static void a_list_that_has_become_wrong_lets_nobody_in (void **state)
{
    (void) state;
    begin ();
    watch ();
    write_file (access_file, 0600, "nonsense\n");
    assert_non_null (support_log_wait ("nobody may do anything", SUPPORT_PATIENCE_MS));
    assert_non_null (
        support_log_wait ("line 1: it must be PUBLIC-KEY ROLE NAME", SUPPORT_PATIENCE_MS));
    zsock_t *socket = new_sub ();
    set_keys (socket, &admin, server.public_key);
    is_not_let_in (socket, resil_monitor_endpoint (monitor));
    end ();
}

static void wrong_files_are_refused_with_a_sentence (void **state)
{
    (void) state;
    begin ();
    ok (chmod (keys_file, 0644));
    assert_null (try_monitor (root));
    assert_int_equal (errno, EACCES);
    said ("chmod 600");
    write_file (keys_file, 0600, "public x\n");
    assert_null (try_monitor (root));
    assert_int_equal (errno, EINVAL);
    unlink (keys_file);
    assert_null (try_monitor (root));
    assert_int_equal (errno, ENOENT);
    end ();
    begin ();
    ok (chmod (access_file, 0622));
    assert_null (try_monitor (root));
    assert_int_equal (errno, EACCES);
    said ("chmod go-w");
    write_file (access_file, 0600, "short viewer x\n");
    assert_null (try_monitor (root));
    said ("40 characters");
    end ();
}

/*  It lets nobody of this machine come to the program's own sockets. */
static zactor_t *new_handler (void)
{
    zactor_t *handler = zactor_new (zauth, NULL);
    ok (zstr_sendx (handler, "DENY", "127.0.0.1", NULL));
    ok (zsock_wait (handler));
    return handler;
}

static void the_programs_own_sockets_are_the_handlers (void)
{
    char endpoint[64];
    zsock_t *own = zsock_new (ZMQ_PUB);
    zsock_set_zap_domain (own, "global");
    assert_true (zsock_bind (own, "tcp://127.0.0.1:*") > 0);
    snprintf (endpoint, sizeof endpoint, "%s", zsock_endpoint (own));
    is_not_let_in (new_sub (), endpoint);
    zsock_destroy (&own);
}

static void the_monitor_is_for_its_list (void)
{
    client_t client;
    zsock_t *socket = new_sub ();
    open_with (&client, &viewer);
    client_must (&client, "hello", "");
    set_keys (socket, &stranger, server.public_key);
    is_not_let_in (socket, resil_monitor_endpoint (monitor));
    client_close (&client);
}

/*  zauth, or any other that answers in the context of the program's sockets. */
static void a_handler_of_the_programs_own_is_there_before_it (void **state)
{
    (void) state;
    begin ();
    zactor_t *handler = new_handler ();
    watch ();
    the_monitor_is_for_its_list ();
    the_programs_own_sockets_are_the_handlers ();
    zactor_destroy (&handler);
    the_monitor_is_for_its_list ();
    end ();
}

static void a_handler_of_the_programs_own_is_begun_after_it (void **state)
{
    (void) state;
    begin ();
    watch ();
    zactor_t *handler = new_handler ();
    the_monitor_is_for_its_list ();
    the_programs_own_sockets_are_the_handlers ();
    resil_monitor_destroy (&monitor);
    the_programs_own_sockets_are_the_handlers ();
    zactor_destroy (&handler);
    end ();
}

static void two_monitors_have_keys (void **state)
{
    (void) state;
    begin ();
    watch ();
    resil_supervisor_t *other_root = supervisor_new (RESIL_UNLIMITED);
    resil_monitor_t *other = try_monitor (other_root);
    assert_non_null (other);
    the_monitor_is_for_its_list ();
    resil_monitor_destroy (&other);
    resil_supervisor_destroy (&other_root);
    the_monitor_is_for_its_list ();
    end ();
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        trace_case (each_key_may_do_what_its_role_says),
        trace_case (strangers_are_turned_away_and_that_is_an_event),
        trace_case (what_is_not_curve_is_not_let_in),
        trace_case (a_stranger_learns_that_something_listens_and_no_more),
        trace_case (who_expects_another_server_is_not_served),
        trace_case (a_key_that_is_taken_back_loses_the_stream),
        trace_case (it_loses_the_stream_within_a_second),
        trace_case (a_list_that_has_become_wrong_lets_nobody_in),
        trace_case (wrong_files_are_refused_with_a_sentence),
        trace_case (a_handler_of_the_programs_own_is_there_before_it),
        trace_case (a_handler_of_the_programs_own_is_begun_after_it),
        trace_case (two_monitors_have_keys),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
