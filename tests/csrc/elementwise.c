#include "check.h"

static double of_two(int kind, double a, double b) {
    switch (kind) {
    case DLC_ADD: return a + b;
    case DLC_SUBTRACT: return a - b;
    case DLC_MULTIPLY: return a * b;
    case DLC_DIVIDE: return a / b;
    case DLC_MAXIMUM: return isnan(b) ? NAN : greater(a, b);
    case DLC_MINIMUM: return isnan(b) ? NAN : -greater(-a, -b);
    case DLC_POW: return pow(a, b);
    case DLC_PRELU: return a > 0 ? a : a * b;
    case DLC_EQUAL: return a == b;
    case DLC_NOT_EQUAL: return a != b;
    case DLC_GREATER: return a > b;
    default: return a >= b;
    }
}

static void test_binary(const dlc_tiles *t) {
    for (int kind = DLC_ADD; kind <= DLC_GREATER_EQUAL; kind++)
        EACH(ptrdiff_t, n, SIZES) EACH(int, a_step, 0, 1) EACH(int, b_step, 0, 1) {
            const float *a = a_step ? wild(n) : quarters(1), *b = b_step ? wild(n) : quarters(1);
            float *y = blank(n);
            double *want = doubles(n);
            for (ptrdiff_t i = 0; i < n; i++) want[i] = of_two(kind, a[a_step * i], b[b_step * i]);
            t->binary(kind, a, a_step, b, b_step, y, n);
            expect("y", y, want, n, kind == DLC_POW || kind == DLC_DIVIDE ? 1e-6 : 0);
        }
}

static void test_select(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(int, c_step, 0, 1) EACH(int, a_step, 0, 1) EACH(int, b_step, 0, 1) {
        float *c = wild(c_step ? n : 1);
        const float *a = wild(a_step ? n : 1), *b = wild(b_step ? n : 1);
        float *y = blank(n);
        double *want = doubles(n);
        for (ptrdiff_t i = 0; c_step && i < n; i += 3) c[i] = 0;
        for (ptrdiff_t i = 0; i < n; i++) want[i] = c[c_step * i] != 0 ? a[a_step * i] : b[b_step * i];
        t->select(c, c_step, a, a_step, b, b_step, y, n);
        expect("y", y, want, n, 0);
    }
}

static double reduced(int kind, double a, double b) {
    return kind == DLC_SUM ? a + b : kind == DLC_MAX ? isnan(b) ? NAN : greater(a, b) : isnan(b) ? NAN : -greater(-a, -b);
}

static void test_reduce(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(int, kind, DLC_SUM, DLC_MAX, DLC_MIN) EACH(int, broken, 0, 1) {
        if (!n) continue;
        float *x = quarters(n);
        if (broken) x[random_below(n)] = NAN;
        double want = x[0];
        for (ptrdiff_t i = 1; i < n; i++) want = reduced(kind, want, x[i]);
        expect_one("result", t->reduce(kind, x, n), want, 0);
    }
    expect_one("sum of nothing", t->reduce(DLC_SUM, NULL, 0), 0, 0);
}

static void test_reduce_rows(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(ptrdiff_t, rows, 1, 2, 5) EACH(int, kind, DLC_SUM, DLC_MAX, DLC_MIN) EACH(int, accumulate, 0, 1) {
        const float *x = wild(rows * n);
        float *y = accumulate ? wild(n) : blank(n);
        double *want = doubles(n);
        for (ptrdiff_t j = 0; j < n; j++) {
            want[j] = accumulate ? y[j] : kind == DLC_SUM ? 0 : x[j];
            for (ptrdiff_t r = 0; r < rows; r++) want[j] = reduced(kind, want[j], x[r * n + j]);
        }
        t->reduce_rows(kind, x, rows, n, y, accumulate);
        expect("y", y, want, n, 0);
    }
}

const word elementwise_words[] = {WORD(binary), WORD(select), WORD(reduce), WORD(reduce_rows), {0}};
