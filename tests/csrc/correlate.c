#include "check.h"

/* in two calls, of which the second adds to the sums and gives dw */
static void test_correlate(const dlc_tiles *t) {
    EACH(int, n, 1, 2, 3, 4, 5, 6, 7, 13) EACH(ptrdiff_t, taps, 1, 2, 3, 4, 5, 6, 9, 11) EACH(ptrdiff_t, cols, SIZES) {
        const ptrdiff_t rows = 2, whole = (cols + t->width - 1) / t->width * t->width, dy_plane = rows * whole + 2;
        const ptrdiff_t x_row = cols + 11, x_segment[] = {0, x_row}, size = taps * n;
        ptrdiff_t tap[11];
        const float *x = quarters(x_row + 10 + cols);
        float *dy = blank((n - 1) * dy_plane + rows * whole), *dw = blank(size), *sums = blank(size * t->width);
        double *want = doubles(size);
        if (!cols) continue;
        for (ptrdiff_t i = 0; i < taps; i++) tap[i] = 10 - i;
        for (ptrdiff_t i = 0; i < n * rows * whole; i++) /* zeros after a row */
            dy[i / (rows * whole) * dy_plane + i % (rows * whole)] = i % whole < cols ? 0.25f * (float)(random_below(9) - 4) : 0;
        for (ptrdiff_t i = 0; i < taps; i++)
            for (int o = 0; o < n; o++)
                for (ptrdiff_t s = 0; s < rows; s++)
                    for (ptrdiff_t j = 0; j < cols; j++)
                        want[i * n + o] += (double)x[x_segment[s] + tap[i] + j] * dy[o * dy_plane + s * whole + j];
        dlc_correlate both = {x, dy, sums, NULL, x_segment, tap, 1, cols, whole, dy_plane, taps, n, 0};
        t->correlate(&both);
        both.dy += whole, both.x_segment++, both.accumulate = 1, both.dw = dw;
        t->correlate(&both);
        expect("dw", dw, want, size, 0);
        release();
    }
}

const word correlate_words[] = {WORD(correlate), {0}};
