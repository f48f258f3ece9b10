/* The OpenMP runtime as the executor needs it, with a serial stand-in, and what fork() does to it. */
#ifndef DLCORE_OPENMP_H
#define DLCORE_OPENMP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#define DLC_OPENMP 1
#else
#define DLC_OPENMP 0
static int omp_get_max_threads(void) { return 1; }
static int omp_get_num_threads(void) { return 1; }
static int omp_in_parallel(void) { return 0; }
static int omp_get_num_procs(void) { return 1; }
#endif

/* A child of fork() has one thread, but libgomp's record of the pool says otherwise: the child's next region waits for
 * ever for workers that do not exist (GCC PR 52303). So the forking thread gives its pool back first; it returns at the
 * next region, in parent and child alike. That cannot be done while a region runs: then the child stays serial.
 * LLVM's runtime repairs itself after fork and must not be paused. */
static int dlc_regions;      /* regions running in this process */
static int dlc_fork_in_region;
static int dlc_serial;       /* nonzero in a child that must not open regions */
static unsigned long dlc_main_thread; /* the one that signals reach; in a child, the one that forked */
static int (*dlc_pause_runtime)(int);
static char dlc_runtime[1024];

static void dlc_before_fork(void) {
    dlc_fork_in_region = __atomic_load_n(&dlc_regions, __ATOMIC_ACQUIRE) > 0 || omp_in_parallel();
    if (!dlc_fork_in_region && dlc_pause_runtime) dlc_pause_runtime(2 /* omp_pause_hard */);
}
static void dlc_after_fork_in_child(void) {
    if (dlc_fork_in_region && dlc_pause_runtime) dlc_serial = 1;
    dlc_regions = 0;
    dlc_main_thread = PyThread_get_thread_ident();
}
static const char *dlc_watch_forks(void) {
#ifdef _OPENMP
    Dl_info info;
    if (dladdr((void *)omp_get_max_threads, &info) && info.dli_fname) {
        strncpy(dlc_runtime, info.dli_fname, sizeof dlc_runtime - 1);
        if (strstr(dlc_runtime, "gomp")) {
            void *lib = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
            if (lib) *(void **)&dlc_pause_runtime = dlsym(lib, "omp_pause_resource_all");
        }
    }
#endif
    pthread_atfork(dlc_before_fork, NULL, dlc_after_fork_in_child);
    return dlc_runtime;
}
static void dlc_enter_region(void) { __atomic_fetch_add(&dlc_regions, 1, __ATOMIC_ACQ_REL); }
static void dlc_leave_region(void) { __atomic_fetch_sub(&dlc_regions, 1, __ATOMIC_ACQ_REL); }

#endif
