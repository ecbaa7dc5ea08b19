/*  A suite whose components run in threads, in processes of their own, or (stages) in shared threads, by the same code:
    TEST_PLACEMENT says where (ctest runs such a suite for each, see tests/CMakeLists.txt).

        static SHARED lever_t a;                    what the test and its components have in common
        PLACED_TYPE (worker, .name = "worker", .start = work);

        placed_register (&worker);
        spec.placement = placed ();

        int main (void)
        {
            placed_begin ();

    In processes, what is SHARED lies in memory that all of them map; an argument is a place in it, or NULL, and crosses as its
    distance from the beginning, since no two processes have it at the same address. A process is this program, so it finds
    its type among those that are PLACED_TYPEs.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PLACED_H
#define TESTS_PLACED_H

#include "support.h"

#include <resil.h>

#define SHARED __attribute__ ((section ("shared")))

#define PLACED_TYPE(variable, ...)                                                                 \
    static const resil_type_t variable = {RESIL_TYPE, __VA_ARGS__};                                \
    static const resil_type_t *const variable##_is_placed                                          \
        __attribute__ ((section ("placed_types"), used)) = &variable

/*  First of all in main. */
void placed_begin (void);

/*  Where components run. */
resil_placement_t placed (void);

/*  Register a type; in processes its arguments cross. */
void placed_register (const resil_type_t *type);

/*  The same of a type of stages; before placed_begin, as its process is to find it. */
void placed_stage_register (const resil_stage_type_t *type);

/*  As resil_supervisor_add_simple, by a PLACED_TYPE that has both functions. */
int placed_add (resil_supervisor_t *supervisor, const char *name, resil_start_fn *start,
                resil_handle_irrecoverable_fn *handle, void *args);

/*  A descriptor of the test, in this process: the same, or one of its own of the same pipe; -1 and errno. */
int placed_fd (int fd);

/*  How often to do what takes a process each time. */
#define placed_times(in_threads, in_processes)                                                     \
    (placed () == RESIL_PROCESS ? (in_processes) : (in_threads))

/*  The deadline of a wait for what takes many of them. */
#define PLACED_PATIENCE_MS placed_times (SUPPORT_PATIENCE_MS, 5 * SUPPORT_PATIENCE_MS)

/*  Leave this case out in processes. */
#define placed_only_in_threads(why)                                                                \
    do {                                                                                           \
        if (placed () == RESIL_PROCESS) {                                                          \
            print_message ("not in processes: %s\n", why);                                         \
            skip ();                                                                               \
        }                                                                                          \
    } while (0)

/*  Made and started. */
resil_pipeline_t *placed_start (const resil_pipeline_spec_t *spec);

#endif
