/*  Inside of an irrecoverable error. It is plain data of fixed size: reporting one must not
    need memory that may not be there.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_ERROR_H
#define RESIL_COMPONENT_ERROR_H

#include <stdarg.h>

#include <resil/error.h>

struct _resil_error_t {
    resil_error_kind_t kind;
    int code;
    int line;
    const char *file;      /*  "" or a string that stays valid                          */
    const char *component; /*  the spec's copy of the name, which outlives the error    */
    uint64_t incarnation;
    int64_t at_us;
    uint64_t text_hash; /*  0: not known                                             */
    char text[RESIL_ERROR_TEXT_MAX];
};

/*  Fill an error, at this instant. */
void resil__error_set (resil_error_t *error, resil_error_kind_t kind, const char *component,
                       uint64_t incarnation, int code, const char *format, ...) RESIL_PRINTF (6, 7);

/*  The text alone, from a format or from bytes of any kind. */
void resil__error_format (resil_error_t *error, const char *format, va_list args)
    RESIL_PRINTF (2, 0);

/*  The hash of the text, found out once. */
uint64_t resil__error_text_hash (resil_error_t *error);

/*  Copy; the text only as far as it goes. */
void resil__error_copy (resil_error_t *to, const resil_error_t *from);

#endif
