/*  The other side of runner/survivor.h, for as long as this process lives.

    SPDX-License-Identifier: Apache-2.0 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

/*  A process group, by the number of its first process, and when that began, in the kernel's ticks; 0: not known. */
typedef struct {
    int32_t number;
    unsigned long long began_at;
} group_t;

static group_t *groups;
static size_t count;
static size_t room;

/*  When the process of that number began: the 22nd word of its stat, of which the second may have anything in it. */
static unsigned long long beginning_of (int32_t number)
{
    char path[32], text[1024];
    unsigned long long began_at = 0;
    snprintf (path, sizeof path, "/proc/%d/stat", (int) number);
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read (fd, text, sizeof text - 1);
    if (fd >= 0)
        close (fd);
    text[size > 0 ? size : 0] = 0;
    const char *at = strrchr (text, ')');
    for (int word = 2; at && word < 22; word++)
        at = strchr (at + 1, ' ');
    if (at)
        began_at = strtoull (at, NULL, 10);
    return began_at;
}

static void add (int32_t number)
{
    if (count == room) {
        size_t more = room ? 2 * room : 64;
        group_t *larger = realloc (groups, more * sizeof *larger);
        if (!larger)
            return;
        groups = larger;
        room = more;
    }
    groups[count++] = (group_t){number, beginning_of (number)};
}

static void forget (int32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (groups[i].number == number) {
            groups[i] = groups[--count];
            return;
        }
}

/*  Not one whose number has become another's, should nobody have said that it has ended: as long as there is anybody in a
    group its number is not given away. */
static void end (const group_t *group)
{
    unsigned long long begins_at = beginning_of (group->number);
    if (begins_at == 0 || begins_at == group->began_at)
        kill (-group->number, SIGKILL);
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
        end (&groups[i]);
    return 0;
}
