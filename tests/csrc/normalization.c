#include "check.h"

static void test_moments(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(ptrdiff_t, rows, 1, 2, 7, 70, 200) {
        if (!n) continue;
        const float *x = uniform(rows * n, 900, 1100);
        double *mean = doubles(n), *m2 = doubles(n);
        t->moments(x, rows, n, mean, m2);
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = 0, squares = 0;
            for (ptrdiff_t r = 0; r < rows; r++) sum += x[r * n + j];
            for (ptrdiff_t r = 0; r < rows; r++) squares += pow(x[r * n + j] - sum / (double)rows, 2);
            expect_one("mean", mean[j], sum / (double)rows, 1e-7);
            expect_one("m2", m2[j], squares, 1e-6);
        }
    }
}

/* quarters, so that the argument of the activation, and whether it is cut off, is exact */
static void test_affine(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(ptrdiff_t, rows, 0, 1, 3, 70) EACH(int, activation, DLC_LINEAR, DLC_RELU, DLC_RELU6)
        EACH(int, added, 0, 1) {
            const ptrdiff_t size = rows * n;
            const float *x = added ? wild(size) : quarters(size), *add = added ? quarters(size) : NULL;
            const float *dy = quarters(size), *c = quarters(3 * n), *lines = quarters(3 * n);
            float *y = blank(size), *plain = blank(size), *dx = blank(size), *sums = blank(2 * n), *g = blank(size);
            double *want = doubles(size), *scaled = doubles(size), *slope = doubles(size), *sum = doubles(2 * n);
            double *gradient = doubles(size), *all = doubles(2 * n);
            for (ptrdiff_t i = 0; i < size; i++) {
                const ptrdiff_t j = i % n;
                const double d = (double)x[i] - c[j], a = d * c[n + j] + c[2 * n + j], more = add ? add[i] : 0;
                const int cut = activation != DLC_LINEAR && (a <= 0 || (activation == DLC_RELU6 && a >= 6));
                const double g = cut ? 0 : dy[i];
                want[i] = activated(activation, a + more);
                scaled[i] = activated(activation, (double)x[i] * c[n + j] + more);
                slope[i] = g * lines[j] + (d * lines[n + j] + lines[2 * n + j]);
                sum[j] += g;
                sum[n + j] += g * d;
                const int off = activation != DLC_LINEAR && (dy[i] <= 0 || (activation == DLC_RELU6 && dy[i] >= 6));
                gradient[i] = (added ? off : cut) ? 0 : dy[i] + more;
                all[j] += gradient[i];
                all[n + j] += gradient[i] * d;
            }
            t->affine(x, rows, n, c, 0, add, activation, y);
            t->affine(x, rows, n, c, 1, add, activation, plain);
            t->affine_gradient(dy, x, rows, n, c, activation, lines, dx);
            t->affine_sums(dy, NULL, NULL, x, rows, n, c, activation, NULL, sums);
            expect("y", y, want, size, 0);
            expect("y of linear", plain, scaled, size, 0);
            expect("dx", dx, slope, size, 0);
            expect("sums", sums, sum, 2 * n, 0);
            t->affine_sums(dy, add, added ? dy : NULL, x, rows, n, c, activation, g, sums);
            expect("g", g, gradient, size, 0);
            expect("sums of g", sums, all, 2 * n, 0);
        }
}

static void test_row(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES, 4096, 5003) EACH(int, whole, 0, 1) {
        if (!n) continue;
        const float *x = quarters(n), *dy = quarters(n), *gamma = whole ? quarters(n) : NULL, *beta = whole ? quarters(n) : NULL;
        const float s[3] = {0.25f, 2.0f, -0.5f}, a = 0.75f, b = -1.5f;
        float *y = blank(n), *dx = blank(n), *dgamma = whole ? quarters(n) : NULL, *dbeta = whole ? quarters(n) : NULL;
        double *want = doubles(n), *slope = doubles(n), *gammas = doubles(n), *betas = doubles(n), out[2], moment[2];
        double g_sum = 0, gh_sum = 0, sum = 0, squares = 0;
        for (ptrdiff_t i = 0; i < n; i++) {
            const double h = (x[i] - s[0]) * s[1] + s[2], g = dy[i] * (gamma ? gamma[i] : 1);
            want[i] = h * (gamma ? gamma[i] : 1) + (beta ? beta[i] : 0);
            slope[i] = (g - a - b * h) * s[1];
            gammas[i] = (dgamma ? dgamma[i] : 0) + dy[i] * h;
            betas[i] = (dbeta ? dbeta[i] : 0) + dy[i];
            g_sum += g;
            gh_sum += g * h;
            sum += x[i];
        }
        const double mean = whole ? sum / (double)n : 0;
        for (ptrdiff_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
        t->row_affine(x, n, s, gamma, beta, y);
        t->row_gradient(dy, x, n, s, gamma, a, b, dx);
        t->row_sums(dy, x, n, s, gamma, dgamma, dbeta, out);
        t->row_moments(x, n, whole, moment);
        expect("y", y, want, n, 0);
        expect("dx", dx, slope, n, 0);
        expect_one("sum of g", out[0], g_sum, 0);
        expect_one("sum of g h", out[1], gh_sum, 1e-6);
        expect_one("mean", moment[0], mean, 1e-6);
        expect_one("m2", moment[1], squares, 5e-5); /* thousands of terms */
        if (whole) {
            expect("dgamma", dgamma, gammas, n, 0);
            expect("dbeta", dbeta, betas, n, 0);
        }
    }
}

const word normalization_words[] = {WORD(moments), WORD(affine), WORD_BY(affine_sums, test_affine),
                                    WORD_BY(affine_gradient, test_affine), WORD_BY(row_moments, test_row),
                                    WORD_BY(row_affine, test_row), WORD_BY(row_sums, test_row), WORD_BY(row_gradient, test_row), {0}};
