/*  SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define PATH_ROOM 64

/*  What is shared begins and ends with a page. */
static SHARED __attribute__ ((aligned (PAGE), used)) char last_page[PAGE];

extern char shared_begin[] __asm__("__start_shared");
extern char shared_end[] __asm__("__stop_shared");
extern const resil_type_t *const types_begin[] __asm__("__start_placed_types")
    __attribute__ ((weak));
extern const resil_type_t *const types_end[] __asm__("__stop_placed_types") __attribute__ ((weak));

static void give_up (const char *what)
{
    fprintf (stderr, "placed.c: %s: %s\n", what, strerror (errno));
    exit (77);
}

/*  ---- Memory ----------------------------------------------------------------------------------- */

static size_t shared_size (void)
{
    return (size_t) (shared_end - shared_begin);
}

static void map (int fd)
{
    if (mmap (shared_begin, shared_size (), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
              0) == MAP_FAILED)
        give_up ("what is shared cannot be mapped");
}

/*  It stays open, as each process opens it anew. */
static void share (void)
{
    char path[PATH_ROOM];
    errno = EINVAL;
    if (sysconf (_SC_PAGESIZE) != PAGE || (uintptr_t) shared_begin % PAGE || shared_size () % PAGE)
        give_up ("what is shared does not fill pages");
    int fd = memfd_create ("shared by a test", MFD_CLOEXEC);
    if (fd < 0 || write (fd, shared_begin, shared_size ()) != (ssize_t) shared_size ())
        give_up ("nothing can be shared");
    map (fd);
    snprintf (path, sizeof path, "/proc/%d/fd/%d", (int) getpid (), fd);
    setenv ("TEST_SHARED", path, 1);
}

static void join (const char *path)
{
    int fd = open (path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        give_up (path);
    map (fd);
    close (fd);
}

/*  ---- Arguments -------------------------------------------------------------------------------- */

static int encode (const void *args, void **bytes_p, size_t *size_p)
{
    ptrdiff_t place = args ? (const char *) args - shared_begin : -1;
    if (args && (place < 0 || place >= shared_end - shared_begin)) {
        errno = EFAULT; /*  the test does not share it                               */
        return -1;
    }
    *size_p = sizeof place;
    if ((*bytes_p = malloc (sizeof place)))
        memcpy (*bytes_p, &place, sizeof place);
    return *bytes_p ? 0 : -1;
}

static void *decode (const void *bytes, size_t size)
{
    ptrdiff_t place;
    if (size != sizeof place)
        return NULL;
    memcpy (&place, bytes, sizeof place);
    return place < 0 ? last_page : shared_begin + place;
}

static void keep (void *args)
{
    (void) args;
}

/*  ---- For tests -------------------------------------------------------------------------------- */

resil_placement_t placed (void)
{
    const char *where = getenv ("TEST_PLACEMENT");
    if (!where)
        return RESIL_OWN_THREAD;
    return strcmp (where, "process") == 0 ? RESIL_PROCESS : RESIL_SHARED;
}

void placed_register (const resil_type_t *type)
{
    resil_type_t crossing = *type;
    if (placed () == RESIL_PROCESS && !type->args_new && !type->args_decode) {
        crossing.args_encode = encode;
        crossing.args_decode = decode;
        crossing.args_free = keep;
    }
    if (resil_type_register (&crossing)) {
        fprintf (stderr, "placed.c: %s\n", resil_errmsg ());
        abort ();
    }
}

void placed_stage_register (const resil_stage_type_t *type)
{
    resil_stage_type_t crossing = *type;
    if (placed () == RESIL_PROCESS && !type->args_new && !type->args_decode) {
        crossing.args_encode = encode;
        crossing.args_decode = decode;
        crossing.args_free = keep;
    }
    if (resil_stage_type_register (&crossing)) {
        fprintf (stderr, "placed.c: %s\n", resil_errmsg ());
        abort ();
    }
}

void placed_begin (void)
{
    const char *path = getenv ("TEST_SHARED");
    if (placed () != RESIL_PROCESS)
        return;
    if (path)
        join (path);
    else
        share ();
    for (const resil_type_t *const *type = types_begin; type < types_end; type++)
        placed_register (*type);
    resil_host ();
}

static const resil_type_t *find_type (resil_start_fn *start, resil_handle_irrecoverable_fn *handle)
{
    for (const resil_type_t *const *type = types_begin; type < types_end; type++)
        if ((*type)->start == start && (*type)->handle_irrecoverable == handle)
            return *type;
    return NULL;
}

int placed_add (resil_supervisor_t *supervisor, const char *name, resil_start_fn *start,
                resil_handle_irrecoverable_fn *handle, void *args)
{
    if (placed () != RESIL_PROCESS)
        return resil_supervisor_add_simple (supervisor, name, start, handle, args);
    const resil_type_t *type = find_type (start, handle);
    if (!type) {
        fprintf (stderr, "placed.c: no PLACED_TYPE has the functions of \"%s\"\n", name);
        abort ();
    }
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = type->name, .args = args};
    spec.placement = RESIL_PROCESS;
    return resil_supervisor_add (supervisor, &spec);
}

int placed_fd (int fd)
{
    const char *path = getenv ("TEST_SHARED");
    char other[PATH_ROOM + 16];
    int parent = 0;
    if (!path || sscanf (path, "/proc/%d/", &parent) != 1 || parent == getpid ())
        return fd;
    snprintf (other, sizeof other, "/proc/%d/fd/%d", parent, fd);
    return open (other, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

resil_pipeline_t *placed_start (const resil_pipeline_spec_t *spec)
{
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, spec);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    ok (resil_pipeline_start (pipeline));
    return pipeline;
}
