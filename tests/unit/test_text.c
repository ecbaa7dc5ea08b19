/*  Text from outside: what is a character, and what becomes of what is none.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <signal.h>

#include <string.h>

#include "foundation/text.h"

typedef struct {
    const char *bytes;
    size_t size;
    size_t length;
} character_t;

#define BYTES(text) (text), sizeof (text) - 1

static void a_character_is_as_long_as_unicode_says (void **state)
{
    (void) state;
    static const character_t table[] = {
        {BYTES (""), 0},
        {BYTES ("a"), 1},
        {BYTES ("\x7f"), 1},
        {"\0", 1, 1},
        {BYTES ("\xc2\x80"), 2},             /*  the first of two bytes                  */
        {BYTES ("\xdf\xbf"), 2},             /*  the last                                */
        {BYTES ("\xe0\xa0\x80"), 3},         /*  the first of three                      */
        {BYTES ("\xed\x9f\xbf"), 3},         /*  the last before the surrogates          */
        {BYTES ("\xee\x80\x80"), 3},         /*  the first after them                    */
        {BYTES ("\xef\xbf\xbf"), 3},         /*  the last of three                       */
        {BYTES ("\xf0\x90\x80\x80"), 4},     /*  the first of four                       */
        {BYTES ("\xf4\x8f\xbf\xbf"), 4},     /*  the last there is                       */
        {BYTES ("\xf0\x9f\x98\x80rest"), 4}, /*  what follows does not matter            */
        {BYTES ("\x80"), 0},                 /*  continuations alone                     */
        {BYTES ("\xbf"), 0},
        {BYTES ("\xc0\x80"), 0}, /*  overlong                                */
        {BYTES ("\xc1\xbf"), 0},
        {BYTES ("\xe0\x80\x80"), 0},
        {BYTES ("\xe0\x9f\xbf"), 0},
        {BYTES ("\xf0\x80\x80\x80"), 0},
        {BYTES ("\xf0\x8f\xbf\xbf"), 0},
        {BYTES ("\xed\xa0\x80"), 0}, /*  surrogates                              */
        {BYTES ("\xed\xbf\xbf"), 0},
        {BYTES ("\xf4\x90\x80\x80"), 0}, /*  beyond U+10FFFF                         */
        {BYTES ("\xf5\x80\x80\x80"), 0},
        {BYTES ("\xff"), 0},
        {BYTES ("\xfe\xbf\xbf\xbf"), 0},
        {BYTES ("\xc2"), 0}, /*  cut short                               */
        {BYTES ("\xe1\x80"), 0},
        {BYTES ("\xf1\x80\x80"), 0},
        {BYTES ("\xc2g"), 0}, /*  continued by something else             */
        {BYTES ("\xe1\x80g"), 0},
        {BYTES ("\xf1\x80\x80g"), 0},
        {BYTES ("\xe1\xc2\x80"), 0},
    };
    for (size_t at = 0; at < sizeof table / sizeof *table; at++)
        if (resil__utf8_length ((const unsigned char *) table[at].bytes, table[at].size) !=
            table[at].length)
            fail_msg ("line %zu of the table", at);
}

static void every_character_of_unicode_is_accepted_and_nothing_else (void **state)
{
    (void) state;
    int counts[5] = {0};
    for (uint32_t code = 0; code < 0x10ffff + 0x1000; code++) {
        unsigned char bytes[4];
        size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        if (size == 1)
            bytes[0] = (unsigned char) code;
        else {
            for (size_t i = size - 1; i > 0; i--)
                bytes[i] = 0x80 | (code >> (6 * (size - 1 - i)) & 0x3f);
            static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
            bytes[0] = (unsigned char) (lead[size] | code >> (6 * (size - 1)));
        }
        counts[resil__utf8_length (bytes, size)]++;
    }
    assert_int_equal (counts[1], 0x80);
    assert_int_equal (counts[2], 0x800 - 0x80);
    assert_int_equal (counts[3], 0x10000 - 0x800 - 0x800);
    assert_int_equal (counts[4], 0x110000 - 0x10000);
}

typedef struct {
    const char *from;
    size_t size;
    size_t room;
    const char *text;
    bool unchanged;
} cleaning_t;

static void text_is_cleaned_and_cut_at_a_character (void **state)
{
    (void) state;
    static const cleaning_t table[] = {
        {BYTES (""), 8, "", true},
        {BYTES ("abc"), 8, "abc", true},
        {BYTES ("1234567"), 8, "1234567", true},
        {BYTES ("12345678"), 8, "1234...", false},
        {BYTES ("123456789"), 8, "1234...", false},
        {BYTES ("a\tb\nc\x7f"), 8, "a b c ", false},
        {"a\0b", 3, 8, "a b", false},
        {BYTES ("a\xff"), 8, "a?", false},
        {BYTES ("\xed\xa0\x80"), 8, "???", false},
        {BYTES ("a\xc3"), 8, "a?", false},
        {BYTES ("\xc3\xa9\xc3\xa9\xc3\xa9"), 8, "\xc3\xa9\xc3\xa9\xc3\xa9", true},
        {BYTES ("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"), 8, "\xc3\xa9\xc3\xa9...", false},
        {BYTES ("123\xc3\xa9xyz"), 8, "123...", false},
        {BYTES ("\xf0\x9f\x98\x80\xf0\x9f\x98\x80"), 8, "\xf0\x9f\x98\x80...", false},
        {BYTES ("12345"), 4, "...", false},
        {BYTES ("123"), 4, "123", true},
    };
    for (size_t at = 0; at < sizeof table / sizeof *table; at++) {
        const cleaning_t *one = &table[at];
        char text[16];
        memset (text, '#', sizeof text);
        bool unchanged = resil__text_clean (text, one->room, one->from, one->size);
        if (strcmp (text, one->text) != 0 || unchanged != one->unchanged)
            fail_msg ("line %zu of the table: \"%s\", unchanged: %d", at, text, unchanged);
        for (size_t i = one->room; i < sizeof text; i++)
            assert_int_equal (text[i], '#');
    }
}

static void what_is_cut_never_leaves_half_a_character (void **state)
{
    (void) state;
    static const char long_text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
                                    "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    for (size_t room = 4; room < sizeof long_text + 3; room++)
        for (size_t size = 0; size < sizeof long_text; size++) {
            char text[64];
            memset (text, '#', sizeof text);
            resil__text_clean (text, room, long_text, size);
            assert_true (strlen (text) < room);
            for (size_t at = 0; text[at];) {
                size_t length =
                    resil__utf8_length ((const unsigned char *) text + at, strlen (text + at));
                assert_true (length > 0);
                at += length;
            }
            assert_int_equal (text[room], '#');
        }
}

static void a_byte_that_is_not_plain_is_found_wherever_it_is (void **state)
{
    (void) state;
    for (int byte = 0; byte < 256; byte++)
        for (size_t at = 0; at < 20; at++) {
            char from[20], text[64];
            memset (from, 'x', sizeof from);
            from[at] = (char) byte;
            bool plain = byte >= 0x20 && byte < 0x7f;
            assert_int_equal (resil__text_clean (text, sizeof text, from, sizeof from), plain);
            assert_int_equal (strlen (text), 20);
            assert_int_equal (text[at], plain ? byte : byte < 0x80 ? ' ' : '?');
        }
}

static void a_hash_tells_texts_apart (void **state)
{
    (void) state;
    assert_true (resil__text_hash ("") != resil__text_hash ("a"));
    assert_true (resil__text_hash ("12345678") != resil__text_hash ("123456789"));
    assert_true (resil__text_hash ("1234567890") == resil__text_hash ("1234567890"));
    assert_true (resil__text_hash ("ab") != resil__text_hash ("ba"));
}

static void every_byte_of_a_text_of_any_length_matters_to_its_hash (void **state)
{
    (void) state;
    char text[] = "what has 40 bytes, each of which matters";
    for (size_t length = sizeof text - 1; length > 0; length--) {
        text[length] = 0;
        uint64_t hash = resil__text_hash (text);
        for (size_t i = 0; i < length; i++) {
            text[i] ^= 1;
            assert_true (resil__text_hash (text) != hash);
            text[i] ^= 1;
        }
    }
}

static void a_signal_has_its_name (void **state)
{
    (void) state;
    char text[RESIL__SIGNAL_TEXT];
    assert_string_equal (resil__text_signal (text, SIGSEGV), "SIGSEGV");
    assert_string_equal (resil__text_signal (text, SIGRTMIN + 3), "SIGRTMIN+3");
    assert_string_equal (resil__text_signal (text, 99), "signal 99");
}

static void the_last_line_is_what_follows_the_last_newline (void **state)
{
    (void) state;
    assert_string_equal (resil__text_last_line ("one\ntwo"), "two");
    assert_string_equal (resil__text_last_line ("one"), "one");
    assert_string_equal (resil__text_last_line ("one\n"), "");
    assert_string_equal (resil__text_last_line (NULL), "");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_character_is_as_long_as_unicode_says),
        cmocka_unit_test (every_character_of_unicode_is_accepted_and_nothing_else),
        cmocka_unit_test (text_is_cleaned_and_cut_at_a_character),
        cmocka_unit_test (what_is_cut_never_leaves_half_a_character),
        cmocka_unit_test (a_byte_that_is_not_plain_is_found_wherever_it_is),
        cmocka_unit_test (a_hash_tells_texts_apart),
        cmocka_unit_test (every_byte_of_a_text_of_any_length_matters_to_its_hash),
        support_case (a_signal_has_its_name),
        cmocka_unit_test (the_last_line_is_what_follows_the_last_newline),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
