/*  The directory where the processes of a program meet, and the tokens by which they know each other.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/rendezvous.h"

/*  As XDG_RUNTIME_DIR, for one case. */
static char base[64];

static void use_base (void)
{
    strcpy (base, "/tmp/rendezvous-XXXXXX");
    assert_non_null (mkdtemp (base));
    setenv ("XDG_RUNTIME_DIR", base, 1);
}

static void remove_base (void)
{
    ok (rmdir (base));
    unsetenv ("XDG_RUNTIME_DIR");
}

static void put_socket (const char *directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf (address.sun_path, sizeof address.sun_path, "%s/links", directory);
    assert_true (length < (int) sizeof address.sun_path);
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true (fd >= 0);
    ok (bind (fd, (struct sockaddr *) &address, sizeof address));
    close (fd);
}

static void it_is_closed_to_others_and_gone_with_its_sockets_in_the_end (void **state)
{
    (void) state;
    struct stat stat_;
    resil__rendezvous_t it;
    use_base ();
    ok (resil__rendezvous_open (&it));
    ok (stat (it.path, &stat_));
    assert_int_equal (stat_.st_mode & 07777, 0700);
    put_socket (it.path);
    resil__rendezvous_close (&it);
    assert_int_equal (stat (it.path, &stat_), -1);
    remove_base ();
}

static void make_old (const char *path)
{
    struct timespec times[2] = {{1, 0}, {1, 0}};
    ok (utimensat (AT_FDCWD, path, times, 0));
}

static void what_a_killed_program_left_is_removed_and_what_is_in_use_is_not (void **state)
{
    (void) state;
    struct stat stat_;
    resil__rendezvous_t killed, used, next;
    use_base ();
    ok (resil__rendezvous_open (&killed));
    ok (resil__rendezvous_open (&used));
    put_socket (killed.path);
    make_old (killed.path);
    make_old (used.path);
    close (killed.fd);
    ok (resil__rendezvous_open (&next));
    assert_int_equal (stat (killed.path, &stat_), -1);
    ok (stat (used.path, &stat_));
    resil__rendezvous_close (&used);
    resil__rendezvous_close (&next);
    remove_base ();
}

static void where_none_can_be_made_it_is_made_elsewhere (void **state)
{
    (void) state;
    resil__rendezvous_t it;
    setenv ("XDG_RUNTIME_DIR", "/there-is-no-such-directory", 1);
    ok (resil__rendezvous_open (&it));
    assert_int_equal (strncmp (it.path, "/tmp/resil-", 11), 0);
    resil__rendezvous_close (&it);
    unsetenv ("XDG_RUNTIME_DIR");
}

static void no_token_is_like_another (void **state)
{
    (void) state;
    char a[RESIL__TOKEN_DIGITS + 1], b[RESIL__TOKEN_DIGITS + 1];
    ok (resil__token_make (a));
    ok (resil__token_make (b));
    assert_int_equal (strspn (a, "0123456789abcdef"), RESIL__TOKEN_DIGITS);
    assert_string_not_equal (a, b);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (it_is_closed_to_others_and_gone_with_its_sockets_in_the_end),
        support_case (what_a_killed_program_left_is_removed_and_what_is_in_use_is_not),
        support_case (where_none_can_be_made_it_is_made_elsewhere),
        support_case (no_token_is_like_another),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
