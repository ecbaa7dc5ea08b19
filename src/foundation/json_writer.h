/*  A small writer of JSON: into one buffer that grows, what is written first stands first. Text of any kind becomes
    valid JSON: a byte that is no UTF-8 is written as the four characters \xNN. Pure.

    A value has a key in an object and NULL as key in an array. Without memory the writer has failed, and goes on writing
    nothing.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_JSON_WRITER_H
#define RESIL_FOUNDATION_JSON_WRITER_H

#include <resil/base.h>

/*  All zero is an empty one. */
typedef struct {
    char *text; /*  no NUL                                                   */
    size_t size;
    size_t room;
    bool failed;
} resil__json_t;

void resil__json_release (resil__json_t *self);

/*  Begin anew, in the same memory. */
void resil__json_clear (resil__json_t *self);

/*  Open '{' or '[', and close with '}' or ']'. */
void resil__json_open (resil__json_t *self, const char *key, char bracket);
void resil__json_close (resil__json_t *self, char bracket);

void resil__json_bytes (resil__json_t *self, const char *key, const void *bytes, size_t size);
/*  Bytes that are no text: two digits each. */
void resil__json_hex (resil__json_t *self, const char *key, const void *bytes, size_t size);

void resil__json_number (resil__json_t *self, const char *key, int64_t value);
void resil__json_count (resil__json_t *self, const char *key, uint64_t value);
void resil__json_bool (resil__json_t *self, const char *key, bool value);

/*  As they are: JSON already. */
void resil__json_raw (resil__json_t *self, const char *key, const char *json, size_t size);

/*  Behind the last value: a line's end. */
void resil__json_end_line (resil__json_t *self);

/*  A text up to its NUL; and where it says nothing (NULL, "", 0, false), nothing. */
void resil__json_text (resil__json_t *self, const char *key, const char *text);
void resil__json_text_if (resil__json_t *self, const char *key, const char *text);
void resil__json_number_if (resil__json_t *self, const char *key, int64_t value);
void resil__json_true_if (resil__json_t *self, const char *key, bool value);

#endif
