/*  The other side of runner/survivor.h, for as long as this process lives.

    SPDX-License-Identifier: Apache-2.0 */
#include "shim/shim.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

static int32_t *groups;
static size_t count;
static size_t room;

static void add (int32_t group)
{
    if (count == room) {
        size_t more = room ? 2 * room : 64;
        int32_t *larger = realloc (groups, more * sizeof *larger);
        if (!larger)
            return;
        groups = larger;
        room = more;
    }
    groups[count++] = group;
}

static void forget (int32_t group)
{
    for (size_t i = 0; i < count; i++)
        if (groups[i] == group) {
            groups[i] = groups[--count];
            return;
        }
}

/*  One word, or false: there is nobody any more. */
static bool hear (int32_t *word)
{
    char *at = (char *) word;
    size_t size = 0;
    while (size < sizeof *word) {
        ssize_t got = read (RESIL__SHIM_FIRST_FD, at + size, sizeof *word - size);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        size += got > 0 ? (size_t) got : 0;
    }
    return true;
}

int resil__survive (void)
{
    int32_t word;
    prctl (PR_SET_NAME, "resil-survivor");
    while (hear (&word))
        if (word > 1)
            add (word);
        else
            forget (-word);
    for (size_t i = 0; i < count; i++)
        kill (-groups[i], SIGKILL);
    return 0;
}
