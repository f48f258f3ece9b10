#include "check.h"

static void test_gather_windows(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES, 84) EACH(ptrdiff_t, count, 0, 1, 2, 5) EACH(int, activation, DLC_LINEAR, DLC_RELU, DLC_SIGMOID) {
        const ptrdiff_t t_step = n + 3;
        const float *from = quarters(count ? (count - 1) * t_step + n : 0), *bias = activation == DLC_RELU ? quarters(n) : NULL;
        float *y = blank(n);
        double *want = doubles(n);
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = bias ? bias[j] : 0;
            for (ptrdiff_t r = 0; r < count; r++) sum += from[r * t_step + j];
            want[j] = activated(activation, sum);
        }
        t->gather_windows(from, t_step, count, n, bias, activation, y);
        expect("y", y, want, n, activation == DLC_SIGMOID ? 1e-6 : 0);
    }
}

static void test_merge_pixels(const dlc_tiles *t) {
    EACH(ptrdiff_t, kw, 1, 3, 5) EACH(ptrdiff_t, c, 1, 2) EACH(ptrdiff_t, n, 1, 3, 6, 9, 17) EACH(ptrdiff_t, pixels, 1, 2, 4)
    EACH(ptrdiff_t, step, 1, 2) {
        const ptrdiff_t kh = 2, wide = kw + (pixels - 1) * step, rows = kh * wide * c, y_step = pixels * n + 1;
        const float *w = wild(kh * kw * c * n);
        float *y = blank(rows * y_step);
        double *want = doubles(rows * y_step);
        for (ptrdiff_t ky = 0; ky < kh; ky++)
            for (ptrdiff_t tap = 0; tap < kw; tap++)
                for (ptrdiff_t i = 0; i < c; i++)
                    for (ptrdiff_t p = 0; p < pixels; p++)
                        for (ptrdiff_t o = 0; o < n; o++) {
                            const ptrdiff_t row = (ky * wide + tap + p * step) * c + i, from = ((ky * kw + tap) * c + i) * n + o;
                            want[row * y_step + p * n + o] = w[from];
                        }
        t->merge_pixels(w, kh, kw, c, n, pixels, step, y, y_step);
        expect("y", y, want, rows * y_step, 0);
    }
}

const word conv_narrow_words[] = {WORD(gather_windows), WORD(merge_pixels), {0}};
