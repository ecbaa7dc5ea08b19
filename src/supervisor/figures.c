/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/figures.h"

#include "supervisor/state.h"

/*  Which figures are whose, and while they are taken. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void resil__set_figures (resil_supervisor_t *supervisor, const resil__figures_t *figures)
{
    pthread_mutex_lock (&lock);
    supervisor->figures = figures;
    pthread_mutex_unlock (&lock);
}

char *resil__take_figures (const resil_supervisor_t *supervisor)
{
    pthread_mutex_lock (&lock);
    const resil__figures_t *figures = supervisor->figures;
    char *taken = figures ? figures->take (figures) : NULL;
    pthread_mutex_unlock (&lock);
    return taken;
}

const char *resil__sum_up_figures (const resil_supervisor_t *supervisor, char text[RESIL__SUM_ROOM])
{
    *text = 0;
    pthread_mutex_lock (&lock);
    if (supervisor->figures)
        supervisor->figures->sum_up (supervisor->figures, text);
    pthread_mutex_unlock (&lock);
    return text;
}
