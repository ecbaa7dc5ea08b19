/*  How times are said to a person.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "supervisor/narrate.h"

static void a_time_is_said_in_the_unit_a_person_would_use (void **state)
{
    (void) state;
    static const struct {
        int64_t ms;
        const char *text;
    } table[] = {{0, "0 ms"},        {1, "1 ms"},       {400, "400 ms"},
                 {999, "999 ms"},    {1000, "1 s"},     {1001, "1001 ms"},
                 {9999, "9999 ms"},  {10000, "10 s"},   {10500, "10.5 s"},
                 {60000, "60 s"},    {119000, "119 s"}, {120000, "2 min"},
                 {121000, "121 s"},  {300000, "5 min"}, {RESIL_LONGEST_MS, "527040 min"},
                 {300001, "300.0 s"}};
    for (size_t at = 0; at < sizeof table / sizeof *table; at++) {
        char text[32];
        assert_ptr_equal (resil__narrate_time (text, table[at].ms), text);
        assert_string_equal (text, table[at].text);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_time_is_said_in_the_unit_a_person_would_use),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
