/*  Keys of CURVE in files: a line `public` and a line `secret`, each with 40 characters of Z85.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROTOCOL_KEYS_H
#define RESIL_PROTOCOL_KEYS_H

#include <stdbool.h>

/*  A key as text, with its NUL. */
#define RESIL__KEY_ROOM 41

typedef struct {
    char public_key[RESIL__KEY_ROOM];
    char secret_key[RESIL__KEY_ROOM];
} resil__key_pair_t;

/*  Is it 40 characters of Z85? */
bool resil__key_is_valid (const char *text);

/*  Read a key pair. 0, or -1 with errno and a sentence: why the file cannot be read, EACCES (others may read it), EINVAL. */
int resil__key_pair_read (const char *file, resil__key_pair_t *pair);

#endif
