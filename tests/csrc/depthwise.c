#include "check.h"

static void test_depthwise(const dlc_tiles *t) {
    EACH(ptrdiff_t, c, SIZES) EACH(ptrdiff_t, pixels, 0, 1, 7, 8, 9, 13) EACH(int, activation, DLC_LINEAR, DLC_RELU) {
        enum { TAPS = 5 };
        const ptrdiff_t x_step = 2 * c, y_step = c + 1;
        ptrdiff_t x_tap[TAPS], w_tap[TAPS];
        if (!c || !pixels) continue;
        for (ptrdiff_t s = 0; s < TAPS; s++) {
            x_tap[s] = s * c;
            w_tap[s] = (TAPS - 1 - s) * c;
        }
        const ptrdiff_t outputs = (pixels - 1) * y_step + c;
        const float *x = quarters((pixels - 1) * x_step + TAPS * c), *w = quarters(TAPS * c), *bias = activation ? quarters(c) : NULL;
        float *y = quarters(outputs);
        double *want = doubles(outputs);
        for (ptrdiff_t i = 0; i < outputs; i++) want[i] = y[i]; /* what is between the pixels stays */
        for (ptrdiff_t p = 0; p < pixels; p++)
            for (ptrdiff_t j = 0; j < c; j++) {
                double sum = bias ? bias[j] : 0;
                for (ptrdiff_t s = 0; s < TAPS; s++) sum += (double)x[p * x_step + x_tap[s] + j] * w[w_tap[s] + j];
                want[p * y_step + j] = activated(activation, sum);
            }
        t->depthwise(&(dlc_depthwise){x, x_step, x_tap, w_tap, TAPS, w, bias, y, y_step, pixels, c, activation});
        expect("y", y, want, outputs, 0);
    }
}

static void test_depthwise_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, c, SIZES) EACH(ptrdiff_t, taps, 1, 3, 9, 14) EACH(int, accumulate, 0, 1) {
        const ptrdiff_t rows = 3, cols = 5, x_step = c, x_row = 9 * c;
        ptrdiff_t tap[14];
        if (!c) continue;
        for (ptrdiff_t s = 0; s < taps; s++) tap[s] = (s % 5) * c + s / 5 * x_row;
        const float *x = quarters((rows - 1) * x_row + (cols - 1) * x_step + 4 * c + 2 * x_row + c), *dy = quarters(rows * cols * c);
        float *dw = accumulate ? quarters(taps * c) : blank(taps * c);
        double *want = doubles(taps * c);
        for (ptrdiff_t s = 0; s < taps; s++)
            for (ptrdiff_t j = 0; j < c; j++) {
                double sum = accumulate ? dw[s * c + j] : 0;
                for (ptrdiff_t r = 0; r < rows; r++)
                    for (ptrdiff_t q = 0; q < cols; q++)
                        sum += (double)x[r * x_row + q * x_step + tap[s] + j] * dy[(r * cols + q) * c + j];
                want[s * c + j] = sum;
            }
        t->depthwise_gradient(&(dlc_depthwise_gradient){x, x_row, x_step, tap, taps, dy, rows, cols, c, dw, accumulate});
        expect("dw", dw, want, taps * c, 0);
    }
}

static void test_spread(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(ptrdiff_t, multiplier, 2, 3) {
        const float *x = wild(n), *z = quarters(n * multiplier);
        float *y = blank(n * multiplier), *sums = blank(n);
        double *spread = doubles(n * multiplier), *sum = doubles(n);
        for (ptrdiff_t i = 0; i < n * multiplier; i++) {
            spread[i] = x[i / multiplier];
            sum[i / multiplier] += z[i];
        }
        t->spread(x, n, multiplier, y);
        expect("y", y, spread, n * multiplier, 0);
        t->gather_sums(z, n, multiplier, sums);
        expect("sums", sums, sum, n, 0);
    }
}

const word depthwise_words[] = {WORD(depthwise), WORD(depthwise_gradient), WORD(spread), WORD_BY(gather_sums, test_spread), {0}};
