/*  Requests: what is one, and what is wrong with what is none.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "foundation/random.h"
#include "monitor/request.h"
#include "support.h"

static resil__request_t request;

static int parse (const char *text)
{
    resil__request_release (&request);
    return resil__request_parse (&request, text, strlen (text));
}

static void wrong (const char *text, int error, const char *words)
{
    errno = 0;
    assert_int_equal (parse (text), -1);
    if (errno != error || !strstr (resil_errmsg (), words))
        fail_msg ("%s: %d, \"%s\" does not say \"%s\"", text, errno, resil_errmsg (), words);
    resil__request_release (&request);
}

#define START "{\"v\":1,\"id\":\"i\",\"do\":"

static void all_fields_are_read (void **state)
{
    (void) state;
    ok (parse (START "\"call\",\"path\":\"/a/b\",\"text\":\"\",\"tag\":4294967295,\"timeout_us\":0,"
                     "\"incarnation\":9223372036854775807,\"if_idle\":true,\"new\":[1]}"));
    assert_int_equal (request.what, RESIL__TO_CALL);
    assert_string_equal (request.id, "i");
    assert_string_equal (request.path, "/a/b");
    assert_string_equal (request.text, "");
    assert_int_equal (request.tag, UINT32_MAX);
    assert_int_equal (request.timeout_us, 0);
    assert_int_equal (request.incarnation, INT64_MAX);
    assert_true (request.if_idle);
    assert_string_equal (request.type, "");
    assert_int_equal (request.max_restarts, INT64_MIN);
    ok (parse (START "\"events\",\"from\":0}"));
    assert_int_equal (request.limit, RESIL__REPLY_USUAL);
    assert_int_equal (request.timeout_us, 5000000);
    resil__request_release (&request);
}

static void each_deed_has_its_role_and_what_it_needs (void **state)
{
    (void) state;
    for (resil__do_t what = 0; what < RESIL__DEEDS; what++) {
        const resil__deed_t *deed = resil__deed (what);
        char text[256];
        snprintf (text, sizeof text, START "\"%s\"}", deed->name);
        assert_true (deed->role >= RESIL__VIEWER);
        assert_int_equal (deed->changes, deed->role > RESIL__VIEWER);
        assert_int_equal (parse (text), deed->needs ? -1 : 0);
        if (deed->needs)
            assert_non_null (strstr (resil_errmsg (), "needs a field"));
        snprintf (text, sizeof text,
                  START "\"%s\",\"path\":\"/a\",\"from\":1,\"text\":\"x\",\"supervisor\":\"/a\","
                        "\"type\":\"t\",\"name\":\"n\"}",
                  deed->name);
        ok (parse (text));
        assert_int_equal (request.what, what);
    }
    wrong (START "\"connect\"}", EINVAL, "does not know");
}

static void what_is_wrong_is_named (void **state)
{
    (void) state;
    wrong ("", EINVAL, "JSON object");
    wrong ("{", EINVAL, "JSON object");
    wrong ("7", EINVAL, "JSON object");
    wrong ("[]", EINVAL, "not another value");
    wrong ("{} x", EINVAL, "at byte");
    wrong ("{}", EINVAL, "\"id\"");
    wrong ("{\"id\":\"i\"}", EINVAL, "\"v\"");
    wrong ("{\"id\":\"i\",\"v\":\"1\"}", EINVAL, "\"v\"");
    wrong ("{\"id\":\"i\",\"v\":1.0}", EINVAL, "\"v\"");
    wrong ("{\"id\":\"i\",\"v\":2}", EPROTONOSUPPORT, "version 1");
    wrong ("{\"id\":\"i\",\"v\":1}", EINVAL, "\"do\"");
    wrong (START "7}", EINVAL, "\"do\"");
    wrong (START "\"\"}", EINVAL, "\"do\"");
    wrong (START "\"hello\",\"do\":\"hello\"}", EINVAL, "duplicate");
    wrong (START "\"list\",\"path\":\"/\"}", EINVAL, "\"path\" is a text of 2");
    wrong (START "\"list\",\"path\":7}", EINVAL, "\"path\" is a text");
    wrong (START "\"list\",\"path\":\"/a\\u0000b\"}", EINVAL, "JSON");
    wrong (START "\"list\",\"path\":\"/\xff\"}", EINVAL, "decode byte");
    wrong (START "\"call\",\"path\":\"/a\",\"text\":\"\",\"tag\":-1}", EINVAL,
           "\"tag\" is a whole number");
    wrong (START "\"call\",\"path\":\"/a\",\"text\":\"\",\"tag\":1.5}", EINVAL, "\"tag\"");
    wrong (START "\"call\",\"path\":\"/a\",\"text\":\"\",\"tag\":99999999999999999999}", EINVAL,
           "integer");
    wrong (START "\"stop\",\"path\":\"/a\",\"if_idle\":1}", EINVAL, "true or false");
    wrong (START "\"events\",\"from\":1,\"limit\":10001}", EINVAL, "10000");
}

static void an_id_is_known_even_of_what_is_wrong (void **state)
{
    (void) state;
    char text[256], id[80] = "";
    wrong ("{\"v\":9,\"id\":\"me\"}", EPROTONOSUPPORT, "9");
    assert_string_equal (request.kept_id, "me");
    memset (id, 'x', RESIL__ID_ROOM - 1);
    snprintf (text, sizeof text, "{\"v\":1,\"do\":\"hello\",\"id\":\"%s\"}", id);
    ok (parse (text));
    assert_string_equal (request.kept_id, id);
    snprintf (text, sizeof text, "{\"v\":1,\"do\":\"hello\",\"id\":\"%sx\"}", id);
    wrong (text, EINVAL, "1 to 64 bytes");
    assert_string_equal (request.kept_id, "");
}

static void depth_and_length_have_a_bound (void **state)
{
    (void) state;
    static char text[RESIL__REQUEST_MAX + 64];
    strcpy (text, START "\"hello\",\"x\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}");
    ok (parse (text));
    strcpy (text, START "\"hello\",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}");
    wrong (text, EINVAL, "16 deep");
    ok (parse (START "\"hello\",\"x\":\"[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[\"}"));
    memset (text, '[', RESIL__REQUEST_MAX);
    text[RESIL__REQUEST_MAX] = 0;
    wrong (text, EINVAL, "deep");
    strcat (text, "[");
    wrong (text, EMSGSIZE, "65536 bytes");
}

/*  Bytes changed, left out and doubled at random: it is refused or not, and nothing else happens. */
static void what_is_garbled_is_refused_or_taken (void **state)
{
    (void) state;
    static const char text[] = START "\"call\",\"path\":\"/app/a\",\"text\":\"\\u00e4\",\"tag\":1,"
                                     "\"x\":{\"y\":[1,2.5e3,null,true]}}";
    resil__random_t random = {.state = 1};
    int taken = 0;
    for (int i = 0; i < 100000; i++) {
        char bytes[sizeof text];
        memcpy (bytes, text, sizeof text);
        size_t size = sizeof text - 1;
        for (uint64_t n = resil__random_next (&random) % 4; n > 0; n--) {
            size_t at = resil__random_next (&random) % size;
            if (resil__random_next (&random) & 1)
                bytes[at] = (char) resil__random_next (&random);
            else {
                memmove (bytes + at, bytes + at + 1, size - at - 1);
                size--;
            }
        }
        taken += resil__request_parse (&request, bytes, size) == 0;
        resil__request_release (&request);
    }
    assert_in_range (taken, 20000, 90000);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (all_fields_are_read),
        support_case (each_deed_has_its_role_and_what_it_needs),
        support_case (what_is_wrong_is_named),
        support_case (an_id_is_known_even_of_what_is_wrong),
        support_case (depth_and_length_have_a_bound),
        support_case (what_is_garbled_is_refused_or_taken),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
