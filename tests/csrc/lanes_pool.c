#include "check.h"

/* rows of y and its planes, somewhat apart */
static void test_lanes_pool(const dlc_tiles *t) {
    EACH(ptrdiff_t, cols, 1, 2, 3, 4, 5, 7, 8, 9, 14, 16, 17, 33) EACH(int, n, 1, 2, 3, 4, 5, 6, 7, 13)
    EACH(int, activation, DLC_LINEAR, DLC_RELU, DLC_TANH) EACH(int, kept, 0, 1) {
        const ptrdiff_t rows = 2, x_row = 2 * cols + 3, tap[] = {0, 1, 2, x_row, x_row + 1, x_row + 2}, taps = 6;
        const ptrdiff_t y_row = (2 * cols + t->width - 1) / t->width * t->width, y_plane = 2 * rows * y_row + 1;
        const ptrdiff_t pooled_plane = rows * cols + 1, last = 3 * x_row + tap[taps - 1] + 2 * cols;
        const float *x = quarters(last), *w = quarters(taps * n), *bias = activation ? quarters(n) : NULL;
        float *y = blank((n - 1) * y_plane + 2 * rows * y_row), *pooled = blank((n - 1) * pooled_plane + rows * cols);
        double *want = doubles(pooled_plane * n);
        for (int o = 0; o < n; o++)
            for (ptrdiff_t row = 0; row < 2 * rows; row++)
                for (ptrdiff_t j = 0; j < 2 * cols; j++) {
                    double sum = bias ? bias[o] : 0;
                    for (ptrdiff_t i = 0; i < taps; i++) sum += (double)x[row * x_row + tap[i] + j] * w[i * n + o];
                    want[o * pooled_plane + row / 2 * cols + j / 2] += activated(activation, sum) / 4;
                }
        t->lanes_pool(&(dlc_lanes_pool){x, w, bias, tap, kept ? y : NULL, pooled, x_row, y_row, y_plane, pooled_plane, rows, cols,
                                        taps, n, activation});
        for (int o = 0; o < n; o++) {
            const double *plane = want + o * pooled_plane;
            expect("pooled", pooled + o * pooled_plane, plane, rows * cols, activation == DLC_TANH ? 1e-6 : 0);
            for (ptrdiff_t i = 0; kept && i < rows * cols; i++) { /* the four pixels that give this mean */
                const float *at = y + o * y_plane + i / cols * 2 * y_row + i % cols * 2;
                const double four = (double)at[0] + at[1] + at[y_row] + at[y_row + 1];
                expect_one("y", four / 4, plane[i], activation == DLC_TANH ? 1e-6 : 0);
            }
        }
        release();
    }
}

static void test_lanes_pool_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, cols, 1, 2, 3, 4, 5, 7, 8, 9, 14, 16, 17, 33) EACH(int, n, 1, 2, 6)
    EACH(int, activation, DLC_LINEAR, DLC_RELU, DLC_TANH) {
        const ptrdiff_t rows = 2, y_row = (2 * cols + t->width - 1) / t->width * t->width, y_plane = 2 * rows * y_row + t->width;
        const ptrdiff_t dy_plane = rows * cols + 1, size = (n - 1) * y_plane + 2 * rows * y_row;
        const float *y = quarters(size), *dy = quarters((n - 1) * dy_plane + rows * cols);
        float *dz = blank(size), *db = quarters(n);
        double *want = doubles(n * y_plane), *sums = doubles(n);
        for (int o = 0; o < n; o++) {
            sums[o] = db[o];
            for (ptrdiff_t row = 0; row < 2 * rows; row++)
                for (ptrdiff_t j = 0; j < 2 * cols; j++) {
                    const ptrdiff_t at = o * y_plane + row * y_row + j;
                    const double slope = activation == DLC_TANH ? 1 - (double)y[at] * y[at] : !activation || y[at] > 0;
                    sums[o] += want[at] = slope * dy[o * dy_plane + row / 2 * cols + j / 2] / 4;
                }
        }
        t->lanes_pool_gradient(&(dlc_lanes_pool_gradient){y, dy, dz, db, y_row, y_plane, dy_plane, rows, cols, n, activation});
        for (int o = 0; o < n; o++) expect("dz", dz + o * y_plane, want + o * y_plane, 2 * rows * y_row, 1e-6);
        expect("db", db, sums, n, 1e-5);
        release();
    }
}

const word lanes_pool_words[] = {WORD(lanes_pool), WORD(lanes_pool_gradient), {0}};
