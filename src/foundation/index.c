/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/index.h"

#include <errno.h>
#include <stdlib.h>

#define LEAST_ROOM 8

/*  Multiplied, as hashes may differ in few bits. */
static resil__entry_t **chain_of (const resil__index_t *self, uint64_t hash)
{
    return &self->chains[(hash * 0x9e3779b97f4a7c15u >> 32) & (self->room - 1)];
}

static void put (resil__index_t *self, resil__entry_t *entry)
{
    resil__entry_t **chain = chain_of (self, entry->hash);
    entry->next = *chain;
    *chain = entry;
}

int resil__index_reserve (resil__index_t *self, size_t count)
{
    if (count <= self->room)
        return 0;
    resil__index_t larger = {.room = self->room ? self->room : LEAST_ROOM, .count = self->count};
    while (larger.room < count)
        larger.room *= 2;
    larger.chains = calloc (larger.room, sizeof *larger.chains);
    if (!larger.chains) {
        errno = ENOMEM;
        return -1;
    }
    for (size_t i = 0; i < self->room; i++)
        while (self->chains[i]) {
            resil__entry_t *entry = self->chains[i];
            self->chains[i] = entry->next;
            put (&larger, entry);
        }
    free (self->chains);
    *self = larger;
    return 0;
}

void resil__index_release (resil__index_t *self)
{
    free (self->chains);
    *self = (resil__index_t){0};
}

void resil__index_add (resil__index_t *self, resil__entry_t *entry)
{
    put (self, entry);
    self->count++;
}

void resil__index_remove (resil__index_t *self, resil__entry_t *entry)
{
    resil__entry_t **at = chain_of (self, entry->hash);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    self->count--;
}

static resil__entry_t *of_hash (resil__entry_t *entry, uint64_t hash)
{
    while (entry && entry->hash != hash)
        entry = entry->next;
    return entry;
}

resil__entry_t *resil__index_first (const resil__index_t *self, uint64_t hash)
{
    return self->room ? of_hash (*chain_of (self, hash), hash) : NULL;
}

resil__entry_t *resil__index_next (const resil__entry_t *entry)
{
    return of_hash (entry->next, entry->hash);
}

resil__entry_t *resil__index_after (const resil__index_t *self, const resil__entry_t *entry)
{
    if (entry && entry->next)
        return entry->next;
    resil__entry_t **chain = entry ? chain_of (self, entry->hash) + 1 : self->chains;
    for (; chain < self->chains + self->room; chain++)
        if (*chain)
            return *chain;
    return NULL;
}
