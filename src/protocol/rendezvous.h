/*  Where the processes of one program meet: a directory that is this program's alone, for sockets, and tokens by which
    they know each other there.

    The directory is locked as long as it is in use, so that those of programs that were killed are told from those of
    programs that live, whoever's process ids they are: they are removed by the next one that comes by.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROTOCOL_RENDEZVOUS_H
#define RESIL_PROTOCOL_RENDEZVOUS_H

/*  Of a socket's path, without its NUL. */
#define RESIL__SOCKET_PATH_MAX 107

#define RESIL__TOKEN_DIGITS 32

typedef struct {
    char path[RESIL__SOCKET_PATH_MAX + 1];
    int fd; /*  locked                                                                  */
} resil__rendezvous_t;

/*  Make one, in $XDG_RUNTIME_DIR or else in /tmp, in which a name of a socket may have nine bytes. 0, or -1 with errno and a
    sentence. */
int resil__rendezvous_open (resil__rendezvous_t *self);

/*  Remove it, with the sockets in it. */
void resil__rendezvous_close (resil__rendezvous_t *self);

/*  128 bits that nobody guesses. 0, or -1 with errno and a sentence. */
int resil__token_make (char token[RESIL__TOKEN_DIGITS + 1]);

#endif
