#include "check.h"

/* rows in any order, channels of all numbers around the blocks */
static void test_convolve(const dlc_tiles *t) {
    const ptrdiff_t row = 150, tap[] = {0, 1, 2, 150, 151, 152}, taps = 6, segments = 3;
    EACH(ptrdiff_t, cols, SIZES) EACH(int, n, 1, 2, 3, 4, 5, 6, 7, 12, 13, 33) EACH(int, activation, DLC_LINEAR, DLC_RELU) {
        const ptrdiff_t segment[] = {row, 0, 2 * row}, last = segment[2] + tap[taps - 1] + cols, size = segments * cols * n;
        const float *x = quarters(last), *w = quarters(taps * n), *bias = activation ? quarters(n) : NULL;
        float *y = blank(size);
        double *want = doubles(size);
        for (ptrdiff_t s = 0; s < segments; s++)
            for (ptrdiff_t j = 0; j < cols; j++)
                for (int o = 0; o < n; o++) {
                    double sum = bias ? bias[o] : 0;
                    for (ptrdiff_t i = 0; i < taps; i++) sum += (double)x[segment[s] + tap[i] + j] * w[i * n + o];
                    want[(s * cols + j) * n + o] = activated(activation, sum);
                }
        t->convolve(&(dlc_convolve){x, w, bias, y, segment, tap, segments, cols, taps, n, activation});
        expect("y", y, want, size, 0);
    }
}

const word convolve_words[] = {WORD(convolve), {0}};
