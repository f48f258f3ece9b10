/* Winograd's domain of whole convolutions. Its words make sense together: what comes out is a 3x3 convolution with a border
 * of one pixel, or its weight gradient. Quarters stay exact with m = 2. */
#include "check.h"

enum { H = 5, W = 7, MOST = 12 }; /* an image of which tiles hang over; most tiles in it */

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static ptrdiff_t panels(const dlc_tiles *t, ptrdiff_t n) { return (n + t->nr - 1) / t->nr; }
static ptrdiff_t tiles(int m) { return (ptrdiff_t)((H + m - 1) / m) * ((W + m - 1) / m); }

static double pixel(const float *x, ptrdiff_t y0, ptrdiff_t x0, ptrdiff_t n, ptrdiff_t j) {
    return y0 < 0 || y0 >= H || x0 < 0 || x0 >= W ? 0 : x[(y0 * W + x0) * n + j];
}

/* `size` pixels a side from (y0, x0) on, of an image of h x w */
static dlc_winograd_tile tile_at(const float *x, ptrdiff_t n, int size, ptrdiff_t y0, ptrdiff_t x0, ptrdiff_t h, ptrdiff_t w) {
    dlc_winograd_tile p = {.row_step = w * n, .pixel_step = n, .n = n};
    p.x = x ? x + (y0 * w + x0) * n : NULL;
    p.top = y0 < 0, p.left = x0 < 0;
    p.bottom = (int)least(h - y0, size), p.right = (int)least(w - x0, size);
    return p;
}

/* [point][panel][tile][nr] of all tiles of x (H, W, n) */
static float *transformed(const dlc_tiles *t, int m, const float *x, ptrdiff_t n, int gradient) {
    const ptrdiff_t panel_step = MOST * t->nr, point_step = panels(t, n) * panel_step;
    const int size = gradient ? 2 : m + 2, columns = (W + m - 1) / m;
    float *zeros = blank(n), *v = blank((m + 2) * (m + 2) * point_step);
    for (ptrdiff_t j = 0; j < n; j++) zeros[j] = 0;
    for (ptrdiff_t i = 0; i < tiles(m); i++) {
        dlc_winograd_tile p = tile_at(x, n, size, i / columns * m - !gradient, i % columns * m - !gradient, H, W);
        p.zeros = zeros, p.tile = v + i * t->nr, p.point_step = point_step, p.panel_step = panel_step;
        if (gradient) t->winograd_conv_output_gradient(&p);
        else t->winograd_conv_input(m, &p);
    }
    return v;
}

/* The largest of a window of `sums`, and whether an index is its position; sums that rounding makes equal may both be. */
static void expect_pooled(const float *y, const uint8_t *index, const double *sums, ptrdiff_t n, int relu, double tolerance) {
    for (ptrdiff_t i = 0; i < H / 2 * (W / 2) * n; i++) {
        const ptrdiff_t row = i / n / (W / 2), col = i / n % (W / 2);
        double window[4], best = -INFINITY;
        for (int p = 0; p < 4; p++) best = fmax(best, window[p] = sums[((2 * row + p / 2) * W + 2 * col + p % 2) * n + i % n]);
        expect_one("pooled", y[i], relu ? activated(DLC_RELU, best) : best, tolerance);
        if (relu && best <= tolerance) expect_one("index, cut off", index[i] == 4 || best > -tolerance, 1, 0);
        else expect_one("index of the largest", index[i] < 4 ? window[index[i]] : NAN, best, tolerance);
    }
}

static void test_conv(const dlc_tiles *t) {
    EACH(int, m, 2, 4) EACH(ptrdiff_t, k, 1, 3, 4, 9, 17, 35) EACH(ptrdiff_t, n, 1, 3, 4, 5, 8, 9, 16, 17, 35)
    EACH(int, relu, 0, 1) {
        const ptrdiff_t nr = t->nr, points = (m + 2) * (m + 2), v_step = panels(t, k) * MOST * nr;
        const ptrdiff_t count = tiles(m), columns = (W + m - 1) / m, rows = (count + 3) / 4 * 4;
        const float *x = quarters(H * W * k), *w = quarters(9 * k * n), *bias = relu ? quarters(n) : NULL;
        const float *v = transformed(t, m, x, k, 0);
        float *u = blank(points * k * nr), *products = blank(points * rows * nr), *y = blank(H * W * n);
        float *pooled = blank(H / 2 * (W / 2) * n), *plain = blank(H / 2 * (W / 2) * n);
        uint8_t *index = blank_bytes(H / 2 * (W / 2) * n);
        const double tolerance = m == 2 ? 0 : 1e-6 * 16 * (double)(k + 3); /* of the largest product, for each channel */
        for (ptrdiff_t first = 0; first < n; first += nr) {
            const ptrdiff_t some = least(n - first, nr);
            for (ptrdiff_t i = 0; i < k; i++)
                (m == 2 ? t->winograd_weights : t->winograd_conv_weights)(w + i * n + first, k * n, some, u + i * nr, k * nr);
            for (ptrdiff_t p = 0; p < points; p++)
                t->winograd_multiply(v + p * v_step, MOST * nr, k, u + p * k * nr, products + p * rows * nr, rows, some);
            for (ptrdiff_t i = 0; i < count; i++) {
                const ptrdiff_t row = i / columns * m, col = i % columns * m;
                dlc_winograd_tile p = tile_at(NULL, n, m, row, col, H, W);
                p.tile = products + i * nr, p.point_step = rows * nr, p.n = some;
                p.bias = bias ? bias + first : NULL, p.activation = relu ? DLC_RELU : DLC_LINEAR;
                t->winograd_conv_output(m, &p, y + (row * W + col) * n + first);
                const ptrdiff_t at = (row / 2 * (W / 2) + col / 2) * n + first;
                dlc_winograd_tile q = tile_at(NULL, n, m / 2, row / 2, col / 2, H / 2, W / 2);
                q.tile = p.tile, q.point_step = p.point_step, q.n = some, q.bias = p.bias, q.activation = p.activation;
                if (q.bottom < 1 || q.right < 1) continue;
                t->winograd_conv_pool(m, &q, pooled + at, index + at);
                t->winograd_conv_pool(m, &q, plain + at, NULL);
            }
        }
        double *sums = doubles(H * W * n), *want = doubles(H * W * n), *again = doubles(H / 2 * (W / 2) * n);
        for (ptrdiff_t i = 0; i < H * W * n; i++) {
            sums[i] = bias ? bias[i % n] : 0;
            for (int tap = 0; tap < 9; tap++)
                for (ptrdiff_t j = 0; j < k; j++)
                    sums[i] += pixel(x, i / n / W + tap / 3 - 1, i / n % W + tap % 3 - 1, k, j) * w[(tap * k + j) * n + i % n];
            want[i] = relu ? activated(DLC_RELU, sums[i]) : sums[i];
        }
        for (ptrdiff_t i = 0; i < H / 2 * (W / 2) * n; i++) again[i] = pooled[i];
        expect("y", y, want, H * W * n, tolerance);
        expect_pooled(pooled, index, sums, n, relu, tolerance);
        expect("pooled without index", plain, again, H / 2 * (W / 2) * n, 0);
    }
}

static void test_weight_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, k, 1, 3, 4, 9, 17, 35) EACH(ptrdiff_t, n, 1, 3, 4, 5, 8, 9, 16, 17, 35) {
        const ptrdiff_t nr = t->nr, count = tiles(2), half = count / 2;
        const ptrdiff_t v_step = panels(t, k) * MOST * nr, d_step = panels(t, n) * MOST * nr;
        const float *x = quarters(H * W * k), *dy = quarters(H * W * n);
        const float *v = transformed(t, 2, x, k, 0), *d = transformed(t, 2, dy, n, 1);
        float *s = blank(16 * nr * nr), *dw = blank(9 * k * n);
        double *want = doubles(9 * k * n);
        for (ptrdiff_t from = 0; from < k; from += nr)
            for (ptrdiff_t first = 0; first < n; first += nr) {
                const ptrdiff_t rows = least((k - from + 3) / 4 * 4, nr), some = least(n - first, nr);
                for (ptrdiff_t p = 0; p < 16; p++) {
                    const float *a = v + p * v_step + from * MOST, *b = d + p * d_step + first * MOST;
                    t->winograd_multiply_transposed(a, half, b, s + p * nr * nr, rows, some, 0);
                    t->winograd_multiply_transposed(a + half * nr, count - half, b + half * nr, s + p * nr * nr, rows, some, 1);
                }
                for (ptrdiff_t i = 0; i < least(k - from, nr); i++)
                    t->winograd_weight_gradient(s + i * nr, nr * nr, some, dw + (from + i) * n + first, k * n);
            }
        for (ptrdiff_t i = 0; i < 9 * k * n; i++)
            for (ptrdiff_t at = 0; at < H * W; at++)
                want[i] += pixel(x, at / W + i / n / k / 3 - 1, at % W + i / n / k % 3 - 1, k, i / n % k) * dy[at * n + i % n];
        expect("dw", dw, want, 9 * k * n, 0);
    }
}

static void test_multiply(const dlc_tiles *t) {
    EACH(ptrdiff_t, rows, 4, 8, 12, 16, 20, 24, 28, 32, 36) EACH(ptrdiff_t, k, 0, 1, 7, 8, 9, 33, 70)
    EACH(ptrdiff_t, n, 1, t->width, t->width + 1, t->nr) {
        const ptrdiff_t nr = t->nr, whole = n <= t->width ? t->width : nr, size = (rows - 1) * nr + whole;
        const float *a = quarters(panels(t, k) * rows * nr), *b = quarters(k ? (k - 1) * nr + whole : 0);
        float *c = blank(size);
        t->winograd_multiply(a, rows * nr, k, b, c, rows, n);
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t j = 0; j < n; j++) {
                double sum = 0;
                for (ptrdiff_t i = 0; i < k; i++) sum += (double)a[i / nr * rows * nr + r * nr + i % nr] * b[i * nr + j];
                expect_one("c", c[r * nr + j], sum, 0);
            }
    }
}

static void test_prefetch(const dlc_tiles *t) {
    float *x = quarters(9);
    double want[9];
    for (int i = 0; i < 9; i++) want[i] = x[i];
    EACH(ptrdiff_t, n, 0, 9, 5000) EACH(int, write, 0, 1) t->prefetch(x, n, write); /* beyond the guard, too */
    expect("x", x, want, 9, 0);
}

const word winograd_conv_words[] = {
    WORD_BY(winograd_conv_input, test_conv), WORD_BY(winograd_conv_output, test_conv), WORD_BY(winograd_conv_pool, test_conv),
    WORD_BY(winograd_conv_output_gradient, test_weight_gradient), WORD_BY(winograd_conv_weights, test_conv), WORD(prefetch),
    WORD_BY(winograd_multiply, test_multiply), WORD_BY(winograd_multiply_transposed, test_weight_gradient), {0}};
