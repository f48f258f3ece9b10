/* What the executor needs below OpenMP: a barrier, atomic counters and the floating-point state.
 *
 * The barrier is our own because a step has a handful of them, a few microseconds apart: OpenMP's may put a thread to sleep
 * (OMP_WAIT_POLICY=passive), and waking one costs more than the work between two barriers. */
#ifndef DLCORE_SYNC_H
#define DLCORE_SYNC_H

#include <sched.h>
#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

typedef struct {
    int64_t value;
    char padding[64 - sizeof(int64_t)]; /* a cache line apart, so that threads do not fight over it */
} dlc_counter;

static inline void dlc_set(dlc_counter *c, int64_t value) { __atomic_store_n(&c->value, value, __ATOMIC_RELAXED); }
static inline int64_t dlc_get(const dlc_counter *c) { return __atomic_load_n(&c->value, __ATOMIC_RELAXED); }

/* A thread's share of the chunks of a stage, begin..end-1 in the halves of one word. Its owner takes the first one, whoever has
 * finished his own the last one: so the same chunks stay with the same thread from step to step, and so does what they read
 * and write in its cache. */
static inline void dlc_share_set(dlc_counter *c, int64_t begin, int64_t end) { dlc_set(c, end << 32 | begin); }

/* -1 when nothing is left */
static inline int64_t dlc_share_take(dlc_counter *c, int last) {
    int64_t share = dlc_get(c), begin, end;
    do {
        begin = share & 0xffffffff, end = share >> 32;
        if (begin >= end) return -1;
    } while (!__atomic_compare_exchange_n(&c->value, &share, last ? share - (1LL << 32) : share + 1, 0, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return last ? end - 1 : begin;
}

typedef struct {
    dlc_counter arrived, generation;
    int64_t latched; /* what the last thread to arrive told the others: all threads of one crossing read the same */
    int64_t crowded; /* more threads than processors: who waits must sleep, or those who work get no processor */
} dlc_barrier;

static inline void dlc_pause(void) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* 1 for the last of the threads to arrive, which may do what nobody else must see half done and then releases the others;
 * 0 for these, after they were released. */
static inline int dlc_barrier_last(dlc_barrier *b, int threads) {
    const int64_t generation = __atomic_load_n(&b->generation.value, __ATOMIC_ACQUIRE);
    if (__atomic_fetch_add(&b->arrived.value, 1, __ATOMIC_ACQ_REL) == threads - 1) return 1;
    for (int spins = 0; __atomic_load_n(&b->generation.value, __ATOMIC_ACQUIRE) == generation; spins++)
        if (b->crowded && spins > 20) nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
        else if (spins < 1000 && !b->crowded) dlc_pause();
        else sched_yield(); /* somebody else has the processor of the one we wait for */
    return 0;
}

static inline void dlc_barrier_release(dlc_barrier *b, int64_t latched) {
    dlc_set(&b->arrived, 0);
    b->latched = latched;
    __atomic_store_n(&b->generation.value, b->generation.value + 1, __ATOMIC_RELEASE);
}

static inline void dlc_barrier_wait(dlc_barrier *b, int threads) {
    if (dlc_barrier_last(b, threads)) dlc_barrier_release(b, 0);
}

static inline double dlc_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Flush subnormals to zero (FTZ and DAZ of MXCSR, FZ of FPCR) and return the state to restore: Adam's moments decay into
 * subnormals, which are many times slower to compute with. Set per region and restored, never for the whole process. */
static inline uint64_t dlc_flush_subnormals(void) {
#if defined(__x86_64__)
    const unsigned state = _mm_getcsr();
    _mm_setcsr(state | 0x8040u);
    return state;
#elif defined(__aarch64__)
    uint64_t state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    __asm__ volatile("msr fpcr, %0" : : "r"(state | (1u << 24)));
    return state;
#else
    return 0;
#endif
}

static inline void dlc_restore_float_state(uint64_t state) {
#if defined(__x86_64__)
    _mm_setcsr((unsigned)state);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(state));
#else
    (void)state;
#endif
}

#endif
