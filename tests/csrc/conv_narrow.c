#include "check.h"

static void test_gather_windows(const dlc_tiles *t) {
    EACH(ptrdiff_t, c, 1, 2, 3, 4, 5, 7, 8, 9, 17, 33) EACH(ptrdiff_t, pixels, 0, 1, 2, 7)
    EACH(int, activation, DLC_LINEAR, DLC_RELU, DLC_SIGMOID) {
        enum { ENTRIES = 5 };
        const ptrdiff_t whole = (c + t->width - 1) / t->width * t->width; /* t is read by whole vectors */
        ptrdiff_t offset[7 * ENTRIES], start[8] = {0};
        const float *from = quarters(20 + whole), *bias = activation == DLC_RELU ? quarters(c) : NULL;
        float *y = blank(pixels * c);
        double *want = doubles(pixels * c);
        for (ptrdiff_t e = 0; e < 7 * ENTRIES; e++) offset[e] = random_below(21);
        for (ptrdiff_t p = 0; p < 7; p++) start[p + 1] = start[p] + random_below(ENTRIES + 1); /* none, too */
        for (ptrdiff_t p = 0; p < pixels; p++)
            for (ptrdiff_t j = 0; j < c; j++) {
                double sum = bias ? bias[j] : 0;
                for (ptrdiff_t e = start[p]; e < start[p + 1]; e++) sum += from[offset[e] + j];
                want[p * c + j] = activated(activation, sum);
            }
        t->gather_windows(from, offset, start, pixels, c, bias, activation, y);
        expect("y", y, want, pixels * c, activation == DLC_SIGMOID ? 1e-6 : 0);
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
