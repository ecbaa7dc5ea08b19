/*  Who may do what: roles, and the list of keys that have one. The parser is pure.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_ACCESS_H
#define RESIL_MONITOR_ACCESS_H

#include <stddef.h>
#include <sys/stat.h>

#include "protocol/keys.h"

/*  Each may do all that those before it may. */
typedef enum { RESIL__NO_ROLE = 0, RESIL__VIEWER, RESIL__OPERATOR, RESIL__ADMIN } resil__role_t;

/*  "viewer", "operator", "admin"; and back, RESIL__NO_ROLE: it is none. */
const char *resil__role_name (resil__role_t role);
resil__role_t resil__role_of (const char *name);

/*  The longest name of a key, with its NUL. */
#define RESIL__KEY_NAME_ROOM 64

typedef struct {
    char key[RESIL__KEY_ROOM];
    resil__role_t role;
    char name[RESIL__KEY_NAME_ROOM];
} resil__grantee_t;

typedef struct {
    resil__grantee_t *grantees;
    size_t count;
} resil__access_list_t;

/*  Lines of `<public key> <role> <name>`; empty ones and what follows a # do not count. 0, or -1 with errno and
    a sentence that names `file` and the line: EINVAL, ENOMEM. */
int resil__access_parse (resil__access_list_t *list, const char *file, const char *text);
void resil__access_list_release (resil__access_list_t *list);

/*  Is somebody who could do something before unable to do that now? */
bool resil__access_is_less (const resil__access_list_t *before, const resil__access_list_t *now);

/*  A list in a file that may change. For one thread at a time. */
typedef struct {
    const char *file;
    struct stat seen;
    resil__access_list_t list;
} resil__access_t;

/*  Read it. 0, or -1 with errno and a sentence. */
int resil__access_open (resil__access_t *self, const char *file);
void resil__access_close (resil__access_t *self);

/*  Read it again if it has changed. Returns whether somebody has lost something by that. A list that cannot be
    read any more, or is wrong, is empty: nobody may do anything; *is_wrong says so, with a sentence. */
bool resil__access_refresh (resil__access_t *self, bool *is_wrong);

/*  What that key may do, and its name. */
resil__role_t resil__access_find (resil__access_t *self, const char *key,
                                  char name[RESIL__KEY_NAME_ROOM]);

#endif
