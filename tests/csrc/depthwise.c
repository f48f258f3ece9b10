#include "check.h"

static void test_depthwise(const dlc_tiles *t) {
    EACH(ptrdiff_t, c, SIZES) EACH(ptrdiff_t, pixels, 0, 1, 7, 8, 9, 13) EACH(int, activation, DLC_LINEAR, DLC_RELU) {
        enum { TAPS = 5 };
        const ptrdiff_t x_step = 2 * c, y_step = c + 1;
        ptrdiff_t x_tap[TAPS], w_tap[TAPS];
        if (!c || !pixels) continue;
        for (ptrdiff_t s = 0; s < TAPS; s++) {
            x_tap[s] = s * c;
            w_tap[s] = (TAPS - 1 - s) * c;
        }
        const ptrdiff_t outputs = (pixels - 1) * y_step + c;
        const float *x = quarters((pixels - 1) * x_step + TAPS * c), *w = quarters(TAPS * c), *bias = activation ? quarters(c) : NULL;
        float *y = quarters(outputs);
        double *want = doubles(outputs);
        for (ptrdiff_t i = 0; i < outputs; i++) want[i] = y[i]; /* what is between the pixels stays */
        for (ptrdiff_t p = 0; p < pixels; p++)
            for (ptrdiff_t j = 0; j < c; j++) {
                double sum = bias ? bias[j] : 0;
                for (ptrdiff_t s = 0; s < TAPS; s++) sum += (double)x[p * x_step + x_tap[s] + j] * w[w_tap[s] + j];
                want[p * y_step + j] = activated(activation, sum);
            }
        t->depthwise(&(dlc_depthwise){x, x_step, x_tap, w_tap, TAPS, w, bias, y, y_step, pixels, c, activation});
        expect("y", y, want, outputs, 0);
    }
}

/* Rows of windows of 3 x 3. */
typedef struct {
    ptrdiff_t c, width, pixels;
    int left, stride, rows, outside; /* a bit for each row of x that is outside of the image */
} slide;

#define EACH_SLIDE                                                                                    \
    EACH(ptrdiff_t, c, 1, 17, 49) EACH(int, left, 0, 1) EACH(int, right, 0, 1) EACH(ptrdiff_t, width, 1, 2, 3, 4, 7) \
    EACH(int, stride, 1, 2) EACH(int, rows, 1, 2) EACH(int, outside, 0, 1, 28)

static int fits(slide *g, int right) {
    if (g->width + g->left + right < 3) return 0;
    g->pixels = (g->width + g->left + right - 3) / g->stride + 1;
    return 1;
}

static void rows_under(const slide *g, const float *x, const float **rows) {
    for (int i = 0; i < 5; i++) rows[i] = g->outside >> i & 1 ? NULL : x + i * g->width * g->c;
}

/* Which float of x tap i, k of window p in row r is, -1 if none. */
static ptrdiff_t under(const slide *g, int r, ptrdiff_t p, int i, int k) {
    const ptrdiff_t row = r * g->stride + i, column = p * g->stride + k - g->left;
    return g->outside >> row & 1 || column < 0 || column >= g->width ? -1 : (row * g->width + column) * g->c;
}

static void test_depthwise_rows(const dlc_tiles *t) {
    EACH_SLIDE EACH(int, activation, DLC_LINEAR, DLC_RELU6) {
        slide g = {c, width, 0, left, stride, rows, outside};
        if (!fits(&g, right)) continue;
        const ptrdiff_t y_row = g.pixels * c + 3, outputs = (rows - 1) * y_row + g.pixels * c;
        const float *x = quarters(5 * width * c), *w = quarters(9 * c), *bias = activation ? quarters(c) : NULL;
        float *y = quarters(outputs);
        double *want = doubles(outputs);
        for (ptrdiff_t i = 0; i < outputs; i++) want[i] = y[i];
        dlc_depthwise_rows a = {{NULL}, width, left, stride, rows, w + 8 * c, -c, bias, y, y_row, g.pixels, c, activation};
        rows_under(&g, x, a.x);
        for (int r = 0; r < rows; r++)
            for (ptrdiff_t p = 0; p < g.pixels; p++)
                for (ptrdiff_t j = 0; j < c; j++) {
                    double sum = bias ? bias[j] : 0;
                    for (int s = 0; s < 9; s++) {
                        const ptrdiff_t at = under(&g, r, p, s / 3, s % 3);
                        if (at >= 0) sum += (double)x[at + j] * w[(8 - s) * c + j];
                    }
                    want[r * y_row + p * c + j] = activated(activation, sum);
                }
        t->depthwise_rows(&a);
        expect("y", y, want, outputs, 0);
    }
}

static void test_depthwise_rows_gradient(const dlc_tiles *t) {
    EACH_SLIDE {
        slide g = {c, width, 0, left, stride, rows, outside};
        if (!fits(&g, right)) continue;
        const float *x = quarters(5 * width * c), *dy = quarters(rows * g.pixels * c);
        float *dw = quarters(9 * c);
        double *want = doubles(9 * c);
        for (ptrdiff_t i = 0; i < 9 * c; i++) want[i] = dw[i];
        dlc_depthwise_rows_gradient a = {{NULL}, width, left, stride, rows, dy, g.pixels, c, dw};
        rows_under(&g, x, a.x);
        for (int r = 0; r < rows; r++)
            for (ptrdiff_t p = 0; p < g.pixels; p++)
                for (int s = 0; s < 9; s++) {
                    const ptrdiff_t at = under(&g, r, p, s / 3, s % 3);
                    for (ptrdiff_t j = 0; j < c && at >= 0; j++)
                        want[s * c + j] += (double)x[at + j] * dy[(r * g.pixels + p) * c + j];
                }
        t->depthwise_rows_gradient(&a);
        expect("dw", dw, want, 9 * c, 0);
    }
}

static void test_depthwise_transposed(const dlc_tiles *t) {
    EACH(ptrdiff_t, c, 1, 17, 49) EACH(int, left, 0, 1) EACH(ptrdiff_t, pixels, 1, 2, 3, 5) EACH(ptrdiff_t, more, 0, 1, 2)
    EACH(int, outside, 0, 1, 2) EACH(int, unwanted, 0, 1, 2) {
        const ptrdiff_t width = 2 * pixels - left + more, n = width * c;
        const float *dy = quarters(2 * pixels * c), *w = quarters(9 * c);
        float *dx = quarters(2 * n);
        double *want = doubles(2 * n);
        dlc_depthwise_transposed a = {{NULL}, pixels, w, {NULL}, width, c, left};
        for (int r = 0; r < 2; r++) {
            if (r + 1 != outside) a.dy[r] = dy + r * pixels * c;
            if (r + 1 != unwanted) a.dx[r] = dx + r * n;
            for (ptrdiff_t i = r * n; i < (r + 1) * n; i++) want[i] = a.dx[r] ? 0 : dx[i];
        }
        for (int m = 0; m < 2; m++)
            for (ptrdiff_t p = 0; p < pixels; p++)
                for (int s = 0; s < 9; s++) {
                    const ptrdiff_t r = 2 * m + s / 3 - 1, q = 2 * p + s % 3 - left;
                    if (!a.dy[m] || r < 0 || r > 1 || !a.dx[r] || q < 0 || q >= width) continue;
                    for (ptrdiff_t j = 0; j < c; j++)
                        want[r * n + q * c + j] += (double)w[s * c + j] * dy[(m * pixels + p) * c + j];
                }
        t->depthwise_transposed(&a);
        expect("dx", dx, want, 2 * n, 0);
    }
}

static void test_depthwise_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, c, SIZES) EACH(ptrdiff_t, taps, 1, 3, 9, 14) {
        const ptrdiff_t rows = 3, cols = 5, x_step = c, x_row = 9 * c, dy_row = 6 * c;
        ptrdiff_t x_tap[14], w_tap[14];
        if (!c) continue;
        for (ptrdiff_t s = 0; s < taps; s++) {
            x_tap[s] = (s % 5) * c + s / 5 * x_row;
            w_tap[s] = (taps - 1 - s) * c;
        }
        const float *x = quarters((rows - 1) * x_row + (cols - 1) * x_step + 4 * c + 2 * x_row + c);
        const float *dy = quarters((rows - 1) * dy_row + cols * c);
        float *dw = quarters(taps * c);
        double *want = doubles(taps * c);
        for (ptrdiff_t s = 0; s < taps; s++)
            for (ptrdiff_t j = 0; j < c; j++) {
                double sum = dw[w_tap[s] + j];
                for (ptrdiff_t r = 0; r < rows; r++)
                    for (ptrdiff_t q = 0; q < cols; q++)
                        sum += (double)x[r * x_row + q * x_step + x_tap[s] + j] * dy[r * dy_row + q * c + j];
                want[w_tap[s] + j] = sum;
            }
        t->depthwise_gradient(&(dlc_depthwise_gradient){x, x_row, x_step, x_tap, w_tap, taps, dy, dy_row, rows, cols, c, dw});
        expect("dw", dw, want, taps * c, 0);
    }
}

static void test_spread(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(ptrdiff_t, multiplier, 2, 3) {
        const float *x = wild(n), *z = quarters(n * multiplier);
        float *y = blank(n * multiplier), *sums = blank(n);
        double *spread = doubles(n * multiplier), *sum = doubles(n);
        for (ptrdiff_t i = 0; i < n * multiplier; i++) {
            spread[i] = x[i / multiplier];
            sum[i / multiplier] += z[i];
        }
        t->spread(x, n, multiplier, y);
        expect("y", y, spread, n * multiplier, 0);
        t->gather_sums(z, n, multiplier, sums);
        expect("sums", sums, sum, n, 0);
    }
}

const word depthwise_words[] = {WORD(depthwise), WORD(depthwise_rows), WORD(depthwise_transposed), WORD(depthwise_rows_gradient),
                                WORD(depthwise_gradient), WORD(spread), WORD_BY(gather_sums, test_spread), {0}};
