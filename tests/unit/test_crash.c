/*  What a component in a process of its own leaves behind when it crashes: signal, address and stack trace; and that
    it dies of the signal all the same.

    ctest timeout: 180

    SPDX-License-Identifier: Apache-2.0 */
#include "fake_parent.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <resil.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

/*  What is wrong here is meant to be. */
#define UNCHECKED __attribute__ ((noinline, no_sanitize ("undefined", "address", "thread")))

/*  ---- The component --------------------------------------------------------------------------------- */

static void *decode_text (const void *bytes, size_t size)
{
    char *text = calloc (1, size + 1);
    if (text && size)
        memcpy (text, bytes, size);
    return text;
}

static int encode_text (const void *args, void **bytes_p, size_t *size_p)
{
    *bytes_p = strdup (args);
    *size_p = strlen (args);
    return *bytes_p ? 0 : -1;
}

static int *volatile nowhere;
static volatile int zero;
static char block[64];
static void *volatile bad_pointer = block + 8;
static volatile int sink = 1000;

static volatile bool goes_on = true;

UNCHECKED static int overflow (int depth)
{
    volatile char frame[1024];
    frame[0] = (char) depth;
    return goes_on ? overflow (depth + 1) + frame[0] : 0;
}

static void write_beyond_file (void)
{
    FILE *file = tmpfile ();
    char *map = file ? mmap (NULL, 4096, PROT_READ, MAP_PRIVATE, fileno (file), 0) : MAP_FAILED;
    if (map != MAP_FAILED)
        sink = map[100];
}

UNCHECKED static void *crash_elsewhere (void *unused)
{
    (void) unused;
    *nowhere = 1;
    return NULL;
}

static void crash_in_a_thread (void)
{
    pthread_t thread;
    if (pthread_create (&thread, NULL, crash_elsewhere, NULL) == 0)
        pthread_join (thread, NULL);
}

static void open_all (void)
{
    struct rlimit few = {64, 64};
    setrlimit (RLIMIT_NOFILE, &few);
    while (open ("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        ;
}

UNCHECKED static int crash (resil_self_t *self, void *args)
{
    const char *how = args;
    struct rlimit none = {0, 0};
    (void) self;
    setrlimit (RLIMIT_CORE, &none);
    if (strcmp (how, "files") == 0)
        open_all ();
    if (strcmp (how, "segv") == 0 || strcmp (how, "files") == 0)
        *nowhere = 1;
    else if (strcmp (how, "call") == 0)
        ((void (*) (void)) (uintptr_t) nowhere) ();
    else if (strcmp (how, "bus") == 0)
        write_beyond_file ();
    else if (strcmp (how, "fpe") == 0)
        sink = sink / zero;
    else if (strcmp (how, "ill") == 0)
        __builtin_trap ();
    else if (strcmp (how, "abort") == 0)
        abort ();
    else if (strcmp (how, "free") == 0)
        free (bad_pointer);
    else if (strcmp (how, "overflow") == 0)
        sink = overflow (0);
    else if (strcmp (how, "thread") == 0)
        crash_in_a_thread ();
    else if (strcmp (how, "raise") == 0)
        kill (getpid (), SIGSEGV);
    else if (strcmp (how, "kill") == 0)
        raise (SIGKILL);
    return resil_wait (self, NULL, RESIL_FOREVER);
}

/*  ---- The parent ------------------------------------------------------------------------------------ */

/*  Its trace begins like that, and names this program. */
static char *crash_like (const char *how, int by, const char *begins)
{
    fake_parent_t parent;
    fake_begin (&parent, "crash", how);
    int status = fake_reap (&parent);
    char *trace = fake_trace (&parent);
    fake_end (&parent);
    if (!WIFSIGNALED (status) || WTERMSIG (status) != by)
        fail_msg ("%s: ended with 0x%x and not by signal %d\n%s", how, (unsigned) status, by,
                  trace);
    if (strncmp (trace, begins, strlen (begins)) != 0)
        fail_msg ("%s: its trace begins otherwise:\n%s", how, trace);
    return trace;
}

static void a_signal_is_told_with_its_stack (const char *how, int by, const char *begins)
{
    char *trace = crash_like (how, by, begins);
    if (!strstr (trace, "test_crash+0x"))
        fail_msg ("%s: no frame is this program's:\n%s", how, trace);
}

static void a_null_pointer_is_told (void **state)
{
    (void) state;
    a_signal_is_told_with_its_stack ("segv", SIGSEGV, "SIGSEGV at address 0x0, thread ");
}

static void that_it_had_no_more_descriptors_is_told (void **state)
{
    (void) state;
    const char *trace = crash_like ("files", SIGSEGV, "SIGSEGV at address 0x0, thread ");
    if (!strstr (trace, ", near its limit of descriptors: 64 of 64\n"))
        fail_msg ("%s", trace);
    trace = crash_like ("segv", SIGSEGV, "SIGSEGV at address 0x0, thread ");
    assert_null (strstr (trace, "descriptors"));
}

static void the_first_frame_is_where_it_crashed (void **state)
{
    (void) state;
    const char *trace = crash_like ("segv", SIGSEGV, "SIGSEGV at address 0x0, thread ");
    const char *first = strchr (trace, '\n');
    if (!first || strncmp (first + 1, "#0 0x", 5) != 0)
        fail_msg ("there is no first frame:\n%s", trace);
    const char *end = strchr (first + 1, '\n'), *module = strstr (first, "test_crash+0x");
    if (!end || !module || module > end)
        fail_msg ("the first frame is not this program's:\n%s", trace);
}

static void a_call_of_nothing_is_told (void **state)
{
    (void) state;
    crash_like ("call", SIGSEGV, "SIGSEGV at address 0x0, thread ");
}

static void a_bus_error_is_told (void **state)
{
    (void) state;
    a_signal_is_told_with_its_stack ("bus", SIGBUS, "SIGBUS at address 0x");
}

static void a_division_by_zero_is_told (void **state)
{
    (void) state;
#if defined(__x86_64__) || defined(__i386__)
    a_signal_is_told_with_its_stack ("fpe", SIGFPE, "SIGFPE at address 0x");
#else
    skip (); /*  the division has a result there                                             */
#endif
}

static void an_illegal_instruction_is_told (void **state)
{
    (void) state;
#if defined(__x86_64__) || defined(__i386__)
    a_signal_is_told_with_its_stack ("ill", SIGILL, "SIGILL at address 0x");
#else
    skip (); /*  a trap is another signal there                                              */
#endif
}

static void an_abort_is_told (void **state)
{
    (void) state;
    a_signal_is_told_with_its_stack ("abort", SIGABRT, "SIGABRT, thread ");
}

static void a_free_of_a_bad_pointer_is_told (void **state)
{
    (void) state;
    if (IS_SANITIZED)
        skip (); /*  which ends it in their own way                                      */
    a_signal_is_told_with_its_stack ("free", SIGABRT, "SIGABRT, thread ");
}

static void a_stack_overflow_is_told (void **state)
{
    (void) state;
    if (IS_SANITIZED)
        skip (); /*  which have stacks of their own for it                               */
    a_signal_is_told_with_its_stack ("overflow", SIGSEGV, "SIGSEGV at address 0x");
}

static void a_crash_in_another_thread_is_told (void **state)
{
    (void) state;
    a_signal_is_told_with_its_stack ("thread", SIGSEGV, "SIGSEGV at address 0x0, thread ");
}

static void a_signal_that_was_sent_has_no_address (void **state)
{
    (void) state;
    crash_like ("raise", SIGSEGV, "SIGSEGV, thread ");
}

static void who_is_killed_leaves_nothing (void **state)
{
    (void) state;
    assert_string_equal (crash_like ("kill", SIGKILL, ""), "");
}

int main (void)
{
    static const resil_type_t type = {RESIL_TYPE,
                                      .name = "crash",
                                      .start = crash,
                                      .args_encode = encode_text,
                                      .args_decode = decode_text,
                                      .args_free = free};
    if (resil_type_register (&type))
        return 1;
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (a_null_pointer_is_told),
        support_case (that_it_had_no_more_descriptors_is_told),
        support_case (the_first_frame_is_where_it_crashed),
        support_case (a_call_of_nothing_is_told),
        support_case (a_bus_error_is_told),
        support_case (a_division_by_zero_is_told),
        support_case (an_illegal_instruction_is_told),
        support_case (an_abort_is_told),
        support_case (a_free_of_a_bad_pointer_is_told),
        support_case (a_stack_overflow_is_told),
        support_case (a_crash_in_another_thread_is_told),
        support_case (a_signal_that_was_sent_has_no_address),
        support_case (who_is_killed_leaves_nothing),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
