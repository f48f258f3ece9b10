/* Winograd's domain of whole convolutions. Its words make sense together: what comes out is a 3x3 convolution with a border
 * of one pixel, or its weight gradient. Quarters stay exact with tiles of 2x2. */
#include "check.h"

enum { H = 5, W = 7, MOST = 12 }; /* an image of which tiles hang over; most tiles in it */

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static ptrdiff_t panels(const dlc_tiles *t, ptrdiff_t n) { return (n + t->width - 1) / t->width; }
static int ceildiv(int n, int m) { return (n + m - 1) / m; }

static double pixel(const float *x, ptrdiff_t y0, ptrdiff_t x0, ptrdiff_t n, ptrdiff_t j) {
    return y0 < 0 || y0 >= H || x0 < 0 || x0 >= W ? 0 : x[(y0 * W + x0) * n + j];
}

/* A row of `count` tiles, `rows` pixels high and `cols` wide, from (y0, x0) of an image of h x w on. */
static dlc_winograd_tile run_at(const float *x, ptrdiff_t n, int count, int rows, int cols, ptrdiff_t y0, ptrdiff_t x0,
                                ptrdiff_t h, ptrdiff_t w) {
    dlc_winograd_tile p = {.row_step = w * n, .pixel_step = n, .n = n, .count = count};
    p.x = x ? x + (y0 * w + x0) * n : NULL;
    p.top = y0 < 0, p.left = x0 < 0;
    p.bottom = (int)least(h - y0, rows), p.right = (int)least(w - x0, cols);
    return p;
}

enum { CONV, GRADIENT_INPUT, GRADIENT_OUTPUT };

/* [point][panel][tile][width] of all tiles of x (H, W, n) */
static float *transformed(const dlc_tiles *t, int mr, int mc, const float *x, ptrdiff_t n, int what) {
    const ptrdiff_t panel_step = MOST * t->width, point_step = panels(t, n) * panel_step;
    const int columns = ceildiv(W, mc), more = what == GRADIENT_OUTPUT ? 0 : 2; /* pixels that tiles share */
    float *zeros = blank(t->width), *v = blank((mr + 2) * (mc + 2) * point_step);
    for (int j = 0; j < t->width; j++) zeros[j] = 0;
    for (int row = 0; row * mr < H; row++) {
        dlc_winograd_tile p = run_at(x, n, columns, mr + more, columns * mc + more, row * mr - more / 2, -more / 2, H, W);
        p.zeros = zeros, p.tile = v + row * columns * t->width, p.point_step = point_step, p.panel_step = panel_step;
        if (what == CONV) t->winograd_conv_input(mr, mc, &p);
        for (int points = 0; what != CONV && points < 6; points++, p.tile += 4 * point_step)
            (what == GRADIENT_INPUT ? t->winograd_gradient_input : t->winograd_gradient_output)(points, &p);
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
    static const int forms[3][2] = {{2, 2}, {4, 2}, {4, 4}};
    EACH(int, form, 0, 1, 2) EACH(ptrdiff_t, k, 1, 3, 4, 9, 17, 35) EACH(ptrdiff_t, n, 1, 3, 4, 5, 8, 9, 16, 17, 35)
    EACH(int, relu, 0, 1) {
        const int mr = forms[form][0], mc = forms[form][1], columns = ceildiv(W, mc);
        const ptrdiff_t width = t->width, points = (mr + 2) * (mc + 2), v_step = panels(t, k) * MOST * width;
        const ptrdiff_t rows = (ceildiv(H, mr) * columns + 3) / 4 * 4;
        const float *x = quarters(H * W * k), *w = quarters(9 * k * n), *bias = relu ? quarters(n) : NULL;
        const float *v = transformed(t, mr, mc, x, k, CONV), *add = k % 2 ? quarters(H * W * n) : NULL;
        float *u = blank(2 * points * k * width), *products = blank(points * 2 * rows * width), *y = blank(H * W * n);
        float *pooled = blank(H / 2 * (W / 2) * n), *plain = blank(H / 2 * (W / 2) * n);
        uint8_t *index = blank_bytes(H / 2 * (W / 2) * n);
        const double tolerance = form == 0 ? 0 : 1e-6 * 16 * (double)(k + 3); /* of the largest product, for each channel */
        for (ptrdiff_t first = 0; first < n; first += 2 * width) { /* two panels */
            const ptrdiff_t some = least(n - first, 2 * width);
            for (ptrdiff_t panel = 0; panel * width < some; panel++)
                t->winograd_conv_weights(mr, mc, w + first + panel * width, k * n, n, k, least(some - panel * width, width),
                                         u + panel * points * k * width, k * width);
            for (ptrdiff_t p = 0; p < points; p++)
                t->winograd_multiply(v + p * v_step, MOST * width, k, u + p * k * width, points * k * width,
                                     products + p * 2 * rows * width, rows * width, rows, some);
            for (int row = 0; row * mr < H; row++) {
                dlc_winograd_tile p = run_at(NULL, n, columns, mr, columns * mc, row * mr, 0, H, W);
                p.tile = products + row * columns * width, p.point_step = 2 * rows * width, p.panel_step = rows * width;
                p.n = some, p.bias = bias ? bias + first : NULL, p.activation = relu ? DLC_RELU : DLC_LINEAR;
                dlc_winograd_tile q = run_at(NULL, n, columns, mr / 2, columns * mc / 2, row * mr / 2, 0, H / 2, W / 2);
                q.tile = p.tile, q.point_step = p.point_step, q.panel_step = p.panel_step;
                q.n = some, q.bias = p.bias, q.activation = p.activation;
                p.add = add ? add + row * mr * W * n + first : NULL;
                t->winograd_conv_output(mr, mc, &p, y + row * mr * W * n + first);
                const ptrdiff_t at = row * mr / 2 * (W / 2) * n + first;
                if (q.bottom < 1) continue;
                t->winograd_conv_pool(mr, mc, &q, pooled + at, index + at);
                t->winograd_conv_pool(mr, mc, &q, plain + at, NULL);
            }
        }
        double *sums = doubles(H * W * n), *want = doubles(H * W * n), *again = doubles(H / 2 * (W / 2) * n);
        for (ptrdiff_t i = 0; i < H * W * n; i++) {
            sums[i] = bias ? bias[i % n] : 0;
            for (int tap = 0; tap < 9; tap++)
                for (ptrdiff_t j = 0; j < k; j++)
                    sums[i] += pixel(x, i / n / W + tap / 3 - 1, i / n % W + tap % 3 - 1, k, j) * w[(tap * k + j) * n + i % n];
            want[i] = sums[i] + (add ? add[i] : 0);
            if (relu) want[i] = activated(DLC_RELU, want[i]);
        }
        for (ptrdiff_t i = 0; i < H / 2 * (W / 2) * n; i++) again[i] = pooled[i];
        expect("y", y, want, H * W * n, tolerance);
        expect_pooled(pooled, index, sums, n, relu, tolerance);
        expect("pooled without index", plain, again, H / 2 * (W / 2) * n, 0);
    }
}

static void test_weight_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, k, 1, 3, 4, 9, 17, 35) EACH(ptrdiff_t, n, 1, 3, 4, 5, 8, 9, 16, 17, 35) {
        const ptrdiff_t width = t->width, count = ceildiv(H, 4) * ceildiv(W, 2), half = count / 2;
        const ptrdiff_t v_step = panels(t, k) * MOST * width, d_step = panels(t, n) * MOST * width;
        const float *x = quarters(H * W * k), *dy = quarters(H * W * n);
        const float *v = transformed(t, 4, 2, x, k, GRADIENT_INPUT), *d = transformed(t, 4, 2, dy, n, GRADIENT_OUTPUT);
        float *s = blank(2 * 24 * width * width), *dw = blank(9 * k * n);
        double *want = doubles(9 * k * n);
        for (ptrdiff_t from = 0; from < k; from += width)
            for (ptrdiff_t first = 0; first < n; first += 2 * width) {
                const ptrdiff_t rows = least((k - from + 3) / 4 * 4, width), some = least(n - first, 2 * width);
                const ptrdiff_t panel = MOST * width, s_panel = 24 * width * width;
                for (ptrdiff_t p = 0; p < 24; p++) {
                    const float *a = v + p * v_step + from * MOST, *b = d + p * d_step + first * MOST;
                    float *c = s + p * width * width;
                    t->winograd_multiply_transposed(a, half, b, panel, c, s_panel, rows, some, 0);
                    t->winograd_multiply_transposed(a + half * width, count - half, b + half * width, panel, c, s_panel, rows,
                                                    some, 1);
                }
                for (ptrdiff_t i = 0; i < least(k - from, width); i++)
                    for (ptrdiff_t j = 0; j < some; j += width)
                        t->winograd_gradient_weights(s + j / width * s_panel + i * width, width * width, least(some - j, width),
                                                     dw + (from + i) * n + first + j, k * n);
            }
        for (ptrdiff_t i = 0; i < 9 * k * n; i++)
            for (ptrdiff_t at = 0; at < H * W; at++)
                want[i] += pixel(x, at / W + i / n / k / 3 - 1, at % W + i / n / k % 3 - 1, k, i / n % k) * dy[at * n + i % n];
        expect("dw", dw, want, 9 * k * n, 1e-6 * 16 * H * W); /* of the largest product, for each pixel */
    }
}

static void test_multiply(const dlc_tiles *t) {
    EACH(ptrdiff_t, rows, 4, 8, 12, 16, 20, 24, 28, 32, 36) EACH(ptrdiff_t, k, 0, 1, 7, 8, 9, 33, 70)
    EACH(ptrdiff_t, n, 1, t->width, t->width + 1, t->nr) {
        const ptrdiff_t width = t->width, two = n > width, c_panel = rows * width + 3;
        const float *a = quarters(panels(t, k) * rows * width), *b = quarters((1 + two) * k * width);
        float *c = blank(two * c_panel + rows * width);
        t->winograd_multiply(a, rows * width, k, b, k * width, c, c_panel, rows, n);
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t j = 0; j < n; j++) {
                double sum = 0;
                for (ptrdiff_t i = 0; i < k; i++)
                    sum += (double)a[i / width * rows * width + r * width + i % width] *
                           b[j / width * k * width + i * width + j % width];
                expect_one("c", c[j / width * c_panel + r * width + j % width], sum, 0);
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
    WORD_BY(winograd_conv_weights, test_conv), WORD(prefetch), WORD_BY(winograd_gradient_input, test_weight_gradient),
    WORD_BY(winograd_gradient_output, test_weight_gradient), WORD_BY(winograd_gradient_weights, test_weight_gradient),
    WORD_BY(winograd_multiply, test_multiply), WORD_BY(winograd_multiply_transposed, test_weight_gradient), {0}};
