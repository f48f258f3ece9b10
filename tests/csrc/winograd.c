/* The words of Winograd's domain make sense together: what comes out at the end is a convolution. Quarters stay exact. */
#include "check.h"

typedef struct { ptrdiff_t rows, cols, channels, n; } shape;

static ptrdiff_t blocks(const shape *s) { return (s->cols + DLC_TILES - 1) / DLC_TILES; }
static ptrdiff_t width(const shape *s) { return 2 * s->cols + 2; }
static ptrdiff_t plane(const shape *s) { return (2 * s->rows + 2) * width(s); }
static double pixel(const shape *s, const float *x, ptrdiff_t c, ptrdiff_t row, ptrdiff_t col) {
    return x[c * plane(s) + row * width(s) + col];
}

/* d of all channels; x (channels, 2 rows + 2, 2 cols + 2) */
static float *transformed(const dlc_tiles *t, const shape *s, const float *x) {
    const ptrdiff_t d_row = blocks(s) * 16 * DLC_TILES;
    float *d = blank(s->channels * s->rows * d_row);
    for (ptrdiff_t c = 0; c < s->channels; c++)
        t->winograd_input(x + c * plane(s), width(s), s->rows, s->cols, d + c * s->rows * d_row, d_row);
    return d;
}

#define SHAPES(s, n) EACH(shape, s, {1, 1, 1, n}, {2, 5, 1, n}, {2, 4, 2, n}, {1, 17, 3, n}, {3, 33, 1, n})

static void test_winograd_pool(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, 1, 3, 4, 5, 8, 9, 16, 17, 33) SHAPES(s, n) EACH(int, relu, 0, 1) {
        const ptrdiff_t d_row = blocks(&s) * 16 * DLC_TILES, u_step = n + 1, y_step = n + 2, windows = s.rows * s.cols;
        const ptrdiff_t size = (windows - 1) * y_step + n;
        const float *x = quarters(s.channels * plane(&s)), *w = quarters(9 * s.channels * n), *bias = relu ? quarters(n) : NULL;
        float *u = blank((s.channels * 16 - 1) * u_step + n), *y = quarters(size);
        double *want = doubles(size);
        uint8_t *index = blank_bytes(size), *right = blank_bytes(size);
        for (ptrdiff_t i = 0; i < size; i++) want[i] = y[i];
        for (ptrdiff_t at = 0; at < windows; at++)
            for (ptrdiff_t j = 0; j < n; j++) {
                double best = -INFINITY;
                for (int p = 0; p < 4; p++) {
                    double sum = bias ? bias[j] : 0;
                    for (ptrdiff_t c = 0; c < s.channels; c++)
                        for (int k = 0; k < 9; k++)
                            sum += pixel(&s, x, c, 2 * (at / s.cols) + p / 2 + k / 3, 2 * (at % s.cols) + p % 2 + k % 3)
                                 * w[(k * s.channels + c) * n + j];
                    if (sum > best) {
                        best = sum;
                        right[at * y_step + j] = (uint8_t)p;
                    }
                }
                if (relu && best <= 0) right[at * y_step + j] = 4;
                want[at * y_step + j] = relu ? activated(DLC_RELU, best) : best;
            }
        for (ptrdiff_t c = 0; c < s.channels; c++)
            t->winograd_weights(w + c * n, s.channels * n, n, u + c * 16 * u_step, u_step);
        t->winograd_pool(&(dlc_winograd_pool){transformed(t, &s, x), d_row, s.rows * d_row, s.rows, s.cols, s.channels, u, u_step,
                                              bias, y, index, y_step, n, relu});
        expect("y", y, want, size, 0);
        expect_bytes("index", index, right, size);
    }
}

static void test_winograd_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, 1, 3, 4, 5, 8, 9, 16, 17, 33) SHAPES(s, n) {
        const ptrdiff_t d_row = blocks(&s) * 16 * DLC_TILES, windows = s.rows * s.cols;
        if (s.channels > 1) continue;
        const float *x = quarters(plane(&s)), *dy = quarters(windows * n), *d = transformed(t, &s, x);
        const uint8_t *index = random_bytes(windows * n, 5);
        float *sums = blank(16 * n), *dw = blank(9 * n), *db = quarters(n);
        double *want = doubles(9 * n), *bias = doubles(n);
        memset(sums, 0, 16 * (size_t)n * sizeof *sums);
        for (ptrdiff_t j = 0; j < n; j++) bias[j] = db[j];
        for (ptrdiff_t at = 0; at < windows; at++)
            for (ptrdiff_t j = 0; j < n; j++) {
                const int p = index[at * n + j];
                if (p == 4) continue;
                bias[j] += dy[at * n + j];
                for (int k = 0; k < 9; k++)
                    want[k * n + j] += pixel(&s, x, 0, 2 * (at / s.cols) + p / 2 + k / 3, 2 * (at % s.cols) + p % 2 + k % 3)
                                     * dy[at * n + j];
            }
        t->winograd_pool_gradient(d, d_row, s.rows, s.cols, dy, index, n, sums, n, db);
        t->winograd_weight_gradient(sums, n, n, dw, n);
        expect("dw", dw, want, 9 * n, 0);
        expect("db", db, bias, n, 0);
    }
}

const word winograd_words[] = {WORD(winograd_pool), WORD_BY(winograd_input, test_winograd_pool),
                               WORD_BY(winograd_weights, test_winograd_pool), WORD_BY(winograd_pool_gradient, test_winograd_gradient),
                               WORD_BY(winograd_weight_gradient, test_winograd_gradient), {0}};
