#include "check.h"

enum { WIDTH = 40, TAPS = 60 }; /* floats of a row of the image; most taps of a kernel */

/* a kernel of `segments` rows of kc taps under windows of ph x pw pixels, each pixel `step` floats from the next */
typedef struct { ptrdiff_t segments, kc, step; int ph, pw; } shape;
#define SHAPES(s) \
    EACH(shape, s, {3, 3, 1, 2, 2}, {5, 5, 1, 2, 2}, {1, 1, 1, 1, 1}, {3, 9, 3, 2, 2}, {2, 13, 1, 3, 3}, {3, 3, 1, 3, 2}, {4, 3, 1, 1, 2})

static void layout(const shape *s, ptrdiff_t pixel[9], ptrdiff_t *segment) {
    for (int p = 0; p < s->ph * s->pw; p++) pixel[p] = p / s->pw * WIDTH + p % s->pw * s->step;
    for (ptrdiff_t i = 0; i < s->segments; i++) segment[i] = i * WIDTH;
}

static ptrdiff_t image_size(const shape *s, ptrdiff_t rows, ptrdiff_t cols) {
    return (rows * s->ph - 1 + s->segments - 1) * WIDTH + (cols * s->pw - 1) * s->step + s->kc;
}

static void test_conv_pool(const dlc_tiles *t) {
    SHAPES(s) EACH(int, n, 1, t->width - 1, t->width, t->width + 1, t->nr) EACH(int, relu, 0, 1) EACH(int, broken, 0, 1) {
        const ptrdiff_t cols = 3, taps = s.segments * s.kc, y_step = n + 2, size = (cols - 1) * y_step + n;
        ptrdiff_t segment[8];
        dlc_conv_pool g = {.window_step = s.pw * s.step, .a_segment = segment, .segments = s.segments, .kc = s.kc, .b_step = t->nr,
                           .y_step = y_step, .windows = cols, .pixels = s.ph * s.pw, .n = n, .relu = relu};
        layout(&s, g.pixel, segment);
        float *x = quarters(image_size(&s, 1, cols)), *b = blank(taps * t->nr), *y = quarters(size);
        const float *bias = relu ? quarters(n) : NULL;
        double *want = doubles(size);
        uint8_t *index = blank_bytes(size), *right = blank_bytes(size);
        if (broken) x[random_below(image_size(&s, 1, cols))] = NAN;
        for (ptrdiff_t i = 0; i < taps * t->nr; i++) b[i] = i % t->nr < n ? (float)(random_below(9) - 4) : 0;
        for (ptrdiff_t i = 0; i < size; i++) want[i] = y[i];
        for (ptrdiff_t w = 0; w < cols; w++)
            for (int j = 0; j < n; j++) {
                double best = 0;
                int winner = 0;
                for (int p = 0; p < g.pixels; p++) {
                    double sum = 0;
                    for (ptrdiff_t k = 0; k < taps; k++)
                        sum += (double)x[w * g.window_step + g.pixel[p] + segment[k / s.kc] + k % s.kc] * b[k * t->nr + j];
                    if (p == 0 || (!isnan(best) && (sum > best || isnan(sum)))) {
                        best = sum;
                        winner = p;
                    }
                }
                if (bias) best += bias[j];
                right[w * y_step + j] = (uint8_t)(relu && best <= 0 ? g.pixels : winner);
                want[w * y_step + j] = relu ? activated(DLC_RELU, best) : best;
            }
        g.x = x;
        g.b = b;
        g.bias = bias;
        g.y = y;
        g.index = index;
        t->conv_pool(&g);
        expect("y", y, want, size, 0);
        expect_bytes("index", index, right, size);
    }
}

static void test_conv_pool_gradient(const dlc_tiles *t) {
    SHAPES(s) EACH(ptrdiff_t, c, 1, 3, 4, 5, 9, 17, 33) {
        const ptrdiff_t rows = 2, cols = 3, taps = s.segments * s.kc;
        const int pixels = s.ph * s.pw, room = pixels <= 4 ? 4 : 16;
        const ptrdiff_t size = image_size(&s, rows, cols);
        const ptrdiff_t entries = ((rows - 1) * s.ph + s.segments - 1) * WIDTH + (cols - 1) * s.pw * s.step + s.kc;
        ptrdiff_t segment[8], pixel[9];
        layout(&s, pixel, segment);
        const float *x = quarters(size), *dy = quarters(rows * cols * c);
        const uint8_t *index = random_bytes(rows * cols * c, pixels + 1); /* the last one says that ReLU cut the window off */
        float *table = blank(entries * room), *dw = quarters(taps * c), *db = quarters(c);
        double *listed = doubles(entries * room), *want = doubles(taps * c), *bias = doubles(c);
        for (ptrdiff_t i = 0; i < entries; i++)
            for (int p = 0; p < pixels; p++) listed[i * room + p] = x[i + pixel[p]];
        for (ptrdiff_t i = 0; i < taps * c; i++) want[i] = dw[i];
        for (ptrdiff_t j = 0; j < c; j++) bias[j] = db[j];
        for (ptrdiff_t w = 0; w < rows * cols; w++)
            for (ptrdiff_t j = 0; j < c; j++) {
                const int winner = index[w * c + j];
                if (winner == pixels) continue;
                const double g = dy[w * c + j];
                const float *seen = x + w / cols * s.ph * WIDTH + w % cols * s.pw * s.step + pixel[winner];
                bias[j] += g;
                for (ptrdiff_t k = 0; k < taps; k++) want[k * c + j] += seen[segment[k / s.kc] + k % s.kc] * g;
            }
        t->conv_pool_table(x, entries, pixel, pixels, table);
        expect("table", table, listed, entries * room, 0);
        t->conv_pool_gradient(&(dlc_conv_pool_gradient){table, rows, cols, s.ph * WIDTH, s.pw * s.step, segment, s.segments, s.kc,
                                                        dy, index, c, pixels, dw, db});
        expect("dw", dw, want, taps * c, 0);
        expect("db", db, bias, c, 0);
    }
}

const word conv_pool_words[] = {WORD(conv_pool), WORD(conv_pool_gradient), WORD_BY(conv_pool_table, test_conv_pool_gradient), {0}};
