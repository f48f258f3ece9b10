/* Words over rows: activations, sums, softmax, losses, penalties. */
#include "check.h"

static void test_activate(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(int, kind, DLC_LINEAR, DLC_RELU, DLC_RELU6, DLC_SIGMOID, DLC_TANH) {
        const int exact = kind == DLC_LINEAR || kind == DLC_RELU || kind == DLC_RELU6;
        const float *x = n % 2 ? wild(n) : uniform(n, -20, 20), *dy = quarters(n);
        float *y = blank(n), *dx = blank(n);
        double *want = doubles(n), *slope = doubles(n);
        t->activate(kind, x, y, n);
        t->activate_gradient(kind, dy, y, dx, n);
        for (ptrdiff_t i = 0; i < n; i++) {
            const double a = want[i] = activated(kind, x[i]);
            slope[i] = kind == DLC_RELU ? a > 0 || isnan(a) ? dy[i] : 0
                     : kind == DLC_RELU6 ? (a > 0 && a < 6) || isnan(a) ? dy[i] : 0 : kind == DLC_SIGMOID ? dy[i] * a * (1 - a)
                     : kind == DLC_TANH ? dy[i] * (1 - a * a) : dy[i];
        }
        expect("y", y, want, n, exact ? 0 : 1e-6);
        expect("dx", dx, slope, n, exact ? 0 : 1e-6);
    }
}

static void test_add(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) {
        const float *a = wild(n), *b = quarters(n);
        float *y = blank(n), *scaled = blank(n), *sum = copy(b, n);
        double *added = doubles(n), *by = doubles(n), *ax = doubles(n);
        for (ptrdiff_t i = 0; i < n; i++) {
            added[i] = a[i] + b[i];
            by[i] = 0.5 * a[i];
            ax[i] = -1.5 * a[i] + b[i];
        }
        t->add(a, b, y, n);
        t->scale(a, 0.5f, scaled, n);
        t->axpy(-1.5f, a, sum, n);
        expect("a + b", y, added, n, 0);
        expect("a / 2", scaled, by, n, 0);
        expect("b - 3/2 a", sum, ax, n, 0);
    }
}

static void test_sum_rows(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(ptrdiff_t, rows, 0, 1, 3, 4, 7, 33) EACH(int, accumulate, 0, 1) {
        const float *x = quarters(rows * n);
        float *y = accumulate ? quarters(n) : blank(n);
        double *want = doubles(n);
        for (ptrdiff_t j = 0; j < n; j++) {
            want[j] = accumulate ? y[j] : 0;
            for (ptrdiff_t r = 0; r < rows; r++) want[j] += x[r * n + j];
        }
        t->sum_rows(x, rows, n, y, accumulate);
        expect("y", y, want, n, 0);
    }
}

static void test_scale_u8(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) {
        const uint8_t *x = random_bytes(n, 256);
        float *y = blank(n);
        double *want = doubles(n);
        for (ptrdiff_t i = 0; i < n; i++) want[i] = 0.25 * x[i];
        t->scale_u8(x, 0.25f, y, n);
        expect("y", y, want, n, 0);
    }
}

static void test_softmax(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(int, broken, 0, 1) {
        if (!n) continue;
        float *x = uniform(n, -30, 30), *dy = quarters(n), *y = blank(n), *dx = blank(n);
        double *want = doubles(n), *slope = doubles(n), top = -INFINITY, sum = 0, dot = 0;
        if (broken) x[random_below(n)] = NAN;
        for (ptrdiff_t i = 0; i < n; i++) top = greater(top, x[i]);
        for (ptrdiff_t i = 0; i < n; i++) sum += want[i] = exp(x[i] - top);
        for (ptrdiff_t i = 0; i < n; i++) dot += dy[i] * (want[i] = broken ? NAN : want[i] / sum);
        for (ptrdiff_t i = 0; i < n; i++) slope[i] = want[i] * (dy[i] - dot);
        const float log_sum = t->softmax(x, y, n);
        t->softmax_gradient(dy, y, dx, n);
        expect("y", y, want, n, 1e-6);
        expect_one("log sum", log_sum, broken ? NAN : log(sum) + top, 1e-6);
        expect("dx", dx, slope, n, 1e-6);
    }
}

static void test_squared_error(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) {
        const float *y = quarters(n), *p = quarters(n);
        float *dp = blank(n);
        double *want = doubles(n), sum = 0;
        for (ptrdiff_t i = 0; i < n; i++) {
            const double d = p[i] - y[i];
            sum += d * d;
            want[i] = 0.5 * d;
        }
        expect_one("sum", t->squared_error(y, p, n), sum, 0);
        t->squared_error_gradient(y, p, 0.5f, dp, n);
        expect("dp", dp, want, n, 0);
    }
}

static void test_penalty(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(float, l1, 0.0f, 0.5f) EACH(float, l2, 0.0f, 2.0f) {
        const float *x = quarters(n);
        float *dx = blank(n);
        double *want = doubles(n), sum = 0;
        for (ptrdiff_t i = 0; i < n; i++) {
            sum += l1 * fabs(x[i]) + l2 * x[i] * x[i];
            want[i] = l1 * ((x[i] > 0) - (x[i] < 0)) + 2 * l2 * x[i];
        }
        expect_one("sum", t->penalty(x, l1, l2, n), sum, 0);
        t->penalty_gradient(x, l1, 2 * l2, dx, n);
        expect("dx", dx, want, n, 0);
    }
}

static void test_magnitude(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(float, worst, 0.0f, -7.0f, NAN, -INFINITY) {
        float *x = quarters(n);
        double top = 0;
        if (n && worst != 0) x[random_below(n)] = worst;
        for (ptrdiff_t i = 0; i < n; i++) top = greater(fabs(x[i]), top);
        for (ptrdiff_t i = 0; i < n; i++) top = isnan(x[i]) ? NAN : top;
        expect_one("largest", t->magnitude(x, n), top, 0);
    }
}

const word rows_words[] = {WORD(activate), WORD_BY(activate_gradient, test_activate), WORD(add), WORD_BY(scale, test_add),
                           WORD_BY(axpy, test_add), WORD(sum_rows), WORD(scale_u8), WORD(softmax),
                           WORD_BY(softmax_gradient, test_softmax), WORD(squared_error),
                           WORD_BY(squared_error_gradient, test_squared_error), WORD(penalty),
                           WORD_BY(penalty_gradient, test_penalty), WORD(magnitude), {0}};
