/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/zap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <zmq.h>

#include "foundation/errmsg.h"

#define ENDPOINT "inproc://zeromq.zap.01"
#define KEY_BYTES 32

/*  The frames of a request: version, id, domain, address, identity, mechanism, and for CURVE a key. What is
    longer than any of these may be is cut. */
enum { VERSION, ID, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY, FRAMES_OF_CURVE };
#define FRAME_MAX 256

typedef struct {
    size_t count; /*  of frames, also of those that are not kept                  */
    size_t sizes[FRAMES_OF_CURVE];
    char frames[FRAMES_OF_CURVE][FRAME_MAX + 1]; /*  each with a NUL                    */
} question_t;

/*  Whether there was one. */
static bool take (void *socket, question_t *question)
{
    int more = 1;
    *question = (question_t){.count = 0};
    for (; more; question->count++) {
        char rest[FRAME_MAX];
        bool is_kept = question->count < FRAMES_OF_CURVE;
        char *to = is_kept ? question->frames[question->count] : rest;
        int size = zmq_recv (socket, to, FRAME_MAX, ZMQ_DONTWAIT);
        if (size < 0)
            return false;
        if (is_kept)
            question->sizes[question->count] = (size_t) (size < FRAME_MAX ? size : FRAME_MAX);
        zmq_getsockopt (socket, ZMQ_RCVMORE, &more, &(size_t){sizeof more});
    }
    return true;
}

/*  The key that is shown, as a text; "": none. */
static void key_of (const question_t *question, char key[RESIL__KEY_ROOM])
{
    *key = 0;
    if (question->count == FRAMES_OF_CURVE && question->sizes[KEY] == KEY_BYTES &&
        strcmp (question->frames[MECHANISM], "CURVE") == 0)
        zmq_z85_encode (key, (const uint8_t *) question->frames[KEY], KEY_BYTES);
}

static void answer (void *socket, const question_t *question, const char *key, bool may)
{
    zmq_send (socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send (socket, question->frames[ID], question->sizes[ID], ZMQ_SNDMORE);
    zmq_send (socket, may ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send (socket, "", 0, ZMQ_SNDMORE);
    zmq_send (socket, key, may ? strlen (key) : 0, ZMQ_SNDMORE);
    zmq_send (socket, "", 0, 0);
}

void resil__zap_serve (void *socket, resil__access_t *access, resil__turned_away_fn *turned_away,
                       void *arg)
{
    question_t question;
    char key[RESIL__KEY_ROOM], name[RESIL__KEY_NAME_ROOM];
    while (take (socket, &question)) {
        key_of (&question, key);
        bool may = *key && resil__access_find (access, key, name);
        if (*key && !may)
            turned_away (arg, key, question.frames[ADDRESS]);
        answer (socket, &question, key, may);
    }
}

void *resil__zap_open (void *context)
{
    static const int at_once = 0;
    void *socket = zmq_socket (context, ZMQ_REP);
    if (socket && zmq_setsockopt (socket, ZMQ_LINGER, &at_once, sizeof at_once) == 0 &&
        zmq_bind (socket, ENDPOINT) == 0)
        return socket;
    int error = errno;
    if (socket)
        zmq_close (socket);
    resil__refuse (error, "the check of keys cannot begin: %s", zmq_strerror (error));
    return NULL;
}
