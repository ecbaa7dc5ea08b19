/*  What systemd's variables say: addresses, the watchdog, sockets and their names.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

#include "systemd/notify.h"
#include "systemd/sockets.h"

static void an_address_is_a_path_or_an_abstract_name (void **state)
{
    (void) state;
    struct sockaddr_un address;
    size_t before = offsetof (struct sockaddr_un, sun_path);
    assert_int_equal (resil__notify_address ("/run/x", &address), before + 7);
    assert_string_equal (address.sun_path, "/run/x");
    assert_int_equal (address.sun_family, AF_UNIX);
    assert_int_equal (resil__notify_address ("@abc", &address), before + 4);
    assert_memory_equal (address.sun_path, "\0abc", 4);
}

static void what_can_be_no_address_is_none (void **state)
{
    (void) state;
    struct sockaddr_un address;
    char text[sizeof address.sun_path + 2];
    static const char *const wrong[] = {"", "/", "@", "run/x", "vsock:2:1234", " /run/x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal (resil__notify_address (wrong[i], &address), 0);
    for (int first = 0; first < 2; first++) {
        memset (text, 'x', sizeof text);
        text[0] = "/@"[first];
        text[sizeof address.sun_path - !first] = 0;
        assert_int_not_equal (resil__notify_address (text, &address), 0);
        text[sizeof address.sun_path - !first] = 'x';
        text[sizeof address.sun_path + first] = 0;
        text[sizeof address.sun_path + 1] = 0;
        assert_int_equal (resil__notify_address (text, &address), 0);
    }
}

static void a_watchdog_is_for_the_process_that_is_named (void **state)
{
    (void) state;
    assert_true (resil__notify_watchdog_us (NULL, NULL, 7) == 0);
    assert_true (resil__notify_watchdog_us ("", "7", 7) == 0);
    assert_true (resil__notify_watchdog_us ("30000000", NULL, 7) == 30000000);
    assert_true (resil__notify_watchdog_us ("30000000", "7", 7) == 30000000);
    assert_true (resil__notify_watchdog_us ("30000000", "8", 7) == 0);
    static const char *const wrong[] = {"0", "-1", "x", "1x", " 1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_true (resil__notify_watchdog_us (wrong[i], "7", 7) == -1);
        assert_true (resil__notify_watchdog_us ("1", wrong[i], 7) == -1);
    }
}

static void sockets_are_for_the_process_that_is_named (void **state)
{
    (void) state;
    assert_int_equal (resil__sockets_count (NULL, "1", 7), 0);
    assert_int_equal (resil__sockets_count ("7", NULL, 7), 0);
    assert_int_equal (resil__sockets_count ("7", "2", 7), 2);
    assert_int_equal (resil__sockets_count ("7", "0", 7), 0);
    assert_int_equal (resil__sockets_count ("8", "2", 7), 0);
    static const char *const wrong[] = {"-1", "x", "1x", " 1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal (resil__sockets_count (wrong[i], "1", 7), -1);
        assert_int_equal (resil__sockets_count ("7", wrong[i], 7), -1);
    }
}

static void names_are_found_by_place_and_without_them_all_are_unknown (void **state)
{
    (void) state;
    assert_true (resil__sockets_is ("http:https:http", 0, "http"));
    assert_true (resil__sockets_is ("http:https:http", 1, "https"));
    assert_true (resil__sockets_is ("http:https:http", 2, "http"));
    assert_false (resil__sockets_is ("http:https:http", 1, "http"));
    assert_false (resil__sockets_is ("http:https", 0, "ht"));
    assert_false (resil__sockets_is ("http:https", 0, "http:"));
    assert_true (resil__sockets_is ("http", 1, "unknown"));
    assert_true (resil__sockets_is (NULL, 4, "unknown"));
    assert_true (resil__sockets_is ("a::b", 1, ""));
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (an_address_is_a_path_or_an_abstract_name),
        cmocka_unit_test (what_can_be_no_address_is_none),
        cmocka_unit_test (a_watchdog_is_for_the_process_that_is_named),
        cmocka_unit_test (sockets_are_for_the_process_that_is_named),
        cmocka_unit_test (names_are_found_by_place_and_without_them_all_are_unknown),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
