#include "check.h"

static void test_dot(const dlc_tiles *t) {
    EACH(ptrdiff_t, rows, 0, 1, 6, 7, 13) EACH(ptrdiff_t, n, 1, 2, 3, 4, 10, 11, 32) EACH(ptrdiff_t, k, 0, 1, 7, 16, 33, 515) {
        const ptrdiff_t x_step = k + 3;
        const int activation = rows % 2 ? DLC_RELU : DLC_LINEAR;
        const float *x = quarters(rows ? (rows - 1) * x_step + k : 0), *w = quarters(n * k), *bias = n % 2 ? quarters(n) : NULL;
        float *y = blank(rows * n);
        double *want = doubles(rows * n);
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t o = 0; o < n; o++) {
                double sum = bias ? bias[o] : 0;
                for (ptrdiff_t j = 0; j < k; j++) sum += (double)x[i * x_step + j] * w[o * k + j];
                want[i * n + o] = activated(activation, sum);
            }
        t->dot(x, x_step, rows, w, k, n, bias, activation, y);
        expect("y", y, want, rows * n, 0);
    }
}

static void test_dot_input_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, rows, 0, 1, 5, 6, 7) EACH(ptrdiff_t, n, 1, 2, 10, 32) EACH(ptrdiff_t, k, SIZES) {
        const float *dy = quarters(rows * n), *w = quarters(n * k);
        float *dx = blank(rows * k);
        double *want = doubles(rows * k);
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < k; j++)
                for (ptrdiff_t o = 0; o < n; o++) want[i * k + j] += (double)dy[i * n + o] * w[o * k + j];
        t->dot_input_gradient(dy, rows, n, w, k, dx);
        expect("dx", dx, want, rows * k, 0);
    }
}

static void test_dot_weight_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, rows, 1, 5, 9) EACH(ptrdiff_t, n, 1, 2, 3, 4, 7, 10, 11, 32) EACH(ptrdiff_t, features, SIZES) {
        const ptrdiff_t x_step = features + 2;
        const float *x = quarters((rows - 1) * x_step + features), *dy = quarters(rows * n);
        float *dw = blank(features * n);
        double *want = doubles(features * n);
        for (ptrdiff_t j = 0; j < features; j++)
            for (ptrdiff_t o = 0; o < n; o++)
                for (ptrdiff_t i = 0; i < rows; i++) want[j * n + o] += (double)x[i * x_step + j] * dy[i * n + o];
        t->dot_weight_gradient(x, x_step, rows, features, dy, n, dw);
        expect("dw", dw, want, features * n, 0);
    }
}

static void test_transpose(const dlc_tiles *t) {
    EACH(ptrdiff_t, rows, SIZES) EACH(ptrdiff_t, cols, 1, 3, 4, 5, 9, 33) {
        const ptrdiff_t x_step = cols + 1, y_step = rows + 2, size = (cols - 1) * y_step + rows;
        if (!rows) continue;
        const float *x = wild((rows - 1) * x_step + cols);
        float *y = quarters(size);
        double *want = doubles(size);
        for (ptrdiff_t i = 0; i < size; i++) want[i] = y[i];
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cols; j++) want[j * y_step + i] = x[i * x_step + j];
        t->transpose(x, x_step, rows, cols, y, y_step);
        expect("y", y, want, size, 0);
    }
}

const word narrow_words[] = {WORD(dot), WORD(dot_input_gradient), WORD(dot_weight_gradient), WORD(transpose), {0}};
