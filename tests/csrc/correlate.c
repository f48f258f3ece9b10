#include "check.h"

static void test_correlate(const dlc_tiles *t) {
    EACH(int, n, 1, 2, 3, 4, 5, 7) EACH(ptrdiff_t, taps, 1, 2, 4, 5, 6, 9, 11) EACH(ptrdiff_t, cols, SIZES)
    EACH(int, accumulate, 0, 1) {
        const ptrdiff_t rows = 2, whole = (cols + t->width - 1) / t->width * t->width, dy_plane = rows * whole + 2;
        const ptrdiff_t x_row = cols + 11, x_segment[] = {0, x_row}, dw_step = n + 1, size = (taps - 1) * dw_step + n;
        ptrdiff_t tap[11];
        const float *x = quarters(x_row + 10 + cols);
        float *dy = blank((n - 1) * dy_plane + rows * whole), *dw = accumulate ? quarters(size) : blank(size);
        double *want = doubles(size);
        if (!cols) continue;
        for (ptrdiff_t i = 0; i < taps; i++) tap[i] = 10 - i;
        for (ptrdiff_t i = 0; i < n * rows * whole; i++) /* zeros after a row */
            dy[i / (rows * whole) * dy_plane + i % (rows * whole)] = i % whole < cols ? 0.25f * (float)(random_below(9) - 4) : 0;
        for (ptrdiff_t i = 0; i < size; i++) want[i] = dw[i];
        for (ptrdiff_t i = 0; i < taps; i++)
            for (int o = 0; o < n; o++) {
                double sum = accumulate ? dw[i * dw_step + o] : 0;
                for (ptrdiff_t s = 0; s < rows; s++)
                    for (ptrdiff_t j = 0; j < cols; j++)
                        sum += (double)x[x_segment[s] + tap[i] + j] * dy[o * dy_plane + s * whole + j];
                want[i * dw_step + o] = sum;
            }
        t->correlate(&(dlc_correlate){x, dy, dw, x_segment, tap, rows, cols, whole, dy_plane, taps, dw_step, n, accumulate});
        expect("dw", dw, want, size, 0);
    }
}

const word correlate_words[] = {WORD(correlate), {0}};
