/*  What is read in a message of sd_notify.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

#include "process/notice.h"

static resil__notice_t read_text (const char *text)
{
    return resil__notice_read (text, strlen (text));
}

static void each_line_says_one_thing (void **state)
{
    (void) state;
    resil__notice_t notice = read_text ("READY=1\nSTATUS=at your service\nWATCHDOG=1\nMAINPID=1");
    assert_true (notice.is_ready);
    assert_true (notice.is_alive);
    assert_false (notice.is_stopping || notice.is_reloading || notice.is_hung);
    assert_int_equal (notice.status_size, strlen ("at your service"));
    assert_memory_equal (notice.status, "at your service", notice.status_size);
    assert_int_equal (notice.extend_us, -1);
    notice = read_text ("STOPPING=1\nERRNO=2\nEXTEND_TIMEOUT_USEC=5000000\n");
    assert_true (notice.is_stopping);
    assert_int_equal (notice.error, 2);
    assert_int_equal (notice.extend_us, 5000000);
    assert_true (read_text ("RELOADING=1\nMONOTONIC_USEC=1").is_reloading);
    assert_true (read_text ("WATCHDOG=trigger").is_hung);
}

static void what_makes_no_sense_is_passed_over (void **state)
{
    (void) state;
    static const char *const texts[] = {"",
                                        "\n\n\n",
                                        "READY=0",
                                        "READY=1 ",
                                        "XREADY=1",
                                        "ERRNO=",
                                        "ERRNO=-1",
                                        "ERRNO=99999999999999999999999",
                                        "EXTEND_TIMEOUT_USEC=1x",
                                        "EXTEND_TIMEOUT_USEC=99999999999999999999",
                                        "WATCHDOG=2"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        resil__notice_t notice = read_text (texts[i]);
        assert_false (notice.is_ready || notice.is_alive || notice.is_hung || notice.error);
        assert_int_equal (notice.extend_us, -1);
        assert_null (notice.status);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (each_line_says_one_thing),
        cmocka_unit_test (what_makes_no_sense_is_passed_over),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
