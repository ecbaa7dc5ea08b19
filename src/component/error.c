/*  The error that an incarnation ends with, and its accessors.

    SPDX-License-Identifier: Apache-2.0 */
#include "component/error.h"

#include <stdio.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/text.h"

static const char *const kind_names[] = {
    [RESIL_ERROR_REPORTED] = "reported",
    [RESIL_ERROR_RETURNED] = "returned",
    [RESIL_ERROR_PANICKED] = "panicked",
    [RESIL_ERROR_HUNG] = "hung",
    [RESIL_ERROR_START_OVERRUN] = "start overrun",
    [RESIL_ERROR_EXIT_OVERRUN] = "exit overrun",
    [RESIL_ERROR_HANDLER_OVERRUN] = "handler overrun",
    [RESIL_ERROR_START_FAILED] = "start failed",
    [RESIL_ERROR_GAVE_UP] = "gave up",
    [RESIL_ERROR_CRASHED] = "crashed",
};

void resil__error_format (resil_error_t *error, const char *format, va_list args)
{
    error->text_hash = 0;
    /*  The commonest format of all, without a printf. */
    if (strcmp (format, "%s") == 0) {
        const char *text = va_arg (args, const char *);
        text = text ? text : "(null)";
        resil__text_clean (error->text, sizeof error->text, text,
                           strnlen (text, RESIL_ERROR_TEXT_MAX + 8));
        return;
    }
    char raw[RESIL_ERROR_TEXT_MAX + 8];
    int length = vsnprintf (raw, sizeof raw, format, args);
    if (length < 0)
        length = snprintf (raw, sizeof raw, "(a text that cannot be formatted)");
    size_t size = (size_t) length < sizeof raw ? (size_t) length : sizeof raw - 1;
    resil__text_clean (error->text, sizeof error->text, raw, size);
}

void resil__error_set (resil_error_t *error, resil_error_kind_t kind, const char *component,
                       uint64_t incarnation, int code, const char *format, ...)
{
    error->kind = kind;
    error->code = code;
    error->file = "";
    error->line = 0;
    error->component = component;
    error->incarnation = incarnation;
    error->at_us = resil__now_us ();
    va_list args;
    va_start (args, format);
    resil__error_format (error, format, args);
    va_end (args);
}

uint64_t resil__error_text_hash (resil_error_t *error)
{
    if (!error->text_hash)
        error->text_hash = resil__text_hash (error->text);
    return error->text_hash;
}

void resil__error_copy (resil_error_t *to, const resil_error_t *from)
{
    memcpy (to, from, offsetof (resil_error_t, text));
    memcpy (to->text, from->text, strlen (from->text) + 1);
}

resil_error_kind_t resil_error_kind (const resil_error_t *self)
{
    return self ? self->kind : (resil_error_kind_t) 0;
}

const char *resil_error_kind_name (const resil_error_t *self)
{
    return self && self->kind ? kind_names[self->kind] : "";
}

int resil_error_code (const resil_error_t *self)
{
    return self ? self->code : 0;
}

const char *resil_error_text (const resil_error_t *self)
{
    return self ? self->text : "";
}

const char *resil_error_file (const resil_error_t *self)
{
    return self ? self->file : "";
}

int resil_error_line (const resil_error_t *self)
{
    return self ? self->line : 0;
}

const char *resil_error_component (const resil_error_t *self)
{
    return self ? self->component : "";
}

uint64_t resil_error_incarnation (const resil_error_t *self)
{
    return self ? self->incarnation : 0;
}

int64_t resil_error_at_us (const resil_error_t *self)
{
    return self ? self->at_us : 0;
}
