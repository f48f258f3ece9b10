#include "check.h"

static void outer_case(const dlc_tiles *t, int m, int n, ptrdiff_t segments, ptrdiff_t kc, int accumulate) {
    const ptrdiff_t reach = 100, vectors = (n + t->width - 1) / t->width * t->width;
    const ptrdiff_t a_step = m - 1, b_step = vectors + 1, c_step = n + 3, size = (m - 1) * c_step + n;
    const ptrdiff_t a_segment[] = {0, reach, 2 * reach}, b_segment[] = {2 * kc * b_step, 0, kc * b_step};
    const float *a = quarters(2 * reach + (kc ? (kc - 1) * a_step + m : 0));
    const float *b = quarters(kc ? (3 * kc - 1) * b_step + vectors : 0);
    float *c = quarters(size);
    double *want = doubles(size);
    for (ptrdiff_t i = 0; i < size; i++) want[i] = c[i]; /* what is between the rows stays */
    for (int r = 0; r < m; r++)
        for (int j = 0; j < n; j++) {
            double sum = accumulate ? c[r * c_step + j] : 0;
            for (ptrdiff_t s = 0; s < segments; s++)
                for (ptrdiff_t k = 0; k < kc; k++)
                    sum += (double)a[a_segment[s] + k * a_step + r] * b[b_segment[s] + k * b_step + j];
            want[r * c_step + j] = sum;
            if (!accumulate) c[r * c_step + j] = NAN;
        }
    t->outer(&(dlc_outer){a, b, c, a_segment, b_segment, segments, kc, a_step, b_step, c_step, m, n, accumulate});
    expect("c", c, want, size, 0);
}

static void test_outer(const dlc_tiles *t) {
    EACH(int, n, 1, t->width - 1, t->width, t->width + 1, t->nr - 1, t->nr)
        for (int m = 1; m <= (n <= t->width ? t->outer_rows_1 : t->outer_rows); m++) EACH(int, accumulate, 0, 1) {
            outer_case(t, m, n, 3, 7, accumulate);
            outer_case(t, m, n, 2, 1, accumulate);
            outer_case(t, m, n, 1, 0, accumulate);
            outer_case(t, m, n, 0, 3, accumulate);
        }
}

static void test_copy_rows(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES, t->nr) EACH(ptrdiff_t, rows, 0, 1, 5) {
        const ptrdiff_t x_step = n + 1, y_step = n + 2, size = rows ? (rows - 1) * y_step + n : 0;
        const float *x = wild(rows ? (rows - 1) * x_step + n : 0);
        float *y = quarters(size);
        double *want = doubles(size);
        for (ptrdiff_t i = 0; i < size; i++) want[i] = i % y_step < n ? x[i / y_step * x_step + i % y_step] : y[i];
        t->copy_rows(x, x_step, rows, n, y, y_step);
        expect("y", y, want, size, 0);
    }
}

const word outer_words[] = {WORD(outer), WORD(copy_rows), {0}};
