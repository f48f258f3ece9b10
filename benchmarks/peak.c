/* What the core can do at best: compiled when a benchmark runs, with the flags of the instruction set in question.
 *
 * VECTOR is the width in bytes and CHAINS the number of independent sums, at least latency times pipes (8 to 10) and
 * few enough that all stay in registers. */
typedef float vector __attribute__((vector_size(VECTOR)));

#define TWELVE(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11)
#if CHAINS == 12 /* spelled out: only constant indices turn the array into registers */
#define EACH(f) TWELVE(f)
#elif CHAINS == 20
#define EACH(f) TWELVE(f) f(12) f(13) f(14) f(15) f(16) f(17) f(18) f(19)
#endif

/* count * CHAINS * VECTOR / 4 multiply-adds; returns something, so that they are not left out. */
float multiply_add(long count) {
    vector sum[CHAINS], a = {0}, b = {0};
    a += 1.0000001f;
    b += 1e-9f;
#define START(i) sum[i] = b * (float)i; /* all different, or the compiler keeps one for all */
#define STEP(i) sum[i] = sum[i] * a + b;
#define END(i) b += sum[i];
    EACH(START)
    for (long n = 0; n < count; n++) {
        EACH(STEP)
        __asm__ volatile("" ::: "memory"); /* the loop stays as it is */
    }
    EACH(END)
    return b[0];
}

/* y = x + 0.5 z, `count` times over n elements each. */
void triad(float *restrict y, const float *restrict x, const float *restrict z, long n, long count) {
    for (; count > 0; count--) {
        for (long i = 0; i < n; i++) y[i] = x[i] + 0.5f * z[i];
        __asm__ volatile("" ::: "memory");
    }
}
